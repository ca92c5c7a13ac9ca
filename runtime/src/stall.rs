//! [`Stall`]: the report of a worker that is stuck.

use std::{fmt, num::NonZero, panic::Location, sync::Arc, time::Duration};

use crate::{
    prim::atomic::Ordering::Relaxed,
    scheduler::{self, Shared},
    task::Header,
    thread::ThreadId,
};

/// A green thread has kept its worker for longer than [`stall_after`](crate::runtime::Builder::stall_after), and others wait for that
/// worker. What [`on_stall`](crate::runtime::Builder::on_stall) is called with; its `Display` is a line that says it all.
#[derive(Clone, Debug)]
pub struct Stall {
    pub(crate) thread: Option<Culprit>,
    pub(crate) duration: Duration,
    pub(crate) behind: usize,
    pub(crate) worker: usize,
    pub(crate) os_thread: Option<i32>,
    pub(crate) blocked_in: Option<String>,
}

/// The green thread of a [`Stall`].
#[derive(Clone, Debug)]
pub(crate) struct Culprit {
    id: u64,
    name: Option<String>,
    site: &'static Location<'static>,
}

impl Culprit {
    pub(crate) fn new(task: &Header) -> Self {
        Self { id: task.meta.id, name: task.meta.name().map(str::to_owned), site: task.meta.site }
    }
}

impl Stall {
    /// The id of the green thread. `None` where the kernel does not let the runtime look (Linux before 4.14), and if the stall was over too soon.
    #[must_use]
    pub fn thread_id(&self) -> Option<ThreadId> {
        NonZero::new(self.thread.as_ref()?.id).map(ThreadId::from_number)
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn thread_name(&self) -> Option<&str> {
        self.thread.as_ref()?.name.as_deref()
    }

    /// Where it was spawned.
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.thread.as_ref().map(|thread| thread.site)
    }

    /// For how long it had kept its worker when this was found out, within a millisecond or so.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// How many green threads were behind it: ready, in the queues of its worker. Of those that have started and are anchored there, the number may be
    /// an old one.
    #[must_use]
    pub fn behind(&self) -> usize {
        self.behind
    }

    /// The number of the worker. Spares have the numbers after those of the runtime's workers.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// The kernel's number of the worker's OS thread, by which debuggers and profilers know it.
    ///
    /// They can read its stack; a report cannot. The thread runs, so only a handler of a signal could unwind it, and unwinders take locks and memory, which
    /// a handler must not.
    #[must_use]
    pub fn os_thread(&self) -> Option<i32> {
        self.os_thread
    }

    /// What the OS thread blocks in, as the kernel says: a function of its own, or the number of a system call. `None` if the thread computes, and where the
    /// kernel does not tell.
    #[must_use]
    pub fn blocked_in(&self) -> Option<&str> {
        self.blocked_in.as_deref()
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.thread {
            Some(Culprit { id, name, site }) => {
                let name = name.as_deref().unwrap_or("<unnamed>");
                write!(f, "green thread '{name}' (id {id}, spawned at {site})")?;
            }
            None => f.write_str("a green thread")?,
        }
        write!(f, " has kept worker {} for {:.1?}", self.worker, self.duration)?;
        if let Some(thread) = self.os_thread {
            write!(f, ", OS thread {thread}")?;
        }
        if let Some(place) = &self.blocked_in {
            write!(f, ", which blocks in {place}")?;
        }
        write!(f, "; {} wait behind it", self.behind)
    }
}

/// What a builder was given to call.
pub(crate) type OnStall = Arc<dyn Fn(&Stall) + Send + Sync>;

/// Whether anybody wants to hear of stalls.
pub(crate) fn is_wanted(on_stall: Option<&OnStall>) -> bool {
    #[cfg(feature = "tracing")]
    if tracing::enabled!(tracing::Level::WARN) {
        return true;
    }
    on_stall.is_some()
}

/// Tells of a stall, on a thread of the pool: what is called may do as it likes. `tick` is the worker's.
pub(crate) fn report(shared: &Arc<Shared>, mut stall: Stall, tick: u32) {
    let shared = Arc::clone(shared);
    crate::pool::detach(move || {
        let thread = scheduler::glance::glance(&shared, stall.worker, Culprit::new);
        // If the worker has gone on, it is another.
        let is_same = shared.remotes[stall.worker].tick.load(Relaxed) == tick;
        stall.thread = thread.filter(|_| is_same);
        #[cfg(feature = "tracing")]
        tracing::warn!(
            thread = stall.thread.as_ref().map(|thread| thread.id),
            name = stall.thread_name(),
            spawned_at = stall.spawned_at().map(tracing::field::display),
            duration_ms = u64::try_from(stall.duration.as_millis()).unwrap_or(u64::MAX),
            behind = stall.behind,
            worker = stall.worker,
            os_thread = stall.os_thread,
            blocked_in = stall.blocked_in(),
            "a green thread keeps its worker"
        );
        if let Some(on_stall) = &shared.on_stall {
            on_stall(&stall);
        }
    });
}
