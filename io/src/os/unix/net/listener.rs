//! A socket that accepts Unix connections.

use std::{fmt, io, os::unix::net::SocketAddr, path::Path};

use socket2::{SockAddr, Socket};

use super::{UnixStream, addr::from_sys};
use crate::{net::acceptor::Acceptor, source::Source};

/// A Unix socket that accepts connections, as [`std::os::unix::net::UnixListener`].
///
/// Several threads may accept from one listener; each connection goes to one of them, and wakes no other. The listener ends
/// when the last clone is dropped; the file that names it stays.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use sward_io::os::unix::net::{UnixListener, UnixStream};
///
/// # let path = std::env::temp_dir().join(format!("sward-doc-listener-{}", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// let listener = UnixListener::bind(&path)?;
/// let mut client = UnixStream::connect(&path)?;
///
/// let (mut server, _) = listener.accept()?;
/// server.write_all(b"welcome")?;
/// drop(server);
///
/// let mut greeting = String::new();
/// client.read_to_string(&mut greeting)?;
/// assert_eq!(greeting, "welcome");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixListener(Acceptor<std::os::unix::net::UnixListener>);

impl UnixListener {
    /// Creates a listener, and a file that names it.
    ///
    /// # Errors
    ///
    /// What the system says: [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long or has a zero in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::os::unix::net::UnixListener;
    ///
    /// # let path = std::env::temp_dir().join(format!("sward-doc-bind-{}", std::process::id()));
    /// # let _ = std::fs::remove_file(&path);
    /// let listener = UnixListener::bind(&path)?;
    /// assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::with(std::os::unix::net::UnixListener::bind(path)?)
    }

    /// Creates a listener on an address. One without a name asks Linux for an abstract name.
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
    /// use sward_io::os::unix::net::{SocketAddr, UnixListener};
    ///
    /// let name = format!("sward-doc-{}", std::process::id());
    /// let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    /// assert_eq!(listener.local_addr()?.as_abstract_name(), Some(name.as_bytes()));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<Self> {
        Self::with(std::os::unix::net::UnixListener::bind_addr(socket_addr)?)
    }

    fn with(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::from_source(Source::new(listener)))
    }

    /// Accepts a connection, and returns it with the address of the peer, which mostly has no name.
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
    /// What the system says, as in `std`: also that there are no descriptors left, after which accepts pause as those of
    /// [`TcpListener`](crate::net::TcpListener::accept).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    /// # let listener = UnixListener::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// let _client = UnixStream::connect_addr(&listener.local_addr()?)?;
    /// let (_server, peer) = listener.accept()?;
    /// assert!(peer.is_unnamed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        Ok(self.accepted(self.0.accept()?))
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
    /// # use sward_io::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    /// # let listener = UnixListener::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// let clone = listener.try_clone()?;
    /// let _client = UnixStream::connect_addr(&listener.local_addr()?)?;
    /// clone.accept()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::from_source(self.source().share_with(self.source().io().try_clone()?)))
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
    /// # use sward_io::os::unix::net::{SocketAddr, UnixListener};
    /// # let listener = UnixListener::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// assert_eq!(listener.local_addr()?.as_pathname(), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source().io().local_addr()
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
    /// # use sward_io::os::unix::net::{SocketAddr, UnixListener};
    /// # let listener = UnixListener::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// listener.set_nonblocking(true)?;
    /// assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.source().options().set_nonblocking(nonblocking);
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
    /// # use sward_io::os::unix::net::{SocketAddr, UnixListener};
    /// # let listener = UnixListener::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// assert!(listener.take_error()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.source().io().take_error()
    }

    /// Iterates over the connections that arrive. The iterator never ends; each step is an [`accept`](Self::accept).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    /// # let listener = UnixListener::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// # let addr = listener.local_addr()?;
    /// let clients = [UnixStream::connect_addr(&addr)?, UnixStream::connect_addr(&addr)?];
    /// for (_client, server) in clients.iter().zip(listener.incoming()) {
    ///     assert_eq!(server?.local_addr()?.as_pathname(), addr.as_pathname());
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    pub(crate) fn acceptor(&self) -> &Acceptor<std::os::unix::net::UnixListener> {
        &self.0
    }

    /// What `accept` returns, of what the system returned.
    pub(crate) fn accepted(&self, (socket, addr): (Socket, SockAddr)) -> (UnixStream, SocketAddr) {
        (UnixStream::from_source(self.source().accepted(socket.into())), from_sys(&addr))
    }

    pub(crate) fn from_source(source: Source<std::os::unix::net::UnixListener>) -> Self {
        Self(Acceptor::new(source))
    }

    pub(crate) fn into_source(self) -> Source<std::os::unix::net::UnixListener> {
        self.0.into_source()
    }

    pub(crate) fn source(&self) -> &Source<std::os::unix::net::UnixListener> {
        self.0.source()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source().io().fmt(f)
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// The connections that arrive at a [`UnixListener`]: see [`incoming`](UnixListener::incoming).
///
/// # Examples
///
/// ```
/// # use sward_io::os::unix::net::SocketAddr;
/// use sward_io::os::unix::net::{Incoming, UnixListener, UnixStream};
///
/// fn first(mut connections: Incoming<'_>) -> std::io::Result<UnixStream> {
///     connections.next().expect("the iterator never ends")
/// }
///
/// # let listener = UnixListener::bind_addr(&SocketAddr::from_pathname("")?)?;
/// let _client = UnixStream::connect_addr(&listener.local_addr()?)?;
/// assert!(first(listener.incoming())?.peer_addr()?.is_unnamed());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "iterators are lazy"]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
