//! The options of a UDP socket.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::UdpSocket;

impl UdpSocket {
    /// Sets whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
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
    /// socket.set_broadcast(true)?;
    /// assert!(socket.broadcast()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.source().io().set_broadcast(broadcast)
    }

    /// Returns whether datagrams may be sent to broadcast addresses.
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
    /// assert!(!socket.broadcast()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn broadcast(&self) -> io::Result<bool> {
        self.source().io().broadcast()
    }

    /// Sets whether multicast datagrams are also delivered to this machine (`IP_MULTICAST_LOOP`).
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
    /// socket.set_multicast_loop_v4(false)?;
    /// assert!(!socket.multicast_loop_v4()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()> {
        self.source().io().set_multicast_loop_v4(multicast_loop_v4)
    }

    /// Returns whether multicast datagrams are also delivered to this machine.
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
    /// assert!(socket.multicast_loop_v4()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.source().io().multicast_loop_v4()
    }

    /// Sets how many hops a multicast datagram may take (`IP_MULTICAST_TTL`).
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
    /// socket.set_multicast_ttl_v4(42)?;
    /// assert_eq!(socket.multicast_ttl_v4()?, 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()> {
        self.source().io().set_multicast_ttl_v4(multicast_ttl_v4)
    }

    /// Returns how many hops a multicast datagram may take.
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
    /// assert_eq!(socket.multicast_ttl_v4()?, 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.source().io().multicast_ttl_v4()
    }

    /// Sets whether multicast datagrams are also delivered to this machine (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// This is no socket of IPv6.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let Ok(socket) = UdpSocket::bind("[::1]:0") else { return Ok(()) };
    /// socket.set_multicast_loop_v6(false)?;
    /// assert!(!socket.multicast_loop_v6()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()> {
        self.source().io().set_multicast_loop_v6(multicast_loop_v6)
    }

    /// Returns whether multicast datagrams are also delivered to this machine.
    ///
    /// # Errors
    ///
    /// This is no socket of IPv6.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::UdpSocket;
    /// # let Ok(socket) = UdpSocket::bind("[::1]:0") else { return Ok(()) };
    /// assert!(socket.multicast_loop_v6()?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.source().io().multicast_loop_v6()
    }

    /// Sets how many hops a datagram may take (`IP_TTL`).
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
    /// socket.set_ttl(42)?;
    /// assert_eq!(socket.ttl()?, 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.source().io().set_ttl(ttl)
    }

    /// Returns how many hops a datagram may take.
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
    /// assert!(socket.ttl()? > 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.source().io().ttl()
    }

    /// Joins a multicast group of IPv4 (`IP_ADD_MEMBERSHIP`) on the interface that has this address;
    /// [`Ipv4Addr::UNSPECIFIED`] leaves the choice to the system.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::net::{Ipv4Addr, UdpSocket};
    ///
    /// let socket = UdpSocket::bind("0.0.0.0:5353")?;
    /// socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 251), &Ipv4Addr::UNSPECIFIED)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.source().io().join_multicast_v4(multiaddr, interface)
    }

    /// Joins a multicast group of IPv6 (`IPV6_ADD_MEMBERSHIP`) on the interface with this index; zero leaves the choice to
    /// the system.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::net::{Ipv6Addr, UdpSocket};
    ///
    /// let socket = UdpSocket::bind("[::]:5353")?;
    /// socket.join_multicast_v6(&Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb), 0)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.source().io().join_multicast_v6(multiaddr, interface)
    }

    /// Leaves a multicast group of IPv4 (`IP_DROP_MEMBERSHIP`): the opposite of
    /// [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    ///
    /// The socket is not in this group.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{Ipv4Addr, UdpSocket};
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let never_joined = Ipv4Addr::new(224, 0, 0, 251);
    /// assert!(socket.leave_multicast_v4(&never_joined, &Ipv4Addr::LOCALHOST).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.source().io().leave_multicast_v4(multiaddr, interface)
    }

    /// Leaves a multicast group of IPv6 (`IPV6_DROP_MEMBERSHIP`): the opposite of
    /// [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    ///
    /// The socket is not in this group.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::net::{Ipv6Addr, UdpSocket};
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let never_joined = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
    /// assert!(socket.leave_multicast_v6(&never_joined, 0).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.source().io().leave_multicast_v6(multiaddr, interface)
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
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(socket.take_error()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.source().io().take_error()
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
    /// # use sward_io::net::UdpSocket;
    /// # let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.source().options().set_nonblocking(nonblocking);
        Ok(())
    }
}
