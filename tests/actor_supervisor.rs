//! Supervisors: which children are started again, in what order, how often; what is kept; trees.

use std::{mem, time::Duration};

use crate::common::{DropToken, Drops, ON_PURPOSE, each_config, each_run, stress, wait_until};
use sward::{
    actor::{self, Actor, Addr, Builder, CallError, Context, Exit, Reply, Restart, Strategy, Supervisor},
    cancel,
    sync::{Arc, Mutex, oneshot},
    thread,
};

/// What has happened, in order: `+a`, `-a`.
type Log = Arc<Mutex<Vec<String>>>;

fn take(log: &Log) -> String {
    mem::take(&mut *log.lock().unwrap()).join(" ")
}

/// Counts, and logs its beginning and its end.
struct Child {
    name: &'static str,
    log: Log,
    count: usize,
}

enum Message {
    Count(Reply<usize>),
    Add,
    Carry(DropToken),
    Hold(oneshot::Receiver<()>),
    Park(oneshot::Sender<()>),
    Panic,
    Stop,
}

impl Child {
    fn note(&self, what: char) {
        // Also if it is ended while it waits for the lock.
        cancel::shield(|| self.log.lock().unwrap().push(format!("{what}{}", self.name)));
    }
}

impl Actor for Child {
    type Message = Message;

    fn started(&mut self, _: &mut Context<Self>) {
        self.note('+');
    }

    fn handle(&mut self, message: Message, context: &mut Context<Self>) {
        match message {
            Message::Count(reply) => reply.send(self.count),
            Message::Add => self.count += 1,
            Message::Carry(token) => drop(token),
            Message::Hold(held) => _ = held.recv(),
            Message::Park(there) => {
                there.send(()).unwrap();
                loop {
                    thread::park();
                }
            }
            Message::Panic => panic!("{ON_PURPOSE}"),
            Message::Stop => context.stop(),
        }
    }

    fn stopped(&mut self, _: &Exit) {
        self.note('-');
    }
}

fn child(supervisor: &mut Supervisor, log: &Log, name: &'static str, restart: Restart) -> Addr<Child> {
    let log = Arc::clone(log);
    supervisor.child(restart, move || Child { name, log: Arc::clone(&log), count: 0 })
}

/// A supervisor with four permanent children, which have started.
fn family(supervisor: Supervisor, log: &Log) -> (Addr<Supervisor>, [Addr<Child>; 4]) {
    let mut supervisor = supervisor;
    let children = ["a", "b", "c", "d"].map(|name| child(&mut supervisor, log, name, Restart::Permanent));
    let supervisor = actor::spawn(supervisor);
    for child in &children {
        child.cast(Message::Add).unwrap();
        assert_eq!(child.call(Message::Count), Ok(1));
    }
    let mut started: Vec<_> = mem::take(&mut *log.lock().unwrap());
    started.sort();
    assert_eq!(started, ["+a", "+b", "+c", "+d"]);
    (supervisor, children)
}

fn counts(children: &[Addr<Child>]) -> Vec<usize> {
    children.iter().map(|child| child.call(Message::Count).unwrap()).collect()
}

#[test]
fn each_strategy_starts_those_again_that_it_should() {
    each_run(|| {
        let expected = [
            (Strategy::OneForOne, [1, 0, 1, 1]),
            (Strategy::OneForAll, [0, 0, 0, 0]),
            (Strategy::RestForOne, [1, 0, 0, 0]),
        ];
        for (strategy, left) in expected {
            let log = Log::default();
            let (supervisor, children) = family(Supervisor::new(strategy), &log);
            children[1].cast(Message::Panic).unwrap();
            wait_until(|| counts(&children) == left);
            let all = take(&log);
            let (mut ended, mut begun): (Vec<_>, Vec<_>) =
                all.split(' ').map(str::to_owned).partition(|each| each.starts_with('-'));
            ended.sort();
            begun.sort();
            let fresh = ["a", "b", "c", "d"].into_iter().zip(left).filter(|(_, count)| *count == 0);
            let names: Vec<_> = fresh.map(|(name, _)| name).collect();
            assert_eq!(ended, names.iter().map(|name| format!("-{name}")).collect::<Vec<_>>());
            assert_eq!(begun, names.iter().map(|name| format!("+{name}")).collect::<Vec<_>>());
            assert_eq!(supervisor.exit(), None);
            supervisor.join();
            assert_eq!(take(&log), "-d -c -b -a");
        }
    });
}

