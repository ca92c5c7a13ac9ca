//! Waits that begin while another green thread of the worker is in the middle of its unwinding: nothing ends them meanwhile, and everything does as soon as that
//! is over.

use std::{
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

/// Starts one that waits.
fn waiting<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let handle = thread::spawn(f);
    wait_until(|| is_waiting(&handle));
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
