//! What hyper needs of a runtime: an [`Executor`] and a [`Timer`]. Connections are [`Polled`](crate::io::Polled) sockets.
//!
//! A connection is a future, which a green thread of its own waits for. HTTP/1.1 needs no more; the executor is for HTTP/2, where
//! each request is a future too.
//!
//! # Examples
//!
//! A server for HTTP/1.1:
//!
//! ```no_run
//! use std::{convert::Infallible, io};
//! use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
//! use sward_io::{hyper::Timer, io::Polled, net::TcpListener};
//! use sward_runtime::{future, thread};
//!
//! async fn greet(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
//!     Ok(Response::new("hello".to_owned()))
//! }
//!
//! let listener = TcpListener::bind("127.0.0.1:8080")?;
//! for stream in listener.incoming() {
//!     let stream = Polled::new(stream?);
//!     thread::spawn(move || {
//!         let connection = http1::Builder::new().timer(Timer).serve_connection(stream, service_fn(greet));
//!         future::block_on(connection)
//!     });
//! }
//! # Ok::<(), io::Error>(())
//! ```
//!
//! With `hyper_util::server::conn::auto::Builder::new(Executor)` it speaks HTTP/2 as well: see the example `http_server` of `sward`.

mod timer;

pub use timer::Timer;

use sward_runtime::{future::block_on, thread};

/// Runs futures, each on a green thread of its own: hyper's [`Executor`](::hyper::rt::Executor).
///
/// The green threads belong to the runtime of whoever calls: a green thread's, or else the default one. If that is ending, or there is no
/// room for another green thread, the future is dropped, which hyper takes for a connection that broke.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use hyper::rt::Executor as _;
/// use sward_io::hyper::Executor;
///
/// let (sender, receiver) = mpsc::channel();
/// Executor.execute(async move { sender.send("done").unwrap() });
/// assert_eq!(receiver.recv(), Ok("done"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> ::hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let _ = thread::Builder::new().spawn(move || block_on(future));
    }
}
