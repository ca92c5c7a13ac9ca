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
//! is about to enqueue it. A *claimer* is any thread that tries to end a wait: a waker, a timer, a shutdown. A *canceller* asks the
//! task to end.
//!
//! # States
//!
//! ```text
//!              1 park
//!   ACTIVE ─────────────────────────────▶ PARKED
//!     │  ▲                                   │
//!     │  └───────────────────────────────────┘
//!     │          2 claim, leave_token, 4 dispel
//!     ▼
//!   FINISHED     3 finish
//! ```
//!
//! An `ACTIVE` task runs or is in a queue; which of the two the scheduler knows. 1. By its worker, once it is off the task's stack;
//! 2. by whoever ends the wait: it then owns the task and enqueues it; 3. by the task itself; 4. by its worker, once a doubt about the wait is over.
//!
//! Beside the place stands the *outcome* of the latest wait: `PENDING` from its beginning until a claim, and
//! `WOKEN`, `TIMED_OUT` or `CANCELLED` from then on. A wait begins as its task is parked: one step for both. But its number, the *epoch*, is
//! known before, and so wakers that name it may be registered before. A claim that comes while the task is still `ACTIVE` (it has not switched
//! away yet) begins the wait and ends it; `park` then fails and the task goes on. A wait that is given up before it began needs no step at all, if its wakers
//! are in no registry any more.
//!
//! A wait that began in doubt of whether its task unwinds may go back to where it has not begun (4): the task then runs, looks what limits the wait now, and
//! is parked in it again. Wakers that name it go on naming it.
//!
//! The *token* of `park` and `unpark` is a bit of the word too. `leave_token` sets it, unless the task is in a wait for just that: then
//! it ends the wait, and the token is used up. A stray `unpark` thus never ends a wait for a lock or a socket, and no such
//! wait takes a token that was meant for `park`: more than `std` promises.
//!
//! Two more bits say that a wait is not as simple as it looks. `CANCEL` is set by a canceller, once and for ever: every wait of the task that may be
//! cancelled ends at once from then on. `BOUND` is set and cleared by the owner: the task has bounds (`cancel/bound.rs`), among which its
//! next wait has to look for deadlines and tokens. Since each wait begins with a step on this word, and a canceller looks for a wait
//! after its step on the same word, one of the two sees the other: no wait slips through.
//!
//! # Invariants
//!
//! - **S1** While the outcome is not `PENDING`, only the owner writes the word, but for the token bit and the cancel bit; and but for the claim of the
//!   next wait, while the owner holds its number.
//! - **S2** The epoch grows with each wait, and goes back by one only as that wait is to begin anew, so a claim that names an older wait changes nothing.
//! - **S3** Each wait is won by exactly one claim, and the claim that takes `PARKED` to `ACTIVE` owns the task.
//! - **S4** A wait begun as shielded is not cancelled by others; a doubtful one, and one whose task was taken to be unwinding, only when asked for by name ([`Reach`]).
//! - **S5** The token bit is set by others and cleared by the owner; it is never set while a wait for the token is pending.
//! - **S6** The cancel bit is never cleared before the end. Once it is set, no open wait stays `PENDING` that was begun before (its canceller claims
//!   it) or begins after (its owner sees the bit).
//! - **S7** A wait is `PENDING` only while its task is parked: both come and go in one step.
//!
//! # Orderings
//!
//! | write | read | what becomes visible |
//! |---|---|---|
//! | `park` (Release) | `claim`, `leave_token` (Acquire) | the suspended stack, to the claimer that enqueues the task |
//! | `claim`, `leave_token` (Release) | `outcome`, `outcome_of` (Acquire) | what the waker wrote before it woke |
//! | `leave_token` (Release) | `clear_token`; after `park` has taken it, `outcome` (Acquire) | what happened before `unpark` |
//! | `cancel` (Release) | `is_cancelled` (Acquire) | what the canceller wrote before |
//!
//! `dispel` is Relaxed: the task stays on the worker that has parked it, and who claims later sees what was released to the word before.
//!
//! The number of a wait reaches its claimers through the registry in which the waker is put. For S6 the order of steps on the one word is enough.
//!
//! # Rejected
//!
//! To begin each wait before its waker is registered: one read-modify-write more for each. To keep the registry locked until the task is parked, so that nobody finds a
//! waker whose wait has not begun: it saves that step as well, but only where there is a lock, and others wait for it until the switch is done.
//!
//! A word of its own for the token: `park` and `unpark` cost five read-modify-writes then, with one word two. A flag of its own for the
//! cancellation: setting the flag and beginning a wait would each need a fence against the other.
//!
//! # Checked by
//!
//! `loom-tests/tests/task_state.rs`, `loom-tests/tests/park.rs`, `loom-tests/tests/cancel.rs`.

