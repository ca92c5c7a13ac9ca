//! How a server is set up, and whom it tells of what goes wrong.

use std::{
    any::Any,
    error, fmt, io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use sward_runtime::cancel::{self, Cancelled};

/// The settings of a server: see [`serve`](super::serve()) and [`serve_messages`](super::serve_messages).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_io::net::ServeOptions;
///
/// let options = ServeOptions::new()
///     .max_connections(10_000)
///     .idle_timeout(Duration::from_secs(60))
///     .on_error(|error| drop(error));
/// # drop(options);
/// ```
#[derive(Clone, Default)]
#[must_use = "options do nothing until something is served"]
pub struct ServeOptions {
    pub(super) max_connections: Option<usize>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) reports: Reports,
}

impl ServeOptions {
    /// The defaults: no limit, no timeout, and nobody is told of errors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many connections may be open at once. Beyond that nothing is accepted: who connects waits in the
    /// queue of the system until a connection ends. It is the descriptors that limit a server without this.
    ///
    /// # Panics
    ///
    /// If it is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = sward_io::net::ServeOptions::new().max_connections(10_000);
    /// # drop(options);
    /// ```
    pub fn max_connections(mut self, n: usize) -> Self {
        assert!(n > 0, "a server without connections");
        self.max_connections = Some(n);
        self
    }

    /// Sets after how long a connection of [`serve_messages`](super::serve_messages) is closed on which no message
    /// arrives. It takes up to a quarter longer, but at most a second, and a millisecond at least. A message that has begun is the handler's, and
    /// so is the read timeout of the stream. Handlers of [`serve`](super::serve()) set timeouts of their own.
    ///
    /// # Panics
    ///
    /// If it is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = sward_io::net::ServeOptions::new().idle_timeout(Duration::from_secs(60));
    /// # drop(options);
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "an idle timeout of zero");
        self.idle_timeout = Some(timeout);
        self
    }

    /// Sets whom to tell of errors. Called on the green thread to which it happened: on one that accepts it should not
    /// take long, since nothing else is accepted there meanwhile.
    ///
    /// # Panics
    ///
    /// A panic of the function itself is ignored; the panic hook has reported it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{io, sync::mpsc};
    /// use sward_io::net::{ServeError, ServeOptions, TcpListener, TcpStream, serve};
    ///
    /// let (sender, errors) = mpsc::channel();
    /// let options = ServeOptions::new().on_error(move |error| drop(sender.send(error)));
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let addr = listener.local_addr()?;
    /// let server = serve(listener, options, |_stream, _peer| Err(io::Error::other("no service today")))?;
    ///
    /// let client = TcpStream::connect(addr)?;
    /// assert!(matches!(errors.recv(), Ok(ServeError::Connection(_))));
    /// # drop((client, server));
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn on_error(mut self, f: impl Fn(ServeError) + Send + Sync + 'static) -> Self {
        self.reports = Reports(Some(Arc::new(f)));
        self
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("max_connections", &self.max_connections)
            .field("idle_timeout", &self.idle_timeout)
            .finish_non_exhaustive()
    }
}

/// What goes wrong in a server, which goes on: see [`ServeOptions::on_error`].
///
/// # Examples
///
/// ```
/// use std::io;
/// use sward_io::net::ServeError;
///
/// let error = ServeError::Connection(io::ErrorKind::ConnectionReset.into());
/// assert_eq!(error.to_string(), "a connection failed: connection reset");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// A connection could not be accepted. When descriptors or memory are short, this is told once, and the listener is
    /// tried again some milliseconds later, until it succeeds.
    Accept(io::Error),
    /// A handler returned this, or a connection could not be set up. The connection is closed.
    Connection(io::Error),
    /// A handler panicked with this payload, which the panic hook has reported. Its connection is closed.
    Panic(Box<dyn Any + Send>),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept(error) => write!(f, "a connection could not be accepted: {error}"),
            Self::Connection(error) => write!(f, "a connection failed: {error}"),
            Self::Panic(payload) => {
                let message = payload.downcast_ref::<&str>().copied();
                let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                write!(f, "a handler panicked: {}", message.unwrap_or("no message"))
            }
        }
    }
}

impl error::Error for ServeError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Accept(error) | Self::Connection(error) => Some(error),
            Self::Panic(_) => None,
        }
    }
}

/// Whom to tell.
#[derive(Clone, Default)]
pub(super) struct Reports(Option<Arc<dyn Fn(ServeError) + Send + Sync>>);

impl Reports {
    /// Runs code of the user, and tells if it fails. A cancellation goes through.
    pub(super) fn guard<R>(&self, f: impl FnOnce() -> io::Result<R>) -> Option<R> {
        match catch(f) {
            Ok(Ok(result)) => return Some(result),
            Ok(Err(error)) => self.tell(ServeError::Connection(error)),
            Err(payload) => self.tell(ServeError::Panic(payload)),
        }
        None
    }

    pub(super) fn tell(&self, error: ServeError) {
        let told = catch(|| match &self.0 {
            Some(hook) => hook(error),
            None => drop(error),
        });
        // What a panic leaves behind is foreign, too, and may panic in its turn.
        if let Err(Err(again)) = catch(|| drop(told)).map_err(|payload| catch(|| drop(payload))) {
            std::mem::forget(again);
        }
    }
}

/// Catches a panic, but not the cancellation of the caller.
fn catch<R>(f: impl FnOnce() -> R) -> std::thread::Result<R> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        // Another's may have been passed on, by who joined it.
        if payload.is::<Cancelled>() && cancel::is_due() {
            resume_unwind(payload);
        }
        payload
    })
}
