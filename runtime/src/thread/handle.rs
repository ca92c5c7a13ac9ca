//! Handles to a green thread: the one that joins, and those that name and unpark it.

use std::{
    fmt,
    future::Future,
    io,
    marker::PhantomData,
    mem::ManuallyDrop,
    num::NonZero,
    panic::{RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::Result;
use crate::{
    cancel,
    park::{self, OsThread, Outcome, WaitReason, Waiter, Waker},
    scheduler::current,
    seam,
    task::{
        TaskRef,
        join::{Entry, JoinWord},
        state::Place,
    },
};

/// The right to a green thread's result. The one reference of its kind; see `task/join.rs` for who owns the result when.
pub(crate) struct Joiner<T> {
    /// A green one.
    thread: Thread,
    result: PhantomData<T>,
}

// SAFETY: what it gives out is the T that the closure sent here, and everything else about it is atomic.
unsafe impl<T: Send> Send for Joiner<T> {}
// SAFETY: a shared reference gives no T.
unsafe impl<T> Sync for Joiner<T> {}

impl<T> Joiner<T> {
    #[inline]
    pub(crate) fn new(task: TaskRef) -> Self {
        Self { thread: Thread(Inner::Green(task)), result: PhantomData }
    }

    #[inline]
    pub(super) fn thread(&self) -> &Thread {
        &self.thread
    }

    #[inline]
    fn task(&self) -> &TaskRef {
        match &self.thread.0 {
            Inner::Green(task) => task,
            Inner::Os(_) => unreachable!("`new` made it a green one"),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.task().join.is_finished()
    }

    #[inline]
    pub(super) fn ending(&self) -> Ending<'_> {
        Ending(self.task())
    }

    /// Waits for the end, at most until `deadline`. `false`: time is up.
    #[inline(always)]
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let task = self.task();
        // In this order: if the task finished in between, it may be using what a poll has put into the slot.
        if self.withdraw() || task.join.is_finished() {
            return true;
        }
        // SAFETY: used up in this function, which makes no other.
        let mut waiter = unsafe { Waiter::new(WaitReason::Join) };
        if waiter.is_of(task) {
            drop(waiter);
            panic!("a green thread cannot join itself");
        }
        // SAFETY: the slot is ours until `join.wait` announces it (J1).
        unsafe { *task.joiner.get() = Some(waiter.waker()) };
        let outcome = if task.join.wait() { waiter.wait(deadline) } else { Outcome::Woken };
        outcome == Outcome::Woken || self.give_up(outcome)
    }

    /// After a wait that the task did not end. `true`: it has finished meanwhile.
    #[cold]
    fn give_up(&self, outcome: Outcome) -> bool {
        if self.task().join.give_up() {
            return true;
        }
        if outcome == Outcome::Cancelled {
            cancel::unwind();
        }
        false
    }

    /// Waits for the end and takes the result.
    #[inline(always)]
    pub(crate) fn join(self) -> Result<T> {
        self.wait(None);
        self.take()
    }

    /// As `join`, at most until `deadline`.
    fn join_until(self, deadline: Option<Instant>) -> std::result::Result<Result<T>, Self> {
        if self.wait(deadline) { Ok(self.take()) } else { Err(self) }
    }

    fn take(self) -> Result<T> {
        debug_assert!(self.is_finished());
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the reference is taken once.
        let task = unsafe { std::ptr::read(this.task()) };
        // SAFETY: it has finished, so the result is the handle's (J3), which is gone with this call; T is its type.
        unsafe { task.take_output() }
    }
}

impl<T> Joiner<T> {
    #[inline]
    fn withdraw(&self) -> bool {
        self.ending().withdraw()
    }

    /// Takes the result if it is there; otherwise has `waker` woken when it is.
    fn poll(&mut self, waker: &std::task::Waker) -> Poll<Result<T>> {
        let task = self.task();
        if !task.join.is_finished() && !self.withdraw() {
            // SAFETY: a foreign waker needs no frame.
            let announced =
                unsafe { self.ending().announce(Waker::foreign(waker.clone()), JoinWord::enter_polled) };
            if announced.unwrap_or_else(|why| panic!("{why}")) {
                return Poll::Pending;
            }
        }
        // SAFETY: it has finished, so the result is the handle's (J3), which is borrowed mutably; T is its type.
        Poll::Ready(unsafe { self.task().take_output() })
    }
}

impl<T> Drop for Joiner<T> {
    fn drop(&mut self) {
        if self.withdraw() || self.task().join.detach() {
            // SAFETY: it has finished, so the result is the handle's (J3).
            unsafe { self.task().drop_output() };
        }
    }
}

/// The end of a green thread, for a `select` that waits for it among other things. No part of the API.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a>(&'a TaskRef);

impl Ending<'_> {
    /// Whether it has come, so that `join` would return at once.
    #[inline]
    #[must_use]
    pub fn has_come(self) -> bool {
        self.0.join.is_finished()
    }

    /// Takes back the waker of a handle that was polled as a future, if there is one: who asks last is woken. `true`: the end has come meanwhile.
    ///
    /// To be called before there is a [`Waiter`]: the waker's destructor is foreign code, which may wait.
    #[inline]
    #[expect(clippy::must_use_candidate, reason = "`enter` finds out too")]
    pub fn withdraw(self) -> bool {
        self.0.join.is_polled() && self.take_back()
    }

    #[cold]
    fn take_back(self) -> bool {
        let Self(task) = self;
        match task.join.withdraw() {
            Entry::Finished => return true,
            Entry::Taken => return false,
            Entry::Begun => {}
        }
        // SAFETY: the slot is ours until `join.leave` (J1).
        let waker = unsafe { (*task.joiner.get()).take() };
        let finished = task.join.leave();
        // Last, when nobody is kept from the slot: its destructor is foreign code.
        drop(waker);
        finished
    }

    /// Lets it claim `waker`. `false`: it has come, and will not.
    ///
    /// # Errors
    ///
    /// What to panic with, once the waker is in no registry any more (W1 of `park.rs`): it is of the green thread itself, or another waits already: a `select`, or a
    /// poll whose waker was not [withdrawn](Self::withdraw).
    ///
    /// # Safety
    ///
    /// If this returns `Ok(true)`, [`leave`](Self::leave) is called before the waker's thread makes another [`Waiter`], if it is of one.
    pub unsafe fn enter(self, waker: Waker) -> std::result::Result<bool, &'static str> {
        // SAFETY: the caller's contract.
        unsafe { self.announce(waker, JoinWord::enter) }
    }

    /// As `enter`, by a step of the word.
    ///
    /// # Safety
    ///
    /// As `enter`, unless the step is `enter_polled` and the waker is a foreign one.
    unsafe fn announce(
        self,
        waker: Waker,
        enter: fn(&JoinWord) -> bool,
    ) -> std::result::Result<bool, &'static str> {
        let Self(task) = self;
        if waker.is_of(task) {
            return Err("a green thread cannot join itself");
        }
        match task.join.begin_entry() {
            Entry::Finished => return Ok(false),
            Entry::Taken => return Err("a green thread can be joined by one `select` at a time"),
            Entry::Begun => {}
        }
        // SAFETY: the slot is ours until `enter` announces it (J1). The task claims before it releases, for which `leave` waits (J2).
        unsafe { *task.joiner.get() = Some(waker) };
        let entered = enter(&task.join);
        if !entered {
            // SAFETY: it was not announced, so the slot is ours still (J1).
            let waker = unsafe { (*task.joiner.get()).take() };
            drop(waker);
        }
        Ok(entered)
    }

    /// Undoes [`enter`](Self::enter). The waker is not used any more when this returns.
    ///
    /// # Safety
    ///
    /// `enter` returned `Ok(true)`, and this is called once for it.
    pub unsafe fn leave(self) {
        let _ = self.0.join.give_up();
    }
}

