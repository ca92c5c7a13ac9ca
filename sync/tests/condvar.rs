//! `Condvar`: nobody misses a notification, and none is lost with a waiter that gives up.

use std::{
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    Drops, ON_PURPOSE, each_config, each_mode, each_run, settle, spawn_either, stress, until_waiting,
    wait_until,
};
use sward_runtime::{cancel::Cancelled, park::WaitReason, thread};
use sward_sync::{Condvar, Mutex, WaitTimeoutResult};

type Shared<T> = Arc<(Mutex<T>, Condvar)>;

fn shared<T>(value: T) -> Shared<T> {
    Arc::new((Mutex::new(value), Condvar::new()))
}

/// A green thread that waits once.
fn spawn_waiter(shared: &Shared<u32>) -> thread::JoinHandle<()> {
    let theirs = Arc::clone(shared);
    let waiter = thread::spawn(move || drop(theirs.1.wait(theirs.0.lock().unwrap()).unwrap()));
    until_waiting(waiter.thread(), WaitReason::Condvar);
    waiter
}

#[test]
fn a_notification_without_waiters_does_nothing() {
    let condvar = Condvar::default();
    condvar.notify_one();
    condvar.notify_all();
    let mutex = Mutex::new(());
    assert!(condvar.wait_timeout(mutex.lock().unwrap(), Duration::ZERO).unwrap().1.timed_out());
    assert_eq!(format!("{condvar:?}"), "Condvar { .. }");
}

#[test]
fn it_is_small_and_may_be_shared_across_panics() {
    fn check<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    check::<Condvar>();
    assert!(size_of::<Condvar>() <= 8);
    let (result, copy): (WaitTimeoutResult, _);
    result = Condvar::new().wait_until(Mutex::new(()).lock().unwrap(), Instant::now()).unwrap().1;
    copy = result;
    assert_eq!(format!("{copy:?}"), "WaitTimeoutResult(true)");
    assert_eq!(result, copy);
}