#[test]
fn nobody_is_started_again_before_all_that_are_to_be_have_ended() {
    each_run(|| {
        let log = Log::default();
        let (_supervisor, children) = family(Supervisor::new(Strategy::OneForAll), &log);
        // One of them waits in the middle of a message.
        let (there, begun) = oneshot::channel();
        children[3].cast(Message::Park(there)).unwrap();
        begun.recv().unwrap();
        children[0].cast(Message::Panic).unwrap();
        wait_until(|| counts(&children) == [0; 4]);
        let all = take(&log);
        let (last_end, first_start) = (all.rfind('-').unwrap(), all.find('+').unwrap());
        assert!(last_end < first_start, "{all}");
    });
}

#[test]
fn a_child_that_is_started_again_keeps_its_address_and_its_messages_but_that_which_broke_it() {
    each_run(|| {
        let log = Log::default();
        let (_supervisor, [addr, sibling, ..]) = family(Supervisor::new(Strategy::OneForAll), &log);
        let hold = |addr: &Addr<Child>| {
            let (release, held) = oneshot::channel();
            addr.cast(Message::Hold(held)).unwrap();
            release
        };
        let release = hold(&addr);
        addr.cast(Message::Panic).unwrap();
        (0..5).for_each(|_| addr.cast(Message::Add).unwrap());
        let theirs = addr.clone();
        let waiting = thread::spawn(move || theirs.call(Message::Count));
        let (there, begun) = oneshot::channel();
        sibling.cast(Message::Park(there)).unwrap();
        begun.recv().unwrap();
        (0..3).for_each(|_| sibling.cast(Message::Add).unwrap());
        release.send(()).unwrap();
        // It was made afresh, and has handled what waited.
        assert_eq!(waiting.join().unwrap(), Ok(5));
        assert_eq!(sibling.call(Message::Count), Ok(3));
        assert_eq!(addr.exit(), None);
    });
}

#[test]
fn messages_that_are_sent_before_the_supervisor_starts_wait_for_it() {
    each_run(|| {
        let (log, drops) = (Log::default(), Drops::new());
        let mut supervisor = Supervisor::new(Strategy::OneForOne);
        let addr = child(&mut supervisor, &log, "a", Restart::Permanent);
        addr.cast(Message::Add).unwrap();
        let supervisor = actor::spawn(supervisor);
        assert_eq!(addr.call(Message::Count), Ok(1));
        supervisor.join();
        assert_eq!((addr.wait(), addr.call(Message::Count)), (Exit::Normal, Err(CallError::Stopped)));

        let mut never = Supervisor::new(Strategy::OneForOne);
        let addr = child(&mut never, &log, "b", Restart::Permanent);
        addr.cast(Message::Carry(drops.token())).unwrap();
        drop(never);
        assert_eq!((addr.wait(), drops.count()), (Exit::Cancelled, 1));
    });
}

#[test]
fn a_child_is_started_again_when_its_kind_says_so() {
    each_run(|| {
        let log = Log::default();
        let mut supervisor = Supervisor::new(Strategy::OneForOne).intensity(100, Duration::from_secs(60));
        let kinds = [Restart::Permanent, Restart::Transient, Restart::Temporary];
        let [permanent, transient, temporary] = kinds.map(|kind| child(&mut supervisor, &log, "a", kind));
        let other = child(&mut supervisor, &log, "b", Restart::Temporary);
        let supervisor = actor::spawn(supervisor);
        let comes_back = |addr: &Addr<Child>, end: &dyn Fn()| {
            wait_until(|| addr.call(Message::Count).is_ok());
            addr.cast(Message::Add).unwrap();
            assert_eq!(addr.call(Message::Count), Ok(1));
            end();
            wait_until(|| addr.call(Message::Count) == Ok(0));
        };
        let by_itself = |addr: &Addr<Child>| addr.cast(Message::Stop).unwrap();
        comes_back(&permanent, &|| by_itself(&permanent));
        comes_back(&permanent, &|| permanent.stop());
        comes_back(&permanent, &|| permanent.kill());
        comes_back(&transient, &|| transient.kill());
        by_itself(&transient);
        assert_eq!(transient.wait(), Exit::Normal);
        temporary.cast(Message::Panic).unwrap();
        assert_eq!(temporary.wait(), Exit::Panicked(ON_PURPOSE.into()));
        by_itself(&other);
        assert_eq!(other.wait(), Exit::Normal);
        assert_eq!(permanent.call(Message::Count), Ok(0));
        assert!(supervisor.join().is_normal());
        assert_eq!(permanent.wait(), Exit::Normal);
    });
}

