//! The one door through which everything waits.
//!
//! `sync`, `io` and this crate's own primitives suspend a green thread only here. A wait goes like this:
//!
//! ```text
//! let mut waiter = unsafe { Waiter::new(reason) };   the wait has a number (epoch), and may be claimed by it
//! registry.lock().push(waiter.waker());         a wait list, a socket's direction, …
//! let outcome = waiter.wait(deadline);          begins, and suspends, unless it was claimed already
//! registry.lock().remove(…);                    unless Woken by the one who took it off the list
//! if outcome == Cancelled { cancel::unwind() }
//! ```
//!
//! Everything here works on a green thread, which it parks, and on an OS thread outside the runtime, which it blocks. This file has the waiter;
//! `waker.rs` has what ends its wait, `token.rs` the wait for the token of `park` and `unpark`.
//!
//! # Roles
//!
//! The *waiter* is the thread that waits. A *claimer* has found its [`Waker`] in a registry and ends the wait; so do the
//! timer and a shutdown.
//!
//! # Invariants
//!
//! - **W1** A claim is made under the lock of the registry that holds the waker, and the waiter takes itself off every registry,
//!   under its lock, before its frame ends and before its thread makes another waiter, which has the same number if this wait was never claimed. So a claim
//!   never reaches a task that is gone, nor another wait.
//! - **W2** A won claim is scheduled exactly once, after the lock was released; until then the task cannot run on, so it needs no
//!   reference of its own.
//!
//! # Suspension
//!
//! [`Waiter::wait`] switches stacks. In roaming mode the green thread may come back on another OS thread.
//!
//! # Sources
//!
//! Go's `gopark` and `goready` for the ownership of a parked task; std's `thread_parking` for the token.

mod os_thread;
mod reason;
mod token;
mod waker;

use std::{fmt, ptr::NonNull, sync::Arc, time::Instant};

use self::waker::Target;
pub(crate) use self::{
    os_thread::{OsThread, os_thread_id},
    token::{cancel_task, park, park_until, unpark_os_thread, unpark_task},
};
pub use self::{
    reason::WaitReason,
    waker::{Batch, Claimed, Waker},
};
pub use crate::task::state::Outcome;
use crate::{
    cancel::{self, CAN_UNWIND, bound},
    fiber::Suspend,
    prim,
    scheduler::current,
    seam,
    task::{
        Header,
        state::{Shield, State, Wait},
    },
    timer,
};

/// One wait of the calling thread. It lives on the waiter's stack and does not leave its thread.
pub struct Waiter {
    who: Who,
    wait: Wait,
}

/// Who waits. The pointer makes [`Waiter`] neither `Send` nor `Sync`.
enum Who {
    Task(NonNull<Header>),
    Thread(Arc<OsThread>),
}

impl Waiter {
    /// The next wait of the calling thread.
    ///
    /// # Safety
    ///
    /// The waiter is used and dropped by the green thread, or OS thread, that made it (a thread-local of the worker would hand it to another),
    /// and that thread makes no other waiter and enters no [`no_suspend`](crate::thread::no_suspend) before this one's wakers are in no registry any more (W1).
    ///
    /// # Panics
    ///
    /// On a green thread inside [`no_suspend`](crate::thread::no_suspend).
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(reason: WaitReason) -> Self {
        Self::begin(reason, |task| task.state.next(task.shield()))
    }

    /// As [`new`](Self::new), for a wait that can end with an error: see [`wait_fallibly`](Self::wait_fallibly).
    ///
    /// # Safety
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[inline(always)]
    #[must_use]
    pub unsafe fn fallible(reason: WaitReason) -> Self {
        Self::begin(reason, |task| task.state.next(task.shield_of_fallible()))
    }

    #[inline(always)]
    fn begin(reason: WaitReason, next: impl FnOnce(&Header) -> Wait) -> Self {
        let Some((worker, task)) = current::worker_and_task() else { return Self::of_os_thread() };
        worker.assert_may_suspend();
        task.panic_if_caught();
        task.set_reason(reason);
        #[cfg(debug_assertions)]
        assert!(!task.started().in_wait.replace(true), "a wait inside a wait");
        Self { who: Who::Task(task.ptr()), wait: next(task) }
    }

    #[cold]
    fn of_os_thread() -> Self {
        let thread = OsThread::current().unwrap_or_else(OsThread::transient);
        let wait = thread.state.next(Shield::Shielded);
        Self { who: Who::Thread(thread), wait }
    }

