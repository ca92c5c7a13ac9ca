//! The micro-benchmarks: how often each subject is asked for what, and what is reported.
//!
//! Everything here is the same for all subjects. Where a benchmark counts operations, the count grows until a trial
//! takes [`WARM`], which is the warm-up; then one trial of about [`MEASURED`] is reported, and the system calls of another, of about
//! [`COUNTED`]. Where the amount is fixed, the first run is reported apart from the later ones, because memory that is touched for the
//! first time costs.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::bench::{Context, Figures};
use crate::cost::Meter;
use crate::error::{Error, Result};
use crate::metric::{
    CPU, CPU_SLEEPER, CPUS, FIRST, MAX, Metric, P50, P99, RESIDENT, STORM_MAX, STORM_P50, STORM_P99, TCP_MAX,
    TCP_P50, TCP_P99, TIME,
};
use crate::subject::{
    self, Compute, Demand, Done, Frames, Hogs, Late, Naps, Order, Primitive, Squall, Storm, Subject, Ticks,
};

/// A trial this long has warmed everything up.
const WARM: Duration = Duration::from_millis(30);
/// How long the reported trial is meant to take.
const MEASURED: Duration = Duration::from_millis(150);
/// How long the trial is meant to take whose system calls are counted.
const COUNTED: Duration = Duration::from_millis(20);
/// A fixed amount of work is repeated until this is over, and at least once.
const REPEATED: Duration = Duration::from_millis(300);

fn nanos_each(elapsed: Duration, count: f64) -> f64 {
    elapsed.as_nanos() as f64 / count
}

/// How many operations take a nanosecond, by a trial that does a given number of them; it is warm afterwards.
fn warm_up(mut trial: impl FnMut(u64) -> Result<Duration>) -> Result<f64> {
    let mut count = 16;
    loop {
        let elapsed = trial(count)?;
        if elapsed >= WARM {
            return Ok(count as f64 / elapsed.as_nanos() as f64);
        }
        // Towards twice the limit, by at most a hundredfold: the first trials say little.
        let factor = 2.0 * WARM.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
        count = (count as f64 * factor.clamp(2.0, 100.0)) as u64;
    }
}

/// The time of one operation and what it costs, by a trial that does a given number of them.
fn scaled(mut meter: Meter<'_>, mut trial: impl FnMut(u64) -> Result<Duration>) -> Result<Figures> {
    let rate = warm_up(&mut trial)?;
    let within = |time: Duration| ((time.as_nanos() as f64 * rate) as u64).max(1);
    let (measured, counted) = (within(MEASURED), within(COUNTED));
    let elapsed = meter.time(|| Ok((trial(measured)?, measured as f64)))?;
    meter.count(counted as f64, || trial(counted))?;
    let mut figures = vec![(&TIME, nanos_each(elapsed, measured as f64))];
    figures.extend(meter.figures()?);
    Ok(figures)
}

/// The first and the later times of one item and what it costs, by a run over `items` of them.
fn repeated(mut meter: Meter<'_>, items: f64, mut run: impl FnMut() -> Result<Duration>) -> Result<Figures> {
    let first = run()?;
    let time = meter.time(|| {
        let (start, mut total, mut runs) = (Instant::now(), Duration::ZERO, 0.0);
        while runs == 0.0 || start.elapsed() < REPEATED {
            total += run()?;
            runs += 1.0;
        }
        Ok((nanos_each(total, items * runs), items * runs))
    })?;
    meter.count(items, run)?;
    let mut figures = vec![(&TIME, time), (&FIRST, nanos_each(first, items))];
    figures.extend(meter.figures()?);
    Ok(figures)
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
    scaled(Meter::new(&*subject)?, |count| {
        let each = count.div_ceil(threads as u64);
        let elapsed = subject.yields(threads, each)?;
        // As if exactly `count` had been done.
        Ok(elapsed.mul_f64(count as f64 / (each * threads as u64) as f64))
    })
}

pub(crate) fn spawn_join(context: &Context) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    scaled(Meter::new(&*subject)?, |count| subject.spawn_join(count))
}

pub(crate) fn pingpong(context: &Context, limit: Option<Duration>) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    scaled(Meter::new(&*subject)?, |rounds| subject.pingpong(rounds, limit))
}

pub(crate) fn primitive(context: &Context, primitive: Primitive) -> Result<Figures> {
    let subject = start(context, Demand::Usual)?;
    scaled(Meter::new(&*subject)?, |count| {
        let rounded = primitive.round(count);
        let done = subject.primitive(primitive, rounded)?;
        check(primitive.name(), done.count, rounded)?;
        // As if exactly `count` had been done.
        Ok(done.time.mul_f64(count as f64 / rounded as f64))
    })
}

