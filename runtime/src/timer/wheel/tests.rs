//! The wheel against an ordered map, and its corners one by one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use proptest::prelude::*;

use super::*;

const TICK: Nanos = 1 << TICK_SHIFT;

/// What an entry's payload is here: a key into [`Tested::model`].
type Id = usize;

/// A wheel with a model beside it. Entries are boxed; `fire` and `remove` free them, so a wheel
/// that touched an entry too late would be caught by a sanitizer.
struct Tested {
    wheel: Wheel<Id>,
    model: BTreeMap<Id, Expected>,
    next_id: Id,
}

/// The model's view of one linked entry.
struct Expected {
    entry: NonNull<Entry<Id>>,
    deadline: Nanos,
    /// The tick that its place in the firing order comes from.
    tick: u64,
}

impl Tested {
    fn new(now: Nanos) -> Self {
        Self { wheel: Wheel::new(now), model: BTreeMap::new(), next_id: 0 }
    }

    fn insert(&mut self, deadline: Nanos) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        let entry = NonNull::from(Box::leak(Box::new(Entry::new(deadline, id))));
        // SAFETY: just leaked: pinned, alive until `free`, which only unlinked entries reach.
        unsafe { self.wheel.insert(entry) };
        let expected = Expected { entry, deadline, tick: (deadline >> TICK_SHIFT).max(self.wheel.tick) };
        self.model.insert(id, expected);
        id
    }

    fn remove(&mut self, id: Id) {
        let expected = self.model.remove(&id).expect("the entry is linked");
        // SAFETY: what is in the model is alive and linked in this wheel.
        assert!(unsafe { self.wheel.remove(expected.entry) });
        // SAFETY: as above, and now it is unlinked.
        assert!(!unsafe { self.wheel.remove(expected.entry) });
        free(expected.entry);
    }

    /// Expires, and holds what fired and in what order against the model.
    fn expire(&mut self, now: Nanos) -> Vec<Id> {
        let mut fired = Vec::new();
        self.wheel.expire(now, |entry| {
            // SAFETY: the wheel hands out live entries.
            let payload = *unsafe { entry.as_ref() }.payload();
            free(entry);
            fired.push(payload);
        });
        let mut due: Vec<Id> = self.model.keys().copied().collect();
        due.retain(|id| self.model[id].deadline <= now);
        due.sort_by_key(|id| (self.model[id].tick, *id));
        assert_eq!(fired, due, "fired on the left, due on the right, at {now}");
        assert!(self.wheel.tick >= now >> TICK_SHIFT, "the wheel fell behind");
        for id in &fired {
            self.model.remove(id);
        }
        fired
    }

    fn earliest(&self) -> Option<Nanos> {
        self.model.values().map(|expected| expected.deadline).min()
    }

    /// Verifies the invariants of the module and what `next_deadline` promises.
    fn check(&self) {
        let wheel = &self.wheel;
        assert_eq!(wheel.len(), self.model.len());
        assert_eq!(wheel.is_empty(), self.model.is_empty());
        let mut linked = 0;
        for index in 0..LEVELS * SLOTS {
            let place = Place(index as u16);
            let entries = self.slot(place);
            let bit = wheel.occupied[place.level()] >> place.slot() & 1;
            assert_eq!(bit == 1, !entries.is_empty(), "I3: {place:?}");
            linked += entries.len();
            for id in entries {
                let deadline = self.model[&id].deadline;
                assert_eq!(place, wheel.place_for(deadline), "I4: {deadline}");
                if place == wheel.own_place() {
                    assert!(wheel.floor <= deadline, "I5: {deadline}");
                }
            }
        }
        assert_eq!(linked, wheel.len(), "I3: len");
        for level in 0..LEVELS {
            let bit = wheel.levels >> level & 1;
            assert_eq!(bit == 1, wheel.occupied[level] != 0, "I3: level {level}");
        }
        self.check_next_deadline();
    }

    fn check_next_deadline(&self) {
        let (next, earliest) = (self.wheel.next_deadline(), self.earliest());
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(next <= earliest, "{next:?} is after {earliest:?}");
        let first = self.wheel.first().map(|place| self.slot(place).len());
        if first.is_some_and(|len| len <= EXACT_LIMIT) {
            assert_eq!(next, earliest);
        }
    }

    /// Walks the list of a slot (I1, I2).
    fn slot(&self, place: Place) -> Vec<Id> {
        let mut ids = Vec::new();
        let Some(head) = self.wheel.heads[place.index()] else {
            return ids;
        };
        let mut cursor = head;
        loop {
            // SAFETY: the model frees entries only when they are unlinked.
            let entry = unsafe { cursor.as_ref() };
            assert_eq!(entry.place.get(), place, "I2");
            assert!(entry.is_linked(&self.wheel));
            ids.push(*entry.payload());
            let next = entry.next.get();
            // SAFETY: as above.
            assert_eq!(unsafe { next.as_ref() }.prev.get(), cursor, "I1");
            if next == head {
                return ids;
            }
            cursor = next;
        }
    }

    /// Sleeps from one `next_deadline` to the next until the wheel is empty, as an idle worker
    /// does, and returns how many sleeps fired nothing.
    fn drain(&mut self) -> usize {
        let mut futile = 0;
        while let Some(next) = self.wheel.next_deadline() {
            if self.expire(next).is_empty() {
                futile += 1;
                assert!(self.wheel.next_deadline() > Some(next), "no progress");
            }
            self.check();
        }
        futile
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        for expected in self.model.values() {
            // SAFETY: what is in the model is alive and linked in this wheel.
            unsafe { self.wheel.remove(expected.entry) };
            free(expected.entry);
        }
    }
}

