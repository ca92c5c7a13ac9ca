//! The right to read the value of a reader-writer lock, or a part of it.
//!
//! # Invariants
//!
//! - **Z2** A guard stands for the lock, which is held to read from before it is made until it is dropped, and points into the value.
//!
//! # Rejected
//!
//! A reference in place of the pointer: it would be alive, for the compiler, until the drop has returned, and the lock is released before.

use std::{fmt, marker::PhantomData, mem::ManuallyDrop, ops::Deref, ptr::NonNull};

use super::{RawRwLock, RwLock};
use crate::{deadlock, poison::LockResult};

/// The right to read the value of a [`RwLock`], given up when this is dropped.
///
/// It does not leave its thread:
///
/// ```compile_fail,E0277
/// let lock = sward_sync::RwLock::new(1);
/// let guard = lock.read().unwrap();
/// std::thread::scope(|s| s.spawn(move || drop(guard)));
/// ```
///
/// # Examples
///
/// ```
/// let lock = sward_sync::RwLock::new("value");
/// let guard = lock.read().unwrap();
/// assert_eq!(guard.len(), 5);
/// ```
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockReadGuard<'a, T: ?Sized + 'a> {
    value: NonNull<T>,
    lock: &'a RawRwLock,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared reference to it gives a shared reference to the value, and no more.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

/// The right to read a part of the value of a [`RwLock`], given up when this is dropped. Made by [`RwLockReadGuard::map`] and
/// [`RwLockReadGuard::filter_map`].
///
/// # Examples
///
/// ```
/// use sward_sync::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
///
/// let lock = RwLock::new((1, "one"));
/// let name: MappedRwLockReadGuard<'_, &str> = RwLockReadGuard::map(lock.read().unwrap(), |pair| &pair.1);
/// assert_eq!(*name, "one");
/// ```
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MappedRwLockReadGuard<'a, T: ?Sized + 'a> {
    part: NonNull<T>,
    lock: &'a RawRwLock,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared reference to it gives a shared reference to the part, and no more.
unsafe impl<T: ?Sized + Sync> Sync for MappedRwLockReadGuard<'_, T> {}

impl RawRwLock {
    /// Gives up the right to read, which the caller has.
    #[inline]
    fn release_read(&self) {
        deadlock::release(self.key());
        self.read_unlock();
    }
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// The guard of a lock that the caller has just taken to read. In the error, if it is poisoned.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>) -> LockResult<Self> {
        lock.poison.wrap(Self::of(lock))
    }

    /// As `new`, poisoned or not.
    #[inline]
    pub(super) fn of(lock: &'a RwLock<T>) -> Self {
        // SAFETY: a cell in a reference is not at null.
        let value = unsafe { NonNull::new_unchecked(lock.value.get()) };
        // INVARIANT: Z2.
        Self { value, lock: &lock.raw, not_send: PhantomData }
    }

    /// Gives up the right to read the whole value for that to read the part that `f` chooses.
    ///
    /// An associated function, so that it hides no method of the value.
    ///
    /// # Panics
    ///
    /// If `f` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{RwLock, RwLockReadGuard};
    ///
    /// let lock = RwLock::new(vec![1, 2, 3]);
    /// let last = RwLockReadGuard::map(lock.read().unwrap(), |list| &list[2]);
    /// assert_eq!(*last, 3);
    /// ```
    pub fn map<U, F>(orig: Self, f: F) -> MappedRwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
        U: ?Sized,
    {
        let part = NonNull::from(f(&orig));
        orig.mapped(part)
    }

    /// As [`map`](Self::map), but `f` may find nothing.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` returns `None`.
    ///
    /// # Panics
    ///
    /// If `f` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{RwLock, RwLockReadGuard};
    ///
    /// let lock = RwLock::new(vec![1, 2, 3]);
    /// let all = RwLockReadGuard::filter_map(lock.read().unwrap(), |list| list.get(7)).unwrap_err();
    /// assert_eq!(*RwLockReadGuard::filter_map(all, |list| list.last()).unwrap(), 3);
    /// ```
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedRwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
        U: ?Sized,
    {
        match f(&orig).map(NonNull::from) {
            Some(part) => Ok(orig.mapped(part)),
            None => Err(orig),
        }
    }

    /// INVARIANT: Z2, if `part` points into the value.
    fn mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedRwLockReadGuard<'a, U> {
        // The lock goes over to the new guard.
        let lock = ManuallyDrop::new(self).lock;
        MappedRwLockReadGuard { part, lock, not_send: PhantomData }
    }
}

impl<'a, T: ?Sized> MappedRwLockReadGuard<'a, T> {
    /// As [`RwLockReadGuard::map`], for a part of the part.
    ///
    /// # Panics
    ///
    /// If `f` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
    ///
    /// let lock = RwLock::new([1, 2, 3]);
    /// let tail = RwLockReadGuard::map(lock.read().unwrap(), |all| &all[1..]);
    /// assert_eq!(*MappedRwLockReadGuard::map(tail, |tail| &tail[1]), 3);
    /// ```
    pub fn map<U, F>(orig: Self, f: F) -> MappedRwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
        U: ?Sized,
    {
        let part = NonNull::from(f(&orig));
        orig.mapped(part)
    }

    /// As [`RwLockReadGuard::filter_map`], for a part of the part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` returns `None`.
    ///
    /// # Panics
    ///
    /// If `f` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
    ///
    /// let lock = RwLock::new([1, 2, 3]);
    /// let tail = RwLockReadGuard::map(lock.read().unwrap(), |all| &all[1..]);
    /// assert!(MappedRwLockReadGuard::filter_map(tail, |tail| tail.get(2)).is_err());
    /// ```
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedRwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
        U: ?Sized,
    {
        match f(&orig).map(NonNull::from) {
            Some(part) => Ok(orig.mapped(part)),
            None => Err(orig),
        }
    }

    /// INVARIANT: Z2, if `part` points into ours.
    fn mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedRwLockReadGuard<'a, U> {
        // The lock goes over to the new guard.
        let lock = ManuallyDrop::new(self).lock;
        MappedRwLockReadGuard { part, lock, not_send: PhantomData }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: Z2, so nobody changes the value (Z1 of the module above).
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.release_read();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> Deref for MappedRwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: as above.
        unsafe { self.part.as_ref() }
    }
}

impl<T: ?Sized> Drop for MappedRwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.release_read();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MappedRwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MappedRwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
