//! The barrier: threads meet, and go on together.
//!
//! # Roles
//!
//! Those who come *wait* in a list. The last one that is needed is the *leader*: it takes all others out and wakes them.
//!
//! # Invariants
//!
//! - **B1** `waiting` is the number of those who came in this generation and have not counted themselves out since, because they unwind: their
//!   waits were cancelled, or could not begin.
//! - **B2** A generation ends when its leader has taken everybody out of the list. Who unwinds and has not counted itself out by then has met the
//!   others, and unwinds all the same.
//!
//! # Orderings
//!
//! The lock orders everything.
//!
//! # Suspension
//!
//! [`Barrier::wait`], with the lock released.
//!
//! # Checked by
//!
//! `loom-tests/tests/condvar.rs`, `tests/barrier.rs`.

use std::{
    fmt, mem,
    panic::{RefUnwindSafe, UnwindSafe},
};

use sward_runtime::park::{Batch, WaitReason};

use crate::{
    prim::{Lock, const_fn},
    wait_list::{self, Ask, Wait, WaitList},
};

/// With what a waiter is woken.
const MET: usize = 1;

/// Lets a number of threads, green or not, meet. As `std::sync::Barrier`, which it replaces name for name.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::Barrier;
///
/// let barrier = Barrier::new(10);
/// let leaders: usize = thread::scope(|s| {
///     let threads: Vec<_> = (0..10).map(|_| s.spawn(|| usize::from(barrier.wait().is_leader()))).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum()
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    state: Lock<State>,
    size: usize,
}

// No panic comes between the changes of its state.
impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

struct State {
    list: WaitList,
    waiting: usize,
    generation: usize,
}

/// What [`Barrier::wait`] returns.
///
/// # Examples
///
/// ```
/// let met = sward_sync::Barrier::new(1).wait();
/// assert!(met.is_leader());
/// ```
pub struct BarrierWaitResult(bool);

/// One that has come, and does not count any more when it is dropped: it unwinds.
struct Come<'a> {
    barrier: &'a Barrier,
    generation: usize,
}

impl Drop for Come<'_> {
    fn drop(&mut self) {
        let mut state = self.barrier.state.lock();
        // Else the leader has counted us in (B2).
        if state.generation == self.generation {
            state.waiting -= 1;
        }
    }
}

impl Barrier {
    const_fn! {
        /// A barrier at which `n` threads meet. With zero, as with one, nobody waits.
        ///
        /// # Examples
        ///
        /// ```
        /// static BARRIER: sward_sync::Barrier = sward_sync::Barrier::new(1);
        /// assert!(BARRIER.wait().is_leader());
        /// ```
        #[must_use]
        #[inline]
        pub const fn new(n: usize) -> Barrier {
            let state = State { list: WaitList::new(), waiting: 0, generation: 0 };
            Barrier { state: Lock::new(state), size: n }
        }
    }

    /// Waits until as many have come as the barrier is for. They all go on, one of them as the leader, and the barrier is as new.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not the last one to come.
    ///
    /// # Cancellation
    ///
    /// The caller counts as never having come, unless the others have met already.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::{Arc, Barrier};
    ///
    /// let barrier = Arc::new(Barrier::new(2));
    /// let theirs = Arc::clone(&barrier);
    /// let other = thread::spawn(move || theirs.wait().is_leader());
    /// let leads = barrier.wait().is_leader();
    /// assert_ne!(leads, other.join().unwrap());
    /// ```
    pub fn wait(&self) -> BarrierWaitResult {
        let mut state = self.state.lock();
        if state.waiting + 1 < self.size {
            state.waiting += 1;
            let come = Come { barrier: self, generation: state.generation };
            let wait = Wait::new(WaitReason::Barrier, Ask::PLAIN, None);
            wait_list::wait(&self.state, state, wait, |state| &mut state.list, |_| ());
            mem::forget(come);
            return BarrierWaitResult(false);
        }
        state.waiting = 0;
        state.generation = state.generation.wrapping_add(1);
        let mut met = Batch::new();
        while let Some(claimed) = state.list.claim_front(MET) {
            met.push(claimed);
        }
        drop(state);
        drop(met);
        BarrierWaitResult(true)
    }
}

impl BarrierWaitResult {
    /// Whether the caller of [`Barrier::wait`] is the leader: one of those who met is.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(sward_sync::Barrier::new(1).wait().is_leader());
    /// ```
    #[must_use]
    pub const fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.is_leader()).finish()
    }
}
