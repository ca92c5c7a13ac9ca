//! A worker and its seat: how it learns that it has none, waits for one, and gives it up.
//!
//! No seat is looked at where tasks are switched. Who loses its seat is poked; so it looks around at its next tick, finds that it has
//! none, and asks. Until then it goes on in its green thread, so for a moment one more may run than there are seats.
//!
//! # Suspension
//!
//! None. [`Worker::leave_seat`] and [`Worker::regain_seat`] are called by the task that runs, the rest on the worker's own stack.
//!
//! # Invariants
//!
//! - **A1** What others could run of a worker that has no seat goes to the injector, by itself and by the poller thread: those who have
//!   work of their own look there, but do not steal.

use crossbeam_deque::Steal;

use super::{Shared, idle::Asked, poller::TICK, seats::Standing, sleeper::Woke, worker::Worker};
use crate::{
    prim::atomic::{
        Ordering::{Relaxed, SeqCst},
        fence,
    },
    task::{TaskRef, header::NO_HOME},
    timer::{Timers, wheel::Nanos},
};

/// How many tasks move to the injector at once: what comes of it must not keep a thread for long.
const SHOWN: usize = 256;

impl Worker {
    /// At a tick at which the worker looks around: whether it may take tasks. If not, it has waited for that, and is to look at the phase first
    /// and ask again.
    pub(super) fn keep_seat(&self) -> bool {
        let shared = self.shared();
        let idle = &shared.idle;
        if idle.standing(self.index()) == Standing::Seated {
            if !self.remote().pass.load(Relaxed) {
                return true;
            }
            self.remote().pass.store(false, Relaxed);
            let Some(heir) = idle.pass(self.index()) else { return true };
            shared.wake_worker(heir, false);
        }
        self.expire_timers();
        self.empty_inbox();
        shared.show_work_of(self.index());
        if self.has_home_work() {
            return self.wait_for_seat();
        }
        if shared.is_draining() {
            self.tell_if_drained();
        }
        self.sleep();
        false
    }

    fn wait_for_seat(&self) -> bool {
        let shared = self.shared();
        match shared.idle.ask(self.index()) {
            Asked::Seated => return true,
            Asked::Queued => shared.ask_to_pass(),
        }
        // Whoever changes the phase looks for us afterwards.
        fence(SeqCst);
        if shared.must_stop() && shared.idle.dismiss(self.index()) {
            return false;
        }
        // Somebody else takes us off the queue, and wakes us once (D3 of `idle.rs`).
        self.remote().counters.fall_asleep(shared.now());
        while self.remote().sleeper.block(None) == Woke::Unasked {}
        self.remote().counters.wake_up(shared.now(), true);
        shared.idle.standing(self.index()) == Standing::Seated
    }

    /// Gives the seat up for as long as the running task blocks the worker. `false`: there was none to give.
    #[cold]
    pub(crate) fn leave_seat(&self) -> bool {
        let has_left = self.give_seat_up();
        if has_left {
            self.remote().poke.store(true, Relaxed);
        }
        has_left
    }

    /// As above; the caller pokes the worker later.
    pub(super) fn give_seat_up(&self) -> bool {
        let shared = self.shared();
        if shared.remotes.capacity() == 1 {
            return false;
        }
        let given = shared.idle.oust(self.index());
        shared.show_work_of(self.index());
        let Some(given) = given else { return false };
        shared.rescue(self.index());
        shared.given(given);
        if self.remote().timers.next_deadline().is_some_and(|at| at < shared.now() + TICK.as_nanos() as Nanos)
        {
            // Its sleep may be longer.
            shared.poller.wake(shared);
        }
        true
    }

    /// Takes a seat if one is to be had. If not, the running task goes on until it suspends.
    #[cold]
    pub(crate) fn regain_seat(&self) {
        if !self.shared().idle.try_seat(self.index()) {
            self.remote().poke.store(true, Relaxed);
        }
    }
}

impl Shared {
    /// The timers of workers that have no seat, and so may not look at them.
    fn unseated_timers(&self) -> impl Iterator<Item = &Timers> {
        let is_unseated =
            |&worker: &usize| matches!(self.idle.standing(worker), Standing::Unseated | Standing::Queued);
        (0..self.remotes.started()).filter(is_unseated).map(|worker| &self.remotes[worker].timers)
    }

    /// When the first of them is due.
    pub(super) fn earliest_unseated(&self) -> Option<Nanos> {
        self.unseated_timers().filter_map(Timers::next_deadline).min()
    }

    /// Fires them.
    pub(super) fn expire_unseated(&self) {
        for timers in self.unseated_timers() {
            timers.expire_if_due(|| self.now());
        }
    }

    /// Somebody waits for a seat: asks one who has one to give it up at its next tick. A spare rather.
    fn ask_to_pass(&self) {
        let holder = (0..self.remotes.started()).rev().find(|&worker| {
            self.idle.standing(worker) == Standing::Seated && !self.remotes[worker].pass.load(Relaxed)
        });
        if let Some(holder) = holder {
            self.ask_for_seat_of(holder);
        }
    }

    /// As above, of a certain one.
    pub(super) fn ask_for_seat_of(&self, holder: usize) {
        self.remotes[holder].pass.store(true, Relaxed);
        self.remotes[holder].poke.store(true, Relaxed);
    }

    /// Moves what others could run of a worker without a seat to the injector, some of it at a time (A1): how much.
    pub(super) fn show_work_of(&self, worker: usize) -> usize {
        let remote = &self.remotes[worker];
        let mut shown = 0;
        for deque in [&remote.woken, &remote.spawned] {
            while shown < SHOWN && !deque.is_empty() {
                if let Steal::Success(task) = deque.steal() {
                    self.injector.push(task);
                    shown += 1;
                }
            }
        }
        if let Some(task) = remote.take_run_next() {
            self.injector.push(task);
            shown += 1;
        }
        if shown > 0 {
            self.notify_of_injected();
        }
        shown
    }

    /// Takes tasks that have not started out of the inbox of a worker that is stuck, and has all see them. Those whose home it is go
    /// back. How many there were.
    pub(super) fn rescue(&self, stuck: usize) -> usize {
        let inbox = &self.remotes[stuck].inbox;
        if inbox.is_empty() {
            return 0;
        }
        let (mut count, mut any) = (0, false);
        inbox.take(|node| {
            count += 1;
            let node = std::ptr::NonNull::new(node).expect("an inbox holds no null");
            // SAFETY: the inbox's reference (R4 of `worker.rs`).
            let task = unsafe { TaskRef::from_raw(node) };
            // SAFETY: the task is ours, as long as no queue has it (S1 of `state.rs`).
            if unsafe { &*task.fiber.get() }.is_some() {
                return self.send_home(task);
            }
            task.home.set(NO_HOME);
            self.injector.push(task);
            any = true;
        });
        if any {
            self.notify_of_injected();
        }
        count
    }
}
