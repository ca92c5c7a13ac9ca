//! The lock of [`Mutex`](super::Mutex): one word, and the lot for those who wait.
//!
//! Whoever finds it free takes it, also in front of those who wait: while a green thread runs, it may lock and unlock many times for the price
//! of one switch. So that this starves nobody, a waiter that was overtaken for [`PATIENCE`] gets the lock handed over by the next unlock.
//!
//! # Roles
//!
//! The *holder* has set `LOCKED` and not yet unlocked. A *waiter* stands in the lot. The *woken one* was a waiter, and runs to look
//! at the lock again; there is one at most.
//!
//! # States
//!
//! | bit | set by | cleared by |
//! |---|---|---|
//! | `LOCKED` | who takes the lock | the holder; stays set when the lock is handed over |
//! | `PARKED` | a waiter, before it enters the lot | whoever leaves the lot's list empty, under its lock (P2 of `lot.rs`) |
//! | `WOKEN` | the unlock that wakes a waiter | the woken one: when it takes the lock, waits again, or gives up |
//! | `STARVING` | a woken one that lost patience and waits again | the unlock that hands over |
//!
//! # Invariants
//!
//! - **M1** One thread at most holds the lock: the one that set `LOCKED`, or to which it was handed over.
//! - **M2** While `PARKED` is set and `LOCKED` is not, `WOKEN` is set or about to be acted on: an unlock that finds waiters wakes one unless
//!   one is woken already, and a woken one that gives up passes the duty on.
//!
//! # Orderings
//!
//! Taking the lock (Acquire) reads the unlock (Release): what the last holder did. A lock that is handed over is ordered by the claim. The
//! other bits order nothing: whoever acts on them does so under the lot's lock, or by an exchange that fails if they have changed.
//!
//! # Fairness
//!
//! Waiters are woken in the order in which they came; a woken one that is overtaken waits in front of the others.
//!
//! # Rejected
//!
//! - *Handing over at each unlock:* a switch for each critical section, and a worker that waits for another to wake.
//! - *40 looks in a row before waiting, in place of pauses that double:* each look takes the word from the holder's core. With two workers
//!   55 ns for a lock and unlock, where it was 41 then.
//! - *Taking the lock by a compare-and-exchange with zero, and unlocking out of line where anything else is set:* a woken one that is ready
//!   behind the holder leaves `WOKEN` and `PARKED` set until it runs, and all the while a lock and unlock took 45 ns in place of 27.
//! - *Reading the word before the unlock,* which then never fails: 22 ns in place of 27 beside a woken one, but 25 in place of 18 where
//!   nobody waits.
//! - *Waking at each unlock, without `WOKEN`* (`parking_lot`): the holder pays for a wake at each of its next unlocks, until the woken one runs.
//!
//! # Checked by
//!
//! `loom-tests/tests/mutex.rs`, `tests/mutex.rs`.
//!
//! # Sources
//!
//! Go's `sync.Mutex` (woken, starving); `parking_lot`'s `RawMutex`.

use std::time::{Duration, Instant};

use sward_runtime::park::WaitReason;

