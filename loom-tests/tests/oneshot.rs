//! The channel for one value: the sender against the receiver, a deadline, and the end of either.
//!
//! The real `Sender` and `Receiver`. Stand-ins: loom's mutex for the lock, which has a model of its own; a deadline has always passed. A value is
//! loom's `Arc`: one that is lost, or dropped twice, fails the model.
//!
//! # Fails when
//!
//! - `send` does not look whether the channel is open, or `take` whether the sender is there;
//! - who sends, or closes, wakes nobody.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::check_bounded;
use sward_sync::oneshot::{self, Receiver, Sender};

type Value = Arc<u32>;

/// The receiver's half runs here, the sender's on a thread of its own.
fn meet<S: 'static, R>(
    send: fn(Sender<Value>) -> S,
    recv: impl Fn(Receiver<Value>) -> R,
    then: impl Fn(S, R),
) {
    let (sender, receiver) = oneshot::channel();
    let other = thread::spawn(move || send(sender));
    let received = recv(receiver);
    then(other.join().unwrap(), received);
}

fn send(sender: Sender<Value>) -> bool {
    sender.send(Arc::new(7)).is_ok()
}

#[test]
fn a_value_arrives() {
    check_bounded(4, || {
        meet(send, Receiver::recv, |sent, received| assert!(sent && *received.unwrap() == 7));
    });
}

#[test]
fn a_value_that_comes_as_time_is_up_is_received_or_kept() {
    fn recv(mut receiver: Receiver<Value>) -> u32 {
        receiver.recv_deadline(Instant::now()).map_or_else(|_| *receiver.recv().unwrap(), |value| *value)
    }
    check_bounded(4, || meet(send, recv, |sent, received| assert!(sent && received == 7)));
}

#[test]
fn a_value_that_nobody_receives_is_given_back_or_dropped() {
    check_bounded(4, || meet(send, drop, |_, ()| ()));
}

#[test]
fn a_value_that_was_sent_before_the_close_can_be_received() {
    fn close(mut receiver: Receiver<Value>) -> bool {
        receiver.close();
        receiver.recv().is_ok()
    }
    check_bounded(4, || meet(send, close, |sent, received| assert_eq!(sent, received)));
}

#[test]
fn the_receiver_learns_that_the_sender_is_gone() {
    check_bounded(4, || meet(drop, Receiver::recv, |(), received| assert!(received.is_err())));
}

#[test]
fn the_sender_learns_that_the_receiver_is_gone() {
    check_bounded(4, || {
        meet(
            |mut sender| {
                sender.closed();
                send(sender)
            },
            drop,
            |sent, ()| assert!(!sent),
        );
    });
}
