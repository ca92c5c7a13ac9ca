//! `Notify` and `Parker`: notifications against waiters, also when their time is up.
//!
//! The real `Notify` and `Parker`, and the lot. Stand-ins: a deadline has always passed; what is to be seen is [`Plain`] memory.
//!
//! # Fails when
//!
//! - the exchange that leaves the permit is Relaxed, or is left out if the permit is there already; the `fetch_or` in `wake` is Relaxed; or the
//!   exchange in `take_or_announce` or in `try_select` is: what was written before the notification is not seen;
//! - a waiter does not look for the permit once more under the bucket's lock, or `WAITING` is cleared while somebody waits: it is forgotten;
//! - `wake` leaves no permit though all have given up: the notification is lost.

use std::time::Instant;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_sync::{Notify, Parker};

/// A thread of its own that does something with the notification.
fn spawn<R: 'static>(notify: &Arc<Notify>, f: impl FnOnce(&Notify) -> R + 'static) -> thread::JoinHandle<R> {
    let notify = Arc::clone(notify);
    thread::spawn(move || f(&notify))
}

/// With a deadline that has passed.
fn wait_at_once(notify: &Notify) -> bool {
    notify.wait_until(Instant::now())
}

#[test]
fn what_was_written_before_a_notification_is_seen() {
    check(|| {
        let notify = Arc::new(Notify::new());
        let letter = Arc::new(Plain::new(0));
        let other = spawn(&notify, {
            let letter = Arc::clone(&letter);
            move |notify| {
                letter.set(7);
                notify.notify_one();
            }
        });
        notify.wait();
        assert_eq!(letter.get(), 7);
        other.join().unwrap();
    });
}

/// One that was lost, or a permit that was taken without seeing what came before it, lets the last wait last for ever.
#[test]
fn of_two_notifications_none_is_lost() {
    check_bounded(2, || {
        let notify = Arc::new(Notify::new());
        let done = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let others = [0, 1].map(|i| {
            let done = Arc::clone(&done[i]);
            spawn(&notify, move |notify| {
                done.store(1, Relaxed);
                notify.notify_one();
            })
        });
        while done[0].load(Relaxed) + done[1].load(Relaxed) < 2 {
            notify.wait();
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_notification_that_comes_as_time_is_up_is_kept_or_seen() {
    check_bounded(4, || {
        let notify = Arc::new(Notify::new());
        let other = spawn(&notify, Notify::notify_one);
        if !wait_at_once(&notify) {
            notify.wait();
        }
        assert!(!wait_at_once(&notify));
        other.join().unwrap();
    });
}

#[test]
fn a_waiter_that_gives_up_leaves_the_notification_to_the_next() {
    check_bounded(2, || {
        let notify = Arc::new(Notify::new());
        let patient = spawn(&notify, Notify::wait);
        let notifier = spawn(&notify, Notify::notify_one);
        if wait_at_once(&notify) {
            notify.notify_one();
        }
        notifier.join().unwrap();
        patient.join().unwrap();
    });
}

#[test]
fn to_notify_all_leaves_nothing() {
    check(|| {
        let notify = Arc::new(Notify::new());
        let other = spawn(&notify, Notify::notify_waiters);
        let _ = wait_at_once(&notify);
        other.join().unwrap();
        assert!(!wait_at_once(&notify));
    });
}

#[test]
fn all_who_wait_are_woken() {
    check_bounded(2, || {
        let notify = Arc::new(Notify::new());
        let waiter = spawn(&notify, Notify::wait);
        let impatient = spawn(&notify, wait_at_once);
        notify.notify_waiters();
        // In case that it did not wait yet, or that the other one takes this.
        notify.notify_one();
        if impatient.join().unwrap() {
            notify.notify_one();
        }
        waiter.join().unwrap();
    });
}

#[test]
fn a_token_that_comes_as_time_is_up_is_kept_or_seen() {
    check_bounded(4, || {
        let parker = Parker::new();
        let letter = Arc::new(Plain::new(0));
        let done = Arc::new(AtomicUsize::new(0));
        let other = thread::spawn({
            let (letter, done, unparker) =
                (Arc::clone(&letter), Arc::clone(&done), parker.unparker().clone());
            move || {
                letter.set(7);
                done.store(1, Relaxed);
                unparker.unpark();
            }
        });
        parker.park_deadline(Instant::now());
        while done.load(Relaxed) == 0 {
            parker.park();
        }
        other.join().unwrap();
        assert_eq!(letter.get(), 7);
    });
}
