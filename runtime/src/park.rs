//! The one door through which everything waits.
//!
//! `sync`, `io` and this crate's own primitives suspend a green thread only here. A wait goes like this:
//!
//! ```text
//! let mut waiter = unsafe { Waiter::new(reason) };   the wait has a number (epoch), and may be claimed by it
//! registry.lock().push(waiter.waker());         a wait list, a socket's direction, …
//! let outcome = waiter.wait(deadline);          begins, and suspends, unless it was claimed already
//! registry.lock().remove(…);                    unless Woken by the one who took it off the list
//! if outcome == Cancelled { cancel::unwind() }
//! ```
//!
//! Everything here works on a green thread, which it parks, and on an OS thread outside the runtime, which it blocks.
//!
//! # Roles
//!
//! The *waiter* is the thread that waits. A *claimer* has found its [`Waker`] in a registry and ends the wait; so do the
//! timer and a shutdown.
//!
//! # Invariants
//!
//! - **W1** A claim is made under the lock of the registry that holds the waker, and the waiter takes itself off every registry,
//!   under its lock, before its frame ends and before its thread makes another waiter, which has the same number if this wait was never claimed. So a claim
//!   never reaches a task that is gone, nor another wait.
//! - **W2** A won claim is scheduled exactly once, after the lock was released; until then the task cannot run on, so it needs no
//!   reference of its own.
//!
//! # Suspension
//!
//! [`Waiter::wait`] switches stacks. In roaming mode the green thread may come back on another OS thread.
//!
//! # Sources
//!
//! Go's `gopark` and `goready` for the ownership of a parked task; std's `thread_parking` for the token.

use std::{
    cell::Cell,
    fmt,
    mem::{self, ManuallyDrop},
    panic::{self, AssertUnwindSafe},
    ptr::NonNull,
    sync::Arc,
    time::Instant,
};

pub use crate::task::state::Outcome;
use crate::{
    cancel::{self, CAN_UNWIND, bound},
    fiber::Suspend,
    prim::{
        self,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Relaxed},
        },
    },
    queue::list::TaskList,
    scheduler::{self, current},
    seam,
    task::{
        Header, TaskRef,
        state::{Claim, Shield, State, Wait},
    },
    timer,
};

/// What a green thread waits for, for dumps and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum WaitReason {
    /// It has not run yet.
    NotStarted,
    /// `park`, for an `unpark`.
    Park,
    /// `sleep`.
    Sleep,
    /// `join`, for another green thread's end.
    Join,
    /// The end of a scope's green threads.
    Scope,
    /// `unblock`, for the pool.
    Pool,
    /// Data to read.
    Readable,
    /// Room to write.
    Writable,
    /// A connection to accept.
    Accept,
    /// A connection to be made.
    Connect,
    /// A lock.
    Lock,
    /// A channel.
    Channel,
    /// The others of a wait group.
    Group,
    /// A condition variable.
    Condvar,
    /// The others at a barrier.
    Barrier,
    /// Another thread's initialisation.
    Once,
    /// Permits of a semaphore.
    Semaphore,
    /// A notification.
    Notify,
    /// One of several things.
    Select,
    /// A future.
    Future,
    /// A child process.
    Child,
    /// A signal.
    Signal,
}

impl WaitReason {
    pub(crate) fn from_u8(n: u8) -> Self {
        const ALL: [WaitReason; 22] = [
            WaitReason::NotStarted,
            WaitReason::Park,
            WaitReason::Sleep,
            WaitReason::Join,
            WaitReason::Scope,
            WaitReason::Pool,
            WaitReason::Readable,
            WaitReason::Writable,
            WaitReason::Accept,
            WaitReason::Connect,
            WaitReason::Lock,
            WaitReason::Channel,
            WaitReason::Group,
            WaitReason::Condvar,
            WaitReason::Barrier,
            WaitReason::Once,
            WaitReason::Semaphore,
            WaitReason::Notify,
            WaitReason::Select,
            WaitReason::Future,
            WaitReason::Child,
            WaitReason::Signal,
        ];
        ALL[usize::from(n)]
    }
}