use std::fmt;

use crate::prim::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// On a worker, in a queue, or in the hands of whoever is about to enqueue it.
const ACTIVE: u64 = 0;
/// Suspended; owned by the next claimer.
const PARKED: u64 = 1;
/// Ended; its result is stored.
const FINISHED: u64 = 2;
const PLACE: u64 = 0b11;

/// The wait is under way. Never set outside `park` .. `claim`.
const PENDING: u64 = 0;
const WOKEN: u64 = 1 << 2;
const TIMED_OUT: u64 = 2 << 2;
const CANCELLED: u64 = 3 << 2;
const OUTCOME: u64 = 0b11 << 2;

/// The wait that is under way may not be cancelled.
const SHIELDED: u64 = 1 << 4;
/// It is shielded only because its task may be unwinding.
const DOUBTFUL: u64 = 1 << 7;
/// It is shielded only because its task is taken to be unwinding.
const BELIEVED: u64 = 1 << 10;
/// The wait that is under way is for the token.
const FOR_TOKEN: u64 = 1 << 5;
/// The token is there.
const TOKEN: u64 = 1 << 6;

/// The task is to end.
const CANCEL: u64 = 1 << 8;
/// The task has bounds.
const BOUND: u64 = 1 << 9;
/// What one wait hands on to the next.
const KEPT: u64 = TOKEN | CANCEL | BOUND;

const EPOCH_SHIFT: u32 = 32;
const EPOCH: u64 = !0 << EPOCH_SHIFT;

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

/// Whether a wait may be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Shield {
    /// It may.
    Open = 0,
    /// It may not: the task asked for it.
    Shielded = SHIELDED,
    /// It may not: the task has begun to unwind. It may have caught that since.
    Believed = SHIELDED | BELIEVED,
    /// It may not: the task may be unwinding, which cannot be told. It is cancelled when a runtime cannot end otherwise.
    Doubtful = SHIELDED | DOUBTFUL,
}

/// Which waits a cancellation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those that are open.
    Open,
    /// And those that are doubtful.
    Doubtful,
    /// All but those that are shielded: it is known that the task does not unwind.
    Calm,
}

impl Reach {
    /// The bits of which one makes a shielded wait an open one.
    const fn bits(self) -> u64 {
        match self {
            Self::Open => 0,
            Self::Doubtful => DOUBTFUL,
            Self::Calm => DOUBTFUL | BELIEVED,
        }
    }
}

/// Where a green thread is. A snapshot, for dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a worker, or ready in a queue.
    Active,
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

/// One wait of a task: its number, and whether it may be cancelled. But for the place, and what one wait hands on to the next, it is the word while the wait is
/// under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(u64);

impl Wait {
    /// No wait.
    pub(crate) const NONE: Self = Self(0);

    /// The number, which wakers name.
    #[inline]
    #[must_use]
    pub fn epoch(self) -> u32 {
        State::epoch(self.0)
    }

    /// The same wait, with another shield.
    #[must_use]
    pub fn with_shield(self, shield: Shield) -> Self {
        Self(self.0 & !(SHIELDED | DOUBTFUL | BELIEVED) | shield as u64)
    }

    /// What `word` becomes as the wait begins: the task is parked, or the wait is over at once.
    fn beginning_in(self, word: u64) -> u64 {
        if self.0 & FOR_TOKEN != 0 && word & TOKEN != 0 {
            self.0 | word & KEPT & !TOKEN | WOKEN
        } else if word & CANCEL != 0 && self.0 & SHIELDED == 0 {
            self.0 | word & KEPT | CANCELLED
        } else {
            self.0 | word & KEPT | PARKED
        }
    }

    /// Whether `word` says that it is over. It is that of the latest wait or the next.
    #[inline]
    fn is_over_in(self, word: u64) -> bool {
        (word ^ self.0) & EPOCH == 0 && word & OUTCOME != PENDING
    }
}

/// The word. See the module.
pub struct State(AtomicU64);

impl Default for State {
    fn default() -> Self {
        Self(AtomicU64::new(ACTIVE | WOKEN))
    }
}

impl State {
    /// Marks the end. Owner only.
    #[inline]
    pub fn finish(&self) {
        // A token that is left at the same moment is lost with the task.
        self.0.store(FINISHED | WOKEN, Relaxed);
    }

