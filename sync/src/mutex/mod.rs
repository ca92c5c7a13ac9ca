//! The mutex: a value that one thread at a time can reach.
//!
//! | file | what is in it |
//! |---|---|
//! | `raw.rs` | the lock: its word, who waits, who is next |
//! | `guard.rs` | the right to the value |
//!
//! # Invariants
//!
//! - **X1** The value is reached through a guard, each of which stands for the lock, held (M1 of `raw.rs`), or by whoever owns the mutex or
//!   borrows it mutably.
//!
//! # Checked by
//!
//! `tests/mutex.rs`, `tests/poison.rs`.

mod guard;
mod raw;

use std::{
    any,
    cell::UnsafeCell,
    fmt, mem,
    panic::{RefUnwindSafe, UnwindSafe},
    time::{Duration, Instant},
};

pub use self::guard::{MappedMutexGuard, MutexGuard};
pub use self::raw::RawMutex;
use crate::{
    deadlock::{self, Mode, Subject},
    poison::{
        Flag, LockResult, LockTimeoutError, LockTimeoutResult, PoisonError, TryLockError, TryLockResult,
    },
    prim::const_fn,
};

/// Lets one thread at a time, green or not, reach a value. As `std::sync::Mutex`, which it replaces name for name.
///
/// [`lock`](Self::lock) waits until it is the caller's turn and returns a guard; the mutex is unlocked when that is dropped. A green thread may keep
/// the guard while it waits for something else.
///
/// # Poisoning
///
/// A thread that panics while it holds the guard poisons the mutex, and so does a green thread that is cancelled: the value may be half changed. From
/// then on each lock returns an error, with the guard inside.
///
/// # Deadlocks
///
/// In builds with debug assertions a thread that would wait for ever, for a lock that it holds itself or in a circle of threads that wait for each
/// other's locks, panics and names the threads and places. In other builds it waits for ever.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::{Arc, Mutex};
///
/// let sum = Arc::new(Mutex::new(0));
/// let threads: Vec<_> = (1..=10)
///     .map(|i| {
///         let sum = Arc::clone(&sum);
///         thread::spawn(move || *sum.lock().unwrap() += i)
///     })
///     .collect();
/// threads.into_iter().for_each(|thread| thread.join().unwrap());
/// assert_eq!(*sum.lock().unwrap(), 55);
/// ```
///
/// To go on with what a panicking thread has left behind:
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::{Arc, Mutex, PoisonError};
///
/// let mutex = Arc::new(Mutex::new(1));
/// let theirs = Arc::clone(&mutex);
/// let failed = thread::spawn(move || {
///     let mut value = theirs.lock().unwrap();
///     *value = 2;
///     panic!("on purpose");
/// });
/// assert!(failed.join().is_err());
/// assert_eq!(*mutex.lock().unwrap_or_else(PoisonError::into_inner), 2);
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    poison: Flag,
    value: UnsafeCell<T>,
}

// SAFETY: it gives out the value to whoever owns it.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: it gives out the value to one thread at a time (X1).
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

