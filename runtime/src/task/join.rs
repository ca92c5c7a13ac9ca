//! Who takes the result: the word between a green thread that ends and its `JoinHandle`.
//!
//! # Roles
//!
//! The *task* finishes once. The *handle* (there is one) asks, waits, gives up waiting, or is dropped.
//!
//! # States
//!
//! ```text
//!            1 wait                 4 finish
//!   EMPTY ──────────▶ WAITING ─────────────────▶ FINISHING ──5 release──▶ FINISHED
//!    │ │ ◀────────────   ▲                           ▲                      ▲
//!    │ │     2 give_up   │ 7 enter                   │ 4 finish             │
//!    │ ├───────▶ ENTERING ──8 enter_polled──▶ POLLED ┘                      │
//!    │ │ ◀────────  ▲ │                         │                           │
//!    │ │   10 leave │ └──4 finish───────────────│───────────────────────────┤
//!    │ │            └──────────9 withdraw───────┘                           │
//!    │ │ 6 begin_entry                    4 finish                          │
//!    │ └────────────────────────────────────────────────────────────────────┘
//!    │ 3 detach                 4 finish (the task drops its own result)
//!    └──────────▶ DETACHED ─────────────────────────────────────────────────▶ FINISHED
//! ```
//!
//! 1. [`JoinWord::wait`], 2. [`JoinWord::give_up`] and 3. [`JoinWord::detach`] by the handle; 4. [`JoinWord::finish`] and
//!    5. [`JoinWord::release`] by the task; 6. [`JoinWord::begin_entry`], 7. [`JoinWord::enter`] and 2. by a `select`, which only
//!    borrows the handle: it may find another there, with whom it does not share. A handle that is polled as a future takes 6. and
//!    8. [`JoinWord::enter_polled`], and its waker stays after the call: whatever the handle does next, or a `select` does with it, begins with
//!    9. [`JoinWord::withdraw`] and 10. [`JoinWord::leave`], which take the waker back.
//!
//! # Invariants
//!
//! - **J1** The waker slot is written by the handle before `WAITING` is set, and read by the task only when its `finish`
//!   replaced `WAITING` or `POLLED`. Whoever only borrows the handle touches it in `ENTERING`, which one at a time can set.
//! - **J2** In `FINISHING` the task still uses the waker, so the joiner's wait must not end by itself: `give_up` holds it
//!   until `release`. A future's waker has no frame, and nobody waits for its use to end.
//! - **J3** The result belongs to the task until `finish`, and to the handle from then on, unless `finish` found
//!   `DETACHED`: then the task drops it.
//!
//! # Orderings
//!
//! `finish` (Release) is read by `is_finished`, `wait`, `begin_entry`, `enter`, `enter_polled`, `withdraw` and `leave` (Acquire): the result.
//! `wait`, `enter` and `enter_polled` (Release) are read by `finish` (Acquire): the waker slot. `release` (Release) is read by `give_up`
//! (Acquire): the task is done with the waker. `enter` (Release), or what `give_up` made of it, and `leave` (Release) are read by
//! `begin_entry` (Acquire), and `enter_polled` (Release) by `withdraw` (Acquire): the slot, in which the one before has written.
//!
//! # Checked by
//!
//! `loom-tests/tests/join.rs`.

use crate::prim::{
    atomic::{
        AtomicU8,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    hint, thread,
};

const EMPTY: u8 = 0;
const WAITING: u8 = 1;
const DETACHED: u8 = 2;
const ENTERING: u8 = 3;
const POLLED: u8 = 4;
const FINISHING: u8 = 5;
const FINISHED: u8 = 6;

/// What the end of a task obliges it to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Nobody waits yet; the handle will find the result.
    Unawaited,
    /// The joiner waits: wake it with the waker in the slot, then call [`JoinWord::release`].
    Wake,
    /// The handle is gone: drop the result.
    DropResult,
}

