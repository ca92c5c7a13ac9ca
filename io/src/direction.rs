//! One direction of a descriptor: its readiness and the list of those who wait for it.
//!
//! Reading and writing are two of these, so a reader and a writer of one socket never meet. Any number of green
//! threads and OS threads may wait in one direction: they are woken one at a time, in the order in which they came,
//! and each passes readiness on to the next when it leaves something behind. What a waiter is, and how it is
//! claimed, is the caller's business: here it is a value `W` and a function.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | an operation | tries while [`Direction::readiness`] says ready, else [`enqueue`](Direction::enqueue)s and waits |
//! | whoever collects events | [`signal`](Direction::signal), from any number of threads at once |
//! | the operation that was woken, when it is done | [`pass_on`](Direction::pass_on) |
//! | a waiter that gave up | [`remove`](Direction::remove), and `pass_on` if it was not in the list any more |
//! | the runtime, when it ends | [`shut`](Direction::shut) |
//!
//! # States
//!
//! A waiter is outside, then in the list (1 `enqueue`), then outside again: taken out by whoever claimed it or found
//! it claimed by somebody else (2 `signal`, `pass_on`, `shut`), or by itself (3 `remove`).
//!
//! # Invariants
//!
//! - **I1** `claim` is called only under the lock of the list, and only for a waiter that is in the list.
//! - **I2** `WAITING` is set in the readiness word exactly while the list is not empty, seen under its lock.
//! - **I3** While readiness is set and the list is not empty, somebody is about to take the first waiter out: an
//!   event between its transition and the lock, or a woken operation that has not passed on yet. Hence no waiter is
//!   forgotten although it could proceed. Proof: an event that sets readiness takes the duty if there are waiters; a
//!   new waiter never joins while readiness is set (`transition_to_waiting`); taking one out hands the duty to it,
//!   or goes on to the next if it was claimed elsewhere; a woken operation ends in `pass_on`, or finds readiness
//!   gone and waits again, and then there is no duty.
//!
//! # Orderings
//!
//! The word orders itself (`readiness.rs`); the list is under its lock. The lock is a leaf: nothing is locked, woken
//! or called into the kernel under it, and the claimed are run after it was released.
//!
//! # Suspension
//!
//! Nothing here suspends. The lock is never held across a suspension.
//!
//! # Rejected
//!
//! - *Wake all.* A hundred green threads that accept from one listener would run for each connection.
//! - *One waiter per direction, as in Go, others queue on a lock of the descriptor.* A second lock on every
//!   operation, to serve a case that hardly occurs.
//! - *Waiters linked through their stacks.* Saves a copy of 24 bytes per wait; costs unsafe code that the list,
//!   which is almost always one entry long, does not deserve.
//!
//! # Checked by
//!
//! `loom-tests/tests/readiness.rs`, `tests/tcp_concurrency.rs`, the unit tests below.
//!
//! # Sources
//!
//! The baton is that of `std`'s queue-based locks and of tokio's `Notify`.

use std::{collections::VecDeque, mem};

use crate::{
    prim::Mutex,
    readiness::{Readiness, Wait, Wake},
};

/// One direction of a descriptor.
#[derive(Debug)]
pub struct Direction<W> {
    readiness: Readiness,
    waiters: Mutex<WaitList<W>>,
}

/// Names a waiter in the list of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl<W> Direction<W> {
    /// Creates a direction that is assumed ready, or that was just seen to be not.
    pub fn new(ready: bool) -> Self {
        Self { readiness: Readiness::new(ready), waiters: Mutex::new(WaitList::new()) }
    }

    /// The readiness word, for operations to look at and to take back.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Enters a waiter for the next event. `None`: there is something already, try again.
    pub fn enqueue(&self, waiter: W) -> Option<Ticket> {
        let mut waiters = self.waiters.lock();
        match self.readiness.transition_to_waiting() {
            Wait::NotNow => None,
            // INVARIANT (I2): announced, and entered before the lock is released.
            Wait::Announced => Some(waiters.push(waiter)),
        }
    }

    /// Takes out a waiter that gave up. `false`: somebody else took it out, and may have woken it.
    #[must_use]
    pub fn remove(&self, ticket: Ticket) -> bool {
        let mut waiters = self.waiters.lock();
        let removed = waiters.remove(ticket);
        if removed.is_some() && waiters.is_empty() {
            // INVARIANT (I2): empty, under the lock.
            self.readiness.transition_to_unwatched();
        }
        // Before what was removed ends: the waker of a future is foreign code.
        drop(waiters);
        removed.is_some()
    }

    /// Records an event, and claims the first waiter that is still to be had.
    #[must_use]
    pub fn signal<C>(&self, held: bool, claim: impl FnMut(&W) -> Option<C>) -> Option<C> {
        match self.readiness.transition_to_ready(held) {
            Wake::Nobody => None,
            Wake::Waiters => self.claim_first(claim),
        }
    }

    /// Claims the next waiter if there is still something for it. The duty of every operation that was woken.
    #[must_use]
    pub fn pass_on<C>(&self, claim: impl FnMut(&W) -> Option<C>) -> Option<C> {
        if self.readiness.load().is_ready_and_waited_for() { self.claim_first(claim) } else { None }
    }

    /// Ends the direction, and hands every claimed waiter to `each`.
    pub fn shut<C>(&self, claim: impl Fn(&W) -> Option<C>, mut each: impl FnMut(C)) {
        if self.readiness.transition_to_shut() == Wake::Waiters {
            while let Some(claimed) = self.claim_first(&claim) {
                each(claimed);
            }
        }
    }

    /// Takes waiters out until one could be claimed.
    fn claim_first<C>(&self, mut claim: impl FnMut(&W) -> Option<C>) -> Option<C> {
        let mut waiters = self.waiters.lock();
        let mut claimed = None;
        while claimed.is_none() {
            let Some(first) = waiters.first() else { break };
            // INVARIANT (I1): under the lock, and still in the list.
            claimed = claim(first);
            waiters.pop();
        }
        if waiters.is_empty() {
            // INVARIANT (I2): empty, under the lock.
            self.readiness.transition_to_unwatched();
        }
        claimed
    }
}

/// Those who wait, in the order in which they came. The first has a place of its own: few directions ever see two.
#[derive(Debug)]
struct WaitList<W> {
    first: Option<Entry<W>>,
    rest: VecDeque<Entry<W>>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Entry<W> {
    ticket: Ticket,
    waiter: W,
}

impl<W> WaitList<W> {
    fn new() -> Self {
        Self { first: None, rest: VecDeque::new(), next_ticket: 0 }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn first(&self) -> Option<&W> {
        self.first.as_ref().map(|entry| &entry.waiter)
    }

    fn push(&mut self, waiter: W) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let entry = Entry { ticket, waiter };
        if self.first.is_none() {
            self.first = Some(entry);
        } else {
            self.rest.push_back(entry);
        }
        ticket
    }

    fn pop(&mut self) {
        self.first = self.rest.pop_front();
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Entry<W>> {
        if self.first.as_ref().is_some_and(|entry| entry.ticket == ticket) {
            return mem::replace(&mut self.first, self.rest.pop_front());
        }
        let position = self.rest.iter().position(|entry| entry.ticket == ticket);
        self.rest.remove(position?)
    }
}

#[cfg(test)]
mod tests;
