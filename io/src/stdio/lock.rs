//! A lock that parks, and that whoever holds it may take again: what standard streams are locked with.
//!
//! It belongs to the green thread that holds it, or to the OS thread outside the runtime, not to the worker. It is handed over in
//! the order in which it was asked for.
//!
//! # States
//!
//! Free, 1 taken by [`Lock::lock`], perhaps several times over, and 2 at the last [`Guard`]'s end handed to the first who waits,
//! or else free again.
//!
//! # Invariants
//!
//! - **I1** A waker in `waiters` belongs to a waiter whose frame lives: who hands the lock over takes it out under the lock of the list,
//!   and so does the waiter itself otherwise, before its frame ends.
//! - **I2** A waiter that is claimed owns the lock: it was made the owner under the lock of the list, together with the claim.
//!
//! # Orderings
//!
//! All is under the mutex of the list.
//!
//! # Suspension
//!
//! `lock` suspends; the mutex of the list is not held then.
//!
//! # Rejected
//!
//! - *The locks of `sync`.* The layers do not know each other.
//! - *`std`'s own locks of these streams.* They belong to the OS thread: all green threads of a worker would pass for the owner.
//!
//! # Checked by
//!
//! `stdio/lock/tests.rs`, `tests/stdio.rs`.
#![expect(unsafe_code, reason = "claims of waiters, which I1 keeps alive")]

use std::{
    collections::VecDeque,
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe},
};

use parking_lot::Mutex;
use sward_runtime::{
    budget, cancel, is_green,
    park::{Outcome, WaitReason, Waiter, Waker},
    thread,
};

/// The lock.
#[derive(Debug)]
pub(super) struct Lock(Mutex<State>);

#[derive(Debug)]
struct State {
    owner: Option<Owner>,
    /// How many guards the owner has.
    depth: usize,
    waiters: VecDeque<Entry>,
    next_ticket: u64,
}

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Green(thread::ThreadId),
    Os(std::thread::ThreadId),
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    owner: Owner,
    waker: Waker,
}

/// Holds the lock. It stays on its thread, to which the lock belongs.
#[derive(Debug)]
pub(super) struct Guard {
    lock: &'static Lock,
    /// As that of `std`, which is `Sync` nevertheless.
    not_send: PhantomData<std::sync::MutexGuard<'static, ()>>,
}

// A panic leaves nothing of a lock half done: no foreign code runs under its mutex.
impl UnwindSafe for Lock {}
impl RefUnwindSafe for Lock {}

impl Owner {
    fn current() -> Self {
        // `std` answers to the very end of an OS thread, the runtime does not.
        if is_green() { Self::Green(thread::current().id()) } else { Self::Os(std::thread::current().id()) }
    }
}

impl Lock {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State { owner: None, depth: 0, waiters: VecDeque::new(), next_ticket: 0 }))
    }

    /// (1) Takes the lock, and waits for it if it is somebody else's.
    pub(super) fn lock(&'static self) -> Guard {
        budget::spend();
        let me = Owner::current();
        let (mut waiter, ticket) = {
            let mut state = self.0.lock();
            if state.owner.is_none_or(|owner| owner == me) {
                state.owner = Some(me);
                state.depth += 1;
                return Guard { lock: self, not_send: PhantomData };
            }
            // SAFETY: used up in this function, which begins no other wait.
            let waiter = unsafe { Waiter::new(WaitReason::Lock) };
            let ticket = state.enqueue(me, waiter.waker());
            (waiter, ticket)
        };
        let outcome = waiter.wait(None);
        if outcome == Outcome::Cancelled {
            // INVARIANT (I1): nobody has claimed it, so it may still be there.
            self.0.lock().waiters.retain(|entry| entry.ticket != ticket);
            cancel::unwind();
        }
        // It was handed over (I2).
        Guard { lock: self, not_send: PhantomData }
    }

    /// How many wait.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.0.lock().waiters.len()
    }
}

impl State {
    fn enqueue(&mut self, owner: Owner, waker: Waker) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiters.push_back(Entry { ticket, owner, waker });
        ticket
    }
}

impl Drop for Guard {
    /// (2) Hands the lock over, or frees it.
    fn drop(&mut self) {
        let mut state = self.lock.0.lock();
        state.depth -= 1;
        if state.depth != 0 {
            return;
        }
        state.owner = None;
        while let Some(entry) = state.waiters.pop_front() {
            // SAFETY: under the lock of the list, in which the waker stood (I1).
            if let Some(claimed) = unsafe { entry.waker.claim() } {
                // INVARIANT (I2): before the mutex is released.
                state.owner = Some(entry.owner);
                state.depth = 1;
                drop(state);
                return claimed.schedule();
            }
        }
    }
}

#[cfg(test)]
mod tests;
