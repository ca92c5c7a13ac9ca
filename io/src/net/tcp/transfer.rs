//! Reading from a TCP connection and writing to it.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::fd::AsFd,
};

use super::TcpStream;
use crate::{
    source::Operation,
    sys::socket::{self, MAX_SLICES, is_short},
};

impl Read for &TcpStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf.len();
        self.source().run(
            Operation::READ,
            |io| socket::receive(io.as_fd(), buf),
            |&read| is_short(read, wanted),
        )
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let wanted = bufs.iter().take(MAX_SLICES).map(|buf| buf.len()).sum();
        if wanted == 0 {
            // As `readv`, which `std` calls: a `read` of nothing waits for something.
            return Ok(0);
        }
        self.source().run(
            Operation::READ,
            |io| socket::receive_vectored(io.as_fd(), bufs),
            |&read| is_short(read, wanted),
        )
    }
}

impl Write for &TcpStream {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let wanted = buf.len();
        if wanted == 0 {
            // Nothing to wait for.
            return socket::send(self.source().io().as_fd(), buf);
        }
        self.source().run(
            Operation::WRITE,
            |io| socket::send(io.as_fd(), buf),
            |&written| is_short(written, wanted),
        )
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted = bufs.iter().take(MAX_SLICES).map(|buf| buf.len()).sum();
        if wanted == 0 {
            // As `writev`, which `std` calls.
            return Ok(0);
        }
        self.source().run(
            Operation::WRITE,
            |io| socket::send_vectored(io.as_fd(), bufs),
            |&written| is_short(written, wanted),
        )
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for TcpStream {
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
