//! Trees of green threads: each spawns others and adds up what they return.

use sward::thread;

use super::Load;
use crate::soak::context::{Ctx, Task, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Trees;

impl Load for Trees {
    fn run(&self, ctx: &Ctx) {
        let lanes = (0..2).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            ctx.clone().spawn(move || ctx.clone().repeat(&mut random, |random| tree(&ctx, random)))
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

fn tree(ctx: &Ctx, random: &mut Random) {
    let (seed, depth) = (random.fork(), random.within(1..=5));
    let expected = leaves(seed.clone(), depth);
    let found = match random.within(0..=2) {
        0 => grow_borrowed(ctx, &seed, depth),
        _ => grow(ctx, seed, depth),
    };
    if found.is_some_and(|found| found != expected) {
        ctx.violation(format_args!("a tree has {found:?} leaves in place of {expected}"));
    }
}

/// How many there are to be, without a thread.
fn leaves(mut random: Random, depth: u64) -> u64 {
    if depth == 0 {
        return 1;
    }
    (0..random.within(1..=5)).map(|_| leaves(random.fork(), depth - 1)).sum()
}

fn grow(ctx: &Ctx, mut random: Random, depth: u64) -> Option<u64> {
    if depth == 0 {
        return Some(1);
    }
    let children = (0..random.within(1..=5)).map(|_| {
        let (ctx, random) = (ctx.clone(), random.fork());
        ctx.clone().spawn(move || grow(&ctx, random, depth - 1))
    });
    let children: Vec<Task<Option<u64>>> = children.collect();
    // Not in the order in which they end.
    children.into_iter().rev().map(|child| child.join().flatten()).sum()
}

/// The same with green threads that borrow.
fn grow_borrowed(ctx: &Ctx, random: &Random, depth: u64) -> Option<u64> {
    if depth == 0 {
        return Some(1);
    }
    let mut random = random.clone();
    let seeds: Vec<Random> = (0..random.within(1..=5)).map(|_| random.fork()).collect();
    thread::scope(|scope| {
        let children = seeds.iter().map(|seed| {
            let tracked = ctx.tracked();
            scope.spawn(move || {
                let _tracked = tracked;
                grow_borrowed(ctx, seed, depth - 1)
            })
        });
        let children: Vec<_> = children.collect();
        ctx.count(Kind::Tasks, children.len() as u64);
        children.into_iter().map(|child| child.join().ok().flatten()).sum()
    })
}
