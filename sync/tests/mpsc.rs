//! `mpsc` and `mpmc`: `std`'s names and errors over the same channels.

use std::{
    panic::{RefUnwindSafe, UnwindSafe},
    sync::mpsc as std_mpsc,
    time::{Duration, Instant},
};

use crate::common::{Drops, Either, each_config, each_run, spawn_either, stress, until_waiting};
use sward_runtime::{park::WaitReason, thread};
use sward_sync::{
    mpmc,
    mpsc::{
        Receiver, RecvError, RecvTimeoutError, SendError, Sender, SyncSender, TryRecvError, TrySendError,
        channel, sync_channel,
    },
};

#[test]
fn ends_may_be_sent_and_senders_be_shared() {
    fn send<T: Send + UnwindSafe + RefUnwindSafe>() {}
    fn sync<T: Sync>() {}
    send::<Sender<std::cell::Cell<u32>>>();
    send::<SyncSender<std::cell::Cell<u32>>>();
    send::<Receiver<std::cell::Cell<u32>>>();
    sync::<Sender<std::cell::Cell<u32>>>();
    sync::<SyncSender<std::cell::Cell<u32>>>();
}

/// Code around a channel that names the errors of `std` need not change.
#[test]
#[expect(unused_qualifications, reason = "that both names are names of one type is what is tested")]
fn errors_are_those_of_std() {
    let (sender, receiver) = channel();
    let received: Result<u32, std_mpsc::TryRecvError> = receiver.try_recv();
    assert_eq!(received, Err(std_mpsc::TryRecvError::Empty));
    let received: Result<u32, std_mpsc::RecvTimeoutError> = receiver.recv_timeout(Duration::ZERO);
    assert_eq!(received, Err(std_mpsc::RecvTimeoutError::Timeout));
    drop(receiver);
    let sent: Result<(), std_mpsc::SendError<u32>> = sender.send(1);
    assert_eq!(sent, Err(std_mpsc::SendError(1)));
    let (sender, receiver) = sync_channel(0);
    let sent: Result<(), std_mpsc::TrySendError<u32>> = sender.try_send(1);
    assert_eq!(sent, Err(std_mpsc::TrySendError::Full(1)));
    drop(sender);
    let received: Result<u32, std_mpsc::RecvError> = receiver.recv();
    assert_eq!(received, Err(std_mpsc::RecvError));
}

#[test]
fn they_look_as_those_of_std() {
    let ((sender, receiver), (sync, mut other)) = (channel::<u8>(), sync_channel::<u8>(1));
    let ((std_sender, std_receiver), (std_sync, mut std_other)) =
        (std_mpsc::channel::<u8>(), std_mpsc::sync_channel::<u8>(1));
    assert_eq!(
        format!("{sender:?} {sync:?} {receiver:?}"),
        format!("{std_sender:?} {std_sync:?} {std_receiver:?}")
    );
    assert_eq!(format!("{:#?}", receiver.iter()), format!("{:#?}", std_receiver.iter()));
    assert_eq!(format!("{:?}", other.try_iter()), format!("{:?}", std_other.try_iter()));
    (other, std_other) = (receiver, std_receiver);
    assert_eq!(format!("{:?}", other.into_iter()), format!("{:?}", std_other.into_iter()));
}

#[test]
fn many_send_to_one() {
    each_run(|| {
        for bound in [None, Some(0), Some(1), Some(20)] {
            let count = stress(200);
            let drops = Drops::new();
            let (sender, receiver): (Box<dyn Fn(usize) -> Either<()>>, _) = match bound {
                None => {
                    let ((sender, receiver), drops) = (channel(), drops.clone());
                    let spawn = move |n| {
                        let (sender, drops) = (sender.clone(), drops.clone());
                        spawn_either(n, move || {
                            (0..count).for_each(|i| sender.send((n, i, drops.token())).unwrap())
                        })
                    };
                    (Box::new(spawn), receiver)
                }
                Some(bound) => {
                    let ((sender, receiver), drops) = (sync_channel(bound), drops.clone());
                    let spawn = move |n| {
                        let (sender, drops) = (sender.clone(), drops.clone());
                        spawn_either(n, move || {
                            (0..count).for_each(|i| sender.send((n, i, drops.token())).unwrap())
                        })
                    };
                    (Box::new(spawn), receiver)
                }
            };
            let sending: Vec<_> = (0..4).map(&sender).collect();
            drop(sender);
            let receiving = spawn_either(count, move || {
                let mut next = [0; 4];
                for (n, i, _) in receiver {
                    assert_eq!(i, next[n]);
                    next[n] += 1;
                }
                next
            });
            assert_eq!(receiving.join(), [count; 4]);
            sending.into_iter().for_each(Either::join);
            assert_eq!(drops.count(), 4 * count);
        }
    });
}

