//! `Condvar` and `Barrier`: those who wait for a change under a mutex, those who tell of it, and threads that meet.
//!
//! The real `Condvar`, `Mutex` and `Barrier`, and the lot. Stand-ins: a deadline has always passed; to notify all goes over the list waiter by
//! waiter, releasing the lot's lock after each.
//!
//! # Fails when
//!
//! - a waiter does not set `PARKED`, or it is cleared while somebody waits: the waiter is forgotten;
//! - `notify_one` is content with the first of the list, whose time may be up: the notification is lost;
//! - `notify_all` stops at those who came before it.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check_bounded};
use sward_sync::{Barrier, Condvar, Mutex};

/// Things to take.
#[derive(Default)]
struct Store {
    things: Mutex<u32>,
    more: Condvar,
}

impl Store {
    fn put(&self) {
        *self.things.lock().unwrap() += 1;
        self.more.notify_one();
    }

    /// Tells of it before it unlocks the mutex.
    fn put_and_hold(&self) {
        let mut things = self.things.lock().unwrap();
        *things += 1;
        self.more.notify_one();
        drop(things);
    }

    fn put_many(&self, n: u32) {
        *self.things.lock().unwrap() += n;
        self.more.notify_all();
    }

    fn take(&self) {
        let mut things = self.things.lock().unwrap();
        while *things == 0 {
            things = self.more.wait(things).unwrap();
        }
        *things -= 1;
    }

    /// As `take`, waiting once, and leaving what comes as time is up to others.
    fn take_at_once(&self) -> bool {
        let mut things = self.things.lock().unwrap();
        let mut timed_out = false;
        if *things == 0 {
            let (guard, waited) = self.more.wait_until(things, Instant::now()).unwrap();
            (things, timed_out) = (guard, waited.timed_out());
        }
        let taken = *things > 0 && !timed_out;
        *things -= u32::from(taken);
        taken
    }
}

/// A thread of its own that does something with the store.
fn spawn<R: 'static>(store: &Arc<Store>, f: impl FnOnce(&Store) -> R + 'static) -> thread::JoinHandle<R> {
    let store = Arc::clone(store);
    thread::spawn(move || f(&store))
}

fn a_notification_reaches_who_waits(put: fn(&Store)) {
    check_bounded(4, move || {
        let store = Arc::new(Store::default());
        let other = spawn(&store, put);
        store.take();
        other.join().unwrap();
    });
}

#[test]
fn a_notification_reaches_who_waits_after_the_unlock() {
    a_notification_reaches_who_waits(Store::put);
}

#[test]
fn a_notification_reaches_who_waits_before_the_unlock() {
    a_notification_reaches_who_waits(Store::put_and_hold);
}

#[test]
fn two_notifications_reach_two() {
    check_bounded(2, || {
        let store = Arc::new(Store::default());
        let others = [(); 2].map(|()| spawn(&store, Store::take));
        store.put();
        store.put();
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn to_notify_all_reaches_all() {
    check_bounded(2, || {
        let store = Arc::new(Store::default());
        let others = [(); 2].map(|()| spawn(&store, Store::take));
        store.put_many(2);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_waiter_whose_time_is_up_leaves_the_notification_to_the_next() {
    check_bounded(2, || {
        let store = Arc::new(Store::default());
        let impatient = spawn(&store, Store::take_at_once);
        let patient = spawn(&store, Store::take);
        store.put();
        if impatient.join().unwrap() {
            store.put();
        }
        patient.join().unwrap();
    });
}

#[test]
fn who_meets_at_a_barrier_sees_what_the_others_did_before() {
    check_bounded(3, || {
        let shared = Arc::new((Barrier::new(2), [Plain::new(0), Plain::new(0)]));
        let meet = |(barrier, memory): &(Barrier, [Plain<u32>; 2]), me: usize| {
            memory[me].set(1);
            let mut led = u32::from(barrier.wait().is_leader());
            assert_eq!(memory[1 - me].get(), 1);
            led += u32::from(barrier.wait().is_leader());
            memory[1 - me].set(2);
            led
        };
        let other = thread::spawn({
            let shared = Arc::clone(&shared);
            move || meet(&shared, 1)
        });
        assert_eq!(meet(&shared, 0) + other.join().unwrap(), 2);
    });
}
