//! The whole allocation of a task, and the functions that know the types in it: its closure, and later its result.
//!
//! H3 is that of `header.rs`, J3 that of `join.rs`.

use std::{
    any::Any,
    cell::UnsafeCell,
    mem::ManuallyDrop,
    panic::{self, AssertUnwindSafe},
    ptr::NonNull,
};

use super::Header;
use crate::cancel::{self, Cancelled};

/// What a green thread ends with.
pub(super) type Output<T> = Result<T, Box<dyn Any + Send>>;

/// What is behind the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Closure,
    Output,
    Empty,
}

/// The functions that know the types behind the header.
pub(super) struct Vtable {
    /// Runs the closure, or drops it unrun, and stores the output. On the task's stack.
    pub(super) run: unsafe fn(&Header, bool),
    /// Moves the output to the pointer.
    pub(super) take: unsafe fn(&Header, *mut ()),
    /// Drops whatever is in the stage.
    pub(super) clear: unsafe fn(&Header),
    /// Frees the box.
    pub(super) free: unsafe fn(NonNull<Header>),
}

/// The whole allocation.
#[repr(C)]
pub(super) struct TaskCell<F, T> {
    pub(super) header: Header,
    pub(super) data: UnsafeCell<Data<F, T>>,
}

pub(super) union Data<F, T> {
    pub(super) closure: ManuallyDrop<F>,
    output: ManuallyDrop<Output<T>>,
}

pub(super) const fn vtable<F: FnOnce() -> T, T>() -> Vtable {
    Vtable { run: run::<F, T>, take: take::<F, T>, clear: clear::<F, T>, free: free_box::<F, T> }
}

/// # Safety
///
/// `header` heads a `TaskCell<F, T>`, and the caller owns its stage.
unsafe fn data<'a, F, T>(header: &Header) -> &'a mut Data<F, T> {
    let cell = header.ptr().cast::<TaskCell<F, T>>();
    // SAFETY: the cell's address is the header's (H3).
    let data = unsafe { &(*cell.as_ptr()).data };
    // SAFETY: the caller owns the stage.
    unsafe { &mut *data.get() }
}

/// # Safety
///
/// As `data`; the stage holds the closure.
unsafe fn run<F: FnOnce() -> T, T>(header: &Header, cancelled: bool) {
    // SAFETY: the caller's contract.
    let data = unsafe { data::<F, T>(header) };
    header.stage.set(Stage::Empty);
    // SAFETY: the stage held the closure, which is taken once.
    let closure = unsafe { ManuallyDrop::take(&mut data.closure) };
    let output = if cancelled {
        // Destructors may wait: not to be cut short.
        panic::catch_unwind(AssertUnwindSafe(|| cancel::shield(|| drop(closure))))
            .and(Err(Box::new(Cancelled::new()) as _))
    } else {
        panic::catch_unwind(AssertUnwindSafe(closure))
    };
    // The closure was moved out; nobody else looks before `join.finish` (J3).
    data.output = ManuallyDrop::new(output);
    header.stage.set(Stage::Output);
}

/// # Safety
///
/// As `data`; the stage holds the output; `to` is valid for writes of it.
unsafe fn take<F, T>(header: &Header, to: *mut ()) {
    // SAFETY: the caller's contract.
    let data = unsafe { data::<F, T>(header) };
    header.stage.set(Stage::Empty);
    // SAFETY: the stage held the output, which is taken once.
    let output = unsafe { ManuallyDrop::take(&mut data.output) };
    // SAFETY: the caller's contract.
    unsafe { to.cast::<Output<T>>().write(output) };
}

/// # Safety
///
/// As `data`.
unsafe fn clear<F, T>(header: &Header) {
    // SAFETY: the caller's contract.
    let data = unsafe { data::<F, T>(header) };
    match header.stage.replace(Stage::Empty) {
        // SAFETY: the stage says what is there.
        Stage::Closure => unsafe { ManuallyDrop::drop(&mut data.closure) },
        // SAFETY: as above.
        Stage::Output => unsafe { ManuallyDrop::drop(&mut data.output) },
        Stage::Empty => {}
    }
}

/// # Safety
///
/// `header` heads a boxed `TaskCell<F, T>` whose data is dropped already, and no reference is left.
unsafe fn free_box<F, T>(header: NonNull<Header>) {
    // SAFETY: it was leaked from such a box.
    drop(unsafe { Box::from_raw(header.cast::<TaskCell<F, T>>().as_ptr()) });
}
