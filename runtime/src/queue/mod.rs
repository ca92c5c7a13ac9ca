//! The queues that are our own. The deque and the injector are crossbeam-deque's.

pub(crate) mod inbox;
pub(crate) mod list;
