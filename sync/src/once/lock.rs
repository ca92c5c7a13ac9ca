//! A value that is written once.
//!
//! # Invariants
//!
//! - **V1** `value` is written by the caller of `once` only (O1 of `mod.rs`), or by who has the whole to itself. If `once` is complete it is
//!   `Some`, and otherwise `None`, but for the moment before the caller's last step.
//!
//! # Checked by
//!
//! `loom-tests/tests/once.rs`, `tests/once_lock.rs`.

use std::{
    cell::UnsafeCell,
    convert::Infallible,
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

use super::Once;
use crate::prim::const_fn;

/// A cell that can be written once, by whoever comes first, and read by all from then on.
///
/// As `std::sync::OnceLock`. To read a value that is there costs as much as an ordinary read and a branch.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::OnceLock;
///
/// static CONFIG: OnceLock<String> = OnceLock::new();
///
/// let reader = thread::spawn(|| CONFIG.get_or_init(|| "default".to_owned()).len());
/// assert_eq!(reader.join().unwrap(), 7);
/// assert_eq!(CONFIG.get().map(String::as_str), Some("default"));
/// ```
pub struct OnceLock<T> {
    once: Once,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: it is written by one thread, before others read it (V1). `Send`: whoever drops it need not be who wrote it.
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}

impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}

impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    const_fn! {
        /// An empty cell.
        ///
        /// # Examples
        ///
        /// ```
        /// assert_eq!(sward_sync::OnceLock::<u32>::new().get(), None);
        /// ```
        #[inline]
        #[must_use]
        pub const fn new() -> OnceLock<T> {
            OnceLock { once: Once::new(), value: UnsafeCell::new(None) }
        }
    }

    /// The value. `None`: it has not been written, or is just being made.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let cell = OnceLock::new();
    /// assert_eq!(cell.get(), None);
    /// cell.set(1)?;
    /// assert_eq!(cell.get(), Some(&1));
    /// # Ok::<(), i32>(())
    /// ```
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: looked at just here.
        self.once.is_completed().then(|| unsafe { self.get_unchecked() })
    }

    /// # Safety
    ///
    /// `once` has been seen complete by this thread.
    #[inline]
    unsafe fn get_unchecked(&self) -> &T {
        // SAFETY: nobody writes it any more (V1).
        let value = unsafe { &*self.value.get() };
        // SAFETY: it is there (V1).
        unsafe { value.as_ref().unwrap_unchecked() }
    }

    /// The value, to be changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let mut cell = OnceLock::from(1);
    /// *cell.get_mut().unwrap() += 1;
    /// assert_eq!(cell.get(), Some(&2));
    /// ```
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Waits until the value is there.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::OnceLock;
    ///
    /// static ANSWER: OnceLock<u32> = OnceLock::new();
    ///
    /// let waiting = thread::spawn(|| *ANSWER.wait());
    /// ANSWER.set(42)?;
    /// assert_eq!(waiting.join().unwrap(), 42);
    /// # Ok::<(), u32>(())
    /// ```
    #[inline]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        // SAFETY: what was waited for.
        unsafe { self.get_unchecked() }
    }

    /// Writes the value.
    ///
    /// # Suspension
    ///
    /// Waits for another that is just being made.
    ///
    /// # Cancellation
    ///
    /// The value is dropped, and not written.
    ///
    /// # Errors
    ///
    /// If there is a value already. This one is given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let cell = OnceLock::new();
    /// assert_eq!(cell.set(1), Ok(()));
    /// assert_eq!(cell.set(2), Err(2));
    /// ```
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        match self.try_insert(value) {
            Ok(_) => Ok(()),
            Err((_, value)) => Err(value),
        }
    }

    /// Writes the value, and returns what is there.
    ///
    /// # Suspension
    ///
    /// As [`set`](Self::set).
    ///
    /// # Errors
    ///
    /// If there is a value already. It is returned, and this one is given back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let cell = OnceLock::new();
    /// assert_eq!(cell.try_insert(1), Ok(&1));
    /// assert_eq!(cell.try_insert(2), Err((&1, 2)));
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "an invariant of `Once`")]
    #[inline]
    pub fn try_insert(&self, value: T) -> Result<&T, (&T, T)> {
        let mut value = Some(value);
        let there = self.get_or_init(|| value.take().expect("called once (O1 of `mod.rs`)"));
        match value {
            None => Ok(there),
            Some(value) => Err((there, value)),
        }
    }

    /// The value, which `f` makes if there is none.
    ///
    /// # Suspension
    ///
    /// While another makes the value, parks the green thread; blocks an OS thread outside the runtime. Waits for ever if `f` itself
    /// comes here.
    ///
    /// # Cancellation
    ///
    /// If `f` is cancelled, the next caller's function makes the value.
    ///
    /// # Panics
    ///
    /// If `f` panics. The next caller's function makes the value then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let cell = OnceLock::new();
    /// assert_eq!(cell.get_or_init(|| 1), &1);
    /// assert_eq!(cell.get_or_init(|| unreachable!()), &1);
    /// ```
    #[inline]
    pub fn get_or_init<F>(&self, f: F) -> &T
    where
        F: FnOnce() -> T,
    {
        let Ok(value) = self.get_or_try_init(|| Ok::<T, Infallible>(f()));
        value
    }

    /// The value, to be changed, which `f` makes if there is none.
    ///
    /// # Panics
    ///
    /// If `f` panics. There is no value then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let mut cell = OnceLock::new();
    /// *cell.get_mut_or_init(|| 1) += 1;
    /// assert_eq!(cell.get(), Some(&2));
    /// ```
    #[inline]
    pub fn get_mut_or_init<F>(&mut self, f: F) -> &mut T
    where
        F: FnOnce() -> T,
    {
        let Ok(value) = self.get_mut_or_try_init(|| Ok::<T, Infallible>(f()));
        value
    }

    /// The value, which `f` makes if there is none, and if it can.
    ///
    /// # Suspension
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Cancellation
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Errors
    ///
    /// What `f` returns. The next caller's function makes the value then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let cell = OnceLock::new();
    /// assert!(cell.get_or_try_init(|| "one".parse::<u32>()).is_err());
    /// assert_eq!(cell.get_or_try_init(|| "1".parse()), Ok(&1));
    /// ```
    #[inline]
    pub fn get_or_try_init<F, E>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Result<T, E>,
    {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        self.initialize(f)?;
        // SAFETY: somebody's function has returned, and with no error, or `initialize` would not have.
        Ok(unsafe { self.get_unchecked() })
    }

    /// The value, to be changed, which `f` makes if there is none, and if it can.
    ///
    /// # Panics
    ///
    /// If `f` panics. There is no value then.
    ///
    /// # Errors
    ///
    /// What `f` returns. There is no value then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let mut cell = OnceLock::new();
    /// assert!(cell.get_mut_or_try_init(|| "one".parse::<u32>()).is_err());
    /// assert_eq!(cell.get_mut_or_try_init(|| "1".parse()), Ok(&mut 1));
    /// ```
    #[inline]
    pub fn get_mut_or_try_init<F, E>(&mut self, f: F) -> Result<&mut T, E>
    where
        F: FnOnce() -> Result<T, E>,
    {
        if self.value.get_mut().is_none() {
            let value = f()?;
            *self = Self::from(value);
        }
        Ok(self.get_mut().expect("just seen, or written"))
    }

    /// Lets `f` make the value, unless another has made one. After an error of another, `f` is called.
    #[cold]
    fn initialize<F, E>(&self, f: F) -> Result<(), E>
    where
        F: FnOnce() -> Result<T, E>,
    {
        let mut result = Ok(());
        self.once.call_once_force(|state| match f() {
            // SAFETY: this is the caller (O1 of `mod.rs`), and nobody reads it yet (V1).
            Ok(value) => unsafe { *self.value.get() = Some(value) },
            Err(error) => {
                result = Err(error);
                state.poison();
            }
        });
        result
    }

    /// The value, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// assert_eq!(OnceLock::from(1).into_inner(), Some(1));
    /// assert_eq!(OnceLock::<u32>::new().into_inner(), None);
    /// ```
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, if there is one. The cell is empty then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::OnceLock;
    ///
    /// let mut cell = OnceLock::from(1);
    /// assert_eq!(cell.take(), Some(1));
    /// assert_eq!(cell.get(), None);
    /// ```
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => tuple.field(value),
            None => tuple.field(&format_args!("<uninit>")),
        };
        tuple.finish()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

impl<T> From<T> for OnceLock<T> {
    #[inline]
    fn from(value: T) -> Self {
        Self { once: Once::completed(), value: UnsafeCell::new(Some(value)) }
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}
