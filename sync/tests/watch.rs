//! `watch`: the latest value, and whether it is new; in every kind of runtime, and with OS threads.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    Drops, Either, ON_PURPOSE, each_config, each_mode, each_run, quiet_panics, spawn_either, stress,
};
use sward_runtime::thread;
use sward_sync::watch::{
    self, Receiver, Sender,
    error::{RecvTimeoutError, SendError},
};

#[test]
fn both_ends_may_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Sender<String>>();
    check::<Receiver<String>>();
}

/// Whether `receiver` has something new, without waiting.
fn is_new<T>(receiver: &mut Receiver<T>) -> Result<(), RecvTimeoutError> {
    receiver.changed_until(Instant::now())
}

#[test]
fn a_change_is_news_once() {
    let (sender, mut receiver) = watch::channel("one");
    assert_eq!(is_new(&mut receiver), Err(RecvTimeoutError::Timeout));
    assert_eq!(*receiver.borrow(), "one");
    sender.send("two").unwrap();
    sender.send("three").unwrap();
    assert_eq!(receiver.has_changed(), Ok(true));
    assert!(receiver.borrow().has_changed());
    assert_eq!(receiver.changed(), Ok(()));
    assert_eq!(*receiver.borrow(), "three");
    assert_eq!(is_new(&mut receiver), Err(RecvTimeoutError::Timeout));
    sender.send("four").unwrap();
    assert_eq!(*receiver.borrow_and_update(), "four");
    assert_eq!(receiver.has_changed(), Ok(false));
    assert_eq!(is_new(&mut receiver), Err(RecvTimeoutError::Timeout));
    // The same value is a change too.
    sender.send("four").unwrap();
    assert_eq!(is_new(&mut receiver), Ok(()));
}

#[test]
fn the_last_value_is_news_after_the_end() {
    let (sender, mut receiver) = watch::channel(1);
    sender.send(2).unwrap();
    drop(sender);
    assert!(receiver.is_closed());
    assert!(receiver.has_changed().is_err());
    assert!(receiver.changed().is_ok());
    assert!(receiver.changed().is_err());
    assert!(receiver.changed().is_err());
    assert_eq!(receiver.changed_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
    assert_eq!(*receiver.borrow(), 2);
    assert_eq!(*receiver.wait_for(|n| *n == 2).unwrap(), 2);
    assert!(receiver.wait_for(|n| *n == 3).is_err());
    let (sender, mut receiver) = watch::channel(1);
    sender.send(2).unwrap();
    drop(sender);
    assert_eq!(*receiver.borrow_and_update(), 2);
    assert!(receiver.changed().is_err());
}

#[test]
fn each_receiver_has_seen_what_it_has_seen() {
    let (sender, mut first) = watch::channel(1);
    let mut second = first.clone();
    sender.send(2).unwrap();
    assert!(first.changed().is_ok());
    let (mut of_first, mut of_second, mut late) = (first.clone(), second.clone(), sender.subscribe());
    assert!(is_new(&mut of_first).is_err() && is_new(&mut late).is_err());
    assert!(is_new(&mut of_second).is_ok() && is_new(&mut second).is_ok());
    assert!(first.same_channel(&late) && !first.same_channel(&watch::channel(1).1));
}

#[test]
fn a_receiver_may_count_a_value_as_seen_or_not() {
    let (sender, mut receiver) = watch::channel(1);
    receiver.mark_changed();
    receiver.mark_changed();
    assert_eq!(receiver.has_changed(), Ok(true));
    assert!(receiver.changed().is_ok());
    assert_eq!(receiver.has_changed(), Ok(false));
    receiver.mark_changed();
    assert!(receiver.borrow_and_update().has_changed());
    sender.send(2).unwrap();
    receiver.mark_unchanged();
    assert_eq!(is_new(&mut receiver), Err(RecvTimeoutError::Timeout));
    assert_eq!(*receiver.borrow(), 2);
}

#[test]
fn nothing_is_sent_to_nobody_but_the_value_may_be_changed() {
    let (sender, receiver) = watch::channel(1);
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send(2), Err(SendError(2)));
    assert_eq!(*sender.borrow(), 1);
    assert_eq!(sender.send_replace(3), 1);
    sender.send_modify(|n| *n += 1);
    assert!(!sender.send_if_modified(|n| *n == 0));
    let mut receiver = sender.subscribe();
    assert!(!sender.is_closed());
    assert_eq!(*receiver.borrow(), 4);
    assert!(is_new(&mut receiver).is_err());
    assert!(!sender.send_if_modified(|_| false));
    assert!(is_new(&mut receiver).is_err());
    assert!(sender.send_if_modified(|_| true));
    assert!(is_new(&mut receiver).is_ok());
}

