//! Green threads with the names, signatures and semantics of `std::thread`.
//!
//! Everything here works on a green thread, which it parks, and on an OS thread outside the runtime, which it blocks. The first
//! [`spawn`] outside a runtime starts the default one.
//!
//! | file | what is in it |
//! |---|---|
//! | `spawn.rs` | `spawn` and `Builder` |
//! | `handle.rs` | `JoinHandle`, `Thread`, `ThreadId` |
//! | `scope.rs` | green threads that borrow |

mod handle;
mod scope;
mod spawn;

use std::{
    io,
    num::NonZero,
    time::{Duration, Instant},
};

#[doc(hidden)]
pub use self::handle::Ending;
pub(crate) use self::{
    handle::Joiner,
    spawn::{Rejected, Spawn},
};
pub use self::{
    handle::{JoinHandle, State, Thread, ThreadId},
    scope::{Scope, ScopedJoinHandle, scope},
    spawn::{Builder, spawn},
};
pub use crate::{
    task::local::{AccessError, LocalKey},
    thread_local,
};

use crate::{
    cancel,
    fiber::Suspend,
    park::{self, Outcome, WaitReason, Waiter},
    scheduler::current,
    seam,
    task::header::Unwinding,
};

/// What [`JoinHandle::join`] returns: the value, or the payload of the panic. The same type as `std::thread::Result`.
pub type Result<T> = std::thread::Result<T>;

/// Returns a handle to the calling thread, green or not.
///
/// # Panics
///
/// On an OS thread outside the runtime that is past the destruction of its thread-locals.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let name = thread::Builder::new()
///     .name("worker bee".into())
///     .spawn(|| thread::current().name().map(str::to_owned))?
///     .join()
///     .unwrap();
/// assert_eq!(name.as_deref(), Some("worker bee"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn current() -> Thread {
    Thread::current()
}

/// Waits until the calling thread's token is left by [`Thread::unpark`], and takes it.
///
/// Unlike `std`'s, it does not return for no reason.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// The token, if it comes at the same moment, stays.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let parked = thread::spawn(|| {
///     thread::park();
///     "unparked"
/// });
/// parked.thread().unpark();
/// assert_eq!(parked.join().unwrap(), "unparked");
/// ```
#[inline(always)]
pub fn park() {
    park::park();
}

/// As [`park()`], but returns after `timeout` at the latest.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// As [`park()`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// sward_runtime::thread::park_timeout(Duration::from_millis(1));
/// ```
pub fn park_timeout(timeout: Duration) {
    park::park_until(seam::now().checked_add(timeout));
}

/// Lets others run: the green thread goes to the end of its worker's queue.
///
/// # Suspension
///
/// Suspends the green thread; yields the OS thread outside the runtime.
///
/// # Cancellation
///
/// A place where a cancelled green thread unwinds.
///
/// # Panics
///
/// Inside [`no_suspend`].
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use sward_runtime::thread;
///
/// static READY: AtomicBool = AtomicBool::new(false);
/// let setter = thread::spawn(|| READY.store(true, Ordering::Release));
/// while !READY.load(Ordering::Acquire) {
///     thread::yield_now();
/// }
/// setter.join().unwrap();
/// ```
#[inline(always)]
pub fn yield_now() {
    let Some(worker) = current::worker() else { return yield_os_thread() };
    worker.assert_may_suspend();
    // SAFETY: the running task is alive while it runs.
    let Some(task) = (unsafe { worker.current_ptr().as_ref() }) else { return };
    if task.state.is_limited() || task.runtime().is_draining() {
        unwind_if_due();
    }
    task.suspend(Suspend::Yield);
    task.panic_if_caught();
}

#[cold]
fn yield_os_thread() {
    unwind_if_due();
    std::thread::yield_now();
}

#[cold]
fn unwind_if_due() {
    if cancel::CAN_UNWIND && cancel::is_due() {
        cancel::unwind();
    }
}

