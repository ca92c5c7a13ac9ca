//! What a green thread has from its first run on. It lies at the top of its stack.
//!
//! Only the green thread itself touches it, and its worker while it does not run. But for `settled`, which a dump reads meanwhile: Relaxed, a figure.

use std::{
    cell::{Cell, UnsafeCell},
    ptr::NonNull,
};

#[cfg(stack_scan)]
use super::header::NO_HOME;
use super::{local::Locals, state::Wait};
use crate::{
    cancel::Bound,
    prim::{atomic::Ordering::Relaxed, global::AtomicU64},
    scheduler::current::Innermost,
};

/// What a task has from its first run on, at the top of its stack.
pub(crate) struct Started {
    pub(crate) locals: UnsafeCell<Locals>,
    /// While above zero, waits are not cancelled, but for what bounds within the shields end.
    pub(crate) shields: Cell<u32>,
    /// The innermost bound; see `cancel/bound.rs`.
    pub(crate) bound: Cell<Option<NonNull<Bound>>>,
    /// What generators have to know.
    pub(crate) generator: Innermost,
    /// When it was last suspended, on the poller thread's clock, whose times are even; and in the last bit whether it is known to be unwinding, see
    /// [`Header::unwinding`]. In one, so that both are written at once.
    settled: AtomicU64,
    /// That in which its worker is to park it.
    pub(crate) wait: Cell<Wait>,
    /// Whether a wait of it is to come or under way; for one inside it would have the same number.
    #[cfg(debug_assertions)]
    pub(crate) in_wait: Cell<bool>,
    /// Above zero if it was found blocking its OS thread, see `scheduler/aside.rs`.
    pub(crate) blocks: Cell<u8>,
    /// Whether its worker counts it among the suspended ones that may be unwinding.
    pub(crate) counted: Cell<bool>,
    /// Whether its worker has noted that it was suspended while the OS thread panicked, see `scheduler/doubt.rs`.
    pub(crate) doubted: Cell<bool>,
    /// About the stack pointer at the latest suspension: what the cache is to fetch, and the scan before a move to begin at.
    pub(crate) sp: Cell<usize>,
    /// The same: the worker on which it last ran.
    #[cfg(stack_scan)]
    pub(crate) last: Cell<u32>,
    /// The same: a word of the suspended stack that points into the old worker's thread-locals.
    #[cfg(stack_scan)]
    pub(crate) tls_hit: Cell<usize>,
}

impl Started {
    pub(crate) const fn new() -> Self {
        Self {
            locals: UnsafeCell::new(Locals::new()),
            generator: Cell::new(None),
            shields: Cell::new(0),
            bound: Cell::new(None),
            settled: AtomicU64::new(0),
            wait: Cell::new(Wait::NONE),
            #[cfg(debug_assertions)]
            in_wait: Cell::new(false),
            blocks: Cell::new(0),
            counted: Cell::new(false),
            doubted: Cell::new(false),
            sp: Cell::new(0),
            #[cfg(stack_scan)]
            last: Cell::new(NO_HOME),
            #[cfg(stack_scan)]
            tls_hit: Cell::new(0),
        }
    }

    /// It was suspended, and is not unwinding.
    #[inline]
    pub(crate) fn settle(&self, clock: u64) {
        self.settled.store(clock, Relaxed);
    }

    /// It was suspended.
    pub(crate) fn settle_as_it_is(&self, clock: u64) {
        self.settled.store(clock | self.settled.load(Relaxed) & 1, Relaxed);
    }

    /// When it was last suspended, on the poller thread's clock.
    pub(crate) fn settled_at(&self) -> u64 {
        self.settled.load(Relaxed) & !1
    }

    pub(crate) fn set_unwinding(&self, unwinding: bool) {
        self.settled.store(self.settled.load(Relaxed) & !1 | u64::from(unwinding), Relaxed);
    }

    pub(super) fn is_unwinding(&self) -> bool {
        self.settled.load(Relaxed) & 1 == 1
    }
}
