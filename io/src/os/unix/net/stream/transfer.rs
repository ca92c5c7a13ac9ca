//! Reading from a Unix connection and writing to it.
//!
//! A short read does not always say that nothing is left: it also ends where descriptors are passed, or where the sender changes. The kernel tells
//! ([`socket::receive_some`]), but not of a read into several buffers, which is rare: that does not take readiness back. Nor does a
//! short write, which does not say that the buffer is full: it also ends where memory is short.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::fd::AsFd,
};

use super::UnixStream;
use crate::{
    source::Operation,
    sys::socket::{self, MAX_SLICES},
};

impl Read for &UnixStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let receive = |io: &std::os::unix::net::UnixStream| socket::receive_some(io.as_fd(), buf);
        let (read, _) = self.source().run(Operation::READ, receive, |&(_, may_be_left)| !may_be_left)?;
        Ok(read)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if bufs.iter().take(MAX_SLICES).all(|buf| buf.is_empty()) {
            // As `readv`, which `std` calls: a `read` of nothing waits for something.
            return Ok(0);
        }
        self.source().run(Operation::READ, |io| socket::receive_vectored(io.as_fd(), bufs), |_| false)
    }
}

impl Write for &UnixStream {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            // Nothing to wait for.
            return socket::send(self.source().io().as_fd(), buf);
        }
        self.source().run(Operation::WRITE.looking(), |io| socket::send(io.as_fd(), buf), |_| false)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let send = |io: &std::os::unix::net::UnixStream| socket::send_vectored(io.as_fd(), bufs);
        if bufs.iter().take(MAX_SLICES).all(|buf| buf.is_empty()) {
            // As `writev`, which `std` calls.
            return Ok(0);
        }
        self.source().run(Operation::WRITE.looking(), send, |_| false)
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for UnixStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for UnixStream {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