#[test]
fn threads_of_both_kinds_wait_for_what_the_others_do() {
    each_run(|| {
        let shared = shared(0);
        let n = stress(200);
        // Each adds one when it is its turn.
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let shared = Arc::clone(&shared);
                spawn_either(usize::from(i == 3), move || {
                    for turn in 0..n {
                        let (turns, changed) = &*shared;
                        let mine = turn * 4 + i;
                        let mut turns =
                            changed.wait_while(turns.lock().unwrap(), |turns| *turns != mine).unwrap();
                        *turns += 1;
                        changed.notify_all();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(crate::common::Either::join);
        assert_eq!(*shared.0.lock().unwrap(), 4 * n);
    });
}

#[test]
fn one_notification_wakes_one_and_the_one_that_has_waited_longest() {
    each_run(|| {
        let shared = shared(0);
        let waiters: Vec<_> = (0..5).map(|_| spawn_waiter(&shared)).collect();
        for (i, waiter) in waiters.into_iter().enumerate() {
            assert!(!waiter.is_finished());
            if i % 2 == 0 {
                shared.1.notify_one();
            } else {
                let guard = shared.0.lock().unwrap();
                shared.1.notify_one();
                drop(guard);
            }
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_notification_for_all_wakes_ten_thousand() {
    each_run(|| {
        let shared = shared(0);
        let threads: Vec<_> = (0..10_000)
            .map(|_| {
                let theirs = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut woken = theirs.1.wait(theirs.0.lock().unwrap()).unwrap();
                    *woken += 1;
                })
            })
            .collect();
        threads.iter().for_each(|thread| until_waiting(thread.thread(), WaitReason::Condvar));
        shared.1.notify_all();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*shared.0.lock().unwrap(), 10_000);
        let (_guard, late) = shared.1.wait_timeout(shared.0.lock().unwrap(), Duration::ZERO).unwrap();
        assert!(late.timed_out(), "nothing is left over");
    });
}

#[test]
fn the_mutex_is_unlocked_during_the_wait_and_locked_after_it() {
    each_run(|| {
        let shared = shared(0);
        let waiter = spawn_waiter(&shared);
        let guard = shared.0.try_lock().expect("unlocked");
        shared.1.notify_one();
        until_waiting(waiter.thread(), WaitReason::Lock);
        drop(guard);
        waiter.join().unwrap();
    });
}

#[test]
fn a_wait_ends_in_time_with_the_mutex_locked() {
    each_run(|| {
        let shared = shared(1);
        let (mutex, condvar) = &*shared;
        let (start, ms) = (Instant::now(), Duration::from_millis(2));
        let (guard, result) = condvar.wait_timeout(mutex.lock().unwrap(), ms).unwrap();
        assert!(result.timed_out() && start.elapsed() >= ms);
        assert!(mutex.try_lock().is_err());
        let (guard, result) = condvar.wait_until(guard, start).unwrap();
        assert!(result.timed_out());
        #[expect(deprecated, reason = "std has it still")]
        let (guard, notified) = condvar.wait_timeout_ms(guard, 1).unwrap();
        assert!(!notified);
        let (guard, result) = condvar.wait_timeout_while(guard, ms, |n| *n == 1).unwrap();
        assert!(result.timed_out());
        let (guard, result) = condvar.wait_timeout_while(guard, Duration::ZERO, |n| *n == 0).unwrap();
        assert!(!result.timed_out(), "the condition comes first");
        assert_eq!(*condvar.wait_while(guard, |n| *n == 0).unwrap(), 1);
    });
}

#[test]
fn a_wait_as_long_as_can_be_ends_with_the_notification() {
    each_run(|| {
        let shared = shared(false);
        let theirs = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            let (open, changed) = &*theirs;
            let (open, result) =
                changed.wait_timeout_while(open.lock().unwrap(), Duration::MAX, |open| !*open).unwrap();
            assert!(*open && !result.timed_out());
            drop(open);
            let (_, result) = changed.wait_timeout(theirs.0.lock().unwrap(), Duration::MAX).unwrap();
            assert!(!result.timed_out());
        });
        until_waiting(waiter.thread(), WaitReason::Condvar);
        *shared.0.lock().unwrap() = true;
        shared.1.notify_one();
        while !waiter.is_finished() {
            shared.1.notify_one();
            thread::yield_now();
        }
        waiter.join().unwrap();
    });
}

/// Each notification ends the wait of one who is not late, or of the next.
#[test]
fn notifications_that_race_with_time_limits_are_not_lost() {
    each_run(|| {
        for i in 0..stress(200) {
            let shared = shared(0);
            let hasty = {
                let theirs = Arc::clone(&shared);
                let limit = Duration::from_micros((i * 3 % 50) as u64);
                spawn_either(usize::from(i % 10 == 0), move || {
                    let (_guard, result) = theirs.1.wait_timeout(theirs.0.lock().unwrap(), limit).unwrap();
                    !result.timed_out()
                })
            };
            if i % 3 == 0 {
                thread::yield_now();
            }
            let patient = spawn_waiter(&shared);
            shared.1.notify_one();
            if hasty.join() {
                assert!(!patient.is_finished(), "one notification, two woken");
                shared.1.notify_one();
            }
            patient.join().unwrap();
        }
    });
}

#[test]
fn one_that_waits_again_is_not_woken_again() {
    each_mode(1, |config| {
        config.build().run(|| {
            let shared = shared(0);
            let theirs = Arc::clone(&shared);
            let again = thread::spawn(move || {
                let guard = theirs.1.wait(theirs.0.lock().unwrap()).unwrap();
                let mut guard = theirs.1.wait(guard).unwrap();
                *guard += 1;
            });
            until_waiting(again.thread(), WaitReason::Condvar);
            let others: Vec<_> = (0..200).map(|_| spawn_waiter(&shared)).collect();
            shared.1.notify_all();
            others.into_iter().for_each(|waiter| waiter.join().unwrap());
            until_waiting(again.thread(), WaitReason::Condvar);
            assert_eq!(*shared.0.lock().unwrap(), 0);
            shared.1.notify_all();
            again.join().unwrap();
        });
    });
}

#[test]
fn a_poisoned_mutex_is_told_by_every_wait() {
    each_run(|| {
        let shared = shared(0);
        let theirs = Arc::clone(&shared);
        let failed = thread::spawn(move || {
            let _guard = theirs.0.lock().unwrap();
            panic!("{ON_PURPOSE}");
        });
        assert!(failed.join().is_err());
        let lock = || shared.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let soon = Duration::from_micros(1);
        assert!(shared.1.wait_timeout(lock(), soon).unwrap_err().into_inner().1.timed_out());
        assert!(shared.1.wait_until(lock(), Instant::now()).is_err());
        #[expect(deprecated, reason = "std has it still")]
        let late = shared.1.wait_timeout_ms(lock(), 1);
        assert!(!late.unwrap_err().into_inner().1);
        for timed in [false, true] {
            let theirs = Arc::clone(&shared);
            let waiter = thread::spawn(move || {
                let guard = theirs.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if timed {
                    assert!(theirs.1.wait_timeout_while(guard, Duration::MAX, |_| true).is_err());
                } else {
                    assert!(theirs.1.wait(guard).is_err());
                }
            });
            until_waiting(waiter.thread(), WaitReason::Condvar);
            shared.1.notify_one();
            waiter.join().unwrap();
        }
    });
}

#[test]
fn those_that_are_cancelled_while_they_wait_lock_nothing() {
    each_config(|config| {
        let shared = shared(0);
        let drops = Drops::new();
        let runtime = config.build();
        let waiters: Vec<_> = (0..20)
            .map(|i| {
                let (theirs, token) = (Arc::clone(&shared), drops.token());
                let waiter = runtime.handle().spawn(move || {
                    let _token = token;
                    let guard = theirs.0.lock().unwrap();
                    let limit = Duration::from_secs(10_000);
                    if i % 2 == 0 {
                        drop(theirs.1.wait(guard))
                    } else {
                        drop(theirs.1.wait_timeout(guard, limit))
                    }
                });
                until_waiting(waiter.thread(), WaitReason::Condvar);
                waiter
            })
            .collect();
        let theirs = Arc::clone(&shared);
        let waiting = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&waiting);
        let patient = std::thread::spawn(move || {
            let guard = theirs.0.lock().unwrap();
            flag.store(true, SeqCst);
            drop(theirs.1.wait_while(guard, |n| *n == 0).unwrap());
        });
        wait_until(|| waiting.load(SeqCst));
        // It holds the mutex: those who unwind must not want it.
        let mut guard = shared.0.lock().unwrap();
        drop(runtime);
        assert_eq!(drops.count(), 20);
        for waiter in waiters {
            assert!(waiter.join().unwrap_err().is::<Cancelled>());
        }
        *guard = 1;
        shared.1.notify_one();
        drop(guard);
        patient.join().unwrap();
        assert!(!shared.0.is_poisoned());
    });
}

/// They were notified, and would have to wait for the mutex, which the one that ends the runtime holds.
#[test]
fn a_notified_one_that_is_cancelled_passes_the_notification_on() {
    each_config(|config| {
        let shared = shared(0);
        let runtime = config.build();
        let theirs = Arc::clone(&shared);
        let waiter = runtime.handle().spawn(move || drop(theirs.1.wait(theirs.0.lock().unwrap())));
        until_waiting(waiter.thread(), WaitReason::Condvar);
        let (theirs, waiting) = (Arc::clone(&shared), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&waiting);
        let patient = std::thread::spawn(move || {
            let guard = theirs.0.lock().unwrap();
            flag.store(true, SeqCst);
            // Woken by the one notification, which was the other's.
            drop(theirs.1.wait(guard).unwrap());
        });
        wait_until(|| waiting.load(SeqCst));
        let guard = shared.0.lock().unwrap();
        shared.1.notify_one();
        until_waiting(waiter.thread(), WaitReason::Lock);
        drop(runtime);
        assert!(waiter.join().unwrap_err().is::<Cancelled>());
        drop(guard);
        patient.join().unwrap();
    });
}

#[test]
fn a_wait_in_no_suspend_panics_and_unlocks() {
    each_run(|| {
        let shared = shared(0);
        let theirs = Arc::clone(&shared);
        let failed = thread::spawn(move || {
            let guard = theirs.0.lock().unwrap();
            thread::no_suspend(|| drop(theirs.1.wait(guard)));
        });
        assert!(failed.join().is_err());
        assert!(
            shared.0.try_lock().is_err_and(|error| matches!(error, sward_sync::TryLockError::Poisoned(_)))
        );
    });
}

#[test]
fn it_works_while_an_os_thread_is_ending() {
    struct WaitWhenDropped(Shared<u32>);
    impl Drop for WaitWhenDropped {
        fn drop(&mut self) {
            let (number, changed) = &*self.0;
            let mut number = number.lock().unwrap();
            *number = 1;
            drop(changed.wait_while(number, |number| *number == 1).unwrap());
        }
    }
    std::thread_local! {
        static WAITS: std::cell::RefCell<Option<WaitWhenDropped>> = const { std::cell::RefCell::new(None) };
    }
    let _watchdog = crate::common::Watchdog::new();
    for _ in 0..stress(20) {
        let shared = shared(0);
        let waits = WaitWhenDropped(Arc::clone(&shared));
        let ending = std::thread::spawn(move || {
            WAITS.set(Some(waits));
            // Makes what waits on OS threads keep, which is then destroyed first.
            let other = Mutex::new(());
            drop(Condvar::new().wait_timeout(other.lock().unwrap(), Duration::ZERO));
        });
        wait_until(|| *shared.0.lock().unwrap() == 1);
        settle();
        *shared.0.lock().unwrap() = 2;
        shared.1.notify_one();
        ending.join().unwrap();
    }
}

/// A queue with room for one: each item goes through, one at a time.
#[test]
fn a_queue_of_one_loses_nothing() {
    each_run(|| {
        let queue: Arc<(Mutex<Option<usize>>, Condvar, Condvar)> = Arc::default();
        let n = stress(500);
        let left = Arc::new(AtomicUsize::new(3 * n));
        let takers: Vec<_> = (0..3)
            .map(|i| {
                let (queue, left) = (Arc::clone(&queue), Arc::clone(&left));
                spawn_either(usize::from(i == 2), move || {
                    let mut sum = 0;
                    let (slot, room, item) = &*queue;
                    loop {
                        let empty = |slot: &mut Option<usize>| slot.is_none() && left.load(SeqCst) > 0;
                        let mut slot = item.wait_while(slot.lock().unwrap(), empty).unwrap();
                        let Some(value) = slot.take() else { return sum };
                        sum += value;
                        if left.fetch_sub(1, SeqCst) == 1 {
                            item.notify_all();
                        }
                        room.notify_one();
                    }
                })
            })
            .collect();
        let givers: Vec<_> = (0..3)
            .map(|i| {
                let queue = Arc::clone(&queue);
                spawn_either(usize::from(i == 2), move || {
                    let (slot, room, item) = &*queue;
                    for value in 1..=n {
                        let mut slot = room.wait_while(slot.lock().unwrap(), |slot| slot.is_some()).unwrap();
                        *slot = Some(value);
                        item.notify_one();
                    }
                })
            })
            .collect();
        givers.into_iter().for_each(crate::common::Either::join);
        let sum: usize = takers.into_iter().map(crate::common::Either::join).sum();
        assert_eq!(sum, 3 * n * (n + 1) / 2);
    });
}
