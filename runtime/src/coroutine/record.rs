//! What both sides of a generator share, and where its stack comes from.
//!
//! ```text
//!   stack.base() ──▶ ┌───────────────┐
//!                    │ Record        │  who resumed it, name
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
    scheduler::current::{self, Innermost},
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
    /// On the thread that it belongs to.
    innermost: NonNull<Innermost>,
    /// While it runs, the generator whose body has resumed it, if any.
    outer: Cell<Option<NonNull<Self>>>,
    /// How many bounds, shields and `no_suspend`s its body is inside of that it has entered.
    depth: Cell<u32>,
    /// Whether the thread was known to unwind at the latest resume.
    resumer_unwinds: Cell<bool>,
    /// Which body goes on at the next resume: its own, or one that it runs, if it yielded from inside of that. While it runs: itself. `None`
    /// once it is being unwound, because the generator was dropped.
    inner: Cell<Option<NonNull<Self>>>,
    name: Option<Box<str>>,
    guard: Range<usize>,
    /// For the scan of stacks: the stack pointer of the latest resumer.
    #[cfg(stack_scan)]
    resumer: Cell<usize>,
}

impl Record {
    /// What is to be written to `own`.
    fn new(
        own: NonNull<Self>,
        innermost: NonNull<Innermost>,
        name: Option<Box<str>>,
        guard: Range<usize>,
    ) -> Self {
        Self {
            innermost,
            outer: Cell::new(None),
            depth: Cell::new(0),
            resumer_unwinds: Cell::new(false),
            inner: Cell::new(Some(own)),
            name,
            guard,
            #[cfg(stack_scan)]
            resumer: Cell::new(0),
        }
    }

    #[inline(always)]
    fn innermost(&self) -> &Innermost {
        // SAFETY: that of the thread that made the generator, which still runs, as nobody else comes to it (G3).
        unsafe { self.innermost.as_ref() }
    }

    /// Notes that the body is about to run.
    #[inline(always)]
    pub(super) fn enter(&self) {
        self.outer.set(self.innermost().replace(self.inner.get()));
        self.resumer_unwinds.set(is_unwinding());
        #[cfg(stack_scan)]
        {
            let here = 0u8;
            self.resumer.set((&raw const here).expose_provenance());
        }
    }

    /// Notes that it runs no more.
    #[inline(always)]
    pub(super) fn leave(&self) {
        self.innermost().set(self.outer.get());
    }

    /// The body enters a bound, a shield or a `no_suspend`.
    pub(crate) fn enter_scope(&self) {
        self.depth.set(self.depth.get() + 1);
    }

    /// The body leaves it.
    pub(crate) fn leave_scope(&self) {
        self.depth.set(self.depth.get() - 1);
    }

    /// Whether nothing keeps the body from yielding (G5), and it is the innermost.
    #[inline(always)]
    pub(super) fn may_yield(&self) -> bool {
        self.depth.get() == 0 && self.innermost().get() == self.inner.get() && !self.has_begun_to_unwind()
    }

    #[inline(always)]
    fn has_begun_to_unwind(&self) -> bool {
        is_unwinding() && !self.resumer_unwinds.get()
    }

    /// Prepares a yield from inside of a body that this one runs. Unwinds or panics, if the reason why it
    /// [may not yield](Self::may_yield) is another.
    #[cold]
    #[inline(never)]
    pub(super) fn reach_out(&self) {
        assert!(!self.has_begun_to_unwind(), "a generator cannot yield while it unwinds");
        if self.inner.get().is_none() {
            self.doom();
        }
        let innermost = self.innermost().get();
        let mut generator = innermost;
        while let Some(at) = generator {
            // SAFETY: it runs (G1).
            let record = unsafe { at.as_ref() };
            assert!(
                record.depth.get() == 0,
                "a generator cannot yield inside a `no_suspend`, a shield or a bound that it has entered"
            );
            if ptr::eq(record, self) {
                return self.inner.set(innermost);
            }
            generator = record.outer.get();
        }
        crate::error::abort("a generator was asked to yield while it does not run")
    }

    /// After such a yield: what was inside runs again, on behalf of the present resumer.
    #[cold]
    #[inline(never)]
    pub(super) fn reach_in(&self) {
        let own = Some(NonNull::from(self));
        let mut generator = self.inner.replace(own);
        while generator != own {
            let Some(other) = generator else { return };
            // SAFETY: it runs (G1).
            let other = unsafe { other.as_ref() };
            other.resumer_unwinds.set(self.resumer_unwinds.get());
            generator = other.outer.get();
        }
    }

    /// Unwinds the body that runs.
    #[cold]
    #[inline(never)]
    pub(super) fn doom(&self) -> ! {
        self.reach_in();
        self.inner.set(None);
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
    /// Puts a fresh record at the top of `stack`, of a generator of the thread with that `innermost`.
    pub(super) fn new(stack: Stack, innermost: NonNull<Innermost>, name: Option<Box<str>>) -> Self {
        let base = corosensei::stack::Stack::base(&stack).get();
        let address = (base - size_of::<Record>()) & !(align_of::<Record>() - 1);
        let record = NonNull::new(ptr::with_exposed_provenance_mut(address))
            .expect("a stack does not lie at the bottom of memory");
        // SAFETY: the top of the stack is ours, mapped, and above what the coroutine uses.
        unsafe { record.write(Record::new(record, innermost, name, stack.guard())) };
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

/// For the scan of stacks: of a generator's stack with frames at `address`, its top, and the stack pointer of whoever resumed it.
#[cfg(stack_scan)]
pub(crate) fn frames_at(address: usize) -> Option<(usize, usize)> {
    let record = find(address)?;
    Some((ptr::from_ref(record).addr(), record.resumer.get()))
}
