//! A UDP socket.

use std::{fmt, io, net::SocketAddr, os::fd::AsFd, time::Duration};

use socket2::SockAddr;

use crate::{
    net::{ToSocketAddrs, addr::each_addr, datagram::receive},
    options::deadlines,
    source::{Interest, Operation, Source},
    sys::socket,
};

/// A UDP socket, as [`std::net::UdpSocket`].
///
/// A socket that is only bound sends to any address and receives from any, with [`send_to`](Self::send_to) and
/// [`recv_from`](Self::recv_from). One that is also connected has a peer: [`send`](Self::send) and [`recv`](Self::recv) are
/// for it. Any number of threads may send and receive at once, through `&UdpSocket`; each datagram goes to one of them.
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
/// A cancelled operation has transferred nothing: no datagram is lost that was not lost on its way.
///
/// # Errors
///
/// Operations fail as those of `std`. Besides, they fail with [`RuntimeClosed`](crate::RuntimeClosed) inside once the
/// runtime has ended which the socket has first waited in.
///
/// # Examples
///
/// ```
/// use sward_io::net::UdpSocket;
///
/// let server = UdpSocket::bind("127.0.0.1:0")?;
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.send_to(b"ping", server.local_addr()?)?;
///
/// let mut buffer = [0; 16];
/// let (received, sender) = server.recv_from(&mut buffer)?;
/// assert_eq!(&buffer[..received], b"ping");
/// assert_eq!(sender, client.local_addr()?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UdpSocket(Source<std::net::UdpSocket>);

deadlines!(
    UdpSocket,
    "# use sward_io::net::UdpSocket;\nlet socket = UdpSocket::bind(\"127.0.0.1:0\")?;",
    "let error = socket.recv_from(&mut [0; 8]).unwrap_err();"
);

impl UdpSocket {
    /// Creates a socket on an address. Port zero asks the system for a free one. If the name resolves to several
    /// addresses, the first that can be had is taken.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while a host name is looked up.
    ///
    /// # Cancellation
    ///
    /// The lookup is given up.
    ///
    /// # Errors
    ///
    /// Those of the last address that was tried, or of the lookup.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::net::UdpSocket;
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(UdpSocket::bind(socket.local_addr()?).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let socket = each_addr(addr, |addr| std::net::UdpSocket::bind(addr))?;
        socket.set_nonblocking(true)?;
        Ok(Self(Source::new(socket)))
    }

