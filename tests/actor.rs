//! Actors: the order of messages, room in mailboxes, calls, and every way to end.

use std::{
    collections::{HashMap, HashSet},
    sync::mpsc,
    time::Duration,
};

use crate::common::{
    DropToken, Drops, ON_PURPOSE, each_config, each_mode, each_run, os_thread_id, stress, wait_until,
};
use sward::{
    actor::{self, Actor, Addr, Builder, CallError, CastError, Context, Exit, Reply, TryCastError, WeakAddr},
    runtime::Runtime,
    sync::{Arc, Mutex, Parker, Unparker, WaitGroup, oneshot},
    thread, time,
};

type Told = Box<dyn FnOnce(&Exit) + Send>;
type Task = Box<dyn FnOnce(&mut Context<Puppet>) + Send>;

/// Does as it is told, and tells how it ends.
#[derive(Default)]
struct Puppet {
    seen: Vec<(usize, usize)>,
    on_stopped: Option<Told>,
    _token: Option<DropToken>,
}

enum Message {
    See(usize, usize),
    Seen(Reply<Vec<(usize, usize)>>),
    /// To be dropped with the message.
    Carry(DropToken),
    Do(Task),
    Keep(Reply<()>),
}

impl Actor for Puppet {
    type Message = Message;

    fn handle(&mut self, message: Message, context: &mut Context<Self>) {
        match message {
            Message::See(sender, i) => self.seen.push((sender, i)),
            Message::Seen(reply) => reply.send(self.seen.clone()),
            Message::Carry(token) => drop(token),
            Message::Do(f) => f(context),
            Message::Keep(reply) => drop(reply),
        }
    }

    fn stopped(&mut self, exit: &Exit) {
        if let Some(f) = self.on_stopped.take() {
            f(exit);
        }
    }
}

/// One that leaves its exit, as it was told of it, behind.
fn observed(token: DropToken) -> (Puppet, Arc<Mutex<Vec<Exit>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&told);
    let on_stopped = Box::new(move |exit: &Exit| theirs.lock().unwrap().push(exit.clone()));
    (Puppet { on_stopped: Some(on_stopped), _token: Some(token), ..Puppet::default() }, told)
}

fn run(f: impl FnOnce(&mut Context<Puppet>) + Send + 'static) -> Message {
    Message::Do(Box::new(f))
}

/// Keeps the actor in the middle of a message until the sender sends.
fn hold(addr: &Addr<Puppet>) -> oneshot::Sender<()> {
    let (release, held) = oneshot::channel();
    let (there, begun) = oneshot::channel();
    let holds = move |_: &mut Context<Puppet>| {
        there.send(()).unwrap();
        _ = held.recv();
    };
    addr.cast(run(holds)).unwrap();
    begun.recv().unwrap();
    release
}

/// Lets the actor wait for ever in the middle of a message, and returns once it has begun to.
fn park(addr: &Addr<Puppet>) {
    let (there, begun) = oneshot::channel();
    let parks = move |_: &mut Context<Puppet>| {
        there.send(()).unwrap();
        loop {
            thread::park();
        }
    };
    addr.cast(run(parks)).unwrap();
    begun.recv().unwrap();
}

#[test]
fn messages_of_each_sender_are_handled_in_order_and_none_is_lost() {
    each_run(|| {
        let (senders, messages) = (8, stress(400));
        let addr = Builder::new().mailbox(16).spawn(Puppet::default());
        let green = (0..senders).map(|sender| {
            let addr = addr.clone();
            thread::spawn(move || {
                (0..messages).for_each(|i| addr.cast(Message::See(sender, i)).unwrap());
            })
        });
        let green: Vec<_> = green.collect();
        let theirs = addr.clone();
        let os = std::thread::spawn(move || {
            (0..messages).for_each(|i| theirs.cast(Message::See(senders, i)).unwrap());
        });
        green.into_iter().for_each(|sender| sender.join().unwrap());
        sward::unblock(|| os.join().unwrap());
        let seen = addr.call(Message::Seen).unwrap();
        assert_eq!(seen.len(), (senders + 1) * messages);
        let mut next = HashMap::new();
        for (sender, i) in seen {
            let expected = next.entry(sender).or_insert(0);
            assert_eq!(i, *expected, "of {sender}");
            *expected += 1;
        }
    });
}

