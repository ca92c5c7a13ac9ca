//! A wait group: wait until everybody who was counted in is gone.
//!
//! # Roles
//!
//! Each clone counts one in, until it is dropped. Those that [`wait`](WaitGroup::wait) give their own up first.
//!
//! # Invariants
//!
//! - **A1** A waker in `waiters` belongs to a waiter whose frame lives: it takes its waker out under the lock before it returns, unless it was
//!   claimed under the lock.
//!
//! # Checked by
//!
//! `sync/tests/wait_group.rs`.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use sward_runtime::{
    cancel,
    park::{Batch, Outcome, WaitReason, Waiter, Waker},
};

/// Waits for a number of threads, green or not, to be done. Each holds a clone, and drops it when it is.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::{Arc, WaitGroup, atomic::{AtomicU32, Ordering}};
///
/// let done = Arc::new(AtomicU32::new(0));
/// let group = WaitGroup::new();
/// for _ in 0..10 {
///     let (group, done) = (group.clone(), Arc::clone(&done));
///     thread::spawn(move || {
///         done.fetch_add(1, Ordering::Relaxed);
///         drop(group);
///     });
/// }
/// group.wait();
/// assert_eq!(done.load(Ordering::Relaxed), 10);
/// ```
pub struct WaitGroup(Arc<Mutex<Group>>);

struct Group {
    members: usize,
    waiters: Vec<(u64, Waker)>,
    next: u64,
}

impl WaitGroup {
    /// A group of one: the value itself.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Group { members: 1, waiters: Vec::new(), next: 0 })))
    }

    /// Leaves the group, and waits until all others have left it too.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The caller has left the group all the same.
    pub fn wait(self) {
        let group = Arc::clone(&self.0);
        drop(self);
        loop {
            // SAFETY: used up in this turn of the loop, which begins no other wait.
            let mut waiter = unsafe { Waiter::new(WaitReason::Group) };
            let key = {
                let mut group = group.lock();
                if group.members == 0 {
                    return;
                }
                let key = group.next;
                group.next += 1;
                group.waiters.push((key, waiter.waker()));
                key
            };
            let outcome = waiter.wait(None);
            group.lock().waiters.retain(|(other, _)| *other != key);
            if outcome == Outcome::Cancelled {
                cancel::unwind();
            }
        }
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for WaitGroup {
    fn clone(&self) -> Self {
        self.0.lock().members += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        let mut ready = Batch::new();
        let mut group = self.0.lock();
        group.members -= 1;
        if group.members == 0 {
            for (_, waker) in group.waiters.drain(..) {
                // SAFETY: the lock of the registry is held (A1).
                if let Some(claimed) = unsafe { waker.claim() } {
                    ready.push(claimed);
                }
            }
        }
        drop(group);
        ready.schedule();
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("members", &self.0.lock().members).finish()
    }
}
