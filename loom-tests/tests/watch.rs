//! `watch` and `broadcast`: what is sent to all receivers, against those that wait, and the end.
//!
//! The real channels, `RwLock`, and the lot. Stand-ins: loom's mutex for the broadcast's lock, which has a model of its own; a deadline has
//! always passed.
//!
//! # Fails when
//!
//! - the addition or the `fetch_or` in `word.rs` is Acquire: who learns of a change, or of the end, does not see what was done before it;
//! - a change wakes nobody.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check_bounded};
use sward_sync::{broadcast, watch};

/// A thread of its own that owns a handle.
fn spawn<H: 'static, R: 'static>(handle: H, f: impl FnOnce(H) -> R + 'static) -> thread::JoinHandle<R> {
    thread::spawn(move || f(handle))
}

/// A version that is not the value's, or a change of which nobody is told, lets the receiver wait for ever.
#[test]
fn a_receiver_sees_the_last_value_and_then_the_end() {
    fn last(mut receiver: watch::Receiver<u32>) -> u32 {
        let mut seen = 0;
        while receiver.changed().is_ok() {
            let value = *receiver.borrow_and_update();
            assert!(value >= seen);
            seen = value;
        }
        seen
    }
    check_bounded(2, || {
        let (sender, receiver) = watch::channel(0);
        let other = spawn(receiver, last);
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        drop(sender);
        assert_eq!(other.join().unwrap(), 2);
    });
}

#[test]
fn two_receivers_learn_of_a_change() {
    check_bounded(2, || {
        let (sender, receiver) = watch::channel(0);
        let others = [receiver.clone(), receiver]
            .map(|receiver| spawn(receiver, |mut receiver| *receiver.wait_for(|value| *value == 1).unwrap()));
        sender.send(1).unwrap();
        for other in others {
            assert_eq!(other.join().unwrap(), 1);
        }
    });
}

#[test]
fn a_change_that_comes_as_time_is_up_is_seen_later() {
    check_bounded(3, || {
        let (sender, mut receiver) = watch::channel(0);
        let letters = Arc::new([Plain::new(0), Plain::new(0)]);
        let other = spawn((sender, Arc::clone(&letters)), |(sender, letters)| {
            letters[0].set(1);
            sender.send(1).unwrap();
            letters[1].set(1);
            drop(sender);
        });
        if receiver.changed_until(Instant::now()).is_err() {
            receiver.changed().unwrap();
        }
        assert_eq!(letters[0].get(), 1);
        assert!(receiver.changed().is_err());
        assert_eq!(letters[1].get(), 1);
        other.join().unwrap();
    });
}

#[test]
fn the_sender_of_a_watch_learns_that_the_receivers_are_gone() {
    check_bounded(3, || {
        let (sender, receiver) = watch::channel(0);
        let other = spawn(receiver, drop);
        sender.closed();
        assert!(sender.send(1).is_err());
        other.join().unwrap();
    });
}

/// The sum of all that comes.
fn sum(mut receiver: broadcast::Receiver<Arc<u32>>) -> u32 {
    let mut sum = 0;
    while let Ok(value) = receiver.recv() {
        sum += *value;
    }
    sum
}

#[test]
fn each_receiver_of_a_broadcast_sees_each_value() {
    check_bounded(2, || {
        let (sender, receiver) = broadcast::channel::<Arc<u32>>(2);
        let others = [sender.subscribe(), receiver].map(|receiver| spawn(receiver, sum));
        sender.send(Arc::new(1)).unwrap();
        sender.send(Arc::new(2)).unwrap();
        drop(sender);
        for other in others {
            assert_eq!(other.join().unwrap(), 3);
        }
    });
}

#[test]
fn a_value_that_comes_as_time_is_up_is_received_later() {
    check_bounded(3, || {
        let (sender, mut receiver) = broadcast::channel::<Arc<u32>>(1);
        let other = spawn(sender, |sender| {
            sender.send(Arc::new(1)).unwrap();
        });
        let received =
            receiver.recv_deadline(Instant::now()).or_else(|_| receiver.recv()).map(|value| *value);
        assert_eq!(received.unwrap(), 1);
        assert!(receiver.recv().is_err());
        other.join().unwrap();
    });
}
