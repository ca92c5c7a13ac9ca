//! Operations of a source for those who have no stack to wait on: futures.
//!
//! A future tries as everybody does; when it would block, it leaves its waker in the list of the direction and returns. An event wakes
//! the future instead of a thread, and the next poll tries again.
//!
//! # Roles
//!
//! One future polls a [`Slot`], through the exclusive reference that it has. Its place in the list is beside those of threads that wait in
//! the same direction.
//!
//! # Invariants
//!
//! - **P1** A place stands in its list at most once, and is left when the next poll has ended, or the slot. Whoever is left by an event that
//!   it did not take out itself has the duty to pass on, as a thread has that was woken: so it does when it leaves.
//! - **P2** A waker of a future is foreign code, which may call anything, this source too. So it is neither cloned nor dropped nor woken
//!   under the lock of the list.
//! - **P3** What a slot keeps of its last place holds the waker of the future, so that the next place needs no other. A future that owns the slot
//!   owns that waker then, as it does while it waits; it lets go of both when it ends.
//!
//! # Suspension
//!
//! Nothing here suspends, not even to give way: the future may hold locks that its neighbours on the worker want. After many
//! operations in a row that did not have to wait it is *pending* once, and woken at once, which gives way wherever it runs.
//!
//! # Rejected
//!
//! - *To keep the place while the waker stays the same.* Whether it still stands in the list must be asked under the same lock.
//! - *To heed timeouts and the mode.* Both are about threads that wait; a future that is to give up is dropped.
//!
//! # Checked by
//!
//! `tests/polled.rs`, `tests/polled_tokio.rs`, `tests/hyper.rs`.
//!
//! # Sources
//!
//! tokio's `registration.rs` and its budget for tasks.

use std::{
    io,
    os::fd::AsFd,
    sync::Arc,
    task::{Context, Poll},
};

use sward_runtime::park::Waker;

use super::{Baton, Interest, Operation, Shared, Source};
use crate::{direction::Ticket, error::RuntimeClosed, readiness::Snapshot};

/// How many operations may succeed in a row before one gives way.
const MOST_IN_A_ROW: u32 = 128;

/// What a future that is polled again and again has in one direction of a source.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    place: Option<Place>,
    /// What stood in the last place (P3).
    waker: Option<Waker>,
    /// How many operations have succeeded since the last that did not.
    in_a_row: u32,
}

/// A place in the list of a direction.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    interest: Interest,
    ticket: Ticket,
}

impl Place {
    /// Enters a future for the next event. `None`: there is something already, try again.
    fn enter(
        shared: &Arc<Shared>,
        interest: Interest,
        context: &Context<'_>,
        last: &mut Option<Waker>,
    ) -> Option<Self> {
        if !last.as_mut().is_some_and(|last| last.renew(context.waker())) {
            // Cloned before the lock (P2), as the last is dropped.
            *last = Some(Waker::foreign(context.waker().clone()));
        }
        // Of what stands in the list there is always another copy, so the waker inside ends elsewhere (P2).
        let waker = last.clone()?;
        let ticket = shared.direction(interest).enqueue(waker)?;
        Some(Self { shared: Arc::clone(shared), interest, ticket })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let direction = self.shared.direction(self.interest);
        if !direction.remove(self.ticket) {
            // An event took it out (P1).
            drop(Baton(direction));
        }
    }
}

impl<T: AsFd> Source<T> {
    /// Tries an operation, and when it would block, has the future woken when it may go on. As for `run`, `attempt` is one system
    /// call that does not block, and `is_short` says of its result that the kernel had no more to give or to take.
    pub(crate) fn poll<R>(
        &self,
        operation: Operation,
        slot: &mut Slot,
        context: &Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
        is_short: impl FnOnce(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        if slot.in_a_row == MOST_IN_A_ROW {
            slot.in_a_row = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // That of the last poll, left when this one has ended (P1).
        let mut last = slot.place.take();
        loop {
            let registration = self.registration.get();
            let direction =
                registration.map(|registration| registration.shared.direction(operation.interest));
            // Before the system call that it vouches for.
            let seen = direction.map_or(Snapshot::UNREGISTERED, |direction| direction.readiness().load());
            if let Some(registration) = registration
                && !seen.is_to_be_tried()
            {
                if seen.is_shut() {
                    return Poll::Ready(Err(RuntimeClosed.into()));
                }
                // There is nothing to pass on any more, and one place at a time is enough.
                drop(last.take());
                slot.place = Place::enter(&registration.shared, operation.interest, context, &mut slot.waker);
                if slot.place.is_some() {
                    slot.in_a_row = 0;
                    return Poll::Pending;
                }
                continue;
            }
            match attempt(&self.io) {
                Ok(result) => {
                    if let Some(direction) = direction
                        && self.short_means_empty
                        && is_short(&result)
                    {
                        direction.readiness().clear_after_short(seen);
                    }
                    slot.in_a_row += 1;
                    return Poll::Ready(Ok(result));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match direction {
                    Some(direction) => direction.readiness().clear_after_would_block(seen),
                    None => self.register(operation.interest)?,
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
