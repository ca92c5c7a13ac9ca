//! A hierarchical timing wheel of intrusive entries.
//!
//! It knows which deadlines are due and which comes next. An entry lives on the stack of the task
//! that waits, so insert and remove allocate nothing. The wheel reads no clock, wakes nobody and
//! has no lock of its own: its caller brings all three.
//!
//! Time is counted in ticks of 2^14 ns (16.4 us). Level 0 has one slot for each tick, and a slot
//! of any other level covers all 64 slots of the level below. Nine levels of six bits hold the 50
//! bits of a tick, so every `u64` deadline (584 years) has a place and nothing is clamped:
//!
//! ```text
//! level      0       1       2      3      4       5        6       7         8
//! one slot   16 us   1 ms    67 ms  4.3 s  4.6 min 4.9 h    13 d    2.3 y     146 y (4 slots used)
//! ```
//!
//! A tick is only an index. Inside a tick the real deadlines are compared, so an entry fires
//! neither early nor a tick late. An entry is placed by the highest digit (base 64) in which its
//! tick differs from the wheel's; no slot ever wraps around, and the first occupied slot of the
//! lowest occupied level holds the earliest deadlines (I4). Two bitmaps find it in a few
//! instructions, whatever the distance in time.
//!
//! # Roles
//!
//! - The *holder* has the wheel, in practice a worker or the poller under the mutex of the worker
//!   that owns the wheel. It may call everything.
//! - The *owner* of an entry is the task on whose stack it lives. While the entry is linked it may
//!   only read the payload; for the rest it has to become the holder.
//!
//! # States
//!
//! ```text
//! unlinked --(1)--> linked --(2)--> unlinked     (1) insert   (2) remove, expire
//!                   |    ^
//!                   +(3)-+                       (3) cascade: to a lower level, inside expire
//! ```
//!
//! # Invariants
//!
//! - I1: Each slot is a circular doubly linked list of live, pinned entries. Its head is in `heads`
//!   and the head's `prev` is its tail; new entries go behind the tail.
//! - I2: `next`, `prev` and `place` of an entry are read and written by the holder only, and an
//!   entry is in the list of slot `p` exactly when its `place` is `p`. Links of an unlinked entry
//!   are dangling and never followed.
//! - I3: A bit of `occupied` is set exactly when its slot has a head, a bit of `levels` exactly
//!   when that level has a bit. `len` is the number of linked entries.
//! - I4: The place of a linked entry is `place_for(deadline)` for the present `tick`. Hence at
//!   level 0 it lies at or after the wheel's own slot, at other levels after it. A cascade
//!   suspends I2 to I4 for the entries that it moves; no code of the caller runs there.
//! - I5: `floor` is at most the deadline of each entry in the wheel's own slot, the only one in
//!   which deadlines before the tick's start can lie. Its value means nothing when that is empty.
//! - I6: An entry that `fire` has seen is not touched again: it may be gone.
//!
//! # Orderings
//!
//! None: `&mut Wheel` excludes all other access to the links. The mutex around the wheel is what
//! carries an entry from its owner to the holder, and the wake what carries it back.
//!
//! # Suspension
//!
//! Nothing here suspends, and `fire` must not: it runs under the caller's lock.
//!
//! # Rejected
//!
//! - A binary heap: logarithmic insert and remove, an allocation that grows, and a back pointer
//!   into it from each entry. Most deadlines (timeouts) are removed long before they are due.
//! - Rounding deadlines up to ticks: a sleep of 20 us would take up to 36.
//! - A wheel whose slots wrap around (relative distance picks the level): the slot of the wheel
//!   may then hold entries of this turn and the next, and each look at a slot has to tell.
//! - Heads and tails in the wheel: twice the memory, to save one load on insert.
//! - Sorted slots: every timeout would pay for an order that few live to need.
//!
//! # Checked by
//!
//! `wheel/tests.rs`: against an ordered map, with all invariants verified after every step.
//!
//! # Sources
//!
//! Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 7. Choosing the level
//! by the highest differing digit is as in `tokio/src/runtime/time/wheel`.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::ptr::NonNull;

/// Nanoseconds since the runtime's clock origin.
pub(crate) type Nanos = u64;

/// A deadline and what to do when it has passed, with the links that keep it in a [`Wheel`].
///
/// From its insertion on it is used through shared references only; its neighbours point at it.
pub(crate) struct Entry<T> {
    deadline: Nanos,
    next: Cell<NonNull<Self>>,
    prev: Cell<NonNull<Self>>,
    place: Cell<Place>,
    payload: T,
    _pinned: PhantomPinned,
}

