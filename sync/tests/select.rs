//! `Select`: one of several operations that are known at run time, at channels of every kind, in every kind of runtime.

use std::time::{Duration, Instant};

use crate::common::{Drops, each_mode, everywhere, panics_with, settle, spawn_either};
use sward_runtime::thread;
use sward_sync::{
    Arc, Notify,
    channel::{
        Receiver, RecvError, Select, SelectTimeoutError, SendError, Sender, TryRecvError, TrySelectError,
        after, bounded, never, tick, unbounded,
    },
};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3_600);

/// Receives from whichever comes first.
fn recv_any<T>(receivers: &[Receiver<T>]) -> (usize, Result<T, RecvError>) {
    let mut select = Select::new();
    for receiver in receivers {
        select.recv(receiver);
    }
    let operation = select.select();
    let index = operation.index();
    (index, operation.recv(&receivers[index]))
}

fn channels<T>(capacities: &[Option<usize>]) -> (Vec<Sender<T>>, Vec<Receiver<T>>) {
    capacities.iter().map(|capacity| capacity.map_or_else(unbounded, bounded)).unzip()
}

/// Capacities of every kind.
const CAPACITIES: [Option<usize>; 4] = [Some(0), Some(1), Some(5), None];

#[test]
fn what_is_ready_is_selected() {
    everywhere(|| {
        let (senders, receivers) = channels(&[None; 5]);
        for i in [4, 0, 2] {
            senders[i].send(i).unwrap();
            assert_eq!(recv_any(&receivers), (i, Ok(i)));
        }
    });
}

#[test]
fn without_operations_there_is_nothing_to_select() {
    everywhere(|| {
        let mut select = Select::default();
        assert_eq!(select.try_select().unwrap_err(), TrySelectError);
        assert_eq!(select.select_timeout(SHORT).unwrap_err(), SelectTimeoutError);
        assert_eq!(format!("{select:?}"), "Select { .. }");
    });
    assert_eq!(panics_with(|| Select::new().select()), "no operations have been added to `Select`");
}

#[test]
fn a_disconnected_channel_is_ready_at_both_ends() {
    everywhere(|| {
        for capacity in CAPACITIES {
            let (mut senders, mut receivers) = channels::<u32>(&[capacity, Some(0)]);
            let kept = (senders.remove(1), receivers.remove(1));
            let (sender, receiver) = (senders.remove(0), receivers.remove(0));
            drop(receiver);
            let mut select = Select::new();
            select.send(&sender);
            select.send(&kept.0);
            assert_eq!(select.try_select().unwrap().send(&sender, 1), Err(SendError(1)));
            assert_eq!(select.select().send(&sender, 2), Err(SendError(2)));

            let (sender, receiver) = capacity.map_or_else(unbounded::<u32>, bounded);
            drop(sender);
            let mut select = Select::new();
            select.recv(&kept.1);
            select.recv(&receiver);
            assert_eq!(select.try_select().unwrap().recv(&receiver), Err(RecvError));
            assert_eq!(select.select_timeout(LONG).unwrap().recv(&receiver), Err(RecvError));
        }
    });
}

#[test]
fn messages_that_were_sent_before_the_end_are_received_first() {
    everywhere(|| {
        let (sender, receiver) = bounded(2);
        sender.send(1).unwrap();
        drop(sender);
        let receivers = [never(), receiver];
        assert_eq!(recv_any(&receivers), (1, Ok(1)));
        assert_eq!(recv_any(&receivers), (1, Err(RecvError)));
    });
}

