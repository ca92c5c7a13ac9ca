//! The three standard descriptors: reads and writes that park, and leave the mode of the descriptors alone.
//!
//! The descriptors are shared with other processes: the shell that started this one, children that it starts. Non-blocking mode
//! would be theirs too, and they would fail. So each transfer asks for itself not to block, and what cannot promise that is done
//! on the pool of OS threads, once the descriptor is ready:
//!
//! | what it is | read | write |
//! |---|---|---|
//! | a pipe or a socket | at once or parked | at once or parked |
//! | a terminal (and a pipe, before Linux 6.4) | parked until ready, then in the pool | the same |
//! | a file | what is in memory at once, the rest in the pool | directly: it goes to memory |
//! | `/dev/null` and the like | directly | directly |
//! | closed | the end | swallowed, as in `std` |
//!
//! The pool is what makes a terminal safe: if another process takes the line that was there, the read blocks until the next one.
//! On an OS thread outside the runtime everything is done directly, and blocks as in `std`.
//!
//! # Invariants
//!
//! - **I1** For each descriptor there is one transfer at a time: whoever makes one holds the lock of the stream. So no descriptor
//!   is registered twice with one reactor, which epoll would refuse.
//! - **I2** A registration lasts as long as one wait. So streams belong to no runtime, and may be redirected between waits.
//!
//! # Suspension
//!
//! Every function here may suspend.
//!
//! # Rejected
//!
//! - *Non-blocking mode while we wait, restored afterwards.* Others see it in the meantime, and a crash leaves it behind.
//! - *The pool for everything, as in tokio.* A read there cannot be given up: it takes the next line, wanted or not. Here that is so
//!   only if somebody else took the line that was ready.
//! - *The pool for writes to files.* Ten times slower for each line of a log. A write to a file is a copy into memory; when the kernel
//!   makes writers wait for the disk, it is because it must.
//!
//! # Checked by
//!
//! `tests/stdio.rs`: child processes with pipes, files, terminals, `/dev/null` and nothing in the place of the streams.
//!
//! # Sources
//!
//! tokio's `io/stdin.rs` and `io/blocking.rs`; libuv's `tty.c`; std's `sys/stdio/unix.rs`.

use std::{
    io::{self, IoSlice, IoSliceMut, IsTerminal, Read, Write},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::fs::{FileType, fstat};
use sward_runtime::{budget, cancel, is_green, unblock};

use super::landing::{Landing, read_stdin};
use crate::{
    source::{Operation, Source},
    sys::{self, file::AtOnce},
};

/// How much of a write goes to the pool at once: what a pipe that is ready has room for.
const POOL_WRITE: usize = 4096;

/// What `std` keeps back of a line that is not complete.
const LINE_BUFFER: usize = 1024;

/// One of the standard streams.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standard {
    In,
    Out,
    Err,
}

/// What there is to write to, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Can be asked not to block.
    Stream,
    /// Cannot, and does block.
    Terminal,
    /// Does not block, or cannot be waited for.
    Other,
}

/// The unbuffered standard input.
#[derive(Debug)]
pub(super) struct Raw;

static LANDING: Landing = Landing::new();

impl AsFd for Standard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::In => rustix::stdio::stdin(),
            Self::Out => rustix::stdio::stdout(),
            Self::Err => rustix::stdio::stderr(),
        }
    }
}

impl Read for Raw {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match read(buf) {
            Err(error) if is_closed(&error) => Ok(0),
            result => result,
        }
    }
}

/// Reads from the standard input. The caller holds its lock (I1).
fn read(buf: &mut [u8]) -> io::Result<usize> {
    // Before anything is read: who is ended here has lost nothing.
    budget::spend();
    let stdin = Standard::In;
    while is_green() && LANDING.is_idle() {
        match sys::file::read_at_once(stdin.as_fd(), &mut [IoSliceMut::new(buf)], None)? {
            AtOnce::Done(read) => return Ok(read),
            // A file whose data is not in memory calls itself ready all the same.
            AtOnce::WouldWait if !stdin.is_ready() && stdin.wait()? => {}
            AtOnce::WouldWait => break,
            AtOnce::Refused => {
                stdin.wait()?;
                break;
            }
        }
    }
    LANDING.read(buf, read_stdin)
}

