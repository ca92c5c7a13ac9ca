//! Waits that begin while another green thread of the worker is in the middle of its unwinding: nothing ends them meanwhile, and everything does as soon as that
//! is over.

use std::{
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{OnDrop, each_run, quiet_panics, stress, wait_until};
use sward_runtime::{
    cancel::{self, Token},
    thread::{self, JoinHandle, State},
    time,
};

const LONG: Duration = Duration::from_secs(10_000);
const SHORT: Duration = Duration::from_millis(1);

/// Starts a green thread that panics, and comes back when it is in a destructor. That ends when the green thread is unparked.
fn unwinding() -> JoinHandle<()> {
    let (begun, go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let theirs = (Arc::clone(&begun), Arc::clone(&go));
    let handle = thread::spawn(move || {
        let _waits = OnDrop(move || {
            theirs.0.store(true, SeqCst);
            thread::park();
        });
        panic!("on purpose");
    });
    wait_until(|| begun.load(SeqCst) && is_waiting(&handle));
    handle
}

fn is_waiting<T>(handle: &JoinHandle<T>) -> bool {
    matches!(handle.thread().state(), State::Waiting(_))
}

/// Whether it waits, or has done so: one on another worker is in no doubt.
fn has_waited<T>(handle: &JoinHandle<T>) -> bool {
    is_waiting(handle) || handle.is_finished()
}

/// Starts one that waits.
fn waiting<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let handle = thread::spawn(f);
    wait_until(|| has_waited(&handle));
    handle
}

fn end(unwinding: JoinHandle<()>) {
    unwinding.thread().unpark();
    assert!(unwinding.join().is_err());
}

#[test]
fn limits_hold_again_once_nobody_unwinds() {
    quiet_panics();
    each_run(|| {
        let other = unwinding();
        let limited = waiting(|| time::timeout(SHORT, thread::park));
        let limited_twice =
            waiting(|| time::timeout(LONG, || time::timeout(SHORT, || thread::park_timeout(LONG))));
        let shielded = waiting(|| cancel::shield(|| time::timeout(SHORT, thread::park)));
        let token = Token::new();
        let with_token = waiting({
            let token = token.clone();
            move || token.run(thread::park)
        });
        let (cancelled, cancelled_late) =
            (waiting(thread::park), waiting(|| time::timeout(LONG, thread::park)));
        let (woken, woken_late) = (waiting(thread::park), waiting(|| time::timeout(LONG, thread::park)));

        // What nobody doubts ends meanwhile.
        woken.thread().unpark();
        woken.join().expect("woken");
        cancelled.cancel();
        end(other);
        assert!(limited.join().expect("it returns").is_err());
        assert!(limited_twice.join().expect("it returns").expect("in time").is_err());
        assert!(shielded.join().expect("it returns").is_err());
        assert!(cancelled.join().is_err());
        token.cancel();
        assert!(with_token.join().expect("it returns").is_err());
        cancelled_late.cancel();
        assert!(cancelled_late.join().is_err());
        woken_late.thread().unpark();
        woken_late.join().expect("it returns").expect("in time");
    });
}

/// Starts one that panics, catches that, and then waits in `wait`; it comes back when another has begun to unwind meanwhile.
fn caught<T: Send + 'static>(wait: fn() -> T) -> (JoinHandle<T>, JoinHandle<()>) {
    let (unwinds, has_caught) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let theirs = (Arc::clone(&unwinds), Arc::clone(&has_caught));
    let caught = thread::spawn(move || {
        let result = catch_unwind(|| {
            let _waits = OnDrop(|| {
                theirs.0.store(true, SeqCst);
                thread::park();
            });
            panic!("on purpose");
        });
        assert!(result.is_err());
        theirs.1.store(true, SeqCst);
        wait()
    });
    wait_until(|| unwinds.load(SeqCst) && is_waiting(&caught));
    let other = unwinding();
    caught.thread().unpark();
    wait_until(|| has_caught.load(SeqCst) && has_waited(&caught));
    (caught, other)
}

#[test]
fn limits_hold_again_for_one_that_has_caught_its_panic() {
    quiet_panics();
    each_run(|| {
        let (limited, other) = caught(|| time::timeout(SHORT * 10, thread::park));
        end(other);
        assert!(limited.join().expect("it returns").is_err());

        let (cancelled, other) = caught(thread::park);
        cancelled.cancel();
        end(other);
        assert!(cancelled.join().is_err());
    });
}

#[test]
fn who_waits_on_afterwards_leaves_no_doubt_about_others() {
    quiet_panics();
    each_run(|| {
        let other = unwinding();
        let waits_on = waiting(thread::park);
        end(other);
        let said = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&said);
        let panics = thread::spawn(move || {
            let _look = OnDrop(|| theirs.store(thread::is_known_to_panic(), SeqCst));
            panic!("on purpose");
        });
        assert!(panics.join().is_err());
        assert!(said.load(SeqCst));
        waits_on.thread().unpark();
        waits_on.join().expect("woken");
    });
}

/// With several that unwind, of which the last one that has to be looked at goes on elsewhere at once.
#[test]
fn one_that_has_unwound_goes_on_anywhere() {
    quiet_panics();
    each_run(|| {
        for _ in 0..stress(100) {
            let others: Vec<_> = (0..3)
                .map(|_| {
                    thread::spawn(|| {
                        let result = catch_unwind(|| {
                            let _waits = OnDrop(thread::yield_now);
                            let _waits = OnDrop(|| thread::sleep(Duration::from_micros(10)));
                            panic!("on purpose");
                        });
                        assert!(result.is_err());
                        for _ in 0..3 {
                            thread::yield_now();
                            thread::sleep(Duration::from_micros(1));
                        }
                        time::timeout(SHORT, thread::park)
                    })
                })
                .collect();
            others.into_iter().for_each(|other| assert!(other.join().expect("it returns").is_err()));
        }
    });
}

#[test]
fn waits_begin_and_end_while_others_unwind() {
    quiet_panics();
    each_run(|| {
        for _ in 0..stress(20) {
            let others = [unwinding(), unwinding()];
            let waits: Vec<_> = (0..20)
                .map(|n| {
                    thread::spawn(move || {
                        for _ in 0..5 {
                            thread::yield_now();
                            let _ = time::timeout(SHORT, || thread::park_timeout(SHORT * (n % 3)));
                        }
                        time::timeout(SHORT, thread::park)
                    })
                })
                .collect();
            others.into_iter().for_each(end);
            for wait in waits {
                assert!(wait.join().expect("it returns").is_err());
            }
        }
    });
}
