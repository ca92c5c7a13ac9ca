//! Waiting for signals: Ctrl-C, the request to end, and those of the program's own making.
//!
//! [`shutdown`] is what most programs want: it returns when the process is asked to end. [`Signals`] waits for any choice of
//! signals, as often as they come. Everything here works on green threads and on OS threads, with any number of runtimes or none.
//!
//! ```
//! use std::time::Duration;
//! use sward_io::signal::{Signal, Signals};
//! # fn reload_configuration() {}
//! # fn send(signal: Signal) { rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::from_named_raw(signal.as_raw()).unwrap()).unwrap() }
//!
//! let hangups = Signals::new([Signal::Hangup])?;
//! # send(Signal::Hangup);
//! # let mut times = 0;
//! for _ in &hangups {
//!     reload_configuration();
//! #   times += 1;
//! #   break;
//! }
//! # assert_eq!(times, 1);
//! # assert_eq!(hangups.recv_timeout(Duration::ZERO), None);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What a signal does once it has been waited for
//!
//! From the first [`Signals`] that names a signal, the system's own action for it is gone for good: Ctrl-C, for one, does not end the
//! program any more, also after that `Signals` was dropped. (`signal-hook`, through which handlers are set, lets several parts of a
//! program use the same signal; so none of them can give it back.) Child processes start with the system's actions.
//!
//! Handlers that others have set before, or set with the crate `signal-hook`, are called as well.

mod hub;
mod kind;
mod shutdown;

use std::{
    fmt, io,
    iter::FusedIterator,
    panic::{RefUnwindSafe, UnwindSafe},
    time::{Duration, Instant},
};

use libc::c_int;
use parking_lot::Mutex;
use sward_runtime::{budget, cancel, park::Outcome};

use crate::options::deadline_in;
use hub::HUB;

pub use kind::{ForbiddenSignal, Signal};
pub use shutdown::{Shutdown, ctrl_c, shutdown};

/// Signals that have come since this was created, and those to come.
///
/// Every `Signals` sees every signal that it was created for, each on its own. If several threads wait on one, each signal goes to one
/// of them; to have each see all, clone it: a clone has before it whatever the original has.
///
/// No signal is lost that the kernel delivers. But the kernel merges those that are equal and not delivered yet: of ten signals
/// that are sent in a burst, one or more may arrive. In what order signals of different kinds have come is not kept.
///
/// # Examples
///
/// ```
/// use sward_io::{process::Command, signal::{Signal, Signals}};
/// use sward_runtime::thread;
///
/// let signals = Signals::new([Signal::User1, Signal::User2])?;
/// let waiter = thread::spawn(move || signals.recv());
/// Command::new("kill").args(["-s", "USR2", &std::process::id().to_string()]).status()?;
/// assert_eq!(waiter.join().unwrap(), Signal::User2);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Signals {
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    wanted: Vec<Wanted>,
    /// With which the next look begins, so that one that keeps coming does not hide the others.
    next: usize,
}

/// A signal, and how many of it have been taken.
#[derive(Clone, Copy)]
struct Wanted {
    signal: Signal,
    raw: c_int,
    taken: usize,
}

// A panic leaves nothing half done: no foreign code runs under the mutex.
impl UnwindSafe for Signals {}
impl RefUnwindSafe for Signals {}

