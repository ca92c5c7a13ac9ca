//! Poisoning: a lock tells that a thread panicked, or was cancelled, while it held it; and only then.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{ON_PURPOSE, each_config, each_mode, each_run, quiet_panics, until_waiting, wait_until};
use sward_runtime::{cancel::Cancelled, park::WaitReason, thread};
use sward_sync::{
    LockTimeoutError, MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex, MutexGuard,
    PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};

/// Runs `f`, which panics.
fn panics(f: impl FnOnce()) {
    quiet_panics();
    assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
}

fn poisoned_mutex<T>(value: T) -> Mutex<T> {
    let mutex = Mutex::new(value);
    panics(|| {
        let _guard = mutex.lock();
        panic!("{ON_PURPOSE}");
    });
    assert!(mutex.is_poisoned());
    mutex
}

fn poisoned_rwlock<T>(value: T) -> RwLock<T> {
    let lock = RwLock::new(value);
    panics(|| {
        let _guard = lock.write();
        panic!("{ON_PURPOSE}");
    });
    assert!(lock.is_poisoned());
    lock
}

#[test]
fn every_way_to_the_value_of_a_poisoned_mutex_warns() {
    let mut mutex = poisoned_mutex(String::from("old"));
    assert_eq!(*mutex.lock().unwrap_err().into_inner(), "old");
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(guard)) if **guard.get_ref() == "old"));
    assert!(
        matches!(mutex.lock_timeout(Duration::ZERO), Err(LockTimeoutError::Poisoned(guard)) if **guard.get_ref() == "old")
    );
    let late = mutex.lock_until(Instant::now()).unwrap_err();
    assert_eq!(format!("{late:?}, {late}"), "Poisoned(..), poisoned lock: another task failed inside");
    drop(late);
    mutex.get_cloned().unwrap_err().into_inner();
    assert_eq!(mutex.set("new".into()).unwrap_err().into_inner(), "new");
    assert_eq!(mutex.replace("new".into()).unwrap_err().into_inner(), "new");
    assert_eq!(mutex.get_mut().unwrap_err().into_inner(), "old");
    assert_eq!(mutex.into_inner().unwrap_err().into_inner(), "old");
}

#[test]
fn every_way_to_the_value_of_a_poisoned_rwlock_warns() {
    let mut lock = poisoned_rwlock(String::from("old"));
    assert_eq!(*lock.read().unwrap_err().into_inner(), "old");
    assert_eq!(*lock.write().unwrap_err().into_inner(), "old");
    assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(guard)) if **guard.get_ref() == "old"));
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(guard)) if **guard.get_ref() == "old"));
    assert!(
        matches!(lock.read_timeout(Duration::ZERO), Err(LockTimeoutError::Poisoned(guard)) if **guard.get_ref() == "old")
    );
    assert!(
        matches!(lock.write_until(Instant::now()), Err(LockTimeoutError::Poisoned(guard)) if **guard.get_ref() == "old")
    );
    lock.get_cloned().unwrap_err().into_inner();
    assert_eq!(lock.set("new".into()).unwrap_err().into_inner(), "new");
    assert_eq!(lock.replace("new".into()).unwrap_err().into_inner(), "new");
    assert_eq!(lock.get_mut().unwrap_err().into_inner(), "old");
    assert_eq!(lock.into_inner().unwrap_err().into_inner(), "old");
}

#[test]
fn what_is_cleared_is_as_new_and_may_be_poisoned_again() {
    let (mutex, lock) = (poisoned_mutex(1), poisoned_rwlock(1));
    mutex.clear_poison();
    lock.clear_poison();
    assert!(!mutex.is_poisoned() && !lock.is_poisoned());
    assert!(mutex.lock().is_ok() && lock.read().is_ok() && lock.write().is_ok());
    panics(|| {
        let _guards = (mutex.lock(), lock.write());
        panic!("{ON_PURPOSE}");
    });
    assert!(mutex.is_poisoned() && lock.is_poisoned());
}

