//! What is counted while a runtime runs: by each worker on cache lines of its own, and by the poller thread.
//!
//! Nothing here is on the path of a switch. How often a worker has resumed is known from its tick, which it counts anyway, less the ticks that found
//! nothing; how long it was busy, from the clock when it falls asleep and wakes; how long a green thread has to wait once it is ready, from samples, one
//! in each of the poller thread's ticks at most ([`Probe`]).
//!
//! # Roles
//!
//! The fields of [`Counters`] are written by their worker, those of [`Watch`] by the poller thread; a [`Probe`] is set by whoever wakes a task for the worker,
//! and cleared by the worker. Anybody reads.
//!
//! # Invariants
//!
//! - **N1** Each counter has one writer, so a load and a store make an addition.
//! - **N2** `Probe::key` is 0, or `CLAIMED` by a waker, or the key of a task that the worker will resume, unless another worker does (roaming mode). The time
//!   is written between the last two.
//!
//! # Orderings
//!
//! Relaxed: figures, each by itself. But `Probe::key` is written Release and read Acquire, for the time beside it.
//!
//! # Checked by
//!
//! `tests/metrics.rs`.

use crossbeam_utils::CachePadded;

use super::histogram::{Histogram, Tally};
use crate::{
    prim::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    task::Header,
    timer::wheel::Nanos,
};

/// Adds to a counter whose only writer is the caller (N1).
#[inline]
pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed) + n, Relaxed);
}

/// After so many ticks of the poller thread a probe is given up: its task was taken by another worker.
const PROBE_TICKS: u32 = 1000;

/// What one worker counts, and what is known of it.
#[derive(Default)]
pub(crate) struct Counters {
    own: CachePadded<Own>,
    probe: CachePadded<Probe>,
    watch: CachePadded<Watch>,
}

#[derive(Default)]
struct Own {
    /// The worker's tick with all its bits, as of the latest look around.
    ticks: AtomicU64,
    /// Ticks that found nothing to run.
    misses: AtomicU64,
    /// Those of them after which it has found something all the same.
    finds: AtomicU64,
    steals: AtomicU64,
    sleeps: AtomicU64,
    wakes: AtomicU64,
    readiness: AtomicU64,
    /// Twice the time that it has slept; or, while it sleeps, twice the time that it has not, and one.
    slept: AtomicU64,
    delays: Tally,
}

/// A sample on its way: a task that was woken, and when.
#[derive(Default)]
struct Probe {
    key: AtomicU64,
    at: AtomicU64,
    /// The poller thread's tick at the latest one.
    tick: AtomicU32,
}

/// A waker is about to write a probe.
const CLAIMED: u64 = u64::MAX;

/// What the poller thread sees of a worker.
#[derive(Default)]
struct Watch {
    tick: AtomicU32,
    /// When it was first seen.
    since: AtomicU64,
    longest: AtomicU64,
}

/// By which a task is known again in the wait that has just ended. Never 0.
fn key(task: &Header) -> u64 {
    let key = task.meta.id << 32 | u64::from(task.state.epoch_of_wait());
    key.clamp(1, CLAIMED - 1)
}

impl Counters {
    /// A tick has found nothing to run.
    pub(crate) fn count_miss(&self) {
        add(&self.own.misses, 1);
    }

    /// The look round has.
    pub(crate) fn count_find(&self) {
        add(&self.own.finds, 1);
    }

    pub(crate) fn count_steal(&self) {
        add(&self.own.steals, 1);
    }

    /// So many green threads were woken by what the driver told the worker.
    pub(crate) fn count_readiness(&self, n: usize) {
        add(&self.own.readiness, n as u64);
    }

    /// Keeps the tick before it can wrap.
    pub(crate) fn keep_ticks(&self, tick: u32) {
        let ticks = &self.own.ticks;
        let step = tick.wrapping_sub(ticks.load(Relaxed) as u32);
        add(ticks, u64::from(step));
    }

    pub(crate) fn fall_asleep(&self, now: Nanos) {
        add(&self.own.sleeps, 1);
        let busy = now.saturating_sub(self.own.slept.load(Relaxed) >> 1);
        self.own.slept.store(busy << 1 | 1, Relaxed);
    }

