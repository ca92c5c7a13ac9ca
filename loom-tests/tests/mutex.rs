//! The mutex, and the lot in which its waiters stand: those who lock it, try to, and give up.
//!
//! The real `RawMutex`, lot and wait list. Stand-ins: what it guards is [`Plain`] memory; a deadline has always passed, and so has a
//! waiter's patience; the lot has one bucket, whose lock is loom's mutex.
//!
//! # Fails when
//!
//! - an exchange that takes the lock is Relaxed, in `try_lock`, `lock`, `lock_until` or `lock_contended`; or one that releases it, in `unlock`,
//!   `unlock_contended` or `hand_over`: the holder does not see what the last one did;
//! - the woken one takes the lock, or waits again, with `WOKEN` set, or `wake` leaves it set if all have given up: nobody is woken any more;
//! - a waiter does not look at the word under the bucket's lock, looks before it takes that, or does not look for `PARKED`; or `PARKED`
//!   is cleared while somebody waits, by `wake`, by `hand_over` or by who gives up: a waiter is forgotten;
//! - who gives up finds the list empty, and clears `PARKED` after it has released the bucket's lock: as above;
//! - `hand_over` keeps the lock if nobody is there, or releases it though somebody took it;
//! - `with` releases the bucket's lock while the list is changed, or a waiter that gives up does not leave the list.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_sync::model::RawMutex;

struct Mutex {
    raw: RawMutex,
    value: Plain<u32>,
}
impl Mutex {
    fn new() -> Arc<Self> {
        Arc::new(Self { raw: RawMutex::new(), value: Plain::new(0) })
    }
    /// Locks it, adds one, and unlocks it.
    fn add(&self) {
        self.raw.lock();
        self.value.set(self.value.get() + 1);
        self.raw.unlock();
    }
    /// As `add`, unless time is up before.
    fn add_at_once(&self) -> u32 {
        let locked = self.raw.lock_until(Some(Instant::now()));
        if locked {
            self.value.set(self.value.get() + 1);
            self.raw.unlock();
        }
        u32::from(locked)
    }
    fn try_add(&self) -> u32 {
        let locked = self.raw.try_lock();
        if locked {
            self.value.set(self.value.get() + 1);
            self.raw.unlock();
        }
        u32::from(locked)
    }
    fn ends_with(&self, value: u32) {
        self.raw.lock();
        assert_eq!(self.value.get(), value);
        self.raw.unlock();
    }
}

/// A thread of its own that does something with the mutex.
fn spawn<R: 'static>(mutex: &Arc<Mutex>, f: impl FnOnce(&Mutex) -> R + 'static) -> thread::JoinHandle<R> {
    let mutex = Arc::clone(mutex);
    thread::spawn(move || f(&mutex))
}

#[test]
fn of_two_one_holds_it_and_the_other_is_woken() {
    check(|| {
        let mutex = Mutex::new();
        let other = spawn(&mutex, Mutex::add);
        mutex.add();
        other.join().unwrap();
        mutex.ends_with(2);
    });
}

#[test]
fn of_three_one_holds_it_and_the_others_are_woken() {
    check_bounded(3, || {
        let mutex = Mutex::new();
        let others = [(); 2].map(|()| spawn(&mutex, Mutex::add));
        mutex.add();
        for other in others {
            other.join().unwrap();
        }
        mutex.ends_with(3);
    });
}

#[test]
fn a_waiter_that_was_overtaken_is_handed_the_lock() {
    check_bounded(4, || {
        let mutex = Mutex::new();
        let other = spawn(&mutex, Mutex::add);
        for _ in 0..3 {
            mutex.add();
        }
        other.join().unwrap();
        mutex.ends_with(4);
    });
}

#[test]
fn a_lock_that_nobody_is_there_to_be_handed_is_free() {
    check_bounded(3, || {
        let mutex = Mutex::new();
        let impatient = spawn(&mutex, Mutex::add_at_once);
        let other = spawn(&mutex, Mutex::add);
        mutex.add();
        mutex.add();
        let added = impatient.join().unwrap();
        other.join().unwrap();
        mutex.ends_with(3 + added);
    });
}

#[test]
fn an_attempt_takes_a_lock_that_is_free() {
    check(|| {
        let mutex = Mutex::new();
        let other = spawn(&mutex, Mutex::add);
        let added = mutex.try_add();
        other.join().unwrap();
        mutex.ends_with(1 + added);
    });
}

#[test]
fn an_unlock_meets_a_waiter_whose_time_is_up() {
    check(|| {
        let mutex = Mutex::new();
        let other = spawn(&mutex, Mutex::add);
        let added = mutex.add_at_once();
        other.join().unwrap();
        mutex.ends_with(1 + added);
    });
}

#[test]
fn a_waiter_that_gives_up_leaves_the_unlock_to_the_next() {
    check_bounded(3, || {
        let mutex = Mutex::new();
        let patient = spawn(&mutex, Mutex::add);
        let impatient = spawn(&mutex, Mutex::add_at_once);
        mutex.add();
        patient.join().unwrap();
        let added = impatient.join().unwrap();
        mutex.ends_with(2 + added);
    });
}
