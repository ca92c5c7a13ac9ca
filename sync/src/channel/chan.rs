//! The channel itself: a buffer, those who wait at either end, and one lock.
//!
//! Bounded, unbounded and rendezvous channels differ in their capacity only. A message goes straight to a receiver that waits, into
//! the buffer while there is room, or waits in its sender's frame.
//!
//! # Roles
//!
//! *Senders* and *receivers* are threads, green or not, in an operation. A `select` waits at several channels at once: its entries have no
//! slot, and who selects it leaves a *promise* instead of a message, because the operation is completed later, by its thread. Only to
//! receive in a `select!`, which knows the type of the message, there is a slot, as of a plain receiver.
//!
//! # States
//!
//! A message is in one place, and moves under the lock:
//!
//! ```text
//!   in a sender's slot ──1 admit──▶ in the buffer ──2 take──▶ with its receiver
//!          │    └──────────────────3 take_from_sender──────────────▲   ▲
//!   new ───┴──4 deliver───────▶ in a receiver's slot───────────────┘   │
//!          └──4 deliver, 5 hand_over──▶ among the promised ──6 fetch───┘
//! ```
//!
//! # Invariants
//!
//! - **C1** A slot belongs to whoever holds the lock while its entry is in a list, and to the waiter otherwise. Its message is moved in or out
//!   before the wait is claimed, and back if the claim is lost.
//! - **C2** A receiver waits only while there is nothing to take, a sender only while there is no room: whoever changes that claims one of
//!   those who wait in its stead, unless all of them have given up. (A selected sender's room counts as taken.)
//! - **C3** For each selected receiver, and each receiver that was promised a message by a selected sender, there is or will be one entry
//!   among the promised.
//!
//! # Orderings
//!
//! The lock orders everything.
//!
//! # Suspension
//!
//! [`Chan::send`], [`Chan::recv`] and `Chan::fetch` wait, with the lock released, by themselves or by their worker.
//!
//! # Rejected
//!
//! - *An array of slots with a stamp each* (crossbeam): without a lock, but each flavour of channel is then an algorithm of its own, a waiter is
//!   woken only to try again, and its wake is one more word to be ordered against the stamps.
//!
//! # Checked by
//!
//! `loom-tests/tests/channel.rs`, `tests/channel_*.rs`.
//!
//! # Sources
//!
//! Go's `chan.go`: direct hand-over, and a lock for the whole.

use std::{cell::Cell, collections::VecDeque, mem::ManuallyDrop, time::Instant};

use sward_runtime::{
    budget,
    park::{Batch, Claimed, WaitReason},
};

use super::fifo::Fifo;
use crate::{
    prim::{Lock, LockGuard},
    wait_list::{self, Ask, Wait, WaitList},
};

mod promise;

pub(crate) use promise::Selected;
use promise::Selects;

/// Replies to those who wait.
pub(crate) mod reply {
    /// The operation is done: a message was taken from the slot, or put there, or among the promised.
    pub(crate) const DONE: usize = 1;
    /// The other side was selected and completes later: a message will be among the promised, or room is kept for one.
    pub(crate) const PROMISED: usize = 2;
    /// The other side is gone.
    pub(crate) const CLOSED: usize = 3;
}

/// A channel. See the module.
#[derive(Debug)]
pub(crate) struct Chan<T> {
    state: Lock<State<T>>,
    /// `None`: without bound.
    capacity: Option<usize>,
}

#[derive(Debug)]
struct State<T> {
    buffer: Fifo<T>,
    /// How many more messages the buffer may take: none if there is nobody to receive them. What is kept for selected senders counts as
    /// taken.
    room: usize,
    /// Whether there is no buffer.
    rendezvous: bool,
    senders: Side,
    receivers: Side,
    /// How many of the promised nobody will fetch.
    orphans: usize,
    /// Made by the first `select` that needs it.
    selects: Option<Box<Selects<T>>>,
}

/// One end of the channel.
#[derive(Debug)]
struct Side {
    /// How many handles there are.
    handles: usize,
    /// Those who wait to do an operation.
    waiting: WaitList,
    /// Those who wait until an operation could be done.
    watching: WaitList,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Send,
    Recv,
}

/// Where a plain waiter's message lies, or is to be put.
pub(super) struct Slot<T>(Cell<Option<T>>);

