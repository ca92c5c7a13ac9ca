//! Who searches, who sleeps, who wakes whom, and who has a seat.
//!
//! Waking an idle worker costs the waker more than a hundred spawns, so the protocol wakes as few as it can:
//! at most one searcher per new work, none while one is already searching. It must still never lose work: the
//! proof sketch is in `docs/scheduler.md`. How a worker blocks its OS thread is not decided here (`sleeper.rs`), and
//! who gets which seat is in `seats.rs`.
//!
//! # Roles
//!
//! A *worker* searches, sleeps, and stops doing so; and asks for a seat when it has none. A *notifier* (any thread) has made work
//! visible and calls [`Idle::notify`], or has put a task in one worker's inbox and calls [`Idle::notify_worker`]. The *poller thread*
//! takes seats from those who are stuck, and so does a green thread that is about to block from its own worker.
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
//! Beside it, where each worker is to the seats: see `seats.rs`.
//!
//! # Invariants
//!
//! - **D1** `counts` holds the number of searching workers, of those that sleep with a seat, and of those that are awake; `standings[i]` says
//!   where worker `i` is. The seats, the standings and the last two counts change together under the lock.
//! - **D2** A worker that goes to sleep, or stops as the last searcher, looks at every queue again *after* it did so and
//!   fenced. A notifier looks at `counts` *after* it made the work visible and fenced. So one of them sees the other.
//! - **D3** A worker leaves its sleep exactly once per sleep: taken out by a notifier, who must then wake its thread, or by itself. One
//!   that waits for a seat leaves its standing exactly once, taken out by another who must then wake its thread.
//! - **D4** Who gives a seat to one that sleeps looks at every queue again, after it fenced, and notifies: as one who goes to sleep.
//!
//! # Orderings
//!
//! All loads and stores of `counts` and `standings` but one (`stop_searching`) are Relaxed; what orders them against the queues are the `SeqCst` fences of D2,
//! each notifier's against each sleeper's. (loom models fences, but treats `SeqCst` accesses as `AcqRel`.) `waiting` is a hint.
//!
//! # Checked by
//!
//! `loom-tests/tests/idle.rs`, `loom-tests/tests/seats.rs`.
//!
//! # Sources
//!
//! Go's `proc.go` (one spinning thread at a time, last one rechecks), rayon's `sleep/README.md`, tokio's `idle.rs`.

use crossbeam_utils::CachePadded;

use super::seats::{Heir, Seats, Standing};
use crate::prim::{
    Mutex,
    atomic::{
        AtomicBool, AtomicU8, AtomicU64,
        Ordering::{AcqRel, Relaxed, SeqCst},
        fence,
    },
};

/// One worker that sleeps with a seat, in the low part of `counts`.
const SLEEPING: u64 = 1;
/// One worker that is awake, in the middle.
const AWAKE: u64 = 1 << 20;
/// One searching worker, in the high part.
const SEARCHING: u64 = 1 << 40;

const fn searching(counts: u64) -> u64 {
    counts / SEARCHING
}

const fn awake(counts: u64) -> u64 {
    counts % SEARCHING / AWAKE
}

const fn sleeping(counts: u64) -> u64 {
    counts % AWAKE
}

/// As what a worker counts.
const fn count(standing: Standing) -> u64 {
    match standing {
        Standing::Seated | Standing::Unseated | Standing::Queued => AWAKE,
        Standing::Asleep => SLEEPING,
        Standing::Retired | Standing::Unstarted => 0,
    }
}

/// How a sleep ended that a worker wants to end by itself.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It now counts as searching.
    Searching,
    /// It has no seat, and is to ask for one.
    Unseated,
    /// A notifier was first, and its wake is on the way (D3).
    Already,
}

/// What asking for a seat came to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The worker has one.
    Seated,
    /// It is to block until it is woken (D3).
    Queued,
}

/// A seat was given up.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// The worker that has it now and is to be woken.
    pub wake: Option<usize>,
    /// Whether nobody has it, nor sleeps with one: a spare is to be started.
    pub short: bool,
}

/// The protocol's state. See the module.
#[derive(Debug)]
pub struct Idle {
    counts: CachePadded<AtomicU64>,
    standings: Box<[CachePadded<AtomicU8>]>,
    seats: Mutex<Seats>,
    /// Whether somebody waits for a seat.
    waiting: AtomicBool,
    max_searching: u64,
}

