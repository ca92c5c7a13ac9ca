//! The micro-benchmarks: how often each subject is asked for what, and what is reported.
//!
//! Everything here is the same for all subjects. Where a benchmark counts operations, the count grows until a trial
//! takes [`WARM`], which is the warm-up; then one trial of about [`MEASURED`] is reported. Where the amount is fixed,
//! the first run is reported apart from the later ones, because memory that is touched for the first time costs.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::bench::{Context, Figures};
use crate::error::{Error, Result};
use crate::metric::{
    CPU_SLEEPER, CPUS, FIRST, MAX, Metric, P50, P99, PEAK, RESIDENT, TCP_MAX, TCP_P50, TCP_P99, TIME,
};
use crate::subject::{
    self, Compute, Demand, Done, Frames, Hogs, Late, Naps, Order, Primitive, Subject, Ticks,
};

/// A trial this long has warmed everything up.
const WARM: Duration = Duration::from_millis(60);
/// How long the reported trial is meant to take.
const MEASURED: Duration = Duration::from_millis(400);
/// Smaller trees need less memory, so theirs is not reported beside that of this one.
const FULL_SKYNET_DEPTH: u32 = 6;
/// A fixed amount of work is repeated until this is over, and at least once.
const REPEATED: Duration = Duration::from_millis(500);

fn nanos_each(elapsed: Duration, count: f64) -> f64 {
    elapsed.as_nanos() as f64 / count
}

/// The time of one operation, by a trial that does a given number of them.
fn scaled(mut trial: impl FnMut(u64) -> Result<Duration>) -> Result<f64> {
    let mut count = 16;
    loop {
        let elapsed = trial(count)?;
        if elapsed >= WARM {
            count = ((count as f64 * MEASURED.as_secs_f64() / elapsed.as_secs_f64()) as u64).max(1);
            return Ok(nanos_each(trial(count)?, count as f64));
        }
        // Towards twice the limit, by at most a hundredfold: the first trials say little.
        let factor = 2.0 * WARM.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
        count = (count as f64 * factor.clamp(2.0, 100.0)) as u64;
    }
}

/// The first and the later times of one item, by a run over `items` of them.
fn repeated(items: f64, mut run: impl FnMut() -> Result<Duration>) -> Result<Figures> {
    let first = run()?;
    let (start, mut total, mut runs) = (Instant::now(), Duration::ZERO, 0.0);
    while runs == 0.0 || start.elapsed() < REPEATED {
        total += run()?;
        runs += 1.0;
    }
    Ok(vec![(&TIME, nanos_each(total, items * runs)), (&FIRST, nanos_each(first, items))])
}

fn check(what: &str, value: u64, expected: u64) -> Result<()> {
    if value == expected {
        return Ok(());
    }
    Err(Error::new(format!("{what} is {expected}, but {value} came out")))
}

fn start(context: &Context, demand: Demand) -> Result<Box<dyn Subject>> {
    subject::start(context.kind, context.workers, demand)
}

pub(crate) fn yields(context: &Context, threads: usize) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    let time = scaled(|count| {
        let each = count.div_ceil(threads as u64);
        let elapsed = subject.yields(threads, each)?;
        // As if exactly `count` had been done.
        Ok(elapsed.mul_f64(count as f64 / (each * threads as u64) as f64))
    })?;
    Ok(vec![(&TIME, time)])
}

pub(crate) fn spawn_join(context: &Context) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    Ok(vec![(&TIME, scaled(|count| subject.spawn_join(count))?)])
}

pub(crate) fn pingpong(context: &Context, limit: Option<Duration>) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    Ok(vec![(&TIME, scaled(|rounds| subject.pingpong(rounds, limit))?)])
}

pub(crate) fn primitive(context: &Context, primitive: Primitive) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    let time = scaled(|count| {
        let rounded = primitive.round(count);
        let done = subject.primitive(primitive, rounded)?;
        check(primitive.name(), done.count, rounded)?;
        // As if exactly `count` had been done.
        Ok(done.time.mul_f64(count as f64 / rounded as f64))
    })?;
    Ok(vec![(&TIME, time)])
}

pub(crate) fn spawn_batch(context: &Context) -> Result<Figures> {
    let count = context.kind.sizes().batch;
    let subject = start(context, Demand::ManySpawns)?;
    repeated(count as f64, || subject.spawn_batch(count))
}

pub(crate) fn skynet(context: &Context) -> Result<Figures> {
    let depth = context.kind.sizes().skynet_depth;
    let subject = start(context, Demand::ManySpawns)?;
    let leaves = 10u64.pow(depth);
    let nodes: u64 = (0..=depth).map(|level| 10u64.pow(level)).sum();
    let mut figures = repeated(nodes as f64, || {
        let (elapsed, sum) = subject.skynet(depth)?;
        check("the sum of skynet", sum, leaves * (leaves - 1) / 2)?;
        Ok(elapsed)
    })?;
    if context.kind.sizes().skynet_depth == FULL_SKYNET_DEPTH {
        figures.push((&PEAK, subject.peak_bytes()? as f64 / 1e6));
    }
    Ok(figures)
}

pub(crate) fn fib(context: &Context) -> Result<Figures> {
    let n = context.kind.sizes().fib;
    let subject = start(context, Demand::ManySpawns)?;
    // Every call but the leaves spawns once.
    let spawns = fibonacci(n + 1) - 1;
    repeated(spawns as f64, || {
        let (elapsed, number) = subject.fib(n)?;
        check("Fibonacci's number", number, fibonacci(n))?;
        Ok(elapsed)
    })
}

