//! The record of one green thread: a header that every part of the runtime knows, and behind it, in the same
//! allocation, the closure that is to run and later its result.
//!
//! # Roles
//!
//! Who may touch which field when:
//!
//! | field | by whom |
//! |---|---|
//! | `state`, `join` | anyone with a reference, by their own protocols |
//! | `link` | the queue that owns the task |
//! | `home`, `fiber` | the owner (S1, S3 of `state.rs`): worker, queue or claimer |
//! | what is in [`Started`] | the green thread itself |
//! | `joiner` | see `join.rs`, J1 |
//! | stage (behind the header) | the green thread until `join.finish`, then the handle (J3) |
//! | the rest | never changes |
//!
//! # Invariants
//!
//! - **H1** A task has one reference for the runtime, given up after its end, and one each for its `JoinHandle` and each
//!   `Thread`. The allocation lives while there is one.
//! - **H2** `shared` is valid until the task has finished: a runtime ends only after its last task.
//! - **H3** The header is the first field of its [`TaskCell`], so the two have one address.
//!
//! # Orderings
//!
//! `refs` as in `std::sync::Arc`: drops release, the last one acquires. A drop that finds itself alone (Acquire load of 1)
//! frees without a read-modify-write: nobody else is left who could clone.

use std::{
    cell::{Cell, UnsafeCell},
    fmt,
    mem::ManuallyDrop,
    panic::{self, AssertUnwindSafe, Location},
    ptr::NonNull,
};

use super::{
    cell::{Data, Output, Stage, TaskCell, Vtable, vtable},
    join::JoinWord,
    slab::{ALIGN, BLOCK, Slab},
    started::Started,
    state::{Shield, State},
};
use crate::{
    cancel::CAN_UNWIND,
    fiber::{Fiber, Suspend},
    park::{WaitReason, Waker},
    prim::{
        self,
        atomic::{
            AtomicPtr, AtomicU8, AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
    },
    queue::inbox::Linked,
    scheduler::{Shared, current, worker::Worker},
    spans,
};

/// No worker yet.
pub(crate) const NO_HOME: u32 = u32::MAX;

/// How many bytes of the latest frames are fetched ahead: those of a wait, and of what waits.
const FRAMES: usize = 384;

/// See the module.
#[repr(C)]
pub(crate) struct Header {
    link: AtomicPtr<Self>,
    pub(crate) state: State,
    refs: AtomicU32,
    pub(crate) home: Cell<u32>,
    /// `None` until it first runs: until then a task is this allocation and nothing else.
    pub(crate) fiber: UnsafeCell<Option<Fiber<Started>>>,
    pub(crate) shared: *const Shared,
    pub(crate) joiner: UnsafeCell<Option<Waker>>,
    pub(crate) join: JoinWord,
    reason: AtomicU8,
    pub(super) stage: Cell<Stage>,
    /// Whether the memory is a slab's, else a box's.
    in_slab: bool,
    vtable: &'static Vtable,
    pub(crate) meta: Meta,
}

/// What never changes.
#[derive(Debug)]
pub(crate) struct Meta {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) site: &'static Location<'static>,
    pub(crate) options: Option<Box<Options>>,
}

/// What few green threads have.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    pub(crate) stack_size: Option<usize>,
}

impl Meta {
    pub(crate) fn name(&self) -> Option<&str> {
        self.options.as_ref()?.name.as_deref()
    }
}

/// Whether a task is unwinding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwinding {
    No,
    Yes,
    /// Another of its worker is, and this one may have begun to since it was last resumed.
    Perhaps,
}

/// One counted reference to a task.
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: the header's fields are either atomics, or touched only by the one who owns them at the time, which
// the protocols of `state.rs` and `join.rs` hand on with Acquire and Release; closure and output are Send (`spawn`).
unsafe impl Send for TaskRef {}
// SAFETY: as above: through a shared reference only the atomics are used by non-owners.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// Allocates a task with two references: the runtime's and the handle's. From `slab`, the calling worker's, if it fits there.
    ///
    /// # Safety
    ///
    /// `f` and what it borrows outlive the task, and both `F` and `T` may be sent to another thread.
    pub(crate) unsafe fn new<F, T>(
        shared: *const Shared,
        meta: Meta,
        f: F,
        slab: Option<&Slab>,
    ) -> (Self, Self)
    where
        F: FnOnce() -> T,
    {
        let fits = const { size_of::<TaskCell<F, T>>() <= BLOCK && align_of::<TaskCell<F, T>>() <= ALIGN };
        let block = if fits { slab.and_then(Slab::alloc) } else { None };
        let (cell, in_slab) = match block {
            Some(block) => (block.cast::<TaskCell<F, T>>(), true),
            None => (NonNull::from(Box::leak(Box::<TaskCell<F, T>>::new_uninit())).cast(), false),
        };
        let fresh = TaskCell {
            header: Header {
                link: AtomicPtr::default(),
                state: State::default(),
                refs: AtomicU32::new(2),
                home: Cell::new(NO_HOME),
                fiber: UnsafeCell::new(None),
                shared,
                join: JoinWord::default(),
                reason: AtomicU8::new(WaitReason::NotStarted as u8),
                joiner: UnsafeCell::new(None),
                vtable: const { &vtable::<F, T>() },
                stage: Cell::new(Stage::Closure),
                in_slab,
                meta,
            },
            data: UnsafeCell::new(Data { closure: ManuallyDrop::new(f) }),
        };
        // SAFETY: the memory is ours, and large and aligned enough.
        unsafe { cell.write(fresh) };
        // For `Header::ptr`.
        let _ = cell.as_ptr().expose_provenance();
        let header = cell.cast::<Header>();
        (Self(header), Self(header))
    }

    /// Gives up the counted reference for a plain pointer.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    /// Takes back what `into_raw` gave.
    ///
    /// # Safety
    ///
    /// The pointer came from `into_raw`, and nobody else turns the same reference back.
    #[inline]
    pub(crate) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// Counts one more reference to a task that the caller knows to be alive.
    ///
    /// # Safety
    ///
    /// There is a reference that outlives this call.
    pub(crate) unsafe fn retain(header: NonNull<Header>) -> Self {
        let this = ManuallyDrop::new(Self(header));
        Self::clone(&this)
    }
}

