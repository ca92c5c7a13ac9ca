//! Bounded channels: order, room, time limits, and what a runtime's end does to those who wait.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    Drops, Watchdog, each_config, each_mode, each_run, is_waiting, spawn_either, stress, until_waiting,
    wait_until,
};
use sward_runtime::{park::WaitReason, thread};
use sward_sync::channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded, unbounded,
};

#[test]
fn both_ends_may_be_sent_and_shared_and_survive_a_panic() {
    fn check<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<Sender<std::cell::Cell<u32>>>();
    check::<Receiver<std::cell::Cell<u32>>>();
    let (sender, receiver) = bounded::<()>(1);
    assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
}

#[test]
fn room_is_counted() {
    for capacity in 1..=5 {
        let (sender, receiver) = bounded(capacity);
        assert_eq!((sender.capacity(), receiver.capacity()), (Some(capacity), Some(capacity)));
        for round in 0..3 {
            for i in 0..capacity {
                assert_eq!((sender.len(), receiver.len()), (i, i));
                assert_eq!((sender.is_empty(), receiver.is_empty()), (i == 0, i == 0));
                assert!(!sender.is_full() && !receiver.is_full());
                assert_eq!(sender.try_send(round * 10 + i), Ok(()));
            }
            assert!(sender.is_full() && receiver.is_full());
            assert_eq!(sender.try_send(99), Err(TrySendError::Full(99)));
            for i in 0..capacity {
                assert_eq!(receiver.try_recv(), Ok(round * 10 + i));
            }
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
    }
}

#[test]
fn any_number_will_do_for_a_capacity() {
    for capacity in [1 << 20, 1 << 40, usize::MAX - 1, usize::MAX] {
        let (sender, receiver) = bounded(capacity);
        assert_eq!(receiver.capacity(), Some(capacity));
        for i in 0..1_000_u64 {
            sender.send(i).unwrap();
        }
        assert!(!sender.is_full() && sender.len() == 1_000);
        drop(sender);
        assert!(receiver.iter().eq(0..1_000));
    }
}

#[test]
fn senders_that_wait_are_let_in_in_the_order_in_which_they_came() {
    each_run(|| {
        let (sender, receiver) = bounded(2);
        (0..2).for_each(|i| sender.send(i).unwrap());
        let waiting: Vec<_> = (2..12)
            .map(|i| {
                let sender = sender.clone();
                let handle = thread::spawn(move || sender.send(i).unwrap());
                until_waiting(handle.thread(), WaitReason::Channel);
                handle
            })
            .collect();
        assert!((receiver.len(), receiver.is_full()) == (2, true));
        drop(sender);
        assert!(receiver.iter().eq(0..12));
        waiting.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn receivers_that_wait_are_served_in_the_order_in_which_they_came() {
    each_run(|| {
        let (sender, receiver) = bounded(4);
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let receiver = receiver.clone();
                let handle = thread::spawn(move || receiver.recv());
                until_waiting(handle.thread(), WaitReason::Channel);
                handle
            })
            .collect();
        (0..10).for_each(|i| sender.send(i).unwrap());
        assert!(receiver.is_empty());
        let received = waiting.into_iter().map(|handle| handle.join().unwrap());
        assert!(received.eq((0..10).map(Ok)));
    });
}

#[test]
fn two_threads_of_either_kind_pass_messages_in_order() {
    each_run(|| {
        for (n, capacity) in [1, 2, 3, 64].into_iter().cycle().take(8).enumerate() {
            let count = stress(500);
            let (sender, receiver) = bounded(capacity);
            let length = receiver.clone();
            let to = spawn_either(n / 2, move || {
                for i in 0..count {
                    sender.send(i).unwrap();
                    assert!(sender.len() <= capacity);
                }
            });
            let from = spawn_either(n / 4, move || assert!(receiver.iter().eq(0..count)));
            to.join();
            from.join();
            assert_eq!(length.len(), 0);
        }
    });
}

#[test]
fn each_message_goes_to_one_of_many_receivers() {
    each_run(|| {
        for capacity in [1, 3, 100] {
            let count = stress(300);
            let seen: Arc<Vec<_>> = Arc::new((0..count).map(|_| AtomicUsize::new(0)).collect());
            let (sender, receiver) = bounded::<usize>(capacity);
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
            threads.into_iter().for_each(crate::common::Either::join);
            assert!(seen.iter().all(|n| n.load(SeqCst) == 4));
        }
    });
}

#[test]
fn what_was_sent_can_be_received_without_a_wait() {
    each_run(|| {
        let (sender, receiver) = bounded(4);
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                spawn_either(n, move || {
                    for _ in 0..stress(300) {
                        sender.send(()).unwrap();
                        receiver.try_recv().unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(crate::common::Either::join);
    });
}

#[test]
fn whoever_does_not_find_room_in_time_gets_the_message_back() {
    each_run(|| {
        let (sender, _receiver) = bounded(1);
        let timeout = Duration::from_millis(2);
        assert_eq!(sender.send_timeout(1, Duration::ZERO), Ok(()));
        let start = Instant::now();
        assert_eq!(sender.send_timeout(2, timeout), Err(SendTimeoutError::Timeout(2)));
        assert!(start.elapsed() >= timeout);
        assert_eq!(sender.send_deadline(3, start), Err(SendTimeoutError::Timeout(3)));
        let deadline = Instant::now() + timeout;
        assert_eq!(sender.send_deadline(4, deadline), Err(SendTimeoutError::Timeout(4)));
        assert!(Instant::now() >= deadline);
        assert_eq!(sender.len(), 1);
    });
}

#[test]
fn whoever_does_not_find_a_message_in_time_is_told_so() {
    each_run(|| {
        let (sender, receiver) = bounded(1);
        let timeout = Duration::from_millis(2);
        let start = Instant::now();
        assert_eq!(receiver.recv_timeout(timeout), Err(RecvTimeoutError::Timeout));
        assert!(start.elapsed() >= timeout);
        assert_eq!(receiver.recv_deadline(start), Err(RecvTimeoutError::Timeout));
        // What is there is received even if time is up.
        sender.send(1).unwrap();
        assert_eq!(receiver.recv_deadline(start), Ok(1));
        sender.send(2).unwrap();
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(2));
    });
}

#[test]
fn a_time_limit_that_never_comes_is_none() {
    each_run(|| {
        let (sender, receiver) = bounded(1);
        let (theirs, answers) = bounded(1);
        let thread = spawn_either(0, move || {
            for i in 0..4 {
                theirs.send_timeout(i, Duration::MAX).unwrap();
            }
            assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(()));
        });
        assert!((0..4).all(|i| answers.recv_timeout(Duration::from_secs(u64::MAX)) == Ok(i)));
        sender.send(()).unwrap();
        thread.join();
    });
}

#[test]
fn time_limits_that_race_with_messages_lose_none() {
    each_run(|| {
        let count = stress(100);
        let drops = Drops::new();
        let (sender, receiver) = bounded(1);
        let sending = {
            let drops = drops.clone();
            spawn_either(1, move || {
                for i in 0..count {
                    let mut message = (i, drops.token());
                    while let Err(error) = sender.send_timeout(message, Duration::from_micros(i as u64 % 60))
                    {
                        assert!(error.is_timeout());
                        message = error.into_inner();
                    }
                }
            })
        };
        for expected in 0..count {
            let received = loop {
                match receiver.recv_timeout(Duration::from_micros(expected as u64 % 50)) {
                    Ok((i, token)) => break (i, drop(token)),
                    Err(error) => assert!(error.is_timeout()),
                }
            };
            assert_eq!(received.0, expected);
        }
        sending.join();
        assert_eq!(drops.count(), count);
    });
}

#[test]
fn a_pair_that_never_waits_lets_the_others_of_its_worker_run() {
    each_mode(1, |config| {
        config.build().run(|| {
            let ran = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&ran);
            let other = thread::spawn(move || theirs.store(true, SeqCst));
            let (sender, receiver) = bounded(1);
            while !ran.load(SeqCst) {
                sender.send(()).unwrap();
                receiver.recv().unwrap();
                sender.try_send(()).unwrap();
                receiver.try_recv().unwrap();
            }
            other.join().unwrap();
        });
    });
}

#[test]
fn channels_travel_through_channels() {
    type Parcel = Box<dyn Any + Send>;
    each_run(|| {
        let count = stress(100);
        let (first, mut receiver) = bounded::<Parcel>(1);
        let sending = spawn_either(1, move || {
            let mut sender = first;
            for _ in 0..count {
                let (next, receiver) = bounded::<Parcel>(1);
                sender.send(Box::new(receiver)).unwrap();
                sender = next;
            }
        });
        for _ in 0..count {
            receiver = *receiver.recv().unwrap().downcast().unwrap();
        }
        sending.join();
        assert!(receiver.recv().is_err());
    });
}

#[test]
fn messages_may_be_of_any_size() {
    each_run(|| {
        let (sender, receiver) = bounded(2);
        sender.send(()).unwrap();
        sender.send(()).unwrap();
        assert_eq!((sender.try_send(()), receiver.len()), (Err(TrySendError::Full(())), 2));
        drop(sender);
        assert_eq!(receiver.iter().count(), 2);

        let (sender, receiver) = bounded(2);
        let thread = spawn_either(1, move || {
            for i in 0..6 {
                sender.send(vec![i; 1 << 20].into_boxed_slice()).unwrap();
            }
        });
        for i in 0..6_u8 {
            let message = receiver.recv().unwrap();
            assert!(message.len() == 1 << 20 && message.iter().all(|byte| *byte == i));
        }
        thread.join();
    });
}

#[test]
fn a_message_of_64_kib_lies_in_the_channel_itself() {
    const SIZE: usize = 64 * 1024;
    fn pass(n: u8) {
        let (sender, receiver) = bounded(1);
        let (answer, answers) = bounded(0);
        let run = move || {
            for i in 0..3 {
                sender.send([i + n; SIZE]).unwrap();
            }
            assert!(answers.recv().is_ok_and(|message: [u8; SIZE]| message == [n; SIZE]));
        };
        let other = thread::Builder::new().stack_size(4 << 20).spawn(run).unwrap();
        for i in 0..3 {
            assert!(receiver.recv().is_ok_and(|message| message == [i + n; SIZE]));
        }
        answer.send([n; SIZE]).unwrap();
        other.join().unwrap();
    }
    each_run(|| {
        let large = thread::Builder::new().stack_size(4 << 20);
        large.spawn(|| pass(0)).unwrap().join().unwrap();
    });
    let large = std::thread::Builder::new().stack_size(4 << 20);
    large.spawn(|| pass(9)).unwrap().join().unwrap();
}

/// Senders wait at a full channel as their runtime ends: their messages are dropped, those in the channel stay.
#[test]
fn a_sender_that_is_cancelled_has_not_sent() {
    each_config(|config| {
        let drops = Drops::new();
        let (sender, receiver) = bounded(2);
        let runtime = config.build();
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let (sender, drops) = (sender.clone(), drops.clone());
                runtime.handle().spawn(move || {
                    for _ in 0..3 {
                        sender.send(drops.token()).unwrap();
                    }
                })
            })
            .collect();
        drop(sender);
        let all_wait = || waiting.iter().all(|handle| is_waiting(handle.thread(), WaitReason::Channel));
        wait_until(|| receiver.len() == 2 && all_wait());
        drop(runtime);
        assert!(waiting.into_iter().all(|handle| handle.join().is_err()));
        assert_eq!((drops.count(), receiver.len()), (5, 2));
        assert_eq!(receiver.iter().count(), 2);
        assert_eq!(drops.count(), 7);
    });
}

