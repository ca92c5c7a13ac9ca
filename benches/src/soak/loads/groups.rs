//! Several green threads together: groups, scopes in which a failure ends the rest, gathering and racing.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use sward::task::{self, Failure, Group};
use sward::{thread, time};

use super::Load;
use crate::soak::context::{Ctx, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Groups;

impl Load for Groups {
    fn run(&self, ctx: &Ctx) {
        let lanes = (0..2).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            ctx.clone().spawn(move || {
                ctx.clone().repeat(&mut random, |random| {
                    let rounds: [fn(&Ctx, &mut Random); 5] = [group, abandoned_group, scope, gather, race];
                    random.pick(&rounds)(&ctx, random);
                    ctx.count(Kind::Groups, 1);
                });
            })
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

/// Results come as they end, each once; some are cancelled.
fn group(ctx: &Ctx, random: &mut Random) {
    let mut group = if random.one_in(2) { Group::new() } else { Group::with_limit(random.count(1..=4)) };
    let (count, endless) = (random.within(1..=30), random.one_in(3));
    for number in 0..count {
        let (tracked, wait) = (ctx.tracked(), random.micros(0..=500));
        group.spawn(move || {
            let _tracked = tracked;
            thread::sleep(wait);
            number
        });
    }
    if endless {
        // Beyond the limit, if there is one, since there is no room for it otherwise.
        let tracked = ctx.tracked();
        group.push(thread::spawn(move || {
            let _tracked = tracked;
            thread::sleep(Duration::from_secs(3600));
            u64::MAX
        }));
    }
    let (mut seen, mut cancelled) = (vec![0_u8; count as usize], 0);
    for _ in 0..count {
        match group.join_next() {
            Some(Ok(number)) if number < count => seen[number as usize] += 1,
            other => return ctx.amiss(format_args!("a group gave {other:?}")),
        }
        ctx.progress();
    }
    group.cancel();
    while let Some(result) = group.join_next() {
        match result {
            Err(Failure::Cancelled) => cancelled += 1,
            other => ctx.violation(format_args!("what was cancelled in a group gave {other:?}")),
        }
    }
    ctx.count(Kind::Cancels, cancelled);
    if seen.iter().any(|&times| times != 1) || cancelled != u64::from(endless) {
        ctx.amiss(format_args!("a group of {count} gave each so often: {seen:?}, and {cancelled} cancelled"));
    }
}

/// One that is dropped, shut down, or cut short by a limit, ends what is in it.
fn abandoned_group(ctx: &Ctx, random: &mut Random) {
    let mut group = Group::new();
    let count = random.within(1..=20);
    for _ in 0..count {
        let tracked = ctx.tracked();
        group.spawn(move || {
            let _tracked = tracked;
            thread::sleep(Duration::from_secs(3600));
        });
    }
    match random.within(0..=2) {
        0 => drop(group),
        1 => group.shutdown(),
        _ => {
            if time::timeout(random.micros(0..=500), || group.join_all()).is_ok() {
                ctx.violation("a group of green threads that sleep for an hour has ended");
            }
            ctx.count(Kind::Timeouts, 1);
        }
    }
    ctx.count(Kind::Cancels, count);
}

/// A failure ends the others before the scope returns; without one all results are there.
fn scope(ctx: &Ctx, random: &mut Random) {
    let (count, fails) = (random.within(1..=10), random.one_in(2));
    let running = AtomicU64::new(0);
    let result: Result<u64, u64> = task::scope(|scope| {
        let mut handles = Vec::new();
        for number in 0..count {
            let (wait, running) = (random.micros(0..=500), &running);
            handles.push(scope.spawn(move || {
                let _inside = Inside::enter(running);
                thread::sleep(wait);
                Ok(number)
            }));
        }
        if fails {
            let running = &running;
            scope.spawn(move || -> Result<(), u64> {
                let _inside = Inside::enter(running);
                Err(77)
            });
            scope.spawn(move || -> Result<(), u64> {
                let _inside = Inside::enter(running);
                thread::sleep(Duration::from_secs(3600));
                Ok(())
            });
        }
        Ok(handles.into_iter().map(|handle| handle.join()).sum())
    });
    let expected = if fails { Err(77) } else { Ok(count * (count - 1) / 2) };
    if result != expected {
        ctx.amiss(format_args!("a scope returned {result:?} in place of {expected:?}"));
    }
    if running.load(SeqCst) != 0 {
        ctx.violation("a scope has returned, and something runs in it");
    }
}

struct Inside<'a>(&'a AtomicU64);

impl<'a> Inside<'a> {
    fn enter(running: &'a AtomicU64) -> Self {
        running.fetch_add(1, SeqCst);
        Self(running)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn gather(ctx: &Ctx, random: &mut Random) {
    let waits: Vec<Duration> = (0..random.within(1..=20)).map(|_| random.micros(0..=500)).collect();
    let numbered = || waits.iter().copied().enumerate();
    let found = if random.one_in(2) {
        task::gather(numbered().map(|(number, wait)| {
            move || {
                thread::sleep(wait);
                number
            }
        }))
    } else {
        task::map_concurrent(numbered(), random.count(1..=4), |(number, wait)| {
            thread::sleep(wait);
            number
        })
    };
    if !found.iter().copied().eq(0..waits.len()) {
        ctx.amiss(format_args!("{found:?} were gathered"));
    }
}

/// Who ends first ends the others.
fn race(ctx: &Ctx, random: &mut Random) {
    let winner = random.within(0..=7);
    let running = AtomicU64::new(0);
    let first = task::race((0..8).map(|number| {
        let running = &running;
        move || {
            let _inside = Inside::enter(running);
            thread::sleep(if number == winner { Duration::ZERO } else { Duration::from_secs(3600) });
            number
        }
    }));
    if first != Some(winner) || running.load(SeqCst) != 0 {
        ctx.amiss(format_args!("{first:?} has won in place of {winner}, or others are left"));
    }
}
