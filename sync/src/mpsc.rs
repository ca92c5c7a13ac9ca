//! Channels with one receiver, as in `std::sync::mpsc`, for green threads and OS threads at either end.
//!
//! Names, signatures and errors are `std`'s; the errors are the very types, so that code around a channel goes on as it is. The channels are
//! those of [`channel`](mod@crate::channel), which can be cloned at both ends and used in a `select!`.
//!
//! ```
//! use sward_runtime::thread;
//! use sward_sync::mpsc::channel;
//!
//! let (sender, receiver) = channel();
//! for i in 0..3 {
//!     let sender = sender.clone();
//!     thread::spawn(move || sender.send(i).unwrap());
//! }
//! drop(sender);
//! assert_eq!(receiver.iter().sum::<i32>(), 3);
//! ```

use std::{
    cell::Cell,
    fmt,
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe},
    time::{Duration, Instant},
};

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use crate::channel;

/// Makes a channel that holds any number of messages.
///
/// # Examples
///
/// ```
/// use sward_sync::mpsc::channel;
///
/// let (sender, receiver) = channel();
/// sender.send(1).unwrap();
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::unbounded();
    (Sender { inner: sender }, Receiver::new(receiver))
}

/// Makes a channel that holds at most `bound` messages; with zero, the sender and the receiver of a message must meet.
///
/// # Examples
///
/// ```
/// use sward_sync::mpsc::{TrySendError, sync_channel};
///
/// let (sender, receiver) = sync_channel(1);
/// sender.send(1).unwrap();
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(bound);
    (SyncSender { inner: sender }, Receiver::new(receiver))
}

/// The sending end of a [`channel`](channel()). Once all clones are gone the channel is disconnected.
///
/// # Examples
///
/// ```
/// use sward_sync::mpsc::channel;
///
/// let (sender, receiver) = channel();
/// sender.clone().send(1).unwrap();
/// sender.send(2).unwrap();
/// assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
/// ```
pub struct Sender<T> {
    inner: channel::Sender<T>,
}

/// The sending end of a [`sync_channel`]. Once all clones are gone the channel is disconnected.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::mpsc::sync_channel;
///
/// let (sender, receiver) = sync_channel(0);
/// thread::spawn(move || sender.send(1).unwrap());
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
pub struct SyncSender<T> {
    inner: channel::Sender<T>,
}

/// The receiving end of a channel. It can be sent to another thread, but not shared.
///
/// ```compile_fail,E0277
/// fn is_sync<T: Sync>() {}
/// is_sync::<sward_sync::mpsc::Receiver<()>>();
/// ```
///
/// # Examples
///
/// ```
/// use sward_sync::mpsc::{RecvError, channel};
///
/// let (sender, receiver) = channel();
/// sender.send(1).unwrap();
/// drop(sender);
/// assert_eq!(receiver.recv(), Ok(1));
/// assert_eq!(receiver.recv(), Err(RecvError));
/// ```
pub struct Receiver<T> {
    inner: channel::Receiver<T>,
    /// Not `Sync`, as in `std`.
    alone: PhantomData<Cell<()>>,
}

impl<T> Sender<T> {
    /// Sends a message. Never waits for room.
    ///
    /// # Suspension
    ///
    /// May yield.
    ///
    /// # Errors
    ///
    /// Gives the message back if the receiver is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::mpsc::{SendError, channel};
    ///
    /// let (sender, receiver) = channel();
    /// drop(receiver);
    /// assert_eq!(sender.send(1), Err(SendError(1)));
    /// ```
    pub fn send(&self, t: T) -> Result<(), SendError<T>> {
        self.inner.send(t).map_err(|channel::SendError(t)| SendError(t))
    }
}