// Whoever sees a value that a panic has left half changed, was told so.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    const_fn! {
        /// An unlocked mutex.
        ///
        /// # Examples
        ///
        /// ```
        /// use sward_sync::Mutex;
        ///
        /// static COUNT: Mutex<u32> = Mutex::new(0);
        /// *COUNT.lock().unwrap() += 1;
        /// ```
        #[inline]
        pub const fn new(value: T) -> Mutex<T> {
            Mutex { raw: RawMutex::new(), poison: Flag::new(), value: UnsafeCell::new(value) }
        }
    }

    /// Locks the mutex and clones the value.
    ///
    /// # Suspension
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = sward_sync::Mutex::new(7);
    /// assert_eq!(mutex.get_cloned().unwrap(), 7);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn get_cloned(&self) -> Result<T, PoisonError<()>>
    where
        T: Clone,
    {
        match self.lock() {
            Ok(value) => Ok(T::clone(&value)),
            Err(_) => Err(PoisonError::new(())),
        }
    }

    /// Locks the mutex and sets the value. The old one is dropped after the mutex is unlocked.
    ///
    /// # Suspension
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Cancellation
    ///
    /// The caller unwinds, and the new value is dropped.
    ///
    /// # Errors
    ///
    /// The new value, if the mutex is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = sward_sync::Mutex::new(7);
    /// mutex.set(11).unwrap();
    /// assert_eq!(mutex.get_cloned().unwrap(), 11);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn set(&self, value: T) -> Result<(), PoisonError<T>> {
        self.replace(value).map(drop)
    }

    /// Locks the mutex, sets the value and returns the old one.
    ///
    /// # Suspension
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Cancellation
    ///
    /// The caller unwinds, and the new value is dropped.
    ///
    /// # Errors
    ///
    /// The new value, if the mutex is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = sward_sync::Mutex::new(7);
    /// assert_eq!(mutex.replace(11).unwrap(), 7);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn replace(&self, value: T) -> LockResult<T> {
        match self.lock() {
            Ok(mut old) => Ok(mem::replace(&mut *old, value)),
            Err(_) => Err(PoisonError::new(value)),
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks the mutex, waiting until nobody else holds it.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the mutex is free.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// Whoever finds the mutex free takes it, also in front of those who wait; these are woken in the order in which they came. Who has been
    /// overtaken for a millisecond gets it handed over.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned. It is locked all the same, and the guard is in the error.
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the wait would never end: see [Deadlocks](Self#deadlocks).
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = sward_sync::Mutex::new(1);
    /// *mutex.lock().unwrap() += 1;
    /// assert_eq!(mutex.into_inner().unwrap(), 2);
    /// ```
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.raw.take(any::type_name::<Self>(), None);
        MutexGuard::new(self)
    }

    /// Locks the mutex if nobody holds it.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if somebody does, [`TryLockError::Poisoned`] as in [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = sward_sync::Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// drop(guard);
    /// ```
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if self.raw.try_take(any::type_name::<Self>()) {
            Ok(MutexGuard::new(self)?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// As [`lock`](Self::lock), but gives up after `timeout`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the mutex is free, whatever the timeout.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if time is up, [`LockTimeoutError::Poisoned`] as in [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::LockTimeoutError;
    ///
    /// let mutex = sward_sync::Mutex::new(1);
    /// let guard = mutex.lock().unwrap();
    /// let late = mutex.lock_timeout(Duration::from_millis(1));
    /// assert!(matches!(late, Err(LockTimeoutError::Timeout)));
    /// drop(guard);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock_timeout(&self, timeout: Duration) -> LockTimeoutResult<MutexGuard<'_, T>> {
        self.lock_at_latest(Instant::now().checked_add(timeout))
    }

    /// As [`lock`](Self::lock), but gives up at `deadline`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the mutex is free, even if the deadline has passed.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if the deadline has passed, [`LockTimeoutError::Poisoned`] as in [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let mutex = sward_sync::Mutex::new(1);
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// let guard = mutex.lock_until(deadline).unwrap();
    /// assert!(mutex.lock_until(deadline).is_err());
    /// drop(guard);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock_until(&self, deadline: Instant) -> LockTimeoutResult<MutexGuard<'_, T>> {
        self.lock_at_latest(Some(deadline))
    }

    /// `None`: the timeout is longer than the clock can say.
    #[cfg_attr(debug_assertions, track_caller)]
    fn lock_at_latest(&self, deadline: Option<Instant>) -> LockTimeoutResult<MutexGuard<'_, T>> {
        if self.raw.take(any::type_name::<Self>(), deadline) {
            Ok(MutexGuard::new(self)?)
        } else {
            Err(LockTimeoutError::Timeout)
        }
    }

    /// Whether a thread has panicked while it held the mutex.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!sward_sync::Mutex::new(1).is_poisoned());
    /// ```
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }

    /// Has the mutex no longer count as poisoned, because the value is in order again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::panic::catch_unwind;
    ///
    /// let mutex = sward_sync::Mutex::new(1);
    /// let _ = catch_unwind(|| {
    ///     let _guard = mutex.lock();
    ///     panic!("on purpose");
    /// });
    /// let guard = mutex.lock().unwrap_or_else(|mut poisoned| {
    ///     **poisoned.get_mut() = 0;
    ///     mutex.clear_poison();
    ///     poisoned.into_inner()
    /// });
    /// assert_eq!(*guard, 0);
    /// assert!(!mutex.is_poisoned());
    /// ```
    #[inline]
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value, and no more mutex.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned. The value is in the error.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(sward_sync::Mutex::new(1).into_inner().unwrap(), 1);
    /// ```
    pub fn into_inner(self) -> LockResult<T>
    where
        T: Sized,
    {
        let Self { poison, value, .. } = self;
        poison.wrap(value.into_inner())
    }

    /// The value, which nobody else can reach while the mutex is borrowed mutably.
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned. The value is in the error.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut mutex = sward_sync::Mutex::new(1);
    /// *mutex.get_mut().unwrap() = 2;
    /// assert_eq!(mutex.into_inner().unwrap(), 2);
    /// ```
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.wrap(self.value.get_mut())
    }

    /// Where the value is. To read and write there is up to the caller, who sees to it that nobody else does.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!sward_sync::Mutex::new(1).data_ptr().is_null());
    /// ```
    #[inline]
    pub const fn data_ptr(&self) -> *mut T {
        self.value.get()
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => mutex.field("data", &&*guard),
            Err(TryLockError::Poisoned(poisoned)) => mutex.field("data", &&**poisoned.get_ref()),
            Err(TryLockError::WouldBlock) => mutex.field("data", &"<locked>"),
        };
        mutex.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

/// What locks are made of it use: as `lock`, `try_lock` and `unlock`, with deadlock detection.
impl RawMutex {
    fn subject(&self, type_name: &'static str) -> Subject {
        Subject { key: self.key(), type_name, mode: Mode::Alone }
    }

    /// Takes the lock, waiting for it at most until `deadline`. `false`: time is up.
    ///
    /// # Panics
    ///
    /// As [`deadlock::take`].
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(crate) fn take(&self, type_name: &'static str, deadline: Option<Instant>) -> bool {
        let wait = || match deadline {
            None => {
                self.lock();
                true
            }
            deadline => self.lock_until(deadline),
        };
        deadlock::take(self.subject(type_name), deadline, || self.try_lock(), wait, || true)
    }

    /// Takes the lock if it is free.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub(crate) fn try_take(&self, type_name: &'static str) -> bool {
        deadlock::try_take(self.subject(type_name), || self.try_lock(), || true)
    }

    /// Releases the lock, which the caller holds.
    #[inline]
    pub(crate) fn release(&self) {
        deadlock::release(self.key());
        self.unlock();
    }
}
