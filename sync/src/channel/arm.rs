//! The things that a `select` can wait for, behind one face.
//!
//! # Roles
//!
//! The thread in the `select` calls everything here. What it enters is a registry: a channel's lists, a `Notify`'s, the slot of a green
//! thread's joiner. There its entry is claimed by others.
//!
//! # States
//!
//! ```text
//!             1 try_select, or claimed between 2 enter (0 prepare before it) and 3 leave
//!   asked for ─────────────────────────────────────────────────────▶ selected ──4 completed by its caller, 5 abandon──▶ over
//! ```
//!
//! # Invariants
//!
//! - **A1** An entry is in the registry from `enter`, unless it finds the arm ready, to `leave`: L1 to L3 of `wait_list.rs`. In between, the
//!   place for the message of a [`RecvArm`] belongs to the channel (C1 of `chan.rs`).
//! - **A2** Who claims an entry of a channel or a `Notify` says so in its reply, and `leave` tells. What is true once and for ever, that
//!   a green thread has ended, or until somebody takes it, that a time has come, just ends the wait: the next `try_select` finds it.
//!
//! # Orderings
//!
//! None of its own.
//!
//! # Suspension
//!
//! None; to complete a receiving may suspend.
//!
//! # Checked by
//!
//! `loom-tests/tests/select.rs`, `sync/tests/select*.rs`.

use std::{fmt, mem::ManuallyDrop, time::Instant};

use sward_runtime::thread::{Ending, JoinHandle, ScopedJoinHandle};

use super::{
    chan::{End, Selected, Slot},
    error::{RecvError, SendError},
    receiver::{Flavor, Receiver},
    sender::Sender,
};
use crate::{
    Arc, Notify,
    wait_list::{Ask, Entry},
};

/// What was come by, to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// At one end of a channel.
    Chan(Selected),
    /// A notification, by what the entry was told, or zero for a permit.
    Notified(usize),
    /// A timer's message.
    Time(Instant),
    /// Nothing is left to be done.
    Done,
}

/// What came of an entry.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// None was made: it would not wait.
    Ready,
    Waits,
    /// It waits, and nobody will claim it: at this time, it is ready.
    Until(Instant),
    /// None was made: it would be misuse, for which to panic once the others have left.
    Refused(&'static str),
}

/// One of the things that a `select` waits for. See the module.
pub(super) trait Arm {
    /// Which thing, and which end of it: the same for all handles.
    fn id(&self) -> usize;

    /// What the entry of `select` number `number` asks for.
    fn ask(&self, number: usize) -> Ask {
        Ask::number(number)
    }

    /// (0) Clears the way for an entry. To be called before there is a waiter, since it may run foreign code, and wait itself.
    fn prepare(&self) {}

    /// (1) Does what can be done without waiting. `waited`: the time for which the `select` has just waited.
    fn try_select(&self, waited: Option<Instant>) -> Option<Token>;

    /// (2) Enters, unless it is ready. An entry that `watches` is told when it is, and takes nothing.
    ///
    /// # Safety
    ///
    /// The entry is in no list, asks what `ask` says, and its waiter keeps L1 of `wait_list.rs` with `leave`. Until then nothing else of
    /// the arm is called.
    unsafe fn enter(&self, entry: &Entry, watches: bool) -> Entered;

    /// (3) Leaves, having entered, and says what was come by meanwhile.
    fn leave(&self, entry: &Entry, watches: bool) -> Option<Token>;

    /// (5) Gives back what was selected and is not completed.
    fn abandon(&self, token: Token);

    /// Whether it would not wait.
    fn is_ready(&self) -> bool;
}

impl<T> Arm for Sender<T> {
    fn id(&self) -> usize {
        id(&self.chan, End::Send)
    }

    fn try_select(&self, _: Option<Instant>) -> Option<Token> {
        self.chan.try_select(End::Send).map(Token::Chan)
    }

    unsafe fn enter(&self, entry: &Entry, watches: bool) -> Entered {
        // SAFETY: the caller's contract.
        let entered = unsafe { self.chan.enter(End::Send, entry, watches) };
        if entered { Entered::Waits } else { Entered::Ready }
    }

