//! What ends a wait: the waker that stands in a registry, the claim, and the duty that comes with it.
//!
//! W1 and W2 are those of `park.rs`, S3 that of `state.rs`.
//!
//! # Roles
//!
//! Whoever ends waits: it claims under the lock of the registry, and schedules what it has claimed when it has released the lock.

use std::{
    fmt,
    mem::{self, ManuallyDrop},
    panic::{self, AssertUnwindSafe},
    ptr::NonNull,
    sync::Arc,
};

use super::os_thread::OsThread;
use crate::{
    cancel,
    prim::atomic::{
        AtomicBool,
        Ordering::{AcqRel, Relaxed},
    },
    queue::list::TaskList,
    scheduler,
    task::{
        Header, TaskRef,
        state::{Claim, Outcome},
    },
};

/// What ends one wait. It stands in a registry while the wait lasts.
#[derive(Clone)]
pub struct Waker(pub(super) Target);

#[derive(Clone)]
pub(super) enum Target {
    Task(NonNull<Header>, u32),
    Thread(Arc<OsThread>, u32),
    Foreign(Arc<Foreign>),
}

/// One wait of something that is neither: a future, or work that begins when what it needs is there.
pub(super) struct Foreign {
    claimed: AtomicBool,
    /// Foreign code, which may panic where nobody could bear it: it is called in [`Foreign::wake`] and in the drop only.
    waker: ManuallyDrop<std::task::Waker>,
}

impl Foreign {
    fn wake(&self) {
        call_foreign(|| self.waker.wake_by_ref());
    }
}

/// Calls foreign code. A panic is dropped: its hook has reported it, and who waits is none of ours. So is its payload, whose destructor is foreign too;
/// and a cancellation of the thread that calls is left to its next wait, since it would be swallowed here.
fn call_foreign(f: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| cancel::shield(f))) {
        mem::forget(payload);
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // SAFETY: dropped here, and nowhere else.
        let waker = unsafe { ManuallyDrop::take(&mut self.waker) };
        call_foreign(|| drop(waker));
    }
}

// SAFETY: all it does with the task is to claim its wait, which is atomic, while W1 keeps the task alive.
unsafe impl Send for Waker {}
// SAFETY: as above.
unsafe impl Sync for Waker {}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}

impl Waker {
    /// One that wakes `waker` when it is claimed, once.
    #[must_use]
    pub fn foreign(waker: std::task::Waker) -> Self {
        Self(Target::Foreign(Arc::new(Foreign {
            claimed: AtomicBool::new(false),
            waker: ManuallyDrop::new(waker),
        })))
    }

    /// Makes it as one that [`foreign`](Self::foreign) returns for `waker`, without memory of its own. `false`: it is no foreign one, or wakes
    /// something else, or is not used up: a copy stands in a registry, or whoever has claimed it has not woken yet.
    #[must_use]
    pub fn renew(&mut self, waker: &std::task::Waker) -> bool {
        let Target::Foreign(foreign) = &mut self.0 else { return false };
        // Nobody else has it, so nobody claims it meanwhile.
        let is_usable = Arc::get_mut(foreign).is_some_and(|foreign| foreign.waker.will_wake(waker));
        if is_usable {
            foreign.claimed.store(false, Relaxed);
        }
        is_usable
    }

    /// Whether it is `task` that waits.
    #[inline]
    pub(crate) fn is_of(&self, task: &Header) -> bool {
        matches!(self.0, Target::Task(me, _) if me == task.ptr())
    }

    /// Tries to end the wait as [`Outcome::Woken`]. `None`: it has ended already (a timeout, a cancellation, another waker).
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the registry in which this waker stands, and the waiter takes itself off that registry
    /// under the same lock before the frame of its [`Waiter`](super::Waiter) ends (W1).
    #[inline]
    #[must_use]
    pub unsafe fn claim(&self) -> Option<Claimed> {
        // SAFETY: the caller's contract.
        unsafe { self.claim_as(Outcome::Woken) }
    }

    /// As [`claim`](Self::claim), where the waker lies in its waiter's frame, which may be gone as soon as the wait is claimed.
    ///
    /// # Safety
    ///
    /// As [`claim`](Self::claim), and the waker may be read until then.
    #[inline(always)]
    #[must_use]
    pub unsafe fn claim_in_frame(waker: *const Self) -> Option<Claimed> {
        // SAFETY: the caller's contract.
        if let Target::Task(task, epoch) = unsafe { &(*waker).0 } {
            // SAFETY: the caller's contract.
            return unsafe { claim_task(*task, *epoch, Outcome::Woken) };
        }
        // SAFETY: the caller's contract.
        let copy = unsafe { &*waker }.clone();
        copy.claim_other(Outcome::Woken)
    }

