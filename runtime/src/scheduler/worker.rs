//! One worker: an OS thread that runs tasks. What it runs next, the switch, and the duty after the switch.
//!
//! # Roles
//!
//! Everything here is called on the worker's own OS thread: by its loop, or by the task that runs on it.
//!
//! # Invariants
//!
//! - **R1** `hands` has the task that is on the worker, or null; the worker's loop holds a reference to it.
//! - **R2** The duty after a switch (queue, park, recycle) is done on the worker's own stack, when nothing runs on the task's
//!   any more. Once `State::park` has succeeded the worker does not touch the task again: somebody else may own it.
//! - **R3** `stacks` is touched only on the worker's own stack.
//! - **R4** A run-next slot owns a reference to the task in it, and so does the inbox; who takes the task out takes the reference.
//!
//! # Suspension
//!
//! [`Worker::resume`] switches to a task and comes back when it suspends. Methods that a task calls never switch.
//!
//! The loop, `next`, `resume` and `switch` are one function to the compiler, and so are a suspension and its caller: a switch jumps into
//! the middle of code by a return instruction, and each frame that is left on the other side of it makes the processor mispredict
//! one return (5 to 7 ns).

use std::{
    cell::{Cell, UnsafeCell},
    ptr::{self, NonNull},
    sync::Arc,
};

use super::{
    AGING, MAINTENANCE, RUNNING, STREAK, Shared, aside::Aside, current, hands::Hands, remotes::Remote,
    restraint::Restraint, seats::Standing, world::is_stop,
};
use crate::{
    budget::BUDGET,
    fiber::{Fiber, Step, Suspend},
    park::Batch,
    prim::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release},
    queue::{deque::Deque, list::TaskList},
    stack::StackCache,
    task::{
        Header, TaskRef,
        header::{NO_HOME, Started, Unwinding},
        life,
        slab::Slab,
    },
};

/// How many ids a worker takes at once.
const ID_BLOCK: u64 = 1024;

/// See the module.
pub(crate) struct Worker {
    index: usize,
    shared: Arc<Shared>,
    /// Our own in `shared.remotes`.
    remote: NonNull<Remote>,
    /// Tasks that have not started; newest first for us, oldest first for thieves.
    pub(super) spawned: Deque,
    /// Roaming tasks that are ready, and new ones that events started or that came from the injector or the inbox; oldest first.
    pub(super) woken: Deque,
    /// Ready tasks whose home this is; oldest first.
    pub(super) local: TaskList,
    /// Those of them that let all others go before.
    pub(super) yielded: TaskList,
    /// The run-next slot for a task whose home this is.
    pub(super) next_local: Cell<Option<NonNull<Header>>>,
    pub(super) hands: Hands<Header>,
    pub(super) stacks: UnsafeCell<StackCache>,
    slab: Slab,
    tick: Cell<u32>,
    /// Ticks until the next look around.
    maintain_in: Cell<u32>,
    /// How many such looks, poked ones among them, since there was nothing left to run, nobody who had yielded either.
    since_drained: Cell<u32>,
    /// How often in a row a run-next slot went first.
    streak: Cell<u32>,
    budget: Cell<u32>,
    no_suspend: Cell<u32>,
    /// Why a resume takes care: how many suspended tasks may be in the middle of their unwinding (they stay with this worker, since the panic count is its
    /// OS thread's); and whether a sample is on its way, see `sample.rs`.
    pub(super) care: Cell<u32>,
    /// Whether it has stepped aside for the task that runs.
    pub(super) aside: Cell<Option<Aside>>,
    /// Our index, unless the next wake is to be a sample.
    pub(super) wakes_here: Cell<u32>,
    rng: Cell<u32>,
    ids: Cell<(u64, u64)>,
    /// Whether the next spawn is to be placed in turn, and whose turn it is.
    spread: Cell<bool>,
    turn: Cell<usize>,
    /// The others' ticks when they last got one.
    placed_ticks: Box<[Cell<u32>]>,
    /// The poller's tick at which a lone spawn last woke a searcher.
    lone_wake: Cell<u32>,
    pub(super) searching: Cell<bool>,
    /// How long it leaves woken tasks to their owner.
    pub(super) restraint: Restraint,
    /// The last ticks seen of the others, by a searcher that wants to know whether they are stuck.
    pub(super) seen_ticks: Box<[Cell<u32>]>,
}