/// The record of an OS thread outside the runtime that uses sward's primitives.
#[derive(Debug)]
pub(crate) struct OsThread {
    pub(crate) state: State,
    pub(crate) id: u64,
    pub(crate) thread: prim::thread::Thread,
}

prim::os_thread_local! {
    static OS_THREAD: Arc<OsThread> = Arc::new(OsThread::new());
    /// Has no destructor, so it is there to the end.
    #[expect(clippy::missing_const_for_thread_local, reason = "a model cannot make it in a constant")]
    static OS_THREAD_ID: Cell<u64> = Cell::new(0);
}

/// The id of the calling OS thread.
#[inline(never)]
pub(crate) fn os_thread_id() -> u64 {
    OS_THREAD_ID.with(|id| {
        if id.get() == 0 {
            id.set(scheduler::fresh_id());
        }
        id.get()
    })
}

impl OsThread {
    fn new() -> Self {
        Self { state: State::default(), id: os_thread_id(), thread: prim::thread::current() }
    }

    /// The calling OS thread's record. `None` while the thread is ending.
    pub(crate) fn current() -> Option<Arc<Self>> {
        OS_THREAD.try_with(Arc::clone).ok()
    }

    /// A record for the rest of an ending thread's life.
    fn transient() -> Arc<Self> {
        Arc::new(Self::new())
    }
}

/// One wait of the calling thread. It lives on the waiter's stack and does not leave its thread.
pub struct Waiter {
    who: Who,
    wait: Wait,
}

/// Who waits. The pointer makes [`Waiter`] neither `Send` nor `Sync`.
enum Who {
    Task(NonNull<Header>),
    Thread(Arc<OsThread>),
}

impl Waiter {
    /// The next wait of the calling thread.
    ///
    /// # Safety
    ///
    /// The waiter is used and dropped by the green thread, or OS thread, that made it (a thread-local of the worker would hand it to another),
    /// and that thread makes no other waiter and enters no [`no_suspend`](crate::thread::no_suspend) before this one's wakers are in no registry any more (W1).
    ///
    /// # Panics
    ///
    /// On a green thread inside [`no_suspend`](crate::thread::no_suspend).
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(reason: WaitReason) -> Self {
        Self::begin(reason, |task| task.state.next(task.shield()))
    }

    /// As [`new`](Self::new), for a wait that can end with an error: see [`wait_fallibly`](Self::wait_fallibly).
    ///
    /// # Safety
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[inline(always)]
    #[must_use]
    pub unsafe fn fallible(reason: WaitReason) -> Self {
        Self::begin(reason, |task| task.state.next(task.shield_of_fallible()))
    }

    #[inline(always)]
    fn begin(reason: WaitReason, next: impl FnOnce(&Header) -> Wait) -> Self {
        let Some((worker, task)) = current::worker_and_task() else { return Self::of_os_thread() };
        worker.assert_may_suspend();
        task.panic_if_caught();
        task.set_reason(reason);
        #[cfg(debug_assertions)]
        assert!(!task.started().in_wait.replace(true), "a wait inside a wait");
        Self { who: Who::Task(task.ptr()), wait: next(task) }
    }

    #[cold]
    fn of_os_thread() -> Self {
        let thread = OsThread::current().unwrap_or_else(OsThread::transient);
        let wait = thread.state.next(Shield::Shielded);
        Self { who: Who::Thread(thread), wait }
    }

