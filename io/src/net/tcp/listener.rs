//! A socket that accepts TCP connections.

use std::{fmt, io, iter::FusedIterator, net::SocketAddr};

use socket2::{SockAddr, SockRef, Socket};

use super::TcpStream;
use crate::{
    net::{ToSocketAddrs, acceptor::Acceptor, addr::each_addr},
    source::Source,
};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A TCP socket that accepts connections, as [`std::net::TcpListener`].
///
/// Several threads may accept from one listener; each connection goes to one of them, and wakes no other. The
/// listener ends when the last clone is dropped.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use sward_io::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
///
/// let (mut server, peer) = listener.accept()?;
/// assert_eq!(peer, client.local_addr()?);
/// server.write_all(b"welcome")?;
/// drop(server);
///
/// let mut greeting = String::new();
/// client.read_to_string(&mut greeting)?;
/// assert_eq!(greeting, "welcome");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpListener(Acceptor<std::net::TcpListener>);

impl TcpListener {
    /// Creates a listener on an address. Port zero asks the system for a free one. If the name resolves to several
    /// addresses, the first that can be had is taken. The address may be one that was in use until just now
    /// (`SO_REUSEADDR`), as in `std` on Unix.
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
    /// use std::io;
    /// use sward_io::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let error = TcpListener::bind(listener.local_addr()?).unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let listener = each_addr(addr, |addr| std::net::TcpListener::bind(addr))?;
        listener.set_nonblocking(true)?;
        // `std` asks for 128; a thousand clients that connect at once would wait for retries. The kernel has a limit of its own.
        SockRef::from(&listener).listen(BACKLOG)?;
        Ok(Self::from_source(Source::new(listener)))
    }

    /// Returns the address that this listener is bound to.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// let listener = sward_io::net::TcpListener::bind("127.0.0.1:0")?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source().io().local_addr()
    }

    /// Creates another handle to the same listener, a descriptor of its own as in `std`.
    ///
    /// A connection that arrives wakes one waiter of each clone, of which one gets it. To accept from several threads needs
    /// no clone: `accept` takes `&self`, and then only one is woken.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// let listener = sward_io::net::TcpListener::bind("127.0.0.1:0")?;
    /// let clone = listener.try_clone()?;
    /// assert_eq!(clone.local_addr()?, listener.local_addr()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::from_source(self.source().share_with(self.source().io().try_clone()?)))
    }

    /// Accepts a connection, and returns it with the address of the peer.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until there is a connection.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: a connection that arrives goes to another accept.
    ///
    /// # Errors
    ///
    /// What the system says, as in `std`: also that a connection was closed before it was accepted, and that there are no
    /// descriptors left. After none of these is the listener lost. A loop that accepts, come what may, does not spin
    /// when descriptors or memory are short: the first such error is returned at once, and from then on, until one
    /// succeeds, each accept pauses for 10 milliseconds first.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// let (_server, peer) = listener.accept()?;
    /// assert_eq!(peer, client.local_addr()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accepted(self.0.accept()?)
    }

    /// Iterates over the connections that arrive. The iterator never ends; each step is an [`accept`](Self::accept).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let clients = [TcpStream::connect(listener.local_addr()?)?, TcpStream::connect(listener.local_addr()?)?];
    /// for (client, server) in clients.iter().zip(listener.incoming()) {
    ///     assert_eq!(server?.peer_addr()?, client.local_addr()?);
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Sets how many hops a packet of an accepted connection may take (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// let listener = sward_io::net::TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_ttl(100)?;
    /// assert_eq!(listener.ttl()?, 100);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.source().io().set_ttl(ttl)
    }

    /// Returns how many hops a packet of an accepted connection may take.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// let listener = sward_io::net::TcpListener::bind("127.0.0.1:0")?;
    /// assert!(listener.ttl()? > 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.source().io().ttl()
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
    /// let listener = sward_io::net::TcpListener::bind("127.0.0.1:0")?;
    /// assert!(listener.take_error()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.source().io().take_error()
    }

    /// Sets whether [`accept`](Self::accept) fails with [`WouldBlock`](io::ErrorKind::WouldBlock) where it would have to
    /// wait. As in `std`, the mode is shared by all clones, and connections do not inherit it.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Examples
    ///
    /// ```
    /// let listener = sward_io::net::TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_nonblocking(true)?;
    /// assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.source().options().set_nonblocking(nonblocking);
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> &Acceptor<std::net::TcpListener> {
        &self.0
    }

    /// What `accept` returns, of what the system returned.
    pub(crate) fn accepted(&self, (socket, addr): (Socket, SockAddr)) -> io::Result<(TcpStream, SocketAddr)> {
        let peer = addr.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((TcpStream::from_source(self.source().accepted(socket.into())), peer))
    }

    pub(crate) fn from_source(source: Source<std::net::TcpListener>) -> Self {
        Self(Acceptor::new(source))
    }

    pub(crate) fn into_source(self) -> Source<std::net::TcpListener> {
        self.0.into_source()
    }

    pub(crate) fn source(&self) -> &Source<std::net::TcpListener> {
        self.0.source()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source().io().fmt(f)
    }
}

/// The connections that arrive at a [`TcpListener`]: see [`incoming`](TcpListener::incoming).
///
/// # Examples
///
/// ```
/// use sward_io::net::{Incoming, TcpListener, TcpStream};
///
/// fn first(mut connections: Incoming<'_>) -> std::io::Result<TcpStream> {
///     connections.next().expect("the iterator never ends")
/// }
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// assert_eq!(first(listener.incoming())?.peer_addr()?, client.local_addr()?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
