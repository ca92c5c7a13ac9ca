//! The poller thread's deep sleep: it finds no worker awake and sleeps without a limit, against workers that leave their sleep.
//!
//! The real `Control`, `Idle` and `Sleeper`; `Poller` follows `announce` and `rouse` of `scheduler/poller.rs`, and `end_sleep`. The
//! poller thread does not block: a model that ends with it in a deep sleep, a worker awake, and no wake left for it, has failed.
//!
//! Not modelled: an announcement that is revoked unheard and then repeated. loom would let a worker read its own older swap of
//! `deep` in place of the second announcement, as if a store could come between a swap and what it read; with swaps for the poller
//! thread's two stores it does not, and that model passes.
//!
//! # Fails when
//!
//! - the fence in `announce_deep` or in `must_rouse` is gone: neither sees the other (O2);
//! - the swap in `Sleeper::wake` is Acquire: the worker's fence does not vouch for the one who took it off the list;
//! - the worker does not rouse, or the poller thread does not look again after it announced.

use loom::{sync::Arc, thread};
use sward_loom_tests::{check, check_bounded};
use sward_runtime::model::{Control, Ended, Idle, Kick, Sleeper, Woke};

struct Poller {
    control: Control,
    idle: Idle,
    /// The poller thread's.
    sleeper: Sleeper,
    /// The workers'.
    workers: [Sleeper; 2],
}

impl Poller {
    /// Two workers, both asleep.
    fn new() -> Arc<Self> {
        let this = Self {
            control: Control::default(),
            idle: Idle::new(2, 0, 1),
            sleeper: Sleeper::default(),
            workers: Default::default(),
        };
        assert_eq!(this.idle.sleep(0, false), None);
        assert_eq!(this.idle.sleep(1, false), None);
        Arc::new(this)
    }

    /// The poller thread decides how to sleep. `true`: without a limit.
    fn sleep(&self) -> bool {
        self.control.announce_deep();
        let deep = self.idle.awake() == 0;
        if !deep {
            self.control.revoke_deep();
        }
        deep
    }

    fn rouse(&self) {
        if self.control.must_rouse() {
            let kick = self.sleeper.wake(false);
            assert_eq!(kick, Kick::Nothing, "in these models it does not block");
        }
    }

    /// A worker ends its sleep by itself.
    fn end_sleep(&self, worker: usize) {
        assert_eq!(self.idle.cancel_sleep(worker), Ended::Searching);
        self.rouse();
    }

    /// The poller thread has fallen asleep as it said.
    fn assert_awake_or_all_asleep(&self, deep: bool) {
        let woken = self.sleeper.awake() == Woke::Woken;
        assert!(!deep || woken || self.idle.awake() == 0, "a worker is awake, and nobody watches it");
    }
}

#[test]
fn a_deep_sleep_meets_a_worker_that_leaves_its_own() {
    check(|| {
        let poller = Poller::new();
        let worker = thread::spawn({
            let poller = Arc::clone(&poller);
            move || poller.end_sleep(0)
        });
        let deep = poller.sleep();
        worker.join().unwrap();
        poller.assert_awake_or_all_asleep(deep);
    });
}

#[test]
fn of_two_workers_that_leave_their_sleep_one_rouses() {
    check_bounded(4, || {
        let poller = Poller::new();
        let workers = [0, 1].map(|worker| {
            let poller = Arc::clone(&poller);
            thread::spawn(move || poller.end_sleep(worker))
        });
        let deep = poller.sleep();
        for worker in workers {
            worker.join().unwrap();
        }
        poller.assert_awake_or_all_asleep(deep);
    });
}

#[test]
fn a_deep_sleep_after_a_wake_meets_the_same_worker_again() {
    check(|| {
        let poller = Poller::new();
        let worker = thread::spawn({
            let poller = Arc::clone(&poller);
            move || {
                poller.end_sleep(0);
                assert_eq!(poller.idle.sleep(0, true), None);
                poller.end_sleep(0);
            }
        });
        let mut deep = poller.sleep();
        if deep && poller.sleeper.awake() == Woke::Woken {
            poller.control.revoke_deep();
            deep = poller.sleep();
        }
        worker.join().unwrap();
        poller.assert_awake_or_all_asleep(deep);
    });
}

/// The list is left in one thread, and the fence is in another.
#[test]
fn a_deep_sleep_meets_a_worker_that_another_wakes() {
    check_bounded(4, || {
        let poller = Poller::new();
        let notifier = thread::spawn({
            let poller = Arc::clone(&poller);
            move || {
                assert!(poller.idle.notify_worker(0));
                let _ = poller.workers[0].wake(false);
            }
        });
        let worker = thread::spawn({
            let poller = Arc::clone(&poller);
            move || {
                while !poller.workers[0].is_woken() {
                    thread::yield_now();
                }
                assert_eq!(poller.workers[0].awake(), Woke::Woken);
                poller.rouse();
            }
        });
        let deep = poller.sleep();
        notifier.join().unwrap();
        worker.join().unwrap();
        poller.assert_awake_or_all_asleep(deep);
    });
}
