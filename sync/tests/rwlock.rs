//! `RwLock`: many read or one writes, neither kind starves, and whoever gives up lets the others go on.

use std::{
    fmt::Debug,
    panic::{RefUnwindSafe, UnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicIsize, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use crate::common::{
    Drops, ON_PURPOSE, each_config, each_mode, each_run, quiet_panics, spawn_either, stress, until_waiting,
    wait_until,
};
use sward_runtime::{cancel::Cancelled, park::WaitReason, placement, thread};
use sward_sync::{
    LockTimeoutError, MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard,
    RwLockWriteGuard, TryLockError,
};

/// Counts those inside, a writer as minus one, and checks who may be there together.
#[derive(Default)]
struct Inside(AtomicIsize);

impl Inside {
    fn read(&self, f: impl FnOnce()) {
        assert!(self.0.fetch_add(1, SeqCst) >= 0, "a reader beside a writer");
        f();
        assert!(self.0.fetch_sub(1, SeqCst) > 0);
    }

    fn write(&self, f: impl FnOnce()) {
        assert_eq!(self.0.swap(-1, SeqCst), 0, "a writer beside others");
        f();
        assert_eq!(self.0.swap(0, SeqCst), -1);
    }
}

/// A small generator of numbers that look random.
fn random(seed: &mut u32) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    *seed as usize
}

#[test]
fn readers_and_writers_of_both_kinds_keep_each_other_out() {
    each_run(|| {
        let shared = Arc::new((RwLock::new(0usize), Inside::default()));
        let n = stress(1_000);
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let shared = Arc::clone(&shared);
                spawn_either(usize::from(i % 4 == 3), move || {
                    let (lock, inside) = &*shared;
                    let (mut seed, mut writes) = (i + 1, 0);
                    for _ in 0..n {
                        let yields = random(&mut seed).is_multiple_of(10);
                        let pause = || {
                            if yields {
                                thread::yield_now()
                            }
                        };
                        if random(&mut seed).is_multiple_of(5) {
                            let mut guard = lock.write().unwrap();
                            inside.write(pause);
                            *guard += 1;
                            writes += 1;
                        } else {
                            let _guard = lock.read().unwrap();
                            inside.read(pause);
                        }
                    }
                    writes
                })
            })
            .collect();
        let writes: usize = threads.into_iter().map(crate::common::Either::join).sum();
        assert_eq!(*shared.0.try_write().unwrap(), writes);
    });
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    each_run(|| {
        let lock = RwLock::new(1);
        let (one, other) = (lock.read().unwrap(), lock.try_read().unwrap());
        thread::scope(|s| {
            s.spawn(|| assert_eq!(*lock.read().unwrap(), 1));
        });
        assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        drop((one, other));
        let writer = lock.try_write().unwrap();
        assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
        assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        drop(writer);
        assert!(lock.try_read().is_ok());
    });
}

#[test]
fn the_value_comes_out_once_and_old_ones_are_dropped() {
    let drops = Drops::new();
    let mut lock = RwLock::new(drops.token());
    *lock.get_mut().unwrap() = drops.token();
    assert_eq!(drops.count(), 1);
    lock.set(drops.token()).unwrap();
    assert_eq!(drops.count(), 2);
    drop(lock.replace(drops.token()).unwrap());
    assert_eq!(drops.count(), 3);
    drop(lock.into_inner().unwrap());
    assert_eq!(drops.count(), 4);
    assert_eq!(RwLock::new("cloned").get_cloned().unwrap(), "cloned");
    let list: &RwLock<[i32]> = &RwLock::new([1, 2, 3]);
    list.write().unwrap()[1] = 7;
    assert_eq!(&*list.read().unwrap(), &[1, 7, 3]);
}

