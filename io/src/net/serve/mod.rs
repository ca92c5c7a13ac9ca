//! Servers: connections accepted on every worker, up to a limit, each looked after by a green thread, until a shutdown in
//! good order.
//!
//! | file | what is in it |
//! |---|---|
//! | `options.rs` | settings, and whom to tell of errors |
//! | `listener.rs` | what a server needs of a listener |
//! | `seats.rs` | the limit, and who is there |
//! | `accept.rs` | who accepts, and what becomes of errors |
//! | `messages.rs` | connections that have a stack only while there is something to do |

mod accept;
mod listener;
mod messages;
mod options;
mod seats;

use std::{
    fmt, io,
    marker::PhantomData,
    ops::ControlFlow,
    panic::resume_unwind,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use sward_runtime::{cancel::Cancelled, runtime::Handle};

use self::{
    accept::{Service, Visit},
    messages::Messages,
    options::Reports,
    seats::{Book, Seats},
};
pub use self::{
    listener::Listener,
    options::{ServeError, ServeOptions},
};

/// The shortest time between two looks for connections that have been idle for too long.
const FIRST_SWEEP: Duration = Duration::from_millis(1);

/// The longest time between two looks for connections that have been idle for too long.
const LAST_SWEEP: Duration = Duration::from_secs(1);

/// Serves the connections of a listener: `handler` is run for each, on a green thread of its own.
///
/// Connections are accepted on every worker of the current runtime, and placed on the workers in turn. This returns at
/// once; the server runs until [`Server::shutdown`] or the end of the runtime, also if the [`Server`] is dropped.
///
/// A handler that fails or panics costs its connection and nothing else. When descriptors or memory are short, accepting
/// pauses and goes on when it can. [`ServeOptions`] has a limit on open connections, and a function that is told of errors. A
/// connection counts as open until its handler returns.
///
/// A worker that is stuck in foreign code keeps nothing from being accepted for long, as long as another is not: that is half a second at
/// most. But it keeps those connections waiting that were placed on it, unless the runtime is a roaming one.
///
/// The listener waits from now on, whatever its mode was.
///
/// # Errors
///
/// The listener cannot be registered, or the default runtime, if it is needed, cannot be started.
///
/// # Examples
///
/// ```
/// use std::{io::{self, Read, Write}, time::Duration};
/// use sward_io::net::{ServeOptions, TcpListener, TcpStream, serve};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let addr = listener.local_addr()?;
/// let options = ServeOptions::new().max_connections(1_000);
/// let server = serve(listener, options, |stream, _peer| {
///     io::copy(&mut &stream, &mut &stream)?;
///     Ok(())
/// })?;
///
/// let mut client = TcpStream::connect(addr)?;
/// client.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// client.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"hello");
/// drop(client);
///
/// assert_eq!(server.shutdown(Duration::from_secs(10)), 0, "nobody had to be cut off");
/// # Ok::<(), io::Error>(())
/// ```
pub fn serve<L, H>(listener: L, options: ServeOptions, handler: H) -> io::Result<Server>
where
    L: Listener,
    H: Fn(L::Stream, L::Addr) -> io::Result<()> + Send + Sync + 'static,
{
    let reports = options.reports.clone();
    start(listener, &options, |_| Direct { reports, handler })
}

/// Serves the connections of a listener message by message: while a connection is idle, it has no green thread and no stack.
///
/// `init` makes the state of a connection, most often of its stream and a buffer. Whenever something arrives, `handler` is
/// run with the state, on a fresh green thread; it reads a message, waiting for the rest if it has not come yet, answers,
/// and says whether to go on. So it is written like any handler, but for the loop around it. Between messages the connection is
/// its state, some hundred bytes besides, and what the system needs: for servers with very many connections of which few are
/// busy.
///
/// `handler` is also run at the end of the stream and for an error, which its read then returns. It must leave nothing
/// complete in a buffer of its own: for what has been read already it is not run again until more arrives. What is left of an
/// incomplete message may stay in the state.
///
/// All else is as with [`serve`]. Besides, [`ServeOptions::idle_timeout`] holds, and a shutdown closes idle connections at once, and
/// the others after the message that they are at. A state from which the stream has been taken, or given away, is dropped.
///
/// # Errors
///
/// As [`serve`].
///
/// # Examples
///
/// ```
/// use std::{io::{self, Read, Write}, ops::ControlFlow, time::Duration};
/// use sward_io::net::{ServeOptions, TcpListener, TcpStream, serve_messages};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let addr = listener.local_addr()?;
/// let options = ServeOptions::new().idle_timeout(Duration::from_secs(600));
/// let init = |stream, _peer| Ok((stream, 0));
/// let server = serve_messages(listener, options, init, |(stream, count): &mut (TcpStream, u32)| {
///     let mut message = [0; 4];
///     if stream.read(&mut message[..1])? == 0 {
///         return Ok(ControlFlow::Break(()));
///     }
///     stream.read_exact(&mut message[1..])?;
///     *count += 1;
///     writeln!(stream, "message {count}")?;
///     Ok(ControlFlow::Continue(()))
/// })?;
///
/// let mut client = TcpStream::connect(addr)?;
/// for expected in ["message 1\n", "message 2\n"] {
///     client.write_all(b"ping")?;
///     let mut answer = [0; 10];
///     client.read_exact(&mut answer)?;
///     assert_eq!(answer, expected.as_bytes());
/// }
/// // It is idle, or about to be, so it is closed.
/// assert_eq!(server.shutdown(Duration::from_secs(10)), 0);
/// assert_eq!(client.read(&mut [0; 10])?, 0);
/// # Ok::<(), io::Error>(())
/// ```
pub fn serve_messages<L, T, I, H>(
    listener: L,
    options: ServeOptions,
    init: I,
    handler: H,
) -> io::Result<Server>
where
    L: Listener,
    T: Send + 'static,
    I: Fn(L::Stream, L::Addr) -> io::Result<T> + Send + Sync + 'static,
    H: Fn(&mut T) -> io::Result<ControlFlow<()>> + Send + Sync + 'static,
{
    let reports = options.reports.clone();
    let is_timed = options.idle_timeout.is_some();
    let server = start(listener, &options, |server| Messages {
        runtime: server.runtime.clone(),
        seats: Arc::clone(&server.seats),
        reports,
        is_timed,
        init,
        handler,
        state: PhantomData,
    })?;
    if let Some(timeout) = options.idle_timeout {
        let seats = Arc::clone(&server.seats);
        server.runtime.spawn(move || sweep(&seats, timeout));
    }
    Ok(server)
}

/// Starts a server, whose service may know it.
fn start<L, S>(listener: L, options: &ServeOptions, service: impl FnOnce(&Server) -> S) -> io::Result<Server>
where
    L: Listener,
    S: Service<L>,
{
    let runtime = Handle::current_or_default().map_err(io::Error::other)?;
    listener.prepare()?;
    let listener = Arc::new(listener);
    let seats = Arc::new(Seats::new(options.max_connections.unwrap_or(usize::MAX)));
    let bell: Weak<dyn Bell> = Arc::<L>::downgrade(&listener);
    let server = Server { runtime, seats, bell };
    let service = Arc::new(service(&server));
    accept::start(listener, &server.runtime, &server.seats, &options.reports, service);
    Ok(server)
}

/// Closes connections that have been idle for too long, until the server has ended.
fn sweep(seats: &Seats, timeout: Duration) {
    let pause = (timeout / 4).clamp(FIRST_SWEEP, LAST_SWEEP);
    while !seats.wait(Instant::now().checked_add(pause), Book::is_over) {
        if let Some(limit) = Instant::now().checked_sub(timeout) {
            seats.each(|guest| guest.end_if_idle(Some(limit)));
        }
    }
}

/// A connection for each run of the handler.
struct Direct<H> {
    reports: Reports,
    handler: H,
}

impl<L, H> Service<L> for Direct<H>
where
    L: Listener,
    H: Fn(L::Stream, L::Addr) -> io::Result<()> + Send + Sync + 'static,
{
    fn receive(self: Arc<Self>, visit: Visit<L>) {
        let Visit { stream, peer, seat, .. } = visit;
        let _ = self.reports.guard(|| (self.handler)(stream, peer));
        drop(seat);
    }
}

/// A listener, as far as its server needs it.
trait Bell: Send + Sync {
    fn ring(&self);
}

impl<L: Listener> Bell for L {
    fn ring(&self) {
        listener::Accepts::ring(self);
    }
}

/// A running server. Dropping it changes nothing; clones are the same server.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_io::net::{ServeOptions, TcpListener, serve};
/// use sward_runtime::thread;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let server = serve(listener, ServeOptions::new(), |_stream, _peer| Ok(()))?;
/// let same = server.clone();
/// let end = thread::spawn(move || same.shutdown(Duration::from_secs(1)));
/// server.join()?;
/// assert_eq!(end.join().unwrap(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Server {
    runtime: Handle,
    seats: Arc<Seats>,
    bell: Weak<dyn Bell>,
}

