//! Channels without a buffer: a sender and a receiver meet, or neither goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    Drops, Either, each_config, each_run, is_waiting, spawn_either, stress, until_waiting, wait_until,
};
use sward_runtime::{park::WaitReason, thread};
use sward_sync::channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError, bounded,
};

#[test]
fn nothing_is_ever_in_it() {
    each_run(|| {
        let (sender, receiver) = bounded(0);
        let check = || {
            assert_eq!((sender.len(), receiver.len()), (0, 0));
            assert_eq!((sender.capacity(), receiver.capacity()), (Some(0), Some(0)));
            assert!(sender.is_empty() && receiver.is_empty() && sender.is_full() && receiver.is_full());
        };
        check();
        let theirs = sender.clone();
        let sending = thread::spawn(move || theirs.send(1));
        until_waiting(sending.thread(), WaitReason::Channel);
        check();
        assert_eq!(receiver.recv(), Ok(1));
        sending.join().unwrap().unwrap();
        check();
    });
}

#[test]
fn nobody_waits_so_neither_can_be_done() {
    let (sender, receiver) = bounded(0);
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.send_deadline(1, Instant::now()), Err(SendTimeoutError::Timeout(1)));
    assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
}

#[test]
fn a_sender_goes_on_only_once_its_message_was_received() {
    each_run(|| {
        let sent = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = bounded(0);
        let theirs = Arc::clone(&sent);
        let sending = thread::spawn(move || {
            sender.send(1).unwrap();
            theirs.store(true, SeqCst);
        });
        until_waiting(sending.thread(), WaitReason::Channel);
        assert!(!sent.load(SeqCst));
        assert_eq!(receiver.try_recv(), Ok(1));
        sending.join().unwrap();
    });
}

#[test]
fn a_message_is_sent_at_once_if_a_receiver_waits() {
    each_run(|| {
        for n in 0..3 {
            let (sender, receiver) = bounded(0);
            let receiving = thread::spawn(move || receiver.recv());
            until_waiting(receiving.thread(), WaitReason::Channel);
            match n {
                0 => sender.try_send(n).unwrap(),
                1 => sender.send_deadline(n, Instant::now()).unwrap(),
                _ => sender.send_timeout(n, Duration::ZERO).unwrap(),
            }
            assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
            assert_eq!(receiving.join().unwrap(), Ok(n));
        }
    });
}

#[test]
fn those_who_wait_meet_in_the_order_in_which_they_came() {
    each_run(|| {
        for senders_first in [true, false] {
            let (sender, receiver) = bounded(0);
            let waiting: Vec<_> = (0..8)
                .map(|i| {
                    let (sender, receiver) = (sender.clone(), receiver.clone());
                    let handle = thread::spawn(move || {
                        if senders_first {
                            sender.send(i).map(|()| i).unwrap()
                        } else {
                            receiver.recv().unwrap()
                        }
                    });
                    until_waiting(handle.thread(), WaitReason::Channel);
                    handle
                })
                .collect();
            for i in 0..8 {
                if senders_first { assert_eq!(receiver.recv(), Ok(i)) } else { sender.send(i).unwrap() }
            }
            assert!(waiting.into_iter().map(|handle| handle.join().unwrap()).eq(0..8));
        }
    });
}

#[test]
fn two_threads_of_either_kind_play_ping_pong() {
    each_run(|| {
        for n in 0..2 {
            let count = stress(300);
            let ((ping, pings), (pong, pongs)) = (bounded(0), bounded(0));
            let other = spawn_either(n, move || pings.iter().for_each(|i: usize| pong.send(i + 1).unwrap()));
            for i in 0..count {
                ping.send(i).unwrap();
                assert_eq!(pongs.recv(), Ok(i + 1));
            }
            drop(ping);
            other.join();
            assert_eq!(pongs.recv(), Err(RecvError));
        }
    });
}

#[test]
fn each_message_goes_to_one_of_many_receivers() {
    each_run(|| {
        let count = stress(200);
        let seen: Arc<Vec<_>> = Arc::new((0..count).map(|_| AtomicUsize::new(0)).collect());
        let (sender, receiver) = bounded::<usize>(0);
        let threads: Vec<_> = (0..4)
            .flat_map(|n| {
                let (sender, receiver, seen) = (sender.clone(), receiver.clone(), Arc::clone(&seen));
                let to = spawn_either(n, move || (0..count).for_each(|i| sender.send(i).unwrap()));
                let from = spawn_either(n / 2, move || {
                    receiver.iter().for_each(|i| {
                        seen[i].fetch_add(1, SeqCst);
                    });
                });
                [to, from]
            })
            .collect();
        drop((sender, receiver));
        threads.into_iter().for_each(Either::join);
        assert!(seen.iter().all(|n| n.load(SeqCst) == 4));
    });
}

