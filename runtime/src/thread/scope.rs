//! Green threads that borrow from the stack frame that waits for them.
//!
//! # Invariants
//!
//! - **Q1** A scoped green thread counts as running from its spawn until nothing of it can reach what it borrows: its closure is gone, and
//!   its result has been taken or dropped. `Packet`'s destructor counts it out.
//! - **Q2** `scope` returns, or unwinds, only when the count is zero. That wait is not cancelled.
//!
//! # Sources
//!
//! std's `thread/scoped.rs`, whose guarantees these are.

use std::{
    any::Any,
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, Location, RefUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Builder, Ending, Joiner, Result, Thread, spawn::Spawn};
use crate::{
    cancel::{self, Cancelled},
    park::{WaitReason, Waiter, Waker},
    runtime::Handle,
    scheduler::current,
};

/// What the scope and its green threads share.
#[derive(Default)]
struct Count {
    running: usize,
    panicked: bool,
    owner: Option<Waker>,
}

/// Where a scoped green thread leaves its result.
struct Packet<'scope, T> {
    count: Arc<Mutex<Count>>,
    /// Written by the green thread, taken by the joiner after its end.
    result: UnsafeCell<Option<Result<T>>>,
    scope: PhantomData<&'scope ()>,
}

// SAFETY: `result` is written by the green thread before its end and touched by others only after it, which `join` orders.
unsafe impl<T: Send> Sync for Packet<'_, T> {}

/// What a scoped green thread starts with.
struct Body<'scope, F, T> {
    /// `None`: it was run.
    f: Option<F>,
    packet: Arc<Packet<'scope, T>>,
}

/// Of one that never runs the closure goes before the packet does (Q1). If that panics, it is as if the closure had.
impl<F, T> Drop for Body<'_, F, T> {
    fn drop(&mut self) {
        let Some(f) = self.f.take() else { return };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(f))) {
            // SAFETY: it has not ended while its closure is there, and the joiner looks only after the end.
            unsafe { *self.packet.result.get() = Some(Err(payload)) };
        }
    }
}

impl<T> Drop for Packet<'_, T> {
    fn drop(&mut self) {
        let unhandled = matches!(self.result.get_mut(), Some(Err(payload)) if !payload.is::<Cancelled>());
        // The result may borrow, so it goes before the count does (Q1). A panic in its destructor leaves nothing to go on with.
        let drop_result = AssertUnwindSafe(|| *self.result.get_mut() = None);
        if catch_unwind(|| cancel::shield(drop_result)).is_err() {
            crate::error::abort("the result of a scoped green thread panicked in its destructor");
        }
        let claimed = {
            let mut count = self.count.lock();
            count.running -= 1;
            count.panicked |= unhandled;
            if count.running > 0 {
                return;
            }
            // SAFETY: the owner takes its waker out under this lock (W1 of `park.rs`).
            count.owner.as_ref().and_then(|owner| unsafe { owner.claim() })
        };
        if let Some(claimed) = claimed {
            claimed.schedule();
        }
    }
}

/// Runs `f`, which may spawn green threads that borrow from the surrounding frame, and waits for all of them.
///
/// With the guarantees of `std::thread::scope`, on a green thread as on an OS thread.
///
/// # Suspension
///
/// Parks the green thread until the last of the scope has ended; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// The wait at the end is not cancelled: frames are borrowed from.
///
/// # Panics
///
/// If `f` panics, with its payload, after all have ended; if one that was not joined by hand panicked; inside
/// [`no_suspend`](super::no_suspend), before `f` is called.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let mut sums = [0_u64; 2];
/// let numbers = [1, 2, 3, 4];
/// thread::scope(|s| {
///     for (half, sum) in numbers.chunks(2).zip(&mut sums) {
///         s.spawn(move || *sum = half.iter().sum());
///     }
/// });
/// assert_eq!(sums, [3, 7]);
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    // Q2: inside `no_suspend` the wait would panic.
    current::assert_may_suspend();
    let scope = Scope { count: Arc::default(), env: PhantomData, scope: PhantomData };
    // Q2: `f` may unwind only after the wait.
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    let waited = catch_unwind(AssertUnwindSafe(|| cancel::shield(|| wait_for_all(&scope.count))));
    if waited.is_err() {
        crate::error::abort("the wait at the end of a scope panicked");
    }
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.count.lock().panicked => panic!("a scoped thread panicked"),
        Ok(value) => value,
    }
}

fn wait_for_all(count: &Mutex<Count>) {
    while count.lock().running > 0 {
        // SAFETY: used up in this turn of the loop, which begins no other wait.
        let mut waiter = unsafe { Waiter::new(WaitReason::Scope) };
        {
            let mut count = count.lock();
            if count.running == 0 {
                return;
            }
            count.owner = Some(waiter.waker());
        }
        let _ = waiter.wait(None);
        count.lock().owner = None;
    }
}

