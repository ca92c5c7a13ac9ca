//! The life of a waiting thing, in one atomic word.
//!
//! Every green thread has one [`State`], and so has every OS thread that waits on a sward primitive. The word
//! says where the green thread is, which of its waits is under way, and how that wait ended. It decides every race
//! between a waker, a timer and a cancellation: exactly one of them wins a wait. It does not know queues,
//! stacks or who the wakers are.
//!
//! # Roles
//!
//! The *owner* is whoever may touch the task: the worker that runs it, the queue that holds it, the claimer that
//! is about to enqueue it. A *claimer* is any thread that tries to end a wait: a waker, a timer, a shutdown.
//!
//! # States
//!
//! ```text
//!              1 run                    3 park
//!   QUEUED ───────────────▶ RUNNING ───────────────▶ PARKED
//!     ▲  ▲                   │    │                     │
//!     │  └───────────────────┘    │ 6 finish            │
//!     │        2 requeue          ▼                     │
//!     │                        FINISHED                 │
//!     └─────────────────────────────────────────────────┘
//!                           4 claim
//! ```
//!
//! 1. [`State::run`] by the worker, 2. [`State::requeue`] by the worker after a yield, 3. [`State::park`] by the worker
//!    once it is off the task's stack, 4. [`State::claim`] by whoever ends the wait; it then owns the task and enqueues
//!    it, 6. [`State::finish`] by the task itself.
//!
//! Beside the place stands the *outcome* of the latest wait: `PENDING` from [`State::begin_wait`] until a claim, and
//! `WOKEN`, `TIMED_OUT` or `CANCELLED` from then on. A claim while the task is still `RUNNING` (it has registered
//! its waker but not switched away yet) only sets the outcome; `park` then fails and the task goes on.
//!
//! # Invariants
//!
//! - **S1** While the outcome is not `PENDING`, only the owner writes the word.
//! - **S2** The epoch grows with each wait, so a claim that names an older wait changes nothing.
//! - **S3** Each wait is won by exactly one claim, and the claim that takes `PARKED` to `QUEUED` owns the task.
//! - **S4** A wait begun as not cancellable is never claimed with [`Outcome::Cancelled`].
//!
//! # Orderings
//!
//! | write | read | what becomes visible |
//! |---|---|---|
//! | `park` (Release) | `claim` (Acquire) | the suspended stack, to the claimer that enqueues the task |
//! | `claim` (Release) | `park`'s failure, `outcome` (Acquire) | what the waker wrote before it woke |
//!
//! `begin_wait` is Relaxed: the new epoch reaches claimers through the registry in which the waker is put.
//!
//! # Checked by
//!
//! `loom-tests/tests/task_state.rs`.

use std::fmt;

use crate::prim::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// In a queue, or in the hands of whoever is about to enqueue it.
const QUEUED: u64 = 0;
/// On a worker.
const RUNNING: u64 = 1;
/// Suspended; owned by the next claimer.
const PARKED: u64 = 2;
/// Ended; its result is stored.
const FINISHED: u64 = 3;
const PLACE: u64 = 0b11;

/// The wait is under way. Never set outside `begin_wait` .. `claim`.
const PENDING: u64 = 0;
const WOKEN: u64 = 1 << 2;
const TIMED_OUT: u64 = 2 << 2;
const CANCELLED: u64 = 3 << 2;
const OUTCOME: u64 = 0b11 << 2;

/// The wait that is under way may not be cancelled.
const SHIELDED: u64 = 1 << 4;

const EPOCH_SHIFT: u32 = 32;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was waited for happened.
    Woken,
    /// The deadline passed first.
    TimedOut,
    /// The green thread was cancelled, or its runtime is ending.
    Cancelled,
}

impl Outcome {
    const fn bits(self) -> u64 {
        match self {
            Self::Woken => WOKEN,
            Self::TimedOut => TIMED_OUT,
            Self::Cancelled => CANCELLED,
        }
    }
}

/// Where a green thread is. A snapshot, for dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Ready, in a queue.
    Queued,
    /// On a worker.
    Running,
    /// Suspended in a wait.
    Parked,
    /// Ended.
    Finished,
}

