//! An inbox: tasks that other threads send to one worker.
//!
//! A lock-free stack of tasks linked through themselves, taken whole by its worker and turned round, so
//! that they leave in the order in which they came. Sending allocates nothing.
//!
//! # Roles
//!
//! Any thread sends. The worker that owns the inbox takes; and if it is stuck, whoever rescues what has not started (`scheduler/seating.rs`).
//!
//! # Invariants
//!
//! - **B1** A node in the inbox is owned by it: its link belongs to the sender until the exchange in `send`, and to the
//!   taker after the swap in `take`.
//!
//! # Orderings
//!
//! `send` (Release) is read by `take` (Acquire): the task and its link. A `send` over older nodes keeps their release
//! sequence, because each is a read-modify-write of the head. Whether the owner sleeps is not decided here: the
//! sender fences and looks (`scheduler/idle.rs`).
//!
//! # Rejected
//!
//! A queue that keeps the order by itself (Vyukov's): its `take` can find a node whose predecessor is not linked yet, and must
//! wait for a sender that was preempted.
//!
//! # Checked by
//!
//! `loom-tests/tests/inbox.rs`.

use std::{fmt, ptr};

use crate::prim::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Relaxed, Release},
};

/// A thing with a link to the next of its kind, and one owner at a time.
///
/// # Safety
///
/// `link` always returns the same field of the node.
pub unsafe trait Linked {
    /// The node's link.
    fn link(&self) -> &AtomicPtr<Self>
    where
        Self: Sized;
}

/// The inbox. See the module.
pub struct Inbox<N> {
    head: AtomicPtr<N>,
}

impl<N> Default for Inbox<N> {
    fn default() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl<N> fmt::Debug for Inbox<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("is_empty", &self.is_empty()).finish()
    }
}

impl<N: Linked> Inbox<N> {
    /// Sends a node.
    ///
    /// # Safety
    ///
    /// The caller owns the node, which stays valid until it is taken, and gives it to the inbox.
    pub unsafe fn send(&self, node: *mut N) {
        let mut head = self.head.load(Relaxed);
        loop {
            // SAFETY: the caller owns the node until the exchange below (B1).
            unsafe { &*node }.link().store(head, Relaxed);
            match self.head.compare_exchange_weak(head, node, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes every node and hands them to `each`, oldest first. Of several who take at once each gets what the others do not.
    pub fn take(&self, mut each: impl FnMut(*mut N)) {
        let mut node = self.head.swap(ptr::null_mut(), Acquire);
        let mut oldest: *mut N = ptr::null_mut();
        while !node.is_null() {
            // SAFETY: the swap made every node of the chain ours (B1).
            let next = unsafe { &*node }.link().swap_plain(oldest);
            oldest = node;
            node = next;
        }
        while !oldest.is_null() {
            // SAFETY: as above; read before `each` gives the node away.
            let next = unsafe { &*oldest }.link().load(Relaxed);
            each(oldest);
            oldest = next;
        }
    }
}

impl<N> Inbox<N> {
    /// Whether it looks empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.load(Relaxed).is_null()
    }
}

/// A load and a store, for a link with one owner.
trait SwapPlain<N> {
    fn swap_plain(&self, next: *mut N) -> *mut N;
}

impl<N> SwapPlain<N> for AtomicPtr<N> {
    fn swap_plain(&self, next: *mut N) -> *mut N {
        let before = self.load(Relaxed);
        self.store(next, Relaxed);
        before
    }
}
