//! Go: the runtime that sward takes its model from, as a peer in a process of its own.
//!
//! The program in `peers/go` is built once into a temporary directory. It reads one command a line and answers with
//! one line, so the amounts of work are decided here as for every other subject. Serving is different: this process
//! becomes the Go program, and keeps its id, its CPUs and its pipes.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::computing::Compute;
use super::files::Order;
use super::lateness::{Hogs, Late, Naps, Squall, Storm, Ticks, connect_after_calm, send_ticks_on};
use super::primitives::{Done, Primitive};
use super::process::Process;
use super::serving::{Announce, Serve, Service, unix_path};
use super::{Frames, Subject};
use crate::cost::Costs;
use crate::error::{Error, Result};
use crate::sys::Usage;

/// The environment variable that tells child processes where the built program is.
pub(crate) const PATH_VARIABLE: &str = "SWARD_BENCHES_GO_PEER";
const SOURCES: [(&str, &str); 8] = [
    ("main.go", include_str!("../../peers/go/main.go")),
    ("primitives.go", include_str!("../../peers/go/primitives.go")),
    ("serving.go", include_str!("../../peers/go/serving.go")),
    ("lateness.go", include_str!("../../peers/go/lateness.go")),
    ("storm.go", include_str!("../../peers/go/storm.go")),
    ("computing.go", include_str!("../../peers/go/computing.go")),
    ("files.go", include_str!("../../peers/go/files.go")),
    ("go.mod", include_str!("../../peers/go/go.mod")),
];
const INSTALL: &str = "install Go from https://go.dev/dl, or give the path of the tool by --go PATH";

/// Builds the program with a Go toolchain; where it is, and by what it was built. The error says how to get one.
pub(crate) fn build(tool: &Path, into: &Path) -> Result<(PathBuf, String)> {
    std::fs::create_dir_all(into)?;
    for (name, source) in SOURCES {
        std::fs::write(into.join(name), source)?;
    }
    let built = Command::new(tool).args(["build", "-o", "peer", "."]).current_dir(into).output();
    let output = built.map_err(|error| Error::new(format!("{}: {error}; {INSTALL}", tool.display())))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("go build failed: {}", stderr.trim())));
    }
    let version = Command::new(tool).args(["env", "GOVERSION"]).output()?;
    let version = format!("Go {}", String::from_utf8_lossy(&version.stdout).trim().trim_start_matches("go"));
    Ok((into.join("peer"), version))
}

fn program(workers: usize) -> Result<Command> {
    let path = std::env::var_os(PATH_VARIABLE).ok_or_else(|| Error::new("no Go peer was built"))?;
    let mut command = Command::new(path);
    command.env("GOMAXPROCS", workers.to_string());
    Ok(command)
}

#[derive(Debug)]
pub(crate) struct Go {
    workers: usize,
    process: Process,
}

impl Go {
    pub(crate) fn new(workers: usize) -> Result<Self> {
        let mut command = program(workers)?;
        command.arg("commands");
        Ok(Self { workers, process: Process::new(command) })
    }

    /// As [`super::generator()`].
    pub(super) fn generator(&self, count: u64) -> Result<Done> {
        self.process.done(&format!("generator {count}"))
    }
}

impl Subject for Go {
    fn yields(&self, threads: usize, each: u64) -> Result<Duration> {
        self.process.time(&format!("yields {threads} {each}"))
    }

    fn spawn_join(&self, count: u64) -> Result<Duration> {
        self.process.time(&format!("spawn_join {count}"))
    }

    fn spawn_batch(&self, count: usize) -> Result<Duration> {
        self.process.time(&format!("spawn_batch {count}"))
    }

    fn pingpong(&self, rounds: u64, limit: Option<Duration>) -> Result<Duration> {
        match limit {
            Some(limit) => self.process.time(&format!("pingpong_limited {rounds} {}", limit.as_millis())),
            None => self.process.time(&format!("pingpong {rounds}")),
        }
    }

    fn skynet(&self, depth: u32) -> Result<(Duration, u64)> {
        let done = self.process.done(&format!("skynet {depth}"))?;
        Ok((done.time, done.count))
    }

    fn fib(&self, n: u32) -> Result<(Duration, u64)> {
        let done = self.process.done(&format!("fib {n}"))?;
        Ok((done.time, done.count))
    }

    fn primitive(&self, primitive: Primitive, count: u64) -> Result<Done> {
        self.process.done(&format!("{} {count}", primitive.name()))
    }

    fn read_file(&self, path: &Path, order: Order, count: u64) -> Result<Done> {
        self.process.done(&format!("file_{} {count} {}", order.name(), path.display()))
    }

    fn idle(&self, count: usize, frames: Frames) -> Result<u64> {
        let command = if frames == Frames::Deep { "idle_deep" } else { "idle" };
        Ok(self.process.ask(&format!("{command} {count}"))?[0])
    }

    fn wakes(&self, samples: usize) -> Result<Vec<u64>> {
        self.process.ask(&format!("wakes {samples}"))
    }

    fn sleep_all(&self, naps: Naps, late: &'static Late) -> Result<()> {
        let (shortest, spread) = (naps.shortest.as_millis(), naps.spread.as_millis());
        let answer = self.process.ask(&format!("sleep_all {} {shortest} {spread}", naps.count))?;
        answer.into_iter().for_each(|nanos| late.put(nanos));
        Ok(())
    }

    fn ticks(&self, ticks: Ticks) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        if ticks.hogs != Hogs::None {
            send_ticks_on(move || Ok(listener.accept()?.0), ticks.count);
        }
        let answer = self.process.ask(&format!("ticks_{} {} {port}", ticks.hogs.name(), ticks.count))?;
        let (timer, tcp) = answer.split_at_checked(ticks.count).ok_or_else(|| Error::new("too few ticks"))?;
        timer.iter().for_each(|&nanos| ticks.timer.put(nanos));
        tcp.iter().for_each(|&nanos| ticks.tcp.put(nanos));
        Ok(())
    }

    fn storm(&self, storm: Storm) -> Result<()> {
        if storm.squall == Squall::Accepts {
            let port = self.process.ask("storm_listen")?[0];
            let port = u16::try_from(port).map_err(|_| Error::new("no port"))?;
            connect_after_calm((Ipv4Addr::LOCALHOST, port).into(), storm.count);
        }
        let (name, ticks) = (storm.squall.name(), storm.ticks.count);
        let answer = self.process.ask(&format!("storm_{name} {} {ticks}", storm.count))?;
        let (timer, others) = answer.split_at_checked(ticks).ok_or_else(|| Error::new("too few ticks"))?;
        timer.iter().for_each(|&nanos| storm.ticks.timer.put(nanos));
        others.iter().for_each(|&nanos| storm.late.put(nanos));
        Ok(())
    }
}

impl Costs for Go {
    fn usage(&self) -> Result<Usage> {
        self.process.usage()
    }

    fn process(&self) -> Result<u32> {
        self.process.id()
    }
}

impl Compute for Go {
    fn mandelbrot(&self) -> Result<Done> {
        self.process.done("mandelbrot")
    }

    fn quicksort(&self) -> Result<Done> {
        self.process.done("quicksort")
    }
}

impl Serve for Go {
    fn serve(&self, service: Service, _announce: Announce) -> Result<()> {
        let mut command = program(self.workers)?;
        let (iterations, tasks) = (service.iterations.to_string(), service.batch_tasks.to_string());
        command.args(["serve", service.role.name(), &iterations, &tasks]).arg(unix_path());
        Err(command.exec().into())
    }
}
