//! The loads: one file for each, or for a few that are alike.

mod broadcasts;
mod cancels;
mod channels;
mod datagrams;
#[cfg(target_os = "linux")]
mod descriptors;
mod dumps;
mod echo;
mod files;
mod groups;
mod hogs;
mod limits;
mod locks;
mod meetings;
mod outside;
mod panics;
mod processes;
mod runtimes;
mod selects;
#[cfg(target_os = "linux")]
mod serving;
#[cfg(target_os = "linux")]
mod signals;
mod timers;
mod trees;

use std::sync::Arc;
use std::{fmt, io};

use sward::signal::{Signal, Signals};

use super::context::Ctx;

/// One kind of work, in one episode.
pub(crate) trait Load: Send + Sync {
    /// Works until `ctx.is_over()`. Called on a green thread.
    fn run(&self, ctx: &Ctx);

    /// Looks at what must hold when all has come to an end, or was unwound. Called on an OS thread; nothing else runs any more.
    fn check(&self, _ctx: &Ctx) {}
}

/// A load in the table.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) new: fn() -> Arc<dyn Load>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Fresh, as each episode has it.
fn fresh<L: Load + Default + 'static>() -> Arc<dyn Load> {
    Arc::new(L::default())
}

/// Starts what a process keeps for good, so that it is not missed later: the OS thread that waits for signals, and its pipe.
pub(crate) fn prepare() -> io::Result<()> {
    Signals::new([Signal::User1]).map(drop)
}

/// All of them.
pub(crate) const ALL: &[Entry] = &[
    Entry { name: "broadcasts", new: fresh::<broadcasts::Broadcasts> },
    Entry { name: "cancels", new: fresh::<cancels::Cancels> },
    Entry { name: "channels", new: fresh::<channels::Channels> },
    Entry { name: "datagrams", new: fresh::<datagrams::Datagrams> },
    #[cfg(target_os = "linux")]
    Entry { name: "descriptors", new: fresh::<descriptors::Descriptors> },
    Entry { name: "dumps", new: fresh::<dumps::Dumps> },
    Entry { name: "echo", new: fresh::<echo::Echo> },
    Entry { name: "files", new: fresh::<files::Files> },
    Entry { name: "groups", new: fresh::<groups::Groups> },
    Entry { name: "hogs", new: fresh::<hogs::Hogs> },
    Entry { name: "limits", new: fresh::<limits::Limits> },
    Entry { name: "locks", new: fresh::<locks::Locks> },
    Entry { name: "meetings", new: fresh::<meetings::Meetings> },
    Entry { name: "outside", new: fresh::<outside::Outside> },
    Entry { name: "panics", new: fresh::<panics::Panics> },
    Entry { name: "processes", new: fresh::<processes::Processes> },
    Entry { name: "runtimes", new: fresh::<runtimes::Runtimes> },
    Entry { name: "selects", new: fresh::<selects::Selects> },
    #[cfg(target_os = "linux")]
    Entry { name: "serving", new: fresh::<serving::Serving> },
    #[cfg(target_os = "linux")]
    Entry { name: "signals", new: fresh::<signals::Signals> },
    Entry { name: "timers", new: fresh::<timers::Timers> },
    Entry { name: "trees", new: fresh::<trees::Trees> },
];

/// What a panic carries that a load provokes.
#[derive(Debug, PartialEq)]
pub(crate) struct OnPurpose(pub(crate) u64);
