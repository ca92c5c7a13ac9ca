//! The subjects: sward and its peers behind one trait.
//!
//! To add a peer: write `subject/<name>.rs` with an implementation of [`Subject`], then add it to [`Kind`] and to
//! [`start`]. The methods do a given amount of work and say how long it took; how much work, how often and
//! what is reported is decided in one place for all subjects, in [`crate::micro`] and [`crate::server`].
//!
//! Every method times itself on a green thread of the subject, so entering the runtime is not measured.

mod computing;
mod dialogue;
mod epoll;
mod files;
mod generator;
mod go;
mod http;
mod lateness;
mod may;
mod primitives;
mod process;
mod python;
mod serving;
mod smol;
mod sward;
mod threads;
mod tokio;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::sys;

pub(crate) use computing::{Compute, NUMBERS, ROWS, SUM_OF_ROWS};
pub(crate) use files::{Order, sum_of_marks, write as write_file};
pub(crate) use generator::generator;
pub(crate) use go::{PATH_VARIABLE as GO_PEER_VARIABLE, build as build_go_peer};
pub(crate) use lateness::{Hogs, Late, Naps, Squall, Storm, Ticks};
pub(crate) use primitives::{Done, Primitive};
pub(crate) use python::{
    INTERPRETER_VARIABLE as PYTHON_VARIABLE, PROGRAM_VARIABLE as PYTHON_PEER_VARIABLE,
    version as python_version, write_peer as write_python_peer,
};
pub(crate) use serving::{Role, Serve, Service};
use threads::Channels;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// `sward` as it is by default: a started green thread stays on its worker.
    Sward,
    /// `sward` with every green thread free to move.
    SwardRoaming,
    /// `sward` with handlers of messages, for connections only: see `sward::net::serve_messages`.
    SwardMessages,
    /// One OS thread each.
    Threads,
    /// The same with the channels of `crossbeam-channel`, for the benchmarks of channels.
    Crossbeam,
    /// The same with the channels of `flume`.
    Flume,
    Tokio,
    Smol,
    May,
    Go,
    /// Python's own library.
    Asyncio,
    /// The same by another loop.
    Uvloop,
    /// Python's green threads.
    Gevent,
    /// For parallel CPU work only.
    Rayon,
    /// A bare loop around epoll on one thread, for servers only: the limit.
    Epoll,
    /// Bare coroutines, for generators only: the limit.
    Corosensei,
}

