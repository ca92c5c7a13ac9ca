//! The lock of [`RwLock`](super::RwLock): one word, and the lot for those who wait.
//!
//! Whoever finds it open takes it, also in front of those who wait. So that this starves nobody, the lock is closed to newcomers from
//! the moment at which a waiting writer could go on but for them.
//!
//! # Roles
//!
//! *Readers* hold it together, a *writer* alone. *Waiters* of both kinds stand in the lot, in the order in which they came. The *woken one*
//! was a waiting writer, and runs to look at the lock again; there is one at most. *Newcomers* are all others.
//!
//! # States
//!
//! | bits | set by | cleared by |
//! |---|---|---|
//! | `WRITER` | the writer, or who hands the lock over to one | the writer |
//! | `PARKED` | a waiter, as it enters the lot, under the lot's lock | whoever leaves the lot's list empty, under its lock (P2 of `lot.rs`) |
//! | `WOKEN` | the last to leave, who wakes a writer to look again | the woken one: when it takes the lock, or waits again |
//! | `CLOSED` | a writer that begins to wait for readers, or who lets readers in before it; the woken one, if it finds the lock taken | whoever lets the next in; the woken one, as it takes the lock |
//! | `READER` and up | how many readers hold it, each for itself, or who lets them in | each reader |
//!
//! To *settle* is to let those in front of the list go on, as far as the word allows: all readers up to the first writer get the lock
//! handed over, where there is no writer; a writer is woken to look again, where there is nobody; and if it has looked again already, the
//! lock is handed over to it.
//!
//! # Invariants
//!
//! - **R1** While `WRITER` is set there is one holder, which set it or had the lock handed over, and no reader. Otherwise there are as many
//!   readers as are counted.
//! - **R2** While somebody stands in the list, there is a holder that will settle when it leaves, or a woken one that will be that holder or
//!   stand in the list again, or somebody on the way to settle. So who gives up settles too.
//! - **R3** `CLOSED` means that a writer is about to go on: the woken one, or the first of the list, or somebody is on the way to settle.
//!
//! # Orderings
//!
//! Taking the lock (Acquire) reads the release of all former holders (Release): each change of the word is a read-modify-write, so those
//! of several readers form one release sequence. A lock that is handed over is ordered by the exchange of who settles (Acquire) and the claim.
//!
//! # Fairness
//!
//! Newcomers overtake a waiting writer between the moment it is woken and the moment it runs, once: it then closes the lock. They overtake
//! waiting readers while these stand behind such a writer. A writer that overtakes spends budget for it, so that a woken one that is ready behind it on
//! the same worker runs. Among themselves waiters go in turn, but that readers go together. So a thread that
//! holds a read lock and asks for another waits for ever if a writer came in between, as with `std`.
//!
//! # Rejected
//!
//! - *Strict turns, the lock handed over each time.* Once two meet, each operation is a switch: the queue never gets empty again. Measured in
//!   `docs/locks.md`.
//! - *Letting readers in while a writer waits, for as long as its patience lasts* (as in `mutex/raw.rs`): with enough readers the lock is never
//!   free in between, so each write takes as long as the patience does.
//!
//! # Checked by
//!
//! `loom-tests/tests/rwlock.rs`, `tests/rwlock.rs`.
//!
//! # Sources
//!
//! `parking_lot`'s `RawRwLock` and std's futex `RwLock` for writers that keep new readers out; the Linux kernel's `rwsem` for the hand-over.

use std::time::Instant;

use sward_runtime::{
    budget,
    park::{Batch, WaitReason},
};

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
    wait_list::{Ask, Wait, WaitList},
};

const WRITER: u32 = 1;
const PARKED: u32 = 1 << 1;
const WOKEN: u32 = 1 << 2;
const CLOSED: u32 = 1 << 3;
const READER: u32 = 1 << 4;
const READERS: u32 = !(READER - 1);
/// Part of the count: with so many readers no other is let in.
const FULL: u32 = 1 << 31;

/// So many waiters are woken before the lot's lock is released for a moment.
const RUN: usize = if MODEL { 1 } else { 64 };

/// What a waiter asks for: to read.
const READ: usize = 0;
/// To write.
const WRITE: usize = 1;
/// To write, having been woken before.
const WRITE_AGAIN: usize = 2;

