//! Panics: each reaches whoever joins, with what it carried, and disturbs nobody else.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

use sward::runtime::{Builder, Handle};
use sward::sync::{Arc, Mutex, PoisonError};
use sward::thread;

use super::{Load, OnPurpose};
use crate::soak::context::{Ctx, End, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Panics;

impl Load for Panics {
    fn run(&self, ctx: &Ctx) {
        let lanes = (0..2).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            ctx.clone().spawn(move || ctx.clone().repeat(&mut random, |random| round(&ctx, random)))
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

fn round(ctx: &Ctx, random: &mut Random) {
    if random.one_in(20) {
        let runtime = Builder::new().workers(random.count(1..=2)).build();
        if let Some(runtime) = ctx.expect("runtime", runtime) {
            panic_on(ctx, &runtime.handle(), true, random);
        }
    } else {
        panic_on(ctx, ctx.handle(), false, random);
    }
}

/// Some panic. Destructors that wait are for a runtime where nobody is cancelled and nothing has a limit: what others of a worker begin to
/// wait for meanwhile is not ended (docs/cancellation.md, "Limits").
fn panic_on(ctx: &Ctx, handle: &Handle, are_slow: bool, random: &mut Random) {
    let lock = Arc::new(Mutex::new(()));
    let tasks = (0..random.within(1..=10)).map(|_| {
        let (number, way, mut random) =
            (random.next(), random.within(0..=if are_slow { 3 } else { 2 }), random.fork());
        let (theirs, lock) = (ctx.clone(), Arc::clone(&lock));
        let task = ctx.spawn_on(handle, move || {
            if random.one_in(2) {
                thread::sleep(random.micros(0..=300));
            }
            panic_somehow(&theirs, &lock, way, number, &mut random);
        });
        (number, task)
    });
    for (number, task) in tasks.collect::<Vec<_>>() {
        match task.end() {
            End::Panicked(payload) if payload.downcast_ref() == Some(&OnPurpose(number)) => {}
            other => ctx.amiss(format_args!("a panic with {number} was joined as {other:?}")),
        }
        ctx.count(Kind::Panics, 1);
    }
}

/// Waits while it is dropped in a panic.
struct Slow(u64);

impl Drop for Slow {
    fn drop(&mut self) {
        (0..self.0).for_each(|_| thread::yield_now());
        thread::sleep(std::time::Duration::from_micros(100));
    }
}

fn panic_somehow(ctx: &Ctx, lock: &Mutex<()>, way: u64, number: u64, random: &mut Random) {
    match way {
        0 => {}
        1 => {
            // One that is caught, with waits on both sides.
            let caught = catch_unwind(AssertUnwindSafe(|| {
                thread::yield_now();
                panic_any(OnPurpose(!number));
            }));
            let is_it =
                |payload: Box<dyn std::any::Any + Send>| payload.downcast_ref() == Some(&OnPurpose(!number));
            if !caught.is_err_and(is_it) {
                ctx.amiss("a panic that was caught has lost what it carried");
            }
            thread::sleep(random.micros(0..=200));
        }
        2 => {
            // It poisons the lock, which others of the round take.
            let _guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
            panic_any(OnPurpose(number));
        }
        _ => {
            let _slow = Slow(random.within(0..=3));
            panic_any(OnPurpose(number));
        }
    }
    panic_any(OnPurpose(number));
}
