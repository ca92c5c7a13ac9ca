//! Conversions of files from and to `std`'s files and descriptors.
//!
//! # Invariants
//!
//! - **I1** `from_raw_fd` takes what its caller owns and gives up, as `std`'s does.
//!
//! # Suspension
//!
//! Nothing here suspends.
//!
//! # Checked by
//!
//! `tests/fs_convert.rs`.
#![expect(unsafe_code, reason = "`FromRawFd` is unsafe to call")]

use std::{
    fs,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    process::Stdio,
};

use super::{File, handle::Handle};

/// Takes over a file of `std`, in whatever mode it is.
impl From<fs::File> for File {
    fn from(file: fs::File) -> Self {
        Self::new(Handle::adopt(file))
    }
}

/// Gives up a file to `std`. It blocks from now on, unless it was opened in non-blocking mode.
impl From<File> for fs::File {
    fn from(file: File) -> Self {
        file.release()
    }
}

/// Takes over a descriptor, as it does a file of `std`.
impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        Self::from(fs::File::from(fd))
    }
}

/// Gives up the descriptor, as it is given up to a file of `std`.
impl From<File> for OwnedFd {
    fn from(file: File) -> Self {
        file.release().into()
    }
}

/// Gives up the file to a child process, as it is given up to a file of `std`.
impl From<File> for Stdio {
    fn from(file: File) -> Self {
        file.release().into()
    }
}

/// Lends the descriptor. A FIFO or terminal may be in non-blocking mode, which must stay so.
impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // For all we know it is to be duplicated.
        self.handle().share();
        self.handle().file().as_fd()
    }
}

/// Tells the descriptor. A FIFO or terminal may be in non-blocking mode, which must stay so.
impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Gives up the descriptor, as it is given up to a file of `std`.
impl IntoRawFd for File {
    fn into_raw_fd(self) -> RawFd {
        self.release().into_raw_fd()
    }
}

/// Takes over a descriptor, as it does a file of `std`.
impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller's contract (I1).
        Self::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}
