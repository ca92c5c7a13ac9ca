//! The scheduler: N workers, where work comes from and in what order, and what they share.
//!
//! | file | what it decides |
//! |---|---|
//! | [`worker`] | one worker: its loop, the switch, and the duty after it |
//! | [`next`] | what a worker runs next, of what is its own |
//! | [`ready`] | where a task that was spawned or woken goes, and who is told |
//! | [`search`] | what a worker with nothing to run does: look, steal, sleep |
//! | [`restraint`] | how long a searcher leaves woken tasks to their owner |
//! | [`idle`] | who searches, who sleeps, who wakes whom |
//! | [`seats`] | who may run, when there are more workers than were asked for |
//! | [`seating`] | a worker that has lost its seat, or gives it up |
//! | [`watch`] | who is stuck, and what is done about it |
//! | [`remotes`] | what others may touch of each worker |
//! | [`sleeper`] | how a thread blocks and is woken |
//! | [`poller`] | the thread that watches the workers and serves the driver when they do not |
//! | [`shutdown`] | how a runtime ends |
//! | [`deadlock`] | when nobody will ever go on |
//! | [`hands`] | what a worker may touch while others stand |
//! | [`doubt`] | what becomes of waits that began while it could not be told whether their tasks unwind |
//! | [`sample`] | which wakes are timed |
//! | [`current`] | who runs here |
//!
//! # Where work comes from
//!
//! A worker takes, in this order: its two run-next slots (at most [`STREAK`] times in a row); its own tasks, in turn those that were
//! woken (oldest first) and those that were spawned (newest first); then those that yielded; every [`MAINTENANCE`]th tick first the
//! injector and what is due in its wheel, and every [`AGING`]th such time the oldest of its spawned tasks and those that yielded (the
//! aging rule). What others sent to its inbox joins its woken tasks before each choice. Then [`search`].
//!
//! # Where a task goes
//!
//! A new task goes to the run-next slot of the worker that spawns it, and drives out the one that stands there to the
//! deque, from which others may steal. A single spawn thus stays local, as fork and join wants it; with two there is something
//! to steal. One that an event starts goes behind what is woken (`Worker::spawn_in_turn`). From outside it goes to the injector. A woken task that has a home (anchored mode, or pinned) goes there; one
//! that has none (roaming mode) goes to the waker's worker.
//!
//! In anchored mode a task's first run decides where it lives. What is spawned right after an accept goes to the workers in turn
//! ([`spread_next_spawn`](crate::placement::spread_next_spawn)), or a thousand connections would live with the one green thread that
//! accepts them.
//!
//! # Invariants
//!
//! - **G1** A task that has started and has a home runs only there. In anchored mode every started task has one.
//! - **G2** `Shared` outlives every unfinished task (H2 of `header.rs`): the runtime's end waits for them, and each worker holds a reference.
//! - **G3** Work that is visible to all (deque, injector) is followed by `notify`, work in an inbox by `notify_worker`. But for a lone new task, for which the worker
//!   notifies once in a tick of the poller thread, which sees to the others.
//!
//! # Orderings
//!
//! | word | written with, by | read with, by |
//! |---|---|---|
//! | `run_next` | store Release or swap AcqRel, its worker; swap Acquire, a thief | the swaps: the task in the slot |
//! | `ends` | Release, its worker | Acquire, `live`: the spawns of what has ended |
//! | `spawns`, `tick`, `poke`, `polls`, `injected`, `shortage` | Relaxed | Relaxed: hints, looked at again |
//! | `hands` | Release, its worker as it begins | Acquire, who looks while others stand: what lies there |
//! | `local`, `os_thread`, `stalled`, `accused`, `unwinds`, `runs` | Relaxed | Relaxed: figures and hints |
//! | `phase` | Relaxed, under the world's lock | Relaxed; see `world.rs` |
//! | `polling` | swap Acquire, store Release | the swap: one blocks in the driver at a time |
//!
//! # Rejected
//!
//! - One queue for new and woken tasks: new ones taken oldest first make a fork-join program breadth-first, and its memory with it.
//! - Waking a worker at each spawn: it costs 18 µs here, more than a hundred spawns.
//! - Handing a task that is about to start over to a worker that is home to fewer: it then runs oldest first, and a fork-join
//!   program that crosses the limit once becomes breadth-first and three times as slow (tried, with limits of 64 and 1024).
//! - A woken task that drives out the run-next task, as in Go: it turns the order of several wakes round.

