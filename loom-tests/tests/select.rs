//! The `select`: several operations at once, against others at the same channels, deadlines, ends, and other selects.
//!
//! The real `Select`, channels and `Notify`. Stand-ins: loom's mutex for the channels' locks, which have a model of their own; a deadline has
//! always passed; operations are tried in the order in which they were added. A message is loom's `Arc`: one that is lost, or dropped
//! twice, fails the model.
//!
//! # Fails when
//!
//! - `enter` does not look whether an operation is ready, or looks past senders that wait; or an entry stays in its list: as time goes on nobody
//!   sees it, or its memory is another's;
//! - a `select` counts its own entries as others': it turns round for ever;
//! - who is not sent to after all, or waits for a message that another `select` abandoned, is not told; or room that is free again is kept;
//! - who watches a channel is not told of a message;
//! - a notification that was selected and abandoned is not passed on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use loom::{sync::Arc, thread};
use sward_loom_tests::check_bounded;
use sward_sync::{
    Notify,
    channel::{Receiver, Select, Sender, bounded, select},
};

type Message = Arc<u32>;
type Channel = (Sender<Message>, Receiver<Message>);

/// A thread of its own that owns a handle.
fn spawn<H: 'static, R: 'static>(handle: H, f: impl FnOnce(H) -> R + 'static) -> thread::JoinHandle<R> {
    thread::spawn(move || f(handle))
}

fn send(sender: &Sender<Message>, n: u32) {
    sender.send(Arc::new(n)).unwrap();
}

fn recv(receiver: &Receiver<Message>) -> Option<u32> {
    receiver.recv().ok().map(|message| *message)
}

/// Receives from the first that has something. Which, and what.
fn recv_one_of(receivers: [&Receiver<Message>; 2]) -> (usize, Option<u32>) {
    let mut select = Select::new();
    for receiver in receivers {
        select.recv(receiver);
    }
    let operation = select.select();
    let index = operation.index();
    (index, operation.recv(receivers[index]).ok().map(|message| *message))
}

/// As `recv_one_of`, until time is up.
fn recv_one_of_at_once(receivers: [&Receiver<Message>; 2]) -> Option<u32> {
    let mut select = Select::new();
    for receiver in receivers {
        select.recv(receiver);
    }
    let operation = select.select_deadline(Instant::now()).ok()?;
    let index = operation.index();
    Some(*operation.recv(receivers[index]).unwrap())
}

/// Sends to the first that takes it. Which.
fn send_one_of(senders: [&Sender<Message>; 2]) -> usize {
    let mut select = Select::new();
    for sender in senders {
        select.send(sender);
    }
    let operation = select.select();
    let index = operation.index();
    operation.send(senders[index], Arc::new(7)).unwrap();
    index
}

