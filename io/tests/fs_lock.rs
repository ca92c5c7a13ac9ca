//! Locks on files: those of `std`, for green threads.

use std::{io, path::Path};

use crate::common::{
    fs::{everywhere_in, fresh_dir},
    once_closed, runtimes, settle, watchdog,
};
use sward_io::fs::{File, TryLockError};
use sward_runtime::{cancel::Cancelled, thread};

/// Two openings of one file.
fn openings(dir: &Path) -> io::Result<(File, File)> {
    Ok((File::create(dir.join("file"))?, File::open(dir.join("file"))?))
}

fn is_taken(result: Result<(), TryLockError>) -> bool {
    match result {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => panic!("{error}"),
    }
}

#[test]
fn several_may_share_a_lock() {
    everywhere_in(|dir| {
        let (one, other) = openings(dir)?;
        one.lock_shared()?;
        other.lock_shared()?;
        one.unlock()?;
        other.unlock()?;
        assert!(!is_taken(one.try_lock_shared()) && !is_taken(other.try_lock_shared()));
        // To give up what one has not is no error.
        one.unlock()?;
        one.unlock()
    });
}

#[test]
fn an_exclusive_lock_keeps_others_out() {
    everywhere_in(|dir| {
        let (one, other) = openings(dir)?;
        one.lock_shared()?;
        assert!(is_taken(other.try_lock()));
        one.unlock()?;
        one.lock()?;
        assert!(is_taken(other.try_lock()) && is_taken(other.try_lock_shared()));
        one.unlock()?;
        assert!(!is_taken(other.try_lock()));
        Ok(())
    });
}

#[test]
fn a_lock_ends_with_the_last_clone() {
    everywhere_in(|dir| {
        let (one, other) = openings(dir)?;
        one.lock()?;
        let clone = one.try_clone()?;
        drop(one);
        assert!(is_taken(other.try_lock()));
        drop(clone);
        once_closed(|| !is_taken(other.try_lock()));
        Ok(())
    });
}

#[test]
fn whoever_waits_for_a_lock_leaves_the_worker_to_others() {
    everywhere_in(|dir| {
        let (one, other) = openings(dir)?;
        one.lock()?;
        let waiting = thread::spawn(move || other.lock().map(|()| other));
        // Also with one worker, on which this runs.
        settle();
        assert!(!waiting.is_finished());
        one.unlock()?;
        let other = waiting.join().expect("no panic")?;
        assert!(is_taken(one.try_lock()));
        other.unlock()?;
        assert!(!is_taken(one.try_lock()));
        Ok(())
    });
}

/// How many wait for a lock on a file.
#[cfg(target_os = "linux")]
fn waiters(inode: u64) -> usize {
    let locks = std::fs::read_to_string("/proc/locks").expect("the kernel tells");
    let file = format!(":{inode} ");
    locks.lines().filter(|line| line.contains("->") && line.contains(&file)).count()
}

/// As the pool has 512 threads, and to give a lock up takes one.
#[cfg(target_os = "linux")]
#[test]
fn more_may_wait_for_a_lock_than_the_pool_has_threads() {
    use std::os::unix::fs::MetadataExt;
    const WAITERS: usize = 520;
    everywhere_in(|dir| {
        let (holder, other) = openings(dir)?;
        holder.lock()?;
        let lock_and_unlock = |file: File| move || file.lock().and_then(|()| file.unlock());
        let openings = (0..WAITERS).map(|_| File::open(dir.join("file"))).collect::<io::Result<Vec<_>>>()?;
        let waiting: Vec<_> = openings.into_iter().map(|file| thread::spawn(lock_and_unlock(file))).collect();
        let inode = other.metadata()?.ino();
        while waiters(inode) < WAITERS {
            thread::yield_now();
        }
        holder.unlock()?;
        waiting.into_iter().try_for_each(|waiter| waiter.join().expect("no panic"))
    });
}

#[test]
fn a_lock_that_nobody_waits_for_any_more_is_given_back() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let dir = fresh_dir();
        let (holder, other) = openings(dir.path()).expect("a file");
        let others_clone = other.try_clone().expect("a clone");
        holder.lock().expect("the lock");
        let waiting = runtime.handle().spawn(move || others_clone.lock());
        runtime.run(settle);
        drop(runtime);
        assert!(waiting.join().expect_err("cancelled").is::<Cancelled>());
        holder.unlock().expect("it was taken");
        // The call that was left behind takes the lock and gives it back; `other` is a clone of what it locks, and shares it.
        let third = File::open(dir.path().join("file")).expect("it is there");
        third.lock().expect("it is given back");
        drop(other);
    }
}
