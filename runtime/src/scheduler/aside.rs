//! Tasks that block their OS thread, and are expected to do so again.
//!
//! Until a worker is found stuck some milliseconds pass, in which what is due waits. So a task that was found blocking is marked, and
//! from then on its worker gives up its seat before it resumes it, as [`blocking`](crate::blocking) does. Once a run of it has hardly blocked the mark goes.
//!
//! # Roles
//!
//! The *poller thread*, when it takes the seat of a worker that blocks, *accuses* the task that runs there. The *worker* judges when that
//! task suspends. If it has suspended by then, the next one is judged in its place, and its worker steps aside once for nothing.
//!
//! # Orderings
//!
//! `accused` is Relaxed: it carries nothing, and a look at it that comes too early or too late costs one step aside.
//!
//! # Checked by
//!
//! `aside/tests.rs`, `tests/stall.rs`.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{os_thread, worker::Worker};
use crate::{prim::atomic::Ordering::Relaxed, task::Header, timer::wheel::Nanos};

/// Who blocks for less is not worth another worker.
const SHORT: Duration = Duration::from_millis(1);

/// A worker that has stepped aside for a task, and since when.
#[derive(Clone, Copy)]
pub(super) struct Aside {
    since: Nanos,
    /// For how long its OS thread had run by then, or waited for a CPU.
    busy: Duration,
}

impl Worker {
    /// Gives the seat up, if there is somebody to take it, before a task is resumed that is expected to block.
    #[cold]
    pub(super) fn step_aside(&self) {
        let Some(busy) = os_thread::own_busy_time(self.remote().os_thread.load(Relaxed)) else { return };
        let since = self.shared().now();
        if self.leave_seat() {
            self.aside.set(Some(Aside { since, busy }));
            self.remote().accused.store(true, Relaxed);
        }
    }

    /// Marks a task that is accused, as it suspends, or takes the mark away.
    #[cold]
    pub(super) fn judge(&self, task: &Header) {
        self.remote().accused.store(false, Relaxed);
        // Without having stepped aside: found by the poller thread.
        let blocks = self.aside.take().is_none_or(|aside| aside.has_blocked(self));
        task.started().blocks.set(blocks);
    }
}

impl Aside {
    fn has_blocked(self, worker: &Worker) -> bool {
        let Some(busy) = os_thread::own_busy_time(worker.remote().os_thread.load(Relaxed)) else {
            return false;
        };
        let passed = Duration::from_nanos(worker.shared().now() - self.since);
        passed.saturating_sub(busy.saturating_sub(self.busy)) >= SHORT
    }
}
