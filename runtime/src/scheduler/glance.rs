//! A glance at the task that a worker runs, for the report of a stall.
//!
//! The phase is that of a dump for some microseconds, in which nobody is waited for: a worker that comes to take a task, or has ended one, stops
//! until it is over, and so a task that is seen in a worker's hands stays there (T1 to T3 of `hands.rs`).

use super::{
    DUMPING, RUNNING, Shared,
    world::{change_phase, wake_all},
};
use crate::{
    prim::{
        atomic::Ordering::{Acquire, Relaxed},
        heavy_fence,
    },
    task::Header,
};

/// Looks at the task that a worker runs, of which only what never changes is to be read. `None`: it runs none, or the runtime is ending. Not on a
/// worker or the poller thread.
pub(crate) fn glance<R>(shared: &Shared, worker: usize, look: impl FnOnce(&Header) -> R) -> Option<R> {
    // Until the phase is as it was (X5 of `world.rs`).
    let _stopper = shared.world.stopper.lock();
    if shared.phase.load(Relaxed) != RUNNING {
        return None;
    }
    change_phase(shared, DUMPING);
    let mut seen = None;
    if heavy_fence() {
        // SAFETY: a worker's loop goes on while the phase is that of a dump, and its hands are there meanwhile.
        let hands = unsafe { shared.remotes[worker].hands.load(Acquire).as_ref() };
        // SAFETY: the task is not given away by who has it, nor taken apart, while the phase is that of a dump (T1, T2 of `hands.rs`).
        let task = hands.and_then(|hands| unsafe { hands.look()[0].as_ref() });
        seen = task.map(look);
        // Before they go on: T3 of `hands.rs`.
        let _ = heavy_fence();
    }
    change_phase(shared, RUNNING);
    // What came while they stood is theirs to find.
    wake_all(shared);
    seen
}
