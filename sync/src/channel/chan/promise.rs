//! A channel in a `select`: selected first, completed later.
//!
//! Who is selected in a `select` runs before the message moves, because only then does it say which. Between the two stands a *promise*: a sender
//! that was selected owes a message, a receiver that was selected is owed one. What is owed lies among the promised until it is fetched.
//!
//! # Invariants
//!
//! C1 to C3 of `chan.rs`, and:
//!
//! - **Q1** As many of the promised, those there will be included, are nobody's as `orphans` says. They are fetched by whoever receives next.
//!
//! # Suspension
//!
//! [`Chan::fetch`] waits for a sender that was selected to say what it sends.

use std::collections::VecDeque;

use sward_runtime::{cancel, park::WaitReason};

use super::{Chan, End, Got, Put, Side, Slot, State, Woken, reply};
use crate::wait_list::{self, Ask, Entry, Wait, WaitList};

/// What only channels have that were in a `select`.
#[derive(Debug)]
pub(super) struct Selects<T> {
    /// For those to whom a message was promised (C3). `None`: the promise was broken, try again.
    promised: VecDeque<Option<T>>,
    /// Those who wait for what was promised.
    fetching: WaitList,
}

/// What a `select` has come by at one end, to be completed with [`Chan::complete_send`] or [`Chan::complete_recv`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    /// A receiver: the message is in its slot.
    Done,
    /// A receiver: a message is, or will be, among the promised. A sender of a rendezvous: a receiver waits there for one.
    Promise,
    /// A sender: there is room.
    Room,
    /// The other side is gone.
    Closed,
}

impl<T> Default for Selects<T> {
    fn default() -> Self {
        Self { promised: VecDeque::new(), fetching: WaitList::new() }
    }
}

impl<T> State<T> {
    fn selects(&mut self) -> &mut Selects<T> {
        self.selects.get_or_insert_default()
    }

    /// Puts a message, or a broken promise, among the promised.
    pub(super) fn promise(&mut self, message: Option<T>) {
        self.selects().promised.push_back(message);
    }

    /// What was promised, the channel being without receivers: all of it nobody's.
    pub(super) fn clear_promised(&mut self) -> VecDeque<Option<T>> {
        let promised =
            self.selects.as_mut().map(|selects| std::mem::take(&mut selects.promised)).unwrap_or_default();
        // There are more promised if a selected operation was forgotten.
        self.orphans = self.orphans.saturating_sub(promised.len());
        promised
    }

    /// A message that was promised to somebody who did not fetch it.
    #[cold]
    pub(super) fn adopt(&mut self) -> Option<T> {
        let found = self.selects().promised.pop_front()?;
        self.orphans -= 1;
        found
    }

    /// Somebody will not fetch what was promised: gives it to a receiver that waits.
    fn deliver_orphan(&mut self) -> Woken {
        let Some(orphan) = self.adopt() else { return Woken::Nobody };
        match self.deliver(orphan) {
            Ok(claimed) => Woken::One(claimed),
            Err(orphan) => {
                self.selects().promised.push_front(Some(orphan));
                self.orphans += 1;
                self.notify(End::Recv)
            }
        }
    }

    /// (5) Puts a message, or a broken promise, where those look to whom one was promised.
    fn hand_over(&mut self, message: Option<T>) -> Woken {
        self.promise(message);
        match self.selects().fetching.claim_front(reply::DONE) {
            Some(claimed) => Woken::One(claimed),
            None if self.orphans > 0 => self.deliver_orphan(),
            None => Woken::Nobody,
        }
    }

    /// Sends a message for which room was kept, or has become free.
    fn put_kept(&mut self, message: T, woken: &mut Vec<Woken>) {
        match self.put(message) {
            Put::Done(one) => woken.push(one),
            Put::Full(_) | Put::Closed(_) => unreachable!("there is room, and somebody to receive"),
        }
    }

