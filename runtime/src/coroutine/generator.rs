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
    Ended, Scope, State, Yielder,
    record::{self, Command, Ending, Lowered, Record},
    scope::Alive,
};
use crate::cancel::CAN_UNWIND;

/// A function that runs piece by piece on a stack of its own: each [`resume`](Self::resume) takes it from one
/// [`yield_`](Yielder::yield_) to the next.
///
/// `R` goes in with each resume, `Y` comes out with each yield, `T` at the end. One with `R` and `T` of `()` is an [`Iterator`]; see
/// [`Scope::iter`]. It lives in a [`scope`](super::scope()), for `'scope` at most.
///
/// Dropped half-way, it unwinds its body: see [`yield_`](Yielder::yield_). One that was never resumed drops its closure. It must not be
/// leaked, nor, in programs built with `panic = "abort"`, dropped half-way: the process aborts at the end of the scope.
///
/// It stays on its thread, green or not.
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<sward_runtime::coroutine::Generator<'static, (), (), ()>>();
/// ```
/// ```compile_fail,E0277
/// fn is_sync<T: Sync>() {}
/// is_sync::<sward_runtime::coroutine::Generator<'static, (), (), ()>>();
/// ```
///
/// # Examples
///
/// ```
/// use sward_runtime::coroutine::{self, State};
///
/// coroutine::scope(|s| {
///     let mut greeter = s.generator(|y, name: &str| {
///         let next = y.yield_(format!("hello {name}"));
///         format!("goodbye {next}")
///     });
///     assert_eq!(greeter.resume("Ada"), State::Yielded("hello Ada".to_owned()));
///     assert_eq!(greeter.resume("Bob"), State::Complete("goodbye Bob".to_owned()));
///     assert!(greeter.is_done());
/// });
/// ```
pub struct Generator<'scope, R, Y, T> {
    /// `None` once it has ended.
    coroutine: Option<Body<R, Y, T>>,
    /// Of the coroutine, while there is one (G1).
    record: NonNull<Record>,
    alive: &'scope Alive,
}

type Body<R, Y, T> = Coroutine<Command<R>, Y, Ending<T>, Lowered>;

impl<R, Y, T> Generator<'_, R, Y, T> {
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
    /// If the generator has ended. With the body's payload, if the body panics, which ends it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::{self, State};
    ///
    /// coroutine::scope(|s| {
    ///     let mut once = s.generator(|y, n: u32| y.yield_(n + 1));
    ///     assert_eq!(once.resume(1), State::Yielded(2));
    ///     assert_eq!(once.resume(7), State::Complete(7));
    /// });
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
    /// With the body's payload, if the body panics.
    ///
    /// # Errors
    ///
    /// [`Ended`], with the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::{self, Ended, Yielder};
    ///
    /// coroutine::scope(|s| {
    ///     let mut generator = s.generator(|_: &Yielder<u32, ()>, n| n);
    ///     assert!(generator.try_resume(1).is_ok());
    ///     assert_eq!(generator.try_resume(2), Err(Ended(2)));
    /// });
    /// ```
    #[inline(always)]
    pub fn try_resume(&mut self, value: R) -> Result<State<Y, T>, Ended<R>> {
        let Some(coroutine) = &mut self.coroutine else { return Err(Ended(value)) };
        // SAFETY: there is a coroutine (G1).
        let record = unsafe { self.record.as_ref() };
        record.enter();
        let result = coroutine.resume(Command::Resume(value));
        record.leave();
        match result {
            CoroutineResult::Yield(value) => Ok(State::Yielded(value)),
            CoroutineResult::Return(ending) => Ok(State::Complete(self.finish(ending))),
        }
    }

    /// Whether the body has returned or panicked.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::coroutine::{self, Yielder};
    ///
    /// coroutine::scope(|s| {
    ///     let mut none = s.iter(|_: &Yielder<(), u8>| ());
    ///     assert!(!none.is_done());
    ///     assert_eq!(none.next(), None);
    ///     assert!(none.is_done());
    /// });
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
            self.alive.count_out();
        }
        ending.unwrap_or_else(|payload| panic::resume_unwind(payload))
    }
}

#[cold]
#[inline(never)]
fn resumed_after_its_end() -> ! {
    panic!("a generator was resumed after its end");
}

