//! Sleeping and timeouts: never too short, in the order of the deadlines, and none forgotten.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{each_config, each_mode, each_run, each_runtime, stress, wait_until};
use sward_runtime::thread;

/// Runs `body` on a green thread of every runtime, and on an OS thread.
#[track_caller]
fn everywhere(body: impl Fn() + Sync) {
    each_run(&body);
    let _watchdog = crate::common::Watchdog::new();
    body();
}

#[test]
fn a_sleep_lasts_at_least_as_long_as_asked() {
    everywhere(|| {
        for duration in [1, 10, 100, 1_000, 10_000].map(Duration::from_micros) {
            let start = Instant::now();
            thread::sleep(duration);
            assert!(start.elapsed() >= duration);
        }
    });
}

#[test]
fn a_sleep_until_ends_no_earlier_than_its_deadline() {
    everywhere(|| {
        for duration in [1, 50, 3_000].map(Duration::from_micros) {
            let deadline = Instant::now() + duration;
            thread::sleep_until(deadline);
            assert!(Instant::now() >= deadline);
        }
    });
}

#[test]
fn a_sleep_of_nothing_or_until_the_past_returns() {
    everywhere(|| {
        thread::sleep(Duration::ZERO);
        thread::sleep_until(Instant::now());
        thread::sleep_until(Instant::now().checked_sub(Duration::from_secs(1)).unwrap());
    });
}

