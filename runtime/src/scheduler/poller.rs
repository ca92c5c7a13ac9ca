//! The poller thread: it serves the driver when no worker does, and watches the workers.
//!
//! A worker with nothing to run waits on the driver itself: an event then wakes the thread that will handle it, with no
//! second hop. While every worker is busy nobody would look; so the poller thread ticks once a millisecond while any worker is
//! awake, and takes their place as soon as it finds that they do not look: it waits on the driver if somebody sleeps whom an event could wake, and
//! else glances at it, once in each tick. It runs no user code but wakers that are foreign.
//!
//! # Roles
//!
//! The poller thread runs [`main`]. Workers call [`Control::rouse`] when they leave a sleep.
//!
//! # Invariants
//!
//! - **O1** While a driver exists and all workers sleep, within two ticks one thread blocks in it: the worker that holds `Shared::polling`, or
//!   the poller thread. While none of them sleeps, somebody looks at it at least once in two ticks.
//! - **O2** The poller thread sleeps without a time limit only after it announced so in `deep`, fenced, and found all workers asleep; a
//!   worker that leaves its sleep fences and looks at `deep`. So one of them sees the other.
//!
//! # Orderings
//!
//! `deep` is Relaxed between the two `SeqCst` fences of O2. `Shared::polling` is taken with Acquire and given back with Release.
//!
//! # Rejected
//!
//! - A poller thread that always blocks in the driver, with workers asleep in futexes: two hops for each event, and on a busy
//!   runtime it competes with the workers that look at the driver themselves.
//! - To wait on the driver also while all workers are busy: each event woke the poller thread, of sockets that a worker was just reading from too, and where it
//!   shared the worker's CPU that made two switches for each message of a server that was too busy to look itself; and it did not become less busy by that.
//! - All idle workers blocking in one epoll: none could be woken by name.
//!
//! # Checked by
//!
//! `loom-tests/tests/poller.rs`.
//!
//! # Sources
//!
//! Go's `sysmon` and its rule that an idle thread blocks in the poller.

use std::{sync::Arc, time::Duration};

use crossbeam_utils::CachePadded;

use super::{EXITING, RUNNING, Shared, deadlock::Detector, sleeper::Sleeper, spares, watch::Watch};
use crate::{
    metrics,
    park::Batch,
    prim::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        fence,
    },
    seam,
    timer::wheel::Nanos,
};

/// How often it looks while a worker is awake.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// After so many ticks with all workers asleep it sleeps too.
const QUIET_TICKS: u32 = 16;

/// How the poller thread is reached.
#[derive(Debug, Default)]
pub struct Control {
    sleeper: Sleeper,
    deep: AtomicBool,
    tick: AtomicU32,
    /// See [`clock`](Self::clock).
    clock: AtomicU64,
    /// How many tasks it has woken for the driver.
    readiness: CachePadded<AtomicU64>,
}

impl Control {
    /// A clock that counts the poller thread's ticks.
    #[inline]
    pub fn tick(&self) -> u32 {
        self.tick.load(Relaxed)
    }

    /// The runtime's clock as of the latest tick, in milliseconds, doubled.
    #[inline]
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.clock.load(Relaxed)
    }

    /// Sets the clock: in each tick, and when the poller thread is roused, since it did not tick while all slept.
    pub(crate) fn set_clock(&self, now: Nanos) {
        self.clock.store(now / 1_000_000 * 2, Relaxed);
    }

    /// How many tasks it has woken for the driver.
    #[must_use]
    pub fn readiness(&self) -> u64 {
        self.readiness.load(Relaxed)
    }

    /// Announces that the poller thread is about to sleep without a limit (O2).
    pub fn announce_deep(&self) {
        self.deep.store(true, Relaxed);
        fence(SeqCst); // O2, pairs with `must_rouse`
    }

    /// Takes the announcement back.
    pub fn revoke_deep(&self) {
        self.deep.store(false, Relaxed);
    }

    /// Whether the poller thread sleeps without a limit and the caller is the one to wake it (O2).
    pub fn must_rouse(&self) -> bool {
        fence(SeqCst); // O2, pairs with `announce_deep`
        self.deep.load(Relaxed) && self.deep.swap(false, Relaxed)
    }

    /// A worker is awake, or something else has come up that the poller thread must see to.
    pub(crate) fn rouse(&self, shared: &Shared) {
        if self.must_rouse() {
            self.set_clock(shared.now());
            shared.kick(&self.sleeper, self.sleeper.wake(false));
        }
    }

    /// Wakes the poller thread whatever it does.
    pub(crate) fn wake(&self, shared: &Shared) {
        shared.kick(&self.sleeper, self.sleeper.wake(false));
    }
}

