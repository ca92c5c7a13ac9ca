//! A channel for one value, in one allocation.
//!
//! The names and meanings are those of `tokio::sync::oneshot`, but for its `async`, which is not needed here.
//!
//! # Roles
//!
//! The *sender* sends, or goes without; it may also wait for the *receiver* to close. Each is one value, which is not cloned.
//!
//! # Invariants
//!
//! - **O1** One of the two waits while the other acts: whoever finds an entry in the list has found the other.
//! - **O2** The value is put in once at most, while the receiver is open, by a sender that is gone from then on.
//!
//! # Orderings
//!
//! The lock orders everything.
//!
//! # Rejected
//!
//! - *A [`channel`](crate::channel) of capacity one:* its buffer and its counts are a second allocation, and more to do.
//! - *One word in place of the lock:* no fewer read-modify-writes (one to send, one to receive, besides those of the common ownership), and
//!   unsafe code.
//!
//! # Checked by
//!
//! `loom-tests/tests/oneshot.rs`, `tests/oneshot.rs`.

pub mod error;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::{budget, park::WaitReason};

use self::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::{
    prim::{Lock, LockGuard},
    wait_list::{self, Ask, Wait, WaitList},
};

/// With what a waiter is woken: to look again.
const LOOK_AGAIN: usize = 1;

/// Makes a channel for one value.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::oneshot;
///
/// let (sender, receiver) = oneshot::channel();
/// thread::spawn(move || sender.send(6 * 7));
/// assert_eq!(receiver.recv(), Ok(42));
/// ```
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { value: None, sender: true, open: true, waiting: WaitList::new() };
    let shared = Arc::new(Lock::new(state));
    (Sender(Some(Arc::clone(&shared))), Receiver(Some(shared)))
}

struct State<T> {
    value: Option<T>,
    /// The sender has neither sent nor gone.
    sender: bool,
    /// The receiver has neither closed nor gone.
    open: bool,
    /// Whoever waits for the other (O1).
    waiting: WaitList,
}

/// Sends the value.
///
/// # Examples
///
/// ```
/// use sward_sync::oneshot;
///
/// let (sender, receiver) = oneshot::channel();
/// sender.send("hello")?;
/// assert_eq!(receiver.recv(), Ok("hello"));
/// # Ok::<(), &str>(())
/// ```
// `None`: it has sent.
pub struct Sender<T>(Option<Arc<Lock<State<T>>>>);

/// Receives the value.
///
/// # Examples
///
/// ```
/// use sward_sync::oneshot;
///
/// let (sender, receiver) = oneshot::channel();
/// drop(receiver);
/// assert_eq!(sender.send(1), Err(1));
/// ```
// `None`: it has received, or found that there is nothing to receive.
pub struct Receiver<T>(Option<Arc<Lock<State<T>>>>);

impl<T> Sender<T> {
    fn shared(&self) -> &Lock<State<T>> {
        self.0.as_deref().expect("it is there until the sender is used up")
    }

    /// Sends the value. That the receiver gets it is not said: it may go without receiving.
    ///
    /// # Errors
    ///
    /// If the receiver has closed or gone. The value is given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::oneshot;
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert_eq!(sender.send(1), Ok(()));
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "an invariant of this file")]
    pub fn send(mut self, value: T) -> Result<(), T> {
        let shared = self.0.take().expect("it is there until the sender is used up");
        let mut state = shared.lock();
        if !state.open {
            return Err(value);
        }
        state.sender = false;
        state.value = Some(value);
        let receiver = state.waiting.claim_front(LOOK_AGAIN);
        drop(state);
        drop(receiver);
        Ok(())
    }

    /// Waits until the receiver closes or goes: then nobody wants the value any more.
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
    /// use sward_sync::oneshot;
    ///
    /// let (mut sender, receiver) = oneshot::channel::<u32>();
    /// thread::spawn(move || drop(receiver));
    /// sender.closed();
    /// assert!(sender.is_closed());
    /// ```
    pub fn closed(&mut self) {
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
    /// use sward_sync::oneshot;
    ///
    /// let (mut sender, _receiver) = oneshot::channel::<u32>();
    /// assert!(!sender.closed_timeout(Duration::from_millis(1)));
    /// ```
    pub fn closed_timeout(&mut self, timeout: Duration) -> bool {
        self.closed_to(Instant::now().checked_add(timeout))
    }

    /// `None`: for longer than the clock can say.
    fn closed_to(&mut self, deadline: Option<Instant>) -> bool {
        budget::spend();
        let shared = self.shared();
        let state = shared.lock();
        !state.open || wait(shared, state, deadline)
    }

    /// Whether the receiver has closed or gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel::<u32>();
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.shared().lock().open
    }
}

