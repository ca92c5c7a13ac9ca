//! Tokens: in which order they end waits and make calls, and what of it cannot go wrong.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use crate::common::{ON_PURPOSE, each_run, quiet_panics, stress};
use sward_runtime::{
    cancel::{self, Registration, Token},
    thread,
};

#[test]
fn a_call_that_is_withdrawn_by_an_earlier_one_is_not_made() {
    let token = Token::new();
    let second: Arc<Mutex<Option<Registration>>> = Arc::default();
    let theirs = Arc::clone(&second);
    token.on_cancel(move || drop(theirs.lock().unwrap().take())).keep();
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    *second.lock().unwrap() = Some(token.on_cancel(move || _ = count.fetch_add(1, SeqCst)));
    token.cancel();
    assert_eq!(called.load(SeqCst), 0);
}

#[test]
fn waits_end_before_the_calls_are_made() {
    each_run(|| {
        let token = Token::new();
        let theirs = token.clone();
        let bound = Arc::new(Mutex::new(None));
        let joined = Arc::clone(&bound);
        // Registered before the wait is.
        token
            .on_cancel(move || {
                let handle: thread::JoinHandle<bool> = joined.lock().unwrap().take().unwrap();
                assert!(handle.join().unwrap());
            })
            .keep();
        let child = token.child();
        *bound.lock().unwrap() = Some(thread::spawn(move || theirs.child().run(thread::park).is_err()));
        token.cancel();
        assert!(child.is_cancelled() && bound.lock().unwrap().is_none());
    });
}

#[test]
fn panics_of_several_calls_leave_no_call_out() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{ON_PURPOSE}");
        }
    }
    quiet_panics();
    let token = Token::new();
    let called = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        token.on_cancel(|| std::panic::panic_any(Bomb)).keep();
    }
    let count = Arc::clone(&called);
    token.on_cancel(move || _ = count.fetch_add(1, SeqCst)).keep();
    let panicked = catch_unwind(AssertUnwindSafe(|| token.cancel()));
    std::mem::forget(panicked.unwrap_err());
    assert_eq!(called.load(SeqCst), 1);
}

#[test]
fn a_long_chain_of_children_is_dropped() {
    let mut token = Token::new();
    for _ in 0..200_000 {
        token = token.child();
    }
    drop(token);
}

#[test]
fn a_call_is_due_as_soon_as_its_token_says_that_it_is_cancelled() {
    for _ in 0..stress(50) {
        let token = Token::new();
        // Which the canceller comes to first.
        let children: Vec<Token> = (0..1_000).map(|_| token.child()).collect();
        let is_bound = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let result = token.run(|| {
                    is_bound.store(true, SeqCst);
                    while !token.is_cancelled() {
                        std::hint::spin_loop();
                    }
                    cancel::is_due()
                });
                assert!(result.unwrap());
            });
            while !is_bound.load(SeqCst) {
                std::hint::spin_loop();
            }
            token.cancel();
            waits.join().unwrap();
        });
        assert!(children.iter().all(Token::is_cancelled));
    }
}
