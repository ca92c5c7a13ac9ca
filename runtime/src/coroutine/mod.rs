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
//! coroutine::scope(|s| {
//!     let numbers = s.iter(|y| walk(&tree, y));
//!     assert!(numbers.eq([1, 2, 3]));
//! });
//! ```
//!
//! # Where generators live
//!
//! In a [`scope`], which they cannot leave: not in what its closure returns, nor in what surrounds it, nor in a thread-local. So a body may
//! borrow from what surrounds the scope, or stand inside of `LocalKey::with` when it yields: it has ended, or is unwound, before
//! that is gone. They stay on the thread, green or not, that opened the scope. A generator that is leaked ends the process when its scope ends.
//!
//! What a body may not do is yield in the midst of what nests on its thread: inside [`thread::no_suspend`](crate::thread::no_suspend),
//! [`cancel::shield`](crate::cancel::shield), a deadline or a call bounded by a token, if the body entered it. All of these would go on around
//! whatever the resumer does next. Nor may it yield while it unwinds. Both panic.
//!
//! # Roles
//!
//! | file | what is in it |
//! |---|---|
//! | `scope.rs` | [`Scope`]: how long generators live |
//! | `generator.rs` | [`Generator`] and [`Builder`]: who resumes |
//! | `yielder.rs` | [`Yielder`]: who yields |
//! | `record.rs` | what the two share, at the top of the stack; where stacks come from |
//!
//! # Invariants
//!
//! - **G1** The record is valid from its making until `record::give_back`, which is called only once the coroutine has ended or before it
//!   starts. No stack that holds frames is ever given back: it is run to its end, unwound, or leaked.
//! - **G2** A [`Yielder`] is used only by what its body calls, so only while its body runs: on its own stack, or on that of a generator
//!   that it runs.
//! - **G3** A generator is reached only by frames of the thread that opened its scope, and above those of the call of `scope`. When that call ends,
//!   all its generators have ended or were dropped, and none was leaked.
//! - **G4** Nothing unwinds out of a coroutine: its root catches.
//! - **G5** At a yield the thread is inside the same shields, bounds and `no_suspend`s as at the resume before it. So those nest although stacks are
//!   switched. Each body counts its own, and at a yield none of them is in any, from the innermost body out to that of the yielder.
//!
//! # Soundness
//!
//! *Who comes to a generator* (G3). Whatever reaches it has `'scope` in its type, of which the closure of `scope` knows only that `'env` outlives it:
//! the caller of the closure chooses it, and it is invariant. So nothing can hold it that is named outside: the closure's result, what it has
//! captured, and all that is `'static`: statics, thread-locals of `std` and of green threads, `dyn Any`. As it is neither `Send` nor `Sync`, no
//! other thread can have captured it, be it green or scoped. What is left are frames of the closure, of what it calls, and bodies of
//! generators in this scope and in scopes that these open; and those run when one of the others resumes them, on the same thread, above
//! the call of `scope`.
//!
//! *Thread-locals* that a body borrows, by yielding inside of `LocalKey::with`, live when it goes on. They are destroyed by a thread that has no frames
//! but those of the destruction, so none of an older scope; a destructor that opens a scope has closed it before the next local is destroyed.
//! `process::exit` destroys them above frames to which nobody returns, and what the destructors have, which is `'static`, leads to none of the
//! generators there.
//!
//! *Leaked.* The stack is never resumed and never used again (G1): what is on it stays as it is, for whoever has borrowed it. But what the frames, and
//! those borrowers, have from outside would end with the scope. So the scope counts, and aborts (G3). Where a scope was opened inside of a body
//! that is leaked, its end never comes, and the scope further out aborts. The outermost lies on the stack of a thread, which is unwound, or,
//! if the thread is green, leaked as a whole with all that it has borrowed. A body that has ended, by returning or by a panic, has no frames.
//!
//! *A body that waits* suspends the fiber of its green thread from the generator's stack. The switch saves a stack pointer, whatever stack it
//! is on, so the whole chain of resumers is suspended and resumed as one; meanwhile all of them are borrowed by the frames in between.
//!
//! *A yielder that is lent on* (G2). It is neither `Send` nor `Sync`, and lent to its body for a lifetime of the body's call. Another body that borrows it
//! is in a scope that was opened further in; by G3 it runs only above the call of that scope, so above the body. If it yields for the outer one, it is
//! suspended in the midst of its run, as if it waited: its `&mut Generator` is borrowed by the frame of its `resume`, which lies on the outer's
//! stack, so it goes on when the outer does, and not before. If the outer one is dropped there, the payload unwinds the inner body,
//! is caught at its root, and comes out of its `resume`, in the outer body, which it unwinds next.
//!
//! # Suspension
//!
//! `resume` and `yield_` switch, and are inlined into their callers, as `fiber.rs` explains. They make no call and look at no thread-local: the scope has
//! asked for what has to be known of its thread (`current::innermost`).
//!
//! # Checked by
//!
//! `tests/generator*.rs`, doc tests.
//!
//! # Sources
//!
//! corosensei; Python's PEP 380 (delegation) and PEP 789 (why no yield within a cancel scope).

mod generator;
pub(crate) mod record;
mod scope;
mod yielder;

use std::{error::Error, fmt};

pub use self::{
    generator::{Builder, Generator},
    scope::{Scope, scope},
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