impl std::ops::Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: the reference keeps the allocation alive (H1).
        unsafe { self.0.as_ref() }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        let before = self.refs.fetch_add(1, Relaxed);
        if before > u32::MAX / 2 {
            // As std's Arc: two thousand million forgotten handles.
            std::process::abort();
        }
        Self(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        if self.refs.load(Acquire) != 1 {
            if self.refs.fetch_sub(1, Release) != 1 {
                return;
            }
            fence(Acquire);
        }
        // SAFETY: this was the last reference (H1).
        unsafe { free(self.0) };
    }
}

/// # Safety
///
/// No reference to the task is left.
unsafe fn free(header: NonNull<Header>) {
    // SAFETY: the caller's contract.
    let task = unsafe { header.as_ref() };
    if task.stage.get() != Stage::Empty {
        // SAFETY: nobody else is left who could own the stage.
        unsafe { task.drop_output() };
    }
    if task.in_slab {
        // SAFETY: the last use of the header; its data is dropped already.
        unsafe { header.drop_in_place() };
        // After the destructors, which may have moved us to another worker.
        let slab = current::worker().map(Worker::slab);
        // SAFETY: it came from a slab, and `slab` is the calling worker's own.
        unsafe { Slab::free(header.cast(), slab) };
    } else {
        let free = task.vtable.free;
        // SAFETY: it came from a box of the types that the vtable knows.
        unsafe { free(header) };
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.meta.id)
            .field("name", &self.meta.name())
            .field("state", &self.state)
            .field("waits_for", &self.reason())
            .field("spawned_at", &self.meta.site)
            .field("parent", &self.meta.parent)
            .finish()
    }
}

// SAFETY: always the same field.
unsafe impl Linked for Header {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.link
    }
}

impl Header {
    /// Runs the closure and stores its output; or, with `cancelled`, drops it unrun. On the task's stack, once.
    ///
    /// # Safety
    ///
    /// Called by the task itself, in its first and only run of the closure.
    pub(crate) unsafe fn run_closure(&self, cancelled: bool) {
        // SAFETY: the vtable was made for this cell's types (H3).
        unsafe { (self.vtable.run)(self, cancelled) };
    }

    /// Takes the output.
    ///
    /// # Panics
    ///
    /// If it was taken already: by a future that was ready.
    ///
    /// # Safety
    ///
    /// `T` is the type that the closure returns; the task has finished and the caller owns the stage (J3).
    pub(crate) unsafe fn take_output<T>(&self) -> Output<T> {
        assert!(self.stage.get() == Stage::Output, "the result of a green thread was taken twice");
        let mut output = std::mem::MaybeUninit::<Output<T>>::uninit();
        // SAFETY: the vtable was made for this cell's types (H3), `T` among them by the caller's word.
        unsafe { (self.vtable.take)(self, output.as_mut_ptr().cast()) };
        // SAFETY: `take` wrote it.
        unsafe { output.assume_init() }
    }

    /// Drops the output, or the closure, if it is still there. A panic in its destructor is caught and dropped:
    /// there is nobody left to tell, and the runtime goes on.
    ///
    /// # Safety
    ///
    /// The caller owns the stage (J3).
    pub(crate) unsafe fn drop_output(&self) {
        let clear = self.vtable.clear;
        // SAFETY: the vtable was made for this cell's types (H3).
        let cleared = panic::catch_unwind(AssertUnwindSafe(|| unsafe { clear(self) }));
        if let Err(payload) = cleared {
            std::mem::forget(payload);
        }
    }

    /// Leaves the running task's stack, and returns when it is resumed.
    #[inline(always)]
    pub(crate) fn suspend(&self, why: Suspend) {
        let spans = spans::leave();
        self.suspend_without_spans(why);
        spans.enter();
    }