    /// The word of the wait after `word`'s, still active, without what is kept.
    #[inline]
    fn next_wait(word: u64, shield: Shield, for_token: bool) -> u64 {
        debug_assert_eq!(word & PLACE, ACTIVE);
        debug_assert_ne!(word & OUTCOME, PENDING);
        let epoch = u64::from(Self::epoch(word).wrapping_add(1)) << EPOCH_SHIFT;
        let for_token = if for_token { FOR_TOKEN } else { 0 };
        epoch | shield as u64 | for_token | PENDING | ACTIVE
    }

    /// The next wait, which wakers may name before it has begun. Owner only.
    #[inline]
    #[must_use]
    pub fn next(&self, shield: Shield) -> Wait {
        Wait(Self::next_wait(self.0.load(Relaxed) & !KEPT, shield, false))
    }

    /// As `next`, for the token.
    #[inline]
    #[must_use]
    pub fn next_for_token(&self, shield: Shield) -> Wait {
        Wait(Self::next_wait(self.0.load(Relaxed) & !KEPT, shield, true))
    }

    /// Parks the task in its next wait, once its worker is off its stack. `false`: it is over already, because it was claimed, the task is to
    /// end, or the token that it is for was there and is taken; resume the task.
    #[inline]
    #[must_use]
    pub fn park(&self, wait: Wait) -> bool {
        let mut word = self.0.load(Relaxed);
        while (word ^ wait.0) & EPOCH != 0 && word & (CANCEL | TOKEN) == 0 {
            match self.0.compare_exchange_weak(word, wait.0 | word & KEPT | PARKED, Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        self.park_with_care(word, wait)
    }

    /// As `park`, where something came before.
    #[cold]
    fn park_with_care(&self, mut word: u64, wait: Wait) -> bool {
        while (word ^ wait.0) & EPOCH != 0 {
            let next = wait.beginning_in(word);
            match self.0.compare_exchange_weak(word, next, Release, Relaxed) {
                Ok(_) => return next & PLACE == PARKED,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Tries to end wait number `epoch`, which may not have begun, with `outcome`.
    #[inline]
    pub fn claim(&self, epoch: u32, outcome: Outcome) -> Claim {
        let mut word = self.0.load(Relaxed);
        while word & (EPOCH | OUTCOME) == u64::from(epoch) << EPOCH_SHIFT | PENDING {
            match self.end_wait(word, outcome) {
                Ok(()) => return Claim::Parked,
                Err(now) => word = now,
            }
        }
        self.claim_ahead(word, epoch, outcome)
    }

    /// As `claim`, of a wait that has not begun, or is over.
    #[cold]
    fn claim_ahead(&self, mut word: u64, epoch: u32, outcome: Outcome) -> Claim {
        loop {
            let ended = if word & (EPOCH | OUTCOME) == u64::from(epoch) << EPOCH_SHIFT | PENDING {
                self.end_wait(word, outcome).map(|()| Claim::Parked)
            } else if Self::epoch(word).wrapping_add(1) == epoch {
                let over = u64::from(epoch) << EPOCH_SHIFT | word & KEPT | outcome.bits() | ACTIVE;
                self.0.compare_exchange_weak(word, over, AcqRel, Relaxed).map(|_| Claim::Running)
            } else {
                return Claim::Lost;
            };
            match ended {
                Ok(claim) => return claim,
                Err(now) => word = now,
            }
        }
    }

    /// Cancels the wait that is under way, if it is within reach. The caller keeps the task alive.
    pub fn claim_cancelled(&self, reach: Reach) -> Claim {
        let mut word = self.0.load(Relaxed);
        loop {
            let shielded = word & SHIELDED != 0 && word & reach.bits() == 0;
            if word & OUTCOME != PENDING || shielded {
                return Claim::Lost;
            }
            match self.end_wait(word, Outcome::Cancelled) {
                Ok(()) => return Claim::Parked,
                Err(now) => word = now,
            }
        }
    }

    /// It is known now that the task does not unwind: what could not end the wait that is under way may end it from now on. By the worker that has parked
    /// the task; `is_to_end`: it is, whether it was cancelled or not. `Parked`: the caller owns the task; either its wait was cancelled, or it has bounds, and its wait has not begun any more.
    pub fn dispel(&self, is_to_end: bool) -> Claim {
        let mut word = self.0.load(Relaxed);
        loop {
            let is_doubtful = word & (DOUBTFUL | BELIEVED) != 0;
            if word & OUTCOME != PENDING {
                return Claim::Lost;
            }
            let next = if is_doubtful && (is_to_end || word & CANCEL != 0) {
                word & !(PLACE | OUTCOME) | ACTIVE | CANCELLED
            } else if word & BOUND != 0 {
                let before = u64::from(Self::epoch(word).wrapping_sub(1)) << EPOCH_SHIFT;
                before | word & KEPT | WOKEN | ACTIVE
            } else {
                word & !(SHIELDED | DOUBTFUL | BELIEVED)
            };
            if !is_doubtful && next & PLACE == PARKED {
                return Claim::Lost;
            }
            match self.0.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) if next & PLACE == PARKED => return Claim::Lost,
                Ok(_) => return Claim::Parked,
                Err(now) => word = now,
            }
        }
    }

    /// Has the task end: cancels the wait that is under way, and every later one, unless it is shielded. The caller keeps the task alive.
    pub fn cancel(&self) -> Claim {
        self.0.fetch_or(CANCEL, Release);
        self.claim_cancelled(Reach::Open)
    }

    /// Whether the task is to end.
    #[inline]
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Acquire) & CANCEL != 0
    }

    /// Whether the task has bounds. Owner only.
    pub fn set_bound(&self, bound: bool) {
        if bound {
            self.0.fetch_or(BOUND, Relaxed);
        } else {
            self.0.fetch_and(!BOUND, Relaxed);
        }
    }

    /// Whether a wait that begins now may be cut short by something that is there already. Owner only.
    #[inline]
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.0.load(Relaxed) & (CANCEL | BOUND) != 0
    }

