//! The queues. The deque and the injector are crossbeam-deque's.

pub(crate) mod deque;
pub(crate) mod inbox;
pub(crate) mod list;
