//! The reentrant lock: its holder, who locks it again, and the others.
//!
//! The real `ReentrantLock`, `RawMutex` and lot. Stand-ins: what it guards is [`Plain`] memory, a waiter's patience is always over, and the
//! lot has one bucket. `mutex.rs` checks what `RawMutex` does beyond that.
//!
//! # Fails when
//!
//! - the exchange that takes the lock, in `RawMutex::lock`, `try_lock` or `lock_contended`, or one that releases it, in `unlock` or
//!   `unlock_contended`, is Relaxed: the holder does not see what the last one did;
//! - the last guard leaves `owner` as it is: its thread finds its own number there, and goes in beside another;
//! - the last guard clears `owner` after it has released the lock: it clears the next holder's, who then waits for itself;
//! - any guard releases the lock, not just the last one, or `lock_again` does not count: another comes in while a guard is left.

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_sync::ReentrantLock;

type Lock = ReentrantLock<Plain<u32>>;

fn lock() -> Arc<Lock> {
    Arc::new(ReentrantLock::new(Plain::new(0)))
}

fn add(memory: &Plain<u32>) {
    memory.set(memory.get() + 1);
}

/// Adds under the lock, under the lock taken again, and once more under the first guard. Three in all.
fn add_nested(lock: &Lock) {
    let outer = lock.lock();
    add(&outer);
    let inner = lock.lock();
    add(&inner);
    drop(inner);
    add(&outer);
}

/// As `add_nested`, if nobody else holds it; and how much was added.
fn try_add_nested(lock: &Lock) -> u32 {
    let Some(outer) = lock.try_lock() else { return 0 };
    add(&outer);
    let inner = lock.try_lock().expect("this thread holds it");
    // The guards may go in any order.
    drop(outer);
    add(&inner);
    2
}

/// A thread of its own that does something with the lock.
fn spawn<R: 'static>(lock: &Arc<Lock>, f: impl FnOnce(&Lock) -> R + 'static) -> thread::JoinHandle<R> {
    let lock = Arc::clone(lock);
    thread::spawn(move || f(&lock))
}

#[test]
fn of_two_one_holds_it_however_often_it_locks_it() {
    check_bounded(4, || {
        let lock = lock();
        let other = spawn(&lock, add_nested);
        add_nested(&lock);
        other.join().unwrap();
        assert_eq!(lock.lock().get(), 6);
    });
}

#[test]
fn who_has_held_it_is_a_stranger_again() {
    check_bounded(3, || {
        let lock = lock();
        let other = spawn(&lock, add_nested);
        for _ in 0..2 {
            add_nested(&lock);
        }
        other.join().unwrap();
        assert_eq!(lock.lock().get(), 9);
    });
}

#[test]
fn of_three_one_holds_it() {
    check_bounded(2, || {
        let lock = lock();
        let others = [(); 2].map(|()| spawn(&lock, add_nested));
        add_nested(&lock);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(lock.lock().get(), 9);
    });
}

#[test]
fn an_attempt_takes_a_lock_that_is_free_or_ones_own() {
    check(|| {
        let lock = lock();
        let other = spawn(&lock, try_add_nested);
        let added = try_add_nested(&lock);
        let added = added + try_add_nested(&lock) + other.join().unwrap();
        assert!(added >= 2);
        assert_eq!(lock.lock().get(), added);
    });
}

#[test]
fn an_attempt_meets_one_who_waits() {
    check_bounded(3, || {
        let lock = lock();
        let other = spawn(&lock, add_nested);
        let added = try_add_nested(&lock);
        other.join().unwrap();
        assert_eq!(lock.lock().get(), 3 + added);
    });
}
