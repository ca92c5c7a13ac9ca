//! Why no value was received. Names, variants and texts are those of `tokio::sync::oneshot::error`.

use std::{error::Error, fmt};

/// Why [`recv`](super::Receiver::recv) failed: the sender was dropped without sending.
///
/// # Examples
///
/// ```
/// use sward_sync::oneshot;
///
/// let (sender, receiver) = oneshot::channel::<u32>();
/// drop(sender);
/// assert_eq!(receiver.recv().unwrap_err().to_string(), "channel closed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecvError(pub(super) ());

/// Why [`try_recv`](super::Receiver::try_recv) failed.
///
/// # Examples
///
/// ```
/// use sward_sync::oneshot::{self, error::TryRecvError};
///
/// let (sender, mut receiver) = oneshot::channel::<u32>();
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// The value has not been sent yet.
    Empty,
    /// The sender was dropped without sending, the receiver was closed, or the value has been received.
    Closed,
}

/// Why [`recv_timeout`](super::Receiver::recv_timeout) failed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_sync::oneshot::{self, error::RecvTimeoutError};
///
/// let (_sender, mut receiver) = oneshot::channel::<u32>();
/// let error = receiver.recv_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(error, RecvTimeoutError::Timeout);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// Time is up, and the value has not been sent yet.
    Timeout,
    /// As [`TryRecvError::Closed`].
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel closed")
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "channel empty",
            Self::Closed => "channel closed",
        })
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

impl Error for RecvError {}

impl Error for TryRecvError {}

impl Error for RecvTimeoutError {}
