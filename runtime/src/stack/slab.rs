//! One mapping cut into slots of one size, and the system calls that map, guard, empty and unmap it.
//!
//! A slab knows where its slots are and who occupies them. It does not know which slots are free: the pool does.
//!
//! The invariants cited here (I1 to I5) are those of the parent module.
//!
//! # Guards
//!
//! `MADV_GUARD_INSTALL` (Linux 6.13) puts markers into page tables and splits no mapping, so a million guarded
//! stacks are a handful of map entries. `mprotect` works everywhere but makes two map entries of each stack, and the
//! kernel allows 65,530 unless told otherwise. Which one is used is found out once per process, by trying: emulators
//! exist that answer "done" to advice that they do not know, so the probe also checks that the page is gone.
//!
//! # Pages
//!
//! `MADV_DONTNEED` empties a stack and keeps its guard, of either kind. Neighbours are emptied as one range, guards
//! between them included, and all ranges in one call where the kernel allows it.
//!
//! # Rejected
//!
//! - `PROT_NONE` slabs whose slots are opened one by one: two map entries for each stack, always.
//!
//! # Checked by
//!
//! `stack/tests.rs`
//!
//! # Sources
//!
//! madvise(2), process_madvise(2); `mm/madvise.c` and `include/uapi/asm-generic/mman-common.h` in Linux.

use std::ffi::{c_int, c_long};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use super::{GUARD_SIZE, Stack, page_size};
use crate::prim::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::seam;

/// Address space of one slab, as far as whole slots go.
const SLAB_SIZE: usize = 64 << 20;

/// How many ranges one system call takes (`UIO_MAXIOV`).
const MOST_RANGES: usize = 1024;

/// Not in the `libc` crate yet; the value is the same on every architecture.
const MADV_GUARD_INSTALL: c_int = 102;

/// How the guard below each stack is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guards {
    /// `MADV_GUARD_INSTALL` where the kernel has it, else `mprotect`.
    Auto,
    /// Always `mprotect`.
    Mprotect,
}

/// Neighbouring stack tops differ by a multiple of this: six cache lines, and aligned for any frame.
pub(super) const COLOUR_STEP: usize = 384;

/// How many different stack tops there are. The lowest is 1,536 bytes down, so that a parked green thread with 2 KiB
/// of frames still fits one page.
pub(super) const COLOURS: usize = 5;

/// The bytes of a guard that has so many usable ones above it: an odd number of pages in all, so that the numbers of neighbours' top pages
/// differ in all their lower bits. Those choose the set of the TLB.
fn guard_below(usable: usize) -> usize {
    let page = page_size();
    let least = GUARD_SIZE.next_multiple_of(page);
    if ((least + usable) / page).is_multiple_of(2) { least + page } else { least }
}

/// One mapping with room for some stacks of one size.
///
/// Its own fields never change once it is made, so it is shared freely; see I2 for how long it lives.
pub(super) struct Slab {
    start: NonNull<u8>,
    /// From the start of one slot to the start of the next.
    stride: usize,
    /// Bytes of each slot, from its start, that are its guard.
    guard: usize,
    guards: Guards,
    slots: Box<[Slot]>,
}

// SAFETY: the mapping is tied to no OS thread, and the slab does not read or write it except through `Stack` values.
unsafe impl Send for Slab {}
// SAFETY: all that changes behind a `&Slab` is in `slots`, and atomic.
unsafe impl Sync for Slab {}

