//! The stacks that green threads run on.
//!
//! A [`Stack`] is one slot of a slab of address space: a guard region below, usable memory above it, and of that
//! only what was touched is resident. Stacks come from a [`StackPool`] and go back to it by value. This module
//! switches to no stack and knows no task: what a slot is used for is a pointer that it stores and never follows.
//!
//! ```text
//! slab start                                                        higher addresses ->
//! |  slot 0                       |  slot 1                       |  slot 2
//! |  guard  |  usable             |  guard  |  usable             |  ...
//!           ^ never below   base ^|<- colour                base ^|<- another colour
//! ```
//!
//! `base` is where the first frame goes. It lies a few cache lines below the end of the slot, and neighbours differ
//! in how many (the *colour*), because all slots end on a page boundary: uncoloured, the hot frames of thousands of
//! parked green threads would share the same few sets of the L1 cache.
//!
//! # Roles
//!
//! Whoever holds a [`Stack`] by value is the only user of its slot, on any OS thread. The pool is shared by all
//! workers; a [`StackCache`] belongs to one. The fault handler ([`overflow`]) runs on any OS thread at any time.
//!
//! # States
//!
//! ```text
//!   bare --(1)--> held --(2)--> dirty --(3)--> held
//!                  ^              |
//!                  |             (4)
//!                  |              v
//!                  +-----(3)--- clean
//! ```
//!
//! 1. `Bare::carve` installs the guard. *Held* is in use or in a cache; if the handle is dropped, it is so for ever.
//! 2. `StackPool::release`, by way of the worker's cache.
//! 3. `StackPool::acquire`, dirty ones first.
//! 4. `StackPool::wash` gives the pages back to the kernel.
//!
//! A slab of which all slots are bare or clean may be unmapped (`Slab::unmap`).
//!
//! # Invariants
//!
//! - I1: each slot is in exactly one place: one [`Stack`] value, one `Bare` value, or one of the two free lists of
//!   its slab. A `Stack` value is made only by taking the slot out of a list.
//! - I2: a slab, its mapping and its metadata live at least until each of its slots is in its free lists. So they
//!   live while a `Stack` of it exists.
//! - I3: a `Stack` exists only for a slot whose guard is installed, and a guard goes only with the mapping.
//! - I4: a slab maps `slots * stride` bytes; `stride`, `guard` and `usable` are multiples of the page size, `stride =
//!   guard + usable`, an odd number of pages, `guard >= GUARD_SIZE` and `usable >= MIN_STACK_SIZE`.
//! - I5: no frame lives on a stack that can be reached as a `Stack` value: a fiber owns its stack and gives it out
//!   only when it has returned or was unwound. `Stack` has no `Drop`, so a suspended fiber that is dropped without
//!   that keeps its slot for ever (by I2 also the slab): a suspended stack is unwound or leaked, never freed.
//!
//! # Orderings
//!
//! - `occupant`: written `Release` by the holder of the stack, read `Acquire` by [`StackPool::for_each_occupant`]; what
//!   was written to the occupant before it was set is visible to the reader.
//! - `dirty`: written and read `Relaxed` by the holder of the stack only (I1), whoever hands it over orders that.
//! - Everything else is under the pool's mutex.
//!
//! # Rejected
//!
//! - A mapping for each stack: two map entries each, so the kernel's default limit ends it near 32,000.
//! - `MAP_GROWSDOWN`: the kernel may put another mapping in its way, and the guard gap is a global setting.
//! - Occupant pointers in the slots: reading them for a dump would touch every free stack, and an overflow of the
//!   stack above could reach them.
//!
//! # Checked by
//!
//! `stack/tests.rs`

pub(crate) mod overflow;
mod pool;
mod slab;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::OnceLock;

use corosensei::stack::StackPointer;

use crate::prim::atomic::Ordering;

pub(crate) use self::pool::{StackCache, StackPool};
pub(crate) use self::slab::Guards;
use self::slab::Slot;

/// Usable bytes of a stack unless the builder says otherwise. Address space only: one page of it is resident when
/// a green thread has started.
pub(crate) const DEFAULT_STACK_SIZE: usize = 256 << 10;

/// What smaller requests are rounded up to.
pub(crate) const MIN_STACK_SIZE: usize = 16 << 10;

/// The largest stack there is; a larger request is an error.
pub(crate) const MAX_STACK_SIZE: usize = 1 << 30;