impl<T> Entry<T> {
    /// Creates an unlinked entry.
    pub(crate) fn new(deadline: Nanos, payload: T) -> Self {
        Self {
            deadline,
            next: Cell::new(NonNull::dangling()),
            prev: Cell::new(NonNull::dangling()),
            place: Cell::new(Place::UNLINKED),
            payload,
            _pinned: PhantomPinned,
        }
    }

    /// Returns the payload. It may be read at any time, also without the wheel.
    pub(crate) fn payload(&self) -> &T {
        &self.payload
    }

    /// Tells whether the entry is linked. The wheel it belongs to is asked for as the proof that
    /// the caller is its holder: nobody else may look (I2).
    #[cfg(test)]
    pub(crate) fn is_linked(&self, _wheel: &Wheel<T>) -> bool {
        self.place.get() != Place::UNLINKED
    }
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        debug_assert!(
            self.place.get() == Place::UNLINKED || std::thread::panicking(),
            "a linked timer entry was dropped"
        );
    }
}

/// The wheel. It must be empty when it is dropped; anything else is a bug of its caller, which a
/// debug build reports. Invariants: I1 to I6 of the module.
pub(crate) struct Wheel<T> {
    /// The tick up to which entries have been expired and cascaded.
    tick: u64,
    /// A lower bound for the wheel's own slot.
    floor: Nanos,
    len: usize,
    /// Which levels have an occupied slot.
    levels: u16,
    /// Which slots of each level are occupied.
    occupied: [u64; LEVELS],
    heads: [Option<NonNull<Entry<T>>>; LEVELS * SLOTS],
}

// SAFETY: the wheel owns no thread-bound state; its pointers lead to entries, of which a holder
// uses
// 1. the links, which are its alone on whatever thread it is (I2);
// 2. the payload, shared with the owner on another thread (`T: Sync`), and copied out of the
//    entry by a caller that wants to (`T: Send`).
unsafe impl<T: Send + Sync> Send for Wheel<T> {}

impl<T> Wheel<T> {
    /// Creates an empty wheel that stands at `now`.
    pub(crate) fn new(now: Nanos) -> Self {
        Self {
            tick: now >> TICK_SHIFT,
            floor: Nanos::MAX,
            len: 0,
            levels: 0,
            occupied: [0; LEVELS],
            heads: [None; LEVELS * SLOTS],
        }
    }

    /// Returns the number of linked entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Tells whether no entry is linked.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Links an entry, in constant time. A deadline that has passed is due at the next
    /// [`expire`](Self::expire).
    ///
    /// # Safety
    ///
    /// `entry` is pinned and unlinked. Until it is removed or handed to `fire` it stays alive at
    /// its address, is used through shared references only, and only the holder of this wheel
    /// calls [`Entry::is_linked`].
    pub(crate) unsafe fn insert(&mut self, entry: NonNull<Entry<T>>) {
        // SAFETY: the caller vouches that it is alive.
        let place = unsafe { entry.as_ref() }.place.get();
        debug_assert!(place == Place::UNLINKED, "the entry is already linked");
        // SAFETY: the caller's contract is that of `link`.
        unsafe { self.link(entry) };
        self.len += 1;
    }

    /// Unlinks an entry, in constant time, and returns whether it was linked.
    ///
    /// # Safety
    ///
    /// `entry` is alive, and either linked in this wheel or unlinked.
    pub(crate) unsafe fn remove(&mut self, entry: NonNull<Entry<T>>) -> bool {
        // SAFETY: the caller vouches that it is alive.
        let place = unsafe { entry.as_ref() }.place.get();
        if place == Place::UNLINKED {
            return false;
        }
        // SAFETY: it is linked, and by contract in this wheel.
        unsafe { self.unlink(entry) };
        true
    }

    /// Unlinks every entry whose deadline is at most `now` and hands it to `fire`.
    ///
    /// The order is that of ticks, ascending; within a tick, that of insertion. An entry that was
    /// overdue when it was inserted counts as one of the tick the wheel stood at. `now` may be
    /// less than at an earlier call (two workers read the clock, then race for the lock).
    ///
    /// An entry is unlinked before `fire` sees it, and the wheel does not touch it afterwards.
    /// `fire` must not reach the wheel by another way. Should it panic, the wheel stays whole, and
    /// the entries that it has not been shown stay linked.
    pub(crate) fn expire(&mut self, now: Nanos, mut fire: impl FnMut(NonNull<Entry<T>>)) {
        let target = self.tick.max(now >> TICK_SHIFT);
        while let Some(place) = self.first() {
            let start = self.start_of(place);
            if start > target {
                break;
            }
            self.advance(start);
            if place.level() > 0 {
                self.cascade(place);
                continue;
            }
            self.fire_due(place, now, &mut fire);
            if start == target {
                break;
            }
        }
        self.advance(target);
    }

