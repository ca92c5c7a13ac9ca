//! One end of a pipe: what `PipeReader`, `PipeWriter` and the streams of child processes have in common.
//!
//! The descriptor is in non-blocking mode while it is an end, and in blocking mode when it is given up: a child process that
//! inherits it takes that for granted.
//!
//! Each transfer asks for itself not to block as well, where the kernel knows how (`sys/file.rs`): the mode is shared by duplicates, and
//! one of them may have been given up. Pipes understand that since Linux 6.4.
//!
//! # Without a reactor
//!
//! What was adopted may be anything, a regular file too, which epoll refuses. What is not in the cache is then transferred as in `watched.rs`.
//!
//! # Suspension
//!
//! Reads and writes suspend, in `Source::run`.
//!
//! # Rejected
//!
//! - *To ask what is adopted whether it can be watched.* Four system calls for each end of each pipe, and the answer is no so rarely.
//! - *To take a short read as a sign that the pipe is empty.* What was adopted may be anything, a pipe that keeps packets apart
//!   (`O_DIRECT`) too. A read that finds nothing costs one system call.
//!
//! # Checked by
//!
//! `tests/pipe.rs`, `tests/process.rs`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    source::{Operation, Source},
    sys::{self, file::AtOnce},
    watched::run_unwatched,
};

/// An end of a pipe, which parks.
#[derive(Debug)]
pub(crate) struct End(Source<OwnedFd>);

impl End {
    /// Takes a descriptor over: it is non-blocking from now on.
    pub(crate) fn adopt(fd: OwnedFd) -> Self {
        // This fails only if the descriptor is not open, which every operation on it will report.
        let _ = sys::file::set_nonblocking(fd.as_fd(), true);
        Self(Source::new(fd))
    }

    /// Gives the descriptor up: it is blocking from now on.
    pub(crate) fn release(self) -> OwnedFd {
        let fd = self.0.into_io();
        // As in `adopt`.
        let _ = sys::file::set_nonblocking(fd.as_fd(), false);
        fd
    }

    /// A duplicate, registered on its own.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(Source::new(self.0.io().try_clone()?)))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.io().as_fd()
    }

    /// Runs a transfer of another kind.
    #[cfg(target_os = "linux")]
    pub(crate) fn run(
        &self,
        operation: Operation,
        attempt: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.0.run(operation, |fd| attempt(fd.as_fd()), |_| false)
    }

    pub(crate) fn read(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            // Nothing to wait for.
            return read(self.fd(), buffers);
        }
        match self.0.run(Operation::READ, |fd| read(fd.as_fd(), buffers), |_| false) {
            Err(error) if is_refusal(&error) => run_unwatched(|| sys::file::read(self.fd(), buffers, None)),
            result => result,
        }
    }

    pub(crate) fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return write(self.fd(), buffers);
        }
        match self.0.run(Operation::WRITE, |fd| write(fd.as_fd(), buffers), |_| false) {
            Err(error) if is_refusal(&error) => run_unwatched(|| sys::file::write(self.fd(), buffers, None)),
            result => result,
        }
    }
}

/// Whether a transfer would have to wait for what epoll refuses. If it was the transfer that was refused, nothing has been transferred either, and
/// it is refused again.
fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

fn read(fd: BorrowedFd<'_>, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    match sys::file::read_at_once(fd, buffers, None)? {
        AtOnce::Done(read) => Ok(read),
        AtOnce::WouldWait => Err(io::ErrorKind::WouldBlock.into()),
        AtOnce::Refused => sys::file::read(fd, buffers, None),
    }
}

fn write(fd: BorrowedFd<'_>, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    match sys::file::write_at_once(fd, buffers, None)? {
        AtOnce::Done(written) => Ok(written),
        AtOnce::WouldWait => Err(io::ErrorKind::WouldBlock.into()),
        AtOnce::Refused => sys::file::write(fd, buffers, None),
    }
}

/// Implements [`Read`](io::Read) for a type around an [`End`], and for references to it.
macro_rules! reads {
    ($stream:ident) => {
        impl std::io::Read for &$stream {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(&mut [std::io::IoSliceMut::new(buf)])
            }

            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                self.0.read(bufs)
            }
        }

        impl std::io::Read for $stream {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                (&*self).read(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                (&*self).read_vectored(bufs)
            }
        }
    };
}

/// Implements [`Write`](io::Write) for a type around an [`End`], and for references to it.
macro_rules! writes {
    ($stream:ident) => {
        impl std::io::Write for &$stream {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                self.0.write(&[std::io::IoSlice::new(buf)])
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.0.write(bufs)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Write for $stream {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                (&*self).write(buf)
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                (&*self).write_vectored(bufs)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

/// Implements the conversions for a type around an [`End`], of which `std` has one too.
macro_rules! conversions {
    ($stream:ident, $of_std:ty) => {
        #[cfg(target_os = "linux")]
        impl $stream {
            pub(crate) fn end(&self) -> &$crate::pipe::end::End {
                &self.0
            }
        }

        /// Takes over the stream of `std`. It parks from now on.
        impl From<$of_std> for $stream {
            fn from(stream: $of_std) -> Self {
                Self::from(std::os::fd::OwnedFd::from(stream))
            }
        }

        /// Gives the stream up to `std`. It blocks from now on, and so do its duplicates, which share the mode.
        impl From<$stream> for $of_std {
            fn from(stream: $stream) -> Self {
                Self::from(std::os::fd::OwnedFd::from(stream))
            }
        }

        /// Takes over a descriptor. It is in non-blocking mode from now on.
        impl From<std::os::fd::OwnedFd> for $stream {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                Self($crate::pipe::end::End::adopt(fd))
            }
        }

        /// Gives the descriptor up. It is in blocking mode from now on, and so are its duplicates, which share the mode.
        impl From<$stream> for std::os::fd::OwnedFd {
            fn from(stream: $stream) -> Self {
                stream.0.release()
            }
        }

        /// Gives the descriptor up to a child process, which finds it in blocking mode.
        impl From<$stream> for std::process::Stdio {
            fn from(stream: $stream) -> Self {
                Self::from(std::os::fd::OwnedFd::from(stream))
            }
        }

        /// Lends the descriptor. It is in non-blocking mode, which must stay so.
        impl std::os::fd::AsFd for $stream {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.fd()
            }
        }

        /// Tells the descriptor. It is in non-blocking mode, which must stay so.
        impl std::os::fd::AsRawFd for $stream {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&self.0.fd())
            }
        }

        /// Gives the descriptor up. It is in blocking mode from now on, and so are its duplicates, which share the mode.
        impl std::os::fd::IntoRawFd for $stream {
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                std::os::fd::OwnedFd::from(self).into_raw_fd()
            }
        }

        impl std::fmt::Debug for $stream {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($stream)).field("fd", &self.0.fd()).finish()
            }
        }
    };
}

pub(crate) use {conversions, reads, writes};
