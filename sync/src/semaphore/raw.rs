//! The counter of [`Semaphore`](super::Semaphore): one word, and the lot for those who wait.
//!
//! Who finds enough permits, and nobody waiting, takes them with one atomic operation. Otherwise it waits at the end of the line; from then on
//! permits gather for the first in line, and nobody overtakes it.
//!
//! # Roles
//!
//! A *taker* wants permits, and becomes a *waiter* if it must. A *releaser* puts permits back, or takes the first of the line away by giving
//! up, and then *serves* the line: it hands permits out from the front, for as long as there are enough for the first.
//!
//! # States
//!
//! | part of the word | set by | cleared by |
//! |---|---|---|
//! | `CLOSED` | `close` | nobody |
//! | `WAITING` | a waiter, under the lock of its bucket | whoever leaves the list empty, under the same lock (P2 of `lot.rs`) |
//! | the rest: permits | releasers | takers, and who serves |
//!
//! # Invariants
//!
//! - **S1** While `WAITING` is set, permits are taken under the bucket's lock only: by who serves, for the first in line.
//! - **S2** The first in line waits only while there are too few permits for it, or somebody is about to serve the line.
//!
//! # Orderings
//!
//! Taking permits (Acquire) reads every release before it (Release): all writes to the word are read-modify-writes, so each
//! continues the release sequences that it finds. Permits that are handed out are ordered by the claim.
//!
//! # Fairness
//!
//! Strictly in the order in which the waiters came. One that asks for many is not overtaken by those that ask for few.
//!
//! # Rejected
//!
//! - *Letting newcomers overtake*, as the mutex does: a holder of many permits would wait for ever behind holders of one.
//! - *Giving a waiter its permits one by one* (tokio): the word then says nothing of them, and a waiter that gives up has to put back
//!   what it got.
//!
//! # Checked by
//!
//! `loom-tests/tests/semaphore.rs`, `tests/semaphore.rs`.

use std::time::Instant;

use sward_runtime::{
    budget,
    park::{Batch, WaitReason},
};

use crate::{
    lot::{self, Parked},
    prim::{
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
        const_fn,
    },
    wait_list::{Ask, Wait, WaitList},
};

const CLOSED: usize = 1;
const WAITING: usize = 1 << 1;
const SHIFT: u32 = 2;

/// One bit less than there is room for, so that a release too many is seen before it reaches the other bits.
pub(super) const MAX_PERMITS: usize = usize::MAX >> 3;

/// With what a waiter is woken: it has its permits.
const GIVEN: usize = 1;
/// With what a waiter is woken: the semaphore is closed.
const NEVER: usize = 2;

/// The counter. See the module.
#[derive(Debug)]
pub(crate) struct RawSemaphore(AtomicUsize);

/// Why there are no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAcquired {
    /// There are too few, or others are first; after a wait: time is up.
    TooFew,
    Closed,
}

/// Serves the line when its owner gives up waiting, also by unwinding: it may have been the first.
struct GiveUp<'a>(&'a RawSemaphore);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if self.0.0.load(Relaxed) & WAITING != 0 {
            self.0.serve();
        }
    }
}

impl RawSemaphore {
    const_fn! {
        /// With so many permits, [`MAX_PERMITS`] at most.
        pub(crate) const fn new(permits: usize) -> RawSemaphore {
            RawSemaphore(AtomicUsize::new(permits << SHIFT))
        }
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// How many permits there are for who asks now: none while others wait.
    pub(crate) fn available(&self) -> usize {
        Self::available_in(self.0.load(Relaxed))
    }

    fn available_in(word: usize) -> usize {
        if word & WAITING == 0 { word >> SHIFT } else { 0 }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Relaxed) & CLOSED != 0
    }

    /// Takes `n` permits from `word`, if that may be done without waiting.
    #[inline]
    fn take(word: usize, n: usize) -> Result<usize, NotAcquired> {
        if word & CLOSED != 0 {
            Err(NotAcquired::Closed)
        } else if Self::available_in(word) < n {
            Err(NotAcquired::TooFew)
        } else {
            Ok(word - (n << SHIFT))
        }
    }