/// The right to spawn green threads that borrow for `'env`. See [`scope`].
///
/// The two lifetimes are std's: `'scope` is the time during which green threads of the scope may run, `'env` that of what they
/// borrow.
///
/// ```compile_fail,E0373
/// sward_runtime::thread::scope(|s| {
///     s.spawn(|| {
///         let a = 1;
///         s.spawn(|| println!("{a:?}")); // `a` ends before the scope does
///     });
/// });
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    count: Arc<Mutex<Count>>,
    /// Invariant over `'scope`, so that it cannot be shortened to something local.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

// As `std`'s: by way of it nobody sees what a panic has left half done.
impl RefUnwindSafe for Scope<'_, '_> {}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count.lock();
        f.debug_struct("Scope").field("running", &count.running).field("panicked", &count.panicked).finish()
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a green thread in the scope.
    ///
    /// # Panics
    ///
    /// If the default runtime is needed and cannot be started. On a runtime that ends the closure is dropped, and joining it says that
    /// it was cancelled; [`Builder::spawn_scoped`] returns an error then.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let packet = self.packet();
        let body = body(f, &packet);
        let spawn = Spawn { options: None, site: Location::caller() };
        let joiner = if let Some(worker) = current::worker() {
            // SAFETY: as in `spawn_at`.
            unsafe { spawn.on_worker(worker, false, body) }
        } else {
            let handle = Handle::current_or_default().expect("the default runtime could not be started");
            // SAFETY: as in `spawn_at`.
            unsafe { spawn.outside(handle.shared(), body) }.unwrap_or_else(|rejected| rejected.joiner)
        };
        ScopedJoinHandle { joiner, packet }
    }

    /// For one more.
    fn packet<T>(&self) -> Arc<Packet<'scope, T>> {
        self.count.lock().running += 1;
        let (count, result) = (Arc::clone(&self.count), UnsafeCell::new(None));
        Arc::new(Packet { count, result, scope: PhantomData })
    }

    fn spawn_at<F, T>(
        &'scope self,
        builder: Builder,
        site: &'static Location<'static>,
        f: F,
    ) -> std::io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let packet = self.packet();
        let body = body(f, &packet);
        // SAFETY: `scope` does not return before the packet is gone (Q2), which outlives the body and the result (Q1); what is sent is
        // Send by the bounds.
        let joiner = unsafe { builder.spawn_at(site, body) }?;
        Ok(ScopedJoinHandle { joiner, packet })
    }
}

/// What the green thread runs.
fn body<'scope, F, T>(f: F, packet: &Arc<Packet<'scope, T>>) -> impl FnOnce() + use<'scope, F, T>
where
    F: FnOnce() -> T,
{
    let mut body = Body { f: Some(f), packet: Arc::clone(packet) };
    move || {
        // Whole, so that it is dropped as one if it never runs.
        let body = &mut body;
        let f = body.f.take().expect("it is run once");
        let result = catch_unwind(AssertUnwindSafe(f));
        // SAFETY: the joiner looks only after our end, and nobody else has the cell.
        unsafe { *body.packet.result.get() = Some(result) };
    }
}

impl Builder {
    /// Spawns a green thread in a scope.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    ///
    /// let text = String::from("borrowed");
    /// let length = thread::scope(|s| {
    ///     let handle = thread::Builder::new().name("reader".into()).spawn_scoped(s, || text.len())?;
    ///     Ok::<_, std::io::Error>(handle.join().unwrap())
    /// })?;
    /// assert_eq!(length, 8);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> std::io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        scope.spawn_at(self, Location::caller(), f)
    }
}

/// The right to wait for a scoped green thread's end and take its result.
pub struct ScopedJoinHandle<'scope, T> {
    joiner: Joiner<()>,
    packet: Arc<Packet<'scope, T>>,
}

// SAFETY: it gives out the T, which is Send.
unsafe impl<T: Send> Send for ScopedJoinHandle<'_, T> {}
// SAFETY: a shared reference gives no T.
unsafe impl<T> Sync for ScopedJoinHandle<'_, T> {}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the end of the green thread and returns its result.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Errors
    ///
    /// The payload, when the green thread did not end by returning. The scope does not panic for it then.
    ///
    /// # Panics
    ///
    /// If a green thread joins itself.
    pub fn join(self) -> Result<T> {
        let ended = self.joiner.join();
        // SAFETY: the green thread has ended; it does not touch the result any more.
        let result = unsafe { &mut *self.packet.result.get() }.take();
        match (result, ended) {
            (Some(result), _) => result,
            (None, Err(payload)) => Err(payload),
            (None, Ok(())) => Err(Box::new(Cancelled::new()) as Box<dyn Any + Send>),
        }
    }

    /// Makes the green thread end, as [`JoinHandle::cancel`](super::JoinHandle::cancel) does. The scope does not panic for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    ///
    /// thread::scope(|s| {
    ///     let parked = s.spawn(|| thread::park());
    ///     parked.cancel();
    ///     assert!(parked.join().is_err());
    /// });
    /// ```
    pub fn cancel(&self) {
        self.thread().cancel();
    }

    /// Whether the green thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.joiner.is_finished()
    }

    /// The green thread itself.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.joiner.thread()
    }

    /// The end of the green thread.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn ending(&self) -> Ending<'_> {
        self.joiner.ending()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").field("thread", &self.thread()).finish_non_exhaustive()
    }
}
