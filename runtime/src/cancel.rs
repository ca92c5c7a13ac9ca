//! How a green thread is made to end early: its next wait unwinds.
//!
//! The unwinding carries a private payload past the panic hook, runs every destructor, and is what `join` reports. A
//! `catch_unwind` on the way may catch it, but the next wait unwinds again. While a green thread unwinds, and
//! inside [`shield`], its waits are not cancelled.

use std::{error::Error, fmt, panic, sync::Arc};

use crate::{
    prim::atomic::Ordering::Relaxed,
    scheduler::{RUNNING, Shared, current},
    task::Header,
};

/// The payload with which a cancelled green thread ends: `join` returns it in `Err`.
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
        f.write_str("green thread was cancelled")
    }
}

impl Error for Cancelled {}

/// Unwinds the calling green thread as cancelled. For wait loops that got [`Outcome::Cancelled`](crate::park::Outcome) and
/// have taken themselves off every list.
pub fn unwind() -> ! {
    if let Some(task) = current::task() {
        task.started().unwinding.set(true);
    }
    panic::resume_unwind(Box::new(Cancelled::new()))
}

/// Unwinds the calling green thread if it is to end; otherwise does nothing. For long computations that never wait.
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
    let Some(worker) = current::worker() else { return };
    if worker.is_to_stop() {
        crate::thread::yield_now();
    }
    if current::task().is_some_and(Header::is_cancel_due) {
        unwind();
    }
}

/// Runs `f` with cancellation held back: waits inside end only by what they wait for.
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
            if let Some(task) = current::task() {
                let shields = &task.started().shields;
                shields.set(shields.get() - 1);
            }
        }
    }
    let Some(task) = current::task() else { return f() };
    let shields = &task.started().shields;
    shields.set(shields.get() + 1);
    let _unshield = Unshield;
    f()
}

/// A thread whose waits may be cancelled, for those who draw conclusions from its waiting.
#[doc(hidden)]
pub struct Cancellable {
    runtime: Option<Arc<Shared>>,
    /// In `no_suspend`, where a wait panics.
    may_wait: bool,
}

impl fmt::Debug for Cancellable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellable").field("is_due", &self.is_due()).finish()
    }
}

impl Cancellable {
    /// The calling one. An OS thread outside the runtime is never cancelled.
    #[must_use]
    pub fn current() -> Self {
        let Some(worker) = current::worker() else { return Self { runtime: None, may_wait: true } };
        Self { runtime: Some(Arc::clone(worker.shared())), may_wait: worker.may_suspend() }
    }

    /// Whether its waits are, or are about to be, cancelled.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let is_ending = |shared: &Arc<Shared>| shared.phase.load(Relaxed) != RUNNING;
        !self.may_wait || self.runtime.as_ref().is_some_and(is_ending)
    }
}
