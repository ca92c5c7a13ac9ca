//! Tasks that block their OS thread, and are expected to do so again.
//!
//! Until a worker is found stuck some milliseconds pass, in which what is due waits. So a task that was found blocking is marked, and
//! from then on its worker gives up its seat before it resumes it, as [`blocking`](crate::blocking) does. After some runs in a row that have hardly blocked the mark goes.
//!
//! # Roles
//!
//! The *poller thread*, when it takes the seat of a worker that blocks, *accuses* the task that runs there. The *worker* judges when that
//! task suspends. If it has suspended by then, the next one is judged in its place, and workers step aside for nothing
//! until its mark is gone.
//!
//! # Orderings
//!
//! `accused` is Relaxed: it carries nothing, and a look at it that comes too early or too late marks another task for some runs.
//!
//! # Checked by
//!
//! `aside/tests.rs`.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{os_thread, worker::Worker};
use crate::{prim::atomic::Ordering::Relaxed, task::Header, timer::wheel::Nanos};

/// Who blocks for less is not worth another worker.
const SHORT: Duration = Duration::from_millis(1);

/// After so many short runs in a row a task is not expected to block any more. It may have yielded for another reason before it came to block.
const PATIENCE: u8 = 3;

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
    pub(super) fn step_aside(&self, task: &Header) {
        let Some(busy) = os_thread::own_busy_time(self.remote().os_thread.load(Relaxed)) else {
            return task.started().blocks.set(0);
        };
        let since = self.shared().now();
        if self.give_seat_up() {
            // What a poke may be for is looked at when the task has suspended, or has no budget left: it would yield at its first operation.
            self.remote().poke.store(false, Relaxed);
            self.aside.set(Some(Aside { since, busy }));
            self.remote().accused.store(true, Relaxed);
        }
    }

    /// Marks a task that is accused, as it suspends, or takes the mark away.
    #[cold]
    pub(super) fn judge(&self, task: &Header) {
        // Without having stepped aside: found by the poller thread.
        let blocks = self.aside.get().is_none_or(|aside| aside.has_blocked(self));
        let mark = &task.started().blocks;
        mark.set(if blocks { PATIENCE } else { mark.get().saturating_sub(1) });
        self.come_back();
    }

    /// The task that is accused has suspended, or ended.
    #[cold]
    pub(super) fn come_back(&self) {
        self.remote().accused.store(false, Relaxed);
        if self.aside.take().is_some() {
            self.remote().poke.store(true, Relaxed);
        }
    }
}

impl Aside {
    /// Whether its OS thread was blocked for some time, and for most of it.
    fn has_blocked(self, worker: &Worker) -> bool {
        let Some(busy) = os_thread::own_busy_time(worker.remote().os_thread.load(Relaxed)) else {
            return false;
        };
        let passed = Duration::from_nanos(worker.shared().now() - self.since);
        let blocked = passed.saturating_sub(busy.saturating_sub(self.busy));
        blocked >= SHORT && blocked >= passed / 2
    }
}