/// Those who are to run once the lock is released.
#[derive(Debug)]
#[must_use]
enum Woken {
    Nobody,
    One(Claimed),
    /// Boxed, because it hardly ever occurs, and this is moved about.
    Many(Box<Batch>),
}

/// What came of receiving.
enum Got<T> {
    Message(T),
    /// A selected sender will provide one.
    Promised,
    /// There is none, or was none until the deadline.
    Empty,
    Closed,
}

/// What became of a message that was to be sent.
enum Put<T> {
    Done(Woken),
    Full(T),
    Closed(T),
}

/// Why a message was not sent; it is given back.
#[derive(Debug)]
pub(crate) enum NotSent<T> {
    /// There is no room, or was none until the deadline.
    Full(T),
    Closed(T),
}

/// Why no message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotReceived {
    /// There is none, or was none until the deadline.
    Empty,
    Closed,
}

impl Side {
    fn new() -> Self {
        Self { handles: 1, waiting: WaitList::new(), watching: WaitList::new() }
    }

    fn is_closed(&self) -> bool {
        self.handles == 0
    }

    /// Whether nobody is to be told about anything.
    #[inline]
    fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && self.watching.is_empty()
    }
}

impl End {
    fn other(self) -> Self {
        match self {
            Self::Send => Self::Recv,
            Self::Recv => Self::Send,
        }
    }
}

impl<T> Slot<T> {
    pub(super) fn new(message: Option<T>) -> Self {
        Self(Cell::new(message))
    }

    pub(super) fn ask(&self) -> Ask {
        Ask::slot(self.0.as_ptr().cast())
    }

    /// Takes what lies there. The wait is over.
    pub(super) fn take(&self) -> Option<T> {
        self.0.take()
    }

    /// What lies there.
    pub(super) fn into_inner(self) -> Option<T> {
        self.0.into_inner()
    }

    /// The slot that is asked for. `None`: who asks is in a `select`, and has none.
    ///
    /// # Safety
    ///
    /// `ask` is that of an entry in a list of a `Chan<T>` when the caller, who holds its lock, took the lock.
    #[inline]
    unsafe fn of<'a>(ask: Ask) -> Option<&'a mut Option<T>> {
        // SAFETY: null, or made by `ask` above; then the waiter is there and does not touch it (C1).
        unsafe { ask.slot.cast_mut().cast::<Option<T>>().as_mut() }
    }
}

impl<T> Got<T> {
    /// Without a promise.
    #[inline]
    fn into_result(self) -> Result<T, NotReceived> {
        match self {
            Self::Message(message) => Ok(message),
            Self::Empty | Self::Promised => Err(NotReceived::Empty),
            Self::Closed => Err(NotReceived::Closed),
        }
    }
}

impl Woken {
    /// Makes them run.
    #[inline(always)]
    fn schedule(self) {
        match self {
            Self::Nobody => {}
            Self::One(claimed) => claimed.schedule(),
            Self::Many(batch) => drop(batch),
        }
    }
}

