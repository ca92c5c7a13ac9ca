//! OS threads outside: they send to green threads and receive from them, spawn and join them, and unpark them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use sward::channel::{bounded, unbounded};
use sward::thread;

use super::Load;
use crate::soak::checkers::Ledger;
use crate::soak::context::{Ctx, Message, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Outside;

impl Load for Outside {
    fn run(&self, ctx: &Ctx) {
        let rounds: [fn(&Ctx, &mut Random); 3] = [messages, joins, unparks];
        let lanes = rounds.into_iter().enumerate().map(|(n, round)| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n as u64));
            ctx.clone().spawn(move || {
                while !ctx.is_over() {
                    round(&ctx, &mut random);
                    ctx.rest(random.micros(0..=20_000));
                }
            })
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

/// There and back: outside to green, green to outside. Either side may be several.
fn messages(ctx: &Ctx, random: &mut Random) {
    let count = random.count(1..=2_000);
    let (there, back) = (Arc::new(Ledger::new(count)), Arc::new(Ledger::new(count)));
    let (outer, inner) = if random.one_in(2) { unbounded() } else { bounded(random.count(0..=4)) };
    let (inner_back, outer_back) = if random.one_in(2) { unbounded() } else { bounded(random.count(0..=4)) };
    let sending = {
        let (ctx, there) = (ctx.clone(), Arc::clone(&there));
        ctx.clone().outside(move || {
            for number in 0..count {
                if outer.send(Message::new(&ctx, number)).is_err() {
                    return ctx.amiss("nobody receives inside");
                }
                there.sent(number);
            }
        })
    };
    let green = (0..random.count(1..=3)).map(|_| {
        let (ctx, inner, inner_back) = (ctx.clone(), inner.clone(), inner_back.clone());
        let (there, back) = (Arc::clone(&there), Arc::clone(&back));
        ctx.clone().spawn(move || {
            for message in inner {
                let number = message.number;
                ctx.check("from outside", there.received(number));
                if inner_back.send(message).is_err() {
                    return ctx.amiss("nobody receives outside");
                }
                back.sent(number);
            }
        })
    });
    let green: Vec<_> = green.collect();
    drop((inner, inner_back));
    let receiving = {
        let (ctx, back) = (ctx.clone(), Arc::clone(&back));
        ctx.clone().outside(move || {
            for message in outer_back {
                ctx.check("to outside", back.received(message.number));
                ctx.count(Kind::Messages, 1);
            }
        })
    };
    join_all(green);
    sending.join();
    receiving.join();
    ctx.expect("from outside", there.close());
    ctx.expect("to outside", back.close());
}

/// An OS thread spawns green threads and joins them, in some order, or with a limit.
fn joins(ctx: &Ctx, random: &mut Random) {
    let (theirs, mut random) = (ctx.clone(), random.fork());
    let outside = ctx.outside(move || {
        let tasks = (0..random.within(1..=50)).map(|number| {
            let wait = random.micros(0..=500);
            let task = theirs.spawn(move || {
                thread::sleep(wait);
                number
            });
            (number, task)
        });
        let tasks: Vec<_> = tasks.collect();
        for (number, task) in tasks.into_iter().rev() {
            let found = task.join();
            if found.is_some_and(|found| found != number) {
                theirs.violation(format_args!("{found:?} was joined in place of {number}"));
            }
        }
    });
    outside.join();
}

/// A green thread and an OS thread hand a turn to and fro, by park and unpark.
fn unparks(ctx: &Ctx, random: &mut Random) {
    let rounds = random.within(1..=500);
    let turns = Arc::new(AtomicU64::new(0));
    let me = thread::current();
    let (give, given) = bounded(1);
    let outside = {
        let (ctx, turns) = (ctx.clone(), Arc::clone(&turns));
        ctx.clone().outside(move || {
            drop(give.send(thread::current()));
            for round in 0..rounds {
                while turns.load(SeqCst) != 2 * round {
                    // With a limit, since nobody wakes it if the other is unwound.
                    thread::park_timeout(Duration::from_millis(100));
                    if ctx.is_ending() {
                        return;
                    }
                }
                turns.fetch_add(1, SeqCst);
                me.unpark();
                ctx.count(Kind::Unparks, 1);
            }
        })
    };
    let Some(other) = ctx.expect("unpark", given.recv()) else { return };
    for round in 0..rounds {
        while turns.load(SeqCst) != 2 * round + 1 {
            thread::park();
        }
        turns.fetch_add(1, SeqCst);
        other.unpark();
    }
    outside.join();
}
