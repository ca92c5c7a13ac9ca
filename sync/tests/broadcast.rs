//! `broadcast`: every receiver sees every value, or is told how many it missed; in every kind of runtime, and with OS threads.

use std::{
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    DropToken, Drops, Either, each_config, each_mode, each_run, quiet_panics, spawn_either, stress,
    wait_until,
};
use sward_runtime::thread;
use sward_sync::broadcast::{
    self, Receiver, Sender,
    error::{RecvError, RecvTimeoutError, SendError, TryRecvError},
};

#[test]
fn both_ends_may_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Sender<String>>();
    check::<Receiver<String>>();
}

#[test]
fn a_value_is_seen_by_all_who_were_there() {
    let (sender, mut first) = broadcast::channel(16);
    let mut second = sender.subscribe();
    assert_eq!(sender.send(1), Ok(2));
    let mut late = sender.clone().subscribe();
    assert_eq!(sender.send(2), Ok(3));
    assert_eq!((first.try_recv(), first.try_recv()), (Ok(1), Ok(2)));
    assert_eq!((second.recv(), second.recv()), (Ok(1), Ok(2)));
    assert_eq!(late.recv(), Ok(2));
    for receiver in [&mut first, &mut second, &mut late] {
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
    drop(sender);
    assert_eq!(first.recv(), Err(RecvError::Closed));
    assert_eq!(second.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(late.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
}

#[test]
fn nobody_sends_to_nobody() {
    let (sender, receiver) = broadcast::channel(1);
    drop(receiver);
    assert_eq!(sender.send(1), Err(SendError(1)));
    let mut receiver = sender.subscribe();
    assert_eq!(sender.send(2), Ok(1));
    assert_eq!(receiver.recv(), Ok(2));
    assert!(Sender::new(1).send(3).is_err());
}

#[test]
fn a_channel_has_room_for_one_at_least() {
    quiet_panics();
    assert!(catch_unwind(|| drop(broadcast::channel::<u32>(0))).is_err());
}

#[test]
fn slow_receivers_are_told_what_they_missed_each_for_itself() {
    let (sender, mut slow) = broadcast::channel(2);
    let mut fast = sender.subscribe();
    for i in 0..5 {
        sender.send(i).unwrap();
        assert_eq!(fast.recv(), Ok(i));
    }
    assert_eq!(slow.len(), 5);
    assert_eq!(slow.try_recv(), Err(TryRecvError::Lagged(3)));
    assert_eq!(slow.len(), 2);
    // Before it goes on, it lags again.
    for i in 5..8 {
        sender.send(i).unwrap();
    }
    assert_eq!(slow.recv(), Err(RecvError::Lagged(3)));
    assert_eq!((slow.recv(), slow.recv()), (Ok(6), Ok(7)));
    assert!(slow.is_empty());
    assert_eq!(fast.recv_deadline(Instant::now()), Err(RecvTimeoutError::Lagged(1)));
    assert_eq!(fast.len(), 2);
}

#[test]
fn the_oldest_is_still_there_when_the_channel_is_just_full() {
    let (sender, mut receiver) = broadcast::channel(3);
    for i in 0..3 {
        sender.send(i).unwrap();
    }
    drop(sender);
    assert_eq!((receiver.recv(), receiver.recv(), receiver.recv()), (Ok(0), Ok(1), Ok(2)));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
}

#[test]
fn lag_is_reported_before_the_end() {
    let (sender, mut receiver) = broadcast::channel(1);
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    drop(sender);
    assert!(receiver.is_closed());
    assert_eq!(receiver.recv(), Err(RecvError::Lagged(1)));
    assert_eq!(receiver.recv(), Ok(2));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
}

#[test]
fn counts_are_kept() {
    let (sender, mut first) = broadcast::channel(4);
    let mut second = first.resubscribe();
    assert_eq!((sender.receiver_count(), sender.len(), sender.is_empty()), (2, 0, true));
    for i in 0..3 {
        sender.send(i).unwrap();
    }
    assert_eq!((sender.len(), first.len(), second.len()), (3, 3, 3));
    first.recv().unwrap();
    first.recv().unwrap();
    assert_eq!(sender.len(), 3, "the second has seen none");
    second.recv().unwrap();
    assert_eq!(sender.len(), 2);
    drop(second);
    assert_eq!((sender.receiver_count(), sender.len()), (1, 1));
    let late = first.resubscribe();
    assert!(late.is_empty() && late.same_channel(&first));
    drop(first);
    assert!(sender.is_empty());
    assert!(sender.same_channel(&sender.clone()));
    assert!(!sender.same_channel(&Sender::new(1)));
    for i in 0..10 {
        sender.send(i).unwrap();
    }
    assert_eq!((sender.len(), late.len()), (4, 10));
}

/// Counts its clones.
struct Counted(Arc<AtomicUsize>, DropToken);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, SeqCst);
        Self(Arc::clone(&self.0), DropToken::clone_of(&self.1))
    }
}

