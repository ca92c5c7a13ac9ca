//! Parking with a token of one's own, which nobody else leaves by accident: a [`Notify`] that one thread waits for.
//!
//! The names and meanings are those of `crossbeam_utils::sync::Parker`. Left out are `into_raw` and `from_raw`, which serve to put an
//! [`Unparker`] into a `std::task::Waker` by hand; `Waker::from(Arc<impl Wake>)` does that without unsafe code.
//!
//! # Checked by
//!
//! `tests/parker.rs`.

use std::{
    cell::Cell,
    fmt,
    marker::PhantomData,
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::park::WaitReason;

use crate::Notify;

/// What one thread, green or not, parks with until somebody [`unpark`](Unparker::unpark)s it.
///
/// As `thread::park` and `Thread::unpark`, with a token that belongs to this parker, so that it does not matter what else uses those of the
/// thread.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::Parker;
///
/// let parker = Parker::new();
/// let unparker = parker.unparker().clone();
/// thread::spawn(move || unparker.unpark());
/// parker.park();
/// ```
///
/// It may be sent to another thread, but not shared:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>(_: T) {}
/// shared(sward_sync::Parker::new());
/// ```
pub struct Parker {
    unparker: Unparker,
    not_sync: PhantomData<Cell<()>>,
}

/// Unparks the thread that parks with its [`Parker`].
///
/// # Examples
///
/// ```
/// use sward_sync::Parker;
///
/// let parker = Parker::new();
/// parker.unparker().unpark();
/// parker.park(); // returns at once
/// ```
pub struct Unparker(Arc<Notify>);

impl Parker {
    /// Without a token.
    ///
    /// # Examples
    ///
    /// ```
    /// let _parker = sward_sync::Parker::new();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { unparker: Unparker(Arc::default()), not_sync: PhantomData }
    }

    /// Waits until the token is there, and takes it.
    ///
    /// It does not return for no reason.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. A token that is there may be taken after others were let run.
    ///
    /// # Cancellation
    ///
    /// The token, if it comes at the same moment, stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Parker;
    ///
    /// let parker = Parker::new();
    /// parker.unparker().unpark();
    /// parker.park();
    /// ```
    pub fn park(&self) {
        self.park_to(None);
    }

    /// As [`park`](Self::park), but returns after `timeout` at the latest.
    ///
    /// # Suspension
    ///
    /// As [`park`](Self::park).
    ///
    /// # Cancellation
    ///
    /// As [`park`](Self::park).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::Parker;
    ///
    /// Parker::new().park_timeout(Duration::from_millis(1));
    /// ```
    pub fn park_timeout(&self, timeout: Duration) {
        self.park_to(Instant::now().checked_add(timeout));
    }

    /// As [`park`](Self::park), but returns at `deadline` at the latest.
    ///
    /// # Suspension
    ///
    /// As [`park`](Self::park).
    ///
    /// # Cancellation
    ///
    /// As [`park`](Self::park).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use sward_sync::Parker;
    ///
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// Parker::new().park_deadline(deadline);
    /// assert!(Instant::now() >= deadline);
    /// ```
    pub fn park_deadline(&self, deadline: Instant) {
        self.park_to(Some(deadline));
    }

    /// `None`: for longer than the clock can say.
    fn park_to(&self, deadline: Option<Instant>) {
        self.unparker.0.wait_as(WaitReason::Park, deadline);
    }

    /// What leaves the token: to be cloned, and given to others.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Parker;
    ///
    /// let parker = Parker::new();
    /// let _unparker = parker.unparker().clone();
    /// ```
    #[must_use]
    pub fn unparker(&self) -> &Unparker {
        &self.unparker
    }
}

impl Unparker {
    /// Leaves the token, and wakes the thread that parks for it. A token that is there already stays the only one.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Parker;
    ///
    /// let parker = Parker::new();
    /// parker.unparker().unpark();
    /// parker.park();
    /// ```
    pub fn unpark(&self) {
        self.0.notify_one();
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Unparker {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parker").finish_non_exhaustive()
    }
}

impl fmt::Debug for Unparker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unparker").finish_non_exhaustive()
    }
}
