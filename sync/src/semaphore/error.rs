//! Why a semaphore gave no permit.

use std::{error::Error, fmt};

/// The semaphore is closed: [`Semaphore::acquire`](super::Semaphore::acquire) gives no permits any more.
///
/// # Examples
///
/// ```
/// use sward_sync::Semaphore;
///
/// let semaphore = Semaphore::new(1);
/// semaphore.close();
/// assert_eq!(semaphore.acquire().unwrap_err().to_string(), "semaphore closed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError(pub(super) ());

/// Why [`Semaphore::try_acquire`](super::Semaphore::try_acquire) gave no permit.
///
/// # Examples
///
/// ```
/// use sward_sync::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(0);
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// There are too few permits, or others wait for them.
    NoPermits,
}

/// Why [`Semaphore::acquire_timeout`](super::Semaphore::acquire_timeout) gave no permit.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_sync::{AcquireTimeoutError, Semaphore};
///
/// let semaphore = Semaphore::new(0);
/// let error = semaphore.acquire_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(error, AcquireTimeoutError::Timeout);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireTimeoutError {
    /// The semaphore is closed.
    Closed,
    /// There were too few permits in time.
    Timeout,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("semaphore closed")
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "semaphore closed",
            Self::NoPermits => "no permits available",
        })
    }
}

impl fmt::Display for AcquireTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "semaphore closed",
            Self::Timeout => "timed out waiting for a permit",
        })
    }
}

impl Error for AcquireError {}

impl Error for TryAcquireError {}

impl Error for AcquireTimeoutError {}
