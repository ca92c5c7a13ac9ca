//! What a worker runs next, of what is its own. The order is in the header of `scheduler`.
//!
//! R4 is that of `worker.rs`.
//!
//! # Suspension
//!
//! None: all of this happens on the worker's own stack.

use std::{
    ptr::{self, NonNull},
    time::Duration,
};

use super::{AGING, MAINTENANCE, STREAK, worker::Worker};
use crate::{
    park::Batch,
    prim::atomic::Ordering::{Acquire, Relaxed},
    task::{TaskRef, header::NO_HOME},
};

impl Worker {
    /// Chooses the next task among the worker's own.
    #[inline(always)]
    pub(super) fn next(&self) -> Option<TaskRef> {
        let tick = self.tick.get().wrapping_add(1);
        self.tick.set(tick);
        let remote = self.remote();
        remote.tick.store(tick, Relaxed);
        if !remote.inbox.is_empty() {
            self.empty_inbox();
        }
        let maintain_in = self.maintain_in.get() - 1;
        self.maintain_in.set(maintain_in);
        if (maintain_in == 0 || remote.poke.load(Relaxed))
            && let Some(found) = self.maintain()
        {
            return found;
        }
        if let Some(task) = self.take_next() {
            return Some(task);
        }
        self.streak.set(0);
        // In turn: whoever comes second this time comes first the next.
        if tick & 1 == 0
            && let Some(task) = self.spawned.pop()
        {
            return Some(task);
        }
        if let Some(task) = self.pop_woken().or_else(|| self.spawned.pop()) {
            return Some(task);
        }
        let task = self.yielded.pop_front();
        if self.yielded.is_empty() {
            self.since_drained.set(0);
        }
        self.yielded.fetch_ahead();
        task
    }

    #[inline]
    fn pop_woken(&self) -> Option<TaskRef> {
        // In turn again: in anchored mode `woken` holds what came from the injector, behind which tasks that yield must not stand for ever, nor
        // before it.
        if self.tick.get() & 2 == 0
            && let Some(task) = self.woken.pop()
        {
            return Some(task);
        }
        let task = self.local.pop_front();
        self.local.fetch_ahead();
        task.or_else(|| self.woken.pop())
    }

    /// Takes a run-next task, unless these have gone first for long enough; then it queues behind the others.
    #[inline]
    fn take_next(&self) -> Option<TaskRef> {
        let task = match self.next_local.take() {
            // SAFETY: the slot's reference (R4).
            Some(task) => unsafe { TaskRef::from_raw(task) },
            None => self.take_run_next()?,
        };
        let streak = self.streak.get() + 1;
        self.streak.set(streak);
        if streak <= STREAK {
            return Some(task);
        }
        self.streak.set(0);
        self.after_streak(task)
    }

    /// Takes our own run-next task. With no other worker there is no thief, and no need for a read-modify-write.
    #[inline]
    fn take_run_next(&self) -> Option<TaskRef> {
        if self.seen_ticks.len() > 1 {
            return self.remote().take_run_next();
        }
        let slot = &self.remote().run_next;
        let task = NonNull::new(slot.load(Relaxed))?;
        slot.store(ptr::null_mut(), Relaxed);
        // SAFETY: the slot's reference (R4).
        Some(unsafe { TaskRef::from_raw(task) })
    }

    #[cold]
    fn after_streak(&self, task: TaskRef) -> Option<TaskRef> {
        // The other slot first: with two that wake each other, nothing else ever looks there.
        let other = self.take_run_next();
        let other = other.or_else(|| self.pop_woken()).or_else(|| self.spawned.steal_oldest());
        let other = other.or_else(|| self.yielded.pop_front());
        if other.is_none() {
            return Some(task);
        }
        self.queue(task);
        other
    }

    #[inline(never)]
    pub(super) fn empty_inbox(&self) {
        let mut is_visible = false;
        self.remote().inbox.take(|node| {
            let node = NonNull::new(node).expect("an inbox holds no null");
            // SAFETY: the inbox's reference (R4).
            let task = unsafe { TaskRef::from_raw(node) };
            if task.is_on_stack() {
                self.local.push_back(task);
            } else {
                // Where others find it, should what runs before it keep this worker.
                task.home.set(NO_HOME);
                self.woken.push(task);
                is_visible = true;
            }
        });
        if is_visible {
            self.notify();
        }
        self.heed_probe();
    }

    /// What a worker looks at now and then even though it has work. `Some(None)`: it may not run any, for want of a seat.
    #[inline(never)]
    fn maintain(&self) -> Option<Option<TaskRef>> {
        let looks = self.since_drained.get() + 1;
        let is_aged = looks >= AGING;
        self.since_drained.set(if is_aged { 0 } else { looks });
        self.maintain_in.set(MAINTENANCE);
        self.sample();
        self.remote().poke.store(false, Relaxed);
        if !self.keep_seat() {
            self.remote().poke.store(true, Relaxed);
            return Some(None);
        }
        self.expire_timers();
        self.poll_driver();
        self.slab().collect();
        if is_aged {
            self.local.append(&self.yielded);
        }
        let oldest =
            self.take_injected().or_else(|| if is_aged { self.spawned.steal_oldest() } else { None });
        oldest.or_else(|| self.take_run_next()).map(Some)
    }

    /// Fires the wheel. `true`: something became ready.
    pub(super) fn expire_timers(&self) -> bool {
        self.remote().timers.expire_if_due(|| self.shared().now())
    }

    /// Looks at the driver without blocking. `true`: something became ready.
    pub(super) fn poll_driver(&self) -> bool {
        let Some(driver) = self.shared().busy_driver() else { return false };
        let mut ready = Batch::new();
        self.shared().polls.fetch_add(1, Relaxed);
        if driver.wait(Some(Duration::ZERO), &mut ready).is_err() {
            return false;
        }
        let any = !ready.is_empty();
        self.remote().counters.count_readiness(ready.len());
        ready.schedule();
        any
    }

    pub(super) fn take_injected(&self) -> Option<TaskRef> {
        if self.shared().injector.is_empty() {
            return None;
        }
        // A fair share: others will come for theirs.
        let share = self.shared().injector.len() / self.shared().remotes.regular() + 1;
        let task = self.woken.take_from(&self.shared().injector, share.min(32))?;
        if !self.woken.is_empty() {
            // For a moment the rest was in neither queue; who looked then did not see it.
            self.notify();
        }
        Some(task)
    }

    /// Whether it has a task of its own to run.
    pub(super) fn has_own_work(&self) -> bool {
        self.has_home_work()
            || !self.spawned.is_empty()
            || !self.woken.is_empty()
            || !self.remote().run_next.load(Acquire).is_null()
    }

    /// Whether it has one that nobody else could run.
    pub(super) fn has_home_work(&self) -> bool {
        !self.local.is_empty()
            || !self.yielded.is_empty()
            || self.next_local.get().is_some()
            || !self.remote().inbox.is_empty()
    }
}