    /// `woken`: by another thread.
    pub(crate) fn wake_up(&self, now: Nanos, woken: bool) {
        let busy = self.own.slept.load(Relaxed) >> 1;
        self.own.slept.store(now.saturating_sub(busy) << 1, Relaxed);
        add(&self.own.wakes, u64::from(woken));
    }

    /// Whether a task that is woken for the worker now is to be a sample. `tick` is the poller thread's.
    #[inline]
    pub(crate) fn wants_probe(&self, tick: u32) -> bool {
        self.probe.tick.load(Relaxed) != tick
    }

    /// Makes a task that was woken a sample, if there is none on its way. By anybody who owns the task.
    #[cold]
    pub(crate) fn set_probe(&self, task: &Header, tick: u32, now: impl FnOnce() -> Nanos) {
        let probe = &self.probe;
        if probe.key.compare_exchange(0, CLAIMED, Acquire, Relaxed).is_err() {
            return;
        }
        probe.tick.store(tick, Relaxed);
        probe.at.store(now(), Relaxed);
        probe.key.store(key(task), Release);
    }

    /// Whether a sample is on its way.
    #[inline]
    pub(crate) fn has_probe(&self) -> bool {
        self.probe.key.load(Relaxed) != 0
    }

    /// Counts the sample if it is `task`, which is about to run. `false`: it is not there yet. By the worker.
    pub(crate) fn end_probe(&self, task: &Header, now: impl FnOnce() -> Nanos) -> bool {
        let found = self.probe.key.load(Acquire) == key(task);
        if found {
            self.own.delays.count(now().saturating_sub(self.probe.at.load(Relaxed)));
            self.probe.key.store(0, Release);
        }
        found
    }

    /// Gives a sample up that another worker must have run. By the worker.
    pub(crate) fn expire_probe(&self, tick: u32) {
        let age = tick.wrapping_sub(self.probe.tick.load(Relaxed));
        if age > PROBE_TICKS && !matches!(self.probe.key.load(Acquire), 0 | CLAIMED) {
            self.probe.key.store(0, Release);
        }
    }

    /// Looks at the worker from the poller thread, once in each of its ticks.
    pub(crate) fn watch(&self, tick: u32, is_asleep: bool, now: Nanos) {
        let watch = &self.watch;
        // A tick of 0: it has not begun.
        if is_asleep || tick == 0 || watch.tick.load(Relaxed) != tick {
            watch.tick.store(tick, Relaxed);
            watch.since.store(now, Relaxed);
            return;
        }
        let still = now.saturating_sub(watch.since.load(Relaxed));
        if still > watch.longest.load(Relaxed) {
            watch.longest.store(still, Relaxed);
        }
    }

    /// How often the worker has resumed a task; one too many while it finds that there is none. `tick` is its tick, read after what was kept of it.
    pub(crate) fn resumes(&self, tick: impl FnOnce() -> u32) -> u64 {
        let (finds, kept) = (self.own.finds.load(Relaxed), self.own.ticks.load(Relaxed));
        let ticks = kept + u64::from(tick().wrapping_sub(kept as u32));
        (ticks + finds).saturating_sub(self.own.misses.load(Relaxed))
    }

    pub(crate) fn steals(&self) -> u64 {
        self.own.steals.load(Relaxed)
    }

    pub(crate) fn sleeps(&self) -> u64 {
        self.own.sleeps.load(Relaxed)
    }

    pub(crate) fn wakes(&self) -> u64 {
        self.own.wakes.load(Relaxed)
    }

    pub(crate) fn readiness(&self) -> u64 {
        self.own.readiness.load(Relaxed)
    }

    /// How long the worker was not asleep.
    pub(crate) fn busy(&self, now: Nanos) -> Nanos {
        let slept = self.own.slept.load(Relaxed);
        if slept & 1 == 1 { slept >> 1 } else { now.saturating_sub(slept >> 1) }
    }

    /// Since when the worker has been on the same task.
    pub(crate) fn at_it_since(&self) -> Nanos {
        self.watch.since.load(Relaxed)
    }

    pub(crate) fn longest_stall(&self) -> Nanos {
        self.watch.longest.load(Relaxed)
    }

    pub(super) fn add_delays(&self, sum: &mut Histogram) {
        sum.add(&self.own.delays);
    }
}
