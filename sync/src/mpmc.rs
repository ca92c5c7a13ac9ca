//! Channels under the names of `std::sync::mpmc`.
//!
//! That module is unstable, and its channels are those of [`channel`](crate::channel) by other names, as they are here: see there. The errors are
//! `channel`'s too, not those of [`mpsc`](crate::mpsc).
//!
//! ```
//! use sward_runtime::thread;
//! use sward_sync::mpmc::channel;
//!
//! let (sender, receiver) = channel();
//! let second = receiver.clone();
//! let received = thread::spawn(move || second.recv());
//! sender.send(1).unwrap();
//! assert_eq!(received.join().unwrap(), Ok(1));
//! assert!(receiver.is_empty());
//! ```

pub use crate::channel::{
    IntoIter, Iter, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryIter,
    TryRecvError, TrySendError, bounded as sync_channel, unbounded as channel,
};