impl Idle {
    /// For workers `0..workers`, all of them working, of which `max_searching` may search at once; and for as many spares.
    #[must_use]
    pub fn new(workers: usize, spares: usize, max_searching: usize) -> Self {
        let seats = Seats::new(workers, spares);
        let standing = |worker| CachePadded::new(AtomicU8::new(seats.standing(worker) as u8));
        Self {
            max_searching: max_searching.max(1) as u64,
            counts: CachePadded::new(AtomicU64::new(workers as u64 * AWAKE)),
            standings: (0..workers + spares).map(standing).collect(),
            seats: Mutex::new(seats),
            waiting: AtomicBool::new(false),
        }
    }

    /// Puts a worker somewhere else (D1), and changes `counts` by `also` at once.
    fn put(&self, seats: &mut Seats, worker: usize, to: Standing, also: u64) {
        let from = seats.put(worker, to);
        self.standings[worker].store(to as u8, Relaxed);
        self.waiting.store(seats.queue_len() > 0, Relaxed);
        self.counts.fetch_add(count(to).wrapping_sub(count(from)).wrapping_add(also), Relaxed);
    }

    /// Gives a seat that its holder has left to whoever is next.
    fn give(&self, seats: &mut Seats) -> Option<usize> {
        match seats.heir() {
            Heir::Queued(worker) => {
                self.put(seats, worker, Standing::Seated, 0);
                return Some(worker);
            }
            Heir::Retired(worker) => self.put(seats, worker, Standing::Asleep, 0),
            Heir::Nobody => seats.leave_free(),
        }
        None
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

    /// Puts worker `me` to sleep. It must now wake the worker that is returned, which waited for its seat; look at every queue once
    /// more; and then block or `cancel_sleep`.
    #[must_use]
    pub fn sleep(&self, me: usize, searching: bool) -> Option<usize> {
        let mut heir = None;
        {
            let mut seats = self.seats.lock();
            let also = if searching { SEARCHING.wrapping_neg() } else { 0 };
            let has_seat = seats.standing(me) == Standing::Seated || seats.take_free();
            if has_seat && let Heir::Queued(next) = seats.heir() {
                self.put(&mut seats, me, Standing::Retired, also);
                self.put(&mut seats, next, Standing::Seated, 0);
                heir = Some(next);
            } else {
                let standing = if has_seat { Standing::Asleep } else { Standing::Retired };
                self.put(&mut seats, me, standing, also);
            }
            seats.assert_sound();
        }
        fence(SeqCst); // D2, pairs with `notify` and `notify_worker`
        heir
    }

    /// Ends the sleep of `me` by itself.
    pub fn cancel_sleep(&self, me: usize) -> Ended {
        let mut seats = self.seats.lock();
        match seats.standing(me) {
            Standing::Asleep => {
                self.put(&mut seats, me, Standing::Seated, SEARCHING);
                Ended::Searching
            }
            Standing::Retired => {
                self.put(&mut seats, me, Standing::Unseated, 0);
                Ended::Unseated
            }
            _ => Ended::Already,
        }
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
        let mut seats = self.seats.lock();
        if searching(self.counts.load(Relaxed)) > 0 {
            return None;
        }
        let worker = seats.last_sleeper()?;
        self.put(&mut seats, worker, Standing::Seated, SEARCHING);
        Some(worker)
    }

    /// New work stands in the inbox of `worker`: whether its thread is to be woken. It does not count as searching then, and has a
    /// seat only if it slept with one.
    #[inline]
    #[must_use]
    pub fn notify_worker(&self, worker: usize) -> bool {
        fence(SeqCst); // D2, pairs with `sleep`
        self.standing(worker).is_asleep() && self.take(worker)
    }

    #[cold]
    fn take(&self, worker: usize) -> bool {
        let mut seats = self.seats.lock();
        let standing = match seats.standing(worker) {
            Standing::Asleep => Standing::Seated,
            Standing::Retired => Standing::Unseated,
            _ => return false,
        };
        self.put(&mut seats, worker, standing, 0);
        true
    }

    /// Whether a wake would find a sleeper and no searcher. A hint.
    #[inline]
    #[must_use]
    pub fn could_wake(&self) -> bool {
        let counts = self.counts.load(Relaxed);
        searching(counts) == 0 && sleeping(counts) > 0
    }

    /// Where `worker` is. A hint, but for itself: it is as it has left it, or somebody has taken or given its seat since.
    #[inline]
    #[must_use]
    pub fn standing(&self, worker: usize) -> Standing {
        Standing::from_u8(self.standings[worker].load(Relaxed))
    }

    /// How many workers sleep with a seat. A hint.
    #[inline]
    #[must_use]
    pub fn sleeping(&self) -> usize {
        sleeping(self.counts.load(Relaxed)) as usize
    }

    /// How many workers do not sleep. A hint.
    #[inline]
    #[must_use]
    pub fn awake(&self) -> usize {
        awake(self.counts.load(Relaxed)) as usize
    }
}

/// Seats. See `seats.rs`.
impl Idle {
    /// Takes the seat of a worker that runs a task, perhaps for long, and gives it to whoever is next. `None`: it has none. The caller
    /// looks at every queue, and notifies (D4).
    #[must_use]
    pub fn oust(&self, worker: usize) -> Option<Given> {
        let mut seats = self.seats.lock();
        if seats.standing(worker) != Standing::Seated {
            return None;
        }
        self.put(&mut seats, worker, Standing::Unseated, 0);
        let wake = self.give(&mut seats);
        seats.assert_sound();
        let given = Given { wake, short: seats.is_short() };
        drop(seats);
        fence(SeqCst); // D4, pairs with `notify`
        Some(given)
    }

