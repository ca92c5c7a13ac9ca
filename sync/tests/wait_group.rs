//! `WaitGroup`: green threads and OS threads wait for each other, in every kind of runtime.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sward_runtime::{runtime::Builder, thread};
use sward_sync::WaitGroup;

/// Runs `body` on runtimes with 1, 2 and 8 workers, anchored and roaming.
fn each_runtime(body: impl Fn() + Sync) {
    for workers in [1, 2, 8] {
        Builder::new().workers(workers).build().unwrap().run(&body);
        // SAFETY: the bodies below use no thread-locals.
        let roaming = unsafe { Builder::new().workers(workers).roaming() };
        roaming.build().unwrap().run(&body);
    }
}

#[test]
fn wait_returns_after_the_last_member_has_left() {
    each_runtime(|| {
        let left = Arc::new(AtomicUsize::new(0));
        let group = WaitGroup::new();
        for _ in 0..100 {
            let (group, left) = (group.clone(), Arc::clone(&left));
            thread::spawn(move || {
                thread::yield_now();
                left.fetch_add(1, Ordering::Relaxed);
                drop(group);
            });
        }
        group.wait();
        assert_eq!(left.load(Ordering::Relaxed), 100);
    });
}

#[test]
fn several_wait_for_one_green_and_not() {
    each_runtime(|| {
        let group = WaitGroup::new();
        let green: Vec<_> = (0..10)
            .map(|_| {
                let group = group.clone();
                thread::spawn(move || group.wait())
            })
            .collect();
        let theirs = group.clone();
        let os = std::thread::spawn(move || theirs.wait());
        drop(group);
        green.into_iter().for_each(|t| t.join().unwrap());
        sward_runtime::unblock(|| os.join().unwrap());
    });
}

#[test]
fn a_group_of_one_does_not_wait() {
    WaitGroup::new().wait();
}