mod aside;
pub(crate) mod current;
pub(crate) mod deadlock;
mod doubt;
pub(crate) mod dump;
pub(crate) mod glance;
pub(crate) mod hands;
pub(crate) mod idle;
mod next;
mod os_thread;
pub(crate) mod poller;
mod ready;
pub(crate) mod remotes;
mod restraint;
mod sample;
#[cfg(stack_scan)]
mod scan;
mod search;
mod seating;
pub(crate) mod seats;
pub(crate) mod shutdown;
pub(crate) mod sleeper;
pub(crate) mod spares;
mod watch;
pub(crate) mod worker;
mod world;

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use crossbeam_deque::Injector;

use self::{
    idle::Idle,
    remotes::{Remote, Remotes},
    seats::Standing,
    sleeper::{Kick, Sleeper},
    spares::Spares,
    world::World,
};
use crate::{
    driver::Driver,
    prim::{
        Mutex,
        atomic::{
            AtomicBool, AtomicU8, AtomicU32, AtomicUsize,
            Ordering::{Acquire, Relaxed},
        },
        global::AtomicU64 as GlobalU64,
    },
    queue::list::TaskList,
    seam,
    stack::StackPool,
    stall::OnStall,
    task::{TaskRef, header::NO_HOME},
    timer::wheel::Nanos,
};

/// How many times in a row a run-next slot goes first.
const STREAK: u32 = 16;

/// Every so many ticks a worker looks at what it would otherwise look at only when it has nothing to run. Prime, so that it does not
/// beat with a program's own rhythm.
const MAINTENANCE: u32 = 61;

/// After so many of these looks with no end of other work, it is the turn of the oldest spawned task and of those that yielded.
const AGING: u32 = 2;

/// `Shared::phase`: green threads run.
pub(crate) const RUNNING: u8 = 0;
/// As `RUNNING`, and workers are to stop at the next suspension, for a look at what is suspended.
pub(crate) const DUMPING: u8 = 1;
/// The runtime is ending: workers are to stop at the next suspension.
pub(crate) const STOPPING: u8 = 2;
/// Every wait is cancelled.
pub(crate) const DRAINING: u8 = 3;
/// As `DRAINING`, and workers are to stop at the next suspension.
pub(crate) const PAUSING: u8 = 4;
/// Workers end.
pub(crate) const EXITING: u8 = 5;

/// What all threads of one runtime share.
pub(crate) struct Shared {
    pub(crate) phase: AtomicU8,
    /// Some task waits for a stack.
    pub(crate) shortage: AtomicBool,
    /// Whether a started task may be resumed by another worker.
    pub(crate) roaming: bool,
    pub(crate) remotes: Remotes,
    pub(crate) idle: Idle,
    pub(crate) injector: Injector<TaskRef>,
    /// How often something came there while all were busy.
    injected: AtomicU32,
    pub(crate) stacks: StackPool,
    pub(crate) driver: OnceLock<Arc<dyn Driver>>,
    /// Starting the driver is for one at a time.
    pub(crate) driver_start: Mutex<()>,
    /// Whether somebody blocks in the driver.
    pub(crate) polling: AtomicBool,
    /// How often workers have looked at the driver.
    pub(crate) polls: AtomicU32,
    pub(crate) poller: poller::Control,
    /// Tasks that could not start because no stack could be had.
    pub(crate) starved: Mutex<VecDeque<TaskRef>>,
    pub(crate) world: World,
    pub(crate) spares: Spares,
    /// After so long on one green thread a worker is stuck.
    pub(crate) stall_after: Duration,
    pub(crate) on_stall: Option<OnStall>,
    pub(crate) detects_deadlocks: bool,
    /// How many green threads that a `run` waits for have not ended.
    pub(crate) runs: AtomicUsize,
    origin: Instant,
}

