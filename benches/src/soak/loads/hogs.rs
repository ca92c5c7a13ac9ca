//! Hogs: green threads that compute without a wait, or block their OS thread, with a word to the runtime or without.

use std::time::{Duration, Instant};

use super::Load;
use crate::soak::context::{Ctx, join_all};
use crate::soak::random::{Random, mix};
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Hogs;

impl Load for Hogs {
    fn run(&self, ctx: &Ctx) {
        let mut random = ctx.random(0);
        let lanes = (0..random.count(1..=3)).map(|_| {
            let (ctx, mut random) = (ctx.clone(), random.fork());
            ctx.clone().spawn(move || {
                while !ctx.is_over() {
                    hog(&ctx, &mut random);
                    ctx.rest(random.micros(5_000..=100_000));
                }
            })
        });
        let lanes: Vec<_> = lanes.collect();
        while !ctx.is_over() {
            if random.one_in(2) {
                crowd(ctx, &mut random);
            }
            ctx.rest(random.micros(100_000..=500_000));
        }
        join_all(lanes);
    }
}

/// More at once than there are workers.
fn crowd(ctx: &Ctx, random: &mut Random) {
    let more = random.count(1..=4);
    let hogs = (0..ctx.handle().workers() + more).map(|_| {
        let (ctx, mut random) = (ctx.clone(), random.fork());
        ctx.clone().spawn(move || hog(&ctx, &mut random))
    });
    join_all(hogs.collect::<Vec<_>>());
}

fn hog(ctx: &Ctx, random: &mut Random) {
    let duration = random.micros(1_000..=50_000);
    match random.within(0..=4) {
        0 => {
            std::hint::black_box(compute(duration.min(Duration::from_millis(20))));
            ctx.count(Kind::Computing, 1);
        }
        1 | 2 => {
            std::thread::sleep(duration);
            ctx.count(Kind::Stuck, 1);
        }
        3 => {
            let number = random.next();
            let same = sward::blocking(|| {
                // Once more inside, which changes nothing.
                sward::blocking(|| std::thread::sleep(duration));
                number
            });
            if same != number {
                ctx.violation(format_args!("`blocking` returned {same} in place of {number}"));
            }
            ctx.count(Kind::Blocking, 1);
        }
        _ => {
            let number = random.next();
            let same = sward::unblock(move || {
                std::thread::sleep(duration);
                number
            });
            if same != number {
                ctx.violation(format_args!("`unblock` returned {same} in place of {number}"));
            }
            ctx.count(Kind::Unblock, 1);
        }
    }
}

fn compute(duration: Duration) -> u64 {
    let (start, mut number) = (Instant::now(), 1);
    while start.elapsed() < duration {
        number = (0..1_000).fold(number, |number, _| mix(number));
    }
    number
}
