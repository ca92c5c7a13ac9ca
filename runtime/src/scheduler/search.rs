//! What a worker does that has nothing to run: it looks round, steals, and sleeps.
//!
//! # Invariants
//!
//! D2 and D3 are those of `idle.rs`. What a round leaves out is told in `restraint.rs`.
//!
//! # Suspension
//!
//! None: all of this happens on the worker's own stack.

use std::time::{Duration, Instant};

use super::{idle::Ended, restraint, seats::Standing, sleeper::Woke, worker::Worker};
use crate::{
    park::Batch,
    prim::{
        atomic::Ordering::{Acquire, Relaxed, Release},
        hint,
    },
    seam,
    task::TaskRef,
};

/// The round after which a searcher sleeps; the first is round 0. The pauses between rounds double, so that the last is long enough to tell
/// that a worker is stuck, and that those who work are hardly disturbed: each look at a victim's deque takes its cache line away.
const LAST_ROUND: u32 = 8;

// A round that leaves nothing out precedes the last, for the ticks that it notes.
const _: () = assert!(restraint::MOST < LAST_ROUND);

/// After so many rounds a searcher goes to wait in the driver, if nobody else does and no slot asks for patience.
const ROUNDS_WITHOUT_DRIVER: u32 = 4;

/// The pause after the first round, in spins of some tens of cycles.
const FIRST_PAUSE: u32 = 8;

/// How much a thief takes at most.
const STEAL_LIMIT: usize = 32;

/// After how long a sleep a worker gives the pages of its pooled stacks back.
const TRIM_AFTER: Duration = Duration::from_millis(500);

impl Worker {
    /// Returns what it found, or nothing when there may be something in the worker's own queues.
    #[inline(never)]
    pub(super) fn search(&self) -> Option<TaskRef> {
        let counters = &self.remote().counters;
        counters.count_miss();
        self.tell_queued();
        self.restraint.judge(seam::now);
        let found = self.look_round();
        if found.is_some() {
            counters.count_find();
        }
        found
    }

    fn look_round(&self) -> Option<TaskRef> {
        if self.shared().idle.standing(self.index()) == Standing::Unseated {
            // To see to that at the next tick.
            self.remote().poke.store(true, Relaxed);
            return None;
        }
        if let Some(task) = self.take_injected() {
            return Some(task);
        }
        // With nobody to steal from, the next thing would be to block in the driver, which is one call in place of two.
        let expired = self.expire_timers();
        if expired || !self.is_to_block_in_driver() && self.poll_driver() || self.has_own_work() {
            return None;
        }
        if !self.searching.get() && self.shared().idle.start_searching() {
            self.searching.set(true);
        }
        if self.searching.get()
            && let Some(task) = self.steal_in_rounds()
        {
            return Some(task);
        }
        if !self.has_own_work() {
            self.sleep();
        }
        None
    }

    /// Whether all others sleep, and none of them in the driver. A hint.
    fn is_to_block_in_driver(&self) -> bool {
        let shared = self.shared();
        shared.idle.awake() <= 1 && !shared.polling.load(Relaxed)
    }

    /// A searcher that has work passes the duty on, if there is more (D2).
    #[cold]
    pub(super) fn stop_searching(&self) {
        self.searching.set(false);
        if self.shared().idle.stop_searching() && self.shared().has_visible_work() {
            self.shared().notify();
        }
    }

    fn steal_in_rounds(&self) -> Option<TaskRef> {
        let shared = self.shared();
        for round in 0..LAST_ROUND {
            let spares_woken = self.restraint.leaves_out_round();
            if let Some(task) = self.steal(round, spares_woken) {
                return Some(task);
            }
            // When all others sleep, or have shown what they have, work can only come from outside, and that wakes.
            if !self.has_peer_at_work() || round + 1 >= ROUNDS_WITHOUT_DRIVER && self.is_missed_in_driver() {
                return None;
            }
            for _ in 0..FIRST_PAUSE << round {
                hint::spin_loop();
            }
            if !shared.injector.is_empty() || self.has_own_work() || shared.must_stop() {
                return None;
            }
        }
        self.steal(LAST_ROUND, false)
    }

    /// Whether another worker runs that has a seat: one that has none shows its work in the injector.
    fn has_peer_at_work(&self) -> bool {
        let shared = self.shared();
        (0..shared.remotes.started())
            .any(|worker| worker != self.index() && shared.idle.standing(worker) == Standing::Seated)
    }

    /// Whether nobody waits in the driver, and there is no slot to which patience would help. A hint: who sleeps looks again (D2).
    fn is_missed_in_driver(&self) -> bool {
        let shared = self.shared();
        let has_slot = |worker: usize| !shared.remotes[worker].run_next.load(Relaxed).is_null();
        !shared.polling.load(Relaxed)
            && shared.busy_driver().is_some()
            && !(0..shared.remotes.started()).any(has_slot)
    }

