//! The semaphore: those who take permits, those who put them back, those who give up, and who closes it.
//!
//! The real `Semaphore`, and the lot. Stand-ins: a deadline has always passed; what the permits protect is [`Plain`] memory.
//!
//! # Fails when
//!
//! - the exchange in `try_acquire`, in `take_or_announce` or in `forget`, or the subtraction in `serve_list` is Relaxed, or the addition in
//!   `release` or in `add` is: the holder does not see what was done before the permit was released;
//! - a waiter does not set `WAITING`, or it is cleared while somebody waits: the waiter is forgotten;
//! - `WAITING` stays after `close`: permits are there that nobody can see;
//! - who gives up does not serve the line: the next waits for ever;
//! - newcomers take permits while somebody waits: there are fewer than none.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_sync::Semaphore;

/// Permits, and memory for each of two threads.
struct Shared {
    permits: Semaphore,
    memory: [Plain<u32>; 2],
}

impl Shared {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self { permits: Semaphore::new(permits), memory: Default::default() })
    }

    /// Changes the memory for as long as it holds a permit, there being one only.
    fn add(&self) {
        let _permit = self.permits.acquire().unwrap();
        self.memory[0].set(self.memory[0].get() + 1);
    }

    /// Puts a permit in for what was written.
    fn publish(&self, i: usize) {
        self.memory[i].set(7);
        self.permits.add_permits(1);
    }

    fn acquire_at_once(&self, n: u32) -> bool {
        self.permits.acquire_many_until(n, Instant::now()).is_ok()
    }
}

/// A thread of its own that does something with what is shared.
fn spawn<R: 'static>(shared: &Arc<Shared>, f: impl FnOnce(&Shared) -> R + 'static) -> thread::JoinHandle<R> {
    let shared = Arc::clone(shared);
    thread::spawn(move || f(&shared))
}

#[test]
fn of_two_one_has_the_permit() {
    check_bounded(3, || {
        let shared = Shared::new(1);
        let other = spawn(&shared, |shared| {
            shared.add();
            shared.add();
        });
        shared.add();
        other.join().unwrap();
        assert_eq!(shared.permits.available_permits(), 1);
        shared.add();
        assert_eq!(shared.memory[0].get(), 4);
    });
}

#[test]
fn of_three_one_has_the_permit() {
    check_bounded(2, || {
        let shared = Shared::new(1);
        let others = [(); 2].map(|()| spawn(&shared, Shared::add));
        shared.add();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(shared.memory[0].get(), 3);
        assert_eq!(shared.permits.available_permits(), 1);
    });
}

#[test]
fn who_takes_many_sees_what_each_release_published() {
    check_bounded(2, || {
        let shared = Shared::new(0);
        let others = [0, 1].map(|i| spawn(&shared, move |shared| shared.publish(i)));
        shared.permits.acquire_many(2).unwrap().forget();
        assert_eq!(shared.memory[0].get() + shared.memory[1].get(), 14);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(shared.permits.available_permits(), 0);
    });
}

#[test]
fn an_attempt_takes_what_is_there() {
    check(|| {
        let shared = Shared::new(0);
        let other = spawn(&shared, |shared| shared.publish(0));
        let seen = shared.permits.forget_permits(1) == 1;
        if seen {
            assert_eq!(shared.memory[0].get(), 7);
        }
        let taken = shared.permits.try_acquire().map(|permit| permit.forget()).is_ok();
        if taken {
            assert_eq!(shared.memory[0].get(), 7);
        }
        other.join().unwrap();
        assert_eq!(shared.permits.available_permits() + usize::from(seen) + usize::from(taken), 1);
    });
}

#[test]
fn permits_that_come_as_time_is_up_are_kept_or_taken() {
    check_bounded(3, || {
        let shared = Shared::new(0);
        let other = spawn(&shared, |shared| shared.publish(0));
        if shared.permits.acquire_until(Instant::now()).map(|permit| permit.forget()).is_err() {
            shared.permits.acquire().unwrap().forget();
        }
        assert_eq!(shared.memory[0].get(), 7);
        other.join().unwrap();
        assert_eq!(shared.permits.available_permits(), 0);
    });
}

#[test]
fn the_first_in_line_that_gives_up_lets_the_next_go_on() {
    check_bounded(2, || {
        let shared = Shared::new(1);
        let many = spawn(&shared, |shared| shared.acquire_at_once(2));
        let one = spawn(&shared, Shared::add);
        shared.add();
        one.join().unwrap();
        assert!(!many.join().unwrap());
        assert_eq!(shared.permits.available_permits(), 1);
        assert_eq!(shared.memory[0].get(), 2);
    });
}

#[test]
fn who_waits_for_many_is_not_overtaken_as_it_is_served() {
    check_bounded(3, || {
        let shared = Shared::new(1);
        let many = spawn(&shared, |shared| {
            let _permits = shared.permits.acquire_many(2).unwrap();
            shared.memory[0].set(shared.memory[0].get() + 1);
        });
        let one = spawn(&shared, Shared::add);
        shared.permits.add_permits(1);
        many.join().unwrap();
        one.join().unwrap();
        assert_eq!(shared.permits.available_permits(), 2);
    });
}

#[test]
fn permits_that_the_first_in_line_left_go_to_the_next() {
    check_bounded(2, || {
        let shared = Shared::new(0);
        let many = spawn(&shared, |shared| shared.acquire_at_once(2));
        let one = spawn(&shared, |shared| {
            shared.permits.acquire().unwrap().forget();
            assert_eq!(shared.memory[0].get(), 7);
        });
        shared.publish(0);
        one.join().unwrap();
        assert!(!many.join().unwrap());
        assert_eq!(shared.permits.available_permits(), 0);
    });
}

#[test]
fn all_who_wait_learn_that_it_is_closed() {
    check_bounded(2, || {
        let shared = Shared::new(1);
        let others = [1, 2].map(|n| spawn(&shared, move |shared| shared.permits.acquire_many(n).is_err()));
        shared.permits.close();
        assert!(shared.permits.acquire().is_err());
        let [_, many] = others.map(|other| other.join().unwrap());
        assert!(many);
        assert_eq!(shared.permits.available_permits(), 1);
    });
}
