//! UDP: sockets that send datagrams and receive them.

mod options;
mod socket;

pub use socket::UdpSocket;