    /// As `is_limited`, or the token is there. Owner only.
    #[inline]
    #[must_use]
    pub fn is_limited_or_has_token(&self) -> bool {
        self.0.load(Relaxed) & KEPT != 0
    }

    /// Whether a wait, the latest or the next, is not over, and not limited. Owner only.
    #[inline]
    #[must_use]
    pub fn is_simply_ahead(&self, wait: Wait) -> bool {
        let word = self.0.load(Relaxed);
        word & (CANCEL | BOUND) == 0 && !wait.is_over_in(word)
    }

    /// Leaves the token, or ends the wait for it.
    #[inline]
    pub fn leave_token(&self) -> Claim {
        let mut word = self.0.load(Relaxed);
        loop {
            let left = if word & (OUTCOME | FOR_TOKEN) == PENDING | FOR_TOKEN {
                self.end_wait(word, Outcome::Woken).map(|()| Claim::Parked)
            } else {
                // Even if it is there already: what happened before this call must become visible.
                let left = self.0.compare_exchange_weak(word, word | TOKEN, Release, Relaxed);
                left.map(|_| Claim::Lost)
            };
            match left {
                Ok(claim) => return claim,
                Err(now) => word = now,
            }
        }
    }

    /// Whether the token is there. Owner only.
    #[inline]
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.0.load(Relaxed) & TOKEN != 0
    }

    /// Takes the token, which is there. Owner only.
    #[inline]
    pub fn clear_token(&self) {
        self.0.fetch_and(!TOKEN, Acquire);
    }

    /// Sets the outcome of the wait that is under way in `word`: its task is parked (S7).
    #[inline]
    fn end_wait(&self, word: u64, outcome: Outcome) -> Result<(), u64> {
        debug_assert_eq!(word & PLACE, PARKED);
        let next = word & !(PLACE | OUTCOME) | ACTIVE | outcome.bits();
        self.0.compare_exchange_weak(word, next, AcqRel, Relaxed).map(drop)
    }

    /// How a wait, the latest or the next, ended. `None`: it has not.
    #[inline]
    #[must_use]
    pub fn outcome_of(&self, wait: Wait) -> Option<Outcome> {
        let word = self.0.load(Acquire);
        if wait.is_over_in(word) { Self::outcome_in(word) } else { None }
    }

    /// How the latest wait ended, or `None` while it is under way.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        Self::outcome_in(self.0.load(Acquire))
    }

    #[inline]
    fn outcome_in(word: u64) -> Option<Outcome> {
        match word & OUTCOME {
            PENDING => None,
            WOKEN => Some(Outcome::Woken),
            TIMED_OUT => Some(Outcome::TimedOut),
            _ => Some(Outcome::Cancelled),
        }
    }

    /// The number of the latest wait.
    #[must_use]
    pub fn epoch_of_wait(&self) -> u32 {
        Self::epoch(self.0.load(Relaxed))
    }

    /// Where the task is just now.
    #[must_use]
    pub fn place(&self) -> Place {
        match self.0.load(Relaxed) & PLACE {
            ACTIVE => Place::Active,
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
