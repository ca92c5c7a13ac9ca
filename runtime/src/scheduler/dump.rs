//! How a dump is taken: a look at the green threads of a runtime, for programs that hang.
//!
//! The world is stopped for the look (`world.rs`), which takes as long as it takes each worker to come to its next suspension. One that runs something which
//! neither waits nor yields would keep it for ever: after [`PATIENCE`] the look goes on without it. What such a worker runs is told, and all else is
//! looked at as if it stood. Backtraces are taken as long as [`LOOKING`] allows; they get their names when everybody runs again.
//!
//! # Invariants
//!
//! - **U1** A task is looked at while no worker may touch it (X1 of `world.rs` if all stand, else T3 of `hands.rs`). Of one that a worker has in its hands only what is
//!   atomic, or never changes, is read, and it stays alive meanwhile (T2 there).
//! - **U2** `Remote::hands` and `Remote::worker` point into the worker's frame, which is there until the phase is `EXITING`; so not after a dump began (X5 of `world.rs`).
//! - **U3** The queues of a worker that stands are the stopper's meanwhile, and are left as they were. Of one that does not, only what every thread may take
//!   from is looked at. A task that has not started is not freed while the world stands, since none is started (T1 of `hands.rs`): so it may be read wherever it was seen.
//!
//! # Checked by
//!
//! `tests/dump.rs`, `loom-tests/tests/hands.rs`.

use std::{
    num::NonZero,
    ptr::{self, NonNull},
    time::{Duration, Instant},
};

use super::{
    DUMPING, RUNNING, Shared, current,
    worker::Worker,
    world::{change_phase, stop_world, wake_all, who_stands},
};
use crate::{
    dump::{
        Dump, Running, ThreadDump,
        trace::{Names, Trace},
    },
    park::WaitReason,
    prim::{
        atomic::Ordering::{Acquire, Relaxed, Release},
        heavy_fence,
    },
    queue::deque::for_each_injected,
    task::{Header, state::Place},
    thread::{State, ThreadId},
};

/// How long workers have to come to a suspension.
const PATIENCE: Duration = Duration::from_millis(100);

/// For how long backtraces are taken. Green threads whose turn comes later are told without.
const LOOKING: Duration = Duration::from_secs(1);

impl Worker {
    /// Tells where it is to be looked for.
    pub(super) fn publish(&self) {
        let remote = self.remote();
        // SAFETY: no arguments.
        remote.os_thread.store(unsafe { libc::gettid() }, Relaxed);
        remote.hands.store((&raw const self.hands).cast_mut(), Release);
        remote.worker.store((&raw const *self).cast_mut(), Release);
    }

    /// Shows the tasks in those of its queues where some may not have started, and what it is about to run. While it stands, for the stopper (U3).
    fn show(&self, mut each: impl FnMut(&Header)) {
        // SAFETY: what it has taken is there while it stands (T1 of `hands.rs`).
        if let Some(task) = unsafe { self.hands.look()[0].as_ref() } {
            each(task);
        }
        self.local.for_each(&mut each);
        self.spawned.for_each(|task| each(task));
        self.woken.for_each(|task| each(task));
    }
}

/// A worker that did not stop, and what it has in its hands.
pub(super) struct Busy {
    worker: usize,
    pub(super) current: *mut Header,
    pub(super) ending: *mut Header,
}

/// A task that was looked at, whose stack is to be named once everybody runs.
pub(super) struct Found {
    pub(super) thread: ThreadDump,
    stack: Vec<usize>,
}

/// A dump without names.
pub(super) struct Raw {
    dump: Dump,
    found: Vec<Found>,
}

