//! The table of all benchmarks.
//!
//! To add one: write a function from [`Context`] to [`Figures`] in [`crate::micro`] or [`crate::server`], on top of
//! the methods of [`crate::subject::Subject`], and give it a line in [`ALL`].

use std::time::Duration;

use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::subject::{Frames, Hogs, Kind, NUMBERS, Order, Primitive, ROWS, Role, SUM_OF_ROWS, Squall};
use crate::{micro, server};

/// The benchmark that runs when none is named.
pub(crate) const MAIN: &str = "cpu_io";

/// Whom a child process measures, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) kind: Kind,
    pub(crate) workers: usize,
    /// Iterations of SHA-256 in a request, the same for every subject.
    pub(crate) iterations: u32,
}

/// What a child process reports, the most telling figure first.
pub(crate) type Figures = Vec<(&'static Metric, f64)>;

/// One benchmark.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    /// What `time` is the time of, and what else to know when reading the table.
    pub(crate) about: &'static str,
    /// Says what a subject does otherwise than the others, if it does: less of the same, most often, and then the
    /// figures for one item are comparable.
    pub(crate) differs: fn(Kind) -> Option<String>,
    pub(crate) can_run: fn(Kind) -> bool,
    /// With how many workers, if not with those that the run is for.
    pub(crate) workers: Option<usize>,
    /// Whether it is done in the first round only: it takes long, and its figures differ little.
    pub(crate) is_long: bool,
    pub(crate) measure: fn(&Context) -> Result<Figures>,
}

impl PartialEq for Bench {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Bench {
    const fn new(name: &'static str, about: &'static str, measure: fn(&Context) -> Result<Figures>) -> Self {
        Self {
            name,
            about,
            differs: |_| None,
            can_run: Kind::is_runtime,
            workers: None,
            is_long: false,
            measure,
        }
    }

    const fn differs(mut self, differs: fn(Kind) -> Option<String>) -> Self {
        self.differs = differs;
        self
    }

    const fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    const fn long(mut self) -> Self {
        self.is_long = true;
        self
    }

