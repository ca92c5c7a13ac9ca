//! Poisoning: a lock remembers that a thread panicked while it held it.
//!
//! The errors are `std`'s, so that types match; only that of a wait with a time limit is new.
//!
//! # Invariants
//!
//! - **F1** The flag is set by a holder of the lock, before it unlocks, and only if it began to panic while it held the lock.
//!
//! # Orderings
//!
//! Relaxed: the lock orders what its holders write.
//!
//! # In doubt
//!
//! The panic count is the OS thread's. While another green thread of the worker is suspended in the middle of its unwinding, it cannot be
//! told whether the calling one panics too; then it does not poison. As `std` says of its own poisoning: some panics are missed, but a lock is
//! never poisoned by a holder that did not panic.
//!
//! # Checked by
//!
//! `tests/poison.rs`.

use std::{error::Error, fmt};

use sward_runtime::thread;

use crate::prim::{
    atomic::{AtomicBool, Ordering::Relaxed},
    const_fn,
};

pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

/// Whether a lock is poisoned.
#[derive(Debug)]
pub(crate) struct Flag(AtomicBool);

/// What a guard remembers: whether its thread was panicking already when it took the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panicking(bool);

impl Flag {
    const_fn! {
        pub(crate) const fn new() -> Flag {
            Flag(AtomicBool::new(false))
        }
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }

    #[inline]
    pub(crate) fn clear(&self) {
        self.0.store(false, Relaxed);
    }

    /// `value`, with a warning if the lock is poisoned.
    #[inline]
    pub(crate) fn wrap<T>(&self, value: T) -> LockResult<T> {
        if self.is_set() { Err(PoisonError::new(value)) } else { Ok(value) }
    }

    /// Before a holder unlocks.
    #[inline]
    pub(crate) fn leave(&self, entered: Panicking) {
        if !entered.0 && std::thread::panicking() {
            self.leave_panicking();
        }
    }

    #[cold]
    fn leave_panicking(&self) {
        if thread::is_known_to_panic() {
            // INVARIANT: F1.
            self.0.store(true, Relaxed);
        }
    }
}

impl Panicking {
    /// The calling thread's, at the moment. In doubt it is, so that it does not poison.
    #[inline]
    pub(crate) fn now() -> Self {
        // A load of the count of all threads, if nobody panics.
        Self(std::thread::panicking() && thread::panicking())
    }
}

/// Why a lock was not simply taken within the time: what the `_timeout` and `_until` methods of the locks return.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_sync::{LockTimeoutError, Mutex};
///
/// let mutex = Mutex::new(0);
/// let guard = mutex.lock().unwrap();
/// assert!(matches!(mutex.lock_timeout(Duration::from_millis(1)), Err(LockTimeoutError::Timeout)));
/// drop(guard);
/// assert!(mutex.lock_timeout(Duration::from_millis(1)).is_ok());
/// ```
pub enum LockTimeoutError<T> {
    /// The lock was taken, but a thread panicked while it held it. The guard is inside.
    Poisoned(PoisonError<T>),
    /// Time was up before the lock could be taken.
    Timeout,
}

/// What the `_timeout` and `_until` methods of the locks return.
pub type LockTimeoutResult<T> = Result<T, LockTimeoutError<T>>;

impl<T> From<PoisonError<T>> for LockTimeoutError<T> {
    fn from(poisoned: PoisonError<T>) -> Self {
        Self::Poisoned(poisoned)
    }
}

impl<T> fmt::Debug for LockTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poisoned(_) => "Poisoned(..)",
            Self::Timeout => "Timeout",
        })
    }
}

impl<T> fmt::Display for LockTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(poisoned) => poisoned.fmt(f),
            Self::Timeout => f.write_str("timed out waiting for the lock"),
        }
    }
}

impl<T> Error for LockTimeoutError<T> {}
