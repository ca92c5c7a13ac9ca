//! Dumps: what they say of each green thread, and that nothing is disturbed by them.

use std::{
    io::{BufRead, BufReader},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{each_config, each_mode, each_runtime, os_thread_id, stress, wait_until};
use sward_runtime::{
    park::WaitReason,
    runtime::{self, Builder, Dump, Handle, Runtime, ThreadDump},
    thread::{self, State, Thread},
};

fn until_parked(thread: &Thread) {
    wait_until(|| thread.state() == State::Waiting(WaitReason::Park));
}

fn of<'a>(dump: &'a Dump, thread: &Thread) -> &'a ThreadDump {
    dump.threads.iter().find(|found| found.id == thread.id()).expect("it has started")
}

/// Dumps until one is as it is to be: on a busy machine one may give up on a worker that has yet to stop, or on stacks to look at.
fn dump_until(handle: &Handle, is_complete: impl Fn(&Dump) -> bool) -> Dump {
    std::iter::repeat_with(|| handle.dump()).find(is_complete).expect("there is another")
}

fn all_stopped(dump: &Dump) -> bool {
    dump.busy == 0
}

fn all_were_looked_at(dump: &Dump) -> bool {
    let is_fresh = |found: &ThreadDump| found.state == State::Waiting(WaitReason::NotStarted);
    all_stopped(dump) && dump.threads.iter().all(|found| !found.stack.is_empty() || is_fresh(found))
}

#[test]
fn each_green_thread_is_told_with_its_name_parent_site_and_wait() {
    each_runtime(|runtime| {
        runtime.run(|| {
            let named = thread::Builder::new().name("named".into()).spawn(thread::park).unwrap();
            let (plain, line) = (thread::spawn(thread::park), line!());
            until_parked(named.thread());
            until_parked(plain.thread());
            let dump = dump_until(&Handle::current(), all_stopped);
            assert_eq!((dump.live, dump.threads.len()), (3, 3), "{dump}");
            let found = of(&dump, named.thread());
            assert_eq!(found.name.as_deref(), Some("named"));
            assert_eq!(found.state, State::Waiting(WaitReason::Park));
            assert_eq!(found.parent, Some(thread::current().id()));
            let found = of(&dump, plain.thread());
            assert_eq!((found.name.as_deref(), found.spawned_at.line()), (None, line));
            assert!(found.spawned_at.file().ends_with("dump.rs"));
            // The one that asks, which waits for the pool.
            let found = of(&dump, &thread::current());
            assert_eq!(found.state, State::Waiting(WaitReason::Pool));
            assert_eq!((found.name.as_deref(), found.parent), (Some("main"), None));
            for handle in [named, plain] {
                handle.thread().unpark();
                handle.join().unwrap();
            }
        });
    });
}

#[test]
fn those_that_have_not_started_are_counted() {
    each_mode(1, |config| {
        let runtime = config.build();
        let (told, dumped) = runtime.run(|| {
            let taken = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&taken);
            // The worker is here until the dump stops it.
            let handle = Handle::current();
            let dumper = std::thread::spawn(move || {
                let dump = dump_until(&handle, all_stopped);
                theirs.store(true, SeqCst);
                dump
            });
            let fresh: Vec<_> = (0..5).map(|_| thread::spawn(|| ())).collect();
            let text = Handle::current().dump().to_string();
            wait_until(|| taken.load(SeqCst));
            fresh.into_iter().for_each(|handle| handle.join().unwrap());
            (text, dumper.join().unwrap())
        });
        assert!(told.contains("alive, on 1 workers"), "{told}");
        assert!(dumped.threads.len() <= dumped.live, "{dumped}");
    });
}

/// Something on each worker that neither waits nor yields, so that nothing else starts.
struct Hogs {
    stop: Arc<AtomicBool>,
    all: Vec<thread::JoinHandle<()>>,
}

