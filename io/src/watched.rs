//! Any descriptor, for green threads to wait on, as far as the reactor can watch it.
//!
//! # Invariants
//!
//! - **I1** The reactor watches a duplicate that belongs to the `Watch`. So whatever the value inside does with its own descriptor,
//!   in its methods or in the hands of the user, what is registered stays open until it is deregistered.
//! - **I2** The duplicate shares its mode with the original: non-blocking as long as the `Watch` lives.
//!
//! # Without a reactor
//!
//! Epoll refuses what is always ready, such as regular files. There nothing is waited for, and no mode is changed; but an operation may block all
//! the same, as long as a disk takes, so each is run by [`blocking`], with another worker in the place of its own.
//!
//! # Suspension
//!
//! Waits suspend, in `Source::run`; `run` may yield, before an attempt.
//!
//! # Rejected
//!
//! - *To watch the descriptor of the value itself.* It is up to safe code of the user what `as_fd` returns, and when it is closed: the
//!   reactor would forget a descriptor of somebody else. async-io asks for an unsafe marker trait instead.
//! - *The name `Async`.* Nothing is asynchronous here.
//!
//! # Checked by
//!
//! `tests/watched.rs`.
//!
//! # Sources
//!
//! async-io's `Async`, tokio's `AsyncFd`.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

use sward_runtime::{blocking, budget, cancel};

use crate::{
    options::deadline_in,
    source::{Interest, Operation, Source},
    sys,
};

/// A descriptor that green threads can wait on, whatever it is: a pipe, a terminal, a socket of another library, `inotify`,
/// a timer, a device.
///
/// It is what tokio calls `AsyncFd` and async-io `Async`. What is inside need not know of green threads: it is put into
/// non-blocking mode, and whenever it says [`WouldBlock`](io::ErrorKind::WouldBlock), the green thread is parked until there is
/// something to try again for.
///
/// If the value inside implements [`Read`] and [`Write`], so does this. For other operations there are
/// [`read_with`](Self::read_with) and [`write_with`](Self::write_with), or [`read_ready`](Self::read_ready) and
/// [`write_ready`](Self::write_ready) by themselves. Any number of threads may wait at once, in both directions.
///
/// What is always ready, such as a regular file or `/dev/null`, is not waited for. Operations on it may block all the same, on a disk for one, so each runs as by
/// [`blocking`]; for files, [`fs::File`](crate::fs::File) does better.
///
/// For TCP, Unix sockets, pipes and child processes there are types of their own, in [`net`](crate::net), [`os::unix::net`](crate::os::unix::net),
/// [`io`](crate::io) and [`process`](crate::process). They know what the kernel does not report: of a Unix socket, whose buffer is full, that its peer reads no more.
///
/// # Suspension
///
/// An operation that would block parks the green thread until it would not; outside the runtime it blocks the OS thread.
///
/// # Cancellation
///
/// A cancelled operation has done nothing.
///
/// # Errors
///
/// Those of the operations themselves. Besides, all fail with [`RuntimeClosed`](crate::RuntimeClosed) inside once the runtime has
/// ended which the descriptor was first waited for in; the value inside can then be watched anew.
///
/// # Examples
///
/// ```
/// use std::{io::{Read, Write}, os::unix::net::UnixStream};
/// use sward_io::io::{self, Watched};
/// use sward_runtime::thread;
///
/// // Sockets of `std`, which know nothing of green threads.
/// let (here, there) = UnixStream::pair()?;
/// let (mut here, mut there) = (Watched::new(here)?, Watched::new(there)?);
///
/// let echo = thread::spawn(move || -> io::Result<()> {
///     let mut byte = [0];
///     there.read_exact(&mut byte)?;
///     there.write_all(&byte)
/// });
/// here.write_all(b"x")?;
/// let mut answer = [0];
/// here.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"x");
/// echo.join().unwrap()?;
/// # Ok::<(), io::Error>(())
/// ```
#[doc(alias = "Async")]
#[doc(alias = "AsyncFd")]
pub struct Watched<T> {
    // Declared before `io`, so dropped before it: the mode is restored while the value is still there. `None`: it is always ready.
    watch: Option<Watch>,
    io: T,
}

/// What watches: a duplicate of the descriptor (I1), and how the original was.
#[derive(Debug)]
struct Watch {
    source: Source<OwnedFd>,
    was_nonblocking: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.was_nonblocking {
            // It fails only if the descriptor is not open, and then there is no mode to restore.
            let _ = sys::file::set_nonblocking(self.source.io().as_fd(), false);
        }
    }
}

