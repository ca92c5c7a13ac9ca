//! Where stacks come from and go back to.
//!
//! Each worker has a [`StackCache`] of stacks of the default size: acquire and release are a pop and a push. Behind the
//! caches is one [`StackPool`], a shelf for each size under one mutex, which caches turn to in batches. The pool
//! decides how much memory of free stacks stays resident; it does not decide what happens when there is no stack.
//!
//! The invariants I1 to I5 are those of the parent module.
//!
//! # Roles
//!
//! Any OS thread may call any function of the pool with a cache of its own.
//!
//! # Invariants
//!
//! - P1: a slab is in its shelf's `slabs` from when it is mapped to when it is unmapped, and only there.
//! - P2: `open` names the slabs that have a free slot, `idle` those that have nothing else.
//! - P3: a shelf holds at most a quarter as many dirty stacks as are out (1,024 at least), and at most a quarter as
//!   many idle slabs as busy ones (one at least). What is above goes back to the kernel, a bounded number for
//!   each call, so that no caller pays for the end of a million green threads. What a shelf keeps is therefore
//!   in proportion to what was needed a moment ago, and small when nothing is.
//! - P4: system calls are made without the mutex.
//!
//! # Rejected
//!
//! - An allocator without caches, lock-free: the list head would move between cores at each spawn.
//! - Giving pages back at each release: a system call, and a page fault for the next user.
//! - Keeping dirty stacks by age: needs a clock, and someone to look at it.
//!
//! # Checked by
//!
//! `stack/tests.rs`, `stack/tests/pool.rs`: at random

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::iter;
use std::mem;
use std::ptr::NonNull;

use parking_lot::Mutex;

use super::slab::{self, Bare, Guards, Slab};
use super::{MAX_STACK_SIZE, Stack, page_size, round};
use crate::prim::atomic::{AtomicUsize, Ordering};

/// How many stacks a worker keeps for itself. When one more comes, the older half goes to the pool.
const CACHE_MAX: usize = 256;

/// The same for an OS thread and its generators, of which few are in use at a time.
const SMALL_CACHE_MAX: usize = 32;

/// How often the fault handler tries for the lock.
const TRIES: usize = 1000;

/// How many stacks an empty cache takes from the pool at once.
const REFILL: usize = 32;

/// How many guards are made at once at most: where the kernel cannot make them with one system call, each is one.
const CARVE_MAX: usize = 32;

/// How many dirty stacks a shelf keeps in any case (P3): 4 to 8 MiB, as most green threads touch a page or two.
const DIRTY_MIN: usize = 1024;

/// How many stacks one call gives back to the kernel at most because of P3. Twice what a cache spills at once.
const WASH_MAX: usize = CACHE_MAX;

/// How many slabs one call unmaps at most because of P3: the kernel frees the page tables of 200 stacks with each.
const UNMAP_MAX: usize = 32;

/// The same for a worker that has nothing else to do.
const UNMAP_MAX_IDLE: usize = 256;

/// The stacks of one runtime, shared by all its workers.
pub(crate) struct StackPool {
    default_size: usize,
    guards: Guards,
    /// By usable size.
    shelves: Mutex<BTreeMap<usize, Shelf>>,
    /// The largest high-water mark seen when pages were given back. Counted in debug builds only. `Relaxed`: it is a
    /// number for reports, nothing follows from it.
    high_water: AtomicUsize,
}

impl StackPool {
    /// An empty pool; nothing is mapped before the first stack is asked for. `default_size`, rounded as by
    /// [`round`] and at most [`MAX_STACK_SIZE`], is the size that caches hold.
    pub(crate) fn new(default_size: usize, guards: Guards) -> Self {
        let default_size = default_size.min(MAX_STACK_SIZE);
        Self {
            default_size: round(default_size).expect("at most MAX_STACK_SIZE, see the line above"),
            guards,
            shelves: Mutex::default(),
            high_water: AtomicUsize::new(0),
        }
    }