    /// As `suspend`, of a task that is in no span.
    #[inline(always)]
    pub(crate) fn suspend_without_spans(&self, why: Suspend) {
        let fiber = self.running();
        let here = 0u8;
        fiber.data().sp.set((&raw const here).expose_provenance());
        // SAFETY: the task runs, on this stack.
        unsafe { fiber.suspend(why) };
    }

    /// Where nothing is registered anywhere: says so if the task could not be moved at its latest suspension.
    ///
    /// # Panics
    ///
    /// In builds that scan stacks, in roaming mode: if its stack pointed into thread-locals.
    #[inline(always)]
    pub(crate) fn panic_if_caught(&self) {
        #[cfg(stack_scan)]
        assert!(
            self.started().tls_hit.replace(0) == 0,
            "green thread '{}' (id {}, spawned at {}) was suspended while its stack pointed into thread-local storage, \
             which the contract of `Builder::roaming` forbids",
            self.display_name(),
            self.meta.id,
            self.meta.site,
        );
    }

    /// Whether it has started. Owner only.
    #[inline]
    pub(crate) fn is_on_stack(&self) -> bool {
        // SAFETY: the owner's.
        unsafe { &*self.fiber.get() }.is_some()
    }

    /// Has the cache fetch the record at the top of its stack, if it has started. Owner only.
    #[inline(always)]
    pub(crate) fn fetch_record(&self) {
        // SAFETY: the owner's.
        if let Some(fiber) = unsafe { &*self.fiber.get() } {
            fiber.fetch();
        }
    }

    /// Has the cache fetch the frames that run first as it is resumed, if it has started. Owner only.
    #[inline(always)]
    pub(crate) fn fetch_frames(&self) {
        // SAFETY: the owner's.
        if let Some(fiber) = unsafe { &*self.fiber.get() } {
            prim::fetch(fiber.data().sp.get(), FRAMES);
        }
    }

    /// The fiber of a task that has started.
    #[inline]
    pub(crate) fn running(&self) -> &Fiber<Started> {
        // SAFETY: it was set before the first run and is taken only after the end.
        unsafe { (*self.fiber.get()).as_ref().expect("it has started") }
    }

    /// What the task keeps on its stack.
    #[inline]
    pub(crate) fn started(&self) -> &Started {
        self.running().data()
    }

    /// Whether a wait of the running task may be cancelled just now.
    #[inline(always)]
    pub(crate) fn shield(&self) -> Shield {
        if CAN_UNWIND { self.shield_of_fallible() } else { Shield::Shielded }
    }

    /// As `shield`, of a wait that can end with an error where nothing can unwind.
    #[inline(always)]
    pub(crate) fn shield_of_fallible(&self) -> Shield {
        if self.started().shields.get() > 0 {
            return Shield::Shielded;
        }
        match self.unwinding() {
            Unwinding::No => Shield::Open,
            Unwinding::Yes => Shield::Believed,
            Unwinding::Perhaps => Shield::Doubtful,
        }
    }

    /// Whether the running task is unwinding. The panic count is the OS thread's, so it also counts tasks that are suspended in the
    /// middle of their unwinding.
    #[inline(always)]
    pub(crate) fn unwinding(&self) -> Unwinding {
        if std::thread::panicking() { self.unwinding_itself() } else { Unwinding::No }
    }

    #[cold]
    fn unwinding_itself(&self) -> Unwinding {
        if !self.started().is_unwinding() && current::worker().is_some_and(Worker::has_unwinding_tasks) {
            return Unwinding::Perhaps;
        }
        self.started().set_unwinding(true);
        Unwinding::Yes
    }

    /// The running task's runtime.
    #[inline]
    pub(crate) fn runtime(&self) -> &Shared {
        // SAFETY: the task runs, so its runtime is there (H2).
        unsafe { &*self.shared }
    }

    /// Another reference to the running task.
    pub(crate) fn retain(&self) -> TaskRef {
        // SAFETY: the running task is kept alive by its worker.
        unsafe { TaskRef::retain(self.ptr()) }
    }

    /// Whether the task is to end, as soon as it may be cancelled.
    #[inline]
    pub(crate) fn is_to_end(&self) -> bool {
        self.runtime().is_draining() || self.state.is_cancelled()
    }

    /// Whether a wait of the running task that begins now is to be cancelled at once, bounds apart.
    #[inline]
    pub(crate) fn is_cancel_due(&self) -> bool {
        self.is_to_end() && self.shield_of_fallible() == Shield::Open
    }

    /// What the task waits for, or waited for last.
    pub(crate) fn reason(&self) -> WaitReason {
        WaitReason::from_u8(self.reason.load(Relaxed))
    }

    #[inline]
    pub(crate) fn set_reason(&self, reason: WaitReason) {
        self.reason.store(reason as u8, Relaxed);
    }

    /// The name, for messages.
    pub(crate) fn display_name(&self) -> &str {
        self.meta.name().unwrap_or("<unnamed>")
    }

    /// The pointer to the whole allocation, which a reference to the header alone does not give.
    #[inline]
    pub(crate) fn ptr(&self) -> NonNull<Self> {
        let address = std::ptr::from_ref(self).addr();
        // SAFETY: the address of a reference is not null.
        unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(address)) }
    }
}