impl<T: AsFd> Watched<T> {
    /// Takes a value whose descriptor is to be waited on, and puts that into non-blocking mode.
    ///
    /// The mode belongs to all duplicates of the descriptor, also those that other processes hold; when this value ends, it is
    /// restored. So of two for one descriptor the first ends last, or operations of the other block the worker. One descriptor more is used, for the duplicate that is watched.
    ///
    /// What is always ready is left in its mode, and uses no second descriptor.
    ///
    /// # Errors
    ///
    /// There are no descriptors left, or no memory. The value is dropped then; to keep it, lend it: `Watched::new(&value)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    /// use sward_io::io::{self, Read, Watched};
    ///
    /// // Standard input may be a terminal, a pipe or a file.
    /// for path in ["/dev/null", "/dev/zero"] {
    ///     let mut byte = [1];
    ///     Watched::new(File::open(path)?)?.read(&mut byte)?;
    /// }
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn new(io: T) -> io::Result<Self> {
        let duplicate = io.as_fd().try_clone_to_owned()?;
        if !sys::is_watchable(duplicate.as_fd())? {
            return Ok(Self { watch: None, io });
        }
        let was_nonblocking = sys::file::is_nonblocking(duplicate.as_fd());
        sys::file::set_nonblocking(duplicate.as_fd(), true)?;
        Ok(Self { watch: Some(Watch { source: Source::new(duplicate), was_nonblocking }), io })
    }
}

/// Tries an operation, and waits in between, as far as there is something to wait for.
fn run<R>(
    watch: Option<&Watch>,
    operation: Operation,
    mut attempt: impl FnMut() -> io::Result<R>,
) -> io::Result<R> {
    match watch {
        Some(watch) => watch.source.run(operation, |_| attempt(), |_| false),
        None => run_unwatched(attempt),
    }
}

