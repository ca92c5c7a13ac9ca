//! Limits around operations: whoever is cut short has not sent or received, or it has. Tokens that end several calls at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use sward::cancel::Token;
use sward::channel::bounded;
use sward::{thread, time};

use super::Load;
use crate::soak::checkers::Ledger;
use crate::soak::context::{Ctx, Message, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Limits;

impl Load for Limits {
    fn run(&self, ctx: &Ctx) {
        let rounds: [fn(&Ctx, &mut Random); 3] = [messages, messages, token];
        let lanes = rounds.into_iter().enumerate().map(|(n, round)| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n as u64));
            ctx.clone().spawn(move || ctx.clone().repeat(&mut random, |random| round(&ctx, random)))
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

/// Senders and receivers under limits that strike often. A message whose sender was told that it was sent arrives; no other does.
fn messages(ctx: &Ctx, random: &mut Random) {
    let (senders, receivers) = (random.count(1..=3), random.count(1..=3));
    let each = random.count(1..=200);
    let ledger = Arc::new(Ledger::new(senders * each));
    let (sender, receiver) = bounded(random.count(0..=2));
    let mut tasks = Vec::new();
    for at in 0..senders {
        let (ctx, sender, ledger, mut random) =
            (ctx.clone(), sender.clone(), Arc::clone(&ledger), random.fork());
        tasks.push(ctx.clone().spawn(move || {
            for number in at * each..(at + 1) * each {
                let sent = time::timeout(random.micros(0..=300), || sender.send(Message::new(&ctx, number)));
                match sent {
                    Ok(Ok(())) => ledger.sent(number),
                    Ok(Err(_)) => ctx.amiss("a channel with receivers is disconnected"),
                    Err(_) => ctx.count(Kind::Timeouts, 1),
                }
            }
        }));
    }
    for _ in 0..receivers {
        let (ctx, receiver, ledger, mut random) =
            (ctx.clone(), receiver.clone(), Arc::clone(&ledger), random.fork());
        tasks.push(ctx.clone().spawn(move || {
            loop {
                match time::timeout(random.micros(0..=300), || receiver.recv()) {
                    Ok(Ok(message)) => ctx.check("limit", ledger.received(message.number)),
                    Ok(Err(_)) => return,
                    Err(_) => ctx.count(Kind::Timeouts, 1),
                }
                ctx.count(Kind::Messages, 1);
            }
        }));
    }
    drop((sender, receiver));
    join_all(tasks);
    ctx.expect("limit", ledger.close());
}

/// Calls of several green threads, which a token ends, or a child of it.
fn token(ctx: &Ctx, random: &mut Random) {
    let token = Token::new();
    let called = Arc::new(AtomicBool::new(false));
    let registration = token.on_cancel({
        let called = Arc::clone(&called);
        move || called.store(true, SeqCst)
    });
    let tasks = (0..random.count(1..=8)).map(|n| {
        let token = if n % 2 == 0 { token.clone() } else { token.child() };
        let (ctx, wait) = (ctx.clone(), random.micros(0..=100));
        ctx.clone().spawn(move || {
            thread::sleep(wait);
            if token.run(thread::park).is_ok() {
                ctx.violation("a park that only a token ends has ended without it");
            }
            // The thread itself goes on.
            thread::sleep(wait);
            ctx.count(Kind::Timeouts, 1);
        })
    });
    let tasks: Vec<_> = tasks.collect();
    thread::sleep(random.micros(0..=300));
    token.cancel();
    join_all(tasks);
    if !called.load(SeqCst) {
        ctx.amiss("a token was cancelled, and a function that it was to call was not called");
    }
    drop(registration);
}
