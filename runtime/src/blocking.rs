//! [`blocking`]: a call that blocks its worker, with another worker in its place.

use crate::scheduler::current;

/// Runs `f`, which may block its OS thread or compute for long, here and now, while another worker does the work of the one that it keeps.
///
/// For foreign calls that block and cannot be moved to a pool, since they borrow, or are not `Send`. The worker gives its seat up before
/// `f` begins: to a worker that waits for one, that sleeps, or that is started for it. When `f` has returned the green thread goes
/// on; if all seats are taken by then, until it suspends next. A worker that is stuck without having said so is found out after
/// [`stall_after`](crate::runtime::Builder::stall_after), and costs the others that long.
///
/// On an anchored runtime, what has started on this worker before waits there until `f` returns: it may not run on another OS thread, whose thread-locals are others. So
/// if `f` waits, by foreign means, for a green thread of the same runtime that happens to live on this very worker, it waits for ever; a
/// [dump](crate::runtime::Handle::dump) tells how many are ready behind it. The cure is [`unblock`](crate::unblock), wherever `f` can be sent: it keeps nobody waiting, and
/// does not need a worker for each call. New green threads do not start on a worker that is in `f`, and in roaming mode nobody waits for one.
///
/// `f` may do all that the green thread may: wait, spawn, and call `blocking` again. On an OS thread outside the runtime, and on a runtime
/// without spares ([`max_spares`](crate::runtime::Builder::max_spares)), it is just called. When all spares are in use others wait.
///
/// # Suspension
///
/// None but that of `f`.
///
/// # Cancellation
///
/// `f` is not interrupted. What waits in it is cancelled as elsewhere.
///
/// The end of the runtime waits for `f` too, but all other green threads are cancelled meanwhile. So if `f` waits, by foreign means, for what another has,
/// it is released when that unwinds, at the latest; unless the other is anchored to the worker that `f` keeps, where it cannot run.
///
/// # Panics
///
/// With `f`'s payload if `f` panics.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
///
/// use sward_runtime::{blocking, runtime::Builder, thread};
///
/// let runtime = Builder::new().workers(1).build()?;
/// let got = runtime.run(|| {
///     // A foreign channel: its `recv` blocks the OS thread, here the only worker.
///     let (sender, receiver) = mpsc::channel();
///     thread::spawn(move || sender.send(7).unwrap());
///     blocking(|| receiver.recv().unwrap())
/// });
/// assert_eq!(got, 7);
/// # Ok::<(), sward_runtime::error::BuildError>(())
/// ```
pub fn blocking<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    let has_left = current::worker().is_some_and(|worker| worker.leave_seat());
    // Made only then: its drop asks.
    let _return = has_left.then(|| Return);
    f()
}

/// Asks for a seat again, however `f` ends.
struct Return;

impl Drop for Return {
    fn drop(&mut self) {
        // Perhaps another worker, if `f` has waited.
        if let Some(worker) = current::worker() {
            worker.regain_seat();
        }
    }
}