use crate::{
    lot::{self, Parked},
    prim::{
        MODEL,
        atomic::{
            AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
        const_fn,
    },
    spin::Pauses,
    wait_list::{Ask, Wait},
};

const LOCKED: u32 = 1;
const PARKED: u32 = 1 << 1;
const WOKEN: u32 = 1 << 2;
const STARVING: u32 = 1 << 3;

/// A waiter that was overtaken for so long gets the lock handed over. As in Go.
const PATIENCE: Duration = Duration::from_millis(1);

/// With what a waiter is woken: to look again.
const LOOK_AGAIN: usize = 1;
/// With what a waiter is woken: it holds the lock.
const HANDED_OVER: usize = 2;

/// The lock. See the module.
#[derive(Debug, Default)]
pub struct RawMutex(AtomicU32);

impl RawMutex {
    const_fn! {
        /// An unlocked one.
        pub const fn new() -> RawMutex {
            RawMutex(AtomicU32::new(0))
        }
    }

    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> bool {
        self.0.fetch_or(LOCKED, Acquire) & LOCKED == 0
    }

    /// Takes the lock, waiting for it as long as it takes.
    #[inline]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.lock_contended(None);
        }
    }

    /// Takes the lock, waiting for it at most until `deadline`. `false`: time is up.
    #[inline]
    pub fn lock_until(&self, deadline: Option<Instant>) -> bool {
        self.try_lock() || self.lock_contended(deadline)
    }

    #[cold]
    fn lock_contended(&self, deadline: Option<Instant>) -> bool {
        let mut pauses = Pauses::beside_others();
        let mut since = None;
        // `WOKEN` while that is us.
        let mut woken = 0;
        let mut wait = Wait::new(WaitReason::Lock, Ask::PLAIN, deadline);
        loop {
            let word = self.0.load(Relaxed);
            if word & LOCKED == 0 {
                let taken = (word | LOCKED) & !woken;
                if self.0.compare_exchange_weak(word, taken, Acquire, Relaxed).is_ok() {
                    return true;
                }
                continue;
            }
            if word & PARKED == 0 && pauses.pause() {
                continue;
            }
            let starving = if wait.first && has_starved(since) { STARVING } else { 0 };
            let waiting = (word | PARKED | starving) & !woken;
            if waiting != word && self.0.compare_exchange_weak(word, waiting, Relaxed, Relaxed).is_err() {
                continue;
            }
            woken = 0;
            since.get_or_insert_with(Instant::now);
            match lot::park(self.key(), wait, || self.is_locked_and_parked(), |empty| self.left(empty)) {
                Parked::Refused => {}
                Parked::Woken(HANDED_OVER) => return true,
                Parked::Woken(_) => {
                    woken = WOKEN;
                    wait.first = true;
                }
                Parked::TimedOut => return false,
            }
        }
    }

    fn is_locked_and_parked(&self) -> bool {
        self.0.load(Relaxed) & (LOCKED | PARKED) == LOCKED | PARKED
    }

    /// A waiter gave up; the lot's lock is held.
    fn left(&self, empty: bool) {
        if empty {
            self.0.fetch_and(!(PARKED | STARVING), Relaxed);
        }
    }

    /// Releases the lock.
    ///
    /// The caller holds it.
    #[inline]
    pub fn unlock(&self) {
        // First as if nobody waited: reading the word before costs more than a failure, and most often nobody does.
        let mut word = LOCKED;
        while word & STARVING == 0 && word & (PARKED | WOKEN) != PARKED {
            match self.0.compare_exchange(word, word & !LOCKED, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        self.unlock_contended();
    }

    #[cold]
    fn unlock_contended(&self) {
        let mut word = self.0.load(Relaxed);
        loop {
            if word & STARVING != 0 {
                return self.hand_over();
            }
            let wake = if word & (PARKED | WOKEN) == PARKED { WOKEN } else { 0 };
            let free = (word & !LOCKED) | wake;
            match self.0.compare_exchange_weak(word, free, Release, Relaxed) {
                Ok(_) if wake != 0 => return self.wake(),
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Wakes a waiter to look at the lock; `WOKEN` is set for it.
    fn wake(&self) {
        let claimed = lot::with(self.key(), |list| {
            let claimed = list.claim_front(LOOK_AGAIN);
            let parked = if list.is_empty() { PARKED | STARVING } else { 0 };
            let woken = if claimed.is_none() { WOKEN } else { 0 };
            self.0.fetch_and(!(parked | woken), Relaxed);
            claimed
        });
        drop(claimed);
    }

    /// Gives the lock to the first waiter, or releases it if there is none after all.
    fn hand_over(&self) {
        let claimed = lot::with(self.key(), |list| {
            let claimed = list.claim_front(HANDED_OVER);
            let parked = if list.is_empty() { PARKED } else { 0 };
            let locked = if claimed.is_none() { LOCKED } else { 0 };
            self.0.fetch_and(!(parked | locked | STARVING), Release);
            claimed
        });
        drop(claimed);
    }
}

/// Whether a waiter has been overtaken for too long. In a model it always has.
fn has_starved(since: Option<Instant>) -> bool {
    since.is_some_and(|since| MODEL || since.elapsed() >= PATIENCE)
}
