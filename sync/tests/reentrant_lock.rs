//! `ReentrantLock`: its owner is a thread, green or not, and may lock it again.

use std::{
    cell::{Cell, RefCell},
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

use crate::common::{ON_PURPOSE, each_config, each_mode, each_run, spawn_either, stress, until_waiting};
use sward_runtime::{cancel::Cancelled, park::WaitReason, thread};
use sward_sync::{ReentrantLock, ReentrantLockGuard};

#[test]
fn the_owner_locks_it_again_and_the_last_guard_unlocks_it() {
    each_run(|| {
        let lock = Arc::new(ReentrantLock::new(7));
        let (one, two, three) = (lock.lock(), lock.try_lock().unwrap(), lock.lock());
        assert_eq!((*one, *two, *three), (7, 7, 7));
        let others_try = || {
            let theirs = Arc::clone(&lock);
            thread::spawn(move || theirs.try_lock().is_some()).join().unwrap()
        };
        drop(one);
        assert!(!others_try());
        drop(three);
        assert!(!others_try());
        drop(two);
        assert!(others_try());
    });
}

#[test]
fn another_green_thread_of_the_same_worker_is_another_owner() {
    each_mode(1, |config| {
        config.build().run(|| {
            let lock = Arc::new(ReentrantLock::new(RefCell::new(0)));
            let guard = lock.lock();
            let theirs = Arc::clone(&lock);
            let other = thread::spawn(move || {
                assert!(theirs.try_lock().is_none());
                *theirs.lock().borrow()
            });
            until_waiting(other.thread(), WaitReason::Lock);
            for i in 0..100 {
                *lock.lock().borrow_mut() += i;
            }
            drop(guard);
            assert_eq!(other.join().unwrap(), 4950);
        });
    });
}

#[test]
fn an_os_thread_and_a_green_one_keep_each_other_out() {
    each_run(|| {
        let lock = Arc::new(ReentrantLock::new(Cell::new(0)));
        let n = stress(500);
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let lock = Arc::clone(&lock);
                spawn_either(i, move || {
                    for turn in 0..n {
                        let outer = lock.lock();
                        let before = outer.get();
                        if turn % 50 == 0 {
                            thread::yield_now();
                        }
                        lock.lock().set(before + 1);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(crate::common::Either::join);
        assert_eq!(lock.lock().get(), 4 * n);
    });
}

#[test]
fn the_owner_stays_the_owner_wherever_it_runs() {
    each_run(|| {
        let lock = Arc::new(ReentrantLock::new(()));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    for _ in 0..50 {
                        let outer = lock.lock();
                        thread::yield_now();
                        let inner = lock.try_lock().expect("ours");
                        thread::yield_now();
                        drop((outer, inner));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_panic_unlocks_it_and_poisons_nothing() {
    each_run(|| {
        let lock = Arc::new(ReentrantLock::new(1));
        let theirs = Arc::clone(&lock);
        let failed = thread::spawn(move || {
            let _guards = (theirs.lock(), theirs.lock());
            panic!("{ON_PURPOSE}");
        });
        assert!(failed.join().is_err());
        assert_eq!(*lock.try_lock().unwrap(), 1);
    });
}

#[test]
fn those_that_are_cancelled_leave_it_usable() {
    each_config(|config| {
        let lock = Arc::new(ReentrantLock::new(1));
        let runtime = config.build();
        let theirs = Arc::clone(&lock);
        let holder = runtime.handle().spawn(move || {
            let _guards = (theirs.lock(), theirs.lock());
            thread::park();
        });
        until_waiting(holder.thread(), WaitReason::Park);
        let theirs = Arc::clone(&lock);
        let waiter = runtime.handle().spawn(move || *theirs.lock());
        until_waiting(waiter.thread(), WaitReason::Lock);
        drop(runtime);
        assert!(holder.join().unwrap_err().is::<Cancelled>());
        // It may have got the lock as the other unwound.
        assert!(waiter.join().map_or_else(|payload| payload.is::<Cancelled>(), |value| value == 1));
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn an_ending_os_thread_is_still_the_owner() {
    struct LockWhenDropped(Arc<ReentrantLock<u32>>);
    impl Drop for LockWhenDropped {
        fn drop(&mut self) {
            let outer = self.0.lock();
            let inner = self.0.try_lock().expect("ours");
            assert_eq!(*outer + *inner, 2);
        }
    }
    std::thread_local! {
        static LOCKS: RefCell<Option<LockWhenDropped>> = const { RefCell::new(None) };
    }
    let lock = Arc::new(ReentrantLock::new(1));
    let locks = LockWhenDropped(Arc::clone(&lock));
    let ending = std::thread::spawn(move || {
        LOCKS.set(Some(locks));
        // Makes what a thread is known by, which is then destroyed first.
        thread::current().id()
    });
    ending.join().unwrap();
    assert!(lock.try_lock().is_some());
}

#[test]
fn it_looks_and_behaves_like_the_one_of_std() {
    fn shared<T: Send + Sync>() {}
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    fn guard<T: Sync>() {}
    shared::<ReentrantLock<Cell<u8>>>();
    unwinds::<ReentrantLock<u8>>();
    guard::<ReentrantLockGuard<'_, u8>>();
    let mut lock = ReentrantLock::from(1);
    assert_eq!(format!("{lock:?}"), "ReentrantLock { data: 1, .. }");
    {
        let guard = lock.lock();
        assert_eq!(format!("{guard:?} {guard} {lock:?}"), "1 1 ReentrantLock { data: 1, .. }");
        std::thread::scope(|s| {
            s.spawn(|| assert_eq!(format!("{lock:?}"), "ReentrantLock { data: <locked>, .. }"));
        });
    }
    *lock.get_mut() = 2;
    assert_eq!(lock.into_inner(), 2);
    assert_eq!(ReentrantLock::<u32>::default().into_inner(), 0);
    let list: &ReentrantLock<[i32]> = &ReentrantLock::new([1, 2, 3]);
    assert_eq!(list.lock().len(), 3);
}
