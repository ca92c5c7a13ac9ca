//! `Semaphore`: permits are counted, given in order, and never lost; in every kind of runtime, and with OS threads.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    Watchdog, each_config, each_mode, each_run, quiet_panics, settle, spawn_either, stress, wait_until,
};
use sward_runtime::thread;
use sward_sync::{AcquireTimeoutError, Semaphore, TryAcquireError};

fn panics(f: impl FnOnce()) -> String {
    quiet_panics();
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| (*payload.downcast::<&str>().unwrap()).to_owned())
}

#[test]
fn permits_are_taken_and_given_back() {
    let semaphore = Semaphore::new(3);
    let one = semaphore.try_acquire().unwrap();
    let two = semaphore.try_acquire_many(2).unwrap();
    assert_eq!(semaphore.available_permits(), 0);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    drop(two);
    assert_eq!(semaphore.available_permits(), 2);
    assert!(semaphore.try_acquire_many(3).is_err());
    drop(one);
    assert_eq!(semaphore.acquire_many(3).unwrap().num_permits(), 3);
}

#[test]
fn a_request_for_none_is_granted_at_once() {
    let semaphore = Semaphore::new(0);
    assert_eq!(semaphore.acquire_many(0).unwrap().num_permits(), 0);
    assert_eq!(semaphore.try_acquire_many(0).unwrap().num_permits(), 0);
    semaphore.close();
    assert_eq!(semaphore.try_acquire_many(0).unwrap_err(), TryAcquireError::Closed);
}

#[test]
fn permits_are_added_and_forgotten_open_or_closed() {
    for (size, n) in (0..4).flat_map(|size| (0..4).map(move |n| (size, n))) {
        for close in [false, true] {
            let semaphore = Semaphore::new(size);
            if close {
                semaphore.close();
            }
            semaphore.add_permits(n);
            assert_eq!(semaphore.available_permits(), size + n);
            assert_eq!(semaphore.forget_permits(2), (size + n).min(2));
            assert_eq!(semaphore.available_permits(), (size + n).saturating_sub(2));
            assert_eq!(semaphore.is_closed(), close);
        }
    }
}

#[test]
fn there_are_max_permits_at_most() {
    const MAX: usize = Semaphore::MAX_PERMITS;
    static FULL: Semaphore = Semaphore::const_new(MAX);
    assert_eq!(FULL.available_permits(), MAX);
    assert!(panics(|| drop(Semaphore::new(MAX + 1))).contains("MAX_PERMITS"));
    let semaphore = Semaphore::new(1);
    assert!(panics(|| semaphore.add_permits(MAX)).contains("overflow"));
    assert!(panics(|| semaphore.add_permits(usize::MAX)).contains("overflow"));
    assert_eq!(semaphore.available_permits(), 1);
    semaphore.add_permits(MAX - 1);
    assert_eq!(semaphore.available_permits(), MAX);
}

#[test]
fn permits_are_merged_split_and_forgotten() {
    let semaphore = Semaphore::new(5);
    let mut permits = semaphore.try_acquire_many(3).unwrap();
    permits.merge(semaphore.try_acquire().unwrap());
    assert_eq!((permits.num_permits(), semaphore.available_permits()), (4, 1));
    assert!(permits.split(5).is_none());
    let none = permits.split(0).unwrap();
    let one = permits.split(1).unwrap();
    assert_eq!((none.num_permits(), one.num_permits(), permits.num_permits()), (0, 1, 3));
    drop(none);
    one.forget();
    assert_eq!(semaphore.available_permits(), 1);
    assert!(std::ptr::eq(permits.semaphore(), &semaphore));
    drop(permits);
    assert_eq!(semaphore.available_permits(), 4);
    let other = Semaphore::new(1);
    let (mut a, b) = (semaphore.try_acquire().unwrap(), other.try_acquire().unwrap());
    assert!(panics(|| a.merge(b)).contains("different semaphore"));
    assert_eq!(other.available_permits(), 1, "the rejected permit went back to its semaphore");
}

#[test]
fn owned_permits_are_merged_split_and_forgotten() {
    let semaphore = Arc::new(Semaphore::new(6_000_000_000));
    let mut permits = Arc::clone(&semaphore).try_acquire_many_owned(3_000_000_000).unwrap();
    permits.merge(Arc::clone(&semaphore).acquire_many_owned(3_000_000_000).unwrap());
    assert_eq!((permits.num_permits(), semaphore.available_permits()), (6_000_000_000, 0));
    permits.split(1).unwrap().forget();
    assert!(permits.split(6_000_000_000).is_none());
    assert!(Arc::ptr_eq(permits.semaphore(), &semaphore));
    assert_eq!(Arc::strong_count(&semaphore), 2);
    drop(permits);
    assert_eq!(semaphore.available_permits(), 5_999_999_999);
    let other = Arc::new(Semaphore::new(1));
    let (mut a, b) = (other.acquire_owned().unwrap(), semaphore.acquire_owned().unwrap());
    assert!(panics(|| a.merge(b)).contains("different semaphore"));
}