/// Waits for the other. `false`: time is up.
fn wait<T>(shared: &Lock<State<T>>, state: LockGuard<'_, State<T>>, deadline: Option<Instant>) -> bool {
    let wait = Wait::new(WaitReason::Channel, Ask::PLAIN, deadline);
    wait_list::wait(shared, state, wait, |state| &mut state.waiting, |_| ()).is_some()
}

impl<T> Receiver<T> {
    /// Receives the value, waiting for it as long as it takes.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. A value that is there may be received after others were let run.
    ///
    /// # Cancellation
    ///
    /// The receiver is dropped, and with it the value if it was sent.
    ///
    /// # Errors
    ///
    /// If the sender was dropped without sending, or this receiver was closed before the value came.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// sender.send(1)?;
    /// assert_eq!(receiver.recv(), Ok(1));
    /// # Ok::<(), i32>(())
    /// ```
    pub fn recv(mut self) -> Result<T, RecvError> {
        self.recv_to(None).map_err(|_| RecvError(()))
    }

    /// As [`recv`](Self::recv), waiting at most so long.
    ///
    /// # Suspension
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// The value stays in the channel.
    ///
    /// # Errors
    ///
    /// If time is up, or as [`try_recv`](Self::try_recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::oneshot;
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
    /// sender.send(1)?;
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Ok(1));
    /// # Ok::<(), i32>(())
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
    /// The value stays in the channel.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::oneshot;
    ///
    /// let (_sender, mut receiver) = oneshot::channel::<u32>();
    /// assert!(receiver.recv_deadline(Instant::now()).is_err());
    /// ```
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_to(Some(deadline))
    }

    /// `None`: for longer than the clock can say.
    fn recv_to(&mut self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        budget::spend();
        while let Some(shared) = &self.0 {
            let mut state = shared.lock();
            match state.take() {
                Err(TryRecvError::Empty) => {
                    if !wait(shared, state, deadline) {
                        return Err(RecvTimeoutError::Timeout);
                    }
                }
                end => {
                    drop(state);
                    self.0 = None;
                    return end.map_err(|_| RecvTimeoutError::Closed);
                }
            }
        }
        Err(RecvTimeoutError::Closed)
    }

    /// Receives the value if it has been sent.
    ///
    /// # Suspension
    ///
    /// May let others run first.
    ///
    /// # Errors
    ///
    /// If there is no value yet, or will never be one.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::oneshot::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1)?;
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// # Ok::<(), i32>(())
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        budget::spend();
        let shared = self.0.as_ref().ok_or(TryRecvError::Closed)?;
        let end = shared.lock().take();
        if !matches!(end, Err(TryRecvError::Empty)) {
            self.0 = None;
        }
        end
    }

    /// Lets no value be sent any more. One that was sent can still be received.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::oneshot;
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send(1), Err(1));
    /// assert!(receiver.try_recv().is_err());
    /// ```
    pub fn close(&mut self) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.lock();
        state.open = false;
        let sender = state.waiting.claim_front(LOOK_AGAIN);
        drop(state);
        drop(sender);
    }

    /// Whether it has received the value, or found that there will be none.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::oneshot;
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// sender.send(1)?;
    /// assert!(!receiver.is_terminated());
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// assert!(receiver.is_terminated());
    /// # Ok::<(), i32>(())
    /// ```
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.0.is_none()
    }

    /// Whether there is no value to receive now.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// assert!(receiver.is_empty());
    /// sender.send(1)?;
    /// assert!(!receiver.is_empty());
    /// # Ok::<(), i32>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| shared.lock().value.is_none())
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Result<T, TryRecvError> {
        match self.value.take() {
            Some(value) => Ok(value),
            None if self.sender && self.open => Err(TryRecvError::Empty),
            None => Err(TryRecvError::Closed),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.lock();
        state.sender = false;
        let receiver = state.waiting.claim_front(LOOK_AGAIN);
        drop(state);
        drop(receiver);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
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