/// Takes this OS thread's `current` worker away when its loop ends, however it ends.
struct Resign;

impl Drop for Resign {
    fn drop(&mut self) {
        current::set(ptr::null());
    }
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Self {
        let workers = shared.remotes.capacity();
        let (spawned, woken) = shared.remotes[index].take_deques();
        Self {
            index,
            remote: NonNull::from(&shared.remotes[index]),
            shared,
            spawned,
            woken,
            local: TaskList::default(),
            yielded: TaskList::default(),
            next_local: Cell::new(None),
            hands: Hands::default(),
            stacks: UnsafeCell::new(StackCache::new()),
            slab: Slab::new(),
            tick: Cell::new(0),
            maintain_in: Cell::new(MAINTENANCE),
            since_drained: Cell::new(0),
            streak: Cell::new(0),
            budget: Cell::new(BUDGET),
            no_suspend: Cell::new(0),
            care: Cell::new(0),
            aside: Cell::new(None),
            wakes_here: Cell::new(index as u32),
            rng: Cell::new(0x9e37_79b9 ^ (index as u32 + 1)),
            ids: Cell::new((0, 0)),
            spread: Cell::new(false),
            turn: Cell::new(index),
            placed_ticks: (0..workers).map(|_| Cell::new(u32::MAX)).collect(),
            lone_wake: Cell::new(u32::MAX),
            searching: Cell::new(false),
            restraint: Restraint::default(),
            seen_ticks: (0..workers).map(|_| Cell::new(0)).collect(),
        }
    }

    /// Runs tasks until the runtime ends.
    pub(crate) fn main(self) {
        let _alternate_stack = crate::stack::overflow::alternate_stack();
        current::set(&raw const self);
        let _resign = Resign;
        self.remote().sleeper.adopt();
        self.publish();
        #[cfg(stack_scan)]
        let _ = self.remote().tls.set(super::scan::tls_range());
        loop {
            let mine = self.next();
            if mine.is_none() && self.shared.phase.load(Relaxed) != RUNNING && !self.obey_phase() {
                break;
            }
            let Some(task) = mine.or_else(|| self.search()) else { continue };
            if self.searching.get() {
                self.stop_searching();
            }
            if !self.take(task.ptr()) {
                // Where nothing unwinds, what is left is leaked.
                std::mem::forget(task);
                break;
            }
            self.resume(task);
        }
        // SAFETY: on the worker's own stack (R3).
        self.shared.stacks.trim(unsafe { &mut *self.stacks.get() });
    }

