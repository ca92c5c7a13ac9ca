//! Time: deadlines that reach everything inside a call, sleep, and ticks at intervals.
//!
//! A wait inside [`timeout`] or [`deadline`] ends when time is up, whatever it is for: a lock, a message, a socket. It unwinds to the call that
//! set the deadline, which returns [`Elapsed`]. How that works is in [`cancel`].
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | `timeout` and `deadline` |
//! | `interval.rs` | `interval`, and what becomes of missed ticks |

mod interval;

use std::{error::Error, fmt, io};

pub use std::time::{Duration, Instant, SystemTime, SystemTimeError, TryFromFloatSecsError, UNIX_EPOCH};

pub use self::interval::{Interval, MissedTick, interval, interval_at};
pub use crate::thread::{sleep, sleep_until};
use crate::{cancel, seam};

/// Time was up before a call had ended: what [`timeout`] and [`deadline`] return.
///
/// # Examples
///
/// ```
/// use std::{io, time::Duration};
/// use sward_runtime::{thread, time};
///
/// let elapsed = time::timeout(Duration::from_millis(1), thread::park).unwrap_err();
/// assert_eq!(io::Error::from(elapsed).kind(), io::ErrorKind::TimedOut);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time is up")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// Calls `f`, in which every wait ends, by unwinding, when `duration` is over.
///
/// The unwinding runs destructors and stops here; the calling thread goes on. Where deadlines are nested the earliest counts for each wait,
/// and the outermost that has passed catches the unwinding. It repeats if it is caught on the way. An `f` that returns all the same,
/// however late, has won: code that does not wait is not interrupted, unless it asks with [`cancel::check`]. With `panic = "abort"` nothing
/// unwinds: I/O fails with [`TimedOut`](io::ErrorKind::TimedOut), other waits go on, and whether time is up is asked when `f` returns.
///
/// Locks that `f` holds while it is unwound are poisoned, as by a panic.
///
/// # Cancellation
///
/// Waits inside a [`cancel::shield`] that `f` enters, and those of destructors while the thread unwinds, are not ended. Nor are threads that
/// `f` has spawned: [`thread::scope`](crate::thread::scope) waits for its own.
///
/// # Errors
///
/// [`Elapsed`], if a wait was ended.
///
/// # Panics
///
/// If `f` does.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_runtime::{thread, time};
///
/// let second = Duration::from_secs(1);
/// assert_eq!(time::timeout(second, || 42), Ok(42));
///
/// let never = thread::spawn(|| thread::park());
/// assert!(time::timeout(Duration::from_millis(1), || never.join()).is_err());
/// ```
pub fn timeout<R>(duration: Duration, f: impl FnOnce() -> R) -> Result<R, Elapsed> {
    match seam::now().checked_add(duration) {
        Some(at) => deadline(at, f),
        // Later than the clock can say.
        None => Ok(f()),
    }
}

/// As [`timeout`], until a point in time.
///
/// # Cancellation
///
/// As [`timeout`].
///
/// # Errors
///
/// As [`timeout`].
///
/// # Panics
///
/// As [`timeout`].
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use sward_runtime::{thread, time};
///
/// let soon = Instant::now() + Duration::from_millis(1);
/// let slept = time::deadline(soon, || thread::sleep(Duration::from_secs(3600)));
/// assert_eq!(slept.unwrap_err().to_string(), "time is up");
/// ```
pub fn deadline<R>(at: Instant, f: impl FnOnce() -> R) -> Result<R, Elapsed> {
    cancel::until(at, f).map_err(|_| Elapsed::new())
}
