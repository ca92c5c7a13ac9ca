//! Why a green thread did not return: it panicked, or was cancelled.

use std::{any::Any, error::Error, fmt, panic::Location};

use sward_runtime::{
    cancel::{self, Cancelled},
    thread::Thread,
};

/// Why a green thread did not return.
///
/// # Examples
///
/// ```
/// use sward::task::{Failure, Group};
///
/// let mut group = Group::new();
/// group.spawn(|| -> u32 { panic!("on purpose") });
/// match group.join_next() {
///     Some(Err(Failure::Panicked(panic))) => assert_eq!(panic.message(), Some("on purpose")),
///     other => unreachable!("{other:?}"),
/// }
/// ```
#[derive(Debug)]
pub enum Failure {
    /// It panicked.
    Panicked(Panic),
    /// It was cancelled, or its runtime ended.
    Cancelled,
}

impl Failure {
    /// What `join` returned, told apart.
    pub(super) fn new(payload: Box<dyn Any + Send>, thread: Thread) -> Self {
        if payload.is::<Cancelled>() {
            return Self::Cancelled;
        }
        Self::Panicked(Panic { payload, thread })
    }

    /// Unwinds the caller as it unwound: with the payload of its panic. Of one that was cancelled, as cancelled if the caller is to end as well,
    /// and else with a panic that says so.
    ///
    /// # Panics
    ///
    /// Always: that is what it is for.
    pub fn resume(self) -> ! {
        match self {
            Self::Panicked(panic) => panic.resume(),
            Self::Cancelled => {
                unwind_if_to_end();
                panic!("a green thread that was waited for was cancelled")
            }
        }
    }
}

/// Unwinds the caller, silently, if it is to end itself: as its runtime ends others are cancelled too, and it may learn that first.
pub(super) fn unwind_if_to_end() {
    cancel::check();
    // It may be in doubt whether a wait here could be ended; but there is no value to go on with.
    if cancel::is_to_end() {
        cancel::unwind();
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => panic.fmt(f),
            Self::Cancelled => f.write_str("green thread was cancelled"),
        }
    }
}

impl Error for Failure {}

/// The panic of a green thread: its payload, and whose it was.
pub struct Panic {
    payload: Box<dyn Any + Send>,
    thread: Thread,
}

impl Panic {
    /// The message, if the payload is one, as that of `panic!` is.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        let text = self.payload.downcast_ref::<&'static str>().copied();
        text.or_else(|| self.payload.downcast_ref::<String>().map(String::as_str))
    }

    /// The green thread, which has ended.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Where it was spawned.
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.thread.spawned_at()
    }

    /// The payload.
    #[must_use]
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload
    }

    /// Goes on with the panic in the calling thread. No hook runs again.
    ///
    /// # Panics
    ///
    /// Always: that is what it is for.
    pub fn resume(self) -> ! {
        std::panic::resume_unwind(self.payload)
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("message", &self.message())
            .field("thread", &self.thread)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.thread.name().unwrap_or("<unnamed>");
        write!(f, "green thread '{name}'")?;
        if let Some(site) = self.spawned_at() {
            write!(f, ", spawned at {site},")?;
        }
        write!(f, " panicked: {}", self.message().unwrap_or("with a payload that is no text"))
    }
}
