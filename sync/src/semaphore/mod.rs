//! A semaphore: a number of permits, of which whoever wants to go on takes some.
//!
//! | file | what is in it |
//! |---|---|
//! | `raw.rs` | the counter and the line: the algorithm |
//! | `permit.rs` | permits, which go back when they are dropped |
//! | `error.rs` | why there are none |
//!
//! The names and meanings are those of `tokio::sync::Semaphore`, but for its `async`, which is not needed here.

mod error;
mod permit;
mod raw;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::budget;

pub(crate) use self::raw::RawSemaphore;
use self::raw::{MAX_PERMITS, NotAcquired};
pub use self::{
    error::{AcquireError, AcquireTimeoutError, TryAcquireError},
    permit::{OwnedSemaphorePermit, SemaphorePermit},
};
use crate::prim::const_fn;

/// A number of permits. Whoever [`acquire`](Self::acquire)s one may go on; when it is dropped, the next may.
///
/// It limits how many do something at the same time: open connections, requests to a service, memory in use (with
/// [`acquire_many`](Self::acquire_many), a permit for each unit).
///
/// # Fairness
///
/// Permits are given in the order in which they were asked for. Whoever asks for many is not overtaken by those who ask for few: permits gather
/// for it.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::{Arc, Semaphore, atomic::{AtomicUsize, Ordering::SeqCst}};
///
/// let limit = Arc::new(Semaphore::new(3));
/// let busy = Arc::new(AtomicUsize::new(0));
/// let requests: Vec<_> = (0..20)
///     .map(|_| {
///         let (limit, busy) = (Arc::clone(&limit), Arc::clone(&busy));
///         thread::spawn(move || {
///             let _permit = limit.acquire().unwrap();
///             assert!(busy.fetch_add(1, SeqCst) < 3);
///             thread::yield_now();
///             busy.fetch_sub(1, SeqCst);
///         })
///     })
///     .collect();
/// for request in requests {
///     request.join().unwrap();
/// }
/// ```
pub struct Semaphore(RawSemaphore);

impl Semaphore {
    /// The most permits that a semaphore can have.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let plenty = Semaphore::new(Semaphore::MAX_PERMITS);
    /// assert!(plenty.try_acquire().is_ok());
    /// ```
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    const_fn! {
        /// A semaphore with so many permits.
        ///
        /// # Panics
        ///
        /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// # Examples
        ///
        /// ```
        /// use sward_sync::Semaphore;
        ///
        /// static LIMIT: Semaphore = Semaphore::new(10);
        /// assert_eq!(LIMIT.available_permits(), 10);
        /// ```
        #[must_use]
        pub const fn new(permits: usize) -> Semaphore {
            assert!(permits <= MAX_PERMITS, "a semaphore may not have more than MAX_PERMITS permits");
            Semaphore(RawSemaphore::new(permits))
        }
    }

    const_fn! {
        /// The same as [`new`](Self::new), which can be used in statics too.
        ///
        /// # Panics
        ///
        /// As [`new`](Self::new).
        ///
        /// # Examples
        ///
        /// ```
        /// use sward_sync::Semaphore;
        ///
        /// static LIMIT: Semaphore = Semaphore::const_new(10);
        /// assert_eq!(LIMIT.available_permits(), 10);
        /// ```
        #[must_use]
        pub const fn const_new(permits: usize) -> Semaphore {
            Semaphore::new(permits)
        }
    }