    /// (1) Lets in all those who wait for room that was kept for a selected sender. Unlike in `admit`, receivers may wait too.
    fn admit_all(&mut self, woken: &mut Vec<Woken>) {
        while self.has_room() {
            let Some((message, claimed)) = self.claim_sender() else {
                return woken.push(self.notify(End::Send));
            };
            woken.push(Woken::One(claimed));
            match message {
                Some(message) => self.put_kept(message, woken),
                None => self.room -= 1,
            }
        }
    }

    /// Whether an operation at `end` would not wait, `me` being the number of the `select` that asks, whose own entries do not count.
    fn is_ready(&mut self, end: End, me: usize) -> bool {
        let others = |side: &Side| side.waiting.iter().any(|entry| entry.ask().number != me);
        match end {
            End::Send => {
                self.receivers.is_closed() || self.has_room() || self.rendezvous && others(&self.receivers)
            }
            End::Recv => {
                self.senders.is_closed()
                    || !self.buffer.is_empty()
                    || self.rendezvous && others(&self.senders)
                    || self.orphans > 0 && !self.selects().promised.is_empty()
            }
        }
    }

    /// Finds room for a message, or a receiver that will wait for it.
    fn select_send(&mut self) -> Option<(Selected, Woken)> {
        if self.receivers.is_closed() {
            return Some((Selected::Closed, Woken::Nobody));
        }
        if self.rendezvous {
            let claimed = self.receivers.waiting.claim_front(reply::PROMISED)?;
            return Some((Selected::Promise, Woken::One(claimed)));
        }
        if !self.has_room() {
            return None;
        }
        self.room -= 1;
        Some((Selected::Room, Woken::Nobody))
    }

    /// Takes a message and puts it among the promised, or finds a sender that promises one.
    fn select_recv(&mut self) -> Option<(Selected, Woken)> {
        let (got, woken) = self.take();
        let selected = match got {
            Got::Message(message) => {
                self.promise(Some(message));
                Selected::Promise
            }
            Got::Promised => Selected::Promise,
            Got::Closed => Selected::Closed,
            Got::Empty => return None,
        };
        Some((selected, woken))
    }
}

impl<T> Chan<T> {
    /// (6) Waits for a message that was promised. `None`: the promise was broken.
    ///
    /// # Cancellation
    ///
    /// Held back: the message would be lost, and who promised it is about to hand it over.
    #[cold]
    pub(super) fn fetch(&self) -> Option<T> {
        cancel::shield(|| {
            loop {
                let mut state = self.state.lock();
                if let Some(message) = state.selects().promised.pop_front() {
                    return message;
                }
                let wait = Wait::new(WaitReason::Channel, Ask::PLAIN, None);
                wait_list::wait(&self.state, state, wait, |state| &mut state.selects().fetching, |_| ());
            }
        })
    }

    /// For a `select`: does what can be done at `end` without waiting, up to the message itself.
    pub(crate) fn try_select(&self, end: End) -> Option<Selected> {
        let mut state = self.state.lock();
        let (selected, woken) = match end {
            End::Send => state.select_send()?,
            End::Recv => state.select_recv()?,
        };
        drop(state);
        woken.schedule();
        Some(selected)
    }

    /// For a `select` with a slot for the message: receives what there is.
    #[inline]
    pub(crate) fn try_take(&self, slot: &Slot<T>) -> Option<Selected> {
        let mut state = self.state.lock();
        if state.can_just_pop()
            && let Some(message) = state.pop()
        {
            drop(state);
            slot.0.set(Some(message));
            return Some(Selected::Done);
        }
        let (got, woken) = state.take();
        drop(state);
        woken.schedule();
        match got {
            Got::Message(message) => {
                slot.0.set(Some(message));
                Some(Selected::Done)
            }
            Got::Promised => Some(Selected::Promise),
            Got::Closed => Some(Selected::Closed),
            Got::Empty => None,
        }
    }

