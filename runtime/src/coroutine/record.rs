//! What both sides of a generator share, and where its stack comes from.
//!
//! ```text
//!   stack.base() ──▶ ┌───────────────┐
//!                    │ Record        │  what nested at the latest resume, name
//!   Lowered.base() ▶ ├───────────────┤
//!                    │ frames        │  grow down
//! ```
//!
//! The record lies at the top of the stack, in a page that is touched anyway, and is the *occupant* of its slot: the fault handler
//! finds it by an address in the guard. So nothing has to say which generator runs, and a resume pays nothing for it.
//!
//! Stacks come from one [`StackPool`] for the whole process, by way of a small cache for each OS thread.
//!
//! The invariants (G1 to G5) are those of the parent module.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    io,
    ops::Range,
    panic,
    ptr::{self, NonNull},
    sync::OnceLock,
};

use corosensei::stack::StackPointer;

use crate::{
    scheduler::current::{self, CLOSING, Scopes},
    stack::{DEFAULT_STACK_SIZE, Guards, Stack, StackCache, StackPool, overflow, overflow::Running},
    thread,
};

/// What a body ends with.
pub(super) type Ending<T> = Result<T, Box<dyn Any + Send>>;

/// What a suspended body is to do.
pub(super) enum Command<R> {
    Resume(R),
    Unwind,
}

/// The payload with which a body is unwound, and whose.
pub(super) struct Doomed(usize);

/// See the module.
#[repr(C, align(64))]
pub(crate) struct Record {
    /// The thread that resumed it first, or one of the constants below.
    owner: Cell<u64>,
    /// While it runs, the scopes of its thread.
    scopes: Cell<NonNull<Scopes>>,
    /// How deep they were at the latest resume (G5). [`DOOMED`] once the body is being unwound, because the generator was dropped.
    depth: Cell<u32>,
    /// Whether the thread was known to unwind then.
    resumer_unwinds: Cell<bool>,
    name: Option<Box<str>>,
    guard: Range<usize>,
    /// Debug builds: the stack pointer of the latest resumer.
    #[cfg(debug_assertions)]
    resumer: Cell<usize>,
}

impl Record {
    fn new(name: Option<Box<str>>, guard: Range<usize>) -> Self {
        Self {
            owner: Cell::new(UNSTARTED),
            scopes: Cell::new(NonNull::dangling()),
            depth: Cell::new(0),
            resumer_unwinds: Cell::new(false),
            name,
            guard,
            #[cfg(debug_assertions)]
            resumer: Cell::new(0),
        }
    }

    /// Notes that the body is about to run. `false`: not on this thread (G3).
    #[inline(always)]
    pub(super) fn enter(&self) -> bool {
        let scopes = current::scopes();
        // SAFETY: the calling thread's, just now.
        let now = unsafe { scopes.as_ref() };
        if now.thread() != self.owner.get() && !self.adopt(now.thread()) {
            return false;
        }
        self.scopes.set(scopes);
        self.depth.set(now.depth());
        self.resumer_unwinds.set(is_unwinding());
        #[cfg(debug_assertions)]
        {
            let here = 0u8;
            self.resumer.set((&raw const here).expose_provenance());
        }
        true
    }

    /// Makes `thread` the owner, if there is none yet.
    #[cold]
    #[inline(never)]
    fn adopt(&self, thread: u64) -> bool {
        // A thread that is closing may start a body, but nobody resumes that again.
        let owner = if thread == CLOSING { NOBODY } else { thread };
        self.owner.get() == UNSTARTED && self.owner.replace(owner) == UNSTARTED
    }

    /// Whether nothing keeps the body from yielding (G5).
    #[inline(always)]
    pub(super) fn may_yield(&self) -> bool {
        !(self.is_deeper() || self.has_begun_to_unwind())
    }

    /// Whether the body has entered a scope that it has not left, or is doomed.
    #[inline(always)]
    fn is_deeper(&self) -> bool {
        // SAFETY: `enter` set it, and that is the thread that the body still runs on, whose scopes stay where they are.
        unsafe { self.scopes.get().as_ref() }.depth() != self.depth.get()
    }

    #[inline(always)]
    fn has_begun_to_unwind(&self) -> bool {
        is_unwinding() && !self.resumer_unwinds.get()
    }

    /// Does what is to be done in place of a yield.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse_to_yield(&self) -> ! {
        assert!(!self.has_begun_to_unwind(), "a generator cannot yield while it unwinds");
        if self.depth.get() == DOOMED {
            self.doom();
        }
        panic!("a generator cannot yield inside a `no_suspend`, a shield or a bound that it has entered");
    }

    /// Unwinds the body that runs.
    #[cold]
    #[inline(never)]
    pub(super) fn doom(&self) -> ! {
        self.depth.set(DOOMED);
        panic::resume_unwind(Box::new(Doomed(ptr::from_ref(self).addr())))
    }

    /// Whether this is what [`doom`](Self::doom) has thrown.
    pub(super) fn has_thrown(&self, payload: &(dyn Any + Send)) -> bool {
        payload.downcast_ref::<Doomed>().is_some_and(|doomed| doomed.0 == ptr::from_ref(self).addr())
    }

    /// The name that the builder was given.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// No thread yet.