#[test]
fn values_are_dropped_when_all_have_seen_them_or_they_are_overwritten() {
    let (clones, drops) = (Arc::new(AtomicUsize::new(0)), Drops::new());
    let value = || Counted(Arc::clone(&clones), drops.token());
    let (sender, mut first) = broadcast::channel(2);
    let mut second = sender.subscribe();
    assert!(sender.send(value()).is_ok());
    drop(first.recv());
    assert_eq!((clones.load(SeqCst), drops.count()), (1, 1));
    drop(second.recv());
    assert_eq!((clones.load(SeqCst), drops.count()), (1, 2), "the last one takes it whole");
    for _ in 0..3 {
        assert!(sender.send(value()).is_ok());
    }
    assert_eq!(drops.count(), 3, "one was overwritten");
    drop(first);
    assert_eq!(drops.count(), 3, "the second has not seen the others");
    drop(second);
    assert_eq!(drops.count(), 5);
    drop(sender.send(value()));
    assert_eq!(drops.count(), 6, "there was nobody to see it");
    let late = sender.subscribe();
    assert!(sender.send(value()).is_ok());
    drop(sender);
    assert_eq!(drops.count(), 6);
    drop(late);
    assert_eq!(drops.count(), 7);
    assert_eq!(clones.load(SeqCst), 1);
}

/// Sends on its channel when it is cloned or dropped: no lock may be held then.
struct Meddler(Option<Sender<Self>>);

impl Meddler {
    fn meddle(&self) {
        if let Some(sender) = &self.0 {
            drop(sender.send(Self(None)));
        }
    }
}

impl Clone for Meddler {
    fn clone(&self) -> Self {
        self.meddle();
        Self(None)
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle();
    }
}

#[test]
fn values_may_use_their_channel_when_they_are_cloned_and_dropped() {
    let _watchdog = crate::common::Watchdog::new();
    let (sender, mut receiver) = broadcast::channel(2);
    let other = sender.subscribe();
    assert!(sender.send(Meddler(Some(sender.clone()))).is_ok());
    assert!(receiver.recv().is_ok(), "cloned");
    for _ in 0..5 {
        drop(sender.send(Meddler(Some(sender.clone())))); // overwrites
    }
    drop(other);
    drop(receiver);
    assert!(sender.is_empty());
}

#[test]
fn receivers_of_either_kind_wait_and_see_everything_in_order() {
    each_run(|| {
        let (sender, receiver) = broadcast::channel(stress(300));
        let receivers: Vec<_> = (0..8)
            .map(|i| {
                let mut receiver = receiver.resubscribe();
                spawn_either(i, move || {
                    let received: Vec<_> = std::iter::from_fn(|| receiver.recv().ok()).collect();
                    assert!(received.is_sorted());
                    received.len()
                })
            })
            .collect();
        drop(receiver);
        for i in 0..stress(300) {
            sender.send(i).unwrap();
            if i % 7 == 0 {
                thread::yield_now();
            }
        }
        drop(sender);
        assert!(receivers.into_iter().map(Either::join).all(|n| n == stress(300)));
    });
}

