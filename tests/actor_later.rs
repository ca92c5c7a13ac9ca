//! Messages that actors send themselves later: when they come, that they can be taken back, and that they end with the actor.

use std::time::{Duration, Instant};

use crate::common::{DropToken, Drops, ON_PURPOSE, each_config, each_run, quiet_panics, stress, wait_until};
use sward::{
    actor::{self, Actor, Addr, Builder, Context, Delayed, Exit, Restart, Strategy, Supervisor},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc, oneshot,
    },
    thread,
};

const SOON: Duration = Duration::from_micros(500);
const NEVER: Duration = Duration::from_secs(100_000);

/// Does what it is sent.
struct Doer;

type Deed = Box<dyn FnOnce(&mut Context<Doer>) + Send>;

impl Actor for Doer {
    type Message = Deed;

    fn handle(&mut self, deed: Deed, context: &mut Context<Self>) {
        deed(context);
    }
}

/// Has it do something, and returns what comes of it.
fn ask<T: Send + 'static>(doer: &Addr<Doer>, f: impl FnOnce(&mut Context<Doer>) -> T + Send + 'static) -> T {
    let (reply, answer) = mpsc::channel();
    doer.cast(Box::new(move |context| reply.send(f(context)).unwrap())).expect("it is there");
    answer.recv().expect("it answers")
}

/// A message that does nothing and never comes.
fn never(doer: &Addr<Doer>, token: DropToken) -> Delayed<Deed> {
    ask(doer, |context| context.send_after(NEVER, Box::new(|_| drop(token))))
}

#[test]
fn a_message_comes_when_it_is_due_and_not_before() {
    each_run(|| {
        let doer = actor::spawn(Doer);
        let (come, came) = mpsc::channel();
        for delay in [SOON * 4, SOON, Duration::ZERO] {
            let come = come.clone();
            ask(&doer, move |context| {
                let due = Instant::now() + delay;
                context.send_after(delay, Box::new(move |_| come.send(Instant::now() >= due).unwrap()));
            });
        }
        drop(come);
        assert_eq!(came.iter().collect::<Vec<_>>(), [true; 3]);
    });
}

#[test]
fn one_that_is_taken_back_never_comes() {
    each_run(|| {
        let drops = Drops::new();
        let doer = actor::spawn(Doer);
        let delayed = never(&doer, drops.token());
        assert!(delayed.is_pending());
        let message = delayed.cancel();
        assert_eq!((message.is_some(), drops.count()), (true, 0));
        drop(message);
        assert_eq!(drops.count(), 1);
        assert!(doer.join().is_normal());
    });
}

#[test]
fn one_that_has_come_cannot_be_taken_back() {
    each_run(|| {
        let doer = actor::spawn(Doer);
        let (come, came) = mpsc::channel();
        let delayed =
            ask(&doer, |context| context.send_after(SOON, Box::new(move |_| come.send(()).unwrap())));
        came.recv().unwrap();
        assert!(!delayed.is_pending());
        assert!(delayed.cancel().is_none());
    });
}

#[test]
fn what_is_still_to_come_ends_with_the_actor_which_it_does_not_keep_going() {
    each_run(|| {
        for end in [Addr::stop, Addr::kill, drop_it] {
            let drops = Drops::new();
            let doer = actor::spawn(Doer);
            let delayed = never(&doer, drops.token());
            ask(&doer, move |_| drop(delayed));
            let delayed = never(&doer, drops.token());
            end(&doer);
            assert!([Exit::Normal, Exit::Killed].contains(&doer.join()));
            wait_until(|| drops.count() == 2);
            assert!(!delayed.is_pending() && delayed.cancel().is_none());
        }
    });
}

fn drop_it(_: &Addr<Doer>) {}

#[test]
fn one_that_is_started_again_gets_nothing_that_was_for_the_one_before() {
    each_run(|| {
        let drops = Drops::new();
        let mut supervisor = Supervisor::new(Strategy::OneForOne);
        let doer = supervisor.child(Restart::Permanent, || Doer);
        let supervisor = actor::spawn(supervisor);
        let delayed = never(&doer, drops.token());
        doer.cast(Box::new(|_| panic!("{ON_PURPOSE}"))).ok().unwrap();
        // The next one, which has its own.
        let next = never(&doer, drops.token());
        wait_until(|| drops.count() == 1);
        assert!(!delayed.is_pending() && next.is_pending());
        assert!(supervisor.join().is_normal());
        wait_until(|| drops.count() == 2);
    });
}

#[test]
fn one_that_is_due_waits_for_room_and_is_not_lost() {
    each_run(|| {
        let doer = Builder::new().mailbox(1).spawn(Doer);
        let (come, came) = mpsc::channel();
        let (release, held) = oneshot::channel::<()>();
        let come_too = come.clone();
        let delayed = ask(&doer, move |context| {
            // Held in the next message, with another one in the mailbox.
            let addr = context.addr();
            addr.cast(Box::new(move |_| _ = held.recv())).ok().unwrap();
            let message: Deed = Box::new(move |_| come_too.send("later").unwrap());
            context.send_after(Duration::ZERO, message)
        });
        wait_until(|| doer.try_cast(Box::new(|_| ())).is_err());
        wait_until(|| !delayed.is_pending());
        assert!(delayed.cancel().is_none());
        release.send(()).unwrap();
        assert_eq!(came.recv(), Ok("later"));
        drop(come);
    });
}

#[test]
fn with_its_runtime_whatever_was_to_come_is_dropped_once() {
    each_config(|config| {
        let (runtime, drops) = (config.build(), Drops::new());
        let doer = runtime.run(|| {
            let doer = actor::spawn(Doer);
            for _ in 0..10 {
                drop(never(&doer, drops.token()));
            }
            doer
        });
        drop(runtime);
        assert_eq!(drops.count(), 10);
        assert_eq!(doer.wait(), Exit::Cancelled);
    });
}

#[test]
fn only_its_green_thread_has_to_wait_for_a_message_that_is_never_due() {
    each_run(|| {
        let doer = actor::spawn(Doer);
        let delayed = ask(&doer, |context| context.send_after(Duration::MAX, Box::new(|_| ())));
        thread::yield_now();
        assert!(delayed.is_pending());
        assert!(delayed.cancel().is_some());
    });
}

#[test]
fn stress_each_message_comes_or_is_taken_back() {
    quiet_panics();
    each_run(|| {
        let (come, all) = (Arc::new(AtomicUsize::new(0)), stress(200));
        let doer = actor::spawn(Doer);
        let mut taken = 0;
        for i in 0..all {
            let (come, delay) = (Arc::clone(&come), Duration::from_micros(i as u64 % 7 * 5));
            let message: Deed = Box::new(move |_| _ = come.fetch_add(1, SeqCst));
            let delayed = ask(&doer, move |context| context.send_after(delay, message));
            if i % 3 > 0 {
                thread::yield_now();
            }
            taken += usize::from(i % 2 == 0 && delayed.cancel().is_some());
        }
        wait_until(|| come.load(SeqCst) + taken == all);
        assert!(doer.join().is_normal());
        assert_eq!(come.load(SeqCst) + taken, all);
    });
}
