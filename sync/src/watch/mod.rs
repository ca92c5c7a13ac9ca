//! A value that is watched: receivers see the latest one, and learn when it changes.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | the channel: its state, its values |
//! | `sender.rs`, `receiver.rs` | the two ends |
//! | `error.rs` | why nothing was sent or seen |
//!
//! The names and meanings are those of `tokio::sync::watch`, but for its `async`, which is not needed here.
//!
//! # Roles
//!
//! *Senders* change the value; each change is a new *version*. *Receivers* remember which version they have seen.
//!
//! # Invariants
//!
//! - **V1** The version grows while the value is locked for writing, when it has been changed. So who reads a version while it has the value locked
//!   for reading, reads that of the value.
//!
//! # Orderings
//!
//! The value's lock orders the value. That a version is new is known from its word, whose orderings are those of `word.rs`.
//!
//! # Checked by
//!
//! `tests/watch.rs`.

pub mod error;
mod receiver;
mod sender;

use std::{fmt, ops::Deref, sync::Arc};

pub use self::{receiver::Receiver, sender::Sender};
use crate::{PoisonError, RwLock, RwLockReadGuard, word::Word};

/// All senders are gone. A bit of the state.
const CLOSED: usize = 1;
/// The rest of the state is the version.
const VERSION: usize = 2;

/// What both ends share.
struct Shared<T> {
    value: RwLock<T>,
    /// `CLOSED`, and the version in units of `VERSION`.
    state: Word,
    senders: Word,
    receivers: Word,
}

/// Makes a channel with a value, which its receiver counts as seen.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::watch;
///
/// let (sender, mut level) = watch::channel(1);
/// let watching = thread::spawn(move || {
///     level.changed().unwrap();
///     *level.borrow_and_update()
/// });
/// sender.send(2).unwrap();
/// assert_eq!(watching.join().unwrap(), 2);
/// ```
#[must_use]
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(init);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// The version in a state.
fn version(state: usize) -> usize {
    state & !CLOSED
}

impl<T> Shared<T> {
    fn new(value: T) -> Arc<Self> {
        Arc::new(Self {
            value: RwLock::new(value),
            state: Word::new(0),
            senders: Word::new(1),
            receivers: Word::new(0),
        })
    }

    /// The value, whoever panicked while it changed it: that is a value too.
    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.state.get() & CLOSED != 0
    }

    /// Lets `modify` change the value; if it says that it has, there is a new version, and those who wait for one are woken.
    fn modify(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
        if !modify(&mut value) {
            return false;
        }
        // INVARIANT: V1.
        self.state.add(VERSION);
        drop(value);
        self.state.wake();
        true
    }
}

/// The value, which does not change until this is dropped.
///
/// It is a read lock: a sender waits for it, and who borrows once more while a sender waits may wait for ever. So it should be short-lived.
///
/// # Examples
///
/// ```
/// use sward_sync::watch;
///
/// let (_sender, receiver) = watch::channel(vec![1, 2, 3]);
/// assert_eq!(receiver.borrow().len(), 3);
/// ```
#[derive(Debug)]
#[clippy::has_significant_drop]
#[must_use = "the value is locked for nothing"]
pub struct Ref<'a, T> {
    value: RwLockReadGuard<'a, T>,
    has_changed: bool,
}

impl<T> Ref<'_, T> {
    /// Whether the receiver that borrowed it had not seen it before.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// assert!(!receiver.borrow().has_changed());
    /// sender.send(2).unwrap();
    /// assert!(receiver.borrow_and_update().has_changed());
    /// assert!(!receiver.borrow_and_update().has_changed());
    /// ```
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("value", &self.value)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
