//! What tests have planned for system calls.
//!
//! A plan is a series of faults for one kind of call on one descriptor, or on any. Each call takes the next one, and when there are
//! none left, calls are made as always. It is over when it is dropped, as it must be before the descriptor's number is somebody else's.
//!
//! # Suspension
//!
//! Nothing here suspends. The lock is held for a step of a test's iterator.
//!
//! # Checked by
//!
//! `tests/faults.rs`, `tests/faults_accept.rs`.

use std::{
    cell::Cell,
    fmt,
    os::fd::{AsFd, AsRawFd, RawFd},
};

use parking_lot::Mutex;
use rustix::io::Errno;

use super::Call;

/// The plans that are not over.
static PLANS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether the last call of this OS thread was cut short.
    static CUT: Cell<bool> = const { Cell::new(false) };
}

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is made.
    Nothing,
    /// It fails with this error of the system, and is not made.
    Fail(i32),
    /// It is made for so many bytes at most.
    Cut(usize),
}

/// What becomes of the next calls of one kind. Made by tests of this crate, and over when it is dropped.
#[must_use = "it is over when it is dropped"]
#[derive(Debug)]
pub struct Plan {
    id: usize,
}

struct Entry {
    id: usize,
    /// On which descriptor. `None`: on any.
    fd: Option<RawFd>,
    call: Call,
    faults: Box<dyn Iterator<Item = Fault> + Send>,
    calls: usize,
    injected: usize,
}

impl Plan {
    /// Plans the next calls of a kind on a descriptor.
    pub fn new(
        fd: impl AsFd,
        call: Call,
        faults: impl IntoIterator<Item = Fault, IntoIter: Send + 'static>,
    ) -> Self {
        Self::enter(Some(fd.as_fd().as_raw_fd()), call, Box::new(faults.into_iter()))
    }

    /// Plans the next calls of a kind, on whatever descriptor: for a process in which nobody else makes any.
    pub fn of_any(call: Call, faults: impl IntoIterator<Item = Fault, IntoIter: Send + 'static>) -> Self {
        Self::enter(None, call, Box::new(faults.into_iter()))
    }

    fn enter(fd: Option<RawFd>, call: Call, faults: Box<dyn Iterator<Item = Fault> + Send>) -> Self {
        let mut plans = PLANS.lock();
        let id = plans.last().map_or(0, |last| last.id + 1);
        plans.push(Entry { id, fd, call, faults, calls: 0, injected: 0 });
        Self { id }
    }

    /// How many such calls there have been.
    pub fn calls(&self) -> usize {
        self.look(|entry| entry.calls)
    }

    /// How many of them failed by plan, or were told to be short.
    pub fn injected(&self) -> usize {
        self.look(|entry| entry.injected)
    }

    fn look<R>(&self, look: impl FnOnce(&Entry) -> R) -> R {
        look(PLANS.lock().iter().find(|entry| entry.id == self.id).expect("it is there until the drop"))
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        PLANS.lock().retain(|entry| entry.id != self.id);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("fd", &self.fd).field("call", &self.call).finish_non_exhaustive()
    }
}

/// Takes the next fault for a call.
// Not inlined, so that the place of the thread-local is found anew each time.
#[inline(never)]
pub(crate) fn next(fd: RawFd, call: Call) -> Result<usize, Errno> {
    let mut plans = PLANS.lock();
    let is_meant = |entry: &&mut Entry| entry.call == call && entry.fd.is_none_or(|planned| planned == fd);
    let fault = plans.iter_mut().find(is_meant).map_or(Fault::Nothing, |entry| {
        let fault = entry.faults.next().unwrap_or(Fault::Nothing);
        entry.calls += 1;
        entry.injected += usize::from(fault != Fault::Nothing);
        fault
    });
    CUT.set(matches!(fault, Fault::Cut(_)));
    match fault {
        Fault::Nothing => Ok(usize::MAX),
        Fault::Fail(error) => Err(Errno::from_raw_os_error(error)),
        Fault::Cut(most) => Ok(most),
    }
}

/// Whether the last call of this OS thread was cut short.
// As for `next`.
#[inline(never)]
pub(crate) fn was_cut() -> bool {
    CUT.get()
}