/// Two channels with a sender each.
fn two_messages_meet(capacity: usize, recv_one: fn([&Receiver<Message>; 2]) -> (usize, Option<u32>)) {
    check_bounded(2, move || {
        let (first, second): (Channel, Channel) = (bounded(capacity), bounded(capacity));
        let others = [spawn(first.0, |sender| send(&sender, 0)), spawn(second.0, |sender| send(&sender, 1))];
        let (index, message) = recv_one([&first.1, &second.1]);
        assert_eq!(message, Some(index as u32));
        let rest = [&second.1, &first.1][index];
        assert_eq!(recv(rest), Some(1 - index as u32));
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn two_messages_meet_a_select_without_buffers() {
    two_messages_meet(0, recv_one_of);
}

#[test]
fn two_messages_meet_a_select_with_buffers() {
    two_messages_meet(1, recv_one_of);
}

/// What a `select` sends goes to one of two receivers.
fn two_receivers_meet_a_select(capacity: usize) {
    check_bounded(2, move || {
        let (first, second): (Channel, Channel) = (bounded(capacity), bounded(capacity));
        let others =
            [spawn(first.1, |receiver| recv(&receiver)), spawn(second.1, |receiver| recv(&receiver))];
        let index = send_one_of([&first.0, &second.0]);
        drop((first.0, second.0));
        let received = others.map(|other| other.join().unwrap());
        assert_eq!(received[index], Some(7));
        assert_eq!(received[1 - index], None);
    });
}

#[test]
fn two_receivers_meet_a_select_without_buffers() {
    two_receivers_meet_a_select(0);
}

#[test]
fn two_receivers_meet_a_select_with_buffers() {
    two_receivers_meet_a_select(1);
}

#[test]
fn a_select_learns_that_a_channel_has_ended() {
    check_bounded(3, || {
        let (first, second): (Channel, Channel) = (bounded(1), bounded(0));
        let other = spawn(first.0, drop);
        assert_eq!(recv_one_of([&first.1, &second.1]), (0, None));
        other.join().unwrap();
    });
}

/// A message that comes as the time of a `select` is up.
fn a_select_gives_up(capacity: usize) {
    check_bounded(3, move || {
        let (first, second): (Channel, Channel) = (bounded(capacity), bounded(0));
        let other = spawn(first.0, |sender| send(&sender, 1));
        let received = recv_one_of_at_once([&first.1, &second.1]).or_else(|| recv(&first.1));
        assert_eq!(received, Some(1));
        other.join().unwrap();
    });
}

#[test]
fn a_message_that_comes_as_time_is_up_is_received_or_stays_with_its_sender() {
    a_select_gives_up(0);
}

#[test]
fn a_message_that_comes_as_time_is_up_is_received_or_kept() {
    a_select_gives_up(1);
}

#[test]
fn a_receiver_gives_up_as_a_select_sends_to_it() {
    check_bounded(3, || {
        let (first, second): (Channel, Channel) = (bounded(0), bounded(0));
        let other = spawn([first.1, second.1], |[first, second]| {
            if first.recv_deadline(Instant::now()).is_ok() {
                return 0;
            }
            assert_eq!(recv(&second), Some(7));
            1
        });
        // The first receiver stays until the end, so that it does not count as gone.
        let index = send_one_of([&first.0, &second.0]);
        assert_eq!(index, other.join().unwrap());
    });
}

/// Two selects that offer each other the same two exchanges do one of them.
#[test]
fn two_selects_meet() {
    check_bounded(3, || {
        let (first, second): (Channel, Channel) = (bounded(0), bounded(0));
        let other = spawn([first.1.clone(), second.1.clone()], |[first, second]| {
            let (index, message) = recv_one_of([&first, &second]);
            assert_eq!(message, Some(7));
            index
        });
        let index = send_one_of([&first.0, &second.0]);
        assert_eq!(index, other.join().unwrap());
    });
}

#[test]
fn two_selects_meet_crosswise() {
    /// Sends there or receives here. Whether it sent.
    fn exchange(there: &Sender<Message>, here: &Receiver<Message>) -> bool {
        let mut select = Select::new();
        let sending = select.send(there);
        select.recv(here);
        let operation = select.select();
        if operation.index() == sending {
            operation.send(there, Arc::new(7)).unwrap();
            return true;
        }
        assert_eq!(*operation.recv(here).unwrap(), 7);
        false
    }
    check_bounded(3, || {
        let (first, second): (Channel, Channel) = (bounded(0), bounded(0));
        let other = spawn((second.0.clone(), first.1.clone()), |(there, here)| exchange(&there, &here));
        let sent = exchange(&first.0, &second.1);
        assert_ne!(sent, other.join().unwrap());
    });
}

/// Sends and receives at the same channel.
fn a_select_meets_another_and_not_itself(sends_first: bool) {
    check_bounded(3, move || {
        let (sender, receiver): Channel = bounded(0);
        let other = spawn(sender.clone(), |sender| send(&sender, 1));
        let mut select = Select::new();
        if sends_first {
            select.send(&sender);
        }
        let receiving = select.recv(&receiver);
        if !sends_first {
            select.send(&sender);
        }
        let operation = select.select();
        assert_eq!(operation.index(), receiving);
        assert_eq!(*operation.recv(&receiver).unwrap(), 1);
        other.join().unwrap();
    });
}

#[test]
fn a_select_that_sends_and_receives_does_not_meet_itself() {
    a_select_meets_another_and_not_itself(true);
}

#[test]
fn a_select_that_receives_and_sends_does_not_meet_itself() {
    a_select_meets_another_and_not_itself(false);
}

#[test]
fn room_that_a_select_did_not_need_goes_to_a_sender_that_waits() {
    check_bounded(2, || {
        let (sender, receiver): Channel = bounded(1);
        let receiving = spawn(receiver, |receiver| [(); 2].map(|()| recv(&receiver).unwrap()));
        let mut select = Select::new();
        select.send(&sender);
        let operation = select.select();
        let other = spawn(sender.clone(), |sender| send(&sender, 2));
        operation.send(&sender, Arc::new(1)).unwrap();
        other.join().unwrap();
        let received = receiving.join().unwrap();
        assert!(received == [1, 2] || received == [2, 1]);
    });
}

/// Selects a message and does not receive it, which panics.
fn abandon(receiver: &Receiver<Message>) {
    let mut select = Select::new();
    select.recv(receiver);
    let operation = select.select();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(operation))).is_err());
}