/// Looks at all of them. Not on a green thread of this runtime.
pub(crate) fn dump(shared: &Shared) -> Dump {
    if current::worker().is_some_and(|worker| ptr::eq(&raw const **worker.shared(), shared)) {
        // Foreign code that a worker calls, between two green threads: it could not stop.
        let live = usize::try_from(shared.live()).unwrap_or(usize::MAX);
        return Dump {
            workers: shared.remotes.regular(),
            busy: 1,
            is_ending: false,
            live,
            threads: Vec::new(),
        };
    }
    let standing = Standing::stop(shared);
    let mut found = standing.look();
    standing.look_at_fresh(&mut found);
    standing.end(found).named()
}

/// While it lives the world is stopped, but for workers that do not stop; unless the runtime is ending.
pub(super) struct Standing<'a> {
    shared: &'a Shared,
    /// How many workers do not stop.
    pub(super) busy: usize,
    pub(super) is_ending: bool,
    /// Until the phase is as it was (X5 of `world.rs`).
    #[expect(dead_code, reason = "held")]
    stopper: parking_lot::MutexGuard<'a, ()>,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if !self.is_ending {
            change_phase(self.shared, RUNNING);
            // What came while they stood is theirs to find.
            wake_all(self.shared);
        }
    }
}

impl<'a> Standing<'a> {
    /// Stops the world. Not by a worker.
    pub(super) fn stop(shared: &'a Shared) -> Self {
        let stopper = shared.world.stopper.lock();
        let is_ending = shared.is_ending();
        let busy = if is_ending { 0 } else { stop_world(shared, DUMPING, Some(Instant::now() + PATIENCE)) };
        Self { shared, busy, is_ending, stopper }
    }

    /// Lets everybody go on.
    pub(super) fn end(self, found: Vec<Found>) -> Raw {
        let live = usize::try_from(self.shared.live()).unwrap_or(usize::MAX);
        let (workers, busy, is_ending) = (self.shared.remotes.regular(), self.busy, self.is_ending);
        Raw { dump: Dump { workers, busy, is_ending, live, threads: Vec::new() }, found }
    }

    /// Looks at all tasks that have started.
    pub(super) fn look(&self) -> Vec<Found> {
        if self.is_ending {
            return Vec::new();
        }
        let (shared, mut busy) = (self.shared, Vec::new());
        if self.busy > 0 {
            if !heavy_fence() {
                // Without it nothing is certain about those that run.
                return Vec::new();
            }
            busy = busy_workers(shared);
        }
        let (mut found, mut trace) = (Vec::<Found>::new(), Trace::default());
        let mut ready_at = vec![0; shared.remotes.started()];
        let end = Instant::now() + LOOKING;
        shared.stacks.for_each_occupant(|occupant| {
            let task = occupant.cast::<Header>();
            if busy.iter().any(|busy| busy.ending == task) {
                return; // It may be gone already.
            }
            let task = NonNull::new(task).expect("occupants are not null");
            // SAFETY: it has started and is not freed meanwhile (U1).
            let task = unsafe { task.as_ref() };
            let mut stack = Vec::new();
            let runs_on = busy.iter().find(|busy| ptr::eq(busy.current, task)).map(|busy| busy.worker);
            if runs_on.is_none() && task.state.place() != Place::Finished && Instant::now() < end {
                // SAFETY: it is suspended, since no worker runs it, and none will meanwhile (U1).
                unsafe { task.running().look(&mut trace) };
                stack = trace.found();
            }
            if runs_on.is_none() && task.state.place() == Place::Active {
                // It is in a queue, so its home is as the worker has left it (U1).
                let home = ready_at.get_mut(task.home.get() as usize);
                home.into_iter().for_each(|count| *count += 1);
            }
            found.extend(tell(shared, task, runs_on).map(|thread| Found { thread, stack }));
        });
        if self.busy > 0 {
            // Before they go on: T3 of `hands.rs`.
            let _ = heavy_fence();
        }
        for running in found.iter_mut().filter_map(|found| found.thread.running.as_mut()) {
            running.behind = ready_at[running.worker];
        }
        found
    }

