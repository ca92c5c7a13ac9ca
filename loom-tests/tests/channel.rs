//! The channel: those who send and receive, with a buffer and without, against each other, deadlines, and the end of either side.
//!
//! The real `Sender` and `Receiver`. Stand-ins: loom's mutex for the channel's lock, which has a model of its own; a deadline has
//! always passed. A message is loom's `Arc`: one that is lost, or dropped twice, fails the model.
//!
//! # Fails when
//!
//! - a message whose sender has given up is not put back into its slot;
//! - who takes a message does not let a waiting sender in;
//! - a receiver that finds nothing does not look whether the senders are gone.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::check_bounded;
use sward_sync::channel::{Receiver, Sender, bounded, unbounded};

/// loom counts it: one that is left at the model's end fails it.
type Message = Arc<u32>;

fn message(n: u32) -> Message {
    Arc::new(n)
}

/// A thread of its own that owns a handle.
fn spawn<H: 'static, R: 'static>(handle: H, f: impl FnOnce(H) -> R + 'static) -> thread::JoinHandle<R> {
    thread::spawn(move || f(handle))
}

fn send_at_once(sender: &Sender<Message>, n: u32) -> bool {
    sender.send_deadline(message(n), Instant::now()).is_ok()
}

fn recv_at_once(receiver: &Receiver<Message>) -> Option<u32> {
    receiver.recv_deadline(Instant::now()).ok().map(|message| *message)
}

fn recv(receiver: &Receiver<Message>) -> Option<u32> {
    receiver.recv().ok().map(|message| *message)
}

/// A sender of two messages meets a receiver that takes all.
fn messages_arrive_in_order(capacity: usize) {
    check_bounded(4, move || {
        let (sender, receiver) = bounded(capacity);
        let other = spawn(sender, |sender| {
            sender.send(message(1)).unwrap();
            sender.send(message(2)).unwrap();
        });
        assert_eq!([(); 3].map(|()| recv(&receiver)), [Some(1), Some(2), None]);
        other.join().unwrap();
    });
}

#[test]
fn messages_arrive_in_order_without_a_buffer() {
    messages_arrive_in_order(0);
}

#[test]
fn messages_arrive_in_order_through_a_buffer_that_is_full() {
    messages_arrive_in_order(1);
}

#[test]
fn messages_arrive_in_order_through_a_buffer() {
    messages_arrive_in_order(2);
}

#[test]
fn a_message_that_is_looked_for_is_there_or_not() {
    check_bounded(4, || {
        let (sender, receiver) = unbounded();
        let other = spawn(sender, |sender| sender.send(message(1)).unwrap());
        let first = receiver.try_recv().ok().map(|message| *message);
        assert!(first.is_none() || recv(&receiver).is_none());
        other.join().unwrap();
    });
}