/// What a [`State::claim`] came to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Somebody else won this wait, or it is over.
    Lost,
    /// Won; the task has not switched away yet and goes on by itself.
    Running,
    /// Won; the claimer owns the task now and must enqueue it.
    Parked,
}

/// The word. See the module.
pub struct State(AtomicU64);

impl State {
    /// Of a task that is about to be queued for the first time.
    #[must_use]
    pub fn queued() -> Self {
        Self(AtomicU64::new(QUEUED | WOKEN))
    }

    /// Of an OS thread: it is always running, except while it waits.
    #[must_use]
    pub fn running() -> Self {
        Self(AtomicU64::new(RUNNING | WOKEN))
    }

    /// Takes the task from its queue to a worker. Owner only.
    #[inline]
    pub fn run(&self) {
        self.set_place(RUNNING);
    }

    /// Puts a task that yielded back in the queue. Owner only.
    #[inline]
    pub fn requeue(&self) {
        self.set_place(QUEUED);
    }

    /// Marks the end. Owner only.
    #[inline]
    pub fn finish(&self) {
        self.set_place(FINISHED);
    }

    #[inline]
    fn set_place(&self, place: u64) {
        // Plain load and store: the owner is alone with the word (S1).
        let word = self.0.load(Relaxed);
        debug_assert_ne!(word & OUTCOME, PENDING, "moved in the middle of a wait");
        self.0.store(word & !PLACE | place, Relaxed);
    }

    /// Begins a wait and returns its epoch, which wakers must name. Owner only, while running.
    #[inline]
    pub fn begin_wait(&self, cancellable: bool) -> u32 {
        let word = self.0.load(Relaxed);
        debug_assert_eq!(word & PLACE, RUNNING);
        debug_assert_ne!(word & OUTCOME, PENDING, "a wait inside a wait");
        let epoch = Self::epoch(word).wrapping_add(1);
        let shield = if cancellable { 0 } else { SHIELDED };
        self.0.store(u64::from(epoch) << EPOCH_SHIFT | shield | PENDING | RUNNING, Relaxed);
        epoch
    }

    /// Parks the task, once its worker is off its stack. `false`: the wait is already won, resume it.
    #[inline]
    #[must_use]
    pub fn park(&self) -> bool {
        let word = self.0.load(Relaxed);
        word & OUTCOME == PENDING
            && self
                .0
                .compare_exchange(word, word & !PLACE | PARKED, Release, Relaxed)
                .is_ok()
    }

    /// Tries to end wait number `epoch` with `outcome`.
    #[inline]
    pub fn claim(&self, epoch: u32, outcome: Outcome) -> Claim {
        let mut word = self.0.load(Relaxed);
        loop {
            if Self::epoch(word) != epoch
                || word & OUTCOME != PENDING
                || (outcome == Outcome::Cancelled && word & SHIELDED != 0)
            {
                return Claim::Lost;
            }
            let parked = word & PLACE == PARKED;
            let place = if parked { QUEUED } else { RUNNING };
            let next = word & !(PLACE | OUTCOME) | place | outcome.bits();
            match self.0.compare_exchange_weak(word, next, AcqRel, Relaxed) {
                Ok(_) if parked => return Claim::Parked,
                Ok(_) => return Claim::Running,
                Err(now) => word = now,
            }
        }
    }

    /// Cancels whatever wait is under way. The caller keeps the task alive.
    pub fn claim_cancelled(&self) -> Claim {
        self.claim(Self::epoch(self.0.load(Relaxed)), Outcome::Cancelled)
    }

    /// How the latest wait ended, or `None` while it is under way.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.0.load(Acquire) & OUTCOME {
            PENDING => None,
            WOKEN => Some(Outcome::Woken),
            TIMED_OUT => Some(Outcome::TimedOut),
            _ => Some(Outcome::Cancelled),
        }
    }

    /// Where the task is just now.
    #[must_use]
    pub fn place(&self) -> Place {
        match self.0.load(Relaxed) & PLACE {
            QUEUED => Place::Queued,
            RUNNING => Place::Running,
            PARKED => Place::Parked,
            _ => Place::Finished,
        }
    }

    #[inline]
    const fn epoch(word: u64) -> u32 {
        (word >> EPOCH_SHIFT) as u32
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("place", &self.place()).field("outcome", &self.outcome()).finish()
    }
}
