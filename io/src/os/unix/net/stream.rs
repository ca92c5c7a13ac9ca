//! A Unix connection.

use std::{fmt, io, net::Shutdown, os::fd::AsFd, os::unix::net::SocketAddr, path::Path, time::Duration};

use socket2::{Domain, SockAddr, Type};

use super::{
    addr::{path_to_sys, to_sys},
    pauses::until_room,
};
use crate::{
    options::deadlines,
    source::{Interest, Operation, Source},
    sys::socket,
};

mod transfer;

/// A connection between two Unix sockets of this machine, as [`std::os::unix::net::UnixStream`].
///
/// It is read and written through [`Read`](io::Read) and [`Write`](io::Write), also through a shared reference: reading
/// and writing do not disturb each other, and any number of threads may do either, each call on its own. The
/// connection ends when the last clone is dropped; [`shutdown`](Self::shutdown) ends it for all of them.
///
/// Reading returns what has arrived, and zero at the end of the stream. Writing returns how much fits.
///
/// # Suspension
///
/// An operation that cannot go on parks the green thread until it can; outside the runtime it blocks the OS thread. A
/// green thread whose reads or writes never have to wait yields now and then.
///
/// # Cancellation
///
/// A cancelled read or write has transferred nothing. Those that return have not been cancelled: data that has been
/// transferred is never lost.
///
/// # Errors
///
/// Operations fail as those of `std`. Besides, they fail with [`RuntimeClosed`](crate::RuntimeClosed) inside once the
/// runtime has ended which the connection has first waited in.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use sward_io::os::unix::net::UnixStream;
///
/// let (mut here, mut there) = UnixStream::pair()?;
/// here.write_all(b"hello")?;
/// drop(here);
/// let mut message = String::new();
/// there.read_to_string(&mut message)?;
/// assert_eq!(message, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixStream(Source<std::os::unix::net::UnixStream>);

deadlines!(
    UnixStream,
    "# use sward_io::os::unix::net::UnixStream;\nlet (socket, _peer) = UnixStream::pair()?;",
    "# use std::io::Read;\nlet error = (&socket).read(&mut [0; 8]).unwrap_err();"
);

