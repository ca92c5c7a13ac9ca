//! The `select`: tries several operations, waits for all of them at once, and does one.
//!
//! Here is the algorithm. [`Select`] takes operations that are known at run time; the macros are written with what is in `internal.rs`. What
//! there is to wait for is in `arm.rs`, what a channel does about it in `chan/promise.rs`.
//!
//! # Roles
//!
//! One thread, green or not, selects. Others find its entries in their registries, and each of them tries to claim the one wait that all entries
//! are of.
//!
//! # States
//!
//! ```text
//!   trying ──1 one is ready─────────────────────────▶ selected
//!     │ ▲                                                ▲
//!   2 │ └──────3 one has become ready, or time is up     │
//!     ▼        │                                         │
//!   entering ──┴──▶ waiting ──4 somebody claims an entry─┘
//! ```
//!
//! # Invariants
//!
//! - **M1** The entries of a `select` are in their registries while its one wait lasts: they are taken out by [`Entries::leave`], however it ends. In between nothing unwinds: an arm that would
//!   panic refuses.
//! - **M2** A wait is claimed once, so at most one entry has a reply, and with one there was no cancellation and no timeout: what was selected is
//!   completed or given back, and what was not selected was not touched.
//! - **M3** All entries bear the number of their `select`, by which a channel tells that a sender and a receiver that wait are one thread's.
//!
//! # Orderings
//!
//! None of its own: each registry's lock, and the claim.
//!
//! # Suspension
//!
//! Once for each turn of the loop, with nothing locked. Usually there is one turn.
//!
//! # Fairness
//!
//! Operations are tried in random order, so each that is ready has the same chance; of those that wait the first to be claimed wins, and the
//! channels claim in the order in which threads came.
//!
//! # Rejected
//!
//! - *All channels locked at once* (Go): a `select` that waits needs no second look then, but the channels must be sorted first, and
//!   a notification or a green thread's end has no lock that could be held.
//! - *To enter at once, without trying first:* what is ready is then found under the same lock, but must be given back if another was claimed
//!   meanwhile.
//!
//! # Checked by
//!
//! `loom-tests/tests/select.rs`, `sync/tests/select*.rs`.
//!
//! # Sources
//!
//! `crossbeam-channel`: the names, and what they promise. Go's `selectgo`.

mod dynamic;
pub mod internal;
mod macros;
mod operation;

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use smallvec::SmallVec;
use sward_runtime::{
    budget, cancel,
    park::{Outcome, WaitReason, Waiter},
};

pub use dynamic::Select;
pub use operation::SelectedOperation;

use super::arm::{Arm, Entered, Token};
use crate::{prim::MODEL, wait_list::Entry};

/// So many operations wait without an allocation.
const INLINE: usize = 8;

/// One operation of a `select`, and its number there.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    arm: &'a dyn Arm,
    index: usize,
}

/// Until when to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Not at all.
    Now,
    /// Without end.
    Never,
    /// At most so long.
    At(Instant),
}

/// What a `select` is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// To do one of the operations.
    Select,
    /// To find one that could be done.
    Ready,
}

/// How a wait ended.
enum Waited {
    /// With this operation selected.
    Selected(usize, Token),
    /// At this time, which may be that of a timer.
    Until(Instant),
    /// One may be ready now.
    Again,
}

impl Limit {
    /// A limit from now on.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Instant::now().checked_add(timeout).map_or(Self::Never, Self::At)
    }

    fn deadline(self) -> Option<Instant> {
        match self {
            Self::At(when) => Some(when),
            Self::Now | Self::Never => None,
        }
    }
}

/// Selects one of the operations. `None`: time is up. Otherwise where it stands now, the operations being shuffled on the way.
fn run(cases: &mut [Case<'_>], aim: Aim, biased: bool, limit: Limit) -> Option<(usize, Token)> {
    budget::spend();
    let mut waited = None;
    loop {
        if let Some(selected) = try_each(cases, aim, biased, waited) {
            return Some(selected);
        }
        if limit == Limit::Now || waited.is_some() && waited == limit.deadline() {
            return None;
        }
        match wait(cases, aim, limit.deadline()) {
            Waited::Selected(at, token) => return Some((at, token)),
            Waited::Until(when) => waited = Some(when),
            Waited::Again => waited = None,
        }
    }
}

/// (1) Tries the operations, in random order unless `biased`.
#[inline]
fn try_each(
    cases: &mut [Case<'_>],
    aim: Aim,
    biased: bool,
    waited: Option<Instant>,
) -> Option<(usize, Token)> {
    let mut random = if biased || cases.len() < 2 { 0 } else { random() };
    for at in 0..cases.len() {
        let left = cases.len() - at;
        if !biased && left > 1 {
            cases.swap(at, at + scale(random, left));
            random = next_random(random);
        }
        let arm = cases[at].arm;
        let found = match aim {
            Aim::Select => arm.try_select(waited),
            Aim::Ready => arm.is_ready().then_some(Token::Done),
        };
        if let Some(token) = found {
            return Some((at, token));
        }
    }
    None
}

/// The entries of a `select` that waits.
struct Entries<'a> {
    cases: &'a [Case<'a>],
    entries: &'a [Entry],
    watch: bool,
    /// So many of them have entered.
    entered: usize,
    /// The earliest time at which one of them is ready by itself.
    until: Option<Instant>,
}