impl<R, Y, T> Drop for Generator<'_, R, Y, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(coroutine) = self.coroutine.take() {
            if coroutine.started() {
                unwind(coroutine, self.record, self.alive);
            } else {
                drop_unstarted(coroutine, self.alive);
            }
        }
    }
}

/// Drops the closure, and gives the stack back.
fn drop_unstarted<R, Y, T>(mut coroutine: Body<R, Y, T>, alive: &Alive) {
    let dropped = panic::catch_unwind(AssertUnwindSafe(|| coroutine.force_unwind()));
    if dropped.is_err() {
        // SAFETY: there are no frames, and the destructor of the closure has run as far as it could.
        unsafe { coroutine.force_reset() };
    }
    // SAFETY: there is nothing left on the stack.
    unsafe { record::give_back(coroutine.into_stack()) };
    alive.count_out();
    if let Err(payload) = dropped {
        panic::resume_unwind(payload);
    }
}

/// Unwinds a suspended body, and gives the stack back. Where nothing can unwind it leaks it, and the generator counts as alive.
#[cold]
fn unwind<R, Y, T>(mut coroutine: Body<R, Y, T>, record: NonNull<Record>, alive: &Alive) {
    if !CAN_UNWIND {
        return mem::forget(coroutine);
    }
    // SAFETY: there is a coroutine (G1).
    let record = unsafe { record.as_ref() };
    record.enter();
    let result = coroutine.resume(Command::Unwind);
    record.leave();
    let CoroutineResult::Return(ending) = result else {
        crate::error::abort("a generator yielded although it was dropped")
    };
    let failed = ending.err().filter(|payload| !record.has_thrown(&**payload));
    // SAFETY: it has ended.
    unsafe { record::give_back(coroutine.into_stack()) };
    alive.count_out();
    if let Some(payload) = failed {
        panic::resume_unwind(payload);
    }
}

impl<Y> Iterator for Generator<'_, (), Y, ()> {
    type Item = Y;

    /// Resumes the generator. `None` once it has ended.
    #[inline(always)]
    fn next(&mut self) -> Option<Y> {
        self.try_resume(()).ok()?.yielded()
    }
}

impl<Y> FusedIterator for Generator<'_, (), Y, ()> {}

impl<R, Y, T> fmt::Debug for Generator<'_, R, Y, T> {
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
/// use sward_runtime::coroutine::{self, Builder, State, Yielder};
///
/// coroutine::scope(|s| {
///     let small = Builder::new().name("small").stack_size(16 << 10);
///     let mut small = small.build(s, |_: &Yielder<(), ()>, ()| 6 * 7)?;
///     assert_eq!(small.resume(()), State::Complete(42));
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: Option<Box<str>>,
    stack_size: Option<usize>,
}

impl Builder {
    /// The settings of [`Scope::generator`].
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

    /// Makes the generator in `scope`; it runs when it is first resumed.
    ///
    /// # Errors
    ///
    /// If the stack size is above 1 GiB (of kind `InvalidInput`), or if the kernel gives no memory for a stack.
    pub fn build<'scope, R, Y, T, F>(
        self,
        scope: &'scope Scope<'scope, '_>,
        body: F,
    ) -> io::Result<Generator<'scope, R, Y, T>>
    where
        R: 'scope,
        Y: 'scope,
        T: 'scope,
        F: FnOnce(&Yielder<R, Y>, R) -> T + 'scope,
    {
        let alive = scope.alive();
        let stack = Lowered::new(record::acquire(self.stack_size)?, alive.innermost(), self.name);
        let record = stack.record();
        // INVARIANT (G4): the body is called inside of `catch_unwind`, and nothing else here panics.
        let root = move |inner: &corosensei::Yielder<Command<R>, Y>, first: Command<R>| -> Ending<T> {
            let Command::Resume(first) = first else {
                crate::error::abort("a generator was unwound before it started")
            };
            let yielder = Yielder::new(inner, record);
            panic::catch_unwind(AssertUnwindSafe(|| body(&yielder, first)))
        };
        // SAFETY: the body and what passes in and out outlive `'scope`, after which nobody comes to the coroutine (G3).
        let coroutine = unsafe { Coroutine::with_stack_unchecked(stack, root) };
        alive.count_in();
        Ok(Generator { coroutine: Some(coroutine), record, alive })
    }
}
