//! What listeners have in common: accepting, also when descriptors are short.
//!
//! # Roles
//!
//! Any number of green and OS threads accept, through `&Acceptor`.
//!
//! # Orderings
//!
//! `is_starved` is a hint, `Relaxed`: who sees it too late pauses once too often, or once too seldom. What `enter` looks at
//! is ordered by the readiness word: `ring` raises an event after it changed, and each attempt looks after it loaded the
//! word. An attempt that was before the event cannot take its readiness back.
//!
//! # Suspension
//!
//! `accept` suspends, and holds nothing then.
//!
//! # Rejected
//!
//! - *No pause.* A loop that accepts, come what may, would spin as long as there are no descriptors.
//!
//! # Checked by
//!
//! `tests/tcp_starved.rs`, `tests/tcp.rs`, `tests/unix_listener.rs`, `tests/serve.rs`.

use std::{io, os::fd::AsFd, time::Duration};

use socket2::{SockAddr, Socket};
use sward_runtime::{placement, thread};

use crate::{
    prim::atomic::{AtomicBool, Ordering::Relaxed},
    source::{Interest, Operation, Source},
    sys::socket,
};

/// How long an accept waits when the one before failed for want of descriptors or memory.
const STARVED_PAUSE: Duration = Duration::from_millis(10);

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Acceptor<T: AsFd> {
    source: Source<T>,
    /// The last accept failed for want of descriptors or memory. A hint.
    is_starved: AtomicBool,
}

impl<T: AsFd> Acceptor<T> {
    pub(crate) fn new(source: Source<T>) -> Self {
        Self { source, is_starved: AtomicBool::new(false) }
    }

    pub(crate) fn source(&self) -> &Source<T> {
        &self.source
    }

    pub(crate) fn into_source(self) -> Source<T> {
        self.source
    }

    /// Accepts a connection, and returns it, in non-blocking mode, with the address of the peer.
    pub(crate) fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        if self.is_starved.load(Relaxed) && !self.source.is_nonblocking() {
            thread::sleep(STARVED_PAUSE);
        }
        let result = self.source.run(Operation::ACCEPT, |io| socket::accept(io.as_fd()), |_| false);
        self.note(&result);
        result.inspect(|_| expect_handler())
    }

    /// As `accept`, if `enter` allows each attempt; `leave` is called if it was one in vain. `None`: it was not allowed. What `enter` looks at changes
    /// before [`ring`](Self::ring) is called. Looks now and then, in case that whoever was woken cannot run; and it is the caller who
    /// pauses after errors.
    pub(crate) fn accept_if(
        &self,
        enter: impl Fn() -> bool,
        leave: impl Fn(),
    ) -> io::Result<Option<(Socket, SockAddr)>> {
        let attempt = |io: &T| {
            if !enter() {
                return Ok(None);
            }
            let accepted = socket::accept(io.as_fd());
            if accepted.is_err() {
                leave();
            }
            accepted.map(Some)
        };
        let accepted = self.source.run(Operation::ACCEPT.looking(), attempt, |_| false)?;
        Ok(accepted.inspect(|_| expect_handler()))
    }

    /// Has everybody who accepts, or is about to, try again. It must be registered.
    pub(crate) fn ring(&self) {
        self.source.wake(Interest::Read);
    }

    /// Remembers whether to pause before the next accept.
    fn note<R>(&self, result: &io::Result<R>) {
        let is_starved = match result {
            Ok(_) => false,
            Err(error) => matches!(
                error.raw_os_error(),
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
            ),
        };
        if self.is_starved.load(Relaxed) != is_starved {
            self.is_starved.store(is_starved, Relaxed);
        }
    }
}

/// Most often the next spawn is for the connection that was accepted, and lives as long as it does.
fn expect_handler() {
    placement::spread_next_spawn();
}
