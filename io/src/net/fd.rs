//! Conversions of sockets from and to `std`'s sockets and descriptors.
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
//! `tests/tcp_convert.rs`.
#![expect(unsafe_code, reason = "`FromRawFd` is unsafe to call")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::{TcpListener, TcpStream};
use crate::source::Source;

/// Implements the conversions for one type of socket around a `Source` of the same type of `std`.
macro_rules! conversions {
    ($socket:ident) => {
        /// Takes over a socket of `std`, with its timeouts. It parks from now on, in whatever mode it was.
        impl From<std::net::$socket> for $socket {
            fn from(socket: std::net::$socket) -> Self {
                Self::from_source(Source::adopt(socket))
            }
        }

        /// Gives up a socket to `std`, with its timeouts. It blocks from now on, unless it was set to non-blocking mode.
        ///
        /// That mode is shared by all clones. Clones of a stream go on parking all the same; an accept on a clone of a
        /// listener would block its worker.
        impl From<$socket> for std::net::$socket {
            fn from(socket: $socket) -> Self {
                socket.into_source().release()
            }
        }

        /// Takes over a descriptor, as it does a socket of `std`.
        impl From<OwnedFd> for $socket {
            fn from(fd: OwnedFd) -> Self {
                Self::from(std::net::$socket::from(fd))
            }
        }

        /// Gives up the descriptor, as it is given up to a socket of `std`.
        impl From<$socket> for OwnedFd {
            fn from(socket: $socket) -> Self {
                Self::from(std::net::$socket::from(socket))
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

conversions!(TcpStream);
conversions!(TcpListener);
