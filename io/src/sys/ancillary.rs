//! Descriptors that travel with data over Unix sockets.
//!
//! The kernel puts what it passes beside the data into a buffer, as a row of messages with headers. This file makes that
//! buffer, and takes over every descriptor that the kernel put there, wanted or not: what is not wanted is closed.
//!
//! # Invariants
//!
//! - **I1** A `BorrowedFd` is open as long as its borrow lives.
//! - **I2** After a successful `recvmsg`, `msg_control` and `msg_controllen` delimit what the kernel wrote: whole headers, each
//!   with as much of its payload as `cmsg_len` says.
//! - **I3** A descriptor in a message of the kernel is new, open, and nobody else's. It is taken once: `take` walks the
//!   messages once, right after the call that wrote them.
//!
//! # Suspension
//!
//! Nothing here suspends or blocks.
//!
//! # Rejected
//!
//! - *Receiving through `rustix`, as sending does.* It (1.1.6) reads the credentials that the kernel adds if the socket was
//!   told to ask for them (`SO_PASSCRED`) into a type in which no process has number 0, as one of another namespace has; and
//!   it leaks the descriptor of a peer's process (`SO_PASSPIDFD`).
//! - *`std`'s `SocketAncillary`.* Not stable.
//!
//! # Checked by
//!
//! `tests/unix_fds.rs`.
//!
//! # Sources
//!
//! unix(7), cmsg(3), recvmsg(2); Linux's `net/core/scm.c`.
#![expect(unsafe_code, reason = "system calls, and messages that the kernel has written")]

use std::{
    io::{self, IoSlice},
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    slice,
};

use libc::{c_int, cmsghdr, iovec, msghdr, ucred};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::seam::{self, Call};

/// The most descriptors that Linux passes with one message (`SCM_MAX_FD`).
pub(crate) const MAX_FDS: usize = 253;

/// Room for a message with so many descriptors, to be sent.
const SEND_ROOM: usize = rustix::cmsg_space!(ScmRights(MAX_FDS));

/// Room for the credentials, which come first if they come at all.
const CRED_ROOM: usize = space(size_of::<ucred>());

/// Room for all that may come, in words so that it is aligned.
const ROOM: usize = (CRED_ROOM + space(MAX_FDS * size_of::<RawFd>())).div_ceil(size_of::<usize>());

/// The message with the descriptor of the sender's process; `libc` has no name for it.
const SCM_PIDFD: c_int = 4;

/// What one message brought.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) fds: Vec<OwnedFd>,
    /// There were more descriptors, and they are closed.
    pub(crate) is_truncated: bool,
}

/// Sends data, and with its first byte duplicates of the descriptors.
pub(crate) fn send(socket: BorrowedFd<'_>, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut room = [MaybeUninit::uninit(); SEND_ROOM];
    let mut control = SendAncillaryBuffer::new(&mut room);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more descriptors than one message passes"));
    }
    let data = seam::some(data, seam::admit(socket, Call::Write)?);
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(data)], &mut control, flags)?)
}

/// Receives data and at most `limit` descriptors, which child processes do not inherit.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], limit: usize) -> io::Result<Received> {
    let buffer = seam::some_mut(buffer, seam::admit(socket, Call::Read)?);
    let mut room = [0_usize; ROOM];
    let mut data = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all of `msghdr` is integers and pointers, for which zero is a value.
    let mut message: msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = room.as_mut_ptr().cast();
    // Not padded, so that no further descriptor fits. The type of the length differs between C libraries.
    message.msg_controllen = (CRED_ROOM + length(limit.min(MAX_FDS) * size_of::<RawFd>())) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY:
    // 1. The descriptor is open (I1).
    // 2. `message` holds `buffer` and `room`, borrowed mutably; `ROOM` is that of the most descriptors.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: `message` was written by a call that succeeded, and `room` lives (I2). Called once (I3).
    let mut fds = unsafe { take(&message) };
    let is_truncated = message.msg_flags & libc::MSG_CTRUNC != 0 || fds.len() > limit;
    fds.truncate(limit);
    Ok(Received { len, fds, is_truncated })
}

/// Takes over the descriptors in a message, in their order. That of a process is closed: nobody asked for it here.
///
/// # Safety
///
/// The message was written by `recvmsg`, which succeeded, and the descriptors in it have not been taken (I3). What it points
/// to lives.
unsafe fn take(message: &msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the caller's contract: the lengths are those of what lives there (I2).
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or a header in the buffer, which nobody writes to (I2).
    while let Some(header) = unsafe { next.as_ref() } {
        // The type of the length differs between C libraries.
        let len: usize = header.cmsg_len as _;
        let payload = len.saturating_sub(length(0));
        let is_fds = header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_RIGHTS;
        let is_pidfd = header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == SCM_PIDFD;
        if is_fds || is_pidfd {
            // SAFETY: a header that the kernel wrote (I2).
            let data = unsafe { libc::CMSG_DATA(header) };
            // SAFETY: the header's payload has as many bytes (I2).
            let data = unsafe { slice::from_raw_parts(data, payload) };
            let (chunks, _) = data.as_chunks::<{ size_of::<RawFd>() }>();
            let numbers = chunks.iter().map(|bytes| RawFd::from_ne_bytes(*bytes));
            // In place of a process that has ended, there may be an error, a negative number.
            // SAFETY: the kernel made it for us, and nobody has taken it (I3).
            let taken = numbers.filter(|&fd| fd >= 0).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
            if is_fds { fds.extend(taken) } else { taken.for_each(drop) }
        }
        // SAFETY: as for the first.
        next = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    fds
}

/// How long a message with such a payload is (`CMSG_LEN`).
const fn length(payload: usize) -> usize {
    size_of::<cmsghdr>().next_multiple_of(size_of::<usize>()) + payload
}

/// How far behind a message with such a payload the next one begins (`CMSG_SPACE`).
const fn space(payload: usize) -> usize {
    length(payload).next_multiple_of(size_of::<usize>())
}
