//! The traits of `futures-io`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{Polled, close, poll_receive, poll_send, poll_send_vectored};
use crate::{
    net::TcpStream,
    os::unix::net::UnixStream,
    sys::socket::{self, MAX_SLICES},
};

macro_rules! reads_and_writes {
    ($($stream:ty),*) => {$(
        impl AsyncRead for Polled<$stream> {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                poll_receive(self.get_mut(), context, buf.len(), |fd| socket::receive(fd, buf))
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                let wanted = bufs.iter().take(MAX_SLICES).map(|buf| buf.len()).sum();
                poll_receive(self.get_mut(), context, wanted, |fd| socket::receive_vectored(fd, bufs))
            }
        }

        writes!(AsyncWrite for $stream, poll_close);
    )*};
}

reads_and_writes!(TcpStream, UnixStream);