#[test]
fn a_full_mailbox_makes_senders_wait() {
    each_run(|| {
        let addr = Builder::new().mailbox(2).spawn(Puppet::default());
        let release = hold(&addr);
        let sent = (0..10).take_while(|_| addr.try_cast(Message::See(0, 0)).is_ok()).count();
        assert_eq!(sent, 2);
        let timed_out = addr.cast_timeout(Message::See(0, 0), Duration::from_millis(1));
        assert!(matches!(timed_out, Err(TryCastError::Full(Message::See(0, 0)))));
        let theirs = addr.clone();
        let waiting = thread::spawn(move || theirs.cast(Message::See(1, 1)).is_ok());
        for _ in 0..100 {
            thread::yield_now();
            assert!(!waiting.is_finished());
        }
        release.send(()).unwrap();
        assert!(waiting.join().unwrap());
        assert!(addr.call(Message::Seen).unwrap().contains(&(1, 1)));
    });
}

#[test]
fn a_sender_that_is_cancelled_while_it_waits_for_room_leaves_the_room_to_others() {
    each_run(|| {
        let (addr, drops) = (Builder::new().mailbox(1).spawn(Puppet::default()), Drops::new());
        let release = hold(&addr);
        wait_until(|| addr.try_cast(Message::See(0, 0)).is_ok());
        let (theirs, token) = (addr.clone(), drops.token());
        let waiting = thread::spawn(move || theirs.cast(Message::Carry(token)).is_ok());
        thread::yield_now();
        waiting.cancel();
        assert!(waiting.join().is_err());
        assert_eq!(drops.count(), 1);
        release.send(()).unwrap();
        assert_eq!(addr.call(Message::Seen).unwrap(), [(0, 0)]);
        assert_eq!(addr.call(Message::Seen).unwrap(), [(0, 0)]);
    });
}

#[test]
fn calls_come_from_os_threads_too_and_end_in_time() {
    each_run(|| {
        let addr = actor::spawn(Puppet::default());
        addr.cast(Message::See(3, 4)).unwrap();
        let theirs = addr.clone();
        let seen = sward::unblock(move || theirs.call(Message::Seen));
        assert_eq!(seen.unwrap(), [(3, 4)]);
        assert_eq!(addr.call(Message::Keep), Err(CallError::NoReply));

        let release = hold(&addr);
        let timed_out = addr.call_timeout(Duration::from_millis(1), Message::Keep);
        assert_eq!(timed_out, Err(CallError::Timeout));
        release.send(()).unwrap();
        assert_eq!(addr.call_timeout(Duration::from_secs(60), Message::Seen).unwrap(), [(3, 4)]);
    });
}

#[test]
fn a_reply_may_come_later_and_is_not_wanted_after_a_timeout() {
    struct Later(Option<Reply<u8>>);
    impl Actor for Later {
        type Message = Option<Reply<u8>>;

        fn handle(&mut self, message: Self::Message, _: &mut Context<Self>) {
            match (message, self.0.take()) {
                (None, Some(kept)) if kept.is_wanted() => kept.send(7),
                (message, _) => self.0 = message,
            }
        }
    }
    each_run(|| {
        let addr = actor::spawn(Later(None));
        assert_eq!(addr.call_timeout(Duration::from_millis(1), Some), Err(CallError::Timeout));
        addr.cast(None).unwrap();
        let theirs = addr.clone();
        let waiting = thread::spawn(move || theirs.call(Some));
        while !waiting.is_finished() {
            addr.cast(None).unwrap();
            thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap(), Ok(7));
    });
}

