//! `oneshot`: one value, or none; in every kind of runtime, and with OS threads.

use std::time::{Duration, Instant};

use crate::common::{Drops, Either, Watchdog, each_config, each_mode, each_run, spawn_either, stress};
use sward_runtime::thread;
use sward_sync::oneshot::{
    self, Receiver, Sender,
    error::{RecvTimeoutError, TryRecvError},
};

#[test]
fn both_ends_may_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Sender<std::cell::Cell<u32>>>();
    check::<Receiver<std::cell::Cell<u32>>>();
}

#[test]
fn a_value_is_received_by_threads_of_either_kind() {
    each_run(|| {
        for i in 0..stress(100) {
            let (sender, receiver) = oneshot::channel();
            let other = spawn_either(i, move || sender.send(Box::new(i)).unwrap());
            if i % 3 == 0 {
                thread::yield_now();
            }
            assert_eq!(*receiver.recv().unwrap(), i);
            other.join();
        }
    });
}

#[test]
fn a_sender_that_goes_ends_the_wait() {
    each_run(|| {
        for i in 0..2 {
            let (sender, receiver) = oneshot::channel::<u32>();
            let waiting = spawn_either(i, move || receiver.recv().is_err());
            thread::yield_now();
            drop(sender);
            assert!(waiting.join());
        }
    });
}

#[test]
fn the_sender_waits_for_the_receiver_to_go_or_close() {
    each_run(|| {
        for i in 0..4 {
            let (mut sender, mut receiver) = oneshot::channel();
            assert!(!sender.is_closed());
            assert!(!sender.closed_timeout(Duration::from_micros(10)));
            let waiting = spawn_either(i, move || {
                sender.closed();
                assert!(sender.is_closed());
                assert!(sender.closed_timeout(Duration::ZERO));
                sender.send(1)
            });
            thread::yield_now();
            if i < 2 {
                drop(receiver);
                assert_eq!(waiting.join(), Err(1));
            } else {
                receiver.close();
                assert_eq!(waiting.join(), Err(1));
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
            }
        }
    });
}

#[test]
fn what_was_sent_before_the_close_is_received() {
    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    receiver.close();
    receiver.close();
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    receiver.close();
    let (sender, mut receiver) = oneshot::channel();
    receiver.close();
    assert_eq!(sender.send(1), Err(1));
    assert!(receiver.recv().is_err());
}

#[test]
fn nothing_comes_after_the_value() {
    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(1));
    assert_eq!(receiver.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
    assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Closed));
    assert!(receiver.recv().is_err());
}

#[test]
fn it_says_whether_it_is_empty_and_whether_it_is_at_its_end() {
    let state = |receiver: &Receiver<u32>| (receiver.is_empty(), receiver.is_terminated());
    let (sender, mut receiver) = oneshot::channel();
    assert_eq!(state(&receiver), (true, false));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(state(&receiver), (true, false));
    sender.send(1).unwrap();
    assert_eq!(state(&receiver), (false, false));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(state(&receiver), (true, true));
    for close in [true, false] {
        let (sender, mut receiver) = oneshot::channel();
        if close {
            receiver.close();
        } else {
            drop(sender);
        }
        assert_eq!(state(&receiver), (true, false));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(state(&receiver), (true, true));
    }
}

#[test]
fn a_receiver_whose_time_was_up_may_try_again() {
    each_run(|| {
        let (sender, mut receiver) = oneshot::channel();
        assert_eq!(receiver.recv_timeout(Duration::from_micros(100)), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
        spawn_either(1, move || sender.send(1).unwrap()).join();
        assert_eq!(receiver.recv_timeout(Duration::from_secs(1_000)), Ok(1));
    });
}

#[test]
fn deadlines_race_with_the_value() {
    each_run(|| {
        for i in 0..stress(100) {
            let (sender, mut receiver) = oneshot::channel();
            let other = spawn_either(i, move || sender.send(i));
            let timeout = Duration::from_micros(u64::try_from(i).unwrap() % 40);
            match receiver.recv_timeout(timeout) {
                Ok(value) => assert_eq!(value, i),
                Err(error) => {
                    assert_eq!(error, RecvTimeoutError::Timeout);
                    assert_eq!(receiver.recv(), Ok(i));
                }
            }
            assert_eq!(other.join(), Ok(()));
        }
    });
}

#[test]
fn every_value_is_dropped_once_wherever_it_is() {
    each_run(|| {
        let drops = Drops::new();
        for i in 0..stress(100) {
            let (sender, receiver) = oneshot::channel();
            let token = drops.token();
            let send = spawn_either(i, move || drop(sender.send(token)));
            let receive =
                spawn_either(i / 2, move || if i % 3 > 0 { drop(receiver.recv()) } else { drop(receiver) });
            send.join();
            receive.join();
            assert_eq!(drops.count(), i + 1);
        }
    });
}

#[test]
fn a_value_that_nobody_received_goes_with_the_receiver() {
    let drops = Drops::new();
    let (sender, receiver) = oneshot::channel();
    sender.send(drops.token()).unwrap();
    assert_eq!(drops.count(), 0);
    drop(receiver);
    assert_eq!(drops.count(), 1);
}

#[test]
fn one_who_is_cancelled_frees_the_other_end() {
    each_config(|config| {
        let runtime = config.build();
        let drops = Drops::new();
        let (sender, receiver) = oneshot::channel();
        let (mut other_sender, other_receiver) = oneshot::channel::<u32>();
        let waiting = [
            runtime.handle().spawn(move || drop(receiver.recv())),
            runtime.handle().spawn(move || other_sender.closed()),
        ];
        drop(runtime);
        assert!(waiting.into_iter().all(|handle| handle.join().is_err()));
        let unsent = sender.send(drops.token()).unwrap_err();
        assert!(other_receiver.recv().is_err());
        drop(unsent);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn who_tries_again_and_again_lets_others_run() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (sender, mut receiver) = oneshot::channel();
            thread::spawn(move || sender.send(1));
            while receiver.try_recv().is_err() {}
            assert!(receiver.is_terminated());
        });
    });
}

#[test]
fn many_answers_are_waited_for_at_once() {
    let _watchdog = Watchdog::new();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..200).map(|_| oneshot::channel()).unzip();
    let waiting: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(i, receiver)| spawn_either(i / 190, move || receiver.recv()))
        .collect();
    for (i, sender) in senders.into_iter().enumerate().rev() {
        sender.send(i).unwrap();
    }
    assert!(waiting.into_iter().map(Either::join).eq((0..200).map(Ok)));
}

#[test]
fn what_they_look_like() {
    let (sender, receiver) = oneshot::channel::<u32>();
    assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
    assert_eq!(TryRecvError::Empty.to_string(), "channel empty");
    assert_eq!(RecvTimeoutError::Timeout.to_string(), "timed out waiting on channel");
}