#[test]
fn a_temporary_sibling_ends_for_good() {
    each_run(|| {
        let log = Log::default();
        let mut supervisor = Supervisor::new(Strategy::OneForAll);
        let addr = child(&mut supervisor, &log, "a", Restart::Permanent);
        let sibling = child(&mut supervisor, &log, "b", Restart::Temporary);
        let _supervisor = actor::spawn(supervisor);
        assert_eq!(sibling.call(Message::Count), Ok(0));
        addr.cast(Message::Panic).unwrap();
        assert_eq!(sibling.wait(), Exit::Linked(Exit::Panicked(ON_PURPOSE.into()).into()));
        assert_eq!(addr.call(Message::Count), Ok(0));
    });
}

#[test]
fn too_many_restarts_end_the_supervisor_and_its_children_last_one_first() {
    each_run(|| {
        let log = Log::default();
        let (supervisor, children) =
            family(Supervisor::new(Strategy::OneForOne).intensity(2, Duration::from_secs(600)), &log);
        for _ in 0..2 {
            children[0].cast(Message::Panic).unwrap();
            wait_until(|| children[0].call(Message::Count) == Ok(0));
        }
        take(&log);
        children[2].cast(Message::Panic).unwrap();
        let Exit::Failed(reason) = supervisor.wait() else { unreachable!("it fails") };
        assert!(reason.contains(ON_PURPOSE), "{reason}");
        assert_eq!(take(&log), "-c -d -b -a");
        assert_eq!(children[0].wait(), Exit::Normal);
        assert_eq!(children[2].wait(), Exit::Panicked(ON_PURPOSE.into()));
        assert_eq!(children[2].call(Message::Count), Err(CallError::Stopped));
    });
}

#[test]
fn restarts_that_are_long_past_do_not_count() {
    each_run(|| {
        let log = Log::default();
        let (supervisor, children) =
            family(Supervisor::new(Strategy::OneForOne).intensity(1, Duration::ZERO), &log);
        for _ in 0..5 {
            children[0].cast(Message::Panic).unwrap();
            wait_until(|| children[0].call(Message::Count) == Ok(0));
        }
        assert_eq!(supervisor.exit(), None);
    });
}

#[test]
fn a_child_that_does_not_stop_in_time_is_killed() {
    each_run(|| {
        let log = Log::default();
        let supervisor = Supervisor::new(Strategy::OneForOne).grace(Duration::from_millis(1));
        let (supervisor, children) = family(supervisor, &log);
        let (there, begun) = oneshot::channel();
        children[1].cast(Message::Park(there)).unwrap();
        begun.recv().unwrap();
        assert!(supervisor.join().is_normal());
        assert_eq!(children[1].wait(), Exit::Killed);
        assert!(children[0].exit().is_some() && children[3].exit().is_some());
    });
}

#[test]
fn a_supervisor_that_is_killed_takes_its_children_along() {
    each_run(|| {
        let log = Log::default();
        let (supervisor, children) = family(Supervisor::new(Strategy::OneForOne), &log);
        supervisor.kill();
        assert_eq!(supervisor.wait(), Exit::Killed);
        assert!(children.iter().all(|child| child.exit() == Some(Exit::Normal)));
        assert_eq!(take(&log), "-d -c -b -a");
    });
}

