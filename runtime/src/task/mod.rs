//! Green threads as the scheduler sees them.
//!
//! | file | what it decides |
//! |---|---|
//! | [`state`] | where a task is, who ends its wait, and the token of `park` and `unpark` |
//! | [`join`] | who takes the result |
//! | [`header`] | the record itself: fields and references |
//! | [`cell`] | what is behind it: closure, and later result |
//! | [`started`] | what a green thread has from its first run on |
//! | [`life`] | what a green thread does from its first instruction to its last |
//! | [`slab`] | where the records of tasks spawned on a worker get their memory |
//! | [`local`] | values that belong to one green thread |

mod cell;
pub(crate) mod header;
pub(crate) mod join;
pub(crate) mod life;
pub(crate) mod local;
pub(crate) mod slab;
pub(crate) mod started;
pub(crate) mod state;

pub(crate) use header::{Header, Meta, Options, TaskRef};