/// What was selected and abandoned is received next.
fn a_selected_message_is_abandoned(capacity: usize, sends: fn(Sender<Message>)) {
    check_bounded(3, move || {
        let (sender, receiver): Channel = bounded(capacity);
        let other = spawn(sender, sends);
        abandon(&receiver);
        assert_eq!(recv(&receiver), Some(7));
        other.join().unwrap();
    });
}

#[test]
fn a_message_that_was_selected_and_abandoned_is_kept() {
    a_selected_message_is_abandoned(1, |sender| send(&sender, 7));
}

#[test]
fn a_message_that_was_selected_without_a_buffer_and_abandoned_is_kept() {
    a_selected_message_is_abandoned(0, |sender| send(&sender, 7));
}

#[test]
fn a_message_that_a_select_sends_and_another_abandons_is_kept() {
    a_selected_message_is_abandoned(0, |sender| {
        let (another, _receiver): Channel = bounded(0);
        assert_eq!(send_one_of([&sender, &another]), 0);
    });
}

#[test]
fn a_message_that_is_abandoned_goes_to_a_receiver_that_waits() {
    check_bounded(3, || {
        let (sender, receiver): Channel = bounded(1);
        send(&sender, 7);
        let other = spawn(receiver.clone(), |receiver| recv(&receiver));
        let mut select = Select::new();
        select.recv(&receiver);
        if let Ok(operation) = select.try_select() {
            assert!(catch_unwind(AssertUnwindSafe(|| drop(operation))).is_err());
        }
        assert_eq!(other.join().unwrap(), Some(7));
        drop(sender);
    });
}

#[test]
fn a_receiver_to_which_a_select_does_not_send_after_all_waits_on() {
    check_bounded(3, || {
        let (sender, receiver): Channel = bounded(0);
        let other = spawn(receiver, |receiver| recv(&receiver));
        let mut select = Select::new();
        select.send(&sender);
        let operation = select.select();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(operation))).is_err());
        send(&sender, 2);
        assert_eq!(other.join().unwrap(), Some(2));
    });
}

#[test]
fn who_watches_is_told() {
    check_bounded(3, || {
        let (sender, receiver): Channel = bounded(1);
        // A sender stays, so that the end of the channel tells nothing.
        let other = spawn(sender.clone(), |sender| send(&sender, 1));
        let mut select = Select::new();
        select.recv(&receiver);
        assert_eq!(select.ready(), 0);
        assert_eq!(*receiver.try_recv().unwrap(), 1);
        other.join().unwrap();
    });
}