impl Slab {
    /// Maps a slab for stacks of `usable` bytes, with no guard yet. When there is not enough address space for a
    /// whole slab, smaller ones are tried, down to a quarter of it.
    ///
    /// # Errors
    ///
    /// When not even those can be mapped.
    pub(super) fn map(usable: usize, guards: Guards) -> io::Result<NonNull<Self>> {
        let guard = guard_below(usable);
        let stride = guard + usable;
        let full = (SLAB_SIZE / stride).max(1);
        let mut count = full;
        let start = loop {
            match reserve(count * stride) {
                Ok(start) => break start,
                // The last address space is not for stacks: it is left to allocators, whose failure ends the process.
                Err(_) if count / 2 >= full.div_ceil(4) => count /= 2,
                // Nothing is allocated for a message here, for the same reason.
                Err(error) => return Err(error),
            }
        };
        // The slots point back to the slab, so there is a place for it before it is made.
        let slab: NonNull<Self> = NonNull::from(Box::leak(Box::<Self>::new_uninit())).cast();
        let count = u32::try_from(count).expect("SLAB_SIZE / MIN_STACK_SIZE fits");
        let slots = (0..count).map(|index| Slot::new(slab, index, usable)).collect();
        // INVARIANT: I4.
        let contents = Self { start, stride, guard, guards, slots };
        // SAFETY: the allocation above is for a `Slab`, and nobody else knows it yet.
        unsafe { slab.write(contents) };
        Ok(slab)
    }

    /// Unmaps the slab and frees its metadata.
    ///
    /// # Safety
    ///
    /// `slab` came from [`map`](Self::map), was not unmapped, every slot is in the pool's free lists, and the caller
    /// will not use `slab` or those lists again.
    pub(super) unsafe fn unmap(slab: NonNull<Self>) {
        // SAFETY: `map` leaked a box and filled it; by I1 no `Stack` and no `Bare` refers to it, as all slots are in
        // the lists.
        let slab = unsafe { Box::from_raw(slab.as_ptr()) };
        // SAFETY: by I4 this is exactly the mapping, by I1 and I5 nothing is in it.
        let result = unsafe { libc::munmap(slab.start.as_ptr().cast(), slab.slots.len() * slab.stride) };
        // It fails when it would split a mapping and no more are allowed. Address space is lost then, nothing else.
        debug_assert!(result == 0 || errno() == libc::ENOMEM, "munmap of a slab");
    }

    /// The address of the mapping, which no other slab of the process has.
    pub(super) fn start(&self) -> usize {
        self.start.addr().get()
    }

    /// The occupant of the slot that `address` lies in, if it lies in any.
    pub(super) fn occupant_at(&self, address: usize) -> Option<NonNull<()>> {
        let offset = address.checked_sub(self.start())?;
        // Pairs with the store in `Stack::set_occupant`.
        NonNull::new(self.slots.get(offset / self.stride)?.occupant.load(Ordering::Acquire))
    }

    /// How many slots there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// One slot.
    pub(super) fn slot(&self, index: u32) -> NonNull<Slot> {
        NonNull::from(&self.slots[index as usize])
    }

    /// Every occupant that is not null.
    pub(super) fn occupants(&self) -> impl Iterator<Item = *mut ()> {
        // Pairs with the store in `Stack::set_occupant`.
        let loads = self.slots.iter().map(|slot| slot.occupant.load(Ordering::Acquire));
        loads.filter(|occupant| !occupant.is_null())
    }
}

/// What is known of one slot, out of reach of any overflow.
pub(super) struct Slot {
    /// Who uses it; null if nobody.
    pub(super) occupant: AtomicPtr<()>,
    slab: NonNull<Slab>,
    usable: usize,
    index: u32,
    /// Whether a fiber may have run in it since its pages were last given back.
    dirty: AtomicBool,
}

impl Slot {
    fn new(slab: NonNull<Slab>, index: u32, usable: usize) -> Self {
        Self { occupant: AtomicPtr::new(ptr::null_mut()), slab, usable, index, dirty: AtomicBool::new(false) }
    }

    /// Bytes above the guard, colour included.
    #[inline]
    pub(super) fn usable(&self) -> usize {
        self.usable
    }

