//! The token of `park` and `unpark`.
//!
//! Each green thread and each OS thread has one. `unpark` leaves the token; `park` takes it, and waits while there is
//! none. It is apart from the wait word ([`State`](super::state::State)), so that a stray `unpark` never ends a wait
//! for a lock or a socket, and no such wait ever takes a token that was meant for `park`: more than `std` promises.
//!
//! # States
//!
//! `EMPTY`; `TOKEN` (left by `unpark`, taken by the next `park`); `waiting(epoch)` (its thread is in wait number
//! `epoch`, which the next `unpark` is to claim).
//!
//! # Invariants
//!
//! - **T1** Only the thread itself leaves the state `TOKEN` or writes `waiting`; others only ever write `TOKEN`.
//! - **T2** Of several `unpark`s only the one that replaced `waiting(e)` claims wait `e`.
//!
//! # Orderings
//!
//! `unpark`'s swap (Release) is read by every swap and by the failing exchange of `park` (Acquire): what happened before
//! `unpark` is visible after the `park` that took its token. `unpark` also acquires, to see the wait that it claims.
//!
//! # Checked by
//!
//! `loom-tests/tests/park.rs`.

use crate::prim::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

const EMPTY: u64 = 0;
const TOKEN: u64 = 1;
const WAITING: u64 = 2;

/// The word. See the module.
#[derive(Debug)]
pub struct Token(AtomicU64);

impl Default for Token {
    fn default() -> Self {
        Self(AtomicU64::new(EMPTY))
    }
}

impl Token {
    /// Takes the token if it is there. Own thread only.
    #[inline]
    #[must_use]
    pub fn take(&self) -> bool {
        self.0.load(Relaxed) == TOKEN && self.0.swap(EMPTY, Acquire) == TOKEN
    }

    /// Announces wait number `epoch`. `false`: the token was there and is taken; do not wait. Own thread only.
    #[inline]
    #[must_use]
    pub fn begin_wait(&self, epoch: u32) -> bool {
        let waiting = u64::from(epoch) << 32 | WAITING;
        if self.0.compare_exchange(EMPTY, waiting, AcqRel, Acquire).is_ok() {
            return true;
        }
        self.0.swap(EMPTY, Acquire);
        false
    }

    /// Takes the announcement back, and the token with it if it has come. Own thread only.
    #[inline]
    pub fn end_wait(&self) {
        self.0.swap(EMPTY, Acquire);
    }

    /// Leaves the token. `Some(epoch)`: the thread waits, and the caller is to claim that wait.
    #[inline]
    #[must_use]
    pub fn leave(&self) -> Option<u32> {
        let before = self.0.swap(TOKEN, AcqRel);
        (before & WAITING != 0).then_some((before >> 32) as u32)
    }
}
