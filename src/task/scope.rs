//! Green threads that borrow, and of which the first failure ends the rest.
//!
//! # Roles
//!
//! The *body* is the closure of [`scope`]. It and the green threads that it spawns run under one [`Token`]; who fails leaves its failure, if it
//! is the first, and cancels the token.
//!
//! # Invariants
//!
//! - **F1** The token is cancelled only after a failure was left, or when the body has ended.
//!
//! # Sources
//!
//! Kotlin's `coroutineScope` and Java's `StructuredTaskScope` for what a failure does; Go's `errgroup` for the limit.

use std::{
    any::Any,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use sward_runtime::{
    cancel::{Cancellable, Cancelled, Token},
    thread::{self, ScopedJoinHandle, Thread},
};
use sward_sync::{Semaphore, WaitGroup};

use super::{failure, local};

/// How one of a scope failed.
enum Failed<E> {
    Error(E),
    Unwound(Box<dyn Any + Send>),
}

/// What the body and its green threads share.
struct Shared<E> {
    token: Token,
    first: Mutex<Option<Failed<E>>>,
    /// Set by `limit`, or when the first is spawned.
    permits: OnceLock<Option<Arc<Semaphore>>>,
}

impl<E> Shared<E> {
    /// Runs the body, or one of the green threads. `Ok(None)`: the scope has failed already.
    fn run<R>(&self, f: impl FnOnce() -> Result<R, E>) -> Result<Option<R>, Failed<E>> {
        match panic::catch_unwind(AssertUnwindSafe(|| self.token.run(f))) {
            Ok(Ok(Ok(value))) => Ok(Some(value)),
            Ok(Ok(Err(error))) => Err(Failed::Error(error)),
            // By the token (F1).
            Ok(Err(_)) => Ok(None),
            Err(payload) => Err(Failed::Unwound(payload)),
        }
    }

    /// Leaves a failure, if it is the first, and ends the others.
    fn fail(&self, failed: Failed<E>) {
        let mut first = self.first.lock();
        let later = if first.is_none() { first.replace(failed) } else { Some(failed) };
        drop(first);
        self.token.cancel();
        // Last, because it may run a destructor of the user's, whose panic is a later one too.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(later)));
    }
}

/// Runs `body`, which may spawn green threads that borrow from the surrounding frame, and waits for all of them. The first error or panic
/// of any of them, or of the body, cancels the others, and is what comes of the scope once all have ended.
///
/// Where a failure shall not end the others, [`thread::scope`] is the same without that.
///
/// # Suspension
///
/// Parks the green thread until the last of the scope has ended; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// All of the scope are cancelled, and waited for.
///
/// # Errors
///
/// The first error.
///
/// # Panics
///
/// With the payload of the first panic, if no error came before it.
///
/// # Examples
///
/// ```
/// use sward::{task, thread};
///
/// let text = String::from("12 + 30");
/// let sum = task::scope(|s| {
///     let (first, last) = text.split_once(" + ").expect("a separator");
///     let last = s.spawn(|| last.parse::<u32>());
///     Ok(first.parse::<u32>()? + last.join())
/// });
/// assert_eq!(sum, Ok(42));
///
/// // The first failure ends the others, which would never end by themselves.
/// let failed = task::scope(|s| {
///     s.spawn(|| Ok(thread::park()));
///     s.spawn(|| "twelve".parse::<u32>());
///     Ok(())
/// });
/// assert!(failed.is_err());
/// ```
#[track_caller]
pub fn scope<'env, T, E, F>(body: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(&Scope<'scope, 'env, E>) -> Result<T, E>,
    E: Send + 'env,
{
    let shared = Arc::new(Shared { token: Token::new(), first: Mutex::new(None), permits: OnceLock::new() });
    let threads_end = || {
        thread::scope(|threads| {
            let scope = Scope { threads, shared: Arc::clone(&shared), running: WaitGroup::new() };
            let ended = shared.run(|| {
                let value = body(&scope)?;
                // Here, where it can be cancelled, and not only at the end of `thread::scope`, where it cannot.
                let Scope { running, .. } = scope;
                running.wait();
                Ok(value)
            });
            match ended {
                Ok(value) => value,
                Err(failed) => {
                    shared.fail(failed);
                    None
                }
            }
        })
    };
    let ended = panic::catch_unwind(AssertUnwindSafe(threads_end));
    let first = shared.first.lock().take();
    match (first, ended) {
        (Some(Failed::Unwound(payload)), _) | (None, Err(payload)) => panic::resume_unwind(payload),
        (Some(Failed::Error(error)), _) => Err(error),
        (None, Ok(Some(value))) => Ok(value),
        (None, Ok(None)) => unreachable!("the body is ended by the token only after a failure (F1)"),
    }
}

/// Whether the calling green thread is cancelled, outside of the token. Not `is_due`, which is in doubt while another one of the worker is
/// suspended in its unwinding.
fn is_cancelled() -> bool {
    Cancellable::current().is_due()
}

/// The right to spawn green threads in a [`scope`](scope()). A clone may be taken into one of them, to spawn others there.
pub struct Scope<'scope, 'env: 'scope, E> {
    threads: &'scope thread::Scope<'scope, 'env>,
    shared: Arc<Shared<E>>,
    /// Each clone, and each green thread that runs, counts.
    running: WaitGroup,
}

