//! Deadlines: each worker's timing wheel, and the wait that has one.
//!
//! An entry lives on the stack of the green thread that waits, and in the wheel of the worker on which the wait began.
//!
//! # Roles
//!
//! The *waiter* inserts and removes its entry. The *worker* that owns the wheel fires what is due; the poller thread does it for
//! a worker that is stuck.
//!
//! # Invariants
//!
//! - **M1** The wheel is the registry of its entries' wakers in the sense of `park.rs`, W1: they are claimed under the wheel's lock,
//!   and a waiter that was not claimed by the timer removes its entry under that lock before its frame ends.
//! - **M2** `next` is never later than the earliest deadline in the wheel.
//!
//! # Orderings
//!
//! `next` is Relaxed: it is a hint for the worker's own ticks and for the poller thread, both of which look again soon.
//!
//! # Checked by
//!
//! `loom-tests/tests/timer.rs`, `tests/timers.rs`.

pub(crate) mod wheel;

use std::{pin::pin, ptr::NonNull, time::Instant};

use self::wheel::{Entry, Nanos, Wheel};
use crate::{
    park::{Batch, Outcome, Waiter, Waker},
    prim::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    scheduler::current,
};

/// No deadline.
const NEVER: Nanos = Nanos::MAX;

/// One worker's wheel.
pub(crate) struct Timers {
    wheel: Mutex<Wheel<Waker>>,
    next: AtomicU64,
}

impl Default for Timers {
    fn default() -> Self {
        Self { wheel: Mutex::new(Wheel::new(0)), next: AtomicU64::new(NEVER) }
    }
}

impl Timers {
    /// Whether something may be due at `now`; without a lock.
    #[inline]
    pub(crate) fn is_due(&self, now: impl FnOnce() -> Nanos) -> bool {
        let next = self.next.load(Relaxed);
        next != NEVER && next <= now()
    }

    /// The earliest deadline, as exactly as the wheel knows it.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        if self.next.load(Relaxed) == NEVER {
            return None;
        }
        let wheel = self.wheel.lock();
        let next = wheel.next_deadline();
        self.next.store(next.unwrap_or(NEVER), Relaxed);
        next
    }

    /// How many deadlines lie ahead.
    pub(crate) fn len(&self) -> usize {
        self.wheel.lock().len()
    }

    /// Fires what is due. `true`: something became ready.
    pub(crate) fn expire_if_due(&self, now: impl Fn() -> Nanos) -> bool {
        if !self.is_due(&now) {
            return false;
        }
        let mut ready = Batch::new();
        self.expire(now(), &mut ready);
        let any = !ready.is_empty();
        ready.schedule();
        any
    }

    /// Claims every wait whose deadline has passed.
    pub(crate) fn expire(&self, now: Nanos, ready: &mut Batch) {
        let mut wheel = self.wheel.lock();
        wheel.expire(now, |entry| {
            // SAFETY: the entry is alive until its waiter has the lock, which is ours (M1).
            let waker = unsafe { entry.as_ref() }.payload();
            // SAFETY: as above; this is the claim's registry.
            if let Some(claimed) = unsafe { waker.claim_as(Outcome::TimedOut) } {
                ready.push(claimed);
            }
        });
        self.next.store(wheel.next_deadline().unwrap_or(NEVER), Relaxed);
    }

    /// # Safety
    ///
    /// The entry stays where it is until it is removed or fired.
    unsafe fn insert(&self, entry: NonNull<Entry<Waker>>, deadline: Nanos) {
        let mut wheel = self.wheel.lock();
        // SAFETY: the caller's contract.
        unsafe { wheel.insert(entry) };
        if deadline < self.next.load(Relaxed) {
            self.next.store(deadline, Relaxed);
        }
    }

    /// # Safety
    ///
    /// The entry was inserted here.
    unsafe fn remove(&self, entry: NonNull<Entry<Waker>>) {
        let mut wheel = self.wheel.lock();
        // SAFETY: the caller's contract. That it has fired already is no harm.
        let _ = unsafe { wheel.remove(entry) };
    }
}

/// Suspends the green thread that waits until the wait is claimed, at the latest at `deadline`. `None`: as [`Waiter::suspend`].
pub(crate) fn wait_until(waiter: &Waiter, deadline: Instant) -> Option<Outcome> {
    let worker = current::worker().expect("a green thread runs on a worker");
    let shared = worker.shared_ptr();
    let index = worker.index();
    // SAFETY: the runtime outlives the task that runs this (H2 of `header.rs`); nothing thread-local is borrowed across the suspension.
    let shared = unsafe { &*shared };
    let timers = &shared.remotes[index].timers;
    let deadline = shared.nanos(deadline);

    let entry = pin!(Entry::new(deadline, waiter.waker()));
    let entry = NonNull::from(entry.as_ref().get_ref());
    // SAFETY: it is pinned in this frame and removed below, unless fired (M1).
    unsafe { timers.insert(entry, deadline) };
    let outcome = waiter.suspend();
    if outcome != Some(Outcome::TimedOut) {
        // SAFETY: inserted above.
        unsafe { timers.remove(entry) };
    }
    outcome
}
