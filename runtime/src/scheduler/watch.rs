//! The look at the workers, at each tick of the poller thread: who is stuck, and what is done about it.
//!
//! A worker is *still* if it has not switched since the last tick, and *stuck* if it has not for [`Builder::stall_after`], though
//! others could run what lies behind it. Its timers are fired and its work is shown to others at once; its seat is taken
//! when it is stuck.
//!
//! There are two ways to be stuck, and the kernel knows which it is (`os_thread.rs`). One whose OS thread *blocks* leaves a CPU unused, so its
//! seat is taken while any work waits. One that *computes* does not; its seat is taken only when no worker is left that
//! would come to what waits, and not for the time that the kernel had others run in its place: more threads would not help then.
//!
//! One that has been stuck within the last second is not waited for as long again; and after one that computed, nor is any that computes: what
//! hogs its worker moves to others.
//!
//! [`Builder::stall_after`]: crate::runtime::Builder::stall_after

use std::{sync::Arc, time::Duration};

use super::{Shared, os_thread, poller::TICK, remotes::Remote, seats::Standing};
use crate::{
    prim::atomic::Ordering::Relaxed,
    stall::{self, Stall},
    timer::wheel::Nanos,
};

/// After so many ticks on one green thread a worker is asked to let others run.
const LONG_TICKS: u32 = 10;

/// For so many ticks it is remembered that a worker was stuck.
const REMEMBERED: u32 = 1_000;

/// For so many times less those who compute are waited for while it is remembered that one of them was stuck.
const HURRIED: Nanos = 4;

/// What the poller thread remembers of the workers.
#[derive(Default)]
pub(super) struct Watch {
    seen: Vec<Seen>,
    /// Whose turn it is to pass its seat on.
    turn: usize,
    /// Until when those who compute are not waited for as long, because one of them was stuck.
    hurry: Nanos,
}

/// And of one of them.
#[derive(Clone, Default)]
struct Seen {
    tick: u32,
    /// For how many of our ticks that has not changed.
    still: u32,
    /// Since when.
    since: Nanos,
    /// How long its OS thread had run, when that was first asked for since.
    cpu: Option<Duration>,
    /// How many looks in a row its OS thread was found blocked.
    blocked: u32,
    /// How many tasks were taken out of its queues since, and whether it was told of.
    taken: usize,
    /// Whether its seat was taken for it.
    is_ousted: bool,
    is_told: bool,
}

/// How long a worker may be still before it is stuck.
#[derive(Clone, Copy)]
struct Patience {
    blocking: Nanos,
    computing: Nanos,
}

/// In which way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stuck {
    Blocking,
    Computing,
}

impl Patience {
    fn least(self) -> Nanos {
        self.blocking.min(self.computing)
    }
}

impl Watch {
    /// Looks after the workers that have been on one green thread since the last tick.
    pub(super) fn look(&mut self, shared: &Arc<Shared>) {
        let now = shared.now();
        self.seen.resize(shared.remotes.started(), Seen { since: now, ..Seen::default() });
        // In a dump, or as the runtime ends.
        let stands = shared.must_stop();
        for (worker, (remote, seen)) in shared.remotes.iter().zip(&mut self.seen).enumerate() {
            let tick = remote.tick.load(Relaxed);
            if tick != seen.tick || shared.idle.standing(worker).is_asleep() {
                *seen = Seen { tick, since: now, ..Seen::default() };
                if remote.timers.is_due(|| now) {
                    remote.poke.store(true, Relaxed);
                }
            } else if stands || shared.idle.standing(worker) == Standing::Queued {
                // It runs nothing, or is kept from going on.
                help(shared, remote, 1);
                let (is_told, is_ousted) = (seen.is_told && stands, seen.is_ousted && stands);
                *seen = Seen { tick, since: now, taken: seen.taken, is_told, is_ousted, ..Seen::default() };
            } else {
                seen.still += 1;
                help(shared, remote, seen.still);
                seen.tell(shared, worker, now);
            }
            match shared.idle.standing(worker) {
                Standing::Seated | Standing::Asleep => {}
                // What was placed there before its seat was seen to be gone.
                Standing::Unseated => seen.taken += shared.rescue(worker) + shared.show_work_of(worker),
                _ => seen.taken += shared.show_work_of(worker),
            }
        }
        if self.is_any_still() && shared.remotes.capacity() > 1 && self.does_work_wait(shared) {
            self.oust_stuck(shared, now);
        }
        if shared.idle.is_waited_for() {
            self.pass_on(shared);
        }
        if shared.shortage.load(Relaxed) {
            shared.feed_starved();
        }
    }

    fn is_any_still(&self) -> bool {
        self.seen.iter().any(|seen| seen.still > 0)
    }

    /// Whether there is work that a worker could take which is not stuck.
    fn does_work_wait(&self, shared: &Shared) -> bool {
        let is_behind = |(remote, seen): (&Remote, &Seen)| {
            seen.still > 0 && (!remote.run_next.load(Relaxed).is_null() || !remote.inbox.is_empty())
        };
        shared.idle.is_waited_for()
            || shared.has_visible_work()
            || shared.remotes.iter().zip(&self.seen).any(is_behind)
    }