impl<E> Clone for Scope<'_, '_, E> {
    fn clone(&self) -> Self {
        Self { threads: self.threads, shared: Arc::clone(&self.shared), running: self.running.clone() }
    }
}

impl<E> fmt::Debug for Scope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_failed = self.shared.token.is_cancelled();
        f.debug_struct("Scope").field("threads", self.threads).field("has_failed", &has_failed).finish()
    }
}

impl<'scope, E: Send + 'scope> Scope<'scope, '_, E> {
    /// Spawns a green thread in the scope. Its error, or its panic, is the scope's. It inherits each [`Local`](super::Local) that is bound
    /// here.
    ///
    /// # Suspension
    ///
    /// With a [limit](Self::limit), waits while so many run.
    ///
    /// # Panics
    ///
    /// If the default runtime is needed and cannot be started. On a runtime that ends the closure is dropped, as that of one that is
    /// cancelled.
    #[track_caller]
    pub fn spawn<F, R>(&self, f: F) -> Handle<'scope, R>
    where
        F: FnOnce() -> Result<R, E> + Send + 'scope,
        R: Send + 'scope,
    {
        let permits = self.shared.permits.get_or_init(|| None).as_ref().map(Arc::clone);
        let permit = permits.map(|permits| permits.acquire_owned().expect("it is never closed"));
        let (shared, running) = (Arc::clone(&self.shared), self.running.clone());
        let f = local::carry(f);
        let handle = self.threads.spawn(move || {
            // Dropped in the order of their declaration, last to first: it is out of the count last.
            let _running = running;
            let _permit = permit;
            match shared.run(f) {
                Ok(value) => value,
                // Cancelled by hand, which concerns nobody else; unless it is the payload of another one.
                Err(Failed::Unwound(payload)) if payload.is::<Cancelled>() && is_cancelled() => None,
                Err(failed) => {
                    shared.fail(failed);
                    None
                }
            }
        });
        Handle(handle)
    }

    /// Lets at most `limit` green threads of the scope run at once: [`spawn`](Self::spawn) waits until one of them has ended.
    ///
    /// Who spawns in a green thread of the scope counts itself, so a chain of `limit` of them may wait for itself.
    ///
    /// # Panics
    ///
    /// If there is a limit already, or one was spawned before, or `limit` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use sward::task;
    ///
    /// let words = ["some", "words", "to", "count"];
    /// let sum = task::scope(|s| {
    ///     s.limit(2);
    ///     let handles: Vec<_> = words.iter().map(|word| s.spawn(|| Ok::<_, Infallible>(word.len()))).collect();
    ///     Ok(handles.into_iter().map(|handle| handle.join()).sum::<usize>())
    /// });
    /// assert_eq!(sum, Ok(16));
    /// ```
    pub fn limit(&self, limit: usize) {
        assert!(limit > 0, "a scope needs room for one green thread at least");
        let permits = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        let set = self.shared.permits.set(Some(permits));
        assert!(set.is_ok(), "the limit of a scope is set once, before anything is spawned in it");
    }
}

/// The right to the value of a green thread of a [`Scope`].
#[derive(Debug)]
pub struct Handle<'scope, R>(ScopedJoinHandle<'scope, Option<R>>);

impl<R> Handle<'_, R> {
    /// Waits for the value. If there will be none because the scope has failed, the caller, who is of that scope, is cancelled.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Panics
    ///
    /// If the green thread was cancelled by hand; or has no value because the scope has failed, and the caller is not of that scope.
    pub fn join(self) -> R {
        if let Ok(Some(value)) = self.0.join() {
            return value;
        }
        failure::unwind_if_to_end();
        panic!("the green thread that is joined was cancelled");
    }

    /// Whether the green thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Cancels the green thread. That is no failure of the scope.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// The green thread itself.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.0.thread()
    }
}
