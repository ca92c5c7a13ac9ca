//! The signal of `future::block_on`: wakes against the poll that they are to bring about.
//!
//! The real `Signal` and the real `Waiter`, which waits as an OS thread.
//!
//! # Fails when
//!
//! - `wake` claims the waiter only, and leaves no note for one that has not begun to wait;
//! - `wait` does not look at the note under the lock under which it leaves its waker.

use std::task::Wake;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};
use sward_loom_tests::check_bounded;
use sward_runtime::model::Signal;

/// As `block_on` with a future that is ready once all are set; each is set by a thread that then wakes. Bounded: three threads on two locks.
fn wait_for(events: usize) {
    check_bounded(3, move || {
        let signal = std::sync::Arc::new(Signal::default());
        let set: Vec<_> = (0..events).map(|_| Arc::new(AtomicBool::new(false))).collect();
        let threads: Vec<_> = set
            .iter()
            .map(|flag| {
                let (flag, signal) = (Arc::clone(flag), std::sync::Arc::clone(&signal));
                thread::spawn(move || {
                    // The lock of the signal makes it visible to the poll.
                    flag.store(true, Relaxed);
                    signal.wake();
                })
            })
            .collect();
        while !set.iter().all(|flag| flag.load(Relaxed)) {
            signal.wait();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_wake_that_comes_at_any_time_brings_about_a_poll() {
    wait_for(1);
}

#[test]
fn the_later_of_two_wakes_is_not_lost() {
    wait_for(2);
}
