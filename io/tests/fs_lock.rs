//! Locks on files: those of `std`, for green threads.

#[cfg(target_os = "linux")]
use std::os::unix::fs::MetadataExt;
use std::{io, path::Path};

use crate::common::{
    fs::{everywhere_in, fresh_dir},
    once_closed, runtimes, settle, stress, wait_until, watchdog,
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

/// Waits for a lock until the kernel knows of it, and no longer.
#[cfg(target_os = "linux")]
fn begin_and_give_up(file: &File, lock: fn(&File) -> io::Result<()>) -> io::Result<()> {
    let (inode, clone) = (file.metadata()?.ino(), file.try_clone()?);
    let before = waiters(inode);
    let waiting = thread::spawn(move || lock(&clone));
    wait_until(|| waiters(inode) > before);
    waiting.cancel();
    assert!(waiting.join().expect_err("cancelled").is::<Cancelled>());
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_wait_that_was_given_up_takes_nothing_from_who_locks_later() {
    let _watchdog = watchdog();
    for (runtime, given_up) in runtimes().flat_map(|runtime| {
        let runtime = std::sync::Arc::new(runtime);
        [File::lock, File::lock_shared].map(|lock| (std::sync::Arc::clone(&runtime), lock))
    }) {
        let round = || -> io::Result<()> {
            let dir = fresh_dir();
            let (holder, other) = openings(dir.path())?;
            let third = File::open(dir.path().join("file"))?;
            holder.lock()?;
            begin_and_give_up(&other, given_up)?;
            // While it is under way, and as it ends.
            assert!(is_taken(other.try_lock()) && is_taken(other.try_lock_shared()));
            let clone = other.try_clone()?;
            let waiting = thread::spawn(move || clone.lock());
            thread::yield_now();
            holder.unlock()?;
            waiting.join().expect("no panic")?;
            for _ in 0..20 {
                assert!(is_taken(third.try_lock_shared()), "the lock was given back");
                thread::yield_now();
            }
            other.unlock()?;
            assert!(!is_taken(third.try_lock()));
            Ok(())
        };
        for _ in 0..stress(10) {
            runtime.run(|| round().expect("locks"));
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_wait_that_was_given_up_takes_nothing_from_who_waited_before_it() {
    everywhere_in(|dir| {
        for given_up in [File::lock, File::lock_shared] {
            let (holder, other) = openings(dir)?;
            holder.lock()?;
            let inode = other.metadata()?.ino();
            let clones = [other.try_clone()?, other.try_clone()?];
            let [first, second] = clones;
            let waiting = thread::spawn(move || first.lock());
            wait_until(|| waiters(inode) == 1);
            let behind = thread::spawn(move || given_up(&second));
            wait_until(|| matches!(behind.thread().state(), thread::State::Waiting(_)));
            settle();
            behind.cancel();
            assert!(behind.join().expect_err("cancelled").is::<Cancelled>());
            holder.unlock()?;
            waiting.join().expect("no panic")?;
            for _ in 0..20 {
                assert!(is_taken(holder.try_lock_shared()), "the lock was given back");
                thread::yield_now();
            }
        }
        Ok(())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_can_be_locked_at_once_again_when_a_wait_that_was_given_up_has_ended() {
    everywhere_in(|dir| {
        let (holder, other) = openings(dir)?;
        holder.lock()?;
        begin_and_give_up(&other, File::lock)?;
        holder.unlock()?;
        wait_until(|| !is_taken(other.try_lock()));
        assert!(is_taken(holder.try_lock()));
        Ok(())
    });
}

/// As the pool has 512 threads, and to give a lock up takes one.
#[cfg(target_os = "linux")]
#[test]
fn more_may_wait_for_a_lock_than_the_pool_has_threads() {
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
