//! Panics stay where they are: with the green thread that panics, and whoever joins it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{DropToken, Drops, OnDrop, each_mode, each_run, each_runtime, stress, wait_until};
use sward_runtime::thread;

#[test]
fn a_worker_goes_on_after_a_panic() {
    each_run(|| {
        for i in 0..stress(100) {
            let failed = thread::spawn(move || if i % 2 == 0 { panic!("on purpose") } else { i });
            assert_eq!(failed.join().is_err(), i % 2 == 0);
            assert!(!thread::panicking());
        }
    });
}

#[test]
fn many_panic_at_once_on_all_workers() {
    each_runtime(|runtime| {
        let n = stress(1_000);
        let failed: usize = runtime.run(|| {
            let handles: Vec<_> = (0..n)
                .map(|i| {
                    thread::spawn(move || {
                        if i % 3 == 0 {
                            thread::yield_now();
                        }
                        panic_any(i);
                    })
                })
                .collect();
            let handles: Vec<thread::JoinHandle<()>> = handles;
            handles
                .into_iter()
                .enumerate()
                .map(|(i, handle)| usize::from(*handle.join().unwrap_err().downcast::<usize>().unwrap() == i))
                .sum()
        });
        assert_eq!(failed, n);
    });
}

#[test]
fn a_panic_is_caught_on_the_green_thread_itself_also_across_suspensions() {
    each_run(|| {
        let handles: Vec<_> = (0..stress(100))
            .map(|i| {
                thread::spawn(move || {
                    let caught = catch_unwind(|| {
                        thread::yield_now();
                        thread::sleep(Duration::from_micros(10));
                        panic_any(i);
                    });
                    let caught: Result<(), _> = caught;
                    *caught.unwrap_err().downcast::<usize>().unwrap()
                })
            })
            .collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), i);
        }
    });
}

#[test]
fn one_panics_while_others_are_suspended_in_their_unwinding() {
    each_runtime(|runtime| {
        let n = 20;
        let suspended = Arc::new(AtomicUsize::new(0));
        let unwinding: Vec<_> = (0..n)
            .map(|i| {
                let suspended = Arc::clone(&suspended);
                runtime.handle().spawn(move || {
                    let _slow = OnDrop(|| {
                        suspended.fetch_add(1, SeqCst);
                        thread::park();
                        thread::yield_now();
                    });
                    thread::yield_now();
                    panic_any(i);
                })
            })
            .collect();
        let unwinding: Vec<thread::JoinHandle<()>> = unwinding;
        wait_until(|| suspended.load(SeqCst) == n);
        runtime.run(|| {
            for _ in 0..50 {
                let other = thread::spawn(|| {
                    thread::yield_now();
                    panic!("on purpose");
                });
                let other: thread::JoinHandle<()> = other;
                assert!(other.join().is_err());
                assert_eq!(thread::spawn(|| 5).join().unwrap(), 5);
            }
        });
        // The last that began goes on first.
        for (i, handle) in unwinding.into_iter().enumerate().rev() {
            handle.thread().unpark();
            assert_eq!(*handle.join().unwrap_err().downcast::<usize>().unwrap(), i);
        }
        // The workers' panic counts are back to zero.
        runtime.run(|| {
            for _ in 0..50 {
                thread::spawn(|| assert!(!thread::panicking())).join().unwrap();
            }
        });
    });
}

#[test]
fn an_unwinding_green_thread_stays_on_its_os_thread() {
    each_runtime(|runtime| {
        let handles: Vec<_> = (0..50)
            .map(|i| {
                runtime.handle().spawn(move || {
                    let _slow = OnDrop(|| {
                        let before = crate::common::os_thread_id();
                        for _ in 0..10 {
                            thread::yield_now();
                            thread::sleep(Duration::from_micros(i));
                            assert_eq!(crate::common::os_thread_id(), before);
                        }
                    });
                    panic!("on purpose");
                })
            })
            .collect();
        for handle in handles {
            let ended: std::thread::Result<()> = handle.join();
            assert!(ended.unwrap_err().is::<&str>());
        }
    });
}

