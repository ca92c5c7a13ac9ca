//! Children that are added to supervisors that run, and removed from them.

use std::{mem, time::Duration};

use crate::common::{DropToken, Drops, ON_PURPOSE, each_config, each_run, quiet_panics, stress, wait_until};
use sward::{
    actor::{self, Actor, Addr, Builder, CallError, Context, Exit, Reply, Restart, Strategy, Supervisor},
    cancel,
    runtime::Runtime,
    sync::{Arc, Mutex, oneshot},
    task::Group,
    thread,
};

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
    Add,
    Count(Reply<usize>),
    /// Not to be interrupted.
    Hold(oneshot::Receiver<()>, oneshot::Sender<()>),
    Panic,
    Stop,
}

impl Actor for Child {
    type Message = Message;

    fn started(&mut self, _: &mut Context<Self>) {
        cancel::shield(|| self.log.lock().unwrap().push(format!("+{}", self.name)));
    }

    fn handle(&mut self, message: Message, context: &mut Context<Self>) {
        match message {
            Message::Add => self.count += 1,
            Message::Count(reply) => reply.send(self.count),
            Message::Hold(held, there) => cancel::shield(|| {
                there.send(()).unwrap();
                _ = held.recv();
            }),
            Message::Panic => panic!("{ON_PURPOSE}"),
            Message::Stop => context.stop(),
        }
    }

    fn stopped(&mut self, _: &Exit) {
        self.log.lock().unwrap().push(format!("-{}", self.name));
    }
}

fn factory(log: &Log, name: &'static str) -> impl Fn() -> Child + Send + use<> {
    let log = Arc::clone(log);
    move || Child { name, log: Arc::clone(&log), count: 0 }
}

/// Adds one, which has begun when this returns.
fn add(supervisor: &Addr<Supervisor>, log: &Log, name: &'static str) -> Addr<Child> {
    let child = supervisor.add_child(Restart::Permanent, factory(log, name)).unwrap();
    assert_eq!(child.call(Message::Count), Ok(0));
    child
}

#[test]
fn a_child_that_is_added_is_started_and_started_again() {
    quiet_panics();
    each_run(|| {
        let log = Log::default();
        let supervisor = actor::spawn(Supervisor::new(Strategy::OneForOne));
        let child = add(&supervisor, &log, "a");
        child.cast(Message::Add).unwrap();
        assert_eq!(child.call(Message::Count), Ok(1));
        child.cast(Message::Panic).unwrap();
        assert_eq!(child.call(Message::Count), Ok(0));
        assert_eq!(take(&log), "+a -a +a");
        assert!(supervisor.join().is_normal());
        assert_eq!((take(&log).as_str(), child.wait()), ("-a", Exit::Normal));
    });
}

#[test]
fn a_child_that_is_removed_handles_what_it_has_and_is_not_started_again() {
    each_run(|| {
        let log = Log::default();
        let supervisor = actor::spawn(Supervisor::new(Strategy::OneForAll));
        let (first, second) = (add(&supervisor, &log, "a"), add(&supervisor, &log, "b"));
        let (counted, count) = oneshot::channel();
        first.cast(Message::Add).unwrap();
        let caller = first.clone();
        let caller = thread::spawn(move || counted.send(caller.call(Message::Count)).unwrap());
        assert_eq!(count.recv(), Ok(Ok(1)));
        caller.join().unwrap();
        assert_eq!(supervisor.remove_child(&first), Ok(true));
        assert_eq!(first.exit(), Some(Exit::Normal));
        assert!(first.cast(Message::Add).is_err());
        assert_eq!(supervisor.remove_child(&first), Ok(false));
        assert_eq!(second.call(Message::Count), Ok(0));
        assert_eq!(take(&log), "+a +b -a");
        assert!(supervisor.join().is_normal());
        assert_eq!(take(&log), "-b");
    });
}

#[test]
fn only_its_own_children_can_be_removed() {
    each_run(|| {
        let log = Log::default();
        let [one, other] = [(); 2].map(|()| actor::spawn(Supervisor::new(Strategy::OneForOne)));
        let child = add(&one, &log, "a");
        assert_eq!(other.remove_child(&child), Ok(false));
        assert_eq!(other.remove_child(&one), Ok(false));
        assert_eq!(child.call(Message::Count), Ok(0));
    });
}