impl UnixStream {
    /// Opens a connection to the listener that a file names.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while as many connections as the listener allows for
    /// wait to be accepted. It tries again now and then, since no event tells of room there.
    ///
    /// # Cancellation
    ///
    /// The attempt is given up.
    ///
    /// # Errors
    ///
    /// What the system says; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long or has a zero in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::os::unix::net::{UnixListener, UnixStream};
    ///
    /// # let path = std::env::temp_dir().join(format!("sward-doc-connect-{}", std::process::id()));
    /// # let _ = std::fs::remove_file(&path);
    /// let listener = UnixListener::bind(&path)?;
    /// let stream = UnixStream::connect(&path)?;
    /// assert_eq!(stream.peer_addr()?.as_pathname(), Some(&*path));
    /// # drop(listener);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::connect_to(&path_to_sys(path.as_ref())?)
    }

    /// Opens a connection to the listener at an address.
    ///
    /// # Suspension
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancellation
    ///
    /// The attempt is given up.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    /// # let listener = UnixListener::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// let stream = UnixStream::connect_addr(&listener.local_addr()?)?;
    /// assert!(stream.local_addr()?.is_unnamed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect_addr(socket_addr: &SocketAddr) -> io::Result<Self> {
        Self::connect_to(&to_sys(socket_addr)?)
    }

    fn connect_to(addr: &SockAddr) -> io::Result<Self> {
        let socket = socket::open(Domain::UNIX, None)?;
        until_room(None, || true, || socket::connect(&socket, addr))?;
        Ok(Self(Source::new(socket.into())))
    }

    /// Creates two sockets without names that are connected to each other.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::os::unix::net::UnixStream;
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// assert!(here.local_addr()?.is_unnamed());
    /// assert!(there.peer_addr()?.is_unnamed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socket::pair(Type::STREAM)?;
        Ok((Self(Source::new(one.into())), Self(Source::new(other.into()))))
    }

    /// Creates another handle to the same connection.
    ///
    /// It is a descriptor of its own, as in `std`, and registered on its own: who waits on one clone is not disturbed by
    /// who waits on another. Timeouts and the non-blocking mode are shared. To read and write at once needs no clone: do
    /// both through `&UnixStream`, which saves a descriptor.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (stream, mut peer) = UnixStream::pair()?;
    /// let mut clone = stream.try_clone()?;
    /// drop(stream);
    /// clone.write_all(b"still here")?;
    /// # peer.read_exact(&mut [0; 10])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.share_with(self.0.io().try_clone()?)))
    }

    /// Returns the address of this socket, which mostly has no name.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (stream, _peer) = UnixStream::pair()?;
    /// assert!(stream.local_addr()?.is_unnamed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.io().local_addr()
    }

    /// Returns the address of the peer: that of its listener, if it was accepted.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (stream, _peer) = UnixStream::pair()?;
    /// assert!(stream.peer_addr()?.is_unnamed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.io().peer_addr()
    }

    /// Returns who connected, or who listens: the credentials of the process at the time (`SO_PEERCRED`). On Linux only; in
    /// `std` not stable.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixStream;
    /// let (here, there) = UnixStream::pair()?;
    /// assert_eq!(here.peer_cred()?, there.peer_cred()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(target_os = "linux")]
    pub fn peer_cred(&self) -> io::Result<super::UCred> {
        Ok(socket::peer_cred(self.0.io().as_fd())?.into())
    }

    /// Sets how long reads of this connection wait at most; `None`, as at first, for ever.
    ///
    /// A read that has waited so long fails with [`WouldBlock`](io::ErrorKind::WouldBlock), as in `std`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{io::{self, Read}, time::Duration};
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (mut stream, _peer) = UnixStream::pair()?;
    /// stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// let error = stream.read(&mut [0; 8]).unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.options().set_timeout(Interest::Read, timeout)
    }

    /// Sets how long writes of this connection wait at most; `None`, as at first, for ever.
    ///
    /// A write that has waited so long fails with [`WouldBlock`](io::ErrorKind::WouldBlock), as in `std`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (stream, _peer) = UnixStream::pair()?;
    /// stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    /// assert!(stream.set_write_timeout(Some(Duration::ZERO)).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.options().set_timeout(Interest::Write, timeout)
    }

    /// Returns how long reads wait at most: exactly what was set, unlike the kernel's own timeouts.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (stream, _peer) = UnixStream::pair()?;
    /// assert_eq!(stream.read_timeout()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Interest::Read))
    }

    /// Returns how long writes wait at most: exactly what was set, unlike the kernel's own timeouts.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (stream, _peer) = UnixStream::pair()?;
    /// assert_eq!(stream.write_timeout()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Interest::Write))
    }

    /// Sets whether operations fail with [`WouldBlock`](io::ErrorKind::WouldBlock) where they would have to wait.
    ///
    /// As in `std` the mode is shared by all clones. It does not end waits that have begun. The descriptor itself is
    /// always in non-blocking mode: this is about the methods here.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::{self, Read};
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (mut stream, _peer) = UnixStream::pair()?;
    /// stream.set_nonblocking(true)?;
    /// assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.options().set_nonblocking(nonblocking);
        Ok(())
    }

    /// Takes the error that is pending on the socket (`SO_ERROR`), if any.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (stream, _peer) = UnixStream::pair()?;
    /// assert!(stream.take_error()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.io().take_error()
    }

    /// Ends the reading half, the writing half, or both, for all clones.
    ///
    /// Whoever waits for a half that is ended is woken: a read returns zero, a write fails. A writer that waits on another
    /// clone, and one of a peer whose reader has ended, may notice only half a second later, when it looks again: the system
    /// does not report these.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::Read;
    /// # use sward_io::{net::Shutdown, os::unix::net::UnixStream};
    /// # let (mut stream, _peer) = UnixStream::pair()?;
    /// stream.shutdown(Shutdown::Both)?;
    /// assert_eq!(stream.read(&mut [0; 8])?, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.io().shutdown(how)?;
        self.0.wake(Interest::Write);
        Ok(())
    }

    /// Reads without taking away: the next read returns the same data. In `std` not stable.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until there is data or the end of the stream.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of reading.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// # use sward_io::os::unix::net::UnixStream;
    /// # let (mut stream, mut peer) = UnixStream::pair()?;
    /// peer.write_all(b"?")?;
    /// let mut byte = [0];
    /// assert_eq!(stream.peek(&mut byte)?, 1);
    /// assert_eq!(stream.read(&mut byte)?, 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.run(Operation::READ, |io| socket::peek(io.as_fd(), buf), |_| false)
    }

    pub(crate) fn from_source(source: Source<std::os::unix::net::UnixStream>) -> Self {
        Self(source)
    }

    pub(crate) fn source_mut(&mut self) -> &mut Source<std::os::unix::net::UnixStream> {
        &mut self.0
    }

    pub(crate) fn into_source(self) -> Source<std::os::unix::net::UnixStream> {
        self.0
    }

    pub(crate) fn source(&self) -> &Source<std::os::unix::net::UnixStream> {
        &self.0
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.io().fmt(f)
    }
}
