//! Several green threads together: structured concurrency.
//!
//! | | borrows | a failure | results |
//! |---|---|---|---|
//! | [`scope`](scope()) | yes | ends the rest | by handle |
//! | [`thread::scope`](crate::thread::scope) | yes | concerns nobody else | by handle |
//! | [`gather`], [`try_gather`], [`join!`] | yes | ends the rest | in order |
//! | [`map_concurrent`], [`try_map_concurrent`] | yes | ends the rest | in order, at most so many at once |
//! | [`race`], [`race_ok`] | yes | | the first |
//! | [`Group`] | no | is a result | as they end |
//! | [`as_completed`], [`wait`](wait()) | no | is a result | as they end, of handles that are there already |
//!
//! Whatever borrows has ended when the call returns, also when it unwinds. All of them wait, so a
//! [`time::timeout`](crate::time::timeout) around them bounds the whole.
//!
//! A [`Local`] is a value that is bound for a call, for all that borrow to inherit, and for others on request.

mod failure;
mod gather;
mod group;
mod join;
mod local;
mod scope;
#[cfg(feature = "tracing")]
mod span;
mod wait;
mod watch;

pub use crate::__join as join;
pub use failure::{Failure, Panic};
pub use gather::{gather, map_concurrent, race, race_ok, try_gather, try_map_concurrent};
pub use group::Group;
#[doc(hidden)]
pub use join::Closures;
pub use local::{Local, inherit};
pub use scope::{Handle, Scope, scope};
#[cfg(feature = "tracing")]
pub use span::in_current_span;
pub use wait::{AsCompleted, Until, Waited, as_completed, wait};