#[test]
fn it_can_be_locked_while_unwinding() {
    each_run(|| {
        struct Add(Arc<RwLock<i32>>);
        impl Drop for Add {
            fn drop(&mut self) {
                *self.0.write().unwrap() += 1;
            }
        }
        let lock = Arc::new(RwLock::new(1));
        let add = Add(Arc::clone(&lock));
        let failed = thread::spawn(move || {
            let _add = add;
            panic!("{ON_PURPOSE}");
        });
        assert!(failed.join().is_err());
        assert_eq!(*lock.read().unwrap(), 2);
    });
}

#[test]
fn mapped_guards_reach_a_part_and_release_the_whole() {
    let lock = RwLock::new([0; 4]);
    let front = RwLockWriteGuard::map(lock.write().unwrap(), |all| &mut all[..2]);
    let mut second = MappedRwLockWriteGuard::map(front, |front| &mut front[1]);
    *second = 42;
    assert!(lock.try_read().is_err());
    drop(second);
    let all = RwLockWriteGuard::filter_map(lock.write().unwrap(), |all| all.get_mut(9)).unwrap_err();
    let tail = RwLockWriteGuard::filter_map(all, |all| all.get_mut(1..)).unwrap();
    let tail = MappedRwLockWriteGuard::filter_map(tail, |tail| tail.get_mut(9)).unwrap_err();
    let first = MappedRwLockWriteGuard::filter_map(tail, |tail| tail.first_mut()).unwrap();
    assert_eq!((*first, format!("{first:?} {first}")), (42, "42 42".into()));
    drop(first);

    let front = RwLockReadGuard::map(lock.read().unwrap(), |all| &all[..2]);
    let second = MappedRwLockReadGuard::map(front, |front| &front[1]);
    assert_eq!((*second, format!("{second:?} {second}")), (42, "42 42".into()));
    assert!(lock.try_write().is_err() && lock.try_read().is_ok());
    drop(second);
    let all = RwLockReadGuard::filter_map(lock.read().unwrap(), |all| all.get(9)).unwrap_err();
    let tail = RwLockReadGuard::filter_map(all, |all| all.get(1..)).unwrap();
    let tail = MappedRwLockReadGuard::filter_map(tail, |tail| tail.get(9)).unwrap_err();
    assert_eq!(*MappedRwLockReadGuard::filter_map(tail, |tail| tail.first()).unwrap(), 42);
    assert!(lock.try_write().is_ok());
}

/// Compiles only if the guards may stand for ones of a shorter lifetime.
#[test]
fn read_guards_are_covariant() {
    fn shorten<'a>(_: RwLockReadGuard<'_, &'a i32>, _: MappedRwLockReadGuard<'_, &'a i32>, _: &'a i32) {}
    let long = 5;
    let (one, other) = (RwLock::new(&long), RwLock::new((&long, ())));
    {
        let short = 6;
        let mapped = RwLockReadGuard::map(other.read().unwrap(), |pair| &pair.0);
        shorten(one.read().unwrap(), mapped, &short);
    }
    assert!(one.try_write().is_ok() && other.try_write().is_ok());
}

#[test]
fn it_looks_like_the_one_of_std() {
    fn alike<T: Debug, U: Debug>(ours: T, theirs: U) {
        assert_eq!(format!("{ours:?} {ours:#?}"), format!("{theirs:?} {theirs:#?}"));
    }
    quiet_panics();
    let (ours, theirs) = (RwLock::<u32>::default(), std::sync::RwLock::<u32>::default());
    alike(&ours, &theirs);
    {
        let guards = (ours.read().unwrap(), theirs.read().unwrap());
        alike(&ours, &theirs);
        alike(&guards.0, &guards.1);
        assert_eq!(guards.0.to_string(), guards.1.to_string());
    }
    {
        let guards = (ours.write().unwrap(), theirs.write().unwrap());
        alike(&ours, &theirs);
        alike(&guards.0, &guards.1);
        assert_eq!(guards.0.to_string(), guards.1.to_string());
        alike(ours.try_read(), theirs.try_read());
    }
    let poison = catch_unwind(|| {
        let _guards = (ours.write(), theirs.write());
        panic!("{ON_PURPOSE}");
    });
    assert!(poison.is_err());
    alike(&ours, &theirs);
    alike(ours.read(), theirs.read());
    alike(RwLock::from("x"), std::sync::RwLock::from("x"));
}