#[test]
fn a_factory_that_panics_fails_its_supervisor() {
    each_run(|| {
        let log = Log::default();
        let mut supervisor = Supervisor::new(Strategy::OneForOne);
        let good = child(&mut supervisor, &log, "a", Restart::Permanent);
        let bad = supervisor.child::<Child, _>(Restart::Permanent, || panic!("{ON_PURPOSE}"));
        let supervisor = actor::spawn(supervisor);
        assert_eq!(supervisor.wait(), Exit::Panicked(ON_PURPOSE.into()));
        assert_eq!((good.wait(), bad.wait()), (Exit::Normal, Exit::Cancelled));
    });
}

#[test]
fn a_supervisor_that_gives_up_is_started_again_by_its_own() {
    each_run(|| {
        let (log, slot) = (Log::default(), Arc::new(Mutex::new(None)));
        let mut outer = Supervisor::new(Strategy::OneForOne);
        let (theirs, addr_of) = (Arc::clone(&log), Arc::clone(&slot));
        let inner = outer.child(Restart::Permanent, move || {
            let mut inner = Supervisor::new(Strategy::OneForOne).intensity(0, Duration::from_secs(60));
            *addr_of.lock().unwrap() = Some(child(&mut inner, &theirs, "a", Restart::Permanent));
            child(&mut inner, &theirs, "b", Restart::Permanent);
            inner
        });
        let outer = actor::spawn(outer);
        wait_until(|| slot.lock().unwrap().is_some());
        let first = slot.lock().unwrap().clone().unwrap();
        first.cast(Message::Panic).unwrap();
        assert_eq!(first.wait(), Exit::Panicked(ON_PURPOSE.into()));
        wait_until(|| slot.lock().unwrap().as_ref() != Some(&first));
        let second = slot.lock().unwrap().clone().unwrap();
        assert_eq!(second.call(Message::Count), Ok(0));
        assert_eq!((inner.exit(), outer.exit()), (None, None));
        // It starts its children in order, so the other one has started when its own is told to stop.
        assert!(outer.join().is_normal());
        assert_eq!((inner.wait(), second.wait()), (Exit::Normal, Exit::Normal));
        assert!(take(&log).ends_with("-b -a"));
    });
}

#[test]
fn with_its_runtime_a_family_ends_and_everything_is_dropped_once() {
    each_config(|config| {
        for busy in [false, true] {
            let (runtime, log, drops) = (config.build(), Log::default(), Drops::new());
            let (supervisor, children) = runtime.run(|| family(Supervisor::new(Strategy::OneForAll), &log));
            if busy {
                let (there, begun) = oneshot::channel();
                children[1].cast(Message::Park(there)).unwrap();
                begun.recv().unwrap();
                (0..10).for_each(|_| children[1].cast(Message::Carry(drops.token())).unwrap());
            } else {
                wait_until(|| runtime.handle().live() == 0);
            }
            drop(runtime);
            assert_eq!(supervisor.wait(), Exit::Cancelled);
            assert!(children.iter().all(|child| child.wait() != Exit::Normal));
            assert_eq!(drops.count(), if busy { 10 } else { 0 });
        }
    });
}

#[test]
fn stress_children_that_break_all_the_time() {
    each_run(|| {
        for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
            let (log, drops) = (Log::default(), Drops::new());
            let mut supervisor = Supervisor::new(strategy).intensity(usize::MAX, Duration::from_secs(600));
            let children: Vec<_> = (0..6)
                .map(|_| {
                    let log = Arc::clone(&log);
                    let factory = move || Child { name: "x", log: Arc::clone(&log), count: 0 };
                    supervisor.child_with(Builder::new().mailbox(8), Restart::Permanent, factory)
                })
                .collect();
            let supervisor = actor::spawn(supervisor);
            let rounds = stress(60);
            let senders: Vec<_> = (0..4)
                .map(|sender| {
                    let (children, drops) = (children.clone(), drops.clone());
                    thread::spawn(move || {
                        for i in 0..rounds {
                            let child = &children[(sender + i) % children.len()];
                            child.cast(Message::Carry(drops.token())).unwrap();
                            if i % 8 == sender {
                                child.cast(Message::Panic).unwrap();
                            }
                        }
                    })
                })
                .collect();
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            // Nobody is left behind: each of them answers again.
            children.iter().for_each(|child| wait_until(|| child.call(Message::Count).is_ok()));
            assert!(supervisor.join().is_normal());
            assert_eq!(drops.count(), 4 * rounds);
            let log = take(&log);
            assert_eq!(log.matches('+').count(), log.matches('-').count());
        }
    });
}