    /// Gives the seat of `me` to one that waits for it, if there is one: the worker to wake.
    #[must_use]
    pub fn pass(&self, me: usize) -> Option<usize> {
        let mut seats = self.seats.lock();
        if seats.standing(me) != Standing::Seated {
            return None;
        }
        let Heir::Queued(next) = seats.heir() else { return None };
        self.put(&mut seats, me, Standing::Unseated, 0);
        self.put(&mut seats, next, Standing::Seated, 0);
        seats.assert_sound();
        Some(next)
    }

    /// Asks for a seat for `me`, which is awake without one: a free one, or that of a sleeper.
    #[must_use]
    pub fn try_seat(&self, me: usize) -> bool {
        let mut seats = self.seats.lock();
        self.seat(&mut seats, me)
    }

    /// As `try_seat`, or else queues for one.
    pub fn ask(&self, me: usize) -> Asked {
        let mut seats = self.seats.lock();
        if self.seat(&mut seats, me) {
            return Asked::Seated;
        }
        self.put(&mut seats, me, Standing::Queued, 0);
        seats.assert_sound();
        Asked::Queued
    }

    fn seat(&self, seats: &mut Seats, me: usize) -> bool {
        match seats.standing(me) {
            Standing::Seated => return true,
            Standing::Unseated => {}
            _ => return false,
        }
        if !seats.take_free() {
            let Some(robbed) = seats.sleeper_to_rob() else { return false };
            self.put(seats, robbed, Standing::Retired, 0);
        }
        self.put(seats, me, Standing::Seated, 0);
        seats.assert_sound();
        true
    }

    /// Takes a worker that waits for a seat off the queue. `true`: its thread is to be woken.
    #[must_use]
    pub fn dismiss(&self, worker: usize) -> bool {
        let mut seats = self.seats.lock();
        if seats.standing(worker) != Standing::Queued {
            return false;
        }
        self.put(&mut seats, worker, Standing::Unseated, 0);
        true
    }

    /// Gives a free seat to a spare that is about to be started. `false`: none is free, or somebody sleeps with one.
    #[must_use]
    pub fn start(&self, spare: usize) -> bool {
        let mut seats = self.seats.lock();
        if !seats.is_short() {
            return false;
        }
        let _ = seats.take_free();
        self.put(&mut seats, spare, Standing::Seated, 0);
        seats.assert_sound();
        true
    }

    /// It could not be started: the worker to wake, which gets its seat. The caller must now look at all visible work, and if there is any,
    /// `notify`.
    #[must_use]
    pub fn abandon(&self, spare: usize) -> Option<usize> {
        let mut seats = self.seats.lock();
        self.put(&mut seats, spare, Standing::Unstarted, 0);
        let heir = self.give(&mut seats);
        seats.assert_sound();
        drop(seats);
        fence(SeqCst); // D2: pairs with `notify`, which found nobody asleep
        heir
    }

    /// Whether a seat is free and nobody sleeps with one.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.seats.lock().is_short()
    }

    /// Whether somebody waits for a seat. A hint.
    #[inline]
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        self.waiting.load(Relaxed)
    }
}