    fn leave(&self, entry: &Entry, watches: bool) -> Option<Token> {
        self.chan.leave(End::Send, entry, watches).map(Token::Chan)
    }

    fn abandon(&self, token: Token) {
        if let Token::Chan(selected) = token {
            self.chan.abandon(End::Send, selected);
        }
    }

    fn is_ready(&self) -> bool {
        self.chan.is_ready(End::Send)
    }
}

impl<T> Sender<T> {
    /// (4) Completes a selected sending.
    pub(super) fn complete(&self, token: Token, message: T) -> Result<(), SendError<T>> {
        match token {
            Token::Chan(selected) => self.chan.complete_send(selected, message).map_err(SendError),
            _ => Err(SendError(message)),
        }
    }
}

impl<T> Arm for Receiver<T> {
    fn id(&self) -> usize {
        match &self.flavor {
            Flavor::Chan(chan) => id(chan, End::Recv),
            Flavor::Timer(timer) => id(timer, End::Recv),
            Flavor::Never => 0,
        }
    }

    fn try_select(&self, waited: Option<Instant>) -> Option<Token> {
        match &self.flavor {
            Flavor::Chan(chan) => chan.try_select(End::Recv).map(Token::Chan),
            Flavor::Timer(timer) => timer.try_select(waited).map(Token::Time),
            Flavor::Never => None,
        }
    }

    unsafe fn enter(&self, entry: &Entry, watches: bool) -> Entered {
        match &self.flavor {
            // SAFETY: the caller's contract.
            Flavor::Chan(chan) if unsafe { chan.enter(End::Recv, entry, watches) } => Entered::Waits,
            Flavor::Chan(_) => Entered::Ready,
            Flavor::Timer(timer) => timer.next_deadline().map_or(Entered::Waits, Entered::Until),
            Flavor::Never => Entered::Waits,
        }
    }

    fn leave(&self, entry: &Entry, watches: bool) -> Option<Token> {
        match &self.flavor {
            Flavor::Chan(chan) => chan.leave(End::Recv, entry, watches).map(Token::Chan),
            Flavor::Timer(_) | Flavor::Never => None,
        }
    }

    fn abandon(&self, token: Token) {
        match (&self.flavor, token) {
            (Flavor::Chan(chan), Token::Chan(selected)) => chan.abandon(End::Recv, selected),
            (Flavor::Timer(timer), Token::Time(when)) => timer.abandon(when),
            _ => {}
        }
    }

    fn is_ready(&self) -> bool {
        match &self.flavor {
            Flavor::Chan(chan) => chan.is_ready(End::Recv),
            Flavor::Timer(timer) => timer.is_due(),
            Flavor::Never => false,
        }
    }
}

impl<T> Receiver<T> {
    /// (4) Completes a selected receiving.
    pub(super) fn complete(&self, token: Token) -> Result<T, RecvError> {
        match (&self.flavor, token) {
            (Flavor::Chan(chan), Token::Chan(selected)) => chan.complete_recv(selected).ok_or(RecvError),
            (Flavor::Timer(timer), Token::Time(when)) => Ok(timer.complete(when)),
            _ => Err(RecvError),
        }
    }
}

impl Arm for Notify {
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn try_select(&self, _: Option<Instant>) -> Option<Token> {
        Self::try_select(self).then_some(Token::Notified(0))
    }

    unsafe fn enter(&self, entry: &Entry, _: bool) -> Entered {
        // SAFETY: the caller's contract.
        let entered = unsafe { Self::enter(self, entry) };
        if entered { Entered::Waits } else { Entered::Ready }
    }

    fn leave(&self, entry: &Entry, watches: bool) -> Option<Token> {
        if !Self::leave(self, entry) {
            return None;
        }
        if watches {
            // It may be had again, as a permit.
            Self::abandon(self, entry.reply());
        }
        Some(Token::Notified(entry.reply()))
    }

    fn abandon(&self, token: Token) {
        if let Token::Notified(reply) = token {
            Self::abandon(self, reply);
        }
    }

    fn is_ready(&self) -> bool {
        Self::is_ready(self)
    }
}