#[test]
fn sizes_and_markers_are_as_promised() {
    fn shared<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    fn guard<T: Sync + UnwindSafe>() {}
    shared::<RwLock<u8>>();
    guard::<RwLockReadGuard<'_, u8>>();
    guard::<RwLockWriteGuard<'_, u8>>();
    assert!(size_of::<RwLock<()>>() <= 8);
    assert_eq!(size_of::<RwLockReadGuard<'_, u64>>(), size_of::<std::sync::RwLockReadGuard<'_, u64>>());
    assert_eq!(size_of::<RwLockWriteGuard<'_, u64>>(), size_of::<std::sync::RwLockWriteGuard<'_, u64>>());
}

#[test]
fn a_wait_with_a_time_limit_ends_in_time_or_with_the_lock() {
    each_run(|| {
        let lock = Arc::new(RwLock::new(1));
        let (start, ms) = (Instant::now(), Duration::from_millis(2));
        let reader = lock.read().unwrap();
        assert!(matches!(lock.write_timeout(ms), Err(LockTimeoutError::Timeout)));
        assert!(start.elapsed() >= ms);
        assert!(lock.write_until(start).is_err());
        assert_eq!(*lock.read_until(start).unwrap(), 1, "who could have it at once is never late");
        drop(reader);
        let writer = lock.write().unwrap();
        assert!(matches!(lock.read_timeout(ms), Err(LockTimeoutError::Timeout)));
        assert!(lock.read_until(start).is_err() && lock.write_until(start).is_err());
        let theirs = Arc::clone(&lock);
        let patient = thread::spawn(move || *theirs.read_timeout(Duration::MAX).unwrap());
        until_waiting(patient.thread(), WaitReason::Lock);
        drop(writer);
        assert_eq!(patient.join().unwrap(), 1);
        assert!(lock.write_timeout(Duration::ZERO).is_ok());
    });
}

