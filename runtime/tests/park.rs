//! The token of `park` and `unpark`: one at most, never lost, never made up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::common::{Config, each_config, each_run, each_runtime, stress, wait_until};
use sward_runtime::{runtime::Handle, thread};

/// Runs `body` on a green thread of every runtime, and on an OS thread.
#[track_caller]
fn everywhere(body: impl Fn() + Sync) {
    each_run(&body);
    let _watchdog = crate::common::Watchdog::new();
    body();
}

#[test]
fn an_unpark_that_comes_first_lets_the_next_park_through() {
    everywhere(|| {
        thread::current().unpark();
        thread::park();
        thread::current().unpark();
        thread::park_timeout(Duration::MAX);
    });
}

#[test]
fn two_unparks_are_one_token() {
    everywhere(|| {
        let me = thread::current();
        me.unpark();
        me.unpark();
        thread::park();
        let start = Instant::now();
        thread::park_timeout(Duration::from_millis(3));
        assert!(start.elapsed() >= Duration::from_millis(3), "the second token should not be there");
    });
}

#[test]
fn a_green_thread_can_be_unparked_before_it_has_started() {
    each_run(|| {
        let parked = thread::spawn(thread::park);
        parked.thread().unpark();
        parked.join().unwrap();
    });
}

#[test]
fn a_park_timeout_waits_as_long_as_it_says() {
    everywhere(|| {
        for timeout in [Duration::from_micros(50), Duration::from_millis(2)] {
            let start = Instant::now();
            thread::park_timeout(timeout);
            assert!(start.elapsed() >= timeout);
        }
        thread::park_timeout(Duration::ZERO);
    });
}

#[test]
fn a_park_timeout_that_times_out_leaves_the_next_token_alone() {
    everywhere(|| {
        thread::park_timeout(Duration::from_micros(20));
        thread::current().unpark();
        thread::park();
    });
}

#[test]
fn park_returns_once_for_each_unpark_and_never_for_no_reason() {
    each_runtime(|runtime| {
        let returns = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&returns);
        let n = stress(500);
        let parked = runtime.handle().spawn(move || {
            for _ in 0..n {
                thread::park();
                theirs.fetch_add(1, SeqCst);
            }
        });
        let thread = parked.thread().clone();
        for i in 0..n {
            assert_eq!(returns.load(SeqCst), i);
            for _ in 0..i % 3 {
                thread::yield_now();
            }
            assert_eq!(returns.load(SeqCst), i, "it returned without an unpark");
            thread.unpark();
            wait_until(|| returns.load(SeqCst) == i + 1);
        }
        parked.join().unwrap();
    });
}

#[test]
fn a_token_ends_no_other_wait_and_no_other_wait_takes_it() {
    everywhere(|| {
        let me = thread::current();
        me.unpark();
        let start = Instant::now();
        thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() >= Duration::from_millis(2), "the token ended a sleep");

        let helper = thread::spawn(move || {
            me.unpark();
            thread::sleep(Duration::from_millis(1));
            me.unpark();
            8
        });
        assert_eq!(helper.join().unwrap(), 8);
        thread::park(); // still there
        let start = Instant::now();
        thread::park_timeout(Duration::from_millis(1));
        assert!(start.elapsed() >= Duration::from_millis(1), "there was more than one token");
    });
}

#[test]
fn a_finished_thread_can_be_unparked() {
    each_run(|| {
        let handle = thread::spawn(|| ());
        let thread = handle.thread().clone();
        handle.join().unwrap();
        for _ in 0..10 {
            thread.unpark();
        }
        assert!(thread.name().is_none());
    });
    let _watchdog = crate::common::Watchdog::new();
    let ended = std::thread::spawn(thread::current).join().unwrap();
    ended.unpark();
}

/// `a` and `b` wake each other in turn.
fn ping_pong(a: &Handle, b: &Handle, rounds: usize) {
    let (give, take) = mpsc::channel::<thread::Thread>();
    let first = a.spawn(move || {
        let other = loop {
            match take.try_recv() {
                Ok(other) => break other,
                Err(_) => thread::yield_now(),
            }
        };
        for _ in 0..rounds {
            other.unpark();
            thread::park();
        }
    });
    let other = first.thread().clone();
    let second = b.spawn(move || {
        for _ in 0..rounds {
            thread::park();
            other.unpark();
        }
    });
    give.send(second.thread().clone()).unwrap();
    first.join().unwrap();
    second.join().unwrap();
}

