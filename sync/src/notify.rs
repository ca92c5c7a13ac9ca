//! A notification: one word, and the lot for those who wait.
//!
//! # Roles
//!
//! A *notifier* wakes one waiter, or leaves a permit if there is none; or wakes all, and leaves nothing. A *waiter* takes the permit, or waits.
//! A `select` waits with [`Notify::enter`] and [`Notify::leave`].
//!
//! # States
//!
//! | bit | set by | cleared by |
//! |---|---|---|
//! | `PERMIT` | a notifier that finds nobody waiting | a waiter, which need not wait then |
//! | `WAITING` | a waiter, under the lock of its bucket | whoever leaves the list empty, under the same lock (P2 of `lot.rs`) |
//!
//! # Invariants
//!
//! - **N1** Nobody begins to wait while `PERMIT` is set, and it is not set while somebody can be woken: a notification and a waiter never miss
//!   each other.
//!
//! # Orderings
//!
//! Taking the permit (Acquire) reads every notification that left it or found it there (Release; all of them are read-modify-writes). A
//! notification that wakes is ordered by the claim.
//!
//! # Fairness
//!
//! Waiters are woken in the order in which they came; by `notify_last`, the last one first.
//!
//! # Rejected
//!
//! tokio's `Notified`, which takes part in a `notify_waiters` from when it is made, before it is waited for: a count of the calls would have to
//! be kept for it. Who must not miss one keeps a state under a lock, with a `Condvar`, or uses [`watch`](crate::watch).
//!
//! # Checked by
//!
//! `loom-tests/tests/notify.rs`, `tests/notify.rs`.

use std::{
    fmt,
    time::{Duration, Instant},
};

use sward_runtime::{
    budget,
    park::{Claimed, WaitReason},
};

