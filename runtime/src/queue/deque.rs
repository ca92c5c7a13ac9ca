//! A worker's deque of tasks, as its owner uses it: crossbeam-deque's, with a note whether it may hold anything.
//!
//! A worker asks its deques at every switch and most often for nothing, since what is woken on its home goes to a list. The note makes
//! that one plain load in place of some ten instructions.
//!
//! # Invariants
//!
//! - **Q1** Only the owner fills the deque, and notes it first. So without the note it is empty.

use std::cell::Cell;

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

use crate::{prim::hint, task::TaskRef};

/// See the module.
pub(crate) struct Deque {
    tasks: Worker<TaskRef>,
    /// The note of Q1.
    may_hold: Cell<bool>,
}

impl Deque {
    /// What the owner pushes last, it takes first.
    pub(crate) fn newest_first() -> Self {
        Self { tasks: Worker::new_lifo(), may_hold: Cell::new(false) }
    }

    /// What the owner pushes first, it takes first.
    pub(crate) fn oldest_first() -> Self {
        Self { tasks: Worker::new_fifo(), may_hold: Cell::new(false) }
    }

    /// What thieves use.
    pub(crate) fn stealer(&self) -> Stealer<TaskRef> {
        self.tasks.stealer()
    }

    #[inline]
    pub(crate) fn push(&self, task: TaskRef) {
        self.may_hold.set(true);
        self.tasks.push(task);
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        if self.may_hold.get() { self.pop_noted() } else { None }
    }

    #[inline]
    fn pop_noted(&self) -> Option<TaskRef> {
        let task = self.tasks.pop();
        if task.is_none() {
            self.may_hold.set(false);
        }
        task
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.may_hold.get() || self.tasks.is_empty()
    }

    /// The oldest, also where the owner takes the newest.
    pub(crate) fn steal_oldest(&self) -> Option<TaskRef> {
        if self.is_empty() {
            return None;
        }
        let stealer = self.tasks.stealer();
        settle(|| stealer.steal())
    }

    /// Shows each task, oldest first, and leaves them in their order.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&TaskRef)) {
        for _ in 0..self.tasks.len() {
            let Some(task) = self.steal_oldest() else { return };
            each(&task);
            self.push(task);
        }
    }

    /// Takes at most `limit` of another worker's tasks, one of them to run.
    pub(crate) fn steal_from(&self, victim: &Stealer<TaskRef>, limit: usize) -> Option<TaskRef> {
        if victim.is_empty() {
            return None;
        }
        self.may_hold.set(true);
        settle(|| victim.steal_batch_with_limit_and_pop(&self.tasks, limit))
    }

    /// Takes at most `limit` tasks that belong to nobody, one of them to run.
    pub(crate) fn take_from(&self, injector: &Injector<TaskRef>, limit: usize) -> Option<TaskRef> {
        self.may_hold.set(true);
        settle(|| injector.steal_batch_with_limit_and_pop(&self.tasks, limit))
    }
}

/// Shows each task that belongs to nobody, oldest first, and leaves them in their order, but for those that come meanwhile.
pub(crate) fn for_each_injected(injector: &Injector<TaskRef>, mut each: impl FnMut(&TaskRef)) {
    for _ in 0..injector.len() {
        let Some(task) = settle(|| injector.steal()) else { return };
        each(&task);
        injector.push(task);
    }
}

/// Tries until nobody interferes.
fn settle(mut steal: impl FnMut() -> Steal<TaskRef>) -> Option<TaskRef> {
    loop {
        match steal() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => hint::spin_loop(),
        }
    }
}