#[test]
fn a_permit_is_waited_for_by_threads_of_either_kind() {
    each_run(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiting: Vec<_> = (0..20)
            .map(|i| {
                let semaphore = Arc::clone(&semaphore);
                spawn_either(i, move || drop(semaphore.acquire().unwrap()))
            })
            .collect();
        thread::yield_now();
        semaphore.add_permits(1);
        waiting.into_iter().for_each(crate::common::Either::join);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn no_more_are_inside_than_there_are_permits() {
    const PERMITS: usize = 5;
    each_run(|| {
        let (semaphore, inside) = (Arc::new(Semaphore::new(PERMITS)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..16)
            .map(|i| {
                let (semaphore, inside) = (Arc::clone(&semaphore), Arc::clone(&inside));
                spawn_either(i / 4, move || {
                    for round in 0..stress(200) {
                        let n = u32::try_from((i + round) % PERMITS + 1).unwrap();
                        // Time-outs race with permits that come.
                        let permit = match round % 4 {
                            0 => semaphore.try_acquire_many(n).ok(),
                            1 => semaphore.acquire_many_timeout(n, Duration::from_micros(20)).ok(),
                            2 => Some(semaphore.acquire_many(n).unwrap()),
                            _ => semaphore.acquire_many_until(n, Instant::now()).ok(),
                        };
                        let Some(permit) = permit else { continue };
                        let n = permit.num_permits();
                        assert!(inside.fetch_add(n, SeqCst) + n <= PERMITS);
                        if round % 3 == 0 {
                            thread::yield_now();
                        }
                        inside.fetch_sub(n, SeqCst);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(crate::common::Either::join);
        assert_eq!(semaphore.available_permits(), PERMITS);
    });
}

/// Spawns a green thread that acquires `n` and then notes `name`; returns when it waits. For one worker.
fn queue_up(
    semaphore: &Arc<Semaphore>,
    order: &Arc<Mutex<Vec<u32>>>,
    n: u32,
    name: u32,
) -> thread::JoinHandle<()> {
    let (semaphore, order) = (Arc::clone(semaphore), Arc::clone(order));
    let handle = thread::spawn(move || {
        let permit = semaphore.acquire_many(n).unwrap();
        order.lock().unwrap().push(name);
        permit.forget();
    });
    settle();
    handle
}

#[test]
fn permits_are_given_in_the_order_in_which_they_were_asked_for() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (semaphore, order) = (Arc::new(Semaphore::new(0)), Arc::default());
            let handles: Vec<_> = (0..10).map(|i| queue_up(&semaphore, &order, 1, i)).collect();
            for _ in 0..10 {
                semaphore.add_permits(1);
            }
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(*order.lock().unwrap(), Vec::from_iter(0..10));
        });
    });
}

#[test]
fn one_that_asks_for_many_is_not_overtaken() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (semaphore, order) = (Arc::new(Semaphore::new(2)), Arc::default());
            let large = queue_up(&semaphore, &order, 3, 3);
            // Two permits are there, but gather for the first in line.
            assert_eq!(semaphore.available_permits(), 0);
            assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
            assert_eq!(semaphore.forget_permits(1), 0);
            let error = semaphore.acquire_timeout(Duration::from_millis(1)).unwrap_err();
            assert_eq!(error, AcquireTimeoutError::Timeout);
            let small = queue_up(&semaphore, &order, 1, 1);
            semaphore.add_permits(1);
            large.join().unwrap();
            assert!(!small.is_finished());
            semaphore.add_permits(1);
            small.join().unwrap();
            assert_eq!(*order.lock().unwrap(), [3, 1]);
        });
    });
}

#[test]
fn one_release_serves_as_many_as_it_is_enough_for() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (semaphore, order) = (Arc::new(Semaphore::new(0)), Arc::default());
            let handles: Vec<_> =
                [2, 1, 3, 1].into_iter().zip(0..).map(|(n, i)| queue_up(&semaphore, &order, n, i)).collect();
            semaphore.add_permits(5); // for the first two; two gather for the third
            settle();
            assert_eq!(*order.lock().unwrap(), [0, 1]);
            assert_eq!(semaphore.available_permits(), 0);
            semaphore.add_permits(3);
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
            assert_eq!(semaphore.available_permits(), 1);
        });
    });
}

