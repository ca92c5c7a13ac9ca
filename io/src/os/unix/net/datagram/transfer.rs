//! Sending Unix datagrams and receiving them.

use std::{io, os::fd::AsFd, os::unix::net::SocketAddr, path::Path};

use socket2::SockAddr;

use super::UnixDatagram;
use crate::{
    net::datagram::receive,
    os::unix::net::{
        addr::{from_sys, path_to_sys, to_sys},
        pauses::until_room,
    },
    source::{Interest, Operation},
    sys::socket,
};

impl UnixDatagram {
    /// Receives a datagram, and returns its length, as far as it fits, and who sent it: who has no name, without one.
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
    /// # use sward_io::os::unix::net::{SocketAddr, UnixDatagram};
    /// # let socket = UnixDatagram::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// # let sender = UnixDatagram::unbound()?;
    /// sender.send_to_addr(b"hello", &socket.local_addr()?)?;
    /// let mut buffer = [0; 4];
    /// let (received, addr) = socket.recv_from(&mut buffer)?;
    /// assert_eq!(&buffer[..received], b"hell");
    /// assert!(addr.is_unnamed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let attempt = |socket: std::os::fd::BorrowedFd<'_>| socket::receive_from(socket, buf);
        let (received, addr) = receive(self.source(), attempt, no_sender)?;
        Ok((received, from_sys(&addr)))
    }

    /// Receives a datagram as [`recv_from`](Self::recv_from) does, but leaves it for the next receive. In `std` not stable.
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
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, peer) = UnixDatagram::pair()?;
    /// peer.send(b"hello")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(socket.peek_from(&mut buffer)?.0, 5);
    /// assert_eq!(socket.recv_from(&mut buffer)?.0, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let attempt = |socket: std::os::fd::BorrowedFd<'_>| socket::peek_from(socket, buf);
        let (received, addr) = receive(self.source(), attempt, no_sender)?;
        Ok((received, from_sys(&addr)))
    }

    /// Receives a datagram, and returns its length, as far as it fits.
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
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, peer) = UnixDatagram::pair()?;
    /// peer.send(b"hello")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(socket.recv(&mut buffer)?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        receive(self.source(), |socket| socket::receive(socket, buf), || Ok(0))
    }

    /// Receives a datagram as [`recv`](Self::recv) does, but leaves it for the next receive. In `std` not stable.
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
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, peer) = UnixDatagram::pair()?;
    /// peer.send(b"hello")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(socket.peek(&mut buffer)?, 5);
    /// assert_eq!(socket.recv(&mut buffer)?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        receive(self.source(), |socket| socket::peek(socket, buf), || Ok(0))
    }

    /// Sends a datagram to the socket that a file names. Returns its length.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while the receiver has no room. It tries again now
    /// and then, since no event tells of room there. To a [peer](Self::connect), [`send`](Self::send) is told.
    ///
    /// # Cancellation
    ///
    /// Nothing has been sent.
    ///
    /// # Errors
    ///
    /// Nobody is there; the datagram is longer than the system sends; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path
    /// is too long or has a zero in it; [`WouldBlock`](io::ErrorKind::WouldBlock) after the write timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::os::unix::net::UnixDatagram;
    ///
    /// # let path = std::env::temp_dir().join(format!("sward-doc-send-to-{}", std::process::id()));
    /// # let _ = std::fs::remove_file(&path);
    /// let receiver = UnixDatagram::bind(&path)?;
    /// UnixDatagram::unbound()?.send_to(b"hello", &path)?;
    /// assert_eq!(receiver.recv(&mut [0; 16])?, 5);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_sys(buf, &path_to_sys(path.as_ref())?)
    }

    /// Sends a datagram to the socket at an address, as [`send_to`](Self::send_to) does.
    ///
    /// # Suspension
    ///
    /// As [`send_to`](Self::send_to).
    ///
    /// # Cancellation
    ///
    /// Nothing has been sent.
    ///
    /// # Errors
    ///
    /// Those of [`send_to`](Self::send_to).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::{SocketAddr, UnixDatagram};
    /// # let receiver = UnixDatagram::bind_addr(&SocketAddr::from_pathname("")?)?;
    /// let addr = receiver.local_addr()?;
    /// assert_eq!(UnixDatagram::unbound()?.send_to_addr(b"hello", &addr)?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_to_addr(&self, buf: &[u8], socket_addr: &SocketAddr) -> io::Result<usize> {
        self.send_to_sys(buf, &to_sys(socket_addr)?)
    }

    fn send_to_sys(&self, buf: &[u8], addr: &SockAddr) -> io::Result<usize> {
        let source = self.source();
        let attempt = || socket::send_to(source.io().as_fd(), buf, addr);
        source.check_deadline(Interest::Write)?;
        until_room(source.end_of_wait(Interest::Write), || !source.is_nonblocking(), attempt)
    }

    /// Sends a datagram to the peer. Returns its length.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while the peer has no room.
    ///
    /// # Cancellation
    ///
    /// Nothing has been sent.
    ///
    /// # Errors
    ///
    /// There is no peer, or not any more; the datagram is longer than the system sends;
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) after the write timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::os::unix::net::UnixDatagram;
    /// # let (socket, peer) = UnixDatagram::pair()?;
    /// assert_eq!(socket.send(b"hello")?, 5);
    /// drop(peer);
    /// assert!(socket.send(b"hello").is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.source().run(Operation::WRITE.looking(), |io| socket::send(io.as_fd(), buf), |_| false)
    }
}

/// What there is to receive with an address when the reading half was shut down.
fn no_sender() -> io::Result<(usize, SockAddr)> {
    Ok((0, SockAddr::unix("")?))
}
