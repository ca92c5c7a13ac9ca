//! The side of a generator that yields: what its body is lent.
//!
//! The invariants (G1 to G5) are those of the parent module.

use std::{fmt, ptr::NonNull};

use super::{
    Generator, State,
    record::{Command, Record},
};

/// By which the body of a [`Generator`] yields. It belongs to the body, and is of no use elsewhere.
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<sward_runtime::coroutine::Yielder<(), ()>>();
/// ```
/// ```compile_fail,E0277
/// fn is_sync<T: Sync>() {}
/// is_sync::<sward_runtime::coroutine::Yielder<(), ()>>();
/// ```
pub struct Yielder<R, Y> {
    inner: *const corosensei::Yielder<Command<R>, Y>,
    record: NonNull<Record>,
}

impl<R, Y> Yielder<R, Y> {
    /// The yielder of the coroutine whose record is `record`; not to outlive `inner`.
    pub(super) fn new(inner: &corosensei::Yielder<Command<R>, Y>, record: NonNull<Record>) -> Self {
        Self { inner, record }
    }

    /// Hands `value` to the resumer, and returns what it resumes with next.
    ///
    /// # Cancellation
    ///
    /// When the generator is dropped before it has ended, this call unwinds: every destructor of the body runs, and no panic hook is called.
    /// A `catch_unwind` on the way may catch it, but the next yield unwinds again.
    ///
    /// # Panics
    ///
    /// Inside [`thread::no_suspend`](crate::thread::no_suspend), [`cancel::shield`](crate::cancel::shield), a deadline or a call bounded by
    /// a token that was entered since the generator was last resumed. While the body unwinds: then the panic is one in a
    /// destructor, which ends the process if nothing catches it before.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::{Generator, State};
    ///
    /// let mut sums = Generator::new(|y, first: u32| {
    ///     let mut sum = first;
    ///     while sum < 10 {
    ///         sum += y.yield_(sum);
    ///     }
    ///     sum
    /// });
    /// assert_eq!(sums.resume(4), State::Yielded(4));
    /// assert_eq!(sums.resume(5), State::Yielded(9));
    /// assert_eq!(sums.resume(6), State::Complete(15));
    /// ```
    #[inline(always)]
    pub fn yield_(&self, value: Y) -> R {
        // SAFETY: the body runs (G2), so its record is valid (G1).
        let record = unsafe { self.record.as_ref() };
        if !record.may_yield() {
            record.refuse_to_yield();
        }
        // SAFETY: it lies at the root of the body's stack, and the body runs (G2).
        match unsafe { &*self.inner }.suspend(value) {
            Command::Resume(value) => value,
            Command::Unwind => record.doom(),
        }
    }

    /// Yields everything that `other` yields, resumes it with what comes back, and returns what it returns. Python's `yield from`.
    ///
    /// `other` is first resumed with `first`. If this generator is dropped meanwhile, `other` stays where it is.
    ///
    /// # Panics
    ///
    /// As [`yield_`](Self::yield_) and [`Generator::resume`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::{Generator, State};
    ///
    /// let mut outer = Generator::new(|y, ()| {
    ///     let mut inner = Generator::new(|y, ()| {
    ///         y.yield_(1);
    ///         y.yield_(2);
    ///         "inner result"
    ///     });
    ///     let result = y.delegate(&mut inner, ());
    ///     y.yield_(3);
    ///     result
    /// });
    /// assert_eq!(outer.resume(()), State::Yielded(1));
    /// assert_eq!(outer.resume(()), State::Yielded(2));
    /// assert_eq!(outer.resume(()), State::Yielded(3));
    /// assert_eq!(outer.resume(()), State::Complete("inner result"));
    /// ```
    pub fn delegate<T>(&self, other: &mut Generator<R, Y, T>, first: R) -> T {
        let mut state = other.resume(first);
        loop {
            match state {
                State::Yielded(value) => state = other.resume(self.yield_(value)),
                State::Complete(value) => return value,
            }
        }
    }
}

impl<R, Y> fmt::Debug for Yielder<R, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}
