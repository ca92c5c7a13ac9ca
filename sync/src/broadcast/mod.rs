//! A channel whose every value is seen by every receiver.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | the two ends |
//! | `state.rs` | the values, under the lock |
//! | `error.rs` | why nothing was sent or received |
//!
//! A sender never waits: when the buffer is full the oldest value is overwritten, and a receiver that has not seen it is told that it
//! [lags](error::RecvError::Lagged). So memory is bounded by the capacity, however slow a receiver is.
//!
//! The names and meanings are those of `tokio::sync::broadcast`, but for its `async`, which is not needed here. The capacity is exact; tokio's
//! is rounded up. Left out: weak senders.
//!
//! # Roles
//!
//! *Senders* are cloned; the last one to go closes the channel. *Receivers* come from [`Sender::subscribe`], and see what is sent from then on.
//!
//! # Orderings
//!
//! The lock orders everything.
//!
//! # Rejected
//!
//! *A lock for each slot* (tokio), so that receivers clone values in place: user code runs under a lock then. Here a value is in an allocation
//! of its own, and a receiver takes a share of it; the last one takes it whole, and need not clone.
//!
//! # Checked by
//!
//! `tests/broadcast.rs`.

pub mod error;
mod state;

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::{
    budget,
    park::{Batch, WaitReason},
};

use self::{
    error::{RecvError, RecvTimeoutError, SendError, TryRecvError},
    state::State,
};
use crate::{
    prim::Lock,
    wait_list::{self, Ask, Wait},
};

/// With what a waiter is woken: to look again.
const LOOK_AGAIN: usize = 1;

/// Makes a channel that keeps so many values for slow receivers.
///
/// # Panics
///
/// If the capacity is zero.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::broadcast;
///
/// let (sender, mut first) = broadcast::channel(16);
/// let mut second = sender.subscribe();
/// thread::spawn(move || {
///     sender.send("one").unwrap();
///     sender.send("two").unwrap();
/// });
/// assert_eq!((first.recv(), first.recv()), (Ok("one"), Ok("two")));
/// assert_eq!((second.recv(), second.recv()), (Ok("one"), Ok("two")));
/// ```
#[must_use]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Sends values to all receivers.
///
/// # Examples
///
/// ```
/// use sward_sync::broadcast;
///
/// let (sender, _receiver) = broadcast::channel(16);
/// let _other = sender.subscribe();
/// assert_eq!(sender.send("hello"), Ok(2));
/// ```
pub struct Sender<T>(Arc<Lock<State<T>>>);

/// Receives the values that are sent from when it is made.
///
/// # Examples
///
/// ```
/// use sward_sync::broadcast::{self, error::RecvError};
///
/// let (sender, mut receiver) = broadcast::channel(2);
/// for i in 0..5 {
///     sender.send(i).unwrap();
/// }
/// assert_eq!(receiver.recv(), Err(RecvError::Lagged(3)));
/// assert_eq!(receiver.recv(), Ok(3));
/// assert_eq!(receiver.recv(), Ok(4));
/// ```
pub struct Receiver<T> {
    shared: Arc<Lock<State<T>>>,
    /// The number of the value to receive next.
    next: u64,
}

impl<T> Sender<T> {
    /// A sender without receivers: they may subscribe.
    ///
    /// # Panics
    ///
    /// If the capacity is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast::Sender;
    ///
    /// let sender = Sender::new(16);
    /// let mut receiver = sender.subscribe();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.recv(), Ok(1));
    /// ```
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "broadcast channel capacity cannot be zero");
        Self(Arc::new(Lock::new(State::new(capacity))))
    }

    /// Sends a value, and returns how many receivers there are. That they all get to see it is not said.
    ///
    /// It never waits: a value that some have not seen is overwritten if there is no room.
    ///
    /// # Suspension
    ///
    /// May let others run first.
    ///
    /// # Errors
    ///
    /// If there are no receivers. The value is given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel(16);
    /// assert_eq!(sender.send(1), Ok(1));
    /// drop(receiver);
    /// assert_eq!(sender.send(2).unwrap_err().0, 2);
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "nobody else has the value")]
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        budget::spend();
        let value = Arc::new(value);
        let mut state = self.0.lock();
        if state.receivers == 0 {
            drop(state);
            return Err(SendError(Arc::into_inner(value).expect("nobody has seen it")));
        }
        let overwritten = state.push(value);
        let receivers = state.receivers;
        let mut ready = state.receiving.claim_all(LOOK_AGAIN);
        drop(state);
        ready.schedule();
        // Last, because it runs the value's destructor.
        drop(overwritten);
        Ok(receivers)
    }

    /// One more receiver, of what is sent from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, _receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// let mut late = sender.subscribe();
    /// sender.send(2).unwrap();
    /// assert_eq!(late.recv(), Ok(2));
    /// ```
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.0)
    }

    /// How many values have not been seen by all receivers.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// assert_eq!(sender.len(), 1);
    /// receiver.recv().unwrap();
    /// assert_eq!(sender.len(), 0);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether all values have been seen by all receivers.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(sward_sync::broadcast::Sender::<u32>::new(16).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many receivers there are.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, _receiver) = broadcast::channel::<u32>(16);
    /// assert_eq!(sender.receiver_count(), 1);
    /// ```
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.0.lock().receivers
    }

    /// Whether both are of the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, _receiver) = broadcast::channel::<u32>(16);
    /// assert!(sender.same_channel(&sender.clone()));
    /// ```
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
    /// use sward_sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel::<u32>(16);
    /// thread::spawn(move || drop(receiver));
    /// sender.closed();
    /// assert_eq!(sender.receiver_count(), 0);
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
    /// use sward_sync::broadcast;
    ///
    /// let (sender, _receiver) = broadcast::channel::<u32>(16);
    /// assert!(!sender.closed_timeout(Duration::from_millis(1)));
    /// ```
    pub fn closed_timeout(&self, timeout: Duration) -> bool {
        self.closed_to(Instant::now().checked_add(timeout))
    }

    /// `None`: for longer than the clock can say.
    fn closed_to(&self, deadline: Option<Instant>) -> bool {
        budget::spend();
        loop {
            let state = self.0.lock();
            if state.receivers == 0 {
                return true;
            }
            let wait = Wait::new(WaitReason::Channel, Ask::PLAIN, deadline);
            let woken = wait_list::wait(&self.0, state, wait, |state| &mut state.closing, |_| ());
            if woken.is_none() {
                return false;
            }
        }
    }
}

