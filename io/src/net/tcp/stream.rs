//! A TCP connection.

use std::{
    fmt, io,
    net::{Shutdown, SocketAddr},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, SockRef};

use crate::{
    net::{ToSocketAddrs, addr::each_addr},
    options::{deadline_in, deadlines},
    source::{Interest, Operation, Source},
    sys::socket,
};

/// A TCP connection between this socket and a peer's, as [`std::net::TcpStream`].
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
/// use sward_io::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let (mut server, _) = listener.accept()?;
///
/// client.write_all(b"hello")?;
/// drop(client);
/// let mut message = String::new();
/// server.read_to_string(&mut message)?;
/// assert_eq!(message, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpStream(Source<std::net::TcpStream>);

deadlines!(
    TcpStream,
    "# use sward_io::net::{TcpListener, TcpStream};\n# let listener = TcpListener::bind(\"127.0.0.1:0\")?;\nlet socket = TcpStream::connect(listener.local_addr()?)?;",
    "# use std::io::Read;\nlet error = (&socket).read(&mut [0; 8]).unwrap_err();"
);

impl TcpStream {
    /// Opens a connection. If the name resolves to several addresses, they are tried in turn.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until the connection is made, and while a host
    /// name is looked up.
    ///
    /// # Cancellation
    ///
    /// The attempt is given up.
    ///
    /// # Errors
    ///
    /// Those of the last address that was tried, or of the lookup.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        each_addr(addr, |addr| Self::connect_until(addr, None))
    }

    /// Opens a connection to one address, waiting for it at most for `timeout`.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until the connection is made.
    ///
    /// # Cancellation
    ///
    /// The attempt is given up.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the time is up; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is
    /// zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_io::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect_timeout(&listener.local_addr()?, Duration::from_secs(5))?;
    /// assert!(TcpStream::connect_timeout(&stream.peer_addr()?, Duration::ZERO).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        Self::connect_until(addr, deadline_in(timeout)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "connection timed out"),
            _ => error,
        })
    }

    fn connect_until(addr: &SocketAddr, deadline: Option<Instant>) -> io::Result<Self> {
        let socket = socket::open(Domain::for_address(*addr), Some(Protocol::TCP))?;
        match socket::connect(&socket, &(*addr).into()) {
            Ok(()) => {}
            // An interrupted connect goes on in the background.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => {}
            Err(error) => return Err(error),
        }
        let source = Source::new(std::net::TcpStream::from(socket));
        source.run(Operation::connect(deadline), connected, |()| false)?;
        Ok(Self(source))
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.peer_addr()?.port(), listener.local_addr()?.port());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.io().peer_addr()
    }

    /// Returns the address of this socket.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert!(stream.local_addr()?.ip().is_loopback());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.io().local_addr()
    }

    /// Ends the reading half, the writing half, or both, for all clones.
    ///
    /// Whoever waits for a half that is ended is woken: a read returns zero, a write fails.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::Read;
    /// # use sward_io::net::{Shutdown, TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.shutdown(Shutdown::Both)?;
    /// assert_eq!(stream.read(&mut [0; 8])?, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.io().shutdown(how)
    }

    /// Creates another handle to the same connection.
    ///
    /// It is a descriptor of its own, as in `std`, and registered on its own: who waits on one clone is not disturbed by
    /// who waits on another. Timeouts and the non-blocking mode are shared. To read and write at once needs no clone: do
    /// both through `&TcpStream`, which saves a descriptor.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::{Read, Write};
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// let mut clone = stream.try_clone()?;
    /// drop(stream);
    /// clone.write_all(b"still here")?;
    /// # peer.read_exact(&mut [0; 10])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.share_with(self.0.io().try_clone()?)))
    }

    /// Sets how long reads of this connection wait at most; `None`, as at first, for ever.
    ///
    /// A read that has waited so long fails with [`WouldBlock`](io::ErrorKind::WouldBlock), as in `std` on Unix.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{io::{self, Read}, time::Duration};
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let mut stream = TcpStream::connect(listener.local_addr()?)?;
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
    /// A write that has waited so long fails with [`WouldBlock`](io::ErrorKind::WouldBlock), as in `std` on Unix.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
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
    /// # use std::time::Duration;
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.read_timeout()?, None);
    /// stream.set_read_timeout(Some(Duration::from_micros(1)))?;
    /// assert_eq!(stream.read_timeout()?, Some(Duration::from_micros(1)));
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
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert_eq!(stream.write_timeout()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Interest::Write))
    }

    /// Reads without taking away: the next read returns the same data.
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
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// # let (mut peer, _) = listener.accept()?;
    /// peer.write_all(b"?")?;
    /// let mut byte = [0];
    /// assert_eq!(stream.peek(&mut byte)?, 1);
    /// assert_eq!(stream.read(&mut byte)?, 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        // It takes nothing away, so however short it is, there is something left.
        self.0.run(Operation::READ, |io| socket::peek(io.as_fd(), buf), |_| false)
    }

    /// Sets whether small segments are sent at once (`TCP_NODELAY`), not held back to be merged.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.io().set_nodelay(nodelay)
    }

    /// Returns whether small segments are sent at once.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert!(!stream.nodelay()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.io().nodelay()
    }

    /// Sets whether data is acknowledged at once (`TCP_QUICKACK`), not after a while or with what is sent back. The kernel may change it by itself later.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_quickack(false)?;
    /// assert!(!stream.quickack()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(target_os = "linux")]
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        SockRef::from(self.0.io()).set_tcp_quickack(quickack)
    }

    /// Returns whether data is acknowledged at once.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_quickack(true)?;
    /// assert!(stream.quickack()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(target_os = "linux")]
    pub fn quickack(&self) -> io::Result<bool> {
        SockRef::from(self.0.io()).tcp_quickack()
    }

    /// Sets how many hops a packet may take (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_ttl(100)?;
    /// assert_eq!(stream.ttl()?, 100);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.0.io().set_ttl(ttl)
    }

    /// Returns how many hops a packet may take.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert!(stream.ttl()? > 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.0.io().ttl()
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
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// assert!(stream.take_error()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.io().take_error()
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
    /// # use sward_io::net::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let mut stream = TcpStream::connect(listener.local_addr()?)?;
    /// stream.set_nonblocking(true)?;
    /// assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.options().set_nonblocking(nonblocking);
        Ok(())
    }

    pub(crate) fn from_source(source: Source<std::net::TcpStream>) -> Self {
        Self(source)
    }

    pub(crate) fn into_source(self) -> Source<std::net::TcpStream> {
        self.0
    }

    pub(crate) fn source(&self) -> &Source<std::net::TcpStream> {
        &self.0
    }

    pub(crate) fn source_mut(&mut self) -> &mut Source<std::net::TcpStream> {
        &mut self.0
    }
}

/// Whether a connection that was begun has been made: an attempt in the sense of `Source::run`.
fn connected(stream: &std::net::TcpStream) -> io::Result<()> {
    let Err(error) = stream.peer_addr() else { return Ok(()) };
    match stream.take_error()? {
        Some(error) => Err(error),
        None if error.kind() == io::ErrorKind::NotConnected => Err(io::ErrorKind::WouldBlock.into()),
        None => Err(error),
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.io().fmt(f)
    }
}
