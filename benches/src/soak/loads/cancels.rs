//! Cancellation: green threads are ended wherever they wait, and what they had or were about to get is lost to nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sward::cancel;
use sward::channel::{Sender, bounded, never};
use sward::net::TcpListener;
use sward::runtime::Builder;
use sward::sync::{Arc, Condvar, Mutex, PoisonError, Semaphore};
use sward::thread;

use super::Load;
use crate::soak::checkers::Ledger;
use crate::soak::context::{Ctx, End, Message, Task, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Cancels;

impl Load for Cancels {
    fn run(&self, ctx: &Ctx) {
        let rounds: [fn(&Ctx, &mut Random); 3] = [messages, victims, clean_ups];
        let lanes = rounds.into_iter().enumerate().map(|(n, round)| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n as u64));
            ctx.clone().spawn(move || ctx.clone().repeat(&mut random, |random| round(&ctx, random)))
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

/// Senders and receivers are cancelled and replaced. A message whose `send` has returned arrives, and no other does.
fn messages(ctx: &Ctx, random: &mut Random) {
    let count = random.count(50..=500);
    let (ledger, next) = (Arc::new(Ledger::new(count)), Arc::new(AtomicUsize::new(0)));
    let (sender, receiver) = bounded::<Message>(random.count(0..=3));
    let spawn_sender = |sender: &Sender<Message>| {
        let (ctx, sender, ledger, next) =
            (ctx.clone(), sender.clone(), Arc::clone(&ledger), Arc::clone(&next));
        ctx.clone().spawn(move || {
            loop {
                let number = next.fetch_add(1, SeqCst);
                if number >= count {
                    return;
                }
                if sender.send(Message::new(&ctx, number)).is_err() {
                    return ctx.amiss("a channel with receivers is disconnected");
                }
                ledger.sent(number);
            }
        })
    };
    let spawn_receiver = || {
        let (ctx, receiver, ledger) = (ctx.clone(), receiver.clone(), Arc::clone(&ledger));
        ctx.clone().spawn(move || {
            while let Ok(message) = receiver.recv() {
                ctx.check("cancelled receivers", ledger.received(message.number));
                ctx.count(Kind::Messages, 1);
            }
        })
    };
    let mut senders: Vec<Task<()>> = (0..random.count(1..=4)).map(|_| spawn_sender(&sender)).collect();
    let mut receivers: Vec<Task<()>> = (0..random.count(1..=4)).map(|_| spawn_receiver()).collect();
    while next.load(SeqCst) < count && !ctx.is_ending() {
        thread::sleep(random.micros(0..=300));
        let at = random.next() as usize;
        if random.one_in(2) {
            let (at, fresh) = (at % senders.len(), spawn_sender(&sender));
            end(ctx, std::mem::replace(&mut senders[at], fresh), false);
        } else {
            let (at, fresh) = (at % receivers.len(), spawn_receiver());
            end(ctx, std::mem::replace(&mut receivers[at], fresh), false);
        }
    }
    join_all(senders);
    drop((sender, receiver));
    join_all(receivers);
    ctx.expect("cancelled receivers", ledger.close());
}

/// Cancels it and waits for its end.
fn end(ctx: &Ctx, task: Task<()>, waits_for_ever: bool) {
    task.cancel();
    match task.end() {
        End::Cancelled => ctx.count(Kind::Cancels, 1),
        End::Returned(()) if waits_for_ever => ctx.violation("what waits for ever has returned"),
        End::Returned(()) => {}
        End::Panicked(_) => ctx.violation("a green thread that was cancelled has panicked"),
    }
}

/// What victims wait for, all of which is whole afterwards.
#[derive(Debug)]
struct Held {
    lock: Mutex<u64>,
    condition: Condvar,
    permits: Semaphore,
}

impl Held {
    fn new() -> Self {
        Self { lock: Mutex::new(0), condition: Condvar::new(), permits: Semaphore::new(0) }
    }
}

/// Green threads that wait for ever, each in its way, and are cancelled at any time: before they start, as they begin to wait, long after.
fn victims(ctx: &Ctx, random: &mut Random) {
    let held = Arc::new(Held::new());
    let count = random.count(1..=20);
    let tasks = (0..count).map(|_| {
        let (ctx, held, way) = (ctx.clone(), Arc::clone(&held), random.within(0..=10));
        ctx.clone().spawn(move || wait_for_ever(&ctx, &held, way, false))
    });
    let mut tasks: Vec<Task<()>> = tasks.collect();
    while !tasks.is_empty() {
        match random.within(0..=3) {
            0 => thread::sleep(random.micros(0..=500)),
            1 => thread::yield_now(),
            _ => {}
        }
        let at = random.count(0..=tasks.len() - 1);
        end(ctx, tasks.swap_remove(at), true);
    }
    // Who waited for these has left nothing behind.
    drop(held.lock.lock().unwrap_or_else(PoisonError::into_inner));
    held.permits.add_permits(1);
    if held.permits.try_acquire().is_err() {
        ctx.violation("a permit went to a green thread that had ended");
    }
}

/// One at a time, which waits in its destructor too, on a runtime where no other wait is to be ended: one that another of the same worker begins
/// meanwhile would not be (docs/cancellation.md, "Limits").
fn clean_ups(ctx: &Ctx, random: &mut Random) {
    let Some(runtime) = ctx.expect("runtime", Builder::new().workers(1).build()) else { return };
    let held = Arc::new(Held::new());
    for _ in 0..random.within(1..=20) {
        let (theirs, held, way) = (ctx.clone(), Arc::clone(&held), random.within(0..=10));
        let task = ctx.spawn_on(&runtime.handle(), move || wait_for_ever(&theirs, &held, way, true));
        thread::sleep(random.micros(0..=500));
        end(ctx, task, true);
    }
}

/// Waits in its destructor.
struct CleanUp<'a>(&'a Ctx);

impl Drop for CleanUp<'_> {
    fn drop(&mut self) {
        thread::sleep(Duration::from_micros(200));
        self.0.progress();
    }
}

fn wait_for_ever(ctx: &Ctx, held: &Held, way: u64, cleans_up: bool) {
    let _clean_up = cleans_up.then_some(CleanUp(ctx));
    match way {
        0 | 1 => thread::sleep(Duration::from_secs(3600)),
        2 => thread::park(),
        3 => drop(never::<()>().recv()),
        4 => drop(held.permits.acquire()),
        5 => {
            let guard = held.lock.lock().unwrap_or_else(PoisonError::into_inner);
            drop(held.condition.wait_while(guard, |_| true));
        }
        6 => {
            // With the lock in its hands, for which others wait.
            let _guard = held.lock.lock().unwrap_or_else(PoisonError::into_inner);
            thread::park();
        }
        7 => {
            let listener = ctx.expect("listen", TcpListener::bind("127.0.0.1:0"));
            drop(listener.map(|listener| listener.accept()));
        }
        8 => drop(thread::spawn(|| thread::sleep(Duration::from_millis(5))).join().map(|()| thread::park())),
        9 => {
            cancel::shield(|| thread::sleep(Duration::from_micros(500)));
            thread::park();
        }
        _ => {
            // Caught, it comes again.
            while catch_unwind(AssertUnwindSafe(thread::park)).is_err() && !cancel::is_due() {}
            thread::park();
        }
    }
    // Parks may end for no reason.
    loop {
        thread::park();
    }
}
