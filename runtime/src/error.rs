//! What can go wrong, as types.

use std::{error::Error, fmt, io};

/// The runtime has been dropped, or is being dropped: it takes no new green threads.
///
/// Inside the `io::Error` that [`thread::Builder::spawn`](crate::thread::Builder::spawn) and
/// [`Handle::try_spawn`](crate::runtime::Handle::try_spawn) return.
///
/// # Examples
///
/// ```
/// use sward_runtime::{error::ShutDown, runtime::Builder};
///
/// let runtime = Builder::new().workers(1).build()?;
/// let handle = runtime.handle();
/// drop(runtime);
/// let error = handle.try_spawn(|| ()).unwrap_err();
/// assert!(error.get_ref().is_some_and(|e| e.is::<ShutDown>()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ShutDown(pub(crate) ());

impl fmt::Display for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime has shut down")
    }
}

impl Error for ShutDown {}

impl From<ShutDown> for io::Error {
    fn from(error: ShutDown) -> Self {
        Self::other(error)
    }
}

/// No stack can be had for a new green thread just now.
///
/// Inside the `io::Error` that [`thread::Builder::spawn`](crate::thread::Builder::spawn) returns while green threads wait for
/// stacks.
#[derive(Debug)]
pub struct StackShortage(pub(crate) ());

impl fmt::Display for StackShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no stack can be had for a new green thread")
    }
}

impl Error for StackShortage {}

impl From<StackShortage> for io::Error {
    fn from(error: StackShortage) -> Self {
        Self::new(io::ErrorKind::WouldBlock, error)
    }
}

/// A runtime could not be built: what [`Builder::build`](crate::runtime::Builder::build) returns.
///
/// # Examples
///
/// ```
/// use sward_runtime::runtime::Builder;
///
/// let error = Builder::new().workers(0).build().unwrap_err();
/// assert!(error.is_invalid_setting());
/// assert_eq!(error.to_string(), "a runtime needs at least one worker");
/// ```
#[derive(Debug)]
pub struct BuildError(pub(crate) BuildErrorKind);

#[derive(Debug)]
pub(crate) enum BuildErrorKind {
    NoWorkers,
    TooManyWorkers(usize),
    StackSize(crate::stack::StackSizeError),
    Thread(io::Error),
    Driver(io::Error),
}

impl BuildError {
    /// Whether a setting of the builder is out of range.
    #[must_use]
    pub fn is_invalid_setting(&self) -> bool {
        matches!(
            self.0,
            BuildErrorKind::NoWorkers | BuildErrorKind::TooManyWorkers(_) | BuildErrorKind::StackSize(_)
        )
    }

    /// Whether an OS thread could not be started.
    #[must_use]
    pub fn is_thread(&self) -> bool {
        matches!(self.0, BuildErrorKind::Thread(_))
    }

    /// Whether the driver could not be started.
    #[must_use]
    pub fn is_driver(&self) -> bool {
        matches!(self.0, BuildErrorKind::Driver(_))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            BuildErrorKind::NoWorkers => f.write_str("a runtime needs at least one worker"),
            BuildErrorKind::TooManyWorkers(n) => write!(f, "{n} workers are more than a runtime can have"),
            BuildErrorKind::StackSize(error) => error.fmt(f),
            BuildErrorKind::Thread(error) => write!(f, "an OS thread could not be started: {error}"),
            BuildErrorKind::Driver(error) => write!(f, "the driver could not be started: {error}"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            BuildErrorKind::NoWorkers | BuildErrorKind::TooManyWorkers(_) => None,
            BuildErrorKind::StackSize(error) => Some(error),
            BuildErrorKind::Thread(error) | BuildErrorKind::Driver(error) => Some(error),
        }
    }
}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        let kind = match &error.0 {
            BuildErrorKind::Thread(source) | BuildErrorKind::Driver(source) => source.kind(),
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

/// A broken invariant of the runtime: nothing can be trusted any more.
#[cold]
#[expect(clippy::print_stderr, reason = "the last words before an abort")]
pub(crate) fn abort(what: &str) -> ! {
    // In one piece: another thread may be about to do the same.
    let line = format!("fatal runtime error: {what}, aborting\n");
    eprint!("{line}");
    std::process::abort();
}