    /// The size that caches hold, and that [`acquire`](Self::acquire) is fast for.
    #[inline]
    pub(crate) fn default_size(&self) -> usize {
        self.default_size
    }

    /// Takes a stack of at least `size` bytes; warm ones first.
    ///
    /// # Errors
    ///
    /// When `size` is above [`MAX_STACK_SIZE`] (of kind `InvalidInput`), or when none is free and the kernel gives no
    /// address space or no guard: then another call may succeed once a stack was released.
    #[inline]
    pub(crate) fn acquire(&self, cache: &mut StackCache, size: usize) -> io::Result<Stack> {
        if size != self.default_size {
            return self.acquire_odd(cache, size);
        }
        match cache.stacks.pop() {
            Some(stack) => Ok(stack),
            None => self.refill(cache),
        }
    }

    /// Takes a stack back. Its user has cleared the occupant.
    #[inline]
    pub(crate) fn release(&self, cache: &mut StackCache, stack: Stack) {
        debug_assert!(
            stack.slot().occupant.load(Ordering::Relaxed).is_null(),
            "a stack was released while it had an occupant"
        );
        stack.slot().set_dirty();
        let size = stack.slot().usable();
        if size != self.default_size {
            return self.put(size, [stack]);
        }
        if cache.stacks.len() >= cache.max {
            self.spill(cache);
        }
        cache.stacks.push(stack);
    }

    /// Empties the cache of a worker that has nothing to do or is about to end, and gives the pages of its stacks
    /// back to the kernel. With them go, a bounded number at a time, stacks on the shelves beyond a quarter of what is
    /// out, and idle slabs. Returns whether another call would give back more: when nothing runs any more and an
    /// idle worker calls until it would not, nothing stays resident.
    pub(crate) fn trim(&self, cache: &mut StackCache) -> bool {
        let own = mem::take(&mut cache.stacks);
        if !own.is_empty() {
            self.wash(self.default_size, own, UNMAP_MAX_IDLE);
        }
        let mut shelves = self.shelves.lock();
        let excess = shelves.iter_mut().filter(|(_, shelf)| shelf.has_excess(0));
        let excess: Vec<_> = excess.map(|(&size, shelf)| (size, shelf.take_excess(0))).collect();
        drop(shelves);
        for (size, stacks) in excess {
            self.wash(size, stacks, UNMAP_MAX_IDLE);
        }
        let shelves = self.shelves.lock();
        shelves.values().any(|shelf| shelf.has_excess(0))
    }

    /// Calls `f` with every occupant that is set. No stack is acquired or released meanwhile by others (the caller
    /// sees to that); `f` itself may.
    pub(crate) fn for_each_occupant(&self, f: impl FnMut(*mut ())) {
        let mut occupants = Vec::new();
        for held in self.shelves.lock().values().flat_map(|shelf| shelf.slabs.values()) {
            occupants.extend(held.slab().occupants());
        }
        occupants.into_iter().for_each(f);
    }

    /// The occupant of the slot that `address` lies in, its guard included.
    ///
    /// Async-signal-safe: gives up if the lock cannot be had for long, which the faulting OS thread itself may hold.
    pub(crate) fn occupant_at(&self, address: usize) -> Option<NonNull<()>> {
        let attempt = || {
            let shelves = self.shelves.try_lock();
            if shelves.is_none() {
                // SAFETY: no arguments.
                unsafe { libc::sched_yield() };
            }
            shelves
        };
        let shelves = iter::repeat_with(attempt).take(TRIES).find_map(|shelves| shelves)?;
        shelves.values().find_map(|shelf| {
            let (_, held) = shelf.slabs.range(..=address).next_back()?;
            held.slab().occupant_at(address)
        })
    }

    /// How many stacks are out: in use, in a cache, or leaked.
    pub(crate) fn live(&self) -> usize {
        self.shelves.lock().values().map(|shelf| shelf.out).sum()
    }

    /// The most bytes that any stack has used whose pages were given back since; `trim` a cache to have its stacks
    /// counted. Zero in release builds.
    pub(crate) fn high_water(&self) -> usize {
        self.high_water.load(Ordering::Relaxed)
    }