impl<T> SyncSender<T> {
    /// Sends a message, waiting while there is no room; without a buffer, for the receiver.
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
    /// Gives the message back if the receiver is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::mpsc::sync_channel;
    ///
    /// let (sender, receiver) = sync_channel(1);
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.recv(), Ok(1));
    /// ```
    pub fn send(&self, t: T) -> Result<(), SendError<T>> {
        self.inner.send(t).map_err(|channel::SendError(t)| SendError(t))
    }

    /// Sends a message without waiting for room; without a buffer, sends it if the receiver waits.
    ///
    /// # Suspension
    ///
    /// May yield.
    ///
    /// # Errors
    ///
    /// [`Full`](TrySendError::Full) if there is no room, or the receiver does not wait; [`Disconnected`](TrySendError::Disconnected) if it is
    /// gone. The message is given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::mpsc::{TrySendError, sync_channel};
    ///
    /// let (sender, _receiver) = sync_channel(0);
    /// assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    /// ```
    pub fn try_send(&self, t: T) -> Result<(), TrySendError<T>> {
        self.inner.try_send(t).map_err(|error| match error {
            channel::TrySendError::Full(t) => TrySendError::Full(t),
            channel::TrySendError::Disconnected(t) => TrySendError::Disconnected(t),
        })
    }

    /// As [`send`](Self::send), waiting for at most `timeout`. Unstable and hidden in `std`.
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
    /// Those of [`channel::Sender::send_timeout`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::mpsc::sync_channel;
    ///
    /// let (sender, _receiver) = sync_channel(0);
    /// assert!(sender.send_timeout(1, Duration::from_millis(1)).unwrap_err().is_timeout());
    /// ```
    pub fn send_timeout(&self, t: T, timeout: Duration) -> Result<(), channel::SendTimeoutError<T>> {
        self.inner.send_timeout(t, timeout)
    }
}

fn timed_out(error: channel::RecvTimeoutError) -> RecvTimeoutError {
    match error {
        channel::RecvTimeoutError::Timeout => RecvTimeoutError::Timeout,
        channel::RecvTimeoutError::Disconnected => RecvTimeoutError::Disconnected,
    }
}

impl<T> Receiver<T> {
    fn new(inner: channel::Receiver<T>) -> Self {
        Self { inner, alone: PhantomData }
    }

    /// Receives a message without waiting for one.
    ///
    /// # Suspension
    ///
    /// May yield.
    ///
    /// # Errors
    ///
    /// [`Empty`](TryRecvError::Empty) if there is no message, [`Disconnected`](TryRecvError::Disconnected) if there will not be one.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::mpsc::{TryRecvError, channel};
    ///
    /// let (_sender, receiver) = channel::<()>();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.inner.try_recv().map_err(|error| match error {
            channel::TryRecvError::Empty => TryRecvError::Empty,
            channel::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// Receives a message, waiting while there is none.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// No message was received, and none is lost.
    ///
    /// # Errors
    ///
    /// If there is no message, and the senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::mpsc::channel;
    ///
    /// let (sender, receiver) = channel();
    /// thread::spawn(move || sender.send(1).unwrap());
    /// assert_eq!(receiver.recv(), Ok(1));
    /// ```
    pub fn recv(&self) -> Result<T, RecvError> {
        self.inner.recv().map_err(|channel::RecvError| RecvError)
    }

    /// As [`recv`](Self::recv), waiting for at most `timeout`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// No message was received, and none is lost.
    ///
    /// # Errors
    ///
    /// [`Timeout`](RecvTimeoutError::Timeout) if time is up, [`Disconnected`](RecvTimeoutError::Disconnected) if there is no message, and the
    /// senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::mpsc::{RecvTimeoutError, channel};
    ///
    /// let (_sender, receiver) = channel::<()>();
    /// let received = receiver.recv_timeout(Duration::from_millis(1));
    /// assert_eq!(received, Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.inner.recv_timeout(timeout).map_err(timed_out)
    }

    /// As [`recv_timeout`](Self::recv_timeout), waiting until `deadline` at most. Unstable in `std`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// No message was received, and none is lost.
    ///
    /// # Errors
    ///
    /// Those of [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::mpsc::{RecvTimeoutError, channel};
    ///
    /// let (_sender, receiver) = channel::<()>();
    /// assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.inner.recv_deadline(deadline).map_err(timed_out)
    }

    /// The messages, waiting for each, until the channel is empty and the senders are gone.
    ///
    /// # Suspension
    ///
    /// `next` is [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::mpsc::channel;
    ///
    /// let (sender, receiver) = channel();
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { rx: self }
    }

    /// The messages that are there, without waiting for more.
    ///
    /// # Suspension
    ///
    /// `next` is [`try_recv`](Self::try_recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::mpsc::channel;
    ///
    /// let (sender, receiver) = channel();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { rx: self }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncSender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// The messages of a channel, waiting for each. Made by [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    rx: &'a Receiver<T>,
}

/// The messages that are in a channel, without waiting for more. Made by [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    rx: &'a Receiver<T>,
}

/// As [`Iter`], with the receiver in it. Made by `into_iter`.
#[derive(Debug)]
pub struct IntoIter<T> {
    rx: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.rx.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.rx.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.rx.recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { rx: self }
    }
}
