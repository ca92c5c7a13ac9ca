//! What a socket is told about waiting: its timeouts, and whether to wait at all.
//!
//! In `std` these belong to the socket in the kernel, so all clones share them. Here the kernel is never asked to wait,
//! so they live in memory that all clones share. The kernel learns of them when a socket is given back to `std`.
//!
//! # Roles
//!
//! Anybody sets and reads; an operation reads when it is about to wait, never before.
//!
//! # Orderings
//!
//! Each option is a value of its own, `Relaxed`: who sets one while another waits cannot tell which came first.
//!
//! # Suspension
//!
//! Nothing here suspends.
//!
//! # Rejected
//!
//! - *`SO_RCVTIMEO` and `SO_SNDTIMEO`.* A system call to set and one to look before each wait, and rounded to ticks.
//!
//! # Checked by
//!
//! `tests/tcp_options.rs`, `tests/tcp_clone.rs`, `tests/tcp_convert.rs`.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    prim::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    source::Interest,
};

/// The waiting options of a socket and its clones.
#[derive(Debug)]
pub(crate) struct Options {
    nonblocking: AtomicBool,
    read_timeout_ns: AtomicU64,
    write_timeout_ns: AtomicU64,
}

/// Stands for no timeout: zero is not a valid one.
const NEVER: u64 = 0;

impl Options {
    /// Creates the options of a new socket: wait, for ever.
    pub(crate) fn new() -> Self {
        Self {
            nonblocking: AtomicBool::new(false),
            read_timeout_ns: AtomicU64::new(NEVER),
            write_timeout_ns: AtomicU64::new(NEVER),
        }
    }

    /// Whether an operation returns `WouldBlock` instead of waiting.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.nonblocking.load(Relaxed)
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.nonblocking.store(nonblocking, Relaxed);
    }

    /// How long an operation waits at most.
    pub(crate) fn timeout(&self, interest: Interest) -> Option<Duration> {
        let timeout_ns = self.timeout_ns(interest).load(Relaxed);
        (timeout_ns != NEVER).then(|| Duration::from_nanos(timeout_ns))
    }

    /// Sets how long an operation waits at most. Zero is refused, as in `std`.
    pub(crate) fn set_timeout(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<()> {
        let timeout_ns = match timeout {
            None => NEVER,
            Some(timeout) => nonzero_ns(timeout)?,
        };
        self.timeout_ns(interest).store(timeout_ns, Relaxed);
        Ok(())
    }

    fn timeout_ns(&self, interest: Interest) -> &AtomicU64 {
        match interest {
            Interest::Read => &self.read_timeout_ns,
            Interest::Write => &self.write_timeout_ns,
        }
    }
}

/// The end of a wait that begins now. `None`: too far away to be told from never.
pub(crate) fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// A timeout in nanoseconds, the longest of which is 584 years.
fn nonzero_ns(timeout: Duration) -> io::Result<u64> {
    if timeout.is_zero() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
    }
    Ok(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
}