/// Receivers wait, or are just served, as their runtime ends: each message is received by one of them or stays for others.
#[test]
fn a_receiver_that_is_cancelled_takes_no_message_along() {
    each_config(|config| {
        for capacity in [Some(1), Some(16), None] {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let received = Arc::new(AtomicUsize::new(0));
            let runtime = config.build();
            for _ in 0..8 {
                let (receiver, received) = (receiver.clone(), Arc::clone(&received));
                runtime.handle().spawn(move || {
                    while receiver.recv().is_ok() {
                        received.fetch_add(1, SeqCst);
                    }
                });
            }
            let count = stress(200);
            let sending = std::thread::spawn(move || (0..count).for_each(|i| sender.send(i).unwrap()));
            wait_until(|| received.load(SeqCst) >= count / 4);
            let rest = std::thread::spawn(move || {
                drop(runtime);
                receiver.iter().count()
            });
            sending.join().unwrap();
            assert_eq!(rest.join().unwrap() + received.load(SeqCst), count);
        }
    });
}

/// The threads of one runtime end while those of others, and OS threads, go on with the same channel.
#[test]
fn a_channel_outlives_the_runtimes_of_those_who_wait_at_it() {
    let _watchdog = Watchdog::new();
    let (sender, receiver) = bounded(1);
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            std::thread::spawn(move || {
                for i in 0..stress(200) {
                    sender.send(i).unwrap();
                    receiver.recv().unwrap();
                }
            })
        })
        .collect();
    for roaming in crate::common::modes() {
        let runtime = crate::common::Config { workers: 2, roaming }.build();
        for _ in 0..4 {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            runtime.handle().spawn(move || {
                // A message that is received is sent on, or taken over by the channel.
                loop {
                    let i = receiver.recv().unwrap();
                    sender.send(i).unwrap();
                }
            });
        }
        drop(runtime);
        // One that had received may have been cancelled before it sent on: the channel is not to run dry.
        for _ in 0..4 {
            let _ = sender.try_send(0);
        }
    }
    let feeding = std::thread::spawn({
        let (sender, receiver) = (sender.clone(), receiver.clone());
        move || {
            while threads.iter().any(|thread| !thread.is_finished()) {
                let _ = sender.try_send(0);
                let _ = receiver.recv_timeout(Duration::from_micros(100));
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
    feeding.join().unwrap();
}