#[test]
fn a_notification_that_was_not_selected_is_kept() {
    check_bounded(2, || {
        let notify = Arc::new(Notify::new());
        let (sender, receiver): Channel = bounded(1);
        let notifier = spawn(Arc::clone(&notify), |notify| notify.notify_one());
        let other = spawn(sender, |sender| send(&sender, 1));
        let mut select = Select::new();
        let notified = select.notified(&notify);
        select.recv(&receiver);
        let operation = select.select();
        if operation.index() == notified {
            operation.notified(&notify);
            assert_eq!(recv(&receiver), Some(1));
        } else {
            assert_eq!(*operation.recv(&receiver).unwrap(), 1);
            notify.wait();
        }
        assert!(!notify.wait_until(Instant::now()));
        notifier.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_notification_that_was_selected_and_abandoned_is_kept() {
    check_bounded(3, || {
        let notify = Arc::new(Notify::new());
        let notifier = spawn(Arc::clone(&notify), |notify| notify.notify_one());
        let mut select = Select::new();
        select.notified(&notify);
        let operation = select.select();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(operation))).is_err());
        notify.wait();
        notifier.join().unwrap();
    });
}

/// As `recv_one_of`, by `select!`, which has a slot for each message.
fn recv_one_into(receivers: [&Receiver<Message>; 2]) -> (usize, Option<u32>) {
    let (index, message) = select! {
        recv(receivers[0]) -> message => (0, message),
        recv(receivers[1]) -> message => (1, message),
    };
    (index, message.ok().map(|message| *message))
}

#[test]
fn two_messages_meet_slots_without_buffers() {
    two_messages_meet(0, recv_one_into);
}

#[test]
fn two_messages_meet_slots_with_buffers() {
    two_messages_meet(1, recv_one_into);
}

/// A message that comes as the time of a `select!` is up.
fn a_slot_is_given_up(capacity: usize) {
    check_bounded(3, move || {
        let (first, second): (Channel, Channel) = (bounded(capacity), bounded(0));
        let other = spawn(first.0, |sender| send(&sender, 1));
        let received = select! {
            recv(first.1) -> message => message.ok().map(|message| *message),
            recv(second.1) -> _ => unreachable!("nobody sends there"),
            default(Duration::ZERO) => recv(&first.1),
        };
        assert_eq!(received, Some(1));
        other.join().unwrap();
    });
}

#[test]
fn a_message_that_comes_as_time_is_up_is_in_the_slot_or_stays_with_its_sender() {
    a_slot_is_given_up(0);
}

#[test]
fn a_message_that_comes_as_time_is_up_is_in_the_slot_or_kept() {
    a_slot_is_given_up(1);
}

#[test]
fn a_select_promises_to_one_with_slots() {
    check_bounded(3, || {
        let (first, second): (Channel, Channel) = (bounded(0), bounded(0));
        let other = spawn([first.1.clone(), second.1.clone()], |[first, second]| {
            let (index, message) = recv_one_into([&first, &second]);
            assert_eq!(message, Some(7));
            index
        });
        let index = send_one_of([&first.0, &second.0]);
        assert_eq!(index, other.join().unwrap());
    });
}

#[test]
fn a_sender_in_a_select_may_change_its_mind() {
    check_bounded(3, || {
        let (sender, receiver): Channel = bounded(0);
        let other = spawn(receiver, |receiver| recv(&receiver));
        // Selected, it returns instead of making a message.
        #[expect(unreachable_code, reason = "what follows the change of mind")]
        let changed = || {
            select! {
                send(sender, return true) -> _ => unreachable!("nothing was sent"),
                default => false,
            }
        };
        let _ = changed();
        send(&sender, 2);
        assert_eq!(other.join().unwrap(), Some(2));
    });
}
