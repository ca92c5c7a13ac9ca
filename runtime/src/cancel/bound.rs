//! Bounds: limits to the waits inside one call. What a deadline scope and a [`Token`](super::Token) that binds a call have in common.
//!
//! A bound lives in the frame of [`within`], and the bounds of one thread, green or not, form a chain from the innermost outwards. A
//! wait looks at them before it begins: the earliest deadline among them limits it, and each token is told which wait to end. When a bound
//! is due the wait ends as [`Outcome::Cancelled`], its primitive takes itself off every list and calls [`unwind`](super::unwind),
//! and the frame of the outermost bound that is due catches the unwinding. A thread without bounds pays nothing for them: the look is
//! part of one that every wait takes at the word of its task (`BOUND` in `task/state.rs`).
//!
//! # Roles
//!
//! The *thread* pushes and pops bounds, and waits. A *canceller* ends the wait that it finds in the [`Slot`] of a bound, from wherever it is.
//!
//! # Invariants
//!
//! - **B1** The head of the chain, and each link, points to a bound in a frame of [`within`] further out, which takes it
//!   out of the chain before it ends. Only the thread itself follows the links. A generator's body is further in on its resumer's stack, so to say: it
//!   never yields inside a bound of its own (`coroutine/mod.rs`, G5).
//! - **B2** A canceller never touches a bound, only its slot, which it owns a share of. So it does not matter when the frame ends.
//! - **B3** A slot is the registry of the waker in it, in the sense of `park.rs`, W1: it is claimed under the slot's lock, and its wait takes it
//!   out under that lock before its frame ends.
//! - **B4** Under the slot's lock either the canceller finds the waker, or the waiter finds the slot cancelled.
//! - **B5** A bound is due from when its token says that it is cancelled, which is before the canceller comes to the slots. So whoever has
//!   learnt of the cancellation from a thread that it has ended is due as well.
//!
//! A bound is *in effect* if no shield was entered since: if as many are entered as at its beginning. Shields and bounds nest, so these are
//! the innermost ones.
//!
//! # Orderings
//!
//! The lock of the slot orders everything.
//!
//! # In doubt
//!
//! While a thread unwinds no bound is in effect, since a second unwinding would abort. As long as another green thread of the worker
//! is suspended in the middle of its unwinding, it cannot be told of the others whether they unwind (`Header::unwinding`): a wait that they begin
//! meanwhile is not cut short.
//!
//! # Rejected
//!
//! - *The token's list holds pointers to the bounds:* no allocation, but the end of a frame has to wait for a canceller that is at it.
//! - *Each wait enters itself with its token:* no slot, but all who work under one token would meet at its lock in each wait.
//! - *A count of the depth in place of the numbers:* a payload that is caught, kept and thrown later would end another bound.
//!
//! # Checked by
//!
//! `loom-tests/tests/cancel.rs`, `tests/cancel.rs`, `tests/time.rs`.
//!
//! # Sources
//!
//! Trio's cancel scopes, for what a nested one means.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    ptr::NonNull,
    sync::Arc,
    time::Instant,
};

use super::{CAN_UNWIND, Token};
use crate::{
    park::{Outcome, Waiter, Waker},
    prim::{self, Mutex},
    scheduler::{self, current},
    seam,
    task::header::Unwinding,
};

/// One bound. See the module.
pub(crate) struct Bound {
    outer: Option<NonNull<Self>>,
    /// Names it in a [`Passed`].
    id: u64,
    /// How many shields were entered when it began.
    shields: u32,
    limit: Limit,
}

/// What makes a bound due.
pub(super) enum Limit {
    Deadline(Instant),
    /// The token finds the wait in the slot.
    Token(Arc<Slot>, Token),
}

impl Limit {
    fn is_reached(&self) -> bool {
        match self {
            Self::Deadline(deadline) => *deadline <= seam::now(),
            // Not the slot, which its canceller may not have come to while others already see that the token is cancelled (B5).
            Self::Token(_, token) => token.is_cancelled(),
        }
    }
}

/// The payload of an unwinding that ends at a bound; and that it has ended there.
#[derive(Debug)]
pub(crate) struct Passed {
    /// Of the bound.
    id: u64,
    /// It is a deadline.
    pub(super) is_elapsed: bool,
}

prim::os_thread_local! {
    /// What a green thread keeps in its `Started`. Neither has a destructor, so they are there to the end.
    #[expect(clippy::missing_const_for_thread_local, reason = "a model cannot make it in a constant")]
    static OS_BOUND: Cell<Option<NonNull<Bound>>> = Cell::new(None);
    #[expect(clippy::missing_const_for_thread_local, reason = "a model cannot make it in a constant")]
    static OS_SHIELDS: Cell<u32> = Cell::new(0);
}

/// The head of the calling OS thread's chain.
#[inline(never)]
fn os_bound() -> Option<NonNull<Bound>> {
    OS_BOUND.with(Cell::get)
}

#[inline(never)]
fn set_os_bound(bound: Option<NonNull<Bound>>) {
    OS_BOUND.with(|head| head.set(bound));
}

#[inline(never)]
fn os_shields() -> u32 {
    OS_SHIELDS.with(Cell::get)
}

#[inline(never)]
fn set_os_shields(shields: u32) {
    OS_SHIELDS.with(|cell| cell.set(shields));
}

fn head() -> Option<NonNull<Bound>> {
    current::task().map_or_else(os_bound, |task| task.started().bound.get())
}

fn set_head(bound: Option<NonNull<Bound>>) {
    let Some(task) = current::task() else { return set_os_bound(bound) };
    let before = task.started().bound.replace(bound);
    if before.is_some() != bound.is_some() {
        task.state.set_bound(bound.is_some());
    }
}

