//! What hyper needs of a runtime: an [`Executor`] and a [`Timer`]. Connections are [`Polled`](crate::io::Polled) sockets.
//!
//! A connection is a future. The executor has a green thread poll it whenever something has arrived, so connections that are idle cost no stack; for HTTP/2, each
//! request is a future too. Or else a green thread of its own waits for it, with [`future::block_on`](sward_runtime::future::block_on).
//!
//! # Examples
//!
//! A server for HTTP/1.1:
//!
//! ```no_run
//! use std::{convert::Infallible, io};
//! use hyper::{Request, Response, body::Incoming, rt::Executor as _, server::conn::http1, service::service_fn};
//! use sward_io::{hyper::{Executor, Timer}, io::Polled, net::TcpListener};
//!
//! async fn greet(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
//!     Ok(Response::new("hello".to_owned()))
//! }
//!
//! let listener = TcpListener::bind("127.0.0.1:8080")?;
//! for stream in listener.incoming() {
//!     let stream = Polled::new(stream?);
//!     let connection = http1::Builder::new().timer(Timer).serve_connection(stream, service_fn(greet));
//!     Executor.execute(connection);
//! }
//! # Ok::<(), io::Error>(())
//! ```
//!
//! With `hyper_util::server::conn::auto::Builder::new(Executor)` it speaks HTTP/2 as well: see the example `http_server` of `sward`.

mod executor;
mod timer;

pub use executor::Executor;
pub use timer::Timer;
