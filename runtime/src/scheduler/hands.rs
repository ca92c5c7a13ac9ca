//! What a worker has its hands on, for a stopper that looks while the worker may be running.
//!
//! A dump waits a while for every worker to stop, and no longer: one may be in a foreign call. What the others' stacks hold is looked at all the same,
//! and for that it must be certain which tasks a worker that has not stopped could touch. So does the end of a runtime, which cancels what the others have.
//!
//! # Roles
//!
//! The *worker* takes a task before it resumes it, puts it down once it has suspended, and says so when it has ended and is taken apart. The *stopper*
//! asks all workers to stop, by the phase, and then looks.
//!
//! # Invariants
//!
//! - **T1** A worker resumes a task, or starts one, only after it took it and *then* saw the phase. What it has put down it does not touch, but for
//!   making it known to others; before it takes a task up again it sees the phase again.
//! - **T2** A task that has ended is in `ending` from before it is put down until it is off its stack's record. If the worker sees that it is to stop it
//!   does so in between, so that what the stopper sees in `current` is there until the phase changes back.
//! - **T3** So once the phase was changed, and after a fence on both sides, a worker that has not stopped touches no task but those that [`look`](Hands::look)
//!   finds, until the phase changes back; but for what the stopper leaves alone of those in its queues: the link, and what tells the cache what to fetch;
//!   and for what `doubt.rs` writes once nothing unwinds on the worker any more.
//!
//! # Orderings
//!
//! | worker | stopper |
//! |---|---|
//! | writes `current` (Release) | writes the phase |
//! | [`light_fence`] | [`heavy_fence`] |
//! | reads the phase | reads `current`, then `ending` (Acquire) |
//!
//! The two fences are a pair: the heavy one has every CPU that runs a thread of the process fence, so the light one need only hold the compiler back, and
//! costs a switch nothing. One of the two sides sees what the other has written. The stopper fences heavily once more before it lets the workers go on: one
//! that had not stopped learns of it from a relaxed read of the phase, and must see what the stopper did to the stacks.
//!
//! `ending` is written before `current` is cleared, and read after it, so a task that ends is in one of the two.
//!
//! # Checked by
//!
//! `loom-tests/tests/hands.rs`.
//!
//! # Sources
//!
//! `membarrier(2)`; hazard pointers with asymmetric fences, as in folly.

use std::ptr;

use crate::prim::{
    atomic::{
        AtomicPtr, AtomicU8,
        Ordering::{Acquire, Relaxed, Release},
    },
    light_fence,
};

/// See the module.
#[derive(Debug)]
pub struct Hands<T> {
    current: AtomicPtr<T>,
    ending: AtomicPtr<T>,
}

impl<T> Default for Hands<T> {
    fn default() -> Self {
        Self { current: AtomicPtr::new(ptr::null_mut()), ending: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl<T> Hands<T> {
    /// The task that was taken. For the worker.
    #[inline]
    #[must_use]
    pub fn current(&self) -> *mut T {
        self.current.load(Relaxed)
    }

    /// Takes a task, and returns the phase: if it asks for a stop, the worker stops before it touches the task (T1).
    #[inline]
    #[must_use]
    pub fn take(&self, task: *mut T, phase: &AtomicU8) -> u8 {
        self.current.store(task, Release);
        light_fence(); // T3, pairs with the stopper's heavy one
        phase.load(Relaxed)
    }

    /// Puts the task down, which is not touched any more (T1).
    #[inline]
    pub fn put_down(&self) {
        self.current.store(ptr::null_mut(), Release);
    }

    /// As [`put_down`](Self::put_down), of a task that has ended and is taken apart now; or, if the phase that is returned asks for a stop, after
    /// that (T2).
    #[inline]
    #[must_use]
    pub fn end(&self, task: *mut T, phase: &AtomicU8) -> u8 {
        self.ending.store(task, Release);
        self.current.store(ptr::null_mut(), Release);
        light_fence(); // T3, pairs with the stopper's heavy one
        phase.load(Relaxed)
    }

    /// The task that has ended is no more.
    #[inline]
    pub fn ended(&self) {
        self.ending.store(ptr::null_mut(), Release);
    }

    /// What the worker has taken, and what it takes apart. For the stopper, after its heavy fence; the first is there until the phase changes back, the
    /// second perhaps not (T2).
    #[must_use]
    pub fn look(&self) -> [*mut T; 2] {
        let current = self.current.load(Acquire);
        [current, self.ending.load(Acquire)]
    }
}