pub(crate) fn spawn_batch(context: &Context) -> Result<Figures> {
    let count = context.kind.sizes().batch;
    let subject = start(context, Demand::ManySpawns)?;
    repeated(Meter::new(&*subject)?, count as f64, || subject.spawn_batch(count))
}

pub(crate) fn skynet(context: &Context) -> Result<Figures> {
    let depth = context.kind.sizes().skynet_depth;
    let subject = start(context, Demand::ManySpawns)?;
    let leaves = 10u64.pow(depth);
    let nodes: u64 = (0..=depth).map(|level| 10u64.pow(level)).sum();
    repeated(Meter::new(&*subject)?, nodes as f64, || {
        let (elapsed, sum) = subject.skynet(depth)?;
        check("the sum of skynet", sum, leaves * (leaves - 1) / 2)?;
        Ok(elapsed)
    })
}

pub(crate) fn fib(context: &Context) -> Result<Figures> {
    let n = context.kind.sizes().fib;
    let subject = start(context, Demand::ManySpawns)?;
    // Every call but the leaves spawns once.
    let spawns = fibonacci(n + 1) - 1;
    repeated(Meter::new(&*subject)?, spawns as f64, || {
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
    let mut meter = Meter::new(&*subject)?;
    let grown = meter.time(|| Ok((subject.idle(count, frames)?, count as f64)))?;
    let mut figures = vec![(&RESIDENT, grown as f64 / count as f64)];
    figures.extend(meter.figures()?);
    Ok(figures)
}

/// Reads a file that was just written, so it is in the page cache.
pub(crate) fn fs_read(context: &Context, order: Order) -> Result<Figures> {
    let path = std::env::temp_dir().join(format!("sward-benches-{}.file", std::process::id()));
    let subject = start(context, Demand::Usual)?;
    let measured = subject::write_file(&path).and_then(|()| {
        scaled(Meter::new(&*subject)?, |count| {
            let done = subject.read_file(&path, order, count)?;
            check("the sum over the blocks", done.count, subject::sum_of_marks(order, count))?;
            Ok(done.time)
        })
    });
    // Left behind, it would only take some space in the temporary directory.
    drop(std::fs::remove_file(&path));
    measured
}

/// No scheduler has a part in it, nor the kernel: there is nothing but time.
pub(crate) fn generator(context: &Context) -> Result<Figures> {
    let mut trial = |count| {
        let done = subject::generator(context.kind, count)?;
        check("the sum of the numbers", done.count, count * (count - 1) / 2)?;
        Ok(done.time)
    };
    let count = ((MEASURED.as_nanos() as f64 * warm_up(&mut trial)?) as u64).max(1);
    Ok(vec![(&TIME, nanos_each(trial(count)?, count as f64))])
}

pub(crate) fn wake_latency(context: &Context) -> Result<Figures> {
    const SAMPLES: usize = 400;
    const WARM_SAMPLES: usize = 20;
    const COUNTED_SAMPLES: usize = 40;
    let subject = start(context, Demand::Usual)?;
    let mut meter = Meter::new(&*subject)?;
    let mut latencies = Histogram::<u64>::new_with_bounds(100, 60_000_000_000, 3)
        .map_err(|error| Error::new(error.to_string()))?;
    let samples = WARM_SAMPLES + SAMPLES;
    let wakes = meter.time(|| Ok((subject.wakes(samples)?, samples as f64)))?;
    meter.count(COUNTED_SAMPLES as f64, || subject.wakes(COUNTED_SAMPLES))?;
    wakes.into_iter().skip(WARM_SAMPLES).for_each(|nanos| latencies.saturating_record(nanos));
    let quantile_us = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    let mut figures = vec![(&P50, quantile_us(0.5)), (&P99, quantile_us(0.99))];
    figures.extend(meter.figures()?);
    Ok(figures)
}

/// Work for all CPUs, which are not waited for by anything.
pub(crate) fn computing(
    context: &Context,
    items: f64,
    result: u64,
    run: fn(&dyn Compute) -> Result<Done>,
) -> Result<Figures> {
    let subject = subject::start_computing(context.kind, context.workers)?;
    repeated(Meter::new(&*subject)?, items, || {
        let done = run(&*subject)?;
        check("the result", done.count, result)?;
        Ok(done.time)
    })
}

/// The lateness of green threads that sleep once each, over a range long enough for all to be started meanwhile.
pub(crate) fn timers_sleep(context: &Context, count: usize, span: Duration) -> Result<Figures> {
    let subject = start(context, Demand::ManySpawns)?;
    let mut meter = Meter::new(&*subject)?;
    let late = Late::leaked(count);
    let naps = Naps { count, shortest: span, spread: span };
    meter.time(|| Ok((subject.sleep_all(naps, late)?, count as f64)))?;
    let few = naps.divided_by(10);
    meter.count(few.count as f64, || subject.sleep_all(few, Late::leaked(few.count)))?;
    let costs = meter.figures()?;
    let cpu = costs.iter().find(|(metric, _)| **metric == CPU).map(|&(_, cpu)| (&CPU_SLEEPER, cpu));
    let mut figures: Figures = cpu.into_iter().collect();
    figures.extend(lateness(late, count, [&P50, &P99, &MAX])?);
    figures.extend(costs.into_iter().filter(|(metric, _)| **metric != CPU));
    Ok(figures)
}

/// The lateness of ticks beside hogs.
pub(crate) fn ticks(context: &Context, count: usize, hogs: Hogs) -> Result<Figures> {
    const COUNTED_TICKS: usize = 100;
    let subject = start(context, Demand::Usual)?;
    let mut meter = Meter::new(&*subject)?;
    let ticks = Ticks::new(count, hogs);
    let (before, begin) = (subject.usage()?.cpu, Instant::now());
    meter.time(|| Ok((subject.ticks(ticks)?, count as f64)))?;
    let cpus = (subject.usage()?.cpu - before).as_secs_f64() / begin.elapsed().as_secs_f64();
    meter.count(COUNTED_TICKS as f64, || subject.ticks(Ticks::new(COUNTED_TICKS, hogs)))?;
    let mut figures = lateness(ticks.timer, count, [&P50, &P99, &MAX])?;
    if hogs == Hogs::None {
        figures.push((&CPUS, cpus));
    } else {
        figures.extend(lateness(ticks.tcp, count, [&TCP_P50, &TCP_P99, &TCP_MAX])?);
    }
    figures.extend(meter.figures()?);
    Ok(figures)
}

/// The lateness of a tick beside a storm, which begins after a hundred ticks, and of those whom the storm is about.
pub(crate) fn storm(context: &Context, squall: Squall, count: usize) -> Result<Figures> {
    const TICKS: usize = 400;
    const COUNTED_SHARE: usize = 10;
    let subject = start(context, Demand::Usual)?;
    let mut meter = Meter::new(&*subject)?;
    let storm = Storm::new(squall, count, TICKS);
    meter.time(|| Ok((subject.storm(storm)?, count as f64)))?;
    let few = Storm::new(squall, count / COUNTED_SHARE, TICKS / COUNTED_SHARE);
    meter.count(few.count as f64, || subject.storm(few))?;
    let mut figures = lateness(storm.ticks.timer, TICKS, [&P99, &P50, &MAX])?;
    figures.extend(lateness(storm.late, count, [&STORM_P99, &STORM_P50, &STORM_MAX])?);
    figures.extend(meter.figures()?);
    Ok(figures)
}

/// The median, the 99th percentile or the greatest, as each metric is named, in microseconds.
fn lateness(late: &Late, count: usize, metrics: [&'static Metric; 3]) -> Result<Figures> {
    let mut all = late.all();
    check("the number of those that may be late", all.len() as u64, count as u64)?;
    all.sort_unstable();
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    let share = |metric: &Metric| match metric.name.rsplit('_').next() {
        Some("p50") => 0.5,
        Some("p99") => 0.99,
        _ => 1.0,
    };
    Ok(metrics.into_iter().map(|metric| (metric, at(share(metric)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Costs;

    struct Here;

    impl Costs for Here {}

    #[test]
    fn scaled_finds_the_time_of_one_operation() {
        let meter = Meter::new(&Here).expect("this process can be read");
        let figures = scaled(meter, |count| Ok(Duration::from_nanos(count * 50))).expect("it never fails");
        assert!(figures[0].0 == &TIME && (figures[0].1 - 50.0).abs() < 1e-6);
        assert!(figures.len() > 3);
    }

    #[test]
    fn scaled_copes_with_operations_longer_than_the_trial() {
        let meter = Meter::new(&Here).expect("this process can be read");
        let figures = scaled(meter, |count| Ok(Duration::from_secs(count))).expect("it never fails");
        assert!((figures[0].1 - 1e9).abs() < 1e-6);
    }

    #[test]
    fn repeated_tells_the_first_run_apart() {
        let mut times = [40, 10].into_iter();
        let meter = Meter::new(&Here).expect("this process can be read");
        let figures = repeated(meter, 10.0, || {
            let time = times.next().map_or(Duration::from_nanos(10), Duration::from_nanos);
            std::thread::sleep(REPEATED);
            Ok(time)
        });
        assert!(figures.is_ok_and(|figures| figures[..2] == [(&TIME, 1.0), (&FIRST, 4.0)]));
    }

    #[test]
    fn fibonacci_numbers() {
        assert_eq!((0..8).map(fibonacci).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 5, 8, 13]);
    }
}
