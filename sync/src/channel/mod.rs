//! Channels.

#[expect(unsafe_code, reason = "entries of a `select`; see docs/unsafe.md")]
mod arm;
#[expect(unsafe_code, reason = "slots in the waiters' frames; see docs/unsafe.md")]
mod chan;
mod error;
mod fifo;
mod iter;
mod receiver;
#[expect(unsafe_code, reason = "one wait in several lists; see docs/unsafe.md")]
mod select;
mod sender;
mod timer;

use crate::Arc;
use chan::Chan;
use receiver::Flavor;

pub use crate::{select, select_biased};
pub use arm::Joinable;
pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
pub use iter::{IntoIter, Iter, TryIter};
pub use receiver::Receiver;
#[doc(hidden)]
pub use select::internal;
pub use select::{Select, SelectedOperation};
pub use sender::Sender;
pub use timer::{after, at, never, tick};

/// Makes a channel that holds any number of messages.
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(None)
}

/// Makes a channel that holds at most `capacity` messages.
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Some(capacity))
}

fn pair<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let chan = Arc::new(Chan::new(capacity));
    (Sender { chan: Arc::clone(&chan) }, Receiver { flavor: Flavor::Chan(chan) })
}
