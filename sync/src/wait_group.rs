//! A wait group: wait until everybody who was counted in is gone.
//!
//! # Roles
//!
//! Each clone counts one *member* in, until it is dropped. Those that [`wait`](WaitGroup::wait) give their own up first.
//!
//! # Invariants
//!
//! - **A1** A group that has no members gets none again: a clone is made by a member.
//!
//! # Orderings
//!
//! Those of `word.rs`: whoever finds no members sees what each did before it left.
//!
//! # Checked by
//!
//! `loom-tests/tests/wait_group.rs`, `tests/wait_group.rs`.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::{budget, park::WaitReason};

use crate::word::Word;

/// Waits for a number of threads, green or not, to be done. Each holds a clone, and drops it when it is.
///
/// As `crossbeam_utils::sync::WaitGroup`.
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
// The number of members.
pub struct WaitGroup(Arc<Word>);

impl WaitGroup {
    /// A group of one: the value itself.
    ///
    /// # Examples
    ///
    /// ```
    /// sward_sync::WaitGroup::new().wait(); // returns at once
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Word::new(1)))
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
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::WaitGroup;
    ///
    /// let group = WaitGroup::new();
    /// let member = group.clone();
    /// thread::spawn(move || drop(member));
    /// group.wait();
    /// ```
    pub fn wait(self) {
        self.wait_to(None);
    }

    /// As [`wait`](Self::wait), at most so long. `false`: time is up, and others are still there.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::WaitGroup;
    ///
    /// let group = WaitGroup::new();
    /// let _member = group.clone();
    /// assert!(!group.wait_timeout(Duration::from_millis(1)));
    /// ```
    pub fn wait_timeout(self, timeout: Duration) -> bool {
        self.wait_to(Instant::now().checked_add(timeout))
    }

    /// As [`wait`](Self::wait), until a point in time. `false`: time is up, and others are still there.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::WaitGroup;
    ///
    /// assert!(WaitGroup::new().wait_until(Instant::now()));
    /// ```
    pub fn wait_until(self, deadline: Instant) -> bool {
        self.wait_to(Some(deadline))
    }

    /// `None`: for longer than the clock can say.
    fn wait_to(self, deadline: Option<Instant>) -> bool {
        let members = Arc::clone(&self.0);
        drop(self);
        budget::spend();
        members.wait(WaitReason::Group, deadline, |members| members == 0).is_some()
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for WaitGroup {
    fn clone(&self) -> Self {
        // It cannot overflow: each needs room in memory, or is leaked, which takes too long.
        self.0.add(1);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        if self.0.subtract(1) == 0 {
            self.0.wake();
        }
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.0.get()).finish()
    }
}
