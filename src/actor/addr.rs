//! Addresses: by which actors are sent messages, waited for, and ended.

use std::{
    fmt, ptr,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use sward_runtime::thread::Thread;
use sward_sync::oneshot;

use super::{
    Actor, CallError, CastError, Exit, TryCastError,
    cell::{Cell, Node},
};

/// The address of an actor. When there is none any more, the actor stops after the messages that it has.
///
/// Messages of one sender are handled in the order in which they were sent.
///
/// # Examples
///
/// See the [module](super).
pub struct Addr<A: Actor>(Arc<Cell<A>>);

impl<A: Actor> Addr<A> {
    /// The one that is counted already.
    pub(super) fn first(cell: Arc<Cell<A>>) -> Self {
        Self(cell)
    }

    /// Another one.
    pub(super) fn of(cell: &Arc<Cell<A>>) -> Self {
        cell.add_addr();
        Self(Arc::clone(cell))
    }

    pub(super) fn cell(&self) -> &Arc<Cell<A>> {
        &self.0
    }

    /// Sends a message. If the mailbox is full, waits until there is room.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The message is dropped.
    ///
    /// # Errors
    ///
    /// The message, if the actor has stopped or is about to.
    ///
    /// # Panics
    ///
    /// If it would wait for room in the mailbox of the calling actor itself.
    pub fn cast(&self, message: A::Message) -> Result<(), CastError<A::Message>> {
        self.0.cast(message, None).map_err(|error| CastError(error.into_inner()))
    }

    /// Sends a message if there is room for it.
    ///
    /// # Suspension
    ///
    /// May yield.
    ///
    /// # Errors
    ///
    /// The message, if there is none, or the actor has stopped or is about to.
    pub fn try_cast(&self, message: A::Message) -> Result<(), TryCastError<A::Message>> {
        self.0.try_cast(message)
    }

    /// As [`cast`](Self::cast), waiting for room at most for `timeout`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The message is dropped.
    ///
    /// # Errors
    ///
    /// The message: [`TryCastError::Full`] when time is up.
    ///
    /// # Panics
    ///
    /// As [`cast`](Self::cast).
    pub fn cast_timeout(
        &self,
        message: A::Message,
        timeout: Duration,
    ) -> Result<(), TryCastError<A::Message>> {
        self.0.cast(message, Instant::now().checked_add(timeout))
    }

    /// Sends the message that `f` makes, and waits until it is replied to, however long that takes: two actors that call each other wait for
    /// ever, unless by [`call_timeout`](Self::call_timeout).
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// A message that was sent is handled all the same; its reply is dropped.
    ///
    /// # Errors
    ///
    /// If there is no reply.
    ///
    /// # Panics
    ///
    /// If an actor calls itself.
    pub fn call<R>(&self, f: impl FnOnce(Reply<R>) -> A::Message) -> Result<R, CallError> {
        self.call_to(None, f)
    }

    /// As [`call`](Self::call), for `timeout` at most, the wait for room included.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// As [`call`](Self::call).
    ///
    /// # Errors
    ///
    /// If there is no reply; [`CallError::Timeout`] when time is up.
    ///
    /// # Panics
    ///
    /// If an actor calls itself.
    pub fn call_timeout<R>(
        &self,
        timeout: Duration,
        f: impl FnOnce(Reply<R>) -> A::Message,
    ) -> Result<R, CallError> {
        self.call_to(Instant::now().checked_add(timeout), f)
    }

    fn call_to<R>(
        &self,
        deadline: Option<Instant>,
        f: impl FnOnce(Reply<R>) -> A::Message,
    ) -> Result<R, CallError> {
        assert!(!self.0.is_mine(), "an actor cannot call itself");
        let (sender, mut receiver) = oneshot::channel();
        self.0.cast(f(Reply(sender)), deadline).map_err(|error| match error {
            TryCastError::Full(_) => CallError::Timeout,
            TryCastError::Stopped(_) => CallError::Stopped,
        })?;
        let received = match deadline {
            Some(deadline) => receiver.recv_deadline(deadline),
            None => receiver.recv().map_err(|_| oneshot::error::RecvTimeoutError::Closed),
        };
        received.map_err(|error| match error {
            oneshot::error::RecvTimeoutError::Timeout => CallError::Timeout,
            oneshot::error::RecvTimeoutError::Closed if self.0.has_ended() => CallError::Stopped,
            oneshot::error::RecvTimeoutError::Closed => CallError::NoReply,
        })
    }

    /// Has the actor stop after the messages that it has. It takes no others.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Ends the actor now: its messages are dropped, and if it waits in the middle of one, that wait is cancelled. One that computes does so
    /// until it waits; one that is in [`Actor::stopped`] comes to the end of that.
    ///
    /// If it has not [started](Actor::started) it does neither that nor [stop](Actor::stopped). A child of a supervisor loses its messages too,
    /// and may be started again; between two of its lives this ends the next one.
    pub fn kill(&self) {
        self.0.order(Exit::Killed, false);
    }

    /// Waits until the actor has ended, and says how. One that a supervisor starts again has not.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Panics
    ///
    /// If an actor waits for itself.
    pub fn wait(&self) -> Exit {
        wait(&self.0)
    }

    /// Drops the address, and waits until the actor has ended: as [`wait`](Self::wait), but an actor whose last address this was stops.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The address is dropped.
    ///
    /// # Panics
    ///
    /// If an actor waits for itself.
    #[expect(clippy::must_use_candidate, reason = "the end may be all that is wanted")]
    pub fn join(self) -> Exit {
        let cell = Arc::clone(&self.0);
        drop(self);
        wait(&cell)
    }

    /// How the actor has ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.0.exit().get().cloned()
    }

    /// An address that does not keep the actor going.
    #[must_use]
    pub fn downgrade(&self) -> WeakAddr<A> {
        WeakAddr(Arc::downgrade(&self.0))
    }
}

