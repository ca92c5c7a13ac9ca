//! What a server needs of a listener.

use std::{io, sync::Arc};

use crate::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::{self as unix, UnixListener, UnixStream},
    source::Line,
};

/// A socket whose connections can be served: a [`TcpListener`] or a [`UnixListener`]. It cannot be implemented elsewhere.
///
/// # Examples
///
/// ```
/// use std::io;
/// use sward_io::net::{Listener, ServeOptions, Server, TcpListener, serve};
///
/// /// Hangs up on everybody.
/// fn decline(listener: impl Listener) -> io::Result<Server> {
///     serve(listener, ServeOptions::new(), |stream, _peer| Ok(drop(stream)))
/// }
///
/// decline(TcpListener::bind("127.0.0.1:0")?)?;
/// # Ok::<(), io::Error>(())
/// ```
#[expect(private_bounds, reason = "sealed")]
pub trait Listener: Accepts<<Self as Listener>::Stream, <Self as Listener>::Addr> {
    /// A connection.
    type Stream: Stream;
    /// The address of a peer.
    type Addr: Send + 'static;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Addr = SocketAddr;
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Addr = unix::SocketAddr;
}

/// The part of [`Listener`] that is nobody else's.
pub(crate) trait Accepts<S, A>: Send + Sync + 'static {
    /// Registers the listener, and has it wait.
    fn prepare(&self) -> io::Result<()>;

    /// Accepts a connection, if `enter` allows each attempt; `leave` is called if it was one in vain.
    fn accept_if(&self, enter: &dyn Fn() -> bool, leave: &dyn Fn()) -> io::Result<Option<(S, A)>>;

    /// Has everybody who accepts look whether it is over.
    fn ring(&self);
}

impl Accepts<TcpStream, SocketAddr> for TcpListener {
    fn prepare(&self) -> io::Result<()> {
        self.source().options().set_nonblocking(false);
        self.source().watch()
    }

    fn accept_if(
        &self,
        enter: &dyn Fn() -> bool,
        leave: &dyn Fn(),
    ) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let accepted = self.acceptor().accept_if(enter, leave)?;
        accepted.map(|accepted| self.accepted(accepted)).transpose()
    }

    fn ring(&self) {
        self.acceptor().ring();
    }
}

impl Accepts<UnixStream, unix::SocketAddr> for UnixListener {
    fn prepare(&self) -> io::Result<()> {
        self.source().options().set_nonblocking(false);
        self.source().watch()
    }

    fn accept_if(
        &self,
        enter: &dyn Fn() -> bool,
        leave: &dyn Fn(),
    ) -> io::Result<Option<(UnixStream, unix::SocketAddr)>> {
        let accepted = self.acceptor().accept_if(enter, leave)?;
        Ok(accepted.map(|accepted| self.accepted(accepted)))
    }

    fn ring(&self) {
        self.acceptor().ring();
    }
}

/// The same for its streams.
pub(crate) trait Stream: Send + 'static {
    /// Opens a line to it.
    fn line(&mut self) -> Arc<Line>;

    /// Registers it, so that its line can be waited on.
    fn watch(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn line(&mut self) -> Arc<Line> {
        self.source_mut().line()
    }

    fn watch(&self) -> io::Result<()> {
        self.source().watch()
    }
}

impl Stream for UnixStream {
    fn line(&mut self) -> Arc<Line> {
        self.source_mut().line()
    }

    fn watch(&self) -> io::Result<()> {
        self.source().watch()
    }
}