fn fibonacci(n: u32) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

pub(crate) fn idle_memory(context: &Context, count: usize, frames: Frames) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    Ok(vec![(&RESIDENT, subject.idle(count, frames)? as f64 / count as f64)])
}

/// Reads a file that was just written, so it is in the page cache.
pub(crate) fn fs_read(context: &Context, order: Order) -> Result<Figures> {
    let path = std::env::temp_dir().join(format!("sward-benches-{}.file", std::process::id()));
    let subject = start(context, Demand::Usual)?;
    let measured = subject::write_file(&path).and_then(|()| {
        scaled(|count| {
            let done = subject.read_file(&path, order, count)?;
            check("the sum over the blocks", done.count, subject::sum_of_marks(order, count))?;
            Ok(done.time)
        })
    });
    // Left behind, it would only take some space in the temporary directory.
    drop(std::fs::remove_file(&path));
    Ok(vec![(&TIME, measured?)])
}

pub(crate) fn generator(context: &Context) -> Result<Figures> {
    let time = scaled(|count| {
        let done = subject::generator(context.kind, count)?;
        check("the sum of the numbers", done.count, count * (count - 1) / 2)?;
        Ok(done.time)
    })?;
    Ok(vec![(&TIME, time)])
}

pub(crate) fn wake_latency(context: &Context) -> Result<Figures> {
    const SAMPLES: usize = 400;
    const WARM_SAMPLES: usize = 20;
    let subject = start(context, Demand::Usual)?;
    let mut latencies = Histogram::<u64>::new_with_bounds(100, 60_000_000_000, 3)
        .map_err(|error| Error::new(error.to_string()))?;
    for nanos in subject.wakes(WARM_SAMPLES + SAMPLES)?.into_iter().skip(WARM_SAMPLES) {
        latencies.saturating_record(nanos);
    }
    let quantile_us = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    Ok(vec![(&P50, quantile_us(0.5)), (&P99, quantile_us(0.99))])
}

/// Work for all CPUs, which are not waited for by anything.
pub(crate) fn computing(
    context: &Context,
    items: f64,
    result: u64,
    run: fn(&dyn Compute) -> Result<Done>,
) -> Result<Figures> {
    let subject = subject::start_computing(context.kind, context.workers)?;
    repeated(items, || {
        let done = run(&*subject)?;
        check("the result", done.count, result)?;
        Ok(done.time)
    })
}

/// The lateness of green threads that sleep once each, over a range long enough for all to be started meanwhile.
pub(crate) fn timers_sleep(context: &Context, count: usize, span: Duration) -> Result<Figures> {
    let subject = start(context, Demand::ManySpawns)?;
    let late = Late::leaked(count);
    let before = subject.cpu_time()?;
    subject.sleep_all(Naps { count, shortest: span, spread: span }, late)?;
    let cpu = subject.cpu_time()? - before;
    let mut figures = vec![(&CPU_SLEEPER, nanos_each(cpu, count as f64))];
    figures.extend(lateness(late, count, [&P50, &P99, &MAX])?);
    Ok(figures)
}

/// The lateness of ticks beside hogs.
pub(crate) fn ticks(context: &Context, count: usize, hogs: Hogs) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    let ticks = Ticks::new(count, hogs);
    let (before, begin) = (subject.cpu_time()?, Instant::now());
    subject.ticks(ticks)?;
    let cpus = (subject.cpu_time()? - before).as_secs_f64() / begin.elapsed().as_secs_f64();
    let mut figures = lateness(ticks.timer, count, [&P50, &P99, &MAX])?;
    if hogs == Hogs::None {
        figures.push((&CPUS, cpus));
    } else {
        figures.extend(lateness(ticks.tcp, count, [&TCP_P50, &TCP_P99, &TCP_MAX])?);
    }
    Ok(figures)
}

/// The median, the 99th percentile and the greatest, in microseconds.
fn lateness(late: &Late, count: usize, metrics: [&'static Metric; 3]) -> Result<Figures> {
    let mut all = late.all();
    check("the number of those that may be late", all.len() as u64, count as u64)?;
    all.sort_unstable();
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    Ok(metrics.into_iter().zip([0.5, 0.99, 1.0].map(at)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_finds_the_time_of_one_operation() {
        let time = scaled(|count| Ok(Duration::from_nanos(count * 50)));
        assert!(time.is_ok_and(|time| (time - 50.0).abs() < 1e-6));
    }

    #[test]
    fn scaled_copes_with_operations_longer_than_the_trial() {
        let time = scaled(|count| Ok(Duration::from_secs(count)));
        assert!(time.is_ok_and(|time| (time - 1e9).abs() < 1e-6));
    }

    #[test]
    fn repeated_tells_the_first_run_apart() {
        let mut times = [40, 10].into_iter();
        let figures = repeated(10.0, || {
            let time = times.next().map_or(Duration::from_nanos(10), Duration::from_nanos);
            std::thread::sleep(REPEATED);
            Ok(time)
        });
        assert!(figures.is_ok_and(|figures| figures == vec![(&TIME, 1.0), (&FIRST, 4.0)]));
    }

    #[test]
    fn fibonacci_numbers() {
        assert_eq!((0..8).map(fibonacci).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 5, 8, 13]);
    }
}
