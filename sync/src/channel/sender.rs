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

/// The sending end of a channel. Clones share it; once all are gone the channel is disconnected.
pub struct Sender<T> {
    pub(super) chan: Arc<Chan<T>>,
}

impl<T> Sender<T> {
    /// Sends without waiting.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.chan.try_send(message).map_err(|error| match error {
            NotSent::Full(message) => TrySendError::Full(message),
            NotSent::Closed(message) => TrySendError::Disconnected(message),
        })
    }

    /// Sends, waiting while there is no room.
    #[inline]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.chan.send(message, None).map_err(|error| match error {
            NotSent::Closed(message) | NotSent::Full(message) => SendError(message),
        })
    }

    /// As [`send`](Self::send), waiting no longer than `timeout`.
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, Instant::now().checked_add(timeout))
    }

    /// As [`send`](Self::send), waiting no longer than until `deadline`.
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, Some(deadline))
    }

    fn send_until(&self, message: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        self.chan.send(message, deadline).map_err(|error| match error {
            NotSent::Full(message) => SendTimeoutError::Timeout(message),
            NotSent::Closed(message) => SendTimeoutError::Disconnected(message),
        })
    }

    /// Whether the channel is empty; without a buffer it always is.
    pub fn is_empty(&self) -> bool {
        self.chan.len() == 0
    }

    /// Whether the channel is full; without a buffer it always is.
    pub fn is_full(&self) -> bool {
        self.chan.is_full()
    }

    /// How many messages are in the channel.
    pub fn len(&self) -> usize {
        self.chan.len()
    }

    /// How many messages the channel can hold. `None`: any number.
    pub fn capacity(&self) -> Option<usize> {
        self.chan.capacity()
    }

    /// Whether both are senders of the same channel.
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
