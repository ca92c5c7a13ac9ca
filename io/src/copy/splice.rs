//! Moving bytes from one descriptor to another by `splice`, through a pipe.
//!
//! The pipe is empty whenever the reader is tried. So when it would block, it is the reader that has nothing; and when the pipe is being
//! emptied and would block, it is the writer that has no room.
//!
//! # States
//!
//! A pipe is idle, 1 taken when the reader has something, full to a degree, 2 empty again, and idle. A copy that waits for its reader holds
//! none, so that connections with nothing to say cost no descriptors.
//!
//! # Invariants
//!
//! - **C1** An idle pipe is empty: what becomes of one that is not, is closed.
//!
//! # Suspension
//!
//! Transfers suspend, in `Source::run`.

use std::{
    io::{self, PipeReader, PipeWriter, Read},
    os::fd::BorrowedFd,
};

use parking_lot::Mutex;
use rustix::{
    io::Errno,
    pipe::{SpliceFlags, splice},
};

use super::ends::End;
use crate::{
    source::Interest,
    sys::{
        self,
        seam::{self, Call},
    },
};

/// The most that one call moves. What a pipe has room for is less.
const MOST: usize = 1 << 20;

/// How many idle pipes are kept.
const MOST_IDLE: usize = 16;

/// Those that are empty, and wait to be used again.
static IDLE: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Pipe {
    reader: PipeReader,
    writer: PipeWriter,
}

/// A pipe while a copy uses it, and how much is in it.
struct Conduit {
    pipe: Option<Pipe>,
    filled: usize,
}

impl Conduit {
    /// (1) Takes an idle pipe, or makes one.
    fn take() -> io::Result<Self> {
        let idle = IDLE.lock().pop();
        let pipe = match idle {
            Some(pipe) => pipe,
            None => {
                let (reader, writer) = io::pipe()?;
                Pipe { reader, writer }
            }
        };
        Ok(Self { pipe: Some(pipe), filled: 0 })
    }

    fn pipe(&self) -> &Pipe {
        self.pipe.as_ref().expect("taken out in the drop only")
    }

    /// Moves what `from` has into the pipe.
    fn fill(&mut self, from: BorrowedFd<'_>) -> io::Result<usize> {
        let most = MOST.min(seam::admit(from, Call::Read)?);
        self.filled = move_bytes(from, &self.pipe().writer, most)?;
        Ok(self.filled)
    }

    /// Moves to `to` what it has room for.
    fn empty(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let most = self.filled.min(seam::admit(to, Call::Write)?);
        let moved = move_bytes(&self.pipe().reader, to, most)?;
        self.filled -= moved;
        Ok(moved)
    }

    /// What is left in the pipe.
    fn into_rest(mut self) -> io::Result<Vec<u8>> {
        let mut rest = vec![0; self.filled];
        // It is there, so this does not block.
        (&self.pipe().reader).read_exact(&mut rest)?;
        self.filled = 0;
        Ok(rest)
    }
}

impl Drop for Conduit {
    /// (2) Gives the pipe back if it is empty (C1).
    fn drop(&mut self) {
        let pipe = self.pipe.take();
        if self.filled == 0 {
            let mut idle = IDLE.lock();
            if idle.len() < MOST_IDLE {
                idle.extend(pipe);
            }
        }
    }
}

/// One call, which does not block: the pipe by a flag, the other by its mode.
fn move_bytes(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, most: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
}

/// Whether a descriptor, or the system, does not splice: that is for others to copy. If it is another error, they will find it.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM];
    refusals.iter().any(|refusal| error.raw_os_error() == Some(refusal.raw_os_error()))
}

/// Why there is no more to move.
pub(super) enum Stop {
    /// The reader has ended.
    End,
    /// One of the two does not splice. This has been taken from the reader and not been written.
    Refusal(Vec<u8>),
}

/// Copies until the reader ends, or one of the two refuses.
pub(super) fn run(from: &dyn End, to: &dyn End, copied: &mut u64) -> io::Result<Stop> {
    // Some of these do not know a flag of the call.
    if ![from, to].iter().all(|end| sys::file::is_nonblocking(end.fd())) {
        return Ok(Stop::Refusal(Vec::new()));
    }
    loop {
        let mut taken = None;
        let filled = from.transfer(Interest::Read, &mut |fd| {
            let mut conduit = Conduit::take()?;
            let filled = conduit.fill(fd)?;
            taken = Some(conduit);
            Ok(filled)
        });
        let mut conduit = match (filled, taken) {
            (Ok(0), _) => return Ok(Stop::End),
            (Ok(_), Some(conduit)) => conduit,
            // No descriptors are left for a pipe, or one of the reader's refuses.
            (Err(error), _) if is_refusal(&error) || is_shortage(&error) => {
                return Ok(Stop::Refusal(Vec::new()));
            }
            (Err(error), _) => return Err(error),
            (Ok(_), None) => unreachable!("who transfers something has a pipe"),
        };
        while conduit.filled > 0 {
            match to.transfer(Interest::Write, &mut |fd| conduit.empty(fd)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => *copied += moved as u64,
                Err(error) if is_refusal(&error) => return conduit.into_rest().map(Stop::Refusal),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether there are no descriptors left.
fn is_shortage(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|shortage| error.raw_os_error() == Some(shortage.raw_os_error()))
}
