//! `Once` and `OnceLock`: those who call, those who wait, and one whose function fails.
//!
//! The real `Once` and `OnceLock`, and the lot. Stand-ins: what the function makes is [`Plain`] memory; it fails by an error, not by
//! a panic, since loom's threads share one OS thread, and with it what that counts as panicking.
//!
//! # Fails when
//!
//! - the load in `is_completed`, in `call` or in `wait_for_completion` is Relaxed, the exchange in `begin` is Relaxed (the function may
//!   have failed again since the load), or the swap in `Running`'s drop is Relaxed: the value is not seen;
//! - `park` sets `PARKED` whatever the state is, or `begin` clears it: a waiter is forgotten.

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_sync::{Once, OnceLock};

type Lock = OnceLock<Plain<u32>>;

fn made(value: u32) -> Plain<u32> {
    let memory = Plain::new(0);
    memory.set(value);
    memory
}

/// A thread of its own that does something with what is shared.
fn spawn<S: 'static, R: 'static>(
    shared: &Arc<S>,
    f: impl FnOnce(&S) -> R + 'static,
) -> thread::JoinHandle<R> {
    let shared = Arc::clone(shared);
    thread::spawn(move || f(&shared))
}

#[test]
fn of_two_callers_one_calls_and_both_see() {
    check(|| {
        let shared = Arc::new((Once::new(), Plain::new(0)));
        let call = |(once, memory): &(Once, Plain<u32>)| {
            once.call_once(|| memory.set(memory.get() + 1));
            assert_eq!(memory.get(), 1);
        };
        let other = spawn(&shared, call);
        call(&shared);
        other.join().unwrap();
    });
}

#[test]
fn of_three_callers_one_calls_and_all_see() {
    check_bounded(2, || {
        let lock = Arc::new(Lock::new());
        let others = [1, 2].map(|n| spawn(&lock, move |lock| lock.get_or_init(|| made(n)).get()));
        let here = lock.get_or_init(|| made(3)).get();
        for other in others {
            assert_eq!(other.join().unwrap(), here);
        }
    });
}

#[test]
fn a_look_finds_nothing_or_the_value() {
    check(|| {
        let lock = Arc::new(Lock::new());
        let other = spawn(&lock, |lock| lock.set(made(7)).is_ok());
        if let Some(value) = lock.get() {
            assert_eq!(value.get(), 7);
        }
        assert!(other.join().unwrap());
    });
}

#[test]
fn who_waits_sees_what_the_caller_made() {
    check_bounded(2, || {
        let lock = Arc::new(Lock::new());
        let waiter = spawn(&lock, |lock| assert_eq!(lock.wait().get(), 7));
        let caller = spawn(&lock, |lock| lock.get_or_init(|| made(7)).get());
        assert_eq!(lock.wait().get(), 7);
        waiter.join().unwrap();
        caller.join().unwrap();
    });
}

#[test]
fn after_a_failure_one_of_those_who_waited_calls() {
    check_bounded(4, || {
        let lock = Arc::new((Lock::new(), Plain::new(0)));
        let failing = spawn(&lock, |(lock, memory)| {
            for _ in 0..2 {
                let _ = lock.get_or_try_init(|| {
                    memory.set(memory.get() + 1);
                    Err(())
                });
            }
        });
        let (once, memory) = &*lock;
        let value = once.get_or_init(|| {
            memory.set(memory.get() + 1);
            made(7)
        });
        assert_eq!(value.get(), 7);
        assert!(memory.get() > 0);
        failing.join().unwrap();
    });
}

#[test]
fn after_a_failure_those_who_wait_for_the_value_wait_on() {
    check_bounded(4, || {
        let lock = Arc::new(Lock::new());
        let caller = spawn(&lock, |lock| {
            assert!(lock.get_or_try_init(|| Err(())).is_err());
            assert!(lock.set(made(7)).is_ok());
        });
        assert_eq!(lock.wait().get(), 7);
        caller.join().unwrap();
    });
}