/// What somebody who only borrows the handle finds.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The slot is the caller's, until [`JoinWord::enter`], [`JoinWord::enter_polled`] or [`JoinWord::leave`].
    Begun,
    /// The task has finished.
    Finished,
    /// Another is there already. To withdraw: there is nothing to be taken back.
    Taken,
}

/// The word. See the module.
#[derive(Debug)]
pub struct JoinWord(AtomicU8);

impl Default for JoinWord {
    fn default() -> Self {
        Self(AtomicU8::new(EMPTY))
    }
}

impl JoinWord {
    /// Whether the result is there.
    #[inline]
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.load(Acquire) >= FINISHING
    }

    /// Announces the waker in the slot. `false`: the task has finished, do not wait.
    #[inline]
    #[must_use]
    pub fn wait(&self) -> bool {
        self.0.compare_exchange(EMPTY, WAITING, AcqRel, Acquire).is_ok()
    }

    /// Takes the slot, for one who only borrows the handle.
    pub fn begin_entry(&self) -> Entry {
        self.begin(EMPTY)
    }

    /// Takes the slot with the waker of a future that was polled, for one who only borrows the handle.
    pub fn withdraw(&self) -> Entry {
        self.begin(POLLED)
    }

    fn begin(&self, from: u8) -> Entry {
        match self.0.compare_exchange(from, ENTERING, AcqRel, Acquire) {
            Ok(_) => Entry::Begun,
            Err(FINISHING | FINISHED) => Entry::Finished,
            Err(_) => Entry::Taken,
        }
    }

    /// Announces the waker that was put into the slot since [`begin_entry`](Self::begin_entry). `false`: the task has finished.
    #[must_use]
    pub fn enter(&self) -> bool {
        self.0.compare_exchange(ENTERING, WAITING, AcqRel, Acquire).is_ok()
    }

    /// As [`enter`](Self::enter), for a waker that stays until it is withdrawn: that of a future.
    #[must_use]
    pub fn enter_polled(&self) -> bool {
        self.0.compare_exchange(ENTERING, POLLED, AcqRel, Acquire).is_ok()
    }

    /// Gives the slot back, empty. `true`: the task has finished meanwhile, and found no waker.
    #[must_use]
    pub fn leave(&self) -> bool {
        self.0.compare_exchange(ENTERING, EMPTY, AcqRel, Acquire).is_err()
    }

    /// Takes the announcement back after a wait that ended without the task's doing. On return the task does not
    /// use the waker any more; `true` if it has finished meanwhile.
    #[must_use]
    pub fn give_up(&self) -> bool {
        if self.0.compare_exchange(WAITING, EMPTY, AcqRel, Acquire).is_ok() {
            return false;
        }
        // The task is between `finish` and `release`: a handful of instructions, on another worker (J2).
        let mut spins = 0u32;
        while self.0.load(Acquire) != FINISHED {
            spins += 1;
            if spins.is_multiple_of(64) { thread::yield_now() } else { hint::spin_loop() }
        }
        true
    }

    /// Whether the waker of a future that was polled is announced, which is to be withdrawn.
    #[inline]
    #[must_use]
    pub fn is_polled(&self) -> bool {
        self.0.load(Relaxed) == POLLED
    }

    /// Gives the result up. `true`: it is there already and the handle must drop it.
    #[inline]
    #[must_use]
    pub fn detach(&self) -> bool {
        let detached = self.0.compare_exchange(EMPTY, DETACHED, AcqRel, Acquire);
        debug_assert!(matches!(detached, Ok(_) | Err(FINISHING | FINISHED)), "the slot is in use");
        detached.is_err()
    }

    /// The task has stored its result.
    #[inline]
    pub fn finish(&self) -> Finish {
        match self.0.swap(FINISHING, AcqRel) {
            EMPTY | ENTERING => Finish::Unawaited,
            WAITING | POLLED => Finish::Wake,
            _ => Finish::DropResult,
        }
    }

    /// The task is done with the joiner's waker.
    #[inline]
    pub fn release(&self) {
        self.0.store(FINISHED, Release);
    }
}
