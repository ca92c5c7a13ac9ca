//! Why a pool gave no object.

use std::{error::Error, fmt};

/// Why [`try_get`](super::Pool::try_get) gave no object.
///
/// # Examples
///
/// ```
/// use sward_sync::{Pool, pool::TryGetError};
///
/// let pool = Pool::new(1, || "1".parse::<u32>());
/// let _guard = pool.get()?;
/// assert_eq!(pool.try_get().unwrap_err(), TryGetError::InUse);
/// # Ok::<(), std::num::ParseIntError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryGetError<E> {
    /// All objects are in use.
    InUse,
    /// A new object could not be made.
    Create(E),
}

/// Why [`get_timeout`](super::Pool::get_timeout) gave no object.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_sync::{Pool, pool::GetTimeoutError};
///
/// let pool = Pool::new(1, || "1".parse::<u32>());
/// let _guard = pool.get()?;
/// let error = pool.get_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(error, GetTimeoutError::Timeout);
/// # Ok::<(), std::num::ParseIntError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetTimeoutError<E> {
    /// Time is up, and all objects are in use.
    Timeout,
    /// A new object could not be made.
    Create(E),
}

impl<E> fmt::Display for TryGetError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "all objects of the pool are in use",
            Self::Create(_) => "an object of the pool could not be made",
        })
    }
}

impl<E> fmt::Display for GetTimeoutError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timed out waiting for an object of the pool",
            Self::Create(_) => "an object of the pool could not be made",
        })
    }
}

impl<E: Error + 'static> Error for TryGetError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InUse => None,
            Self::Create(error) => Some(error),
        }
    }
}

impl<E: Error + 'static> Error for GetTimeoutError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Timeout => None,
            Self::Create(error) => Some(error),
        }
    }
}