/// How many shields the calling thread has entered.
pub(super) fn shields() -> u32 {
    current::task().map_or_else(os_shields, |task| task.started().shields.get())
}

pub(super) fn set_shields(shields: u32) {
    match current::task() {
        Some(task) => task.started().shields.set(shields),
        None => set_os_shields(shields),
    }
}

impl Bound {
    fn passed(&self) -> Passed {
        Passed { id: self.id, is_elapsed: matches!(self.limit, Limit::Deadline(_)) }
    }
}

/// The bounds that no shield covers, innermost first.
fn uncovered<'a>() -> impl Iterator<Item = &'a Bound> {
    let shields = shields();
    // SAFETY: the chain is our own, and its frames are further out (B1).
    let bounds = std::iter::successors(head().map(|bound| unsafe { bound.as_ref() }), |bound| {
        // SAFETY: as above.
        bound.outer.map(|outer| unsafe { outer.as_ref() })
    });
    bounds.take_while(move |bound| bound.shields == shields)
}

/// Whether the calling thread is known not to unwind, so that its waits may be cut short.
fn is_calm() -> bool {
    current::task().map_or_else(|| !std::thread::panicking(), |task| task.unwinding() == Unwinding::No)
}

/// Whether the calling OS thread has bounds.
pub(crate) fn is_any() -> bool {
    head().is_some()
}

/// Whether one that is in effect is due.
pub(super) fn is_due() -> bool {
    is_any() && is_calm() && due().is_some()
}

/// Whether any is in effect.
pub(super) fn are_in_effect() -> bool {
    is_calm() && uncovered().next().is_some()
}

/// The outermost one that is due and not covered: that which an unwinding is to reach.
///
/// It is found also if it cannot be told any more whether the thread unwinds: whoever asks was ended while that was known.
pub(super) fn due() -> Option<Passed> {
    let due = uncovered().filter(|bound| bound.limit.is_reached());
    due.last().map(Bound::passed)
}

/// The earliest deadline that is in effect.
pub(crate) fn deadline() -> Option<Instant> {
    let deadlines = uncovered().filter_map(|bound| match &bound.limit {
        Limit::Deadline(deadline) => Some(*deadline),
        Limit::Token(..) => None,
    });
    deadlines.min().filter(|_| is_calm())
}

/// Has every token in effect end this wait. `None`: one has been cancelled.
pub(crate) fn enter(waiter: &Waiter) -> Option<Entered> {
    let entered = Entered;
    let is_open = |slot: &Slot| slot.enter(waiter.waker());
    (!is_calm() || slots().all(is_open)).then_some(entered)
}

fn slots<'a>() -> impl Iterator<Item = &'a Slot> {
    uncovered().filter_map(|bound| match &bound.limit {
        Limit::Token(slot, _) => Some(&**slot),
        Limit::Deadline(_) => None,
    })
}

/// A wait that stands in the slots of its bounds, until this is dropped (B3).
pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        // The same ones: whether the thread may be unwound does not matter here.
        slots().for_each(Slot::leave);
    }
}

/// Calls `f`, whose waits end when `limit` is reached. `Err`: one did, and `f` was unwound.
pub(super) fn within<R>(limit: Limit, f: impl FnOnce() -> R) -> Result<R, Passed> {
    let id = current::worker().map_or_else(scheduler::fresh_id, |worker| worker.fresh_id());
    let bound = Bound { outer: head(), id, shields: shields(), limit };
    // INVARIANT (B1): until `f` has ended, however it ends.
    set_head(Some(NonNull::from(&bound)));
    current::enter_scope();
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    current::leave_scope();
    set_head(bound.outer);
    let payload = match result {
        // Where nothing unwinds, this is the place to say so.
        Ok(_) if !CAN_UNWIND && bound.limit.is_reached() => return Err(bound.passed()),
        Ok(value) => return Ok(value),
        Err(payload) => payload,
    };
    if payload.downcast_ref::<Passed>().is_none_or(|passed| passed.id != id) {
        panic::resume_unwind(payload);
    }
    if let Some(task) = current::task() {
        task.started().set_unwinding(false);
    }
    Err(bound.passed())
}

/// Where a token finds the wait that it is to end, if there is one.
#[derive(Debug)]
pub struct Slot {
    /// As what the wait ends.
    outcome: Outcome,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    cancelled: bool,
    waker: Option<Waker>,
}

impl Slot {
    /// One without a wait, which will end as `outcome`.
    #[must_use]
    pub fn new(outcome: Outcome) -> Arc<Self> {
        Arc::new(Self { outcome, state: Mutex::new(State { cancelled: false, waker: None }) })
    }

    /// A wait is about to begin, to be ended by [`cancel`](Self::cancel). `false`: that has been called already.
    ///
    /// It calls [`leave`](Self::leave) before its frame ends.
    #[must_use]
    pub fn enter(&self, waker: Waker) -> bool {
        let mut state = self.state.lock();
        let is_open = !state.cancelled;
        if is_open {
            state.waker = Some(waker);
        }
        is_open
    }

    /// The wait is over.
    pub fn leave(&self) {
        let waker = self.state.lock().waker.take();
        drop(waker);
    }

    /// Ends the wait, if there is one, and all that will begin.
    pub fn cancel(&self) {
        let claimed = {
            let mut state = self.state.lock();
            state.cancelled = true;
            // SAFETY: its wait takes it out under this lock (B3).
            state.waker.as_ref().and_then(|waker| unsafe { waker.claim_as(self.outcome) })
        };
        if let Some(claimed) = claimed {
            claimed.schedule();
        }
    }
}
