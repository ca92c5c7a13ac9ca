//! `Mutex`: one thread at a time, green or not, whatever ends the wait of the others.

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use crate::common::{
    Drops, ON_PURPOSE, each_config, each_mode, each_run, quiet_panics, settle, spawn_either, stress,
    until_waiting, wait_until,
};
use sward_runtime::{cancel::Cancelled, park::WaitReason, placement, thread};
use sward_sync::{LockTimeoutError, MappedMutexGuard, Mutex, MutexGuard, TryLockError};

#[test]
fn additions_of_threads_of_both_kinds_are_not_lost() {
    each_run(|| {
        let sum = Arc::new(Mutex::new(0));
        let n = stress(2_000);
        let threads: Vec<_> = (0..6)
            .map(|i| {
                let sum = Arc::clone(&sum);
                spawn_either(i, move || {
                    for _ in 0..n {
                        *sum.lock().unwrap() += 1;
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(crate::common::Either::join);
        assert_eq!(*sum.lock().unwrap(), 6 * n);
    });
}

#[test]
fn the_holder_may_wait_and_is_still_alone() {
    each_run(|| {
        let shared = Arc::new((Mutex::new(()), AtomicBool::new(false)));
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (mutex, inside) = &*shared;
                    for _ in 0..5 {
                        let guard = mutex.lock().unwrap();
                        assert!(!inside.swap(true, SeqCst));
                        thread::yield_now();
                        assert!(inside.swap(false, SeqCst));
                        drop(guard);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn try_lock_takes_what_is_free_and_refuses_what_is_held() {
    each_run(|| {
        let mutex = Mutex::new(1);
        let guard = mutex.try_lock().unwrap();
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        thread::scope(|s| {
            s.spawn(|| assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock))));
        });
        drop(guard);
        *mutex.try_lock().unwrap() += 1;
        assert_eq!(mutex.into_inner().unwrap(), 2);
    });
}

#[test]
fn the_value_comes_out_once() {
    let drops = Drops::new();
    let mut mutex = Mutex::new(drops.token());
    *mutex.get_mut().unwrap() = drops.token();
    assert_eq!(drops.count(), 1);
    let value = mutex.into_inner().unwrap();
    assert_eq!(drops.count(), 1);
    drop(value);
    assert_eq!(drops.count(), 2);
    drop(Mutex::new(drops.token()));
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_value_that_is_set_drops_the_old_one_with_the_mutex_unlocked() {
    struct LocksWhenDropped(Arc<Mutex<Option<Self>>>, Arc<AtomicUsize>);
    impl Drop for LocksWhenDropped {
        fn drop(&mut self) {
            assert!(self.0.try_lock().is_ok());
            self.1.fetch_add(1, SeqCst);
        }
    }
    let (mutex, drops) = (Arc::new(Mutex::new(None)), Arc::default());
    mutex.set(Some(LocksWhenDropped(Arc::clone(&mutex), Arc::clone(&drops)))).unwrap();
    mutex.set(None).unwrap();
    assert_eq!(drops.load(SeqCst), 1);
    mutex.set(Some(LocksWhenDropped(Arc::clone(&mutex), Arc::clone(&drops)))).unwrap();
    drop(mutex.replace(None).unwrap());
    assert_eq!(drops.load(SeqCst), 2);
    assert_eq!(Mutex::new("cloned").get_cloned().unwrap(), "cloned");
}

#[test]
fn unsized_values_and_mutexes_in_mutexes_work() {
    each_run(|| {
        let list: &Mutex<[i32]> = &Mutex::new([1, 2, 3]);
        list.lock().unwrap()[1] = 7;
        assert_eq!(&*list.lock().unwrap(), &[1, 7, 3]);

        let outer = Arc::new(Mutex::new(Arc::new(Mutex::new(1))));
        let theirs = Arc::clone(&outer);
        thread::spawn(move || *theirs.lock().unwrap().lock().unwrap() += 1).join().unwrap();
        assert_eq!(*outer.lock().unwrap().lock().unwrap(), 2);
    });
}

#[test]
fn it_can_be_locked_while_unwinding() {
    each_run(|| {
        struct Add(Arc<Mutex<i32>>);
        impl Drop for Add {
            fn drop(&mut self) {
                *self.0.lock().unwrap() += 1;
            }
        }
        let mutex = Arc::new(Mutex::new(1));
        let add = Add(Arc::clone(&mutex));
        let failed = thread::spawn(move || {
            let _add = add;
            panic!("{ON_PURPOSE}");
        });
        assert!(failed.join().is_err());
        // A guard that was made while it panicked poisons nothing.
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

#[test]
fn a_mapped_guard_reaches_a_part_and_unlocks_the_whole() {
    let mutex = Mutex::new([0; 4]);
    let front = MutexGuard::map(mutex.lock().unwrap(), |all| &mut all[..2]);
    let mut second = MappedMutexGuard::map(front, |front| &mut front[1]);
    *second = 42;
    assert!(mutex.try_lock().is_err());
    drop(second);
    assert_eq!(*mutex.lock().unwrap(), [0, 42, 0, 0]);

    let all = MutexGuard::filter_map(mutex.lock().unwrap(), |all| all.get_mut(9)).unwrap_err();
    assert_eq!(all.len(), 4, "the guard comes back");
    let tail = MutexGuard::filter_map(all, |all| all.get_mut(1..)).unwrap();
    let tail = MappedMutexGuard::filter_map(tail, |tail| tail.get_mut(9)).unwrap_err();
    let first = MappedMutexGuard::filter_map(tail, |tail| tail.first_mut()).unwrap();
    assert_eq!((*first, format!("{first:?} {first}")), (42, "42 42".into()));
    drop(first);
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn it_looks_like_the_one_of_std() {
    fn alike<T: Debug, U: Debug>(ours: T, theirs: U) {
        assert_eq!(format!("{ours:?} {ours:#?}"), format!("{theirs:?} {theirs:#?}"));
    }
    quiet_panics();
    let (ours, theirs) = (Mutex::<u32>::default(), std::sync::Mutex::<u32>::default());
    alike(&ours, &theirs);
    {
        let guards = (ours.lock().unwrap(), theirs.lock().unwrap());
        alike(&ours, &theirs);
        alike(&guards.0, &guards.1);
        assert_eq!(guards.0.to_string(), guards.1.to_string());
        alike(ours.try_lock(), theirs.try_lock());
    }
    let poison = catch_unwind(|| {
        let _guards = (ours.lock(), theirs.lock());
        panic!("{ON_PURPOSE}");
    });
    assert!(poison.is_err());
    alike(&ours, &theirs);
    alike(ours.lock(), theirs.lock());
    alike(Mutex::from("x"), std::sync::Mutex::from("x"));
}

#[test]
fn sizes_and_markers_are_as_promised() {
    fn shared<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    fn guard<T: Sync + UnwindSafe>() {}
    shared::<Mutex<std::cell::Cell<u8>>>();
    guard::<MutexGuard<'_, u8>>();
    assert!(size_of::<Mutex<()>>() <= 8);
    assert_eq!(size_of::<Mutex<u64>>(), size_of::<std::sync::Mutex<u64>>());
    assert_eq!(size_of::<MutexGuard<'_, u64>>(), size_of::<std::sync::MutexGuard<'_, u64>>());
}

#[test]
fn a_wait_with_a_time_limit_ends_in_time_or_with_the_lock() {
    each_run(|| {
        let mutex = Arc::new(Mutex::new(1));
        let guard = mutex.lock().unwrap();
        let (start, ms) = (Instant::now(), Duration::from_millis(2));
        assert!(matches!(mutex.lock_timeout(ms), Err(LockTimeoutError::Timeout)));
        assert!(start.elapsed() >= ms);
        assert!(matches!(mutex.lock_until(start), Err(LockTimeoutError::Timeout)));
        let theirs = Arc::clone(&mutex);
        let patient = thread::spawn(move || *theirs.lock_timeout(Duration::MAX).unwrap());
        until_waiting(patient.thread(), WaitReason::Lock);
        drop(guard);
        assert_eq!(patient.join().unwrap(), 1);
        assert!(mutex.lock_until(start).is_ok(), "a free one is taken, however late");
        assert!(mutex.lock_timeout(Duration::ZERO).is_ok());
    });
}

#[test]
fn a_time_limit_that_races_with_an_unlock_loses_no_lock() {
    each_run(|| {
        let mutex = Arc::new(Mutex::new(0));
        let mut taken = 0;
        for i in 0..stress(200) {
            let guard = mutex.lock().unwrap();
            let threads: Vec<_> = (0..3)
                .map(|n| {
                    let mutex = Arc::clone(&mutex);
                    let limit = Duration::from_micros((i * 7 % 60 + n * 5) as u64);
                    spawn_either(usize::from(n == 2 && i % 10 == 0), move || {
                        match mutex.lock_timeout(limit) {
                            Ok(mut guard) => {
                                *guard += 1;
                                1
                            }
                            Err(_) => 0,
                        }
                    })
                })
                .collect();
            for _ in 0..i % 5 {
                thread::yield_now();
            }
            drop(guard);
            taken += threads.into_iter().map(crate::common::Either::join).sum::<usize>();
        }
        assert_eq!(*mutex.try_lock().unwrap(), taken);
    });
}

#[test]
fn waiters_get_it_in_the_order_in_which_they_came() {
    each_mode(1, |config| {
        config.build().run(|| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let guard = order.lock().unwrap();
            let threads: Vec<_> = (0..20)
                .map(|i| {
                    let theirs = Arc::clone(&order);
                    let thread = thread::spawn(move || theirs.lock().unwrap().push(i));
                    until_waiting(thread.thread(), WaitReason::Lock);
                    thread
                })
                .collect();
            drop(guard);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(order.lock().unwrap().iter().copied().eq(0..20));
        });
    });
}

#[test]
fn a_waiter_gets_it_although_another_holds_it_all_the_time_but_for_moments() {
    each_mode(2, |config| {
        config.build().run(|| {
            let shared = Arc::new((Mutex::new(0u64), AtomicBool::new(false)));
            placement::spread_next_spawn();
            let greedy: Vec<_> = (0..2)
                .map(|n| {
                    let shared = Arc::clone(&shared);
                    spawn_either(n, move || {
                        while !shared.1.load(Relaxed) {
                            let mut guard = shared.0.lock().unwrap();
                            for _ in 0..10_000 {
                                *std::hint::black_box(&mut *guard) += 1;
                            }
                        }
                    })
                })
                .collect();
            wait_until(|| shared.0.try_lock().is_err());
            for _ in 0..stress(10) {
                drop(shared.0.lock().unwrap());
            }
            shared.1.store(true, Relaxed);
            greedy.into_iter().for_each(crate::common::Either::join);
        });
    });
}

/// The holder never waits, so nobody is served by chance: whenever the waiter runs, it finds the lock taken again.
#[test]
fn who_was_overtaken_for_a_millisecond_is_handed_it_by_the_next_unlock() {
    each_mode(1, |config| {
        config.build().run(|| {
            let shared = Arc::new((Mutex::new(()), AtomicBool::new(false)));
            let guard = shared.0.lock().unwrap();
            let theirs = Arc::clone(&shared);
            let waiter = thread::spawn(move || {
                let _guard = theirs.0.lock().unwrap();
                theirs.1.store(true, SeqCst);
            });
            until_waiting(waiter.thread(), WaitReason::Lock);
            let since = Instant::now();
            drop(guard);
            let (mut rounds, mut late) = (0, 0);
            while !shared.1.load(SeqCst) {
                let _guard = shared.0.lock().unwrap();
                rounds += 1;
                late += usize::from(since.elapsed() >= Duration::from_millis(1));
                // The one that it takes to find out, the one that hands over, and the one after the waiter's.
                assert!(late <= 3, "it is overtaken for ever");
                settle();
            }
            assert!(rounds > 1, "nobody has overtaken it");
            waiter.join().unwrap();
        });
    });
}

#[test]
fn ten_thousand_wait_and_each_gets_it() {
    each_run(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let threads: Vec<_> = (0..10_000)
            .map(|_| {
                let mutex = Arc::clone(&mutex);
                thread::spawn(move || *mutex.lock().unwrap() += 1)
            })
            .collect();
        until_waiting(threads[9_999].thread(), WaitReason::Lock);
        drop(guard);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*mutex.lock().unwrap(), 10_000);
    });
}

#[test]
fn those_that_are_cancelled_while_they_wait_leave_it_usable() {
    each_config(|config| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let drops = Drops::new();
        let runtime = config.build();
        let waiters: Vec<_> = (0..20)
            .map(|i| {
                let (mutex, token) = (Arc::clone(&mutex), drops.token());
                runtime.handle().spawn(move || {
                    let _token = token;
                    let limit = Duration::from_secs(10_000);
                    if i % 2 == 0 {
                        drop(mutex.lock())
                    } else {
                        drop(mutex.lock_timeout(limit))
                    }
                    unreachable!("nobody unlocks it");
                })
            })
            .collect();
        waiters.iter().for_each(|waiter| until_waiting(waiter.thread(), WaitReason::Lock));
        let theirs = Arc::clone(&mutex);
        let patient = std::thread::spawn(move || *theirs.lock().unwrap() += 1);
        // Although the one that ends it holds what they wait for.
        drop(runtime);
        assert_eq!(drops.count(), 20);
        for waiter in waiters {
            assert!(waiter.join().unwrap_err().is::<Cancelled>());
        }
        drop(guard);
        patient.join().unwrap();
        assert_eq!(*mutex.lock().unwrap(), 1);
    });
}

#[test]
fn one_that_is_woken_as_its_runtime_ends_leaves_it_to_the_others() {
    each_config(|config| {
        for _ in 0..stress(20) {
            let mutex = Arc::new(Mutex::new(()));
            let guard = mutex.lock().unwrap();
            let runtime = config.build();
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    let mutex = Arc::clone(&mutex);
                    runtime.handle().spawn(move || drop(mutex.lock()))
                })
                .collect();
            until_waiting(waiters[0].thread(), WaitReason::Lock);
            let theirs = Arc::clone(&mutex);
            let patient = std::thread::spawn(move || drop(theirs.lock()));
            let ender = std::thread::spawn(|| drop(runtime));
            drop(guard);
            ender.join().unwrap();
            patient.join().unwrap();
            assert!(mutex.try_lock().is_ok());
        }
    });
}

#[test]
fn a_green_thread_that_unwinds_with_its_runtime_can_wait_for_it() {
    each_config(|config| {
        struct LockWhenDropped(Arc<Mutex<u32>>);
        impl Drop for LockWhenDropped {
            fn drop(&mut self) {
                *self.0.lock().unwrap() += 1;
            }
        }
        let mutex = Arc::new(Mutex::new(0));
        let runtime = config.build();
        let parked: Vec<_> = (0..4)
            .map(|_| {
                let locks = LockWhenDropped(Arc::clone(&mutex));
                runtime.handle().spawn(move || {
                    let _locks = locks;
                    thread::park();
                })
            })
            .collect();
        parked.iter().for_each(|thread| until_waiting(thread.thread(), WaitReason::Park));
        let guard = mutex.lock().unwrap();
        let ender = std::thread::spawn(|| drop(runtime));
        until_waiting(parked[0].thread(), WaitReason::Lock);
        drop(guard);
        ender.join().unwrap();
        assert_eq!(*mutex.lock().unwrap(), 4);
    });
}

#[test]
fn an_os_thread_that_is_ending_can_wait_for_it() {
    struct LockWhenDropped(Arc<Mutex<u32>>, Arc<AtomicBool>);
    impl Drop for LockWhenDropped {
        fn drop(&mut self) {
            self.1.store(true, SeqCst);
            *self.0.lock().unwrap() += 1;
        }
    }
    std::thread_local! {
        static EARLY: std::cell::RefCell<Option<LockWhenDropped>> = const { std::cell::RefCell::new(None) };
    }
    let _watchdog = crate::common::Watchdog::new();
    let (mutex, ending) = (Arc::new(Mutex::new(0)), Arc::new(AtomicBool::new(false)));
    for n in 1..=stress(50) {
        let guard = mutex.lock().unwrap();
        let locks = LockWhenDropped(Arc::clone(&mutex), Arc::clone(&ending));
        let thread = std::thread::spawn(move || {
            // Made first, it is destroyed last: after what waits on OS threads keep.
            EARLY.set(Some(locks));
            let other = Mutex::new(());
            let guard = other.lock();
            assert!(other.lock_timeout(Duration::from_micros(1)).is_err());
            drop(guard);
        });
        wait_until(|| ending.swap(false, SeqCst));
        settle();
        drop(guard);
        thread.join().unwrap();
        assert_eq!(*mutex.lock().unwrap() as usize, n);
    }
}

#[test]
fn a_wait_in_no_suspend_panics_and_leaves_it_usable() {
    each_run(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let theirs = Arc::clone(&mutex);
        let failed = thread::spawn(move || thread::no_suspend(|| drop(theirs.lock())));
        assert!(failed.join().is_err());
        let theirs = Arc::clone(&mutex);
        let waiter = thread::spawn(move || *theirs.lock().unwrap() += 1);
        until_waiting(waiter.thread(), WaitReason::Lock);
        drop(guard);
        waiter.join().unwrap();
        let free = thread::no_suspend(|| mutex.lock().is_ok());
        assert!(free, "a free one is taken without a suspension");
    });
}

#[test]
fn a_forgotten_guard_keeps_it_locked() {
    let mutex = Mutex::new(1);
    std::mem::forget(mutex.lock());
    assert!(mutex.try_lock().is_err());
    let caught = catch_unwind(AssertUnwindSafe(|| mutex.lock_timeout(Duration::from_millis(1)).is_err()));
    assert!(caught.unwrap());
    assert_eq!(mutex.into_inner().unwrap(), 1);
}
