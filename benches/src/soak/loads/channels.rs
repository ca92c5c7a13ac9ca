//! Channels of every capacity, with several senders and receivers, by every way to send and to receive.

use std::sync::Arc;

use sward::channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded, unbounded,
};
use sward::sync::mpsc;
use sward::thread;

use super::Load;
use crate::soak::checkers::{Ledger, Order};
use crate::soak::context::{Ctx, Message, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Channels;

impl Load for Channels {
    fn run(&self, ctx: &Ctx) {
        let lanes = (0..3).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            ctx.clone().spawn(move || {
                ctx.clone().repeat(&mut random, |random| match random.within(0..=3) {
                    0 => round_of_std(&ctx, random),
                    _ => round(&ctx, random),
                });
            })
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

/// Some senders send so many messages each, some receivers receive them all.
fn round(ctx: &Ctx, random: &mut Random) {
    let (sender, receiver) = match random.within(0..=3) {
        0 => unbounded(),
        1 => bounded(0),
        2 => bounded(1),
        _ => bounded(random.count(2..=64)),
    };
    let (senders, receivers) = (random.count(1..=4), random.count(1..=4));
    let each = random.count(1..=300);
    let (ledger, order) = (Arc::new(Ledger::new(senders * each)), Arc::new(Order::new(senders)));
    let mut tasks = Vec::new();
    for at in 0..senders {
        let (ctx, sender, ledger, mut random) =
            (ctx.clone(), sender.clone(), Arc::clone(&ledger), random.fork());
        tasks.push(ctx.clone().spawn(move || {
            for number in at * each..(at + 1) * each {
                if !send(&sender, Message::new(&ctx, number), &mut random) {
                    return ctx.amiss("a channel with receivers is disconnected");
                }
                ledger.sent(number);
            }
        }));
    }
    for _ in 0..receivers {
        let (ctx, receiver, mut random) = (ctx.clone(), receiver.clone(), random.fork());
        let (ledger, order) = (Arc::clone(&ledger), Arc::clone(&order));
        tasks.push(ctx.clone().spawn(move || {
            while let Some(message) = receive(&receiver, &mut random) {
                ctx.check("channel", ledger.received(message.number));
                if receivers == 1 {
                    ctx.check("channel", order.came(message.number / each, message.number as u64));
                }
                ctx.count(Kind::Messages, 1);
            }
        }));
    }
    drop((sender, receiver));
    join_all(tasks);
    ctx.expect("channel", ledger.close());
}

/// Sends by one way or another, as often as it takes. `false`: nobody receives any more.
fn send(sender: &Sender<Message>, mut message: Message, random: &mut Random) -> bool {
    loop {
        let back = match random.within(0..=5) {
            0 => match sender.try_send(message) {
                Err(TrySendError::Full(message)) => Some(message),
                Err(TrySendError::Disconnected(_)) => return false,
                Ok(()) => None,
            },
            1 => match sender.send_timeout(message, random.micros(0..=500)) {
                Err(SendTimeoutError::Timeout(message)) => Some(message),
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Ok(()) => None,
            },
            _ => return sender.send(message).is_ok(),
        };
        match back {
            Some(same) => message = same,
            None => return true,
        }
        thread::yield_now();
    }
}

fn receive(receiver: &Receiver<Message>, random: &mut Random) -> Option<Message> {
    loop {
        match random.within(0..=5) {
            0 => match receiver.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => thread::yield_now(),
            },
            1 => match receiver.recv_timeout(random.micros(0..=500)) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            },
            2 => return receiver.iter().next(),
            _ => return receiver.recv().ok(),
        }
    }
}

/// The same with the channels of `std`'s names, which have one receiver.
fn round_of_std(ctx: &Ctx, random: &mut Random) {
    let senders = random.count(1..=4);
    let each = random.count(1..=200);
    let (ledger, order) = (Arc::new(Ledger::new(senders * each)), Order::new(senders));
    let bound = random.pick(&[0, 1, 16]);
    let (sender, receiver) = mpsc::sync_channel(bound);
    let tasks = (0..senders).map(|at| {
        let (ctx, sender, ledger) = (ctx.clone(), sender.clone(), Arc::clone(&ledger));
        ctx.clone().spawn(move || {
            for number in at * each..(at + 1) * each {
                if sender.send(Message::new(&ctx, number)).is_err() {
                    return ctx.amiss("a channel with a receiver is disconnected");
                }
                ledger.sent(number);
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    drop(sender);
    for message in receiver {
        ctx.check("mpsc", ledger.received(message.number));
        ctx.check("mpsc", order.came(message.number / each, message.number as u64));
        ctx.count(Kind::Messages, 1);
    }
    join_all(tasks);
    ctx.expect("mpsc", ledger.close());
}