/// Waits for the end. Who waits may be outside the actor's runtime, whose end an idle actor does not notice; so a green thread of that
/// runtime waits with it.
fn wait<A: Actor>(cell: &Arc<Cell<A>>) -> Exit {
    struct Withdraw(Thread);
    impl Drop for Withdraw {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    if let Some(exit) = cell.exit().get() {
        return exit.clone();
    }
    assert!(!cell.is_mine(), "an actor cannot wait for its own end");
    let theirs = Arc::clone(cell);
    let waiting = cell.runtime.spawn(move || theirs.exit().wait().clone());
    let _withdraw = Withdraw(waiting.thread().clone());
    waiting.join().unwrap_or_else(|_| {
        cell.abandon();
        cell.exit().wait().clone()
    })
}

impl<A: Actor> Clone for Addr<A> {
    fn clone(&self) -> Self {
        Self::of(&self.0)
    }
}

impl<A: Actor> Drop for Addr<A> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Whether they are of the same actor.
impl<A: Actor> PartialEq for Addr<A> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<A: Actor> Eq for Addr<A> {}

impl<A: Actor> fmt::Debug for Addr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = ptr::from_ref(&*self.0).addr();
        f.debug_struct("Addr").field("at", &at).field("exit", &self.0.exit().get()).finish_non_exhaustive()
    }
}

/// An address that does not keep its actor going.
///
/// # Examples
///
/// ```
/// use sward::actor::{self, Supervisor, Strategy};
///
/// let addr = actor::spawn(Supervisor::new(Strategy::OneForOne));
/// let weak = addr.downgrade();
/// assert_eq!(weak.upgrade().as_ref(), Some(&addr));
/// addr.join();
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakAddr<A: Actor>(Weak<Cell<A>>);

impl<A: Actor> WeakAddr<A> {
    pub(super) fn of(cell: &Arc<Cell<A>>) -> Self {
        Self(Arc::downgrade(cell))
    }

    /// An address, unless there was none left or the actor has stopped.
    #[must_use]
    pub fn upgrade(&self) -> Option<Addr<A>> {
        let cell = self.0.upgrade()?;
        cell.try_add_addr().then(|| Addr(cell))
    }

    /// Sends it a message beyond the bound. `false`: nobody will handle it.
    pub(super) fn push_urgent(&self, message: A::Message) -> bool {
        self.0.upgrade().is_some_and(|cell| cell.push_urgent(message))
    }

    pub(super) fn node(&self) -> Weak<dyn Node> {
        Weak::<Cell<A>>::clone(&self.0)
    }
}

impl<A: Actor> Clone for WeakAddr<A> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<A: Actor> fmt::Debug for WeakAddr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakAddr").finish_non_exhaustive()
    }
}

/// The right to reply to a [call](Addr::call), which waits for that. If it is dropped, the call ends with [`CallError::NoReply`].
///
/// It may be kept, and used when another message has come.
pub struct Reply<R>(oneshot::Sender<R>);

impl<R> Reply<R> {
    /// Replies. If the caller has given up, the value is dropped.
    pub fn send(self, value: R) {
        let _ = self.0.send(value);
    }

    /// Whether the caller still waits for it.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("is_wanted", &self.is_wanted()).finish()
    }
}
