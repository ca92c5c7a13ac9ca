//! How a runtime ends: every green thread of it unwinds, and its OS threads are gone.
//!
//! # Roles
//!
//! The *ender* is the OS thread that drops the `Runtime`. Workers obey the phase.
//!
//! # States
//!
//! ```text
//!   RUNNING ──1──▶ STOPPING ──2──▶ DRAINING ──3──▶ EXITING
//!                                  │    ▲
//!                                  4    2
//!                                  ▼    │
//!                                  PAUSING
//! ```
//!
//! 1. The gate is closed to spawns from outside; each worker stops at its next switch. 2. All have stopped: the ender
//!    has cancelled every wait that may be. From here on a wait is cancelled as it begins, and a task that starts drops its closure
//!    unrun, on a stack of its own, for destructors may wait too. 3. No task is left. 4. What is left stands still: it is stopped again, and doubtful waits are cancelled too.
//!
//! # Invariants
//!
//! - **X1** While the world is stopped no task runs and no stack is taken or given back, so every occupant of a stack is a task that has
//!   started and not ended, and stays alive.
//! - **X2** After the gate closed, new tasks come from tasks only.
//! - **X3** A wait that began before `DRAINING` was seen in X1; one that begins after it sees the phase. None is missed.
//!
//! # Orderings
//!
//! The phase is Relaxed; the lock under which the ender counts the stopped workers orders it against them.
//!
//! # Checked by
//!
//! `tests/shutdown.rs`.

use std::{ptr::NonNull, sync::Arc, thread::JoinHandle, time::Duration};

use parking_lot::{Condvar, Mutex, RwLock};

use super::{DRAINING, EXITING, PAUSING, RUNNING, STOPPING, Shared, worker::Worker};
use crate::{
    park::{Batch, Claimed},
    prim::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
        fence,
    },
    task::{Header, TaskRef, state::Claim},
};

/// How long a runtime that is ending may stand still before waits are cancelled of which it cannot be told whether their tasks are
/// unwinding. If one is, that aborts the process, as a panic in a destructor does; if none is, they would have waited for ever.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// What the ender and the workers meet at.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) gate: RwLock<Gate>,
    /// Tasks spawned from outside.
    pub(crate) spawns: AtomicU64,
    /// How many workers have stopped.
    stopped: Mutex<usize>,
    /// How many could not be started.
    absent: AtomicUsize,
    changed: Condvar,
}

impl World {
    /// Some workers could not be started.
    pub(crate) fn abandon(&self, workers: usize) {
        self.absent.store(workers, Relaxed);
    }
}

/// Whether threads outside may still spawn.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) closed: bool,
}

impl Worker {
    /// Does what the phase asks. `false`: leave the loop.
    #[cold]
    pub(super) fn obey_phase(&self) -> bool {
        let shared = self.shared();
        let world = &shared.world;
        match shared.phase.load(Relaxed) {
            phase @ (STOPPING | PAUSING) => {
                let mut stopped = world.stopped.lock();
                *stopped += 1;
                world.changed.notify_all();
                while shared.phase.load(Relaxed) == phase {
                    world.changed.wait(&mut stopped);
                }
                true
            }
            DRAINING => {
                // Of two workers that end the last two tasks at once, one must see both ends.
                fence(SeqCst);
                if shared.live() == 0 {
                    // Under the lock, so that the ender is either before its look or in its wait.
                    let _stopped = world.stopped.lock();
                    world.changed.notify_all();
                }
                true
            }
            phase => phase == RUNNING,
        }
    }
}

/// Ends the runtime and waits until its threads are gone. Not on a green thread.
pub(crate) fn shut_down(shared: &Arc<Shared>, threads: Vec<JoinHandle<()>>) {
    shared.world.gate.write().closed = true;
    if shared.phase.load(Relaxed) == RUNNING {
        stop_world(shared, STOPPING);
        if cfg!(panic = "abort") {
            // Nothing can unwind: suspended stacks are leaked, and with them what their tasks refer to.
            std::mem::forget(Arc::clone(shared));
        } else {
            cancel_all(shared, false);
            while !drain(shared) {
                stop_world(shared, PAUSING);
                cancel_all(shared, true);
            }
        }
    }
    change_phase(shared, EXITING);
    wake_all(shared);
    for thread in threads {
        if thread.join().is_err() {
            crate::error::abort("a worker panicked outside any green thread");
        }
    }
    if let Some(driver) = shared.driver.get() {
        let mut ready = Batch::new();
        driver.close(&mut ready);
        ready.schedule();
    }
}

fn change_phase(shared: &Shared, phase: u8) {
    let _stopped = shared.world.stopped.lock();
    shared.phase.store(phase, Relaxed);
    shared.world.changed.notify_all();
}

/// Gets every sleeping thread to look at the phase.
fn wake_all(shared: &Shared) {
    fence(SeqCst); // D2 of `idle.rs`: the phase is looked at again after a worker is listed as asleep
    for worker in 0..shared.remotes.len() {
        shared.remotes[worker].poke.store(true, Relaxed);
        if shared.idle.notify_worker(worker) {
            shared.wake_worker(worker, false);
        }
    }
    shared.poller.wake(shared);
}

fn stop_world(shared: &Shared, phase: u8) {
    change_phase(shared, phase);
    wake_all(shared);
    let workers = shared.remotes.len() - shared.world.absent.load(Relaxed);
    let mut stopped = shared.world.stopped.lock();
    while *stopped < workers {
        shared.world.changed.wait(&mut stopped);
    }
    *stopped = 0;
}

/// Cancels every wait that may be cancelled (X1), and the doubtful ones too if `doubtful`.
fn cancel_all(shared: &Shared, doubtful: bool) {
    let mut batch = Batch::new();
    shared.stacks.for_each_occupant(|occupant| {
        let task = NonNull::new(occupant.cast::<Header>()).expect("occupants are not null");
        // SAFETY: it has not ended (X1).
        if unsafe { task.as_ref() }.state.claim_cancelled(doubtful) == Claim::Parked {
            // SAFETY: the claim that found it parked owns the task, with the runtime's reference (S3 of `state.rs`).
            batch.push(Claimed::of_task(unsafe { TaskRef::from_raw(task) }));
        }
    });
    batch.schedule();
}

/// Lets the workers go on until no task is left. `false`: what is left is stuck, with everybody asleep and no deadline ahead.
fn drain(shared: &Shared) -> bool {
    change_phase(shared, DRAINING);
    wake_all(shared);
    let mut stopped = shared.world.stopped.lock();
    while shared.live() > 0 {
        let timed_out = shared.world.changed.wait_for(&mut stopped, STUCK_AFTER).timed_out();
        let asleep = shared.idle.sleeping() == shared.remotes.len();
        let deadlines = || shared.remotes.iter().any(|remote| remote.timers.next_deadline().is_some());
        if timed_out && asleep && !deadlines() {
            return shared.live() == 0;
        }
    }
    true
}