#[test]
fn what_is_received_and_what_was_missed_is_all() {
    each_run(|| {
        const SENDERS: usize = 3;
        let n = stress(500);
        let (sender, receiver) = broadcast::channel(8);
        let receivers: Vec<_> = (0..4)
            .map(|i| {
                let mut receiver = receiver.resubscribe();
                spawn_either(i, move || {
                    let mut seen = 0;
                    loop {
                        match receiver.recv_timeout(Duration::from_micros(50)) {
                            Ok(_) => seen += 1,
                            Err(RecvTimeoutError::Lagged(missed)) => seen += missed,
                            Err(RecvTimeoutError::Timeout) => {}
                            Err(RecvTimeoutError::Closed) => return seen,
                        }
                    }
                })
            })
            .collect();
        drop(receiver);
        let senders: Vec<_> = (0..SENDERS)
            .map(|i| {
                let sender = sender.clone();
                spawn_either(i, move || {
                    for i in 0..n {
                        sender.send(i).unwrap();
                        if i % 16 == 0 {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        senders.into_iter().for_each(Either::join);
        let all = u64::try_from(SENDERS * n).unwrap();
        assert!(receivers.into_iter().map(Either::join).all(|seen| seen == all));
    });
}

#[test]
fn receivers_that_come_and_go_leave_nothing_behind() {
    each_run(|| {
        let drops = Drops::new();
        let (sender, receiver) = broadcast::channel(4);
        let threads: Vec<_> = (0..6)
            .map(|i| {
                let (sender, receiver) = (sender.clone(), receiver.resubscribe());
                let token = Arc::new(drops.token());
                spawn_either(i, move || {
                    for round in 0..stress(100) {
                        let mut mine =
                            if round % 2 == 0 { sender.subscribe() } else { receiver.resubscribe() };
                        sender.send(Arc::clone(&token)).unwrap();
                        if round % 3 == 0 {
                            drop(mine.try_recv());
                        }
                    }
                })
            })
            .collect();
        drop(receiver);
        threads.into_iter().for_each(Either::join);
        assert_eq!((sender.receiver_count(), sender.len(), drops.count()), (0, 0, 6));
    });
}

#[test]
fn a_sender_waits_for_all_receivers_to_go() {
    each_run(|| {
        let (sender, receiver) = broadcast::channel::<u32>(1);
        let other = sender.subscribe();
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
        Sender::<u32>::new(1).closed();
    });
}

#[test]
fn receivers_that_are_cancelled_are_gone() {
    each_config(|config| {
        let (runtime, drops) = (config.build(), Drops::new());
        let (sender, mut receiver) = broadcast::channel(4);
        let handles: Vec<_> = (0..10)
            .map(|_| {
                let mut receiver = sender.subscribe();
                runtime.handle().spawn(move || while receiver.recv().is_ok() {})
            })
            .collect();
        for _ in 0..3 {
            assert!(sender.send(Arc::new(drops.token())).is_ok());
        }
        drop(runtime);
        assert!(handles.into_iter().all(|handle| handle.join().is_err()));
        assert_eq!(sender.receiver_count(), 1);
        assert!((0..3).all(|_| receiver.recv().is_ok()));
        assert_eq!((drops.count(), sender.len()), (3, 0));
    });
}

#[test]
fn who_sends_and_receives_all_the_time_lets_others_run() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (sender, mut receiver) = broadcast::channel(1);
            let flag = Arc::new(AtomicUsize::new(0));
            let theirs = Arc::clone(&flag);
            thread::spawn(move || theirs.store(1, SeqCst));
            while flag.load(SeqCst) == 0 {
                sender.send(()).unwrap();
                receiver.recv().unwrap();
            }
        });
    });
}

#[test]
fn a_wait_with_a_deadline_ends_at_it() {
    each_run(|| {
        let (sender, mut receiver) = broadcast::channel(1);
        assert_eq!(receiver.recv_timeout(Duration::from_micros(100)), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
        let waiting = spawn_either(1, move || receiver.recv_timeout(Duration::from_secs(1_000)));
        wait_until(|| sender.receiver_count() == 1);
        sender.send(1).unwrap();
        assert_eq!(waiting.join(), Ok(1));
    });
}

#[test]
fn what_they_look_like() {
    let (sender, receiver) = broadcast::channel::<u32>(1);
    assert_eq!(format!("{sender:?} {receiver:?}"), "Sender { .. } Receiver { .. }");
    assert_eq!(RecvError::Lagged(3).to_string(), "channel lagged by 3");
    assert_eq!(SendError(1).to_string(), "channel closed");
}

#[test]
fn receivers_that_go_while_values_come_cost_the_others_none() {
    each_run(|| {
        let (sender, mut stays) = broadcast::channel::<usize>(1024);
        for _ in 0..stress(40) {
            let goes: Vec<_> = (0..3).map(|_| sender.subscribe()).collect();
            let sending = {
                let sender = sender.clone();
                spawn_either(1, move || (0..200).for_each(|i| _ = sender.send(i)))
            };
            let going: Vec<_> =
                goes.into_iter().enumerate().map(|(n, r)| spawn_either(n, || drop(r))).collect();
            for i in 0..200 {
                assert_eq!(stays.recv(), Ok(i));
            }
            sending.join();
            going.into_iter().for_each(Either::join);
            assert_eq!(sender.len(), 0, "all have been seen");
        }
    });
}