/// The right to wait for a green thread's end and take its result. Dropping it detaches the green thread.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let handle = thread::spawn(|| "done");
/// assert_eq!(handle.join().unwrap(), "done");
///
/// let failed = thread::spawn(|| -> u32 { panic!("on purpose") });
/// assert_eq!(*failed.join().unwrap_err().downcast::<&str>().unwrap(), "on purpose");
/// ```
pub struct JoinHandle<T>(pub(crate) Joiner<T>);

impl<T> JoinHandle<T> {
    /// Waits for the end of the green thread and returns its result: the value, or the payload of its panic, or
    /// [`Cancelled`](crate::cancel::Cancelled) if it was made to end.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The handle is dropped, which detaches the green thread.
    ///
    /// # Errors
    ///
    /// The payload, when the green thread did not end by returning.
    ///
    /// # Panics
    ///
    /// If a green thread joins itself.
    #[inline(always)]
    pub fn join(self) -> Result<T> {
        self.0.join()
    }

    /// As [`join`](Self::join), but gives the handle back if the green thread has not ended after `timeout`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// As [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// The handle itself, when time is up.
    ///
    /// # Panics
    ///
    /// If a green thread joins itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_runtime::thread;
    ///
    /// let parked = thread::spawn(thread::park);
    /// let parked = parked.join_timeout(Duration::from_millis(1)).unwrap_err();
    /// parked.thread().unpark();
    /// parked.join().unwrap();
    /// ```
    pub fn join_timeout(self, timeout: Duration) -> std::result::Result<Result<T>, Self> {
        self.0.join_until(seam::now().checked_add(timeout)).map_err(Self)
    }