    /// How many permits could be had now. None, while others wait for some.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// let _permit = semaphore.try_acquire()?;
    /// assert_eq!(semaphore.available_permits(), 1);
    /// # Ok::<(), sward_sync::TryAcquireError>(())
    /// ```
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.0.available()
    }

    /// Adds permits that nobody had before.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS); then none are added.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(0);
    /// semaphore.add_permits(2);
    /// assert!(semaphore.try_acquire_many(2).is_ok());
    /// ```
    pub fn add_permits(&self, n: usize) {
        assert!(self.0.add(n), "number of added permits ({n}) would overflow MAX_PERMITS ({MAX_PERMITS})");
    }

    /// Takes permits away for good, at most those that are available, and returns how many those were.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(3);
    /// assert_eq!(semaphore.forget_permits(2), 2);
    /// assert_eq!(semaphore.forget_permits(2), 1);
    /// assert_eq!(semaphore.available_permits(), 0);
    /// ```
    pub fn forget_permits(&self, n: usize) -> usize {
        self.0.forget(n)
    }

    /// Takes a permit, waiting for it as long as it takes.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. A permit that is there may be taken after others were let run.
    ///
    /// # Cancellation
    ///
    /// No permit is taken. Those behind in the line go on if there is enough for them.
    ///
    /// # Fairness
    ///
    /// First come, first served.
    ///
    /// # Errors
    ///
    /// If the semaphore is [closed](Self::close), now or while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.acquire()?;
    /// assert_eq!(semaphore.available_permits(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    #[inline]
    pub fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1)
    }

    /// Takes `n` permits at once, as [`acquire`](Self::acquire) takes one.
    ///
    /// # Suspension
    ///
    /// As [`acquire`](Self::acquire). For ever, if there never are so many.
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let megabytes = Semaphore::new(100);
    /// let _permit = megabytes.acquire_many(64)?;
    /// assert_eq!(megabytes.available_permits(), 36);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    #[inline]
    pub fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let n = n as usize;
        self.0.acquire(n, None).map_err(|_| AcquireError(()))?;
        Ok(SemaphorePermit::new(self, n))
    }

    /// Takes a permit, waiting for it at most so long.
    ///
    /// # Suspension
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// If time is up, or the semaphore is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::{AcquireTimeoutError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let _permit = semaphore.acquire_timeout(Duration::from_secs(10))?;
    /// let error = semaphore.acquire_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error, AcquireTimeoutError::Timeout);
    /// # Ok::<(), AcquireTimeoutError>(())
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        self.acquire_many_timeout(1, timeout)
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), until a point in time.
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use sward_sync::Semaphore;
    ///
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// assert!(Semaphore::new(0).acquire_until(deadline).is_err());
    /// assert!(Instant::now() >= deadline);
    /// ```
    pub fn acquire_until(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        self.acquire_many_until(1, deadline)
    }

    /// Takes `n` permits at once, waiting for them at most so long.
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// assert!(semaphore.acquire_many_timeout(2, Duration::from_millis(1)).is_ok());
    /// assert!(semaphore.acquire_many_timeout(3, Duration::from_millis(1)).is_err());
    /// ```
    pub fn acquire_many_timeout(
        &self,
        n: u32,
        timeout: Duration,
    ) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        self.acquire_in_time(n, Instant::now().checked_add(timeout))
    }

    /// Takes `n` permits at once, waiting for them until a point in time.
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// assert!(semaphore.acquire_many_until(2, Instant::now()).is_ok());
    /// ```
    pub fn acquire_many_until(
        &self,
        n: u32,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        self.acquire_in_time(n, Some(deadline))
    }

    /// `None`: for longer than the clock can say.
    fn acquire_in_time(
        &self,
        n: u32,
        deadline: Option<Instant>,
    ) -> Result<SemaphorePermit<'_>, AcquireTimeoutError> {
        let n = n as usize;
        self.0.acquire(n, deadline).map_err(|error| match error {
            NotAcquired::TooFew => AcquireTimeoutError::Timeout,
            NotAcquired::Closed => AcquireTimeoutError::Closed,
        })?;
        Ok(SemaphorePermit::new(self, n))
    }

    /// Takes a permit if one is there and nobody waits for it.
    ///
    /// # Suspension
    ///
    /// May let others run first.
    ///
    /// # Errors
    ///
    /// If no permit is available, or the semaphore is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let _permit = semaphore.try_acquire()?;
    /// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    /// # Ok::<(), TryAcquireError>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits at once if they are there and nobody waits for them.
    ///
    /// # Suspension
    ///
    /// May let others run first.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(4);
    /// let _permit = semaphore.try_acquire_many(3)?;
    /// assert!(semaphore.try_acquire_many(2).is_err());
    /// # Ok::<(), sward_sync::TryAcquireError>(())
    /// ```
    #[inline]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let n = n as usize;
        budget::spend();
        self.0.try_acquire(n).map_err(|error| match error {
            NotAcquired::TooFew => TryAcquireError::NoPermits,
            NotAcquired::Closed => TryAcquireError::Closed,
        })?;
        Ok(SemaphorePermit::new(self, n))
    }

    /// As [`acquire`](Self::acquire); the permit owns its share of the semaphore, and may go wherever it likes.
    ///
    /// # Suspension
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let semaphore = Arc::new(Semaphore::new(2));
    /// for _ in 0..10 {
    ///     let permit = Arc::clone(&semaphore).acquire_owned()?;
    ///     thread::spawn(move || drop(permit)); // two at a time
    /// }
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    pub fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1)
    }

    /// As [`acquire_many`](Self::acquire_many), with an owned permit.
    ///
    /// # Suspension
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let permit = Arc::new(Semaphore::new(2)).acquire_many_owned(2)?;
    /// assert_eq!(permit.num_permits(), 2);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    pub fn acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        let permit = self.acquire_many(n)?.disarm();
        Ok(OwnedSemaphorePermit::new(self, permit))
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), with an owned permit.
    ///
    /// # Suspension
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let empty = Arc::new(Semaphore::new(0));
    /// assert!(empty.acquire_owned_timeout(Duration::from_millis(1)).is_err());
    /// ```
    pub fn acquire_owned_timeout(
        self: Arc<Self>,
        timeout: Duration,
    ) -> Result<OwnedSemaphorePermit, AcquireTimeoutError> {
        let permit = self.acquire_timeout(timeout)?.disarm();
        Ok(OwnedSemaphorePermit::new(self, permit))
    }

    /// As [`acquire_until`](Self::acquire_until), with an owned permit.
    ///
    /// # Suspension
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// assert!(Arc::new(Semaphore::new(0)).acquire_owned_until(Instant::now()).is_err());
    /// ```
    pub fn acquire_owned_until(
        self: Arc<Self>,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, AcquireTimeoutError> {
        let permit = self.acquire_until(deadline)?.disarm();
        Ok(OwnedSemaphorePermit::new(self, permit))
    }

    /// As [`try_acquire`](Self::try_acquire), with an owned permit.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let _permit = Arc::clone(&semaphore).try_acquire_owned()?;
    /// assert!(semaphore.try_acquire_owned().is_err());
    /// # Ok::<(), sward_sync::TryAcquireError>(())
    /// ```
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), with an owned permit.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// assert!(Arc::new(Semaphore::new(2)).try_acquire_many_owned(3).is_err());
    /// ```
    pub fn try_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let permit = self.try_acquire_many(n)?.disarm();
        Ok(OwnedSemaphorePermit::new(self, permit))
    }

    /// Closes the semaphore: it gives no permits any more, and those who wait for some stop waiting.
    ///
    /// Permits that are held stay as they are.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let semaphore = Arc::new(Semaphore::new(0));
    /// let theirs = Arc::clone(&semaphore);
    /// let waiting = thread::spawn(move || theirs.acquire().is_err());
    /// semaphore.close();
    /// assert!(waiting.join().unwrap());
    /// ```
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether it was [closed](Self::close).
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = sward_sync::Semaphore::new(1);
    /// assert!(!semaphore.is_closed());
    /// semaphore.close();
    /// assert!(semaphore.is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.available_permits())
            .field("closed", &self.is_closed())
            .finish()
    }
}