/// Runs an operation on what is always ready, with another worker in the place of its own.
pub(crate) fn run_unwatched<R>(mut attempt: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    budget::spend();
    loop {
        cancel::check();
        match blocking(&mut attempt) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl<T> Watched<T> {
    /// Returns the value inside. Its own methods do not wait: they say [`WouldBlock`](io::ErrorKind::WouldBlock), unless it is always ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use sward_io::io::{self, ErrorKind, Read, Watched};
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// let here = Watched::new(here)?;
    /// assert_eq!(here.get_ref().read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # drop(there);
    /// # Ok::<(), io::Error>(())
    /// ```
    #[must_use]
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Returns the value inside, to change. What is watched stays the descriptor that it had at first.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use sward_io::io::{self, Watched, Write};
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// let mut here = Watched::new(here)?;
    /// here.get_mut().write_all(b"there is room for that")?;
    /// # drop(there);
    /// # Ok::<(), io::Error>(())
    /// ```
    #[must_use]
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.io
    }

    /// Gives the value back, in the mode in which it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use sward_io::io::{self, Read, Watched, Write};
    ///
    /// let (here, mut there) = UnixStream::pair()?;
    /// let mut here = Watched::new(here)?.into_inner();
    /// there.write_all(b"x")?;
    /// assert_eq!(here.read(&mut [0; 4])?, 1);
    /// # Ok::<(), io::Error>(())
    /// ```
    #[must_use]
    pub fn into_inner(self) -> T {
        let Self { watch, io } = self;
        drop(watch);
        io
    }

    /// Waits until a read would not block: there is data, or a connection to accept, or the end, or an error.
    ///
    /// It is so when this returns, as far as poll(2) knows; somebody else may still come first.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until then.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of waiting: see the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use sward_io::io::{self, Watched, Write};
    /// use sward_runtime::thread;
    ///
    /// let (here, mut there) = UnixStream::pair()?;
    /// let here = Watched::new(here)?;
    /// thread::scope(|s| {
    ///     let waiter = s.spawn(|| here.read_ready());
    ///     there.write_all(b"x")?;
    ///     waiter.join().unwrap()
    /// })?;
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn read_ready(&self) -> io::Result<()> {
        self.ready(Operation::READ, None)
    }

    /// As [`read_ready`](Self::read_ready), for at most `timeout`. A timeout of zero only looks.
    ///
    /// # Suspension
    ///
    /// As [`read_ready`](Self::read_ready).
    ///
    /// # Cancellation
    ///
    /// As [`read_ready`](Self::read_ready).
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the time is up; else those of waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{os::unix::net::UnixStream, time::Duration};
    /// use sward_io::io::{self, ErrorKind, Watched};
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// let here = Watched::new(here)?;
    /// let error = here.read_ready_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TimedOut);
    /// drop(there);
    /// here.read_ready_timeout(Duration::ZERO)?; // the end
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn read_ready_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.ready(Operation::READ, deadline_in(timeout))
    }

    /// As [`read_ready`](Self::read_ready), until `deadline` at the latest.
    ///
    /// # Suspension
    ///
    /// As [`read_ready`](Self::read_ready).
    ///
    /// # Cancellation
    ///
    /// As [`read_ready`](Self::read_ready).
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the time has come; else those of waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{os::unix::net::UnixStream, time::Instant};
    /// use sward_io::io::{self, ErrorKind, Watched};
    ///
    /// let (here, _there) = UnixStream::pair()?;
    /// let error = Watched::new(here)?.read_ready_deadline(Instant::now()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TimedOut);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn read_ready_deadline(&self, deadline: Instant) -> io::Result<()> {
        self.ready(Operation::READ, Some(deadline))
    }

    /// Waits until a write would not block: there is some room, or an error.
    ///
    /// It is so when this returns, as far as poll(2) knows; somebody else may still come first.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until then.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of waiting: see the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use sward_io::io::{self, Watched};
    ///
    /// let (here, _there) = UnixStream::pair()?;
    /// Watched::new(here)?.write_ready()?;
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn write_ready(&self) -> io::Result<()> {
        self.ready(Operation::WRITE, None)
    }

    /// As [`write_ready`](Self::write_ready), for at most `timeout`. A timeout of zero only looks.
    ///
    /// # Suspension
    ///
    /// As [`write_ready`](Self::write_ready).
    ///
    /// # Cancellation
    ///
    /// As [`write_ready`](Self::write_ready).
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the time is up; else those of waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{os::unix::net::UnixStream, time::Duration};
    /// use sward_io::io::{self, Watched, Write};
    ///
    /// let (here, _there) = UnixStream::pair()?;
    /// let here = Watched::new(here)?;
    /// while here.write_ready_timeout(Duration::ZERO).is_ok() {
    ///     here.get_ref().write(&[0; 4096])?;
    /// }
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn write_ready_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.ready(Operation::WRITE, deadline_in(timeout))
    }

    /// As [`write_ready`](Self::write_ready), until `deadline` at the latest.
    ///
    /// # Suspension
    ///
    /// As [`write_ready`](Self::write_ready).
    ///
    /// # Cancellation
    ///
    /// As [`write_ready`](Self::write_ready).
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the time has come; else those of waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{os::unix::net::UnixStream, time::Instant};
    /// use sward_io::io::{self, Watched};
    ///
    /// let (here, _there) = UnixStream::pair()?;
    /// Watched::new(here)?.write_ready_deadline(Instant::now())?;
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn write_ready_deadline(&self, deadline: Instant) -> io::Result<()> {
        self.ready(Operation::WRITE, Some(deadline))
    }

    /// Runs an operation that reads: calls `attempt` until it returns anything but [`WouldBlock`](io::ErrorKind::WouldBlock), and
    /// waits in between. It is called again at once after [`Interrupted`](io::ErrorKind::Interrupted).
    ///
    /// `attempt` is to say `WouldBlock` only if reading the descriptor did: the wait ends when the descriptor becomes ready after
    /// that, not because it is. Of what is always ready it is the result, since nothing would end a wait.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while the operation would block.
    ///
    /// # Cancellation
    ///
    /// Between two attempts: what an attempt has done is never lost.
    ///
    /// # Errors
    ///
    /// What `attempt` returns, and those of waiting: see the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixDatagram;
    /// use sward_io::io::{self, Watched};
    /// use sward_runtime::thread;
    ///
    /// let (here, there) = UnixDatagram::pair()?;
    /// let here = Watched::new(here)?;
    /// thread::spawn(move || there.send(b"hello"));
    /// let mut buffer = [0; 16];
    /// assert_eq!(here.read_with(|socket| socket.recv(&mut buffer))?, 5);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn read_with<R>(&self, mut attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        run(self.watch.as_ref(), Operation::READ, || attempt(&self.io))
    }

    /// As [`read_with`](Self::read_with), for operations that need the value inside for themselves.
    ///
    /// # Errors
    ///
    /// What `attempt` returns, and those of waiting: see the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{os::unix::net::UnixStream, io::Read};
    /// use sward_io::io::{self, Watched};
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// let mut here = Watched::new(here)?;
    /// drop(there);
    /// assert_eq!(here.read_with_mut(|stream| stream.read(&mut [0]))?, 0);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn read_with_mut<R>(&mut self, mut attempt: impl FnMut(&mut T) -> io::Result<R>) -> io::Result<R> {
        let Self { watch, io } = self;
        run(watch.as_ref(), Operation::READ, || attempt(io))
    }

    /// Runs an operation that writes, as [`read_with`](Self::read_with) does one that reads.
    ///
    /// # Errors
    ///
    /// What `attempt` returns, and those of waiting: see the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixDatagram;
    /// use sward_io::io::{self, Watched};
    ///
    /// let (here, there) = UnixDatagram::pair()?;
    /// let here = Watched::new(here)?;
    /// assert_eq!(here.write_with(|socket| socket.send(b"hello"))?, 5);
    /// # drop(there);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn write_with<R>(&self, mut attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        run(self.watch.as_ref(), Operation::WRITE, || attempt(&self.io))
    }

    /// As [`write_with`](Self::write_with), for operations that need the value inside for themselves.
    ///
    /// # Errors
    ///
    /// What `attempt` returns, and those of waiting: see the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use sward_io::io::{self, Watched, Write};
    ///
    /// let (here, _there) = UnixStream::pair()?;
    /// let mut here = Watched::new(here)?;
    /// assert_eq!(here.write_with_mut(|stream| stream.write(b"x"))?, 1);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn write_with_mut<R>(&mut self, mut attempt: impl FnMut(&mut T) -> io::Result<R>) -> io::Result<R> {
        let Self { watch, io } = self;
        run(watch.as_ref(), Operation::WRITE, || attempt(io))
    }

    fn ready(&self, operation: Operation, deadline: Option<Instant>) -> io::Result<()> {
        let Some(Watch { source, .. }) = &self.watch else { return Ok(()) };
        let to_read = operation.interest == Interest::Read;
        let attempt = |fd: &OwnedFd| {
            let is_ready = sys::file::is_ready(fd.as_fd(), to_read);
            if is_ready { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        };
        let mut waited = source.run(operation.until(deadline), attempt, |()| false);
        if waited.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            // The time is up; but the kernel may not have told the reactor yet.
            let too_late = || io::Error::new(io::ErrorKind::TimedOut, "the descriptor was not ready in time");
            waited = attempt(source.io()).map_err(|_| too_late());
        }
        waited
    }
}

