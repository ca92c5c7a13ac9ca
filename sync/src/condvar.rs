//! The condition variable: wait, with a mutex unlocked, until somebody says that things have changed.
//!
//! # Roles
//!
//! *Waiters* hold the mutex, stand in the lot before they unlock it, and lock it again when they are woken. *Notifiers* may hold it or not.
//!
//! # States
//!
//! The word has a bit that says whether somebody waits, and counts the calls of `notify_all`. It is changed under the lot's lock only.
//!
//! # Invariants
//!
//! - **V1** While the lot's list is not empty, `PARKED` is set. So who finds it clear has nobody to wake.
//! - **V2** A waiter that was notified returns with the mutex locked, or notifies another in its stead.
//!
//! # Orderings
//!
//! The word is Relaxed: the mutex orders it. A waiter sets the bit before it unlocks the mutex; a notifier who changed what waiters wait for did so
//! with the mutex locked, either after that, and then sees the bit, or before the waiter looked.
//!
//! # Suspension
//!
//! The waits, which suspend with the mutex unlocked.
//!
//! # Rejected
//!
//! - *Moving those who are notified to the mutex's list* (`parking_lot`), so that they are not woken only to wait again: green threads that are woken
//!   together run one after the other, and find it free.
//! - *Shielding the second lock from cancellation*, so that no notification is lost: a runtime could not end as long as the thread that ends it holds
//!   the mutex. To pass the notification on (V2) loses none either.
//!
//! # Checked by
//!
//! `loom-tests/tests/condvar.rs`, `tests/condvar.rs`.

use std::{
    fmt, mem,
    time::{Duration, Instant},
};

use sward_runtime::park::{Batch, WaitReason};

use crate::{
    lot::{self, Parked},
    mutex::MutexGuard,
    poison::{LockResult, PoisonError},
    prim::{
        MODEL,
        atomic::{AtomicU32, Ordering::Relaxed},
        const_fn,
    },
    wait_list::{Ask, Wait},
};

const PARKED: u32 = 1;
/// `notify_all` was called once more.
const GENERATION: u32 = 1 << 1;

/// So many waiters are woken before the lot's lock is released for a moment.
const RUN: u32 = if MODEL { 1 } else { 64 };

/// With what a waiter is woken.
const NOTIFIED: usize = 1;

/// Lets threads, green or not, wait until others have changed the value of a [`Mutex`](crate::Mutex). As `std::sync::Condvar`, which it
/// replaces name for name.
///
/// A wait may end without a notification, as in `std`, so look at the condition again; [`wait_while`](Self::wait_while) does.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::{Arc, Condvar, Mutex};
///
/// let shared = Arc::new((Mutex::new(false), Condvar::new()));
/// let theirs = Arc::clone(&shared);
/// let opener = thread::spawn(move || {
///     let (open, changed) = &*theirs;
///     *open.lock().unwrap() = true;
///     changed.notify_one();
/// });
/// let (open, changed) = &*shared;
/// let open = changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap();
/// assert!(*open);
/// # drop(open);
/// # opener.join().unwrap();
/// ```
pub struct Condvar(AtomicU32);

