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

/// The receiving end of a channel. Clones share it; once all are gone the channel is disconnected.
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
    /// Receives without waiting.
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

    /// Receives, waiting while the channel is empty.
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        match &self.flavor {
            Flavor::Chan(chan) => chan.recv(None).map_err(|_| RecvError),
            _ => self.recv_until(None).map_err(|_| RecvError),
        }
    }

    /// As [`recv`](Self::recv), waiting no longer than `timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// As [`recv`](Self::recv), waiting no longer than until `deadline`.
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

    /// Whether the channel is empty; without a buffer it always is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the channel is full; without a buffer it always is.
    pub fn is_full(&self) -> bool {
        match &self.flavor {
            Flavor::Chan(chan) => chan.is_full(),
            Flavor::Timer(timer) => timer.is_due(),
            Flavor::Never => true,
        }
    }

    /// How many messages are in the channel.
    pub fn len(&self) -> usize {
        match &self.flavor {
            Flavor::Chan(chan) => chan.len(),
            Flavor::Timer(timer) => usize::from(timer.is_due()),
            Flavor::Never => 0,
        }
    }

    /// How many messages the channel can hold. `None`: any number.
    pub fn capacity(&self) -> Option<usize> {
        match &self.flavor {
            Flavor::Chan(chan) => chan.capacity(),
            Flavor::Timer(_) => Some(1),
            Flavor::Never => Some(0),
        }
    }

    /// The messages, waiting for each until the channel is empty and disconnected.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there, without waiting.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Whether both are receivers of the same channel.
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