#[test]
fn a_green_thread_poisons_what_it_holds_as_it_panics_but_for_what_it_reads() {
    each_run(|| {
        let shared = Arc::new((
            Mutex::new(1),
            RwLock::new(1),
            RwLock::new(1),
            Mutex::new([1, 2]),
            RwLock::new([1, 2]),
        ));
        let theirs = Arc::clone(&shared);
        let failed = thread::spawn(move || {
            let (mutex, written, read, part, written_part) = &*theirs;
            let _guards = (mutex.lock().unwrap(), written.write().unwrap(), read.read().unwrap());
            let _parts = (
                MutexGuard::map(part.lock().unwrap(), |pair| &mut pair[0]),
                RwLockWriteGuard::map(written_part.write().unwrap(), |pair| &mut pair[0]),
                RwLockReadGuard::map(read.read().unwrap(), |n| n),
            );
            thread::yield_now();
            panic!("{ON_PURPOSE}");
        });
        assert!(failed.join().is_err());
        let (mutex, written, read, part, written_part) = &*shared;
        assert!(mutex.lock().is_err() && written.read().is_err() && part.lock().is_err());
        assert!(written_part.write().is_err());
        assert!(read.write().is_ok());
    });
}

#[test]
fn a_panic_while_a_guard_is_mapped_unlocks_and_poisons() {
    let mutex = Mutex::new(());
    panics(|| drop(MutexGuard::map::<(), _>(mutex.lock().unwrap(), |()| panic!("{ON_PURPOSE}"))));
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
    mutex.clear_poison();
    panics(|| drop(MutexGuard::filter_map::<(), _>(mutex.lock().unwrap(), |()| panic!("{ON_PURPOSE}"))));
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
    mutex.clear_poison();
    let mapped = || MutexGuard::map(mutex.lock().unwrap(), |unit| unit);
    panics(|| drop(MappedMutexGuard::map::<(), _>(mapped(), |()| panic!("{ON_PURPOSE}"))));
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
    mutex.clear_poison();
    panics(|| drop(MappedMutexGuard::filter_map::<(), _>(mapped(), |()| panic!("{ON_PURPOSE}"))));
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));

    let lock = RwLock::new(());
    panics(|| drop(RwLockWriteGuard::map::<(), _>(lock.write().unwrap(), |()| panic!("{ON_PURPOSE}"))));
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
    lock.clear_poison();
    panics(|| {
        drop(RwLockWriteGuard::filter_map::<(), _>(lock.write().unwrap(), |()| panic!("{ON_PURPOSE}")))
    });
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
    lock.clear_poison();
    let mapped = || RwLockWriteGuard::map(lock.write().unwrap(), |unit| unit);
    panics(|| drop(MappedRwLockWriteGuard::map::<(), _>(mapped(), |()| panic!("{ON_PURPOSE}"))));
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
    lock.clear_poison();
    panics(|| drop(MappedRwLockWriteGuard::filter_map::<(), _>(mapped(), |()| panic!("{ON_PURPOSE}"))));
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
}

