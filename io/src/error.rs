//! The error of an operation whose runtime has ended.

use std::{error, fmt, io};

/// The runtime that served the readiness of a socket, or of another descriptor, has ended.
///
/// A socket is bound to a runtime by the first operation that has to wait, and so are pipes and what is watched. When that
/// runtime ends, whoever waits is woken, and every later operation fails: nothing would tell it any more when to go on.
/// Children, signals and the standard streams are bound to none. The
/// error arrives as an [`io::Error`] of kind [`Other`](io::ErrorKind::Other) with this type inside.
///
/// # Examples
///
/// ```
/// use std::io;
/// use sward_io::RuntimeClosed;
///
/// /// Whether to stop quietly: the program is ending.
/// fn is_farewell(error: &io::Error) -> bool {
///     error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>())
/// }
///
/// assert!(is_farewell(&io::Error::from(RuntimeClosed)));
/// assert!(!is_farewell(&io::Error::from(io::ErrorKind::BrokenPipe)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeClosed;

impl fmt::Display for RuntimeClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime that serves this descriptor has ended")
    }
}

impl error::Error for RuntimeClosed {}

impl From<RuntimeClosed> for io::Error {
    fn from(closed: RuntimeClosed) -> Self {
        Self::other(closed)
    }
}
