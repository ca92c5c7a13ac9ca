//! Condition variables, barriers, permits and notifications: no more come in than may, and nobody waits for ever.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use sward::sync::{Arc, Barrier, Condvar, Mutex, PoisonError, Semaphore, WaitGroup};
use sward::thread;

use super::Load;
use crate::soak::checkers::Ledger;
use crate::soak::context::{Ctx, Message, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

const PERMITS: usize = 5;

#[derive(Debug)]
pub(crate) struct Meetings {
    permits: Arc<Semaphore>,
    inside: Arc<AtomicUsize>,
}

impl Default for Meetings {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(PERMITS)), inside: Arc::default() }
    }
}

impl Load for Meetings {
    fn run(&self, ctx: &Ctx) {
        let mut tasks = Vec::new();
        for n in 0..8 {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            let (permits, inside) = (Arc::clone(&self.permits), Arc::clone(&self.inside));
            tasks.push(ctx.clone().spawn(move || {
                ctx.clone().repeat(&mut random, |random| acquire(&ctx, &permits, &inside, random));
            }));
        }
        for (n, round) in [buffer, barrier].into_iter().enumerate() {
            let (ctx, mut random) = (ctx.clone(), ctx.random(100 + n as u64));
            tasks.push(
                ctx.clone().spawn(move || ctx.clone().repeat(&mut random, |random| round(&ctx, random))),
            );
        }
        join_all(tasks);
    }

    fn check(&self, ctx: &Ctx) {
        let (left, inside) = (self.permits.available_permits(), self.inside.load(SeqCst));
        if left != PERMITS || inside != 0 {
            ctx.violation(format_args!(
                "{left} of {PERMITS} permits are left, and {inside} are counted as taken"
            ));
        }
    }
}

/// Is inside until it is dropped.
struct Inside<'a>(&'a AtomicUsize, usize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, SeqCst);
    }
}

fn acquire(ctx: &Ctx, permits: &Arc<Semaphore>, inside: &AtomicUsize, random: &mut Random) {
    for _ in 0..20 {
        let want = random.count(1..=PERMITS);
        let permit = match random.within(0..=3) {
            0 => permits.try_acquire_many(want as u32).ok(),
            1 => permits.acquire_many_timeout(want as u32, random.micros(0..=500)).ok(),
            _ => ctx.expect("acquire", permits.acquire_many(want as u32)),
        };
        let Some(permit) = permit else { continue };
        let here = inside.fetch_add(want, SeqCst) + want;
        let entered = Inside(inside, want);
        if here > PERMITS {
            ctx.violation(format_args!("{here} are inside, with {PERMITS} permits"));
        }
        match random.within(0..=3) {
            0 => thread::sleep(random.micros(0..=300)),
            _ => thread::yield_now(),
        }
        drop(entered);
        drop(permit);
        ctx.count(Kind::Meetings, 1);
    }
}

/// A buffer with room for some, made of a mutex and two condition variables.
#[derive(Debug, Default)]
struct Buffer {
    queue: Mutex<VecDeque<Message>>,
    not_empty: Condvar,
    not_full: Condvar,
}

fn buffer(ctx: &Ctx, random: &mut Random) {
    let (senders, receivers, room) = (random.count(1..=4), random.count(1..=4), random.count(1..=4));
    let each = receivers * random.count(1..=40);
    let ledger = Arc::new(Ledger::new(senders * each));
    let buffer = Arc::new(Buffer::default());
    let mut tasks = Vec::new();
    for at in 0..senders {
        let (ctx, buffer, ledger) = (ctx.clone(), Arc::clone(&buffer), Arc::clone(&ledger));
        tasks.push(ctx.clone().spawn(move || {
            for number in at * each..(at + 1) * each {
                let queue = buffer.queue.lock().unwrap_or_else(PoisonError::into_inner);
                let queue = buffer.not_full.wait_while(queue, |queue| queue.len() >= room);
                queue.unwrap_or_else(PoisonError::into_inner).push_back(Message::new(&ctx, number));
                ledger.sent(number);
                buffer.not_empty.notify_one();
            }
        }));
    }
    for _ in 0..receivers {
        let (ctx, buffer, ledger) = (ctx.clone(), Arc::clone(&buffer), Arc::clone(&ledger));
        tasks.push(ctx.clone().spawn(move || {
            for _ in 0..senders * each / receivers {
                let queue = buffer.queue.lock().unwrap_or_else(PoisonError::into_inner);
                let queue = buffer.not_empty.wait_while(queue, |queue| queue.is_empty());
                let message = queue.unwrap_or_else(PoisonError::into_inner).pop_front();
                match message {
                    Some(message) => ctx.check("condition variable", ledger.received(message.number)),
                    None => ctx.violation("a wait for a condition was over before it held"),
                }
                buffer.not_full.notify_one();
                ctx.count(Kind::Meetings, 1);
            }
        }));
    }
    join_all(tasks);
    ctx.expect("condition variable", ledger.close());
}

/// All come before any goes on, and one is told that it leads.
fn barrier(ctx: &Ctx, random: &mut Random) {
    let (members, rounds) = (random.count(1..=6), random.count(1..=20));
    let barrier = Arc::new(Barrier::new(members));
    let (arrived, leaders) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let group = WaitGroup::new();
    let tasks = (0..members).map(|_| {
        let (ctx, barrier, group) = (ctx.clone(), Arc::clone(&barrier), group.clone());
        let (arrived, leaders) = (Arc::clone(&arrived), Arc::clone(&leaders));
        ctx.clone().spawn(move || {
            for round in 1..=rounds {
                arrived.fetch_add(1, SeqCst);
                let leads = barrier.wait().is_leader();
                leaders.fetch_add(usize::from(leads), SeqCst);
                if arrived.load(SeqCst) < round * members {
                    ctx.violation("a barrier has let through before all had come");
                }
                ctx.count(Kind::Meetings, 1);
            }
            drop(group);
        })
    });
    let tasks: Vec<_> = tasks.collect();
    group.wait();
    if leaders.load(SeqCst) != rounds {
        ctx.amiss(format_args!("{} led in {rounds} rounds of a barrier", leaders.load(SeqCst)));
    }
    join_all(tasks);
}