fn free(entry: NonNull<Entry<Id>>) {
    // SAFETY: it came from a box, and each caller has just unlinked it.
    drop(unsafe { Box::from_raw(entry.as_ptr()) });
}

/// One step of a random history. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Insert(Nanos),
    InsertAfter(Nanos),
    InsertBefore(Nanos),
    InsertMany(u8, Nanos),
    Remove(usize),
    Advance(Nanos),
    AdvanceToNext,
    GoBack(Nanos),
}

/// A span of time: all magnitudes alike, and ends of slots often.
fn span() -> impl Strategy<Value = Nanos> {
    let near_power =
        (0..u64::BITS, 0..5_u64).prop_map(|(bit, off)| (1_u64 << bit).saturating_add(off).saturating_sub(2));
    let any_size = (any::<u64>(), 0..u64::BITS).prop_map(|(value, shift)| value >> shift);
    prop_oneof![
        4 => 0..TICK,
        4 => 0..TICK * 256,
        4 => near_power,
        4 => any_size,
        1 => Just(u64::MAX),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => span().prop_map(Step::Insert),
        8 => span().prop_map(Step::InsertAfter),
        2 => span().prop_map(Step::InsertBefore),
        2 => (0..20_u8, span()).prop_map(|(count, span)| Step::InsertMany(count, span)),
        4 => any::<usize>().prop_map(Step::Remove),
        3 => span().prop_map(Step::Advance),
        4 => (0..TICK * 4).prop_map(Step::Advance),
        4 => Just(Step::AdvanceToNext),
        1 => (0..TICK * 2).prop_map(Step::GoBack),
    ]
}