#[test]
fn time_is_up_when_nothing_happens_and_nothing_is_left_behind() {
    everywhere(|| {
        for capacity in CAPACITIES {
            let (sender, receiver) = capacity.map_or_else(unbounded::<u32>, bounded);
            let begin = Instant::now();
            let mut select = Select::new();
            select.recv(&receiver);
            assert!(select.try_select().is_err());
            assert!(select.select_timeout(SHORT).is_err());
            assert!(begin.elapsed() >= SHORT);
            assert!(select.select_deadline(begin).is_err());
            if capacity == Some(0) {
                assert!(sender.try_send(1).is_err(), "nobody waits any more");
            } else {
                sender.try_send(1).unwrap();
                assert_eq!(
                    select.select_deadline(begin).unwrap().recv(&receiver),
                    Ok(1),
                    "too late, but there"
                );
            }
        }
    });
}

#[test]
fn a_receiver_that_waits_gets_what_is_sent_first() {
    everywhere(|| {
        for capacity in CAPACITIES {
            for (i, which) in [0, 1, 2].into_iter().enumerate() {
                let (mut senders, receivers) = channels(&[capacity, Some(0), capacity]);
                let sender = senders.swap_remove(which);
                let other = spawn_either(i, move || {
                    let (index, message) = recv_any(&receivers);
                    (index, message, receivers)
                });
                sender.send(which).unwrap();
                let (index, message, _receivers) = other.join();
                assert_eq!((index, message), (which, Ok(which)));
            }
        }
    });
}

#[test]
fn a_sender_that_waits_sends_where_there_is_room_first() {
    everywhere(|| {
        for capacity in [0, 1] {
            for which in [0, 1] {
                let (senders, receivers) = channels(&[Some(capacity); 2]);
                for sender in &senders {
                    // Full.
                    (0..capacity).for_each(|_| sender.send(0).unwrap());
                }
                let other = spawn_either(which, move || {
                    let mut select = Select::new();
                    for sender in &senders {
                        select.send(sender);
                    }
                    let operation = select.select();
                    let index = operation.index();
                    operation.send(&senders[index], 7).unwrap();
                    index
                });
                let received: Vec<_> = receivers[which].iter().take(capacity + 1).collect();
                assert_eq!(received.last(), Some(&7));
                assert_eq!(other.join(), which);
            }
        }
    });
}

#[test]
fn the_end_of_a_channel_wakes() {
    everywhere(|| {
        for capacity in CAPACITIES {
            let (senders, receivers) = channels::<u32>(&[capacity, Some(0)]);
            let other = spawn_either(0, move || recv_any(&receivers));
            let mut senders = senders.into_iter();
            drop(senders.next());
            assert_eq!(other.join(), (0, Err(RecvError)));
        }
        let (sender, receiver) = bounded(0);
        let other = spawn_either(1, move || {
            let mut select = Select::new();
            select.send(&sender);
            select.select().send(&sender, 7)
        });
        drop(receiver);
        assert_eq!(other.join(), Err(SendError(7)));
    });
}

#[test]
fn sending_and_receiving_in_one_select_do_not_meet() {
    everywhere(|| {
        let (sender, receiver) = bounded::<u32>(0);
        let mut select = Select::new();
        select.send(&sender);
        select.recv(&receiver);
        assert!(select.try_select().is_err());
        assert!(select.select_timeout(SHORT).is_err());

        let (sender, receiver) = bounded::<u32>(1);
        let mut select = Select::new();
        let send = select.send(&sender);
        let recv = select.recv(&receiver);
        for i in 0..10 {
            let operation = select.select();
            assert_eq!(operation.index(), if i % 2 == 0 { send } else { recv });
            if i % 2 == 0 {
                operation.send(&sender, i).unwrap();
            } else {
                assert_eq!(operation.recv(&receiver), Ok(i - 1));
            }
        }
    });
}