#[test]
fn time_limits_that_race_with_releases_lose_no_lock() {
    each_run(|| {
        let shared = Arc::new((RwLock::new(()), Inside::default()));
        for i in 0..stress(150) {
            let threads: Vec<_> = (0..5)
                .map(|n| {
                    let shared = Arc::clone(&shared);
                    let limit = Duration::from_micros((i * 7 % 60 + n * 5) as u64);
                    spawn_either(usize::from(n == 4 && i % 10 == 0), move || {
                        let (lock, inside) = &*shared;
                        for turn in 0..3 {
                            if (n + turn) % 2 == 0 {
                                if let Ok(_guard) = lock.write_timeout(limit) {
                                    inside.write(thread::yield_now);
                                }
                            } else if let Ok(_guard) = lock.read_timeout(limit) {
                                inside.read(thread::yield_now);
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(crate::common::Either::join);
            assert!(shared.0.try_write().is_ok(), "free, and open to newcomers");
        }
    });
}

#[test]
fn waiters_go_on_in_turn_and_readers_together() {
    each_mode(1, |config| {
        config.build().run(|| {
            let shared = Arc::new((RwLock::new(()), std::sync::Mutex::new(String::new())));
            let guard = shared.0.write().unwrap();
            let spawn = |kind| {
                let theirs = Arc::clone(&shared);
                let thread = thread::spawn(move || {
                    let (lock, log) = &*theirs;
                    let log = |c| log.lock().unwrap().push(c);
                    if kind == 'r' {
                        let _guard = lock.read().unwrap();
                        log('r');
                        thread::yield_now();
                        log('.');
                    } else {
                        let _guard = lock.write().unwrap();
                        log('w');
                        thread::yield_now();
                        log('!');
                    }
                });
                until_waiting(thread.thread(), WaitReason::Lock);
                thread
            };
            let threads: Vec<_> = "rrwrrrwwr".chars().map(spawn).collect();
            drop(guard);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*shared.1.lock().unwrap(), "rr..w!rrr...w!w!r.");
        });
    });
}

#[test]
fn a_writer_gets_it_although_readers_overlap_all_the_time() {
    each_mode(2, |config| {
        config.build().run(|| {
            let shared = Arc::new((RwLock::new(()), AtomicBool::new(false), AtomicUsize::new(0)));
            let readers: Vec<_> = (0..4)
                .map(|n| {
                    let shared = Arc::clone(&shared);
                    spawn_either(usize::from(n == 0), move || {
                        // Takes the next before it lets the last go, so that there is always one; unless a writer is in the way.
                        let mut last = None;
                        while !shared.1.load(Relaxed) {
                            let next = shared.0.read_timeout(Duration::from_micros(50)).ok();
                            shared.2.fetch_add(1, Relaxed);
                            thread::yield_now();
                            last = next;
                        }
                        drop(last);
                    })
                })
                .collect();
            wait_until(|| shared.2.load(Relaxed) > 100);
            for _ in 0..stress(10) {
                drop(shared.0.write().unwrap());
            }
            shared.1.store(true, Relaxed);
            readers.into_iter().for_each(crate::common::Either::join);
        });
    });
}

#[test]
fn a_reader_gets_it_although_writers_come_all_the_time() {
    each_mode(2, |config| {
        config.build().run(|| {
            let shared = Arc::new((RwLock::new(0u64), AtomicBool::new(false)));
            placement::spread_next_spawn();
            let writers: Vec<_> = (0..3)
                .map(|n| {
                    let shared = Arc::clone(&shared);
                    spawn_either(n, move || {
                        while !shared.1.load(Relaxed) {
                            let mut guard = shared.0.write().unwrap();
                            for _ in 0..10_000 {
                                *std::hint::black_box(&mut *guard) += 1;
                            }
                        }
                    })
                })
                .collect();
            wait_until(|| shared.0.try_read().is_err());
            for _ in 0..stress(10) {
                drop(shared.0.read().unwrap());
            }
            shared.1.store(true, Relaxed);
            writers.into_iter().for_each(crate::common::Either::join);
        });
    });
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_in() {
    each_run(|| {
        let lock = Arc::new(RwLock::new(1));
        let reader = lock.read().unwrap();
        let theirs = Arc::clone(&lock);
        let writer = thread::spawn(move || theirs.write_timeout(Duration::from_millis(20)).is_ok());
        wait_until(|| lock.try_read().is_err() || writer.is_finished());
        let theirs = Arc::clone(&lock);
        let behind = thread::spawn(move || *theirs.read().unwrap());
        // Only the writer's end lets it in: the first reader stays.
        assert_eq!(behind.join().unwrap(), 1);
        assert!(!writer.join().unwrap());
        drop(reader);
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn a_downgraded_writer_reads_what_it_wrote() {
    each_run(|| {
        let lock = Arc::new(RwLock::new(0));
        let n = stress(50);
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let lock = Arc::clone(&lock);
                spawn_either(usize::from(i == 7), move || {
                    for _ in 0..n {
                        let mut guard = lock.write().unwrap();
                        *guard += 1;
                        let written = *guard;
                        let guard = RwLockWriteGuard::downgrade(guard);
                        thread::yield_now();
                        assert_eq!(*guard, written);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(crate::common::Either::join);
        assert_eq!(*lock.try_write().unwrap(), 8 * n);
    });
}

#[test]
fn a_downgrade_lets_the_readers_in_front_in_and_no_writer() {
    each_run(|| {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.write().unwrap();
        let read = |lock: &Arc<RwLock<i32>>| {
            let theirs = Arc::clone(lock);
            let thread = thread::spawn(move || *theirs.read().unwrap());
            until_waiting(thread.thread(), WaitReason::Lock);
            thread
        };
        let in_front = [read(&lock), read(&lock)];
        let theirs = Arc::clone(&lock);
        let writer = thread::spawn(move || *theirs.write().unwrap() += 1);
        until_waiting(writer.thread(), WaitReason::Lock);
        let behind = read(&lock);
        let guard = RwLockWriteGuard::downgrade(guard);
        for reader in in_front {
            assert_eq!(reader.join().unwrap(), 0);
        }
        assert!(lock.try_read().is_err(), "closed for the writer's sake");
        assert!(!writer.is_finished() && !behind.is_finished());
        assert_eq!(*guard, 0);
        drop(guard);
        writer.join().unwrap();
        assert_eq!(behind.join().unwrap(), 1);
    });
}

#[test]
fn ten_thousand_wait_and_each_gets_it() {
    each_run(|| {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.write().unwrap();
        let threads: Vec<_> = (0..10_000)
            .map(|i| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || match i % 10 {
                    0 => *lock.write().unwrap() += 1,
                    _ => drop(lock.read().unwrap()),
                })
            })
            .collect();
        until_waiting(threads[9_999].thread(), WaitReason::Lock);
        drop(guard);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.try_write().unwrap(), 1_000);
    });
}

#[test]
fn those_that_are_cancelled_while_they_wait_leave_it_usable() {
    each_config(|config| {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.read().unwrap();
        let drops = Drops::new();
        let runtime = config.build();
        let theirs = Arc::clone(&lock);
        let mut waiters = vec![runtime.handle().spawn(move || drop(theirs.write()))];
        until_waiting(waiters[0].thread(), WaitReason::Lock);
        for i in 0..20 {
            let (lock, token) = (Arc::clone(&lock), drops.token());
            waiters.push(runtime.handle().spawn(move || {
                let _token = token;
                let limit = Duration::from_secs(10_000);
                match i % 4 {
                    0 => drop(lock.write()),
                    1 => drop(lock.write_timeout(limit)),
                    2 => drop(lock.read()),
                    _ => drop(lock.read_timeout(limit)),
                }
                // Readers may be let in as the writers in front of them unwind.
                thread::park();
            }));
        }
        waiters[1..].iter().for_each(|waiter| until_waiting(waiter.thread(), WaitReason::Lock));
        let theirs = Arc::clone(&lock);
        let patient = std::thread::spawn(move || *theirs.write().unwrap() += 1);
        drop(runtime);
        assert_eq!(drops.count(), 20);
        assert!(waiters.into_iter().filter(|waiter| waiter.is_finished()).count() == 21);
        drop(guard);
        patient.join().unwrap();
        assert_eq!(*lock.write().unwrap(), 1);
    });
}

#[test]
fn one_that_is_woken_as_its_runtime_ends_leaves_it_to_the_others() {
    each_config(|config| {
        for turn in 0..stress(20) {
            let lock = Arc::new(RwLock::new(()));
            let guard = lock.write().unwrap();
            let runtime = config.build();
            let waiters: Vec<_> = (0..6)
                .map(|i| {
                    let lock = Arc::clone(&lock);
                    runtime.handle().spawn(move || {
                        if (i + turn) % 3 == 0 { drop(lock.read()) } else { drop(lock.write()) }
                    })
                })
                .collect();
            until_waiting(waiters[0].thread(), WaitReason::Lock);
            let theirs = Arc::clone(&lock);
            let patient = std::thread::spawn(move || drop(theirs.write().unwrap()));
            let ender = std::thread::spawn(|| drop(runtime));
            drop(guard);
            ender.join().unwrap();
            patient.join().unwrap();
            assert!(lock.try_write().is_ok());
            for waiter in waiters {
                assert!(waiter.join().map_or_else(|payload| payload.is::<Cancelled>(), |()| true));
            }
        }
    });
}

#[test]
fn a_wait_in_no_suspend_panics_and_leaves_it_usable() {
    each_run(|| {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.read().unwrap();
        let theirs = Arc::clone(&lock);
        let failed = thread::spawn(move || thread::no_suspend(|| drop(theirs.write())));
        assert!(failed.join().is_err());
        assert!(lock.try_read().is_ok(), "still open to readers");
        drop(guard);
        assert!(thread::no_suspend(|| lock.write().is_ok()));
    });
}
