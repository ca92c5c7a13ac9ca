//! What a socket is told about waiting: its timeouts and deadlines, and whether to wait at all.
//!
//! In `std` the timeouts and the mode belong to the socket in the kernel, so all clones share them. Here the kernel is never asked to wait,
//! so they live in memory that all clones share. The kernel learns of them when a socket is given back to `std`. Deadlines are Go's, and the kernel has none.
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
//! - *A deadline that also ends those who wait already* (Go). Clones share the deadline, but each has a place of its own in the reactor and does not know the others,
//!   so it could not wake who waits on them. A `shutdown` does, and so do a cancellation and a token.
//! - *`SO_RCVTIMEO` and `SO_SNDTIMEO`.* A system call to set and one to look before each wait, and rounded to ticks.
//!
//! # Checked by
//!
//! `tests/tcp_options.rs`, `tests/tcp_clone.rs`, `tests/tcp_convert.rs`.

use std::{
    io,
    sync::OnceLock,
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
    /// Since [`base`].
    read_deadline_ns: AtomicU64,
    write_deadline_ns: AtomicU64,
}

/// Stands for no timeout and no deadline: zero is not a valid one.
const NEVER: u64 = 0;

impl Options {
    /// Creates the options of a new socket: wait, for ever.
    pub(crate) fn new() -> Self {
        Self {
            nonblocking: AtomicBool::new(false),
            read_timeout_ns: AtomicU64::new(NEVER),
            write_timeout_ns: AtomicU64::new(NEVER),
            read_deadline_ns: AtomicU64::new(NEVER),
            write_deadline_ns: AtomicU64::new(NEVER),
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

    /// When an operation that waits is given up, whatever its timeout.
    pub(crate) fn deadline(&self, interest: Interest) -> Option<Instant> {
        let deadline_ns = self.deadline_ns(interest).load(Relaxed);
        if deadline_ns == NEVER { None } else { base().checked_add(Duration::from_nanos(deadline_ns)) }
    }

    /// Sets when operations that wait are given up.
    pub(crate) fn set_deadline(&self, interest: Interest, deadline: Option<Instant>) {
        // One that lies before the base has passed, and so has the first nanosecond after it.
        let since_base =
            deadline.map(|deadline| deadline.saturating_duration_since(base()).as_nanos().max(1));
        let deadline_ns = since_base.map_or(NEVER, |ns| u64::try_from(ns).unwrap_or(u64::MAX));
        self.deadline_ns(interest).store(deadline_ns, Relaxed);
    }

    fn deadline_ns(&self, interest: Interest) -> &AtomicU64 {
        match interest {
            Interest::Read => &self.read_deadline_ns,
            Interest::Write => &self.write_deadline_ns,
        }
    }

    fn timeout_ns(&self, interest: Interest) -> &AtomicU64 {
        match interest {
            Interest::Read => &self.read_timeout_ns,
            Interest::Write => &self.write_timeout_ns,
        }
    }
}

/// From when on deadlines are counted: when the first one was set.
fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
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

/// Gives a socket its deadlines. The first literal makes a `socket`, for the examples, and the second receives from it, in vain.
macro_rules! deadlines {
    ($socket:ident, $make:literal, $receive:literal) => {
        impl $socket {
            /// Sets when operations that read are given up: one that waits at that moment fails as after the read timeout, if that is not earlier, and from then on
            /// each fails so at once, whatever there is to read.
            ///
            /// All clones share it. `None`, which is the default: never. An operation that waits already keeps the deadline that it began with. The kernel knows
            /// no deadlines, so a socket that is given back to `std` has none.
            ///
            /// # Examples
            ///
            /// ```
            /// use std::{io::ErrorKind, time::{Duration, Instant}};
            #[doc = $make]
            /// socket.set_read_deadline(Some(Instant::now() + Duration::from_millis(1)));
            #[doc = $receive]
            /// assert_eq!(error.kind(), ErrorKind::WouldBlock);
            /// # Ok::<(), std::io::Error>(())
            /// ```
            pub fn set_read_deadline(&self, deadline: Option<std::time::Instant>) {
                self.0.options().set_deadline(crate::source::Interest::Read, deadline);
            }

            /// As [`set_read_deadline`](Self::set_read_deadline), for operations that write.
            ///
            /// # Examples
            ///
            /// ```
            /// use std::time::{Duration, Instant};
            #[doc = $make]
            /// socket.set_write_deadline(Some(Instant::now() + Duration::from_secs(30)));
            /// # Ok::<(), std::io::Error>(())
            /// ```
            pub fn set_write_deadline(&self, deadline: Option<std::time::Instant>) {
                self.0.options().set_deadline(crate::source::Interest::Write, deadline);
            }
        }
    };
}
pub(crate) use deadlines;
