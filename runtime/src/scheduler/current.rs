//! Who runs here: the scheduler's only thread-local, and the only way to it.
//!
//! # Invariants
//!
//! - **C1** The cell points to the worker of this OS thread from the worker's start to its end, and is null elsewhere.
//! - **C2** The accessors are never inlined and return a value, so that no code that may be resumed on another OS thread holds
//!   an address of thread-local storage. Whoever calls it across a suspension calls it again afterwards.
//!
//! # Rejected
//!
//! Finding the worker by masking the stack pointer: stacks would need to be aligned to their size, and an OS thread's are not.

use std::{
    cell::Cell,
    ptr::{self, NonNull},
};

use super::worker::Worker;
use crate::{
    coroutine::record::{self, Record},
    stack::overflow::Running,
    task::Header,
};

std::thread_local! {
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
    /// What a green thread keeps in its `Started`.
    static OS_GENERATOR: Innermost = const { Cell::new(None) };
}

/// The worker of this OS thread.
// `extern "C"`, so that callers in other units of code know that it does not unwind.
#[inline(never)]
extern "C" fn worker_ptr() -> *const Worker {
    let worker = WORKER.get();
    // Opaque to the optimiser, which must neither see that the value is that of a thread-local, nor keep it across a switch.
    // SAFETY: no instruction at all.
    unsafe { std::arch::asm!("", options(nostack, preserves_flags)) };
    worker
}

/// The worker of this OS thread, for use before the next suspension.
#[inline]
pub(crate) fn worker<'a>() -> Option<&'a Worker> {
    // SAFETY: it outlives everything that runs on its OS thread (C1); callers do not keep it across a suspension (C2).
    unsafe { worker_ptr().as_ref() }
}

/// The green thread that runs here, for its own use: valid while it runs, on whatever worker.
#[inline]
pub(crate) fn task<'a>() -> Option<&'a Header> {
    // SAFETY: a running task is kept alive by the worker that runs it.
    unsafe { worker()?.current_ptr().as_ref() }
}

/// Both in one, for those who need both before the next suspension.
#[inline]
pub(crate) fn worker_and_task<'a>() -> Option<(&'a Worker, &'a Header)> {
    let worker = worker()?;
    // SAFETY: as above.
    let task = unsafe { worker.current_ptr().as_ref() }?;
    Some((worker, task))
}

/// Panics inside `no_suspend`.
#[inline]
pub(crate) fn assert_may_suspend() {
    if let Some(worker) = worker() {
        worker.assert_may_suspend();
    }
}

/// The innermost generator whose body runs on a thread, green or not. For generators: see `coroutine/mod.rs`, G5.
pub(crate) type Innermost = Cell<Option<NonNull<Record>>>;

/// That of the calling thread. The pointer is valid, and the thread's own, as long as what it calls runs, on whatever worker.
#[inline(never)]
pub(crate) extern "C" fn innermost() -> NonNull<Innermost> {
    if let Some(task) = task() {
        return NonNull::from(&task.started().generator);
    }
    OS_GENERATOR.with(|generator| NonNull::from(generator))
}

fn generator<'a>() -> Option<&'a Record> {
    // SAFETY: the calling thread's, just now.
    let generator = unsafe { innermost().as_ref() }.get()?;
    // SAFETY: it runs, and its record is valid meanwhile (G1 of `coroutine/mod.rs`).
    Some(unsafe { generator.as_ref() })
}

/// A bound, a shield or a `no_suspend` is entered.
pub(crate) fn enter_scope() {
    if let Some(generator) = generator() {
        generator.enter_scope();
    }
}

/// It is left.
pub(crate) fn leave_scope() {
    if let Some(generator) = generator() {
        generator.leave_scope();
    }
}

/// Sets the worker of this OS thread.
pub(super) fn set(worker: *const Worker) {
    WORKER.set(worker);
}

/// For the overflow handler: whose stack has overflowed if a fault at `address` says so. Async-signal-safe, since the cell needs no
/// initialisation and no destructor.
pub(crate) fn running(address: usize) -> Option<Running> {
    let task = task().filter(|task| task.is_on_stack() && task.running().guard().contains(&address));
    let Some(task) = task else { return record::overflowed(address) };
    let name = task.display_name();
    Some(Running {
        guard: task.running().guard(),
        name: name.as_ptr(),
        name_len: name.len(),
        id: Some(task.meta.id),
    })
}
