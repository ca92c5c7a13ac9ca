//! TCP and UDP sockets that park the green thread instead of blocking its worker.
//!
//! The types, methods and errors are those of [`std::net`]; what differs is said where it does. Addresses are
//! `std`'s own types. A socket works on green threads and on OS threads outside the runtime alike, and may be used
//! from both at once.

pub(crate) mod acceptor;
mod addr;
pub(crate) mod datagram;
mod fd;
mod serve;
mod tcp;
mod udp;

pub use addr::ToSocketAddrs;
pub use serve::{Listener, ServeError, ServeOptions, Server, serve, serve_messages};
pub use tcp::{Incoming, TcpListener, TcpStream};
pub use udp::UdpSocket;

#[doc(no_inline)]
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};
