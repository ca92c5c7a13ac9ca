//! A soak: a mixed load, for minutes, under which nothing may get lost.
//!
//! It runs in episodes. Each has a runtime of its own, with as many workers, in the mode and with the settings that the seed says, and
//! some of the loads; after some seconds the loads come to an end, or the runtime is dropped in their midst. What must hold
//! is checked all the time by the loads themselves, and after each episode of the whole: every message was received once,
//! every green thread has ended and was joined, every value was dropped, and the process holds no more than before.
//!
//! In reading order: [`episode`] runs one, [`loads`] has the loads, [`context`] what they are given, [`checkers`] what they check
//! messages and bytes with; [`watchdog`] sees who stands still, [`resources`] what the process holds, [`report`] counts.
//!
//! # To add a load
//!
//! A file in `loads/` with a type that implements [`loads::Load`], and a line in [`loads::ALL`]. `run` is called on a green thread and
//! returns soon after `ctx.is_over()`; what it starts by `ctx.spawn` it joins. If the runtime is dropped in its midst it is unwound
//! at one of its waits, so whatever it shares with threads outside must disconnect by being dropped.

mod checkers;
mod context;
mod episode;
mod loads;
mod random;
mod report;
mod resources;
mod watchdog;

use std::panic;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::episode::Plan;
use self::loads::Entry;
use self::report::Report;
use self::resources::Figures;
use self::watchdog::Watchdog;
use crate::args::UsageError;
use crate::error::Result;
use crate::sys;

/// So many episodes, with every load, come before memory is compared.
const WARM_UP: u64 = 2;
/// From so many minutes on, everything must have occurred.
const COMPLETE: f64 = 1.0;

/// The modes of a runtime.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Anchored,
    Roaming,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Roaming => "roaming",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        [Self::Anchored, Self::Roaming].into_iter().find(|mode| mode.name() == name)
    }
}

/// What the command line may say of a soak, beside the number of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) minutes: Option<f64>,
    pub(crate) seed: Option<u64>,
    pub(crate) mode: Option<Mode>,
    pub(crate) episode: Option<u64>,
}

/// The same, decided.
#[derive(Debug)]
pub(crate) struct Settings {
    minutes: f64,
    seed: u64,
    workers: Option<usize>,
    mode: Option<Mode>,
    first: u64,
}

/// A soak: of these loads, or of all.
#[derive(Debug, PartialEq)]
pub(crate) struct Soak {
    names: Vec<String>,
    options: Options,
    workers: Option<usize>,
}

impl Soak {
    pub(crate) fn new(
        names: &[&str],
        options: Options,
        workers: Option<usize>,
    ) -> std::result::Result<Self, UsageError> {
        if let Some(unknown) = names.iter().find(|&&name| loads::ALL.iter().all(|entry| entry.name != name)) {
            let known: Vec<&str> = loads::ALL.iter().map(|entry| entry.name).collect();
            let known = known.join(", ");
            return Err(UsageError::new(format!("unknown load {unknown:?}; there are {known}")));
        }
        Ok(Self { names: names.iter().map(ToString::to_string).collect(), options, workers })
    }

    /// How to repeat it.
    fn command(&self, settings: &Settings, episode: u64) -> String {
        let mut line = format!("repeat: soak --seed {} --episode {episode}", settings.seed);
        if let Some(workers) = settings.workers {
            line += &format!(" --workers {workers}");
        }
        if let Some(mode) = settings.mode {
            line += &format!(" --mode {}", mode.name());
        }
        self.names.iter().for_each(|name| line += &format!(" {name}"));
        line
    }

    /// Runs it. The exit code says whether anything was wrong.
    pub(crate) fn run(&self) -> Result<ExitCode> {
        sys::few_heaps();
        let settings = Settings {
            minutes: self.options.minutes.unwrap_or(2.0),
            seed: self.options.seed.unwrap_or_else(any_seed),
            workers: self.workers,
            mode: self.options.mode,
            first: self.options.episode.unwrap_or(0),
        };
        let is_wanted =
            |entry: &&Entry| self.names.is_empty() || self.names.iter().any(|name| name == entry.name);
        let entries: Vec<&'static Entry> = loads::ALL.iter().filter(is_wanted).collect();
        println!("soak: {} minutes, {} loads, seed {}", settings.minutes, entries.len(), settings.seed);
        let report = Arc::new(Report::new());
        hook_panics(&report);
        let started = Instant::now();
        let last = self.episodes(&settings, &entries, &report)?;
        println!("\n{} s\n{report}", started.elapsed().as_secs());
        // Loads that were not asked for have no part in this.
        if settings.minutes >= COMPLETE && self.names.is_empty() {
            report.absent().for_each(|what| report.violation(&format_args!("never occurred: {what}")));
        }
        if report.violations() == 0 {
            println!("no violations");
            return Ok(ExitCode::SUCCESS);
        }
        println!("{} violations\n{}", report.violations(), self.command(&settings, last));
        Ok(ExitCode::FAILURE)
    }

    /// Runs episodes until time is up or something is wrong; returns the number of the last.
    fn episodes(&self, settings: &Settings, entries: &[&'static Entry], report: &Arc<Report>) -> Result<u64> {
        let end = Instant::now() + Duration::from_secs_f64(settings.minutes * 60.0);
        let mut number = settings.first;
        let watchdog = Watchdog::new()?;
        loads::prepare()?;
        let at_start = Figures::now()?;
        println!("{at_start}  at the start");
        // What the process keeps for good comes with the warm-up; descriptors and OS threads are none of it.
        let mut base = at_start.with_any_memory();
        loop {
            let plan = Plan::new(number, settings, entries);
            watchdog.watched.repeats(self.command(settings, number));
            plan.run(report, &watchdog.watched)?;
            watchdog.watched.stage(format!("episode {number}: resources settle"));
            let (figures, excess) = Figures::settled(&base)?;
            println!("{figures}  {plan}");
            if number + 1 == settings.first + WARM_UP {
                base = at_start.with_memory_of(&figures);
            }
            excess.iter().for_each(|excess| report.violation(&format_args!("episode {number}: {excess}")));
            if report.violations() > 0 || Instant::now() >= end {
                break;
            }
            number += 1;
        }
        if report.violations() == 0 {
            watchdog.watched.stage("the pool's threads end");
            let (figures, excess) = Figures::at_last(&base)?;
            println!("{figures}  at the end");
            excess.iter().for_each(|excess| report.violation(&format_args!("at the end: {excess}")));
        }
        Ok(number)
    }
}

/// A seed for who does not name one.
fn any_seed() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    // Short, as it is to be typed.
    random::mix(time) % 1_000_000
}

/// Keeps quiet about panics that a load provokes; any other is a violation.
fn hook_panics(report: &Arc<Report>) {
    let (report, before) = (Arc::clone(report), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<loads::OnPurpose>() {
            before(info);
            report.violation(&format_args!("a panic: {info}"));
        }
    }));
}