/// Runs the poller thread until the runtime ends.
pub(crate) fn main(shared: &Arc<Shared>) {
    shared.poller.sleeper.adopt();
    let mut watch = Watch::default();
    let mut polls = shared.polls.load(Relaxed);
    let mut quiet = 0;
    let mut detector = Detector::new();
    let mut holding = false;
    while shared.phase.load(Relaxed) != EXITING {
        let all_asleep = shared.idle.awake() == 0;
        quiet = if all_asleep { quiet + 1 } else { 0 };
        let before = std::mem::replace(&mut polls, shared.polls.load(Relaxed));
        let is_missed = before == polls;
        // Whether an event would wake somebody else.
        let somebody_sleeps = all_asleep || shared.idle.sleeping() > 0;
        if holding && (!somebody_sleeps || !is_missed && !all_asleep) {
            shared.polling.store(false, Release);
            holding = false;
        } else if !holding && is_missed && somebody_sleeps && shared.driver.get().is_some() {
            holding = !shared.polling.swap(true, Acquire);
        }
        if is_missed && !somebody_sleeps {
            glance(shared);
        }
        let limit = if quiet > QUIET_TICKS { detector.look(shared) } else { None };
        let deep = quiet > QUIET_TICKS && announce(shared);
        let events = if deep { wait(shared, holding, limit) } else { wait_a_tick(shared, holding) };
        shared.poller.revoke_deep();
        if events && holding {
            // Whoever was woken for them may wait on the driver next.
            shared.polling.store(false, Release);
            holding = false;
        }
        shared.poller.tick.store(shared.poller.tick().wrapping_add(1), Relaxed);
        watch.look(shared);
        spares::start_one(shared);
        metrics::watch(shared);
    }
    if holding {
        shared.polling.store(false, Release);
    }
}

/// Looks at the driver, which nobody else does.
fn glance(shared: &Shared) {
    if let Some(driver) = shared.busy_driver() {
        let mut ready = Batch::new();
        // If it cannot be looked at, the next tick tries again.
        let _ = driver.wait(Some(Duration::ZERO), &mut ready);
        schedule(shared, ready);
    }
}

/// Queues what the driver gave. `true`: it was something.
fn schedule(shared: &Shared, mut ready: Batch) -> bool {
    let events = !ready.is_empty();
    let readiness = &shared.poller.readiness;
    readiness.store(readiness.load(Relaxed) + ready.len() as u64, Relaxed);
    ready.schedule();
    events
}

/// Announces a deep sleep. `false`: a worker is awake after all.
fn announce(shared: &Shared) -> bool {
    shared.poller.announce_deep();
    shared.idle.awake() == 0 && !shared.shortage.load(Relaxed)
}

/// Sleeps for a tick, but for what is due meanwhile on workers without a seat. `true`: there was readiness.
fn wait_a_tick(shared: &Shared, holding: bool) -> bool {
    let end = shared.now() + TICK.as_nanos() as Nanos;
    loop {
        let until = shared.earliest_unseated().map_or(end, |next| next.min(end));
        let timeout = Duration::from_nanos(until.saturating_sub(shared.now()));
        let events = wait(shared, holding, Some(timeout));
        shared.expire_unseated();
        let is_wanted = shared.phase.load(Relaxed) != RUNNING || spares::is_wanted(shared);
        if events || is_wanted || shared.now() >= end {
            return events;
        }
    }
}

/// Sleeps, in the driver if it is ours to wait on. `true`: there was readiness.
fn wait(shared: &Shared, holding: bool, timeout: Option<Duration>) -> bool {
    let sleeper = &shared.poller.sleeper;
    let driver = shared.driver.get().filter(|_| holding);
    let Some(driver) = driver else {
        let _ = sleeper.block(timeout.map(|timeout| seam::now() + timeout));
        return false;
    };
    let mut ready = Batch::new();
    if sleeper.begin(true) && driver.wait(timeout, &mut ready).is_err() {
        // A driver that cannot wait must not make us spin.
        std::thread::park_timeout(TICK);
    }
    let _ = sleeper.awake();
    schedule(shared, ready)
}
