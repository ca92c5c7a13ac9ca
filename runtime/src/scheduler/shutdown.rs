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
//! 1. The gate is closed to spawns from outside; each worker stops at its next switch. 2. All have stopped, or all but those that have not come to a
//!    switch for [`PATIENCE`]: the ender has cancelled every wait that may be. From here on a wait is cancelled as it begins, and a task that starts drops its closure
//!    unrun, on a stack of its own, for destructors may wait too. 3. No task is left. 4. For a while nothing has ended: it is stopped again, and the waits are cancelled that were begun as
//!    unwinding or doubtful and are so no more (X7); and if all sleep, all doubtful ones, if nothing is ahead that may end them, or nothing has ended for long.
//!
//! A worker that does not stop may be in a foreign call that waits for what another task has: so the others are not kept waiting for it. As it goes on it obeys the phase
//! that it finds.
//!
//! # Invariants
//!
//! - **X2** After the gate closed, new tasks come from tasks only.
//! - **X3** If all have stopped, a wait that began before `DRAINING` was seen in X1, and before one that begins after it its task has seen the phase: no worker
//!   stops between that look and `State::park`. If not, each task that has started, and
//!   each that a worker has its hands on, is cancelled as a whole, which no wait of it escapes (S6 of `state.rs`); any other starts on a worker that saw `STOPPING`
//!   before or the phase after it (T3 of `hands.rs`). None is missed.
//! - **X7** A wait is doubtful if another task of its worker was suspended in the middle of its unwinding as it began, and so may be what its own task was taken for. All that
//!   unwind stay with their worker. So if that has stopped and its OS thread is not panicking, none of its tasks unwinds. Whose home it is can be read, since no task changes its home
//!   but in the hands of a worker that has not stopped (T3 of `hands.rs`).
//! - **X6** A task that is cancelled is alive: by X1; or, if it ends in the hands of a worker that has not stopped, since that stops
//!   before it takes the task apart (T2 of `hands.rs`).
//!
//! X1, and the orderings, are those of `world.rs`, and of `hands.rs`.
//!
//! # Rejected
//!
//! - Not to stop the workers at all, but to cancel what runs as that which is in the hands of one that does not stop: it is sound as well, but needs a heavy fence, and then
//!   every end is the one that is hard to understand.
//!
//! # Checked by
//!
//! `tests/shutdown.rs`, `tests/shutdown_stuck.rs`, `loom-tests/tests/hands.rs`.

use std::{
    ptr::{self, NonNull},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    DRAINING, EXITING, PAUSING, RUNNING, STOPPING, Shared,
    dump::busy_workers,
    world::{change_phase, until_stopped, wake_all, who_stands},
};
use crate::{
    park::{Batch, Claimed},
    pool,
    prim::{atomic::Ordering::Relaxed, heavy_fence},
    task::{
        Header, TaskRef,
        state::{Claim, Reach},
    },
};

/// How long workers have to come to a switch before the others' tasks are cancelled without them.
const PATIENCE: Duration = Duration::from_millis(100);

/// After so long without an end waits are looked at again, and those cancelled whose tasks do not unwind (X7); and all doubtful ones if everybody sleeps and nothing is ahead: no deadline,
/// no call on the pool, no socket. If the task of one unwinds, that aborts the process, as a panic in a destructor does.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// After so many times [`STUCK_AFTER`] in which nothing has ended what is ahead is not waited for either: a destructor may wait for a task whose wait is doubtful because of it.
const HOPELESS: u32 = 5;

