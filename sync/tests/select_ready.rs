//! `Select::ready` and its kin: which operation could be done, without doing it.

use std::time::{Duration, Instant};

use crate::common::{each_mode, everywhere, panics_with, settle, spawn_either, stress, until_waiting};
use sward_runtime::{park::WaitReason, thread};
use sward_sync::{
    Arc, Notify,
    channel::{
        ReadyTimeoutError, Receiver, RecvError, Select, TryReadyError, TryRecvError, TrySendError, after,
        bounded, never, tick, unbounded,
    },
};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3_600);

/// As a receiver that waits for several channels would do it: whoever is too late waits again.
fn recv_any<T>(receivers: &[Receiver<T>]) -> Result<T, RecvError> {
    let mut select = Select::new();
    for receiver in receivers {
        select.recv(receiver);
    }
    loop {
        match receivers[select.ready()].try_recv() {
            Err(TryRecvError::Empty) => {}
            received => return received.map_err(|_| RecvError),
        }
    }
}

#[test]
fn what_is_ready_is_told_and_not_done() {
    everywhere(|| {
        let (s1, r1) = unbounded();
        let (s2, r2) = bounded(1);
        let mut select = Select::new();
        select.recv(&r1);
        let full = select.send(&s2);
        assert_eq!([(); 3].map(|()| select.ready()), [full; 3]);
        s2.try_send(1).unwrap();
        assert_eq!(select.try_ready(), Err(TryReadyError));
        s1.send(1).unwrap();
        assert_eq!([(); 3].map(|()| select.ready()), [0; 3]);
        assert_eq!((r1.try_recv(), r2.try_recv()), (Ok(1), Ok(1)));
    });
}

#[test]
fn without_operations_nothing_is_ready() {
    everywhere(|| {
        assert_eq!(Select::new().try_ready(), Err(TryReadyError));
        assert_eq!(Select::new().ready_timeout(SHORT), Err(ReadyTimeoutError));
    });
    assert_eq!(panics_with(|| Select::new().ready()), "no operations have been added to `Select`");
}

#[test]
fn a_disconnected_channel_is_ready() {
    everywhere(|| {
        for capacity in [0, 1] {
            let (sender, receiver) = bounded::<u32>(capacity);
            let none = never::<u32>();
            drop(sender);
            let mut select = Select::new();
            select.recv(&none);
            select.recv(&receiver);
            assert_eq!((select.try_ready(), select.ready()), (Ok(1), 1));
            let (sender, receiver) = bounded::<u32>(capacity);
            drop(receiver);
            let mut select = Select::new();
            select.send(&sender);
            assert_eq!(
                (select.ready_timeout(LONG), sender.try_send(1)),
                (Ok(0), Err(TrySendError::Disconnected(1)))
            );
        }
    });
}

#[test]
fn time_is_up_when_nothing_becomes_ready() {
    everywhere(|| {
        let (sender, receiver) = bounded::<u32>(0);
        let begin = Instant::now();
        let mut select = Select::new();
        select.send(&sender);
        select.recv(&receiver);
        assert_eq!(
            select.ready_timeout(SHORT),
            Err(ReadyTimeoutError),
            "not even the other one of the same select"
        );
        assert_eq!(select.ready_deadline(begin), Err(ReadyTimeoutError));
        assert!(begin.elapsed() >= SHORT);
    });
}

#[test]
fn it_waits_until_one_becomes_ready() {
    everywhere(|| {
        for capacity in [Some(0), Some(1), None] {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let other = spawn_either(0, move || recv_any(&[never(), receiver]));
            sender.send(7).unwrap();
            assert_eq!(other.join(), Ok(7));
            let (sender, receiver) = capacity.map_or_else(unbounded::<u32>, bounded);
            let other = spawn_either(1, move || recv_any(&[receiver, never()]));
            drop(sender);
            assert_eq!(other.join(), Err(RecvError));
        }
        for capacity in [0, 1] {
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|i| sender.send(i).unwrap());
            let other = spawn_either(capacity, move || {
                let mut select = Select::new();
                let ready = select.send(&sender);
                loop {
                    assert_eq!(select.ready(), ready);
                    if sender.try_send(7).is_ok() {
                        break;
                    }
                }
            });
            assert_eq!(receiver.iter().last(), Some(7));
            other.join();
        }
    });
}

