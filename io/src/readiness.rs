//! The readiness word: what is known about one direction of a descriptor, and whether anybody waits for more.
//!
//! Readiness is edge-triggered: the kernel says once that something changed, and from then on the word remembers it.
//! An operation is tried only while the word says ready, so a socket that has nothing costs no system call, and the
//! word is taken back only by whoever saw for itself that there is nothing left. This file is that one word and its
//! transitions; the list of those who wait is `direction.rs`, the system calls are `source.rs` and `sys`.
//!
//! # Roles
//!
//! | who | may call |
//! |---|---|
//! | an operation, on any green or OS thread | `load`, `clear_after_short`, `clear_after_would_block` |
//! | whoever holds the lock of the direction's wait list | `transition_to_waiting`, `transition_to_unwatched` |
//! | whoever collects events, any number at once | `transition_to_ready` |
//! | the runtime, when it ends | `transition_to_shut` |
//!
//! # States
//!
//! ```text
//!              1 transition_to_ready            1 (held)
//!   EMPTY ────────────────────────▶ READY ────────────────▶ READY + HELD
//!     ▲  ▲                            │                        │
//!     │  └──── 2 clear_after_short ───┤                        │ 2 has no effect
//!     └─────── 3 clear_after_would_block ──────────────────────┘
//!
//!   any ── 4 transition_to_shut ──▶ SHUT        (for good)
//!   EMPTY ── 5 transition_to_waiting ──▶ EMPTY + WAITING ── 6 transition_to_unwatched ──▶ EMPTY
//! ```
//!
//! WAITING may also be set together with READY: from the event that ends the waits until the list is empty again.
//!
//! # Invariants
//!
//! - **I1** `TICK` grows with every event (1). So if the tick has not changed since a snapshot, no event came.
//! - **I2** `READY` is cleared (2, 3) only if the tick is still that of a snapshot loaded *before* the system call
//!   which found nothing left. So an event is never lost: what arrives after that call raises an event after it.
//! - **I3** `WAITING` is set (5) only on a word that is neither ready nor shut, in one step with that check. So of an
//!   event and a new waiter, one sees the other.
//! - **I4** `WAITING` is written only under the lock of the wait list, and there says whether the list is not empty.
//! - **I5** `SHUT` is never cleared.
//!
//! # Orderings
//!
//! All of it is one word, so the order of its modifications decides (I1, I3); what needs an ordering is the kernel:
//!
//! | written | read | what must not move |
//! |---|---|---|
//! | – | `load`, `Acquire` | the system call after it: a call that ran before the load could be blamed on a later tick |
//! | clear, `Release` | `transition_to_ready`, `Acquire` | the system call before it |
//! | `transition_to_ready`, `Release` | `load`, `Acquire` | the event was taken from the kernel before it is announced |
//! | (5), `AcqRel` | (1), `AcqRel` | together with the list's lock, entered before (1) looks into the list |
//!
//! No `SeqCst`: there is no second word to race with.
//!
//! # Suspension
//!
//! Nothing here suspends, blocks or allocates.
//!
//! # Rejected
//!
//! - *Clear without a tick.* An event between the call that found nothing and the clear is lost: the socket hangs.
//! - *A flag for waiters in a second word.* Needs a `SeqCst` fence on each side, on every wait and on every event.
//! - *Sticky hang-up that nothing clears.* A descriptor can report an error or hang up and still say "would block"
//!   (an error queue; a socket not yet connected): its operations would spin. What the kernel says last wins (3).
//!
//! # Checked by
//!
//! `loom-tests/tests/readiness.rs`, the unit tests below.
//!
//! # Sources
//!
//! tokio's `scheduled_io.rs` (the tick), Go's `netpoll.go` (`pdReady` and `pdWait` in one word).

use crate::prim::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire},
};

/// An operation may be tried: the kernel said so, or nobody has found otherwise yet.
const READY: usize = 1;

/// The direction is closed by the peer, in error, or has urgent data: a short transfer does not tell that nothing is
/// left. Set by the event, cleared only together with `READY` by a call that would have blocked.
const HELD: usize = 1 << 1;

/// The reactor has closed: no event will come any more. Set once.
const SHUT: usize = 1 << 2;