fn apply(tested: &mut Tested, now: &mut Nanos, step: Step) {
    match step {
        Step::Insert(deadline) => {
            tested.insert(deadline);
        }
        Step::InsertAfter(span) => {
            tested.insert(now.saturating_add(span));
        }
        Step::InsertBefore(span) => {
            tested.insert(now.saturating_sub(span));
        }
        Step::InsertMany(count, span) => {
            for offset in 0..u64::from(count) {
                tested.insert(now.saturating_add(span).saturating_sub(offset * 999));
            }
        }
        Step::Remove(index) if !tested.model.is_empty() => {
            let index = index % tested.model.len();
            let id = *tested.model.keys().nth(index).expect("the index is in range");
            tested.remove(id);
        }
        Step::Remove(_) => {}
        Step::Advance(span) => {
            *now = now.saturating_add(span);
            tested.expire(*now);
        }
        Step::AdvanceToNext => {
            *now = tested.wheel.next_deadline().unwrap_or(0).max(*now);
            tested.expire(*now);
        }
        Step::GoBack(span) => {
            tested.expire(now.saturating_sub(span));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn agrees_with_an_ordered_map(
        origin in span(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut tested = Tested::new(origin);
        let mut now = origin;
        for step in steps {
            apply(&mut tested, &mut now, step);
            tested.check();
        }
        tested.drain();
    }

    #[test]
    fn sleeping_until_next_deadline_always_makes_progress(
        origin in span(),
        spans in prop::collection::vec(span(), 1..200),
    ) {
        let mut tested = Tested::new(origin);
        for span in &spans {
            tested.insert(origin.saturating_add(*span));
        }
        let futile = tested.drain();
        // A slot is visited in vain once, and a deadline crosses one slot of each level.
        prop_assert!(futile <= spans.len() * LEVELS);
    }
}

#[test]
fn an_empty_wheel_has_no_deadline_and_fires_nothing() {
    let mut tested = Tested::new(12_345);
    tested.check();
    assert!(tested.expire(u64::MAX).is_empty());
    assert!(tested.expire(0).is_empty());
    assert_eq!(tested.wheel.next_deadline(), None);
}

#[test]
fn fires_at_the_deadline_and_not_a_nanosecond_before() {
    for deadline in [1, TICK - 1, TICK, TICK + 1, 70 * TICK + 7, 10_000_000_000] {
        let mut tested = Tested::new(0);
        let id = tested.insert(deadline);
        assert!(tested.expire(deadline - 1).is_empty());
        tested.check();
        assert_eq!(tested.expire(deadline), [id]);
    }
}

#[test]
fn deadlines_of_one_tick_fire_one_by_one() {
    let mut tested = Tested::new(0);
    let ids: Vec<Id> = (0..100).map(|i| tested.insert(5 * TICK + 99 - i)).collect();
    for (offset, id) in ids.iter().rev().enumerate() {
        assert_eq!(tested.expire(5 * TICK + offset as u64), [*id]);
        tested.check();
    }
}

#[test]
fn fires_in_the_order_of_ticks_then_of_insertion() {
    let mut tested = Tested::new(0);
    let late = tested.insert(900 * TICK);
    let second = tested.insert(3 * TICK + 9);
    let third = tested.insert(3 * TICK);
    let first = tested.insert(2 * TICK);
    assert_eq!(tested.expire(u64::MAX), [first, second, third, late]);
}

#[test]
fn a_cascade_keeps_the_order_of_insertion() {
    let mut tested = Tested::new(0);
    let ids: Vec<Id> = (0..20).map(|_| tested.insert(5_000 * TICK)).collect();
    tested.expire(4_999 * TICK);
    let last = tested.insert(5_000 * TICK);
    let fired = tested.expire(5_000 * TICK);
    assert_eq!(fired[..20], ids);
    assert_eq!(fired[20..], [last]);
}

#[test]
fn past_deadlines_fire_at_the_next_expire() {
    let now = 1_000 * TICK + 77;
    let mut tested = Tested::new(now);
    for deadline in [0, 1, 999 * TICK, now - 1, now] {
        tested.insert(deadline);
        tested.check();
    }
    assert_eq!(tested.wheel.next_deadline(), Some(0));
    assert_eq!(tested.expire(now).len(), 5);
}

#[test]
fn a_clock_read_before_the_last_expire_fires_only_what_it_may() {
    let mut tested = Tested::new(0);
    tested.expire(10 * TICK);
    let old = tested.insert(3 * TICK);
    let new = tested.insert(10 * TICK);
    assert_eq!(tested.expire(9 * TICK), [old]);
    tested.check();
    assert_eq!(tested.expire(10 * TICK), [new]);
}

#[test]
fn the_last_nanosecond_of_the_clock_is_a_deadline_like_any_other() {
    let mut tested = Tested::new(0);
    let last = tested.insert(u64::MAX);
    let before = tested.insert(u64::MAX - 1);
    assert_eq!(tested.wheel.next_deadline(), Some(u64::MAX - 1));
    assert!(tested.expire(u64::MAX - 2).is_empty());
    tested.check();
    assert_eq!(tested.expire(u64::MAX - 1), [before]);
    assert_eq!(tested.wheel.next_deadline(), Some(u64::MAX));
    assert_eq!(tested.expire(u64::MAX), [last]);
    let again = tested.insert(u64::MAX);
    assert_eq!(tested.expire(u64::MAX), [again]);
}

#[test]
fn cascades_across_the_boundary_of_each_level() {
    for level in 1..LEVELS as u32 {
        let boundary = TICK << (level * SLOT_BITS);
        for origin in [0, boundary / 3, boundary - 1] {
            let mut tested = Tested::new(origin);
            let deadlines = [boundary - 1, boundary, boundary + 1, boundary + TICK];
            let ids = deadlines.map(|deadline| tested.insert(deadline));
            tested.check();
            for (deadline, id) in deadlines.into_iter().zip(ids) {
                assert_eq!(tested.expire(deadline), [id], "level {level} from {origin}");
                tested.check();
            }
        }
    }
}

#[test]
fn an_entry_descends_through_all_levels() {
    let deadline = u64::MAX - 5;
    let mut tested = Tested::new(0);
    let id = tested.insert(deadline);
    for level in (0..LEVELS).rev() {
        assert_eq!(tested.wheel.first().map(Place::level), Some(level));
        let slot_start = tested.wheel.start_of(tested.wheel.place_for(deadline));
        assert!(tested.expire(slot_start << TICK_SHIFT).is_empty());
        tested.check();
    }
    assert_eq!(tested.expire(deadline), [id]);
}

#[test]
fn remove_takes_out_exactly_one_entry() {
    // One slot of three entries, and each of them removed: head, middle, tail, then the rest.
    for victim in 0..3 {
        let mut tested = Tested::new(0);
        let mut ids: Vec<Id> = (0..3).map(|_| tested.insert(500 * TICK)).collect();
        tested.remove(ids.remove(victim));
        tested.check();
        assert_eq!(tested.expire(500 * TICK), ids);
    }
}

#[test]
fn removing_the_only_entry_empties_the_wheel() {
    let mut tested = Tested::new(0);
    let id = tested.insert(10_000_000_000);
    tested.remove(id);
    tested.check();
    assert!(tested.expire(u64::MAX).is_empty());
}

#[test]
fn an_expired_entry_can_be_removed_in_vain_and_inserted_again() {
    let mut wheel = Wheel::new(0);
    let entry = Entry::new(TICK, ());
    let pinned = NonNull::from(&entry);
    for _ in 0..2 {
        // SAFETY: `entry` does not move, is unlinked here and unlinked again below.
        unsafe { wheel.insert(pinned) };
        assert!(entry.is_linked(&wheel));
        let mut fired = 0;
        wheel.expire(TICK, |fired_entry| {
            assert_eq!(fired_entry, pinned);
            fired += 1;
        });
        assert_eq!(fired, 1);
        assert!(!entry.is_linked(&wheel));
        // SAFETY: alive and unlinked.
        assert!(!unsafe { wheel.remove(pinned) });
    }
}

#[test]
fn next_deadline_is_exact_while_the_first_slot_holds_few() {
    let mut tested = Tested::new(0);
    let start = TICK << (3 * SLOT_BITS);
    for i in 0..EXACT_LIMIT as u64 {
        tested.insert(start + 1_000_000 * (10 - i));
        assert_eq!(tested.wheel.next_deadline(), tested.earliest());
    }
    tested.insert(start + 5);
    assert_eq!(tested.wheel.next_deadline(), Some(start));
    assert!(tested.drain() <= 4, "one futile sleep for each level at most");
}

#[test]
fn few_entries_need_no_futile_sleep() {
    let mut tested = Tested::new(0);
    for i in 1..=EXACT_LIMIT as u64 {
        tested.insert(i * 7_777_777_777);
    }
    assert_eq!(tested.drain(), 0);
}

#[test]
fn a_crowd_in_one_tick_needs_one_futile_sleep_per_level() {
    let mut tested = Tested::new(0);
    for i in 0..1_000 {
        tested.insert(10_000_000_000 + i % 7);
    }
    assert!(tested.drain() <= 4);
}

#[test]
fn removing_the_earliest_of_a_crowd_leaves_a_bound_that_rises() {
    let mut tested = Tested::new(0);
    let earliest = tested.insert(10);
    for i in 0..50 {
        tested.insert(1_000 + i);
    }
    assert_eq!(tested.wheel.next_deadline(), Some(10));
    tested.remove(earliest);
    tested.check();
    assert!(tested.expire(10).is_empty());
    assert_eq!(tested.wheel.next_deadline(), Some(1_000));
}

#[test]
fn a_panic_while_firing_loses_no_other_entry() {
    let mut tested = Tested::new(0);
    let ids: Vec<Id> = (0..20).map(|i| tested.insert(5 * TICK + i)).collect();
    let seen = Cell::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        tested.wheel.expire(5 * TICK + 10, |entry| {
            free(entry);
            seen.set(seen.get() + 1);
            assert!(seen.get() < 4, "the fourth entry panics");
        });
    }));
    assert!(outcome.is_err());
    for id in &ids[..4] {
        tested.model.remove(id);
    }
    tested.check();
    assert_eq!(tested.expire(5 * TICK + 10), ids[4..=10]);
    assert_eq!(tested.expire(u64::MAX), ids[11..]);
}