impl Hogs {
    /// Also gives what one of them has spawned, three green threads that end at once; the last is the latest.
    fn new(runtime: &Runtime) -> (Self, Vec<thread::JoinHandle<()>>) {
        let stop = Arc::new(AtomicBool::new(false));
        let (workers, running) = (runtime.handle().workers(), Arc::new(AtomicUsize::new(0)));
        let (give, given) = std::sync::mpsc::channel();
        let hog = |number| {
            let (stop, running, give) = (Arc::clone(&stop), Arc::clone(&running), give.clone());
            move || {
                running.fetch_add(1, SeqCst);
                if number == 0 {
                    while running.load(SeqCst) < workers {
                        std::thread::yield_now();
                    }
                    let spawn = |name: &str| thread::Builder::new().name(name.into()).spawn(|| ()).unwrap();
                    give.send(["first", "second", "third"].map(spawn)).unwrap();
                }
                while !stop.load(SeqCst) {
                    std::thread::yield_now();
                }
            }
        };
        let all = (0..workers).map(|number| runtime.handle().spawn(hog(number))).collect();
        (Self { stop, all }, given.recv().unwrap().into())
    }

    fn end(self) {
        self.stop.store(true, SeqCst);
        self.all.into_iter().for_each(|hog| hog.join().unwrap());
    }
}

fn is_told_as_fresh(dump: &Dump, thread: &Thread) -> bool {
    let found = dump.threads.iter().find(|found| found.id == thread.id());
    found.is_some_and(|found| found.state == State::Waiting(WaitReason::NotStarted))
}