#[test]
fn whoever_meets_nobody_in_time_goes_on_without() {
    each_run(|| {
        let (sender, receiver) = bounded(0);
        let (timeout, start) = (Duration::from_millis(2), Instant::now());
        assert_eq!(sender.send_timeout(1, timeout), Err(SendTimeoutError::Timeout(1)));
        assert_eq!(receiver.recv_timeout(timeout), Err(RecvTimeoutError::Timeout));
        assert!(start.elapsed() >= 2 * timeout);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "the sender has left");
        assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)), "the receiver has left");
    });
}

/// Both sides give up all the time: a message is either received, once, or given back.
#[test]
fn time_limits_that_race_with_each_other_lose_no_message() {
    each_run(|| {
        let count = stress(60);
        let drops = Drops::new();
        let (sender, receiver) = bounded(0);
        let sending: Vec<_> = (0..2)
            .map(|n| {
                let (sender, drops) = (sender.clone(), drops.clone());
                spawn_either(n, move || {
                    for i in 0..count {
                        let mut message = (n, i, drops.token());
                        let mut tries = 0;
                        while let Err(error) = sender.send_timeout(message, Duration::from_micros(tries % 40))
                        {
                            message = error.into_inner();
                            tries += 1;
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let mut next = [0; 2];
        let mut tries = 0;
        loop {
            match receiver.recv_timeout(Duration::from_micros(tries % 30)) {
                Ok((n, i, _)) => {
                    assert_eq!(i, next[n]);
                    next[n] += 1;
                }
                Err(RecvTimeoutError::Timeout) => tries += 1,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        sending.into_iter().for_each(Either::join);
        assert_eq!((next, drops.count()), ([count; 2], 2 * count));
    });
}

#[test]
fn tries_that_race_with_waits_lose_no_message() {
    each_run(|| {
        for tries_to_send in [true, false] {
            let count = stress(100);
            let (sender, receiver) = bounded(0);
            let sending = spawn_either(1, move || {
                for i in 0..count {
                    while tries_to_send && sender.try_send(i).is_err() {
                        thread::yield_now();
                    }
                    if !tries_to_send {
                        sender.send(i).unwrap();
                    }
                }
            });
            for i in 0..count {
                let received = loop {
                    match if tries_to_send {
                        receiver.recv().map_err(Into::into)
                    } else {
                        receiver.try_recv()
                    } {
                        Ok(message) => break message,
                        Err(error) => assert_eq!(error, TryRecvError::Empty),
                    }
                    thread::yield_now();
                };
                assert_eq!(received, i);
            }
            sending.join();
        }
    });
}

#[test]
fn those_who_wait_are_told_when_the_others_are_gone() {
    each_run(|| {
        for n in 0..2 {
            let (sender, receiver) = bounded(0);
            let senders: Vec<_> = (0..3)
                .map(|i| {
                    let sender = sender.clone();
                    spawn_either(n, move || assert_eq!(sender.send(i), Err(SendError(i))))
                })
                .collect();
            thread::yield_now();
            drop(receiver);
            senders.into_iter().for_each(Either::join);

            let (sender, receiver) = bounded::<()>(0);
            let receivers: Vec<_> = (0..3)
                .map(|_| {
                    let receiver = receiver.clone();
                    spawn_either(n, move || assert_eq!(receiver.recv(), Err(RecvError)))
                })
                .collect();
            thread::yield_now();
            drop(sender);
            receivers.into_iter().for_each(Either::join);
        }
    });
}

/// The senders' runtime ends while they wait: their messages are dropped, and a receiver waits for the next sender.
#[test]
fn a_sender_that_is_cancelled_has_not_sent() {
    each_config(|config| {
        let drops = Drops::new();
        let (sender, receiver) = bounded(0);
        let runtime = config.build();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let (sender, token) = (sender.clone(), drops.token());
                runtime.handle().spawn(move || sender.send(token).unwrap())
            })
            .collect();
        wait_until(|| waiting.iter().all(|handle| is_waiting(handle.thread(), WaitReason::Channel)));
        drop(runtime);
        assert_eq!(drops.count(), 3);
        assert!(receiver.try_recv().is_err_and(|error| error.is_empty()));
        let sending = std::thread::spawn(move || sender.send(drops.token()).unwrap());
        assert!(receiver.recv().is_ok());
        sending.join().unwrap();
    });
}

/// Receivers come, are served, and are cancelled, as their runtime ends: a sender knows what became of each of its messages.
#[test]
fn what_was_sent_without_an_error_was_received() {
    each_config(|config| {
        let (sender, receiver) = bounded(0);
        let received = Arc::new(AtomicUsize::new(0));
        let runtime = config.build();
        for _ in 0..4 {
            let (receiver, received) = (receiver.clone(), Arc::clone(&received));
            runtime.handle().spawn(move || {
                for _ in receiver {
                    received.fetch_add(1, SeqCst);
                }
            });
        }
        drop(receiver);
        let sending = std::thread::spawn(move || (0_usize..).take_while(|_| sender.send(()).is_ok()).count());
        wait_until(|| received.load(SeqCst) >= stress(100));
        drop(runtime);
        assert_eq!(sending.join().unwrap(), received.load(SeqCst));
    });
}