    #[cold]
    fn acquire_odd(&self, cache: &mut StackCache, size: usize) -> io::Result<Stack> {
        let size = round(size).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        if size == self.default_size {
            return self.acquire(cache, size);
        }
        let mut one = Vec::with_capacity(1);
        self.take(shelf_size(size), 1, &mut one)?;
        Ok(one.pop().expect("`take` gives at least one"))
    }

    #[cold]
    fn refill(&self, cache: &mut StackCache) -> io::Result<Stack> {
        self.take(self.default_size, REFILL.min(cache.max / 2), &mut cache.stacks)?;
        Ok(cache.stacks.pop().expect("`take` gives at least one"))
    }

    #[cold]
    fn spill(&self, cache: &mut StackCache) {
        self.put(self.default_size, cache.stacks.drain(..cache.max / 2));
    }

    /// Takes one to `want` stacks off the shelf, the warmest last.
    fn take(&self, size: usize, want: usize, into: &mut Vec<Stack>) -> io::Result<()> {
        debug_assert!(into.is_empty());
        loop {
            let mut bare = Vec::new();
            let mut shelves = self.shelves.lock();
            shelves.entry(size).or_default().take(want, into, &mut bare);
            drop(shelves);
            if !into.is_empty() {
                return Ok(());
            }
            if !bare.is_empty() {
                return self.carve(size, bare, into);
            }
            // Others may do the same now, and then there is a slab more than needed: P3 copes.
            let slab = Slab::map(size, self.guards)?;
            // SAFETY: just mapped, no slot of it was handed out, and no other shelf has it.
            let held = unsafe { Held::new(slab) };
            self.shelves.lock().entry(size).or_default().add(held);
        }
    }

    /// Makes stacks of bare slots: all of them, or those up to the first failure.
    ///
    /// # Errors
    ///
    /// When the first one fails.
    fn carve(&self, size: usize, bare: Vec<Bare>, into: &mut Vec<Stack>) -> io::Result<()> {
        let mut bare = slab::carve_all(bare, into).into_iter();
        if into.len() > 1 {
            // So many are out that these will be used at once.
            slab::populate(into);
        }
        let (failed, error) = loop {
            match bare.next().map(Bare::carve) {
                Some(Ok(stack)) => into.push(stack),
                Some(Err(failure)) => break failure,
                None => return Ok(()),
            }
        };
        let mut shelves = self.shelves.lock();
        let shelf = shelves.entry(size).or_default();
        bare.chain([failed]).for_each(|slot| shelf.file_bare(slot));
        if into.is_empty() { Err(error) } else { Ok(()) }
    }

    /// Puts stacks on a shelf, and washes what is too much (P3).
    fn put(&self, size: usize, stacks: impl IntoIterator<Item = Stack>) {
        let mut shelves = self.shelves.lock();
        let shelf = shelves.entry(size).or_default();
        stacks.into_iter().for_each(|stack| shelf.put(stack));
        if shelf.has_excess(DIRTY_MIN) {
            let excess = shelf.take_excess(DIRTY_MIN);
            drop(shelves);
            self.wash(size, excess, UNMAP_MAX);
        }
    }

    /// Gives pages back to the kernel, files the stacks as clean, and unmaps slabs that are superfluous (P3).
    fn wash(&self, size: usize, mut stacks: Vec<Stack>, unmap_max: usize) {
        if cfg!(debug_assertions) {
            let marks = stacks.iter().filter(|stack| stack.slot().is_dirty()).map(Stack::high_water);
            self.high_water.fetch_max(marks.max().unwrap_or(0), Ordering::Relaxed);
        }
        slab::discard(&mut stacks);
        let mut shelves = self.shelves.lock();
        let shelf = shelves.entry(size).or_default();
        stacks.into_iter().for_each(|stack| shelf.file_clean(stack));
        let superfluous = iter::from_fn(|| shelf.take_superfluous()).take(unmap_max);
        let superfluous: Vec<_> = superfluous.collect();
        drop(shelves);
        superfluous.into_iter().for_each(Held::unmap);
    }
}