#[test]
fn those_that_have_not_started_are_told_wherever_they_stand() {
    each_config(|config| {
        let runtime = config.builder().max_spares(0).build().unwrap();
        // Until the dump has begun when the hogs end, or others start; and has not been waiting for long, or it goes on without them.
        for patience in (0..10).map(|round| 1 << round).cycle() {
            let (hogs, inner) = Hogs::new(&runtime);
            let outside: Vec<_> = (0..2).map(|_| runtime.handle().spawn(|| ())).collect();
            let (begins, handle) = (Arc::new(AtomicBool::new(false)), runtime.handle());
            let theirs = Arc::clone(&begins);
            let dumper = std::thread::spawn(move || {
                theirs.store(true, SeqCst);
                handle.dump()
            });
            wait_until(|| begins.load(SeqCst));
            (0..patience).for_each(|_| std::thread::yield_now());
            let parent = hogs.all[0].thread().id();
            hogs.end();
            let dump = dumper.join().unwrap();
            let all: Vec<_> = inner.iter().chain(&outside).map(|fresh| fresh.thread().clone()).collect();
            inner.into_iter().chain(outside).for_each(|fresh| fresh.join().unwrap());
            assert!(dump.threads.len() <= dump.live, "{dump}");
            if dump.busy > 0 || !all.iter().all(|fresh| is_told_as_fresh(&dump, fresh)) {
                continue;
            }
            for (fresh, name) in all.iter().zip([Some("first"), Some("second"), Some("third"), None, None]) {
                let found = of(&dump, fresh);
                assert_eq!((found.name.as_deref(), found.parent), (name, name.map(|_| parent)));
                assert!(found.spawned_at.file().ends_with("dump.rs") && found.stack.is_empty());
                assert_eq!((found.lasting, found.running), (Duration::ZERO, None));
            }
            assert_eq!(dump.to_string().matches(") has not started").count(), 5, "{dump}");
            assert_eq!(dump.to_json().matches(r#""state":"not started","waits_for":null"#).count(), 5);
            return;
        }
    });
}

#[test]
fn behind_workers_that_do_not_stop_the_latest_and_those_from_outside_are_told() {
    each_config(|config| {
        let runtime = config.builder().max_spares(0).build().unwrap();
        let (hogs, inner) = Hogs::new(&runtime);
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let outside: Vec<_> = (0..100)
            .map(|number| {
                let order = Arc::clone(&order);
                runtime.handle().spawn(move || order.lock().unwrap().push(number))
            })
            .collect();
        for _ in 0..2 {
            let dump = runtime.handle().dump();
            assert_eq!((dump.busy, dump.live), (config.workers, config.workers + 103), "{dump}");
            let told = |fresh: &thread::JoinHandle<()>| is_told_as_fresh(&dump, fresh.thread());
            assert_eq!(inner.iter().map(told).collect::<Vec<_>>(), [false, false, true], "{dump}");
            assert!(outside.iter().all(told), "{dump}");
            assert_eq!(dump.threads.len(), config.workers + 101, "{dump}");
            assert!(dump.to_string().contains("2 others have not started"), "{dump}");
        }
        hogs.end();
        inner.into_iter().chain(outside).for_each(|fresh| fresh.join().unwrap());
        // As ever, but for what a look around takes in between.
        let order = order.lock().unwrap();
        let later = order.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(config.workers > 1 || order[0] == 0 && later < 8, "they start in another order: {order:?}");
    });
}

#[test]
fn those_who_live_behind_a_worker_that_does_not_stop_are_counted() {
    each_mode(1, |config| {
        let runtime = config.builder().max_spares(0).build().unwrap();
        let parked: Vec<_> = (0..3).map(|_| runtime.handle().spawn(thread::park)).collect();
        parked.iter().for_each(|parked| until_parked(parked.thread()));
        let (runs, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let theirs = (Arc::clone(&runs), Arc::clone(&stop));
        let stuck = runtime.handle().spawn(move || {
            theirs.0.store(true, SeqCst);
            while !theirs.1.load(SeqCst) {
                std::hint::spin_loop();
            }
        });
        wait_until(|| runs.load(SeqCst));
        let behind = |dump: &Dump| of(dump, stuck.thread()).running.expect("it does not stop").behind;
        let dump = runtime.handle().dump();
        assert_eq!(behind(&dump), 0, "{dump}");
        parked[..2].iter().for_each(|parked| parked.thread().unpark());
        let dump = runtime.handle().dump();
        // One worker is as if it were anchored in both modes: there is nowhere to roam to.
        assert_eq!(behind(&dump), 2, "{dump}");
        assert!(dump.to_string().contains("where 2 that live there wait for it"), "{dump}");
        assert!(dump.to_json().contains(r#""behind":2"#), "{}", dump.to_json());
        parked[2].thread().unpark();
        stop.store(true, SeqCst);
        parked.into_iter().for_each(|parked| parked.join().unwrap());
        stuck.join().unwrap();
    });
}

#[test]
fn of_a_worker_that_does_not_stop_the_task_is_told_and_of_others_all() {
    each_config(|config| {
        let runtime = config.build();
        let parked = runtime.handle().spawn(in_a_park_of_its_own);
        until_parked(parked.thread());
        let (runs, stop) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicBool::new(false)));
        let theirs = (Arc::clone(&runs), Arc::clone(&stop));
        let spinning = runtime.handle().spawn(move || {
            theirs.0.store(os_thread_id(), SeqCst);
            while !theirs.1.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            7
        });
        wait_until(|| runs.load(SeqCst) != 0);
        // On a busy machine it may have been noticed a while after it began.
        let is_told = |dump: &Dump| of(dump, spinning.thread()).lasting >= Duration::from_millis(90);
        let dump = dump_until(&runtime.handle(), is_told);
        assert!(dump.busy >= 1 && dump.live == 2 && dump.threads.len() == 2, "{dump}");
        assert!(dump.to_string().contains("neither waits nor yields"), "{dump}");
        let found = of(&dump, spinning.thread());
        let on = found.running.expect("its worker does not stop");
        assert!(on.worker < config.workers && on.os_thread == runs.load(SeqCst), "{dump}");
        assert!(found.stack.is_empty(), "{dump}");
        let found = of(&dump, parked.thread());
        assert_eq!((found.state, found.running), (State::Waiting(WaitReason::Park), None));
        assert!(names(found).iter().any(|name| name.contains("in_a_park_of_its_own")), "{dump}");
        stop.store(true, SeqCst);
        assert_eq!(spinning.join().unwrap(), 7);
        parked.thread().unpark();
        parked.join().unwrap();
        wait_until(|| runtime.handle().live() == 0);
        let dump = dump_until(&runtime.handle(), all_stopped);
        assert_eq!(dump.live, 0, "{dump}");
    });
}

/// With a frame that a backtrace must name.
#[inline(never)]
fn in_a_park_of_its_own() -> u8 {
    thread::park();
    7
}

#[inline(never)]
fn deeper(left: usize) -> usize {
    if left == 0 { usize::from(in_a_park_of_its_own()) } else { deeper(left - 1) + 1 }
}

fn names(thread: &ThreadDump) -> Vec<&str> {
    thread.stack.iter().filter_map(|frame| frame.function.as_deref()).collect()
}

#[test]
fn a_stack_is_told_from_the_wait_to_the_closure() {
    each_runtime(|runtime| {
        let all: Vec<_> = (0..20).map(|depth| runtime.handle().spawn(move || deeper(depth))).collect();
        all.iter().for_each(|handle| until_parked(handle.thread()));
        for _ in 0..3 {
            let dump = dump_until(&runtime.handle(), all_were_looked_at);
            for (depth, handle) in all.iter().enumerate() {
                let names = names(of(&dump, handle.thread()));
                let count = |name: &str| names.iter().filter(|found| found.contains(name)).count();
                assert_eq!((count("in_a_park_of_its_own"), count("deeper")), (1, depth + 1), "{dump}");
                assert!(names[0].contains("park") && names.len() < depth + 20, "{dump}");
                // Neither the runtime's side of it, nor whoever asked.
                assert_eq!(count("Worker::") + count("trace::") + count("dump::dump"), 0, "{dump}");
            }
            assert!(dump.to_string().contains("dump.rs:"), "{dump}");
        }
        for (depth, handle) in all.into_iter().enumerate() {
            handle.thread().unpark();
            assert_eq!(handle.join().unwrap(), depth + 7);
        }
    });
}

#[test]
fn stacks_are_told_wherever_their_threads_wait() {
    each_runtime(|runtime| {
        runtime.run(|| {
            let yielding = Arc::new(AtomicBool::new(true));
            let theirs = Arc::clone(&yielding);
            let ready = thread::spawn(move || {
                while theirs.load(SeqCst) {
                    thread::yield_now();
                }
            });
            let asleep = thread::spawn(|| thread::sleep(Duration::from_secs(1000)));
            let joined = thread::spawn(thread::park);
            let other = joined.thread().clone();
            let joins = thread::spawn(move || joined.join().unwrap());
            let is = |thread: &Thread, reason| thread.state() == State::Waiting(reason);
            wait_until(|| is(asleep.thread(), WaitReason::Sleep) && is(joins.thread(), WaitReason::Join));
            let dump = dump_until(&Handle::current(), all_were_looked_at);
            for (thread, place) in [(asleep.thread(), "sleep"), (joins.thread(), "join")] {
                assert!(names(of(&dump, thread)).iter().any(|name| name.contains(place)), "{dump}");
            }
            // It may have been caught before its first turn.
            let found = dump.threads.iter().find(|found| found.id == ready.thread().id());
            if let Some(found) = found.filter(|_| !is_told_as_fresh(&dump, ready.thread())) {
                assert_eq!(found.state, State::Runnable);
                assert!(names(found).iter().any(|name| name.contains("yield")), "{dump}");
            }
            yielding.store(false, SeqCst);
            other.unpark();
            asleep.cancel();
            ready.join().unwrap();
            joins.join().unwrap();
            assert!(asleep.join().is_err());
        });
    });
}

#[test]
fn a_wait_inside_a_generator_is_told_with_both_stacks() {
    fn in_the_body(yielder: &sward_runtime::coroutine::Yielder<(), u8>) {
        thread::park();
        yielder.yield_(1);
    }
    each_runtime(|runtime| {
        let outer = runtime.handle().spawn(|| {
            sward_runtime::coroutine::scope(|scope| {
                let mut generator = scope.iter(in_the_body);
                generator.next()
            })
        });
        until_parked(outer.thread());
        let dump = runtime.handle().dump();
        let names = names(of(&dump, outer.thread()));
        let place = |name: &str| names.iter().position(|found| found.contains(name));
        let (body, outside) = (place("in_the_body"), place("a_wait_inside_a_generator_is_told"));
        assert!(body.is_some() && outside.is_some(), "{dump}");
        outer.thread().unpark();
        assert_eq!(outer.join().unwrap(), Some(1));
    });
}

#[test]
fn a_wait_is_told_with_its_length() {
    each_runtime(|runtime| {
        let parked = runtime.handle().spawn(thread::park);
        until_parked(parked.thread());
        let start = Instant::now();
        // All fall asleep, and the poller thread with them.
        while start.elapsed() < Duration::from_millis(60) {
            std::thread::sleep(Duration::from_millis(60));
        }
        let before = start.elapsed();
        let lasting = of(&runtime.handle().dump(), parked.thread()).lasting;
        assert!(lasting + Duration::from_millis(20) >= before, "{lasting:?} of {before:?}");
        // A new wait after the long sleep has a beginning of its own.
        let again = runtime.handle().spawn(thread::park);
        until_parked(again.thread());
        let younger = of(&runtime.handle().dump(), again.thread()).lasting;
        assert!(younger < lasting + start.elapsed() - before, "{younger:?} after {lasting:?}");
        for handle in [parked, again] {
            handle.thread().unpark();
            handle.join().unwrap();
        }
    });
}

#[test]
fn a_signal_has_a_dump_written_while_everybody_is_stuck() {
    // In a child process, for the signal and the standard error stream are the process's.
    const TEST: &str = "a_signal_has_a_dump_written_while_everybody_is_stuck";
    if crate::common::child_case().is_none() {
        return crate::common::child_succeeds(TEST, "alone");
    }
    let _watchdog = crate::common::Watchdog::new();
    runtime::dump_on_quit().unwrap();
    runtime::dump_on_quit().unwrap();
    each_config(|config| {
        // Without spares, which would get stuck too, so that the number is known.
        let runtime = config.builder().max_spares(0).build().unwrap();
        let parked = runtime.handle().spawn(in_a_park_of_its_own);
        until_parked(parked.thread());
        let stuck = Arc::new(std::sync::Mutex::new(()));
        let lock = stuck.lock().unwrap();
        let running = Arc::new(AtomicUsize::new(0));
        // No more than that: each is told.
        let block = |_| {
            let (stuck, running) = (Arc::clone(&stuck), Arc::clone(&running));
            runtime.handle().spawn(move || {
                running.fetch_add(1, SeqCst);
                drop(stuck.lock());
            })
        };
        let all: Vec<_> = (0..config.workers).map(block).collect();
        wait_until(|| running.load(SeqCst) == config.workers);
        let text = written_on_quit(&format!("{} workers run what neither waits nor yields", config.workers));
        assert!(text.contains("SIGQUIT: ") && text.contains("in_a_park_of_its_own"), "{text}");
        assert!(text.matches(") runs on worker ").count() >= config.workers, "{text}");
        drop(lock);
        parked.thread().unpark();
        parked.join().unwrap();
        all.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

/// What is written to the standard error stream of the process that gets a SIGQUIT, up to a line with `end`.
fn written_on_quit(end: &str) -> String {
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: both are open; the copy is nobody's but ours.
    let before = unsafe { libc::dup(2) };
    // SAFETY: as above; the stream is put back below.
    assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), 2) }, 2);
    drop(writer);
    // SAFETY: it has a handler.
    unsafe { libc::raise(libc::SIGQUIT) };
    let mut text = String::new();
    for line in BufReader::new(reader).lines() {
        text.push_str(&line.unwrap());
        text.push('\n');
        if text.contains(end) {
            break;
        }
    }
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(before, 2) }, 2);
    // SAFETY: ours.
    unsafe { libc::close(before) };
    text
}

