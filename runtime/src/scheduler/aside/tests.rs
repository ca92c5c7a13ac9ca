//! Tests of [`super`]: who steps aside, and for whom no longer.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{Relaxed, SHORT};
use crate::{
    runtime::{Builder, Runtime},
    scheduler::current,
    thread,
};

fn each_runtime(check: impl Fn(usize, Runtime)) {
    for (roaming, workers) in [(false, 1), (false, 2), (false, 8), (true, 2), (true, 8)] {
        // The poller thread finds nobody stuck.
        let builder = Builder::new().workers(workers).stall_after(Duration::from_secs(3600));
        let builder = if roaming {
            // SAFETY: nothing of a thread lives across a wait.
            unsafe { builder.roaming() }
        } else {
            builder
        };
        check(workers, builder.build().unwrap());
    }
}

/// As the poller thread does.
fn accuse_myself() {
    current::worker().unwrap().remote().accused.store(true, Relaxed);
}

fn is_marked() -> bool {
    current::worker_and_task().unwrap().1.started().blocks.get() > 0
}

#[test]
fn who_is_expected_to_block_keeps_nobody_waiting() {
    each_runtime(|workers, runtime| {
        let wait_for_a_child = || {
            accuse_myself();
            thread::yield_now();
            assert!(is_marked());
            let (sender, receiver) = mpsc::channel();
            let child = thread::spawn(move || sender.send(7).unwrap());
            // Blocks the worker; the child can run on another only.
            assert_eq!(receiver.recv().unwrap(), 7);
            child.join().unwrap();
        };
        let handles: Vec<_> = (0..workers).map(|_| runtime.handle().spawn(wait_for_a_child)).collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn who_does_not_block_is_not_expected_to() {
    each_runtime(|_, runtime| {
        runtime.run(|| {
            for compute in [Duration::ZERO, 4 * SHORT] {
                accuse_myself();
                thread::yield_now();
                assert!(is_marked());
                // More often than the patience, since a worker can lose its CPU between two looks at its clocks.
                while is_marked() {
                    let start = Instant::now();
                    while start.elapsed() < compute {
                        std::hint::spin_loop();
                    }
                    thread::yield_now();
                }
            }
        });
    });
}

#[test]
fn who_blocks_stays_expected_to() {
    each_runtime(|_, runtime| {
        runtime.run(|| {
            accuse_myself();
            thread::yield_now();
            for _ in 0..3 {
                std::thread::sleep(4 * SHORT);
                thread::yield_now();
                assert!(is_marked());
            }
        });
    });
}

#[test]
fn who_blocks_after_some_operations_stays_expected_to() {
    each_runtime(|_, runtime| {
        runtime.run(|| {
            accuse_myself();
            thread::yield_now();
            for _ in 0..5 {
                (0..3).for_each(|_| crate::budget::spend());
                std::thread::sleep(4 * SHORT);
                thread::yield_now();
                assert!(is_marked());
            }
        });
    });
}

#[test]
fn who_ends_accused_leaves_no_accusation_behind() {
    each_runtime(|_, runtime| {
        runtime.run(|| {
            thread::spawn(accuse_myself).join().unwrap();
            let accused = || current::worker().unwrap().remote().accused.load(Relaxed);
            assert!((0..100).all(|_| {
                thread::yield_now();
                !accused() && !is_marked()
            }));
        });
    });
}