    /// See the field.
    #[inline]
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Relaxed)
    }

    /// Notes that a fiber may have run here.
    #[inline]
    pub(super) fn set_dirty(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }

    /// The slab's address and the slot's index.
    pub(super) fn place(&self) -> (usize, u32) {
        (self.slab().start(), self.index)
    }

    /// The lowest address, which is the guard's.
    pub(super) fn start(&self) -> NonZeroUsize {
        // Never saturates: I4.
        let offset = self.index as usize * self.slab().stride;
        self.slab().start.addr().saturating_add(offset)
    }

    /// The addresses of the guard.
    pub(super) fn guard(&self) -> Range<usize> {
        let start = self.start().get();
        start..start + self.slab().guard
    }

    /// Where the first frame goes.
    pub(super) fn coloured_end(&self) -> NonZeroUsize {
        let colour = self.index as usize % COLOURS * COLOUR_STEP;
        let above_start = self.slab().stride - colour;
        self.start().saturating_add(above_start)
    }

    /// Counts from the end of the slot down to the lowest word that is not zero.
    pub(super) fn high_water(&self) -> usize {
        let page = page_size();
        let usable = self.usable_memory();
        let mut resident = vec![0_u8; self.usable / page];
        // SAFETY: `usable` is page-aligned and mapped (I4), and the vector has a byte for each page.
        let result = unsafe { libc::mincore(usable.cast(), self.usable, resident.as_mut_ptr()) };
        assert_eq!(result, 0, "mincore of a stack: {}", io::Error::last_os_error());
        let Some(lowest) = resident.iter().position(|flags| flags & 1 == 1) else {
            return 0;
        };
        let words = (lowest * page..self.usable).step_by(size_of::<u64>());
        let mut used = words.skip_while(|&word| {
            // SAFETY: within the usable part (I4).
            let word = unsafe { usable.add(word) };
            // SAFETY: mapped, readable and aligned; volatile, as the frames that were there are not known to Rust.
            unsafe { word.cast::<u64>().read_volatile() == 0 }
        });
        used.next().map_or(0, |word| self.usable - word)
    }

    /// Makes the guard.
    ///
    /// # Errors
    ///
    /// When the kernel refuses; the slot must not be used then.
    ///
    /// # Safety
    ///
    /// The slot is bare and the caller has taken it out of the pool's lists.
    unsafe fn install_guard(&self) -> io::Result<()> {
        seam::admit(seam::Call::Guard, None)?;
        let slab = self.slab();
        let start = self.memory().cast();
        if slab.guards == Guards::Auto && kernel_has_light_guards() {
            // SAFETY: by I4 the range lies in the mapping, and nobody uses it: the caller's contract.
            if unsafe { libc::madvise(start, slab.guard, MADV_GUARD_INSTALL) } == 0 {
                return Ok(());
            }
            // Before Linux 6.15 memory that is locked (`mlockall`) takes no such guard; `mprotect` does.
            if errno() != libc::EINVAL {
                return Err(guard_error("madvise"));
            }
        }
        // SAFETY: as above.
        if unsafe { libc::mprotect(start, slab.guard, libc::PROT_NONE) } == 0 {
            return Ok(());
        }
        Err(guard_error("mprotect"))
    }

    fn memory(&self) -> *mut u8 {
        let slab = self.slab();
        // SAFETY: by I4 within the mapping, as `index` is below the number of slots.
        unsafe { slab.start.as_ptr().add(self.index as usize * slab.stride) }
    }

    fn usable_memory(&self) -> *mut u8 {
        // SAFETY: the guard lies in the slot: I4.
        unsafe { self.memory().add(self.slab().guard) }
    }

    fn slab(&self) -> &Slab {
        // SAFETY: a slot is a part of its slab, and nobody ever holds a `&mut Slab` while there are references to it.
        unsafe { self.slab.as_ref() }
    }
}

/// A slot without a guard, out of its slab's free lists. Dropping it leaks the slot.
#[must_use = "a slot that is neither carved nor given back is leaked"]
pub(super) struct Bare(NonNull<Slot>);

