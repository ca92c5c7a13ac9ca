//! Channels that are no queues: every value to every receiver, the latest value, one value.

use sward::sync::broadcast::{self, error::RecvError};
use sward::sync::{oneshot, watch};
use sward::thread;

use super::Load;
use crate::soak::context::{Ctx, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Broadcasts;

impl Load for Broadcasts {
    fn run(&self, ctx: &Ctx) {
        let rounds: [fn(&Ctx, &mut Random); 3] = [broadcast_round, watch_round, oneshot_round];
        let lanes = rounds.into_iter().enumerate().map(|(n, round)| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n as u64));
            ctx.clone().spawn(move || ctx.clone().repeat(&mut random, |random| round(&ctx, random)))
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

/// Each receiver sees the numbers in turn, but for so many as it is told that it missed.
fn broadcast_round(ctx: &Ctx, random: &mut Random) {
    let (sender, receiver) = broadcast::channel(random.count(1..=64));
    let count = random.within(1..=300);
    let receivers = (0..random.count(1..=4)).map(|_| {
        let (ctx, mut receiver) = (ctx.clone(), receiver.resubscribe());
        ctx.clone().spawn(move || {
            let mut next = 0;
            loop {
                match receiver.recv() {
                    Ok(number) if number == next => next += 1,
                    Ok(number) => {
                        return ctx.amiss(format_args!("broadcast: {number} in place of {next}"));
                    }
                    Err(RecvError::Lagged(missed)) => next += missed,
                    Err(RecvError::Closed) => break,
                }
                ctx.count(Kind::Broadcasts, 1);
            }
            if next != count {
                ctx.amiss(format_args!("broadcast: {next} of {count} were seen or told of"));
            }
        })
    });
    let receivers: Vec<_> = receivers.collect();
    drop(receiver);
    for number in 0..count {
        ctx.expect("broadcast", sender.send(number));
        if random.one_in(8) {
            thread::yield_now();
        }
    }
    drop(sender);
    join_all(receivers);
}

/// Values grow, and the last one is seen.
fn watch_round(ctx: &Ctx, random: &mut Random) {
    let (sender, receiver) = watch::channel(0_u64);
    let count = random.within(1..=200);
    let receivers = (0..random.count(1..=4)).map(|_| {
        let (ctx, mut receiver) = (ctx.clone(), receiver.clone());
        ctx.clone().spawn(move || {
            let mut last = 0;
            while receiver.changed().is_ok() {
                let now = *receiver.borrow_and_update();
                if now <= last {
                    return ctx.amiss(format_args!("watch: {now} has changed from {last}"));
                }
                last = now;
                ctx.count(Kind::Broadcasts, 1);
            }
            last = last.max(*receiver.borrow());
            if last != count {
                ctx.amiss(format_args!("watch: {last} is the last of {count}"));
            }
        })
    });
    let receivers: Vec<_> = receivers.collect();
    drop(receiver);
    for number in 1..=count {
        ctx.expect("watch", sender.send(number).map_err(|_| "nobody watches"));
        if random.one_in(8) {
            thread::yield_now();
        }
    }
    drop(sender);
    join_all(receivers);
}

/// Questions that are answered, or whose asker has gone, or whose answerer has.
fn oneshot_round(ctx: &Ctx, random: &mut Random) {
    for number in 0..random.within(1..=50) {
        let (sender, receiver) = oneshot::channel();
        let (deserts, delay) = (random.one_in(5), random.micros(0..=300));
        let answerer = ctx.spawn(move || {
            thread::sleep(delay);
            if !deserts {
                // Who asks may have gone.
                let _ = sender.send(number);
            }
        });
        if random.one_in(5) {
            drop(receiver);
        } else {
            let answer = receiver.recv().ok();
            if answer != (!deserts).then_some(number) {
                ctx.amiss(format_args!("oneshot: {answer:?} as the answer to {number}"));
            }
            ctx.count(Kind::Broadcasts, 1);
        }
        answerer.join();
    }
}
