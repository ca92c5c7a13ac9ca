//! Dumps: what they say of each green thread, and that nothing is disturbed by them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{each_config, each_mode, each_runtime, stress, wait_until};
use sward_runtime::{
    park::WaitReason,
    runtime::{Builder, Dump, Handle, ThreadDump},
    thread::{self, State, Thread},
};

fn until_parked(thread: &Thread) {
    wait_until(|| thread.state() == State::Waiting(WaitReason::Park));
}

fn of<'a>(dump: &'a Dump, thread: &Thread) -> &'a ThreadDump {
    dump.threads.iter().find(|found| found.id == thread.id()).expect("it has started")
}

#[test]
fn each_green_thread_is_told_with_its_name_parent_site_and_wait() {
    each_runtime(|runtime| {
        runtime.run(|| {
            let named = thread::Builder::new().name("named".into()).spawn(thread::park).unwrap();
            let (plain, line) = (thread::spawn(thread::park), line!());
            until_parked(named.thread());
            until_parked(plain.thread());
            let dump = Handle::current().dump();
            assert_eq!((dump.busy, dump.live, dump.threads.len()), (0, 3, 3), "{dump}");
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
                let dump = handle.dump();
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
        assert_eq!(dumped.busy, 0);
    });
}

#[test]
fn a_worker_that_does_not_stop_is_told_and_goes_on() {
    each_config(|config| {
        let runtime = config.build();
        let (runs, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let theirs = (Arc::clone(&runs), Arc::clone(&stop));
        let spinning = runtime.handle().spawn(move || {
            theirs.0.store(true, SeqCst);
            while !theirs.1.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            7
        });
        while !runs.load(SeqCst) {
            std::thread::yield_now();
        }
        let dump = runtime.handle().dump();
        assert!(dump.busy >= 1 && dump.threads.is_empty() && dump.live == 1, "{dump}");
        assert!(dump.to_string().contains("neither waits nor yields"), "{dump}");
        stop.store(true, SeqCst);
        assert_eq!(spinning.join().unwrap(), 7);
        wait_until(|| runtime.handle().live() == 0);
        let dump = runtime.handle().dump();
        assert_eq!((dump.busy, dump.live), (0, 0), "{dump}");
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
        let dump = Handle::current().dump();
        assert_eq!((dump.busy, dump.threads.len()), (0, 521));
        drop(block);
        jobs.into_iter().for_each(|job| assert!(job.join().is_ok()));
    });
}
