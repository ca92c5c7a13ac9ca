//! How one thread blocks: the wake that comes before, while, or after it does.
//!
//! The real `Sleeper` and `Idle`; `block` and `end_sleep` follow `Sleeper::block` and `search.rs`. Stand-ins: [`Parker`] for the OS
//! thread and for the driver, whichever the kick names.
//!
//! # Fails when
//!
//! - the swap in `wake` is Acquire, or the swap in `awake` is Relaxed: what came before the wake is not seen after it;
//! - `begin` stores instead of exchanging: a wake is lost;
//! - `cancel_sleep` takes a worker off the list that is not on it any more: its wake stays behind (D3).

use loom::{sync::Arc, thread};
use sward_loom_tests::{Parker, Plain, check, check_bounded};
use sward_runtime::model::{Ended, Idle, Kick, Sleeper, Woke};

#[derive(Default)]
struct Worker {
    sleeper: Sleeper,
    thread: Parker,
    driver: Parker,
    letter: Plain<bool>,
}

impl Worker {
    /// Blocks until a wake.
    fn block(&self, polling: bool) -> Woke {
        if self.sleeper.begin(polling) {
            let parker = if polling { &self.driver } else { &self.thread };
            while !self.sleeper.is_woken() {
                parker.park();
            }
        }
        self.sleeper.awake()
    }

    /// Does not block: its time is up as it begins.
    fn doze(&self) -> Woke {
        let _ = self.sleeper.begin(false);
        self.sleeper.awake()
    }

    fn wake(&self, searching: bool) {
        match self.sleeper.wake(searching) {
            Kick::Nothing => {}
            Kick::Thread => self.thread.unpark(),
            Kick::Driver => self.driver.unpark(),
        }
    }
}

fn a_wake_meets_a_thread_that_blocks(polling: bool) {
    check(move || {
        let worker = Arc::new(Worker::default());
        let waker = thread::spawn({
            let worker = Arc::clone(&worker);
            move || {
                worker.letter.set(true);
                worker.wake(true);
            }
        });
        assert_eq!(worker.block(polling), Woke::Searching);
        assert!(worker.letter.get());
        waker.join().unwrap();
        assert_eq!(worker.doze(), Woke::Unasked, "one wake ends one sleep");
    });
}

#[test]
fn a_wake_meets_a_thread_that_blocks_in_a_futex() {
    a_wake_meets_a_thread_that_blocks(false);
}

#[test]
fn a_wake_meets_a_thread_that_blocks_in_the_driver() {
    a_wake_meets_a_thread_that_blocks(true);
}

/// It does not block: then the wake alone must order the two.
#[test]
fn a_wake_that_is_seen_brings_what_came_before_it() {
    check(|| {
        let worker = Arc::new(Worker::default());
        let waker = thread::spawn({
            let worker = Arc::clone(&worker);
            move || {
                worker.letter.set(true);
                worker.wake(false);
            }
        });
        if worker.doze() == Woke::Woken {
            assert!(worker.letter.get());
        } else {
            assert_eq!(worker.block(false), Woke::Woken);
        }
        waker.join().unwrap();
    });
}

/// The poller thread may be woken by several.
#[test]
fn two_wakes_end_one_sleep_and_both_are_seen() {
    check(|| {
        let worker = Arc::new(Worker::default());
        let wakers = [(); 2].map(|()| {
            let worker = Arc::clone(&worker);
            thread::spawn(move || worker.wake(false))
        });
        assert_eq!(worker.block(false), Woke::Woken);
        for waker in wakers {
            waker.join().unwrap();
        }
        let _ = worker.doze();
        assert_eq!(worker.doze(), Woke::Unasked);
    });
}

/// D3: it ends its sleep by itself, or waits for the wake of whoever took it off the list; none is left over.
#[test]
fn a_sleep_that_ends_by_itself_meets_two_notifiers() {
    check_bounded(3, || {
        let shared = Arc::new((Idle::new(1, 0, 1), Worker::default()));
        let notifier = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (idle, worker) = &*shared;
                let taken = idle.notify();
                if taken.is_some() {
                    worker.wake(true);
                }
                taken.is_some()
            }
        });
        let sender = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (idle, worker) = &*shared;
                let taken = idle.notify_worker(0);
                if taken {
                    worker.wake(false);
                }
                taken
            }
        });
        let (idle, worker) = &*shared;
        assert_eq!(idle.sleep(0, false), None);
        let woke = match worker.doze() {
            Woke::Unasked if idle.cancel_sleep(0) == Ended::Searching => None,
            Woke::Unasked => Some(worker.block(false)),
            woke => Some(woke),
        };
        let taken = (notifier.join().unwrap(), sender.join().unwrap());
        let expected = match woke {
            None => (false, false),
            Some(Woke::Searching) => (true, false),
            Some(woke) => {
                assert_eq!(woke, Woke::Woken);
                (false, true)
            }
        };
        assert_eq!(taken, expected);
        assert_eq!(worker.doze(), Woke::Unasked, "no wake is left over");
        assert_eq!(idle.sleeping(), 0);
        let searches = woke.is_none_or(|woke| woke == Woke::Searching);
        assert_eq!(idle.start_searching(), !searches);
    });
}
