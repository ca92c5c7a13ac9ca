//! Python: asyncio, uvloop and gevent, each in a process of its own, for what a Python programmer would look at.
//!
//! The program in `peers/python` is written into a temporary directory and reads commands as the Go peer does. It has one worker:
//! Python runs one thread at a time.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::computing::Compute;
use super::lateness::{Late, Naps, Ticks};
use super::primitives::{Done, Primitive, lacks};
use super::process::Process;
use super::serving::{Announce, Role, Serve, Service};
use super::{Frames, Kind, Subject};
use crate::cost::Costs;
use crate::error::{Error, Result};
use crate::sys::Usage;

/// The environment variables that tell child processes where the interpreter and the program are.
pub(crate) const INTERPRETER_VARIABLE: &str = "SWARD_BENCHES_PYTHON";
pub(crate) const PROGRAM_VARIABLE: &str = "SWARD_BENCHES_PYTHON_PEER";
const SOURCE: &str = include_str!("../../peers/python/peer.py");
const INSTALL: &str =
    "pip install -r benches/peers/python/requirements.txt, perhaps in a venv, and --python PATH";

/// Writes the program down; where it is.
pub(crate) fn write_peer(into: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(into)?;
    let path = into.join("peer.py");
    std::fs::write(&path, SOURCE)?;
    Ok(path)
}

/// What a library of this interpreter says that it is; the error says how to get it.
pub(crate) fn version(interpreter: &Path, program: &Path, kind: Kind) -> Result<String> {
    let asked = Command::new(interpreter).arg(program).args([kind.name(), "version"]).output();
    let output =
        asked.map_err(|error| Error::new(format!("{}: {error}; {INSTALL}", interpreter.display())))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().last().unwrap_or("no message");
        return Err(Error::new(format!("{last}; {INSTALL}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[derive(Debug)]
pub(crate) struct Python {
    kind: Kind,
    process: Process,
}

fn command(kind: Kind, order: &str) -> Result<Command> {
    let variable = |name| std::env::var_os(name).ok_or_else(|| Error::new("no Python peer was found"));
    let mut command = Command::new(variable(INTERPRETER_VARIABLE)?);
    command.arg(variable(PROGRAM_VARIABLE)?).args([kind.name(), order]);
    Ok(command)
}

impl Python {
    pub(crate) fn new(kind: Kind) -> Result<Self> {
        Ok(Self { kind, process: Process::new(command(kind, "commands")?) })
    }
}

fn not_measured<T>() -> Result<T> {
    Err(Error::new("not measured with Python"))
}

impl Subject for Python {
    fn yields(&self, threads: usize, each: u64) -> Result<Duration> {
        self.process.time(&format!("yields {threads} {each}"))
    }

    fn spawn_join(&self, count: u64) -> Result<Duration> {
        self.process.time(&format!("spawn_join {count}"))
    }

    fn spawn_batch(&self, _: usize) -> Result<Duration> {
        not_measured()
    }

    fn pingpong(&self, _: u64, _: Option<Duration>) -> Result<Duration> {
        not_measured()
    }

    fn skynet(&self, _: u32) -> Result<(Duration, u64)> {
        not_measured()
    }

    fn fib(&self, _: u32) -> Result<(Duration, u64)> {
        not_measured()
    }

    fn primitive(&self, primitive: Primitive, count: u64) -> Result<Done> {
        match primitive {
            Primitive::ChanPingpong => self.process.done(&format!("{} {count}", primitive.name())),
            _ => lacks(primitive),
        }
    }

    fn idle(&self, _: usize, _: Frames) -> Result<u64> {
        not_measured()
    }

    fn wakes(&self, _: usize) -> Result<Vec<u64>> {
        not_measured()
    }

    fn sleep_all(&self, naps: Naps, late: &'static Late) -> Result<()> {
        let (shortest, spread) = (naps.shortest.as_millis(), naps.spread.as_millis());
        let answer = self.process.ask(&format!("sleep_all {} {shortest} {spread}", naps.count))?;
        answer.into_iter().for_each(|nanos| late.put(nanos));
        Ok(())
    }

    fn ticks(&self, _: Ticks) -> Result<()> {
        not_measured()
    }
}

impl Costs for Python {
    fn usage(&self) -> Result<Usage> {
        self.process.usage()
    }

    fn process(&self) -> Result<u32> {
        self.process.id()
    }
}

impl Compute for Python {
    fn mandelbrot(&self) -> Result<Done> {
        not_measured()
    }
}

impl Serve for Python {
    fn serve(&self, service: Service, _: Announce) -> Result<()> {
        if service.role != Role::Echo {
            return not_measured();
        }
        Err(command(self.kind, "serve")?.exec().into())
    }
}
