//! On which worker a green thread is to live, and whether others run beside it.

use std::sync::OnceLock;

use crate::scheduler::current;

/// Has the next green thread that the calling one spawns placed on the workers in turn, instead of near its spawner.
///
/// For those that are worth a wake-up of another worker because they live long, as one that serves a connection: `sward-io` calls it
/// after each accept. In anchored mode a green thread stays where it starts, and all that one accepts would else live with
/// it. A hint: it holds for the next spawn on the worker, whichever green thread makes it. Without effect in roaming mode, on a runtime
/// with one worker, and on an OS thread outside the runtime.
///
/// # Examples
///
/// ```
/// use sward_runtime::{placement, thread};
///
/// let server = thread::spawn(|| {
///     placement::spread_next_spawn();
///     thread::spawn(|| "somewhere").join().unwrap()
/// });
/// assert_eq!(server.join().unwrap(), "somewhere");
/// ```
pub fn spread_next_spawn() {
    if let Some(worker) = current::worker() {
        worker.spread_next_spawn();
    }
}

/// Whether what the calling thread waits for may come about while it keeps its CPU: whether others can run beside it. If not, looking
/// again and again is a waste. Not exact: on a runtime with one worker it says no, though an OS thread outside may be about to release a lock.
#[doc(hidden)]
#[must_use]
pub fn others_run_beside() -> bool {
    static SEVERAL_CPUS: OnceLock<bool> = OnceLock::new();
    current::worker().is_none_or(|worker| worker.shared().remotes.regular() > 1)
        && *SEVERAL_CPUS.get_or_init(|| num_cpus::get() > 1)
}
