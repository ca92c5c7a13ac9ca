//! How actors end, and what cannot be done with one that has.

use std::{any::Any, error::Error, fmt, sync::Arc};

/// How an actor has ended.
///
/// # Examples
///
/// ```
/// use sward::actor::{self, Actor, Context, Exit};
///
/// struct Fragile;
///
/// impl Actor for Fragile {
///     type Message = ();
///
///     fn handle(&mut self, (): (), _: &mut Context<Self>) {
///         panic!("on purpose");
///     }
/// }
///
/// let fragile = actor::spawn(Fragile);
/// fragile.cast(()).unwrap();
/// assert_eq!(fragile.wait(), Exit::Panicked("on purpose".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was stopped, or stopped itself, or nobody had its address any more.
    Normal,
    /// It panicked, with this message.
    Panicked(Arc<str>),
    /// It gave up, for this reason: [`Context::fail`](super::Context::fail).
    Failed(Arc<str>),
    /// It was [killed](super::Addr::kill).
    Killed,
    /// Another one that it is linked to ended in this way, or one of the same supervisor. This is never a `Linked` itself.
    Linked(Arc<Self>),
    /// Its runtime ended, or its green thread was cancelled.
    Cancelled,
}

impl Exit {
    /// Whether it is [`Exit::Normal`].
    #[must_use]
    pub fn is_normal(&self) -> bool {
        *self == Self::Normal
    }

    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&'static str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::Panicked(text.unwrap_or("with a payload that is no text").into())
    }

    /// How those end who are linked to one that ended so.
    pub(super) fn linked(&self) -> Self {
        match self {
            Self::Linked(_) => self.clone(),
            cause => Self::Linked(Arc::new(cause.clone())),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
            Self::Killed => f.write_str("killed"),
            Self::Linked(cause) => write!(f, "ended with another: {cause}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// The message could not be delivered, since the actor has stopped or is about to. Here it is again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CastError<M>(pub M);

/// Why a message could not be delivered at once. Here it is again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryCastError<M> {
    /// The mailbox is full.
    Full(M),
    /// The actor has stopped, or is about to.
    Stopped(M),
}

impl<M> TryCastError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(message) | Self::Stopped(message) => message,
        }
    }
}

/// Why a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The actor had stopped, or stopped before it came to the message; or while it had it, if that is seen before the caller looks. So if
    /// one breaks at a message, callers are told this or [`NoReply`](Self::NoReply).
    Stopped,
    /// Time is up. The message may still be handled.
    Timeout,
    /// The actor dropped the [`Reply`](super::Reply), perhaps because it panicked: then it may be [`Stopped`](Self::Stopped) too.
    NoReply,
}

impl<M> fmt::Debug for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CastError").finish_non_exhaustive()
    }
}

impl<M> fmt::Display for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("actor has stopped")
    }
}

impl<M> fmt::Debug for TryCastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Stopped(_) => "Stopped(..)",
        })
    }
}

impl<M> fmt::Display for TryCastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "mailbox is full",
            Self::Stopped(_) => "actor has stopped",
        })
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "actor has stopped",
            Self::Timeout => "timed out waiting on actor",
            Self::NoReply => "actor did not reply",
        })
    }
}

impl<M> Error for CastError<M> {}

impl<M> Error for TryCastError<M> {}

impl Error for CallError {}