impl Bare {
    /// Makes the handle of one slot.
    ///
    /// # Safety
    ///
    /// The slab of `slot` is alive, and the slot was just taken out of its list of bare slots.
    pub(super) unsafe fn new(slot: NonNull<Slot>) -> Self {
        // INVARIANT: I1 holds by the contract of this function.
        Self(slot)
    }

    /// Makes a stack of it.
    ///
    /// # Errors
    ///
    /// When there can be no guard: the slot comes back, still bare.
    pub(super) fn carve(self) -> Result<Stack, (Self, io::Error)> {
        // SAFETY: by I1 `self` is all there is of this slot, and it is bare.
        if let Err(error) = unsafe { self.slot().install_guard() } {
            return Err((self, error));
        }
        // SAFETY: alive by I2, out of the lists by I1, guarded by the lines above; `self` ends here.
        Ok(unsafe { Stack::new(self.0) })
    }

    /// The slot.
    pub(super) fn slot(&self) -> &Slot {
        // SAFETY: I2, a bare slot that is held as such is in no free list.
        unsafe { self.0.as_ref() }
    }
}

/// Makes stacks of bare slots of one slab, with one system call if the kernel can (Linux 6.13); otherwise the slots come back.
pub(super) fn carve_all(bare: Vec<Bare>, into: &mut Vec<Stack>) -> Vec<Bare> {
    let Some(first) = bare.first() else { return bare };
    let is_denied = seam::admit(seam::Call::Guard, None).is_err();
    if first.slot().slab().guards != Guards::Auto || !kernel_has_light_guards() || is_denied {
        return bare;
    }
    let guards: Vec<_> = bare
        .iter()
        .map(|bare| {
            let slot = bare.slot();
            libc::iovec { iov_base: slot.memory().cast(), iov_len: slot.slab().guard }
        })
        .collect();
    // SAFETY: by I4 the ranges lie in the mapping, and by I1 nobody uses the slots. If only some are done, those get their guard again.
    if !unsafe { advise_all(&guards, MADV_GUARD_INSTALL) } {
        return bare;
    }
    // SAFETY: alive by I2, out of the lists by I1, guarded by the lines above; each `Bare` ends here.
    into.extend(bare.into_iter().map(|bare| unsafe { Stack::new(bare.0) }));
    Vec::new()
}

/// Has the kernel make the first page of each of these stacks, which are about to be used, with one system call; each would be a page
/// fault else, which takes half as long again. Where it cannot they are made when they are touched.
pub(super) fn populate(stacks: &[Stack]) {
    let page = page_size();
    let first_page = |stack: &Stack| {
        let usable = stack.slot().usable_memory();
        // SAFETY: the last page of the usable part, which is made of whole pages: I4.
        let last = unsafe { usable.add(stack.slot().usable - page) };
        libc::iovec { iov_base: last.cast(), iov_len: page }
    };
    let pages: Vec<_> = stacks.iter().map(first_page).collect();
    stacks.iter().for_each(|stack| stack.slot().set_dirty());
    // SAFETY: it changes nothing that can be read.
    let _ = unsafe { advise_all(&pages, libc::MADV_POPULATE_WRITE) };
}

/// Gives the pages of the dirty ones among `stacks` back to the kernel, if possible (memory that is locked stays).
/// Guards stay.
pub(super) fn discard(stacks: &mut [Stack]) {
    stacks.sort_unstable_by_key(|stack| stack.base);
    let runs = stacks.chunk_by(|a, b| {
        let (a, b) = (a.slot(), b.slot());
        a.slab == b.slab && a.index + 1 == b.index && a.is_dirty() == b.is_dirty()
    });
    let runs = runs.filter(|run| run[0].slot().is_dirty());
    // Each from the first one's guard to the last one's end, with the guards between them.
    let ranges = runs.map(|run| {
        let (first, slab) = (run[0].slot(), run[0].slot().slab());
        libc::iovec { iov_base: first.usable_memory().cast(), iov_len: run.len() * slab.stride - slab.guard }
    });
    for ranges in ranges.collect::<Vec<_>>().chunks(MOST_RANGES) {
        // SAFETY: by I4 the ranges hold nothing but the stacks of a run and guards, which stay; by I1 and I5 nothing
        // that anyone will read is on those stacks.
        unsafe { drop_pages(ranges) };
    }
    for stack in stacks {
        stack.slot().dirty.store(false, Ordering::Relaxed);
    }
}