/// Puts the calling thread to sleep for at least `duration`.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// The caller unwinds; nothing is lost.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// sward_runtime::thread::sleep(Duration::from_millis(2));
/// assert!(start.elapsed() >= Duration::from_millis(2));
/// ```
pub fn sleep(duration: Duration) {
    sleep_to(seam::now().checked_add(duration));
}

/// Puts the calling thread to sleep until `deadline`.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// As [`sleep`].
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let deadline = Instant::now() + Duration::from_millis(2);
/// sward_runtime::thread::sleep_until(deadline);
/// assert!(Instant::now() >= deadline);
/// ```
pub fn sleep_until(deadline: Instant) {
    sleep_to(Some(deadline));
}

/// `None`: for longer than the clock can say.
fn sleep_to(deadline: Option<Instant>) {
    if deadline.is_some_and(|deadline| deadline <= seam::now()) {
        return yield_now();
    }
    // SAFETY: used up here.
    if unsafe { Waiter::new(WaitReason::Sleep) }.wait(deadline) == Outcome::Cancelled {
        cancel::unwind();
    }
}

/// Whether the calling thread is unwinding because of a panic.
///
/// While another green thread of the same worker is suspended in the middle of its unwinding, this is `true` also for one that is
/// not: the panic count is the OS thread's.
///
/// A destructor may wait while its thread unwinds; a panic hook must not. To the standard library another green thread that panics on the same worker meanwhile panics
/// inside of the hook, and the process aborts. So a hook uses `std`'s own streams and locks. In [`no_suspend`] a hook that would wait aborts at once, and not
/// only if somebody else panics.
///
/// # Examples
///
/// ```
/// assert!(!sward_runtime::thread::panicking());
/// ```
#[must_use]
pub fn panicking() -> bool {
    current::task().map_or_else(std::thread::panicking, |task| task.unwinding() != Unwinding::No)
}

/// As [`panicking`], but `false` if it cannot be told.
#[doc(hidden)]
#[must_use]
pub fn is_known_to_panic() -> bool {
    current::task().map_or_else(std::thread::panicking, |task| task.unwinding() == Unwinding::Yes)
}

/// The number behind the [`ThreadId`] of the calling thread: for less than [`current`] costs, and also while an OS thread's locals are
/// destroyed. Never zero.
#[doc(hidden)]
#[must_use]
pub fn number() -> u64 {
    current::task().map_or_else(park::os_thread_id, |task| task.meta.id)
}

/// How many threads can run in parallel here: what a runtime takes as its number of workers.
///
/// # Errors
///
/// As `std::thread::available_parallelism`; none on Linux.
///
/// # Examples
///
/// ```
/// assert!(sward_runtime::thread::available_parallelism()?.get() >= 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn available_parallelism() -> io::Result<NonZero<usize>> {
    NonZero::new(num_cpus::get()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Runs `f`, in which a suspension panics.
///
/// For calls into code whose soundness rests on calls of one OS thread nesting, such as a scoped thread-local that restores a
/// saved pointer: no other green thread runs on this worker until `f` returns, and no generator leaves `f` half-way.
///
/// # Panics
///
/// If `f` does anything that would park or yield; on an OS thread outside the runtime, if `f` yields from a
/// [generator](crate::coroutine) that called this.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let answer = thread::spawn(|| thread::no_suspend(|| 6 * 7)).join().unwrap();
/// assert_eq!(answer, 42);
/// assert!(thread::spawn(|| thread::no_suspend(|| thread::yield_now())).join().is_err());
/// ```
pub fn no_suspend<R>(f: impl FnOnce() -> R) -> R {
    struct Allow;
    impl Drop for Allow {
        fn drop(&mut self) {
            // The same worker: nothing was suspended meanwhile.
            if let Some(worker) = current::worker() {
                worker.allow_suspension();
            }
            current::leave_scope();
        }
    }
    current::enter_scope();
    if let Some(worker) = current::worker() {
        worker.forbid_suspension();
    }
    let _allow = Allow;
    f()
}