#[test]
fn all_of_it_is_told_as_json() {
    each_runtime(|runtime| {
        let name = "a \"quoted\" \\ name\nof two lines, ünïcode";
        let named = runtime.run(|| thread::Builder::new().name(name.into()).spawn(thread::park)).unwrap();
        until_parked(named.thread());
        // A worker may stop for the dump just before it counts the end of the first one, or too late on a busy machine.
        let mut json = serde_json::Value::Null;
        wait_until(|| {
            json = serde_json::from_str(&runtime.handle().dump().to_json()).unwrap();
            json["live"] == 1 && json["busy"] == 0
        });
        assert_eq!(json["workers"], runtime.handle().workers());
        let found = &json["threads"][0];
        assert_eq!(found["name"], name);
        assert_eq!((&found["state"], &found["waits_for"]), (&"waiting".into(), &"Park".into()));
        assert!(found["spawned_at"].as_str().unwrap().contains("dump.rs:"));
        assert!(found["worker"].is_null() && found["id"].is_u64() && found["lasting_ms"].is_u64());
        let stack = found["stack"].as_array().unwrap();
        assert!(stack.iter().any(|frame| frame["function"].as_str().unwrap().contains("park")), "{json}");
        assert!(stack.iter().all(|frame| frame["address"].is_u64()));
        named.thread().unpark();
        named.join().unwrap();
    });
}

