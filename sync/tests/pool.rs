//! `Pool`: never more objects than it may have, none lost; in every kind of runtime, and with OS threads.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    DropToken, Drops, Either, ON_PURPOSE, each_config, each_mode, each_run, quiet_panics, settle,
    spawn_either, stress, wait_until,
};
use sward_runtime::thread;
use sward_sync::{
    Pool, PoolGuard,
    pool::{GetTimeoutError, TryGetError},
};

/// A pool whose objects are numbered.
fn numbered(max: usize) -> Pool<usize, Infallible> {
    let made = AtomicUsize::new(0);
    Pool::new(max, move || Ok(made.fetch_add(1, SeqCst)))
}

#[test]
fn objects_are_made_when_needed_and_used_again() {
    let pool = numbered(3);
    assert_eq!((pool.max(), pool.idle(), pool.in_use()), (3, 0, 0));
    let (a, b) = (pool.get().unwrap(), pool.get().unwrap());
    assert_eq!((*a, *b, pool.in_use(), pool.idle()), (0, 1, 2, 0));
    drop(a);
    assert_eq!((pool.in_use(), pool.idle()), (1, 1));
    drop(b);
    assert_eq!(*pool.get().unwrap(), 1, "the one that was returned last");
    assert_eq!(pool.idle(), 2);
    pool.clear();
    assert_eq!(pool.idle(), 0);
    assert_eq!(*pool.clone().get().unwrap(), 2);
}

#[test]
fn all_can_be_in_use() {
    let pool = numbered(2);
    let guards = [pool.try_get().unwrap(), pool.get().unwrap()];
    assert_eq!(pool.try_get().unwrap_err(), TryGetError::InUse);
    assert_eq!(pool.get_timeout(Duration::from_millis(1)).unwrap_err(), GetTimeoutError::Timeout);
    assert_eq!(pool.get_until(Instant::now()).unwrap_err(), GetTimeoutError::Timeout);
    drop(guards);
    assert!(pool.get_until(Instant::now()).is_ok());
}

#[test]
fn an_object_is_taken_out_or_discarded_and_replaced() {
    let pool = numbered(1);
    assert_eq!(PoolGuard::take(pool.get().unwrap()), 0);
    assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    PoolGuard::discard(pool.get().unwrap());
    assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    assert_eq!(*pool.get().unwrap(), 2);
}

#[test]
fn an_object_whose_user_panicked_is_not_used_again() {
    each_run(|| {
        quiet_panics();
        let (pool, theirs) = (numbered(1), numbered(1));
        let user = theirs.clone();
        let panicked = thread::spawn(move || {
            let _guard = user.get().unwrap();
            panic!("{ON_PURPOSE}")
        });
        assert!(panicked.join().is_err());
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _guard = pool.get().unwrap();
            panic!("{ON_PURPOSE}")
        }));
        assert!(caught.is_err());
        for pool in [pool, theirs] {
            assert_eq!((pool.in_use(), pool.idle()), (0, 0));
            assert_eq!(*pool.get().unwrap(), 1);
        }
    });
}

#[test]
fn an_object_that_fails_the_check_is_replaced() {
    let pool = Pool::builder(4).check(|n| *n % 2 == 0).build({
        let made = AtomicUsize::new(0);
        move || Ok::<_, Infallible>(made.fetch_add(1, SeqCst))
    });
    let guards: Vec<_> = (0..4).map(|_| pool.get().unwrap()).collect();
    drop(guards);
    assert_eq!(pool.idle(), 4);
    let even = [pool.get().unwrap(), pool.get().unwrap()];
    assert_eq!((*even[0], *even[1]), (2, 0));
    drop(even);
    assert_eq!(pool.idle(), 2, "the odd ones were dropped");
}

#[test]
fn the_check_may_change_the_object() {
    let pool = Pool::builder(1)
        .check(|text: &mut String| {
            text.clear();
            true
        })
        .build(|| Ok::<_, Infallible>(String::new()));
    pool.get().unwrap().push_str("what the last one left");
    assert_eq!(*pool.get().unwrap(), "");
}

#[test]
fn idle_and_old_objects_are_dropped() {
    let build = |builder: sward_sync::pool::Builder<DropToken>, drops: &Drops| {
        let drops = drops.clone();
        builder.build(move || Ok::<_, Infallible>(drops.token()))
    };
    let drops = Drops::new();
    let pool = build(Pool::builder(3).max_idle(1), &drops);
    let guards: Vec<_> = (0..3).map(|_| pool.get().unwrap()).collect();
    drop(guards);
    assert_eq!((pool.idle(), drops.count()), (1, 2));
    let pool = build(Pool::builder(3).idle_timeout(Duration::ZERO), &drops);
    drop(pool.get());
    assert_eq!((pool.idle(), drops.count()), (1, 2));
    drop(pool.get()); // finds the first one too old
    assert_eq!((pool.idle(), drops.count()), (1, 3));
    let guards = [pool.get().unwrap(), pool.get().unwrap()];
    drop(guards); // the second one that comes back finds the first one too old
    assert_eq!((pool.idle(), drops.count()), (1, 5));
    let pool = build(Pool::builder(3).max_age(Duration::ZERO), &drops);
    drop(pool.get());
    assert_eq!((pool.idle(), drops.count()), (0, 6));
    let pool = build(Pool::builder(3).max_age(Duration::MAX).idle_timeout(Duration::MAX), &drops);
    drop(pool.get());
    assert_eq!((pool.idle(), drops.count()), (1, 6));
}