    /// # Safety
    ///
    /// As [`claim`](Self::claim).
    #[inline]
    pub(crate) unsafe fn claim_as(&self, outcome: Outcome) -> Option<Claimed> {
        let Target::Task(task, epoch) = self.0 else { return self.claim_other(outcome) };
        // SAFETY: the caller's contract.
        unsafe { claim_task(task, epoch, outcome) }
    }

    /// As `claim_as`, if it is no green thread that waits.
    #[inline(never)]
    fn claim_other(&self, outcome: Outcome) -> Option<Claimed> {
        match &self.0 {
            Target::Task(..) => None,
            Target::Thread(thread, epoch) => {
                // Before the claim: the thread may be gone right after it.
                let to_wake = Arc::clone(thread);
                match thread.state.claim(*epoch, outcome) {
                    Claim::Lost => None,
                    Claim::Running => Some(Claimed(Duty::Nothing)),
                    Claim::Parked => Some(Claimed(Duty::Thread(to_wake))),
                }
            }
            Target::Foreign(foreign) => {
                let first = !foreign.claimed.swap(true, AcqRel);
                first.then(|| Claimed(Duty::Foreign(Arc::clone(foreign))))
            }
        }
    }
}

/// Tries to end a green thread's wait.
///
/// # Safety
///
/// As [`Waker::claim`].
#[inline(always)]
unsafe fn claim_task(task: NonNull<Header>, epoch: u32, outcome: Outcome) -> Option<Claimed> {
    // SAFETY: W1: the waiter is still registered, so its task is alive.
    match unsafe { task.as_ref() }.state.claim(epoch, outcome) {
        Claim::Lost => None,
        Claim::Running => Some(Claimed(Duty::Nothing)),
        Claim::Parked => Some(Claimed(Duty::Task(task))),
    }
}

/// The duty to make a claimed waiter run again. To be scheduled once the registry's lock is released.
pub struct Claimed(Duty);

enum Duty {
    Nothing,
    /// Owned: the claim that found it parked owns the task, with the runtime's reference (S3 of `state.rs`).
    Task(NonNull<Header>),
    Thread(Arc<OsThread>),
    Foreign(Arc<Foreign>),
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimed").finish_non_exhaustive()
    }
}

impl Drop for Claimed {
    /// Does the duty all the same: a task that nobody schedules would be lost.
    fn drop(&mut self) {
        mem::replace(&mut self.0, Duty::Nothing).carry_out();
    }
}

impl Duty {
    #[inline(always)]
    fn carry_out(self) {
        let Self::Task(task) = &self else { return self.carry_out_elsewhere() };
        let task = *task;
        mem::forget(self);
        // SAFETY: owned.
        scheduler::schedule_woken(unsafe { TaskRef::from_raw(task) });
    }

    /// Out of line: who waits is a green thread as a rule.
    #[inline(never)]
    fn carry_out_elsewhere(self) {
        match self {
            Self::Nothing | Self::Task(_) => {}
            Self::Thread(thread) => thread.thread.unpark(),
            Self::Foreign(foreign) => foreign.wake(),
        }
    }
}

impl Claimed {
    /// The duty towards a task that the caller owns.
    pub(crate) fn of_task(task: TaskRef) -> Self {
        Self(Duty::Task(task.into_raw()))
    }

    /// Makes the waiter run.
    #[inline]
    pub fn schedule(mut self) {
        let duty = mem::replace(&mut self.0, Duty::Nothing);
        // It has no duty any more.
        mem::forget(self);
        duty.carry_out();
    }
}

/// Claimed waiters that are scheduled together.
#[derive(Default)]
pub struct Batch {
    tasks: TaskList,
    others: Vec<Claimed>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish()
    }
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a claimed waiter.
    pub fn push(&mut self, mut claimed: Claimed) {
        match mem::replace(&mut claimed.0, Duty::Nothing) {
            Duty::Nothing => {}
            Duty::Task(task) => {
                // SAFETY: owned.
                self.tasks.push_back(unsafe { TaskRef::from_raw(task) });
            }
            other => self.others.push(Claimed(other)),
        }
    }

    /// How many green threads it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.others.is_empty()
    }

    /// Makes them all run, oldest first.
    pub fn schedule(&mut self) {
        scheduler::schedule_batch(&self.tasks);
        self.others.drain(..).for_each(Claimed::schedule);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.schedule();
    }
}
