//! Where a read that blocks an OS thread of the pool leaves what it has read.
//!
//! Whoever asked for it may have been cancelled meanwhile. Then the next one who reads finds it, or waits for it: what has been
//! taken from the standard input is never lost to those who read it here.
//!
//! # Roles
//!
//! The *reader* holds the lock of the standard input, so there is one at a time. A thread of the *pool* does the read.
//!
//! # States
//!
//! Idle, 1 under way, 2 landed, idle again once the reader has taken all of it. A reader that finds a read under way, left behind by one
//! that was cancelled, waits for that.
//!
//! # Invariants
//!
//! - **I1** At most one read is under way: it is begun by a reader that finds none, under the mutex.
//!
//! # Suspension
//!
//! `read` suspends, and holds nothing then.
//!
//! # Checked by
//!
//! `stdio/landing/tests.rs`, `tests/stdio.rs`.

use std::io::{self, Read};

use parking_lot::{Condvar, Mutex};
use rustix::stdio::stdin;
use sward_runtime::unblock;

/// How much one read asks for: as much as `std`'s buffer.
const CAPACITY: usize = 8 << 10;

/// What the pool has read, or is reading.
#[derive(Debug)]
pub(super) struct Landing {
    state: Mutex<State>,
    landed: Condvar,
}

#[derive(Debug)]
enum State {
    Idle,
    UnderWay,
    /// What was read, from `taken` on.
    Landed {
        result: io::Result<Vec<u8>>,
        taken: usize,
    },
}

impl Landing {
    pub(super) const fn new() -> Self {
        Self { state: Mutex::new(State::Idle), landed: Condvar::new() }
    }

    /// Whether no read is under way, and nothing is there.
    pub(super) fn is_idle(&self) -> bool {
        matches!(*self.state.lock(), State::Idle)
    }

    /// Takes what has landed, and has the pool read when there is nothing.
    pub(super) fn read(
        &'static self,
        buf: &mut [u8],
        read: fn() -> io::Result<Vec<u8>>,
    ) -> io::Result<usize> {
        loop {
            if let Some(result) = self.take(buf) {
                return result;
            }
            unblock(move || self.land(read));
        }
    }

    /// Takes what has landed. `None`: nothing has.
    fn take(&self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let mut state = self.state.lock();
        let State::Landed { result: Ok(bytes), taken } = &mut *state else {
            return match std::mem::replace(&mut *state, State::Idle) {
                State::Landed { result, .. } => Some(result.map(|_| 0)),
                other => {
                    *state = other;
                    None
                }
            };
        };
        let read = (&bytes[*taken..]).read(buf);
        *taken += read.as_ref().copied().unwrap_or(0);
        if *taken == bytes.len() {
            // Also the end of the input, which is taken once, and read again.
            *state = State::Idle;
        }
        Some(read)
    }

    /// (1, 2) On the pool: reads, or waits for the read that is under way.
    fn land(&self, read: fn() -> io::Result<Vec<u8>>) {
        let mut state = self.state.lock();
        if matches!(*state, State::Idle) {
            // INVARIANT (I1): begun under the mutex.
            *state = State::UnderWay;
            drop(state);
            let result = read();
            *self.state.lock() = State::Landed { result, taken: 0 };
            self.landed.notify_all();
            return;
        }
        while matches!(*state, State::UnderWay) {
            self.landed.wait(&mut state);
        }
    }
}

/// One read of the standard input, which blocks.
pub(super) fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; CAPACITY];
    let read = rustix::io::retry_on_intr(|| rustix::io::read(stdin(), &mut *bytes))?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