/// Each of two senders' messages goes to one receiver.
fn two_senders_meet_a_receiver(capacity: usize) {
    check_bounded(2, move || {
        let (sender, receiver) = bounded(capacity);
        let others = [1, 2].map(|n| spawn(sender.clone(), move |sender| sender.send(message(n)).unwrap()));
        drop(sender);
        let received = [(); 3].map(|()| recv(&receiver));
        assert!(received == [Some(1), Some(2), None] || received == [Some(2), Some(1), None]);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn two_senders_meet_a_receiver_without_a_buffer() {
    two_senders_meet_a_receiver(0);
}

#[test]
fn two_senders_meet_a_receiver_at_a_buffer() {
    two_senders_meet_a_receiver(1);
}

/// One message for two receivers goes to one of them, and the other learns of the end.
fn two_receivers_meet_one_message(capacity: usize) {
    check_bounded(2, move || {
        let (sender, receiver) = bounded(capacity);
        let others = [(); 2].map(|()| spawn(receiver.clone(), |receiver| recv(&receiver)));
        drop(receiver);
        sender.send(message(1)).unwrap();
        drop(sender);
        let received = others.map(|other| other.join().unwrap());
        assert!(received == [Some(1), None] || received == [None, Some(1)]);
    });
}

#[test]
fn two_receivers_meet_one_message_without_a_buffer() {
    two_receivers_meet_one_message(0);
}

#[test]
fn two_receivers_meet_one_message_in_a_buffer() {
    two_receivers_meet_one_message(1);
}

/// A receiver gives up as the message comes.
fn a_receiver_gives_up(capacity: usize) {
    check_bounded(4, move || {
        let (sender, receiver) = bounded(capacity);
        let other = spawn(sender, |sender| sender.send(message(1)).unwrap());
        let received = recv_at_once(&receiver).or_else(|| recv(&receiver));
        assert_eq!(received, Some(1));
        assert_eq!(recv(&receiver), None);
        other.join().unwrap();
    });
}

#[test]
fn a_message_that_comes_as_time_is_up_is_received_or_kept() {
    a_receiver_gives_up(1);
}

#[test]
fn a_message_that_comes_as_time_is_up_is_received_or_stays_with_its_sender() {
    a_receiver_gives_up(0);
}

#[test]
fn a_receiver_that_gives_up_leaves_the_message_to_the_next() {
    check_bounded(2, || {
        let (sender, receiver) = bounded(0);
        let impatient = spawn(receiver.clone(), |receiver| recv_at_once(&receiver));
        let patient = spawn(receiver, |receiver| recv(&receiver));
        sender.send(message(1)).unwrap();
        drop(sender);
        let received = [impatient, patient].map(|other| other.join().unwrap());
        assert!(received == [Some(1), None] || received == [None, Some(1)]);
    });
}

/// A sender gives up as its message is taken.
fn a_sender_gives_up(capacity: usize) {
    check_bounded(4, move || {
        let (sender, receiver) = bounded(capacity);
        let other = spawn(sender, |sender| (1..=2).filter(|n| send_at_once(&sender, *n)).count());
        let received = std::iter::from_fn(|| recv(&receiver)).count();
        assert_eq!(received, other.join().unwrap());
    });
}

#[test]
fn a_message_is_sent_or_given_back_when_time_is_up() {
    a_sender_gives_up(0);
}

#[test]
fn a_message_is_admitted_or_given_back_when_time_is_up() {
    a_sender_gives_up(1);
}

#[test]
fn a_sender_that_gives_up_leaves_the_room_to_the_next() {
    check_bounded(2, || {
        let (sender, receiver) = bounded(1);
        sender.send(message(0)).unwrap();
        let impatient = spawn(sender.clone(), |sender| u32::from(send_at_once(&sender, 1)));
        let patient = spawn(sender, |sender| sender.send(message(2)).unwrap());
        let sum = std::iter::from_fn(|| recv(&receiver)).sum::<u32>();
        assert_eq!(sum, 2 + impatient.join().unwrap());
        patient.join().unwrap();
    });
}

/// The last receiver goes while messages are sent.
fn a_receiver_is_dropped(capacity: usize) {
    check_bounded(4, move || {
        let (sender, receiver) = bounded(capacity);
        let other = spawn(receiver, drop);
        let sent = (1..=2).take_while(|n| sender.send(message(*n)).is_ok()).count();
        assert!(sent <= capacity);
        other.join().unwrap();
        assert!(sender.send(message(3)).is_err());
    });
}

#[test]
fn senders_learn_that_the_receiver_is_gone() {
    a_receiver_is_dropped(0);
}

#[test]
fn messages_in_the_buffer_are_dropped_with_the_receiver() {
    a_receiver_is_dropped(1);
}

#[test]
fn two_senders_learn_that_the_receiver_is_gone() {
    check_bounded(3, || {
        let (sender, receiver) = bounded(0);
        let others = [1, 2].map(|n| spawn(sender.clone(), move |sender| sender.send(message(n)).is_err()));
        drop(receiver);
        for other in others {
            assert!(other.join().unwrap());
        }
    });
}

#[test]
fn two_receivers_learn_that_the_sender_is_gone() {
    check_bounded(3, || {
        let (sender, receiver) = bounded(1);
        let others = [(); 2].map(|()| spawn(receiver.clone(), |receiver| recv(&receiver)));
        drop(sender);
        for other in others {
            assert_eq!(other.join().unwrap(), None);
        }
    });
}

#[test]
fn the_end_comes_as_time_is_up() {
    check_bounded(4, || {
        let (sender, receiver) = bounded(0);
        let other = spawn(sender, drop);
        assert_eq!(recv_at_once(&receiver), None);
        assert_eq!(recv(&receiver), None);
        other.join().unwrap();
    });
}