/// Ends the runtime and waits until its threads are gone. Not on a green thread.
pub(crate) fn shut_down(shared: &Arc<Shared>, threads: Vec<JoinHandle<()>>) {
    shared.world.gate.write().closed = true;
    // A dump comes to its end first (X5 of `world.rs`).
    let stopper = shared.world.stopper.lock();
    let is_running = shared.phase.load(Relaxed) == RUNNING;
    if is_running {
        change_phase(shared, STOPPING);
    }
    drop(stopper);
    if is_running {
        if cfg!(panic = "abort") {
            // Nothing can unwind: suspended stacks are leaked, and with them what their tasks refer to.
            until_stopped(shared, None);
            std::mem::forget(Arc::clone(shared));
        } else {
            cancel_all(shared, false);
            let (mut live, mut rounds) = (u64::MAX, 0);
            while let Some(left) = drain(shared) {
                rounds = match left {
                    _ if shared.live() < live => 0,
                    Left::Awake => rounds,
                    Left::Until | Left::ForEver => rounds + 1,
                };
                live = shared.live();
                change_phase(shared, PAUSING);
                cancel_all(shared, left == Left::ForEver || left == Left::Until && rounds >= HOPELESS);
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

/// What is left when nothing has ended for [`STUCK_AFTER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Somebody runs, or blocks a worker.
    Awake,
    /// All sleep, and something is ahead that may wake one.
    Until,
    /// All sleep.
    ForEver,
}

/// Stops the workers, and cancels every wait that may be cancelled (X3), and those whose tasks do not unwind any more (X7); and all doubtful ones if `doubtful`.
fn cancel_all(shared: &Shared, doubtful: bool) {
    let mut busy = Vec::new();
    let any_busy = until_stopped(shared, Some(Instant::now() + PATIENCE)) > 0;
    if any_busy && heavy_fence() {
        busy = busy_workers(shared);
    } else if any_busy && shared.phase.load(Relaxed) == PAUSING {
        // Without the fence nothing is certain about those that run, and they may wait for what the others go on to do.
        return;
    } else if any_busy {
        until_stopped(shared, None);
    }
    let standing = who_stands(shared);
    let is_calm = |task: &Header| {
        // One that is in somebody's hands may change its home just now.
        let in_hands = busy.iter().any(|busy| ptr::eq(busy.current, task));
        let home = || task.home.get() as usize;
        !in_hands && standing.contains(&home()) && !shared.remotes[home()].unwinds.load(Relaxed)
    };
    let mut batch = Batch::new();
    let mut cancel = |task: *mut Header| {
        let Some(task) = NonNull::new(task) else { return };
        // SAFETY: it is alive (X6).
        let task = unsafe { task.as_ref() };
        let state = &task.state;
        let reach = if is_calm(task) {
            Reach::Calm
        } else if doubtful {
            Reach::Doubtful
        } else {
            Reach::Open
        };
        let whole = if busy.is_empty() { Claim::Lost } else { state.cancel() };
        if whole == Claim::Parked || state.claim_cancelled(reach) == Claim::Parked {
            // SAFETY: the claim that found it parked owns the task, with the runtime's reference (S3 of `state.rs`).
            batch.push(Claimed::of_task(unsafe { TaskRef::from_raw(task.ptr()) }));
        }
    };
    // One may be about to start, on a stack that is not seen yet.
    busy.iter().for_each(|busy| cancel(busy.current));
    shared.stacks.for_each_occupant(|occupant| {
        let task = occupant.cast::<Header>();
        // It may be gone already.
        if busy.iter().all(|busy| busy.ending != task) {
            cancel(task);
        }
    });
    if !busy.is_empty() {
        // Before they go on: T3 of `hands.rs`.
        let _ = heavy_fence();
    }
    batch.schedule();
}

/// Lets the workers go on until no task is left, or none has ended for [`STUCK_AFTER`].
fn drain(shared: &Shared) -> Option<Left> {
    change_phase(shared, DRAINING);
    wake_all(shared);
    let mut stops = shared.world.stops.lock();
    loop {
        let live = shared.live();
        if live == 0 {
            return None;
        }
        let timed_out = shared.world.changed.wait_for(&mut stops, STUCK_AFTER).timed_out();
        if !timed_out || shared.live() < live {
            continue;
        }
        let deadlines = || shared.remotes.iter().any(|remote| remote.timers.next_deadline().is_some());
        return Some(if shared.idle.awake() > 0 {
            Left::Awake
        } else if deadlines() || !pool::is_idle() || shared.busy_driver().is_some() {
            Left::Until
        } else {
            Left::ForEver
        });
    }
}