#[test]
fn a_bound_holds_senders_back() {
    each_run(|| {
        let (sender, receiver) = sync_channel(1);
        sender.send(1).unwrap();
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        assert!(sender.send_timeout(2, Duration::from_millis(1)).is_err_and(|error| error.is_timeout()));
        let theirs = sender.clone();
        let waiting = thread::spawn(move || theirs.send(2));
        until_waiting(waiting.thread(), WaitReason::Channel);
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(waiting.join().unwrap(), Ok(()));
        assert_eq!(receiver.recv(), Ok(2));
        drop(receiver);
        assert_eq!(sender.send(3), Err(SendError(3)));
        assert_eq!(sender.try_send(3), Err(TrySendError::Disconnected(3)));
        assert!(sender.send_timeout(3, Duration::MAX).is_err_and(|error| error.is_disconnected()));
    });
}

#[test]
fn waits_for_messages_have_limits() {
    each_run(|| {
        let (sender, receiver) = channel();
        let (timeout, start) = (Duration::from_millis(2), Instant::now());
        assert_eq!(receiver.recv_timeout(timeout), Err(RecvTimeoutError::Timeout));
        assert!(start.elapsed() >= timeout);
        assert_eq!(receiver.recv_deadline(start), Err(RecvTimeoutError::Timeout));
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        assert_eq!((receiver.recv_deadline(start), receiver.recv_timeout(Duration::MAX)), (Ok(1), Ok(2)));
        let theirs = spawn_either(1, move || receiver.recv_timeout(Duration::from_secs(u64::MAX)));
        drop(sender);
        assert_eq!(theirs.join(), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn a_receiver_is_an_iterator() {
    let (sender, receiver) = channel();
    (0..6).for_each(|i| sender.send(i).unwrap());
    assert!(receiver.try_iter().take(2).eq(0..2));
    assert_eq!((&receiver).into_iter().next(), Some(2));
    drop(sender);
    assert!(receiver.iter().take(1).eq([3]));
    assert!(receiver.into_iter().eq(4..6));
}

#[test]
fn the_states_of_a_channel_are_told_apart() {
    each_run(|| {
        let (sender, receiver) = channel();
        let (step, steps) = sync_channel(0);
        let other = thread::spawn(move || {
            steps.recv().unwrap();
            sender.send(1).unwrap();
            steps.recv().unwrap();
            drop(sender);
            steps.recv().unwrap();
        });
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        step.send(()).unwrap();
        step.send(()).unwrap();
        assert_eq!(receiver.try_recv(), Ok(1));
        step.send(()).unwrap();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(receiver.recv(), Err(RecvError));
        other.join().unwrap();
    });
}

#[test]
fn unreceived_messages_are_dropped_with_the_receiver() {
    each_config(|config| {
        let drops = Drops::new();
        let (sender, receiver) = sync_channel(3);
        (0..3).for_each(|_| sender.send(drops.token()).unwrap());
        let runtime = config.build();
        let holding = runtime.handle().spawn(move || {
            let _receiver = receiver;
            thread::park();
        });
        until_waiting(holding.thread(), WaitReason::Park);
        assert_eq!(drops.count(), 0);
        drop(runtime);
        assert_eq!(drops.count(), 3);
        assert!(sender.send(drops.token()).is_err());
    });
}

#[test]
fn mpmc_is_the_channel_by_other_names() {
    each_run(|| {
        let (sender, receiver) = mpmc::sync_channel(0);
        let receiving: Vec<_> = (0..3)
            .map(|n| {
                let receiver: mpmc::Receiver<usize> = receiver.clone();
                spawn_either(n, move || receiver.into_iter().sum::<usize>())
            })
            .collect();
        (0..100).for_each(|i| sender.send(i).unwrap());
        drop(sender);
        assert_eq!(receiving.into_iter().map(Either::join).sum::<usize>(), (0..100).sum());
        let (sender, receiver) = mpmc::channel::<()>();
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(mpmc::RecvTimeoutError::Timeout));
        drop(receiver);
        assert_eq!(sender.send(()), Err(mpmc::SendError(())));
    });
}