    /// Takes `n` permits if they are there.
    #[inline]
    pub(crate) fn try_acquire(&self, n: usize) -> Result<(), NotAcquired> {
        let mut word = self.0.load(Relaxed);
        loop {
            let taken = Self::take(word, n)?;
            match self.0.compare_exchange_weak(word, taken, Acquire, Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Takes `n` permits, waiting for them at most until `deadline`.
    #[inline]
    pub(crate) fn acquire(&self, n: usize, deadline: Option<Instant>) -> Result<(), NotAcquired> {
        budget::spend();
        match self.try_acquire(n) {
            Err(NotAcquired::TooFew) => self.wait(n, deadline),
            result => result,
        }
    }

    #[cold]
    fn wait(&self, n: usize, deadline: Option<Instant>) -> Result<(), NotAcquired> {
        let mut refused = Ok(());
        let give_up = GiveUp(self);
        let parked = lot::park(
            self.key(),
            Wait::new(WaitReason::Semaphore, Ask::number(n), deadline),
            || {
                let end = self.take_or_announce(n);
                refused = end.unwrap_or(Ok(()));
                end.is_none()
            },
            |empty| self.left(empty),
        );
        match parked {
            Parked::TimedOut => return Err(NotAcquired::TooFew),
            Parked::Refused | Parked::Woken(_) => std::mem::forget(give_up),
        }
        if parked == Parked::Woken(NEVER) { Err(NotAcquired::Closed) } else { refused }
    }

    /// The last look before a wait, under the bucket's lock. `None`: the wait is announced.
    fn take_or_announce(&self, n: usize) -> Option<Result<(), NotAcquired>> {
        let mut word = self.0.load(Relaxed);
        loop {
            let (next, end) = match Self::take(word, n) {
                Ok(taken) => (taken, Some(Ok(()))),
                Err(NotAcquired::TooFew) => (word | WAITING, None),
                Err(closed) => return Some(Err(closed)),
            };
            match self.0.compare_exchange_weak(word, next, Acquire, Relaxed) {
                Ok(_) => return end,
                Err(now) => word = now,
            }
        }
    }

    /// A waiter gave up; the bucket's lock is held.
    fn left(&self, empty: bool) {
        if empty {
            self.0.fetch_and(!WAITING, Relaxed);
        }
    }

    /// Puts `n` permits back, which were taken before.
    #[inline]
    pub(crate) fn release(&self, n: usize) {
        if self.0.fetch_add(n << SHIFT, Release) & WAITING != 0 {
            self.serve();
        }
    }

    /// Adds `n` permits. `false`, and none are added: they would be too many.
    pub(crate) fn add(&self, n: usize) -> bool {
        let mut word = self.0.load(Relaxed);
        loop {
            if n > MAX_PERMITS.saturating_sub(word >> SHIFT) {
                return false;
            }
            match self.0.compare_exchange_weak(word, word + (n << SHIFT), Release, Relaxed) {
                Ok(_) if word & WAITING != 0 => {
                    self.serve();
                    return true;
                }
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Takes away as many of `n` permits as are there, and says how many.
    pub(crate) fn forget(&self, n: usize) -> usize {
        let mut word = self.0.load(Relaxed);
        loop {
            let forgotten = n.min(Self::available_in(word));
            match self.0.compare_exchange_weak(word, word - (forgotten << SHIFT), Acquire, Relaxed) {
                Ok(_) => return forgotten,
                Err(now) => word = now,
            }
        }
    }

    /// Hands permits out to those who wait, first come, first served.
    #[cold]
    fn serve(&self) {
        let mut served = Batch::new();
        lot::with(self.key(), |list| {
            self.serve_list(list, &mut served);
            self.left(list.is_empty());
        });
        served.schedule();
    }

    fn serve_list(&self, list: &mut WaitList, served: &mut Batch) {
        while let Some(front) = list.front() {
            let n = front.ask().number;
            // Nobody else takes any meanwhile (S1).
            if self.0.load(Relaxed) >> SHIFT < n {
                return;
            }
            let n = n << SHIFT;
            self.0.fetch_sub(n, Acquire);
            match list.claim_first(GIVEN) {
                Some(claimed) => served.push(claimed),
                None => _ = self.0.fetch_add(n, Relaxed),
            }
        }
    }

    /// Lets all who wait go, and nobody wait again.
    pub(crate) fn close(&self) {
        if self.0.fetch_or(CLOSED, Relaxed) & WAITING == 0 {
            return;
        }
        let mut ready = lot::with(self.key(), |list| {
            self.left(true);
            list.claim_all(NEVER)
        });
        ready.schedule();
    }
}
