//! Locks on open files.
//!
//! To the kernel a lock belongs to an open file description, and whatever is done at one description is done by one owner: a call that asks
//! for a lock in the other mode gives up the one that is there, and a call that gives up a lock does not ask who got it.
//!
//! # Roles
//!
//! An *attempt* waits in flock(2) until nobody else has the lock, on an OS thread of its own, and nothing interrupts it there: when its caller is
//! cancelled it goes on, and gives back what it gets.
//!
//! # Invariants
//!
//! - **L1** One attempt at a time is under way at a description, until its caller has the lock or it was given back. Nobody else locks
//!   there meanwhile: it would be one lock with that of the attempt, to be changed or given back by it.
//! - **L2** An attempt whose turn comes when its caller is gone does nothing, and what it gets when the caller goes is given back only if nobody has a lock there.
//!   (If the caller goes in the very moment in which the attempt is made, that has changed the mode of a lock that was there, as the call would have.)
//!
//! # Suspension
//!
//! [`File::lock`] and [`File::lock_shared`] wait for somebody else; the others as long as a disk may take.
//!
//! # Rejected
//!
//! - *A lock that is tried again and again.* It would starve among those who wait in the kernel.
//! - *Attempts on the pool.* All who wait could hold its threads, when whoever has the lock needs one to give it up.
//! - *Several attempts at once, of which each leaves alone what somebody has locked since.* One for the other mode would have changed it already.
//!
//! # Checked by
//!
//! `tests/fs_lock.rs`.

use std::{
    fs::{self, TryLockError},
    io,
    sync::{Arc, Weak},
};

use parking_lot::{Condvar, Mutex};
use sward_runtime::{is_green, unblock_apart};

use super::File;

/// Who locks at one description.
#[derive(Debug, Default)]
pub(super) struct Locking {
    /// Locked while somebody locks at once.
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether an attempt is under way (L1).
    is_attempted: bool,
    /// The lock with which a call has returned, and which was not given up or lost since.
    lock: Option<Mode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Exclusive,
    Shared,
}

impl Mode {
    fn lock_at_once(self, file: &fs::File) -> Result<(), TryLockError> {
        match self {
            Self::Exclusive => file.try_lock(),
            Self::Shared => file.try_lock_shared(),
        }
    }

    /// Waits in the kernel.
    fn lock(self, file: &fs::File) -> io::Result<()> {
        match self {
            Self::Exclusive => file.lock(),
            Self::Shared => file.lock_shared(),
        }
    }
}

impl State {
    /// The kernel is asked for a lock, and gives up one of the other mode before it looks whether this one can be had.
    fn ask(&mut self, mode: Mode) {
        if self.lock != Some(mode) {
            self.lock = None;
        }
    }
}

/// The right to wait in the kernel (L1).
struct Attempt(Arc<Locking>);

impl Attempt {
    /// Waits until no other is under way. Blocks the OS thread.
    fn begin(locking: Arc<Locking>) -> Self {
        let mut state = locking.state.lock();
        locking.ended.wait_while(&mut state, |state| state.is_attempted);
        state.is_attempted = true;
        drop(state);
        Self(locking)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.state.lock().is_attempted = false;
        self.0.ended.notify_one();
    }
}

/// A lock that an attempt has got. It is given back if nobody waits for it any more (L2).
struct Locked {
    /// A duplicate of the descriptor: it is the same lock.
    file: fs::File,
    mode: Mode,
    /// Dropped last.
    attempt: Attempt,
}

impl Locked {
    /// Leaves the lock to the file that shares it.
    fn keep(self) {
        self.attempt.0.state.lock().lock = Some(self.mode);
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let state = self.attempt.0.state.lock();
        if state.lock.is_none() {
            // There is nobody to be told.
            let _ = self.file.unlock();
        }
    }
}

impl File {
    /// Takes the exclusive lock on the file. Advisory: it keeps out only those who ask for a lock too.
    ///
    /// The lock belongs to the open file: clones share it, and it ends when the last of them is closed or one of them is
    /// unlocked.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until nobody else has a lock. Meanwhile the call
    /// occupies an OS thread of its own.
    ///
    /// # Cancellation
    ///
    /// The lock is given back once it is there. Until then the file stays open, also if it is dropped, and others who lock it by
    /// the same open file wait for that.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::TryLockError;
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let file = File::create(&path)?;
    /// file.lock()?;
    /// assert!(matches!(File::open(&path)?.try_lock(), Err(TryLockError::WouldBlock)));
    /// file.unlock()?;
    /// File::open(&path)?.try_lock()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn lock(&self) -> io::Result<()> {
        self.wait_for_lock(Mode::Exclusive)
    }

    /// Takes a shared lock on the file: several may have one, and nobody an exclusive one meanwhile.
    ///
    /// # Suspension
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Cancellation
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let files = [File::create(&path)?, File::open(&path)?];
    /// for file in &files {
    ///     file.lock_shared()?;
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn lock_shared(&self) -> io::Result<()> {
        self.wait_for_lock(Mode::Shared)
    }

    /// Takes the exclusive lock on the file if it can be had at once.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`]: somebody else has a lock, or somebody waits for one by the same open file.
    /// [`TryLockError::Error`]: what the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::TryLockError;
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let file = File::create(&path)?;
    /// file.try_lock()?;
    /// assert!(matches!(File::open(&path)?.try_lock(), Err(TryLockError::WouldBlock)));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.lock_at_once(Mode::Exclusive)
    }

    /// Takes a shared lock on the file if it can be had at once.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`]: somebody else has the exclusive lock, or somebody waits for one by the same open file.
    /// [`TryLockError::Error`]: what the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let file = File::create(&path)?;
    /// file.try_lock_shared()?;
    /// File::open(&path)?.try_lock_shared()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.lock_at_once(Mode::Shared)
    }

    /// Gives up the lock on the file, in whatever mode. To have none is no error.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let file = File::create(&path)?;
    /// file.lock()?;
    /// file.unlock()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn unlock(&self) -> io::Result<()> {
        let locking = Arc::clone(self.handle().locking());
        self.run(move |file| {
            let mut state = locking.state.lock();
            state.lock = None;
            file.unlock()
        })
    }

    fn lock_at_once(&self, mode: Mode) -> Result<(), TryLockError> {
        let locking = Arc::clone(self.handle().locking());
        self.run(move |file| {
            let mut state = locking.state.lock();
            if state.is_attempted {
                return Err(TryLockError::WouldBlock);
            }
            state.ask(mode);
            mode.lock_at_once(file)?;
            state.lock = Some(mode);
            Ok(())
        })
    }

    fn wait_for_lock(&self, mode: Mode) -> io::Result<()> {
        match self.lock_at_once(mode) {
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
        let locking = Arc::clone(self.handle().locking());
        if !is_green() {
            let attempt = Attempt::begin(locking);
            attempt.0.state.lock().ask(mode);
            mode.lock(self.handle().file())?;
            attempt.0.state.lock().lock = Some(mode);
            return Ok(());
        }
        // Lives as long as this call.
        let caller = Arc::new(());
        let waiting: Weak<()> = Arc::downgrade(&caller);
        let file = self.handle().file().try_clone()?;
        let locked = unblock_apart(move || {
            let attempt = Attempt::begin(locking);
            if waiting.strong_count() == 0 {
                // Nobody sees it.
                return Err(io::ErrorKind::Interrupted.into());
            }
            attempt.0.state.lock().ask(mode);
            mode.lock(&file).map(|()| Locked { file, mode, attempt })
        });
        drop(caller);
        locked.map(Locked::keep)
    }
}
