//! The phases of a runtime, and how its workers are stopped: for its end, and for a look at all green threads.
//!
//! `RUNNING` goes to `DUMPING` and back (`dump.rs`), and once to `STOPPING`, from which there is no way back (`shutdown.rs`).
//!
//! # Roles
//!
//! The *stopper* is an OS thread that no worker is: it ends the runtime, or dumps it. Workers obey the phase.
//!
//! # Invariants
//!
//! - **X1** While the world is stopped no task runs and no stack is taken or given back, so every occupant of a stack is a task that has
//!   started, and may have ended but was not taken apart, and stays alive.
//! - **X4** The phase changes under the lock of `stops`, and with it the number of the stop: so each worker is counted once for each stop, however late
//!   it learns that the one before is over.
//! - **X5** One stopper at a time: who dumps holds `stopper` until the phase is `RUNNING` again, and who ends the runtime takes it to set
//!   `STOPPING`, after which nobody dumps. It is not held any longer, for a destructor may ask for a dump.
//!
//! # Orderings
//!
//! The phase is Relaxed; the lock under which the stopper counts the stopped workers orders it against them, and what they did before they stopped
//! against what it looks at.
//!
//! # Checked by
//!
//! `tests/shutdown.rs`, `tests/dump.rs`.

use std::time::Instant;

use parking_lot::{Condvar, Mutex, RwLock};

use super::{DRAINING, DUMPING, PAUSING, RUNNING, STOPPING, Shared, worker::Worker};
use crate::prim::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    fence,
};

/// What the stopper and the workers meet at.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) gate: RwLock<Gate>,
    /// Tasks spawned from outside.
    pub(crate) spawns: AtomicU64,
    pub(super) stopper: Mutex<()>,
    pub(super) stops: Mutex<Stops>,
    /// How many could not be started.
    absent: AtomicUsize,
    pub(super) changed: Condvar,
}

/// Whether threads outside may still spawn.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) closed: bool,
}

/// See X4.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// How often the phase has changed.
    changes: u64,
    /// The workers that have stopped since the last change.
    stopped: Vec<usize>,
}

impl World {
    /// Some workers could not be started.
    pub(crate) fn abandon(&self, workers: usize) {
        self.absent.store(workers, Relaxed);
    }
}

impl Worker {
    /// Does what the phase asks. `false`: leave the loop.
    #[cold]
    pub(super) fn obey_phase(&self) -> bool {
        match self.stop_while_asked() {
            DRAINING => {
                self.tell_if_drained();
                true
            }
            phase => phase == RUNNING,
        }
    }

    /// Stops until the phase is one in which workers go on, or end, and returns it.
    fn stop_while_asked(&self) -> u8 {
        let shared = self.shared();
        let world = &shared.world;
        let phase = || shared.phase.load(Relaxed);
        let now = phase();
        if !is_stop(now) {
            return now;
        }
        let mut stops = world.stops.lock();
        while is_stop(phase()) {
            self.remote().unwinds.store(std::thread::panicking(), Relaxed);
            stops.stopped.push(self.index());
            world.changed.notify_all();
            let changes = stops.changes;
            while stops.changes == changes {
                world.changed.wait(&mut stops);
            }
        }
        phase()
    }

    /// Tells the stopper, in `DRAINING`, if no task is left. Whoever ends a task does so before it sleeps.
    pub(super) fn tell_if_drained(&self) {
        let shared = self.shared();
        // Of two workers that end the last two tasks at once, one must see both ends.
        fence(SeqCst);
        if shared.live() == 0 {
            // Under the lock, so that the stopper is either before its look or in its wait.
            let _stops = shared.world.stops.lock();
            shared.world.changed.notify_all();
        }
    }
}

/// Whether workers are to stop until the next phase.
pub(super) const fn is_stop(phase: u8) -> bool {
    matches!(phase, DUMPING | STOPPING | PAUSING)
}

pub(super) fn change_phase(shared: &Shared, phase: u8) {
    let mut stops = shared.world.stops.lock();
    shared.phase.store(phase, Relaxed);
    stops.changes += 1;
    stops.stopped.clear();
    shared.world.changed.notify_all();
}

/// Gets every sleeping thread to look at the phase.
pub(super) fn wake_all(shared: &Shared) {
    fence(SeqCst); // D2 of `idle.rs`: the phase is looked at again after a worker is listed as asleep
    for worker in 0..shared.remotes.started() {
        shared.remotes[worker].poke.store(true, Relaxed);
        if shared.idle.notify_worker(worker) || shared.idle.dismiss(worker) {
            shared.wake_worker(worker, false);
        }
    }
    shared.poller.wake(shared);
}

/// Stops the world. See [`until_stopped`].
pub(super) fn stop_world(shared: &Shared, phase: u8, deadline: Option<Instant>) -> usize {
    change_phase(shared, phase);
    until_stopped(shared, deadline)
}

/// Returns once all workers have stopped, at the latest at `deadline`; and how many have not by then: without a deadline, none.
pub(super) fn until_stopped(shared: &Shared, deadline: Option<Instant>) -> usize {
    wake_all(shared);
    let mut stops = shared.world.stops.lock();
    // One that could not be started is taken back.
    let workers = || shared.remotes.started() - shared.world.absent.load(Relaxed);
    while stops.stopped.len() < workers() {
        match deadline {
            None => shared.world.changed.wait(&mut stops),
            Some(deadline) => {
                if shared.world.changed.wait_until(&mut stops, deadline).timed_out() {
                    break;
                }
            }
        }
    }
    workers() - stops.stopped.len()
}

/// The workers that have stopped by now.
pub(super) fn who_stands(shared: &Shared) -> Vec<usize> {
    shared.world.stops.lock().stopped.clone()
}
