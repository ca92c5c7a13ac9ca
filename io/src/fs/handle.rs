//! An open file as operations see it: what is behind it, and who moves its position.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | whoever opens a file, in the pool | [`Handle::open`], which looks what it is |
//! | the first operation on one from elsewhere | [`Handle::nature`], the same in the pool |
//! | every operation | one of the ways below, by the nature |
//!
//! # States
//!
//! What a file is decides how it is read and written, and does not change:
//!
//! | medium | which | a transfer on a green thread |
//! |---|---|---|
//! | direct | in memory (tmpfs); streams that whoever opened them put in non-blocking mode | is made on the spot |
//! | storage | all other files, directories, block devices | at once if it can be, else in the pool, uncancelled; see also `warmth.rs` |
//! | stream | FIFOs, terminals, devices, and what has no type | when the reactor says that it is ready |
//!
//! A stream that was opened here is put in non-blocking mode if it is a FIFO or a terminal, since then nobody else has
//! its description. Others keep their mode, which other processes may share: they are read at once, or in the pool when
//! they are ready.
//!
//! # Invariants
//!
//! - **I1** A closure in the pool holds the handle, hence the descriptor, at most as long as the operation that sent it: those
//!   are not cancelled ([`Handle::run`]). So whoever owns a file alone owns its handle alone.
//! - **I2** `moving` counts the operations in the pool that move the position. While there are any, the kernel holds its
//!   lock on the position, for which a worker must not wait.
//!
//! # Orderings
//!
//! All Relaxed: the flags are hints. One that is seen late costs a system call, or a short read; I2 seen late costs a
//! worker the rest of one transfer.
//!
//! # Suspension
//!
//! [`Handle::nature`] and [`Handle::run`] suspend. Nothing is locked meanwhile.
//!
//! # Rejected
//!
//! - *To lend the caller's buffer to the pool while the wait cannot be cancelled.* Saves a copy of what a disk has to move
//!   anyway; costs unsafe code whose soundness hangs on every way in which a wait may end.
//! - *A cancellable wait, and a place where what was read without a reader is kept for the next.* Then a file has a second
//!   position, which clones, `seek`, the conversions and other processes would have to know of.
//! - *Reading ahead, writing behind.* The kernel does, and knows who else writes. Ours would return stale bytes, and lose
//!   errors.
//! - *Writing at once.* Where it is offered at all (not by ext4), it cuts a write in two where it would have to wait, and
//!   then what is appended is not in one piece any more.
//!
//! # Checked by
//!
//! `tests/fs_file.rs`, `tests/fs_special.rs`, `tests/fs_cancel.rs`.
//!
//! # Sources
//!
//! Go's `os/file_unix.go` (`newFile` and its kinds) for who is put in non-blocking mode.

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileTypeExt,
    },
    sync::{Arc, OnceLock},
};

use sward_runtime::{cancel, is_green, unblock};

use super::{lock::Locking, warmth::Warmth};
use crate::{
    prim::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    sys::{self, file::Kept},
};

/// How long transfers may take, hence how they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// As long as memory does; or they are not to wait.
    Direct,
    /// As long as a disk or a network does.
    Storage,
    /// Until somebody else writes, or reads.
    Stream,
}

/// What a file is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    pub(super) medium: Medium,
    /// Transfers go past the page cache, and their buffers have to be aligned.
    pub(super) is_unbuffered: bool,
    /// What is in the cache is not told, and can be read on the spot all the same.
    pub(super) is_warmed: bool,
}

impl Nature {
    /// Looks what a file is, which may take as long as any operation on it.
    fn of(file: &File) -> Self {
        let fd = file.as_fd();
        let kind = file.metadata().map(|metadata| metadata.file_type());
        let is_stored = kind.is_ok_and(|kind| kind.is_file() || kind.is_dir() || kind.is_block_device());
        if !is_stored {
            let medium = if sys::file::is_nonblocking(fd) { Medium::Direct } else { Medium::Stream };
            return Self { medium, is_unbuffered: false, is_warmed: false };
        }
        let (kept, is_unbuffered) = (sys::file::kept(fd), sys::file::is_direct(fd));
        let medium = if kept == Kept::InMemory { Medium::Direct } else { Medium::Storage };
        Self { medium, is_unbuffered, is_warmed: kept == Kept::Layered && !is_unbuffered }
    }
}

/// What all clones of a file share: that which the kernel calls an open file description.
#[derive(Debug, Default)]
struct Description {
    nature: OnceLock<Nature>,
    /// Transfers at once are refused.
    refuses: AtomicBool,
    /// It is a stream that this module has put in non-blocking mode.
    is_polled: AtomicBool,
    /// Others may move the position.
    is_shared: AtomicBool,
    /// How many operations in the pool move the position (I2).
    moving: AtomicUsize,
    /// What is in the cache, where that is not told.
    warmth: Mutex<Warmth>,
    locking: Arc<Locking>,
}