impl Entries<'_> {
    /// (2) Enters all. `false`: one is ready. An error is what to panic with, once all have left: a hook for panics may wait too.
    fn enter(&mut self) -> Result<bool, &'static str> {
        for (case, entry) in self.cases.iter().zip(self.entries) {
            // SAFETY: the entry is new, made for what the arm asks, and stays at its place until `leave` (M1).
            let entered = unsafe { case.arm.enter(entry, self.watch) };
            match entered {
                Entered::Ready => return Ok(false),
                Entered::Refused(why) => return Err(why),
                Entered::Waits => {}
                Entered::Until(when) => {
                    self.until = self.until.map_or(Some(when), |until| Some(until.min(when)))
                }
            }
            self.entered += 1;
        }
        Ok(true)
    }

    /// Leaves, and says which was selected, if one was (M2).
    fn leave(&mut self) -> Option<(usize, Token)> {
        let mut selected = None;
        while let Some(at) = self.entered.checked_sub(1) {
            self.entered = at;
            if let Some(token) = self.cases[at].arm.leave(&self.entries[at], self.watch) {
                debug_assert!(selected.is_none(), "one wait was claimed twice (M2)");
                selected = Some((at, if self.watch { Token::Done } else { token }));
            }
        }
        selected
    }
}

/// (2 to 4) Waits for all of the operations at once.
#[inline(never)]
fn wait(cases: &[Case<'_>], aim: Aim, deadline: Option<Instant>) -> Waited {
    cases.iter().for_each(|case| case.arm.prepare());
    // SAFETY: used up in this function; nothing that it calls before the entries have left makes another.
    let mut waiter = unsafe { Waiter::new(WaitReason::Select) };
    // Not zero, and nobody else's as long as this frame lives (M3).
    let number = (&raw const waiter).addr();
    let entries: SmallVec<[Entry; INLINE]> =
        cases.iter().map(|case| Entry::new(&waiter, case.arm.ask(number))).collect();
    let mut entries =
        Entries { cases, entries: &entries, watch: aim == Aim::Ready, entered: 0, until: deadline };
    let outcome = match entries.enter() {
        Ok(true) => Ok(waiter.wait(entries.until)),
        Ok(false) => Ok(Outcome::Woken),
        Err(why) => Err(why),
    };
    // Until then one may be claimed, in any case.
    let selected = entries.leave();
    drop(waiter);
    let outcome = outcome.unwrap_or_else(|why| {
        if let Some((at, token)) = selected {
            cases[at].arm.abandon(token);
        }
        panic!("{why}");
    });
    match (selected, outcome) {
        (Some((at, token)), _) => Waited::Selected(at, token),
        (None, Outcome::Cancelled) => cancel::unwind(),
        (None, Outcome::TimedOut) => entries.until.map_or(Waited::Again, Waited::Until),
        (None, Outcome::Woken) => Waited::Again,
    }
}

/// A number below `n`, from a random one.
#[inline]
fn scale(random: u32, n: usize) -> usize {
    ((u64::from(random) * n as u64) >> 32) as usize
}

/// The random number after another. Marsaglia's xorshift.
#[inline]
fn next_random(mut x: u32) -> u32 {
    x ^= x << 13;
    x ^= x >> 17;
    x ^ x << 5
}

/// A random number, or zero in a model, which must be the same each time. Never inlined, so that nobody keeps the address of what belongs to the
/// OS thread across a suspension.
#[inline(never)]
fn random() -> u32 {
    std::thread_local! {
        static STATE: Cell<u32> = const { Cell::new(0) };
    }
    if MODEL {
        return 0;
    }
    STATE.with(|state| {
        let seed = match state.get() {
            // Each OS thread begins somewhere else.
            0 => (std::ptr::from_ref(state).addr() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as u32 | 1,
            x => x,
        };
        let random = next_random(seed);
        state.set(random);
        random
    })
}
