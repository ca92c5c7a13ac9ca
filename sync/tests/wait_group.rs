//! `WaitGroup`: green threads and OS threads wait for each other, in every kind of runtime.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{Either, each_config, each_run, spawn_either, stress};
use sward_runtime::thread;
use sward_sync::WaitGroup;

#[test]
fn wait_returns_after_the_last_member_has_left() {
    each_run(|| {
        for _ in 0..stress(10) {
            let left = Arc::new(AtomicUsize::new(0));
            let group = WaitGroup::new();
            let members: Vec<_> = (0..20)
                .map(|i| {
                    let (group, left) = (group.clone(), Arc::clone(&left));
                    spawn_either(i / 16, move || {
                        thread::yield_now();
                        left.fetch_add(1, SeqCst);
                        drop(group);
                    })
                })
                .collect();
            group.wait();
            assert_eq!(left.load(SeqCst), 20);
            members.into_iter().for_each(Either::join);
        }
    });
}

#[test]
fn several_wait_for_one_green_and_not() {
    each_run(|| {
        let group = WaitGroup::new();
        let passed = Arc::new(AtomicUsize::new(0));
        let waiting: Vec<_> = (0..10)
            .map(|i| {
                let (group, passed) = (group.clone(), Arc::clone(&passed));
                spawn_either(i, move || {
                    group.wait();
                    passed.fetch_add(1, SeqCst);
                })
            })
            .collect();
        for _ in 0..20 {
            thread::yield_now();
        }
        assert_eq!(passed.load(SeqCst), 0);
        drop(group);
        waiting.into_iter().for_each(Either::join);
        assert_eq!(passed.load(SeqCst), 10);
    });
}

#[test]
fn members_of_one_group_wait_for_another() {
    each_run(|| {
        let (all, gate) = (WaitGroup::new(), WaitGroup::new());
        let passed = Arc::new(AtomicUsize::new(0));
        for i in 0..10 {
            let (all, gate, passed) = (all.clone(), gate.clone(), Arc::clone(&passed));
            spawn_either(i, move || {
                gate.wait();
                passed.fetch_add(1, SeqCst);
                drop(all);
            });
        }
        assert_eq!(passed.load(SeqCst), 0);
        drop(gate);
        all.wait();
        assert_eq!(passed.load(SeqCst), 10);
    });
}

#[test]
fn a_group_of_one_does_not_wait() {
    WaitGroup::new().wait();
    assert!(WaitGroup::default().wait_timeout(Duration::ZERO));
    assert!(WaitGroup::new().wait_until(Instant::now()));
}

#[test]
fn time_is_up_while_there_are_others() {
    each_run(|| {
        let group = WaitGroup::new();
        let member = group.clone();
        assert_eq!(format!("{member:?}"), "WaitGroup { count: 2 }");
        assert!(!group.clone().wait_timeout(Duration::from_millis(1)));
        assert!(!group.wait_until(Instant::now()));
        // Those whose time was up have left.
        assert_eq!(format!("{member:?}"), "WaitGroup { count: 1 }");
        member.wait();
    });
}

#[test]
fn deadlines_race_with_the_last_member() {
    each_run(|| {
        for i in 0..stress(100) {
            let group = WaitGroup::new();
            let (member, left) = (group.clone(), Arc::new(AtomicUsize::new(0)));
            let theirs = Arc::clone(&left);
            let leaving = spawn_either(i, move || {
                theirs.store(1, SeqCst);
                drop(member);
            });
            let timeout = Duration::from_micros(u64::try_from(i).unwrap() % 50);
            if group.wait_timeout(timeout) {
                assert_eq!(left.load(SeqCst), 1);
            }
            leaving.join();
        }
    });
}

#[test]
fn those_who_are_cancelled_have_left() {
    each_config(|config| {
        let (runtime, group) = (config.build(), WaitGroup::new());
        let handles: Vec<_> = (0..10)
            .map(|_| {
                let group = group.clone();
                runtime.handle().spawn(move || group.wait())
            })
            .collect();
        let theirs = group.clone();
        let outside = std::thread::spawn(move || theirs.wait());
        drop(runtime);
        assert!(handles.into_iter().all(|handle| handle.join().is_err()));
        group.wait();
        outside.join().unwrap();
    });
}
