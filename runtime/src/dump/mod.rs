//! What a dump tells: [`Dump`], and how it is written.
//!
//! | file | what is in it |
//! |---|---|
//! | `trace.rs` | backtraces |
//! | `json.rs` | a dump as JSON |
//! | `quit.rs` | dumps on a signal |
//! | `scheduler/dump.rs` | how one is taken |

mod json;
pub(crate) mod quit;
pub(crate) mod trace;

use std::{fmt, panic::Location, time::Duration};

pub use self::{quit::dump_on_quit, trace::Frame};
use crate::{
    park::WaitReason,
    thread::{State, ThreadId},
};

/// What the green threads of a runtime did at one moment. Made by [`Handle::dump`](crate::runtime::Handle::dump); its `Display` has a paragraph for each,
/// and [`to_json`](Self::to_json) all there is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// How many workers the runtime has.
    pub workers: usize,
    /// How many of them have not come to a suspension in time. What they run is told, but without its stack.
    pub busy: usize,
    /// Whether the runtime is ending, or has ended. Then [`threads`](Self::threads) is empty.
    pub is_ending: bool,
    /// How many green threads have been spawned and have not ended. More than are in [`threads`](Self::threads), if some were about to start or have just
    /// ended, or were spawned on a worker that has not come to a suspension: of those only the latest is known.
    pub live: usize,
    /// All that are known, oldest first; those that have not started with the state [`Waiting`](State::Waiting) for
    /// [`NotStarted`](crate::park::WaitReason::NotStarted).
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
    /// For how long it has waited, or has been ready, or has run without a wait; to a few milliseconds. Zero if it has not started.
    pub lasting: Duration,
    /// On which worker it runs, if that did not stop for the dump.
    pub running: Option<Running>,
    /// What it was about to do, innermost first. Empty if it was running or has not started, or if there was not enough room on its stack to look.
    pub stack: Vec<Frame>,
}

/// Where a green thread of a [`ThreadDump`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    /// The number of the worker.
    pub worker: usize,
    /// The kernel's number of its OS thread.
    pub os_thread: i32,
    /// How many are ready but wait for it: they have started on that worker and are anchored there.
    pub behind: usize,
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} green threads are alive, on {} workers", self.live, self.workers)?;
        for thread in &self.threads {
            writeln!(f, "  {thread}")?;
            for frame in &thread.stack {
                writeln!(f, "      {frame}")?;
            }
        }
        if self.is_ending {
            return writeln!(f, "  the runtime is ending; nothing else is known");
        }
        if self.busy > 0 {
            writeln!(f, "  {} workers run what neither waits nor yields", self.busy)?;
            if self.threads.is_empty() {
                return writeln!(f, "  nothing else is known");
            }
        }
        match self.live.saturating_sub(self.threads.len()) {
            0 => Ok(()),
            others => writeln!(f, "  {others} others have not started or are about to end"),
        }
    }
}

/// One line, without the stack.
impl fmt::Display for ThreadDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("<unnamed>");
        write!(f, "'{name}' ({:?}, spawned at {}", self.id, self.spawned_at)?;
        if let Some(parent) = self.parent {
            write!(f, " by {parent:?}")?;
        }
        match (self.running, self.state) {
            (Some(on), _) => {
                write!(f, ") runs on worker {} (OS thread {})", on.worker, on.os_thread)?;
                if on.behind > 0 {
                    write!(f, ", where {} that live there wait for it", on.behind)?;
                }
            }
            (None, State::Waiting(WaitReason::NotStarted)) => return write!(f, ") has not started"),
            (None, State::Waiting(reason)) => write!(f, ") waits: {reason:?}")?,
            (None, State::Runnable) => write!(f, ") is ready to run")?,
            (None, State::Finished) => return write!(f, ") has finished"),
        }
        write!(f, ", for {:?}", Duration::from_millis(self.lasting.as_millis() as u64))
    }
}
