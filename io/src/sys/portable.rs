//! Readiness on other Unixes: the `polling` crate in its edge mode.
//!
//! Also built on Linux with the feature `polling`, so that it is tested where the rest is. Slower than `epoll.rs`: see
//! its header for what is missed here. A system without edge mode (neither epoll nor kqueue nor event ports) gets an
//! error from `add`.
//!
//! # Roles
//!
//! Any thread may call anything. One thread at a time waits inside of `polling`; a look that finds one there leaves
//! at once, a second wait queues for its turn.
//!
//! # States
//!
//! As in `epoll.rs`: `notified` is set by 1 `notify` and cleared by 2 a wait that would block.
//!
//! # Invariants
//!
//! - **I1** Who calls `Poller::wait` of `polling` holds the lock of `turn`.
//! - **I2** A registered descriptor is open until `remove`: the source that owns it is dropped in that order.
//! - **I3** A notification is seen by a wait that would block: either it interrupts that wait, or `notified` is found
//!   set before the wait begins. A look, which holds `turn` too (I1), cannot come in between the two.
//!
//! # Orderings
//!
//! `notified`: swaps, `AcqRel`, on both sides, as in `epoll.rs`.
//!
//! # Suspension
//!
//! `wait` blocks the OS thread. It runs on workers and on the poller thread, never on a green thread.
//!
//! # Rejected
//!
//! - *Clearing readiness on a short read.* `polling` does not tell the end of the stream apart from data.
//! - *Oneshot mode.* A system call to re-arm on every wait.
//!
//! # Checked by
//!
//! `sys/tests.rs`, `tests/`, with `--features polling`.
//!
//! # Sources
//!
//! polling's `lib.rs`, `epoll.rs` and `kqueue.rs`.
#![expect(unsafe_code, reason = "registration of raw descriptors")]

use std::{
    io,
    os::fd::{BorrowedFd, RawFd},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use polling::PollMode;

use super::{Event, Key};
use crate::prim::atomic::{AtomicBool, Ordering::AcqRel};

/// The end of the stream cannot be told from data, so only a call that would block says that nothing is left.
pub(crate) const SHORT_MEANS_EMPTY: bool = false;

/// A poller of the `polling` crate, and whose turn it is to wait on it.
#[derive(Debug)]
pub(crate) struct Poller {
    poller: polling::Poller,
    turn: Mutex<polling::Events>,
    /// A notification is under way (I3).
    notified: AtomicBool,
}

impl Poller {
    /// Creates an empty poller with its notifier.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poller: polling::Poller::new()?,
            turn: Mutex::new(polling::Events::new()),
            notified: AtomicBool::new(false),
        })
    }

    /// Registers a descriptor in both directions; what is ready already raises an event.
    pub(crate) fn add(&self, fd: RawFd, key: Key) -> io::Result<()> {
        // SAFETY: `remove` is called before the descriptor is closed (I2).
        unsafe { self.poller.add_with_mode(fd, polling::Event::all(key.0), PollMode::Edge) }
    }

    /// Deregisters a descriptor. That it is not registered any more is no error: somebody closed it behind our back.
    pub(crate) fn remove(&self, fd: RawFd) {
        // SAFETY: not yet closed by its owner (I2).
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let _ = self.poller.delete(fd);
    }

    /// Collects events, for at most `timeout`.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.list.clear();
        let Some(mut turn) = self.enter(timeout) else { return Ok(()) };
        let is_look = timeout == Some(Duration::ZERO);
        // (2) Pairs with the swap in `notify`.
        let is_notified = !is_look && self.notified.swap(false, AcqRel);
        turn.clear();
        let result = self.poller.wait(&mut turn, if is_notified { Some(Duration::ZERO) } else { timeout });
        if !is_look {
            // (2) Pairs with the swap in `notify`.
            self.notified.swap(false, AcqRel);
        }
        events.list.extend(turn.iter().map(|event| (Key(event.key), decode(&event))));
        match result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the current or else the next wait that would block return.
    pub(crate) fn notify(&self) {
        // (1) Pairs with the swaps in `wait`.
        if !self.notified.swap(true, AcqRel) {
            self.poller.notify().expect("a notifier of our own can be written to");
        }
    }

    /// Takes the turn to wait (I1); a look does not queue for it.
    fn enter(&self, timeout: Option<Duration>) -> Option<MutexGuard<'_, polling::Events>> {
        match timeout {
            None => Some(self.turn.lock()),
            Some(Duration::ZERO) => self.turn.try_lock(),
            Some(timeout) => self.turn.try_lock_for(timeout),
        }
    }
}

/// What one wait collected.
#[derive(Debug)]
pub(crate) struct Events {
    list: Vec<(Key, Event)>,
}

impl Events {
    /// Creates room for the events of one wait.
    pub(crate) fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// What was reported about whom.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, Event)> {
        self.list.iter().copied()
    }
}

/// Without the end of the stream, readiness has nothing to be held by.
fn decode(event: &polling::Event) -> Event {
    Event { readable: event.readable, writable: event.writable, read_held: false, write_held: false }
}