#[test]
fn those_behind_one_that_times_out_go_on() {
    each_run(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let (first, then) = (Arc::clone(&semaphore), Arc::clone(&semaphore));
        let large = thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_millis(20);
            first.acquire_many_until(2, deadline).map(drop)
        });
        // Behind it or in front of it, this needs no more than there is.
        let small = spawn_either(1, move || then.acquire().map(drop));
        assert_eq!(large.join().unwrap(), Err(AcquireTimeoutError::Timeout));
        assert_eq!(small.join(), Ok(()));
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn permits_that_find_only_those_whose_time_is_up_are_kept() {
    each_run(|| {
        for _ in 0..stress(5) {
            let (semaphore, first) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(true)));
            let deadline = Instant::now() + Duration::from_millis(2);
            let waiters: Vec<_> = (0..50)
                .map(|_| {
                    let (semaphore, first) = (Arc::clone(&semaphore), Arc::clone(&first));
                    thread::spawn(move || {
                        let permit = semaphore.acquire_many_until(2, deadline);
                        // The others are still in line, but their waits have ended at the same moment.
                        if first.swap(false, SeqCst) {
                            semaphore.add_permits(3);
                        }
                        drop(permit);
                    })
                })
                .collect();
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
            assert_eq!(semaphore.available_permits(), 3);
        }
    });
}

#[test]
fn those_behind_one_that_is_cancelled_go_on() {
    each_config(|config| {
        let (runtime, semaphore) = (config.build(), Arc::new(Semaphore::new(1)));
        let first = Arc::clone(&semaphore);
        let large = runtime.handle().spawn(move || drop(first.acquire_many(2)));
        wait_until(|| semaphore.available_permits() == 0); // it waits
        let then = Arc::clone(&semaphore);
        let small = std::thread::spawn(move || drop(then.acquire().unwrap()));
        drop(runtime);
        assert!(large.join().is_err());
        small.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn nothing_is_lost_with_those_who_are_cancelled() {
    each_config(|config| {
        let (runtime, semaphore) = (config.build(), Arc::new(Semaphore::new(2)));
        let acquired = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..50_u32)
            .map(|i| {
                let (semaphore, acquired) = (Arc::clone(&semaphore), Arc::clone(&acquired));
                runtime.handle().spawn(move || {
                    loop {
                        let _permit = semaphore.acquire_many(i % 2 + 1).unwrap();
                        acquired.fetch_add(1, SeqCst);
                        thread::yield_now();
                    }
                })
            })
            .collect();
        wait_until(|| acquired.load(SeqCst) > 100);
        drop(runtime);
        assert!(handles.into_iter().all(|handle| handle.join().is_err()));
        assert_eq!(semaphore.available_permits(), 2);
        assert_eq!(semaphore.acquire_many(2).unwrap().num_permits(), 2);
    });
}

#[test]
fn closing_ends_all_waits_and_all_that_come_later() {
    each_run(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.acquire().unwrap();
        let waiting: Vec<_> = (0..20)
            .map(|i| {
                let semaphore = Arc::clone(&semaphore);
                spawn_either(i, move || semaphore.acquire().is_err())
            })
            .collect();
        thread::yield_now();
        semaphore.close();
        assert!(waiting.into_iter().all(crate::common::Either::join));
        drop(held);
        assert_eq!(semaphore.available_permits(), 1);
        assert!(semaphore.acquire().is_err());
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
        let error = semaphore.acquire_timeout(Duration::from_secs(1)).unwrap_err();
        assert_eq!(error, AcquireTimeoutError::Closed);
    });
}

#[test]
fn who_tries_again_and_again_lets_others_run() {
    each_mode(1, |config| {
        config.build().run(|| {
            let semaphore = Arc::new(Semaphore::new(0));
            let theirs = Arc::clone(&semaphore);
            thread::spawn(move || theirs.add_permits(1));
            while semaphore.try_acquire().is_err() {}
        });
    });
}

#[test]
fn who_always_succeeds_lets_others_run() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (semaphore, end) = (Semaphore::new(1), Arc::new(AtomicBool::new(false)));
            let theirs = Arc::clone(&end);
            thread::spawn(move || theirs.store(true, SeqCst));
            while !end.load(SeqCst) {
                drop(semaphore.acquire().unwrap());
            }
        });
    });
}

#[test]
fn an_owned_permit_goes_to_another_thread() {
    let _watchdog = Watchdog::new();
    let semaphore = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&semaphore).acquire_owned().unwrap();
    assert!(Arc::clone(&semaphore).try_acquire_owned().is_err());
    assert!(Arc::clone(&semaphore).acquire_owned_timeout(Duration::from_millis(1)).is_err());
    assert!(Arc::clone(&semaphore).acquire_owned_until(Instant::now()).is_err());
    let other = thread::spawn(move || drop(permit));
    drop(semaphore.acquire().unwrap());
    other.join().unwrap();
}

#[test]
fn what_it_looks_like() {
    assert_eq!(format!("{:?}", Semaphore::new(2)), "Semaphore { permits: 2, closed: false }");
    assert_eq!(TryAcquireError::NoPermits.to_string(), "no permits available");
}