    /// Returns a lower bound of the earliest deadline, or `None` if the wheel is empty.
    ///
    /// It is exact if the first occupied slot holds at most eight entries. If it holds more, then
    /// to call [`expire`](Self::expire) at the time returned either fires an entry or raises the
    /// bound, at the latest to the exact deadline after one call for each level.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        let place = self.first()?;
        let head = self.heads[place.index()]?;
        let mut earliest = Nanos::MAX;
        let mut cursor = head;
        for _ in 0..EXACT_LIMIT {
            // SAFETY: `cursor` is the head of a list or follows a member of it: alive by I1.
            let entry = unsafe { cursor.as_ref() };
            earliest = earliest.min(entry.deadline);
            cursor = entry.next.get();
            if cursor == head {
                return Some(earliest);
            }
        }
        // By I5 only the wheel's own slot may hold deadlines before its start.
        if place == self.own_place() {
            return Some(self.floor);
        }
        Some(self.start_of(place) << TICK_SHIFT)
    }

    /// Moves the wheel to `tick`.
    ///
    /// INVARIANT: the caller has seen that no occupied slot starts before `tick`, and cascades the
    /// one that starts there if it is above level 0. For the others I4 holds on: an entry shares
    /// all digits above its level with the old tick, so with every tick from there to its slot's
    /// start, and below that start its own digit stays the greater one. For I5, entries of the new
    /// own slot were placed by their deadline, so none is before the tick's start.
    fn advance(&mut self, tick: u64) {
        debug_assert!(tick >= self.tick, "the wheel went backwards");
        if tick != self.tick {
            self.tick = tick;
            self.floor = tick << TICK_SHIFT;
        }
    }

    /// Links all entries of a slot anew, now that the wheel has reached its start: they go to
    /// lower levels, each list in its old order.
    fn cascade(&mut self, place: Place) {
        let Some(head) = self.heads[place.index()] else {
            return;
        };
        self.clear(place);
        // SAFETY: it was the head of a list: alive by I1.
        let tail = unsafe { head.as_ref() }.prev.get();
        let mut cursor = head;
        loop {
            // SAFETY: the walk from head to tail follows a list that was whole (I1), and reads
            // each entry's link before it is written: `cursor` is alive.
            let next = unsafe { cursor.as_ref() }.next.get();
            // SAFETY: alive and pinned as above; the slot's head is gone, so it is in no list.
            unsafe { self.link(cursor) };
            if cursor == tail {
                break;
            }
            cursor = next;
        }
    }

    /// Hands what is due in the wheel's own slot to `fire`, unlinked; then makes `floor` exact.
    fn fire_due(&mut self, place: Place, now: Nanos, fire: &mut impl FnMut(NonNull<Entry<T>>)) {
        if now < self.floor {
            return;
        }
        let Some(head) = self.heads[place.index()] else {
            return;
        };
        // SAFETY: it is the head of a list: alive by I1.
        let tail = unsafe { head.as_ref() }.prev.get();
        let mut floor = Nanos::MAX;
        let mut cursor = head;
        loop {
            // SAFETY: `cursor` is still linked, since only entries before it were unlinked:
            // alive by I1. The reference is not used after `fire` (I6).
            let entry = unsafe { cursor.as_ref() };
            let (next, deadline) = (entry.next.get(), entry.deadline);
            // Compared first: afterwards the tail may be gone, and its address in use again.
            let last = cursor == tail;
            if deadline <= now {
                // SAFETY: linked in this wheel, as above.
                unsafe { self.unlink(cursor) };
                fire(cursor);
            } else {
                floor = floor.min(deadline);
            }
            if last {
                break;
            }
            cursor = next;
        }
        // INVARIANT: I5, by the walk just done. If `fire` panicked, the old bound holds.
        self.floor = floor;
    }

    /// Puts an entry at the end of the slot that its deadline asks for.
    ///
    /// # Safety
    ///
    /// As for [`insert`](Self::insert), but the entry's `place` may be stale.
    unsafe fn link(&mut self, entry: NonNull<Entry<T>>) {
        // SAFETY: the caller vouches that it is alive.
        let new = unsafe { entry.as_ref() };
        let place = self.place_for(new.deadline);
        let own = place == self.own_place();
        // INVARIANT: I2 and I4 for the new entry.
        new.place.set(place);
        if let Some(head) = self.heads[place.index()] {
            // SAFETY: it is the head of a list: alive by I1.
            let first = unsafe { head.as_ref() };
            let tail = first.prev.get();
            // SAFETY: it is the tail of that list: alive by I1.
            let last = unsafe { tail.as_ref() };
            // INVARIANT: I1, between tail and head.
            new.next.set(head);
            new.prev.set(tail);
            last.next.set(entry);
            first.prev.set(entry);
            if own {
                // INVARIANT: I5.
                self.floor = self.floor.min(new.deadline);
            }
        } else {
            // INVARIANT: I1 (a list of one) and I3.
            new.next.set(entry);
            new.prev.set(entry);
            self.heads[place.index()] = Some(entry);
            self.occupied[place.level()] |= 1 << place.slot();
            self.levels |= 1 << place.level();
            if own {
                // INVARIANT: I5; whatever the bound was, it was for entries that have left.
                self.floor = new.deadline;
            }
        }
    }

    /// Takes an entry out of its slot.
    ///
    /// # Safety
    ///
    /// `entry` is linked in this wheel.
    unsafe fn unlink(&mut self, entry: NonNull<Entry<T>>) {
        // SAFETY: a linked entry is alive (I1).
        let old = unsafe { entry.as_ref() };
        let place = old.place.replace(Place::UNLINKED);
        let next = old.next.get();
        if next == entry {
            self.clear(place);
        } else {
            let prev = old.prev.get();
            // SAFETY: a neighbour in the list: alive by I1.
            unsafe { prev.as_ref() }.next.set(next);
            // SAFETY: as for `prev`.
            unsafe { next.as_ref() }.prev.set(prev);
            let head = &mut self.heads[place.index()];
            if *head == Some(entry) {
                *head = Some(next);
            }
        }
        self.len -= 1;
    }

    /// Makes a slot empty. INVARIANT: I3; what to do with its entries is the caller's.
    fn clear(&mut self, place: Place) {
        self.heads[place.index()] = None;
        let level = place.level();
        self.occupied[level] &= !(1 << place.slot());
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// Returns the occupied slot that starts first: by I4 the levels follow each other in time,
    /// and so do the slots of a level.
    fn first(&self) -> Option<Place> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let slot = self.occupied[level as usize].trailing_zeros();
        Some(Place::new(level, slot))
    }

    /// Returns where a deadline belongs; one before the wheel's tick, to the wheel's own slot.
    fn place_for(&self, deadline: Nanos) -> Place {
        let tick = self.tick.max(deadline >> TICK_SHIFT);
        let highest = ((tick ^ self.tick) | SLOT_MASK).ilog2();
        let level = highest / SLOT_BITS;
        let slot = (tick >> (level * SLOT_BITS)) & SLOT_MASK;
        Place::new(level, slot as u32)
    }

    /// Returns the wheel's own slot: where deadlines of its present tick, and past ones, belong.
    fn own_place(&self) -> Place {
        Place::new(0, (self.tick & SLOT_MASK) as u32)
    }

    /// Returns the first tick of an occupied slot: the wheel's own digits above its level, its
    /// slot number, and zeros.
    fn start_of(&self, place: Place) -> u64 {
        let shift = place.level() as u32 * SLOT_BITS;
        let above = (self.tick >> shift) & !SLOT_MASK;
        (above | place.slot() as u64) << shift
    }
}