#[test]
#[cfg(debug_assertions)]
fn dropping_a_wheel_or_an_entry_that_is_linked_is_reported() {
    let mut entry = ManuallyDrop::new(Entry::new(1, ()));
    let mut wheel = Wheel::new(0);
    // SAFETY: `entry` stays where it is and is unlinked; after the wheel's drop nothing follows
    // the links.
    unsafe { wheel.insert(NonNull::from(&*entry)) };
    assert!(catch_unwind(AssertUnwindSafe(|| drop(wheel))).is_err());
    // SAFETY: it is dropped once, and used no more after this.
    let drop_entry = || unsafe { ManuallyDrop::drop(&mut entry) };
    assert!(catch_unwind(AssertUnwindSafe(drop_entry)).is_err());
}

#[test]
fn the_wheel_can_change_threads_and_an_entry_cannot_move() {
    fn assert_send<T: Send>() {}
    assert_send::<Wheel<usize>>();

    // `mark` is ambiguous, hence does not compile, as soon as an entry is `Unpin`.
    trait NotUnpin<Marker> {
        fn mark() {}
    }
    impl<T: ?Sized> NotUnpin<()> for T {}
    struct IfUnpin;
    impl<T: ?Sized + Unpin> NotUnpin<IfUnpin> for T {}
    <Entry<usize> as NotUnpin<_>>::mark();
}

#[test]
fn the_wheel_fits_in_five_kibibytes() {
    assert!(size_of::<Wheel<usize>>() <= 5 * 1024);
}
