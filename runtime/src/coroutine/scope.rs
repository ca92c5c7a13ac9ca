//! The time in which generators live.
//!
//! The invariants (G1 to G5) are those of the parent module.

use std::{cell::Cell, fmt, marker::PhantomData, ptr::NonNull};

use super::{Builder, Generator, Yielder};
use crate::{
    cancel::CAN_UNWIND,
    scheduler::current::{self, Innermost},
};

/// Those of a scope that were made, and have neither ended nor been dropped.
pub(super) struct Alive {
    count: Cell<usize>,
    /// On the thread that they belong to.
    innermost: NonNull<Innermost>,
}

impl Alive {
    pub(super) fn innermost(&self) -> NonNull<Innermost> {
        self.innermost
    }

    pub(super) fn count_in(&self) {
        self.count.set(self.count.get() + 1);
    }

    pub(super) fn count_out(&self) {
        self.count.set(self.count.get() - 1);
    }
}

impl Drop for Alive {
    /// The end of the scope (G3).
    #[inline]
    fn drop(&mut self) {
        if self.count.get() != 0 {
            one_was_leaked();
        }
    }
}

#[cold]
#[inline(never)]
fn one_was_leaked() -> ! {
    crate::error::abort(if CAN_UNWIND {
        "a scope of generators ends, but one of them was leaked"
    } else {
        "a scope of generators ends, but one of them was leaked, or dropped half-way where nothing can unwind"
    })
}

/// Runs `f`, which may make generators, whose bodies may borrow from the surrounding frame.
///
/// A generator cannot leave its scope. So its body has ended, or is unwound, when the frames end that it borrows from, and before
/// the thread-locals of its thread are destroyed.
///
/// # Panics
///
/// If `f` panics, with its payload.
///
/// # Aborts
///
/// If a generator of the scope was leaked (by `mem::forget`, or in a cycle of `Rc`s) and its body has not ended, since what it has lent out
/// cannot be taken back. In programs built with `panic = "abort"`, where nothing can unwind, also if one was dropped half-way.
///
/// # Examples
///
/// ```
/// use sward_runtime::coroutine;
///
/// let words = String::from("two words");
/// let lengths: Vec<_> = coroutine::scope(|s| {
///     let lengths = s.iter(|y| words.split(' ').for_each(|word| y.yield_(word.len())));
///     lengths.collect()
/// });
/// assert_eq!(lengths, [3, 5]);
/// ```
///
/// A generator does not leave its scope,
///
/// ```compile_fail
/// let escaped = sward_runtime::coroutine::scope(|s| s.iter(|y| y.yield_(1)));
/// ```
///
/// not by way of what surrounds it either,
///
/// ```compile_fail,E0521
/// let mut outside = Vec::new();
/// sward_runtime::coroutine::scope(|s| outside.push(s.iter(|y| y.yield_(1))));
/// ```
///
/// and no thread-local can hold it:
///
/// ```compile_fail,E0521
/// use std::cell::RefCell;
///
/// use sward_runtime::coroutine::{self, Generator};
///
/// std::thread_local! {
///     static KEPT: RefCell<Option<Generator<'static, (), u32, ()>>> = const { RefCell::new(None) };
/// }
/// coroutine::scope(|s| KEPT.set(Some(s.iter(|y| y.yield_(1)))));
/// ```
#[inline]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    // Its destructor runs however `f` ends (G3).
    let alive = Alive { count: Cell::new(0), innermost: current::innermost() };
    let scope = Scope { alive: &alive, scope: PhantomData, env: PhantomData };
    f(&scope)
}

/// The right to make generators that borrow for `'env`. See [`scope`].
///
/// The two lifetimes are those of [`thread::Scope`](crate::thread::Scope): `'scope` is the time in which the generators live, `'env` that of what they
/// borrow. What `f` itself has on its stack they cannot borrow, but own.
///
/// ```compile_fail,E0373
/// sward_runtime::coroutine::scope(|s| {
///     let n = 3;
///     s.iter(|y| (0..n).for_each(|i| y.yield_(i))).count(); // `n` ends before the scope does
/// });
/// ```
///
/// It belongs to its thread, green or not, as its generators do.
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<&sward_runtime::coroutine::Scope<'_, '_>>();
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    alive: &'scope Alive,
    /// Invariant over `'scope`, so that it cannot be shortened to something local.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Makes a generator that will run `body`, which gets the value of the first resume.
    ///
    /// # Panics
    ///
    /// If no stack can be had; see [`Builder::build`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine;
    ///
    /// coroutine::scope(|s| {
    ///     let mut double = s.generator(|y, mut n: u32| -> () {
    ///         loop {
    ///             n = y.yield_(2 * n);
    ///         }
    ///     });
    ///     assert_eq!(double.resume(4).yielded(), Some(8));
    /// });
    /// ```
    pub fn generator<R, Y, T, F>(&'scope self, body: F) -> Generator<'scope, R, Y, T>
    where
        R: 'scope,
        Y: 'scope,
        T: 'scope,
        F: FnOnce(&Yielder<R, Y>, R) -> T + 'scope,
    {
        Builder::new().build(self, body).expect("no stack can be had for a generator")
    }

    /// Makes an iterator over what `body` yields.
    ///
    /// # Panics
    ///
    /// If no stack can be had; see [`Builder::build`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine;
    ///
    /// let first: Vec<u32> = coroutine::scope(|s| {
    ///     let fibonacci = s.iter(|y| {
    ///         let (mut a, mut b) = (0, 1);
    ///         loop {
    ///             y.yield_(a);
    ///             (a, b) = (b, a + b);
    ///         }
    ///     });
    ///     fibonacci.take(8).collect()
    /// });
    /// assert_eq!(first, [0, 1, 1, 2, 3, 5, 8, 13]);
    /// ```
    pub fn iter<Y, F>(&'scope self, body: F) -> Generator<'scope, (), Y, ()>
    where
        Y: 'scope,
        F: FnOnce(&Yielder<(), Y>) + 'scope,
    {
        self.generator(|yielder, ()| body(yielder))
    }

    pub(super) fn alive(&self) -> &'scope Alive {
        self.alive
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("alive", &self.alive.count.get()).finish_non_exhaustive()
    }
}