    /// Takes the seats of those who are stuck.
    fn oust_stuck(&mut self, shared: &Arc<Shared>, now: Nanos) {
        let blocking = Nanos::try_from(shared.stall_after.as_nanos()).unwrap_or(Nanos::MAX);
        let computing = if now < self.hurry { blocking / HURRIED } else { blocking };
        let patience = Patience { blocking, computing };
        let is_lively = |(worker, seen): (usize, &Seen)| match shared.idle.standing(worker) {
            Standing::Asleep => true,
            Standing::Seated => now - seen.since < computing,
            _ => false,
        };
        let mut anyone_lively = self.seen.iter().enumerate().any(is_lively);
        for worker in 0..self.seen.len() {
            if shared.idle.standing(worker) != Standing::Seated {
                continue;
            }
            let remote = &shared.remotes[worker];
            let seen = &mut self.seen[worker];
            let Some(stuck) = seen.is_stuck(shared, remote, now, patience, anyone_lively) else { continue };
            let Some(given) = shared.idle.oust(worker) else { continue };
            // Whoever has the seat now will do what this one does not.
            anyone_lively = true;
            seen.is_ousted = true;
            match stuck {
                Stuck::Blocking => remote.accused.store(true, Relaxed),
                Stuck::Computing => self.hurry = now + TICK.as_nanos() as Nanos * Nanos::from(REMEMBERED),
            }
            remote.stalled.store(shared.poller.tick(), Relaxed);
            remote.poke.store(true, Relaxed);
            seen.taken += shared.rescue(worker) + shared.show_work_of(worker);
            shared.given(given);
        }
    }

    /// More are to run than there are seats: one of those who have one is asked to pass it on.
    fn pass_on(&mut self, shared: &Shared) {
        let started = self.seen.len();
        let mut turns = (self.turn + 1..=self.turn + started).map(|turn| turn % started);
        if let Some(holder) = turns.find(|&worker| shared.idle.standing(worker) == Standing::Seated) {
            self.turn = holder;
            shared.ask_for_seat_of(holder);
        }
    }
}

/// Does for a worker that is still what it would do itself.
fn help(shared: &Shared, remote: &Remote, still: u32) {
    remote.timers.expire_if_due(|| shared.now());
    if still.is_multiple_of(LONG_TICKS) {
        remote.poke.store(true, Relaxed);
    }
    if !remote.run_next.load(Relaxed).is_null() || shared.has_visible_work() {
        shared.notify();
    }
}

/// Whether a worker was found stuck a short while ago.
pub(super) fn was_stuck(shared: &Shared, remote: &Remote) -> bool {
    shared.poller.tick().wrapping_sub(remote.stalled.load(Relaxed)) < REMEMBERED
}

impl Seen {
    /// Tells of a worker that is stuck, once, if others wait behind it.
    fn tell(&mut self, shared: &Arc<Shared>, worker: usize, now: Nanos) {
        let duration = Duration::from_nanos(now - self.since);
        let has_said_so = shared.idle.standing(worker) == Standing::Unseated && !self.is_ousted;
        if self.is_told
            || duration < shared.stall_after
            || has_said_so
            || !stall::is_wanted(shared.on_stall.as_ref())
        {
            return;
        }
        let remote = &shared.remotes[worker];
        let in_slot = usize::from(!remote.run_next.load(Relaxed).is_null());
        let queued = remote.spawned.len() + remote.woken.len() + remote.local.load(Relaxed) + in_slot;
        let behind = self.taken + queued + shared.rescue(worker);
        if behind == 0 {
            return;
        }
        let os_thread = Some(remote.os_thread.load(Relaxed)).filter(|&thread| thread != 0);
        let blocked_in = os_thread.and_then(os_thread::blocked_in);
        if remote.tick.load(Relaxed) != self.tick {
            // It has gone on meanwhile, and may block in a wait of ours.
            return;
        }
        self.is_told = true;
        let stall = Stall { thread: None, duration, behind, worker, os_thread, blocked_in };
        stall::report(shared, stall, self.tick);
    }

    /// In which way a worker that has a seat is stuck, if it is to lose it.
    fn is_stuck(
        &mut self,
        shared: &Shared,
        remote: &Remote,
        now: Nanos,
        patience: Patience,
        anyone_lively: bool,
    ) -> Option<Stuck> {
        let again = was_stuck(shared, remote);
        let still = now - self.since;
        if self.still == 0 || still < patience.least() / 2 && !again {
            return None;
        }
        let thread = remote.os_thread.load(Relaxed);
        if os_thread::is_runnable(thread) != Some(true) {
            self.blocked += 1;
            // Twice, for everybody blocks for a moment now and then: on a page, or on a lock of the kernel's.
            let is_stuck = self.blocked > 1 && (still >= patience.blocking || again);
            return is_stuck.then_some(Stuck::Blocking);
        }
        self.blocked = 0;
        // It computes, or would.
        let cpu = os_thread::cpu_time(thread);
        let before = *self.cpu.get_or_insert(cpu.unwrap_or_default());
        let ran = cpu.map(|cpu| cpu.saturating_sub(before));
        let enough = if again { TICK } else { Duration::from_nanos(patience.computing / 4) };
        let is_stuck = still >= patience.computing && !anyone_lively && ran.is_none_or(|ran| ran >= enough);
        is_stuck.then_some(Stuck::Computing)
    }
}
