//! Futures on green threads.
//!
//! [`block_on`] waits for a future, and parks the green thread while it is pending. The other way round, a
//! [`JoinHandle`](crate::thread::JoinHandle) is a future. So the two worlds can wait for each other, and neither needs the other's runtime.

#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "tokio")]
pub use self::tokio::in_tokio;
#[doc(inline)]
pub use sward_runtime::future::block_on;
