//! A Unix datagram socket.

use std::{fmt, io, net::Shutdown, os::unix::net::SocketAddr, path::Path, time::Duration};

use socket2::Type;

use crate::{
    options::deadlines,
    source::{Interest, Source},
    sys::socket,
};

mod transfer;

/// A Unix datagram socket, as [`std::os::unix::net::UnixDatagram`].
///
/// [`send_to`](Self::send_to) sends to any socket that has a name; one that was [connected](Self::connect) has a peer, to which
/// [`send`](Self::send) sends. Nothing is lost and nothing overtakes: a send waits until the receiver has room. Any number of
/// threads may send and receive at once, through `&UnixDatagram`; each datagram goes to one of them.
///
/// A datagram is received whole, by one call. What does not fit into the buffer is lost. A datagram may be empty.
///
/// # Suspension
///
/// An operation that cannot go on parks the green thread until it can; outside the runtime it blocks the OS thread. A
/// green thread whose operations never have to wait yields now and then.
///
/// # Cancellation
///
/// A cancelled operation has transferred nothing: no datagram is lost.
///
/// # Errors
///
/// Operations fail as those of `std`. Besides, they fail with [`RuntimeClosed`](crate::RuntimeClosed) inside once the
/// runtime has ended which the socket has first waited in.
///
/// # Examples
///
/// ```
/// use sward_io::os::unix::net::UnixDatagram;
///
/// let (here, there) = UnixDatagram::pair()?;
/// here.send(b"one")?;
/// here.send(b"two")?;
/// let mut buffer = [0; 16];
/// assert_eq!(there.recv(&mut buffer)?, 3);
/// assert_eq!(&buffer[..3], b"one");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixDatagram(Source<std::os::unix::net::UnixDatagram>);

deadlines!(
    UnixDatagram,
    "# use sward_io::os::unix::net::UnixDatagram;\nlet (socket, _peer) = UnixDatagram::pair()?;",
    "let error = socket.recv(&mut [0; 8]).unwrap_err();"
);