#[test]
fn each_of_several_that_send_or_receive_meets_another() {
    everywhere(|| {
        let (sender, receiver) = bounded(0);
        let threads: Vec<_> = (0..20)
            .map(|i| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                spawn_either(i, move || {
                    let mut select = Select::new();
                    let send = select.send(&sender);
                    select.recv(&receiver);
                    let operation = select.select();
                    if operation.index() == send {
                        operation.send(&sender, i).unwrap();
                        None
                    } else {
                        Some(operation.recv(&receiver).unwrap())
                    }
                })
            })
            .collect();
        let received: Vec<_> = threads.into_iter().map(crate::common::Either::join).collect();
        assert_eq!(received.iter().flatten().count(), 10);
        assert!(received.iter().enumerate().all(|(i, from)| *from != Some(i)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn one_operation_may_be_added_several_times() {
    everywhere(|| {
        let (sender, receiver) = unbounded::<u32>();
        let mut hits = [0; 4];
        while hits.contains(&0) {
            let mut select = Select::new();
            select.recv(&receiver);
            select.recv(&receiver);
            select.send(&sender);
            select.send(&sender);
            let operation = select.select();
            let index = operation.index();
            hits[index] += 1;
            if index < 2 {
                operation.recv(&receiver).unwrap();
            } else {
                operation.send(&sender, 0).unwrap();
            }
        }
        // And waited for.
        let (sender, receiver) = bounded(0);
        let other = spawn_either(0, move || recv_any(&[receiver.clone(), receiver.clone(), receiver]).1);
        sender.send(7).unwrap();
        assert_eq!(other.join(), Ok(7));
    });
}

#[test]
fn each_of_those_that_are_ready_has_its_chance() {
    const ROUNDS: usize = 4_000;
    everywhere(|| {
        let (senders, receivers) = channels(&[None, Some(ROUNDS)]);
        for sender in &senders {
            (0..ROUNDS).for_each(|i| sender.send(i).unwrap());
        }
        let mut hits = [0_usize; 4];
        for _ in 0..ROUNDS {
            let (after, tick) = (after(Duration::ZERO), tick(Duration::ZERO));
            let mut select = Select::new();
            select.recv(&receivers[0]);
            select.recv(&after);
            select.recv(&receivers[1]);
            select.recv(&tick);
            let operation = select.select();
            hits[operation.index()] += 1;
            match operation.index() {
                0 => drop(operation.recv(&receivers[0])),
                1 => drop(operation.recv(&after)),
                2 => drop(operation.recv(&receivers[1])),
                _ => drop(operation.recv(&tick)),
            }
        }
        // A quarter each, give or take ten times the standard deviation.
        assert!(hits.iter().all(|hits| hits.abs_diff(ROUNDS / 4) < 280), "{hits:?}");
    });
}

#[test]
fn a_biased_one_prefers_the_first() {
    everywhere(|| {
        let (senders, receivers) = channels(&[None; 3]);
        for sender in &senders {
            (0..10).for_each(|i| sender.send(i).unwrap());
        }
        let mut select = Select::new_biased();
        for receiver in &receivers {
            select.recv(receiver);
        }
        let mut clone = select.clone();
        clone.remove(0);
        for (mut select, first) in [(select, 0), (clone, 1)] {
            for i in 0..10 {
                let operation = select.select();
                assert_eq!(operation.index(), first);
                assert_eq!(operation.recv(&receivers[first]), Ok(i));
            }
        }
    });
}

#[test]
fn an_operation_can_be_removed_and_its_index_is_not_used_again() {
    let (senders, receivers) = channels(&[None; 4]);
    senders.iter().for_each(|sender| sender.send(0).unwrap());
    let mut select = Select::new();
    assert_eq!([0, 1, 2].map(|i| select.recv(&receivers[i])), [0, 1, 2]);
    select.remove(0);
    select.remove(2);
    assert_eq!(select.recv(&receivers[3]), 3);
    select.remove(1);
    let operation = select.select();
    assert_eq!(operation.index(), 3);
    operation.recv(&receivers[3]).unwrap();
    assert_eq!(panics_with(|| select.remove(1)), "no operation with this index");
    assert_eq!(panics_with(|| select.remove(4)), "index out of bounds; 4 >= 4");
    let (sender, receiver) = unbounded();
    sender.send(1).unwrap();
    let mut select = select.recycle();
    assert_eq!(select.recv(&receiver), 0);
    assert_eq!(select.select().recv(&receiver), Ok(1));
}

#[test]
fn it_can_be_reused_cloned_and_sent_whatever_the_messages_are() {
    fn check<T: Send + Sync>(_: &T) {}
    let (_sender, receiver) = unbounded::<std::rc::Rc<u32>>();
    let mut select = Select::new();
    select.recv(&receiver);
    check(&select);

    everywhere(|| {
        let (sender, receiver) = bounded(0);
        let mut select = Select::new();
        let send = select.send(&sender);
        select.recv(&receiver);
        thread::scope(|s| {
            for i in 0..10 {
                let mut select = select.clone();
                let (sender, receiver) = (&sender, &receiver);
                s.spawn(move || {
                    let operation = select.select();
                    if operation.index() == send {
                        operation.send(sender, i).unwrap();
                    } else {
                        assert_ne!(operation.recv(receiver), Ok(i));
                    }
                });
            }
        });
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn more_operations_than_fit_inline_wait_too() {
    everywhere(|| {
        let (senders, receivers) = channels(&[Some(0); 100]);
        let other = spawn_either(0, move || (0..100).map(|_| recv_any(&receivers)).collect::<Vec<_>>());
        for (i, sender) in senders.iter().enumerate() {
            sender.send(i).unwrap();
        }
        assert!(other.join().into_iter().enumerate().all(|(i, received)| received == (i, Ok(i))));
    });
}

#[test]
fn an_operation_may_be_completed_with_another_handle_of_the_channel() {
    for capacity in CAPACITIES.into_iter().skip(1) {
        let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
        let mut select = Select::new();
        select.send(&sender);
        select.select().send(&sender.clone(), 1).unwrap();
        let mut select = Select::new();
        select.recv(&receiver);
        assert_eq!(select.select().recv(&receiver.clone()), Ok(1));
    }
}

#[test]
fn an_operation_is_not_completed_with_something_else() {
    let (senders, receivers) = channels(&[None; 2]);
    let notify = Notify::new();
    let mut sends = Select::new();
    sends.send(&senders[0]);
    let (recv, send) = ("passed a receiver that wasn't selected", "passed a sender that wasn't selected");
    assert_eq!(panics_with(|| sends.select().send(&senders[1], 1)), send);
    assert_eq!(panics_with(|| sends.select().recv(&receivers[0])), recv);
    assert_eq!(
        panics_with(|| sends.select().notified(&notify)),
        "passed a notification that wasn't selected"
    );
    senders[0].send(1).unwrap();
    let mut recvs = Select::new();
    recvs.recv(&receivers[0]);
    assert_eq!(panics_with(|| recvs.select().recv(&receivers[1])), recv);
    assert_eq!(panics_with(|| recvs.select().send(&senders[0], 2)), send);
    assert_eq!(recvs.select().recv(&receivers[0]), Ok(1), "it was given back");
    assert!(receivers.iter().all(Receiver::is_empty));
}

const DROPPED: &str = "dropped `SelectedOperation` without completing the operation";

#[test]
fn what_is_selected_and_dropped_is_given_back_in_order() {
    everywhere(|| {
        let drops = Drops::new();
        let (sender, receiver) = bounded(2);
        for i in 0..2 {
            sender.send((i, drops.token())).unwrap();
        }
        let mut select = Select::new();
        select.recv(&receiver);
        assert_eq!(panics_with(|| select.select()), DROPPED);
        assert_eq!(drops.count(), 0);
        for i in 0..2 {
            assert_eq!(receiver.try_recv().unwrap().0, i);
        }
        assert_eq!(drops.count(), 2);

        let mut select = Select::new();
        select.send(&sender);
        assert_eq!(panics_with(|| select.select()), DROPPED);
        for i in 0..2 {
            sender.try_send((i, drops.token())).unwrap();
        }
        assert!(sender.is_full());
        drop((sender, receiver));
        assert_eq!(drops.count(), 4);
    });
}

#[test]
fn who_was_selected_for_nothing_waits_on() {
    each_mode(1, |config| {
        config.build().run(|| {
            // A receiver, which a sender leaves alone after all.
            let (sender, receiver) = bounded(0);
            let waiting = thread::spawn(move || receiver.recv());
            settle();
            let mut select = Select::new();
            select.send(&sender);
            assert_eq!(panics_with(|| select.select()), DROPPED);
            settle();
            assert!(!waiting.is_finished());
            sender.send(1).unwrap();
            assert_eq!(waiting.join().unwrap(), Ok(1));

            // A sender, whose message has been taken, but nobody wants: the next one does.
            let (sender, receiver) = bounded(0);
            let waiting = thread::spawn(move || sender.send(2));
            settle();
            let mut select = Select::new();
            select.recv(&receiver);
            assert_eq!(panics_with(|| select.select()), DROPPED);
            assert_eq!(receiver.recv(), Ok(2));
            waiting.join().unwrap().unwrap();

            // Room, for which another waits meanwhile.
            let (sender, receiver) = bounded(1);
            let mut select = Select::new();
            select.send(&sender);
            let operation = select.select();
            let theirs = sender.clone();
            let waiting = thread::spawn(move || theirs.send(3));
            settle();
            assert!(!waiting.is_finished());
            assert_eq!(panics_with(|| operation), DROPPED);
            assert_eq!(receiver.recv(), Ok(3));
            waiting.join().unwrap().unwrap();
        });
    });
}

#[test]
fn two_selects_that_meet_finish_in_either_order() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (sender, receiver) = bounded(0);
            let other = thread::spawn(move || {
                let (index, message) = recv_any(&[never(), receiver.clone()]);
                assert_eq!(index, 1);
                message
            });
            settle();
            let mut select = Select::new();
            select.send(&sender);
            let operation = select.select();
            // It knows that it was selected, and not yet with what.
            settle();
            assert!(!other.is_finished());
            operation.send(&sender, 7).unwrap();
            assert_eq!(other.join().unwrap(), Ok(7));
        });
    });
}

#[test]
fn a_runtime_that_ends_leaves_nothing_in_the_channels() {
    crate::common::each_config(|config| {
        let drops = Drops::new();
        let (senders, receivers) = channels(&[Some(0), Some(1), None]);
        let notify = Arc::new(Notify::new());
        let runtime = config.build();
        runtime.run(|| {
            for i in 0..10 {
                let (sender, receivers, notify) =
                    (senders[0].clone(), receivers.clone(), Arc::clone(&notify));
                let token = drops.token();
                let parked = thread::spawn(thread::park);
                let handle = thread::spawn(move || {
                    let mut select = Select::new();
                    if i % 2 == 0 {
                        select.send(&sender);
                    } else {
                        for receiver in &receivers {
                            select.recv(receiver);
                        }
                    }
                    select.notified(&notify);
                    let ended = select.join(&parked);
                    // They meet in the first channel, two by two, or wait for ever.
                    let operation = select.select();
                    match operation.index() {
                        0 if i % 2 == 0 => operation.send(&sender, token).unwrap(),
                        0 => drop(operation.recv(&receivers[0])),
                        index => {
                            assert_eq!(index, ended, "which was made to end first");
                            operation.join(&parked);
                        }
                    }
                });
                drop(handle);
            }
        });
        drop(runtime);
        assert_eq!(drops.count(), 10);
        for sender in &senders[1..] {
            sender.try_send(drops.token()).unwrap();
        }
        assert!(senders[0].try_send(drops.token()).is_err(), "a receiver is left in its list");
        assert_eq!(receivers.iter().map(|receiver| receiver.try_iter().count()).sum::<usize>(), 2);
        notify.notify_one();
        assert!(notify.wait_until(Instant::now()));
    });
}
