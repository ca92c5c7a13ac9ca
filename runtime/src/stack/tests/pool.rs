//! The pool against a plain list of who has which stack, at random.

use std::collections::BTreeMap;
use std::ptr;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

/// Together they hold fewer than the process may have mappings.
const MOST_HELD: usize = 2000;

/// How many a cache keeps.
const CACHE_MAX: usize = 256;

/// One step of a random history: by which cache, and what.
#[derive(Clone, Debug)]
enum Step {
    Acquire(usize),
    AcquireMany(usize),
    Release(Index),
    ReleaseMany(usize),
    Trim,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![
        4 => Just(DEFAULT_STACK_SIZE),
        2 => 0..4 * MIN_STACK_SIZE,
        1 => 0..4 * DEFAULT_STACK_SIZE,
    ];
    prop_oneof![
        6 => size.prop_map(Step::Acquire),
        1 => (0..400_usize).prop_map(Step::AcquireMany),
        6 => any::<Index>().prop_map(Step::Release),
        1 => (0..400_usize).prop_map(Step::ReleaseMany),
        1 => Just(Step::Trim),
    ]
}

/// A stack that is held, and what its holder has written to its ends.
struct Held {
    stack: Stack,
    mark: u64,
}

impl Held {
    /// The highest word and the lowest.
    fn ends(&self) -> [usize; 2] {
        [self.stack.base().get() - 8, self.stack.guard().end]
    }

    /// The addresses that are its holder's alone, guard included.
    fn start_and_end(&self) -> (usize, usize) {
        (self.stack.guard().start, self.stack.base().get())
    }

    fn is_as_it_was_left(&self) -> bool {
        self.ends().iter().all(|&end| peek(end) == self.mark)
    }
}

/// A pool, two caches, and who has what.
struct Tested {
    pool: StackPool,
    caches: [StackCache; 2],
    held: Vec<Held>,
    /// By the start of each: its end.
    places: BTreeMap<usize, usize>,
    next_mark: u64,
}

impl Tested {
    fn new(guards: Guards) -> Self {
        Self {
            pool: StackPool::new(DEFAULT_STACK_SIZE, guards),
            caches: [StackCache::new(), StackCache::new()],
            held: Vec::new(),
            places: BTreeMap::new(),
            next_mark: 1,
        }
    }

    fn acquire(&mut self, cache: usize, size: usize) {
        if self.held.len() == MOST_HELD {
            return;
        }
        let stack = self.pool.acquire(&mut self.caches[cache], size).expect("there is memory for it");
        let held = Held { stack, mark: self.next_mark };
        self.next_mark += 1;
        assert!(held.stack.usable() + (COLOURS - 1) * COLOUR_STEP >= size, "too small");
        let guard = held.stack.guard();
        let guarded = [guard.start, guard.end - 1].iter().all(|&end| !is_accessible(end));
        assert!(guarded && is_accessible(guard.end), "the guard is not where it should be");
        let (start, end) = held.start_and_end();
        let below = self.places.range(..end).next_back();
        assert!(below.is_none_or(|(_, &its_end)| its_end <= start), "somebody has it, or a part of it");
        self.places.insert(start, end);
        held.ends().iter().for_each(|&end| put(end, held.mark));
        held.stack.set_occupant(ptr::without_provenance_mut(held.mark as usize));
        self.held.push(held);
    }

    fn release(&mut self, cache: usize, index: usize) {
        let held = self.held.swap_remove(index);
        assert!(held.is_as_it_was_left(), "somebody has written to it");
        assert!(!is_accessible(held.stack.guard().end - 1), "the guard is gone");
        let found = self.pool.occupant_at(held.ends()[1]).map(|occupant| occupant.addr().get());
        assert_eq!(found, Some(held.mark as usize));
        self.places.remove(&held.start_and_end().0);
        held.stack.clear_occupant();
        self.pool.release(&mut self.caches[cache], held.stack);
    }

    fn run(&mut self, cache: usize, step: &Step) {
        match step {
            Step::Acquire(size) => self.acquire(cache, *size),
            Step::AcquireMany(count) => (0..*count).for_each(|_| self.acquire(cache, DEFAULT_STACK_SIZE)),
            Step::Release(index) if !self.held.is_empty() => {
                self.release(cache, index.index(self.held.len()));
            }
            Step::Release(_) => {}
            // Those that came first, for the most part.
            Step::ReleaseMany(count) => {
                (0..*count.min(&self.held.len())).for_each(|_| self.release(cache, 0))
            }
            Step::Trim => {
                self.pool.trim(&mut self.caches[cache]);
                assert_eq!(self.caches[cache].len(), 0);
            }
        }
        self.check();
    }

    fn check(&self) {
        let cached: usize = self.caches.iter().map(StackCache::len).sum();
        assert_eq!(self.pool.live(), self.held.len() + cached);
        assert!(self.caches.iter().all(|cache| cache.len() <= CACHE_MAX));
        let mut found = Vec::new();
        self.pool.for_each_occupant(|occupant| found.push(occupant.addr() as u64));
        let mut marks: Vec<_> = self.held.iter().map(|held| held.mark).collect();
        found.sort_unstable();
        marks.sort_unstable();
        assert_eq!(found, marks, "those that are found on the left, those that hold a stack on the right");
    }

    fn end(mut self) {
        while !self.held.is_empty() {
            self.release(0, 0);
        }
        for cache in &mut self.caches {
            while self.pool.trim(cache) {}
        }
        assert_eq!(self.pool.live(), 0);
    }
}

fn cases() -> u32 {
    let factor =
        std::env::var("SWARD_STRESS").map_or(1, |n| n.parse().expect("SWARD_STRESS is not a number"));
    24 * factor
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stack_has_one_holder_at_a_time_and_its_guard(
        light in any::<bool>(),
        steps in vec((0..2_usize, step()), 1..60),
    ) {
        let mut tested = Tested::new(if light { Guards::Auto } else { Guards::Mprotect });
        for (cache, step) in &steps {
            tested.run(*cache, step);
        }
        tested.end();
    }
}