const UNSTARTED: u64 = u64::MAX - 1;
/// No thread any more.
const NOBODY: u64 = u64::MAX - 2;
/// No thread is so deep in scopes.
const DOOMED: u32 = u32::MAX;

/// Whether the calling thread is known to unwind.
#[inline(always)]
fn is_unwinding() -> bool {
    // The first says that no green thread of this worker does, and is a look at a static.
    std::thread::panicking() && is_known_to_unwind()
}

#[cold]
#[inline(never)]
fn is_known_to_unwind() -> bool {
    thread::is_known_to_panic()
}

/// A stack whose top is taken by the record.
pub(super) struct Lowered {
    stack: Stack,
    /// Kept here because each resume asks.
    record: NonNull<Record>,
}

impl Lowered {
    /// Puts a fresh record at the top of `stack`.
    pub(super) fn new(stack: Stack, name: Option<Box<str>>) -> Self {
        let base = corosensei::stack::Stack::base(&stack).get();
        let address = (base - size_of::<Record>()) & !(align_of::<Record>() - 1);
        let record = NonNull::new(ptr::with_exposed_provenance_mut(address))
            .expect("a stack does not lie at the bottom of memory");
        // SAFETY: the top of the stack is ours, mapped, and above what the coroutine uses.
        unsafe { record.write(Record::new(name, stack.guard())) };
        stack.set_occupant(record.as_ptr().cast());
        Self { stack, record }
    }

    pub(super) fn record(&self) -> NonNull<Record> {
        self.record
    }
}

// SAFETY: the guard and the limit are the stack's; what is below the record is far more than corosensei's least size, and the record's
// address is a multiple of 64.
unsafe impl corosensei::stack::Stack for Lowered {
    #[inline(always)]
    fn base(&self) -> StackPointer {
        self.record.addr()
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        corosensei::stack::Stack::limit(&self.stack)
    }
}

/// The stacks of all generators.
static POOL: OnceLock<StackPool> = OnceLock::new();

std::thread_local! {
    static CACHE: RefCell<Cache> = const { RefCell::new(Cache(StackCache::small())) };
}

/// What an OS thread keeps at hand, until it ends.
struct Cache(StackCache);

impl Drop for Cache {
    fn drop(&mut self) {
        if let Some(pool) = POOL.get() {
            pool.trim(&mut self.0);
        }
    }
}

fn pool() -> &'static StackPool {
    POOL.get_or_init(|| {
        overflow::install(current::running);
        StackPool::new(DEFAULT_STACK_SIZE, Guards::Auto)
    })
}

/// Lends `f` the cache of this OS thread. Never inlined: it must not be remembered across a switch.
#[inline(never)]
fn with_cache<R>(f: impl FnOnce(&'static StackPool, &mut StackCache) -> R) -> R {
    let pool = pool();
    let mut f = Some(f);
    let cached = CACHE.try_with(|cache| f.take().map(|f| f(pool, &mut cache.borrow_mut().0)));
    if let Ok(Some(value)) = cached {
        return value;
    }
    // The OS thread is past the destruction of its cache.
    let f = f.take().expect("it was not called");
    let mut cache = Cache(StackCache::small());
    f(pool, &mut cache.0)
}

/// Takes a stack.
///
/// # Errors
///
/// Those of [`StackPool::acquire`].
pub(super) fn acquire(size: Option<usize>) -> io::Result<Stack> {
    with_cache(|pool, cache| pool.acquire(cache, size.unwrap_or(DEFAULT_STACK_SIZE)))
}

/// Takes back the stack of a coroutine that has ended, or whose body was dropped before it started.
///
/// # Safety
///
/// Nobody uses the record any more, which is that of this stack.
pub(super) unsafe fn give_back(stack: Lowered) {
    let Lowered { stack, record } = stack;
    stack.clear_occupant();
    // SAFETY: the last use of the record, which was written when the stack was taken (G1).
    unsafe { record.drop_in_place() };
    with_cache(|pool, cache| pool.release(cache, stack));
}

fn find<'a>(address: usize) -> Option<&'a Record> {
    let occupant = POOL.get()?.occupant_at(address)?;
    // SAFETY: the occupants of this pool are records, and it is taken out before its record ends. The callers ask for stacks that are in use
    // as long as they look.
    Some(unsafe { occupant.cast::<Record>().as_ref() })
}

/// The generator whose stack has overflowed, if a fault at `address` says so. Async-signal-safe.
pub(crate) fn overflowed(address: usize) -> Option<Running> {
    // Only the one that runs here can have come to its guard, but for a stray pointer.
    let record = find(address)?;
    let name = record.name().unwrap_or("<unnamed>");
    Some(Running { guard: record.guard.clone(), name: name.as_ptr(), name_len: name.len(), id: None })
}

/// Debug builds: of a generator's stack with frames at `address`, its top, and the stack pointer of whoever resumed it.
#[cfg(debug_assertions)]
pub(crate) fn frames_at(address: usize) -> Option<(usize, usize)> {
    let record = find(address)?;
    Some((ptr::from_ref(record).addr(), record.resumer.get()))
}
