//! Fairness: whoever is ready runs, whatever others do that are never done.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{each_config, each_mode, each_run, stress, wait_until};
use sward_runtime::{budget, cancel, runtime::Handle, thread};

#[test]
fn those_who_yield_take_turns() {
    each_mode(1, |config| {
        const CROWD: usize = 10;
        const ROUNDS: usize = 100;
        let log = Arc::new(Mutex::new(Vec::new()));
        let ready = Arc::new(AtomicUsize::new(0));
        config.build().run(|| {
            let crowd: Vec<_> = (0..CROWD)
                .map(|i| {
                    let (log, ready) = (Arc::clone(&log), Arc::clone(&ready));
                    thread::spawn(move || {
                        ready.fetch_add(1, SeqCst);
                        wait_until(|| ready.load(SeqCst) == CROWD);
                        for _ in 0..ROUNDS {
                            thread::yield_now();
                            log.lock().unwrap().push(i);
                        }
                    })
                })
                .collect();
            crowd.into_iter().for_each(|handle| handle.join().unwrap());
        });
        let log = log.lock().unwrap();
        assert_eq!(log.len(), CROWD * ROUNDS);
        for (round, turn) in log.chunks(CROWD).enumerate() {
            let mut turn = turn.to_vec();
            turn.sort_unstable();
            assert!(turn.iter().copied().eq(0..CROWD), "round {round}: {turn:?}");
        }
    });
}

#[test]
fn a_yield_lets_others_run_and_comes_back() {
    each_run(|| {
        let seen = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&seen);
        let other = thread::spawn(move || theirs.store(true, SeqCst));
        wait_until(|| seen.load(SeqCst));
        other.join().unwrap();
        for _ in 0..stress(1_000) {
            thread::yield_now(); // alone
        }
    });
    thread::yield_now(); // on an OS thread
}

/// Keeps a worker's run-next slot full: two that wake each other in turn until told to stop. Counts the turns.
fn ping_pong_until(stop: &Arc<AtomicBool>, turns: &Arc<AtomicUsize>) -> [thread::JoinHandle<()>; 2] {
    let partner = Arc::new(Mutex::new(None::<thread::Thread>));
    let spawn = |of: Arc<Mutex<Option<thread::Thread>>>| {
        let (stop, turns) = (Arc::clone(stop), Arc::clone(turns));
        thread::spawn(move || {
            wait_until(|| of.lock().unwrap().is_some());
            let partner = of.lock().unwrap().take().unwrap();
            while !stop.load(SeqCst) {
                turns.fetch_add(1, SeqCst);
                partner.unpark();
                thread::park();
            }
            partner.unpark();
        })
    };
    let second_s_partner = Arc::new(Mutex::new(None));
    let first = spawn(Arc::clone(&partner));
    let second = spawn(Arc::clone(&second_s_partner));
    *partner.lock().unwrap() = Some(second.thread().clone());
    *second_s_partner.lock().unwrap() = Some(first.thread().clone());
    [first, second]
}

#[test]
fn a_pair_that_wakes_each_other_does_not_starve_a_third() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (stop, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let pair = ping_pong_until(&stop, &turns);
            for _ in 0..100 {
                let before = turns.load(SeqCst);
                thread::yield_now();
                let waited = turns.load(SeqCst) - before;
                assert!(waited <= 200, "one that yielded waited for {waited} turns of the pair");
            }
            // So is one that is spawned, one that sleeps, and one that is woken.
            thread::spawn(|| ()).join().unwrap();
            thread::sleep(Duration::from_millis(1));
            stop.store(true, SeqCst);
            pair.into_iter().for_each(|handle| handle.join().unwrap());
        });
    });
}

#[test]
fn a_lone_spawn_is_not_starved_by_its_spawner_and_another_that_wake_each_other() {
    each_config(|config| {
        config.build().run(|| {
            let me = thread::current();
            let stop = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&stop);
            let other = thread::spawn(move || {
                while !theirs.load(SeqCst) {
                    thread::park();
                    me.unpark();
                }
            });
            thread::yield_now();
            let seen = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&seen);
            let lone = thread::spawn(move || theirs.store(true, SeqCst));
            while !seen.load(SeqCst) {
                other.thread().unpark();
                thread::park();
            }
            stop.store(true, SeqCst);
            other.thread().unpark();
            other.join().unwrap();
            lone.join().unwrap();
        });
    });
}

/// Each spawns its successor and ends, until told to stop. Counts them.
fn endless_chain(stop: Arc<AtomicBool>, links: Arc<AtomicUsize>) {
    links.fetch_add(1, SeqCst);
    if !stop.load(SeqCst) {
        thread::spawn(move || endless_chain(stop, links));
    }
}

#[test]
fn a_chain_of_spawns_without_end_does_not_starve_those_who_wait() {
    each_config(|config| {
        let runtime = config.build();
        let (stop, links) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let handle = runtime.handle();
        runtime.run(|| {
            for _ in 0..config.workers {
                let (stop, links) = (Arc::clone(&stop), Arc::clone(&links));
                thread::spawn(move || endless_chain(stop, links));
            }
            // One that yields, one that is woken, one that sleeps, one that is new.
            for _ in 0..20 {
                thread::yield_now();
            }
            let parked = thread::spawn(thread::park);
            thread::yield_now();
            parked.thread().unpark();
            parked.join().unwrap();
            thread::sleep(Duration::from_millis(1));
            thread::spawn(|| ()).join().unwrap();
        });
        // And those from outside.
        for _ in 0..20 {
            handle.spawn(|| ()).join().unwrap();
        }
        stop.store(true, SeqCst);
        wait_until(|| handle.live() == 0);
    });
}