impl Kind {
    pub(crate) const ALL: [Self; 16] = [
        Self::Sward,
        Self::SwardRoaming,
        Self::SwardMessages,
        Self::Threads,
        Self::Crossbeam,
        Self::Flume,
        Self::Tokio,
        Self::Smol,
        Self::May,
        Self::Go,
        Self::Asyncio,
        Self::Uvloop,
        Self::Gevent,
        Self::Rayon,
        Self::Epoll,
        Self::Corosensei,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sward => "sward",
            Self::SwardRoaming => "sward-roaming",
            Self::SwardMessages => "sward-messages",
            Self::Threads => "threads",
            Self::Crossbeam => "crossbeam",
            Self::Flume => "flume",
            Self::Tokio => "tokio",
            Self::Smol => "smol",
            Self::May => "may",
            Self::Go => "go",
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
            Self::Gevent => "gevent",
            Self::Rayon => "rayon",
            Self::Epoll => "epoll",
            Self::Corosensei => "corosensei",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it is sward, in whatever mode.
    pub(crate) fn is_sward(self) -> bool {
        matches!(self, Self::Sward | Self::SwardRoaming | Self::SwardMessages)
    }

    /// Whether it is no runtime, but what a runtime can be measured by.
    fn is_limit(self) -> bool {
        matches!(self, Self::Epoll | Self::Corosensei)
    }

    /// Whether it is a library of Python's, which is measured by some benchmarks only.
    pub(crate) fn is_python(self) -> bool {
        matches!(self, Self::Asyncio | Self::Uvloop | Self::Gevent)
    }

    /// Whether it is a runtime, in whatever language.
    pub(crate) fn has_tasks(self) -> bool {
        self.is_runtime() || self.is_python()
    }

    /// Whether it is somebody else's runtime, or a part of one.
    pub(crate) fn is_peer(self) -> bool {
        !(self.is_sward() || self.is_limit())
    }

    /// Whether it is a runtime, and not just a kind of channels, or of servers.
    pub(crate) fn is_runtime(self) -> bool {
        self.has_channels() && !matches!(self, Self::Crossbeam | Self::Flume)
    }

    /// Whether it is a runtime, or a kind of channels.
    pub(crate) fn has_channels(self) -> bool {
        !matches!(self, Self::SwardMessages | Self::Rayon) && !self.is_limit() && !self.is_python()
    }

    /// Whether it is a server that does nothing but answer: the runtimes, and the limit.
    pub(crate) fn answers_at_once(self) -> bool {
        self.is_runtime() || self == Self::Epoll
    }

    /// Whether there is a full HTTP server for it, or it is the limit of those.
    pub(crate) fn has_http(self) -> bool {
        matches!(self, Self::Sward | Self::SwardRoaming | Self::Tokio | Self::Go | Self::Epoll)
    }

    /// Whether it can have a small one.
    pub(crate) fn has_small_http(self) -> bool {
        self.answers_at_once() && self != Self::Go
    }

    /// Whether it is a runtime with files of its own.
    pub(crate) fn has_files(self) -> bool {
        self.is_runtime() && self != Self::May
    }

    /// Whether it comes to its other work beside green threads that yield for ever.
    pub(crate) fn can_be_starved(self) -> bool {
        self.is_runtime() && self != Self::May
    }

    /// Whether it is put through storms.
    pub(crate) fn has_storms(self) -> bool {
        matches!(self, Self::Sward | Self::SwardRoaming | Self::Tokio | Self::Go)
    }

    /// Whether it does CPU work in parallel.
    pub(crate) fn can_compute(self) -> bool {
        self.is_runtime() || self == Self::Rayon
    }

    /// Whether its green threads can borrow from whoever starts them, without the word unsafe.
    pub(crate) fn can_lend(self) -> bool {
        self.can_compute() && !matches!(self, Self::Tokio | Self::Smol | Self::May)
    }

    /// Whether a green thread has a stack of its own.
    pub(crate) fn has_stacks(self) -> bool {
        self.is_runtime() && !matches!(self, Self::Tokio | Self::Smol)
    }

    /// Whether it can make use of so many workers.
    pub(crate) fn can_have(self, workers: usize) -> bool {
        workers == 1 || !(self.is_limit() || self.is_python())
    }

    /// How much of each fixed-size benchmark this subject can do.
    pub(crate) fn sizes(self) -> Sizes {
        let full =
            Sizes { batch: 100_000, skynet_depth: 6, fib: 27, idle_100k: 100_000, idle_1m: Some(1_000_000) };
        match self {
            // Its stacks are two mappings each and vm.max_map_count is 65 530 by default: beyond some 32 000 it panics.
            Self::May => Sizes { batch: 20_000, skynet_depth: 4, fib: 21, idle_100k: 20_000, idle_1m: None },
            // The kernel limits the threads of a user; and tens of thousands of them take seconds.
            Self::Threads => {
                Sizes { batch: 10_000, skynet_depth: 3, fib: 16, idle_100k: 10_000, idle_1m: None }
            }
            _ => full,
        }
    }
}

/// How much of each fixed-size benchmark a subject does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) skynet_depth: u32,
    pub(crate) fib: u32,
    pub(crate) idle_100k: usize,
    pub(crate) idle_1m: Option<usize>,
}

/// What a subject is about to do, for those that must be configured before they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing out of the ordinary.
    Usual,
    /// Tens of thousands of green threads that come and go.
    ManySpawns,
}

/// A runtime with a number of workers; the work it is asked for is the same for all.
pub(crate) trait Subject: Serve + Compute {
    /// `threads` green threads yield `each` times.
    fn yields(&self, threads: usize, each: u64) -> Result<Duration>;

    /// Spawns an empty green thread and joins it, `count` times, one after the other.
    fn spawn_join(&self, count: u64) -> Result<Duration>;

    /// Spawns `count` empty green threads, then joins them all.
    fn spawn_batch(&self, count: usize) -> Result<Duration>;

    /// Two green threads hand a turn to each other; `rounds` round trips. Each wait may be limited; the limit is never reached.
    fn pingpong(&self, rounds: u64, limit: Option<Duration>) -> Result<Duration>;

    /// A tree of green threads, ten children each, `depth` levels deep; returns the sum over the leaves' numbers too.
    fn skynet(&self, depth: u32) -> Result<(Duration, u64)>;

    /// Fibonacci's number by naive recursion: each call spawns one of its two calls; returns the number too.
    fn fib(&self, n: u32) -> Result<(Duration, u64)>;

    /// Does so many operations with a channel or a lock. An error if it has none of the kind.
    fn primitive(&self, primitive: Primitive, count: u64) -> Result<Done>;

    /// Starts `count` green threads that wait for something, after a call or not; returns by how many bytes the resident memory grew.
    fn idle(&self, count: usize, frames: Frames) -> Result<u64>;

