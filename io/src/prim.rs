//! The primitives that the atomic protocols of this crate are written with.
//!
//! They are the runtime's, whose file of the same name is the one that knows `cfg(loom)`: under it the atomics and
//! the mutex are loom's, so that the models in `loom-tests` run the very code that ships.

pub(crate) use sward_runtime::prim::{Mutex, atomic, fetch, global};