// SAFETY: `remotes[i].run_next` and the queues own tasks, which are Send; everything else is Send and Sync by itself.
unsafe impl Send for Shared {}
// SAFETY: as above: owned tasks are only moved out, by atomic exchanges.
unsafe impl Sync for Shared {}

static NEXT_ID: GlobalU64 = GlobalU64::new(1);

/// The id of a new thread, green or not. Never used twice in a process.
pub(crate) fn fresh_id() -> u64 {
    fresh_ids(1)
}

/// The first of `n` new ids.
pub(crate) fn fresh_ids(n: u64) -> u64 {
    NEXT_ID.fetch_add(n, Relaxed)
}

/// Makes a task run whose wait was won.
#[inline]
pub(crate) fn schedule_woken(task: TaskRef) {
    match current::worker() {
        Some(worker) if std::ptr::eq(worker.shared_ptr(), task.shared) => worker.wake(task),
        _ => Shared::wake_from_outside(task),
    }
}

/// Makes many tasks run.
pub(crate) fn schedule_batch(tasks: &TaskList) {
    while let Some(task) = tasks.pop_front() {
        schedule_woken(task);
    }
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            phase: AtomicU8::new(RUNNING),
            shortage: AtomicBool::new(false),
            // With one worker there is nowhere to roam to.
            roaming: config.roaming && config.workers > 1,
            remotes: Remotes::new(config.workers, config.max_spares),
            idle: Idle::new(config.workers, config.max_spares, config.searchers),
            injector: Injector::new(),
            injected: AtomicU32::new(0),
            stacks: StackPool::new(config.stack_size, config.guards),
            driver: OnceLock::new(),
            driver_start: Mutex::new(()),
            polling: AtomicBool::new(false),
            polls: AtomicU32::new(0),
            poller: poller::Control::default(),
            starved: Mutex::new(VecDeque::new()),
            world: World::default(),
            spares: Spares::new(config.thread_name),
            stall_after: config.stall_after,
            on_stall: config.on_stall,
            detects_deadlocks: config.detects_deadlocks,
            runs: AtomicUsize::new(0),
            origin: seam::now(),
        }
    }

    /// The time on the runtime's clock.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        self.nanos(seam::now())
    }

    /// A point in time on the runtime's clock.
    #[inline]
    pub(crate) fn nanos(&self, at: Instant) -> Nanos {
        let since = at.saturating_duration_since(self.origin);
        Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// The reverse of `nanos`.
    pub(crate) fn instant(&self, at: Nanos) -> Option<Instant> {
        self.origin.checked_add(Duration::from_nanos(at))
    }

    #[inline]
    pub(crate) fn is_ending(&self) -> bool {
        self.phase.load(Relaxed) >= STOPPING
    }

    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.phase.load(Relaxed) >= DRAINING
    }

    /// The driver, if it has been started and has something to watch.
    #[inline]
    pub(crate) fn busy_driver(&self) -> Option<&dyn Driver> {
        let driver = self.driver.get()?;
        driver.has_sources().then_some(&**driver)
    }

    /// Work is visible to all: wakes a searcher for it if one should be (G3).
    #[inline]
    pub(crate) fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.wake_worker(worker, true);
        }
    }

    /// Work is in the injector. If all workers are busy, one of them, in turn, is asked to look there at its next tick.
    fn notify_of_injected(&self) {
        self.notify();
        if self.idle.sleeping() == 0 {
            let turn = self.injected.fetch_add(1, Relaxed) as usize;
            let started = self.remotes.started();
            let mut turns = (turn..turn + started).map(|turn| turn % started);
            if let Some(worker) = turns.find(|&worker| self.idle.standing(worker) == Standing::Seated) {
                self.remotes[worker].poke.store(true, Relaxed);
            }
        }
    }

    /// Sends a task to its home (G1, G3).
    pub(crate) fn send_home(&self, task: TaskRef) {
        let home = task.home.get() as usize;
        let counters = &self.remotes[home].counters;
        if counters.wants_probe(self.poller.tick()) {
            counters.set_probe(&task, self.poller.tick(), || self.now());
        }
        // SAFETY: the task is ours to give, and lives until it has run.
        unsafe { self.remotes[home].inbox.send(task.into_raw().as_ptr()) };
        if self.idle.notify_worker(home) {
            self.wake_worker(home, false);
        }
    }

    /// Makes a task run, from a thread that is not a worker of its runtime.
    #[cold]
    fn wake_from_outside(task: TaskRef) {
        // The task's end, and with it the runtime's, may come as soon as it is in a queue.
        // SAFETY: the runtime is there as long as the task has not finished (G2), and it came from an `Arc`.
        unsafe { Arc::increment_strong_count(task.shared) };
        // SAFETY: the count was raised for this one.
        let shared = unsafe { Arc::from_raw(task.shared) };
        if task.home.get() == NO_HOME {
            shared.injector.push(task);
            shared.notify_of_injected();
        } else {
            shared.send_home(task);
        }
    }

    /// Queues a task that was spawned by a thread that is not a worker of this runtime; hands it back if the gate is closed.
    pub(crate) fn spawn_from_outside(&self, task: TaskRef) -> Result<(), TaskRef> {
        {
            let gate = self.world.gate.read();
            if gate.closed {
                return Err(task);
            }
            self.world.spawns.fetch_add(1, Relaxed);
            self.injector.push(task);
        }
        self.notify_of_injected();
        Ok(())
    }

    /// Wakes the thread of a worker that was taken off the sleepers.
    pub(crate) fn wake_worker(&self, worker: usize, searching: bool) {
        let sleeper = &self.remotes[worker].sleeper;
        self.kick(sleeper, sleeper.wake(searching));
    }

    /// Does what a wake left to do.
    pub(crate) fn kick(&self, sleeper: &Sleeper, kick: Kick) {
        match kick {
            Kick::Nothing => {}
            Kick::Thread => sleeper.unpark(),
            Kick::Driver => {
                if let Some(driver) = self.driver.get() {
                    driver.notify();
                }
            }
        }
    }

    /// Tasks that have been spawned and have not ended; never too few.
    pub(crate) fn live(&self) -> u64 {
        // Ends first: whatever ended was spawned before, so its spawn is seen below.
        let ended: u64 = self.remotes.iter().map(|remote| remote.ends.load(Acquire)).sum();
        let spawned: u64 = self.remotes.iter().map(|remote| remote.spawns.load(Relaxed)).sum();
        self.world.spawns.load(Relaxed) + spawned - ended
    }

    /// Moves one task that waits for a stack to where it will try again.
    #[cold]
    pub(crate) fn feed_starved(&self) {
        if let Some(task) = self.next_starved() {
            self.injector.push(task);
            self.notify();
        }
    }

    /// Takes the task that has waited longest for a stack.
    #[cold]
    fn next_starved(&self) -> Option<TaskRef> {
        let mut starved = self.starved.lock();
        let task = starved.pop_front();
        self.shortage.store(!starved.is_empty(), Relaxed);
        task
    }

    /// Whether workers are to stop where they are, or to leave their loops.
    #[inline]
    pub(crate) fn must_stop(&self) -> bool {
        matches!(self.phase.load(Relaxed), DUMPING | STOPPING | PAUSING | EXITING)
    }

    /// Whether there is work in a queue that every worker may take from.
    pub(crate) fn has_visible_work(&self) -> bool {
        !self.injector.is_empty() || self.remotes.iter().any(Remote::has_visible_work)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for remote in self.remotes.iter() {
            drop(remote.take_run_next());
            remote.inbox.take(|node| {
                let node = std::ptr::NonNull::new(node).expect("an inbox holds no null");
                // SAFETY: the inbox owned a reference.
                drop(unsafe { TaskRef::from_raw(node) });
            });
        }
    }
}

/// What a `Builder` decides.
pub(crate) struct Config {
    pub(crate) workers: usize,
    /// How many may search at once.
    pub(crate) searchers: usize,
    pub(crate) stack_size: usize,
    pub(crate) guards: crate::stack::Guards,
    pub(crate) roaming: bool,
    /// How many workers may be started beside them.
    pub(crate) max_spares: usize,
    pub(crate) stall_after: Duration,
    pub(crate) on_stall: Option<OnStall>,
    /// What the OS threads' names begin with.
    pub(crate) thread_name: String,
    pub(crate) detects_deadlocks: bool,
}
