//! An episode: a runtime is built, loads run on it for some seconds, and it ends, in an orderly way or in their midst.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sward::cancel::Cancelled;
use sward::runtime::{Builder, Runtime};
use sward::thread::{self, JoinHandle};

use super::context::{Ctx, Shared};
use super::loads::{Entry, Load};
use super::random::Random;
use super::report::{Kind, Report};
use super::watchdog::Watched;
use super::{Mode, Settings};
use crate::error::{Error, Result};

/// All that is chosen about an episode. It follows from the seed and the number alone.
#[derive(Debug)]
pub(crate) struct Plan {
    number: u64,
    seed: u64,
    workers: usize,
    mode: Mode,
    stack_size: usize,
    stall_after: Duration,
    max_spares: Option<usize>,
    detects_deadlocks: bool,
    lasts: Duration,
    is_dropped_amid: bool,
    loads: Vec<&'static Entry>,
}

impl Plan {
    pub(crate) fn new(number: u64, settings: &Settings, entries: &[&'static Entry]) -> Self {
        let mut random = Random::of(settings.seed, number);
        // The first two run everything, so that whatever is kept for good is there when they are over; and who names loads means these.
        let takes_all = number < super::WARM_UP || entries.len() < super::loads::ALL.len();
        // Each load has its turn at least once in three episodes.
        let mut has_turn = |at: usize| random.one_in(2) || (at + number as usize).is_multiple_of(3);
        let chosen = entries.iter().enumerate().filter(|&(at, _)| has_turn(at) || takes_all);
        let loads = chosen.map(|(_, &entry)| entry).collect();
        let (workers, mode) = (random.count(1..=8), random.pick(&[Mode::Anchored, Mode::Roaming]));
        Self {
            number,
            seed: settings.seed,
            workers: settings.workers.unwrap_or(workers),
            mode: settings.mode.unwrap_or(mode),
            stack_size: random.pick(&[64 << 10, 128 << 10, 256 << 10, 1 << 20]),
            stall_after: random.micros(1_000..=20_000),
            max_spares: random.pick(&[None, None, None, Some(2), Some(0)]),
            detects_deadlocks: random.one_in(2),
            lasts: random.micros(1_000_000..=6_000_000),
            is_dropped_amid: random.one_in(2),
            loads,
        }
    }

    fn build(&self, report: &Arc<Report>) -> Result<Runtime> {
        let report = Arc::clone(report);
        let mut builder = Builder::new()
            .workers(self.workers)
            .stack_size(self.stack_size)
            .stall_after(self.stall_after)
            .detect_deadlocks(self.detects_deadlocks)
            .on_stall(move |_| report.count(Kind::Stalls, 1));
        if let Some(max) = self.max_spares {
            builder = builder.max_spares(max);
        }
        if self.mode == Mode::Roaming {
            // SAFETY: no green thread of the soak keeps a reference into a thread-local, a value that one reaches, or a guard
            // that is tied to an OS thread across a suspension: they have atomics, `Arc`, sockets, plain numbers, and sward's guards.
            builder = unsafe { builder.roaming() };
        }
        builder.build().map_err(|error| Error::new(error.to_string()))
    }

    /// Runs it; what is wrong goes to the report.
    pub(crate) fn run(&self, report: &Arc<Report>, watched: &Watched) -> Result<()> {
        let number = self.number;
        watched.stage(format!("episode {number}: the runtime is built"));
        let runtime = self.build(report)?;
        let shared = Arc::new(Shared::new(number, self.seed, runtime.handle(), Arc::clone(report)));
        let running: Vec<Running> = self.loads.iter().map(|entry| Running::start(entry, &shared)).collect();
        watched.loads(runtime.handle(), running.iter().map(|running| running.ctx.clone()).collect());
        // Either way the calling thread waits.
        match number % 2 {
            0 => std::thread::sleep(self.lasts),
            _ => runtime.run(|| thread::sleep(self.lasts)),
        }
        let mut roots = Vec::new();
        let mut loads = Vec::new();
        for Running { load, ctx, root } in running {
            loads.push((load, ctx));
            roots.push(root);
        }
        if self.is_dropped_amid {
            report.count(Kind::Amid, 1);
            shared.end_amid();
        } else {
            shared.end();
            roots.drain(..).zip(&loads).for_each(|(root, (_, ctx))| expect_end(ctx, root));
        }
        report.count(Kind::Spares, runtime.handle().metrics().spares as u64);
        watched.stage(format!("episode {number}: the runtime is dropped"));
        drop(runtime);
        watched.stage(format!("episode {number}: OS threads are joined"));
        roots.into_iter().zip(&loads).for_each(|(root, (_, ctx))| expect_end(ctx, root));
        shared.join_outsiders();
        for (load, ctx) in &loads {
            load.check(ctx);
        }
        drop(loads);
        shared.flaws().iter().for_each(|flaw| report.violation(&format_args!("episode {number}: {flaw}")));
        report.count(Kind::Episodes, 1);
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spares = self.max_spares.map_or_else(|| "-".into(), |max| max.to_string());
        write!(
            f,
            "{:>4}  {} {:<8} {:>4} KiB  stall {:>4.1} ms  spares {spares}  {:.1} s{}  {}/{} loads",
            self.number,
            self.workers,
            self.mode.name(),
            self.stack_size >> 10,
            self.stall_after.as_secs_f64() * 1e3,
            self.lasts.as_secs_f64(),
            if self.is_dropped_amid { " amid" } else { "     " },
            self.loads.len(),
            super::loads::ALL.len(),
        )
    }
}

/// A load that was started.
struct Running {
    load: Arc<dyn Load>,
    ctx: Ctx,
    root: JoinHandle<()>,
}

impl Running {
    fn start(entry: &Entry, shared: &Arc<Shared>) -> Self {
        let load = (entry.new)();
        let ctx = Ctx::new(Arc::clone(shared), entry.name);
        let (theirs, its) = (Arc::clone(&load), ctx.clone());
        let root = shared.handle.spawn(move || {
            theirs.run(&its);
            its.set_done();
        });
        Self { load, ctx, root }
    }
}

fn expect_end(ctx: &Ctx, root: JoinHandle<()>) {
    if let Err(payload) = root.join() {
        // Of a panic the hook has told what it said.
        if !(ctx.is_ending() && payload.is::<Cancelled>()) {
            ctx.violation("the load itself was cancelled, or panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::loads;

    fn settings() -> Settings {
        Settings { minutes: 1.0, seed: 7, workers: None, mode: None, first: 0 }
    }

    #[test]
    fn a_seed_repeats_its_episodes_and_another_has_others() {
        let entries: Vec<&Entry> = loads::ALL.iter().collect();
        let line = |seed, number| Plan::new(number, &Settings { seed, ..settings() }, &entries).to_string();
        assert_eq!(
            (0..20).map(|n| line(7, n)).collect::<Vec<_>>(),
            (0..20).map(|n| line(7, n)).collect::<Vec<_>>()
        );
        assert_ne!(line(7, 5), line(8, 5));
    }

    #[test]
    fn each_load_has_a_turn_in_any_three_episodes() {
        let entries: Vec<&Entry> = loads::ALL.iter().collect();
        let plans: Vec<Plan> = (2..60).map(|number| Plan::new(number, &settings(), &entries)).collect();
        let names = |plan: &Plan| plan.loads.iter().map(|entry| entry.name).collect::<Vec<_>>();
        let is_in_one = |three: &[Plan], name| three.iter().any(|plan| names(plan).contains(&name));
        assert!(plans.windows(3).all(|three| entries.iter().all(|entry| is_in_one(three, entry.name))));
        assert!(plans.iter().any(|plan| plan.loads.len() < entries.len()));
    }
}
