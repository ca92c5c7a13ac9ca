//! `park` and `unpark`: the wait for a thread's token. And what else reaches a thread without a registry: its cancellation.
//!
//! S3 is that of `state.rs`, which has the token.

use std::time::Instant;

use super::{OsThread, Outcome, WaitReason, Waiter, Who};
use crate::{
    cancel,
    fiber::Suspend,
    scheduler::{self, current},
    task::{
        TaskRef,
        state::{Claim, Shield},
    },
};

/// Takes the token of the calling thread, and waits while there is none.
#[inline(always)]
pub(crate) fn park() {
    let Some(task) = current::task() else { return park_until(None) };
    if task.state.is_limited_or_has_token() {
        if !task.state.has_token() {
            return park_until(None);
        }
        // Before the token is taken: who is cancelled there leaves it.
        crate::budget::spend();
        return task.state.clear_token();
    }
    current::assert_may_suspend();
    if task.runtime().is_draining() {
        return park_until(None);
    }
    task.set_reason(WaitReason::Park);
    let shield = task.shield();
    task.started().wait.set(task.state.next_for_token(shield));
    task.suspend(Suspend::Park);
    task.panic_if_caught();
    if task.state.outcome() == Some(Outcome::Cancelled) && shield != Shield::Shielded {
        cancel::unwind();
    }
}

/// As `park`, at most until `deadline`.
pub(crate) fn park_until(deadline: Option<Instant>) {
    let mut waiter = if let Some(task) = current::task() {
        if task.state.has_token() {
            crate::budget::spend();
            return task.state.clear_token();
        }
        current::assert_may_suspend();
        Waiter::begin(WaitReason::Park, |task| task.state.next_for_token(task.shield()))
    } else {
        let thread = OsThread::current().unwrap_or_else(OsThread::transient);
        if thread.state.has_token() {
            return thread.state.clear_token();
        }
        let wait = thread.state.next_for_token(Shield::Shielded);
        Waiter { who: Who::Thread(thread), wait }
    };
    if waiter.wait(deadline) == Outcome::Cancelled {
        cancel::unwind();
    }
}

/// Leaves the token of a green thread.
#[inline]
pub(crate) fn unpark_task(task: &TaskRef) {
    if task.state.leave_token() == Claim::Parked {
        // SAFETY: the claim that found it parked owns the task, with the runtime's reference (S3 of `state.rs`).
        scheduler::schedule_woken(unsafe { TaskRef::from_raw(task.ptr()) });
    }
}

/// Has a green thread end.
pub(crate) fn cancel_task(task: &TaskRef) {
    if task.state.cancel() == Claim::Parked {
        // SAFETY: as above.
        scheduler::schedule_woken(unsafe { TaskRef::from_raw(task.ptr()) });
    }
}

/// Leaves the token of an OS thread.
pub(crate) fn unpark_os_thread(thread: &OsThread) {
    if thread.state.leave_token() == Claim::Parked {
        thread.thread.unpark();
    }
}
