//! The sending end.

use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    time::{Duration, Instant},
};

use super::{
    chan::{Chan, End, NotSent},
    error::{SendError, SendTimeoutError, TrySendError},
};
use crate::Arc;

/// The sending end of a channel.
///
/// Clones share it. Once all are gone the channel is disconnected: what is in it can still be received.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// let second = sender.clone();
/// thread::spawn(move || sender.send(1).unwrap());
/// thread::spawn(move || second.send(2).unwrap());
/// assert_eq!(receiver.iter().sum::<i32>(), 3);
/// ```
pub struct Sender<T> {
    pub(super) chan: Arc<Chan<T>>,
}

impl<T> Sender<T> {
    /// Sends a message without waiting for room. On a channel without a buffer, sends it if a receiver waits.
    ///
    /// # Suspension
    ///
    /// May yield, as everything that succeeds at once.
    ///
    /// # Errors
    ///
    /// [`Full`](TrySendError::Full) if there is no room, or no receiver waits; [`Disconnected`](TrySendError::Disconnected) if there are
    /// no receivers any more. The message is given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{TrySendError, bounded};
    ///
    /// let (sender, receiver) = bounded(1);
    /// assert_eq!(sender.try_send(1), Ok(()));
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// drop(receiver);
    /// assert_eq!(sender.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.chan.try_send(message).map_err(|error| match error {
            NotSent::Full(message) => TrySendError::Full(message),
            NotSent::Closed(message) => TrySendError::Disconnected(message),
        })
    }

    /// Sends a message, waiting while there is no room. On a channel without a buffer, waits for a receiver.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. May yield even if there is room.
    ///
    /// # Cancellation
    ///
    /// The message was not sent, and is dropped.
    ///
    /// # Fairness
    ///
    /// Those who wait are let in in the order in which they came.
    ///
    /// # Errors
    ///
    /// Gives the message back if there are no receivers any more, or if the last one goes while this one waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{SendError, bounded};
    ///
    /// let (sender, receiver) = bounded(1);
    /// assert_eq!(sender.send(1), Ok(()));
    /// drop(receiver);
    /// assert_eq!(sender.send(2), Err(SendError(2)));
    /// ```
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.chan.send(message, None).map_err(|error| match error {
            NotSent::Closed(message) | NotSent::Full(message) => SendError(message),
        })
    }

    /// As [`send`](Self::send), waiting for at most `timeout`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The message was not sent, and is dropped.
    ///
    /// # Errors
    ///
    /// [`Timeout`](SendTimeoutError::Timeout) if time is up, [`Disconnected`](SendTimeoutError::Disconnected) if there are no receivers any more.
    /// The message is given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::channel::{SendTimeoutError, bounded};
    ///
    /// let (sender, _receiver) = bounded(1);
    /// assert_eq!(sender.send_timeout(1, Duration::ZERO), Ok(()));
    /// let timeout = Duration::from_millis(1);
    /// assert_eq!(sender.send_timeout(2, timeout), Err(SendTimeoutError::Timeout(2)));
    /// ```
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        // The clock is asked only by those who must wait.
        match self.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(message)) => Err(SendTimeoutError::Disconnected(message)),
            Err(TrySendError::Full(message)) => self.send_until(message, Instant::now().checked_add(timeout)),
        }
    }

    /// As [`send_timeout`](Self::send_timeout), waiting until `deadline` at most.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The message was not sent, and is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`send_timeout`](Self::send_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::channel::bounded;
    ///
    /// let (sender, _receiver) = bounded(0);
    /// assert!(sender.send_deadline(1, Instant::now()).unwrap_err().is_timeout());
    /// ```
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, Some(deadline))
    }

    fn send_until(&self, message: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        self.chan.send(message, deadline).map_err(|error| match error {
            NotSent::Full(message) => SendTimeoutError::Timeout(message),
            NotSent::Closed(message) => SendTimeoutError::Disconnected(message),
        })
    }

    /// Whether no message is in the channel; without a buffer there never is.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::bounded;
    ///
    /// let (sender, receiver) = bounded(1);
    /// assert!(sender.is_empty() && !sender.is_full());
    /// sender.send(()).unwrap();
    /// assert!(sender.len() == 1 && sender.is_full() && sender.capacity() == Some(1));
    /// # drop(receiver);
    /// ```
    pub fn is_empty(&self) -> bool {
        self.chan.is_empty()
    }

    /// Whether there is no room in the channel; without a buffer there never is.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn is_full(&self) -> bool {
        self.chan.is_full()
    }

    /// How many messages are in the channel.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn len(&self) -> usize {
        self.chan.len()
    }

    /// How many messages the channel can hold. `None`: any number.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn capacity(&self) -> Option<usize> {
        self.chan.capacity()
    }

    /// Whether both are senders of the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::unbounded;
    ///
    /// let (sender, _receiver) = unbounded::<()>();
    /// let (other, _receiver) = unbounded::<()>();
    /// assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&other));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chan, &other.chan)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.chan.open(End::Send);
        Self { chan: Arc::clone(&self.chan) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.chan.close(End::Send);
    }
}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}
