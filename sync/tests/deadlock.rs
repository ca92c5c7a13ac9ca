//! Deadlocks in builds with debug assertions: whoever would complete one panics and names all who are in it; and nobody else does.
#![cfg(debug_assertions)]

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{
    each_config, each_run, panic_text, quiet_panics, settle, spawn_either, stress, until_waiting, wait_until,
};
use sward_runtime::{cancel::Cancelled, park::WaitReason, thread};
use sward_sync::{Condvar, Mutex, PoisonError, ReentrantLock, RwLock, RwLockWriteGuard};

/// What `f` says as it panics, after the word.
#[track_caller]
fn report(f: impl FnOnce()) -> String {
    quiet_panics();
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("a deadlock that was not noticed");
    report_in(&*payload)
}

#[track_caller]
fn report_in(payload: &(dyn Any + Send)) -> String {
    panic_text(payload).strip_prefix("deadlock: ").expect("another panic").to_owned()
}

/// What the locks in these tests have in common.
trait Lock: Send + Sync + 'static {
    fn hold(&self) -> Box<dyn Guard + '_>;
}

/// A guard, of whatever kind.
trait Guard {}

impl<T> Guard for T {}

impl Lock for Mutex<i32> {
    fn hold(&self) -> Box<dyn Guard + '_> {
        Box::new(self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lock for RwLock<i32> {
    fn hold(&self) -> Box<dyn Guard + '_> {
        Box::new(self.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lock for ReentrantLock<i32> {
    fn hold(&self) -> Box<dyn Guard + '_> {
        Box::new(self.lock())
    }
}

/// Read by the one that holds it, written by the one that wants it.
struct ReadThenWritten(RwLock<i32>, AtomicUsize);

impl Lock for ReadThenWritten {
    fn hold(&self) -> Box<dyn Guard + '_> {
        if self.1.fetch_add(1, SeqCst) == 0 {
            return Box::new(self.0.read().unwrap_or_else(PoisonError::into_inner));
        }
        Box::new(self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Has as many threads as there are locks hold one each, and then wait for the next one's. Returns what those said that panicked.
fn circle(locks: &[Arc<dyn Lock>], os_threads: usize) -> Vec<String> {
    let holding = Arc::new(AtomicUsize::new(0));
    let n = locks.len();
    let threads: Vec<_> = (0..n)
        .map(|i| {
            let (mine, next, holding) =
                (Arc::clone(&locks[i]), Arc::clone(&locks[(i + 1) % n]), Arc::clone(&holding));
            spawn_either(usize::from(i < os_threads), move || {
                catch_unwind(AssertUnwindSafe(|| {
                    let _mine = mine.hold();
                    holding.fetch_add(1, SeqCst);
                    wait_until(|| holding.load(SeqCst) == n);
                    drop(next.hold());
                }))
            })
        })
        .collect();
    let results = threads.into_iter().map(crate::common::Either::join);
    results.filter_map(|result| result.err().map(|payload| report_in(&*payload))).collect()
}

fn mutex() -> Arc<dyn Lock> {
    Arc::new(Mutex::new(0))
}

#[test]
fn a_mutex_that_is_locked_twice_is_reported_with_the_places() {
    each_run(|| {
        let mutex = Mutex::new(1);
        let mut held = 0;
        let text = report(|| {
            held = line!() + 1;
            let _guard = mutex.lock().unwrap();
            drop(mutex.lock());
        });
        assert!(text.starts_with("a thread waits for a lock that it holds itself\n"), "{text}");
        let id = format!("{:?}", thread::current().id());
        assert!(text.contains(&format!("' {id} waits at sync/tests/deadlock.rs:{}", held + 1)), "{text}");
        assert!(text.contains("for sward_sync::mutex::Mutex<i32> at 0x"), "{text}");
        assert!(text.contains(&format!("which it holds since sync/tests/deadlock.rs:{held}:")), "{text}");
        // The guard went with the panic.
        assert!(mutex.try_lock().is_err_and(|error| matches!(error, sward_sync::TryLockError::Poisoned(_))));
    });
}

#[test]
fn an_rwlock_that_its_holder_waits_for_is_reported() {
    each_run(|| {
        let lock = RwLock::new(1);
        report(|| {
            let _guard = lock.write().unwrap();
            drop(lock.write());
        });
        lock.clear_poison();
        report(|| {
            let _guard = lock.write().unwrap();
            drop(lock.read());
        });
        lock.clear_poison();
        let text = report(|| {
            let _guards = (lock.read().unwrap(), lock.read().unwrap());
            drop(lock.write());
        });
        assert!(text.contains("RwLock<i32>"), "{text}");
        report(|| {
            let _guard = RwLockWriteGuard::downgrade(lock.write().unwrap());
            drop(lock.write());
        });
        assert!(lock.try_write().is_ok(), "readers poison nothing, and all is released");
    });
}

#[test]
fn of_two_that_wait_for_each_other_one_panics_and_names_both() {
    each_run(|| {
        let reports = circle(&[mutex(), mutex()], 0);
        let [text] = &*reports else { panic!("one panics: {reports:#?}") };
        assert!(text.starts_with("2 threads wait for each other\n"), "{text}");
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), 2);
        // Each waits for what the other one holds.
        for i in 0..2 {
            let id = lines[i].split("ThreadId(").nth(1).unwrap().split(')').next().unwrap();
            assert!(lines[1 - i].contains(&format!("which ThreadId({id}) holds since")), "{text}");
        }
    });
}

#[test]
fn names_are_in_the_report() {
    each_run(|| {
        let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
        let theirs = Arc::clone(&locks);
        let first = thread::Builder::new().name("first".into());
        let first = first
            .spawn(move || {
                let _held = theirs.0.lock().unwrap();
                thread::park();
                drop(theirs.1.lock());
            })
            .unwrap();
        until_waiting(first.thread(), WaitReason::Park);
        let theirs = Arc::clone(&locks);
        let second = thread::Builder::new().name("second".into());
        let first_thread = first.thread().clone();
        let second = second
            .spawn(move || {
                report(|| {
                    let _held = theirs.1.lock().unwrap();
                    first_thread.unpark();
                    until_waiting(&first_thread, WaitReason::Lock);
                    drop(theirs.0.lock());
                })
            })
            .unwrap();
        let ids = [format!("{:?}", first.thread().id()), format!("{:?}", second.thread().id())];
        let text = second.join().unwrap();
        first.join().unwrap();
        assert!(text.contains(&format!("thread 'first' {} waits", ids[0])), "{text}");
        assert!(text.contains(&format!("thread 'second' {} waits", ids[1])), "{text}");
    });
}

#[test]
fn circles_of_all_kinds_of_locks_and_threads_are_found() {
    each_run(|| {
        assert_eq!(circle(&[mutex(), mutex(), mutex()], 0).len(), 1);
        assert_eq!(circle(&[mutex(), mutex()], 1).len(), 1);
        assert_eq!(circle(&[mutex(), mutex(), mutex()], 3).len(), 1);
        let rwlock = || Arc::new(RwLock::new(0)) as Arc<dyn Lock>;
        let reentrant = || Arc::new(ReentrantLock::new(0)) as Arc<dyn Lock>;
        let read = || Arc::new(ReadThenWritten(RwLock::new(0), AtomicUsize::new(0))) as Arc<dyn Lock>;
        assert_eq!(circle(&[rwlock(), rwlock()], 1).len(), 1);
        assert_eq!(circle(&[rwlock(), mutex(), reentrant(), read()], 2).len(), 1);
        let many: Vec<_> = (0..20).map(|_| mutex()).collect();
        assert_eq!(circle(&many, 0).len(), 1);
    });
}

/// A writer waits for all readers, and one of them waits for it.
#[test]
fn a_circle_through_one_of_many_readers_is_found() {
    each_run(|| {
        let shared = Arc::new((RwLock::new(0), Mutex::new(0)));
        let _bystander = shared.0.read().unwrap();
        let theirs = Arc::clone(&shared);
        let writer = thread::spawn(move || {
            let _held = theirs.1.lock().unwrap();
            thread::park();
            drop(theirs.0.write().unwrap());
        });
        until_waiting(writer.thread(), WaitReason::Park);
        let text = report(|| {
            let _read = shared.0.read().unwrap();
            writer.thread().unpark();
            until_waiting(writer.thread(), WaitReason::Lock);
            drop(shared.1.lock());
        });
        assert!(text.contains("2 threads"), "{text}");
        drop(_bystander);
        writer.join().unwrap();
    });
}

#[test]
fn a_condition_variable_locks_its_mutex_again_with_an_eye_on_deadlocks() {
    each_run(|| {
        let shared = Arc::new((Mutex::new(0), Condvar::new(), Mutex::new(0)));
        let theirs = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            let _other = theirs.2.lock().unwrap();
            let guard = theirs.0.lock().unwrap();
            drop(theirs.1.wait(guard));
        });
        until_waiting(waiter.thread(), WaitReason::Condvar);
        report(|| {
            let _held = shared.0.lock().unwrap();
            shared.1.notify_one();
            until_waiting(waiter.thread(), WaitReason::Lock);
            drop(shared.2.lock());
        });
        waiter.join().unwrap();
    });
}

#[test]
fn waits_that_end_by_themselves_are_not_reported() {
    each_run(|| {
        let ms = Duration::from_millis(1);
        let (mutex, lock) = (Mutex::new(0), RwLock::new(0));
        let held = (mutex.lock().unwrap(), lock.read().unwrap(), lock.read().unwrap());
        assert!(mutex.try_lock().is_err() && mutex.lock_timeout(ms).is_err());
        assert!(lock.try_write().is_err() && lock.write_timeout(ms).is_err());
        drop(held);
        let reentrant = ReentrantLock::new(0);
        let _held = (reentrant.lock(), reentrant.lock());

        // One of the two would wait for ever, but the other does not.
        let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
        let theirs = Arc::clone(&locks);
        let hasty = thread::spawn(move || {
            let _held = theirs.0.lock().unwrap();
            thread::park();
            assert!(theirs.1.lock_timeout(Duration::from_millis(5)).is_err());
        });
        until_waiting(hasty.thread(), WaitReason::Park);
        let held = locks.1.lock().unwrap();
        hasty.thread().unpark();
        drop(locks.0.lock().unwrap());
        drop(held);
        hasty.join().unwrap();
    });
}

/// The table goes by addresses, and a lock may come to be where a forgotten guard's was.
#[test]
fn a_guard_that_was_forgotten_is_not_held_against_the_next_lock_in_its_place() {
    each_run(|| {
        let mut mutex = Mutex::new(0);
        let mut lock = RwLock::new(0);
        for turn in 0..6 {
            match turn % 3 {
                0 => std::mem::forget((mutex.lock(), lock.read())),
                1 => std::mem::forget((mutex.lock(), lock.write())),
                _ => std::mem::forget((mutex.lock(), lock.read(), lock.read())),
            }
            mutex = Mutex::new(0);
            lock = RwLock::new(0);
            let (mutex, lock) = (&mutex, &lock);
            thread::scope(|s| {
                let other = s.spawn(move || {
                    let _held = (mutex.lock().unwrap(), lock.read().unwrap());
                    thread::park();
                });
                until_waiting(other.thread(), WaitReason::Park);
                // To write while another reads; ours is long gone.
                other.thread().unpark();
                drop((mutex.lock().unwrap(), lock.write().unwrap()));
            });
        }
    });
}

#[test]
fn a_circle_that_the_end_of_a_runtime_breaks_is_not_reported() {
    struct LockWhenDropped(Arc<(Mutex<i32>, Mutex<i32>)>);
    impl Drop for LockWhenDropped {
        fn drop(&mut self) {
            // The other one waits for what we hold, but it is cancelled.
            drop(self.0.1.lock());
        }
    }
    each_config(|config| {
        for _ in 0..stress(5) {
            let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
            let runtime = config.build();
            let theirs = Arc::clone(&locks);
            let first = runtime.handle().spawn(move || {
                let _held = theirs.0.lock().unwrap_or_else(PoisonError::into_inner);
                let _locks = LockWhenDropped(Arc::clone(&theirs));
                thread::park();
            });
            until_waiting(first.thread(), WaitReason::Park);
            let theirs = Arc::clone(&locks);
            let second = runtime.handle().spawn(move || {
                let _held = theirs.1.lock().unwrap_or_else(PoisonError::into_inner);
                drop(theirs.0.lock());
            });
            until_waiting(second.thread(), WaitReason::Lock);
            drop(runtime);
            assert!(first.join().unwrap_err().is::<Cancelled>());
            assert!(second.join().map_or_else(|payload| payload.is::<Cancelled>(), |()| true));
        }
    });
}

#[test]
fn those_who_lock_in_order_are_never_reported() {
    each_run(|| {
        let locks: Arc<Vec<_>> = Arc::new((0..6).map(|_| (Mutex::new(0), RwLock::new(0))).collect());
        let n = stress(300);
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let locks = Arc::clone(&locks);
                spawn_either(usize::from(i % 4 == 3), move || {
                    for turn in 0..n {
                        let (low, high) = ((i + turn) % 5, (i + turn) % 5 + 1);
                        let mut first = locks[low].0.lock().unwrap();
                        if turn % 7 == 0 {
                            settle();
                        }
                        let read = locks[low].1.read().unwrap();
                        let mut second = locks[high].0.lock().unwrap();
                        let mut written = locks[high].1.write().unwrap();
                        *first += 1;
                        *second += 1;
                        *written += *read;
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(crate::common::Either::join);
        assert_eq!(locks.iter().map(|(mutex, _)| *mutex.lock().unwrap()).sum::<usize>(), 16 * n);
    });
}