/// What has an end that a `select` can wait for: a [`JoinHandle`] or a [`ScopedJoinHandle`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be joined in a `select`",
    label = "this is no `JoinHandle`",
    note = "`join(handle) -> result => …` takes a variable or a field that holds a `JoinHandle` or a `ScopedJoinHandle`"
)]
pub trait Joinable: Sealed {
    /// The end of the green thread.
    #[doc(hidden)]
    fn ending(&self) -> Ending<'_>;
}

/// Keeps others from implementing [`Joinable`].
#[doc(hidden)]
#[expect(unnameable_types, reason = "that is its purpose")]
pub trait Sealed {}

impl<T> Sealed for JoinHandle<T> {}
impl<T> Sealed for ScopedJoinHandle<'_, T> {}

impl<T> Joinable for JoinHandle<T> {
    fn ending(&self) -> Ending<'_> {
        self.ending()
    }
}

impl<T> Joinable for ScopedJoinHandle<'_, T> {
    fn ending(&self) -> Ending<'_> {
        self.ending()
    }
}

impl<H: Joinable> Arm for H {
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn prepare(&self) {
        self.ending().withdraw();
    }

    fn try_select(&self, _: Option<Instant>) -> Option<Token> {
        self.ending().has_come().then_some(Token::Done)
    }

    unsafe fn enter(&self, entry: &Entry, _: bool) -> Entered {
        // SAFETY: the caller keeps L1 with `leave`, which is called if this returns `Ok(true)`.
        match unsafe { self.ending().enter(entry.waker().clone()) } {
            Ok(true) => Entered::Waits,
            Ok(false) => Entered::Ready,
            Err(why) => Entered::Refused(why),
        }
    }

    fn leave(&self, _: &Entry, _: bool) -> Option<Token> {
        // SAFETY: called once, after an `enter` that made an entry (A1).
        unsafe { self.ending().leave() };
        None
    }

    fn abandon(&self, _: Token) {}

    fn is_ready(&self) -> bool {
        self.ending().has_come()
    }
}

/// A `recv` of a `select!`, with the place for its message. It has nothing to be dropped, so that the body may do with the receiver what
/// it likes.
pub struct RecvArm<'a, T> {
    receiver: &'a Receiver<T>,
    slot: ManuallyDrop<Slot<T>>,
}

impl<'a, T> RecvArm<'a, T> {
    /// One that has not been tried yet.
    #[inline]
    pub fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver, slot: ManuallyDrop::new(Slot::new(None)) }
    }

    /// (4) Completes it, if it was selected with `token`.
    #[inline]
    pub(super) fn complete(self, token: Token) -> Result<T, RecvError> {
        match ManuallyDrop::into_inner(self.slot).into_inner() {
            Some(message) => Ok(message),
            None => self.receiver.complete(token),
        }
    }
}

impl<T> Arm for RecvArm<'_, T> {
    fn id(&self) -> usize {
        self.receiver.id()
    }

    fn ask(&self, number: usize) -> Ask {
        Ask { number, ..self.slot.ask() }
    }

    #[inline]
    fn try_select(&self, waited: Option<Instant>) -> Option<Token> {
        match &self.receiver.flavor {
            Flavor::Chan(chan) => chan.try_take(&self.slot).map(Token::Chan),
            _ => self.receiver.try_select(waited),
        }
    }

    unsafe fn enter(&self, entry: &Entry, watches: bool) -> Entered {
        // SAFETY: the caller's contract. The slot is left alone until `leave` (A1).
        unsafe { self.receiver.enter(entry, watches) }
    }

    fn leave(&self, entry: &Entry, watches: bool) -> Option<Token> {
        self.receiver.leave(entry, watches)
    }

    fn abandon(&self, token: Token) {
        match (&self.receiver.flavor, self.slot.take()) {
            (Flavor::Chan(chan), Some(message)) => chan.give_back(message),
            _ => self.receiver.abandon(token),
        }
    }

    fn is_ready(&self) -> bool {
        self.receiver.is_ready()
    }
}

impl<T> fmt::Debug for RecvArm<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvArm").finish_non_exhaustive()
    }
}

/// Which end of which channel.
fn id<C>(chan: &Arc<C>, end: End) -> usize {
    // Channels are aligned, so that there is a bit for the end.
    Arc::as_ptr(chan).addr() | usize::from(end == End::Recv)
}