impl Drop for StackPool {
    fn drop(&mut self) {
        for mut shelf in mem::take(self.shelves.get_mut()).into_values() {
            let dirty = mem::take(&mut shelf.dirty);
            shelf.out += dirty.len();
            dirty.into_iter().for_each(|stack| shelf.file_clean(stack));
            // The others have a slot that was leaked: they are leaked as well, with their metadata (I2).
            let idle = shelf.slabs.into_values().filter(Held::is_idle);
            idle.for_each(Held::unmap);
        }
    }
}

/// The stacks that one worker, or another OS thread, keeps at hand, all of the pool's default size.
///
/// It belongs to one pool, and is to be given to [`StackPool::trim`] before it is dropped: what is in it is leaked.
pub(crate) struct StackCache {
    /// The last one is the warmest.
    stacks: Vec<Stack>,
    max: usize,
}

impl StackCache {
    /// An empty cache.
    pub(crate) const fn new() -> Self {
        Self { stacks: Vec::new(), max: CACHE_MAX }
    }

    /// An empty cache that keeps few.
    pub(crate) const fn small() -> Self {
        Self { stacks: Vec::new(), max: SMALL_CACHE_MAX }
    }

    /// How many stacks are at hand.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.stacks.len()
    }
}

/// Everything of one size.
#[derive(Default)]
struct Shelf {
    /// By address (P1).
    slabs: BTreeMap<usize, Held>,
    /// P2. The kernel maps downwards, so the last one is the oldest: taking from it first leaves the newer ones to
    /// become idle.
    open: BTreeSet<usize>,
    /// P2.
    idle: BTreeSet<usize>,
    /// Free stacks that were used; the last is the warmest.
    dirty: Vec<Stack>,
    /// How many slots are neither here nor in a free list of a slab.
    out: usize,
}

impl Shelf {
    /// Takes up to `want` stacks; when there are none, slots to make some of, more when many were made already.
    fn take(&mut self, want: usize, into: &mut Vec<Stack>, bare: &mut Vec<Bare>) {
        into.extend(self.dirty.drain(self.dirty.len().saturating_sub(want)..));
        if into.is_empty()
            && let Some(&start) = self.open.last()
        {
            let carve = want.min(CARVE_MAX).min(1 + self.out / 4);
            let held = self.slabs.get_mut(&start).expect("P2");
            held.take(want, carve, into, bare);
            self.idle.remove(&start);
            if held.free() == 0 {
                self.open.remove(&start);
            }
        }
        self.out += into.len() + bare.len();
    }

    fn add(&mut self, held: Held) {
        let start = held.slab().start();
        self.open.insert(start);
        self.idle.insert(start);
        self.slabs.insert(start, held);
    }

    /// Takes a stack back that was out.
    fn put(&mut self, stack: Stack) {
        if stack.slot().is_dirty() {
            self.dirty.push(stack);
            self.out = self.out.saturating_sub(1);
        } else {
            self.file_clean(stack);
        }
    }

    /// Whether there is something to wash or to unmap, if `floor` dirty stacks are kept in any case.
    fn has_excess(&self, floor: usize) -> bool {
        self.dirty.len() > self.dirty_max(floor) || self.idle.len() > self.idle_max()
    }

    /// Takes the coldest dirty stacks out to be washed, if there are more than `floor` and than P3 allows.
    fn take_excess(&mut self, floor: usize) -> Vec<Stack> {
        let limit = self.dirty_max(floor);
        if self.dirty.len() <= limit {
            return Vec::new();
        }
        let excess = (self.dirty.len() - limit / 2).min(WASH_MAX);
        self.out += excess;
        self.dirty.drain(..excess).collect()
    }

    /// Takes the newest idle slab out to be unmapped, if there are more than P3 allows.
    fn take_superfluous(&mut self) -> Option<Held> {
        if self.idle.len() <= self.idle_max() {
            return None;
        }
        let start = self.idle.pop_first()?;
        self.open.remove(&start);
        self.slabs.remove(&start)
    }

