//! The receiving end.

use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    time::{Duration, Instant},
};

use sward_runtime::{budget, thread};

use super::{
    chan::{Chan, End, NotReceived},
    error::{RecvError, RecvTimeoutError, TryRecvError},
    iter::{Iter, TryIter},
    timer::Timer,
};
use crate::Arc;

/// The receiving end of a channel.
///
/// Clones share it, and each message goes to one of them. Once all are gone the channel is disconnected, and what is in it is dropped.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// let second = receiver.clone();
/// let counts = [receiver, second].map(|receiver| thread::spawn(move || receiver.iter().count()));
/// for _ in 0..100 {
///     sender.send(()).unwrap();
/// }
/// drop(sender);
/// assert_eq!(counts.map(|count| count.join().unwrap()).iter().sum::<usize>(), 100);
/// ```
pub struct Receiver<T> {
    pub(super) flavor: Flavor<T>,
}

/// Where messages come from.
pub(super) enum Flavor<T> {
    /// Senders.
    Chan(Arc<Chan<T>>),
    /// The clock.
    Timer(Arc<Timer<T>>),
    /// Nowhere.
    Never,
}

impl<T> Receiver<T> {
    /// Receives a message without waiting for one.
    ///
    /// # Suspension
    ///
    /// May yield, as everything that succeeds at once. On a channel without a buffer it may meet a sender that was selected in a `select!` and is
    /// about to say what it sends: for that it waits.
    ///
    /// # Errors
    ///
    /// [`Empty`](TryRecvError::Empty) if there is no message, [`Disconnected`](TryRecvError::Disconnected) if there will not be one.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{TryRecvError, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match &self.flavor {
            Flavor::Chan(chan) => chan.try_recv().map_err(|error| match error {
                NotReceived::Empty => TryRecvError::Empty,
                NotReceived::Closed => TryRecvError::Disconnected,
            }),
            Flavor::Timer(timer) => {
                budget::spend();
                timer.try_take(None).ok_or(TryRecvError::Empty)
            }
            Flavor::Never => {
                budget::spend();
                Err(TryRecvError::Empty)
            }
        }
    }

    /// Receives a message, waiting while there is none.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. May yield even if there is a message.
    ///
    /// # Cancellation
    ///
    /// No message was received, and none is lost. Of a [`tick`](super::tick), none was used up.
    ///
    /// # Fairness
    ///
    /// Messages are received in the order in which they were sent, and those who wait get them in the order in which they came.
    ///
    /// # Errors
    ///
    /// If there is no message, and there are no senders any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::channel::{RecvError, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// thread::spawn(move || sender.send(1).unwrap());
    /// assert_eq!(receiver.recv(), Ok(1));
    /// assert_eq!(receiver.recv(), Err(RecvError));
    /// ```
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        match &self.flavor {
            Flavor::Chan(chan) => chan.recv(None).map_err(|_| RecvError),
            _ => self.recv_until(None).map_err(|_| RecvError),
        }
    }

    /// As [`recv`](Self::recv), waiting for at most `timeout`. A message that is there is received even if that is zero.
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
    /// [`Timeout`](RecvTimeoutError::Timeout) if time is up, [`Disconnected`](RecvTimeoutError::Disconnected) if there is no message, and there
    /// are no senders any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::channel::{RecvTimeoutError, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(1));
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        // The clock is asked only by those who must wait.
        match self.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => self.recv_until(Instant::now().checked_add(timeout)),
        }
    }

    /// As [`recv_timeout`](Self::recv_timeout), waiting until `deadline` at most.
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
    /// use sward_sync::channel::unbounded;
    ///
    /// let (_sender, receiver) = unbounded::<()>();
    /// assert!(receiver.recv_deadline(Instant::now()).unwrap_err().is_timeout());
    /// ```
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        match &self.flavor {
            Flavor::Chan(chan) => chan.recv(deadline).map_err(|error| match error {
                NotReceived::Empty => RecvTimeoutError::Timeout,
                NotReceived::Closed => RecvTimeoutError::Disconnected,
            }),
            Flavor::Timer(timer) => timer.recv(deadline).ok_or(RecvTimeoutError::Timeout),
            Flavor::Never => {
                match deadline {
                    Some(deadline) => thread::sleep_until(deadline),
                    None => thread::sleep(Duration::MAX),
                }
                Err(RecvTimeoutError::Timeout)
            }
        }
    }

    /// Whether no message is in the channel; without a buffer there never is.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::bounded;
    ///
    /// let (sender, receiver) = bounded(1);
    /// assert!(receiver.is_empty() && !receiver.is_full());
    /// sender.send(()).unwrap();
    /// assert!(receiver.len() == 1 && receiver.is_full() && receiver.capacity() == Some(1));
    /// ```
    pub fn is_empty(&self) -> bool {
        match &self.flavor {
            Flavor::Chan(chan) => chan.is_empty(),
            Flavor::Timer(timer) => !timer.is_due(),
            Flavor::Never => true,
        }
    }

    /// Whether there is no room in the channel; without a buffer there never is.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn is_full(&self) -> bool {
        match &self.flavor {
            Flavor::Chan(chan) => chan.is_full(),
            Flavor::Timer(timer) => timer.is_due(),
            Flavor::Never => true,
        }
    }

    /// How many messages are in the channel.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn len(&self) -> usize {
        match &self.flavor {
            Flavor::Chan(chan) => chan.len(),
            Flavor::Timer(timer) => usize::from(timer.is_due()),
            Flavor::Never => 0,
        }
    }

    /// How many messages the channel can hold. `None`: any number.
    ///
    /// # Examples
    ///
    /// See [`is_empty`](Self::is_empty).
    pub fn capacity(&self) -> Option<usize> {
        match &self.flavor {
            Flavor::Chan(chan) => chan.capacity(),
            Flavor::Timer(_) => Some(1),
            Flavor::Never => Some(0),
        }
    }

    /// The messages, waiting for each, until the channel is empty and there are no senders any more.
    ///
    /// # Suspension
    ///
    /// `next` is [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::channel::unbounded;
    ///
    /// let (sender, receiver) = unbounded();
    /// thread::spawn(move || (0..3).for_each(|i| sender.send(i).unwrap()));
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
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
    /// use sward_sync::channel::unbounded;
    ///
    /// let (sender, receiver) = unbounded();
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Whether both are receivers of the same channel. All that [`never`](super::never) makes count as one.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::unbounded;
    ///
    /// let (_sender, receiver) = unbounded::<()>();
    /// let (_sender, other) = unbounded::<()>();
    /// assert!(receiver.same_channel(&receiver.clone()) && !receiver.same_channel(&other));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.flavor, &other.flavor) {
            (Flavor::Chan(a), Flavor::Chan(b)) => Arc::ptr_eq(a, b),
            (Flavor::Timer(a), Flavor::Timer(b)) => Arc::ptr_eq(a, b),
            (Flavor::Never, Flavor::Never) => true,
            _ => false,
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let flavor = match &self.flavor {
            Flavor::Chan(chan) => {
                chan.open(End::Recv);
                Flavor::Chan(Arc::clone(chan))
            }
            Flavor::Timer(timer) => Flavor::Timer(Arc::clone(timer)),
            Flavor::Never => Flavor::Never,
        };
        Self { flavor }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Flavor::Chan(chan) = &self.flavor {
            chan.close(End::Recv);
        }
    }
}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}