    /// What ends this wait: to be put in a registry.
    #[inline]
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(match &self.who {
            Who::Task(task) => Target::Task(*task, self.wait.epoch()),
            Who::Thread(thread) => Target::Thread(Arc::clone(thread), self.wait.epoch()),
        })
    }

    /// Whether it is `task` that waits.
    #[inline]
    pub(crate) fn is_of(&self, task: &Header) -> bool {
        matches!(self.who, Who::Task(me) if me == task.ptr())
    }

    #[inline]
    fn state(&self) -> &State {
        match &self.who {
            // SAFETY: the task is the one that runs this very code, by the contract of `new`.
            Who::Task(task) => unsafe { &task.as_ref().state },
            Who::Thread(thread) => &thread.state,
        }
    }

    /// Waits until the wait is claimed, or the deadline passes. It is over then: nobody can claim it any more.
    ///
    /// Returns at once if it has been claimed already, or if the green thread is to end and may be cancelled. It is cancelled also when a
    /// bound of the thread passes, whatever the deadline; see `docs/cancellation.md`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    #[inline(always)]
    pub fn wait(&mut self, deadline: Option<Instant>) -> Outcome {
        let outcome = self.wait_until(deadline);
        self.note_end();
        outcome
    }

    #[inline(always)]
    fn wait_until(&self, deadline: Option<Instant>) -> Outcome {
        let Who::Task(task) = &self.who else { return self.wait_os_thread(deadline) };
        // SAFETY: the task is the one that runs this very code.
        let task = unsafe { task.as_ref() };
        if !task.state.is_simply_ahead(self.wait) || task.runtime().is_draining() {
            return self.wait_with_care(deadline, CAN_UNWIND);
        }
        if let Some(deadline) = deadline {
            return timer::wait_until(self, deadline);
        }
        self.suspend_task(task);
        let woken = task.state.outcome() == Some(Outcome::Woken);
        if woken { Outcome::Woken } else { self.outcome() }
    }

    /// As [`wait`](Self::wait), of a waiter that was made by [`fallible`](Self::fallible). With `panic = "abort"`, where other waits are not
    /// cancelled, it is: the caller fails with [`cancel::fail`], which unwinds elsewhere.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    #[inline(always)]
    pub fn wait_fallibly(&mut self, deadline: Option<Instant>) -> Outcome {
        if CAN_UNWIND {
            return self.wait(deadline);
        }
        let outcome = self.wait_with_care(deadline, true);
        self.note_end();
        outcome
    }

    /// The green thread may wait for something else. Checked in debug builds only.
    #[inline(always)]
    fn note_end(&self) {
        #[cfg(debug_assertions)]
        if let Who::Task(task) = &self.who {
            // SAFETY: as in `state`.
            unsafe { task.as_ref() }.started().in_wait.set(false);
        }
    }

    /// How the wait ended.
    #[cold]
    fn outcome(&self) -> Outcome {
        self.state().outcome().expect("a parked task runs again only once its wait is won (S3 of `state.rs`)")
    }

    #[inline(always)]
    fn suspend_task(&self, task: &Header) {
        task.started().wait.set(self.wait);
        task.suspend(Suspend::Park);
    }

    /// Suspends with no deadline and no look at the phase. For the timer, which has both seen to.
    pub(crate) fn suspend(&self) -> Outcome {
        if let Who::Task(task) = &self.who {
            // SAFETY: as in `wait`.
            self.suspend_task(unsafe { task.as_ref() });
        }
        self.outcome()
    }

    #[cold]
    fn cancel(&self) -> Outcome {
        let _ = self.state().claim(self.wait.epoch(), Outcome::Cancelled);
        self.outcome()
    }

    /// As `wait`, where the wait may be over already, or the thread is to end, or has bounds: if it can be cancelled it lasts no longer
    /// than they allow.
    #[cold]
    #[inline(never)]
    fn wait_with_care(&self, deadline: Option<Instant>, cancellable: bool) -> Outcome {
        if let Some(outcome) = self.state().outcome_of(self.wait) {
            return outcome;
        }
        if !cancellable {
            return self.suspend_until(deadline);
        }
        if cancel::is_due() {
            return self.cancel();
        }
        let limit = bound::deadline();
        let Some(entered) = bound::enter(self) else { return self.cancel() };
        let until = deadline.into_iter().chain(limit).min();
        let outcome = self.suspend_until(until);
        drop(entered);
        let is_ours = deadline.is_some_and(|deadline| until == Some(deadline));
        if outcome == Outcome::TimedOut && !is_ours { Outcome::Cancelled } else { outcome }
    }

    fn suspend_until(&self, deadline: Option<Instant>) -> Outcome {
        match (&self.who, deadline) {
            (Who::Thread(_), _) => self.block(deadline),
            (Who::Task(_), Some(deadline)) => timer::wait_until(self, deadline),
            (Who::Task(_), None) => self.suspend(),
        }
    }

    #[cold]
    fn wait_os_thread(&self, deadline: Option<Instant>) -> Outcome {
        if bound::is_any() { self.wait_with_care(deadline, CAN_UNWIND) } else { self.block(deadline) }
    }

    /// Blocks an OS thread.
    fn block(&self, deadline: Option<Instant>) -> Outcome {
        let state = self.state();
        // A failed `park` means that the wait is over already.
        let _ = state.park(self.wait);
        loop {
            if let Some(outcome) = state.outcome() {
                return outcome;
            }
            let Some(deadline) = deadline else {
                prim::thread::park();
                continue;
            };
            let left = deadline.saturating_duration_since(seam::now());
            if left.is_zero() {
                let _ = state.claim(self.wait.epoch(), Outcome::TimedOut);
            } else {
                prim::thread::park_timeout(left);
            }
        }
    }
}

