//! An operation that was selected in a [`Select`](super::Select).

use std::{fmt, mem::ManuallyDrop};

use sward_runtime::thread;

use crate::{
    Notify,
    channel::{
        Receiver, RecvError, SendError, Sender,
        arm::{Arm, Joinable, Token},
    },
};

/// An operation that was selected, and must be completed, with the handle with which it was added or one for the same channel.
///
/// # Panics
///
/// If it is dropped without being completed. The operation is not done then: a message stays in its channel, room stays free.
///
/// # Examples
///
/// ```should_panic
/// use sward_sync::channel::{Select, bounded};
///
/// let (sender, _receiver) = bounded::<u32>(1);
/// let mut select = Select::new();
/// select.send(&sender);
/// drop(select.select());
/// ```
#[must_use]
pub struct SelectedOperation<'a> {
    arm: &'a dyn Arm,
    index: usize,
    token: Token,
}

impl<'a> SelectedOperation<'a> {
    pub(super) fn new(arm: &'a dyn Arm, index: usize, token: Token) -> Self {
        Self { arm, index, token }
    }

    /// Its index.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{Select, bounded};
    ///
    /// let (s1, r1) = bounded::<u32>(0);
    /// let (s2, r2) = bounded(1);
    /// let mut select = Select::new();
    /// select.send(&s1);
    /// let second = select.send(&s2);
    /// let operation = select.select();
    /// assert_eq!(operation.index(), second);
    /// operation.send(&s2, "there is room").unwrap();
    /// # drop((r1, r2));
    /// ```
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// What is to be completed, if it is with `other`.
    fn check(self, other: &dyn Arm, what: &str) -> Token {
        assert!(self.arm.id() == other.id(), "passed a {what} that wasn't selected");
        ManuallyDrop::new(self).token
    }

    /// Sends the message.
    ///
    /// # Suspension
    ///
    /// None.
    ///
    /// # Panics
    ///
    /// If the operation was not to send into this channel.
    ///
    /// # Errors
    ///
    /// The message, if there are no receivers any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{Select, SendError, bounded};
    ///
    /// let (sender, receiver) = bounded(0);
    /// drop(receiver);
    /// let mut select = Select::new();
    /// select.send(&sender);
    /// assert_eq!(select.select().send(&sender, 10), Err(SendError(10)));
    /// ```
    pub fn send<T>(self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        sender.complete(self.check(sender, "sender"), message)
    }

    /// Receives the message.
    ///
    /// # Suspension
    ///
    /// If the other side is in a `select` too, and has yet to say what it sends, this waits for it.
    ///
    /// # Cancellation
    ///
    /// That wait is not cancelled.
    ///
    /// # Panics
    ///
    /// If the operation was not to receive from this channel.
    ///
    /// # Errors
    ///
    /// If the channel is empty, and there are no senders any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{RecvError, Select, bounded};
    ///
    /// let (sender, receiver) = bounded::<u32>(0);
    /// drop(sender);
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert_eq!(select.select().recv(&receiver), Err(RecvError));
    /// ```
    pub fn recv<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        receiver.complete(self.check(receiver, "receiver"))
    }

    /// Takes note that the green thread has ended. Its handle can be joined without waiting.
    ///
    /// # Panics
    ///
    /// If the operation was not to wait for the end by this handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::channel::Select;
    ///
    /// let handle = thread::spawn(|| 7);
    /// let mut select = Select::new();
    /// select.join(&handle);
    /// select.select().join(&handle);
    /// assert!(handle.is_finished());
    /// ```
    pub fn join<H: Joinable>(self, handle: &H) {
        self.check(handle, "handle");
    }

    /// Takes the notification.
    ///
    /// # Panics
    ///
    /// If the operation was not to wait for this.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Notify, channel::Select};
    ///
    /// let notify = Notify::new();
    /// notify.notify_one();
    /// let mut select = Select::new();
    /// select.notified(&notify);
    /// select.select().notified(&notify);
    /// ```
    pub fn notified(self, notify: &Notify) {
        self.check(notify, "notification");
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        self.arm.abandon(self.token);
        assert!(thread::panicking(), "dropped `SelectedOperation` without completing the operation");
    }
}
