//! What files and directories have on Unix, as [`std::os::unix::fs`].
//!
//! The traits are `std`'s own: the types of [`fs`](crate::fs) implement them.

use std::{
    io,
    os::{fd::AsFd, unix::fs},
    path::Path,
};

use sward_runtime::{cancel, is_green, unblock};

use crate::fs::{run, run_two};

#[doc(no_inline)]
pub use std::os::unix::fs::{
    DirBuilderExt, DirEntryExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};

/// Makes a symbolic link, which need not lead anywhere.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// The link is made all the same; the result is lost.
///
/// # Errors
///
/// What the system says.
///
/// # Examples
///
/// ```
/// use sward_io::{fs, os::unix::fs::symlink};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// symlink("nowhere", dir.join("a"))?;
/// assert_eq!(fs::read_link(dir.join("a"))?, std::path::Path::new("nowhere"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn symlink<P: AsRef<Path>, Q: AsRef<Path>>(original: P, link: Q) -> io::Result<()> {
    run_two(original.as_ref(), link.as_ref(), |original, link| fs::symlink(original, link))
}

/// Sets the owner and the group of a file or directory, as far as they are given. Symbolic links are followed.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// What is done is done all the same; the result is lost.
///
/// # Errors
///
/// What the system says.
///
/// # Examples
///
/// ```
/// use sward_io::{fs, os::unix::fs::{MetadataExt, chown}};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "")?;
/// let owner = fs::metadata(dir.join("a"))?.uid();
/// chown(dir.join("a"), Some(owner), None)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn chown<P: AsRef<Path>>(dir: P, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    run(dir.as_ref(), move |path| fs::chown(path, uid, gid))
}

/// Sets the owner and the group of an open file, as far as they are given.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// What is done is done all the same; the result is lost.
///
/// # Errors
///
/// What the system says; on a green thread also that there are no descriptors left, for it takes a duplicate.
///
/// # Examples
///
/// ```
/// use sward_io::{fs::File, os::unix::fs::{MetadataExt, fchown}};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let file = File::create(dir.join("a"))?;
/// fchown(&file, None, Some(file.metadata()?.gid()))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn fchown<F: AsFd>(fd: F, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    if !is_green() {
        return fs::fchown(fd, uid, gid);
    }
    cancel::check();
    let duplicate = fd.as_fd().try_clone_to_owned()?;
    unblock(move || fs::fchown(duplicate, uid, gid))
}

/// Sets the owner and the group of a file, a directory, or a symbolic link, which is not followed.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// What is done is done all the same; the result is lost.
///
/// # Errors
///
/// What the system says.
///
/// # Examples
///
/// ```
/// use sward_io::{fs, os::unix::fs::{MetadataExt, lchown, symlink}};
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// symlink("nowhere", dir.join("a"))?;
/// let owner = fs::symlink_metadata(dir.join("a"))?.uid();
/// lchown(dir.join("a"), Some(owner), None)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn lchown<P: AsRef<Path>>(dir: P, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    run(dir.as_ref(), move |path| fs::lchown(path, uid, gid))
}

/// Makes a directory the root of the process: of all its threads.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// What is done is done all the same; the result is lost.
///
/// # Errors
///
/// What the system says: as a rule, that it is not permitted.
///
/// # Examples
///
/// ```
/// let error = sward_io::os::unix::fs::chroot("/no/such/directory").unwrap_err();
/// assert!([std::io::ErrorKind::NotFound, std::io::ErrorKind::PermissionDenied].contains(&error.kind()));
/// ```
pub fn chroot<P: AsRef<Path>>(dir: P) -> io::Result<()> {
    run(dir.as_ref(), |path| fs::chroot(path))
}
