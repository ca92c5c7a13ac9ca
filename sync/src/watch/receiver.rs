//! The end that sees the value.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::{budget, park::WaitReason};

use super::{
    CLOSED, Ref, Shared, VERSION,
    error::{RecvError, RecvTimeoutError},
    version,
};

/// Sees the value, and learns when it changes.
///
/// A clone has seen what the original has.
///
/// # Examples
///
/// ```
/// use sward_sync::watch;
///
/// let (sender, mut receiver) = watch::channel("one");
/// sender.send("two").unwrap();
/// sender.send("three").unwrap();
/// receiver.changed().unwrap(); // once for both
/// assert_eq!(*receiver.borrow(), "three");
/// ```
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that counts as seen.
    seen: usize,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: &Arc<Shared<T>>, state: usize) -> Self {
        shared.receivers.add(1);
        Self { shared: Arc::clone(shared), seen: version(state) }
    }

    /// The value as it is now, which is not counted as seen.
    ///
    /// # Suspension
    ///
    /// Waits for a sender that is just changing it.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow(), 2);
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    pub fn borrow(&self) -> Ref<'_, T> {
        let value = self.shared.read();
        let has_changed = version(self.shared.state.get()) != self.seen;
        Ref { value, has_changed }
    }

    /// The value as it is now, which is counted as seen.
    ///
    /// # Suspension
    ///
    /// As [`borrow`](Self::borrow).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow_and_update(), 2);
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.read();
        // That of the value (V1).
        let current = version(self.shared.state.get());
        let has_changed = current != self.seen;
        self.seen = current;
        Ref { value, has_changed }
    }

    /// Whether there is a value that does not count as seen.
    ///
    /// # Errors
    ///
    /// If all senders are gone, also if there is such a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.has_changed(), Ok(true));
    /// drop(sender);
    /// assert!(receiver.has_changed().is_err());
    /// ```
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let state = self.shared.state.get();
        if state & CLOSED == 0 { Ok(version(state) != self.seen) } else { Err(RecvError(())) }
    }

    /// Whether all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(1);
    /// drop(sender);
    /// assert!(receiver.is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Counts the value as not seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (_sender, mut receiver) = watch::channel(1);
    /// receiver.mark_changed();
    /// assert!(receiver.changed().is_ok());
    /// ```
    pub fn mark_changed(&mut self) {
        self.seen = version(self.shared.state.get()).wrapping_sub(VERSION);
    }

    /// Counts the value as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// receiver.mark_unchanged();
    /// assert_eq!(receiver.has_changed(), Ok(false));
    /// ```
    pub fn mark_unchanged(&mut self) {
        self.seen = version(self.shared.state.get());
    }

    /// Waits for a value that does not count as seen, and counts it as seen.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. A change that is there may be taken after others were let run.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the change does not count as seen.
    ///
    /// # Errors
    ///
    /// If there is no such value, and all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// drop(sender);
    /// assert!(receiver.changed().is_ok());
    /// assert!(receiver.changed().is_err());
    /// ```
    pub fn changed(&mut self) -> Result<(), RecvError> {
        self.changed_to(None).map_err(|_| RecvError(()))
    }

    /// As [`changed`](Self::changed), waiting at most so long.
    ///
    /// # Suspension
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Cancellation
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Errors
    ///
    /// If time is up, or as [`changed`](Self::changed).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::watch;
    ///
    /// let (_sender, mut receiver) = watch::channel(1);
    /// assert!(receiver.changed_timeout(Duration::from_millis(1)).is_err());
    /// ```
    pub fn changed_timeout(&mut self, timeout: Duration) -> Result<(), RecvTimeoutError> {
        self.changed_to(Instant::now().checked_add(timeout))
    }

    /// As [`changed`](Self::changed), waiting until a point in time.
    ///
    /// # Suspension
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Cancellation
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Errors
    ///
    /// As [`changed_timeout`](Self::changed_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert!(receiver.changed_until(Instant::now()).is_ok());
    /// ```
    pub fn changed_until(&mut self, deadline: Instant) -> Result<(), RecvTimeoutError> {
        self.changed_to(Some(deadline))
    }

    /// `None`: for longer than the clock can say.
    fn changed_to(&mut self, deadline: Option<Instant>) -> Result<(), RecvTimeoutError> {
        budget::spend();
        self.seen = self.shared.wait_for_news(self.seen, deadline)?;
        Ok(())
    }

    /// Waits for a value that `is_it` accepts, the present one included, and counts all that it is shown as seen.
    ///
    /// # Suspension
    ///
    /// As [`changed`](Self::changed). `is_it` is called with the value locked, and should not take long.
    ///
    /// # Cancellation
    ///
    /// What `is_it` has been shown stays seen.
    ///
    /// # Panics
    ///
    /// If `is_it` does.
    ///
    /// # Errors
    ///
    /// If all senders are gone, and the last value is not it either.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(0);
    /// thread::spawn(move || (1..=10).for_each(|n| sender.send_modify(|value| *value = n)));
    /// assert!(*receiver.wait_for(|n| *n > 5)? > 5);
    /// # Ok::<(), watch::error::RecvError>(())
    /// ```
    pub fn wait_for(&mut self, is_it: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        self.wait_for_to(None, is_it).map_err(|_| RecvError(()))
    }

    /// As [`wait_for`](Self::wait_for), waiting at most so long.
    ///
    /// # Suspension
    ///
    /// As [`wait_for`](Self::wait_for).
    ///
    /// # Cancellation
    ///
    /// As [`wait_for`](Self::wait_for).
    ///
    /// # Panics
    ///
    /// As [`wait_for`](Self::wait_for).
    ///
    /// # Errors
    ///
    /// If time is up, or as [`wait_for`](Self::wait_for).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::watch;
    ///
    /// let (_sender, mut receiver) = watch::channel(0);
    /// assert!(receiver.wait_for_timeout(|n| *n == 0, Duration::from_millis(1)).is_ok());
    /// assert!(receiver.wait_for_timeout(|n| *n == 1, Duration::from_millis(1)).is_err());
    /// ```
    pub fn wait_for_timeout(
        &mut self,
        is_it: impl FnMut(&T) -> bool,
        timeout: Duration,
    ) -> Result<Ref<'_, T>, RecvTimeoutError> {
        self.wait_for_to(Instant::now().checked_add(timeout), is_it)
    }

    /// As [`wait_for`](Self::wait_for), waiting until a point in time.
    ///
    /// # Suspension
    ///
    /// As [`wait_for`](Self::wait_for).
    ///
    /// # Cancellation
    ///
    /// As [`wait_for`](Self::wait_for).
    ///
    /// # Panics
    ///
    /// As [`wait_for`](Self::wait_for).
    ///
    /// # Errors
    ///
    /// As [`wait_for_timeout`](Self::wait_for_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::watch;
    ///
    /// let (_sender, mut receiver) = watch::channel(0);
    /// assert!(receiver.wait_for_until(|n| *n == 0, Instant::now()).is_ok());
    /// ```
    pub fn wait_for_until(
        &mut self,
        is_it: impl FnMut(&T) -> bool,
        deadline: Instant,
    ) -> Result<Ref<'_, T>, RecvTimeoutError> {
        self.wait_for_to(Some(deadline), is_it)
    }

    /// `None`: for longer than the clock can say.
    fn wait_for_to(
        &mut self,
        deadline: Option<Instant>,
        mut is_it: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, RecvTimeoutError> {
        budget::spend();
        let Self { shared, seen } = self;
        let before = *seen;
        loop {
            let value = shared.read();
            // That of the value (V1).
            *seen = version(shared.state.get());
            if is_it(&value) {
                return Ok(Ref { value, has_changed: *seen != before });
            }
            drop(value);
            shared.wait_for_news(*seen, deadline)?;
        }
    }

    /// Whether both are of the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (_sender, receiver) = watch::channel(1);
    /// assert!(receiver.same_channel(&receiver.clone()));
    /// ```
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Shared<T> {
    /// Waits for another version than the one that was seen.
    fn wait_for_news(&self, seen: usize, deadline: Option<Instant>) -> Result<usize, RecvTimeoutError> {
        let is_news = |state| version(state) != seen || state & CLOSED != 0;
        match self.state.wait(WaitReason::Channel, deadline, is_news) {
            None => Err(RecvTimeoutError::Timeout),
            Some(state) if version(state) == seen => Err(RecvTimeoutError::Closed),
            Some(state) => Ok(version(state)),
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(&self.shared, self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.shared.receivers.subtract(1) == 0 {
            self.shared.receivers.wake();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("shared", &self.shared).field("version", &self.seen).finish()
    }
}