    /// Adds the tasks that have not started, as far as they are in a queue that can be looked at.
    fn look_at_fresh(&self, found: &mut Vec<Found>) {
        // Without the fence nothing is certain about what those that run leave in their slots.
        if self.is_ending || self.busy > 0 && !heavy_fence() {
            return;
        }
        let (shared, end) = (self.shared, Instant::now() + LOOKING);
        let mut add = |task: &Header| {
            // SAFETY: no worker runs it, and none will meanwhile (U3).
            let is_fresh = unsafe { &*task.fiber.get() }.is_none();
            if is_fresh && Instant::now() < end {
                let thread = describe(task, State::Waiting(WaitReason::NotStarted));
                found.extend(thread.map(|thread| Found { thread, stack: Vec::new() }));
            }
        };
        for remote in shared.remotes.iter() {
            // SAFETY: it has not been freed (U3).
            if let Some(task) = unsafe { remote.run_next.load(Acquire).as_ref() } {
                add(task);
            }
            remote.inbox.take(|node| {
                // SAFETY: it was in the inbox, which owned it.
                add(unsafe { &*node });
                // SAFETY: as above; it goes back with its reference.
                unsafe { remote.inbox.send(node) };
            });
        }
        for worker in who_stands(shared) {
            // SAFETY: U2, U3.
            if let Some(worker) = unsafe { shared.remotes[worker].worker.load(Acquire).as_ref() } {
                worker.show(&mut add);
            }
        }
        for_each_injected(&shared.injector, |task| add(task));
        shared.starved.lock().iter().for_each(|task| add(task));
    }
}

impl Raw {
    /// The dump, with the names of all frames.
    pub(super) fn named(self) -> Dump {
        let Self { mut dump, mut found } = self;
        found.sort_unstable_by_key(|found| found.thread.id.number());
        // One that went from queue to queue may have been seen in both.
        found.dedup_by_key(|found| found.thread.id);
        let mut names = Names::default();
        dump.threads.extend(
            found.into_iter().map(|Found { thread, stack }| ThreadDump { stack: names.of(&stack), ..thread }),
        );
        dump
    }
}

/// The workers that have not stopped, after a heavy fence.
pub(super) fn busy_workers(shared: &Shared) -> Vec<Busy> {
    let standing = who_stands(shared);
    let others = (0..shared.remotes.started()).filter(|worker| !standing.contains(worker));
    others
        .filter_map(|worker| {
            // SAFETY: U2.
            let hands = unsafe { shared.remotes[worker].hands.load(Acquire).as_ref() }?;
            let [current, ending] = hands.look();
            Some(Busy { worker, current, ending })
        })
        .collect()
}

/// What is known of a task without its stack.
fn tell(shared: &Shared, task: &Header, runs_on: Option<usize>) -> Option<ThreadDump> {
    let since = match runs_on {
        Some(worker) => shared.remotes[worker].counters.at_it_since(),
        // Nobody runs it, so at most a worker that has not stopped sees to it in `doubt.rs`, which leaves the time as it is.
        None => task.started().settled_at() / 2 * 1_000_000,
    };
    let state = match task.state.place() {
        Place::Active => State::Runnable,
        Place::Parked => State::Waiting(task.reason()),
        Place::Finished => State::Finished,
    };
    Some(ThreadDump {
        lasting: Duration::from_nanos(shared.now().saturating_sub(since)),
        running: runs_on.map(|worker| Running {
            worker,
            os_thread: shared.remotes[worker].os_thread.load(Relaxed),
            behind: 0,
        }),
        ..describe(task, state)?
    })
}

/// What never changes of a task, and its state.
fn describe(task: &Header, state: State) -> Option<ThreadDump> {
    let id = |id| NonZero::new(id).map(ThreadId::from_number);
    Some(ThreadDump {
        id: id(task.meta.id)?,
        parent: id(task.meta.parent),
        name: task.meta.name().map(str::to_owned),
        spawned_at: task.meta.site,
        state,
        lasting: Duration::ZERO,
        running: None,
        stack: Vec::new(),
    })
}