    /// Whether the green thread has ended, so that `join` would return at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Makes the green thread end: its current wait, or its next one, unwinds, and [`join`](Self::join) returns
    /// [`Cancelled`](crate::cancel::Cancelled).
    ///
    /// This does not wait for that. If the green thread has not started it never will: its closure is dropped. While it unwinds for another
    /// reason, and inside [`shield`](crate::cancel::shield), it goes on undisturbed. If it ends without waiting again it has won. There is no
    /// way back: a `catch_unwind` that catches the unwinding delays it to the next wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::{cancel::Cancelled, thread};
    ///
    /// let parked = thread::spawn(|| thread::park());
    /// parked.cancel();
    /// assert!(parked.join().unwrap_err().is::<Cancelled>());
    /// ```
    pub fn cancel(&self) {
        self.0.thread().cancel();
    }

    /// Has `f` called with the result when the green thread has ended, on a green thread that waits for that; and lets go of the handle.
    /// If the runtime ends first, `f` is dropped.
    ///
    /// # Panics
    ///
    /// As [`spawn`](super::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use sward_runtime::thread;
    ///
    /// let (sender, results) = mpsc::channel();
    /// thread::spawn(|| 6 * 7).on_finish(move |result| sender.send(result.unwrap()).unwrap());
    /// assert_eq!(results.recv(), Ok(42));
    /// ```
    #[track_caller]
    pub fn on_finish(self, f: impl FnOnce(Result<T>) + Send + 'static)
    where
        T: Send + 'static,
    {
        drop(super::spawn(move || f(self.join())));
    }

    /// The green thread itself.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.0.thread()
    }

    /// The end of the green thread.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn ending(&self) -> Ending<'_> {
        self.0.ending()
    }
}

/// Ready when the green thread has ended, with what [`join`](JoinHandle::join) returns. So async code on any runtime can wait for a green
/// thread. A future that is dropped detaches it.
///
/// Who asks last is woken: another poll, a join, or a `select` that waits for the handle, takes the place of an earlier poll, whose waker is
/// dropped.
///
/// # Panics
///
/// When polled, or joined, after it was ready.
impl<T> Future for JoinHandle<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.poll(context.waker())
    }
}

// It holds no `T`, but a pointer to where one will be.
impl<T> Unpin for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", &self.thread()).finish_non_exhaustive()
    }
}

/// A handle to a thread, green or not, by which it can be named and unparked.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let me = thread::current();
/// let waker = thread::spawn(move || me.unpark());
/// thread::park();
/// waker.join().unwrap();
/// ```
#[derive(Clone)]
pub struct Thread(Inner);

// As `std`'s: by way of it nobody sees what a panic has left half done.
impl UnwindSafe for Thread {}
impl RefUnwindSafe for Thread {}

#[derive(Clone)]
enum Inner {
    Green(TaskRef),
    Os(Arc<OsThread>),
}

