//! One worker: an OS thread that runs tasks. Its loop, the switch, and the duty after the switch. What it runs next is in `next.rs`, where what becomes
//! ready goes in `ready.rs`.
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
    MAINTENANCE, RUNNING, Shared, aside::Aside, current, hands::Hands, remotes::Remote, restraint::Restraint,
    world::is_stop,
};
use crate::{
    budget::BUDGET,
    fiber::{Fiber, Step, Suspend},
    prim::atomic::Ordering::{Relaxed, Release},
    queue::{deque::Deque, list::TaskList},
    stack::StackCache,
    task::{Header, TaskRef, header::NO_HOME, life, slab::Slab, started::Started},
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
    pub(super) tick: Cell<u32>,
    /// Ticks until the next look around.
    pub(super) maintain_in: Cell<u32>,
    /// How many such looks, poked ones among them, since there was nothing left to run, nobody who had yielded either.
    pub(super) since_drained: Cell<u32>,
    /// How often in a row a run-next slot went first.
    pub(super) streak: Cell<u32>,
    budget: Cell<u32>,
    no_suspend: Cell<u32>,
    /// Why a resume takes care: how many suspended tasks may be in the middle of their unwinding (they stay with this worker, since the panic count is its
    /// OS thread's); whether a sample is on its way, see `sample.rs`; and whether there are any in `doubted`.
    pub(super) care: Cell<u32>,
    /// Tasks that were suspended while the OS thread panicked, see `doubt.rs`.
    pub(super) doubted: Cell<Vec<TaskRef>>,
    /// Whether it has stepped aside for the task that runs.
    pub(super) aside: Cell<Option<Aside>>,
    /// Our index, unless the next wake is to be a sample.
    pub(super) wakes_here: Cell<u32>,
    rng: Cell<u32>,
    ids: Cell<(u64, u64)>,
    /// Whether the next spawn is to be placed in turn, and whose turn it is.
    pub(super) spread: Cell<bool>,
    pub(super) turn: Cell<usize>,
    /// The others' ticks when they last got one.
    pub(super) placed_ticks: Box<[Cell<u32>]>,
    /// The poller's tick at which a lone spawn last woke a searcher.
    pub(super) lone_wake: Cell<u32>,
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
            doubted: Cell::default(),
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
        drop(self.doubted.take());
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
                    if self.care.get() > 0 {
                        self.dispel_doubts();
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
        if self.care.get() > 0 {
            self.dispel_doubts();
        }
        task.started().settle(self.shared.poller.clock());
        if self.shared.roaming {
            task.home.set(NO_HOME);
        }
    }

    #[cold]
    fn settle_unwinding(&self, task: &Header) {
        task.started().settle_as_it_is(self.shared.poller.clock());
        // Has it noted where that is certain.
        let _ = task.unwinding();
        self.doubt(task);
        task.started().counted.set(true);
        self.care.set(self.care.get() + 1);
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
}
