//! The ends of streams in memory.

use std::{
    fmt,
    io::{self, Read, Write},
    net::Shutdown,
    sync::Arc,
    time::Duration,
};

use super::Channel;
use crate::{options::Options, source::Interest};

/// Creates two streams in memory that are connected to each other: what is written to one is read from the other.
///
/// In either direction `capacity` bytes can be under way. They take memory as they come.
///
/// # Panics
///
/// If the capacity is zero.
///
/// # Examples
///
/// A protocol, tested without a socket:
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
/// use sward_io::io;
/// use sward_runtime::thread;
///
/// fn greet(stream: &io::DuplexStream) -> io::Result<()> {
///     let mut name = String::new();
///     BufReader::new(stream).read_line(&mut name)?;
///     write!(&*stream, "hello {name}")
/// }
///
/// let (mut client, server) = io::duplex(64);
/// thread::spawn(move || greet(&server));
/// writeln!(client, "world")?;
/// assert_eq!(io::read_to_string(client)?, "hello world\n");
/// # Ok::<(), io::Error>(())
/// ```
pub fn duplex(capacity: usize) -> (DuplexStream, DuplexStream) {
    let (here, there) = (simplex(capacity), simplex(capacity));
    (DuplexStream { reader: here.0, writer: there.1 }, DuplexStream { reader: there.0, writer: here.1 })
}

/// Creates a pipe in memory: what is written to the writer is read from the reader.
///
/// `capacity` bytes can be under way. They take memory as they come.
///
/// # Panics
///
/// If the capacity is zero.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use sward_io::io;
///
/// let (reader, mut writer) = io::simplex(16);
/// writer.write_all(b"over and out")?;
/// drop(writer);
/// assert_eq!(io::read_to_string(reader)?, "over and out");
/// # Ok::<(), io::Error>(())
/// ```
pub fn simplex(capacity: usize) -> (SimplexReader, SimplexWriter) {
    assert!(capacity > 0, "the capacity must not be zero");
    let channel = Arc::new(Channel::new(capacity));
    let reader = SimplexReader { channel: Arc::clone(&channel), options: Options::new() };
    (reader, SimplexWriter { channel, options: Options::new() })
}

/// A stream in memory, one of two that [`duplex`] makes.
///
/// It behaves as a [`UnixStream`](crate::os::unix::net::UnixStream) does: it is read and written also by shared reference, by any
/// number of threads; reads return zero once the other has been dropped and everything has been read; writes fail then.
///
/// # Suspension
///
/// A read that finds nothing, and a write that finds no room, park the green thread until there is some; outside the runtime they block the
/// OS thread.
///
/// # Cancellation
///
/// An operation that is cancelled has transferred nothing.
///
/// # Errors
///
/// - Writes: [`BrokenPipe`](io::ErrorKind::BrokenPipe) once the other is gone, or one of the two halves has been shut down.
/// - [`WouldBlock`](io::ErrorKind::WouldBlock) when a timeout has passed, as for sockets.
///
/// # Examples
///
/// ```
/// use std::io::{ErrorKind, Read, Write};
/// use sward_io::io;
///
/// let (mut one, mut other) = io::duplex(16);
/// one.write_all(b"last words")?;
/// drop(one);
/// let mut words = String::new();
/// other.read_to_string(&mut words)?;
/// assert_eq!(words, "last words");
/// assert_eq!(other.write(b"?").unwrap_err().kind(), ErrorKind::BrokenPipe);
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
pub struct DuplexStream {
    reader: SimplexReader,
    writer: SimplexWriter,
}

/// The end of a pipe in memory that is read from: of [`simplex`], or half of a [`DuplexStream`].
///
/// Reads return what is there, and zero once the writer is gone and everything has been read. For suspension, cancellation and
/// errors see [`DuplexStream`].
pub struct SimplexReader {
    channel: Arc<Channel>,
    options: Options,
}