#[test]
fn an_actor_that_is_stopped_handles_what_it_has_and_takes_nothing_more() {
    each_run(|| {
        let drops = Drops::new();
        let (puppet, told) = observed(drops.token());
        let addr = actor::spawn(puppet);
        let release = hold(&addr);
        let (sender, receiver) = mpsc::channel();
        addr.cast(run(move |_| sender.send("handled").unwrap())).unwrap();
        addr.stop();
        assert!(matches!(addr.cast(Message::See(5, 5)), Err(CastError(Message::See(5, 5)))));
        assert!(matches!(addr.try_cast(Message::See(5, 5)), Err(TryCastError::Stopped(_))));
        assert_eq!(addr.call(Message::Seen), Err(CallError::Stopped));
        assert_eq!((addr.exit(), drops.count()), (None, 0));
        release.send(()).unwrap();
        assert_eq!(addr.wait(), Exit::Normal);
        assert_eq!((receiver.try_recv(), drops.count()), (Ok("handled"), 1));
        assert_eq!((addr.exit(), addr.wait()), (Some(Exit::Normal), Exit::Normal));
        assert_eq!(*told.lock().unwrap(), [Exit::Normal]);
        addr.stop();
        addr.kill();
        assert!(addr.downgrade().upgrade().is_none());
        assert_eq!(addr.call(Message::Seen), Err(CallError::Stopped));
    });
}

#[test]
fn an_actor_that_is_killed_drops_its_messages_and_ends_in_the_middle_of_one() {
    each_run(|| {
        let drops = Drops::new();
        let (puppet, told) = observed(drops.token());
        let addr = Builder::new().mailbox(8).spawn(puppet);
        park(&addr);
        (0..8).for_each(|_| addr.cast(Message::Carry(drops.token())).unwrap());
        let theirs = addr.clone();
        let sender = thread::spawn(move || theirs.cast(Message::See(0, 0)).is_err());
        let theirs = addr.clone();
        let caller = thread::spawn(move || theirs.call(Message::Seen).is_err());
        addr.kill();
        assert_eq!(addr.wait(), Exit::Killed);
        assert_eq!(drops.count(), 9);
        assert_eq!(*told.lock().unwrap(), [Exit::Killed]);
        // They may have got room when the messages were dropped.
        let _ = sender.join().unwrap();
        assert!(caller.join().unwrap());
    });
}

#[test]
fn an_actor_whose_last_address_is_dropped_stops_after_its_messages() {
    each_run(|| {
        let addr = actor::spawn(Puppet::default());
        let (sender, receiver) = mpsc::channel();
        let weak = addr.downgrade();
        let release = hold(&addr);
        addr.cast(run(move |_| sender.send(1).unwrap())).unwrap();
        drop(weak.upgrade().unwrap());
        let joined = thread::spawn(move || addr.join());
        wait_until(|| weak.upgrade().is_none());
        release.send(()).unwrap();
        assert_eq!(joined.join().unwrap(), Exit::Normal);
        assert_eq!(receiver.try_recv(), Ok(1));
    });
}

#[test]
fn an_idle_actor_ends_with_its_last_address() {
    each_run(|| {
        let drops = Drops::new();
        let (puppet, told) = observed(drops.token());
        let addr = actor::spawn(puppet);
        addr.call(Message::Seen).unwrap();
        drop(addr);
        wait_until(|| drops.count() == 1);
        assert_eq!(*told.lock().unwrap(), [Exit::Normal]);
    });
}

#[test]
fn an_actor_that_has_given_out_its_address_lives_on() {
    each_run(|| {
        let addr = actor::spawn(Puppet::default());
        let (sender, receiver) = oneshot::channel();
        let release = hold(&addr);
        addr.cast(run(move |context| _ = sender.send(context.addr()))).unwrap();
        drop(addr);
        release.send(()).unwrap();
        let addr = receiver.recv().unwrap();
        assert_eq!(addr.call(Message::Seen).unwrap(), []);
        addr.cast(run(Context::stop)).unwrap();
        assert_eq!(addr.wait(), Exit::Normal);
    });
}

