//! Waits that begin under their registry's lock, and release it from the worker's stack.
//!
//! A [`Waiter`](super::Waiter) takes two steps on its task's word: one to begin the wait, before its waker is put in the registry, and one to park, off
//! the stack. In between it may be claimed. Here the registry stays locked until the task is off its stack: nobody finds the waker
//! before, and one step does both.
//!
//! # Roles
//!
//! The *waiter* holds the lock and puts its waker in the registry. Its *worker*, off the stack, begins the wait, parks the task, and
//! releases the lock.
//!
//! # Invariants
//!
//! - **W3** Between [`LockedWaiter::new`] and the suspension the waiter begins no other wait, so the number that its waker names is the
//!   wait's.
//! - **W4** The word that is stored to is that of a lock which the waiter holds. It lives until it is stored to: who frees it takes it first, to find
//!   the waker.
//!
//! # Orderings
//!
//! The store that releases the lock (Release) is read by who takes it next (Acquire): the suspended stack, and the word of the task,
//! become visible to who finds the waker. A cancellation asks no lock: for it the step on the task's word is Release, as `State::park`.
//!
//! # Checked by
//!
//! `loom-tests/tests/task_state.rs`.
//!
//! # Sources
//!
//! Go's `gopark`, whose unlock function runs on the scheduler's stack.

use std::{fmt, ptr::NonNull};

use super::{Outcome, Target, WaitReason, Waker};
use crate::{
    fiber::Suspend,
    prim::{MODEL, atomic::AtomicBool},
    scheduler::current,
    spans,
    task::{Header, state::Shield},
};

/// See the module. It lives on its green thread's stack and does not leave it.
pub struct LockedWaiter {
    task: NonNull<Header>,
    epoch: u32,
    shield: Shield,
}

impl LockedWaiter {
    /// A wait to come of the green thread that runs. `None` where it is not that simple: on an OS thread, for who is cancelled, has a
    /// deadline, or whose runtime ends; and where there are spans to leave.
    ///
    /// # Safety
    ///
    /// It is used or dropped by the green thread that made it, which begins no other wait and enters no
    /// [`no_suspend`](crate::thread::no_suspend) before (W3).
    ///
    /// # Panics
    ///
    /// Inside [`no_suspend`](crate::thread::no_suspend).
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(reason: WaitReason) -> Option<Self> {
        // Subscribers are foreign code, and would be called under the lock.
        if MODEL || spans::are_possible() {
            return None;
        }
        let (worker, task) = current::worker_and_task()?;
        worker.assert_may_suspend();
        task.panic_if_caught();
        if task.state.is_limited() || task.runtime().is_draining() {
            return None;
        }
        task.set_reason(reason);
        Some(Self { task: task.ptr(), epoch: task.state.next_epoch(), shield: task.shield() })
    }

    /// What ends the wait: to be put in the registry.
    #[inline]
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(Target::Task(self.task, self.epoch))
    }

    /// Releases the lock by a store of `false` to its word, and waits until the wait is claimed. Never returns [`Outcome::TimedOut`].
    ///
    /// # Suspension
    ///
    /// Parks the green thread.
    ///
    /// # Safety
    ///
    /// The caller holds the lock whose word is `locked`, has held it since before the waker was put in the registry, and gives it up
    /// (W4). Whoever takes the lock takes no other step on the word than to set it while it is `false`.
    #[inline(always)]
    #[must_use]
    pub unsafe fn wait(self, locked: *const AtomicBool) -> Outcome {
        // SAFETY: the task is the one that runs this very code, by the contract of `new`.
        let task = unsafe { self.task.as_ref() };
        task.started().held.set(locked);
        task.suspend_without_spans(Suspend::ParkLocked(self.shield));
        if task.state.outcome() == Some(Outcome::Woken) { Outcome::Woken } else { Outcome::Cancelled }
    }
}

impl fmt::Debug for LockedWaiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedWaiter").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
