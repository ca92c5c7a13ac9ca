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
//! The standard output is written line by line. The part of a line that is kept back is in `std`'s buffer, which only `std` writes
//! out, and that blocks. So it is written out while the stream is ready, when there is room for all of it:
//!
//! | the stream | a part of a line | whatever writes the buffer out |
//! |---|---|---|
//! | is ready | is kept back | writes on the worker |
//! | is not, and we have kept something back | is kept back with that | waits first |
//! | is not, and we have not | is written at once; what there is no room for is kept back | writes in the pool |
//!
//! A pipe is ready when a page of it is free. There may be room in the last one all the same, and who reads may be waiting for us to end:
//! what fits is written without a wait. In the last row there is nothing to write out, unless `print!` has kept something back, which we
//! cannot know.
//!
//! The pool is what makes a terminal safe: if another process takes the line that was there, the read blocks until the next one.
//! On an OS thread outside the runtime everything is done directly, and blocks as in `std`.
//!
//! # Invariants
//!
//! - **I1** For each descriptor there is one transfer at a time: whoever makes one holds the lock of the stream. So no descriptor
//!   is registered twice with one reactor, which epoll would refuse.
//! - **I2** A registration lasts as long as one wait. So streams belong to no runtime, and may be redirected between waits.
//! - **I3** While what a cancelled call has left behind in the pool may hold `std`'s lock, [`KEPT`] is `LINE_BUFFER`: nothing more fits,
//!   and whoever comes next waits until the stream is ready, when that lock is about to be released.
//!
//! # Orderings
//!
//! `KEPT` is relaxed: it changes under the lock of the stream. What a cancelled call has left behind does not touch it.
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
//! - *To wait for a ready stream before each write.* A program whose output fits would wait for a reader that waits for its end.
//! - *A buffer of our own for a part of a line.* What `print!` writes would overtake it, and nobody would write it when the process ends.
//!
//! # Checked by
//!
//! `tests/stdio.rs`: child processes with pipes, files, terminals, `/dev/null` and nothing in the place of the streams.
//! `tests/stdio_room.rs`: pipes that are full, and almost.
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
    prim::{atomic::Ordering::Relaxed, global::AtomicUsize},
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

/// How much of a line the calls here have kept back in `std`'s buffer, at most; up to `LINE_BUFFER`. What `print!` has is not counted.
static KEPT: AtomicUsize = AtomicUsize::new(0);

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
        self.write_out(if is_green() { self.kind() } else { Kind::Other })
    }

    fn write_stream(self, buf: &[u8]) -> io::Result<usize> {
        let is_part = self.is_part(buf);
        if is_part {
            if !self.fits(buf) {
                self.write_out(Kind::Stream)?;
            }
            if KEPT.load(Relaxed) > 0 || self.is_ready() {
                return self.write_std(buf);
            }
        }
        let direct = match self {
            Self::Out if !is_part && buf.len() < LINE_BUFFER => &buf[..buf.len() - tail(buf).len()],
            _ => buf,
        };
        self.write_out(Kind::Stream)?;
        loop {
            match sys::file::write_at_once(self.as_fd(), &[IoSlice::new(direct)], None)? {
                AtOnce::Done(written) => return Ok(written),
                AtOnce::WouldWait | AtOnce::Refused if is_part => return self.write_std(direct),
                AtOnce::WouldWait if self.wait()? => {}
                AtOnce::WouldWait | AtOnce::Refused => return self.write_in_pool(direct),
            }
        }
    }

    /// Writes some of it on the pool. If the wait for that is cancelled, it is written all the same.
    fn write_in_pool(self, buf: &[u8]) -> io::Result<usize> {
        if !self.fits(buf) {
            self.wait()?;
        }
        let some = buf[..buf.len().min(POOL_WRITE)].to_vec();
        let kept = kept_with(&some);
        // INVARIANT (I3): until it is known to be done.
        self.keep(LINE_BUFFER);
        let written = unblock(move || self.pass_to_std(&some))?;
        self.keep(kept);
        Ok(written)
    }

    fn write_std(self, buf: &[u8]) -> io::Result<usize> {
        self.keep(kept_with(buf));
        self.pass_to_std(buf)
    }

    fn pass_to_std(self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Err => io::stderr().write(buf),
            _ => io::stdout().write(buf),
        }
    }

    /// Has `std` write what it has kept back, which is less than a stream that is ready has room for. Of what goes to the standard
    /// error it keeps nothing.
    fn write_out(self, kind: Kind) -> io::Result<()> {
        if !matches!(self, Self::Out) {
            return Ok(());
        }
        let has_room = kind == Kind::Other || self.is_ready() || (KEPT.load(Relaxed) > 0 && self.wait()?);
        if has_room && kind != Kind::Terminal {
            io::stdout().flush()?;
        } else {
            // INVARIANT (I3): until it is known to be done.
            self.keep(LINE_BUFFER);
            unblock(|| io::stdout().flush())?;
        }
        self.keep(0);
        Ok(())
    }

    /// Whether it is a part of a line that `std` keeps back.
    fn is_part(self, buf: &[u8]) -> bool {
        matches!(self, Self::Out) && buf.len() < LINE_BUFFER && tail(buf).len() == buf.len()
    }

    /// Whether `std` keeps it back and has to write nothing for that.
    fn fits(self, buf: &[u8]) -> bool {
        self.is_part(buf) && KEPT.load(Relaxed) + buf.len() < LINE_BUFFER
    }

    fn keep(self, kept: usize) {
        if matches!(self, Self::Out) {
            KEPT.store(kept, Relaxed);
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

/// What comes after the last end of a line.
fn tail(buf: &[u8]) -> &[u8] {
    let lines = buf.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    &buf[lines..]
}

/// How much the standard output keeps back once it has been given this too.
fn kept_with(buf: &[u8]) -> usize {
    match tail(buf).len() {
        part if part < buf.len() => part.min(LINE_BUFFER),
        // Too much to be kept.
        part if part >= LINE_BUFFER => 0,
        part => (KEPT.load(Relaxed) + part).min(LINE_BUFFER),
    }
}

/// Whether there is no such descriptor: a process may be started without.
fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}
