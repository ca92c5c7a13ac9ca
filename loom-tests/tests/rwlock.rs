//! The read-write lock: readers, writers, the step from one to the other, and those who give up.
//!
//! The real `RawRwLock`, and the lot. Stand-ins: what it guards is [`Plain`] memory; a deadline has always passed; whoever
//! settles the line looks at it anew after each waiter.
//!
//! # Fails when
//!
//! - an exchange that takes the lock is Relaxed, in `try_read`, `read`, `read_contended`, `try_write`, `write`, `write_contended` or
//!   `settle_front`; or a step that gives it back, in `read_unlock`, `write_unlock`, `write_unlock_contended` or `downgrade`: the
//!   holder does not see what those before it did;
//! - `settle` is left out where the last reader or the writer leaves, in `downgrade`, or where a waiter gives up: the next wait for ever;
//! - `WOKEN` stays though the woken one has the lock, waits again, or has given up; or `CLOSED` though nobody waits: as above;
//! - `PARKED` is cleared while somebody waits, or a waiter does not look at the word under the bucket's lock: a waiter is forgotten.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check_bounded};
use sward_sync::model::RawRwLock;

#[derive(Default)]
struct RwLock {
    raw: RawRwLock,
    value: Plain<u32>,
}

impl RwLock {
    fn new() -> Arc<Self> {
        Arc::new(Self { raw: RawRwLock::new(), value: Plain::new(0) })
    }

    fn read(&self) -> u32 {
        self.raw.read(None);
        self.look_and_unlock()
    }

    fn look_and_unlock(&self) -> u32 {
        let value = self.value.get();
        self.raw.read_unlock();
        value
    }

    /// Adds one.
    fn write(&self) {
        self.raw.write(None);
        self.add();
        self.raw.write_unlock();
    }

    fn add(&self) {
        self.value.set(self.value.get() + 1);
    }

    fn write_twice(&self) {
        self.write();
        self.write();
    }

    /// As `write`, unless time is up before. How much it has added.
    fn write_at_once(&self) -> u32 {
        self.write_if(RawRwLock::write_at_once)
    }

    fn write_if(&self, lock: fn(&RawRwLock) -> bool) -> u32 {
        let locked = lock(&self.raw);
        if locked {
            self.add();
            self.raw.write_unlock();
        }
        u32::from(locked)
    }

    /// As `read`, unless time is up before.
    fn read_at_once(&self) {
        self.read_if(RawRwLock::read_at_once);
    }

    fn read_if(&self, lock: fn(&RawRwLock) -> bool) {
        if lock(&self.raw) {
            self.look_and_unlock();
        }
    }
}

/// With a deadline that has passed.
trait AtOnce {
    fn read_at_once(&self) -> bool;
    fn write_at_once(&self) -> bool;
}

impl AtOnce for RawRwLock {
    fn read_at_once(&self) -> bool {
        self.read(Some(Instant::now()))
    }

    fn write_at_once(&self) -> bool {
        self.write(Some(Instant::now()))
    }
}

/// A thread of its own that does something with the lock.
fn spawn<R: 'static>(lock: &Arc<RwLock>, f: impl FnOnce(&RwLock) -> R + 'static) -> thread::JoinHandle<R> {
    let lock = Arc::clone(lock);
    thread::spawn(move || f(&lock))
}

#[test]
fn a_writer_is_alone() {
    check_bounded(4, || {
        let lock = RwLock::new();
        let other = spawn(&lock, RwLock::write_twice);
        lock.write();
        assert!(lock.read() >= 1);
        other.join().unwrap();
        assert_eq!(lock.read(), 3);
    });
}

#[test]
fn a_writer_that_was_overtaken_is_handed_the_lock() {
    check_bounded(4, || {
        let lock = RwLock::new();
        let other = spawn(&lock, RwLock::write);
        lock.read();
        lock.write_twice();
        other.join().unwrap();
        assert_eq!(lock.read(), 3);
    });
}

