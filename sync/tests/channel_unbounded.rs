//! Channels without a bound: senders never wait, and order, counts and destructors are those of the others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{Drops, Either, each_mode, each_run, everywhere, spawn_either, stress, until_waiting};
use sward_runtime::{park::WaitReason, thread};
use sward_sync::channel::{RecvTimeoutError, TryRecvError, unbounded};

#[test]
fn messages_are_counted_and_there_is_always_room() {
    everywhere(|| {
        let (sender, receiver) = unbounded();
        assert_eq!((sender.capacity(), receiver.capacity()), (None, None));
        for round in 0..3 {
            // Far more than what lies in one piece of memory.
            for i in 0..5_000_usize {
                assert_eq!((sender.len(), receiver.len()), (i, i));
                assert_eq!((sender.is_empty(), receiver.is_empty()), (i == 0, i == 0));
                assert!(!sender.is_full() && !receiver.is_full());
                match i % 4 {
                    0 => sender.send(i).unwrap(),
                    1 => sender.try_send(i).unwrap(),
                    2 => sender.send_timeout(i, Duration::ZERO).unwrap(),
                    _ => sender.send_deadline(i, Instant::now()).unwrap(),
                }
            }
            for i in 0..5_000 {
                match (i + round) % 4 {
                    0 => assert_eq!(receiver.recv(), Ok(i)),
                    1 => assert_eq!(receiver.try_recv(), Ok(i)),
                    2 => assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(i)),
                    _ => assert_eq!(receiver.recv_deadline(Instant::now()), Ok(i)),
                }
                assert_eq!(receiver.len(), 4_999 - i);
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
    });
}

#[test]
fn a_sender_goes_on_while_nobody_receives() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (sender, receiver) = unbounded();
            let count = stress(20_000);
            let sending = thread::spawn(move || (0..count).for_each(|i| sender.send(i).unwrap()));
            sending.join().unwrap();
            assert_eq!(receiver.len(), count);
            assert!(receiver.iter().eq(0..count));
        });
    });
}

#[test]
fn a_message_goes_to_who_waits_and_not_to_who_comes_by() {
    each_run(|| {
        let (sender, receiver) = unbounded();
        for i in 0..stress(50) {
            let theirs = receiver.clone();
            let waiting = thread::spawn(move || theirs.recv());
            until_waiting(waiting.thread(), WaitReason::Channel);
            sender.send(i).unwrap();
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(waiting.join().unwrap(), Ok(i));
        }
    });
}

#[test]
fn two_threads_of_either_kind_pass_messages_in_order() {
    each_run(|| {
        for n in 0..4 {
            let count = stress(1_000);
            let (sender, receiver) = unbounded();
            let to = spawn_either(n, move || (0..count).for_each(|i| sender.send(i).unwrap()));
            let from = spawn_either(n / 2, move || assert!(receiver.iter().eq(0..count)));
            to.join();
            from.join();
        }
    });
}

#[test]
fn the_messages_of_each_sender_stay_in_order() {
    each_run(|| {
        let count = stress(500);
        let (sender, receiver) = unbounded();
        let sending: Vec<_> = (0..4)
            .map(|n| {
                let sender = sender.clone();
                spawn_either(n, move || (0..count).for_each(|i| sender.send((n, i)).unwrap()))
            })
            .collect();
        drop(sender);
        let receiving: Vec<_> = (0..3)
            .map(|n| {
                let receiver = receiver.clone();
                spawn_either(n, move || {
                    let mut last = [None; 4];
                    let mut received = 0;
                    for (n, i) in receiver {
                        assert!(last[n].is_none_or(|last| i > last));
                        (last[n], received) = (Some(i), received + 1);
                    }
                    received
                })
            })
            .collect();
        sending.into_iter().for_each(Either::join);
        assert_eq!(receiving.into_iter().map(Either::join).sum::<usize>(), 4 * count);
    });
}

#[test]
fn each_message_goes_to_one_of_many_receivers() {
    each_run(|| {
        let count = stress(500);
        let seen: Arc<Vec<_>> = Arc::new((0..count).map(|_| AtomicUsize::new(0)).collect());
        let (sender, receiver) = unbounded::<usize>();
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
fn what_was_sent_can_be_received_without_a_wait() {
    each_run(|| {
        let (sender, receiver) = unbounded();
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                spawn_either(n, move || {
                    for _ in 0..stress(500) {
                        sender.send(()).unwrap();
                        receiver.try_recv().unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(Either::join);
        assert!(receiver.is_empty());
    });
}

#[test]
fn a_channel_for_each_message() {
    each_run(|| {
        for n in 0..stress(200) {
            let (sender, receiver) = unbounded();
            let receiving = spawn_either(n, move || receiver.recv());
            let sending = spawn_either(n / 2, move || sender.send(n).unwrap());
            assert_eq!(receiving.join(), Ok(n));
            sending.join();
        }
    });
}

#[test]
fn a_message_may_be_made_of_what_is_received() {
    each_run(|| {
        let (sender, receiver) = unbounded();
        for i in 0..10 {
            sender.send(i).unwrap();
            sender.send(receiver.recv().unwrap() * 10).unwrap();
            assert_eq!(receiver.recv(), Ok(i * 10));
        }
    });
}

#[test]
fn time_limits_that_race_with_messages_lose_none() {
    each_run(|| {
        let count = stress(100);
        let (sender, receiver) = unbounded();
        let sending: Vec<_> = (0..2)
            .map(|n| {
                let sender = sender.clone();
                spawn_either(n, move || {
                    for i in 0..count {
                        thread::sleep(Duration::from_micros(i as u64 % 30));
                        sender.send((n, i)).unwrap();
                    }
                })
            })
            .collect();
        drop(sender);
        let (mut next, mut tries) = ([0; 2], 0);
        loop {
            match receiver.recv_timeout(Duration::from_micros(tries % 40)) {
                Ok((n, i)) => {
                    assert_eq!(i, next[n]);
                    next[n] += 1;
                }
                Err(RecvTimeoutError::Timeout) => tries += 1,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        assert_eq!(next, [count; 2]);
        sending.into_iter().for_each(Either::join);
    });
}

#[test]
fn each_message_is_dropped_once_received_or_not() {
    each_run(|| {
        for n in 0..stress(20) {
            let drops = Drops::new();
            let (sender, receiver) = unbounded();
            // Across the seams of the buffer too.
            let (sent, received, more) = (n * 97 % 3_000, n * 53 % 2_000, n * 31 % 500);
            let theirs = drops.clone();
            let sending = spawn_either(n, move || {
                (0..sent).for_each(|_| sender.send(theirs.token()).unwrap());
                sender
            });
            let taken = receiver.iter().take(received.min(sent)).count();
            let sender = sending.join();
            assert_eq!(drops.count(), taken);
            (0..more).for_each(|_| sender.send(drops.token()).unwrap());
            assert_eq!(receiver.len(), sent - taken + more);
            drop(receiver);
            assert_eq!(drops.count(), sent + more);
        }
    });
}
