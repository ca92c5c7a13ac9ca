//! The reader-writer lock: a value that many threads can read, or one can change.
//!
//! | file | what is in it |
//! |---|---|
//! | `raw.rs` | the lock: its word, who waits, who is next |
//! | `read.rs`, `write.rs` | the right to read the value, and that to change it |
//!
//! # Invariants
//!
//! - **Z1** The value is read through a read guard, and changed through a write guard, each of which stands for the lock, held so (R1 of `raw.rs`); or
//!   by whoever owns the lock or borrows it mutably.
//!
//! # Checked by
//!
//! `tests/rwlock.rs`, `tests/poison.rs`.

mod raw;
mod read;
mod write;

use std::{
    any,
    cell::UnsafeCell,
    fmt, mem,
    panic::{RefUnwindSafe, UnwindSafe},
    time::{Duration, Instant},
};

pub use self::{
    raw::RawRwLock,
    read::{MappedRwLockReadGuard, RwLockReadGuard},
    write::{MappedRwLockWriteGuard, RwLockWriteGuard},
};
use crate::{
    deadlock::{self, Mode, Subject},
    poison::{
        Flag, LockResult, LockTimeoutError, LockTimeoutResult, PoisonError, TryLockError, TryLockResult,
    },
    prim::const_fn,
};

/// Lets many threads, green or not, read a value at a time, or one change it. As `std::sync::RwLock`, which it replaces name for name.
///
/// # Fairness
///
/// Those who wait go on in the order in which they came, but that readers go together: neither readers nor writers starve. Whoever finds the lock
/// open takes it, also in front of those who wait; a writer that has been woken closes it as soon as it runs. While a writer waits for readers to leave
/// no new ones are let in, so a thread that reads and asks to read once more may wait for ever, as with `std`.
///
/// # Poisoning
///
/// A thread that panics while it may change the value poisons the lock, and so does a green thread that is cancelled: the value may be half
/// changed. Readers do not.
///
/// # Deadlocks
///
/// In builds with debug assertions a thread that would wait for ever, for a lock that it holds itself or in a circle of threads that wait for each
/// other's locks, panics and names the threads and places. In other builds it waits for ever. Not noticed is a reader that waits behind a writer
/// that waits for that same thread.
///
/// # Examples
///
/// ```
/// use sward_sync::RwLock;
///
/// let lock = RwLock::new(5);
/// {
///     let (one, other) = (lock.read().unwrap(), lock.read().unwrap());
///     assert_eq!(*one + *other, 10);
/// }
/// *lock.write().unwrap() += 1;
/// assert_eq!(*lock.read().unwrap(), 6);
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    poison: Flag,
    value: UnsafeCell<T>,
}

// SAFETY: it gives out the value to whoever owns it.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: it gives out the value to one thread to change, or to many to read (Z1).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

// Whoever sees a value that a panic has left half changed, was told so.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

impl<T> RwLock<T> {
    const_fn! {
        /// An unlocked one.
        ///
        /// # Examples
        ///
        /// ```
        /// use sward_sync::RwLock;
        ///
        /// static LEVEL: RwLock<u32> = RwLock::new(1);
        /// assert_eq!(*LEVEL.read().unwrap(), 1);
        /// ```
        #[inline]
        pub const fn new(value: T) -> RwLock<T> {
            RwLock { raw: RawRwLock::new(), poison: Flag::new(), value: UnsafeCell::new(value) }
        }
    }

    /// Locks it to read and clones the value.
    ///
    /// # Suspension
    ///
    /// As [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// If the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = sward_sync::RwLock::new(7);
    /// assert_eq!(lock.get_cloned().unwrap(), 7);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn get_cloned(&self) -> Result<T, PoisonError<()>>
    where
        T: Clone,
    {
        match self.read() {
            Ok(value) => Ok(T::clone(&value)),
            Err(_) => Err(PoisonError::new(())),
        }
    }