impl Description {
    fn note(&self, nature: Nature) {
        if nature.is_unbuffered {
            // It would wait for the disk all the same.
            self.refuses.store(true, Relaxed);
        }
        let _ = self.nature.set(nature);
    }
}

/// A descriptor of an open file.
#[derive(Debug)]
pub(super) struct Handle {
    file: File,
    description: Arc<Description>,
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Handle {
    /// Takes a file that was just opened by its path: nobody else has its description. For the pool.
    pub(super) fn open(file: File) -> Self {
        let description = Description::default();
        let nature = Nature::of(&file);
        let is_waited_for = |file: &File| {
            file.is_terminal() || file.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
        };
        if nature.medium == Medium::Stream && is_waited_for(&file) {
            let polled = sys::file::set_nonblocking(file.as_fd(), true);
            description.is_polled.store(polled.is_ok(), Relaxed);
        }
        description.note(nature);
        Self { file, description: Arc::new(description) }
    }

    /// Takes a file from elsewhere, of which there may be duplicates.
    pub(super) fn adopt(file: File) -> Self {
        let description = Description { is_shared: AtomicBool::new(true), ..Description::default() };
        Self { file, description: Arc::new(description) }
    }

    /// Duplicates the descriptor.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let file = self.file.try_clone()?;
        self.share();
        Ok(Self { file, description: Arc::clone(&self.description) })
    }

    /// Gives the file up, as `std` would have it: in blocking mode, unless whoever opened it wanted otherwise.
    pub(super) fn release(self) -> File {
        if self.description.is_polled.swap(false, Relaxed) {
            // Fails only if the descriptor is none any more, which every operation on it will report.
            let _ = sys::file::set_nonblocking(self.file.as_fd(), false);
        }
        self.file
    }

    /// The file, for what never waits.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// What it is. Asks the pool, once.
    #[inline]
    pub(super) fn nature(self: &Arc<Self>) -> Nature {
        match self.description.nature.get() {
            Some(nature) => *nature,
            None => self.look(),
        }
    }

    #[cold]
    fn look(self: &Arc<Self>) -> Nature {
        let nature = self.run(Nature::of);
        self.description.note(nature);
        nature
    }

    /// Runs an operation that may take long in the pool, and waits for its end come what may.
    pub(super) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        operation: impl FnOnce(&File) -> T + Send + 'static,
    ) -> T {
        if !is_green() {
            return operation(&self.file);
        }
        let handle = Arc::clone(self);
        // INVARIANT (I1): not cancelled, so the closure is gone when this returns.
        cancel::shield(|| unblock(move || operation(&handle.file)))
    }

    /// As [`run`](Self::run), for an operation that moves the position unless it says where.
    pub(super) fn run_at<T: Send + 'static>(
        self: &Arc<Self>,
        at: sys::file::At,
        operation: impl FnOnce(&File) -> T + Send + 'static,
    ) -> T {
        // INVARIANT (I2): from before the closure is sent until after it has ended.
        let _moving = at.is_none().then(|| Moving::new(&self.description));
        self.run(operation)
    }

    /// Whether an operation that moves the position, unless it says where, would wait for another.
    #[inline]
    pub(super) fn is_free(&self, at: sys::file::At) -> bool {
        at.is_some() || self.description.moving.load(Relaxed) == 0
    }

    /// Whether it is any use to try a transfer at once.
    #[inline]
    pub(super) fn takes_at_once(&self) -> bool {
        !self.description.refuses.load(Relaxed)
    }

    /// Remembers that a transfer at once was refused.
    pub(super) fn note_refusal(&self) {
        self.description.refuses.store(true, Relaxed);
    }

    /// Whether a transfer returns at once because of the mode of the description.
    pub(super) fn is_polled(&self) -> bool {
        self.description.is_polled.load(Relaxed)
    }

    /// Whether others may move the position between two operations of the caller, who has the file to itself.
    pub(super) fn is_shared(&self) -> bool {
        self.description.is_shared.load(Relaxed)
    }

    /// Who locks it.
    pub(super) fn locking(&self) -> &Arc<Locking> {
        &self.description.locking
    }

    /// What is in the cache after the position. A leaf: nothing is done while it is locked.
    pub(super) fn warmth<R>(&self, look: impl FnOnce(&mut Warmth) -> R) -> R {
        look(&mut self.description.warmth.lock())
    }

    /// Notes that the position is moved otherwise than by reading.
    pub(super) fn forget_warmth(&self) {
        if !self.takes_at_once() {
            self.warmth(Warmth::forget);
        }
    }

    /// Notes that others may move the position.
    pub(super) fn share(&self) {
        self.description.is_shared.store(true, Relaxed);
    }
}

/// One operation in the pool that moves the position.
struct Moving<'a>(&'a Description);

impl<'a> Moving<'a> {
    fn new(description: &'a Description) -> Self {
        description.moving.fetch_add(1, Relaxed);
        Self(description)
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.moving.fetch_sub(1, Relaxed);
    }
}