#[test]
fn a_child_whose_runtime_ends_is_gone_and_the_others_go_on() {
    each_config(|config| {
        for (strategy, busy) in [(Strategy::OneForAll, false), (Strategy::RestForOne, true)] {
            let (runtime, other, log) = (config.build(), config.build(), Log::default());
            let (supervisor, here, there) = runtime.run(|| {
                let mut supervisor = Supervisor::new(strategy);
                let here = child(&mut supervisor, &log, "here", Restart::Permanent);
                let theirs = Arc::clone(&log);
                let factory = move || Child { name: "there", log: Arc::clone(&theirs), count: 0 };
                let builder = Builder::new().runtime(&other.handle());
                let there = supervisor.child_with(builder, Restart::Permanent, factory);
                (actor::spawn(supervisor), here, there)
            });
            assert_eq!(there.call(Message::Count), Ok(0));
            here.cast(Message::Add).unwrap();
            if busy {
                let (there_, begun) = oneshot::channel();
                there.cast(Message::Park(there_)).unwrap();
                begun.recv().unwrap();
            } else {
                wait_until(|| other.handle().live() == 0);
            }
            drop(other);
            assert_eq!(here.call(Message::Count), Ok(1));
            for _ in 0..2 {
                here.cast(Message::Add).unwrap();
                here.cast(Message::Panic).unwrap();
                assert_eq!(here.call(Message::Count), Ok(0));
            }
            assert_eq!(there.wait(), Exit::Cancelled);
            assert!(supervisor.join().is_normal());
        }
    });
}

#[test]
fn a_child_that_breaks_after_it_was_told_to_stop_stops_when_the_next_one_has_handled_the_rest() {
    each_run(|| {
        let log = Log::default();
        let mut supervisor = Supervisor::new(Strategy::OneForOne);
        let addr = child(&mut supervisor, &log, "a", Restart::Transient);
        let _supervisor = actor::spawn(supervisor);
        let (release, held) = oneshot::channel();
        addr.cast(Message::Hold(held)).unwrap();
        addr.cast(Message::Panic).unwrap();
        addr.cast(Message::Add).unwrap();
        addr.stop();
        release.send(()).unwrap();
        assert_eq!(addr.wait(), Exit::Normal);
        assert_eq!(take(&log), "+a -a +a -a");
    });
}

#[test]
fn a_child_that_is_killed_while_it_is_made_again_ends_before_it_handles_anything() {
    each_run(|| {
        let (log, drops) = (Log::default(), Drops::new());
        let mut supervisor = Supervisor::new(Strategy::OneForOne);
        let (release, held) = oneshot::channel();
        let (there, begun) = oneshot::channel();
        // For the second one to wait.
        let gates = Mutex::new(vec![Some((there, held)), None]);
        let theirs = Arc::clone(&log);
        let addr = supervisor.child(Restart::Transient, move || {
            let gate = gates.lock().unwrap().pop().flatten();
            if let Some((there, held)) = gate {
                there.send(()).unwrap();
                held.recv().unwrap();
            }
            Child { name: "a", log: Arc::clone(&theirs), count: 0 }
        });
        let _supervisor = actor::spawn(supervisor);
        addr.cast(Message::Panic).unwrap();
        begun.recv().unwrap();
        addr.cast(Message::Carry(drops.token())).unwrap();
        addr.kill();
        assert_eq!(drops.count(), 1);
        release.send(()).unwrap();
        assert_eq!(addr.call(Message::Count), Ok(0));
        // The one that was killed was never told that it had started.
        assert_eq!(take(&log), "+a -a +a");
    });
}
