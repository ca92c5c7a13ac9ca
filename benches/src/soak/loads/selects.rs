//! Select: routers receive from several channels, whichever is ready, and send to whichever has room. No message is lost or doubled.

use std::sync::Arc;

use sward::channel::{Receiver, Select, Sender, bounded, never, select, unbounded};

use super::Load;
use crate::soak::checkers::Ledger;
use crate::soak::context::{Ctx, Message, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Selects;

impl Load for Selects {
    fn run(&self, ctx: &Ctx) {
        let lanes = (0..2).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            ctx.clone().spawn(move || ctx.clone().repeat(&mut random, |random| round(&ctx, random)))
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

fn any_channel(random: &mut Random) -> (Sender<Message>, Receiver<Message>) {
    match random.within(0..=2) {
        0 => unbounded(),
        1 => bounded(0),
        _ => bounded(random.count(1..=8)),
    }
}

/// Senders send to two of four channels, by select; routers select from all four and send on; one receiver has the ledger.
fn round(ctx: &Ctx, random: &mut Random) {
    let (senders, routers, each) = (random.count(1..=4), random.count(1..=3), random.count(1..=200));
    let ledger = Arc::new(Ledger::new(senders * each));
    let (sinks, sources): (Vec<_>, Vec<_>) = (0..4).map(|_| any_channel(random)).unzip();
    let (out, end) = bounded(random.count(0..=4));
    let mut tasks = Vec::new();
    for at in 0..senders {
        let (ctx, ledger) = (ctx.clone(), Arc::clone(&ledger));
        let (one, other) = (sinks[at % 4].clone(), sinks[(at + 1) % 4].clone());
        tasks.push(ctx.clone().spawn(move || {
            for number in at * each..(at + 1) * each {
                let sent = select! {
                    send(one, Message::new(&ctx, number)) -> sent => sent,
                    send(other, Message::new(&ctx, number)) -> sent => sent,
                };
                if sent.is_err() {
                    return ctx.amiss("a channel with receivers is disconnected");
                }
                ledger.sent(number);
            }
        }));
    }
    for _ in 0..routers {
        let (ctx, sources, out, mut random) = (ctx.clone(), sources.clone(), out.clone(), random.fork());
        tasks.push(ctx.clone().spawn(move || match random.within(0..=1) {
            0 => route_many(&ctx, sources, &out),
            _ => route_four(&ctx, sources, &out, &mut random),
        }));
    }
    drop((sinks, sources, out));
    for message in end {
        ctx.check("select", ledger.received(message.number));
        ctx.count(Kind::Selects, 1);
    }
    join_all(tasks);
    ctx.expect("select", ledger.close());
}

/// From as many as there are.
fn route_many(ctx: &Ctx, mut sources: Vec<Receiver<Message>>, out: &Sender<Message>) {
    while !sources.is_empty() {
        let (at, received) = {
            let mut select = Select::new();
            for source in &sources {
                select.recv(source);
            }
            let ready = select.select();
            let at = ready.index();
            (at, ready.recv(&sources[at]))
        };
        match received.map(|message| out.send(message)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return ctx.amiss("the receiver has gone before the routers"),
            Err(_) => drop(sources.swap_remove(at)),
        }
    }
}

/// From four, with a limit now and then.
fn route_four(ctx: &Ctx, sources: Vec<Receiver<Message>>, out: &Sender<Message>, random: &mut Random) {
    let mut sources: [_; 4] = sources.try_into().expect("there are four");
    let mut left = sources.len();
    while left > 0 {
        let [a, b, c, d] = &sources;
        let (at, received) = select! {
            recv(a) -> message => (0, message),
            recv(b) -> message => (1, message),
            recv(c) -> message => (2, message),
            recv(d) -> message => (3, message),
            default(random.micros(0..=2_000)) => continue,
        };
        match received.map(|message| out.send(message)) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return ctx.amiss("the receiver has gone before the routers"),
            Err(_) => {
                sources[at] = never();
                left -= 1;
            }
        }
    }
}
