//! Permits of a semaphore, borrowed and owned.

use std::{mem, sync::Arc};

use super::Semaphore;

/// Permits of a [`Semaphore`], which go back to it when this is dropped.
///
/// # Examples
///
/// ```
/// use sward_sync::Semaphore;
///
/// let semaphore = Semaphore::new(1);
/// let permit = semaphore.acquire()?;
/// drop(permit);
/// assert_eq!(semaphore.available_permits(), 1);
/// # Ok::<(), sward_sync::AcquireError>(())
/// ```
#[must_use = "permits go back at once if they are not kept"]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

/// Permits of a [`Semaphore`] that own their share of it. They go back to it when this is dropped.
///
/// # Examples
///
/// ```
/// use sward_sync::{Arc, Semaphore};
///
/// let semaphore = Arc::new(Semaphore::new(1));
/// let permit = Arc::clone(&semaphore).acquire_owned()?;
/// drop(permit);
/// assert_eq!(semaphore.available_permits(), 1);
/// # Ok::<(), sward_sync::AcquireError>(())
/// ```
#[must_use = "permits go back at once if they are not kept"]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    permits: usize,
}

impl<'a> SemaphorePermit<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, permits: usize) -> Self {
        Self { semaphore, permits }
    }

    /// How many permits these were, which do not go back now.
    pub(super) fn disarm(mut self) -> usize {
        mem::take(&mut self.permits)
    }

    /// Lets the permits vanish: they do not go back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// semaphore.acquire()?.forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    pub fn forget(self) {
        self.disarm();
    }

    /// Adds the permits of another to this.
    ///
    /// # Panics
    ///
    /// If they are of another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// let mut permit = semaphore.acquire()?;
    /// permit.merge(semaphore.acquire()?);
    /// assert_eq!(permit.num_permits(), 2);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            std::ptr::eq(self.semaphore, other.semaphore),
            "merging permits from different semaphore instances"
        );
        self.permits += mem::take(&mut other.permits);
    }

    /// Splits `n` of the permits off. `None`: there are not so many here.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(3);
    /// let mut permits = semaphore.acquire_many(3)?;
    /// let one = permits.split(1).unwrap();
    /// assert_eq!((one.num_permits(), permits.num_permits()), (1, 2));
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(Self { semaphore: self.semaphore, permits: n })
    }

    /// The semaphore that they are of.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// assert!(std::ptr::eq(semaphore.acquire()?.semaphore(), &semaphore));
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    #[must_use]
    pub fn semaphore(&self) -> &Semaphore {
        self.semaphore
    }

    /// How many they are.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Semaphore;
    ///
    /// assert_eq!(Semaphore::new(5).acquire_many(3)?.num_permits(), 3);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits
    }
}

impl OwnedSemaphorePermit {
    pub(super) fn new(semaphore: Arc<Semaphore>, permits: usize) -> Self {
        Self { semaphore, permits }
    }

    /// Lets the permits vanish: they do not go back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let semaphore = Arc::new(Semaphore::new(2));
    /// Arc::clone(&semaphore).acquire_owned()?.forget();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Adds the permits of another to this.
    ///
    /// # Panics
    ///
    /// If they are of another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let semaphore = Arc::new(Semaphore::new(2));
    /// let mut permit = Arc::clone(&semaphore).acquire_owned()?;
    /// permit.merge(semaphore.acquire_owned()?);
    /// assert_eq!(permit.num_permits(), 2);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Arc::ptr_eq(&self.semaphore, &other.semaphore),
            "merging permits from different semaphore instances"
        );
        self.permits += mem::take(&mut other.permits);
    }

    /// Splits `n` of the permits off. `None`: there are not so many here.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let mut permits = Arc::new(Semaphore::new(3)).acquire_many_owned(3)?;
    /// let one = permits.split(1).unwrap();
    /// assert_eq!((one.num_permits(), permits.num_permits()), (1, 2));
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(Self { semaphore: Arc::clone(&self.semaphore), permits: n })
    }

    /// The semaphore that they are of.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let permit = Arc::clone(&semaphore).acquire_owned()?;
    /// assert!(Arc::ptr_eq(permit.semaphore(), &semaphore));
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    #[must_use]
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// How many they are.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Arc, Semaphore};
    ///
    /// assert_eq!(Arc::new(Semaphore::new(5)).acquire_many_owned(3)?.num_permits(), 3);
    /// # Ok::<(), sward_sync::AcquireError>(())
    /// ```
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.0.release(self.permits);
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.semaphore.0.release(self.permits);
    }
}
