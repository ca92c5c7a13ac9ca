//! Unix sockets that park the green thread instead of blocking its worker.
//!
//! The types, methods and errors are those of [`std::os::unix::net`]; what differs is said where it does. Addresses are
//! `std`'s own type; on Linux, abstract names are made and read with [`std::os::linux::net::SocketAddrExt`]. A socket works
//! on green threads and on OS threads outside the runtime alike, and may be used from both at once.
//!
//! Beyond what is stable in `std`: `peek`, `peek_from`, and on Linux `peer_cred` and the passing of descriptors, `send_fds`
//! and `recv_fds`.
//!
//! # Examples
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use std::{io::{Read, Write}, os::linux::net::SocketAddrExt};
//! use sward_io::os::unix::net::{SocketAddr, UnixListener, UnixStream};
//! use sward_runtime::thread;
//!
//! let addr = SocketAddr::from_abstract_name(format!("sward-example-{}", std::process::id()))?;
//! let listener = UnixListener::bind_addr(&addr)?;
//! let server = thread::spawn(move || listener.accept()?.0.write_all(b"who goes there"));
//!
//! let mut client = UnixStream::connect_addr(&addr)?;
//! let mut question = String::new();
//! client.read_to_string(&mut question)?;
//! assert_eq!(question, "who goes there");
//! server.join().unwrap()?;
//! # }
//! # Ok::<(), std::io::Error>(())
//! ```

mod addr;
mod datagram;
#[cfg(target_os = "linux")]
mod fds;
mod listener;
mod pauses;
mod stream;
#[cfg(target_os = "linux")]
mod ucred;

pub use datagram::UnixDatagram;
#[cfg(target_os = "linux")]
pub use fds::ReceivedFds;
pub use listener::{Incoming, UnixListener};
pub use stream::UnixStream;
#[cfg(target_os = "linux")]
pub use ucred::UCred;

#[doc(no_inline)]
pub use std::os::unix::net::SocketAddr;
