//! Figures about a running runtime: what [`Handle::metrics`](crate::runtime::Handle::metrics) returns.
//!
//! | file | what is in it |
//! |---|---|
//! | `counters.rs` | what the threads of a runtime count |
//! | `histogram.rs` | durations by the number |
//!
//! A look reads what is counted anyway; nothing stands still for it, so the figures are not all of the same moment.
//!
//! # Sources
//!
//! tokio's `RuntimeMetrics` and Go's `runtime/metrics` for what to tell.

mod counters;
mod histogram;

use std::time::Duration;

pub(crate) use self::counters::Counters;
use self::counters::add;
pub use self::histogram::Histogram;
pub use crate::pool::PoolMetrics;
use crate::{
    prim::atomic::Ordering::{Acquire, Relaxed},
    scheduler::{Shared, current, remotes::Remote, seats::Standing},
};

/// Figures about a runtime, of about one moment. Made by [`Handle::metrics`](crate::runtime::Handle::metrics). What counts only grows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// Of each worker, and then of each spare worker that was ever started.
    pub workers: Vec<WorkerMetrics>,
    /// How many spare workers were started, for workers that were stuck.
    pub spares: usize,
    /// Green threads that have been spawned and have not ended.
    pub live: u64,
    /// Green threads that have been spawned.
    pub spawned: u64,
    /// Green threads that have ended.
    pub finished: u64,
    /// Green threads that were spawned or woken from outside, and that no worker has taken yet.
    pub injected: usize,
    /// Deadlines ahead: sleeps, and waits with a time limit.
    pub timers: usize,
    /// How many green threads were woken because something was ready: a socket, a pipe, whatever the driver watches.
    pub readiness: u64,
    /// Stacks that are in use, or kept by a worker for its next green thread.
    pub stacks: usize,
    /// For how long green threads that were woken have waited for a worker. A sample: at most one in a millisecond for each worker, and in roaming mode
    /// not those that another worker took over.
    pub delays: Histogram,
    /// The pool behind [`unblock`](crate::unblock), which is the process's.
    pub pool: PoolMetrics,
}

/// Figures about a worker. In [`Metrics`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// How often it has run a green thread until that waited, yielded or ended.
    pub resumes: u64,
    /// How often it took green threads from another worker, one or several.
    pub steals: u64,
    /// How often it had nothing to run and went to sleep.
    pub sleeps: u64,
    /// How often another thread has woken it.
    pub wakes: u64,
    /// How many green threads stand in its queues. Those that were woken and live there are counted now and then, each 61st time that it chooses among them
    /// at the latest.
    pub queued: usize,
    /// How long it was awake.
    pub busy: Duration,
    /// The longest that one green thread has kept it without a wait or a yield, as far as the poller thread has seen, which looks once a millisecond.
    pub longest_stall: Duration,
}

impl WorkerMetrics {
    fn new(remote: &Remote, now: u64) -> Self {
        let counters = &remote.counters;
        let in_slot = usize::from(!remote.run_next.load(Relaxed).is_null());
        Self {
            resumes: counters.resumes(|| remote.tick.load(Relaxed)),
            steals: counters.steals(),
            sleeps: counters.sleeps(),
            wakes: counters.wakes(),
            queued: remote.local.load(Relaxed) + remote.spawned.len() + remote.woken.len() + in_slot,
            busy: Duration::from_nanos(counters.busy(now)),
            longest_stall: Duration::from_nanos(counters.longest_stall()),
        }
    }
}

/// Looks at all there is.
pub(crate) fn collect(shared: &Shared) -> Metrics {
    if let Some(worker) = current::worker() {
        worker.tell_queued();
    }
    let remotes = || shared.remotes.iter();
    // Ends first: whatever ended was spawned before.
    let finished: u64 = remotes().map(|remote| remote.ends.load(Acquire)).sum();
    let spawned = remotes().map(|remote| remote.spawns.load(Relaxed)).sum::<u64>();
    let spawned = spawned + shared.world.spawns.load(Relaxed);
    let now = shared.now();
    let mut delays = Histogram::new();
    remotes().for_each(|remote| remote.counters.add_delays(&mut delays));
    Metrics {
        workers: remotes().map(|remote| WorkerMetrics::new(remote, now)).collect(),
        spares: shared.remotes.started() - shared.remotes.regular(),
        live: spawned - finished,
        spawned,
        finished,
        injected: shared.injector.len(),
        timers: remotes().map(|remote| remote.timers.len()).sum(),
        readiness: shared.poller.readiness()
            + remotes().map(|remote| remote.counters.readiness()).sum::<u64>(),
        stacks: shared.stacks.live(),
        delays,
        pool: crate::pool::metrics(),
    }
}

/// Looks at the workers from the poller thread, once in each of its ticks.
pub(crate) fn watch(shared: &Shared) {
    let now = shared.now();
    shared.poller.set_clock(now);
    for (worker, remote) in shared.remotes.iter().enumerate() {
        let rests = !matches!(shared.idle.standing(worker), Standing::Seated | Standing::Unseated);
        remote.counters.watch(remote.tick.load(Relaxed), rests, now);
    }
}
