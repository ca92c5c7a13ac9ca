//! Looks at the runtime in the midst of its load: dumps, for which the workers stand still, and metrics.

use sward::sync::{Arc, atomic::AtomicBool, atomic::Ordering::SeqCst};
use sward::thread;

use super::Load;
use crate::soak::context::Ctx;
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Dumps;

impl Load for Dumps {
    fn run(&self, ctx: &Ctx) {
        let mut random = ctx.random(0);
        while !ctx.is_over() {
            if random.one_in(2) {
                dump(ctx);
            } else {
                let theirs = ctx.clone();
                ctx.outside(move || dump(&theirs)).join();
            }
            metrics(ctx, &mut random);
            ctx.rest(random.micros(200_000..=800_000));
        }
    }
}

/// Who has started and waits is in a dump that nobody was too busy for.
fn dump(ctx: &Ctx) {
    let done = Arc::new(AtomicBool::new(false));
    let witness = {
        let done = Arc::clone(&done);
        ctx.spawn(move || {
            while !done.load(SeqCst) {
                thread::park();
            }
        })
    };
    while witness.thread().state() == thread::State::Runnable && !ctx.is_ending() {
        thread::yield_now();
    }
    let dump = ctx.handle().dump();
    let id = witness.thread().id();
    let is_told = dump.threads.iter().any(|thread| thread.id == id);
    if !is_told && dump.busy == 0 && !dump.is_ending && !ctx.is_ending() {
        ctx.violation("a green thread that waits is not in the dump");
    }
    if dump.to_string().is_empty() || !dump.to_json().starts_with('{') {
        ctx.violation("a dump says nothing");
    }
    done.store(true, SeqCst);
    witness.thread().unpark();
    witness.join();
    ctx.count(Kind::Dumps, 1);
}

fn metrics(ctx: &Ctx, random: &mut Random) {
    let before = ctx.handle().metrics();
    thread::sleep(random.micros(0..=1_000));
    let after = ctx.handle().metrics();
    if after.spawned < before.spawned || after.finished < before.finished {
        ctx.violation("counts of the metrics have fallen");
    }
    if after.workers.len() < ctx.handle().workers() {
        ctx.violation("the metrics lack a worker");
    }
}