#[test]
fn of_a_runtime_that_has_ended_nothing_is_known() {
    each_config(|config| {
        let runtime = config.build();
        let handle = runtime.handle();
        drop(runtime);
        let dump = handle.dump();
        assert_eq!((dump.is_ending, dump.live, dump.busy, dump.threads.len()), (true, 0, 0, 0));
    });
}

/// Spawns, yields, waits and wakes until it is told to stop; returns how often.
fn bustle(stop: &Arc<AtomicBool>) -> Vec<thread::JoinHandle<usize>> {
    let one = |stop: Arc<AtomicBool>| {
        move || {
            let mut rounds = 0;
            while !stop.load(SeqCst) {
                let other = thread::spawn(thread::park);
                thread::yield_now();
                other.thread().unpark();
                if other.join().is_err() {
                    break; // the runtime is ending
                }
                if rounds % 10 == 0 {
                    thread::sleep(Duration::from_micros(20));
                }
                rounds += 1;
            }
            rounds
        }
    };
    (0..6).map(|_| thread::spawn(one(Arc::clone(stop)))).collect()
}

#[test]
fn many_dumps_at_once_disturb_nobody() {
    each_runtime(|runtime| {
        let stop = Arc::new(AtomicBool::new(false));
        let all = runtime.run(|| bustle(&stop));
        let dumpers: Vec<_> = (0..3)
            .map(|_| {
                let handle = runtime.handle();
                std::thread::spawn(move || {
                    (0..stress(20))
                        .filter(|_| {
                            let dump = handle.dump();
                            assert!(dump.live >= 6 && dump.threads.len() <= dump.live, "{dump}");
                            dump.busy == 0
                        })
                        .count()
                })
            })
            .collect();
        let complete: usize = dumpers.into_iter().map(|dumper| dumper.join().unwrap()).sum();
        assert!(complete > 0);
        stop.store(true, SeqCst);
        for handle in all {
            assert!(handle.join().unwrap() > 0);
        }
    });
}