impl<T> Drop for Wheel<T> {
    fn drop(&mut self) {
        debug_assert!(
            self.is_empty() || std::thread::panicking(),
            "a timer wheel was dropped with linked entries"
        );
    }
}

/// Where an entry is linked: a level and a slot in it, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u16);

impl Place {
    const UNLINKED: Self = Self(u16::MAX);

    fn new(level: u32, slot: u32) -> Self {
        Self((level << SLOT_BITS | slot) as u16)
    }

    fn level(self) -> usize {
        self.index() >> SLOT_BITS
    }

    fn slot(self) -> usize {
        self.index() & (SLOTS - 1)
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Nanoseconds in a tick, as a power of two: finer than what an OS sleep can keep, and coarse
/// enough that a timeout of seconds cascades no more than three times.
const TICK_SHIFT: u32 = 14;

/// As many slots in a level as bits in the word that says which are occupied.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u64 = SLOTS as u64 - 1;

/// Enough for every tick that a `u64` of nanoseconds can name.
const LEVELS: usize = (u64::BITS - TICK_SHIFT).div_ceil(SLOT_BITS) as usize;

/// How many entries [`Wheel::next_deadline`] looks at before it settles for a bound.
const EXACT_LIMIT: usize = 8;

#[cfg(test)]
mod tests;
