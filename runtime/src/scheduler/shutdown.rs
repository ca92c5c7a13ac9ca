//! How a runtime ends: every green thread of it unwinds, and its OS threads are gone.
//!
//! # Roles
//!
//! The *ender* is the OS thread that drops the `Runtime`: the last stopper (`world.rs`). Workers obey the phase.
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
//! - **X2** After the gate closed, new tasks come from tasks only.
//! - **X3** A wait that began before `DRAINING` was seen in X1; one that begins after it sees the phase. None is missed.
//!
//! X1, and the orderings, are those of `world.rs`.
//!
//! # Checked by
//!
//! `tests/shutdown.rs`.

use std::{ptr::NonNull, sync::Arc, thread::JoinHandle, time::Duration};

use super::{
    DRAINING, EXITING, PAUSING, RUNNING, STOPPING, Shared,
    world::{change_phase, stop_world, until_stopped, wake_all},
};
use crate::{
    park::{Batch, Claimed},
    prim::atomic::Ordering::Relaxed,
    task::{Header, TaskRef, state::Claim},
};

/// How long a runtime that is ending may stand still before waits are cancelled of which it cannot be told whether their tasks are
/// unwinding. If one is, that aborts the process, as a panic in a destructor does; if none is, they would have waited for ever.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Ends the runtime and waits until its threads are gone. Not on a green thread.
pub(crate) fn shut_down(shared: &Arc<Shared>, threads: Vec<JoinHandle<()>>) {
    shared.world.gate.write().closed = true;
    // A dump comes to its end first (X5).
    let stopper = shared.world.stopper.lock();
    let is_running = shared.phase.load(Relaxed) == RUNNING;
    if is_running {
        change_phase(shared, STOPPING);
    }
    drop(stopper);
    if is_running {
        until_stopped(shared, None);
        if cfg!(panic = "abort") {
            // Nothing can unwind: suspended stacks are leaked, and with them what their tasks refer to.
            std::mem::forget(Arc::clone(shared));
        } else {
            cancel_all(shared, false);
            while !drain(shared) {
                stop_world(shared, PAUSING, None);
                cancel_all(shared, true);
            }
        }
    }
    change_phase(shared, EXITING);
    wake_all(shared);
    // The poller thread, which starts spares, is one of those that are joined first.
    let spares = std::iter::once_with(|| shared.spares.take()).flatten();
    for thread in threads.into_iter().chain(spares) {
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
    let mut stops = shared.world.stops.lock();
    while shared.live() > 0 {
        let timed_out = shared.world.changed.wait_for(&mut stops, STUCK_AFTER).timed_out();
        let asleep = shared.idle.awake() == 0;
        let deadlines = || shared.remotes.iter().any(|remote| remote.timers.next_deadline().is_some());
        if timed_out && asleep && !deadlines() {
            return shared.live() == 0;
        }
    }
    true
}
