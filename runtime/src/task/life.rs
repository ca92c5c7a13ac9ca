//! The life of a green thread, on its own stack: its closure, its result, and what is destroyed at its end.
//!
//! # Suspension
//!
//! The closure may suspend, and so may each destructor.

use std::{
    cell::UnsafeCell,
    panic::{self, AssertUnwindSafe},
};

use super::{Header, join::Finish, local::Locals};
use crate::{error, spans};

/// Runs the task's closure, gives its result to whoever joins, and destroys what it leaves.
pub(crate) fn run(task: &Header) {
    // SAFETY: the task's only run.
    unsafe { task.run_closure(task.is_to_end()) };
    // What is left are destructors, which may wait: not to be cut short.
    task.started().shields.set(1);
    destroy_locals(task);
    match task.join.finish() {
        Finish::Unawaited => {}
        Finish::DropResult => {
            // SAFETY: the handle gave the result up (J3).
            unsafe { task.drop_output() };
            // Its destructor may have made some anew.
            destroy_locals(task);
        }
        Finish::Wake => {
            // SAFETY: `finish` replaced WAITING (J1).
            let waker = unsafe { &mut *task.joiner.get() }.take().expect("J1");
            // SAFETY: the joiner's frame waits for `release` before it ends (J2).
            let claimed = unsafe { waker.claim() };
            // Before foreign code runs, if it is a future's: nobody is to spin for that.
            task.join.release();
            if let Some(claimed) = claimed {
                claimed.schedule();
            }
            drop(waker);
            // It may have made some anew.
            destroy_locals(task);
        }
    }
    // Those whose guards it has forgotten.
    let _ = spans::leave();
    task.state.finish();
}

#[inline]
fn destroy_locals(task: &Header) {
    let locals = &task.started().locals;
    // SAFETY: the task's own (K2 of `local.rs`).
    if !unsafe { &*locals.get() }.is_empty() {
        destroy(locals);
    }
}

#[cold]
fn destroy(locals: &UnsafeCell<Locals>) {
    // SAFETY: the closure has ended; nothing borrows from the locals any more.
    let destroyed = panic::catch_unwind(AssertUnwindSafe(|| unsafe { Locals::destroy(locals) }));
    if destroyed.is_err() {
        error::abort("a green-thread local panicked in its destructor");
    }
}