impl<T> State<T> {
    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Send => &mut self.senders,
            End::Recv => &mut self.receivers,
        }
    }

    fn waiting_senders(&mut self) -> &mut WaitList {
        &mut self.senders.waiting
    }

    fn waiting_receivers(&mut self) -> &mut WaitList {
        &mut self.receivers.waiting
    }

    fn has_room(&self) -> bool {
        self.room > 0
    }

    /// (1) Puts a message into the buffer, where there is room.
    #[inline]
    fn push(&mut self, message: T) {
        self.room -= 1;
        self.buffer.push(message);
    }

    /// Whether a message can be put into the buffer, and nobody is to be told.
    #[inline]
    fn can_just_push(&self) -> bool {
        self.has_room() && self.receivers.is_quiet()
    }

    /// Whether a message can be taken out of the buffer, if there is one, and nobody is to be told.
    #[inline]
    fn can_just_pop(&self) -> bool {
        self.orphans == 0 && self.senders.is_quiet()
    }

    /// Whether there is no room, and nobody who makes some.
    #[inline]
    fn must_wait_to_send(&self) -> bool {
        !self.has_room() && self.receivers.waiting.is_empty() && !self.receivers.is_closed()
    }

    /// (2) Takes a message out of the buffer.
    #[inline]
    fn pop(&mut self) -> Option<T> {
        let message = self.buffer.pop()?;
        self.room += 1;
        Some(message)
    }

    /// (2, 3) Takes the next message.
    #[inline(always)]
    fn take(&mut self) -> (Got<T>, Woken) {
        if self.orphans > 0
            && let Some(orphan) = self.adopt()
        {
            return (Got::Message(orphan), Woken::Nobody);
        }
        if !self.rendezvous {
            return match self.pop() {
                Some(message) => (Got::Message(message), self.admit()),
                None if self.senders.is_closed() => (Got::Closed, Woken::Nobody),
                None => (Got::Empty, Woken::Nobody),
            };
        }
        match self.claim_sender() {
            Some((Some(message), claimed)) => (Got::Message(message), Woken::One(claimed)),
            Some((None, claimed)) => (Got::Promised, Woken::One(claimed)),
            None if self.senders.is_closed() => (Got::Closed, Woken::Nobody),
            None => (Got::Empty, Woken::Nobody),
        }
    }

    /// (1) Gives room that a receiver has made to a sender that waits. No receiver waits, since there was a message (C2).
    #[inline(never)]
    fn admit(&mut self) -> Woken {
        if !self.has_room() {
            return Woken::Nobody;
        }
        match self.claim_sender() {
            Some((Some(message), claimed)) => {
                self.push(message);
                Woken::One(claimed)
            }
            Some((None, claimed)) => {
                self.room -= 1;
                Woken::One(claimed)
            }
            None => self.notify(End::Send),
        }
    }

    /// (1, 3) Claims a sender that waits, and takes its message. No message: it is selected, and will provide one.
    #[inline(always)]
    fn claim_sender(&mut self) -> Option<(Option<T>, Claimed)> {
        while let Some(entry) = self.senders.waiting.pop_front() {
            // SAFETY: just taken out.
            let Some(slot) = (unsafe { Slot::of(entry.ask()) }) else {
                // SAFETY: taken out under the lock, which we hold.
                match unsafe { entry.claim(reply::PROMISED) } {
                    Some(claimed) => return Some((None, claimed)),
                    None => continue,
                }
            };
            let message = slot.take();
            // SAFETY: taken out under the lock, which we hold.
            if let Some(claimed) = unsafe { entry.claim(reply::DONE) } {
                return Some((message, claimed));
            }
            *slot = message;
        }
        None
    }

    /// (4) Sends a message.
    #[inline(always)]
    fn put(&mut self, message: T) -> Put<T> {
        if self.receivers.is_closed() {
            return Put::Closed(message);
        }
        match self.deliver(message) {
            Ok(claimed) => Put::Done(Woken::One(claimed)),
            Err(message) if self.has_room() => {
                self.push(message);
                Put::Done(self.notify(End::Recv))
            }
            Err(message) => Put::Full(message),
        }
    }

    /// (4) Gives a message to a receiver that waits.
    #[inline(always)]
    fn deliver(&mut self, mut message: T) -> Result<Claimed, T> {
        while let Some(entry) = self.receivers.waiting.pop_front() {
            // SAFETY: just taken out.
            let Some(slot) = (unsafe { Slot::of(entry.ask()) }) else {
                // SAFETY: taken out under the lock, which we hold.
                match unsafe { entry.claim(reply::DONE) } {
                    Some(claimed) => {
                        self.promise(Some(message));
                        return Ok(claimed);
                    }
                    None => continue,
                }
            };
            *slot = Some(message);
            // SAFETY: taken out under the lock, which we hold.
            if let Some(claimed) = unsafe { entry.claim(reply::DONE) } {
                return Ok(claimed);
            }
            message = slot.take().expect("its waiter leaves it alone (C1)");
        }
        Err(message)
    }

    /// Wakes those who watch whether an operation at `end` could be done.
    #[inline]
    fn notify(&mut self, end: End) -> Woken {
        if self.side(end).watching.is_empty() { Woken::Nobody } else { Woken::Many(self.notify_all(end)) }
    }

    #[cold]
    fn notify_all(&mut self, end: End) -> Box<Batch> {
        let mut batch = Box::new(Batch::new());
        while let Some(claimed) = self.side(end).watching.claim_front(reply::DONE) {
            batch.push(claimed);
        }
        batch
    }

    /// Takes all messages, the channel being without receivers: nobody comes for them.
    fn clear(&mut self) -> (VecDeque<Option<T>>, Fifo<T>) {
        self.room = 0;
        (self.clear_promised(), std::mem::replace(&mut self.buffer, Fifo::new()))
    }

    /// Somebody is about to wait: without a buffer, an operation at `end` can be done now.
    #[inline]
    fn notify_rendezvous(&mut self, end: End) -> Option<Box<Batch>> {
        let somebody = self.rendezvous && !self.side(end).watching.is_empty();
        if somebody { Some(self.notify_all(end)) } else { None }
    }
}