#[test]
fn a_runtime_may_end_in_the_midst_of_dumps() {
    each_config(|config| {
        for _ in 0..stress(10) {
            let runtime = config.build();
            let stop = Arc::new(AtomicBool::new(false));
            let all = runtime.run(|| bustle(&stop));
            let dumps = Arc::new(AtomicUsize::new(0));
            let dumpers: Vec<_> = (0..2)
                .map(|_| {
                    let (handle, stop, dumps) = (runtime.handle(), Arc::clone(&stop), Arc::clone(&dumps));
                    std::thread::spawn(move || {
                        while !stop.load(SeqCst) {
                            drop(handle.dump());
                            dumps.fetch_add(1, SeqCst);
                        }
                    })
                })
                .collect();
            while dumps.load(SeqCst) < 3 {
                std::thread::yield_now();
            }
            drop(runtime);
            stop.store(true, SeqCst);
            dumpers.into_iter().for_each(|dumper| dumper.join().unwrap());
            // Cancelled, or at an end of their own.
            all.into_iter().for_each(|handle| drop(handle.join()));
        }
    });
}

#[test]
fn a_destructor_may_ask_for_a_dump_while_its_runtime_ends() {
    struct Dumps(Handle);
    impl Drop for Dumps {
        fn drop(&mut self) {
            let dump = self.0.dump();
            assert!(dump.is_ending && dump.live == 1 && dump.threads.is_empty());
            assert!(dump.to_string().contains("is ending"), "{dump}");
        }
    }
    each_config(|config| {
        let runtime = config.build();
        let dumps = Dumps(runtime.handle());
        let parked = runtime.handle().spawn(move || {
            let _dumps = dumps;
            thread::park();
        });
        while parked.thread().state() != State::Waiting(WaitReason::Park) {
            std::thread::yield_now();
        }
        drop(runtime);
        assert!(parked.join().is_err());
    });
}

#[test]
fn the_default_number_of_workers_is_told() {
    let runtime = Builder::new().build().unwrap();
    assert_eq!(runtime.handle().dump().workers, runtime.handle().workers());
}

#[test]
fn a_dump_needs_no_room_in_the_pool() {
    // In a child process: the pool is the process's.
    const TEST: &str = "a_dump_needs_no_room_in_the_pool";
    if crate::common::child_case().is_none() {
        return crate::common::child_succeeds(TEST, "alone");
    }
    let _watchdog = crate::common::Watchdog::new();
    let (block, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(std::sync::Mutex::new(blocked));
    Builder::new().workers(1).build().unwrap().run(|| {
        let jobs: Vec<_> = (0..520)
            .map(|_| {
                let blocked = Arc::clone(&blocked);
                thread::spawn(move || {
                    sward_runtime::unblock(move || blocked.lock().unwrap().recv().unwrap_err())
                })
            })
            .collect();
        wait_until(|| jobs.iter().all(|job| job.thread().state() == State::Waiting(WaitReason::Pool)));
        let dump = dump_until(&Handle::current(), all_stopped);
        assert_eq!(dump.threads.len(), 521);
        drop(block);
        jobs.into_iter().for_each(|job| assert!(job.join().is_ok()));
    });
}