/// Makes the memory in `ranges` zero and not resident. With one system call if the kernel can (Linux 6.16 can, and
/// takes a third of the time for it), which is found out by trying: a failure costs little beside what follows.
///
/// # Safety
///
/// Nobody needs what is there.
unsafe fn drop_pages(ranges: &[libc::iovec]) {
    // SAFETY: the caller's contract.
    if ranges.len() > 1 && unsafe { advise_all(ranges, libc::MADV_DONTNEED) } {
        return;
    }
    for range in ranges {
        // SAFETY: the caller's contract.
        unsafe { libc::madvise(range.iov_base, range.iov_len, libc::MADV_DONTNEED) };
    }
}

/// Gives one piece of advice on up to [`MOST_RANGES`] ranges with one system call. `false`: the kernel cannot do that, or has not done all of it.
///
/// # Safety
///
/// That of the advice.
unsafe fn advise_all(ranges: &[libc::iovec], advice: c_int) -> bool {
    // Not in the `libc` crate yet.
    const PIDFD_SELF: c_long = -10_000;
    let (first, count) = (ranges.as_ptr(), ranges.len());
    // SAFETY: pointer and length are those of a slice; about the ranges, the caller's contract.
    let done = unsafe { libc::syscall(libc::SYS_process_madvise, PIDFD_SELF, first, count, advice, 0) };
    let all: usize = ranges.iter().map(|range| range.iov_len).sum();
    usize::try_from(done) == Ok(all)
}

/// Maps address space that costs nothing until it is touched.
fn reserve(len: usize) -> io::Result<NonNull<u8>> {
    seam::admit(seam::Call::Map, None)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // Since Linux 6.7 `MAP_STACK` means what `MADV_NOHUGEPAGE` below says, so that neighbours merge at once.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    // SAFETY: a new mapping at an address that the kernel picks affects no memory in use.
    let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // A huge page would make 2 MiB resident for the first frame on any of its stacks. Fails on kernels that know no
    // huge pages, which is as good.
    // SAFETY: the range is the mapping made above.
    unsafe { libc::madvise(start, len, libc::MADV_NOHUGEPAGE) };
    Ok(NonNull::new(start.cast()).expect("the kernel maps nothing at address zero unasked"))
}

/// Whether `MADV_GUARD_INSTALL` works here, found out once.
fn kernel_has_light_guards() -> bool {
    static LIGHT_GUARDS: OnceLock<bool> = OnceLock::new();
    *LIGHT_GUARDS.get_or_init(|| {
        let page = page_size();
        let Ok(probe) = reserve(page) else {
            return false;
        };
        let probe = probe.as_ptr().cast();
        // SAFETY: the page mapped above, which holds nothing.
        let accepted = unsafe { libc::madvise(probe, page, MADV_GUARD_INSTALL) } == 0;
        // Where a guard is, no page can be made.
        // SAFETY: as above.
        let populated = unsafe { libc::madvise(probe, page, libc::MADV_POPULATE_WRITE) } == 0;
        let guarded = accepted && !populated && errno() == libc::EFAULT;
        // SAFETY: as above; not used again.
        unsafe { libc::munmap(probe, page) };
        guarded
    })
}

/// Says what failed, from `errno`.
#[cold]
fn guard_error(call: &str) -> io::Error {
    let error = io::Error::last_os_error();
    let hint = match error.raw_os_error() {
        Some(libc::ENOMEM) => "; each stack takes two memory mappings, vm.max_map_count limits them",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot guard a stack ({call}): {error}{hint}"))
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
