//! The side of a generator that yields: what its body is lent.
//!
//! The invariants (G1 to G5) are those of the parent module.

use std::{fmt, ptr::NonNull};

use super::{
    Generator, State,
    record::{Command, Record},
};

/// By which the body of a [`Generator`] yields. It belongs to the body, and to what that calls: also to the bodies of generators in a scope that
/// it opens, from inside of which the outer one may yield.
///
/// ```
/// use sward_runtime::coroutine;
///
/// coroutine::scope(|s| {
///     let outer = s.iter(|y| {
///         coroutine::scope(|inside| {
///             let inner = inside.iter(|own| {
///                 own.yield_(1);
///                 y.yield_(2);
///             });
///             inner.for_each(|n| y.yield_(10 * n));
///         });
///     });
///     assert!(outer.eq([10, 2]));
/// });
/// ```
///
/// Not to those of a scope further out, which might outlive it; nor to other threads:
///
/// ```compile_fail,E0521
/// sward_runtime::coroutine::scope(|s| {
///     s.iter(|y| {
///         s.iter(|own| {
///             own.yield_(1);
///             y.yield_(2);
///         })
///         .count();
///     })
///     .count();
/// });
/// ```
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
    /// use sward_runtime::coroutine::{self, State};
    ///
    /// coroutine::scope(|s| {
    ///     let mut sums = s.generator(|y, first: u32| {
    ///         let mut sum = first;
    ///         while sum < 10 {
    ///             sum += y.yield_(sum);
    ///         }
    ///         sum
    ///     });
    ///     assert_eq!(sums.resume(4), State::Yielded(4));
    ///     assert_eq!(sums.resume(5), State::Yielded(9));
    ///     assert_eq!(sums.resume(6), State::Complete(15));
    /// });
    /// ```
    #[inline(always)]
    pub fn yield_(&self, value: Y) -> R {
        // SAFETY: the body runs (G2), so its record is valid (G1).
        let record = unsafe { self.record.as_ref() };
        if record.may_yield() { self.switch(record, value) } else { self.yield_from_within(record, value) }
    }

    #[inline(always)]
    fn switch(&self, record: &Record, value: Y) -> R {
        // SAFETY: it lies at the root of the body's stack, and the body runs (G2).
        match unsafe { &*self.inner }.suspend(value) {
            Command::Resume(value) => value,
            Command::Unwind => record.doom(),
        }
    }

    /// As `yield_`, from inside of another body that this one runs; or it may not yield.
    #[cold]
    #[inline(never)]
    fn yield_from_within(&self, record: &Record, value: Y) -> R {
        record.reach_out();
        let value = self.switch(record, value);
        record.reach_in();
        value
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
    /// use sward_runtime::coroutine::{self, State};
    ///
    /// coroutine::scope(|s| {
    ///     let mut outer = s.generator(|y, ()| {
    ///         let mut inner = s.generator(|y, ()| {
    ///             y.yield_(1);
    ///             y.yield_(2);
    ///             "inner result"
    ///         });
    ///         let result = y.delegate(&mut inner, ());
    ///         y.yield_(3);
    ///         result
    ///     });
    ///     assert_eq!(outer.resume(()), State::Yielded(1));
    ///     assert_eq!(outer.resume(()), State::Yielded(2));
    ///     assert_eq!(outer.resume(()), State::Yielded(3));
    ///     assert_eq!(outer.resume(()), State::Complete("inner result"));
    /// });
    /// ```
    pub fn delegate<T>(&self, other: &mut Generator<'_, R, Y, T>, first: R) -> T {
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