/// The end of a pipe in memory that is written to: of [`simplex`], or half of a [`DuplexStream`].
///
/// Writes fail with [`BrokenPipe`](io::ErrorKind::BrokenPipe) once the reader is gone. For suspension, cancellation and errors see
/// [`DuplexStream`].
pub struct SimplexWriter {
    channel: Arc<Channel>,
    options: Options,
}

impl DuplexStream {
    /// Ends the reading half, the writing half, or both, as for a Unix socket.
    ///
    /// The other then reads zero once it has read everything, or fails to write. What has arrived before the end can be read. Whoever waits for a half that is ended is woken.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{io::{Read, Write}, net::Shutdown};
    /// use sward_io::io;
    ///
    /// let (mut client, mut server) = io::duplex(16);
    /// client.write_all(b"that is all")?;
    /// client.shutdown(Shutdown::Write)?;
    /// let mut request = String::new();
    /// server.read_to_string(&mut request)?;
    /// server.write_all(b"fine")?;
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.reader.channel.end_reading();
        }
        if how != Shutdown::Read {
            self.writer.channel.end_writing();
        }
        Ok(())
    }

    /// Takes the two halves apart. Each ends when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use sward_io::io;
    ///
    /// let (one, other) = io::duplex(16);
    /// let (_reader, mut writer) = one.into_split();
    /// writer.write_all(b"done")?;
    /// drop(writer);
    /// assert_eq!(io::read_to_string(other)?, "done");
    /// # Ok::<(), io::Error>(())
    /// ```
    #[must_use]
    pub fn into_split(self) -> (SimplexReader, SimplexWriter) {
        (self.reader, self.writer)
    }

    /// Sets how long reads wait at most; `None`, as at first, for ever.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{io::{ErrorKind, Read}, time::Duration};
    /// use sward_io::io;
    ///
    /// let (mut one, _other) = io::duplex(16);
    /// one.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// assert_eq!(one.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.reader.set_timeout(timeout)
    }

    /// Sets how long writes wait at most; `None`, as at first, for ever.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{io::{ErrorKind, Write}, time::Duration};
    /// use sward_io::io;
    ///
    /// let (mut one, _other) = io::duplex(1);
    /// one.set_write_timeout(Some(Duration::from_millis(1)))?;
    /// assert_eq!(one.write_all(b"xy").unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.writer.set_timeout(timeout)
    }

    /// Returns how long reads wait at most.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.reader.options.timeout(Interest::Read))
    }

    /// Returns how long writes wait at most.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.writer.options.timeout(Interest::Write))
    }
}

impl SimplexReader {
    /// Sets how long reads wait at most; `None`, as at first, for ever.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.options.set_timeout(Interest::Read, timeout)
    }
}

impl SimplexWriter {
    /// Sets how long writes wait at most; `None`, as at first, for ever.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.options.set_timeout(Interest::Write, timeout)
    }
}

impl Drop for SimplexReader {
    fn drop(&mut self) {
        self.channel.close_reader();
    }
}

impl Drop for SimplexWriter {
    fn drop(&mut self) {
        self.channel.end_writing();
    }
}

impl Read for &SimplexReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.channel.read(buf, self.options.timeout(Interest::Read))
    }
}

impl Write for &SimplexWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.channel.write(buf, self.options.timeout(Interest::Write))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for &DuplexStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.reader).read(buf)
    }
}

impl Write for &DuplexStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.writer).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Implements the traits for a type whose references have them.
macro_rules! as_by_reference {
    (Read for $($reader:ident),*) => {$(
        impl Read for $reader {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buf)
            }
        }
    )*};
    (Write for $($writer:ident),*) => {$(
        impl Write for $writer {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (&*self).write(buf)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )*};
}

as_by_reference!(Read for SimplexReader, DuplexStream);
as_by_reference!(Write for SimplexWriter, DuplexStream);

impl fmt::Debug for SimplexReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimplexReader").finish_non_exhaustive()
    }
}

impl fmt::Debug for SimplexWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimplexWriter").finish_non_exhaustive()
    }
}