#[cfg(debug_assertions)]
impl Drop for Waiter {
    fn drop(&mut self) {
        self.note_end();
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("epoch", &self.wait.epoch()).finish_non_exhaustive()
    }
}

/// What ends one wait. It stands in a registry while the wait lasts.
#[derive(Clone)]
pub struct Waker(Target);

#[derive(Clone)]
enum Target {
    Task(NonNull<Header>, u32),
    Thread(Arc<OsThread>, u32),
    Foreign(Arc<Foreign>),
}

/// One wait of something that is neither: a future, or work that begins when what it needs is there.
struct Foreign {
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
    /// under the same lock before the frame of its [`Waiter`] ends (W1).
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

/// Takes the token of the calling thread, and waits while there is none.
#[inline(always)]
pub(crate) fn park() {
    let Some(task) = current::task() else { return park_until(None) };
    if task.state.is_limited_or_has_token() {
        if !task.state.has_token() {
            return park_until(None);
        }
        // Before the token is taken: who is cancelled there leaves it.
        crate::budget::spend();
        return task.state.clear_token();
    }
    current::assert_may_suspend();
    if task.runtime().is_draining() {
        return park_until(None);
    }
    task.set_reason(WaitReason::Park);
    let shield = task.shield();
    task.started().wait.set(task.state.next_for_token(shield));
    task.suspend(Suspend::Park);
    task.panic_if_caught();
    if task.state.outcome() == Some(Outcome::Cancelled) && shield != Shield::Shielded {
        cancel::unwind();
    }
}

/// As `park`, at most until `deadline`.
pub(crate) fn park_until(deadline: Option<Instant>) {
    let mut waiter = if let Some(task) = current::task() {
        if task.state.has_token() {
            crate::budget::spend();
            return task.state.clear_token();
        }
        current::assert_may_suspend();
        Waiter::begin(WaitReason::Park, |task| task.state.next_for_token(task.shield()))
    } else {
        let thread = OsThread::current().unwrap_or_else(OsThread::transient);
        if thread.state.has_token() {
            return thread.state.clear_token();
        }
        let wait = thread.state.next_for_token(Shield::Shielded);
        Waiter { who: Who::Thread(thread), wait }
    };
    if waiter.wait(deadline) == Outcome::Cancelled {
        cancel::unwind();
    }
}

/// Leaves the token of a green thread.
#[inline]
pub(crate) fn unpark_task(task: &TaskRef) {
    if task.state.leave_token() == Claim::Parked {
        // SAFETY: the claim that found it parked owns the task, with the runtime's reference (S3 of `state.rs`).
        scheduler::schedule_woken(unsafe { TaskRef::from_raw(task.ptr()) });
    }
}

/// Has a green thread end.
pub(crate) fn cancel_task(task: &TaskRef) {
    if task.state.cancel() == Claim::Parked {
        // SAFETY: as above.
        scheduler::schedule_woken(unsafe { TaskRef::from_raw(task.ptr()) });
    }
}

/// Leaves the token of an OS thread.
pub(crate) fn unpark_os_thread(thread: &OsThread) {
    if thread.state.leave_token() == Claim::Parked {
        thread.thread.unpark();
    }
}