    /// What ends this wait: to be put in a registry.
    #[inline]
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(match &self.who {
            Who::Task(task) => Target::Task(*task, self.wait.epoch()),
            Who::Thread(thread) => Target::Thread(Arc::clone(thread), self.wait.epoch()),
        })
    }

    /// Whether it is `task` that waits.
    #[inline]
    pub(crate) fn is_of(&self, task: &Header) -> bool {
        matches!(self.who, Who::Task(me) if me == task.ptr())
    }

    #[inline]
    fn state(&self) -> &State {
        match &self.who {
            // SAFETY: the task is the one that runs this very code, by the contract of `new`.
            Who::Task(task) => unsafe { &task.as_ref().state },
            Who::Thread(thread) => &thread.state,
        }
    }

    /// Waits until the wait is claimed, or the deadline passes. It is over then: nobody can claim it any more.
    ///
    /// Returns at once if it has been claimed already, or if the green thread is to end and may be cancelled. It is cancelled also when a
    /// bound of the thread passes, whatever the deadline; see `docs/cancellation.md`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    #[inline(always)]
    pub fn wait(&mut self, deadline: Option<Instant>) -> Outcome {
        let outcome = self.wait_until(deadline);
        self.note_end();
        outcome
    }

    #[inline(always)]
    fn wait_until(&mut self, deadline: Option<Instant>) -> Outcome {
        let Who::Task(task) = &self.who else { return self.wait_os_thread(deadline) };
        // SAFETY: the task is the one that runs this very code.
        let task = unsafe { task.as_ref() };
        if !task.state.is_simply_ahead(self.wait) || task.runtime().is_draining() {
            return self.wait_with_care(deadline, CAN_UNWIND);
        }
        if let Some(deadline) = deadline {
            return timer::wait_until(self, deadline).unwrap_or_else(|| self.outcome());
        }
        self.suspend_task(task);
        let woken = task.state.outcome() == Some(Outcome::Woken);
        if woken { Outcome::Woken } else { self.outcome() }
    }

    /// As [`wait`](Self::wait), of a waiter that was made by [`fallible`](Self::fallible). With `panic = "abort"`, where other waits are not
    /// cancelled, it is: the caller fails with [`cancel::fail`], which unwinds elsewhere.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    #[inline(always)]
    pub fn wait_fallibly(&mut self, deadline: Option<Instant>) -> Outcome {
        if CAN_UNWIND {
            return self.wait(deadline);
        }
        let outcome = self.wait_with_care(deadline, true);
        self.note_end();
        outcome
    }

    /// The green thread may wait for something else. Checked in debug builds only.
    #[inline(always)]
    fn note_end(&self) {
        #[cfg(debug_assertions)]
        if let Who::Task(task) = &self.who {
            // SAFETY: as in `state`.
            unsafe { task.as_ref() }.started().in_wait.set(false);
        }
    }

    /// How the wait ended.
    #[cold]
    fn outcome(&self) -> Outcome {
        self.state().outcome().expect("a parked task runs again only once its wait is won (S3 of `state.rs`)")
    }

    #[inline(always)]
    fn suspend_task(&self, task: &Header) {
        task.started().wait.set(self.wait);
        task.suspend(Suspend::Park);
    }

    /// Suspends with no deadline and no look at the phase. For the timer, which has both seen to. `None`: a task with bounds is to look at them again, and
    /// its wait has not begun.
    pub(crate) fn suspend(&self) -> Option<Outcome> {
        if let Who::Task(task) = &self.who {
            // SAFETY: as in `wait`.
            self.suspend_task(unsafe { task.as_ref() });
        }
        self.state().outcome_of(self.wait)
    }

    #[cold]
    fn cancel(&self) -> Outcome {
        let _ = self.state().claim(self.wait.epoch(), Outcome::Cancelled);
        self.outcome()
    }

    /// As `wait`, where the wait may be over already, or the thread is to end, or has bounds: if it can be cancelled it lasts no longer
    /// than they allow.
    #[cold]
    #[inline(never)]
    fn wait_with_care(&mut self, deadline: Option<Instant>, cancellable: bool) -> Outcome {
        loop {
            if let Some(outcome) = self.state().outcome_of(self.wait) {
                return outcome;
            }
            let outcome =
                if cancellable { self.suspend_within(deadline) } else { self.suspend_until(deadline) };
            if let Some(outcome) = outcome {
                return outcome;
            }
            self.renew_shield();
        }
    }

    /// Suspends for no longer than the thread's bounds allow. `None`: they are to be looked at again.
    fn suspend_within(&self, deadline: Option<Instant>) -> Option<Outcome> {
        if cancel::is_due() {
            return Some(self.cancel());
        }
        let limit = bound::deadline();
        let Some(entered) = bound::enter(self) else { return Some(self.cancel()) };
        let until = deadline.into_iter().chain(limit).min();
        let outcome = self.suspend_until(until);
        drop(entered);
        let is_ours = deadline.is_some_and(|deadline| until == Some(deadline));
        if outcome == Some(Outcome::TimedOut) && !is_ours { Some(Outcome::Cancelled) } else { outcome }
    }

    /// The wait is to begin anew: whether it may be cancelled is seen now.
    fn renew_shield(&mut self) {
        if let Who::Task(task) = &self.who {
            // SAFETY: as in `wait`.
            self.wait = self.wait.with_shield(unsafe { task.as_ref() }.shield());
        }
    }

    fn suspend_until(&self, deadline: Option<Instant>) -> Option<Outcome> {
        match (&self.who, deadline) {
            (Who::Thread(_), _) => Some(self.block(deadline)),
            (Who::Task(_), Some(deadline)) => timer::wait_until(self, deadline),
            (Who::Task(_), None) => self.suspend(),
        }
    }

    #[cold]
    fn wait_os_thread(&mut self, deadline: Option<Instant>) -> Outcome {
        if bound::is_any() { self.wait_with_care(deadline, CAN_UNWIND) } else { self.block(deadline) }
    }

    /// Blocks an OS thread.
    fn block(&self, deadline: Option<Instant>) -> Outcome {
        let state = self.state();
        // A failed `park` means that the wait is over already.
        let _ = state.park(self.wait);
        loop {
            if let Some(outcome) = state.outcome() {
                return outcome;
            }
            let Some(deadline) = deadline else {
                prim::thread::park();
                continue;
            };
            let left = deadline.saturating_duration_since(seam::now());
            if left.is_zero() {
                let _ = state.claim(self.wait.epoch(), Outcome::TimedOut);
            } else {
                prim::thread::park_timeout(left);
            }
        }
    }
}

#[cfg(debug_assertions)]
impl Drop for Waiter {
    fn drop(&mut self) {
        self.note_end();
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("epoch", &self.wait.epoch()).finish_non_exhaustive()
    }
}
