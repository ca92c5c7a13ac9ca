//! What the tests share: the runtime's matrix, stress, watchdog and counted drops; and threads of either kind.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

#[path = "../../../runtime/tests/common/mod.rs"]
mod runtime_common;

use sward_runtime::{park::WaitReason, thread};
use sward_sync::channel::{Receiver, Sender, bounded, unbounded};

pub(crate) use self::runtime_common::*;

/// One channel of each kind: without a buffer, with one for a message, with one for more, and without a bound.
pub(crate) const CAPACITIES: [Option<usize>; 4] = [Some(0), Some(1), Some(7), None];

pub(crate) fn channel<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    capacity.map_or_else(unbounded, bounded)
}

/// Sends as many messages as there is room for, ten at most.
pub(crate) fn fill<T>(sender: &Sender<T>, mut message: impl FnMut() -> T) -> usize {
    (0..10).take_while(|_| sender.try_send(message()).is_ok()).count()
}

/// A thread, green or not.
pub(crate) enum Either<T> {
    Green(thread::JoinHandle<T>),
    Os(std::thread::JoinHandle<T>),
}

/// Spawns a green thread if `n` is even, and an OS thread if it is odd.
pub(crate) fn spawn_either<T: Send + 'static>(n: usize, f: impl FnOnce() -> T + Send + 'static) -> Either<T> {
    if n.is_multiple_of(2) { Either::Green(thread::spawn(f)) } else { Either::Os(std::thread::spawn(f)) }
}

impl<T: Send + 'static> Either<T> {
    /// Waits for its end, without stalling a worker.
    #[track_caller]
    pub(crate) fn join(self) -> T {
        let result = match self {
            Self::Green(handle) => handle.join(),
            Self::Os(handle) => sward_runtime::unblock(|| handle.join()),
        };
        result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }
}

/// Lets the other green threads of the only worker run until they wait.
pub(crate) fn settle() {
    for _ in 0..20 {
        thread::yield_now();
    }
}

/// Whether a green thread is parked, waiting for `reason`.
pub(crate) fn is_waiting(thread: &thread::Thread, reason: WaitReason) -> bool {
    format!("{thread:?}").contains(&format!("place: Parked, waits_for: {reason:?}"))
}

/// Returns once it is.
pub(crate) fn until_waiting(thread: &thread::Thread, reason: WaitReason) {
    wait_until(|| is_waiting(thread, reason));
}

/// What a thread said that panicked.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).expect("it panicked with a text")
}

/// Runs `body` on green threads of every kind of runtime, and on an OS thread.
#[track_caller]
pub(crate) fn everywhere(body: impl Fn() + Sync) {
    each_run(&body);
    let _watchdog = Watchdog::new();
    body();
}

/// What `f` says as it panics, or as its result does when it is dropped.
#[track_caller]
pub(crate) fn panics_with<R>(f: impl FnOnce() -> R) -> String {
    quiet_panics();
    let run = std::panic::AssertUnwindSafe(|| drop(f()));
    panic_text(&*std::panic::catch_unwind(run).expect_err("it did not panic")).to_owned()
}
