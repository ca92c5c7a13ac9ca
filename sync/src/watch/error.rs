//! Why nothing was sent or seen. Names, variants and texts are those of `tokio::sync::watch::error`.

use std::{error::Error, fmt};

/// Why [`send`](super::Sender::send) failed: there are no receivers. The value is given back.
///
/// # Examples
///
/// ```
/// use sward_sync::watch;
///
/// let (sender, receiver) = watch::channel(1);
/// drop(receiver);
/// assert_eq!(sender.send(2).unwrap_err().0, 2);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why [`changed`](super::Receiver::changed) failed: all senders are gone.
///
/// # Examples
///
/// ```
/// use sward_sync::watch;
///
/// let (sender, mut receiver) = watch::channel(1);
/// drop(sender);
/// assert!(receiver.changed().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError(pub(super) ());

/// Why [`changed_timeout`](super::Receiver::changed_timeout) failed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_sync::watch::{self, error::RecvTimeoutError};
///
/// let (_sender, mut receiver) = watch::channel(1);
/// let error = receiver.changed_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(error, RecvTimeoutError::Timeout);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// Time is up, and there was no such change.
    Timeout,
    /// All senders are gone.
    Closed,
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel closed")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel closed")
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timed out waiting on channel",
            Self::Closed => "channel closed",
        })
    }
}

impl<T> Error for SendError<T> {}

impl Error for RecvError {}

impl Error for RecvTimeoutError {}