impl UnixDatagram {
    /// Creates a socket, and a file that names it.
    ///
    /// # Errors
    ///
    /// What the system says: [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long or has a zero in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::os::unix::net::UnixDatagram;
    ///
    /// # let path = std::env::temp_dir().join(format!("sward-doc-datagram-{}", std::process::id()));
    /// # let _ = std::fs::remove_file(&path);
    /// let socket = UnixDatagram::bind(&path)?;
    /// assert_eq!(socket.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::with(std::os::unix::net::UnixDatagram::bind(path)?)
    }

    /// Creates a socket on an address. One without a name asks Linux for an abstract name.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use std::os::linux::net::SocketAddrExt;
    /// use sward_io::os::unix::net::{SocketAddr, UnixDatagram};
    ///
    /// let name = format!("sward-doc-{}", std::process::id());
    /// let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    /// assert_eq!(socket.local_addr()?.as_abstract_name(), Some(name.as_bytes()));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<Self> {
        Self::with(std::os::unix::net::UnixDatagram::bind_addr(socket_addr)?)
    }

    /// Creates a socket without a name. It can send, and receives only from the other end of a connection.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::os::unix::net::UnixDatagram;
    ///
    /// assert!(UnixDatagram::unbound()?.local_addr()?.is_unnamed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn unbound() -> io::Result<Self> {
        Self::with(std::os::unix::net::UnixDatagram::unbound()?)
    }

    fn with(socket: std::os::unix::net::UnixDatagram) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self(Source::new(socket)))
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
    /// use sward_io::os::unix::net::UnixDatagram;
    ///
    /// let (here, there) = UnixDatagram::pair()?;
    /// here.send(b"hello")?;
    /// assert_eq!(there.recv(&mut [0; 16])?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socket::pair(Type::DGRAM)?;
        Ok((Self(Source::new(one.into())), Self(Source::new(other.into()))))
    }

    /// Makes the socket that a file names the peer: [`send`](Self::send) sends to it, and nothing is received from others any
    /// more.
    ///
    /// # Errors
    ///
    /// What the system says; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long or has a zero in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::os::unix::net::UnixDatagram;
    ///
    /// # let path = std::env::temp_dir().join(format!("sward-doc-peer-{}", std::process::id()));
    /// # let _ = std::fs::remove_file(&path);
    /// let peer = UnixDatagram::bind(&path)?;
    /// let socket = UnixDatagram::unbound()?;
    /// socket.connect(&path)?;
    /// socket.send(b"hello")?;
    /// assert_eq!(peer.recv(&mut [0; 16])?, 5);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.0.io().connect(path)
    }

    /// Makes the socket at an address the peer, as [`connect`](Self::connect) does.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::{SocketAddr, UnixDatagram};
    /// # let peer = UnixDatagram::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// let socket = UnixDatagram::unbound()?;
    /// socket.connect_addr(&peer.local_addr()?)?;
    /// socket.send(b"hello")?;
    /// assert_eq!(peer.recv(&mut [0; 16])?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect_addr(&self, socket_addr: &SocketAddr) -> io::Result<()> {
        self.0.io().connect_addr(socket_addr)
    }

    /// Creates another handle to the same socket.
    ///
    /// It is a descriptor of its own, as in `std`, and registered on its own: a datagram that arrives wakes one waiter of
    /// each clone, of which one gets it. Timeouts and the non-blocking mode are shared. To receive on several threads needs no
    /// clone, and then only one is woken.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, peer) = UnixDatagram::pair()?;
    /// let clone = socket.try_clone()?;
    /// drop(socket);
    /// clone.send(b"still here")?;
    /// # assert_eq!(peer.recv(&mut [0; 16])?, 10);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.share_with(self.0.io().try_clone()?)))
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
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, _peer) = UnixDatagram::pair()?;
    /// assert!(socket.local_addr()?.is_unnamed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.io().local_addr()
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// let error = UnixDatagram::unbound()?.peer_addr().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.io().peer_addr()
    }

    /// Sets how long receives wait at most; `None`, as at first, for ever.
    ///
    /// One that has waited so long fails with [`WouldBlock`](io::ErrorKind::WouldBlock), as in `std`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{io, time::Duration};
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, _peer) = UnixDatagram::pair()?;
    /// socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.options().set_timeout(Interest::Read, timeout)
    }

    /// Sets how long sends wait at most; `None`, as at first, for ever.
    ///
    /// One that has waited so long fails with [`WouldBlock`](io::ErrorKind::WouldBlock), as in `std`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{io, time::Duration};
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, _peer) = UnixDatagram::pair()?;
    /// socket.set_write_timeout(Some(Duration::from_millis(1)))?;
    /// let full = std::iter::repeat_with(|| socket.send(b"nobody receives")).find_map(Result::err);
    /// assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.options().set_timeout(Interest::Write, timeout)
    }

    /// Returns how long receives wait at most: exactly what was set, unlike the kernel's own timeouts.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// assert_eq!(UnixDatagram::unbound()?.read_timeout()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Interest::Read))
    }

    /// Returns how long sends wait at most: exactly what was set, unlike the kernel's own timeouts.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// assert_eq!(UnixDatagram::unbound()?.write_timeout()?, None);
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
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, _peer) = UnixDatagram::pair()?;
    /// socket.set_nonblocking(true)?;
    /// assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
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
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// assert!(UnixDatagram::unbound()?.take_error()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.io().take_error()
    }

    /// Ends receiving, sending, or both, for all clones.
    ///
    /// Whoever waits for a half that is ended is woken: a receive returns zero, a send fails. A sender that waits on another
    /// clone may notice only half a second later, when it looks again, unless both halves were ended: the system does not
    /// report it.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::{net::Shutdown, os::unix::net::UnixDatagram};
    /// # let (socket, _peer) = UnixDatagram::pair()?;
    /// socket.shutdown(Shutdown::Both)?;
    /// assert_eq!(socket.recv(&mut [0; 8])?, 0);
    /// assert!(socket.send(b"too late").is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.io().shutdown(how)?;
        self.0.wake(Interest::Write);
        Ok(())
    }

    pub(crate) fn from_source(source: Source<std::os::unix::net::UnixDatagram>) -> Self {
        Self(source)
    }

    pub(crate) fn into_source(self) -> Source<std::os::unix::net::UnixDatagram> {
        self.0
    }

    pub(crate) fn source(&self) -> &Source<std::os::unix::net::UnixDatagram> {
        &self.0
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.io().fmt(f)
    }
}
