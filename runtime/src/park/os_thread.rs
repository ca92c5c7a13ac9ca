//! OS threads outside the runtime, which wait for the same things by blocking.

use std::{cell::Cell, sync::Arc};

use crate::{prim, scheduler, task::state::State};

/// The record of an OS thread outside the runtime that uses sward's primitives.
#[derive(Debug)]
pub(crate) struct OsThread {
    pub(crate) state: State,
    pub(crate) id: u64,
    pub(crate) thread: prim::thread::Thread,
}

prim::os_thread_local! {
    static OS_THREAD: Arc<OsThread> = Arc::new(OsThread::new());
    /// Has no destructor, so it is there to the end.
    #[expect(clippy::missing_const_for_thread_local, reason = "a model cannot make it in a constant")]
    static OS_THREAD_ID: Cell<u64> = Cell::new(0);
}

/// The id of the calling OS thread.
#[inline(never)]
pub(crate) fn os_thread_id() -> u64 {
    OS_THREAD_ID.with(|id| {
        if id.get() == 0 {
            id.set(scheduler::fresh_id());
        }
        id.get()
    })
}

impl OsThread {
    fn new() -> Self {
        Self { state: State::default(), id: os_thread_id(), thread: prim::thread::current() }
    }

    /// The calling OS thread's record. `None` while the thread is ending.
    pub(crate) fn current() -> Option<Arc<Self>> {
        OS_THREAD.try_with(Arc::clone).ok()
    }

    /// A record for the rest of an ending thread's life.
    pub(super) fn transient() -> Arc<Self> {
        Arc::new(Self::new())
    }
}
