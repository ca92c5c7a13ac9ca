//! How long a searcher leaves woken tasks to the worker in whose deque they are.
//!
//! A woken task is in the caches of its owner: its record, its stack, and what it works on come over to a thief line by line, and what it changes goes
//! back the same way. For a task that runs for a microsecond this costs more than to wait for it; and where such tasks wake each other, each theft leads
//! to the next. So a worker judges its thefts of woken tasks by how long they kept it busy. New tasks are in nobody's caches, and in anchored mode
//! a theft decides where they live: they are always stolen.
//!
//! # Roles
//!
//! Each worker has one, and nobody else looks at it.
//!
//! # States
//!
//! After each theft a number of rounds is left out, zero at first. A theft that kept the worker busy for less than [`WORTH_IT`] adds one for the next
//! time, up to [`MOST`]; one that was worth it makes it zero.
//!
//! # Invariants
//!
//! - **V1** Between two attempts to steal woken tasks at most [`MOST`] rounds are left out, in however many searches. So work that lies in a deque is
//!   delayed by some microseconds of a searcher's time, also if the searcher is interrupted again and again, and who finds work as it is about
//!   to sleep (D2 of `idle.rs`) comes to steal it.
//!
//! # Rejected
//!
//! - *To judge thefts of new tasks as well*: `spawn_batch` with two workers became a fifth slower, as the thief's 32 tasks are soon done.
//! - *To leave out rounds in each search*: a worker that is given something every microsecond would never steal.
//!
//! # Checked by
//!
//! The tests beside it; `tests/driver.rs`.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// What a thief must find to do, from a theft to its next search. Where debug assertions are on, most code is not optimised, and takes
/// ten times as long for the same.
const WORTH_IT: Duration = Duration::from_micros(if cfg!(debug_assertions) { 20 } else { 2 });

/// The most rounds that are left out: their pauses are some microseconds.
pub(super) const MOST: u32 = 5;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Restraint {
    /// How many rounds are left out after a theft.
    rounds: Cell<u32>,
    /// How many of them are still to come.
    left: Cell<u32>,
    /// The last theft, until the worker searches again.
    stolen_at: Cell<Option<Instant>>,
}

impl Restraint {
    /// Whether a round is left out, which is then over.
    pub(super) fn leaves_out_round(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    /// Woken tasks were stolen.
    pub(super) fn stole(&self, now: Instant) {
        self.stolen_at.set(Some(now));
    }

    /// There is nothing left to run: judges the last theft, unless that was done.
    pub(super) fn judge(&self, now: impl FnOnce() -> Instant) {
        let Some(stolen_at) = self.stolen_at.take() else { return };
        let was_worth_it = now().saturating_duration_since(stolen_at) >= WORTH_IT;
        let rounds = if was_worth_it { 0 } else { (self.rounds.get() + 1).min(MOST) };
        self.rounds.set(rounds);
        self.left.set(rounds);
    }
}

#[cfg(test)]
mod tests;
