//! A fiber: one stack that is resumed and suspended, and the record of it.
//!
//! A thin layer over corosensei that fixes the types which pass through a switch, and keeps the coroutine, with whatever else is needed
//! only once a green thread has started, at the top of its own stack: in the page, and the cache lines, that are touched anyway. It knows no
//! scheduler.
//!
//! ```text
//!   stack.base() ──▶ ┌───────────────┐
//!                    │ Record        │  coroutine, yielder, guard, data
//!   Lowered.base() ▶ ├───────────────┤
//!                    │ frames        │  grow down
//! ```
//!
//! # Invariants
//!
//! - **F1** A fiber is resumed by one thread at a time, and only while it is suspended or fresh: the owner of its task does it.
//! - **F2** A started fiber that has not ended is never dropped: its stack holds frames, which are unwound or leaked.
//! - **F3** The body catches every panic: nothing unwinds out of a fiber.
//! - **F4** The record is valid from `Fiber::new` until `Fiber::into_stack`, which is the only way to end it.
//!
//! # Suspension
//!
//! [`Fiber::suspend`] switches away and returns when the fiber is resumed, in roaming mode perhaps on another OS thread. It is always
//! inlined: see `scheduler/worker.rs` for what a frame in between costs. That takes nothing from soundness: the compiler may keep
//! an address of thread-local storage across a call as well as across inlined assembly, which is why anchored is the default.

use std::{
    cell::Cell,
    mem::ManuallyDrop,
    num::NonZeroUsize,
    ops::Range,
    ptr::{self, NonNull},
};

use corosensei::{Coroutine, CoroutineResult, Yielder, stack::StackPointer};

use crate::{
    dump::trace::{self, Trace},
    prim,
    stack::Stack,
};

/// Why a fiber left its stack; what its worker is to do once off it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// Queue it behind all that is ready.
    Yield,
    /// Park it in the wait that it has noted, unless that is over already.
    Park,
    /// Nothing: it was resumed to look at its own stack, and has.
    Looked,
}

/// What a resume came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Suspended(Suspend),
    Ended,
}

/// What a fiber is resumed for: to go on, if it is null; else to look at its own stack.
pub(crate) type Order = *mut Trace;

/// See the module. `D` is what its user keeps with it.
pub(crate) struct Fiber<D>(NonNull<Record<D>>);

#[repr(C, align(64))]
struct Record<D> {
    coroutine: ManuallyDrop<Coroutine<Order, Suspend, (), Lowered<D>>>,
    yielder: Cell<*const Yielder<Order, Suspend>>,
    guard: Range<usize>,
    data: D,
}

/// A stack whose top is taken by the record.
struct Lowered<D>(Stack, std::marker::PhantomData<D>);

impl<D> Lowered<D> {
    fn record(stack: &Stack) -> NonNull<Record<D>> {
        let base = corosensei::stack::Stack::base(stack).get();
        let address = (base - size_of::<Record<D>>()) & !(align_of::<Record<D>>() - 1);
        NonNull::new(ptr::with_exposed_provenance_mut(address))
            .expect("a stack does not lie at the bottom of memory")
    }
}

// SAFETY: the guard and the limit are the stack's; what is below the record is far more than corosensei's least size, and the record's
// address is a multiple of 64.
unsafe impl<D> corosensei::stack::Stack for Lowered<D> {
    #[inline]
    fn base(&self) -> StackPointer {
        NonZeroUsize::from(Self::record(&self.0).addr())
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        corosensei::stack::Stack::limit(&self.0)
    }
}

