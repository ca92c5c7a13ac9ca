//! Who searches, who sleeps, and who wakes whom.
//!
//! Waking an idle worker costs the waker more than a hundred spawns, so the protocol wakes as few as it can:
//! at most one searcher per new work, none while one is already searching. It must still never lose work: the
//! proof sketch is in `docs/scheduler.md`. How a worker blocks its OS thread is not decided here (`sleeper.rs`).
//!
//! # Roles
//!
//! A *worker* searches, sleeps, and stops doing so. A *notifier* (any thread) has made work visible and calls
//! [`Idle::notify`], or has put a task in one worker's inbox and calls [`Idle::notify_worker`].
//!
//! # States
//!
//! ```text
//!   working ──1──▶ searching ──2──▶ working          1 start_searching     2 stop_searching
//!   searching or working ──3──▶ sleeping              3 sleep
//!   sleeping ──4──▶ searching                         4 notify, by another; or cancel_sleep, by itself
//!   sleeping ──5──▶ working                           5 notify_worker, by another
//! ```
//!
//! # Invariants
//!
//! - **D1** `counts` holds the number of searching and of sleeping workers; sleeping ones are listed in `sleepers`,
//!   and `asleep[i]` says whether worker `i` is. The list, the flags and the sleeping count change together under the lock.
//! - **D2** A worker that goes to sleep, or stops as the last searcher, looks at every queue again *after* it did so and
//!   fenced. A notifier looks at `counts` *after* it made the work visible and fenced. So one of them sees the other.
//! - **D3** A worker leaves `sleepers` exactly once per sleep: taken by a notifier, who must then wake its thread, or by itself.
//!
//! # Orderings
//!
//! All loads and stores of `counts` and `asleep` but one (`stop_searching`) are Relaxed; what orders them against the queues are the `SeqCst` fences of D2,
//! each notifier's against each sleeper's. (loom models fences, but treats `SeqCst` accesses as `AcqRel`.)
//!
//! # Checked by
//!
//! `loom-tests/tests/idle.rs`.
//!
//! # Sources
//!
//! Go's `proc.go` (one spinning thread at a time, last one rechecks), rayon's `sleep/README.md`, tokio's `idle.rs`.

use crossbeam_utils::CachePadded;

use crate::prim::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Relaxed, Ordering::SeqCst, fence},
};

/// One sleeping worker, in the low half of `counts`.
const SLEEPING: u64 = 1;
/// One searching worker, in the high half.
const SEARCHING: u64 = 1 << 32;

const fn searching(counts: u64) -> u64 {
    counts >> 32
}

const fn sleeping(counts: u64) -> u64 {
    counts & (SEARCHING - 1)
}

/// The protocol's state. See the module.
#[derive(Debug)]
pub struct Idle {
    counts: CachePadded<AtomicU64>,
    asleep: Box<[CachePadded<AtomicBool>]>,
    sleepers: Mutex<Vec<usize>>,
    max_searching: u64,
}

impl Idle {
    /// For workers `0..workers`, all of them working, of which `max_searching` may search at once.
    #[must_use]
    pub fn new(workers: usize, max_searching: usize) -> Self {
        Self {
            max_searching: max_searching.max(1) as u64,
            counts: CachePadded::new(AtomicU64::new(0)),
            asleep: (0..workers).map(|_| CachePadded::new(AtomicBool::new(false))).collect(),
            sleepers: Mutex::new(Vec::with_capacity(workers)),
        }
    }

    /// Asks to search. Several that ask at once may exceed the limit for a moment; it is there to save power.
    #[must_use]
    pub fn start_searching(&self) -> bool {
        if searching(self.counts.load(Relaxed)) >= self.max_searching {
            return false;
        }
        self.counts.fetch_add(SEARCHING, Relaxed);
        true
    }

    /// Found work. `true`: it was the last searcher and must look whether there is more, and if so `notify`.
    #[must_use]
    pub fn stop_searching(&self) -> bool {
        // The last searcher sees what those before it took from one queue and put in another.
        let last = searching(self.counts.fetch_sub(SEARCHING, AcqRel)) == 1;
        if last {
            fence(SeqCst); // D2, pairs with `notify`
        }
        last
    }

    /// Lists worker `me` as sleeping. It must now look at every queue once more, and then block or `cancel_sleep`.
    pub fn sleep(&self, me: usize, searching: bool) {
        {
            let mut sleepers = self.sleepers.lock();
            sleepers.push(me);
            self.asleep[me].store(true, Relaxed);
            let change = if searching { SLEEPING.wrapping_sub(SEARCHING) } else { SLEEPING };
            self.counts.fetch_add(change, Relaxed);
        }
        fence(SeqCst); // D2, pairs with `notify` and `notify_worker`
    }

    /// Ends the sleep of `me` by itself. `true`: it now counts as searching. `false`: a notifier was first, and its wake is on
    /// the way (D3).
    #[must_use]
    pub fn cancel_sleep(&self, me: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        if !self.asleep[me].load(Relaxed) {
            return false;
        }
        self.remove(&mut sleepers, me);
        self.counts.fetch_add(SEARCHING.wrapping_sub(SLEEPING), Relaxed);
        true
    }

    /// New work is visible to all: the worker to wake for it, as a searcher, if one should be.
    #[inline]
    #[must_use]
    pub fn notify(&self) -> Option<usize> {
        fence(SeqCst); // D2, pairs with `sleep` and `stop_searching`
        let counts = self.counts.load(Relaxed);
        if searching(counts) > 0 || sleeping(counts) == 0 {
            return None;
        }
        self.take_sleeper()
    }

    #[cold]
    fn take_sleeper(&self) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        if searching(self.counts.load(Relaxed)) > 0 {
            return None;
        }
        let worker = sleepers.pop()?;
        self.asleep[worker].store(false, Relaxed);
        self.counts.fetch_add(SEARCHING.wrapping_sub(SLEEPING), Relaxed);
        Some(worker)
    }

    /// New work stands in the inbox of `worker`: whether its thread is to be woken. It does not count as searching then.
    #[inline]
    #[must_use]
    pub fn notify_worker(&self, worker: usize) -> bool {
        fence(SeqCst); // D2, pairs with `sleep`
        self.asleep[worker].load(Relaxed) && self.take(worker)
    }

    #[cold]
    fn take(&self, worker: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        if !self.asleep[worker].load(Relaxed) {
            return false;
        }
        self.remove(&mut sleepers, worker);
        self.counts.fetch_sub(SLEEPING, Relaxed);
        true
    }

    fn remove(&self, sleepers: &mut Vec<usize>, worker: usize) {
        sleepers.retain(|&w| w != worker);
        self.asleep[worker].store(false, Relaxed);
    }

    /// Whether a wake would find a sleeper and no searcher. A hint.
    #[inline]
    #[must_use]
    pub fn could_wake(&self) -> bool {
        let counts = self.counts.load(Relaxed);
        searching(counts) == 0 && sleeping(counts) > 0
    }

    /// Whether `worker` sleeps. A hint.
    #[must_use]
    pub fn is_asleep(&self, worker: usize) -> bool {
        self.asleep[worker].load(Relaxed)
    }

    /// How many workers sleep. A hint.
    #[inline]
    #[must_use]
    pub fn sleeping(&self) -> usize {
        sleeping(self.counts.load(Relaxed)) as usize
    }
}