    /// Locks it to write and sets the value. The old one is dropped after the lock is released.
    ///
    /// # Suspension
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancellation
    ///
    /// The caller unwinds, and the new value is dropped.
    ///
    /// # Errors
    ///
    /// The new value, if the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = sward_sync::RwLock::new(7);
    /// lock.set(11).unwrap();
    /// assert_eq!(lock.get_cloned().unwrap(), 11);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn set(&self, value: T) -> Result<(), PoisonError<T>> {
        self.replace(value).map(drop)
    }

    /// Locks it to write, sets the value and returns the old one.
    ///
    /// # Suspension
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancellation
    ///
    /// The caller unwinds, and the new value is dropped.
    ///
    /// # Errors
    ///
    /// The new value, if the lock is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = sward_sync::RwLock::new(7);
    /// assert_eq!(lock.replace(11).unwrap(), 7);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn replace(&self, value: T) -> LockResult<T> {
        match self.write() {
            Ok(mut old) => Ok(mem::replace(&mut *old, value)),
            Err(_) => Err(PoisonError::new(value)),
        }
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks it to read, waiting until no writer holds it, and none waits that came before.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the lock is open.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// See [the type](Self#fairness).
    ///
    /// # Errors
    ///
    /// If the lock is poisoned. It is locked all the same, and the guard is in the error.
    ///
    /// # Panics
    ///
    /// If there are too many readers: 134 million. In builds with debug assertions, if the wait would never end: see [Deadlocks](Self#deadlocks).
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = sward_sync::RwLock::new(1);
    /// assert_eq!(*lock.read().unwrap(), 1);
    /// ```
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.take_read(None);
        RwLockReadGuard::new(self)
    }

    /// Locks it to read if that can be done at once.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if it cannot, [`TryLockError::Poisoned`] as in [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = sward_sync::RwLock::new(1);
    /// let guard = lock.read().unwrap();
    /// assert!(lock.try_read().is_ok());
    /// # drop(guard);
    /// ```
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if deadlock::try_take(
            self.subject(Mode::Shared),
            || self.raw.try_read(),
            || self.raw.has_one_holder(),
        ) {
            Ok(RwLockReadGuard::new(self)?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// As [`read`](Self::read), but gives up after `timeout`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the lock is open, whatever the timeout.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// See [the type](Self#fairness).
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if time is up, [`LockTimeoutError::Poisoned`] as in [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = sward_sync::RwLock::new(1);
    /// let guard = lock.write().unwrap();
    /// assert!(lock.read_timeout(Duration::from_millis(1)).is_err());
    /// # drop(guard);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn read_timeout(&self, timeout: Duration) -> LockTimeoutResult<RwLockReadGuard<'_, T>> {
        self.read_at_latest(Instant::now().checked_add(timeout))
    }

    /// As [`read`](Self::read), but gives up at `deadline`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the lock is open, even if the deadline has passed.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// See [the type](Self#fairness).
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if the deadline has passed, [`LockTimeoutError::Poisoned`] as in [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// If there are too many readers.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// let lock = sward_sync::RwLock::new(1);
    /// assert!(lock.read_until(Instant::now()).is_ok());
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn read_until(&self, deadline: Instant) -> LockTimeoutResult<RwLockReadGuard<'_, T>> {
        self.read_at_latest(Some(deadline))
    }

    /// `None`: the timeout is longer than the clock can say.
    #[cfg_attr(debug_assertions, track_caller)]
    fn read_at_latest(&self, deadline: Option<Instant>) -> LockTimeoutResult<RwLockReadGuard<'_, T>> {
        if self.take_read(deadline) {
            Ok(RwLockReadGuard::new(self)?)
        } else {
            Err(LockTimeoutError::Timeout)
        }
    }

    /// Locks it to write, waiting until nobody else holds it.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the lock is open.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// See [the type](Self#fairness).
    ///
    /// # Errors
    ///
    /// If the lock is poisoned. It is locked all the same, and the guard is in the error.
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the wait would never end: see [Deadlocks](Self#deadlocks).
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = sward_sync::RwLock::new(1);
    /// *lock.write().unwrap() += 1;
    /// ```
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.take_write(None);
        RwLockWriteGuard::new(self)
    }

    /// Locks it to write if that can be done at once.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if it cannot, [`TryLockError::Poisoned`] as in [`write`](Self::write).
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = sward_sync::RwLock::new(1);
    /// let guard = lock.read().unwrap();
    /// assert!(lock.try_write().is_err());
    /// # drop(guard);
    /// ```
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if deadlock::try_take(self.subject(Mode::Alone), || self.raw.try_write(), || true) {
            Ok(RwLockWriteGuard::new(self)?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// As [`write`](Self::write), but gives up after `timeout`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the lock is open, whatever the timeout.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// See [the type](Self#fairness).
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if time is up, [`LockTimeoutError::Poisoned`] as in [`write`](Self::write).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = sward_sync::RwLock::new(1);
    /// let guard = lock.write().unwrap();
    /// assert!(lock.write_timeout(Duration::from_millis(1)).is_err());
    /// # drop(guard);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn write_timeout(&self, timeout: Duration) -> LockTimeoutResult<RwLockWriteGuard<'_, T>> {
        self.write_at_latest(Instant::now().checked_add(timeout))
    }

    /// As [`write`](Self::write), but gives up at `deadline`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the lock is open, even if the deadline has passed.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// See [the type](Self#fairness).
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if the deadline has passed, [`LockTimeoutError::Poisoned`] as in [`write`](Self::write).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// let lock = sward_sync::RwLock::new(1);
    /// assert!(lock.write_until(Instant::now()).is_ok());
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn write_until(&self, deadline: Instant) -> LockTimeoutResult<RwLockWriteGuard<'_, T>> {
        self.write_at_latest(Some(deadline))
    }

    /// `None`: the timeout is longer than the clock can say.
    #[cfg_attr(debug_assertions, track_caller)]
    fn write_at_latest(&self, deadline: Option<Instant>) -> LockTimeoutResult<RwLockWriteGuard<'_, T>> {
        if self.take_write(deadline) {
            Ok(RwLockWriteGuard::new(self)?)
        } else {
            Err(LockTimeoutError::Timeout)
        }
    }

    /// Whether a thread has panicked while it might change the value.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!sward_sync::RwLock::new(1).is_poisoned());
    /// ```
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.poison.is_set()
    }

    /// Has the lock no longer count as poisoned, because the value is in order again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::panic::catch_unwind;
    ///
    /// let lock = sward_sync::RwLock::new(1);
    /// let _ = catch_unwind(|| {
    ///     let _guard = lock.write();
    ///     panic!("on purpose");
    /// });
    /// assert!(lock.read().is_err());
    /// lock.clear_poison();
    /// assert!(lock.read().is_ok());
    /// ```
    #[inline]
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// The value, and no more lock.
    ///
    /// # Errors
    ///
    /// If the lock is poisoned. The value is in the error.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(sward_sync::RwLock::new(1).into_inner().unwrap(), 1);
    /// ```
    pub fn into_inner(self) -> LockResult<T>
    where
        T: Sized,
    {
        let Self { poison, value, .. } = self;
        poison.wrap(value.into_inner())
    }

    /// The value, which nobody else can reach while the lock is borrowed mutably.
    ///
    /// # Errors
    ///
    /// If the lock is poisoned. The value is in the error.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut lock = sward_sync::RwLock::new(1);
    /// *lock.get_mut().unwrap() = 2;
    /// assert_eq!(lock.into_inner().unwrap(), 2);
    /// ```
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.wrap(self.value.get_mut())
    }

    /// Where the value is. To read and write there is up to the caller, who sees to it that nobody else does.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!sward_sync::RwLock::new(1).data_ptr().is_null());
    /// ```
    #[inline]
    pub const fn data_ptr(&self) -> *mut T {
        self.value.get()
    }

    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    fn take_read(&self, deadline: Option<Instant>) -> bool {
        let (attempt, wait) = (|| self.raw.try_read(), || self.raw.read(deadline));
        deadlock::take(self.subject(Mode::Shared), deadline, attempt, wait, || self.raw.has_one_holder())
    }

    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    fn take_write(&self, deadline: Option<Instant>) -> bool {
        let (attempt, wait) = (|| self.raw.try_write(), || self.raw.write(deadline));
        deadlock::take(self.subject(Mode::Alone), deadline, attempt, wait, || true)
    }

    fn subject(&self, mode: Mode) -> Subject {
        Subject { key: self.raw.key(), type_name: any::type_name::<Self>(), mode }
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => lock.field("data", &&*guard),
            Err(TryLockError::Poisoned(poisoned)) => lock.field("data", &&**poisoned.get_ref()),
            Err(TryLockError::WouldBlock) => lock.field("data", &format_args!("<locked>")),
        };
        lock.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}
