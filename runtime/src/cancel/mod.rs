//! How calls and green threads are made to end early: their next wait unwinds.
//!
//! Three things cancel waits: [`JoinHandle::cancel`](crate::thread::JoinHandle::cancel) and the end of a runtime, which end a green thread as
//! a whole; and a [`Token`] or a deadline ([`time::timeout`](crate::time::timeout)), which end one call, on a green thread as on an OS
//! thread, after which the thread goes on.
//!
//! The unwinding carries a private payload past the panic hook, runs every destructor, and is what `join` reports. A
//! `catch_unwind` on the way may catch it, but the next wait unwinds again. While a thread unwinds, and inside [`shield`], its waits are not
//! cancelled. Whatever a wait was for is not lost: either it was obtained, and the wait returns, or it was not.
//!
//! | file | what is in it |
//! |---|---|
//! | `bound.rs` | limits to the waits inside one call: what tokens and deadlines have in common |
//! | `token.rs` | [`Token`] |
//!
//! With `panic = "abort"` nothing can unwind, and nothing is cancelled: see `docs/cancellation.md` in the repository.

#[expect(unsafe_code, reason = "a chain through the frames of one thread; see docs/unsafe.md")]
pub(crate) mod bound;
#[expect(unsafe_code, reason = "the claim of a wait; see docs/unsafe.md")]
mod token;

use std::{error::Error, fmt, io, panic, sync::Arc, time::Instant};

pub(crate) use self::bound::Bound;
use self::bound::{Limit, Passed};
pub use self::token::{Registration, Token};
use crate::{
    scheduler::{Shared, current},
    task::{Header, TaskRef},
    time::Elapsed,
};

/// Whether unwinding is possible at all.
pub(crate) const CAN_UNWIND: bool = cfg!(panic = "unwind");

/// The payload with which a cancelled green thread ends: `join` returns it in `Err`. Also what [`Token::run`] returns when it was cut short.
///
/// # Examples
///
/// ```
/// use sward_runtime::{runtime::Builder, thread, cancel::Cancelled};
///
/// let runtime = Builder::new().workers(1).build()?;
/// let handle = runtime.handle().spawn(|| thread::park());
/// drop(runtime); // ends every green thread
/// let payload = handle.join().unwrap_err();
/// assert!(payload.is::<Cancelled>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Cancelled(());

impl Cancelled {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl Error for Cancelled {}

/// Unwinds the calling thread as cancelled: to its end, or to the call that a deadline or a token bounds. For wait loops that got
/// [`Outcome::Cancelled`](crate::park::Outcome) and have taken themselves off every list.
pub fn unwind() -> ! {
    // The shields are as at the wait, and nothing that was due is not due any more.
    let task = current::task();
    let passed = if task.is_some_and(is_task_to_end) { None } else { bound::due() };
    if let Some(task) = task {
        task.started().set_unwinding(true);
    }
    match passed {
        Some(passed) => panic::resume_unwind(Box::new(passed)),
        None => panic::resume_unwind(Box::new(Cancelled::new())),
    }
}

/// Whether a wait of the calling thread that began now would be cancelled at once.
///
/// For computations that end in a way of their own; and where nothing can unwind: there it is also `true` of waits that go on all the same.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_runtime::{cancel, time};
///
/// assert!(!cancel::is_due());
/// time::timeout(Duration::ZERO, || assert!(cancel::is_due())).unwrap();
/// ```
#[must_use]
pub fn is_due() -> bool {
    current::task().is_some_and(Header::is_cancel_due) || bound::is_due()
}

/// As [`is_due`], but `true` as well where no wait is ended because it cannot be told whether the thread unwinds already. For who has
/// nothing to go on with, and has to [`unwind`] in any case. No part of the API.
#[doc(hidden)]
#[must_use]
pub fn is_to_end() -> bool {
    current::task().is_some_and(is_task_to_end) || bound::due().is_some()
}

fn is_task_to_end(task: &Header) -> bool {
    task.is_to_end() && task.started().shields.get() == 0
}

/// As [`unwind`], for a wait that can end with an error: where nothing can unwind, returns that.
#[cold]
#[must_use]
pub fn fail() -> io::Error {
    if CAN_UNWIND {
        unwind();
    }
    let is_to_end = current::task().is_some_and(Header::is_cancel_due);
    match bound::due() {
        Some(passed) if passed.is_elapsed && !is_to_end => Elapsed::new().into(),
        _ => io::Error::other(Cancelled::new()),
    }
}

/// Unwinds the calling thread if it is to end, or a call that bounds it; otherwise does nothing. For long computations that never wait.
///
/// # Suspension
///
/// Yields while the runtime is ending.
///
/// # Examples
///
/// ```
/// let mut sum = 0u64;
/// for i in 0..1_000 {
///     sward_runtime::cancel::check();
///     sum += i;
/// }
/// assert_eq!(sum, 499_500);
/// ```
pub fn check() {
    if current::worker().is_some_and(|worker| worker.is_to_stop()) {
        crate::thread::yield_now();
    }
    if CAN_UNWIND && is_due() {
        unwind();
    }
}

/// Runs `f` with cancellation held back: waits inside end only by what they wait for, or by deadlines and tokens that `f` itself sets up.
///
/// # Examples
///
/// ```
/// let committed = sward_runtime::cancel::shield(|| true);
/// assert!(committed);
/// ```
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    struct Unshield;
    impl Drop for Unshield {
        fn drop(&mut self) {
            current::leave_scope();
            bound::set_shields(bound::shields() - 1);
        }
    }
    bound::set_shields(bound::shields() + 1);
    current::enter_scope();
    let _unshield = Unshield;
    f()
}

/// Calls `f`, whose waits end at `deadline`. `Err`: one did.
pub(crate) fn until<R>(deadline: Instant, f: impl FnOnce() -> R) -> Result<R, Passed> {
    bound::within(Limit::Deadline(deadline), f)
}

/// A thread whose waits may be cancelled, for those who draw conclusions from its waiting.
#[doc(hidden)]
pub struct Cancellable {
    runtime: Option<Arc<Shared>>,
    task: Option<TaskRef>,
    /// In `no_suspend`, where a wait panics.
    may_wait: bool,
    /// By a deadline or a token.
    is_bounded: bool,
}

impl fmt::Debug for Cancellable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellable").field("is_due", &self.is_due()).finish()
    }
}

impl Cancellable {
    /// The calling one.
    #[must_use]
    pub fn current() -> Self {
        let worker = current::worker();
        Self {
            runtime: worker.map(|worker| Arc::clone(worker.shared())),
            task: current::task().map(Header::retain),
            may_wait: worker.is_none_or(|worker| worker.may_suspend()),
            is_bounded: bound::are_in_effect(),
        }
    }

    /// Whether its waits are, or are about to be, cancelled, or may be by a bound.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.may_wait
            || self.is_bounded
            || self.runtime.as_ref().is_some_and(|runtime| runtime.is_ending())
            || self.task.as_ref().is_some_and(|task| task.state.is_cancelled())
    }
}