    /// For a `select` that waits: puts its entry in the list, unless an operation would not wait. An entry that `watches` is woken when one
    /// would not.
    ///
    /// # Safety
    ///
    /// The entry is in no list, and its waiter keeps L1 of `wait_list.rs`, with [`leave`](Self::leave). Its number is that of the `select`.
    #[must_use]
    pub(crate) unsafe fn enter(&self, end: End, entry: &Entry, watches: bool) -> bool {
        let mut state = self.state.lock();
        if state.is_ready(end, entry.ask().number) {
            return false;
        }
        let side = state.side(end);
        let list = if watches { &mut side.watching } else { &mut side.waiting };
        // SAFETY: the caller's contract.
        unsafe { list.push(entry, false) };
        let watchers = if watches { None } else { state.notify_rendezvous(end.other()) };
        drop(state);
        drop(watchers);
        true
    }

    /// For a `select` that waited: takes its entry out, and says how it was selected here, if it was.
    pub(crate) fn leave(&self, end: End, entry: &Entry, watches: bool) -> Option<Selected> {
        let mut state = self.state.lock();
        let side = state.side(end);
        let list = if watches { &mut side.watching } else { &mut side.waiting };
        list.remove(entry);
        match (entry.reply(), end) {
            (0, _) => None,
            (reply::CLOSED, _) => Some(Selected::Closed),
            (reply::DONE, End::Recv) if !entry.ask().slot.is_null() => Some(Selected::Done),
            (_, End::Send) if !state.rendezvous => Some(Selected::Room),
            _ => Some(Selected::Promise),
        }
    }

    /// Whether an operation at `end` would not wait.
    pub(crate) fn is_ready(&self, end: End) -> bool {
        // No frame has such an address.
        self.state.lock().is_ready(end, usize::MAX)
    }

    /// Completes a selected sending.
    pub(crate) fn complete_send(&self, selected: Selected, message: T) -> Result<(), T> {
        let mut woken = Vec::new();
        let mut state = self.state.lock();
        // Without receivers there is nobody left to whom a message was promised, and no room.
        if selected == Selected::Closed || state.receivers.is_closed() {
            return Err(message);
        }
        if selected == Selected::Promise {
            woken.push(state.hand_over(Some(message)));
        } else {
            state.room += 1;
            state.put_kept(message, &mut woken);
            state.admit_all(&mut woken);
        }
        drop(state);
        drop(woken);
        Ok(())
    }

    /// Completes a selected receiving. `None`: the channel is empty and closed.
    pub(crate) fn complete_recv(&self, selected: Selected) -> Option<T> {
        match selected {
            // What was delivered is in the slot of whoever asks.
            Selected::Closed | Selected::Done => None,
            // A broken promise leaves nothing to return but the next message.
            _ => self.fetch().or_else(|| self.recv(None).ok()),
        }
    }

    /// Takes back the message of a selected receiving.
    pub(crate) fn give_back(&self, message: T) {
        let mut state = self.state.lock();
        state.orphans += 1;
        state.selects().promised.push_front(Some(message));
        let woken = state.deliver_orphan();
        drop(state);
        drop(woken);
    }

    /// Takes back what was selected and not completed. No message is lost.
    pub(crate) fn abandon(&self, end: End, selected: Selected) {
        let mut woken = Vec::new();
        let mut state = self.state.lock();
        match (end, selected) {
            (_, Selected::Closed | Selected::Done) => {}
            (End::Send, _) if state.receivers.is_closed() => {}
            (End::Recv, _) => {
                state.orphans += 1;
                woken.push(state.deliver_orphan());
            }
            (End::Send, Selected::Room) => {
                state.room += 1;
                state.admit_all(&mut woken);
            }
            (End::Send, Selected::Promise) => woken.push(state.hand_over(None)),
        }
        drop(state);
        drop(woken);
    }
}