/// The least width of a guard region: a foreign frame without stack probes that is smaller than this cannot step
/// over the guard.
const GUARD_SIZE: usize = 64 << 10;

/// One stack with its guard, held by value by its only user.
///
/// Dropping it leaks the slot (I5); [`StackPool::release`] gives it back.
#[must_use = "a stack that is dropped without `StackPool::release` is leaked"]
pub(crate) struct Stack {
    /// Where the first frame goes: the end of the slot less its colour. Kept here because each new fiber asks.
    base: NonZeroUsize,
    /// I2 keeps it alive.
    slot: NonNull<Slot>,
}

// SAFETY: by I1 the value is the only handle to the memory of the slot, which is tied to no OS thread; `Slot` and
// `Slab` are `Sync` and outlive the value (I2).
unsafe impl Send for Stack {}
// SAFETY: what a `&Stack` reaches never changes or is atomic.
unsafe impl Sync for Stack {}

// SAFETY: below `base` there are at least `MIN_STACK_SIZE` less all colours, which is more than corosensei's minimum,
// and below those a guard (I3, I4). `base` and `limit` are multiples of 16: ends of pages less a multiple of 384. The
// memory stays mapped while the value lives (I2), and nobody else uses it (I1).
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.base
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        self.slot().start()
    }
}

impl Stack {
    /// Makes the handle of one slot.
    ///
    /// # Safety
    ///
    /// The slab of `slot` is alive; the slot was taken out of its free lists, its guard is installed, and no other
    /// handle to it exists or will be made.
    unsafe fn new(slot: NonNull<Slot>) -> Self {
        // SAFETY: the caller says that the slab is alive.
        let base = unsafe { slot.as_ref() }.coloured_end();
        // INVARIANT: I1 and I3 hold by the contract of this function.
        Self { base, slot }
    }

    /// The addresses at which a fault means that this stack has overflowed.
    pub(crate) fn guard(&self) -> Range<usize> {
        self.slot().guard()
    }

    /// How many bytes frames may use. At least what was asked for, less the colour (at most 1,536 bytes).
    #[cfg(test)]
    pub(crate) fn usable(&self) -> usize {
        self.base.get() - self.guard().end
    }

    /// Notes who uses this stack, for [`StackPool::for_each_occupant`].
    #[inline]
    pub(crate) fn set_occupant(&self, occupant: *mut ()) {
        // Pairs with the load in `Slab::occupants`.
        self.slot().occupant.store(occupant, Ordering::Release);
    }

    /// Notes that nobody uses this stack; to be called before it is released.
    #[inline]
    pub(crate) fn clear_occupant(&self) {
        self.set_occupant(std::ptr::null_mut());
    }

    /// How many bytes, counted from the top of the slot, have been in use since the pages were last given back.
    ///
    /// A system call and a scan of one page: for reports, not for the hot path.
    pub(crate) fn high_water(&self) -> usize {
        self.slot().high_water()
    }

    #[inline]
    fn slot(&self) -> &Slot {
        // SAFETY: I2; nobody ever holds a `&mut Slot`.
        unsafe { self.slot.as_ref() }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("base", &format_args!("{:#x}", self.base))
            .field("guard", &format_args!("{:#x?}", self.guard()))
            .field("dirty", &self.slot().is_dirty())
            .finish()
    }
}

/// A stack larger than [`MAX_STACK_SIZE`] was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StackSizeError {
    requested: usize,
}

impl fmt::Display for StackSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a stack of {} bytes was requested, the limit is {MAX_STACK_SIZE}", self.requested)
    }
}

impl std::error::Error for StackSizeError {}

/// Rounds a requested stack size up to what the pool hands out: at least [`MIN_STACK_SIZE`], and whole pages.
///
/// # Errors
///
/// When `size` is above [`MAX_STACK_SIZE`].
pub(crate) fn round(size: usize) -> Result<usize, StackSizeError> {
    if size > MAX_STACK_SIZE {
        return Err(StackSizeError { requested: size });
    }
    Ok(size.max(MIN_STACK_SIZE).next_multiple_of(page_size()))
}

/// Bytes in a page of this machine: 4,096 on x86-64, up to 65,536 on aarch64.
fn page_size() -> usize {
    static PAGE_SIZE: OnceLock<usize> = OnceLock::new();
    *PAGE_SIZE.get_or_init(|| {
        // SAFETY: no arguments that could be wrong.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).expect("POSIX requires a page size")
    })
}