/// Drops messages. If a destructor panics, the others are leaked: a second panic while the first one unwinds would be an abort.
#[inline(never)]
fn drop_each<Q, T>(messages: Q, pop: fn(&mut Q) -> Option<T>) {
    let mut messages = ManuallyDrop::new(messages);
    while let Some(message) = pop(&mut messages) {
        drop(message);
    }
    drop(ManuallyDrop::into_inner(messages));
}

impl<T> Chan<T> {
    /// A channel with one handle at each end.
    pub(crate) fn new(capacity: Option<usize>) -> Self {
        let state = State {
            buffer: Fifo::new(),
            room: capacity.unwrap_or(usize::MAX),
            rendezvous: capacity == Some(0),
            senders: Side::new(),
            receivers: Side::new(),
            orphans: 0,
            selects: None,
        };
        Self { state: Lock::new(state), capacity }
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().buffer.is_empty()
    }

    /// How many messages are in the buffer.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().buffer.len()
    }

    /// Whether there is no room; without a buffer there never is.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.state.lock();
        !state.has_room() && (state.rendezvous || !state.receivers.is_closed())
    }

    /// One more handle.
    pub(crate) fn open(&self, end: End) {
        let mut state = self.state.lock();
        let side = state.side(end);
        side.handles = side.handles.checked_add(1).expect("too many handles of a channel");
    }

    /// One handle less. The last one at its end wakes all at the other; without receivers the messages are dropped.
    pub(crate) fn close(&self, end: End) {
        let mut state = self.state.lock();
        let side = state.side(end);
        side.handles -= 1;
        if side.handles > 0 {
            return;
        }
        let mut batch = Batch::new();
        let other = state.side(end.other());
        for list in [&mut other.waiting, &mut other.watching] {
            while let Some(claimed) = list.claim_front(reply::CLOSED) {
                batch.push(claimed);
            }
        }
        let unreceived = (end == End::Recv).then(|| state.clear());
        drop(state);
        batch.schedule();
        // Last, because it runs the destructors of messages.
        if let Some((promised, buffer)) = unreceived {
            drop_each(promised, VecDeque::pop_front);
            drop_each(buffer, Fifo::pop);
        }
    }

    /// Sends without waiting.
    #[inline]
    pub(crate) fn try_send(&self, message: T) -> Result<(), NotSent<T>> {
        budget::spend();
        let mut state = self.state.lock();
        if state.can_just_push() {
            state.push(message);
            return Ok(());
        }
        Self::put_and_wake(state, message).map_err(|(error, _)| error)
    }

    /// Sends, waiting for room or for a receiver.
    #[inline]
    pub(crate) fn send(&self, mut message: T, deadline: Option<Instant>) -> Result<(), NotSent<T>> {
        budget::spend();
        let mut state = self.state.lock();
        if state.can_just_push() {
            state.push(message);
            return Ok(());
        }
        if !state.must_wait_to_send() {
            match Self::put_and_wake(state, message) {
                Ok(()) => return Ok(()),
                Err((NotSent::Full(not_sent), locked)) => (state, message) = (locked, not_sent),
                Err((error, _)) => return Err(error),
            }
        }
        self.wait_to_send(state, message, deadline)
    }

    /// Sends if it can be done now. Otherwise the channel stays locked.
    #[inline(always)]
    fn put_and_wake(
        mut state: LockGuard<'_, State<T>>,
        message: T,
    ) -> Result<(), (NotSent<T>, LockGuard<'_, State<T>>)> {
        match state.put(message) {
            Put::Done(woken) => {
                drop(state);
                woken.schedule();
                Ok(())
            }
            Put::Full(message) => Err((NotSent::Full(message), state)),
            Put::Closed(message) => Err((NotSent::Closed(message), state)),
        }
    }

    #[inline(always)]
    fn wait_to_send(
        &self,
        mut state: LockGuard<'_, State<T>>,
        message: T,
        deadline: Option<Instant>,
    ) -> Result<(), NotSent<T>> {
        let slot = Slot::new(Some(message));
        let watchers = state.notify_rendezvous(End::Recv);
        let wait = Wait::new(WaitReason::Channel, slot.ask(), deadline);
        let list = State::waiting_senders;
        let reply = match watchers {
            None => wait_list::wait(&self.state, state, wait, list, |_| ()),
            Some(watchers) => wait_list::wait_with(&self.state, state, wait, list, || drop(watchers), |_| ()),
        };
        // The wait is over, so the slot is ours (C1).
        match (reply, slot.into_inner()) {
            (Some(reply::DONE), _) => Ok(()),
            (Some(_), message) => Err(NotSent::Closed(message.expect("not taken (C1)"))),
            (None, message) => Err(NotSent::Full(message.expect("not taken (C1)"))),
        }
    }

    /// Receives without waiting for a message, though maybe for a sender to complete the `select` in which it was selected.
    #[inline]
    pub(crate) fn try_recv(&self) -> Result<T, NotReceived> {
        budget::spend();
        loop {
            let mut state = self.state.lock();
            if state.can_just_pop()
                && let Some(message) = state.pop()
            {
                return Ok(message);
            }
            match self.take_and_wake(state).unwrap_or(Got::Empty) {
                Got::Promised => {
                    if let Some(message) = self.fetch() {
                        return Ok(message);
                    }
                }
                got => return got.into_result(),
            }
        }
    }

    /// Receives, waiting for a message.
    #[inline]
    pub(crate) fn recv(&self, deadline: Option<Instant>) -> Result<T, NotReceived> {
        budget::spend();
        loop {
            let mut state = self.state.lock();
            let got = if !state.can_just_pop() {
                match self.take_and_wake(state) {
                    Ok(got) => got,
                    Err(state) => self.wait_beside_others(state, deadline),
                }
            } else if let Some(message) = state.pop() {
                return Ok(message);
            } else if state.senders.is_closed() {
                return Err(NotReceived::Closed);
            } else {
                self.wait_to_recv(state, deadline)
            };
            match got {
                Got::Promised => {
                    if let Some(message) = self.fetch() {
                        return Ok(message);
                    }
                }
                got => return got.into_result(),
            }
        }
    }

    /// Receives if it can be done now. Otherwise the channel stays locked.
    #[inline(always)]
    fn take_and_wake<'a>(
        &'a self,
        mut state: LockGuard<'a, State<T>>,
    ) -> Result<Got<T>, LockGuard<'a, State<T>>> {
        match state.take() {
            (Got::Empty, _) => Err(state),
            (got, woken) => {
                drop(state);
                woken.schedule();
                Ok(got)
            }
        }
    }

    /// Waits while senders watch, or came too late to be taken from. Hardly ever.
    #[cold]
    fn wait_beside_others(&self, state: LockGuard<'_, State<T>>, deadline: Option<Instant>) -> Got<T> {
        self.wait_to_recv(state, deadline)
    }

    #[inline(always)]
    fn wait_to_recv(&self, mut state: LockGuard<'_, State<T>>, deadline: Option<Instant>) -> Got<T> {
        let slot = Slot::new(None);
        let watchers = state.notify_rendezvous(End::Send);
        let wait = Wait::new(WaitReason::Channel, slot.ask(), deadline);
        let list = State::waiting_receivers;
        let reply = match watchers {
            None => wait_list::wait(&self.state, state, wait, list, |_| ()),
            Some(watchers) => wait_list::wait_with(&self.state, state, wait, list, || drop(watchers), |_| ()),
        };
        match reply {
            // The wait is over, so the slot is ours (C1).
            Some(reply::DONE) => slot.into_inner().map_or(Got::Promised, Got::Message),
            Some(reply::PROMISED) => Got::Promised,
            Some(_) => Got::Closed,
            None => Got::Empty,
        }
    }
}
