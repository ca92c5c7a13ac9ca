//! Runtimes beside the runtime: built outside, or on its green threads, given work, spoken with, and dropped in the midst of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sward::cancel::Cancelled;
use sward::channel::{bounded, unbounded};
use sward::runtime::{Builder, Runtime};
use sward::thread;

use super::Load;
use crate::soak::checkers::Ledger;
use crate::soak::context::{Ctx, Message};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Runtimes;

impl Load for Runtimes {
    fn run(&self, ctx: &Ctx) {
        let mut random = ctx.random(0);
        while !ctx.is_over() {
            if random.one_in(2) {
                once(ctx, &mut random);
            } else {
                let (theirs, mut random) = (ctx.clone(), random.fork());
                ctx.outside(move || once(&theirs, &mut random)).join();
            }
            ctx.rest(random.micros(10_000..=150_000));
        }
    }
}

fn build(random: &mut Random) -> Result<Runtime, sward::error::BuildError> {
    let builder = Builder::new().workers(random.count(1..=3)).stall_after(random.micros(1_000..=20_000));
    if random.one_in(2) {
        // SAFETY: what runs on it keeps nothing of a thread-local or an OS thread across a suspension.
        return unsafe { builder.roaming() }.build();
    }
    builder.build()
}

/// Messages go from the runtime to the caller, which waits for them outside of it; others there wait for ever.
fn once(ctx: &Ctx, random: &mut Random) {
    let Some(runtime) = ctx.expect("runtime", build(random)) else { return };
    let count = random.count(1..=500);
    let ledger = Arc::new(Ledger::new(count));
    let (sender, receiver) = if random.one_in(2) { unbounded() } else { bounded(random.count(0..=4)) };
    let sending = {
        let (ctx, ledger) = (ctx.clone(), Arc::clone(&ledger));
        runtime.handle().spawn(move || {
            for number in 0..count {
                if sender.send(Message::new(&ctx, number)).is_err() {
                    return;
                }
                ledger.sent(number);
            }
        })
    };
    let endless = (0..random.count(0..=20)).map(|n| {
        let tracked = ctx.tracked();
        runtime.handle().spawn(move || -> Infallible {
            let _tracked = tracked;
            loop {
                match n % 3 {
                    0 => thread::park(),
                    1 => thread::sleep(Duration::from_secs(3600)),
                    _ => thread::yield_now(),
                }
            }
        })
    });
    let endless: Vec<_> = endless.collect();
    // Amid the messages, or after them.
    let wanted = if random.one_in(2) { random.count(0..=count) } else { count };
    for message in receiver.iter().take(wanted) {
        ctx.check("another runtime", ledger.received(message.number));
        ctx.count(Kind::Messages, 1);
    }
    if wanted == count {
        if sending.join().is_err() {
            ctx.amiss("a green thread of another runtime did not come to its end");
        }
        ctx.expect("another runtime", ledger.close());
    } else {
        drop(sending);
    }
    drop(receiver);
    drop(runtime);
    // On a green thread the drop has not waited for these.
    for task in endless {
        let Err(payload) = task.join();
        if !payload.is::<Cancelled>() {
            ctx.violation("a green thread of a runtime that ended was not cancelled");
        }
    }
    ctx.count(Kind::Runtimes, 1);
}
