//! The traits of hyper's connections.
//!
//! # Invariants
//!
//! - **I1** The kernel writes bytes with a value into a buffer that is lent to it, from its beginning, and says how many.
#![expect(unsafe_code, reason = "hyper's buffer may be uninitialized")]

use std::{
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::{Polled, close, poll_receive, poll_send, poll_send_vectored};
use crate::{net::TcpStream, os::unix::net::UnixStream, sys::socket};

macro_rules! reads_and_writes {
    ($($stream:ty),*) => {$(
        impl Read for Polled<$stream> {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                mut buf: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                // SAFETY: what has been initialized stays so: it is lent to the kernel only (I1).
                let free = unsafe { buf.as_mut() };
                let wanted = free.len();
                let receive = |fd: BorrowedFd<'_>| socket::receive_uninit(fd, free);
                let received = ready!(poll_receive(self.get_mut(), context, wanted, receive))?;
                // SAFETY: so many bytes have been received there (I1).
                unsafe { buf.advance(received) };
                Poll::Ready(Ok(()))
            }
        }

        writes!(Write for $stream, poll_shutdown, is_write_vectored);
    )*};
}

reads_and_writes!(TcpStream, UnixStream);