#[test]
fn a_timeout_longer_than_the_clock_can_say_waits_for_the_event() {
    each_run(|| {
        for timeout in [Duration::MAX, Duration::from_secs(1 << 40), Duration::from_secs(3_600)] {
            let parked = thread::spawn(move || thread::park_timeout(timeout));
            thread::yield_now();
            assert!(!parked.is_finished());
            parked.thread().unpark();
            parked.join().unwrap();
        }
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    each_mode(1, |config| {
        config.build().run(|| {
            let mut rounds = 0;
            while rounds < stress(5) {
                let (woken, late) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
                let start = Instant::now() + Duration::from_millis(2);
                let sleepers: Vec<_> = [9_u32, 0, 7, 3, 5, 1, 8, 2, 6, 4]
                    .into_iter()
                    .map(|i| {
                        let (woken, late) = (Arc::clone(&woken), Arc::clone(&late));
                        thread::spawn(move || {
                            late.fetch_or(Instant::now() >= start - Duration::from_millis(1), SeqCst);
                            let deadline = start + i * Duration::from_micros(500);
                            thread::sleep_until(deadline);
                            late.fetch_or(Instant::now() >= deadline + Duration::from_micros(400), SeqCst);
                            woken.lock().unwrap().push(i);
                        })
                    })
                    .collect();
                sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
                // On a machine that is busy some may not be asleep before the first wakes, or wake when the next should: such a round says nothing.
                if !late.load(SeqCst) {
                    assert!(woken.lock().unwrap().is_sorted(), "{woken:?}");
                    rounds += 1;
                }
            }
        });
    });
}

#[test]
fn a_short_sleep_is_not_held_up_by_a_long_one() {
    each_run(|| {
        let long: Vec<_> = (0..10)
            .map(|i| thread::spawn(move || thread::park_timeout(Duration::from_secs(1_000 << i))))
            .collect();
        thread::yield_now();
        thread::sleep(Duration::from_millis(1));
        assert!(long.iter().all(|handle| !handle.is_finished()));
        long.iter().for_each(|handle| handle.thread().unpark());
        long.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn a_hundred_thousand_sleepers_all_wake() {
    each_runtime(|runtime| {
        let woken = Arc::new(AtomicUsize::new(0));
        let n = stress(100_000);
        let handle = runtime.handle();
        for i in 0..n {
            let woken = Arc::clone(&woken);
            handle.spawn(move || {
                let duration = Duration::from_micros((i * 7_919 % 50_000) as u64);
                let start = Instant::now();
                thread::sleep(duration);
                assert!(start.elapsed() >= duration);
                woken.fetch_add(1, SeqCst);
            });
        }
        wait_until(|| handle.live() == 0);
        assert_eq!(woken.load(SeqCst), n);
    });
}

#[test]
fn timeouts_that_are_cut_short_leave_nothing_behind() {
    each_run(|| {
        let parked: Vec<_> = (0..stress(2_000))
            .map(|i| thread::spawn(move || thread::park_timeout(Duration::from_millis(1 + i as u64 % 5_000))))
            .collect();
        thread::yield_now();
        parked.iter().for_each(|handle| handle.thread().unpark());
        parked.into_iter().for_each(|handle| handle.join().unwrap());
        // Their frames are gone; time goes on over where they were.
        thread::sleep(Duration::from_millis(3));
    });
}

#[test]
fn a_timeout_and_an_unpark_that_race_lose_no_token() {
    each_runtime(|runtime| {
        // Whoever wins: once `given` has been raised, a token comes, and this park or the next takes it.
        let n = stress(2_000);
        let (given, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (theirs, counted) = (Arc::clone(&given), Arc::clone(&taken));
        let waiter = runtime.handle().spawn(move || {
            for i in 0..n {
                if theirs.load(SeqCst) <= i {
                    thread::park_timeout(Duration::from_micros((i % 20) as u64));
                }
                while theirs.load(SeqCst) <= i {
                    thread::park();
                }
                counted.store(i + 1, SeqCst);
            }
        });
        let thread = waiter.thread().clone();
        for i in 0..n {
            for _ in 0..i % 40 * 10 {
                std::hint::spin_loop();
            }
            given.store(i + 1, SeqCst);
            thread.unpark();
            while taken.load(SeqCst) <= i {
                std::thread::yield_now();
            }
        }
        waiter.join().unwrap();
    });
}

#[test]
fn an_unpark_near_the_deadline_is_seen_by_this_park_or_the_next() {
    each_runtime(|runtime| {
        for i in 0..stress(300) {
            let waiter = runtime.handle().spawn(move || {
                thread::park_timeout(Duration::from_micros(50));
                // If it timed out, this waits for the token that is still to come; if not, for the second.
                thread::park();
            });
            let thread = waiter.thread().clone();
            for _ in 0..i % 10 * 100 {
                std::hint::spin_loop();
            }
            thread.unpark();
            while !waiter.is_finished() {
                thread.unpark();
                std::thread::yield_now();
            }
            waiter.join().unwrap();
        }
    });
}

#[test]
fn sleepers_wake_while_others_of_their_worker_compute_and_yield() {
    each_config(|config| {
        let runtime = config.build();
        let stop = Arc::new(AtomicBool::new(false));
        let handle = runtime.handle();
        let busy: Vec<_> = (0..4 * config.workers)
            .map(|_| {
                let stop = Arc::clone(&stop);
                handle.spawn(move || {
                    let mut x = 1_u64;
                    while !stop.load(SeqCst) {
                        for _ in 0..1_000 {
                            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005));
                        }
                        thread::yield_now();
                    }
                })
            })
            .collect();
        let sleepers: Vec<_> = (0..20)
            .map(|i| {
                handle.spawn(move || {
                    for _ in 0..5 {
                        thread::sleep(Duration::from_micros(100 * i));
                    }
                })
            })
            .collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        stop.store(true, SeqCst);
        busy.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn a_sleeper_whose_worker_is_stuck_wakes_elsewhere_or_when_it_is_free() {
    // Roaming, another worker takes it over; anchored, it has to wait for its home. Neither forgets it.
    each_mode(2, |config| {
        config.build().run(|| {
            let awake = Arc::new(AtomicUsize::new(0));
            let sleepers: Vec<_> = (0..8)
                .map(|_| {
                    let awake = Arc::clone(&awake);
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(1));
                        awake.fetch_add(1, SeqCst);
                    })
                })
                .collect();
            thread::yield_now();
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(5) {
                std::hint::spin_loop(); // stuck
            }
            if config.roaming {
                while awake.load(SeqCst) < 8 {
                    std::hint::spin_loop(); // still stuck
                }
            }
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
            assert_eq!(awake.load(SeqCst), 8);
        });
    });
}

#[test]
fn the_same_green_thread_sleeps_over_and_over() {
    each_run(|| {
        let start = Instant::now();
        for _ in 0..stress(200) {
            thread::sleep(Duration::from_micros(20));
        }
        assert!(start.elapsed() >= Duration::from_micros(20) * u32::try_from(stress(200)).unwrap());
    });
}