#[test]
fn those_that_are_added_come_after_all_others() {
    quiet_panics();
    each_run(|| {
        let log = Log::default();
        let mut supervisor = Supervisor::new(Strategy::RestForOne);
        let first = supervisor.child(Restart::Permanent, factory(&log, "a"));
        let supervisor = actor::spawn(supervisor);
        assert_eq!(first.call(Message::Count), Ok(0));
        let [gone, second, third] = ["x", "b", "c"].map(|name| add(&supervisor, &log, name));
        assert_eq!(supervisor.remove_child(&gone), Ok(true));
        assert_eq!(take(&log), "+a +x +b +c -x");
        second.cast(Message::Panic).unwrap();
        assert_eq!((second.call(Message::Count), third.call(Message::Count)), (Ok(0), Ok(0)));
        let mut restarted: Vec<_> = mem::take(&mut *log.lock().unwrap());
        restarted.sort();
        assert_eq!(restarted, ["+b", "+c", "-b", "-c"]);
        assert!(supervisor.join().is_normal());
        assert_eq!(take(&log), "-c -b -a");
    });
}

#[test]
fn a_supervisor_that_has_ended_takes_no_child() {
    each_run(|| {
        let (log, drops) = (Log::default(), Drops::new());
        let supervisor = actor::spawn(Supervisor::new(Strategy::OneForOne));
        let child = add(&supervisor, &log, "a");
        supervisor.kill();
        assert_eq!(supervisor.wait(), Exit::Killed);
        take(&log);
        let (make, token) = (factory(&log, "b"), drops.token());
        let refused = supervisor.add_child(Restart::Permanent, move || {
            let _token = DropToken::clone_of(&token);
            make()
        });
        assert_eq!(refused.err(), Some(CallError::Stopped));
        assert_eq!((drops.count(), take(&log).as_str()), (1, ""));
        assert_eq!(supervisor.remove_child(&child), Err(CallError::Stopped));
    });
}

#[test]
fn a_child_that_does_not_get_to_its_supervisor_has_ended() {
    quiet_panics();
    each_run(|| {
        let log = Log::default();
        let supervisor = actor::spawn(Supervisor::new(Strategy::OneForOne));
        let child = add(&supervisor, &log, "a");
        // The supervisor is in the middle of a factory until it is killed.
        let (there, begun) = oneshot::channel();
        let there = Mutex::new(Some(there));
        let theirs = supervisor.clone();
        let stuck = thread::spawn(move || {
            theirs.add_child(Restart::Permanent, move || -> Child {
                if let Some(there) = there.lock().unwrap().take() {
                    there.send(()).unwrap();
                }
                loop {
                    thread::park();
                }
            })
        });
        begun.recv().unwrap();
        let (theirs, make) = (supervisor.clone(), factory(&log, "b"));
        let waiting = thread::spawn(move || theirs.add_child(Restart::Permanent, make));
        thread::yield_now();
        supervisor.kill();
        assert!(stuck.join().unwrap().is_err());
        assert!(waiting.join().unwrap().is_err());
        assert_eq!(supervisor.wait(), Exit::Killed);
        assert!(!take(&log).contains("+b"));
        child.wait();
    });
}

#[test]
fn a_factory_that_panics_as_its_child_is_added_fails_the_supervisor() {
    quiet_panics();
    each_run(|| {
        let log = Log::default();
        let supervisor = actor::spawn(Supervisor::new(Strategy::OneForOne));
        let child = add(&supervisor, &log, "a");
        let added = supervisor.add_child(Restart::Permanent, || -> Child { panic!("{ON_PURPOSE}") });
        assert!(added.is_err());
        assert_eq!(supervisor.wait(), Exit::Panicked(ON_PURPOSE.into()));
        assert!(child.wait().is_normal());
    });
}

#[test]
fn a_child_that_is_being_interrupted_can_be_removed_and_the_rest_are_started() {
    quiet_panics();
    each_run(|| {
        let log = Log::default();
        let supervisor = actor::spawn(Supervisor::new(Strategy::OneForAll));
        let (first, second) = (add(&supervisor, &log, "a"), add(&supervisor, &log, "b"));
        let (release, held) = oneshot::channel();
        let (there, begun) = oneshot::channel();
        second.cast(Message::Hold(held, there)).unwrap();
        begun.recv().unwrap();
        first.cast(Message::Panic).unwrap();
        let (theirs, removed) = (supervisor.clone(), second.clone());
        let remover = thread::spawn(move || theirs.remove_child(&removed));
        thread::yield_now();
        release.send(()).unwrap();
        assert_eq!(remover.join().unwrap(), Ok(true));
        assert_eq!(first.call(Message::Count), Ok(0));
        assert!(second.exit().is_some());
        assert!(supervisor.join().is_normal());
    });
}

