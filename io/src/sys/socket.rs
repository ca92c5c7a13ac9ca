//! Sockets that never block: how they come to be, and transfers whatever their mode is.
//!
//! They are made and accepted in non-blocking mode, and not inherited by child processes. Each transfer is one system
//! call with `MSG_DONTWAIT`: the mode alone would not do, for it belongs to what all duplicates of a descriptor share.
//! Another process, or a duplicate that was turned into a socket of `std`, may switch it off; the flag makes sure that
//! then no worker blocks in a transfer. For accepting there is no such flag.
//!
//! # Invariants
//!
//! - **I1** A `BorrowedFd` is open as long as its borrow lives.
//! - **I2** An `IoSlice` has the layout of `iovec`, says `std`.
//!
//! # Orderings
//!
//! None: the kernel's.
//!
//! # Suspension
//!
//! Nothing here suspends or blocks.
//!
//! # Rejected
//!
//! - *`std`'s `Read` and `Write` on the inner socket.* The same system calls without the flag.
//! - *The C library's `recv`, `send` and `sendmsg`.* They are places where a thread may be cancelled, which costs two exchanges each.
//! - *`rustix` for datagrams with an address.* It swaps the bytes of the flow label of IPv6, which `std` leaves alone; and it
//!   panics (1.1.6) at a Unix peer whose path fills its field.
//!
//! # Checked by
//!
//! `tests/tcp.rs`, `tests/tcp_convert.rs`, `tests/udp.rs`, `tests/unix_datagram.rs`.
//!
//! # Sources
//!
//! recv(2), sendmsg(2), unix(7).
#![expect(unsafe_code, reason = "system calls")]

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use libc::{c_int, msghdr};
#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::seam::{self, Call};

/// The most slices that one call takes; `std` cuts longer lists off too.
pub(crate) const MAX_SLICES: usize = 1024;

/// The most bytes that one call moves, on any system that we know.
const MAX_BYTES: usize = 0x7fff_f000;

/// Do not block; and no `SIGPIPE`, as in `std`, which sets an option of the socket where there is no such flag.
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: c_int = libc::MSG_DONTWAIT;

/// Makes a stream socket, in one system call.
#[cfg(target_os = "linux")]
pub(crate) fn open(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), protocol)
}

/// Makes a stream socket.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Makes two Unix sockets that are connected to each other, in one system call.
#[cfg(target_os = "linux")]
pub(crate) fn pair(kind: Type) -> io::Result<(Socket, Socket)> {
    Socket::pair(Domain::UNIX, kind.nonblocking(), None)
}

/// Makes two Unix sockets that are connected to each other.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pair(kind: Type) -> io::Result<(Socket, Socket)> {
    let (one, other) = Socket::pair(Domain::UNIX, kind, None)?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((one, other))
}

/// Connects a socket, or begins to.
pub(crate) fn connect(socket: &Socket, addr: &SockAddr) -> io::Result<()> {
    seam::admit(socket.as_raw_fd(), Call::Connect)?;
    socket.connect(addr)
}

/// Accepts a connection, in one system call.
#[cfg(target_os = "linux")]
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(Socket, SockAddr)> {
    seam::admit(listener, Call::Accept)?;
    SockRef::from(&listener).accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
}

/// Accepts a connection.
#[cfg(not(target_os = "linux"))]
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(Socket, SockAddr)> {
    seam::admit(listener, Call::Accept)?;
    let (socket, addr) = SockRef::from(&listener).accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, addr))
}

/// Receives into `buffer`.
#[inline]
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let buffer = seam::some_mut(buffer, seam::admit(socket, Call::Read)?);
    Ok(rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT)?.1)
}

/// Receives into `buffer`, from a Unix stream, and says whether data may be left: the call also ends where descriptors were passed, or
/// where the sender changes, which `MSG_CTRUNC` tells who wants neither.
#[cfg(target_os = "linux")]
pub(crate) fn receive_some(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
    let buffer = seam::some_mut(buffer, seam::admit(socket, Call::Read)?);
    let wanted = buffer.len();
    let mut slice = IoSliceMut::new(buffer);
    let mut message = message(ptr::from_mut(&mut slice).cast(), 1);
    // SAFETY: the descriptor is open (I1); `message` holds `slice`, in the kernel's layout (I2), borrowed mutably.
    let received =
        unsafe { libc::syscall(libc::SYS_recvmsg, socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    Ok((received, message.msg_flags & libc::MSG_CTRUNC != 0 || !is_short(received, wanted)))
}

/// Receives into `buffer`, from a Unix stream, and says whether data may be left.
#[cfg(not(target_os = "linux"))]
pub(crate) fn receive_some(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
    receive(socket, buffer).map(|received| (received, true))
}

/// Receives into `buffer`, of which so many bytes are initialized then.
#[inline]
#[cfg(any(feature = "hyper", feature = "tokio"))]
pub(crate) fn receive_uninit(socket: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let buffer = seam::some_mut(buffer, seam::admit(socket, Call::Read)?);
    Ok(rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT)?.1)
}

/// Receives into `buffer` and leaves the data where it was.
pub(crate) fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let buffer = seam::some_mut(buffer, seam::admit(socket, Call::Read)?);
    Ok(rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT | RecvFlags::PEEK)?.1)
}

/// Sends from `buffer`.
#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, buffer: &[u8]) -> io::Result<usize> {
    let buffer = seam::some(buffer, seam::admit(socket, Call::Write)?);
    Ok(rustix::net::send(socket, buffer, SendFlags::from_bits_retain(SEND_FLAGS.cast_unsigned()))?)
}