impl Server {
    /// How many connections are open. A snapshot.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seats.guests()
    }

    /// Ends the server in good order: accepts nothing more from now on, closes the listener, waits at most `grace` for
    /// connections to end, and then shuts down the sockets of the rest. Returns how many those were; their handlers see
    /// it at their next read or write, and may still run when this returns. What waits in the queue of the listener is refused, unless a
    /// clone of it goes on.
    ///
    /// Connections of [`serve_messages`] do not have to end by themselves: they are closed when they are idle, each on a green thread
    /// of its own, since the state may have to wait for its end. If there is no time for that, they count among the rest. A handler
    /// that calls this waits for itself, until the time is up.
    ///
    /// Nothing is accepted from now on, but the listener may be closed a little later than this returns: when the grace is very short,
    /// or a green thread that accepts is held up, by the function for errors or by a worker that is stuck. [`join`](Self::join) waits
    /// for that.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until the connections have ended, or the time is up.
    ///
    /// # Cancellation
    ///
    /// The shutdown goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{io::{self, Read}, sync::mpsc, time::Duration};
    /// use sward_io::net::{ServeOptions, TcpListener, TcpStream, serve};
    ///
    /// let (sender, begun) = mpsc::channel();
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// let server = serve(listener, ServeOptions::new(), move |mut stream, _peer| {
    ///     let _ = sender.send(());
    ///     // This client says nothing.
    ///     stream.read_exact(&mut [0])
    /// })?;
    /// assert!(begun.recv().is_ok());
    /// assert_eq!(server.shutdown(Duration::from_millis(10)), 1);
    /// # drop(client);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn shutdown(&self, grace: Duration) -> usize {
        let deadline = Instant::now().checked_add(grace);
        self.seats.stop();
        if let Some(listener) = self.bell.upgrade() {
            listener.ring();
        }
        let seats = Arc::clone(&self.seats);
        self.on_a_green_thread(move || drain(&seats, deadline)).unwrap_or(0)
    }

    /// Waits until the server has ended: nobody accepts any more, and all connections have ended. If the runtime ends meanwhile, the server
    /// ends with it, and so does the wait: perhaps before the last connection has been unwound.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks the OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the server goes on, and it can be joined again.
    ///
    /// # Errors
    ///
    /// Why nobody accepts any more, if it is not because of a shutdown: the listener was shut down or closed by other code. Told
    /// once.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::net::{ServeOptions, TcpListener, serve};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:7")?;
    /// serve(listener, ServeOptions::new(), |_stream, _peer| Ok(()))?.join()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn join(&self) -> io::Result<()> {
        let seats = Arc::clone(&self.seats);
        self.on_a_green_thread(move || seats.wait(None, Book::is_over));
        self.seats.take_failure().map_or(Ok(()), Err)
    }

    /// Waits with the token of a green thread of our own, not with the caller's. `None`: the runtime has ended.
    fn on_a_green_thread<R: Send + 'static>(&self, f: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        match self.runtime.spawn(f).join() {
            Ok(result) => Some(result),
            Err(payload) if payload.is::<Cancelled>() => None,
            Err(payload) => resume_unwind(payload),
        }
    }
}

/// Ends what is idle, waits for the rest, and cuts what is left.
fn drain(seats: &Seats, deadline: Option<Instant>) -> usize {
    // Those who accept have been told. One that is stuck does not keep the others beyond the deadline; it admits nobody.
    seats.wait(deadline, Book::is_shut);
    seats.each(|guest| guest.end_if_idle(None));
    let mut cut = 0;
    if !seats.wait(deadline, Book::is_over) {
        seats.each(|guest| {
            guest.cut();
            cut += 1;
        });
    }
    cut
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("connections", &self.connections())
            .field("is_stopping", &self.seats.is_stopping())
            .finish_non_exhaustive()
    }
}