#[test]
fn one_that_never_waits_takes_turns_with_one_that_yields() {
    each_mode(1, |config| {
        let runtime = config.build();
        runtime.run(|| {
            let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let (theirs, counted) = (Arc::clone(&stop), Arc::clone(&rounds));
            let busy = thread::spawn(move || {
                while !theirs.load(SeqCst) {
                    counted.fetch_add(1, SeqCst);
                    budget::spend();
                }
            });
            thread::yield_now();
            for _ in 0..100 {
                let before = rounds.load(SeqCst);
                thread::yield_now();
                let waited = rounds.load(SeqCst) - before;
                assert!(waited <= 1_000, "one that yielded waited for {waited} operations of another");
            }
            stop.store(true, SeqCst);
            busy.join().unwrap();
        });
    });
}

#[test]
fn an_old_spawn_is_not_starved_by_newer_ones() {
    // Newest first would never come back to the first of them: each of the chain puts two new ones above it.
    each_mode(1, |config| {
        let runtime = config.build();
        let (stop, links) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (theirs, counted) = (Arc::clone(&stop), Arc::clone(&links));
        runtime.run(move || {
            let old: Vec<_> = (0..10)
                .map(|_| {
                    let links = Arc::clone(&links);
                    thread::spawn(move || links.load(SeqCst))
                })
                .collect();
            for _ in 0..4 {
                let (stop, links) = (Arc::clone(&theirs), Arc::clone(&counted));
                thread::spawn(move || endless_chain(stop, links));
            }
            for handle in old {
                let waited = handle.join().unwrap();
                assert!(waited <= 20_000, "an old one waited for {waited} newer ones");
            }
            stop.store(true, SeqCst);
        });
    });
}

#[test]
fn a_woken_one_is_not_starved_by_spawners() {
    each_mode(1, |config| {
        let runtime = config.build();
        runtime.run(|| {
            let (stop, links) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let parked: Vec<_> = (0..10)
                .map(|_| {
                    let links = Arc::clone(&links);
                    thread::spawn(move || {
                        thread::park();
                        links.load(SeqCst)
                    })
                })
                .collect();
            for _ in 0..20 {
                thread::yield_now(); // until all are parked
            }
            for _ in 0..4 {
                let (stop, links) = (Arc::clone(&stop), Arc::clone(&links));
                thread::spawn(move || endless_chain(stop, links));
            }
            parked.iter().for_each(|handle| handle.thread().unpark());
            for handle in parked {
                let waited = handle.join().unwrap();
                assert!(waited <= 20_000, "a woken one waited for {waited} new ones");
            }
            stop.store(true, SeqCst);
        });
    });
}

#[test]
fn what_comes_from_outside_is_served_though_all_workers_stay_busy() {
    each_config(|config| {
        let runtime = config.build();
        let stop = Arc::new(AtomicBool::new(false));
        let handle = runtime.handle();
        let busy: Vec<_> = (0..3 * config.workers)
            .map(|_| {
                let stop = Arc::clone(&stop);
                handle.spawn(move || wait_until(|| stop.load(SeqCst)))
            })
            .collect();
        let parked = handle.spawn(thread::park);
        for i in 0..stress(50) {
            assert_eq!(handle.spawn(move || i).join().unwrap(), i);
        }
        parked.thread().unpark();
        parked.join().unwrap();
        stop.store(true, SeqCst);
        busy.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

/// Runs `operation` over and over on the only worker until another green thread has run.
#[track_caller]
fn gives_way(operation: impl Fn() + Sync) {
    each_mode(1, |config| {
        config.build().run(|| {
            let seen = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&seen);
            let other = thread::spawn(move || theirs.store(true, SeqCst));
            while !seen.load(SeqCst) {
                operation();
            }
            other.join().unwrap();
        });
    });
}

#[test]
fn spending_the_budget_yields() {
    gives_way(budget::spend);
    budget::spend(); // on an OS thread
}

#[test]
fn a_park_that_finds_its_token_yields_now_and_then() {
    gives_way(|| {
        thread::current().unpark();
        thread::park();
    });
}

#[test]
fn a_sleep_that_is_over_yields() {
    gives_way(|| thread::sleep(Duration::ZERO));
    gives_way(|| thread::sleep_until(std::time::Instant::now()));
}

#[test]
fn work_that_never_waits_can_check_whether_it_is_to_end() {
    each_config(|config| {
        let runtime = config.build();
        let started = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&started);
        let computing = runtime.handle().spawn(move || {
            theirs.store(true, SeqCst);
            loop {
                cancel::check();
                std::hint::spin_loop();
            }
        });
        wait_until(|| started.load(SeqCst));
        drop(runtime);
        let ended: std::thread::Result<()> = computing.join();
        assert!(ended.unwrap_err().is::<cancel::Cancelled>());
        cancel::check(); // on an OS thread
    });
}

#[test]
fn a_busy_spawner_of_a_runtime_does_not_disturb_another_runtime() {
    each_config(|config| {
        let (busy, calm) = (config.build(), config.build());
        let (stop, links) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (theirs, counted) = (Arc::clone(&stop), Arc::clone(&links));
        busy.handle().spawn(move || endless_chain(theirs, counted));
        calm.run(|| {
            assert_eq!(Handle::current().workers(), config.workers);
            for _ in 0..50 {
                thread::spawn(thread::yield_now).join().unwrap();
            }
        });
        stop.store(true, SeqCst);
    });
}