/// Whether a wait with a time limit ended because time was up.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_sync::{Condvar, Mutex};
///
/// let (mutex, condvar) = (Mutex::new(()), Condvar::new());
/// let (_guard, result) = condvar.wait_timeout(mutex.lock().unwrap(), Duration::from_millis(1)).unwrap();
/// assert!(result.timed_out());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether time was up.
    #[must_use]
    pub const fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    const_fn! {
        /// A condition variable for which nobody waits.
        ///
        /// # Examples
        ///
        /// ```
        /// static CHANGED: sward_sync::Condvar = sward_sync::Condvar::new();
        /// CHANGED.notify_all();
        /// ```
        #[must_use]
        #[inline]
        pub const fn new() -> Condvar {
            Condvar(AtomicU32::new(0))
        }
    }

    /// Unlocks the mutex and waits for a notification; then locks the mutex again.
    ///
    /// Between the two no notification is missed: one that comes after the mutex was unlocked ends the wait.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds with the mutex unlocked. If it was notified at the same moment another waiter is, in its stead.
    ///
    /// # Fairness
    ///
    /// Waiters are notified in the order in which they came.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned when it is locked again. The guard is in the error.
    ///
    /// # Panics
    ///
    /// As [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::{Arc, Condvar, Mutex};
    ///
    /// let shared = Arc::new((Mutex::new(0), Condvar::new()));
    /// let theirs = Arc::clone(&shared);
    /// thread::spawn(move || {
    ///     *theirs.0.lock().unwrap() = 7;
    ///     theirs.1.notify_one();
    /// });
    /// let mut number = shared.0.lock().unwrap();
    /// while *number == 0 {
    ///     number = shared.1.wait(number).unwrap();
    /// }
    /// assert_eq!(*number, 7);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        match self.wait_at_latest(guard, None) {
            Ok((guard, _)) => Ok(guard),
            Err(poisoned) => Err(PoisonError::new(poisoned.into_inner().0)),
        }
    }

    /// As [`wait`](Self::wait), again and again while `condition` holds. Returns at once if it does not.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait), and if `condition` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Condvar, Mutex};
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let number = condvar.wait_while(mutex.lock().unwrap(), |number| *number == 0).unwrap();
    /// assert_eq!(*number, 1);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut *guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait_timeout`](Self::wait_timeout), in milliseconds; the flag is `false` if time was up.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # #![allow(deprecated)]
    /// use sward_sync::{Condvar, Mutex};
    ///
    /// let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    /// let (_guard, notified) = condvar.wait_timeout_ms(mutex.lock().unwrap(), 1).unwrap();
    /// assert!(!notified);
    /// ```
    #[deprecated(note = "replaced by `Condvar::wait_timeout`")]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn wait_timeout_ms<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        ms: u32,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        match self.wait_timeout(guard, Duration::from_millis(ms.into())) {
            Ok((guard, result)) => Ok((guard, !result.timed_out())),
            Err(poisoned) => {
                let (guard, result) = poisoned.into_inner();
                Err(PoisonError::new((guard, !result.timed_out())))
            }
        }
    }

    /// As [`wait`](Self::wait), but waits for a notification no longer than `timeout`. For the mutex it then waits as long as it takes.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::{Condvar, Mutex};
    ///
    /// let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    /// let (_guard, result) = condvar.wait_timeout(mutex.lock().unwrap(), Duration::from_millis(1)).unwrap();
    /// assert!(result.timed_out());
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_at_latest(guard, Instant::now().checked_add(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), again and again while `condition` holds and time is not up.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait), and if `condition` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::{Condvar, Mutex};
    ///
    /// let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    /// let ms = Duration::from_millis(1);
    /// let (_guard, result) = condvar.wait_timeout_while(mutex.lock().unwrap(), ms, |n| *n == 0).unwrap();
    /// assert!(result.timed_out());
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if !condition(&mut *guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            guard = self.wait_at_latest(guard, deadline)?.0;
        }
    }

    /// As [`wait`](Self::wait), but waits for a notification no longer than until `deadline`. For the mutex it then waits as long as it takes.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::{Condvar, Mutex};
    ///
    /// let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    /// let (_guard, result) = condvar.wait_until(mutex.lock().unwrap(), Instant::now()).unwrap();
    /// assert!(result.timed_out());
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_at_latest(guard, Some(deadline))
    }

    #[cfg_attr(debug_assertions, track_caller)]
    fn wait_at_latest<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        /// Notifies another, if the lock cannot be had (V2).
        struct PassOn<'a>(&'a Condvar);
        impl Drop for PassOn<'_> {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let mutex = MutexGuard::mutex(&guard);
        // An old one at worst, so that `notify_all` wakes us for nothing.
        let generation = Self::generation(self.0.load(Relaxed));
        let wait = Wait::new(WaitReason::Condvar, Ask::number(generation), deadline);
        let enter = || {
            self.0.fetch_or(PARKED, Relaxed);
            true
        };
        let parked = lot::park_with(self.key(), wait, enter, || drop(guard), |empty| self.leave(empty));
        let timed_out = parked == Parked::TimedOut;
        let pass_on = (!timed_out).then(|| PassOn(self));
        let locked = mutex.lock();
        mem::forget(pass_on);
        match locked {
            Ok(guard) => Ok((guard, WaitTimeoutResult(timed_out))),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), WaitTimeoutResult(timed_out)))),
        }
    }

    /// Notifies one of those who wait, if there are any: that which has waited longest.
    ///
    /// Without effect on waits that begin later.
    ///
    /// # Examples
    ///
    /// ```
    /// sward_sync::Condvar::new().notify_one(); // nobody waits
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        if self.0.load(Relaxed) & PARKED != 0 {
            self.wake_one();
        }
    }

    /// Notifies all those who wait.
    ///
    /// Without effect on waits that begin later.
    ///
    /// # Examples
    ///
    /// ```
    /// sward_sync::Condvar::new().notify_all(); // nobody waits
    /// ```
    #[inline]
    pub fn notify_all(&self) {
        if self.0.load(Relaxed) & PARKED != 0 {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_one(&self) {
        let claimed = lot::with(self.key(), |list| {
            let claimed = list.claim_front(NOTIFIED);
            self.leave(list.is_empty());
            claimed
        });
        drop(claimed);
    }

    #[cold]
    fn wake_all(&self) {
        let mut ready = Batch::new();
        // Those who come from here on are not meant.
        let mut next = None;
        while lot::with(self.key(), |list| {
            let next = *next.get_or_insert_with(|| self.begin_generation());
            for _ in 0..RUN {
                if list.front().is_none_or(|front| front.ask().number == next) {
                    self.leave(list.is_empty());
                    return false;
                }
                if let Some(claimed) = list.claim_first(NOTIFIED) {
                    ready.push(claimed);
                }
            }
            true
        }) {}
    }

    fn generation(word: u32) -> usize {
        (word & !PARKED) as usize
    }

    fn begin_generation(&self) -> usize {
        Self::generation(self.0.fetch_add(GENERATION, Relaxed).wrapping_add(GENERATION))
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Somebody has left the list; the lot's lock is held.
    fn leave(&self, empty: bool) {
        if empty {
            self.0.fetch_and(!PARKED, Relaxed);
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
