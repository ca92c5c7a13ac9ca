//! `Notify`: one permit, and waiters in order; in every kind of runtime, and with OS threads.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{Either, each_config, each_mode, each_run, settle, spawn_either, stress};
use sward_runtime::thread;
use sward_sync::Notify;

fn has_permit(notify: &Notify) -> bool {
    notify.wait_until(Instant::now())
}

#[test]
fn it_can_be_shared_and_is_small() {
    fn check<T: Send + Sync>() {}
    check::<Notify>();
    assert_eq!(size_of::<Notify>(), 4);
    assert_eq!(format!("{:?}", Notify::default()), "Notify { .. }");
}

#[test]
fn one_permit_is_kept_and_no_more() {
    static NOTIFY: Notify = Notify::const_new();
    assert!(!has_permit(&NOTIFY));
    for notify in [Notify::notify_one, Notify::notify_last] {
        notify(&NOTIFY);
        NOTIFY.notify_one();
        NOTIFY.wait();
        assert!(!has_permit(&NOTIFY));
    }
    NOTIFY.notify_waiters();
    assert!(!has_permit(&NOTIFY), "to notify all who wait leaves nothing for later");
    NOTIFY.notify_one();
    NOTIFY.notify_waiters();
    assert!(has_permit(&NOTIFY), "and takes nothing");
}

/// Spawns a green thread that waits and then notes `name`; returns when it waits. For one worker.
fn queue_up(notify: &Arc<Notify>, order: &Arc<Mutex<Vec<u32>>>, name: u32) -> thread::JoinHandle<()> {
    let (notify, order) = (Arc::clone(notify), Arc::clone(order));
    let handle = thread::spawn(move || {
        notify.wait();
        order.lock().unwrap().push(name);
    });
    settle();
    handle
}

#[test]
fn waiters_are_woken_one_by_one_oldest_or_newest_first() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (notify, order) = (Arc::new(Notify::new()), Arc::default());
            let handles: Vec<_> = (0..6).map(|i| queue_up(&notify, &order, i)).collect();
            for (woken, notify_next) in
                [Notify::notify_one, Notify::notify_last, Notify::notify_last, Notify::notify_one]
                    .into_iter()
                    .enumerate()
            {
                notify_next(&notify);
                settle();
                assert_eq!(order.lock().unwrap().len(), woken + 1);
            }
            notify.notify_one();
            notify.notify_one();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(*order.lock().unwrap(), [0, 5, 4, 1, 2, 3]);
            assert!(!has_permit(&notify));
        });
    });
}

#[test]
fn all_who_wait_are_woken_at_once_and_nobody_else() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (notify, order) = (Arc::new(Notify::new()), Arc::default());
            let handles: Vec<_> = (0..5).map(|i| queue_up(&notify, &order, i)).collect();
            notify.notify_waiters();
            let late = queue_up(&notify, &order, 9);
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert!(!late.is_finished());
            notify.notify_waiters();
            late.join().unwrap();
        });
    });
}

#[test]
fn a_notification_after_a_wait_that_ended_is_kept() {
    each_run(|| {
        let notify = Notify::new();
        assert!(!notify.wait_timeout(Duration::from_micros(100)));
        notify.notify_one();
        assert!(notify.wait_timeout(Duration::from_secs(1_000)));
    });
}

#[test]
fn every_notification_of_a_ping_pong_arrives() {
    each_run(|| {
        for kinds in 0..2 {
            let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let (theirs, ours) = (Arc::clone(&ping), Arc::clone(&pong));
            let n = stress(200);
            let other = spawn_either(kinds, move || {
                for _ in 0..n {
                    theirs.wait();
                    ours.notify_one();
                }
            });
            for _ in 0..n {
                ping.notify_one();
                pong.wait();
            }
            other.join();
            assert!(!has_permit(&ping) && !has_permit(&pong));
        }
    });
}

#[test]
fn no_notification_is_lost_to_a_wait_whose_time_is_up() {
    each_run(|| {
        let (notify, stop) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let received = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..4)
            .map(|i| {
                let (notify, stop, received) =
                    (Arc::clone(&notify), Arc::clone(&stop), Arc::clone(&received));
                spawn_either(i, move || {
                    while !stop.load(SeqCst) {
                        if notify.wait_timeout(Duration::from_micros(30)) {
                            received.fetch_add(1, SeqCst);
                        }
                    }
                })
            })
            .collect();
        // Each is sent when the last one has arrived, so that none falls on a permit that is there.
        for sent in 1..=stress(200) {
            notify.notify_one();
            crate::common::wait_until(|| received.load(SeqCst) == sent);
        }
        stop.store(true, SeqCst);
        waiters.into_iter().for_each(Either::join);
        assert!(!has_permit(&notify));
    });
}

#[test]
fn a_notification_that_finds_only_those_whose_time_is_up_is_kept() {
    each_run(|| {
        for _ in 0..stress(5) {
            let (notify, first) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(true)));
            let deadline = Instant::now() + Duration::from_millis(2);
            let waiters: Vec<_> = (0..50)
                .map(|_| {
                    let (notify, first) = (Arc::clone(&notify), Arc::clone(&first));
                    thread::spawn(move || {
                        let notified = notify.wait_until(deadline);
                        // The others are still in the list, but their waits have ended at the same moment.
                        if first.swap(false, SeqCst) {
                            notify.notify_one();
                        }
                        notified
                    })
                })
                .collect();
            let notified =
                waiters.into_iter().filter_map(|waiter| waiter.join().ok()).filter(|notified| *notified);
            assert_eq!(notified.count() + usize::from(has_permit(&notify)), 1);
        }
    });
}

#[test]
fn no_notification_is_lost_to_those_who_are_cancelled() {
    each_config(|config| {
        let (runtime, notify) = (config.build(), Arc::new(Notify::new()));
        let handles: Vec<_> = (0..20)
            .map(|_| {
                let notify = Arc::clone(&notify);
                runtime.handle().spawn(move || notify.wait())
            })
            .collect();
        // Sent while they go: each wakes one of them, or is there for us afterwards.
        let theirs = Arc::clone(&notify);
        let notifier = std::thread::spawn(move || theirs.notify_one());
        drop(runtime);
        notifier.join().unwrap();
        let woken = handles.into_iter().filter_map(|handle| handle.join().ok()).count();
        assert!(woken <= 1);
        assert_eq!(has_permit(&notify), woken == 0);
        notify.notify_one();
        notify.wait();
    });
}

#[test]
fn who_always_finds_the_permit_lets_others_run() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (notify, end) = (Notify::new(), Arc::new(AtomicBool::new(false)));
            let theirs = Arc::clone(&end);
            thread::spawn(move || theirs.store(true, SeqCst));
            while !end.load(SeqCst) {
                notify.notify_one();
                notify.wait();
            }
        });
    });
}