#[test]
fn two_readers_meet_a_writer() {
    check_bounded(2, || {
        let lock = RwLock::new();
        let readers = [(); 2].map(|()| spawn(&lock, RwLock::read));
        lock.write();
        assert_eq!(lock.read(), 1);
        for reader in readers {
            assert!(reader.join().unwrap() <= 1);
        }
    });
}

#[test]
fn two_writers_meet_a_reader() {
    check_bounded(2, || {
        let lock = RwLock::new();
        let writers = [(); 2].map(|()| spawn(&lock, RwLock::write));
        assert!(lock.read() <= 2);
        lock.read();
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(lock.read(), 2);
    });
}

#[test]
fn a_writer_that_readers_overtook_is_handed_the_lock() {
    check_bounded(3, || {
        let lock = RwLock::new();
        lock.raw.read(None);
        let writer = spawn(&lock, RwLock::write);
        let reader = spawn(&lock, RwLock::read);
        lock.look_and_unlock();
        lock.read();
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn a_writer_that_becomes_a_reader_lets_readers_in_and_no_writer() {
    check_bounded(2, || {
        let lock = RwLock::new();
        let writer = spawn(&lock, RwLock::write);
        let reader = spawn(&lock, RwLock::read);
        lock.raw.write(None);
        lock.add();
        let value = lock.value.get();
        lock.raw.downgrade();
        assert_eq!(lock.look_and_unlock(), value);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(lock.read(), 2);
    });
}

#[test]
fn a_reader_that_came_for_a_writer_is_let_in_by_it() {
    check_bounded(3, || {
        let lock = RwLock::new();
        lock.raw.write(None);
        let reader = spawn(&lock, RwLock::read);
        lock.add();
        lock.raw.downgrade();
        // While the other half of the lock is still held.
        assert_eq!(reader.join().unwrap(), 1);
        lock.raw.read_unlock();
        lock.write();
    });
}

#[test]
fn an_attempt_takes_a_lock_that_is_free() {
    check_bounded(3, || {
        let lock = RwLock::new();
        let other = spawn(&lock, |lock| {
            lock.write();
            lock.read();
        });
        lock.read_if(RawRwLock::try_read);
        let added = lock.write_if(RawRwLock::try_write);
        other.join().unwrap();
        assert_eq!(lock.read(), 1 + added);
    });
}

#[test]
fn an_unlock_meets_those_whose_time_is_up() {
    check_bounded(3, || {
        let lock = RwLock::new();
        let other = spawn(&lock, RwLock::write_twice);
        lock.read_at_once();
        let added = lock.write_at_once();
        other.join().unwrap();
        assert_eq!(lock.read(), 2 + added);
    });
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_in() {
    check_bounded(2, || {
        let lock = RwLock::new();
        lock.raw.read(None);
        let writer = spawn(&lock, RwLock::write_at_once);
        let reader = spawn(&lock, RwLock::read);
        // While the other half of the lock is still held.
        assert_eq!(reader.join().unwrap(), 0);
        assert_eq!(writer.join().unwrap(), 0);
        lock.look_and_unlock();
        lock.write();
    });
}

#[test]
fn a_writer_that_gives_up_leaves_the_unlock_to_the_next() {
    check_bounded(2, || {
        let lock = RwLock::new();
        let impatient = spawn(&lock, RwLock::write_at_once);
        let patient = spawn(&lock, RwLock::write);
        lock.write_twice();
        patient.join().unwrap();
        let added = impatient.join().unwrap();
        assert_eq!(lock.read(), 3 + added);
    });
}

#[test]
fn a_reader_that_gives_up_leaves_the_unlock_to_the_next() {
    check_bounded(2, || {
        let lock = RwLock::new();
        let impatient = spawn(&lock, RwLock::read_at_once);
        let patient = spawn(&lock, RwLock::write);
        lock.write_twice();
        patient.join().unwrap();
        impatient.join().unwrap();
        assert_eq!(lock.read(), 3);
    });
}
