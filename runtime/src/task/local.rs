//! Values that belong to one green thread.
//!
//! # Invariants
//!
//! - **K1** A value stays where it is from its first use until its green thread (or OS thread) ends: it is boxed, and its
//!   entry is never removed, only emptied.
//! - **K2** Only the thread that owns the map touches it, and never across a call of user code.

use std::{
    any::{Any, TypeId},
    cell::{RefCell, UnsafeCell},
    error::Error,
    fmt,
    ptr::NonNull,
};

use crate::scheduler::current;

/// The map of one thread: few keys, so a scan beats a hash.
pub(crate) struct Locals(Vec<(Key, Option<Box<dyn Any>>)>);

/// The address of the static, and the type: constants of several types may share an address.
type Key = (usize, TypeId);

impl Locals {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the value is: `Ok(None)` before its first use, an error once it is destroyed.
    fn find(&self, key: Key) -> Result<Option<NonNull<()>>, AccessError> {
        match self.0.iter().find(|entry| entry.0 == key) {
            None => Ok(None),
            Some((_, None)) => Err(AccessError(())),
            Some((_, Some(value))) => Ok(Some(NonNull::from(&**value).cast())),
        }
    }

    /// Destroys every value, oldest first, those too that destructors bring to life.
    ///
    /// # Safety
    ///
    /// `this` is the map of the calling thread, and no reference into it is alive (K2).
    pub(crate) unsafe fn destroy(this: &UnsafeCell<Self>) {
        let mut next = 0;
        loop {
            // SAFETY: K2; the borrow ends before the value's destructor runs.
            let Some(entry) = (unsafe { &mut *this.get() }).0.get_mut(next) else { return };
            let value = entry.1.take();
            next += 1;
            drop(value);
        }
    }
}

/// The map of an OS thread outside the runtime.
struct OsLocals(UnsafeCell<Locals>);

impl Drop for OsLocals {
    fn drop(&mut self) {
        // SAFETY: the OS thread is ending; nothing borrows from the map any more.
        unsafe { Locals::destroy(&self.0) };
    }
}

std::thread_local! {
    static OS_LOCALS: OsLocals = const { OsLocals(UnsafeCell::new(Locals::new())) };
}

/// A value of which each green thread has its own, made by [`thread_local!`](crate::thread_local).
///
/// As `std::thread::LocalKey`, but it belongs to the green thread: it goes where the green thread goes, and two green
/// threads on one worker never see each other's. On an OS thread outside the runtime it is that thread's.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use sward_runtime::thread;
///
/// sward_runtime::thread_local! {
///     static REQUEST: Cell<u32> = Cell::new(0);
/// }
///
/// REQUEST.set(7);
/// let seen = thread::spawn(|| REQUEST.get()).join().unwrap();
/// assert_eq!((seen, REQUEST.get()), (0, 7));
/// ```
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// The value was asked for while its thread was ending and it had been destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("already destroyed")
    }
}

impl Error for AccessError {}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init }
    }

    /// Calls `f` with the calling thread's value, which is made at first use.
    ///
    /// # Suspension
    ///
    /// `f` may suspend: the value is the green thread's own.
    ///
    /// # Panics
    ///
    /// If the value is destroyed already.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f).expect("cannot access a green-thread local during or after its destruction")
    }

    /// As [`with`](Self::with), with an error in place of the panic.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the value is destroyed already.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let value = if let Some(task) = current::task() {
            self.value(&task.started().locals)?
        } else {
            OS_LOCALS.try_with(|locals| self.value(&locals.0)).map_err(|_| AccessError(()))??
        };
        // SAFETY: the value stays put while its thread lives (K1), and that is the thread that runs `f`.
        Ok(f(unsafe { value.as_ref() }))
    }

    /// The address of the value in the calling thread's map.
    fn value(&'static self, map: &UnsafeCell<Locals>) -> Result<NonNull<T>, AccessError> {
        let key = (std::ptr::from_ref(self).addr(), TypeId::of::<T>());
        // SAFETY: K2: our own map, and `find` calls no user code.
        if let Some(found) = unsafe { &*map.get() }.find(key)? {
            return Ok(found.cast());
        }
        let value = Box::new((self.init)());
        // SAFETY: K2. `init` has run and may have made this very value; then that one stays.
        if let Some(found) = unsafe { &*map.get() }.find(key)? {
            return Ok(found.cast());
        }
        // SAFETY: K2.
        unsafe { &mut *map.get() }.0.push((key, Some(value)));
        // SAFETY: K2.
        let found = unsafe { &*map.get() }.find(key)?;
        Ok(found.expect("just made").cast())
    }
}

impl<T: 'static> LocalKey<std::cell::Cell<T>> {
    /// Sets the value.
    ///
    /// # Panics
    ///
    /// If it is destroyed already.
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// Returns a copy of the value.
    ///
    /// # Panics
    ///
    /// If it is destroyed already.
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(std::cell::Cell::get)
    }

    /// Takes the value and leaves the default.
    ///
    /// # Panics
    ///
    /// If it is destroyed already.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(std::cell::Cell::take)
    }

    /// Puts a new value and returns the old.
    ///
    /// # Panics
    ///
    /// If it is destroyed already.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Calls `f` with a shared borrow of the value.
    ///
    /// # Panics
    ///
    /// If it is mutably borrowed, or destroyed already.
    pub fn with_borrow<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Calls `f` with a mutable borrow of the value.
    ///
    /// # Panics
    ///
    /// If it is borrowed, or destroyed already.
    pub fn with_borrow_mut<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    /// Sets the value.
    ///
    /// # Panics
    ///
    /// If it is borrowed, or destroyed already.
    pub fn set(&'static self, value: T) {
        self.with(|cell| *cell.borrow_mut() = value);
    }

    /// Takes the value and leaves the default.
    ///
    /// # Panics
    ///
    /// If it is borrowed, or destroyed already.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Puts a new value and returns the old.
    ///
    /// # Panics
    ///
    /// If it is borrowed, or destroyed already.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

/// Declares values of which each green thread has its own. The syntax is that of `std::thread_local!`.
///
/// # Examples
///
/// ```
/// use std::cell::RefCell;
///
/// sward_runtime::thread_local! {
///     pub static LOG: RefCell<Vec<String>> = RefCell::new(Vec::new());
///     static DEPTH: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
/// }
///
/// LOG.with_borrow_mut(|log| log.push("hello".into()));
/// assert_eq!(LOG.take().len(), 1);
/// assert_eq!(DEPTH.get(), 0);
/// ```
#[macro_export]
macro_rules! thread_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = const $init:block $(; $($rest:tt)*)?) => {
        $crate::thread_local! { $(#[$attr])* $vis static $name: $t = $init $(; $($rest)*)? }
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr $(; $($rest:tt)*)?) => {
        $(#[$attr])* $vis static $name: $crate::thread::LocalKey<$t> = $crate::thread::LocalKey::new(|| $init);
        $($crate::thread_local! { $($rest)* })?
    };
}