#[test]
fn those_who_watch_a_rendezvous_are_told_when_another_comes() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (sender, receiver) = bounded::<u32>(0);
            let watch = |sends: bool| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                let handle = thread::spawn(move || {
                    let mut select = Select::new();
                    if sends {
                        select.send(&sender)
                    } else {
                        select.recv(&receiver)
                    };
                    select.ready()
                });
                until_waiting(handle.thread(), WaitReason::Select);
                handle
            };
            // Both watch, neither comes.
            let watchers = [watch(true), watch(false), watch(false)];
            settle();
            assert!(watchers.iter().all(|watcher| !watcher.is_finished()));
            let mine = receiver.clone();
            let comes = thread::spawn(move || mine.recv());
            settle();
            assert_eq!(watchers.each_ref().map(thread::JoinHandle::is_finished), [true, false, false]);
            sender.send(1).unwrap();
            assert_eq!(comes.join().unwrap(), Ok(1));
            let mine = sender.clone();
            let comes = thread::spawn(move || {
                let mut select = Select::new();
                select.send(&mine);
                select.select().send(&mine, 2)
            });
            settle();
            assert!(watchers.iter().all(thread::JoinHandle::is_finished));
            assert_eq!(receiver.recv(), Ok(2));
            comes.join().unwrap().unwrap();
        });
    });
}

#[test]
fn timers_ends_and_notifications_become_ready() {
    everywhere(|| {
        let (timeout, ticker, none) = (after(SHORT), tick(LONG), never::<()>());
        let mut select = Select::new();
        select.recv(&none);
        select.recv(&ticker);
        let due = select.recv(&timeout);
        assert_eq!((select.ready(), select.ready()), (due, due));
        timeout.try_recv().unwrap();
        assert_eq!(select.try_ready(), Err(TryReadyError));

        let handle = thread::spawn(|| 7);
        let notify = Arc::new(Notify::new());
        let mut select = Select::new_biased();
        select.notified(&notify);
        select.join(&handle);
        assert_eq!((select.ready(), select.try_ready()), (1, Ok(1)));
        assert_eq!(handle.join().unwrap(), 7);

        let theirs = Arc::clone(&notify);
        let other = thread::spawn(move || {
            let mut select = Select::new();
            select.notified(&theirs);
            select.ready()
        });
        until_waiting(other.thread(), WaitReason::Select);
        notify.notify_one();
        assert_eq!(other.join().unwrap(), 0);
        assert!(notify.wait_until(Instant::now()), "it is left for whoever takes it");
    });
}

#[test]
fn each_of_those_that_are_ready_has_its_chance() {
    const ROUNDS: usize = 4_000;
    everywhere(|| {
        let channels: Vec<_> = (0..4).map(|_| bounded::<u32>(1)).collect();
        let mut select = Select::new();
        for (sender, _) in &channels {
            select.send(sender);
        }
        let mut hits = [0_usize; 4];
        (0..ROUNDS).for_each(|_| hits[select.ready()] += 1);
        assert!(hits.iter().all(|hits| hits.abs_diff(ROUNDS / 4) < 280), "{hits:?}");
    });
}

#[test]
fn no_message_is_lost_between_being_ready_and_being_received() {
    everywhere(|| {
        let rounds = stress(100);
        for capacity in [0, 1, 10] {
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| bounded(capacity)).unzip();
            let receiving: Vec<_> = (0..3)
                .map(|i| {
                    let receivers = receivers.clone();
                    spawn_either(i, move || {
                        let mut sum = 0;
                        let mut open: Vec<_> = receivers.iter().collect();
                        while !open.is_empty() {
                            let mut select = Select::new();
                            for receiver in &open {
                                select.recv(receiver);
                            }
                            let index = select.ready();
                            match open[index].try_recv() {
                                Ok(n) => sum += n,
                                Err(TryRecvError::Empty) => {}
                                Err(TryRecvError::Disconnected) => drop(open.swap_remove(index)),
                            }
                        }
                        sum
                    })
                })
                .collect();
            let sending: Vec<_> = senders
                .into_iter()
                .enumerate()
                .map(|(i, sender)| {
                    spawn_either(i, move || (1..=rounds).for_each(|n| sender.send(n).unwrap()))
                })
                .collect();
            sending.into_iter().for_each(crate::common::Either::join);
            let sum: usize = receiving.into_iter().map(crate::common::Either::join).sum();
            assert_eq!(sum, 3 * rounds * (rounds + 1) / 2);
        }
    });
}