impl<T> Receiver<T> {
    fn new(shared: &Arc<Lock<State<T>>>) -> Self {
        let mut state = shared.lock();
        state.receivers += 1;
        let next = state.tail();
        drop(state);
        Self { shared: Arc::clone(shared), next }
    }

    /// How many values there are to receive, those included that were overwritten: more than the capacity means that it lags.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.len(), 1);
    /// receiver.recv().unwrap();
    /// assert_eq!(receiver.len(), 0);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        let unreceived = self.shared.lock().tail() - self.next;
        usize::try_from(unreceived).unwrap_or(usize::MAX)
    }

    /// Whether there is nothing to receive now.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (_sender, receiver) = broadcast::channel::<u32>(16);
    /// assert!(receiver.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all senders are gone. There may be values to receive.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel::<u32>(16);
    /// drop(sender);
    /// assert!(receiver.is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().senders == 0
    }

    /// Whether both are of the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel::<u32>(16);
    /// assert!(receiver.same_channel(&sender.subscribe()));
    /// ```
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// One more receiver, of what is sent from now on; not of what this one has still to receive.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// assert!(receiver.resubscribe().is_empty());
    /// ```
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        Self::new(&self.shared)
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value, waiting for it as long as it takes.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. A value that is there may be received after others were let run.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the value, if it comes at the same moment, is received next.
    ///
    /// # Errors
    ///
    /// If values were overwritten before they could be received, or all senders are gone and everything has been received.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast::{self, error::RecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.recv(), Ok(1));
    /// assert_eq!(receiver.recv(), Err(RecvError::Closed));
    /// ```
    pub fn recv(&mut self) -> Result<T, RecvError> {
        self.recv_to(None).map_err(|error| match error {
            RecvTimeoutError::Lagged(missed) => RecvError::Lagged(missed),
            _ => RecvError::Closed,
        })
    }

    /// As [`recv`](Self::recv), waiting at most so long.
    ///
    /// # Suspension
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// If time is up, or as [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::broadcast;
    ///
    /// let (_sender, mut receiver) = broadcast::channel::<u32>(16);
    /// assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
    /// ```
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_to(Instant::now().checked_add(timeout))
    }

    /// As [`recv`](Self::recv), waiting until a point in time.
    ///
    /// # Suspension
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::broadcast;
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.recv_deadline(Instant::now()), Ok(1));
    /// ```
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_to(Some(deadline))
    }

    /// `None`: for longer than the clock can say.
    fn recv_to(&mut self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        budget::spend();
        loop {
            let mut state = self.shared.lock();
            let error = match state.take(&mut self.next) {
                Ok((value, seen)) => {
                    drop(state);
                    drop(seen);
                    return Ok(Arc::unwrap_or_clone(value));
                }
                Err(error) => error,
            };
            match error {
                TryRecvError::Closed => return Err(RecvTimeoutError::Closed),
                TryRecvError::Lagged(missed) => return Err(RecvTimeoutError::Lagged(missed)),
                TryRecvError::Empty => {}
            }
            let wait = Wait::new(WaitReason::Channel, Ask::PLAIN, deadline);
            let woken = wait_list::wait(&self.shared, state, wait, |state| &mut state.receiving, |_| ());
            if woken.is_none() {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// Receives the next value if there is one.
    ///
    /// # Suspension
    ///
    /// May let others run first.
    ///
    /// # Errors
    ///
    /// If there is none, or as [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::broadcast::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        budget::spend();
        let (value, _seen) = self.shared.lock().take(&mut self.next)?;
        Ok(Arc::unwrap_or_clone(value))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let mut ready = Batch::new();
        if state.senders == 0 {
            ready = state.receiving.claim_all(LOOK_AGAIN);
        }
        drop(state);
        ready.schedule();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.receivers -= 1;
        if state.receivers == 0 {
            let unseen = state.clear();
            let mut ready = state.closing.claim_all(LOOK_AGAIN);
            drop(state);
            ready.schedule();
            return drop(unseen);
        }
        let end = state.tail();
        drop(state);
        // One by one: their number is not bounded by anything small, and the lock is not to be held for long.
        let mut panicked = None;
        while self.next < end {
            let seen = self.shared.lock().take(&mut self.next);
            // Also if one's destructor panics, the counts of the others must come out right.
            if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(seen))) {
                panicked.get_or_insert(payload);
            }
        }
        if let Some(payload) = panicked {
            panic::resume_unwind(payload);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