impl<T: Read> Read for Watched<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with_mut(|io| io.read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_with_mut(|io| io.read_vectored(bufs))
    }
}

impl<T: Write> Write for Watched<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_with_mut(|io| io.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_with_mut(|io| io.write_vectored(bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_with_mut(Write::flush)
    }
}

impl<T> Read for &Watched<T>
where
    for<'a> &'a T: Read,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|mut io| io.read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_with(|mut io| io.read_vectored(bufs))
    }
}

impl<T> Write for &Watched<T>
where
    for<'a> &'a T: Write,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_with(|mut io| io.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_with(|mut io| io.write_vectored(bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_with(|mut io| io.flush())
    }
}

/// Lends the descriptor of the value inside. It is in non-blocking mode, which must stay so, unless it is always ready.
impl<T: AsFd> AsFd for Watched<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// Tells the descriptor of the value inside. It is in non-blocking mode, which must stay so, unless it is always ready.
impl<T: AsRawFd> AsRawFd for Watched<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

/// Takes over a descriptor, as [`Watched::new`] does.
impl<T: AsFd + From<OwnedFd>> TryFrom<OwnedFd> for Watched<T> {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        Self::new(T::from(fd))
    }
}

/// Gives up the descriptor, as [`Watched::into_inner`] does.
impl<T: Into<Self>> From<Watched<T>> for OwnedFd {
    fn from(watched: Watched<T>) -> Self {
        watched.into_inner().into()
    }
}

impl<T: fmt::Debug> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.io).finish()
    }
}