/// The first of the list is not woken yet.
const WAIT: usize = 0;
/// With what a waiter is woken: to look again.
const LOOK_AGAIN: usize = 1;
/// With what a waiter is woken: it holds the lock.
const HANDED_OVER: usize = 2;

/// The lock. See the module.
#[derive(Debug, Default)]
pub struct RawRwLock(AtomicU32);

impl RawRwLock {
    const_fn! {
        /// An unlocked one.
        pub const fn new() -> RawRwLock {
            RawRwLock(AtomicU32::new(0))
        }
    }

    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether there is one holder, for a holder that asks.
    pub(crate) fn has_one_holder(&self) -> bool {
        self.0.load(Relaxed) & (READERS & !READER) == 0
    }

    /// Takes the lock to read if it can be had at once.
    #[inline]
    pub fn try_read(&self) -> bool {
        let mut word = self.0.load(Relaxed);
        while word & (WRITER | CLOSED | FULL) == 0 {
            match self.0.compare_exchange_weak(word, word + READER, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Takes the lock to read, waiting for it at most until `deadline`. `false`: time is up.
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    #[inline]
    pub fn read(&self, deadline: Option<Instant>) -> bool {
        let word = self.0.load(Relaxed);
        word & (WRITER | CLOSED | FULL) == 0
            && self.0.compare_exchange_weak(word, word + READER, Acquire, Relaxed).is_ok()
            || self.read_contended(deadline)
    }

    #[cold]
    fn read_contended(&self, deadline: Option<Instant>) -> bool {
        let mut pauses = Pauses::beside_others();
        loop {
            let word = self.0.load(Relaxed);
            if word & (WRITER | CLOSED) == 0 {
                assert!(word & FULL == 0, "too many active read locks on RwLock");
                if self.0.compare_exchange_weak(word, word + READER, Acquire, Relaxed).is_ok() {
                    return true;
                }
            } else if word & PARKED != 0 || !pauses.pause() {
                let is_shut = |word| (word & (WRITER | CLOSED) != 0).then_some(word | PARKED);
                match self.park(READ, deadline, is_shut) {
                    Parked::Refused => {}
                    Parked::Woken(_) => return true,
                    Parked::TimedOut => return false,
                }
            }
        }
    }

    /// Releases the lock.
    ///
    /// The caller holds it to read.
    #[inline]
    pub fn read_unlock(&self) {
        let word = self.0.fetch_sub(READER, Release);
        // The last one, somebody waits, and nobody is on the way.
        if word & (READERS | PARKED | WOKEN) == READER | PARKED {
            self.settle();
        }
    }

    /// Takes the lock to write if it can be had at once.
    #[inline]
    pub fn try_write(&self) -> bool {
        let mut word = 0;
        while word & (WRITER | READERS | CLOSED) == 0 {
            match self.0.compare_exchange_weak(word, word | WRITER, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Takes the lock to write, waiting for it at most until `deadline`. `false`: time is up.
    #[inline]
    pub fn write(&self, deadline: Option<Instant>) -> bool {
        self.0.compare_exchange(0, WRITER, Acquire, Relaxed).is_ok() || self.write_contended(deadline)
    }

    #[cold]
    fn write_contended(&self, deadline: Option<Instant>) -> bool {
        // The woken one may stand behind us on our worker.
        budget::spend();
        let mut pauses = Pauses::beside_others();
        // Whether we are the woken one.
        let mut woken = false;
        loop {
            let word = self.0.load(Relaxed);
            if word & (WRITER | READERS) == 0 && (woken || word & CLOSED == 0) {
                let ours = if woken { WOKEN | CLOSED } else { 0 };
                let taken = (word | WRITER) & !ours;
                if self.0.compare_exchange_weak(word, taken, Acquire, Relaxed).is_ok() {
                    return true;
                }
            } else if woken && word & CLOSED == 0 {
                let _ = self.0.compare_exchange_weak(word, word | CLOSED, Relaxed, Relaxed);
            } else if !woken && word & PARKED != 0 || !pauses.pause() {
                let parked = if woken {
                    self.park(WRITE_AGAIN, deadline, waiting_again)
                } else {
                    self.park(WRITE, deadline, waiting_to_write)
                };
                match parked {
                    Parked::Refused => {}
                    Parked::Woken(HANDED_OVER) => return true,
                    Parked::Woken(_) => {
                        woken = true;
                        pauses = Pauses::beside_others();
                    }
                    Parked::TimedOut => return false,
                }
            }
        }
    }

    /// Releases the lock.
    ///
    /// The caller holds it to write.
    #[inline]
    pub fn write_unlock(&self) {
        if self.0.compare_exchange(WRITER, 0, Release, Relaxed).is_err() {
            self.write_unlock_contended();
        }
    }

    #[cold]
    fn write_unlock_contended(&self) {
        let word = self.0.fetch_and(!WRITER, Release);
        if word & (PARKED | WOKEN) == PARKED {
            self.settle();
        }
    }

    /// Holds the lock to read from now on.
    ///
    /// The caller holds it to write.
    pub fn downgrade(&self) {
        // A writer is alone (R1), so this takes one bit away and counts one reader.
        let word = self.0.fetch_add(READER - WRITER, Release);
        if word & (PARKED | WOKEN) == PARKED {
            self.settle();
        }
    }

    /// Waits in the lot, unless `waiting` finds that there is no need. It is given the word, and says what it becomes.
    fn park(&self, ask: usize, deadline: Option<Instant>, waiting: impl Fn(u32) -> Option<u32>) -> Parked {
        /// Whoever gives up lets those behind it go on (R2).
        struct GiveUp<'a>(&'a RawRwLock);
        impl Drop for GiveUp<'_> {
            fn drop(&mut self) {
                self.0.settle();
            }
        }
        let mut wait = Wait::new(WaitReason::Lock, Ask::number(ask), deadline);
        wait.first = ask == WRITE_AGAIN;
        let give_up = GiveUp(self);
        let validate = || self.0.fetch_update(Relaxed, Relaxed, &waiting).is_ok();
        let parked = lot::park(self.key(), wait, validate, |_| ());
        if parked != Parked::TimedOut {
            std::mem::forget(give_up);
        }
        parked
    }

    /// Lets those in front of the list go on, as far as the word allows.
    #[cold]
    fn settle(&self) {
        let mut ready = Batch::new();
        while lot::with(self.key(), |list| self.settle_some(list, &mut ready)) {}
    }

    /// As `settle`, for a part of the list, because the lot's lock is held. `true`: there may be more.
    fn settle_some(&self, list: &mut WaitList, ready: &mut Batch) -> bool {
        let more = (0..RUN).all(|_| self.settle_front(list, ready));
        if list.is_empty() {
            // The woken one closes for itself. Nobody else becomes it under this lock.
            let closed = if self.0.load(Relaxed) & WOKEN == 0 { CLOSED } else { 0 };
            self.0.fetch_and(!(PARKED | closed), Relaxed);
        }
        more
    }

    /// Deals with the first of the list. `false`: it is to wait, or there is none.
    fn settle_front(&self, list: &mut WaitList, ready: &mut Batch) -> bool {
        let Some(ask) = list.front().map(|front| front.ask().number) else { return false };
        let word = self.0.load(Relaxed);
        if word & (WRITER | WOKEN) != 0 {
            return false;
        }
        let (next, reply) = match ask {
            READ => (word + READER, HANDED_OVER),
            _ if word & READERS != 0 => (word | CLOSED, WAIT),
            WRITE => ((word | WOKEN) & !CLOSED, LOOK_AGAIN),
            _ => ((word | WRITER) & !CLOSED, HANDED_OVER),
        };
        if self.0.compare_exchange_weak(word, next, Acquire, Relaxed).is_err() {
            return true;
        }
        if reply == WAIT {
            return false;
        }
        match (list.claim_first(reply), ask) {
            (Some(claimed), _) => ready.push(claimed),
            // It has given up: what it would have got is taken back.
            (None, READ) => drop(self.0.fetch_sub(READER, Relaxed)),
            (None, WRITE) => drop(self.0.fetch_and(!WOKEN, Relaxed)),
            (None, _) => drop(self.0.fetch_and(!WRITER, Relaxed)),
        }
        true
    }
}

/// What the word becomes when a writer waits that was not woken. It closes the lock if readers hold it, and nobody is on the way.
fn waiting_to_write(word: u32) -> Option<u32> {
    let closed = if word & READERS != 0 && word & WOKEN == 0 { CLOSED } else { 0 };
    (word & (WRITER | READERS | CLOSED) != 0).then_some(word | PARKED | closed)
}

/// What the word becomes when the woken one waits again.
fn waiting_again(word: u32) -> Option<u32> {
    (word & (WRITER | READERS) != 0).then_some((word | PARKED | CLOSED) & !WOKEN)
}
