//! A value that is made when it is first used.
//!
//! # Invariants
//!
//! - **Z1** `data` is touched by the caller of `once` only (O1 of `mod.rs`), or by who has the whole to itself, until `once` is complete. From
//!   then on it is `Value`, and only read.
//!
//! # Checked by
//!
//! `loom-tests/tests/lazy_lock.rs`, `tests/lazy_lock.rs`.

use std::{
    cell::UnsafeCell,
    fmt,
    hint::unreachable_unchecked,
    mem,
    ops::{Deref, DerefMut},
    panic::{RefUnwindSafe, UnwindSafe},
};

use super::Once;
use crate::prim::const_fn;

/// A value that is made when it is first used; whoever comes meanwhile waits for it.
///
/// As `std::sync::LazyLock`.
///
/// # Poisoning
///
/// If the function panics or is cancelled, the value can never be made: each use of it panics from then on.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use sward_sync::LazyLock;
///
/// static PORTS: LazyLock<HashMap<&str, u16>> =
///     LazyLock::new(|| HashMap::from([("http", 80), ("https", 443)]));
///
/// assert_eq!(PORTS["https"], 443);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    data: UnsafeCell<Data<T, F>>,
}

enum Data<T, F> {
    Function(F),
    Value(T),
    /// The function runs, or has not returned.
    Gone,
}

// SAFETY: the function is called by one thread, which need not be who made it, before others read the value (Z1). `T: Send`: whoever drops it
// need not be who made it.
unsafe impl<T: Sync + Send, F: Send> Sync for LazyLock<T, F> {}

impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}

impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F> Data<T, F> {
    /// Takes the function.
    ///
    /// # Panics
    ///
    /// If it was taken before, and did not return.
    fn take(&mut self) -> F {
        match mem::replace(self, Self::Gone) {
            Self::Function(f) => f,
            _ => panic_poisoned(),
        }
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    const_fn! {
        /// A value that `f` will make.
        ///
        /// # Examples
        ///
        /// ```
        /// use sward_sync::LazyLock;
        ///
        /// let lazy = LazyLock::new(|| 6 * 7);
        /// assert_eq!(*lazy, 42);
        /// ```
        #[inline]
        pub const fn new(f: F) -> LazyLock<T, F> {
            LazyLock { once: Once::new(), data: UnsafeCell::new(Data::Function(f)) }
        }
    }

    /// The value, or the function if it has not been called.
    ///
    /// # Panics
    ///
    /// If the function was called and did not return.
    ///
    /// # Errors
    ///
    /// If there is no value yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| 42);
    /// assert!(LazyLock::into_inner(lazy).is_err());
    /// ```
    pub fn into_inner(this: Self) -> Result<T, F> {
        match this.data.into_inner() {
            Data::Value(value) => Ok(value),
            Data::Function(f) => Err(f),
            Data::Gone => panic_poisoned(),
        }
    }

    /// The value, to be changed. It is made if it is not there.
    ///
    /// # Panics
    ///
    /// If the function panics, now or before.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::LazyLock;
    ///
    /// let mut lazy = LazyLock::new(|| 41);
    /// *LazyLock::force_mut(&mut lazy) += 1;
    /// assert_eq!(*lazy, 42);
    /// ```
    #[inline]
    pub fn force_mut(this: &mut Self) -> &mut T {
        let data = this.data.get_mut();
        if !matches!(data, Data::Value(_)) {
            *data = Data::Value(data.take()());
            this.once = Once::completed();
        }
        match data {
            Data::Value(value) => value,
            _ => unreachable!("just seen, or written"),
        }
    }

    /// The value, which is made if it is not there. As a dereference does.
    ///
    /// # Suspension
    ///
    /// While another makes it, parks the green thread; blocks an OS thread outside the runtime. Waits for ever if the function itself comes
    /// here.
    ///
    /// # Cancellation
    ///
    /// If the function is cancelled, there never will be a value. Whoever waits loses nothing.
    ///
    /// # Panics
    ///
    /// If the function panics, now or before.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| 42);
    /// assert_eq!(LazyLock::force(&lazy), &42);
    /// ```
    #[inline]
    pub fn force(this: &Self) -> &T {
        if !this.once.is_completed() {
            this.make();
        }
        // SAFETY: seen just here, or `make` has returned.
        unsafe { this.value() }
    }

    #[cold]
    fn make(&self) {
        self.once.call_once_force(|_| {
            // SAFETY: this is the caller (O1 of `mod.rs`), and nobody else touches it yet (Z1).
            let f = unsafe { &mut *self.data.get() }.take();
            let value = f();
            // SAFETY: as above.
            unsafe { *self.data.get() = Data::Value(value) };
        });
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, to be changed, if it is there.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::LazyLock;
    ///
    /// let mut lazy = LazyLock::new(|| 42);
    /// assert_eq!(LazyLock::get_mut(&mut lazy), None);
    /// LazyLock::force(&lazy);
    /// assert_eq!(LazyLock::get_mut(&mut lazy), Some(&mut 42));
    /// ```
    #[inline]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        match this.data.get_mut() {
            Data::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The value, if it is there.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::LazyLock;
    ///
    /// let lazy = LazyLock::new(|| 42);
    /// assert_eq!(LazyLock::get(&lazy), None);
    /// LazyLock::force(&lazy);
    /// assert_eq!(LazyLock::get(&lazy), Some(&42));
    /// ```
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        // SAFETY: looked at just here.
        this.once.is_completed().then(|| unsafe { this.value() })
    }

    /// # Safety
    ///
    /// `once` has been seen complete by this thread.
    #[inline]
    unsafe fn value(&self) -> &T {
        // SAFETY: it is only read from now on (Z1).
        match unsafe { &*self.data.get() } {
            Data::Value(value) => value,
            // SAFETY: it is `Value` (Z1).
            _ => unsafe { unreachable_unchecked() },
        }
    }
}

#[cold]
fn panic_poisoned() -> ! {
    panic!("LazyLock instance has previously been poisoned")
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    /// As [`force`](Self::force).
    #[inline]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    /// As [`force_mut`](Self::force_mut).
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        Self::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    /// Made by `T::default`, when it is first used.
    #[inline]
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("LazyLock");
        match Self::get(self) {
            Some(value) => tuple.field(value),
            None => tuple.field(&format_args!("<uninit>")),
        };
        tuple.finish()
    }
}