#[test]
fn a_child_that_does_not_stop_is_killed_as_it_is_removed() {
    each_run(|| {
        let log = Log::default();
        let supervisor = Supervisor::new(Strategy::OneForOne).grace(Duration::from_millis(2));
        let supervisor = actor::spawn(supervisor);
        let child = add(&supervisor, &log, "a");
        let (release, held) = oneshot::channel();
        let (there, begun) = oneshot::channel();
        child.cast(Message::Hold(held, there)).unwrap();
        begun.recv().unwrap();
        assert_eq!(supervisor.remove_child(&child), Ok(true));
        release.send(()).unwrap();
        assert_eq!(child.wait(), Exit::Killed);
    });
}

#[test]
fn one_that_ends_and_is_not_started_again_leaves_nothing_behind() {
    quiet_panics();
    each_run(|| {
        let (log, drops) = (Log::default(), Drops::new());
        let supervisor = actor::spawn(Supervisor::new(Strategy::OneForOne));
        for (restart, end) in [(Restart::Temporary, Message::Panic), (Restart::Transient, Message::Stop)] {
            let before = drops.count();
            let (make, token) = (factory(&log, "a"), drops.token());
            let child = supervisor.add_child(restart, move || {
                let _ = &token;
                make()
            });
            child.unwrap().cast(end).unwrap();
            wait_until(|| drops.count() == before + 1);
        }
        assert_eq!(supervisor.exit(), None);
    });
}

#[test]
fn children_are_added_from_os_threads_and_run_where_they_are_told() {
    each_config(|config| {
        let (family, elsewhere): (Runtime, Runtime) = (config.build(), config.build());
        let log = Log::default();
        let supervisor = family.run(|| actor::spawn(Supervisor::new(Strategy::OneForOne)));
        let builder = Builder::new().runtime(&elsewhere.handle());
        let child = supervisor.add_child_with(builder, Restart::Permanent, factory(&log, "a")).unwrap();
        assert_eq!(child.call(Message::Count), Ok(0));
        assert_eq!(supervisor.remove_child(&child), Ok(true));
        assert_eq!(take(&log), "+a -a");
        assert!(supervisor.join().is_normal());
    });
}

#[test]
fn stress_children_come_and_go_while_others_break() {
    quiet_panics();
    each_run(|| {
        let log = Log::default();
        let supervisor = Supervisor::new(Strategy::OneForOne).intensity(usize::MAX, Duration::from_secs(1));
        let supervisor = actor::spawn(supervisor);
        let mut group = Group::new();
        for name in ["a", "b", "c", "d"] {
            let (supervisor, log) = (supervisor.clone(), Arc::clone(&log));
            group.spawn(move || {
                for i in 0..stress(20) {
                    let child = supervisor.add_child(Restart::Permanent, factory(&log, name)).unwrap();
                    if i % 2 == 0 {
                        child.cast(Message::Panic).unwrap();
                    }
                    assert_eq!(child.call(Message::Count), Ok(0));
                    if i % 4 < 3 {
                        assert_eq!(supervisor.remove_child(&child), Ok(true));
                        assert_eq!(child.exit(), Some(Exit::Normal));
                    }
                }
            });
        }
        group.join_all();
        assert!(supervisor.join().is_normal());
        let log = log.lock().unwrap();
        let starts = log.iter().filter(|entry| entry.starts_with('+')).count();
        assert_eq!((starts * 2, starts), (log.len(), 4 * stress(20) * 3 / 2));
    });
}

#[test]
fn one_that_ended_with_others_and_is_not_started_again_cannot_be_removed() {
    struct Breaks;
    impl Actor for Breaks {
        type Message = ();

        fn handle(&mut self, (): (), context: &mut Context<Self>) {
            context.fail("on purpose");
        }
    }
    each_run(|| {
        let mut supervisor = Supervisor::new(Strategy::OneForAll);
        let permanent = supervisor.child(Restart::Permanent, || Breaks);
        let temporary = supervisor.child(Restart::Temporary, || Breaks);
        let supervisor = actor::spawn(supervisor);
        permanent.cast(()).unwrap();
        assert!(!temporary.wait().is_normal());
        assert!(!supervisor.remove_child(&temporary).unwrap());
        supervisor.stop();
    });
}
