//! `Once`: one function runs, the others wait for it; poisoning; in every kind of runtime, and with OS threads.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use crate::common::{
    Either, ON_PURPOSE, each_config, each_run, quiet_panics, spawn_either, stress, wait_until,
};
use sward_runtime::{cancel::Cancelled, thread};
use sward_sync::Once;

fn poison(once: &Once) {
    quiet_panics();
    catch_unwind(AssertUnwindSafe(|| once.call_once(|| panic!("{ON_PURPOSE}")))).unwrap_err();
}

#[test]
fn the_first_function_is_called_and_no_other() {
    static ONCE: Once = Once::new();
    let mut calls = 0;
    ONCE.call_once(|| calls += 1);
    ONCE.call_once(|| calls += 10);
    ONCE.call_once_force(|_| calls += 100);
    assert_eq!(calls, 1);
    ONCE.wait();
    ONCE.wait_force();
}

#[test]
fn it_takes_a_few_bytes() {
    assert!(size_of::<Once>() <= 4);
}

#[test]
fn whoever_returns_sees_what_the_function_did() {
    each_run(|| {
        for _ in 0..stress(20) {
            let once = Arc::new((Once::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
            let threads: Vec<_> = (0..8)
                .map(|i| {
                    let once = Arc::clone(&once);
                    spawn_either(i, move || {
                        let (once, calls, value) = &*once;
                        let call = || {
                            calls.fetch_add(1, SeqCst);
                            thread::yield_now();
                            value.store(42, SeqCst);
                        };
                        match i % 4 {
                            0 | 1 => once.call_once(call),
                            2 => once.call_once_force(|_| call()),
                            _ => once.wait(),
                        }
                        assert!(once.is_completed());
                        assert_eq!((calls.load(SeqCst), value.load(SeqCst)), (1, 42));
                    })
                })
                .collect();
            threads.into_iter().for_each(Either::join);
        }
    });
}

#[test]
fn it_is_not_complete_while_the_function_runs() {
    let once = Once::new();
    once.call_once(|| assert!(!once.is_completed()));
    assert!(once.is_completed());
}

#[test]
fn a_panic_poisons_until_a_forced_call_succeeds() {
    let once = Once::new();
    poison(&once);
    assert!(!once.is_completed());
    let refused = catch_unwind(AssertUnwindSafe(|| once.call_once(|| ())));
    let text = *refused.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(text, "Once instance has previously been poisoned");
    catch_unwind(AssertUnwindSafe(|| once.wait())).unwrap_err();
    // A forced call that panics leaves it poisoned.
    let forced = catch_unwind(AssertUnwindSafe(|| once.call_once_force(|_| panic!("{ON_PURPOSE}"))));
    forced.unwrap_err();
    let mut called = false;
    once.call_once_force(|state| {
        called = true;
        assert!(state.is_poisoned());
    });
    assert!(called);
    once.call_once(|| unreachable!());
    once.call_once_force(|_| unreachable!());
}

#[test]
fn those_who_wait_for_a_function_that_panics_panic_too_or_call_theirs() {
    each_run(|| {
        let once = Arc::new(Once::new());
        let begun = Arc::new(AtomicBool::new(false));
        let first = {
            let (once, begun) = (Arc::clone(&once), Arc::clone(&begun));
            thread::spawn(move || {
                once.call_once(|| {
                    begun.store(true, SeqCst);
                    for _ in 0..50 {
                        thread::yield_now();
                    }
                    panic!("{ON_PURPOSE}")
                });
            })
        };
        wait_until(|| begun.load(SeqCst));
        let spawn = |i, wait: fn(&Once)| {
            let once = Arc::clone(&once);
            spawn_either(i, move || catch_unwind(AssertUnwindSafe(|| wait(&once))).is_err())
        };
        let refused = (0..4).map(|i| spawn(i, |once| once.call_once(|| unreachable!()))).collect::<Vec<_>>();
        let waits = (0..4).map(|i| spawn(i, Once::wait_force)).collect::<Vec<_>>();
        assert!(first.join().is_err());
        assert!(refused.into_iter().all(Either::join));
        let forced = (0..4).map(|i| spawn(i, |once| once.call_once_force(|_| ()))).collect::<Vec<_>>();
        assert!(!forced.into_iter().any(Either::join));
        assert!(!waits.into_iter().any(Either::join));
    });
}

#[test]
fn a_forced_call_is_waited_for() {
    each_run(|| {
        let once = Arc::new(Once::new());
        poison(&once);
        let begun = Arc::new(AtomicBool::new(false));
        let (theirs, they_have) = (Arc::clone(&once), Arc::clone(&begun));
        let forced = thread::spawn(move || {
            theirs.call_once_force(|state| {
                assert!(state.is_poisoned());
                they_have.store(true, SeqCst);
                thread::yield_now();
            });
        });
        wait_until(|| begun.load(SeqCst));
        once.call_once(|| unreachable!());
        forced.join().unwrap();
    });
}

#[test]
fn to_wait_does_not_begin_it() {
    each_run(|| {
        let once = Arc::new(Once::new());
        let waiting: Vec<_> = (0..6)
            .map(|i| {
                let once = Arc::clone(&once);
                spawn_either(i, move || if i < 3 { once.wait() } else { once.wait_force() })
            })
            .collect();
        thread::yield_now();
        assert!(!once.is_completed());
        once.call_once(|| ());
        waiting.into_iter().for_each(Either::join);
    });
}

#[test]
fn one_whose_function_is_cancelled_poisons_and_those_who_wait_outside_go_on() {
    each_config(|config| {
        let (runtime, once) = (config.build(), Arc::new(Once::new()));
        let begun = Arc::new(AtomicBool::new(false));
        let (theirs, they_have) = (Arc::clone(&once), Arc::clone(&begun));
        let caller = runtime.handle().spawn(move || {
            theirs.call_once(|| {
                they_have.store(true, SeqCst);
                thread::park();
            });
        });
        wait_until(|| begun.load(SeqCst));
        let green: Vec<_> = (0..10)
            .map(|_| {
                let once = Arc::clone(&once);
                runtime.handle().spawn(move || once.wait_force())
            })
            .collect();
        let theirs = Arc::clone(&once);
        let outside = std::thread::spawn(move || {
            let mut poisoned = false;
            theirs.call_once_force(|state| poisoned = state.is_poisoned());
            poisoned
        });
        drop(runtime);
        assert!(caller.join().unwrap_err().is::<Cancelled>());
        assert!(outside.join().unwrap());
        // They were cancelled, or had been woken already.
        green.into_iter().for_each(|handle| _ = handle.join());
        once.wait();
    });
}

#[test]
fn what_it_looks_like() {
    assert_eq!(format!("{:?}", Once::new()), format!("{:?}", std::sync::Once::new()));
    let mut ours = String::new();
    Once::new().call_once_force(|state| ours = format!("{state:?}"));
    std::sync::Once::new().call_once_force(|state| assert_eq!(ours, format!("{state:?}")));
}