#[test]
fn a_panic_ends_its_actor_and_nobody_else() {
    each_run(|| {
        let drops = Drops::new();
        let (puppet, told) = observed(drops.token());
        let (addr, other) = (actor::spawn(puppet), actor::spawn(Puppet::default()));
        let release = hold(&addr);
        addr.cast(run(|_| panic!("{ON_PURPOSE}"))).unwrap();
        addr.cast(Message::Carry(drops.token())).unwrap();
        release.send(()).unwrap();
        let panicked = Exit::Panicked(ON_PURPOSE.into());
        assert_eq!(addr.wait(), panicked);
        assert_eq!((drops.count(), told.lock().unwrap().as_slice()), (2, &[panicked][..]));
        assert!(other.call(Message::Seen).is_ok());

        other.cast(run(|context| context.fail(ON_PURPOSE))).unwrap();
        assert_eq!(other.wait(), Exit::Failed(ON_PURPOSE.into()));
        assert!(addr != other && addr == addr.clone());
    });
}

#[test]
fn a_panic_as_an_actor_starts_or_stops_is_how_it_ends() {
    struct Bad {
        at_start: bool,
        in_drop: bool,
    }
    impl Actor for Bad {
        type Message = ();

        fn started(&mut self, _: &mut Context<Self>) {
            assert!(!self.at_start, "{ON_PURPOSE}");
        }

        fn handle(&mut self, (): (), _: &mut Context<Self>) {}

        fn stopped(&mut self, _: &Exit) {
            assert!(self.in_drop || self.at_start, "{ON_PURPOSE}");
        }
    }
    impl Drop for Bad {
        fn drop(&mut self) {
            assert!(!self.in_drop, "{ON_PURPOSE}");
        }
    }
    each_run(|| {
        for (at_start, in_drop) in [(true, false), (false, true), (false, false)] {
            assert_eq!(actor::spawn(Bad { at_start, in_drop }).join(), Exit::Panicked(ON_PURPOSE.into()));
        }
    });
}

#[test]
fn an_actor_that_would_wait_for_itself_panics() {
    each_run(|| {
        let addr = Builder::new().mailbox(1).spawn(Puppet::default());
        let calls = |context: &mut Context<Puppet>| drop(context.addr().call(Message::Seen));
        addr.cast(run(calls)).unwrap();
        assert_eq!(addr.wait(), Exit::Panicked("an actor cannot call itself".into()));

        let addr = actor::spawn(Puppet::default());
        addr.cast(run(|context| drop(context.addr().wait()))).unwrap();
        assert_eq!(addr.wait(), Exit::Panicked("an actor cannot wait for its own end".into()));

        let addr = Builder::new().mailbox(1).spawn(Puppet::default());
        let casts = |context: &mut Context<Puppet>| {
            let me = context.addr();
            wait_until(|| me.try_cast(Message::See(0, 0)).is_err());
            drop(me.cast(Message::See(0, 0)));
        };
        addr.cast(run(casts)).unwrap();
        let expected = "an actor cannot wait for room in its own mailbox";
        assert_eq!(addr.wait(), Exit::Panicked(expected.into()));
    });
}

#[test]
fn linked_actors_end_together_unless_one_ends_normally() {
    fn link(one: &Addr<Puppet>, other: &Addr<Puppet>) {
        let other = other.clone();
        one.cast(run(move |context| context.link(&other))).unwrap();
        one.call(Message::Seen).unwrap();
    }
    each_run(|| {
        let chain: Vec<_> = (0..20).map(|_| actor::spawn(Puppet::default())).collect();
        chain.windows(2).for_each(|pair| link(&pair[0], &pair[1]));
        // One that waits, and one that is idle, are both ended.
        park(&chain[3]);
        chain[10].cast(run(|_| panic!("{ON_PURPOSE}"))).unwrap();
        let cause = Exit::Panicked(ON_PURPOSE.into());
        for (i, addr) in chain.iter().enumerate() {
            let expected = if i == 10 { cause.clone() } else { Exit::Linked(cause.clone().into()) };
            assert_eq!(addr.wait(), expected);
        }

        let [one, other, third] = [(); 3].map(|()| actor::spawn(Puppet::default()));
        link(&one, &other);
        other.stop();
        assert_eq!(other.wait(), Exit::Normal);
        link(&one, &other);
        link(&one, &third);
        third.kill();
        assert_eq!(one.wait(), Exit::Linked(Exit::Killed.into()));

        let last = actor::spawn(Puppet::default());
        let late = third.clone();
        last.cast(run(move |context| context.link(&late))).unwrap();
        assert_eq!(last.wait(), Exit::Linked(Exit::Killed.into()));
    });
}