impl Standard {
    /// Writes lines at once, and leaves the rest to the buffer of `std`, which `print!` shares and which is written when the
    /// process ends. The caller holds the lock of the stream (I1).
    pub(super) fn write(self, buf: &[u8]) -> io::Result<usize> {
        budget::spend();
        let kind = if is_green() { self.kind() } else { Kind::Other };
        let result = match kind {
            Kind::Stream => self.write_stream(buf),
            Kind::Terminal => self.write_in_pool(buf),
            Kind::Other => self.write_std(buf),
        };
        result.or_else(|error| if is_closed(&error) { Ok(buf.len()) } else { Err(error) })
    }

    /// Writes what `std` has kept back.
    pub(super) fn flush(self) -> io::Result<()> {
        budget::spend();
        let kind = if is_green() { self.kind() } else { Kind::Other };
        if kind != Kind::Other {
            self.wait()?;
        }
        if kind == Kind::Terminal { unblock(move || self.flush_std()) } else { self.flush_std() }
    }

    fn write_stream(self, buf: &[u8]) -> io::Result<usize> {
        // For what `std` has kept back there is room then: it is less than a ready pipe has.
        self.wait()?;
        let lines = match self {
            Self::Err => buf.len(),
            _ => buf.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1),
        };
        let direct = if buf.len() < LINE_BUFFER { &buf[..lines] } else { buf };
        if direct.is_empty() {
            return self.write_std(buf);
        }
        self.flush_std()?;
        loop {
            match sys::file::write_at_once(self.as_fd(), &[IoSlice::new(direct)], None)? {
                AtOnce::Done(written) => return Ok(written),
                AtOnce::WouldWait if self.wait()? => {}
                AtOnce::WouldWait | AtOnce::Refused => return self.write_in_pool(direct),
            }
        }
    }

    /// Writes some of it on the pool. If the wait for that is cancelled, it is written all the same.
    fn write_in_pool(self, buf: &[u8]) -> io::Result<usize> {
        self.wait()?;
        let some = buf[..buf.len().min(POOL_WRITE)].to_vec();
        unblock(move || self.write_std(&some))
    }

    fn write_std(self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Err => io::stderr().write(buf),
            _ => io::stdout().write(buf),
        }
    }

    fn flush_std(self) -> io::Result<()> {
        match self {
            Self::Err => io::stderr().flush(),
            _ => io::stdout().flush(),
        }
    }

    /// Waits until the stream is ready, with a registration of its own (I2). `false`: it cannot be waited for.
    fn wait(self) -> io::Result<bool> {
        let operation = if self.is_input() { Operation::READ } else { Operation::WRITE };
        let attempt = |stream: &Self| {
            if stream.is_ready() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        };
        match Source::new(self).run(operation, attempt, |()| false) {
            Ok(()) => Ok(true),
            // Where nothing unwinds: a cancellation or a deadline has ended the wait.
            Err(_) if cancel::is_due() => Err(cancel::fail()),
            Err(_) => Ok(false),
        }
    }

    fn is_ready(self) -> bool {
        sys::file::is_ready(self.as_fd(), self.is_input())
    }

    fn is_input(self) -> bool {
        matches!(self, Self::In)
    }

    fn kind(self) -> Kind {
        let file_type = fstat(self).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match file_type {
            Ok(FileType::Fifo | FileType::Socket) => Kind::Stream,
            Ok(FileType::CharacterDevice) if self.as_fd().is_terminal() => Kind::Terminal,
            _ => Kind::Other,
        }
    }
}

/// Whether there is no such descriptor: a process may be started without.
fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}
