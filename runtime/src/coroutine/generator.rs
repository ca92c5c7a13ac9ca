//! The side of a generator that resumes: the generator itself, and how it is made and dropped.
//!
//! The invariants (G1 to G5) are those of the parent module.

use std::{
    fmt, io,
    iter::FusedIterator,
    mem,
    panic::{self, AssertUnwindSafe},
    ptr::NonNull,
};

use corosensei::{Coroutine, CoroutineResult};

use super::{
    Ended, State, Yielder,
    record::{self, Command, Ending, Lowered, Record},
};
use crate::cancel::CAN_UNWIND;

/// A function that runs piece by piece on a stack of its own: each [`resume`](Self::resume) takes it from one
/// [`yield_`](Yielder::yield_) to the next.
///
/// `R` goes in with each resume, `Y` comes out with each yield, `T` at the end. One with `R` and `T` of `()` is an [`Iterator`]; see
/// [`iter`](super::iter).
///
/// Dropped half-way, it unwinds its body: see [`yield_`](Yielder::yield_). One that was never resumed drops its closure. In programs built
/// with `panic = "abort"` nothing can unwind, and the stack of a body that was dropped half-way is leaked.
///
/// To whom a generator belongs is said in [the module](super).
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<sward_runtime::coroutine::Generator<(), (), ()>>();
/// ```
/// ```compile_fail,E0277
/// fn is_sync<T: Sync>() {}
/// is_sync::<sward_runtime::coroutine::Generator<(), (), ()>>();
/// ```
///
/// # Examples
///
/// ```
/// use sward_runtime::coroutine::{Generator, State};
///
/// let mut greeter = Generator::new(|y, name: &str| {
///     let next = y.yield_(format!("hello {name}"));
///     format!("goodbye {next}")
/// });
/// assert_eq!(greeter.resume("Ada"), State::Yielded("hello Ada".to_owned()));
/// assert_eq!(greeter.resume("Bob"), State::Complete("goodbye Bob".to_owned()));
/// assert!(greeter.is_done());
/// ```
pub struct Generator<R, Y, T> {
    /// `None` once it has ended.
    coroutine: Option<Coroutine<Command<R>, Y, Ending<T>, Lowered>>,
    /// Of the coroutine, while there is one (G1).
    record: NonNull<Record>,
}

impl<R: 'static, Y: 'static, T: 'static> Generator<R, Y, T> {
    /// One that will run `body`, which gets the value of the first resume.
    ///
    /// # Panics
    ///
    /// If no stack can be had; see [`Builder::build`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::Generator;
    ///
    /// let mut double = Generator::new(|y, mut n: u32| {
    ///     loop {
    ///         n = y.yield_(2 * n);
    ///     }
    /// });
    /// assert_eq!(double.resume(4).yielded(), Some(8));
    /// # let _: &mut Generator<u32, u32, ()> = &mut double;
    /// ```
    pub fn new(body: impl FnOnce(&Yielder<R, Y>, R) -> T + 'static) -> Self {
        Builder::new().build(body).expect("no stack can be had for a generator")
    }
}

impl<R, Y, T> Generator<R, Y, T> {
    /// Runs the body until it yields or returns.
    ///
    /// # Suspension
    ///
    /// If the body waits, the thread that called this waits.
    ///
    /// # Cancellation
    ///
    /// A wait of the body that is cancelled unwinds the body, which ends it, and then the caller.
    ///
    /// # Panics
    ///
    /// If the generator has ended. With the body's payload, if the body panics, which ends it. On another thread than that of the first
    /// resume, see [the module](super).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::{Generator, State};
    ///
    /// let mut once = Generator::new(|y, n: u32| y.yield_(n + 1));
    /// assert_eq!(once.resume(1), State::Yielded(2));
    /// assert_eq!(once.resume(7), State::Complete(7));
    /// ```
    #[inline(always)]
    pub fn resume(&mut self, value: R) -> State<Y, T> {
        match self.try_resume(value) {
            Ok(state) => state,
            Err(_) => resumed_after_its_end(),
        }
    }

    /// As [`resume`](Self::resume), but an error if the generator has ended.
    ///
    /// # Suspension
    ///
    /// As for `resume`.
    ///
    /// # Panics
    ///
    /// As `resume`, but for the first reason.
    ///
    /// # Errors
    ///
    /// [`Ended`], with the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::{Ended, Generator};
    ///
    /// let mut generator = Generator::new(|_: &_, n: u32| n);
    /// # let _: &Generator<u32, (), u32> = &generator;
    /// assert!(generator.try_resume(1).is_ok());
    /// assert_eq!(generator.try_resume(2), Err(Ended(2)));
    /// ```
    #[inline(always)]
    pub fn try_resume(&mut self, value: R) -> Result<State<Y, T>, Ended<R>> {
        let Some(coroutine) = &mut self.coroutine else { return Err(Ended(value)) };
        // SAFETY: there is a coroutine (G1).
        if !unsafe { self.record.as_ref() }.enter() {
            resumed_elsewhere();
        }
        match coroutine.resume(Command::Resume(value)) {
            CoroutineResult::Yield(value) => Ok(State::Yielded(value)),
            CoroutineResult::Return(ending) => Ok(State::Complete(self.finish(ending))),
        }
    }

