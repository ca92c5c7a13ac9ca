//! Why nothing was sent or received. Names, variants and texts are those of `tokio::sync::broadcast::error`.

use std::{error::Error, fmt};

/// Why [`send`](super::Sender::send) failed: there are no receivers. The value is given back.
///
/// # Examples
///
/// ```
/// use sward_sync::broadcast::{Sender, error::SendError};
///
/// let SendError(value) = Sender::new(16).send("hello").unwrap_err();
/// assert_eq!(value, "hello");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why [`recv`](super::Receiver::recv) failed.
///
/// # Examples
///
/// ```
/// use sward_sync::broadcast::{self, error::RecvError};
///
/// let (sender, mut receiver) = broadcast::channel(1);
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// drop(sender);
/// assert_eq!(receiver.recv(), Err(RecvError::Lagged(1)));
/// assert_eq!(receiver.recv(), Ok(2));
/// assert_eq!(receiver.recv(), Err(RecvError::Closed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are gone, and every value has been received.
    Closed,
    /// The receiver was too slow: so many values were overwritten. The next one is the oldest that is left.
    Lagged(u64),
}

/// Why [`try_recv`](super::Receiver::try_recv) failed.
///
/// # Examples
///
/// ```
/// use sward_sync::broadcast::{self, error::TryRecvError};
///
/// let (_sender, mut receiver) = broadcast::channel::<u32>(1);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is no value that has not been received, but there are senders.
    Empty,
    /// As [`RecvError::Closed`].
    Closed,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
}

/// Why [`recv_timeout`](super::Receiver::recv_timeout) failed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_sync::broadcast::{self, error::RecvTimeoutError};
///
/// let (_sender, mut receiver) = broadcast::channel::<u32>(1);
/// let error = receiver.recv_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(error, RecvTimeoutError::Timeout);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// Time is up, and nothing was sent.
    Timeout,
    /// As [`RecvError::Closed`].
    Closed,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
}

fn lagged(f: &mut fmt::Formatter<'_>, missed: u64) -> fmt::Result {
    write!(f, "channel lagged by {missed}")
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
        match *self {
            Self::Closed => f.write_str("channel closed"),
            Self::Lagged(missed) => lagged(f, missed),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("channel empty"),
            Self::Closed => f.write_str("channel closed"),
            Self::Lagged(missed) => lagged(f, missed),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Timeout => f.write_str("timed out waiting on channel"),
            Self::Closed => f.write_str("channel closed"),
            Self::Lagged(missed) => lagged(f, missed),
        }
    }
}

impl<T> Error for SendError<T> {}

impl Error for RecvError {}

impl Error for TryRecvError {}

impl Error for RecvTimeoutError {}