impl Signals {
    /// Has the signals counted from now on.
    ///
    /// The first call in a process starts an OS thread, which stays.
    ///
    /// # Errors
    ///
    /// [`ForbiddenSignal`] inside for one that cannot be waited for; or what the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::signal::{Signal, Signals};
    ///
    /// let signals = Signals::new([Signal::Hangup, Signal::WindowChange])?;
    /// assert_eq!(signals.try_recv(), None);
    /// assert!(Signals::new([Signal::Hangup, Signal::Kill]).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Self> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for signal in signals {
            let raw = signal.check()?;
            if wanted.iter().all(|other| other.raw != raw) {
                wanted.push(Wanted { signal, raw, taken: 0 });
            }
        }
        // After all have been checked, so that an error leaves nothing behind.
        for wanted in &mut wanted {
            HUB.install(wanted.raw)?;
            wanted.taken = HUB.count(wanted.raw);
        }
        Ok(Self { state: Mutex::new(State { wanted, next: 0 }) })
    }

    /// Waits for the next signal.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until there is one.
    ///
    /// # Cancellation
    ///
    /// No signal is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::signal::{Signal, Signals};
    /// # fn send(signal: Signal) { rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::from_named_raw(signal.as_raw()).unwrap()).unwrap() }
    ///
    /// let signals = Signals::new([Signal::User1])?;
    /// # send(Signal::User1);
    /// assert_eq!(signals.recv(), Signal::User1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv(&self) -> Signal {
        loop {
            if let Some(signal) = self.recv_until(None) {
                return signal;
            }
        }
    }

    /// As [`recv`](Self::recv), for at most `timeout`: `None` if there was no signal until then.
    ///
    /// # Suspension
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_io::signal::{Signal, Signals};
    ///
    /// let signals = Signals::new([Signal::Alarm])?;
    /// assert_eq!(signals.recv_timeout(Duration::from_millis(1)), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Signal> {
        self.recv_until(deadline_in(timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at the latest: `None` if there was no signal until then.
    ///
    /// # Suspension
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_io::signal::{Signal, Signals};
    ///
    /// let signals = Signals::new([Signal::Alarm])?;
    /// assert_eq!(signals.recv_deadline(Instant::now()), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_deadline(&self, deadline: Instant) -> Option<Signal> {
        self.recv_until(Some(deadline))
    }

    /// Returns the next signal if it has come, without waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::signal::{Signal, Signals};
    ///
    /// assert_eq!(Signals::new([Signal::Alarm])?.try_recv(), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_recv(&self) -> Option<Signal> {
        budget::spend();
        self.take()
    }

    /// Returns an iterator that waits for each signal, and does not end.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::signal::{Signal, Signals};
    ///
    /// for signal in Signals::new([Signal::Hangup, Signal::User1])?.iter() {
    ///     assert_ne!(signal, Signal::Terminate);
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(self)
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Option<Signal> {
        // Before one is taken: who is ended here has lost nothing.
        budget::spend();
        loop {
            if let Some(signal) = self.take() {
                return Some(signal);
            }
            match HUB.wait(|| self.is_something(), deadline) {
                Outcome::Woken => {}
                Outcome::TimedOut => return self.take(),
                Outcome::Cancelled => cancel::unwind(),
            }
        }
    }

    /// Takes a signal that has come.
    fn take(&self) -> Option<Signal> {
        let mut state = self.state.lock();
        let State { wanted, next } = &mut *state;
        for _ in 0..wanted.len() {
            *next = (*next + 1) % wanted.len();
            let wanted = &mut wanted[*next];
            if wanted.has_come() {
                wanted.taken = wanted.taken.wrapping_add(1);
                return Some(wanted.signal);
            }
        }
        None
    }

    fn is_something(&self) -> bool {
        self.state.lock().wanted.iter().any(Wanted::has_come)
    }
}

impl Wanted {
    fn has_come(&self) -> bool {
        HUB.count(self.raw) != self.taken
    }
}

/// A `Signals` of its own, which has before it what the original has.
impl Clone for Signals {
    fn clone(&self) -> Self {
        Self { state: Mutex::new(self.state.lock().clone()) }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_tuple("Signals")
            .field(&state.wanted.iter().map(|wanted| wanted.signal).collect::<Vec<_>>())
            .finish()
    }
}

/// An iterator over signals as they come: what [`Signals::iter`] returns.
///
/// # Examples
///
/// ```no_run
/// use sward_io::signal::{Signal, Signals};
///
/// let signals = Signals::new([Signal::User1])?;
/// assert_eq!(signals.iter().next(), Some(Signal::User1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Iter<'a>(&'a Signals);

impl Iterator for Iter<'_> {
    type Item = Signal;

    fn next(&mut self) -> Option<Signal> {
        Some(self.0.recv())
    }
}

impl FusedIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Signals {
    type Item = Signal;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
