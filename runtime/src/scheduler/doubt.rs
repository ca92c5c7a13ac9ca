//! Waits that began while it could not be told whether their tasks unwind.
//!
//! The panic count is the OS thread's. While one task of a worker is suspended in the middle of its unwinding, that is in a destructor that waits, the
//! others might be unwinding too, so waits that they begin meanwhile are not cancelled, and no bound limits them. Nor is it noticed that one which unwinds has
//! caught that. Once the OS thread does not panic any more, none of its tasks unwinds. Then whatever is in such a wait is looked at again: it is cancelled if it
//! is to end; if it has bounds it runs, to have them limit its wait.
//!
//! # Invariants
//!
//! - **Q1** Whatever is in `doubted` has ended, or this worker is its home and it has not run elsewhere since. For it was suspended while the OS thread panicked, and
//!   as soon as that is over `doubted` is emptied: before the task that runs then is given away, or forgotten, and before another runs.
//! - **Q2** All that are counted in `care` are in `doubted`.
//!
//! # Suspension
//!
//! None: all of this happens on the worker's own stack.

use super::{sample::PROBE, worker::Worker};
use crate::task::{
    Header, TaskRef,
    state::{Claim, Place},
};

/// In `care`: there are tasks in `doubted`.
const DOUBTED: u32 = 1 << 30;

impl Worker {
    /// Whether a task of this worker, other than the one that runs, may be in the middle of its unwinding.
    pub(crate) fn has_unwinding_tasks(&self) -> bool {
        self.care.get() & !(PROBE | DOUBTED) > 0
    }

    /// Notes a task that was just suspended while the OS thread panics.
    #[cold]
    pub(super) fn doubt(&self, task: &Header) {
        if task.started().doubted.replace(true) {
            return;
        }
        let mut doubted = self.doubted.take();
        if doubted.len() == doubted.capacity() {
            doubted.retain(|task| task.state.place() != Place::Finished);
        }
        doubted.push(task.retain());
        self.doubted.set(doubted);
        self.care.set(self.care.get() | DOUBTED);
    }

    /// Looks at those waits again, if it is known now that nothing unwinds.
    #[cold]
    pub(super) fn dispel_doubts(&self) {
        if self.care.get() & DOUBTED == 0 || std::thread::panicking() {
            return;
        }
        self.care.set(self.care.get() & !DOUBTED);
        for task in self.doubted.take() {
            if task.state.place() == Place::Finished {
                continue;
            }
            // Ours (Q1).
            let started = task.started();
            started.doubted.set(false);
            started.set_unwinding(false);
            if started.counted.replace(false) {
                self.care.set(self.care.get() - 1);
            }
            if task.state.dispel(self.shared().is_draining()) == Claim::Parked {
                // SAFETY: the claim that found it parked owns the task, with the runtime's reference (S3 of `state.rs`).
                self.wake(unsafe { TaskRef::from_raw(task.ptr()) });
            }
        }
    }
}