    /// An OS thread wakes a waiting green thread while nothing else runs; returns nanoseconds from the wake until it ran.
    fn wakes(&self, samples: usize) -> Result<Vec<u64>>;

    /// Starts green threads that sleep once, each another time, and waits for all; puts down how late each woke.
    fn sleep_all(&self, naps: Naps, late: &'static Late) -> Result<()>;

    /// Puts down how late each tick is.
    fn ticks(&self, ticks: Ticks) -> Result<()>;

    /// Puts down what a storm does. An error if there is none for it.
    fn storm(&self, _storm: Storm) -> Result<()> {
        Err(Error::new("no storms"))
    }

    /// Reads so many blocks of a file, and sums up their marks. An error if it has no files.
    fn read_file(&self, _path: &Path, _order: Order, _count: u64) -> Result<Done> {
        Err(Error::new("no files"))
    }
}

/// Starts a subject in this process; there is one at most in a process.
pub(crate) fn start(kind: Kind, workers: usize, demand: Demand) -> Result<Box<dyn Subject>> {
    Ok(match kind {
        Kind::Sward => Box::new(sward::Sward::anchored(workers)?),
        Kind::SwardRoaming => Box::new(sward::Sward::roaming(workers)?),
        Kind::SwardMessages => Box::new(sward::Sward::by_message(workers)?),
        Kind::Threads => Box::new(threads::Threads::new(workers, Channels::Std)?),
        Kind::Crossbeam => Box::new(threads::Threads::new(workers, Channels::Crossbeam)?),
        Kind::Flume => Box::new(threads::Threads::new(workers, Channels::Flume)?),
        Kind::Tokio => Box::new(tokio::Tokio::new(workers)?),
        Kind::Smol => Box::new(smol::Smol::new(workers)),
        Kind::May => Box::new(may::May::new(workers, demand)),
        Kind::Go => Box::new(go::Go::new(workers)?),
        Kind::Asyncio | Kind::Uvloop | Kind::Gevent => Box::new(python::Python::new(kind)?),
        Kind::Rayon | Kind::Epoll | Kind::Corosensei => return Err(Error::new("no runtime")),
    })
}

/// The same, to be a server.
pub(crate) fn start_server(kind: Kind, workers: usize) -> Result<Box<dyn Serve>> {
    match kind {
        Kind::Epoll => Ok(Box::new(epoll::Epoll)),
        _ => Ok(start(kind, workers, Demand::Usual)?),
    }
}

/// The same, to compute.
pub(crate) fn start_computing(kind: Kind, workers: usize) -> Result<Box<dyn Compute>> {
    match kind {
        Kind::Rayon => Ok(Box::new(computing::Rayon::new(workers)?)),
        _ => Ok(start(kind, workers, Demand::Usual)?),
    }
}

/// What an idle green thread has called before it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Nothing.
    Shallow,
    /// A function with 6 KiB of variables, which has returned.
    Deep,
}

impl Frames {
    fn call(self) {
        #[inline(never)]
        fn call_deep() {
            std::hint::black_box([1_u8; 6 << 10]);
        }
        if self == Self::Deep {
            call_deep();
        }
    }
}

/// Where the green threads of [`Subject::yields`] wait for each other, yielding, so that all of them are yielding
/// while any is measured; otherwise a runtime could run one to its end before it starts the next.
#[derive(Clone, Debug)]
struct StartLine {
    missing: Arc<AtomicUsize>,
}

impl StartLine {
    fn new(threads: usize) -> Self {
        Self { missing: Arc::new(AtomicUsize::new(threads)) }
    }

    fn arrive(&self) {
        self.missing.fetch_sub(1, Ordering::AcqRel);
    }

    fn is_open(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }
}

/// Counts the idle green threads that have started and are about to wait.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// For the implementations of [`Subject::idle`]: runs `spawn_all`, waits for `count` green threads to start, and
/// returns the growth in resident memory.
fn resident_growth(count: usize, spawn_all: impl FnOnce() -> Result<()>) -> Result<u64> {
    let before = sys::resident_bytes()?;
    spawn_all()?;
    while STARTED.load(Ordering::Acquire) < count {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The last of them have counted themselves but may not wait yet.
    std::thread::sleep(Duration::from_millis(50));
    let after = sys::resident_bytes()?;
    after.checked_sub(before).ok_or_else(|| Error::new("resident memory shrank"))
}

/// The number of leaves below a node of skynet, `depth` levels above them.
fn leaves(depth: u32) -> u64 {
    10u64.pow(depth)
}
