//! Sockets, files, processes, signals and standard streams for green threads: the names, signatures and meaning of `std`,
//! parking instead of blocking.
//!
//! This is a layer of `sward`; programs use it through that crate. Everything here works on a green thread, which is
//! parked while it waits, and on an OS thread outside the runtime, which is blocked.
//!
//! ```
//! use std::io::{self, Read, Write};
//! use sward_io::net::{TcpListener, TcpStream};
//! use sward_runtime::thread;
//!
//! /// Sends back what it reads, a green thread for each connection.
//! fn echo(listener: TcpListener) -> io::Result<()> {
//!     for stream in listener.incoming() {
//!         let stream = stream?;
//!         thread::spawn(move || io::copy(&mut &stream, &mut &stream));
//!     }
//!     Ok(())
//! }
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let addr = listener.local_addr()?;
//! thread::spawn(move || echo(listener));
//!
//! let mut client = TcpStream::connect(addr)?;
//! client.write_all(b"over and out")?;
//! let mut answer = [0; 12];
//! client.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"over and out");
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # How it works
//!
//! An operation is tried first, with one system call. Only when it would block is the descriptor registered, once and
//! for life, with the reactor of the runtime, and the caller parked. The kernel tells the reactor of changes only
//! (edge-triggered); a word per direction remembers them, so that an operation which has nothing to do costs no system
//! call, and one that read less than it asked for need not ask again. In reading order:
//!
//! | module | |
//! |---|---|
//! | `readiness` | the word: what is known of one direction, and that somebody waits for more |
//! | `direction` | the word and the list of those who wait |
//! | `sys` | epoll on Linux, `polling` elsewhere; transfers that never block |
//! | `reactor` | which descriptors are registered, and whom an event concerns |
//! | `source` | a descriptor: try, wait, try again |
//! | `net`, `os::unix::net` | the public sockets |
//! | `pipe`, `watched` | pipes; any other descriptor |
//! | `copy` | from a reader to a writer, in the kernel if it can be |
//! | `duplex` | streams in memory |
//! | `stdio` | the standard streams, whose mode is not ours to change |
//! | `process`, `signal` | child processes and signals |
//! | `polled`, `hyper` | sockets in futures; what hyper needs (features) |
//! | `io` | what takes the place of `std::io` |
//! | `fs` | files: the page cache on the worker, the disk on the pool |
//!
//! # Features
//!
//! - `futures`: [`io::Polled`](crate::io) sockets have the traits of `futures-io`, and `io::BlockOn` takes what has them.
//! - `hyper`: they have the traits of hyper's connections, and the module `hyper` has an executor and a timer for it.
//! - `tokio`: they have the traits of `tokio::io`.
//! - `fault-injection`: for the tests of this crate, which make system calls fail by it.
//! - `polling`: collects readiness through the `polling` crate on Linux too, as on other Unixes. For tests.
#![deny(unsafe_code)]
#![doc(test(attr(deny(warnings))))]

mod copy;
mod direction;
mod duplex;
mod error;
mod options;
mod pipe;
#[cfg(any(feature = "futures", feature = "hyper", feature = "tokio"))]
mod polled;
mod prim;
mod reactor;
mod readiness;
mod source;
mod stdio;
mod sys;
mod watched;

pub mod fs;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod io;
pub mod net;
pub mod os;
pub mod process;
pub mod signal;

pub use error::RuntimeClosed;
pub use reactor::Reactor;

/// The readiness protocol, for the models in `loom-tests` to drive. Not part of the public API.
#[doc(hidden)]
pub mod model {
    pub use crate::{
        direction::{Direction, Ticket},
        readiness::{Readiness, Snapshot, Wait, Wake},
    };
}

/// Faults of system calls, for the tests of this crate to inject. Not part of the public API.
#[cfg(feature = "fault-injection")]
#[doc(hidden)]
pub mod faults {
    pub use crate::sys::seam::{
        Call,
        plan::{Fault, Plan},
    };
}