#[test]
fn children_are_linked() {
    each_run(|| {
        let parent = actor::spawn(Puppet::default());
        let (sender, receiver) = oneshot::channel();
        parent.cast(run(move |context| _ = sender.send(context.spawn(Puppet::default())))).unwrap();
        let child = receiver.recv().unwrap();
        child.kill();
        assert_eq!(parent.wait(), Exit::Linked(Exit::Killed.into()));
    });
}

#[test]
fn a_monitor_is_told_once_also_if_its_mailbox_is_full() {
    struct Monitor(Vec<Exit>);
    enum Ask {
        Watch(Addr<Puppet>),
        Ended(Exit),
        Hold(oneshot::Receiver<()>),
        Told(Reply<Vec<Exit>>),
    }
    impl Actor for Monitor {
        type Message = Ask;

        fn handle(&mut self, message: Ask, context: &mut Context<Self>) {
            match message {
                Ask::Watch(addr) => context.monitor(&addr, Ask::Ended),
                Ask::Ended(exit) => self.0.push(exit),
                Ask::Hold(held) => _ = held.recv(),
                Ask::Told(reply) => reply.send(self.0.clone()),
            }
        }
    }
    each_run(|| {
        let monitor = Builder::new().mailbox(1).spawn(Monitor(Vec::new()));
        let watched = [(); 3].map(|()| actor::spawn(Puppet::default()));
        watched.iter().for_each(|addr| monitor.cast(Ask::Watch(addr.clone())).unwrap());
        assert_eq!(monitor.call(Ask::Told).unwrap(), []);

        let (release, held) = oneshot::channel();
        monitor.cast(Ask::Hold(held)).unwrap();
        wait_until(|| monitor.try_cast(Ask::Ended(Exit::Failed(ON_PURPOSE.into()))).is_ok());
        watched[0].stop();
        watched[1].kill();
        watched[2].cast(run(|_| panic!("{ON_PURPOSE}"))).unwrap();
        watched.iter().for_each(|addr| _ = addr.wait());
        release.send(()).unwrap();
        // The watchers of the last one may be told after its end.
        wait_until(|| monitor.call(Ask::Told).unwrap().len() == 4);
        let told = monitor.call(Ask::Told).unwrap();
        for exit in [Exit::Normal, Exit::Killed, Exit::Panicked(ON_PURPOSE.into())] {
            assert_eq!(told.iter().filter(|each| **each == exit).count(), 1);
        }

        monitor.cast(Ask::Watch(watched[1].clone())).unwrap();
        assert_eq!(monitor.call(Ask::Told).unwrap().last(), Some(&Exit::Killed));
    });
}

#[test]
fn actors_that_only_monitor_are_forgotten_by_the_one_that_stays() {
    each_run(|| {
        let (stays, drops) = (actor::spawn(Puppet::default()), Drops::new());
        for _ in 0..1_000 {
            let (brief, theirs, token) = (actor::spawn(Puppet::default()), stays.clone(), drops.token());
            let watch = move |context: &mut Context<Puppet>| {
                context.monitor(&theirs, move |_| Message::Carry(token));
            };
            brief.cast(run(watch)).unwrap();
            brief.join();
        }
        assert!(drops.count() > 900, "{}", drops.count());
    });
}

#[test]
fn an_idle_actor_has_no_green_thread() {
    each_config(|config| {
        let runtime = config.build();
        let addrs: Vec<_> =
            (0..100).map(|_| Builder::new().runtime(&runtime.handle()).spawn(Puppet::default())).collect();
        addrs.iter().for_each(|addr| drop(addr.call(Message::Seen).unwrap()));
        wait_until(|| runtime.handle().live() == 0);
        addrs.iter().for_each(|addr| drop(addr.call(Message::Seen).unwrap()));
    });
}

