//! The lock of the standard streams: exclusion, reentrance, order, and the ends of those who wait.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use sward_runtime::{cancel::Cancelled, runtime::Builder, thread};

use super::Lock;

fn yield_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn who_holds_it_may_take_it_again_and_others_wait() {
    static LOCK: Lock = Lock::new();
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let runtime = Builder::new().workers(1).build().expect("a runtime");
    runtime.run(|| {
        let outer = LOCK.lock();
        // On the same worker, but not the same green thread.
        let other = thread::spawn(|| {
            let _guard = LOCK.lock();
            INSIDE.fetch_add(1, Relaxed);
        });
        yield_until(|| LOCK.waiting() == 1);
        drop(LOCK.lock());
        assert_eq!(INSIDE.load(Relaxed), 0, "the outer guard is still there");
        drop(outer);
        other.join().expect("no panic");
        assert_eq!(INSIDE.load(Relaxed), 1);
    });
}

#[test]
fn green_threads_and_os_threads_exclude_each_other() {
    static LOCK: Lock = Lock::new();
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    fn visit() {
        for _ in 0..200 {
            let _guard = LOCK.lock();
            assert_eq!(INSIDE.fetch_add(1, Relaxed), 0);
            thread::yield_now();
            assert_eq!(INSIDE.fetch_sub(1, Relaxed), 1);
            TIMES.fetch_add(1, Relaxed);
        }
    }
    let runtime = Builder::new().workers(2).build().expect("a runtime");
    let green: Vec<_> = (0..4).map(|_| runtime.handle().spawn(visit)).collect();
    let os: Vec<_> = (0..2).map(|_| std::thread::spawn(visit)).collect();
    for thread in green {
        thread.join().expect("no panic");
    }
    for thread in os {
        thread.join().expect("no panic");
    }
    assert_eq!(TIMES.load(Relaxed), 1200);
}

#[test]
fn it_goes_to_those_who_wait_in_their_order() {
    static LOCK: Lock = Lock::new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let runtime = Builder::new().workers(1).build().expect("a runtime");
    runtime.run(|| {
        let guard = LOCK.lock();
        let waiters: Vec<_> = (0..10)
            .map(|i| {
                let waiter = thread::spawn(move || {
                    let _guard = LOCK.lock();
                    assert_eq!(NEXT.fetch_add(1, Relaxed), i);
                });
                yield_until(|| LOCK.waiting() == i + 1);
                waiter
            })
            .collect();
        drop(guard);
        for waiter in waiters {
            waiter.join().expect("in order");
        }
    });
}

#[test]
fn a_cancelled_waiter_is_skipped() {
    static LOCK: Lock = Lock::new();
    let runtime = Builder::new().workers(2).build().expect("a runtime");
    let guard = LOCK.lock();
    let waiters: Vec<_> = (0..3).map(|_| runtime.handle().spawn(|| drop(LOCK.lock()))).collect();
    yield_until(|| LOCK.waiting() == 3);
    drop(runtime);
    for waiter in waiters {
        assert!(waiter.join().expect_err("cancelled").is::<Cancelled>());
    }
    assert_eq!(LOCK.waiting(), 0);
    drop(guard);
    drop(LOCK.lock());
}