    /// Names the peer: [`send`](Self::send) sends to it, and nothing is received from others any more. If the name
    /// resolves to several addresses, the first that can be had is taken. Nothing is sent by this, so nobody needs to be there.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while a host name is looked up.
    ///
    /// # Cancellation
    ///
    /// The lookup is given up.
    ///
    /// # Errors
    ///
    /// Those of the last address that was tried, or of the lookup.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let peer = UdpSocket::bind("127.0.0.1:0")?;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.connect(peer.local_addr()?)?;
    /// assert_eq!(socket.peer_addr()?, peer.local_addr()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        each_addr(addr, |addr| self.0.io().connect(addr))
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
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_eq!(socket.peer_addr().unwrap_err().kind(), std::io::ErrorKind::NotConnected);
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
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.io().local_addr()
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
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let clone = socket.try_clone()?;
    /// assert_eq!(clone.local_addr()?, socket.local_addr()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.share_with(self.0.io().try_clone()?)))
    }

    /// Receives a datagram, and returns its length, as far as it fits, and who sent it.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until there is one.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: a datagram that arrives goes to another receiver.
    ///
    /// # Errors
    ///
    /// What the system says; [`WouldBlock`](io::ErrorKind::WouldBlock) after the read timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// # let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// # sender.send_to(b"hello", socket.local_addr()?)?;
    /// let mut buffer = [0; 4];
    /// let (received, addr) = socket.recv_from(&mut buffer)?;
    /// assert_eq!(&buffer[..received], b"hell");
    /// assert_eq!(addr, sender.local_addr()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        from_whom(receive(&self.0, |socket| socket::receive_from(socket, buf), no_sender)?)
    }

    /// Receives a datagram as [`recv_from`](Self::recv_from) does, but leaves it for the next receive.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until there is one.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](Self::recv_from).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// # socket.send_to(b"hello", socket.local_addr()?)?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(socket.peek_from(&mut buffer)?.0, 5);
    /// assert_eq!(socket.recv_from(&mut buffer)?.0, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        from_whom(receive(&self.0, |socket| socket::peek_from(socket, buf), no_sender)?)
    }

    /// Receives a datagram from the peer, and returns its length, as far as it fits. A socket that is not connected receives
    /// from anybody.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until there is one.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: a datagram that arrives goes to another receiver.
    ///
    /// # Errors
    ///
    /// What the system says: also [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) when it has learned that the peer is
    /// not there; [`WouldBlock`](io::ErrorKind::WouldBlock) after the read timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let peer = UdpSocket::bind("127.0.0.1:0")?;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.connect(peer.local_addr()?)?;
    /// # peer.send_to(b"hello", socket.local_addr()?)?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(socket.recv(&mut buffer)?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        receive(&self.0, |socket| socket::receive(socket, buf), || Ok(0))
    }

    /// Receives a datagram as [`recv`](Self::recv) does, but leaves it for the next receive.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until there is one.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// # socket.send_to(b"hello", socket.local_addr()?)?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(socket.peek(&mut buffer)?, 5);
    /// assert_eq!(socket.recv(&mut buffer)?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        receive(&self.0, |socket| socket::peek(socket, buf), || Ok(0))
    }

    /// Sends a datagram to an address; if the name resolves to several, to the first. Returns its length.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while a host name is looked up, and while the
    /// system has no room for the datagram.
    ///
    /// # Cancellation
    ///
    /// Nothing has been sent.
    ///
    /// # Errors
    ///
    /// The datagram is longer than the system sends; that of the lookup; [`InvalidInput`](io::ErrorKind::InvalidInput) if the
    /// name resolves to nothing; [`WouldBlock`](io::ErrorKind::WouldBlock) after the write timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let port = socket.local_addr()?.port();
    /// assert_eq!(socket.send_to(b"hello", ("127.0.0.1", port))?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let nowhere = || io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to");
        let addr = SockAddr::from(addr.to_socket_addrs()?.next().ok_or_else(nowhere)?);
        self.0.run(Operation::WRITE, |io| socket::send_to(io.as_fd(), buf, &addr), |_| false)
    }

    /// Sends a datagram to the peer. Returns its length.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while the system has no room for the datagram.
    ///
    /// # Cancellation
    ///
    /// Nothing has been sent.
    ///
    /// # Errors
    ///
    /// There is no peer, or the system has learned that it is not there; the datagram is longer than the system sends;
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) after the write timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let peer = UdpSocket::bind("127.0.0.1:0")?;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(socket.send(b"to whom?").is_err());
    /// socket.connect(peer.local_addr()?)?;
    /// assert_eq!(socket.send(b"hello")?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.run(Operation::WRITE, |io| socket::send(io.as_fd(), buf), |_| false)
    }

    /// Sets how long receives wait at most; `None`, as at first, for ever.
    ///
    /// One that has waited so long fails with [`WouldBlock`](io::ErrorKind::WouldBlock), as in `std` on Unix.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{io, time::Duration};
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.options().set_timeout(Interest::Read, timeout)
    }

    /// Sets how long sends wait at most; `None`, as at first, for ever.
    ///
    /// One that has waited so long fails with [`WouldBlock`](io::ErrorKind::WouldBlock), as in `std` on Unix.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the timeout is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_write_timeout(Some(Duration::from_secs(30)))?;
    /// assert!(socket.set_write_timeout(Some(Duration::ZERO)).is_err());
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
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_eq!(socket.read_timeout()?, None);
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
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_eq!(socket.write_timeout()?, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.0.timeout(Interest::Write))
    }

    pub(crate) fn from_source(source: Source<std::net::UdpSocket>) -> Self {
        Self(source)
    }

    pub(crate) fn into_source(self) -> Source<std::net::UdpSocket> {
        self.0
    }

    pub(crate) fn source(&self) -> &Source<std::net::UdpSocket> {
        &self.0
    }
}

/// What was received, with the address as `std` has it.
fn from_whom((received, addr): (usize, SockAddr)) -> io::Result<(usize, SocketAddr)> {
    Ok((received, addr.as_socket().ok_or(io::ErrorKind::InvalidInput)?))
}

/// What there is to receive with an address when the reading half was shut down: as in `std`, not even that.
fn no_sender<T>() -> io::Result<T> {
    Err(io::ErrorKind::InvalidInput.into())
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.io().fmt(f)
    }
}
