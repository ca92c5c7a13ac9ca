//! A fiber: one stack that is resumed and suspended.
//!
//! A thin layer over corosensei that fixes the types which pass through a switch. It knows no scheduler.
//!
//! # Invariants
//!
//! - **F1** A fiber is resumed by one thread at a time, and only while it is suspended or fresh: the owner of its task does it.
//! - **F2** A started fiber that has not ended is never dropped: its stack holds frames, which are unwound or leaked.
//! - **F3** The body catches every panic: nothing unwinds out of a fiber.
//!
//! # Suspension
//!
//! [`suspend`] switches away and returns when the fiber is resumed, in roaming mode perhaps on another OS thread. It is always inlined:
//! see `scheduler/worker.rs` for what a frame in between costs. That takes nothing from soundness: the compiler may keep an
//! address of thread-local storage across a call as well as across inlined assembly, which is why anchored is the default.

use std::mem::ManuallyDrop;

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::stack::Stack;

/// Why a fiber left its stack; what its worker is to do once off it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// Queue it again.
    Yield,
    /// Park it, unless its wait was won meanwhile.
    Park,
    /// Begin a wait for the token and park it, unless the token is there.
    ParkForToken,
    /// The same, and the wait may not be cancelled.
    ParkForTokenShielded,
}

/// What a resume came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Suspended(Suspend),
    Ended,
}

/// See the module.
pub(crate) struct Fiber(ManuallyDrop<Coroutine<(), Suspend, (), Stack>>);

impl Fiber {
    /// A fresh fiber on `stack`, to run `body` when first resumed.
    #[inline]
    pub(crate) fn new(stack: Stack, body: impl FnOnce(&Yielder<(), Suspend>) + 'static) -> Self {
        Self(ManuallyDrop::new(Coroutine::with_stack(stack, move |yielder, ()| body(yielder))))
    }

    /// Switches to the fiber until it suspends or ends.
    #[inline(always)]
    pub(crate) fn resume(&mut self) -> Step {
        match self.0.resume(()) {
            CoroutineResult::Yield(why) => Step::Suspended(why),
            CoroutineResult::Return(()) => Step::Ended,
        }
    }

    /// The stack of a fiber that has ended.
    #[inline]
    pub(crate) fn into_stack(self) -> Stack {
        ManuallyDrop::into_inner(self.0).into_stack()
    }
}

/// Leaves the running fiber's stack.
///
/// # Safety
///
/// `yielder` is that of the fiber that runs on this stack.
#[inline(always)]
pub(crate) unsafe fn suspend(yielder: *const Yielder<(), Suspend>, why: Suspend) {
    // SAFETY: the yielder lies at the root of the stack that we are on.
    unsafe { &*yielder }.suspend(why);
}
