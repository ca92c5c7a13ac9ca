//! Which wakes are timed, for the histogram of `metrics`.
//!
//! A worker's look around decides that the next wake on it is a sample, by making `wakes_here` a number that no task's home is: so the wake takes the slower of
//! its two paths, which looks. What others send to a worker is sampled by the sender. A task that is a sample is told from others only while
//! `care` says that there is one, beside what else it says: neither costs a switch an instruction.

use super::worker::Worker;
use crate::{
    prim::atomic::Ordering::Relaxed,
    task::{Header, TaskRef, header::NO_HOME},
};

/// In `Worker::wakes_here`: the next wake is a sample. No worker's number, and not [`NO_HOME`].
const NOWHERE: u32 = NO_HOME - 1;

/// In `Worker::care`: a sample is on its way to this worker.
pub(super) const PROBE: u32 = 1 << 31;

impl Worker {
    /// A part of the look around.
    pub(super) fn sample(&self) {
        let counters = &self.remote().counters;
        counters.keep_ticks(self.tick());
        self.tell_queued();
        let tick = self.shared().poller.tick();
        if counters.has_probe() {
            counters.expire_probe(tick);
        } else if counters.wants_probe(tick) {
            self.wakes_here.set(NOWHERE);
        }
    }

    /// Tells how many ready tasks live here.
    pub(crate) fn tell_queued(&self) {
        let in_slot = usize::from(self.next_local.get().is_some());
        let queued = self.local.len() + self.yielded.len() + in_slot;
        self.remote().local.store(queued, Relaxed);
    }

    /// Whether the wake that takes place is to be a sample.
    #[inline]
    pub(super) fn is_sampling(&self) -> bool {
        self.wakes_here.get() == NOWHERE
    }

    /// A wake that is a sample.
    #[cold]
    pub(super) fn wake_as_sample(&self, task: TaskRef) {
        let here = self.index() as u32;
        self.wakes_here.set(here);
        if matches!(task.home.get(), home if home == here || home == NO_HOME) {
            let shared = self.shared();
            self.remote().counters.set_probe(&task, shared.poller.tick(), || shared.now());
            self.heed_probe();
        }
        self.wake(task);
    }

    /// There may be a sample on its way.
    #[inline]
    pub(super) fn heed_probe(&self) {
        if self.remote().counters.has_probe() {
            self.care.set(self.care.get() | PROBE);
        }
    }

    /// A task is resumed while there is something to take care of.
    #[cold]
    pub(super) fn resume_with_care(&self, task: &Header) {
        if self.care.get() & PROBE != 0 {
            let counters = &self.remote().counters;
            if counters.end_probe(task, || self.shared().now()) || !counters.has_probe() {
                self.care.set(self.care.get() & !PROBE);
            }
        }
        if task.started().counted.replace(false) {
            self.care.set(self.care.get() - 1);
        }
    }
}