    /// One round over the others, from a random one on, which may spare what they have woken.
    fn steal(&self, round: u32, spares_woken: bool) -> Option<TaskRef> {
        let workers = self.shared().remotes.started();
        let start = self.random(workers);
        for victim in (start..workers).chain(0..start) {
            if victim == self.index() {
                continue;
            }
            if let Some(task) = self.steal_from(victim, spares_woken) {
                return Some(task);
            }
            let tick = self.shared().remotes[victim].tick.load(Relaxed);
            if round < LAST_ROUND {
                self.seen_ticks[victim].set(tick);
            } else if self.seen_ticks[victim].get() == tick
                // On the last round, and only of one that has not switched since the last but one.
                && let Some(task) = self.shared().remotes[victim].take_run_next()
            {
                return self.stolen(task);
            }
        }
        None
    }

    #[cold]
    fn stolen(&self, task: TaskRef) -> Option<TaskRef> {
        self.remote().counters.count_steal();
        Some(task)
    }

    fn steal_from(&self, victim: usize, spares_woken: bool) -> Option<TaskRef> {
        let remote = &self.shared().remotes[victim];
        if let Some(task) = self.spawned.steal_from(&remote.spawned, STEAL_LIMIT) {
            return self.stolen(task);
        }
        if spares_woken {
            return None;
        }
        let task = self.woken.steal_from(&remote.woken, STEAL_LIMIT)?;
        self.restraint.stole(seam::now());
        self.stolen(task)
    }

    /// Sleeps until there may be something to run.
    pub(super) fn sleep(&self) {
        let shared = self.shared();
        while self.slab().collect() {}
        self.remote().counters.fall_asleep(shared.now());
        if let Some(heir) = shared.idle.sleep(self.index(), self.searching.replace(false)) {
            shared.wake_worker(heir, false);
        }
        let mut trimmed = false;
        loop {
            // D2: what came before the others could see us asleep.
            if self.is_wanted() || shared.must_stop() {
                return self.end_sleep(Woke::Unasked);
            }
            let mut ready = Batch::new();
            let (woke, timed_out) = self.block(!trimmed, &mut ready);
            if woke != Woke::Unasked || !ready.is_empty() || !timed_out {
                self.end_sleep(woke);
                let several = ready.len() > 1;
                ready.schedule();
                if several {
                    // The rest of the readiness is for whoever else is idle to see to.
                    shared.notify();
                }
                return;
            }
            if self.remote().timers.is_due(|| shared.now()) {
                return self.end_sleep(woke);
            }
            if !trimmed {
                trimmed = true;
                // SAFETY: on the worker's own stack (R3 of `worker.rs`).
                shared.stacks.trim(unsafe { &mut *self.stacks.get() });
            }
        }
    }

    /// Whether there is something that a worker which is about to sleep is to run (D2).
    fn is_wanted(&self) -> bool {
        let shared = self.shared();
        let has_visible_work = shared.has_visible_work();
        if shared.idle.standing(self.index()) != Standing::Retired {
            return has_visible_work || self.has_own_work();
        }
        if has_visible_work {
            // For somebody with a seat to see to.
            shared.notify();
        }
        self.has_home_work()
    }

    /// Blocks the thread, in the driver if nobody else does, else in a futex. Tells also whether time was up, or may have been.
    fn block(&self, trim: bool, ready: &mut Batch) -> (Woke, bool) {
        let shared = self.shared();
        let sleeper = &self.remote().sleeper;
        let next = self.remote().timers.next_deadline().and_then(|at| shared.instant(at));
        let until = match (next, trim) {
            (next, false) => next,
            (next, true) => {
                let trim = seam::now() + TRIM_AFTER;
                Some(next.map_or(trim, |next| next.min(trim)))
            }
        };
        let is_over = |until: Option<Instant>| until.is_some_and(|at| seam::now() >= at);
        let Some(driver) = shared.driver.get().filter(|_| !shared.polling.swap(true, Acquire)) else {
            return (sleeper.block(until), is_over(until));
        };
        if sleeper.begin(true) {
            let timeout = until.map(|at| at.saturating_duration_since(seam::now()));
            shared.polls.fetch_add(1, Relaxed);
            if driver.wait(timeout, ready).is_err() {
                // A driver that cannot wait must not make us spin; the poller thread will try again.
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        shared.polling.store(false, Release);
        self.remote().counters.count_readiness(ready.len());
        (sleeper.awake(), is_over(until))
    }

    /// Takes the worker off the list of sleepers, unless who woke it did.
    fn end_sleep(&self, woke: Woke) {
        self.remote().counters.wake_up(self.shared().now(), woke != Woke::Unasked);
        let woke = match woke {
            Woke::Unasked => match self.shared().idle.cancel_sleep(self.index()) {
                Ended::Searching => Woke::Searching,
                Ended::Unseated => Woke::Woken,
                // Somebody took us out; the wake that goes with it is on its way (D3).
                Ended::Already => {
                    let woke = self.remote().sleeper.block(None);
                    if woke == Woke::Woken && self.shared().has_visible_work() {
                        // It was for our inbox, and the work we saw may have been announced to us when we still searched (D2).
                        self.shared().notify();
                    }
                    woke
                }
            },
            woke => woke,
        };
        self.searching.set(woke == Woke::Searching);
        if self.shared().idle.standing(self.index()) == Standing::Unseated {
            self.remote().poke.store(true, Relaxed);
        }
        self.shared().poller.rouse(self.shared());
    }
}
