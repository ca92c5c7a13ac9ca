//! Futures that have a stack only while they are polled.
//!
//! A future is on the heap. Its waker spawns a green thread that polls it, on a stack that another has just used; while it is pending it is on
//! none. A connection of hyper needs 10 KiB of stack for some microseconds: with a stack for each of a thousand, every request found its own
//! in no cache.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | the green thread that polls, one at a time | [`run`](Job::run) |
//! | whoever wakes | [`wake_by_ref`](Job::wake_by_ref) |
//! | who ends the runtime, once nothing runs any more | [`closed`](Job::closed) |
//!
//! # States
//!
//! ```text
//!   Polled ──── 1 it is pending, and nobody has woken it ───▶ Pending
//!    ▲ │ ▲                                                       │ │
//!    │ │ └────────────── 2 it is woken: spawn ───────────────────┘ └── 5 the runtime has ended ──▶ gone
//!    │ └── 3 it is ready, or panics ──▶ gone
//!    └──── 4 it is pending, but was woken meanwhile
//! ```
//!
//! Gone looks like polled: it stays so, and nobody polls.
//!
//! # Invariants
//!
//! - **E1** The future is in `Pending`, or else one green thread owns it, or the closure of one that has not started. It is taken out of `Pending`
//!   under the lock, by one: who wakes it (2), or who ends the runtime (5).
//! - **E2** A wake that comes while it is polled is noted under the lock under which it is put back (1, 4), so none is lost.
//! - **E3** A wake that finds the runtime ending leaves the future where it is, and keeps its job: its green thread might never run, and the thread that
//!   wakes is no place for its destructors. It is dropped by who ends the runtime (5). Before that a pending future goes with its last waker.
//!
//! # Orderings
//!
//! The lock hands the future over.
//!
//! # Suspension
//!
//! `run` suspends where the future does and when the budget is spent, without the lock. The future is dropped without it too.
//!
//! # Rejected
//!
//! - *A green thread for each future, which waits in `future::block_on`:* with 1,000 connections of hyper each request cost a fifth more CPU time (15.4 to 12.9 µs), and
//!   each connection 13 KB more memory. With 64, whose stacks stay in the cache, it cost a sixteenth less.
//!
//! # Checked by
//!
//! `tests/hyper.rs`, `tests/hyper_http2.rs`.

use std::{
    fmt, mem,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Wake, Waker},
};

use sward_runtime::{budget, runtime::Handle};

use crate::{
    prim::Mutex,
    reactor::{OnClose, Reactor},
};

/// Runs futures, each polled by a green thread whenever it is woken: hyper's [`Executor`](::hyper::rt::Executor).
///
/// A future that is pending has no stack, and no green thread: one is spawned for it each time. So it may be polled by another each time, and a dump shows it only while
/// it is polled. It may call what suspends; the green thread waits then, and the future with it.
///
/// They belong to the runtime of whoever calls: a green thread's, or else the default one. If that has ended, its reactor cannot be started, or it has a driver of another kind, the future is dropped,
/// which hyper takes for a connection that broke.
///
/// # Cancellation
///
/// When the runtime ends, a future that is being polled is dropped as its green thread unwinds. One that is pending is dropped once all green threads have ended, one
/// after the other by the thread that ends the runtime; so its destructors must not wait for another of them. A future that nobody is left to wake is dropped at once.
///
/// # Panics
///
/// A panic of the future ends the green thread that polls it, and the future.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use hyper::rt::Executor as _;
/// use sward_io::hyper::Executor;
///
/// let (sender, receiver) = mpsc::channel();
/// Executor.execute(async move { sender.send("done").unwrap() });
/// assert_eq!(receiver.recv(), Ok("done"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> ::hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let Ok(runtime) = Handle::current_or_default() else { return };
        let Ok(reactor) = Reactor::current() else { return };
        let job = Arc::new_cyclic(|this: &Weak<Job<F>>| {
            let place = reactor.tell_of_close(this.clone());
            Job { runtime, reactor, place, state: Mutex::new(State::Polled { again: false }) }
        });
        let future = Box::pin(future);
        drop(job.runtime.clone().try_spawn(move || job.run(future)));
    }
}

/// A future and its waker. See the module.
struct Job<F> {
    runtime: Handle,
    reactor: Arc<Reactor>,
    /// Where it stands there.
    place: Option<usize>,
    state: Mutex<State<F>>,
}

enum State<F> {
    /// Somebody has it; `again`: and is to poll it once more.
    Polled { again: bool },
    /// Nobody has it; `kept`: nor may it go with the last waker (E3).
    Pending { future: Pin<Box<F>>, kept: Option<Arc<Job<F>>> },
}

impl<F> Job<F>
where
    F: Future + Send + 'static,
{
    /// Polls until it is ready (3), or pending and not woken (1).
    fn run(self: Arc<Self>, mut future: Pin<Box<F>>) {
        let waker = Waker::from(Arc::clone(&self));
        let mut context = Context::from_waker(&waker);
        while future.as_mut().poll(&mut context).is_pending() {
            match self.put_back(future) {
                Some(again) => future = again,
                None => return,
            }
            // A future that wakes itself again and again waits for nobody.
            budget::spend();
        }
    }

    /// (1) Leaves the future to whoever wakes it. (4) Given back, if somebody has.
    fn put_back(&self, future: Pin<Box<F>>) -> Option<Pin<Box<F>>> {
        let mut state = self.state.lock();
        // INVARIANT (E2): asked under the lock.
        if let State::Polled { again } = &mut *state
            && mem::take(again)
        {
            return Some(future);
        }
        *state = State::Pending { future, kept: None };
        None
    }

    /// (2) Takes the future out, if it is pending; else notes the wake.
    fn take(self: &Arc<Self>) -> Option<Pin<Box<F>>> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Polled { again } => *again = true,
            // INVARIANT (E3).
            State::Pending { kept, .. } if self.runtime.is_ending() => *kept = Some(Arc::clone(self)),
            // INVARIANT (E1): under the lock, by one.
            State::Pending { .. } => {
                if let State::Pending { future, .. } =
                    mem::replace(&mut *state, State::Polled { again: false })
                {
                    return Some(future);
                }
            }
        }
        None
    }
}

impl<F> fmt::Debug for Job<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

impl<F> OnClose for Job<F>
where
    F: Send,
{
    /// (5) Drops the future, which is foreign code.
    fn closed(&self) {
        let gone = mem::replace(&mut *self.state.lock(), State::Polled { again: false });
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| drop(gone))) {
            // Its destructor might panic too.
            mem::forget(panic);
        }
    }
}

impl<F> Drop for Job<F> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.reactor.forget(place);
        }
    }
}

impl<F> Wake for Job<F>
where
    F: Future + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(future) = self.take() {
            let this = Arc::clone(self);
            // If it cannot be spawned any more, the future has ended with the closure.
            let _ = self.runtime.spawn_in_turn(move || this.run(future));
        }
    }
}