#[test]
fn an_actor_moves_between_workers() {
    each_mode(2, |config| {
        config.build().run(|| {
            let (addr, mut workers) = (actor::spawn(Puppet::default()), HashSet::new());
            while workers.len() < 2 {
                let (sender, receiver) = oneshot::channel();
                addr.cast(run(move |_| _ = sender.send(os_thread_id()))).unwrap();
                // The worker is kept, so that another one takes what was spawned.
                let mut receiver = receiver;
                let mut id = receiver.try_recv();
                for _ in 0..1_000_000 {
                    if id.is_ok() {
                        break;
                    }
                    std::hint::spin_loop();
                    id = receiver.try_recv();
                }
                workers.insert(id.unwrap_or_else(|_| receiver.recv().unwrap()));
                thread::yield_now();
            }
        });
    });
}

#[test]
fn with_its_runtime_a_busy_actor_ends_and_everything_is_dropped_once() {
    each_config(|config| {
        let (runtime, drops) = (config.build(), Drops::new());
        let (puppet, told) = observed(drops.token());
        let addr = Builder::new().runtime(&runtime.handle()).spawn(puppet);
        let theirs = addr.clone();
        runtime.run(move || park(&theirs));
        (0..5).for_each(|_| addr.cast(Message::Carry(drops.token())).unwrap());
        let theirs = addr.clone();
        let caller = std::thread::spawn(move || theirs.call(Message::Seen));
        let theirs = addr.clone();
        let waiting = std::thread::spawn(move || theirs.wait());
        drop(runtime);
        assert_eq!(waiting.join().unwrap(), Exit::Cancelled);
        assert_eq!(caller.join().unwrap(), Err(CallError::Stopped));
        assert_eq!((addr.exit(), drops.count()), (Some(Exit::Cancelled), 6));
        assert_eq!(*told.lock().unwrap(), []);
    });
}

/// Idle actors, one for each thing that can be done to them.
fn idle(runtime: &Runtime, drops: &Drops) -> [Addr<Puppet>; 4] {
    let addrs = [(); 4].map(|()| {
        let puppet = Puppet { _token: Some(drops.token()), ..Puppet::default() };
        Builder::new().runtime(&runtime.handle()).spawn(puppet)
    });
    addrs.iter().for_each(|addr| drop(addr.call(Message::Seen).unwrap()));
    wait_until(|| runtime.handle().live() == 0);
    addrs
}

#[test]
fn after_its_runtime_an_idle_actor_ends_as_soon_as_anybody_looks() {
    each_config(|config| {
        let (runtime, drops) = (config.build(), Drops::new());
        let [waited, cast, called, forgotten] = idle(&runtime, &drops);
        drop(runtime);
        assert_eq!((waited.wait(), drops.count()), (Exit::Cancelled, 1));
        let _ = cast.cast(Message::Carry(drops.token()));
        assert_eq!((cast.exit(), drops.count()), (Some(Exit::Cancelled), 3));
        assert_eq!(called.call(Message::Seen), Err(CallError::Stopped));
        drop(forgotten);
        assert_eq!(drops.count(), 5);
    });
}

#[test]
fn on_a_runtime_that_has_ended_an_actor_ends_at_once() {
    each_config(|config| {
        let drops = Drops::new();
        let handle = config.build().handle();
        let (puppet, told) = observed(drops.token());
        let addr = Builder::new().runtime(&handle).spawn(puppet);
        assert_eq!((addr.exit(), drops.count()), (Some(Exit::Cancelled), 1));
        assert_eq!(*told.lock().unwrap(), []);
    });
}

#[test]
fn a_wait_for_the_end_can_be_cancelled_and_leaves_nobody_behind() {
    each_config(|config| {
        let runtime = config.build();
        let addr = Builder::new().runtime(&runtime.handle()).spawn(Puppet::default());
        let theirs = addr.clone();
        runtime.run(move || {
            assert!(time::timeout(Duration::from_millis(1), || theirs.wait()).is_err());
        });
        wait_until(|| runtime.handle().live() == 0);
        addr.stop();
        assert_eq!(addr.wait(), Exit::Normal);
    });
}

/// Passes a number on to a neighbour, until it is zero.
struct Ring {
    next: Option<WeakAddr<Self>>,
    done: Unparker,
}

