//! Locks: what they guard is seen by one at a time, also by OS threads outside, and the sums are right.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use sward::sync::{Arc, Mutex, PoisonError, RwLock};
use sward::thread;

use super::Load;
use crate::soak::context::{Ctx, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Locks(Arc<Guarded>);

#[derive(Debug, Default)]
struct Guarded {
    mutex: Mutex<Pair>,
    rwlock: RwLock<Pair>,
    added: AtomicU64,
    written: AtomicU64,
}

/// The two are equal whenever nobody is in between.
#[derive(Debug, Default)]
struct Pair(u64, u64);

impl Load for Locks {
    fn run(&self, ctx: &Ctx) {
        let mut random = ctx.random(0);
        let green = (0..random.count(2..=16)).map(|_| {
            let (ctx, guarded, mut random) = (ctx.clone(), Arc::clone(&self.0), random.fork());
            ctx.clone().spawn(move || {
                while !ctx.is_over() {
                    (0..50).for_each(|_| guarded.once(&ctx, &mut random));
                    thread::yield_now();
                }
            })
        });
        let green: Vec<_> = green.collect();
        let outside = (0..random.count(0..=2)).map(|_| {
            let (ctx, guarded, mut random) = (ctx.clone(), Arc::clone(&self.0), random.fork());
            ctx.clone().outside(move || {
                while !ctx.is_over() {
                    guarded.once(&ctx, &mut random);
                    std::thread::sleep(random.micros(0..=300));
                }
            })
        });
        let outside: Vec<_> = outside.collect();
        join_all(green);
        for outsider in outside {
            outsider.join();
        }
    }

    fn check(&self, ctx: &Ctx) {
        let guarded = &self.0;
        let free = |what: &str, is_free: bool| {
            if !is_free {
                ctx.violation(format_args!("{what} is locked, and nobody is left"));
            }
        };
        free("the mutex", !matches!(guarded.mutex.try_lock(), Err(sward::sync::TryLockError::WouldBlock)));
        free("the rwlock", !matches!(guarded.rwlock.try_write(), Err(sward::sync::TryLockError::WouldBlock)));
        let sum = |pair: &Pair, added: &AtomicU64, what: &str| {
            let added = added.load(SeqCst);
            // Who was unwound in between has left the second behind.
            if pair.0 != added || pair.1 != added && !ctx.is_ending() {
                ctx.violation(format_args!("{what} guards {pair:?}, and {added} were added"));
            }
        };
        sum(&guarded.mutex.lock().unwrap_or_else(PoisonError::into_inner), &guarded.added, "the mutex");
        sum(&guarded.rwlock.read().unwrap_or_else(PoisonError::into_inner), &guarded.written, "the rwlock");
    }
}

impl Guarded {
    fn once(&self, ctx: &Ctx, random: &mut Random) {
        match random.within(0..=7) {
            0..=2 => self.add(ctx, random, &mut self.mutex.lock().unwrap_or_else(PoisonError::into_inner)),
            3 => {
                if let Ok(mut pair) = self.mutex.try_lock() {
                    self.add(ctx, random, &mut pair);
                }
            }
            4 => {
                if let Ok(mut pair) = self.mutex.lock_timeout(random.micros(0..=200)) {
                    self.add(ctx, random, &mut pair);
                }
            }
            5 => {
                let mut pair = self.rwlock.write().unwrap_or_else(PoisonError::into_inner);
                change(ctx, random, &mut pair, &self.written);
            }
            _ => {
                let pair = self.rwlock.read().unwrap_or_else(PoisonError::into_inner);
                whole(ctx, &pair);
                pause(random);
                whole(ctx, &pair);
            }
        }
        ctx.count(Kind::Locks, 1);
    }

    fn add(&self, ctx: &Ctx, random: &mut Random, pair: &mut Pair) {
        change(ctx, random, pair, &self.added);
    }
}

/// Adds one, often with a wait in between.
fn change(ctx: &Ctx, random: &mut Random, pair: &mut Pair, added: &AtomicU64) {
    whole(ctx, pair);
    pair.0 += 1;
    added.fetch_add(1, SeqCst);
    pause(random);
    pair.1 += 1;
}

fn whole(ctx: &Ctx, pair: &Pair) {
    if pair.0 != pair.1 {
        ctx.amiss(format_args!("a lock is held, and what it guards is half changed: {pair:?}"));
    }
}

fn pause(random: &mut Random) {
    match random.within(0..=40) {
        0 => thread::sleep(random.micros(0..=200)),
        1..=4 => thread::yield_now(),
        _ => {}
    }
}
