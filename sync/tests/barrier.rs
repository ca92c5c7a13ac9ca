//! `Barrier`: threads of both kinds meet, one leads, and who is cancelled does not count.

use std::{
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use crate::common::{each_config, each_run, is_waiting, spawn_either, stress, until_waiting, wait_until};
use sward_runtime::{cancel::Cancelled, park::WaitReason, thread};
use sward_sync::Barrier;

#[test]
fn nobody_goes_on_before_all_have_come_and_one_leads() {
    each_run(|| {
        let (barrier, come) = (Arc::new(Barrier::new(10)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..9)
            .map(|_| {
                let (barrier, come) = (Arc::clone(&barrier), Arc::clone(&come));
                thread::spawn(move || {
                    come.fetch_add(1, SeqCst);
                    let leads = barrier.wait().is_leader();
                    assert_eq!(come.load(SeqCst), 10);
                    leads
                })
            })
            .collect();
        threads.iter().for_each(|thread| until_waiting(thread.thread(), WaitReason::Barrier));
        come.fetch_add(1, SeqCst);
        let mut leaders = usize::from(barrier.wait().is_leader());
        leaders += threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>();
        assert_eq!(leaders, 1);
    });
}

#[test]
fn it_can_be_used_again_and_again_by_threads_of_both_kinds() {
    each_run(|| {
        let barrier = Arc::new(Barrier::new(4));
        let (turns, leads) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let n = stress(200);
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let (barrier, turns, leads) = (Arc::clone(&barrier), Arc::clone(&turns), Arc::clone(&leads));
                spawn_either(usize::from(i == 3), move || {
                    for turn in 1..=n {
                        turns.fetch_add(1, SeqCst);
                        leads.fetch_add(usize::from(barrier.wait().is_leader()), SeqCst);
                        assert!(turns.load(SeqCst) >= turn * 4);
                        barrier.wait();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(crate::common::Either::join);
        assert_eq!((turns.load(SeqCst), leads.load(SeqCst)), (4 * n, n));
    });
}

#[test]
fn ten_thousand_meet() {
    each_run(|| {
        let barrier = Arc::new(Barrier::new(10_000));
        let spawn = |_| {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || usize::from(barrier.wait().is_leader()))
        };
        let threads: Vec<_> = (0..10_000).map(spawn).collect();
        assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 1);
    });
}

#[test]
fn with_one_or_none_nobody_waits() {
    assert!(Barrier::new(0).wait().is_leader());
    let alone = Barrier::new(1);
    assert!(alone.wait().is_leader() && alone.wait().is_leader());
}

#[test]
fn who_is_cancelled_while_waiting_does_not_count() {
    each_config(|config| {
        let barrier = Arc::new(Barrier::new(3));
        let runtime = config.build();
        let gone: Vec<_> = (0..2)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                runtime.handle().spawn(move || {
                    barrier.wait();
                })
            })
            .collect();
        gone.iter().for_each(|thread| until_waiting(thread.thread(), WaitReason::Barrier));
        drop(runtime);
        for thread in gone {
            assert!(thread.join().unwrap_err().is::<Cancelled>());
        }
        // It takes three others: with the two it would have been full at the first, and again at the second of these.
        let led = std::thread::scope(|s| {
            let threads = [(); 3].map(|()| s.spawn(|| usize::from(barrier.wait().is_leader())));
            threads.map(|thread| thread.join().unwrap()).iter().sum::<usize>()
        });
        assert_eq!(led, 1);
    });
}

#[test]
fn a_cancellation_that_races_with_the_last_to_come_counts_or_does_not() {
    each_config(|config| {
        for turn in 0..stress(50) {
            let barrier = Arc::new(Barrier::new(2));
            let (ending, other) = (config.build(), config.build());
            let theirs = Arc::clone(&barrier);
            let cancelled = ending.handle().spawn(move || theirs.wait().is_leader());
            until_waiting(cancelled.thread(), WaitReason::Barrier);
            let (theirs, runtime) = (Arc::clone(&barrier), ending.handle().clone());
            let second = other.handle().spawn(move || {
                // Comes a little after the end has begun.
                wait_until(|| runtime.try_spawn(|| ()).is_err());
                for i in 0..turn * 100 {
                    std::hint::black_box(i);
                }
                theirs.wait().is_leader()
            });
            drop(ending);
            let met = cancelled.join().map_err(|payload| assert!(payload.is::<Cancelled>())).is_ok();
            wait_until(|| second.is_finished() || is_waiting(second.thread(), WaitReason::Barrier));
            assert!(second.is_finished() || !met);
            if !second.is_finished() {
                assert!(barrier.wait().is_leader());
                assert!(!second.join().unwrap());
            }
        }
    });
}

#[test]
fn who_may_not_wait_does_not_count() {
    each_run(|| {
        let barrier = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&barrier);
        let failed = thread::spawn(move || thread::no_suspend(|| theirs.wait().is_leader()));
        assert!(failed.join().is_err());
        let theirs = Arc::clone(&barrier);
        let first = thread::spawn(move || theirs.wait().is_leader());
        until_waiting(first.thread(), WaitReason::Barrier);
        assert!(barrier.wait().is_leader());
        assert!(!first.join().unwrap());
    });
}

#[test]
fn it_says_what_it_is() {
    fn check<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    check::<Arc<Barrier>>();
    assert_eq!(format!("{:?}", Barrier::new(1)), "Barrier { .. }");
    assert_eq!(format!("{:?}", Barrier::new(1).wait()), "BarrierWaitResult { is_leader: true }");
}
