//! Green threads for Rust: goroutines as a library.
//!
//! You write plain blocking code; a green thread that would block is parked, and its worker, an OS thread, runs another. No
//! function is coloured, every core is used, and the API is `std`'s: a program moves from OS threads to green threads by changing
//! an import.
//!
//! ```
//! use std::io::{self, Read, Write};
//! use sward::{net::{TcpListener, TcpStream}, thread};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//!
//! // A server: one green thread accepts, and one serves each connection.
//! thread::spawn(move || {
//!     for stream in listener.incoming() {
//!         thread::spawn(move || -> io::Result<()> {
//!             let mut stream = stream?;
//!             let mut line = [0; 5];
//!             stream.read_exact(&mut line)?;
//!             line.make_ascii_uppercase();
//!             stream.write_all(&line)
//!         });
//!     }
//! });
//!
//! // A hundred clients at once.
//! let clients: Vec<_> = (0..100)
//!     .map(|_| {
//!         thread::spawn(move || -> io::Result<()> {
//!             let mut stream = TcpStream::connect(address)?;
//!             stream.write_all(b"hello")?;
//!             let mut answer = [0; 5];
//!             stream.read_exact(&mut answer)?;
//!             assert_eq!(&answer, b"HELLO");
//!             Ok(())
//!         })
//!     })
//!     .collect();
//! for client in clients {
//!     client.join().unwrap()?;
//! }
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # A tour
//!
//! - [`thread`]: [`spawn`](thread::spawn), [`join`](thread::JoinHandle::join), [`scope`](thread::scope),
//!   [`park`](thread::park), [`sleep`](thread::sleep), [`thread_local!`]: `std::thread`, made green.
//! - [`net`]: TCP and UDP, as in `std::net`; [`os::unix::net`]: Unix sockets. One reactor serves every socket of a runtime.
//!   [`net::serve`] and [`net::serve_messages`] are servers around a handler.
//! - [`fs`]: files and directories, as in `std::fs`. What is in the page cache is read at once, what is not on a pool.
//! - [`sync`]: locks, semaphores and all else that green threads and OS threads wait for each other with: `std::sync`, made green, and more.
//! - [`channel`]: `crossbeam-channel`, made green: bounded, unbounded and rendezvous channels, timers, and `select!`.
//! - [`future`]: green threads wait for futures, and futures for green threads.
//! - [`coroutine`]: generators, which are functions that yield; no scheduler has a part in them.
//! - [`actor`]: values that handle messages, one at a time; links, monitors, supervisors.
//! - [`task`]: several green threads together: scopes in which a failure ends the rest, groups, `gather`, `race`.
//! - [`process`]: child processes, as in `std::process`; [`signal`]: Ctrl-C, the request to end, and other signals.
//! - [`io`]: `std::io`, with standard streams and pipes that park, and [`Watched`](io::Watched) for any other descriptor.
//! - [`blocking`]: runs a call that blocks its OS thread here and now, while another worker takes the place of the one that it keeps.
//! - [`unblock`]: runs a call that would block its OS thread on a pool, and parks the green thread meanwhile.
//! - [`macro@main`] and [`macro@test`]: attributes for a program's `main` and for tests.
//! - [`run`] and [`runtime`]: the first `spawn` starts a default runtime; these are for where control is wanted.
//! - [`cancel`] and [`error`]: how a green thread, or a call, is made to end, and what can go wrong.
//! - [`time`]: deadlines that reach every wait inside a call, and intervals.
//!
//! With features, all off by default: `futures` gives [`io`] sockets for futures, and futures as streams; `hyper` adds HTTP servers and
//! clients, with the module `hyper`; `tokio` gives those sockets the traits of `tokio::io`, and green threads wait for tokio's by
//! `future::in_tokio`; with `tracing`, spans follow the green thread that is in them. Tasks of tokio need no feature: see the example
//! `tokio_interop`.
//!
//! Everything works on an OS thread outside the runtime too, which it blocks; and the two can join, unpark and message each other.
//!
//! # What is safe, and why
//!
//! A stack that moves between OS threads is unsound in Rust as soon as its code uses thread-locals. So by default a green thread is
//! *anchored*: until it starts any worker may take it; once started, it always runs on the same one, and thread-locals,
//! `Rc`s in them and guards keep their meaning. [`Builder::roaming`](runtime::Builder::roaming) lets started green
//! threads move, as in Go; it is `unsafe`, one line at the root, with its contract.
//!
//! One limit remains, which every stackful coroutine shares: unsafe code elsewhere that relies on calls of one OS thread
//! nesting can be broken by two green threads that interleave on one worker. [`thread::no_suspend`] guards such calls. Known to need
//! it: the `scoped-tls` crate, whose saved pointer is restored on return. Affected in meaning only: reentrant locks that
//! know their owner by OS thread, and, without the feature `tracing`, its stacks of spans.
//!
//! # Limits
//!
//! Linux on x86-64 and AArch64. Nothing is preempted: a green thread that computes without waiting keeps its worker, though what waits
//! in that worker's queue for a first run is taken by the others.
#![forbid(unsafe_code)]
#![doc(test(attr(deny(warnings))))]

pub mod actor;
mod attributes;
#[cfg(doctest)]
mod book;
pub mod future;
pub mod task;

/// What attributes and macros expand to.
#[doc(hidden)]
pub mod __private {
    pub use crate::attributes::{main, test, test_within};
}

#[cfg(feature = "hyper")]
pub use sward_io::hyper;
pub use sward_io::{fs, io, net, os, process, signal};
pub use sward_macros::{main, test};
pub use sward_runtime::{
    blocking, cancel, coroutine, error, run, runtime, thread, thread_local, time, unblock,
};
pub use sward_sync::{self as sync, channel};