#[test]
fn a_panic_while_a_read_guard_is_mapped_unlocks_and_poisons_nothing() {
    let lock = RwLock::new(());
    panics(|| drop(RwLockReadGuard::map::<(), _>(lock.read().unwrap(), |()| panic!("{ON_PURPOSE}"))));
    assert!(lock.try_write().is_ok());
    panics(|| drop(RwLockReadGuard::filter_map::<(), _>(lock.read().unwrap(), |()| panic!("{ON_PURPOSE}"))));
    assert!(lock.try_write().is_ok());
    let mapped = || RwLockReadGuard::map(lock.read().unwrap(), |unit| unit);
    panics(|| drop(MappedRwLockReadGuard::map::<(), _>(mapped(), |()| panic!("{ON_PURPOSE}"))));
    assert!(lock.try_write().is_ok());
    panics(|| drop(MappedRwLockReadGuard::filter_map::<(), _>(mapped(), |()| panic!("{ON_PURPOSE}"))));
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_holder_whose_runtime_ends_poisons_and_unlocks() {
    each_config(|config| {
        let shared = Arc::new((Mutex::new(1), RwLock::new(1), RwLock::new(1)));
        let runtime = config.build();
        let theirs = Arc::clone(&shared);
        let holder = runtime.handle().spawn(move || {
            let _guards = (theirs.0.lock().unwrap(), theirs.1.write().unwrap(), theirs.2.read().unwrap());
            thread::park();
        });
        until_waiting(holder.thread(), WaitReason::Park);
        drop(runtime);
        assert!(holder.join().unwrap_err().is::<Cancelled>());
        assert!(matches!(shared.0.try_lock(), Err(TryLockError::Poisoned(_))));
        assert!(matches!(shared.1.try_write(), Err(TryLockError::Poisoned(_))));
        assert!(shared.2.try_write().is_ok());
    });
}

/// The panic count is the worker's: the one that holds the lock must not be taken for the one that panics.
#[test]
fn one_that_suspends_while_it_unwinds_poisons_nobody_elses_lock() {
    struct ParkWhenDropped(Arc<AtomicBool>);
    impl Drop for ParkWhenDropped {
        fn drop(&mut self) {
            while !self.0.load(SeqCst) {
                thread::park();
            }
        }
    }
    each_mode(1, |config| {
        config.build().run(|| {
            let shared = Arc::new((Mutex::new(1), RwLock::new(1)));
            let theirs = Arc::clone(&shared);
            let holder = thread::spawn(move || {
                let guards = (theirs.0.lock().unwrap(), theirs.1.write().unwrap());
                thread::park();
                drop(guards);
                // And one that is locked meanwhile.
                drop((theirs.0.lock().unwrap(), theirs.1.write().unwrap()));
            });
            until_waiting(holder.thread(), WaitReason::Park);
            let go_on = Arc::new(AtomicBool::new(false));
            let parks = ParkWhenDropped(Arc::clone(&go_on));
            let panicking = thread::spawn(move || {
                let _parks = parks;
                panic!("{ON_PURPOSE}");
            });
            until_waiting(panicking.thread(), WaitReason::Park);
            holder.thread().unpark();
            holder.join().unwrap();
            assert!(!shared.0.is_poisoned() && !shared.1.is_poisoned());
            go_on.store(true, SeqCst);
            panicking.thread().unpark();
            assert!(panicking.join().is_err());
        });
    });
}

#[test]
fn one_that_suspends_while_it_unwinds_poisons_its_own() {
    struct YieldWhenDropped;
    impl Drop for YieldWhenDropped {
        fn drop(&mut self) {
            for _ in 0..10 {
                thread::yield_now();
            }
        }
    }
    each_run(|| {
        let mutex = Arc::new(Mutex::new(1));
        let theirs = Arc::clone(&mutex);
        let failed = thread::spawn(move || {
            let _guard = theirs.lock().unwrap();
            let _yields = YieldWhenDropped;
            panic!("{ON_PURPOSE}");
        });
        wait_until(|| failed.is_finished());
        assert!(failed.join().is_err());
        assert_eq!(*mutex.lock().unwrap_or_else(PoisonError::into_inner), 1);
        assert!(mutex.is_poisoned());
    });
}

/// A guard that is made in one panic context and dropped in another.
#[test]
fn a_guard_from_before_the_panic_poisons_and_one_from_within_does_not() {
    struct Unlock<'a>(
        Cell<Option<MutexGuard<'a, i32>>>,
        &'a Mutex<i32>,
        RefCell<Option<MutexGuard<'a, i32>>>,
    );
    impl Drop for Unlock<'_> {
        fn drop(&mut self) {
            drop(self.0.take());
            *self.2.borrow_mut() = Some(self.1.lock().unwrap());
        }
    }
    let (before, within) = (Mutex::new(1), Mutex::new(1));
    panics(|| {
        let _unlock = Unlock(Cell::new(before.lock().ok()), &within, RefCell::default());
        panic!("{ON_PURPOSE}");
    });
    assert!(before.is_poisoned() && !within.is_poisoned());
    assert!(within.try_lock().is_ok());
}

#[test]
fn the_errors_say_what_happened() {
    let mutex = Mutex::new(1);
    let guard = mutex.lock().unwrap();
    let late = mutex.lock_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(format!("{late:?}, {late}"), "Timeout, timed out waiting for the lock");
    drop(guard);
    let poisoned: LockTimeoutError<i32> = PoisonError::new(1).into();
    assert!(matches!(poisoned, LockTimeoutError::Poisoned(inner) if *inner.get_ref() == 1));
}
