//! A look at the green threads of a runtime, for programs that hang.
//!
//! The world is stopped for the look (`world.rs`), which takes as long as it takes each worker to come to its next suspension. One that runs something which
//! neither waits nor yields would keep it for ever: after [`PATIENCE`] the look is given up, and says how many such workers there are.
//!
//! # Invariants
//!
//! - **U1** A task is looked at while the world is stopped (X1), and only what is atomic, or never changes, is read.
//!
//! # Checked by
//!
//! `tests/dump.rs`.

use std::{
    fmt,
    num::NonZero,
    panic::Location,
    ptr::{self, NonNull},
    time::{Duration, Instant},
};

use super::{
    DUMPING, RUNNING, Shared, current,
    world::{change_phase, stop_world, wake_all},
};
use crate::{
    task::{Header, state::Place},
    thread::{State, ThreadId},
};

/// How long workers have to come to a suspension.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the green threads of a runtime did at one moment. Made by [`Handle::dump`](crate::runtime::Handle::dump); its `Display` is a line for each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// How many workers the runtime has.
    pub workers: usize,
    /// How many of them have not come to a suspension in time. If there are any, [`threads`](Self::threads) is empty.
    pub busy: usize,
    /// Whether the runtime is ending, or has ended. Then [`threads`](Self::threads) is empty.
    pub is_ending: bool,
    /// How many green threads have been spawned and have not ended, those that have not started among them.
    pub live: usize,
    /// Those that have started, oldest first.
    pub threads: Vec<ThreadDump>,
}

/// One green thread of a [`Dump`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ThreadDump {
    /// Its id.
    pub id: ThreadId,
    /// The id of the green thread that spawned it, if one did.
    pub parent: Option<ThreadId>,
    /// Its name.
    pub name: Option<String>,
    /// Where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// What it does.
    pub state: State,
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} green threads are alive, on {} workers", self.live, self.workers)?;
        for thread in &self.threads {
            writeln!(f, "  {thread}")?;
        }
        if self.busy > 0 {
            return writeln!(
                f,
                "  {} workers run what neither waits nor yields; nothing else is known",
                self.busy
            );
        }
        if self.is_ending {
            return writeln!(f, "  the runtime is ending; nothing else is known");
        }
        match self.live.saturating_sub(self.threads.len()) {
            0 => Ok(()),
            fresh => writeln!(f, "  {fresh} have not started"),
        }
    }
}

impl fmt::Display for ThreadDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("<unnamed>");
        write!(f, "'{name}' ({:?}, spawned at {}", self.id, self.spawned_at)?;
        if let Some(parent) = self.parent {
            write!(f, " by {parent:?}")?;
        }
        match self.state {
            State::Waiting(reason) => write!(f, ") waits: {reason:?}"),
            State::Runnable => write!(f, ") is ready to run"),
            State::Finished => write!(f, ") has finished"),
        }
    }
}

impl ThreadDump {
    fn new(task: &Header) -> Option<Self> {
        let id = |id| NonZero::new(id).map(ThreadId::from_number);
        Some(Self {
            id: id(task.meta.id)?,
            parent: id(task.meta.parent),
            name: task.meta.name().map(str::to_owned),
            spawned_at: task.meta.site,
            state: match task.state.place() {
                Place::Active => State::Runnable,
                Place::Parked => State::Waiting(task.reason()),
                Place::Finished => State::Finished,
            },
        })
    }
}

/// Looks at all of them. Not on a green thread of this runtime.
pub(crate) fn dump(shared: &Shared) -> Dump {
    let live = || usize::try_from(shared.live()).unwrap_or(usize::MAX);
    let workers = shared.remotes.len();
    let mut dump = Dump { workers, busy: 0, is_ending: false, live: live(), threads: Vec::new() };
    if current::worker().is_some_and(|worker| ptr::eq(&raw const **worker.shared(), shared)) {
        // Foreign code that a worker calls, between two green threads: it could not stop.
        dump.busy = 1;
        return dump;
    }
    // Until the phase is as it was (X5).
    let _stopper = shared.world.stopper.lock();
    dump.is_ending = shared.is_ending();
    if !dump.is_ending {
        dump.busy = stop_world(shared, DUMPING, Some(Instant::now() + PATIENCE));
        if dump.busy == 0 {
            shared.stacks.for_each_occupant(|occupant| {
                let task = NonNull::new(occupant.cast::<Header>()).expect("occupants are not null");
                // SAFETY: it has started and not ended (X1), and nothing is read that somebody could write (U1).
                dump.threads.extend(ThreadDump::new(unsafe { task.as_ref() }));
            });
        }
        dump.live = live();
        change_phase(shared, RUNNING);
        // What came while they stood is theirs to find.
        wake_all(shared);
    }
    dump.threads.sort_unstable_by_key(|thread| thread.id.number());
    dump
}