impl Thread {
    pub(super) fn current() -> Self {
        if let Some(task) = current::task() {
            // SAFETY: the running task is kept alive by its worker.
            return Self(Inner::Green(unsafe { TaskRef::retain(task.ptr()) }));
        }
        let thread = OsThread::current().expect("the OS thread is past the destruction of its thread-locals");
        Self(Inner::Os(thread))
    }

    /// Leaves the thread's token: its current or next [`park`](super::park()) returns.
    ///
    /// What happened before this call is visible to the thread after that `park`.
    pub fn unpark(&self) {
        match &self.0 {
            Inner::Green(task) => park::unpark_task(task),
            Inner::Os(thread) => park::unpark_os_thread(thread),
        }
    }

    /// Makes the green thread end, as [`JoinHandle::cancel`] does. An OS thread outside the runtime is not cancelled: this does nothing then.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    ///
    /// let ends_itself = thread::spawn(|| {
    ///     thread::current().cancel();
    ///     thread::yield_now();
    ///     unreachable!();
    /// });
    /// assert!(ends_itself.join().is_err());
    /// ```
    pub fn cancel(&self) {
        if let Inner::Green(task) = &self.0 {
            park::cancel_task(task);
        }
    }

    /// Where in its life it is: a snapshot, which may be over when this returns.
    ///
    /// Of an OS thread outside the runtime it is known that it waits, if that is for something of sward's, but not for what: `Park` stands
    /// for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::{park::WaitReason, thread::{self, State}};
    ///
    /// let parked = thread::spawn(thread::park);
    /// while parked.thread().state() == State::Runnable {
    ///     thread::yield_now();
    /// }
    /// assert_eq!(parked.thread().state(), State::Waiting(WaitReason::Park));
    /// let thread = parked.thread().clone();
    /// thread.unpark();
    /// parked.join().unwrap();
    /// assert_eq!(thread.state(), State::Finished);
    /// ```
    #[must_use]
    pub fn state(&self) -> State {
        let (place, reason) = match &self.0 {
            // As `join` sees it, which may return a little before the green thread has left its worker.
            Inner::Green(task) if task.join.is_finished() => return State::Finished,
            Inner::Green(task) => (task.state.place(), task.reason()),
            // What it waits for is written down nowhere.
            Inner::Os(thread) => (thread.state.place(), WaitReason::Park),
        };
        match place {
            Place::Active => State::Runnable,
            Place::Parked => State::Waiting(reason),
            Place::Finished => State::Finished,
        }
    }

    /// The id, which no other thread of the process, green or not, ever has.
    #[expect(clippy::missing_panics_doc, reason = "ids start at 1")]
    #[must_use]
    pub fn id(&self) -> ThreadId {
        let id = match &self.0 {
            Inner::Green(task) => task.meta.id,
            Inner::Os(thread) => thread.id,
        };
        ThreadId(NonZero::new(id).expect("ids start at 1"))
    }

    /// The name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Inner::Green(task) => task.meta.name(),
            Inner::Os(thread) => thread.thread.name(),
        }
    }

    /// Where it was spawned: `None` for an OS thread.
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static std::panic::Location<'static>> {
        match &self.0 {
            Inner::Green(task) => Some(task.meta.site),
            Inner::Os(_) => None,
        }
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut thread = f.debug_struct("Thread");
        thread.field("id", &self.id()).field("name", &self.name());
        if let Inner::Green(task) = &self.0 {
            thread.field("place", &task.state.place()).field("waits_for", &task.reason());
        }
        thread.finish_non_exhaustive()
    }
}

/// Where in its life a thread is. See [`Thread::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It runs, or could: it has not started, was woken, or has yielded.
    Runnable,
    /// It waits, for this.
    Waiting(WaitReason),
    /// It has ended.
    Finished,
}

/// Names a thread, green or not, among all that the process has ever had.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let other = thread::spawn(|| thread::current().id()).join().unwrap();
/// assert_ne!(thread::current().id(), other);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadId(NonZero<u64>);

impl ThreadId {
    pub(crate) fn from_number(number: NonZero<u64>) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }
}

#[expect(dead_code, reason = "checked at compile time only")]
fn handles_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<JoinHandle<std::cell::Cell<u8>>>();
    check::<Thread>();
    check::<io::Result<ThreadId>>();
}