enum Pass {
    Next(WeakAddr<Ring>),
    Count(usize),
}

impl Actor for Ring {
    type Message = Pass;

    fn handle(&mut self, message: Pass, _: &mut Context<Self>) {
        match message {
            Pass::Next(next) => self.next = Some(next),
            Pass::Count(0) => self.done.unpark(),
            Pass::Count(n) => {
                let next = self.next.as_ref().and_then(WeakAddr::upgrade).expect("the test has its address");
                next.cast(Pass::Count(n - 1)).unwrap();
            }
        }
    }
}

#[test]
fn stress_messages_go_round_a_ring() {
    each_run(|| {
        let parker = Parker::new();
        let ring: Vec<_> =
            (0..50).map(|_| actor::spawn(Ring { next: None, done: parker.unparker().clone() })).collect();
        for (i, addr) in ring.iter().enumerate() {
            addr.cast(Pass::Next(ring[(i + 1) % ring.len()].downgrade())).unwrap();
        }
        for _ in 0..3 {
            ring[7].cast(Pass::Count(stress(2_000))).unwrap();
            parker.park();
        }
    });
}

#[test]
fn stress_actors_that_end_while_others_send_drop_each_message_once() {
    each_run(|| {
        for round in 0..stress(30) {
            let drops = Drops::new();
            let addr =
                Builder::new().mailbox(4).spawn(Puppet { _token: Some(drops.token()), ..Puppet::default() });
            let (senders, all) = (WaitGroup::new(), 6 * 40 + 1);
            for _ in 0..6 {
                let (addr, drops, senders) = (addr.clone(), drops.clone(), senders.clone());
                thread::spawn(move || {
                    for _ in 0..40 {
                        let _ = addr.cast(Message::Carry(drops.token()));
                    }
                    drop((addr, senders));
                });
            }
            for _ in 0..round % 7 {
                thread::yield_now();
            }
            match round % 4 {
                0 => addr.kill(),
                1 => addr.stop(),
                2 => _ = addr.cast(run(|_| panic!("{ON_PURPOSE}"))),
                _ => {}
            }
            senders.wait();
            addr.join();
            assert_eq!(drops.count(), all);
        }
    });
}

#[test]
fn messages_that_panic_as_they_are_dropped_are_dropped_each_by_itself() {
    struct Bad(#[expect(dead_code, reason = "counts")] DropToken);
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("{ON_PURPOSE}");
        }
    }
    struct Held;
    impl Actor for Held {
        type Message = Result<oneshot::Receiver<()>, Bad>;

        fn handle(&mut self, message: Self::Message, _: &mut Context<Self>) {
            _ = message.unwrap_or_else(|_| unreachable!("it ends before that")).recv();
            panic!("{ON_PURPOSE}");
        }
    }
    each_run(|| {
        for killed in [true, false] {
            let (drops, (release, held)) = (Drops::new(), oneshot::channel());
            let addr = actor::spawn(Held);
            addr.cast(Ok(held)).unwrap_or_else(|_| unreachable!("it lives"));
            (0..3).for_each(|_| assert!(addr.cast(Err(Bad(drops.token()))).is_ok()));
            if killed {
                addr.kill();
            } else {
                release.send(()).unwrap();
            }
            assert_ne!(addr.wait(), Exit::Normal);
            assert_eq!(drops.count(), 3);
        }
    });
}

#[test]
fn an_idle_actor_whose_runtime_has_ended_gives_a_message_back() {
    each_config(|config| {
        let (runtime, drops) = (config.build(), Drops::new());
        let builder = Builder::new().mailbox(usize::MAX).runtime(&runtime.handle());
        let addr = builder.spawn(observed(drops.token()).0);
        addr.call(Message::Seen).unwrap();
        wait_until(|| runtime.handle().live() == 0);
        drop(runtime);
        assert!(matches!(addr.cast(Message::See(1, 2)), Err(CastError(Message::See(1, 2)))));
        assert_eq!((addr.exit(), drops.count()), (Some(Exit::Cancelled), 1));
    });
}