#[test]
fn an_object_that_cannot_be_made_leaves_its_place_to_the_next() {
    each_run(|| {
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let pool = Pool::new(1, move || {
            let n = counted.fetch_add(1, SeqCst);
            thread::yield_now();
            if n < 5 { Err(n) } else { Ok(n) }
        });
        let threads: Vec<_> = (0..10)
            .map(|i| {
                let pool = pool.clone();
                spawn_either(i, move || pool.get().map(|guard| *guard))
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(Either::join).collect();
        assert_eq!(results.iter().filter(|result| **result == Ok(5)).count(), 5);
        assert_eq!((tries.load(SeqCst), pool.in_use(), pool.idle()), (6, 0, 1));
        assert_eq!(Pool::new(1, || Err::<(), _>(7)).try_get().unwrap_err(), TryGetError::Create(7));
        let error = Pool::new(1, || Err::<(), _>(7)).get_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(error, GetTimeoutError::Create(7));
    });
}

#[test]
fn a_function_that_panics_leaves_its_place_to_the_next() {
    quiet_panics();
    let pool = Pool::builder(1).check(|_| panic!("{ON_PURPOSE}")).build(|| Ok::<_, Infallible>(1));
    drop(pool.get());
    assert!(catch_unwind(AssertUnwindSafe(|| pool.get().map(drop))).is_err());
    assert_eq!((pool.in_use(), pool.idle()), (0, 0));
    assert_eq!(*pool.get().unwrap(), 1);
}

/// An object of a kind of which there may be three only.
struct Limited(Arc<AtomicUsize>);

impl Drop for Limited {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn there_are_never_more_objects_than_there_may_be() {
    const MAX: usize = 3;
    each_run(|| {
        let alive = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&alive);
        let pool = Pool::builder(MAX).max_idle(2).build(move || {
            assert!(counted.fetch_add(1, SeqCst) < MAX);
            thread::yield_now();
            Ok::<_, Infallible>(Limited(Arc::clone(&counted)))
        });
        let threads: Vec<_> = (0..12)
            .map(|i| {
                let pool = pool.clone();
                spawn_either(i / 3, move || {
                    for round in 0..stress(100) {
                        let guard = match round % 3 {
                            0 => pool.try_get().ok(),
                            1 => pool.get_timeout(Duration::from_micros(50)).ok(),
                            _ => pool.get().ok(),
                        };
                        if round % 2 == 0 {
                            thread::yield_now();
                        }
                        if let Some(guard) = guard
                            && (i + round) % 5 == 0
                        {
                            PoolGuard::discard(guard);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(Either::join);
        assert_eq!(pool.in_use(), 0);
        assert_eq!(alive.load(SeqCst), pool.idle());
        drop(pool);
        assert_eq!(alive.load(SeqCst), 0);
    });
}

#[test]
fn those_who_wait_are_served_in_order() {
    each_mode(1, |config| {
        config.build().run(|| {
            let (pool, order) = (numbered(1), Arc::new(Mutex::new(Vec::new())));
            let guard = pool.get().unwrap();
            let handles: Vec<_> = (0..5)
                .map(|i| {
                    let (pool, order) = (pool.clone(), Arc::clone(&order));
                    let handle = thread::spawn(move || {
                        let _guard = pool.get().unwrap();
                        order.lock().unwrap().push(i);
                    });
                    settle();
                    handle
                })
                .collect();
            drop(guard);
            assert!(pool.try_get().is_err(), "others are first");
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        });
    });
}

#[test]
fn nothing_is_lost_with_those_who_are_cancelled() {
    each_config(|config| {
        let runtime = config.build();
        let (drops, made) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
        let (tokens, counted, started) = (drops.clone(), Arc::clone(&made), Arc::new(AtomicBool::new(false)));
        let pool = Pool::new(2, move || {
            counted.fetch_add(1, SeqCst);
            Ok::<_, Infallible>(tokens.token())
        });
        let they_have = Arc::clone(&started);
        // One holds an object, another one will, and the others wait.
        let holder = pool.clone();
        let mut handles = vec![runtime.handle().spawn(move || {
            let _guard = holder.get();
            they_have.store(true, SeqCst);
            thread::park();
        })];
        wait_until(|| started.load(SeqCst));
        handles.extend((0..10).map(|_| {
            let pool = pool.clone();
            runtime.handle().spawn(move || {
                let _guard = pool.get();
                thread::park();
            })
        }));
        let theirs = pool.clone();
        let outside = std::thread::spawn(move || theirs.get().map(drop));
        drop(runtime);
        assert!(handles.into_iter().all(|handle| handle.join().is_err()));
        assert_eq!(outside.join().unwrap(), Ok(()));
        assert_eq!(pool.in_use(), 0);
        assert_eq!(made.load(SeqCst), drops.count() + pool.idle());
        assert!(drops.count() > 0, "the holder's was not used again");
        let guards = [pool.try_get(), pool.try_get()];
        assert!(guards.iter().all(Result::is_ok));
    });
}

#[test]
fn what_they_look_like() {
    let pool = numbered(2);
    let guard = pool.get().unwrap();
    assert_eq!(format!("{pool:?} {guard:?}"), "Pool { max: 2, in_use: 1, idle: 0, .. } 0");
    assert_eq!(TryGetError::<u32>::InUse.to_string(), "all objects of the pool are in use");
}