#[test]
fn a_payload_is_dropped_exactly_once() {
    each_run(|| {
        let drops = Drops::new();
        let panic_with = |token: DropToken| thread::spawn(move || -> u8 { resume_unwind(Box::new(token)) });
        // By the joiner.
        let payload = panic_with(drops.token()).join().unwrap_err();
        assert_eq!(drops.count(), 0);
        drop(payload);
        assert_eq!(drops.count(), 1);
        // With the handle, before and after the end.
        drop(panic_with(drops.token()));
        wait_until(|| drops.count() == 2);
        let handle = panic_with(drops.token());
        wait_until(|| handle.is_finished());
        drop(handle);
        assert_eq!(drops.count(), 3);
        // By a scope.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            crate::common::quiet_panics();
            thread::scope(|s| {
                let token = drops.token();
                s.spawn(move || resume_unwind(Box::new(token)));
            });
        }));
        assert!(outcome.is_err());
        assert_eq!(drops.count(), 4);
    });
}

/// Panics in its destructor.
struct Bomb(#[expect(dead_code, reason = "counts the drop of the whole")] DropToken);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose: a destructor");
    }
}

#[test]
fn a_detached_result_that_panics_in_its_destructor_harms_nobody() {
    each_run(|| {
        let drops = Drops::new();
        for i in 1..=20 {
            let token = drops.token();
            drop(thread::spawn(move || Bomb(token)));
            wait_until(|| drops.count() == i);
        }
        // Also when the handle is what drops it, and when it is a panic's payload.
        let token = drops.token();
        let handle = thread::spawn(move || Bomb(token));
        wait_until(|| handle.is_finished());
        drop(handle);
        assert_eq!(drops.count(), 21);
        let token = drops.token();
        drop(thread::spawn(move || resume_unwind(Box::new(Bomb(token)))));
        wait_until(|| drops.count() == 22);
        assert!(!thread::panicking());
        assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
    });
}

#[test]
fn a_destructor_that_panics_at_the_end_of_a_closure_is_the_closures_panic() {
    each_run(|| {
        let drops = Drops::new();
        let token = drops.token();
        let payload = thread::spawn(move || {
            let _bomb = Bomb(token);
            3
        })
        .join()
        .unwrap_err();
        assert_eq!(*payload.downcast::<&str>().unwrap(), "on purpose: a destructor");
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_std_mutex_is_poisoned_by_a_green_thread_that_panics_with_it() {
    each_run(|| {
        let mutex = Arc::new(Mutex::new(1));
        let theirs = Arc::clone(&mutex);
        let failed = thread::spawn(move || {
            let _guard = theirs.lock().unwrap();
            panic!("on purpose");
        });
        let failed: thread::JoinHandle<()> = failed;
        assert!(failed.join().is_err());
        assert!(mutex.is_poisoned());
    });
}

#[test]
fn panicking_says_so_while_it_unwinds() {
    each_mode(1, |config| {
        config.build().run(|| {
            let seen = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&seen);
            let failed = thread::spawn(move || {
                assert!(!thread::panicking());
                let _look = OnDrop(|| theirs.store(thread::panicking(), SeqCst));
                panic!("on purpose");
            });
            let failed: thread::JoinHandle<()> = failed;
            assert!(failed.join().is_err());
            assert!(seen.load(SeqCst));
        });
    });
}

#[test]
fn panicking_says_so_to_each_of_several_that_unwind_on_one_worker() {
    each_mode(1, |config| {
        let runtime = config.build();
        let (n, said) = (5, Arc::new(AtomicUsize::new(0)));
        let handles: Vec<_> = (0..n)
            .map(|_| {
                let said = Arc::clone(&said);
                runtime.handle().spawn(move || {
                    let _look = OnDrop(|| {
                        said.fetch_add(usize::from(thread::panicking()), SeqCst);
                        thread::sleep(Duration::from_millis(1));
                        said.fetch_add(usize::from(thread::panicking()), SeqCst);
                    });
                    panic!("on purpose");
                })
            })
            .collect();
        for handle in handles {
            let ended: std::thread::Result<()> = handle.join();
            assert!(ended.is_err());
        }
        assert_eq!(said.load(SeqCst), 2 * n);
    });
}

#[test]
fn run_passes_a_panic_on_and_the_runtime_goes_on() {
    each_runtime(|runtime| {
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.run(|| panic_any(7_u8))));
        let outcome: std::thread::Result<()> = outcome;
        assert_eq!(*outcome.unwrap_err().downcast::<u8>().unwrap(), 7);
        assert_eq!(runtime.run(|| 8), 8);
    });
}
