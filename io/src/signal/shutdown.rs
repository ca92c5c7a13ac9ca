//! The request to end: waiting for it, and ending at the second one.
//!
//! # Invariants
//!
//! - **I1** The first of the two signals that is taken is put down under the lock under which it was taken. So of all who wait one takes
//!   it, and the others find it.
//!
//! # Checked by
//!
//! `tests/signal.rs`.

use std::{
    fmt, io,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::OnceLock,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sward_runtime::{budget, cancel, park::Outcome};

use super::{
    Signal, Signals,
    hub::{HUB, REQUESTS},
};
use crate::options::deadline_in;

/// The request to this process to end: `SIGINT` (Ctrl-C) or `SIGTERM`.
///
/// From the first [`new`](Self::new) on, the first of these signals does not end the process but is told here, and the second ends
/// it as it would have without: so a program that hangs while it is ending can still be ended. Once the process has been asked
/// to end, it has been asked for good. All values of this type are about the same request.
///
/// # Examples
///
/// ```no_run
/// use sward_io::{net::TcpListener, signal::Shutdown};
/// use sward_runtime::{runtime::Builder, thread};
///
/// let shutdown = Shutdown::new()?;
/// let runtime = Builder::new().build()?;
/// runtime.handle().spawn(|| {
///     let listener = TcpListener::bind("127.0.0.1:80").unwrap();
///     for stream in listener.incoming() {
///         thread::spawn(move || drop(stream));
///     }
/// });
/// shutdown.wait();
/// drop(runtime); // its green threads unwind
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Shutdown(&'static Request);

/// The process's.
struct Request {
    signals: Signals,
    /// What the process was asked with (I1).
    made: Mutex<Option<Signal>>,
}

// A panic leaves nothing half done: no foreign code runs under the mutex.
impl UnwindSafe for Request {}
impl RefUnwindSafe for Request {}

/// Waits until the process is asked to end, and returns with which signal: [`Shutdown::new`] and [`Shutdown::wait`] in one.
///
/// # Suspension
///
/// Parks the green thread (blocks the OS thread outside the runtime) until the signal comes.
///
/// # Cancellation
///
/// No signal is lost: a later call returns it.
///
/// # Errors
///
/// As [`Shutdown::new`].
///
/// # Examples
///
/// ```no_run
/// use sward_io::signal;
///
/// let signal = signal::shutdown()?;
/// assert!([signal::Signal::Interrupt, signal::Signal::Terminate].contains(&signal));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn shutdown() -> io::Result<Signal> {
    Ok(Shutdown::new()?.wait())
}

/// Waits for the next `SIGINT`, which Ctrl-C sends to the processes of the terminal.
///
/// From the first call on the signal does not end the process any more. One that comes between two calls is lost: to miss none, use
/// [`Signals`]; to end at Ctrl-C, [`shutdown`].
///
/// # Suspension
///
/// Parks the green thread (blocks the OS thread outside the runtime) until the signal comes.
///
/// # Cancellation
///
/// The signal, if it comes at the same moment, is lost.
///
/// # Errors
///
/// What the system says: there are no descriptors or threads left.
///
/// # Examples
///
/// ```no_run
/// sward_io::signal::ctrl_c()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn ctrl_c() -> io::Result<()> {
    Signals::new([Signal::Interrupt])?.recv();
    Ok(())
}

impl Shutdown {
    /// Has the next `SIGINT` or `SIGTERM` be a request, from the first call on.
    ///
    /// # Errors
    ///
    /// What the system says: there are no descriptors or threads left.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::signal::Shutdown;
    ///
    /// assert_eq!(Shutdown::new()?.requested(), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new() -> io::Result<Self> {
        static REQUEST: OnceLock<Request> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock();
        if let Some(request) = REQUEST.get() {
            return Ok(Self(request));
        }
        let request = Request { signals: Signals::new(REQUESTS)?, made: Mutex::new(None) };
        HUB.watch_requests(|| request.signals.is_something());
        Ok(Self(REQUEST.get_or_init(|| request)))
    }

    /// Waits until the process is asked to end, and returns with which signal. Any number of threads may wait: all of them return.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until the signal comes.
    ///
    /// # Cancellation
    ///
    /// No signal is lost: a later call returns it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let signal = sward_io::signal::Shutdown::new()?.wait();
    /// assert_ne!(signal, sward_io::signal::Signal::Hangup);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait(&self) -> Signal {
        loop {
            if let Some(signal) = self.wait_until(None) {
                return signal;
            }
        }
    }

    /// As [`wait`](Self::wait), for at most `timeout`: `None` if the process has not been asked to end until then.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_io::signal::Shutdown;
    ///
    /// let shutdown = Shutdown::new()?;
    /// let mut rounds = 0;
    /// // Something to do now and then, until the end.
    /// while shutdown.wait_timeout(Duration::from_millis(1)).is_none() {
    ///     rounds += 1;
    /// #   if rounds == 3 { break }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Signal> {
        self.wait_until(deadline_in(timeout))
    }

    /// Returns with which signal the process has been asked to end, if it has, without waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::signal::Shutdown;
    ///
    /// let shutdown = Shutdown::new()?;
    /// let mut sum = 0;
    /// for i in 0..1000 {
    ///     if shutdown.requested().is_some() {
    ///         break;
    ///     }
    ///     sum += i;
    /// }
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn requested(&self) -> Option<Signal> {
        let mut made = self.0.made.lock();
        if made.is_none() {
            // INVARIANT (I1): put down under the lock.
            *made = self.0.signals.take();
        }
        *made
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Option<Signal> {
        budget::spend();
        loop {
            if let Some(signal) = self.requested() {
                return Some(signal);
            }
            match HUB.wait(|| self.requested().is_some(), deadline) {
                Outcome::Woken => {}
                Outcome::TimedOut => return self.requested(),
                Outcome::Cancelled => cancel::unwind(),
            }
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("requested", &*self.0.made.lock()).finish()
    }
}
