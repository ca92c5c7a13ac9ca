//! The end that changes the value.

use std::{
    fmt, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::{budget, park::WaitReason};

use super::{CLOSED, Receiver, Ref, Shared, error::SendError};

/// Changes the value, and can look at it too.
///
/// # Examples
///
/// ```
/// use sward_sync::watch;
///
/// let (sender, receiver) = watch::channel("off");
/// sender.send("on").unwrap();
/// assert_eq!(*receiver.borrow(), "on");
/// ```
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// A sender without receivers: they may subscribe.
    ///
    /// # Examples
    ///
    /// ```
    /// let sender = sward_sync::watch::Sender::new(1);
    /// assert_eq!(*sender.subscribe().borrow(), 1);
    /// ```
    #[must_use]
    pub fn new(init: T) -> Self {
        Self(Shared::new(init))
    }

    /// Sets the value, if anybody can see it.
    ///
    /// # Suspension
    ///
    /// Waits for those who have borrowed the value.
    ///
    /// # Cancellation
    ///
    /// The value stays as it was.
    ///
    /// # Errors
    ///
    /// If there are no receivers. The value is given back, and the old one stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// assert!(sender.send(2).is_ok());
    /// drop(receiver);
    /// assert!(sender.send(3).is_err());
    /// assert_eq!(*sender.borrow(), 2);
    /// ```
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    /// Lets `modify` change the value, and tells the receivers, also if there are none.
    ///
    /// # Suspension
    ///
    /// Waits for those who have borrowed the value. `modify` runs with the value locked, and should not take long.
    ///
    /// # Cancellation
    ///
    /// The value stays as it was, if this happens before `modify` is called.
    ///
    /// # Panics
    ///
    /// If `modify` does. What it did stays, but receivers are not told.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(vec![1]);
    /// sender.send_modify(|list| list.push(2));
    /// assert_eq!(*receiver.borrow(), [1, 2]);
    /// ```
    pub fn send_modify<F>(&self, modify: F)
    where
        F: FnOnce(&mut T),
    {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// As [`send_modify`](Self::send_modify), but tells the receivers only if `modify` returns `true`; which this returns too.
    ///
    /// # Suspension
    ///
    /// As [`send_modify`](Self::send_modify).
    ///
    /// # Cancellation
    ///
    /// As [`send_modify`](Self::send_modify).
    ///
    /// # Panics
    ///
    /// As [`send_modify`](Self::send_modify).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(5);
    /// let raise_to = |new: i32| {
    ///     sender.send_if_modified(|level| {
    ///         let is_higher = new > *level;
    ///         *level = new.max(*level);
    ///         is_higher
    ///     })
    /// };
    /// assert!(!raise_to(3));
    /// assert!(raise_to(7));
    /// assert_eq!(*receiver.borrow(), 7);
    /// ```
    pub fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        budget::spend();
        self.0.modify(modify)
    }

    /// Sets the value, tells the receivers, also if there are none, and returns the old one.
    ///
    /// # Suspension
    ///
    /// Waits for those who have borrowed the value.
    ///
    /// # Cancellation
    ///
    /// The value stays as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch::Sender;
    ///
    /// let sender = Sender::new(1);
    /// assert_eq!(sender.send_replace(2), 1);
    /// assert_eq!(*sender.borrow(), 2);
    /// ```
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|old| mem::swap(old, &mut value));
        value
    }

    /// The value as it is now.
    ///
    /// # Suspension
    ///
    /// Waits for a sender that is just changing it.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(*sward_sync::watch::Sender::new(1).borrow(), 1);
    /// ```
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref { value: self.0.read(), has_changed: false }
    }

    /// One more receiver, which counts the value as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, first) = watch::channel(1);
    /// drop(first);
    /// let second = sender.subscribe();
    /// assert!(sender.send(2).is_ok());
    /// assert_eq!(*second.borrow(), 2);
    /// ```
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.0, self.0.state.get())
    }

    /// Whether there are no receivers.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there are no receivers.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// thread::spawn(move || drop(receiver));
    /// sender.closed();
    /// assert!(sender.is_closed());
    /// ```
    pub fn closed(&self) {
        self.closed_to(None);
    }

    /// As [`closed`](Self::closed), at most so long. `false`: time is up.
    ///
    /// # Suspension
    ///
    /// As [`closed`](Self::closed).
    ///
    /// # Cancellation
    ///
    /// As [`closed`](Self::closed).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::watch;
    ///
    /// let (sender, _receiver) = watch::channel(1);
    /// assert!(!sender.closed_timeout(Duration::from_millis(1)));
    /// ```
    pub fn closed_timeout(&self, timeout: Duration) -> bool {
        self.closed_to(Instant::now().checked_add(timeout))
    }

    /// `None`: for longer than the clock can say.
    fn closed_to(&self, deadline: Option<Instant>) -> bool {
        budget::spend();
        self.0.receivers.wait(WaitReason::Channel, deadline, |receivers| receivers == 0).is_some()
    }

    /// How many receivers there are.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// let _other = receiver.clone();
    /// assert_eq!(sender.receiver_count(), 2);
    /// ```
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.0.receivers.get()
    }

    /// How many senders there are.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(sward_sync::watch::Sender::new(1).sender_count(), 1);
    /// ```
    #[must_use]
    pub fn sender_count(&self) -> usize {
        self.0.senders.get()
    }

    /// Whether both are of the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch::Sender;
    ///
    /// let sender = Sender::new(1);
    /// assert!(sender.same_channel(&sender.clone()));
    /// assert!(!sender.same_channel(&Sender::new(1)));
    /// ```
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.add(1);
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.subtract(1) == 0 {
            self.0.state.set(CLOSED);
            self.0.state.wake();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("shared", &self.0).finish()
    }
}
