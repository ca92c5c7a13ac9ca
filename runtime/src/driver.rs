//! What an idle worker waits on, so that `io` can be written without this crate knowing sockets.

use std::{any::Any, io, time::Duration};

use crate::park::Batch;

/// A source of readiness: one per runtime, started when the first socket needs it.
///
/// The poller thread waits on it while every worker is busy or asleep; a worker with nothing to run looks at it itself, and
/// waits on it in place of sleeping.
pub trait Driver: Any + Send + Sync {
    /// Collects readiness: waits at most `timeout` (`None`: until something comes; zero: only looks), claims the
    /// waiters whose sources are ready, and pushes them to `ready`. Several threads may call it at once. It may return early
    /// with nothing.
    ///
    /// # Errors
    ///
    /// What the system call says; an interrupted one is not an error.
    fn wait(&self, timeout: Option<Duration>, ready: &mut Batch) -> io::Result<()>;

    /// Makes the current blocking [`wait`](Self::wait), or else the next, return soon: one that only looks, beside it, does not use the
    /// notification up. Cheap; from any thread.
    fn notify(&self);

    /// Whether any source is registered. While none is, workers do not look.
    fn has_sources(&self) -> bool;

    /// The runtime has ended: wakes every waiter, and makes operations fail from now on.
    fn close(&self, ready: &mut Batch);
}