    const fn can_run(mut self, can_run: fn(Kind) -> bool) -> Self {
        self.can_run = can_run;
        self
    }
}

/// Every benchmark, in the order in which they are listed.
pub(crate) static ALL: [Bench; 54] = [
    Bench::new(
        "cpu_io",
        "256 connections, 20 us of SHA-256 for each request, 2 batch tasks for each worker that hash 200 us at a time",
        server::measure_requests,
    )
    .differs(|kind| (kind == Kind::May).then(|| "batch work on OS threads instead of coroutines, see README.md".into())),
    Bench::new("yield_2", "2 green threads yield; per yield", |context| micro::yields(context, 2))
        .can_run(Kind::has_tasks),
    Bench::new("yield_1000", "1000 green threads yield; per yield", |context| micro::yields(context, 1000))
        .can_run(Kind::has_tasks),
    Bench::new("spawn_join", "spawn an empty green thread and join it, one at a time", micro::spawn_join)
        .can_run(Kind::has_tasks),
    Bench::new("spawn_batch", "spawn 100 000 empty green threads, then join them; each", micro::spawn_batch)
        .differs(|kind| reduction(kind.sizes().batch, 100_000, "green threads")),
    Bench::new("pingpong", "two green threads hand a turn to each other; per round trip", |context| {
        micro::pingpong(context, None)
    }),
    Bench::new("timers_cancel", "two green threads hand a turn to each other, each wait limited to 10 s; per round trip", |context| {
        micro::pingpong(context, Some(LIMIT))
    }),
    Bench::new("timers_sleep_100k", "100 000 green threads sleep once, for 0.5 to 1 s; how late", |context| {
        micro::timers_sleep(context, context.kind.sizes().idle_100k, Duration::from_millis(500))
    })
    .can_run(Kind::has_tasks)
    .differs(|kind| reduction(kind.sizes().idle_100k, 100_000, "green threads")),
    Bench::new("timers_sleep_1m", "1 000 000 green threads sleep once, for 3 to 6 s; how late", |context| {
        let count = context.kind.sizes().idle_1m.ok_or_else(|| Error::new("more than this subject can have"))?;
        micro::timers_sleep(context, count, Duration::from_secs(3))
    })
    .long()
    .can_run(|kind| kind.is_runtime() && kind.sizes().idle_1m.is_some()),
    Bench::new("tick_idle", "a tick of 1 ms while nothing else runs; how late", |context| {
        micro::ticks(context, 1000, Hogs::None)
    }),
    Bench::new("starvation_computing", "ticks of 1 ms beside two that compute for 50 ms and yield; how late", |context| {
        micro::ticks(context, 1000, Hogs::Computing)
    })
    .can_run(Kind::can_be_starved),
    Bench::new("starvation_blocking", "ticks of 1 ms beside two that block an OS thread for 50 ms and yield; how late", |context| {
        micro::ticks(context, 1000, Hogs::Blocking)
    })
    .can_run(Kind::can_be_starved),
    Bench::new("storm_accept", "2000 connections at once beside a tick of 1 ms; how late the tick, and the connections", |context| {
        micro::storm(context, Squall::Accepts, 2000)
    })
    .can_run(Kind::has_storms),
    Bench::new("storm_wake", "100 000 green threads woken at once beside a tick of 1 ms; how late the tick, and those woken", |context| {
        micro::storm(context, Squall::Wakes, 100_000)
    })
    .can_run(Kind::has_storms),
    Bench::new("skynet", "tree of green threads, 10 children each, 10^6 leaves; per green thread", micro::skynet)
        .differs(|kind| reduction(10usize.pow(kind.sizes().skynet_depth), 1_000_000, "leaves")),
    Bench::new("fib", "fib(27), one of the two calls spawned each time; per spawn", micro::fib)
        .differs(|kind| (kind.sizes().fib != 27).then(|| format!("fib({}) instead of fib(27)", kind.sizes().fib))),
    Bench::new("mandelbrot_rows", "512 rows of 512 points, a green thread for each; per row", |context| {
        micro::computing(context, f64::from(ROWS), SUM_OF_ROWS, |subject| subject.mandelbrot())
    })
    .can_run(Kind::can_compute),
    Bench::new("quicksort", "2^21 numbers, one part of two lent to a green thread each time; per number", |context| {
        micro::computing(context, NUMBERS as f64, NUMBERS as u64, |subject| subject.quicksort())
    })
    .can_run(Kind::can_lend),
    Bench::new("idle_memory_100k", "100 000 green threads that wait; bytes each", |context| {
        micro::idle_memory(context, context.kind.sizes().idle_100k, Frames::Shallow)
    })
    .differs(|kind| reduction(kind.sizes().idle_100k, 100_000, "green threads")),
    Bench::new("idle_memory_deep", "the same, after a call through 6 KiB of frames that has returned; bytes each", |context| {
        micro::idle_memory(context, context.kind.sizes().idle_100k, Frames::Deep)
    })
    .can_run(Kind::has_stacks)
    .differs(|kind| reduction(kind.sizes().idle_100k, 100_000, "green threads")),
    Bench::new("idle_memory_1m", "1 000 000 green threads that wait; bytes each", |context| {
        let count = context.kind.sizes().idle_1m;
        micro::idle_memory(context, count.ok_or_else(|| Error::new("more than this subject can have"))?, Frames::Shallow)
    })
    .long()
    .can_run(|kind| kind.is_runtime() && kind.sizes().idle_1m.is_some()),
    Bench::new("tcp_echo_1", "a connection with one message of 64 bytes in flight", |context| {
        server::measure_echo(context, Role::Echo, 1)
    })
    .can_run(|kind| kind.answers_at_once() || kind.is_python()),
    Bench::new("tcp_echo_64", "64 connections, one message of 64 bytes in flight on each", |context| {
        server::measure_echo(context, Role::Echo, 64)
    })
    .can_run(|kind| kind.answers_at_once() || kind.is_python()),
    Bench::new("tcp_echo_1000", "1000 connections, one message of 64 bytes in flight on each", |context| {
        server::measure_echo(context, Role::Echo, 1000)
    })
    .can_run(|kind| kind.answers_at_once() || kind.is_python()),
    Bench::new("tcp_echo_open", "64 connections, 60 000 messages of 64 bytes due each second; from when it was due", |context| {
        server::measure_open(context, Role::Echo, 64, 60_000.0)
    })
    .workers(1)
    .can_run(Kind::answers_at_once),
    Bench::new("unix_echo", "64 connections on a Unix socket, one message of 64 bytes in flight on each", |context| {
        server::measure_echo(context, Role::UnixEcho, 64)
    })
    .can_run(Kind::answers_at_once),
    Bench::new("udp_echo", "64 clients of one socket, one datagram of 64 bytes in flight from each", |context| {
        server::measure_echo(context, Role::UdpEcho, 64)
    })
    .can_run(Kind::answers_at_once),
    Bench::new("connect_churn", "64 connections at a time, each for one message of 64 bytes", |context| {
        server::measure_churn(context, 64)
    })
    .can_run(Kind::answers_at_once),
    Bench::new("http_plaintext_64", "64 connections, one request of HTTP/1.1 in flight on each", |context| {
        server::measure_http(context, Role::Http, 64)
    })
    .can_run(Kind::has_http),
    Bench::new("http_plaintext_1000", "1000 connections, one request of HTTP/1.1 in flight on each", |context| {
        server::measure_http(context, Role::Http, 1000)
    })
    .can_run(Kind::has_http),
    Bench::new("http_plaintext_open", "64 connections, 30 000 requests due each second; from when it was due", |context| {
        server::measure_open(context, Role::Http, 64, 30_000.0)
    })
    .workers(1)
    .can_run(Kind::has_http),
    Bench::new("http_small_64", "64 connections, one request of HTTP/1.1 in flight on each, a server that is a parser", |context| {
        server::measure_http(context, Role::SmallHttp, 64)
    })
    .can_run(Kind::has_small_http)
    .differs(may_has_minihttp),
    Bench::new("http_small_1000", "1000 connections, one request of HTTP/1.1 in flight on each, a server that is a parser", |context| {
        server::measure_http(context, Role::SmallHttp, 1000)
    })
    .can_run(Kind::has_small_http)
    .differs(may_has_minihttp),
    Bench::new("fs_read_sequential", "a file in the page cache, from its beginning on; per 64 KiB", |context| {
        micro::fs_read(context, Order::Sequential)
    })
    .can_run(Kind::has_files),
    Bench::new("fs_read_random", "a file in the page cache, anywhere; per 4 KiB", |context| {
        micro::fs_read(context, Order::Random)
    })
    .can_run(Kind::has_files),
    Bench::new("generator", "a generator hands out numbers; each", micro::generator)
        .can_run(|kind| matches!(kind, Kind::Sward | Kind::May | Kind::Go | Kind::Corosensei)),
    Bench::new("idle_connections", "10 000 connections that have been used once; bytes of the server each", |context| {
        server::measure_idle(context, 10_000)
    })
    .long()
    .can_run(|kind| kind.is_runtime() || kind == Kind::SwardMessages),
    Bench::new("wake_latency", "an OS thread wakes a green thread while nothing else runs", micro::wake_latency),
    Bench::new("chan_pingpong", "two green threads send a message to and fro; per round trip", |context| {
        micro::primitive(context, Primitive::ChanPingpong)
    })
    .can_run(|kind| kind.has_channels() || kind.is_python())
    .differs(hands_over_otherwise),
    Bench::new("chan_mpsc", "4 producers and a consumer, capacity 1024; per message", |context| {
        micro::primitive(context, Primitive::ChanMpsc)
    })
    .can_run(Kind::has_channels)
    .differs(may_is_unbounded),
    Bench::new("chan_mpmc", "4 producers and 4 consumers, capacity 1024; per message", |context| {
        micro::primitive(context, Primitive::ChanMpmc)
    })
    .can_run(|kind| kind.has_channels() && !matches!(kind, Kind::Threads | Kind::Tokio))
    .differs(may_is_unbounded),
    Bench::new("select_fan_in", "a consumer selects from 4 channels of capacity 16; per message", |context| {
        micro::primitive(context, Primitive::SelectFanIn)
    })
    .can_run(|kind| {
        kind.has_channels() && !matches!(kind, Kind::Threads | Kind::Flume | Kind::Smol | Kind::May)
    }),
    Bench::new("pingpong_timeout", "as chan_pingpong with room for a message, each receive limited to 10 s; per round trip", |context| {
        micro::primitive(context, Primitive::PingpongTimeout)
    })
    .can_run(Kind::has_channels)
    .differs(may_is_unbounded),
    Bench::new("pipeline", "8 stages with a channel of capacity 16 before each; per message", |context| {
        micro::primitive(context, Primitive::Pipeline)
    })
    .can_run(Kind::has_channels)
    .differs(may_is_unbounded),
    scaling("scaling_1", 1),
    scaling("scaling_2", 2),
    scaling("scaling_4", 4),
    scaling("scaling_8", 8),
    scaling("scaling_16", 16),
    Bench::new("mutex_uncontended", "lock, add, unlock; each", |context| {
        micro::primitive(context, Primitive::MutexUncontended)
    }),
    Bench::new("mutex_contended", "8 green threads lock, add, unlock; each", |context| {
        micro::primitive(context, Primitive::MutexContended)
    }),
    Bench::new("rwlock_read_mostly", "8 green threads read, each 32nd time write; each", |context| {
        micro::primitive(context, Primitive::RwLockReadMostly)
    }),
    Bench::new("condvar_handoff", "two green threads take turns by a condition variable; per round trip", |context| {
        micro::primitive(context, Primitive::CondvarHandoff)
    })
    .can_run(|kind| kind.is_runtime() && !matches!(kind, Kind::Tokio | Kind::Smol)),
    Bench::new("semaphore", "8 green threads acquire one of 4 permits, yield, release; each", |context| {
        micro::primitive(context, Primitive::Semaphore)
    })
    .can_run(|kind| kind.is_runtime() && kind != Kind::Threads),
];

/// Longer than any measurement.
const LIMIT: Duration = Duration::from_secs(10);

const UNBOUNDED: &str = "unbounded channels, having no others";

/// The same work with more and more workers, whatever the number of CPUs.
const fn scaling(name: &'static str, workers: usize) -> Bench {
    const ABOUT: &str =
        "32 producers, each with a consumer and a channel of capacity 16, both hash; per message";
    Bench::new(name, ABOUT, |context| micro::primitive(context, Primitive::Pairs))
        .workers(workers)
        .differs(may_is_unbounded)
}

fn hands_over_otherwise(kind: Kind) -> Option<String> {
    match kind {
        Kind::Tokio | Kind::Smol | Kind::Asyncio | Kind::Uvloop | Kind::Gevent => {
            Some("channels of capacity 1, having none that hands over".into())
        }
        Kind::May => Some(UNBOUNDED.into()),
        _ => None,
    }
}

fn may_is_unbounded(kind: Kind) -> Option<String> {
    (kind == Kind::May).then(|| UNBOUNDED.into())
}

fn may_has_minihttp(kind: Kind) -> Option<String> {
    (kind == Kind::May).then(|| "may_minihttp".into())
}

fn reduction(does: usize, full: usize, what: &str) -> Option<String> {
    (does != full).then(|| format!("{does} {what} instead of {full}"))
}

/// Finds benchmarks by name; the name of a family, such as `tcp_echo`, finds all its members.
pub(crate) fn find(name: &str) -> Vec<&'static Bench> {
    if let Some(bench) = ALL.iter().find(|bench| bench.name == name) {
        return vec![bench];
    }
    let is_member = |bench: &&Bench| bench.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    ALL.iter().filter(is_member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Vec<&'static str> {
        find(name).into_iter().map(|bench| bench.name).collect()
    }

    #[test]
    fn a_benchmark_is_found_by_its_name() {
        for bench in &ALL {
            assert_eq!(names(bench.name), [bench.name]);
        }
        assert_eq!(names(MAIN), ["cpu_io"]);
    }

    #[test]
    fn a_family_finds_its_members() {
        assert_eq!(names("tcp_echo"), ["tcp_echo_1", "tcp_echo_64", "tcp_echo_1000", "tcp_echo_open"]);
        assert_eq!(names("yield"), ["yield_2", "yield_1000"]);
        assert_eq!(names("idle_memory"), ["idle_memory_100k", "idle_memory_deep", "idle_memory_1m"]);
        assert_eq!(names("tcp"), names("tcp_echo"));
        assert!(names("nothing").is_empty());
        assert!(names("").is_empty());
    }

    #[test]
    fn smaller_amounts_are_said() {
        let [batch] = find("spawn_batch")[..] else { panic!("there is one") };
        assert_eq!((batch.differs)(Kind::Tokio), None);
        assert_eq!((batch.differs)(Kind::May).as_deref(), Some("20000 green threads instead of 100000"));
    }
}