impl<D: 'static> Fiber<D> {
    /// A fresh fiber on `stack`, to run `body` when first resumed.
    #[inline]
    pub(crate) fn new(stack: Stack, data: D, body: impl FnOnce() + 'static) -> Self {
        let record = Lowered::<D>::record(&stack);
        let guard = stack.guard();
        let lowered = Lowered(stack, std::marker::PhantomData);
        let coroutine = Coroutine::with_stack(lowered, move |yielder: &Yielder<Order, Suspend>, _| {
            // SAFETY: the fiber runs, so its record is valid (F4).
            unsafe { &(*record.as_ptr()).yielder }.set(yielder);
            body();
        });
        let fresh =
            Record { coroutine: ManuallyDrop::new(coroutine), yielder: Cell::new(ptr::null()), guard, data };
        // SAFETY: the top of the stack is ours, mapped, and above what the coroutine uses.
        unsafe { record.write(fresh) };
        Self(record)
    }

    /// Switches to the fiber until it suspends or ends.
    ///
    /// # Safety
    ///
    /// The caller is the one who may resume it (F1).
    #[inline(always)]
    pub(crate) unsafe fn resume(&self) -> Step {
        // SAFETY: the record is valid (F4), and the coroutine is the caller's (F1); the fiber itself uses the other fields only.
        let coroutine = unsafe { &mut (*self.0.as_ptr()).coroutine };
        match coroutine.resume(ptr::null_mut()) {
            CoroutineResult::Yield(why) => Step::Suspended(why),
            CoroutineResult::Return(()) => Step::Ended,
        }
    }

    /// Leaves the running fiber's stack.
    ///
    /// # Safety
    ///
    /// It is this fiber that runs on this stack.
    #[inline(always)]
    pub(crate) unsafe fn suspend(&self, why: Suspend) {
        // SAFETY: the record is valid (F4).
        let yielder = unsafe { &(*self.0.as_ptr()).yielder }.get();
        // SAFETY: the body set it; it lies at the root of the stack that we are on.
        let yielder = unsafe { &*yielder };
        if let Some(trace) = NonNull::new(yielder.suspend(why)) {
            trace::look(yielder, trace);
        }
    }

    /// Has the suspended fiber look at its own stack, from where it is, and suspend again.
    ///
    /// # Safety
    ///
    /// As [`resume`](Self::resume), and the fiber has been suspended since it began. It need not be the OS thread on which it runs else: no code of
    /// its own runs.
    pub(crate) unsafe fn look(&self, trace: &mut Trace) {
        // SAFETY: the record is valid (F4).
        let bounds = unsafe { &(*self.0.as_ptr()).guard }.end..self.0.addr().get();
        trace.begin(bounds);
        // SAFETY: as in `resume`.
        let coroutine = unsafe { &mut (*self.0.as_ptr()).coroutine };
        let looked = matches!(coroutine.resume(trace), CoroutineResult::Yield(Suspend::Looked));
        assert!(looked, "a fiber that was to look at its stack has run");
    }

    /// The stack of a fiber that has ended; drops the data.
    ///
    /// # Safety
    ///
    /// Nobody uses the fiber any more.
    #[inline]
    pub(crate) unsafe fn into_stack(self) -> Stack {
        let record = self.0.as_ptr();
        // SAFETY: the record is valid (F4), and this is its end.
        let record = unsafe { &mut *record };
        // SAFETY: nobody uses it any more.
        unsafe { ptr::drop_in_place(&raw mut record.data) };
        // SAFETY: taken once.
        unsafe { ManuallyDrop::take(&mut record.coroutine) }.into_stack().0
    }

    /// Has the cache fetch the record.
    #[inline(always)]
    pub(crate) fn fetch(&self) {
        prim::fetch(self.0.addr().get(), size_of::<Record<D>>());
    }

    /// What its user keeps with it.
    #[inline]
    pub(crate) fn data(&self) -> &D {
        // SAFETY: the record is valid (F4); the field is only ever shared.
        unsafe { &(*self.0.as_ptr()).data }
    }

    /// The guard region below the stack.
    pub(crate) fn guard(&self) -> Range<usize> {
        // SAFETY: the record is valid (F4); the field never changes.
        unsafe { &(*self.0.as_ptr()).guard }.clone()
    }

    /// The top of the frames.
    #[cfg(stack_scan)]
    pub(crate) fn top(&self) -> usize {
        self.0.addr().get()
    }
}