/// The wait list is not empty. Written under its lock.
const WAITING: usize = 1 << 3;

/// One event. The bits from here up count them, and may wrap: 2^28 events between a load and a clear are not had.
const TICK: usize = 1 << 4;

/// The readiness of one direction.
#[derive(Debug)]
pub struct Readiness(AtomicUsize);

/// A decoded copy of the word, and the proof of when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot(usize);

/// Whom an event has to wake.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Nobody waits.
    Nobody,
    /// The wait list is not empty.
    Waiters,
}

/// Whether to wait.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Something happened already: try again.
    NotNow,
    /// The next event will find the caller in the list.
    Announced,
}

impl Readiness {
    /// Creates the word of a direction that is assumed ready, or of one that was just seen to be not.
    pub fn new(ready: bool) -> Self {
        Self(AtomicUsize::new(if ready { READY } else { 0 }))
    }

    /// Takes a snapshot, before the system call that it will vouch for.
    pub fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Acquire))
    }

    /// (1) Records an event; `held` if a short transfer does not end what it announced.
    pub fn transition_to_ready(&self, held: bool) -> Wake {
        let bits = READY | if held { HELD } else { 0 };
        let before = self.update(|word| Some(word.wrapping_add(TICK) | bits));
        wake(before)
    }

    /// (2) Takes readiness back after a transfer that was shorter than asked for, unless an event came since `seen`
    /// or readiness is held.
    pub fn clear_after_short(&self, seen: Snapshot) {
        self.update(|word| (same_tick(word, seen) && word & HELD == 0).then_some(word & !READY));
    }

    /// (3) Takes readiness back after a call that would have blocked, unless an event came since `seen`.
    pub fn clear_after_would_block(&self, seen: Snapshot) {
        self.update(|word| same_tick(word, seen).then_some(word & !(READY | HELD)));
    }

    /// (4) Ends the direction for good.
    pub fn transition_to_shut(&self) -> Wake {
        wake(self.0.fetch_or(SHUT, AcqRel))
    }

    /// (5) Announces a waiter, unless there is nothing to wait for. The caller holds the lock of the wait list, and
    /// enters the waiter before it lets go of it.
    pub fn transition_to_waiting(&self) -> Wait {
        let announce = |word| (word & (READY | SHUT) == 0).then_some(word | WAITING);
        if self.update(announce) & (READY | SHUT) == 0 { Wait::Announced } else { Wait::NotNow }
    }

    /// (6) Says that the wait list is empty. The caller holds its lock.
    pub fn transition_to_unwatched(&self) {
        self.0.fetch_and(!WAITING, AcqRel);
    }

    /// Applies `next` until it sticks or declines, and returns the word that it was last applied to.
    fn update(&self, next: impl Fn(usize) -> Option<usize>) -> usize {
        match self.0.fetch_update(AcqRel, Acquire, next) {
            Ok(before) | Err(before) => before,
        }
    }
}

impl Snapshot {
    /// What is assumed of a descriptor that is not registered: there is no harm in trying.
    pub const UNREGISTERED: Self = Self(READY);

    /// Whether an operation may be tried.
    pub fn is_ready(self) -> bool {
        self.0 & READY != 0
    }

    /// Whether an operation may be tried, and there will be events after it.
    pub fn is_to_be_tried(self) -> bool {
        self.0 & (READY | SHUT) == READY
    }

    /// Whether the kernel reported an end, an error or urgent data, and no call has found nothing left since.
    pub fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// Whether the reactor has closed.
    pub fn is_shut(self) -> bool {
        self.0 & SHUT != 0
    }

    /// Whether somebody waits although there is something to be had: the one who notices wakes the next.
    pub fn is_ready_and_waited_for(self) -> bool {
        self.0 & (READY | WAITING) == READY | WAITING
    }
}

/// Whether no event came between a snapshot and this word (I1).
fn same_tick(word: usize, seen: Snapshot) -> bool {
    word / TICK == seen.0 / TICK
}

/// Whom to wake, by the word as it was before the event.
fn wake(before: usize) -> Wake {
    if before & WAITING == 0 { Wake::Nobody } else { Wake::Waiters }
}

#[cfg(test)]
mod tests;
