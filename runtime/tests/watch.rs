//! Who is told to be stuck: not workers that wait for their turn, nor those that stand still for a look.
//!
//! A machine that is busy may keep any worker from running for a while, which is told, rightly, as of one that computes. So it is only looked whether one is told that
//! blocks.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{Config, each_mode, stress, wait_until};
use sward_runtime::{
    blocking,
    runtime::{Runtime, Stall},
    thread,
};

/// A runtime that puts down who is told to be stuck.
fn build(config: Config) -> (Runtime, mpsc::Receiver<Stall>) {
    let (sender, told) = mpsc::channel();
    let tell = move |stall: &Stall| drop(sender.send(stall.clone()));
    let runtime = config.builder().stall_after(Duration::from_millis(20)).on_stall(tell).build().unwrap();
    (runtime, told)
}

fn none_blocks(told: &mpsc::Receiver<Stall>) {
    for stall in told.try_iter() {
        assert_eq!(stall.blocked_in(), None, "{stall}");
    }
}

/// Calls `f` while another thread wakes these all the while, so that each worker which is home to one has something in its inbox.
fn while_woken<R>(sleepers: &[thread::JoinHandle<()>], f: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(SeqCst) {
                sleepers.iter().for_each(|sleeper| sleeper.thread().unpark());
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let result = f();
        stop.store(true, SeqCst);
        result
    })
}

/// Green threads that wait until they are cancelled.
fn sleepers(runtime: &Runtime, n: usize) -> Vec<thread::JoinHandle<()>> {
    let sleep = |_| {
        runtime.handle().spawn(|| {
            loop {
                thread::park();
            }
        })
    };
    (0..n).map(sleep).collect()
}

fn end(sleepers: Vec<thread::JoinHandle<()>>) {
    sleepers.iter().for_each(thread::JoinHandle::cancel);
    sleepers.into_iter().for_each(|sleeper| assert!(sleeper.join().is_err()));
}

#[test]
fn those_who_wait_for_a_seat_are_not_told() {
    const CROWD: usize = 40;
    each_mode(1, |config| {
        let (runtime, told) = build(config);
        // More workers than seats, each of them a home in anchored mode.
        let (inside, outside) = (Arc::new(Barrier::new(CROWD + 1)), Arc::new(AtomicUsize::new(0)));
        let mut homed = Vec::new();
        let crowd: Vec<_> = (0..CROWD)
            .map(|_| {
                let (inside, outside) = (Arc::clone(&inside), Arc::clone(&outside));
                let member = runtime.handle().spawn(move || {
                    outside.fetch_add(1, SeqCst);
                    blocking(|| inside.wait());
                    for _ in 0..stress(100) {
                        for _ in 0..1_000 {
                            std::hint::spin_loop();
                        }
                        thread::yield_now();
                    }
                });
                homed.extend(sleepers(&runtime, 2));
                member
            })
            .collect();
        wait_until(|| outside.load(SeqCst) == CROWD);
        while_woken(&homed, || {
            inside.wait();
            crowd.into_iter().for_each(|member| member.join().unwrap());
        });
        end(homed);
        drop(runtime);
        none_blocks(&told);
    });
}

#[test]
fn those_who_stand_in_a_dump_are_not_told() {
    each_mode(2, |config| {
        let (runtime, told) = build(config);
        let homed = sleepers(&runtime, 10);
        wait_until(|| {
            homed.iter().all(|sleeper| matches!(sleeper.thread().state(), thread::State::Waiting(_)))
        });
        let (runs, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let theirs = (Arc::clone(&runs), Arc::clone(&stop));
        let spinning = runtime.handle().spawn(move || {
            theirs.0.store(true, SeqCst);
            while !theirs.1.load(SeqCst) {
                std::hint::spin_loop();
            }
        });
        wait_until(|| runs.load(SeqCst));
        while_woken(&homed, || {
            for _ in 0..stress(3) {
                // The others stand until it gives up on that one.
                assert!(runtime.handle().dump().busy >= 1);
            }
        });
        stop.store(true, SeqCst);
        spinning.join().unwrap();
        end(homed);
        drop(runtime);
        none_blocks(&told);
    });
}
