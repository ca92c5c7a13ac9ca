//! Where a task goes that is ready, as it was spawned or woken, and who is told. The rules are in the header of `scheduler`.
//!
//! R4 is that of `worker.rs`, S1 that of `state.rs`, G1 that of `scheduler`.
//!
//! # Suspension
//!
//! None.

use std::ptr::NonNull;

use super::{seats::Standing, watch, worker::Worker};
use crate::{
    prim::atomic::Ordering::{AcqRel, Relaxed, Release},
    task::{Header, TaskRef, header::NO_HOME},
};

impl Worker {
    /// Queues a ready task where its kind belongs, oldest first.
    #[inline]
    pub(super) fn queue(&self, task: TaskRef) {
        if task.home.get() == NO_HOME {
            self.woken.push(task);
        } else {
            debug_assert_eq!(task.home.get() as usize, self.index(), "G1");
            self.local.push_back(task);
        }
    }

    /// Queues a new task.
    #[inline]
    pub(crate) fn spawn(&self, task: TaskRef) {
        if self.hands.current().is_null() {
            // By an event.
            return self.spawn_in_turn(task);
        }
        let remote = self.remote();
        remote.spawns.store(remote.spawns.load(Relaxed) + 1, Relaxed);
        if self.spread.get()
            && let Some(worker) = self.next_in_turn()
        {
            task.home.set(worker);
            return self.shared().send_home(task);
        }
        let task = task.into_raw().as_ptr();
        if remote.run_next.load(Relaxed).is_null() {
            // Thieves only ever empty the slot, so it is still empty.
            remote.run_next.store(task, Release);
            if self.shared().idle.could_wake() {
                self.notify_of_lone_spawn();
            }
            return;
        }
        self.drive_out(task);
    }

    /// Queues a new task that an event starts, of which there may be many: with what is woken, oldest first.
    pub(crate) fn spawn_in_turn(&self, task: TaskRef) {
        let remote = self.remote();
        remote.spawns.store(remote.spawns.load(Relaxed) + 1, Relaxed);
        let is_lone = !self.has_own_work();
        self.woken.push(task);
        if !is_lone {
            self.notify();
        } else if self.shared().idle.could_wake() {
            self.notify_of_lone_spawn();
        }
    }

    /// Has the next spawn of the task that runs placed in turn.
    pub(crate) fn spread_next_spawn(&self) {
        self.spread.set(!self.shared().roaming && self.shared().remotes.regular() > 1);
    }

    /// The worker whose turn it is to get a new task; `None` if it is this one.
    #[cold]
    fn next_in_turn(&self) -> Option<u32> {
        self.spread.set(false);
        let turn = (self.turn.get() + 1) % self.shared().remotes.regular();
        self.turn.set(turn);
        if turn == self.index() {
            return None;
        }
        // Nobody can steal from an inbox, so nothing is sent to one who is stuck: who has not switched since the last time, or was stuck
        // a short while ago.
        let remote = &self.shared().remotes[turn];
        let tick = remote.tick.load(Relaxed);
        let moved = self.placed_ticks[turn].replace(tick) != tick;
        let is_fit = match self.shared().idle.standing(turn) {
            Standing::Seated => moved && !watch::was_stuck(self.shared(), remote),
            standing => standing == Standing::Asleep,
        };
        is_fit.then_some(turn as u32)
    }

    /// Puts `task` in the run-next slot, and what stood there where others can steal it.
    fn drive_out(&self, task: *mut Header) {
        let before = self.remote().run_next.swap(task, AcqRel);
        let Some(before) = NonNull::new(before) else { return };
        // SAFETY: the slot's reference, which the swap took out (R4).
        let before = unsafe { TaskRef::from_raw(before) };
        // SAFETY: the task is ours now (S1 of `state.rs`).
        if unsafe { &*before.fiber.get() }.is_none() {
            self.spawned.push(before);
        } else {
            self.queue(before);
        }
        self.notify();
    }

    /// Work is visible to the other workers, if there are any.
    #[inline]
    pub(super) fn notify(&self) {
        if self.shared().remotes.started() > 1 {
            self.shared().notify();
        }
    }

    /// A task that was spawned alone is most often joined at once, so nobody is woken for it, but for once in each tick of the poller
    /// thread: in case its spawner computes on.
    #[cold]
    fn notify_of_lone_spawn(&self) {
        let tick = self.shared().poller.tick();
        if self.lone_wake.replace(tick) != tick {
            self.shared().notify();
        }
    }

    /// Queues a task whose wait was won.
    #[inline]
    pub(crate) fn wake(&self, task: TaskRef) {
        if task.home.get() == self.wakes_here.get() && self.next_local.get().is_none() {
            self.next_local.set(Some(task.into_raw()));
        } else {
            self.wake_behind_others(task);
        }
    }

    #[inline(never)]
    fn wake_behind_others(&self, task: TaskRef) {
        if self.is_sampling() {
            return self.wake_as_sample(task);
        }
        let home = task.home.get();
        if home == self.index() as u32 {
            self.local.push_back(task);
        } else if home != NO_HOME {
            self.shared().send_home(task);
        } else if self.remote().run_next.load(Relaxed).is_null() {
            self.remote().run_next.store(task.into_raw().as_ptr(), Release);
        } else {
            self.woken.push(task);
            self.notify();
        }
    }
}
