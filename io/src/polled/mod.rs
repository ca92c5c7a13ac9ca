//! Sockets in futures.
//!
//! # Suspension
//!
//! Nothing here suspends but [`BlockOn`], which waits for what is polled.
//!
//! # Rejected
//!
//! - *To lend the socket.* A thread that waited on it could stand behind a future in the list that is not polled any more.
//! - *The traits on the sockets themselves.* A place in the list of each direction belongs to one future; a socket is shared by threads.
//! - *Listeners.* Whoever accepts can be a green thread, and wait.
//!
//! # Checked by
//!
//! `tests/polled.rs`, `tests/polled_tokio.rs`, `tests/hyper.rs`, `tests/hyper_http2.rs`.

/// The writing half of a socket, which all three crates have alike but for the name of its end, and for what says that it takes several buffers
/// at once, if there is such a thing. Expanded where the trait is imported.
macro_rules! writes {
    ($write:ident for $stream:ty, $end:ident $(, $is_write_vectored:ident)?) => {
        impl $write for Polled<$stream> {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                poll_send(self.get_mut(), context, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                poll_send_vectored(self.get_mut(), context, bufs)
            }

            $(fn $is_write_vectored(&self) -> bool {
                true
            })?

            fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn $end(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(close(&self))
            }
        }
    };
}

#[cfg(feature = "futures")]
pub(crate) mod block_on;
#[cfg(feature = "futures")]
mod futures;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "tokio")]
mod tokio;

use std::{
    fmt,
    io::{self, IoSlice},
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd},
    task::{Context, Poll},
};

use crate::{
    net::TcpStream,
    os::unix::net::UnixStream,
    source::{Operation, poll::Slot},
    sys::socket::{self, MAX_SLICES, is_short},
};

/// A socket in a future: what implements the traits of `futures-io` (feature `futures`), of hyper (feature `hyper`) and of `tokio::io`
/// (feature `tokio`).
///
/// It never waits: an operation that would, leaves the waker of the future with the reactor and is *pending*. So it works in
/// [`block_on`](sward_runtime::future::block_on), where the green thread is parked, and on any other executor. The reactor is that of
/// the runtime in which the socket first has to wait: the green thread's, or else the default one, which is started.
///
/// One future reads and one writes; both may be the same. If others poll in the same direction, the last is woken. For threads the socket
/// is out of reach meanwhile; its descriptor is lent, for options through `socket2`. The waker of the future that last waited is kept for its
/// next wait, until another waits or this is dropped.
///
/// The socket's timeouts and its mode are not heeded: they are about threads that wait. To give up on a future, drop it.
/// Closing, or shutting down, ends the writing half ([`Shutdown::Write`]).
///
/// A write to a Unix socket whose buffer is full is not woken when the peer shuts down its reading half, of which the kernel tells nobody;
/// it is when the peer closes. Threads that wait look now and then; a future that has to know needs a time limit.
///
/// # Cancellation
///
/// Of an operation that is pending nothing has happened: its future can be dropped.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "futures")] {
/// use std::io::Read;
/// use futures_lite::AsyncWriteExt;
/// use sward_io::{io::Polled, net::{TcpListener, TcpStream}};
/// use sward_runtime::future;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let (server, _) = listener.accept()?;
///
/// future::block_on(async {
///     let mut server = Polled::new(server);
///     server.write_all(b"hello").await?;
///     server.close().await
/// })?;
/// let mut message = String::new();
/// client.read_to_string(&mut message)?;
/// assert_eq!(message, "hello");
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Polled<S> {
    reads: Slot,
    writes: Slot,
    stream: S,
}

impl<S> Polled<S> {
    /// Takes a [`TcpStream`] or a [`UnixStream`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::{io::Polled, os::unix::net::UnixStream};
    ///
    /// let (one, _other) = UnixStream::pair()?;
    /// let polled = Polled::new(one);
    /// # let _ = polled;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(stream: S) -> Self {
        Self { reads: Slot::default(), writes: Slot::default(), stream }
    }

    /// Gives the socket back. Nothing is lost: there is no buffer.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::Write;
    /// # use sward_io::{io::Polled, os::unix::net::UnixStream};
    /// # let (one, _other) = UnixStream::pair()?;
    /// let mut stream = Polled::new(one).into_inner();
    /// stream.write_all(b"by a thread again")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn into_inner(self) -> S {
        self.stream
    }
}

/// Lends the descriptor. It is in non-blocking mode, which must stay so.
impl<S: AsFd> AsFd for Polled<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl<S: fmt::Debug> fmt::Debug for Polled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Polled").field(&self.stream).finish()
    }
}

/// A connection, for futures.
pub(crate) trait Stream {
    /// Tries to transfer `wanted` bytes.
    fn poll(
        &self,
        operation: Operation,
        slot: &mut Slot,
        context: &Context<'_>,
        wanted: usize,
        attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>>;

    /// Ends the writing half.
    fn end_writing(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn poll(
        &self,
        operation: Operation,
        slot: &mut Slot,
        context: &Context<'_>,
        wanted: usize,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let is_short = |&done: &usize| is_short(done, wanted);
        self.source().poll(operation, slot, context, |io| attempt(io.as_fd()), is_short)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for UnixStream {
    /// What is short says nothing, as for threads.
    fn poll(
        &self,
        operation: Operation,
        slot: &mut Slot,
        context: &Context<'_>,
        _wanted: usize,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.source().poll(operation, slot, context, |io| attempt(io.as_fd()), |_| false)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

fn poll_receive<S: Stream>(
    polled: &mut Polled<S>,
    context: &Context<'_>,
    wanted: usize,
    attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    polled.stream.poll(Operation::READ, &mut polled.reads, context, wanted, attempt)
}

fn poll_send<S: Stream>(
    polled: &mut Polled<S>,
    context: &Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>> {
    let send = |fd: BorrowedFd<'_>| socket::send(fd, buf);
    polled.stream.poll(Operation::WRITE, &mut polled.writes, context, buf.len(), send)
}

fn poll_send_vectored<S: Stream>(
    polled: &mut Polled<S>,
    context: &Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let wanted = bufs.iter().take(MAX_SLICES).map(|buf| buf.len()).sum();
    let send = |fd: BorrowedFd<'_>| socket::send_vectored(fd, bufs);
    polled.stream.poll(Operation::WRITE, &mut polled.writes, context, wanted, send)
}

/// Ends the writing half, unless the connection has ended already.
fn close<S: Stream>(polled: &Polled<S>) -> io::Result<()> {
    match polled.stream.end_writing() {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}