use crate::{
    lot::{self, Parked},
    prim::{
        atomic::{
            AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
        const_fn,
    },
    wait_list::{Ask, Entry, Wait, WaitList},
};

const PERMIT: u32 = 1;
const WAITING: u32 = 1 << 1;

/// With what a waiter is woken: it alone.
const ONE: usize = 1;
/// With what a waiter is woken: it and all others.
const ALL: usize = 2;

/// Wakes one waiter, or all of them. A notification for nobody is kept for the next one.
///
/// It carries no value; a channel, [`oneshot`](crate::oneshot) or [`watch`](crate::watch) does.
///
/// # Fairness
///
/// First come, first woken.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::{Arc, Notify};
///
/// let ready = Arc::new(Notify::new());
/// let theirs = Arc::clone(&ready);
/// let waiting = thread::spawn(move || theirs.wait());
/// ready.notify_one(); // whether it waits already or not
/// waiting.join().unwrap();
/// ```
pub struct Notify(AtomicU32);

impl Notify {
    const_fn! {
        /// Without a permit.
        ///
        /// # Examples
        ///
        /// ```
        /// use sward_sync::Notify;
        ///
        /// static WAKE_UP: Notify = Notify::new();
        /// WAKE_UP.notify_one();
        /// WAKE_UP.wait();
        /// ```
        #[must_use]
        pub const fn new() -> Notify {
            Notify(AtomicU32::new(0))
        }
    }

    const_fn! {
        /// The same as [`new`](Self::new), which can be used in statics too.
        ///
        /// # Examples
        ///
        /// ```
        /// use sward_sync::Notify;
        ///
        /// static WAKE_UP: Notify = Notify::const_new();
        /// WAKE_UP.notify_waiters();
        /// ```
        #[must_use]
        pub const fn const_new() -> Notify {
            Notify::new()
        }
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Wakes the waiter that has waited longest. If nobody waits, the next one need not: but one permit is kept, not several.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::Notify;
    ///
    /// let notify = Notify::new();
    /// notify.notify_one();
    /// notify.notify_one();
    /// notify.wait();
    /// assert!(!notify.wait_timeout(Duration::from_millis(1)));
    /// ```
    pub fn notify_one(&self) {
        self.notify(WaitList::claim_front);
    }

    /// As [`notify_one`](Self::notify_one), but wakes the waiter that came last: its data may still be in a cache.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Notify;
    ///
    /// let notify = Notify::new();
    /// notify.notify_last();
    /// notify.wait();
    /// ```
    pub fn notify_last(&self) {
        self.notify(WaitList::claim_back);
    }

    #[inline]
    fn notify(&self, claim: fn(&mut WaitList, usize) -> Option<Claimed>) {
        let mut word = self.0.load(Relaxed);
        while word & WAITING == 0 {
            // Even if it is there already: what happened before this call must become visible.
            match self.0.compare_exchange_weak(word, PERMIT, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        self.wake(claim);
    }

    #[cold]
    fn wake(&self, claim: fn(&mut WaitList, usize) -> Option<Claimed>) {
        let claimed = lot::with(self.key(), |list| {
            let claimed = claim(list, ONE);
            if claimed.is_none() {
                // All of them have given up (N1).
                self.0.fetch_or(PERMIT, Release);
            }
            self.left(list.is_empty());
            claimed
        });
        drop(claimed);
    }

    /// Wakes all who wait now. If nobody does, nothing happens: no permit is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::Notify;
    ///
    /// let notify = Notify::new();
    /// notify.notify_waiters();
    /// assert!(!notify.wait_timeout(Duration::from_millis(1)));
    /// ```
    pub fn notify_waiters(&self) {
        if self.0.load(Relaxed) & WAITING == 0 {
            return;
        }
        let mut ready = lot::with(self.key(), |list| {
            self.left(true);
            list.claim_all(ALL)
        });
        ready.schedule();
    }

    /// Waits for a notification, or takes the permit that one has left.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. A permit that is there may be taken after others were let run.
    ///
    /// # Cancellation
    ///
    /// No notification is lost: the next waiter gets it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Notify;
    ///
    /// let notify = Notify::new();
    /// notify.notify_one();
    /// notify.wait();
    /// ```
    pub fn wait(&self) {
        self.wait_as(WaitReason::Notify, None);
    }

    /// As [`wait`](Self::wait), at most so long. `false`: time is up.
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
    /// use sward_sync::Notify;
    ///
    /// assert!(!Notify::new().wait_timeout(Duration::from_millis(1)));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_as(WaitReason::Notify, Instant::now().checked_add(timeout))
    }

    /// As [`wait`](Self::wait), until a point in time. `false`: time is up.
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
    /// use sward_sync::Notify;
    ///
    /// let notify = Notify::new();
    /// notify.notify_one();
    /// assert!(notify.wait_until(Instant::now()));
    /// assert!(!notify.wait_until(Instant::now()));
    /// ```
    pub fn wait_until(&self, deadline: Instant) -> bool {
        self.wait_as(WaitReason::Notify, Some(deadline))
    }

    /// Waits, giving `reason` to dumps. `false`: time is up.
    pub(crate) fn wait_as(&self, reason: WaitReason, deadline: Option<Instant>) -> bool {
        budget::spend();
        if self.try_select() {
            return true;
        }
        let parked = lot::park(
            self.key(),
            Wait::new(reason, Ask::PLAIN, deadline),
            || !self.take_or_announce(|word| word & !PERMIT),
            |empty| self.left(empty),
        );
        parked != Parked::TimedOut
    }

    /// The last look before a wait, under the bucket's lock. `true`: the permit is there, and the word is `changed` then; `false`: the wait is
    /// announced.
    fn take_or_announce(&self, changed: fn(u32) -> u32) -> bool {
        let mut word = self.0.load(Relaxed);
        loop {
            let there = word & PERMIT != 0;
            let next = if there { changed(word) } else { word | WAITING };
            match self.0.compare_exchange_weak(word, next, Acquire, Relaxed) {
                Ok(_) => return there,
                Err(now) => word = now,
            }
        }
    }

    /// Somebody left the list; the bucket's lock is held.
    fn left(&self, empty: bool) {
        if empty {
            self.0.fetch_and(!WAITING, Relaxed);
        }
    }

    /// Takes the permit. For a `select` too.
    #[inline]
    pub(crate) fn try_select(&self) -> bool {
        let mut word = self.0.load(Relaxed);
        while word & PERMIT != 0 {
            match self.0.compare_exchange_weak(word, word & !PERMIT, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// For a `select` that waits: puts its entry in the list, unless the permit is there.
    ///
    /// # Safety
    ///
    /// The entry is in no list, and its waiter keeps L1 of `wait_list.rs`, with [`leave`](Self::leave).
    #[must_use]
    pub(crate) unsafe fn enter(&self, entry: &Entry) -> bool {
        lot::with(self.key(), |list| {
            let wait = !self.take_or_announce(|word| word);
            if wait {
                // SAFETY: the caller's contract.
                unsafe { list.push(entry, false) };
            }
            wait
        })
    }

    /// For a `select` that waited: takes its entry out, and says whether it was notified here.
    #[must_use]
    pub(crate) fn leave(&self, entry: &Entry) -> bool {
        lot::with(self.key(), |list| {
            if list.remove(entry) {
                self.left(list.is_empty());
            }
            entry.reply() != 0
        })
    }

    /// For a `select` that was notified, and is not completed: gives the notification to the next. `reply` is that of its entry, or zero if it
    /// took the permit.
    pub(crate) fn abandon(&self, reply: usize) {
        if reply != ALL {
            self.notify_one();
        }
    }

    /// For a `select`: whether the permit is there.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.load(Relaxed) & PERMIT != 0
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}
