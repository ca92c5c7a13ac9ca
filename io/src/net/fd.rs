//! Conversions of all sockets, those of Unix too, from and to `std`'s sockets, those of `socket2`, and descriptors.
//!
//! # Invariants
//!
//! - **I1** `from_raw_fd` takes what its caller owns and gives up, as `std`'s does.
//!
//! # Suspension
//!
//! Nothing here suspends.
//!
//! # Checked by
//!
//! `tests/tcp_convert.rs`, `tests/socket_convert.rs`.
#![expect(unsafe_code, reason = "`FromRawFd` is unsafe to call")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::{TcpListener, TcpStream, UdpSocket};
use crate::{
    os::unix::net::{UnixDatagram, UnixListener, UnixStream},
    source::Source,
    sys::socket,
};

/// Implements the conversions for one type of socket around a `Source` of a type of `std`. The last is which sockets are of its own kind.
macro_rules! conversions {
    ($socket:ty, $of_std:ty, $is_own_kind:expr) => {
        /// Takes over a socket of `std`, with its timeouts. It parks from now on, in whatever mode it was.
        impl From<$of_std> for $socket {
            fn from(socket: $of_std) -> Self {
                Self::from_source(Source::adopt(socket, $is_own_kind))
            }
        }

        /// Gives up a socket to `std`, with its timeouts. It blocks from now on, unless it was set to non-blocking mode.
        ///
        /// That mode is shared by all clones. Clones that transfer data go on parking all the same; an accept on a clone of a
        /// listener would block its worker.
        impl From<$socket> for $of_std {
            fn from(socket: $socket) -> Self {
                socket.into_source().release()
            }
        }

        /// Takes over a socket of the crate `socket2`, which has options that `std` lacks, as it does one of `std`. To set
        /// options later needs no conversion: `socket2::SockRef::from(&socket)` lends the socket.
        impl From<socket2::Socket> for $socket {
            fn from(socket: socket2::Socket) -> Self {
                Self::from(<$of_std>::from(socket))
            }
        }

        /// Gives up a socket to the crate `socket2`, as it is given up to `std`.
        impl From<$socket> for socket2::Socket {
            fn from(socket: $socket) -> Self {
                Self::from(<$of_std>::from(socket))
            }
        }

        /// Takes over a descriptor, as it does a socket of `std`.
        impl From<OwnedFd> for $socket {
            fn from(fd: OwnedFd) -> Self {
                Self::from(<$of_std>::from(fd))
            }
        }

        /// Gives up the descriptor, as it is given up to a socket of `std`.
        impl From<$socket> for OwnedFd {
            fn from(socket: $socket) -> Self {
                Self::from(<$of_std>::from(socket))
            }
        }

        /// Lends the descriptor. It is in non-blocking mode, which must stay so.
        impl AsFd for $socket {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.source().io().as_fd()
            }
        }

        /// Tells the descriptor. It is in non-blocking mode, which must stay so.
        impl AsRawFd for $socket {
            fn as_raw_fd(&self) -> RawFd {
                self.source().io().as_raw_fd()
            }
        }

        /// Gives up the descriptor, as it is given up to a socket of `std`.
        impl IntoRawFd for $socket {
            fn into_raw_fd(self) -> RawFd {
                OwnedFd::from(self).into_raw_fd()
            }
        }

        /// Takes over a descriptor, as it does a socket of `std`.
        impl FromRawFd for $socket {
            unsafe fn from_raw_fd(fd: RawFd) -> Self {
                // SAFETY: the caller's contract (I1).
                Self::from(unsafe { OwnedFd::from_raw_fd(fd) })
            }
        }
    };
}

conversions!(TcpStream, std::net::TcpStream, socket::is_tcp);
conversions!(TcpListener, std::net::TcpListener, socket::is_tcp);
// Nothing is concluded from the length of a datagram.
conversions!(UdpSocket, std::net::UdpSocket, |_| false);
conversions!(UnixStream, std::os::unix::net::UnixStream, socket::is_unix_stream);
conversions!(UnixListener, std::os::unix::net::UnixListener, socket::is_unix_stream);
conversions!(UnixDatagram, std::os::unix::net::UnixDatagram, |_| false);