#[test]
fn two_green_threads_wake_each_other_in_turn() {
    each_runtime(|runtime| {
        let handle = runtime.handle();
        runtime.run(|| ping_pong(&handle, &handle, stress(2_000)));
        // Several pairs, spread over the workers.
        let pairs: Vec<_> = (0..8)
            .map(|_| {
                let handle = handle.clone();
                runtime.handle().spawn(move || ping_pong(&handle, &handle, stress(300)))
            })
            .collect();
        pairs.into_iter().for_each(|pair| pair.join().unwrap());
    });
}

#[test]
fn green_threads_of_two_runtimes_wake_each_other_in_turn() {
    each_config(|config| {
        let (here, there) = (config.build(), config.build());
        ping_pong(&here.handle(), &there.handle(), stress(300));
    });
}

#[test]
fn a_green_thread_and_an_os_thread_wake_each_other_in_turn() {
    each_runtime(|runtime| {
        let me = thread::current();
        let rounds = stress(300);
        let green = runtime.handle().spawn(move || {
            for _ in 0..rounds {
                thread::park();
                me.unpark();
            }
        });
        for _ in 0..rounds {
            green.thread().unpark();
            thread::park();
        }
        green.join().unwrap();
    });
}

#[test]
fn two_os_threads_wake_each_other_in_turn() {
    let _watchdog = crate::common::Watchdog::new();
    let me = thread::current();
    let (give, take) = mpsc::channel();
    let rounds = stress(300);
    let other = std::thread::spawn(move || {
        give.send(thread::current()).unwrap();
        for _ in 0..rounds {
            thread::park();
            me.unpark();
        }
    });
    let thread = take.recv().unwrap();
    assert_ne!(thread.id(), thread::current().id());
    for _ in 0..rounds {
        thread.unpark();
        thread::park();
    }
    other.join().unwrap();
}

#[test]
fn the_token_of_std_does_not_end_a_park() {
    let _watchdog = crate::common::Watchdog::new();
    std::thread::current().unpark();
    let start = Instant::now();
    thread::park_timeout(Duration::from_millis(5));
    assert!(start.elapsed() >= Duration::from_millis(5));
}

/// Four OS threads add work and unpark at full speed; the green thread takes it all.
fn storm(config: Config, wait: impl Fn() + Send + Copy + 'static) {
    let runtime = config.build();
    let work = Arc::new(AtomicUsize::new(0));
    let each = stress(5_000);
    let theirs = Arc::clone(&work);
    let taker = runtime.handle().spawn(move || {
        let mut taken = 0;
        while taken < 4 * each {
            match theirs.swap(0, SeqCst) {
                0 => wait(),
                n => taken += n,
            }
        }
        taken
    });
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let thread = taker.thread().clone();
                for _ in 0..each {
                    work.fetch_add(1, SeqCst);
                    thread.unpark();
                }
            });
        }
    });
    assert_eq!(taker.join().unwrap(), 4 * each);
}

#[test]
fn no_unpark_is_lost_in_a_storm_from_four_os_threads() {
    each_config(|config| storm(config, thread::park));
}

#[test]
fn no_unpark_is_lost_in_a_storm_that_races_with_timeouts() {
    each_config(|config| storm(config, || thread::park_timeout(Duration::from_micros(5))));
}

#[test]
fn a_crowd_that_parks_is_woken_to_the_last() {
    each_runtime(|runtime| {
        let woken = Arc::new(AtomicUsize::new(0));
        let n = stress(5_000);
        let crowd: Vec<_> = (0..n)
            .map(|_| {
                let woken = Arc::clone(&woken);
                runtime.handle().spawn(move || {
                    thread::park();
                    woken.fetch_add(1, SeqCst);
                })
            })
            .collect();
        // Half from here, half from a green thread.
        crowd.iter().step_by(2).for_each(|handle| handle.thread().unpark());
        let rest: Vec<_> = crowd.iter().skip(1).step_by(2).map(|handle| handle.thread().clone()).collect();
        runtime.run(|| rest.iter().for_each(|thread| thread.unpark()));
        crowd.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(woken.load(SeqCst), n);
    });
}

#[test]
fn what_happened_before_unpark_is_seen_after_park() {
    each_run(|| {
        for _ in 0..stress(200) {
            let ready = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&ready);
            let waiter = thread::spawn(move || {
                thread::park();
                theirs.load(std::sync::atomic::Ordering::Relaxed)
            });
            ready.store(true, std::sync::atomic::Ordering::Relaxed);
            waiter.thread().unpark();
            assert!(waiter.join().unwrap());
        }
    });
}
