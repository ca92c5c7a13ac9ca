//! The reentrant lock: who holds it may lock it again.
//!
//! # Invariants
//!
//! - **E1** `owner` is the number of the thread that holds the lock, and zero while nobody does. Only the holder changes it, so a thread
//!   that finds its own number there holds the lock, and one that does not, does not.
//! - **E2** `times` is touched by the holder only: it is the number of its guards, which do not leave their thread.
//!
//! # Orderings
//!
//! `owner` is Relaxed: a thread compares it with its own number only, which nobody else writes there. The lock orders the rest.
//!
//! # Checked by
//!
//! `loom-tests/tests/reentrant_lock.rs`, `tests/reentrant_lock.rs`.

use std::{
    any,
    cell::Cell,
    fmt,
    marker::PhantomData,
    ops::Deref,
    panic::{RefUnwindSafe, UnwindSafe},
};

use sward_runtime::thread;

use crate::{
    mutex::RawMutex,
    prim::{
        atomic::{AtomicU64, Ordering::Relaxed},
        const_fn,
    },
};

/// A lock that its holder, a green thread or an OS thread, may lock again. As `std`'s unstable `ReentrantLock`, which it replaces name for name.
///
/// It belongs to the green thread, not to the worker it runs on: another green thread of that worker waits. It gives shared access only, and it is not
/// poisoned; a cell in it makes the value changeable.
///
/// # Examples
///
/// ```
/// use std::cell::RefCell;
/// use sward_sync::ReentrantLock;
///
/// static LOG: ReentrantLock<RefCell<String>> = ReentrantLock::new(RefCell::new(String::new()));
///
/// fn line(text: &str) {
///     let log = LOG.lock();
///     word(text); // locks again
///     log.borrow_mut().push('\n');
/// }
///
/// fn word(text: &str) {
///     LOG.lock().borrow_mut().push_str(text);
/// }
///
/// line("hello");
/// assert_eq!(*LOG.lock().borrow(), "hello\n");
/// ```
pub struct ReentrantLock<T: ?Sized> {
    raw: RawMutex,
    owner: AtomicU64,
    times: Cell<u32>,
    value: T,
}

// SAFETY: it gives out the value to whoever owns it.
unsafe impl<T: ?Sized + Send> Send for ReentrantLock<T> {}
// SAFETY: the value and `times` are reached by the thread that holds the lock (E1, E2), so by one at a time.
unsafe impl<T: ?Sized + Send> Sync for ReentrantLock<T> {}

// The cell is ours, and no panic comes between its changes.
impl<T: ?Sized + UnwindSafe> UnwindSafe for ReentrantLock<T> {}
impl<T: ?Sized + RefUnwindSafe> RefUnwindSafe for ReentrantLock<T> {}

/// The right to the value of a [`ReentrantLock`], which is unlocked when the last guard is dropped.
///
/// It does not leave its thread:
///
/// ```compile_fail,E0277
/// let lock = sward_sync::ReentrantLock::new(1);
/// let guard = lock.lock();
/// std::thread::scope(|s| s.spawn(move || drop(guard)));
/// ```
///
/// # Examples
///
/// ```
/// let lock = sward_sync::ReentrantLock::new(1);
/// let (outer, inner) = (lock.lock(), lock.lock());
/// assert_eq!(*outer + *inner, 2);
/// ```
#[must_use = "if unused the ReentrantLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct ReentrantLockGuard<'a, T: ?Sized + 'a> {
    lock: &'a ReentrantLock<T>,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared reference to it gives a shared reference to the value, and no more.
unsafe impl<T: ?Sized + Sync> Sync for ReentrantLockGuard<'_, T> {}

impl<T> ReentrantLock<T> {
    const_fn! {
        /// An unlocked one.
        ///
        /// # Examples
        ///
        /// ```
        /// static LOCK: sward_sync::ReentrantLock<u32> = sward_sync::ReentrantLock::new(1);
        /// assert_eq!(*LOCK.lock(), 1);
        /// ```
        #[inline]
        pub const fn new(value: T) -> ReentrantLock<T> {
            ReentrantLock { raw: RawMutex::new(), owner: AtomicU64::new(0), times: Cell::new(0), value }
        }
    }

    /// The value, and no more lock.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(sward_sync::ReentrantLock::new(1).into_inner(), 1);
    /// ```
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantLock<T> {
    /// Locks it, waiting until no other thread holds it.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. Not if the lock is free, or the caller's.
    ///
    /// # Cancellation
    ///
    /// The caller unwinds without the lock.
    ///
    /// # Fairness
    ///
    /// As [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Panics
    ///
    /// If the caller holds 2³² - 1 guards. In builds with debug assertions, if the wait would never end: see
    /// [Deadlocks](crate::Mutex#deadlocks).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// let lock = sward_sync::ReentrantLock::new(Cell::new(1));
    /// lock.lock().set(2);
    /// assert_eq!(lock.lock().get(), 2);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> ReentrantLockGuard<'_, T> {
        let me = thread::number();
        if self.owner.load(Relaxed) == me {
            self.lock_again().expect("lock count overflow in reentrant mutex")
        } else {
            self.raw.take(any::type_name::<Self>(), None);
            self.lock_first(me)
        }
    }

    /// Locks it if no other thread holds it.
    ///
    /// `None` also if the caller holds 2³² - 1 guards.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = sward_sync::ReentrantLock::new(1);
    /// let guard = lock.lock();
    /// assert!(lock.try_lock().is_some());
    /// std::thread::scope(|s| {
    ///     s.spawn(|| assert!(lock.try_lock().is_none()));
    /// });
    /// # drop(guard);
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> Option<ReentrantLockGuard<'_, T>> {
        let me = thread::number();
        if self.owner.load(Relaxed) == me {
            return self.lock_again();
        }
        self.raw.try_take(any::type_name::<Self>()).then(|| self.lock_first(me))
    }

    /// The value, which nobody else can reach while the lock is borrowed mutably.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut lock = sward_sync::ReentrantLock::new(1);
    /// *lock.get_mut() = 2;
    /// assert_eq!(lock.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// The caller has just taken the lock.
    fn lock_first(&self, me: u64) -> ReentrantLockGuard<'_, T> {
        self.owner.store(me, Relaxed);
        self.times.set(1);
        ReentrantLockGuard { lock: self, not_send: PhantomData }
    }

    /// The caller holds the lock.
    fn lock_again(&self) -> Option<ReentrantLockGuard<'_, T>> {
        self.times.set(self.times.get().checked_add(1)?);
        Some(ReentrantLockGuard { lock: self, not_send: PhantomData })
    }
}

impl<T> From<T> for ReentrantLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for ReentrantLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("ReentrantLock");
        match self.try_lock() {
            Some(guard) => lock.field("data", &&*guard),
            None => lock.field("data", &format_args!("<locked>")),
        };
        lock.finish_non_exhaustive()
    }
}

impl<T: ?Sized> Deref for ReentrantLockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.lock.value
    }
}

impl<T: ?Sized> Drop for ReentrantLockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let left = self.lock.times.get() - 1;
        self.lock.times.set(left);
        if left == 0 {
            self.lock.owner.store(0, Relaxed);
            self.lock.raw.release();
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ReentrantLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
