//! The traits of `tokio::io`.
//!
//! # Invariants
//!
//! - **I1** The kernel writes bytes with a value into a buffer that is lent to it, from its beginning, and says how many.
#![expect(unsafe_code, reason = "tokio's buffer may be uninitialized")]

use std::{
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Polled, close, poll_receive, poll_send, poll_send_vectored};
use crate::{net::TcpStream, os::unix::net::UnixStream, sys::socket};

macro_rules! reads_and_writes {
    ($($stream:ty),*) => {$(
        impl AsyncRead for Polled<$stream> {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                // SAFETY: what has been initialized stays so: it is lent to the kernel only (I1).
                let free = unsafe { buf.unfilled_mut() };
                let wanted = free.len();
                let receive = |fd: BorrowedFd<'_>| socket::receive_uninit(fd, free);
                let received = ready!(poll_receive(self.get_mut(), context, wanted, receive))?;
                // SAFETY: so many bytes have been received there (I1).
                unsafe { buf.assume_init(received) };
                buf.advance(received);
                Poll::Ready(Ok(()))
            }
        }

        impl AsyncWrite for Polled<$stream> {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                poll_send(self.get_mut(), context, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                poll_send_vectored(self.get_mut(), context, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(close(&self))
            }
        }
    )*};
}

reads_and_writes!(TcpStream, UnixStream);
