//! Receivers as iterators.

use std::{fmt, iter::FusedIterator};

use super::Receiver;

/// The messages of a channel, waiting for each, until it is empty and there are no senders any more. Made by [`Receiver::iter`].
///
/// # Examples
///
/// ```
/// use sward_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// sender.send(1).unwrap();
/// drop(sender);
/// for message in &receiver {
///     assert_eq!(message, 1);
/// }
/// ```
pub struct Iter<'a, T> {
    pub(super) receiver: &'a Receiver<T>,
}

/// The messages that are in a channel, without waiting for more. Made by [`Receiver::try_iter`].
pub struct TryIter<'a, T> {
    pub(super) receiver: &'a Receiver<T>,
}

/// As [`Iter`], with a receiver of its own. Made by `into_iter`.
///
/// # Examples
///
/// ```
/// use sward_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// let mut messages = receiver.into_iter();
/// sender.send(1).unwrap();
/// drop(sender);
/// assert_eq!((messages.next(), messages.next()), (Some(1), None));
/// ```
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

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
        IntoIter { receiver: self }
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Iter { .. }")
    }
}

impl<T> fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("TryIter { .. }")
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoIter { .. }")
    }
}