    fn dirty_max(&self, floor: usize) -> usize {
        floor.max(self.out / 4)
    }

    fn idle_max(&self) -> usize {
        let busy = self.slabs.len() - self.idle.len();
        1.max(busy / 4)
    }

    /// Files a stack that was out. That of another pool is not found here, and leaked.
    fn file_clean(&mut self, stack: Stack) {
        let (start, index) = stack.slot().place();
        self.file(start, |held| held.clean.push(index));
    }

    /// Files a slot that was out.
    fn file_bare(&mut self, bare: Bare) {
        let (start, index) = bare.slot().place();
        self.file(start, |held| held.bare.push(index));
    }

    fn file(&mut self, start: usize, push: impl FnOnce(&mut Held)) {
        let Some(held) = self.slabs.get_mut(&start) else {
            debug_assert!(false, "a stack was released to a pool that it is not from");
            return;
        };
        push(held);
        self.out = self.out.saturating_sub(1);
        self.open.insert(start);
        if held.is_idle() {
            self.idle.insert(start);
        }
    }
}

/// A slab and its free lists.
struct Held {
    slab: NonNull<Slab>,
    /// Free slots with a guard and no pages.
    clean: Vec<u32>,
    /// Free slots without a guard.
    bare: Vec<u32>,
}

// SAFETY: `Slab` is `Send` and `Sync`, and nothing here is tied to an OS thread.
unsafe impl Send for Held {}

impl Held {
    /// The free lists of a slab of which all slots are bare.
    ///
    /// # Safety
    ///
    /// `slab` was just mapped and nobody else will refer to it or its slots, except through this value.
    unsafe fn new(slab: NonNull<Slab>) -> Self {
        // SAFETY: just mapped.
        let slots = unsafe { slab.as_ref() }.len();
        // INVARIANT: I1, each slot is in one list.
        Self { slab, clean: Vec::new(), bare: (0..).take(slots).collect() }
    }

    /// Takes up to `want` clean stacks, or else up to `carve` bare slots.
    fn take(&mut self, want: usize, carve: usize, into: &mut Vec<Stack>, bare: &mut Vec<Bare>) {
        // SAFETY: I2, as `unmap` takes `self`.
        let slab = unsafe { self.slab.as_ref() };
        let rest = self.clean.len().saturating_sub(want);
        for index in self.clean.drain(rest..) {
            // SAFETY: alive by I2; the slot leaves the list of those that have a guard.
            into.push(unsafe { Stack::new(slab.slot(index)) });
        }
        if into.is_empty() {
            let rest = self.bare.len().saturating_sub(carve);
            for index in self.bare.drain(rest..) {
                // SAFETY: alive by I2; the slot leaves the list of bare ones.
                bare.push(unsafe { Bare::new(slab.slot(index)) });
            }
        }
    }

    fn free(&self) -> usize {
        self.clean.len() + self.bare.len()
    }

    /// Whether no `Stack` and no `Bare` of this slab exists (I1).
    fn is_idle(&self) -> bool {
        self.free() == self.slab().len()
    }

    /// Unmaps the slab, which must be idle.
    fn unmap(self) {
        assert!(self.is_idle());
        // SAFETY: it was mapped once, and P1 makes `self` the only one that refers to it; the line above says that
        // every slot is in its lists, and those end here.
        unsafe { Slab::unmap(self.slab) };
    }

    fn slab(&self) -> &Slab {
        // SAFETY: I2, as `unmap` takes `self`.
        unsafe { self.slab.as_ref() }
    }
}

/// The size of the shelf for stacks of `size` bytes that are not of the default size: up to an eighth more, so that
/// a program that asks for many different sizes has a bounded number of shelves.
fn shelf_size(size: usize) -> usize {
    let step = (size.next_power_of_two() / 16).max(page_size());
    size.next_multiple_of(step)
}
