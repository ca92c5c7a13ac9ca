//! Futures on green threads.
//!
//! [`block_on`] waits for a future, and parks the green thread while it is pending. The other way round, a
//! [`JoinHandle`](crate::thread::JoinHandle) is a future. So the two worlds can wait for each other, and neither needs the other's runtime.
//!
//! # Invariants
//!
//! - **V1** The waker in a signal's `waiter` belongs to the frame of [`Signal::wait`], which takes it out under the lock before it ends, unless
//!   it was claimed under the lock.
//!
//! # Orderings
//!
//! The lock of the signal orders a wake before the poll that follows it.
//!
//! # Checked by
//!
//! `loom-tests/tests/future.rs`, `tests/future.rs`.

use std::{
    future::{Future, IntoFuture},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
};

use crate::{
    budget, cancel,
    park::{Outcome, WaitReason, Waiter, Waker},
    prim::Mutex,
};

/// Waits for a future: polls it on the calling thread until it is ready.
///
/// Works with any future that does not need the runtime it came from to be entered; futures of tokio's own sockets and timers do.
///
/// # Suspension
///
/// Parks the green thread while the future is pending; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// The future is dropped.
///
/// # Examples
///
/// ```
/// use sward_runtime::{future, thread};
///
/// let sum = thread::spawn(|| {
///     let left = thread::spawn(|| 20);
///     let right = thread::spawn(|| 22);
///     // A `JoinHandle` is a future.
///     future::block_on(async { left.await.unwrap() + right.await.unwrap() })
/// });
/// assert_eq!(sum.join().unwrap(), 42);
/// ```
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let signal = Arc::new(Signal::default());
    let waker = std::task::Waker::from(Arc::clone(&signal));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        signal.wait();
        // A future that wakes itself again and again waits for nobody.
        budget::spend();
    }
}

/// That the future is to be polled again.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Signal(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    notified: bool,
    waiter: Option<Waker>,
}

impl Signal {
    /// Waits for the next wake, or takes the one that came since the last.
    pub fn wait(&self) {
        loop {
            // SAFETY: used up in this turn of the loop, which begins no other wait.
            let mut waiter = unsafe { Waiter::new(WaitReason::Future) };
            {
                let mut state = self.0.lock();
                if std::mem::take(&mut state.notified) {
                    return;
                }
                state.waiter = Some(waiter.waker());
            }
            let outcome = waiter.wait(None);
            self.0.lock().waiter = None;
            if outcome == Outcome::Cancelled {
                cancel::unwind();
            }
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let claimed = {
            let mut state = self.0.lock();
            state.notified = true;
            // SAFETY: under the lock, under which the waiter takes it out (V1).
            state.waiter.take().and_then(|waiter| unsafe { waiter.claim() })
        };
        drop(claimed);
    }
}
