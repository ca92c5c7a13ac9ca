//! On which worker a green thread is to live.

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
