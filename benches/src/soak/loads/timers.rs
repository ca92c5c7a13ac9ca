//! Sleeps, limits and intervals: none is over early. That none is late for ever, the watchdog sees.

use std::time::{Duration, Instant};

use sward::channel::{after, never, select, tick};
use sward::{thread, time};

use super::Load;
use crate::soak::context::{Ctx, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Timers;

impl Load for Timers {
    fn run(&self, ctx: &Ctx) {
        let many = ctx.random(0).within(10..=200);
        let tasks = (1..=many).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            ctx.clone().spawn(move || {
                while !ctx.is_over() {
                    once(&ctx, &mut random);
                }
            })
        });
        join_all(tasks.collect::<Vec<_>>());
    }
}

fn once(ctx: &Ctx, random: &mut Random) {
    // Mostly short, now and then with a way to go in the wheel.
    let far = random.one_in(20);
    let duration = if far { random.micros(50_000..=400_000) } else { random.micros(0..=20_000) };
    let start = Instant::now();
    let lasted = |what: &str| {
        let elapsed = start.elapsed();
        if elapsed < duration {
            ctx.violation(format_args!("{what} for {duration:?} was over after {elapsed:?}"));
        }
    };
    match random.within(0..=6) {
        0 | 1 => {
            thread::sleep(duration);
            lasted("a sleep");
            ctx.count(Kind::Sleeps, 1);
        }
        2 => {
            if time::timeout(duration, || thread::sleep(Duration::from_secs(3600))).is_ok() {
                ctx.violation("an hour of sleep has won against a limit");
            }
            lasted("a limit");
            ctx.count(Kind::Timeouts, 1);
        }
        3 => nested(ctx, random, duration),
        4 => {
            select! {
                recv(never::<()>()) -> _ => ctx.violation("something came that never comes"),
                recv(after(duration)) -> _ => lasted("`after`"),
            }
            ctx.count(Kind::Sleeps, 1);
        }
        5 => ticks_of_interval(ctx, random),
        _ => ticks_of_channel(ctx, random),
    }
}

/// The earliest of two limits counts, and its call is the one that is cut short.
fn nested(ctx: &Ctx, random: &mut Random, duration: Duration) {
    let (inner, start) = (random.micros(0..=20_000), Instant::now());
    let result = time::timeout(duration, || time::timeout(inner, thread::park));
    let elapsed = start.elapsed();
    match result {
        Ok(Ok(())) => ctx.violation("a park that nobody ends has ended"),
        Ok(Err(_)) if elapsed < inner => ctx.violation("the inner limit struck early"),
        Err(_) if elapsed < duration => ctx.violation("the outer limit struck early"),
        _ => ctx.count(Kind::Timeouts, 1),
    }
    // What is in time is not touched.
    if time::timeout(Duration::from_secs(3600), || thread::sleep(inner)).is_err() {
        ctx.violation("a limit of an hour has struck");
    }
    ctx.count(Kind::Sleeps, 1);
}

fn ticks_of_interval(ctx: &Ctx, random: &mut Random) {
    let period = random.micros(200..=4_000);
    let start = Instant::now();
    let mut interval = time::interval(period);
    for n in 0..random.within(1..=10) as u32 {
        let due = interval.tick();
        if Instant::now() < due || due < start + period * n {
            ctx.violation(format_args!("tick {n} of {period:?} came early"));
        }
        ctx.count(Kind::Ticks, 1);
    }
}

fn ticks_of_channel(ctx: &Ctx, random: &mut Random) {
    let period = random.micros(200..=4_000);
    let (start, ticker) = (Instant::now(), tick(period));
    for n in 1..=random.within(1..=10) as u32 {
        let came = ticker.recv();
        if came.is_err() || start.elapsed() < period * n {
            ctx.violation(format_args!("tick {n} of a channel of {period:?} came early, or never does"));
        }
        ctx.count(Kind::Ticks, 1);
    }
}
