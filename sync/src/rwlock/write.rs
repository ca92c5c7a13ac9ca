//! The right to change the value of a reader-writer lock, or a part of it.
//!
//! # Invariants
//!
//! - **Z3** A guard stands for the lock, which is held to write from before it is made until it is dropped.
//! - **Z4** A mapped guard points into the value, which stays where it is while the lock is borrowed; nobody else reaches what it points to.

use std::{
    fmt,
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use super::{RawRwLock, RwLock, RwLockReadGuard};
use crate::{
    deadlock,
    poison::{Flag, LockResult, Panicking},
};

/// The right to change the value of a [`RwLock`], given up when this is dropped.
///
/// It does not leave its thread:
///
/// ```compile_fail,E0277
/// let lock = sward_sync::RwLock::new(1);
/// let guard = lock.write().unwrap();
/// std::thread::scope(|s| s.spawn(move || drop(guard)));
/// ```
///
/// # Examples
///
/// ```
/// let lock = sward_sync::RwLock::new(1);
/// let mut guard = lock.write().unwrap();
/// *guard += 1;
/// assert_eq!(*guard, 2);
/// ```
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockWriteGuard<'a, T: ?Sized + 'a> {
    lock: &'a RwLock<T>,
    entered: Panicking,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared reference to it gives a shared reference to the value, and no more.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

/// The right to change a part of the value of a [`RwLock`], given up when this is dropped. Made by [`RwLockWriteGuard::map`] and
/// [`RwLockWriteGuard::filter_map`].
///
/// # Examples
///
/// ```
/// use sward_sync::{MappedRwLockWriteGuard, RwLock, RwLockWriteGuard};
///
/// let lock = RwLock::new((1, "one"));
/// let mut number: MappedRwLockWriteGuard<'_, i32> = RwLockWriteGuard::map(lock.write().unwrap(), |pair| &mut pair.0);
/// *number += 1;
/// drop(number);
/// assert_eq!(lock.into_inner().unwrap(), (2, "one"));
/// ```
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized + 'a> {
    // No reference: it would be alive, for the compiler, until the drop has returned, and the lock is released before.
    part: NonNull<T>,
    lock: &'a RawRwLock,
    poison: &'a Flag,
    entered: Panicking,
    variance: PhantomData<&'a mut T>,
}

// SAFETY: a shared reference to it gives a shared reference to the part, and no more.
unsafe impl<T: ?Sized + Sync> Sync for MappedRwLockWriteGuard<'_, T> {}

impl RawRwLock {
    /// Gives up the right to write, which the caller has.
    #[inline]
    fn release_write(&self) {
        deadlock::release(self.key());
        self.write_unlock();
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// The guard of a lock that the caller has just taken to write. In the error, if it is poisoned.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>) -> LockResult<Self> {
        // INVARIANT: Z3.
        lock.poison.wrap(Self { lock, entered: Panicking::now(), not_send: PhantomData })
    }

    /// Gives up the right to change the value and goes on reading it. Nobody else changes it in between.
    ///
    /// Readers that wait in front of any writer go on too. An associated function, so that it hides no method of the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut guard = lock.write().unwrap();
    /// *guard = 2;
    /// let guard = RwLockWriteGuard::downgrade(guard);
    /// assert_eq!((*guard, *lock.read().unwrap()), (2, 2));
    /// ```
    pub fn downgrade(s: Self) -> RwLockReadGuard<'a, T> {
        // The lock goes over to the new guard.
        let lock = ManuallyDrop::new(s).lock;
        deadlock::downgrade(lock.raw.key());
        lock.raw.downgrade();
        RwLockReadGuard::of(lock)
    }

    /// Gives up the right to change the whole value for that to change the part that `f` chooses.
    ///
    /// An associated function, so that it hides no method of the value.
    ///
    /// # Panics
    ///
    /// If `f` does; the lock is poisoned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(vec![1, 2, 3]);
    /// let mut last = RwLockWriteGuard::map(lock.write().unwrap(), |list| &mut list[2]);
    /// *last = 4;
    /// ```
    pub fn map<U, F>(orig: Self, f: F) -> MappedRwLockWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
        U: ?Sized,
    {
        let mut orig = orig;
        let part = NonNull::from(f(&mut *orig));
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
    /// If `f` does; the lock is poisoned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(vec![1, 2, 3]);
    /// let all = RwLockWriteGuard::filter_map(lock.write().unwrap(), |list| list.get_mut(7)).unwrap_err();
    /// assert_eq!(*RwLockWriteGuard::filter_map(all, |list| list.last_mut()).unwrap(), 3);
    /// ```
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedRwLockWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
        U: ?Sized,
    {
        let mut orig = orig;
        match f(&mut *orig).map(NonNull::from) {
            Some(part) => Ok(orig.mapped(part)),
            None => Err(orig),
        }
    }

    /// INVARIANT: Z4, if `part` points into the value.
    fn mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedRwLockWriteGuard<'a, U> {
        // The lock goes over to the new guard.
        let this = ManuallyDrop::new(self);
        let (lock, poison) = (&this.lock.raw, &this.lock.poison);
        MappedRwLockWriteGuard { part, lock, poison, entered: this.entered, variance: PhantomData }
    }
}

impl<'a, T: ?Sized> MappedRwLockWriteGuard<'a, T> {
    /// As [`RwLockWriteGuard::map`], for a part of the part.
    ///
    /// # Panics
    ///
    /// If `f` does; the lock is poisoned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{MappedRwLockWriteGuard, RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new([1, 2, 3]);
    /// let tail = RwLockWriteGuard::map(lock.write().unwrap(), |all| &mut all[1..]);
    /// assert_eq!(*MappedRwLockWriteGuard::map(tail, |tail| &mut tail[1]), 3);
    /// ```
    pub fn map<U, F>(orig: Self, f: F) -> MappedRwLockWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
        U: ?Sized,
    {
        let mut orig = orig;
        let part = NonNull::from(f(&mut *orig));
        orig.mapped(part)
    }

    /// As [`RwLockWriteGuard::filter_map`], for a part of the part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` returns `None`.
    ///
    /// # Panics
    ///
    /// If `f` does; the lock is poisoned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{MappedRwLockWriteGuard, RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new([1, 2, 3]);
    /// let tail = RwLockWriteGuard::map(lock.write().unwrap(), |all| &mut all[1..]);
    /// assert!(MappedRwLockWriteGuard::filter_map(tail, |tail| tail.get_mut(2)).is_err());
    /// ```
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedRwLockWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
        U: ?Sized,
    {
        let mut orig = orig;
        match f(&mut *orig).map(NonNull::from) {
            Some(part) => Ok(orig.mapped(part)),
            None => Err(orig),
        }
    }

    /// INVARIANT: Z4, if `part` points into ours.
    fn mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedRwLockWriteGuard<'a, U> {
        // The lock goes over to the new guard.
        let this = ManuallyDrop::new(self);
        let (lock, poison) = (this.lock, this.poison);
        MappedRwLockWriteGuard { part, lock, poison, entered: this.entered, variance: PhantomData }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held (Z3), so nobody else reaches the value (Z1 of the module above).
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.poison.leave(self.entered);
        self.lock.raw.release_write();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> Deref for MappedRwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: Z4.
        unsafe { self.part.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for MappedRwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: Z4.
        unsafe { self.part.as_mut() }
    }
}

impl<T: ?Sized> Drop for MappedRwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.poison.leave(self.entered);
        self.lock.release_write();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MappedRwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MappedRwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