/// Receives into `buffer`, and says from whom.
pub(crate) fn receive_from(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    let buffer = seam::some_mut(buffer, seam::admit(socket, Call::Read)?);
    SockRef::from(&socket).recv_from_with_flags(as_uninit(buffer), libc::MSG_DONTWAIT)
}

/// Receives into `buffer`, says from whom, and leaves the data where it was.
pub(crate) fn peek_from(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    let buffer = seam::some_mut(buffer, seam::admit(socket, Call::Read)?);
    SockRef::from(&socket).recv_from_with_flags(as_uninit(buffer), libc::MSG_DONTWAIT | libc::MSG_PEEK)
}

/// Sends `buffer` to an address.
pub(crate) fn send_to(socket: BorrowedFd<'_>, buffer: &[u8], addr: &SockAddr) -> io::Result<usize> {
    let buffer = seam::some(buffer, seam::admit(socket, Call::Write)?);
    SockRef::from(&socket).send_to_with_flags(buffer, addr, SEND_FLAGS)
}

/// Receives into several buffers, one after the other.
pub(crate) fn receive_vectored(socket: BorrowedFd<'_>, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let most = seam::admit(socket, Call::Read)?;
    seam::with_some_mut(buffers, most, |buffers| {
        let count = buffers.len().min(MAX_SLICES);
        let mut message = message(buffers.as_mut_ptr().cast(), count);
        // SAFETY:
        // 1. The descriptor is open (I1).
        // 2. `message` holds the first `count` of `buffers`, in the kernel's layout (I2), borrowed mutably.
        transferred(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) })
    })
}

/// Sends from several buffers, one after the other.
pub(crate) fn send_vectored(socket: BorrowedFd<'_>, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    let most = seam::admit(socket, Call::Write)?;
    seam::with_some(buffers, most, |buffers| {
        let buffers = &buffers[..buffers.len().min(MAX_SLICES)];
        let flags = SendFlags::from_bits_retain(SEND_FLAGS.cast_unsigned());
        Ok(rustix::net::sendmsg(socket, buffers, &mut SendAncillaryBuffer::default(), flags)?)
    })
}

/// Whether a transfer of `done` bytes out of `wanted` was cut short because the kernel had no more data or room. Not the
/// end of a stream, and not a transfer that reached the kernel's own limit.
///
/// This is so for TCP, urgent data aside ([`is_tcp`]). For Unix streams see [`receive_some`].
pub(crate) fn is_short(done: usize, wanted: usize) -> bool {
    done != 0 && done < wanted.min(MAX_BYTES) && !seam::was_cut()
}

/// Whether this is a TCP socket. Others give a message at a time (SCTP), or are not known to give all that they have.
#[cfg(target_os = "linux")]
pub(crate) fn is_tcp(socket: BorrowedFd<'_>) -> bool {
    let socket = SockRef::from(&socket);
    is_stream(&socket) && socket.protocol().is_ok_and(|protocol| protocol == Some(Protocol::TCP))
}

/// Whether this is a Unix stream. `SOCK_SEQPACKET` gives a message at a time.
#[cfg(target_os = "linux")]
pub(crate) fn is_unix_stream(socket: BorrowedFd<'_>) -> bool {
    let socket = SockRef::from(&socket);
    is_stream(&socket) && socket.domain().is_ok_and(|domain| domain == Domain::UNIX)
}

#[cfg(target_os = "linux")]
fn is_stream(socket: &Socket) -> bool {
    socket.r#type().is_ok_and(|kind| kind == Type::STREAM)
}

/// Whether this is a TCP socket: not to be had.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_tcp(_socket: BorrowedFd<'_>) -> bool {
    false
}

/// Whether this is a Unix stream: not to be had.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_unix_stream(_socket: BorrowedFd<'_>) -> bool {
    false
}

/// Whether the reading half was shut down. A datagram socket says of that to a call that does not block what it says when it
/// is just empty; one that blocks gets zero.
#[cfg(target_os = "linux")]
pub(crate) fn is_read_shut_down(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
    rustix::event::poll(&mut polled, Some(&Timespec::default()))?;
    Ok(polled[0].revents().contains(PollFlags::RDHUP))
}

/// Whether the reading half was shut down: not to be had.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_read_shut_down(_socket: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(false)
}

/// Whether a read would not have to wait: there is data, the end, or an error. It takes nothing of that.
#[cfg(target_os = "linux")]
pub(crate) fn is_readable(socket: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    // What cannot be asked is for the read to find out.
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&Timespec::default()))) != Ok(0)
}

/// Whether a read would not have to wait. It takes an error that is pending.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_readable(socket: BorrowedFd<'_>) -> bool {
    !matches!(peek(socket, &mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Who made the other end of a Unix socket (`SO_PEERCRED`). A process that cannot be seen from here has number 0.
#[cfg(target_os = "linux")]
pub(crate) fn peer_cred(socket: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of_val(&cred) as libc::socklen_t;
    // SAFETY: the descriptor is open (I1); the kernel writes at most `len` bytes to `cred`, which has as many, all integers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut len,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(cred) }
}

/// A buffer as `socket2` wants it.
fn as_uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let buffer = ptr::from_mut(buffer) as *mut [MaybeUninit<u8>];
    // SAFETY: the same bytes, borrowed as before. What they are lent to is the kernel, which writes bytes with a value.
    unsafe { &mut *buffer }
}

/// A message of buffers only: no address, no control data.
fn message(buffers: *mut libc::iovec, count: usize) -> msghdr {
    // SAFETY: all of `msghdr` is integers and pointers, for which zero is a value.
    let mut message: msghdr = unsafe { mem::zeroed() };
    message.msg_iov = buffers;
    // The type of the length differs between systems; `MAX_SLICES` fits all.
    message.msg_iovlen = count as _;
    message
}

/// The result of a transfer.
fn transferred(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
