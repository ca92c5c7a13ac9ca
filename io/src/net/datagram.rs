//! What datagram sockets have in common: receiving.
//!
//! A datagram that is shorter than the buffer says nothing about whether another one waits, so no receive takes readiness
//! back but one that would block.
//!
//! # Suspension
//!
//! `receive` suspends, and holds nothing then.
//!
//! # Rejected
//!
//! - *Waiting on after `shutdown`.* A call that blocks returns zero then; one that does not says that it would block, for
//!   ever. Hence the question to the kernel, asked only if the reactor has seen an end.
//!
//! # Checked by
//!
//! `tests/udp.rs`, `tests/udp_concurrency.rs`, `tests/unix_datagram.rs`.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use crate::{
    source::{Interest, Operation, Source},
    sys::socket,
};

/// Receives a datagram. `attempt` is one system call; `end` is what comes when the reading half was shut down.
pub(crate) fn receive<T: AsFd, R>(
    source: &Source<T>,
    mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    end: fn() -> io::Result<R>,
) -> io::Result<R> {
    let is_over = |socket: BorrowedFd<'_>| {
        Ok::<_, io::Error>(source.may_have_ended(Interest::Read) && socket::is_read_shut_down(socket)?)
    };
    let receive = |io: &T| match attempt(io.as_fd()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_over(io.as_fd())? => {
            // A result for `run`, also if it is an error: nothing more will be reported, so readiness must stay.
            Ok(if source.is_nonblocking() { Err(error) } else { end() })
        }
        result => result.map(Ok),
    };
    source.run(Operation::READ, receive, |_| false)?
}
