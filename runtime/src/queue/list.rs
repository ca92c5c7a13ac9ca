//! A list of tasks, oldest first, linked through themselves: a worker's local queue, and a batch of woken tasks.
//!
//! For one thread; it costs two plain stores to push and one load to pop, and allocates nothing.
//!
//! # Invariants
//!
//! - **L1** The list owns every task that it links: one runtime reference each. `head` and `tail` are both null or both in the
//!   chain, and the chain ends at `tail`. A list that is dropped leaks what is in it: those tasks may be known to wakers.

use std::{cell::Cell, ptr, ptr::NonNull};

use super::inbox::Linked;
use crate::{
    prim::{self, atomic::Ordering::Relaxed},
    task::{Header, TaskRef},
};

/// What fewer tasks need has not left the cache since they ran last.
const FEW: usize = 4;

/// See the module.
pub(crate) struct TaskList {
    head: Cell<*mut Header>,
    tail: Cell<*mut Header>,
    len: Cell<usize>,
}

// SAFETY: it owns tasks (L1), which are Send.
unsafe impl Send for TaskList {}

impl Default for TaskList {
    fn default() -> Self {
        Self { head: Cell::new(ptr::null_mut()), tail: Cell::new(ptr::null_mut()), len: Cell::new(0) }
    }
}

impl TaskList {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get().is_null()
    }

    /// How many tasks it links.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    #[inline]
    pub(crate) fn push_back(&self, task: TaskRef) {
        let node = task.into_raw().as_ptr();
        // SAFETY: the list owns the node from here on (L1).
        unsafe { &*node }.link().store(ptr::null_mut(), Relaxed);
        self.len.set(self.len.get() + 1);
        let tail = self.tail.replace(node);
        if tail.is_null() {
            self.head.set(node);
        } else {
            // SAFETY: the tail is in the chain and owned (L1).
            unsafe { &*tail }.link().store(node, Relaxed);
        }
    }

    /// Moves all of `other` to the end.
    pub(crate) fn append(&self, other: &Self) {
        let Some(node) = NonNull::new(other.head.replace(ptr::null_mut())) else { return };
        self.len.set(self.len.get() + other.len.replace(0));
        let tail = self.tail.replace(other.tail.replace(ptr::null_mut()));
        if tail.is_null() {
            self.head.set(node.as_ptr());
        } else {
            // SAFETY: the tail is in the chain and owned (L1).
            unsafe { &*tail }.link().store(node.as_ptr(), Relaxed);
        }
    }

    /// Shows each task, oldest first.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Header)) {
        let mut next = self.head.get();
        while let Some(node) = NonNull::new(next) {
            // SAFETY: it is in the chain and owned (L1).
            let task = unsafe { node.as_ref() };
            next = task.link().load(Relaxed);
            each(task);
        }
    }

    /// Has the cache fetch what the next tasks need when their turn comes. What lies behind a pointer can be asked for once the pointer is
    /// there: so each task is seen to in three steps, at the turns of the three before it.
    #[inline(always)]
    pub(crate) fn fetch_ahead(&self) {
        if self.len.get() < FEW {
            return;
        }
        // SAFETY: the head is in the chain and owned (L1).
        let Some(first) = (unsafe { self.head.get().as_ref() }) else { return };
        first.fetch_frames();
        // SAFETY: as above.
        let Some(second) = (unsafe { first.link().load(Relaxed).as_ref() }) else { return };
        second.fetch_record();
        prim::fetch(second.link().load(Relaxed).addr(), 1);
    }

    #[inline]
    pub(crate) fn pop_front(&self) -> Option<TaskRef> {
        let node = NonNull::new(self.head.get())?;
        // SAFETY: the head is in the chain and owned (L1).
        let next = unsafe { node.as_ref() }.link().load(Relaxed);
        self.head.set(next);
        self.len.set(self.len.get() - 1);
        if next.is_null() {
            self.tail.set(ptr::null_mut());
        }
        // SAFETY: its reference went in with `push_back` and leaves once.
        Some(unsafe { TaskRef::from_raw(node) })
    }
}
