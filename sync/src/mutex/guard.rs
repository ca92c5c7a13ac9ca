//! The right to the value of a mutex, or to a part of it.
//!
//! # Invariants
//!
//! - **X2** A guard stands for the lock, which is held from before it is made until it is dropped.
//! - **X3** A mapped guard points into the value, which stays where it is while the mutex is borrowed; nobody else reaches what it points to.
//!
//! Guards stay with their threads: `std`'s do, deadlock detection counts on it, and a program that changes its import must not
//! come to depend on more.

use std::{
    fmt,
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use super::{Mutex, RawMutex};
use crate::poison::{Flag, LockResult, Panicking};

/// The right to the value of a [`Mutex`], which is unlocked when this is dropped.
///
/// It does not leave its thread:
///
/// ```compile_fail,E0277
/// let mutex = sward_sync::Mutex::new(1);
/// let guard = mutex.lock().unwrap();
/// std::thread::scope(|s| s.spawn(move || drop(guard)));
/// ```
///
/// # Examples
///
/// ```
/// let mutex = sward_sync::Mutex::new(String::new());
/// let mut guard = mutex.lock().unwrap();
/// guard.push('a');
/// drop(guard);
/// assert_eq!(*mutex.lock().unwrap(), "a");
/// ```
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized + 'a> {
    lock: &'a Mutex<T>,
    entered: Panicking,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared reference to it gives a shared reference to the value, and no more.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

/// The right to a part of the value of a [`Mutex`], which is unlocked when this is dropped. Made by [`MutexGuard::map`] and
/// [`MutexGuard::filter_map`].
///
/// A condition variable takes none: it would unlock the mutex, and the part might be gone when it is locked again.
///
/// # Examples
///
/// ```
/// use sward_sync::{MappedMutexGuard, Mutex, MutexGuard};
///
/// let mutex = Mutex::new((1, "one"));
/// let mut number: MappedMutexGuard<'_, i32> = MutexGuard::map(mutex.lock().unwrap(), |pair| &mut pair.0);
/// *number += 1;
/// drop(number);
/// assert_eq!(mutex.into_inner().unwrap(), (2, "one"));
/// ```
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MappedMutexGuard<'a, T: ?Sized + 'a> {
    // No reference: it would be alive, for the compiler, until the drop has returned, and the lock is released before.
    part: NonNull<T>,
    lock: &'a RawMutex,
    poison: &'a Flag,
    entered: Panicking,
    variance: PhantomData<&'a mut T>,
}

// SAFETY: a shared reference to it gives a shared reference to the part, and no more.
unsafe impl<T: ?Sized + Sync> Sync for MappedMutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The guard of a lock that the caller has just taken. In the error, if it is poisoned.
    #[inline]
    pub(super) fn new(lock: &'a Mutex<T>) -> LockResult<Self> {
        // INVARIANT: X2.
        lock.poison.wrap(Self { lock, entered: Panicking::now(), not_send: PhantomData })
    }

    /// The mutex.
    pub(crate) fn mutex(this: &Self) -> &'a Mutex<T> {
        this.lock
    }

    /// Gives up the right to the whole value for that to the part that `f` chooses.
    ///
    /// An associated function, so that it hides no method of the value.
    ///
    /// # Panics
    ///
    /// If `f` does; the mutex is poisoned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new(vec![1, 2, 3]);
    /// let mut last = MutexGuard::map(mutex.lock().unwrap(), |list| &mut list[2]);
    /// *last = 4;
    /// ```
    pub fn map<U, F>(orig: Self, f: F) -> MappedMutexGuard<'a, U>
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
    /// If `f` does; the mutex is poisoned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new(vec![1, 2, 3]);
    /// let all = MutexGuard::filter_map(mutex.lock().unwrap(), |list| list.get_mut(7)).unwrap_err();
    /// let last = MutexGuard::filter_map(all, |list| list.last_mut()).unwrap();
    /// assert_eq!(*last, 3);
    /// ```
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
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

    /// INVARIANT: X3, if `part` points into the value.
    fn mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedMutexGuard<'a, U> {
        // The lock goes over to the new guard.
        let this = ManuallyDrop::new(self);
        let (lock, poison) = (&this.lock.raw, &this.lock.poison);
        MappedMutexGuard { part, lock, poison, entered: this.entered, variance: PhantomData }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held (X2), so nobody else reaches the value (X1 of the module above).
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.poison.leave(self.entered);
        self.lock.raw.release();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// As [`MutexGuard::map`], for a part of the part.
    ///
    /// # Panics
    ///
    /// If `f` does; the mutex is poisoned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{MappedMutexGuard, Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new([1, 2, 3]);
    /// let tail = MutexGuard::map(mutex.lock().unwrap(), |all| &mut all[1..]);
    /// let last = MappedMutexGuard::map(tail, |tail| &mut tail[1]);
    /// assert_eq!(*last, 3);
    /// ```
    pub fn map<U, F>(orig: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
        U: ?Sized,
    {
        let mut orig = orig;
        let part = NonNull::from(f(&mut *orig));
        orig.mapped(part)
    }

    /// As [`MutexGuard::filter_map`], for a part of the part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `f` returns `None`.
    ///
    /// # Panics
    ///
    /// If `f` does; the mutex is poisoned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{MappedMutexGuard, Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new([1, 2, 3]);
    /// let tail = MutexGuard::map(mutex.lock().unwrap(), |all| &mut all[1..]);
    /// assert!(MappedMutexGuard::filter_map(tail, |tail| tail.get_mut(2)).is_err());
    /// ```
    pub fn filter_map<U, F>(orig: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
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

    /// INVARIANT: X3, if `part` points into ours.
    fn mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedMutexGuard<'a, U> {
        // The lock goes over to the new guard.
        let this = ManuallyDrop::new(self);
        let (lock, poison) = (this.lock, this.poison);
        MappedMutexGuard { part, lock, poison, entered: this.entered, variance: PhantomData }
    }
}

impl<T: ?Sized> Deref for MappedMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: X3.
        unsafe { self.part.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for MappedMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: X3.
        unsafe { self.part.as_mut() }
    }
}

impl<T: ?Sized> Drop for MappedMutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.poison.leave(self.entered);
        self.lock.release();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MappedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MappedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
