//! Receivers as iterators.

use crate::common::{each_run, spawn_either};
use sward_runtime::thread;
use sward_sync::channel::{bounded, unbounded};

#[test]
fn it_ends_when_the_channel_is_empty_and_without_senders() {
    each_run(|| {
        for capacity in [0, 1, 10] {
            for n in 0..2 {
                let (sender, receiver) = bounded(capacity);
                let sending = spawn_either(n, move || (0..50).for_each(|i| sender.send(i).unwrap()));
                let mut messages = receiver.iter();
                assert!(messages.by_ref().eq(0..50));
                assert_eq!((messages.next(), messages.next()), (None, None), "it stays at its end");
                sending.join();
            }
        }
    });
}

#[test]
fn it_can_be_left_and_taken_up_again() {
    let (sender, receiver) = unbounded();
    (0..10).for_each(|i| sender.send(i).unwrap());
    for message in &receiver {
        if message == 3 {
            break;
        }
    }
    assert_eq!(receiver.iter().next(), Some(4));
    drop(sender);
    assert_eq!(receiver.into_iter().sum::<i32>(), (5..10).sum());
}

#[test]
fn it_waits_for_nothing_that_is_not_there() {
    let (sender, receiver) = unbounded();
    assert_eq!(receiver.try_iter().next(), None);
    let mut messages = receiver.try_iter();
    for i in 0..3 {
        sender.send(i).unwrap();
        sender.send(i).unwrap();
        assert_eq!((messages.next(), messages.next(), messages.next()), (Some(i), Some(i), None));
    }
    drop(sender);
    assert_eq!(messages.next(), None);
}

#[test]
fn it_may_own_the_receiver() {
    let (sender, receiver) = unbounded();
    let mut messages = receiver.into_iter();
    sender.send(1).unwrap();
    assert_eq!(messages.next(), Some(1));
    drop(messages);
    assert!(sender.send(2).is_err());
}

#[test]
fn one_may_feed_another() {
    each_run(|| {
        let (numbers, receive_numbers) = bounded(1);
        let (sums, receive_sums) = bounded(0);
        let summing = thread::spawn(move || {
            let total = receive_numbers.iter().inspect(|i| sums.send(*i).unwrap()).sum::<u32>();
            sums.send(total).unwrap();
        });
        let echoing = thread::spawn(move || receive_sums.iter().sum::<u32>());
        (1..=20).for_each(|i| numbers.send(i).unwrap());
        drop(numbers);
        assert_eq!(echoing.join().unwrap(), 2 * 210);
        summing.join().unwrap();
    });
}

#[test]
fn it_says_no_more_of_itself_than_its_name() {
    let (_sender, receiver) = unbounded::<()>();
    let shown = format!("{:?} {:?}", receiver.iter(), receiver.try_iter());
    assert_eq!(shown, "Iter { .. } TryIter { .. }");
    assert_eq!(format!("{:?}", receiver.into_iter()), "IntoIter { .. }");
}
