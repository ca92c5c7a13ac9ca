//! Transfers from and to open files: as they are, and at once or not at all.
//!
//! A transfer *at once* takes what is in the page cache and never waits for a disk, a network or somebody else
//! (`RWF_NOWAIT`). Not every file system offers it, and few do for writing: then it is *refused*, and nothing has happened.
//!
//! # Suspension
//!
//! Nothing here suspends. [`read`] and [`write`] take as long as the file does; all else returns at once.
//!
//! # Rejected
//!
//! - *`mincore`, to know whether a read would wait.* It tells of mappings, and only of files that the caller may write.
//! - *`O_NONBLOCK`.* It means nothing to a file on a disk.
//!
//! # Checked by
//!
//! `tests/fs_file.rs`, `tests/fs_special.rs`.
//!
//! # Sources
//!
//! preadv2(2), fstatfs(2); `pos_from_hilo` and `kiocb_set_rw_flags` in the kernel's `fs/read_write.c` and `include/linux/fs.h`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::BorrowedFd,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::OFlags,
    io::{Errno, retry_on_intr},
};

use super::seam::{self, Call};

/// What became of a transfer that was not to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtOnce {
    /// So many bytes were transferred: at least one, but at the end of the file or with empty buffers.
    Done(usize),
    /// It would have to wait.
    WouldWait,
    /// This file, or this kernel, does not tell whether it would.
    Refused,
}

/// Where a transfer takes place: at the position of the file, which it moves, or elsewhere.
pub(crate) type At = Option<u64>;

/// Reads, and waits as long as it takes.
pub(crate) fn read(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>], at: At) -> io::Result<usize> {
    let read = retry_on_intr(|| {
        seam::with_some_mut(bufs, seam::admit(fd, Call::Read)?, |bufs| match at {
            None => rustix::io::readv(fd, bufs),
            Some(offset) => rustix::io::preadv(fd, bufs, offset),
        })
    });
    Ok(read?)
}

/// Writes, and waits as long as it takes.
pub(crate) fn write(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], at: At) -> io::Result<usize> {
    let written = retry_on_intr(|| {
        seam::with_some(bufs, seam::admit(fd, Call::Write)?, |bufs| match at {
            None => rustix::io::writev(fd, bufs),
            Some(offset) => rustix::io::pwritev(fd, bufs, offset),
        })
    });
    Ok(written?)
}

/// Reads what can be had without waiting.
#[inline]
pub(crate) fn read_at_once(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>], at: At) -> io::Result<AtOnce> {
    at_once(at, |offset| {
        let most = seam::admit(fd, Call::Read)?;
        seam::with_some_mut(bufs, most, |bufs| nowait::read(fd, bufs, offset))
    })
}

/// Writes what can be written without waiting.
pub(crate) fn write_at_once(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], at: At) -> io::Result<AtOnce> {
    at_once(at, |offset| {
        let most = seam::admit(fd, Call::Write)?;
        seam::with_some(bufs, most, |bufs| nowait::write(fd, bufs, offset))
    })
}

#[inline]
fn at_once(at: At, mut transfer: impl FnMut(u64) -> Result<usize, Errno>) -> io::Result<AtOnce> {
    let offset = match at {
        // This offset means the position of the file.
        None => u64::MAX,
        // The kernel says so of any other that is negative to it.
        Some(offset) if i64::try_from(offset).is_err() => return Err(Errno::INVAL.into()),
        Some(offset) => offset,
    };
    loop {
        match transfer(offset) {
            Ok(done) => return Ok(AtOnce::Done(done)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(AtOnce::WouldWait),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(AtOnce::Refused),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(target_os = "linux")]
mod nowait {
    //! The system calls with the flag.

    use rustix::io::{ReadWriteFlags, preadv2, pwritev2};

    use super::{BorrowedFd, Errno, IoSlice, IoSliceMut};

    #[inline]
    pub(super) fn read(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>], at: u64) -> Result<usize, Errno> {
        preadv2(fd, bufs, at, ReadWriteFlags::NOWAIT)
    }

    pub(super) fn write(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], at: u64) -> Result<usize, Errno> {
        pwritev2(fd, bufs, at, ReadWriteFlags::NOWAIT)
    }
}

#[cfg(not(target_os = "linux"))]
mod nowait {
    //! Elsewhere there is no such flag.

    use super::{BorrowedFd, Errno, IoSlice, IoSliceMut};

    pub(super) fn read(_: BorrowedFd<'_>, _: &mut [IoSliceMut<'_>], _: u64) -> Result<usize, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    pub(super) fn write(_: BorrowedFd<'_>, _: &[IoSlice<'_>], _: u64) -> Result<usize, Errno> {
        Err(Errno::OPNOTSUPP)
    }
}

/// Whether a read, or else a write, would find something to transfer. Always so for files that nobody can wait for.
pub(crate) fn is_ready(fd: BorrowedFd<'_>, to_read: bool) -> bool {
    let interest = if to_read { PollFlags::IN } else { PollFlags::OUT };
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // An error is for the transfer to report, but an interruption says nothing.
    retry_on_intr(|| rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, interest)], Some(&now))) != Ok(0)
}

/// On what a file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In memory, for which alone it waits.
    InMemory,
    /// In a directory of another file system, whose cache is not asked (overlayfs).
    Layered,
    /// Somewhere else.
    Elsewhere,
}

/// Asks on what a file is kept.
#[cfg(target_os = "linux")]
pub(crate) fn kept(fd: BorrowedFd<'_>) -> Kept {
    // From linux/magic.h.
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    const RAMFS_MAGIC: i64 = 0x8584_58f6;
    const OVERLAYFS_SUPER_MAGIC: i64 = 0x794c_7630;
    match rustix::fs::fstatfs(fd).map(|system| system.f_type) {
        Ok(TMPFS_MAGIC | RAMFS_MAGIC) => Kept::InMemory,
        Ok(OVERLAYFS_SUPER_MAGIC) => Kept::Layered,
        _ => Kept::Elsewhere,
    }
}

/// Asks on what a file is kept. Nobody says.
#[cfg(not(target_os = "linux"))]
pub(crate) fn kept(_: BorrowedFd<'_>) -> Kept {
    Kept::Elsewhere
}

/// Whether transfers go past the page cache (`O_DIRECT`): then those at once wait for the disk too, and buffers have to be
/// aligned.
#[cfg(target_os = "linux")]
pub(crate) fn is_direct(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::DIRECT))
}

/// Whether transfers go past the page cache. There is no such flag.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_direct(_: BorrowedFd<'_>) -> bool {
    false
}

/// Whether the description is in non-blocking mode.
pub(crate) fn is_nonblocking(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// Sets the mode of the description, which all duplicates of the descriptor share.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
    let mut flags = rustix::fs::fcntl_getfl(fd)?;
    flags.set(OFlags::NONBLOCK, nonblocking);
    Ok(rustix::fs::fcntl_setfl(fd, flags)?)
}

/// How much is left to read, if that can be told without waiting: a network is not asked.
#[cfg(target_os = "linux")]
pub(crate) fn rest(fd: BorrowedFd<'_>) -> Option<u64> {
    use rustix::fs::{AtFlags, StatxFlags};
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let size = rustix::fs::statx(fd, "", flags, StatxFlags::SIZE).ok()?.stx_size;
    Some(size.saturating_sub(rustix::fs::tell(fd).ok()?))
}

/// How much is left to read. Nobody says without waiting.
#[cfg(not(target_os = "linux"))]
pub(crate) fn rest(_: BorrowedFd<'_>) -> Option<u64> {
    None
}
