//! Channels whose messages are points in time, made when somebody receives them.
//!
//! Nothing runs and nothing is registered while nobody waits: a receiver that does waits for the next message's time.
//!
//! # Invariants
//!
//! - **T1** `next` is the time of the next message: each is taken by one receiver, which puts the time of the one after it.

use std::time::{Duration, Instant};

use sward_runtime::{budget, thread};

use super::receiver::{Flavor, Receiver};
use crate::{Arc, prim::Lock};

/// A channel of points in time. `T` is [`Instant`], though its type does not say so.
#[derive(Debug)]
pub(super) struct Timer<T> {
    /// When the next message is due, if there will be one.
    next: Lock<Option<Instant>>,
    /// How long after a message the next one is due, if there are several.
    period: Option<Duration>,
    message: fn(Instant) -> T,
}

impl Timer<Instant> {
    fn receiver(next: Option<Instant>, period: Option<Duration>) -> Receiver<Instant> {
        if next.is_none() {
            return never();
        }
        let timer = Self { next: Lock::new(next), period, message: |when| when };
        Receiver { flavor: Flavor::Timer(Arc::new(timer)) }
    }
}

impl<T> Timer<T> {
    /// When the next message is due, or was. `None`: there will be none.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        *self.next.lock()
    }

    /// Whether a message is due.
    pub(super) fn is_due(&self) -> bool {
        self.next_deadline().is_some_and(|next| next <= Instant::now())
    }

    /// Takes a message if one is due. Who has `waited` for just this one takes it on time, and the next one is due a period after it; who
    /// comes by later starts anew, and messages that nobody was there for are not made up for.
    pub(super) fn try_take(&self, waited: Option<Instant>) -> Option<T> {
        self.try_select(waited).map(self.message)
    }

    /// For a `select`: as `try_take`, without the message.
    pub(super) fn try_select(&self, waited: Option<Instant>) -> Option<Instant> {
        let now = Instant::now();
        let mut next = self.next.lock();
        let due = next.filter(|due| *due <= now)?;
        let base = if waited == Some(due) { due } else { now };
        *next = self.period.and_then(|period| base.checked_add(period));
        Some(due)
    }

    /// Completes a selected receiving.
    pub(super) fn complete(&self, due: Instant) -> T {
        (self.message)(due)
    }

    /// Takes back what was selected and not completed: it is due again.
    pub(super) fn abandon(&self, due: Instant) {
        *self.next.lock() = Some(due);
    }

    /// Takes a message, waiting until one is due. `None`: the deadline passed.
    pub(super) fn recv(&self, deadline: Option<Instant>) -> Option<T> {
        budget::spend();
        let mut waited = None;
        loop {
            if let Some(message) = self.try_take(waited) {
                return Some(message);
            }
            let due = self.next_deadline();
            match (due, deadline) {
                (_, Some(deadline)) if due.is_none_or(|due| deadline < due) => {
                    if deadline <= Instant::now() {
                        return None;
                    }
                    thread::sleep_until(deadline);
                }
                (Some(due), _) => {
                    waited = Some(due);
                    thread::sleep_until(due);
                }
                (None, _) => thread::sleep(Duration::MAX),
            }
        }
    }
}

/// Makes a channel with one message, its time, which is received once `duration` has passed.
///
/// The channel is never disconnected. Its capacity is one. Nothing runs in the background.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use sward_sync::channel::after;
///
/// let start = Instant::now();
/// let receiver = after(Duration::from_millis(5));
/// let sent = receiver.recv().unwrap();
/// assert!(sent >= start + Duration::from_millis(5) && Instant::now() >= sent);
/// assert!(receiver.try_recv().is_err());
/// ```
#[must_use]
pub fn after(duration: Duration) -> Receiver<Instant> {
    Timer::receiver(Instant::now().checked_add(duration), None)
}

/// Makes a channel with one message, `when`, which is received from then on.
///
/// As [`after`], with a point in time.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use sward_sync::channel::at;
///
/// let when = Instant::now() + Duration::from_millis(5);
/// assert_eq!(at(when).recv(), Ok(when));
/// ```
#[must_use]
pub fn at(when: Instant) -> Receiver<Instant> {
    Timer::receiver(Some(when), None)
}

/// Makes a channel with a message every `period`, the first one after a period; each is the time at which it was due.
///
/// The channel is never disconnected. Its capacity is one: while a message lies there no other is made, and the next one is due a
/// period after it was received.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use sward_sync::channel::tick;
///
/// let start = Instant::now();
/// let ticker = tick(Duration::from_millis(2));
/// for i in 1..=3 {
///     assert!(ticker.recv().unwrap() >= start + i * Duration::from_millis(2));
/// }
/// ```
#[must_use]
pub fn tick(period: Duration) -> Receiver<Instant> {
    Timer::receiver(Instant::now().checked_add(period), Some(period))
}

/// Makes a channel without messages, which is never disconnected: a place in a `select` that is never chosen.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_sync::channel::{RecvTimeoutError, never};
///
/// let receiver = never::<()>();
/// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
/// ```
#[must_use]
pub const fn never<T>() -> Receiver<T> {
    Receiver { flavor: Flavor::Never }
}
