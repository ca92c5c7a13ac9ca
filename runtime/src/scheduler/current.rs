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
use crate::{coroutine::record, stack::overflow::Running, task::Header};

std::thread_local! {
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
    /// What a green thread keeps in its `Started`.
    static OS_SCOPES: Scopes = const { Scopes::new(OS_THREAD) };
}

/// The worker of this OS thread.
// `extern "C"`, so that callers in other units of code know that it does not unwind.
#[inline(never)]
extern "C" fn worker_ptr() -> *const Worker {
    load_worker()
}

/// For those who are never inlined themselves.
#[inline(always)]
fn load_worker() -> *const Worker {
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

/// Who a thread is, green or not, and how deep it is inside of what nests on it: bounds, shields and `no_suspend`s. For generators: see
/// `coroutine/mod.rs`, G3 and G5.
pub(crate) struct Scopes {
    /// The id of a green thread, or one of the constants below.
    thread: Cell<u64>,
    depth: Cell<u32>,
}

/// An OS thread outside the runtime. Which one does not matter, as generators stay on theirs.
const OS_THREAD: u64 = 0;
/// A green thread whose closure has ended.
pub(crate) const CLOSING: u64 = u64::MAX;

impl Scopes {
    /// Those of the green thread `id`, or of an OS thread.
    pub(crate) const fn new(id: u64) -> Self {
        Self { thread: Cell::new(id), depth: Cell::new(0) }
    }

    /// The green thread's closure has ended, and no generator goes on here.
    pub(crate) fn close(&self) {
        self.thread.set(CLOSING);
    }

    /// Whose they are; [`CLOSING`] of a thread on which no generator goes on.
    #[inline(always)]
    pub(crate) fn thread(&self) -> u64 {
        self.thread.get()
    }

    /// How many there are.
    #[inline(always)]
    pub(crate) fn depth(&self) -> u32 {
        self.depth.get()
    }
}

/// The scopes of the calling thread. The pointer is valid, and theirs, as long as what the thread calls runs, on whatever worker.
#[inline(never)]
pub(crate) extern "C" fn scopes() -> NonNull<Scopes> {
    // SAFETY: as for `worker`.
    if let Some(worker) = unsafe { load_worker().as_ref() }
        // SAFETY: a running task is kept alive by the worker that runs it.
        && let Some(task) = unsafe { worker.current_ptr().as_ref() }
    {
        return NonNull::from(&task.started().scopes);
    }
    OS_SCOPES.with(|scopes| NonNull::from(scopes))
}

/// Enters one.
pub(crate) fn enter_scope() {
    // SAFETY: the calling thread's, just now.
    let depth = &unsafe { scopes().as_ref() }.depth;
    depth.set(depth.get() + 1);
}

/// Leaves one.
pub(crate) fn leave_scope() {
    // SAFETY: as above.
    let depth = &unsafe { scopes().as_ref() }.depth;
    depth.set(depth.get() - 1);
}

/// Sets the worker of this OS thread.
pub(super) fn set(worker: *const Worker) {
    WORKER.set(worker);
}

/// For the overflow handler: whose stack has overflowed if a fault at `address` says so. Async-signal-safe, since the cell needs no
/// initialisation and no destructor.
pub(crate) fn running(address: usize) -> Option<Running> {
    let task = task().filter(|task| task.running().guard().contains(&address));
    let Some(task) = task else { return record::overflowed(address) };
    let name = task.display_name();
    Some(Running {
        guard: task.running().guard(),
        name: name.as_ptr(),
        name_len: name.len(),
        id: Some(task.meta.id),
    })
}