#[test]
fn counts_are_kept() {
    let sender = Sender::<u32>::default();
    assert_eq!((sender.sender_count(), sender.receiver_count()), (1, 0));
    let other = sender.clone();
    let receiver = other.subscribe();
    let clone = receiver.clone();
    assert_eq!((sender.sender_count(), sender.receiver_count()), (2, 2));
    assert!(sender.same_channel(&other) && !sender.same_channel(&Sender::default()));
    drop((other, clone));
    assert_eq!((sender.sender_count(), sender.receiver_count()), (1, 1));
    assert!(!receiver.is_closed());
    drop(sender);
    assert!(receiver.is_closed());
}

#[test]
fn a_change_that_panics_is_no_news_and_harms_nobody() {
    each_run(|| {
        quiet_panics();
        let (sender, mut receiver) = watch::channel(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            sender.send_modify(|n| {
                *n = 2;
                panic!("{ON_PURPOSE}")
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(is_new(&mut receiver), Err(RecvTimeoutError::Timeout));
        assert_eq!(*receiver.borrow(), 2);
        let panicked =
            catch_unwind(AssertUnwindSafe(|| receiver.wait_for(|_| panic!("{ON_PURPOSE}")).map(drop)));
        assert!(panicked.is_err());
        sender.send(3).unwrap();
        assert_eq!(*receiver.wait_for(|n| *n == 3).unwrap(), 3);
    });
}

#[test]
fn receivers_of_either_kind_wait_for_the_last_value() {
    each_run(|| {
        let (sender, receiver) = watch::channel(0);
        let receivers: Vec<_> = (0..8)
            .map(|i| {
                let mut receiver = receiver.clone();
                spawn_either(i, move || {
                    let mut last = 0;
                    while receiver.changed().is_ok() {
                        let value = *receiver.borrow_and_update();
                        assert!(value >= last);
                        last = value;
                    }
                    last
                })
            })
            .collect();
        drop(receiver);
        let n = stress(300);
        let senders: Vec<_> = (0..2)
            .map(|i| {
                let sender = sender.clone();
                spawn_either(i, move || {
                    for _ in 0..n {
                        sender.send_modify(|value| *value += 1);
                        thread::yield_now();
                    }
                })
            })
            .collect();
        drop(sender);
        senders.into_iter().for_each(Either::join);
        assert!(receivers.into_iter().map(Either::join).all(|last| last == 2 * n));
    });
}

#[test]
fn a_receiver_waits_for_a_value_of_its_choice() {
    each_run(|| {
        let (sender, receiver) = watch::channel(0);
        let receivers: Vec<_> = (1..9)
            .map(|i| {
                let mut receiver = receiver.clone();
                spawn_either(i, move || {
                    let found = receiver.wait_for(|n| *n >= i * 10).unwrap();
                    assert!(found.has_changed());
                    *found
                })
            })
            .collect();
        for n in 1..=80 {
            sender.send(n).unwrap();
            thread::yield_now();
        }
        let found = receivers.into_iter().map(Either::join);
        assert!(found.zip(1..).all(|(found, i)| found >= i * 10));
        let mut receiver = receiver;
        assert!(receiver.wait_for_until(|n| *n == 80, Instant::now()).is_ok());
        let error = receiver.wait_for_timeout(|n| *n == 81, Duration::from_micros(100)).unwrap_err();
        assert_eq!(error, RecvTimeoutError::Timeout);
    });
}

#[test]
fn a_wait_with_a_deadline_ends_at_it_or_with_a_change() {
    each_run(|| {
        for i in 0..stress(100) {
            let (sender, mut receiver) = watch::channel(0);
            let other = spawn_either(i, move || sender.send(1).unwrap());
            let timeout = Duration::from_micros(u64::try_from(i).unwrap() % 40);
            if receiver.changed_timeout(timeout).is_err() {
                receiver.changed().unwrap();
            }
            assert_eq!(*receiver.borrow(), 1);
            other.join();
        }
    });
}

#[test]
fn a_sender_waits_for_those_who_borrow() {
    each_run(|| {
        let (sender, receiver) = watch::channel(1);
        let sent = Arc::new(AtomicBool::new(false));
        let (sender, they_have) = (Arc::new(sender), Arc::clone(&sent));
        let value = receiver.borrow();
        let theirs = Arc::clone(&sender);
        let sending = spawn_either(1, move || {
            theirs.send(2).unwrap();
            they_have.store(true, SeqCst);
        });
        thread::yield_now();
        assert_eq!((*value, sent.load(SeqCst)), (1, false));
        drop(value);
        sending.join();
        assert_eq!(*sender.borrow(), 2);
    });
}

#[test]
fn a_sender_waits_for_all_receivers_to_go() {
    each_run(|| {
        let (sender, receiver) = watch::channel(1);
        let other = receiver.clone();
        assert!(!sender.closed_timeout(Duration::from_micros(10)));
        let waiting: Vec<_> = (0..2)
            .map(|i| {
                let sender = sender.clone();
                spawn_either(i, move || sender.closed())
            })
            .collect();
        drop(receiver);
        assert!(!sender.closed_timeout(Duration::from_micros(10)));
        drop(other);
        waiting.into_iter().for_each(Either::join);
        assert!(sender.closed_timeout(Duration::ZERO));
    });
}

#[test]
fn receivers_that_are_cancelled_are_gone_and_senders_end_the_wait_outside() {
    each_config(|config| {
        let runtime = config.build();
        let (sender, receiver) = watch::channel(1);
        let handles: Vec<_> = (0..10)
            .map(|_| {
                let mut receiver = receiver.clone();
                runtime.handle().spawn(move || while receiver.changed().is_ok() {})
            })
            .collect();
        let (lost, mut closed) = watch::channel(1);
        let outside = std::thread::spawn(move || closed.changed().is_err());
        let holder = runtime.handle().spawn(move || {
            let _lost = lost;
            thread::park();
        });
        drop(runtime);
        assert!(handles.into_iter().chain([holder]).all(|handle| handle.join().is_err()));
        assert!(outside.join().unwrap());
        assert_eq!(sender.receiver_count(), 1);
        assert!(sender.send(2).is_ok());
    });
}

#[test]
fn who_is_cancelled_while_it_changes_the_value_locks_nobody_out() {
    each_config(|config| {
        let (runtime, (sender, mut receiver)) = (config.build(), watch::channel(1));
        let (sender, begun) = (Arc::new(sender), Arc::new(AtomicBool::new(false)));
        let (theirs, they_have) = (Arc::clone(&sender), Arc::clone(&begun));
        let changing = runtime.handle().spawn(move || {
            theirs.send_modify(|_| {
                they_have.store(true, SeqCst);
                thread::park();
            });
        });
        crate::common::wait_until(|| begun.load(SeqCst));
        let theirs = Arc::clone(&sender);
        let outside = std::thread::spawn(move || theirs.send_modify(|n| *n += 1));
        drop(runtime);
        assert!(changing.join().is_err());
        outside.join().unwrap();
        assert_eq!((receiver.changed(), *receiver.borrow()), (Ok(()), 2));
    });
}

#[test]
fn every_value_is_dropped_once() {
    let drops = Drops::new();
    let (sender, receiver) = watch::channel(drops.token());
    assert!(sender.send(drops.token()).is_ok());
    assert_eq!(drops.count(), 1);
    drop(sender.send_replace(drops.token()));
    assert_eq!(drops.count(), 2);
    drop(receiver);
    drop(sender.send(drops.token()));
    assert_eq!(drops.count(), 3);
    drop(sender);
    assert_eq!(drops.count(), 4);
}

#[test]
fn who_sends_and_sees_all_the_time_lets_others_run() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (sender, mut receiver) = watch::channel(());
            let flag = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&flag);
            thread::spawn(move || theirs.store(true, SeqCst));
            while !flag.load(SeqCst) {
                sender.send(()).unwrap();
                receiver.changed().unwrap();
            }
        });
    });
}

#[test]
fn what_they_look_like() {
    let (sender, receiver) = watch::channel(1);
    assert!(format!("{sender:?}").contains("data: 1"));
    assert!(format!("{receiver:?}").contains("version: 0"));
    assert!(format!("{:?}", receiver.borrow()).contains("has_changed: false"));
    assert_eq!(SendError(1).to_string(), "channel closed");
    assert_eq!(RecvTimeoutError::Timeout.to_string(), "timed out waiting on channel");
}