    #[inline]
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn tick(&self) -> u32 {
        self.tick.get()
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    #[inline]
    pub(crate) fn shared_ptr(&self) -> *const Shared {
        Arc::as_ptr(&self.shared)
    }

    /// Where tasks that are spawned here get their memory.
    #[inline]
    pub(crate) fn slab(&self) -> &Slab {
        &self.slab
    }

    #[inline]
    pub(crate) fn current_ptr(&self) -> *const Header {
        self.hands.current()
    }

    /// Takes a task, and stops before it is touched if that is asked for (T1 of `hands.rs`). `false`: the loop is to end.
    #[inline]
    fn take(&self, task: NonNull<Header>) -> bool {
        self.hands.take(task.as_ptr(), &self.shared.phase) == RUNNING || self.obey_phase()
    }

    #[inline]
    pub(super) fn remote(&self) -> &Remote {
        // SAFETY: `shared`, which we hold, owns it and never moves it.
        unsafe { self.remote.as_ref() }
    }

    /// Chooses the next task among the worker's own. The order is in the header of `scheduler`.
    #[inline(always)]
    fn next(&self) -> Option<TaskRef> {
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

    /// Queues a ready task where its kind belongs, oldest first.
    #[inline]
    fn queue(&self, task: TaskRef) {
        if task.home.get() == NO_HOME {
            self.woken.push(task);
        } else {
            debug_assert_eq!(task.home.get() as usize, self.index, "G1");
            self.local.push_back(task);
        }
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
        self.slab.collect();
        if is_aged {
            self.local.append(&self.yielded);
        }
        let oldest =
            self.take_injected().or_else(|| if is_aged { self.spawned.steal_oldest() } else { None });
        oldest.or_else(|| self.take_run_next()).map(Some)
    }

    /// Fires the wheel. `true`: something became ready.
    pub(super) fn expire_timers(&self) -> bool {
        self.remote().timers.expire_if_due(|| self.shared.now())
    }

    /// Looks at the driver without blocking. `true`: something became ready.
    pub(super) fn poll_driver(&self) -> bool {
        let Some(driver) = self.shared.busy_driver() else { return false };
        let mut ready = Batch::new();
        self.shared.polls.fetch_add(1, Relaxed);
        if driver.wait(Some(std::time::Duration::ZERO), &mut ready).is_err() {
            return false;
        }
        let any = !ready.is_empty();
        self.remote().counters.count_readiness(ready.len());
        ready.schedule();
        any
    }

    pub(super) fn take_injected(&self) -> Option<TaskRef> {
        if self.shared.injector.is_empty() {
            return None;
        }
        // A fair share: others will come for theirs.
        let share = self.shared.injector.len() / self.shared.remotes.regular() + 1;
        let task = self.woken.take_from(&self.shared.injector, share.min(32))?;
        if !self.woken.is_empty() {
            // For a moment the rest was in neither queue; who looked then did not see it.
            self.notify();
        }
        Some(task)
    }

    /// Runs a task until it suspends or ends, and does the duty after the switch (R2).
    #[inline(always)]
    fn resume(&self, task: TaskRef) {
        // SAFETY: the task is ours (S1 of `state.rs`), so is its fiber.
        if unsafe { &*task.fiber.get() }.is_none() {
            if !self.start(task) {
                return;
            }
        } else {
            #[cfg(stack_scan)]
            if super::scan::must_stay(&task, self.index, &self.shared) {
                self.hands.put_down();
                return self.shared.send_home(task);
            }
            task.home.set(self.index as u32);
            if self.care.get() > 0 {
                self.resume_with_care(&task);
            }
            if task.started().blocks.get() > 0 {
                self.step_aside(&task);
            }
            // It is in `hands` (R1).
            let _ = task.into_raw();
        }
        self.switch();
    }

    /// Switches to the current task, until it suspends for good.
    #[inline(always)]
    fn switch(&self) {
        // SAFETY: `resume` put an owned reference there (R1).
        let task = unsafe { &*self.hands.current() };
        self.budget.set(BUDGET);
        loop {
            // SAFETY: the task is ours, until R2 gives it away.
            match unsafe { task.running().resume() } {
                Step::Suspended(Suspend::Yield) => {
                    self.settle(task);
                    self.hands.put_down();
                    // SAFETY: the reference that `resume` left in `hands` (R1).
                    let task = unsafe { TaskRef::from_raw(task.ptr()) };
                    if task.home.get() == NO_HOME {
                        self.queue(task);
                    } else {
                        self.yielded.push_back(task);
                    }
                    return;
                }
                Step::Suspended(why) => {
                    self.settle(task);
                    // Before somebody else may own it.
                    self.hands.put_down();
                    debug_assert_eq!(why, Suspend::Park, "a look is for `Fiber::look`");
                    if task.state.park(task.started().wait.get()) {
                        // The reference stays with the parked task, for whoever wins its wait.
                        return;
                    }
                    if !self.take(task.ptr()) {
                        // Where nothing unwinds, it is leaked.
                        return self.hands.put_down();
                    }
                    task.home.set(self.index as u32);
                    if self.care.get() > 0 {
                        self.resume_with_care(task);
                    }
                }
                Step::Ended => {
                    let phase = self.hands.end(task.ptr().as_ptr(), &self.shared.phase);
                    if is_stop(phase) {
                        let _ = self.obey_phase();
                    }
                    // SAFETY: as above.
                    self.recycle(unsafe { TaskRef::from_raw(task.ptr()) });
                    if self.remote().accused.load(Relaxed) {
                        self.come_back();
                    }
                    return;
                }
            }
        }
    }

    /// Decides where a task that just suspended may be resumed: anywhere in roaming mode, unless it is unwinding.
    #[inline]
    fn settle(&self, task: &Header) {
        if self.remote().accused.load(Relaxed) {
            self.judge(task);
        }
        if std::thread::panicking() {
            return self.settle_unwinding(task);
        }
        task.started().settle(self.shared.poller.clock());
        if self.shared.roaming {
            task.home.set(NO_HOME);
        }
    }

    #[cold]
    fn settle_unwinding(&self, task: &Header) {
        task.started().settle_as_it_is(self.shared.poller.clock());
        if task.unwinding() == Unwinding::No {
            if self.shared.roaming {
                task.home.set(NO_HOME);
            }
        } else {
            task.started().counted.set(true);
            self.care.set(self.care.get() + 1);
        }
    }

    /// Whether the runtime is ending, and the task that runs is to let its worker see it.
    #[inline]
    pub(crate) fn is_to_stop(&self) -> bool {
        self.shared.phase.load(Relaxed) != RUNNING && self.no_suspend.get() == 0
    }

    /// Gives a task its stack; its reference is that of `hands` then. `false`: it went elsewhere.
    #[inline(never)]
    fn start(&self, task: TaskRef) -> bool {
        let size = task.meta.options.as_ref().and_then(|options| options.stack_size);
        let size = size.unwrap_or_else(|| self.shared.stacks.default_size());
        // SAFETY: on the worker's own stack (R3).
        let cache = unsafe { &mut *self.stacks.get() };
        let Ok(stack) = self.shared.stacks.acquire(cache, size) else {
            self.hands.put_down();
            self.starve(task);
            return false;
        };
        let header = task.into_raw();
        stack.set_occupant(header.as_ptr().cast());
        // SAFETY: the reference that `into_raw` gave up is that of `hands` (R1).
        let task = unsafe { header.as_ref() };
        task.home.set(self.index as u32);
        // SAFETY: the task lives while its fiber runs (R1).
        let fiber = Fiber::new(stack, Started::new(), move || life::run(unsafe { header.as_ref() }));
        // SAFETY: the task is ours (S1 of `state.rs`).
        unsafe { *task.fiber.get() = Some(fiber) };
        true
    }

    /// Takes back what an ended task held.
    #[inline(never)]
    fn recycle(&self, task: TaskRef) {
        // SAFETY: the task has ended and is ours (S1 of `state.rs`).
        let fiber = unsafe { &mut *task.fiber.get() }.take().expect("it was started");
        // SAFETY: as above.
        let stack = unsafe { fiber.into_stack() };
        stack.clear_occupant();
        // Before its memory is another's (T2 of `hands.rs`).
        self.hands.ended();
        // SAFETY: on the worker's own stack (R3).
        self.shared.stacks.release(unsafe { &mut *self.stacks.get() }, stack);
        let ends = &self.remote().ends;
        ends.store(ends.load(Relaxed) + 1, Release);
        if self.shared.shortage.load(Relaxed)
            && let Some(task) = self.shared.next_starved()
        {
            // To our own queue: the stack is in our cache.
            self.spawned.push(task);
        }
    }

    /// No stack can be had: the task waits until one comes back.
    #[cold]
    fn starve(&self, task: TaskRef) {
        let mut starved = self.shared.starved.lock();
        starved.push_back(task);
        self.shared.shortage.store(true, Relaxed);
        drop(starved);
        self.shared.poller.rouse(&self.shared);
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
            return self.shared.send_home(task);
        }
        let task = task.into_raw().as_ptr();
        if remote.run_next.load(Relaxed).is_null() {
            // Thieves only ever empty the slot, so it is still empty.
            remote.run_next.store(task, Release);
            if self.shared.idle.could_wake() {
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
        } else if self.shared.idle.could_wake() {
            self.notify_of_lone_spawn();
        }
    }

    /// Has the next spawn of the task that runs placed in turn.
    pub(crate) fn spread_next_spawn(&self) {
        self.spread.set(!self.shared.roaming && self.shared.remotes.regular() > 1);
    }

    /// The worker whose turn it is to get a new task; `None` if it is this one.
    #[cold]
    fn next_in_turn(&self) -> Option<u32> {
        self.spread.set(false);
        let turn = (self.turn.get() + 1) % self.shared.remotes.regular();
        self.turn.set(turn);
        if turn == self.index {
            return None;
        }
        // Nobody can steal from an inbox, so nothing is sent to one who is stuck: who has not switched since the last time, or was stuck
        // a short while ago.
        let remote = &self.shared.remotes[turn];
        let tick = remote.tick.load(Relaxed);
        let moved = self.placed_ticks[turn].replace(tick) != tick;
        let is_fit = match self.shared.idle.standing(turn) {
            Standing::Seated => moved && !super::watch::was_stuck(&self.shared, remote),
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
    fn notify(&self) {
        if self.shared.remotes.started() > 1 {
            self.shared.notify();
        }
    }

    /// A task that was spawned alone is most often joined at once, so nobody is woken for it, but for once in each tick of the poller
    /// thread: in case its spawner computes on.
    #[cold]
    fn notify_of_lone_spawn(&self) {
        let tick = self.shared.poller.tick();
        if self.lone_wake.replace(tick) != tick {
            self.shared.notify();
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
        if home == self.index as u32 {
            self.local.push_back(task);
        } else if home != NO_HOME {
            self.shared.send_home(task);
        } else if self.remote().run_next.load(Relaxed).is_null() {
            self.remote().run_next.store(task.into_raw().as_ptr(), Release);
        } else {
            self.woken.push(task);
            self.notify();
        }
    }

    /// A new id for a green thread.
    #[inline]
    pub(crate) fn fresh_id(&self) -> u64 {
        let (mut next, mut end) = self.ids.get();
        if next == end {
            next = super::fresh_ids(ID_BLOCK);
            end = next + ID_BLOCK;
        }
        self.ids.set((next + 1, end));
        next
    }

    /// Spends one operation. `false`: there is none left, or none is granted any more.
    #[inline]
    pub(crate) fn spend_budget(&self) -> bool {
        let left = self.budget.get();
        if left == 0 || self.remote().poke.load(Relaxed) {
            return false;
        }
        self.budget.set(left - 1);
        true
    }

    /// Fills the budget up. `true`: the running task is to yield for it.
    pub(crate) fn refill_budget(&self) -> bool {
        if self.no_suspend.get() > 0 {
            return false;
        }
        self.budget.set(BUDGET);
        true
    }

    pub(crate) fn forbid_suspension(&self) {
        self.no_suspend.set(self.no_suspend.get() + 1);
    }

    pub(crate) fn allow_suspension(&self) {
        self.no_suspend.set(self.no_suspend.get() - 1);
    }

    #[inline]
    pub(crate) fn may_suspend(&self) -> bool {
        self.no_suspend.get() == 0
    }

    #[inline]
    pub(crate) fn assert_may_suspend(&self) {
        assert!(self.may_suspend(), "a suspension inside `no_suspend`");
    }

    /// A random number below `n`. Marsaglia's xorshift.
    pub(super) fn random(&self, n: usize) -> usize {
        let mut x = self.rng.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.rng.set(x);
        x as usize % n
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
