//! Who may run: as many seats as the runtime was built with workers, and more workers than seats once a spare was needed.
//!
//! A worker needs a seat to take tasks. One that is stuck loses its seat, which goes to somebody who waits for one, or to a spare; so
//! the others go on, and when it comes back it queues like everybody else. This file says who gets a seat; it knows no atomics,
//! no threads and no queues. [`Idle`](super::idle::Idle) holds it under its lock.
//!
//! # States
//!
//! ```text
//!   Unstarted ──1──▶ Seated ◀──2──▶ Asleep          1 start            2 sleep, and a wake
//!                    │    ▲          │   ▲
//!                    3    4          5   6           3 oust             4 a seat is free, or taken from a sleeper; or queued first
//!                    ▼    │          ▼   │           5 its seat is taken   6 it is given a seat
//!                  Unseated ◀──7──▶ Retired         7 a wake; sleep without a seat
//!                    │    ▲
//!                    ▼    8                          8 dismissed: the runtime's phase changes
//!                  Queued ──4──▶ Seated
//! ```
//!
//! # Invariants
//!
//! - **E1** Those who are `Seated` or `Asleep`, and the free seats, are as many as there are seats.
//! - **E2** While a seat is free nobody is `Queued` and nobody is `Retired`.
//! - **E3** While somebody is `Queued` nobody is `Asleep`: nobody waits for a seat that a sleeper holds.
//!
//! # Checked by
//!
//! `seats/tests.rs`, `loom-tests/tests/seats.rs`.
//!
//! # Sources
//!
//! Go's `P`s, which `sysmon` takes from threads that are in system calls.

use std::collections::VecDeque;

use crate::prim::MODEL;

/// What a worker is to the seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// A spare without a thread.
    #[default]
    Unstarted,
    /// Awake, and may run tasks.
    Seated,
    /// Asleep, with a seat: to be woken for whatever work there is.
    Asleep,
    /// Awake without a seat: in the midst of a task, or about to ask for one.
    Unseated,
    /// Waits for a seat.
    Queued,
    /// Asleep without a seat: to be woken for what only it can run.
    Retired,
}

impl Standing {
    pub(super) const fn from_u8(n: u8) -> Self {
        const ALL: [Standing; 6] = [
            Standing::Unstarted,
            Standing::Seated,
            Standing::Asleep,
            Standing::Unseated,
            Standing::Queued,
            Standing::Retired,
        ];
        ALL[n as usize]
    }

    /// Whether its thread sleeps, and is to be woken for what comes into its inbox.
    #[inline]
    pub(super) const fn is_asleep(self) -> bool {
        matches!(self, Self::Asleep | Self::Retired)
    }
}

/// Who is to have a seat that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heir {
    /// The one that has waited longest.
    Queued(usize),
    /// One that is asleep without: it sleeps on, with a seat.
    Retired(usize),
    /// Nobody.
    Nobody,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Seats {
    standings: Box<[Standing]>,
    /// Those who were not spares from the start.
    regular: usize,
    /// `Asleep`, in the order in which they fell asleep.
    sleepers: Vec<usize>,
    retired: Vec<usize>,
    queue: VecDeque<usize>,
    free: usize,
}

impl Seats {
    /// For `regular` workers, all of them seated, and as many as `spares` more.
    pub(super) fn new(regular: usize, spares: usize) -> Self {
        let standing = |worker| if worker < regular { Standing::Seated } else { Standing::Unstarted };
        Self {
            standings: (0..regular + spares).map(standing).collect(),
            regular,
            sleepers: Vec::with_capacity(regular),
            retired: Vec::new(),
            queue: VecDeque::new(),
            free: 0,
        }
    }

    pub(super) fn standing(&self, worker: usize) -> Standing {
        self.standings[worker]
    }

    pub(super) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Puts a worker somewhere else, and tells where it was. The seats are the caller's to count.
    pub(super) fn put(&mut self, worker: usize, to: Standing) -> Standing {
        let from = std::mem::replace(&mut self.standings[worker], to);
        match from {
            Standing::Asleep => self.sleepers.retain(|&other| other != worker),
            Standing::Retired => self.retired.retain(|&other| other != worker),
            Standing::Queued => self.queue.retain(|&other| other != worker),
            Standing::Unstarted | Standing::Seated | Standing::Unseated => {}
        }
        match to {
            Standing::Asleep => self.sleepers.push(worker),
            Standing::Retired => self.retired.push(worker),
            Standing::Queued => self.queue.push_back(worker),
            Standing::Unstarted | Standing::Seated | Standing::Unseated => {}
        }
        from
    }

    /// The one that fell asleep last: its cache is the warmest.
    pub(super) fn last_sleeper(&self) -> Option<usize> {
        self.sleepers.last().copied()
    }

    /// Whose seat is taken for one that needs it: a spare's rather, and that of the one that has slept longest.
    pub(super) fn sleeper_to_rob(&self) -> Option<usize> {
        let spare = self.sleepers.iter().find(|&&worker| worker >= self.regular);
        spare.or_else(|| self.sleepers.first()).copied()
    }

    /// Who gets a seat next.
    pub(super) fn heir(&self) -> Heir {
        match (self.queue.front(), self.retired.last()) {
            (Some(&worker), _) => Heir::Queued(worker),
            (None, Some(&worker)) => Heir::Retired(worker),
            (None, None) => Heir::Nobody,
        }
    }

    /// Nobody wanted it (E2).
    pub(super) fn leave_free(&mut self) {
        self.free += 1;
    }

    /// Takes a free seat.
    pub(super) fn take_free(&mut self) -> bool {
        let any = self.free > 0;
        self.free -= usize::from(any);
        any
    }

    /// Whether another worker could make use of a seat that is free: there is one, and nobody sleeps who would be woken first.
    pub(super) fn is_short(&self) -> bool {
        self.free > 0 && self.sleepers.is_empty()
    }

    /// Looks at the invariants, wherever something has changed: in debug builds, and in models.
    pub(super) fn assert_sound(&self) {
        if !cfg!(debug_assertions) && !MODEL {
            return;
        }
        let has_seat = |standing: &&Standing| matches!(standing, Standing::Seated | Standing::Asleep);
        assert_eq!(self.standings.iter().filter(has_seat).count() + self.free, self.regular, "E1");
        assert!(self.free == 0 || self.queue.is_empty() && self.retired.is_empty(), "E2");
        assert!(self.queue.is_empty() || self.sleepers.is_empty(), "E3");
    }
}

#[cfg(test)]
mod tests;