    /// Whether the body has returned or panicked.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut none = sward_runtime::coroutine::iter(|_: &_| ());
    /// # let _: &sward_runtime::coroutine::Generator<(), u8, ()> = &none;
    /// assert!(!none.is_done());
    /// assert_eq!(none.next(), None);
    /// assert!(none.is_done());
    /// ```
    #[must_use]
    #[inline]
    pub fn is_done(&self) -> bool {
        self.coroutine.is_none()
    }

    #[inline(never)]
    fn finish(&mut self, ending: Ending<T>) -> T {
        if let Some(coroutine) = self.coroutine.take() {
            // SAFETY: it has ended.
            unsafe { record::give_back(coroutine.into_stack()) };
        }
        ending.unwrap_or_else(|payload| panic::resume_unwind(payload))
    }
}

#[cold]
#[inline(never)]
fn resumed_after_its_end() -> ! {
    panic!("a generator was resumed after its end");
}

#[cold]
#[inline(never)]
fn resumed_elsewhere() -> ! {
    panic!("a generator was resumed by another thread than the one that started it");
}

impl<R, Y, T> Drop for Generator<R, Y, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(coroutine) = self.coroutine.take() {
            if coroutine.started() {
                unwind(coroutine, self.record);
            } else {
                drop_unstarted(coroutine);
            }
        }
    }
}

/// Drops the closure, and gives the stack back.
fn drop_unstarted<R, Y, T>(mut coroutine: Coroutine<Command<R>, Y, Ending<T>, Lowered>) {
    let dropped = panic::catch_unwind(AssertUnwindSafe(|| coroutine.force_unwind()));
    if dropped.is_err() {
        // SAFETY: there are no frames, and the destructor of the closure has run as far as it could.
        unsafe { coroutine.force_reset() };
    }
    // SAFETY: there is nothing left on the stack.
    unsafe { record::give_back(coroutine.into_stack()) };
    if let Err(payload) = dropped {
        panic::resume_unwind(payload);
    }
}

/// Unwinds a suspended body, and gives the stack back. Leaks it where the body must not run any more (G3).
#[cold]
fn unwind<R, Y, T>(mut coroutine: Coroutine<Command<R>, Y, Ending<T>, Lowered>, record: NonNull<Record>) {
    // SAFETY: there is a coroutine (G1).
    let record = unsafe { record.as_ref() };
    if !CAN_UNWIND || !record.enter() {
        return mem::forget(coroutine);
    }
    let CoroutineResult::Return(ending) = coroutine.resume(Command::Unwind) else {
        crate::error::abort("a generator yielded although it was dropped")
    };
    let failed = ending.err().filter(|payload| !record.has_thrown(&**payload));
    // SAFETY: it has ended.
    unsafe { record::give_back(coroutine.into_stack()) };
    if let Some(payload) = failed {
        panic::resume_unwind(payload);
    }
}

impl<Y> Iterator for Generator<(), Y, ()> {
    type Item = Y;

    /// Resumes the generator. `None` once it has ended.
    #[inline(always)]
    fn next(&mut self) -> Option<Y> {
        self.try_resume(()).ok()?.yielded()
    }
}

impl<Y> FusedIterator for Generator<(), Y, ()> {}

impl<R, Y, T> fmt::Debug for Generator<R, Y, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: there is a coroutine (G1).
        let record = self.coroutine.as_ref().map(|_| unsafe { self.record.as_ref() });
        f.debug_struct("Generator")
            .field("name", &record.and_then(Record::name))
            .field("is_done", &self.is_done())
            .finish_non_exhaustive()
    }
}

/// Makes a [`Generator`] with settings of its own.
///
/// # Examples
///
/// ```
/// use sward_runtime::coroutine::{Builder, State};
///
/// let mut small = Builder::new()
///     .name("small")
///     .stack_size(16 << 10)
///     .build(|_: &sward_runtime::coroutine::Yielder<(), ()>, ()| 6 * 7)?;
/// assert_eq!(small.resume(()), State::Complete(42));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: Option<Box<str>>,
    stack_size: Option<usize>,
}

impl Builder {
    /// The settings of [`Generator::new`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the generator, for the message that ends the process if its stack overflows.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The least size of its stack in bytes. 256 KiB if not given, of which only what was touched is resident.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Makes the generator, which runs when it is first resumed.
    ///
    /// # Errors
    ///
    /// If the stack size is above 1 GiB (of kind `InvalidInput`), or if the kernel gives no memory for a stack.
    pub fn build<R, Y, T, F>(self, body: F) -> io::Result<Generator<R, Y, T>>
    where
        R: 'static,
        Y: 'static,
        T: 'static,
        F: FnOnce(&Yielder<R, Y>, R) -> T + 'static,
    {
        let stack = Lowered::new(record::acquire(self.stack_size)?, self.name);
        let record = stack.record();
        // INVARIANT (G4): the body is called inside of `catch_unwind`, and nothing else here panics.
        let root = move |inner: &corosensei::Yielder<Command<R>, Y>, first: Command<R>| -> Ending<T> {
            let Command::Resume(first) = first else {
                crate::error::abort("a generator was unwound before it started")
            };
            let yielder = Yielder::new(inner, record);
            panic::catch_unwind(AssertUnwindSafe(|| body(&yielder, first)))
        };
        let coroutine = Coroutine::with_stack(stack, root);
        Ok(Generator { coroutine: Some(coroutine), record })
    }
}
