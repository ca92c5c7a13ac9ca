//! How long a searcher leaves what it could steal to its owner.
//!
//! Whatever a thief takes is in the caches of its owner: the task, its stack, and what it works on come over line by line, and what it leaves behind goes
//! back the same way. For a task that runs for a microsecond this costs more than to wait for it; and where tasks wake each other, each theft
//! leads to the next. So a worker judges its thefts by how long they kept it busy.
//!
//! # Roles
//!
//! Each worker has one, and nobody else looks at it.
//!
//! # States
//!
//! A worker leaves things alone for a number of rounds of its search, zero at first. A theft that kept it busy for [`WORTH_IT`] makes it zero again; one
//! that did not adds a round, up to [`MOST`], unless it was of several tasks, since these came at the price of one.
//!
//! # Invariants
//!
//! - **P1** A search that finds nothing has tried to steal: `steal_in_rounds` ends with a round that patience does not cover, or makes up for it. So
//!   patience delays work, by some microseconds, and never loses it.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// What a thief must find to do, from a theft to its next search. Code that is not optimised takes ten times as long for the same.
const WORTH_IT: Duration = Duration::from_micros(if cfg!(debug_assertions) { 20 } else { 2 });

/// The most rounds that are left out: their pauses take about as long as the shortest work that is worth a theft.
const MOST: u32 = 5;

#[derive(Clone, Copy, Debug)]
struct Theft {
    at: Instant,
    /// Whether of one task only.
    is_single: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Patience {
    rounds: Cell<u32>,
    /// The last theft, until the worker searches again.
    theft: Cell<Option<Theft>>,
}

impl Patience {
    /// Whether nothing is to be stolen in this round.
    pub(super) fn covers(&self, round: u32) -> bool {
        round < self.rounds.get()
    }

    /// Something was stolen, a single task or several.
    pub(super) fn stole(&self, at: Instant, is_single: bool) {
        self.theft.set(Some(Theft { at, is_single }));
    }

    /// There is nothing left to run: judges the last theft, unless that was done.
    pub(super) fn search(&self, now: impl FnOnce() -> Instant) {
        let Some(theft) = self.theft.take() else { return };
        if now().saturating_duration_since(theft.at) >= WORTH_IT {
            self.rounds.set(0);
        } else if theft.is_single {
            self.rounds.set((self.rounds.get() + 1).min(MOST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches after a theft that kept the worker busy for so long.
    fn steal(patience: &Patience, is_single: bool, busy: Duration) {
        let now = Instant::now();
        patience.stole(now, is_single);
        patience.search(|| now + busy);
    }

    #[test]
    fn each_theft_that_was_not_worth_it_adds_a_round_up_to_a_limit() {
        let patience = Patience::default();
        assert!(!patience.covers(0));
        for round in 0..MOST {
            steal(&patience, true, WORTH_IT - Duration::from_nanos(1));
            assert!(patience.covers(round) && !patience.covers(round + 1));
        }
        steal(&patience, true, Duration::ZERO);
        assert!(!patience.covers(MOST));
    }

    #[test]
    fn a_theft_that_was_worth_it_ends_patience() {
        for is_single in [true, false] {
            let patience = Patience::default();
            steal(&patience, true, Duration::ZERO);
            steal(&patience, is_single, WORTH_IT);
            assert!(!patience.covers(0));
        }
    }

    #[test]
    fn a_theft_of_several_that_was_not_worth_it_changes_nothing() {
        let patience = Patience::default();
        steal(&patience, false, Duration::ZERO);
        assert!(!patience.covers(0));
        steal(&patience, true, Duration::ZERO);
        steal(&patience, false, Duration::ZERO);
        assert!(patience.covers(0) && !patience.covers(1));
    }

    #[test]
    fn a_theft_is_judged_once() {
        let patience = Patience::default();
        steal(&patience, true, Duration::ZERO);
        patience.search(|| unreachable!("nothing was stolen since"));
        assert!(patience.covers(0) && !patience.covers(1));
    }
}
