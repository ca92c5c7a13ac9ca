//! Generators: functions that hand out values one by one and go on where they left off, on stacks of their own.
//!
//! No scheduler has a part in them. A [`Generator`] runs when somebody calls [`resume`](Generator::resume), on the thread that calls
//! it, green or not, and gives the thread back by [`yield_`](Yielder::yield_), from any depth of calls. What its body waits for
//! its resumer waits for.
//!
//! ```
//! use sward_runtime::coroutine::{self, Yielder};
//!
//! struct Tree(Option<Box<Tree>>, u32, Option<Box<Tree>>);
//!
//! fn walk(tree: &Tree, y: &Yielder<(), u32>) {
//!     tree.0.as_ref().inspect(|left| walk(left, y));
//!     y.yield_(tree.1);
//!     tree.2.as_ref().inspect(|right| walk(right, y));
//! }
//!
//! let leaf = |n| Some(Box::new(Tree(None, n, None)));
//! let tree = Tree(leaf(1), 2, leaf(3));
//! let numbers = coroutine::iter(move |y| walk(&tree, y));
//! assert!(numbers.eq([1, 2, 3]));
//! ```
//!
//! # To whom a generator belongs
//!
//! To the thread, green or not, that first resumes it: to its closure, to be exact. The body may have borrowed what is that thread's own, its
//! thread-locals for one. Another green thread, which can only come to it through a thread-local of their worker, must not resume it, and
//! if it drops it, or if a destructor of the owner's green-thread locals does, the body is left as it is for ever: its stack is leaked, and what
//! is on it is not dropped.
//!
//! On an OS thread outside the runtime one thing is left to the program: a generator that is kept in a thread-local of `std` to the thread's very
//! end must not be suspended inside `LocalKey::with` of another one, which may be destroyed first. See `docs/unsafe.md` in the repository.
//!
//! What a body may not do is yield in the midst of what nests on its thread: inside [`thread::no_suspend`](crate::thread::no_suspend),
//! [`cancel::shield`](crate::cancel::shield), a deadline or a call bounded by a token, if the body entered it. All of these would go on around
//! whatever the resumer does next. Nor may it yield while it unwinds. Both panic.
//!
//! # Roles
//!
//! | file | what is in it |
//! |---|---|
//! | `generator.rs` | [`Generator`] and [`Builder`]: who resumes |
//! | `yielder.rs` | [`Yielder`]: who yields |
//! | `record.rs` | what the two share, at the top of the stack; where stacks come from |
//!
//! # Invariants
//!
//! - **G1** The record is valid from its making until `record::give_back`, which is called only once the coroutine has ended or before it
//!   starts. No stack that holds frames is ever given back: it is run to its end, unwound, or leaked.
//! - **G2** A [`Yielder`] is used only by code that its body has called, so only while its body runs. It is lent to the body, neither
//!   `Send` nor `Sync`, and closures that run elsewhere cannot borrow it: bodies of other generators are `'static`, those of scoped threads are `Send`.
//! - **G3** After its first run a body runs only on the thread that resumed it first, and while that thread's closure does.
//! - **G4** Nothing unwinds out of a coroutine: its root catches.
//! - **G5** At a yield the thread is inside the same shields, bounds and `no_suspend`s as at the resume before it. So those nest although stacks are
//!   switched, and none lies on a stack that may be leaked.
//!
//! # Soundness
//!
//! *Leaked.* What `mem::forget` leaves behind is never resumed and its stack never used again (G1). The body is `'static`, so what
//! its frames borrow is theirs or lives for ever: a scoped thread that borrows from a leaked frame reads memory that stays as it is.
//!
//! *A body that waits* suspends the fiber of its green thread from the generator's stack. The switch saves a stack pointer, whatever stack it
//! is on, so the whole chain of resumers is suspended and resumed as one; meanwhile all of them are borrowed by the frames in between.
//!
//! *A yielder used on another generator's stack*, which needs unsafe code to get there, works as long as G2 holds: the inner one is
//! suspended in the midst of its run, as if its body waited, and goes on when the outer one is resumed.
//!
//! *On an OS thread* G3 needs no look, since a generator is not `Send`. But nobody can say when the OS thread's closure has ended and its
//! thread-locals are being destroyed: see "What generators add" in `docs/unsafe.md`.
//!
//! # Suspension
//!
//! `resume` and `yield_` switch, and are inlined into their callers, as `fiber.rs` explains. No thread-local is borrowed across: what has to be
//! known of the thread is asked at each resume (`current::scopes`), which is the only call that a resume and a yield make.
//!
//! # Checked by
//!
//! `tests/generator.rs`, `tests/generator_threads.rs`, doc tests.
//!
//! # Sources
//!
//! corosensei; Python's PEP 380 (delegation) and PEP 789 (why no yield within a cancel scope).

mod generator;
pub(crate) mod record;
mod yielder;

use std::{error::Error, fmt};

pub use self::{
    generator::{Builder, Generator},
    yielder::Yielder,
};

/// What a [`resume`](Generator::resume) came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State<Y, T> {
    /// The body yielded a value, and waits to be resumed.
    Yielded(Y),
    /// The body returned a value, and has ended.
    Complete(T),
}

impl<Y, T> State<Y, T> {
    /// What was yielded, if that is what happened.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::State;
    ///
    /// assert_eq!(State::<_, ()>::Yielded(1).yielded(), Some(1));
    /// assert_eq!(State::<u8, _>::Complete(()).yielded(), None);
    /// ```
    pub fn yielded(self) -> Option<Y> {
        match self {
            Self::Yielded(value) => Some(value),
            Self::Complete(_) => None,
        }
    }

    /// What was returned, if that is what happened.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::State;
    ///
    /// assert_eq!(State::<(), _>::Complete(1).complete(), Some(1));
    /// assert_eq!(State::<_, u8>::Yielded(()).complete(), None);
    /// ```
    pub fn complete(self) -> Option<T> {
        match self {
            Self::Yielded(_) => None,
            Self::Complete(value) => Some(value),
        }
    }
}

/// The generator had ended already; the value that it was to be resumed with is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ended<R>(pub R);

impl<R> fmt::Debug for Ended<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}

impl<R> fmt::Display for Ended<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the generator has ended")
    }
}

impl<R> Error for Ended<R> {}

/// An iterator over what `body` yields.
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
/// let fibonacci = coroutine::iter(|y| {
///     let (mut a, mut b) = (0, 1);
///     loop {
///         y.yield_(a);
///         (a, b) = (b, a + b);
///     }
/// });
/// assert!(fibonacci.take(8).eq([0, 1, 1, 2, 3, 5, 8, 13]));
/// ```
pub fn iter<Y: 'static>(body: impl FnOnce(&Yielder<(), Y>) + 'static) -> Generator<(), Y, ()> {
    Generator::new(|yielder, ()| body(yielder))
}
