//! Pipes: bytes that go one way, between the threads of a program or to a child process and back.
//!
//! # Invariants
//!
//! - **I1** `from_raw_fd` takes what its caller owns and gives up, as `std`'s does.
//!
//! # Checked by
//!
//! `tests/pipe.rs`.
#![expect(unsafe_code, reason = "`FromRawFd` is unsafe to call")]

pub(crate) mod end;

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

use end::{End, conversions, reads, writes};

/// Creates a pipe, as [`std::io::pipe`]: what is written to the writer is read from the reader.
///
/// The two are descriptors, and have room for 64 KiB or so, which is how far a writer may be ahead. To pass values between the
/// threads of a program, take a channel; a pipe is for bytes, and for child processes, which can be given either end.
///
/// # Errors
///
/// There are no descriptors left: it takes two.
///
/// # Examples
///
/// A child process that writes to a pipe:
///
/// ```
/// use std::io::Read;
/// use sward_io::{io, process::Command};
///
/// let (mut reader, writer) = io::pipe()?;
/// let mut command = Command::new("echo");
/// let mut child = command.arg("over and out").stdout(writer).spawn()?;
/// // The command holds the writer, and as long as there is one, the reader waits for more.
/// drop(command);
///
/// let mut message = String::new();
/// reader.read_to_string(&mut message)?;
/// assert_eq!(message, "over and out\n");
/// assert!(child.wait()?.success());
/// # Ok::<(), io::Error>(())
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((PipeReader::from(reader), PipeWriter::from(writer)))
}

/// The end of a pipe that is read from, as [`std::io::PipeReader`].
///
/// It reads through [`Read`](io::Read), also by shared reference. A read returns what is there, and zero once all writers are
/// gone and everything has been read.
///
/// # Suspension
///
/// A read that finds nothing parks the green thread until there is something; outside the runtime it blocks the OS thread.
///
/// # Cancellation
///
/// A cancelled read has taken nothing.
///
/// # Errors
///
/// Reads fail as those of `std`. Besides, they fail with [`RuntimeClosed`](crate::RuntimeClosed) inside once the runtime has
/// ended which the reader has first waited in; what is in the pipe can then be had through `std`'s reader.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use sward_io::io;
/// use sward_runtime::thread;
///
/// let (mut reader, mut writer) = io::pipe()?;
/// let sum = thread::spawn(move || -> io::Result<u64> {
///     let mut bytes = Vec::new();
///     reader.read_to_end(&mut bytes)?;
///     Ok(bytes.into_iter().map(u64::from).sum())
/// });
/// // More than the pipe has room for: the two take turns.
/// writer.write_all(&[1; 1_000_000])?;
/// drop(writer);
/// assert_eq!(sum.join().unwrap()?, 1_000_000);
/// # Ok::<(), io::Error>(())
/// ```
pub struct PipeReader(End);

/// The end of a pipe that is written to, as [`std::io::PipeWriter`].
///
/// It writes through [`Write`](io::Write), also by shared reference. Writes of at most 4096 bytes are not torn apart by those
/// of others. The pipe ends when the last clone is gone, in this process and in others.
///
/// # Suspension
///
/// A write that finds no room parks the green thread until there is some; outside the runtime it blocks the OS thread.
///
/// # Cancellation
///
/// A cancelled write has written nothing.
///
/// # Errors
///
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe) once all readers are gone. Besides, as for [`PipeReader`], those of a runtime that
/// has ended.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use sward_io::io;
///
/// let (reader, mut writer) = io::pipe()?;
/// writer.write_all(b"there is room for that")?;
/// drop(reader);
/// assert_eq!(writer.write(b"?").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
/// # Ok::<(), io::Error>(())
/// ```
pub struct PipeWriter(End);

impl PipeReader {
    /// Creates another handle to the same end, a descriptor of its own as in `std`.
    ///
    /// What one reads the other does not see. To read from several threads needs no clone: a shared reference will do.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use sward_io::io;
    ///
    /// let (reader, mut writer) = io::pipe()?;
    /// let mut clone = reader.try_clone()?;
    /// drop(reader);
    /// writer.write_all(b"x")?;
    /// assert_eq!(clone.read(&mut [0; 4])?, 1);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl PipeWriter {
    /// Creates another handle to the same end, a descriptor of its own as in `std`.
    ///
    /// To write from several threads needs no clone: a shared reference will do.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    /// use sward_io::{io, process::Command};
    ///
    /// // Both streams of a child into one pipe.
    /// let (mut reader, writer) = io::pipe()?;
    /// let mut command = Command::new("sh");
    /// command.args(["-c", "echo out; echo err >&2"]).stdout(writer.try_clone()?).stderr(writer);
    /// let mut child = command.spawn()?;
    /// drop(command);
    ///
    /// let mut both = String::new();
    /// reader.read_to_string(&mut both)?;
    /// assert_eq!(both, "out\nerr\n");
    /// assert!(child.wait()?.success());
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

reads!(PipeReader);
writes!(PipeWriter);
conversions!(PipeReader, io::PipeReader);
conversions!(PipeWriter, io::PipeWriter);

/// Takes over a descriptor. It is in non-blocking mode from now on.
impl FromRawFd for PipeReader {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller's contract (I1).
        Self::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Takes over a descriptor. It is in non-blocking mode from now on.
impl FromRawFd for PipeWriter {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller's contract (I1).
        Self::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}
