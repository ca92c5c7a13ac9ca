//! Channels: several threads send, several receive, and each message goes to one of them.
//!
//! Green threads and OS threads may stand at either end. The names and what they promise are those of `crossbeam-channel`: a program that
//! uses it changes an import. For `std`'s names there is [`mpsc`](crate::mpsc).
//!
//! ```
//! use sward_sync::channel::unbounded;
//!
//! let (sender, receiver) = unbounded();
//! sender.send("hello").unwrap();
//! assert_eq!(receiver.recv(), Ok("hello"));
//! ```
//!
//! # To create one
//!
//! [`unbounded`] makes a channel that holds any number of messages, so that to send never waits. [`bounded`] makes one that holds a certain
//! number; whoever sends more than that waits for room, and a stream of work is held back at its source:
//!
//! ```
//! use sward_sync::channel::{TrySendError, bounded};
//!
//! let (sender, receiver) = bounded(2);
//! sender.send(1).unwrap();
//! sender.send(2).unwrap();
//! // `send` would wait now.
//! assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
//! assert_eq!(receiver.recv(), Ok(1));
//! assert_eq!(sender.try_send(3), Ok(()));
//! ```
//!
//! With a capacity of zero there is no buffer. The sender and the receiver meet, the message passes from hand to hand, and who has sent
//! it knows that it was received:
//!
//! ```
//! use sward_runtime::thread;
//! use sward_sync::channel::bounded;
//!
//! let (sender, receiver) = bounded(0);
//! let thread = thread::spawn(move || sender.send("hello"));
//! assert_eq!(receiver.recv(), Ok("hello"));
//! thread.join().unwrap().unwrap();
//! ```
//!
//! # To share it
//!
//! Both ends can be cloned, sent to other threads, and used through references. A clone is one more handle of the same end; there is no stream
//! of messages for each:
//!
//! ```
//! use sward_runtime::thread;
//! use sward_sync::channel::bounded;
//!
//! let (sender, receiver) = bounded(4);
//! thread::scope(|scope| {
//!     for worker in 0..4 {
//!         let (sender, receiver) = (sender.clone(), &receiver);
//!         scope.spawn(move || sender.send(worker).unwrap());
//!         scope.spawn(move || receiver.recv().unwrap());
//!     }
//! });
//! assert!(receiver.is_empty());
//! ```
//!
//! # To disconnect it
//!
//! A channel is disconnected once all handles of one of its ends are gone. Nobody waits at it from then on. What was sent before can still be
//! received; what nobody can receive any more is dropped at once, and what is sent then is given back in the error:
//!
//! ```
//! use sward_sync::channel::{RecvError, SendError, unbounded};
//!
//! let (sender, receiver) = unbounded();
//! sender.send(1).unwrap();
//! drop(sender);
//! assert_eq!(receiver.recv(), Ok(1));
//! assert_eq!(receiver.recv(), Err(RecvError));
//!
//! let (sender, receiver) = unbounded();
//! drop(receiver);
//! assert_eq!(sender.send(2), Err(SendError(2)));
//! ```
//!
//! # To wait, or not
//!
//! Each operation comes in three forms: one that waits as long as it takes ([`send`](Sender::send), [`recv`](Receiver::recv)), one
//! that does not wait (`try_…`), and one that waits for a limited time (`…_timeout`, `…_deadline`). To wait parks a green thread, and blocks an
//! OS thread outside the runtime.
//!
//! Those who wait are served in the order in which they came. Whoever never has to wait yields now and then, so that a busy channel does not
//! keep its worker from the other green threads.
//!
//! # To iterate
//!
//! A receiver is an iterator over the messages until the channel is disconnected; [`try_iter`](Receiver::try_iter) takes those that are
//! there:
//!
//! ```
//! use sward_runtime::thread;
//! use sward_sync::channel::unbounded;
//!
//! let (sender, receiver) = unbounded();
//! thread::spawn(move || (1..=4).for_each(|i| sender.send(i).unwrap()));
//! assert_eq!(receiver.iter().sum::<i32>(), 10);
//! assert_eq!(receiver.try_iter().next(), None);
//! ```
//!
//! # To select
//!
//! [`select!`](crate::select) does one of several operations, whichever can be done first. [`Select`] is for operations that are known only at
//! run time.
//!
//! ```
//! use std::time::Duration;
//! use sward_sync::channel::{select, unbounded};
//!
//! let (numbers, receive_number) = unbounded::<u32>();
//! let (_words, receive_word) = unbounded::<&str>();
//! numbers.send(7).unwrap();
//! select! {
//!     recv(receive_number) -> number => assert_eq!(number, Ok(7)),
//!     recv(receive_word) -> _ => unreachable!("nobody has sent one"),
//!     default(Duration::from_secs(1)) => unreachable!("there is a number"),
//! }
//! ```
//!
//! # Channels of time
//!
//! [`after`] and [`at`] make a receiver with one message, which is there when time is up, [`tick`] one with a message every so often, and
//! [`never`](never()) one without any: they are to be used in a `select`, and cost nothing while nobody waits.
//!
//! ```
//! use std::time::Duration;
//! use sward_sync::channel::{after, select, tick};
//!
//! let (ticker, timeout) = (tick(Duration::from_millis(2)), after(Duration::from_millis(15)));
//! let mut ticks = 0;
//! loop {
//!     select! {
//!         recv(ticker) -> _ => ticks += 1,
//!         recv(timeout) -> _ => break,
//!     }
//! }
//! assert!(ticks >= 1);
//! ```

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
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError,
    TryReadyError, TryRecvError, TrySelectError, TrySendError,
};
pub use iter::{IntoIter, Iter, TryIter};
pub use receiver::Receiver;
#[doc(hidden)]
pub use select::internal;
pub use select::{Select, SelectedOperation};
pub use sender::Sender;
pub use timer::{after, at, never, tick};

/// Makes a channel that holds any number of messages.
///
/// Memory is taken as messages come, and given back as they are received.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// for i in 0..3 {
///     let sender = sender.clone();
///     thread::spawn(move || sender.send(i).unwrap());
/// }
/// drop(sender);
/// assert_eq!(receiver.iter().sum::<i32>(), 3);
/// ```
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    pair(None)
}

/// Makes a channel that holds at most `capacity` messages; with zero, the sender and the receiver of a message must meet.
///
/// No memory is taken in advance, so any number will do.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::channel::bounded;
///
/// let (sender, receiver) = bounded(1);
/// let thread = thread::spawn(move || {
///     sender.send(1).unwrap();
///     // Waits until the first one was received.
///     sender.send(2).unwrap();
/// });
/// assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
/// thread.join().unwrap();
/// ```
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    pair(Some(capacity))
}

fn pair<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let chan = Arc::new(Chan::new(capacity));
    (Sender { chan: Arc::clone(&chan) }, Receiver { flavor: Flavor::Chan(chan) })
}
