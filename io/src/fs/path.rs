//! What is done to a path: each function is one job in the pool.
//!
//! # Suspension
//!
//! Each parks the green thread until the job is done. The wait is cancelled like any, for a path may lead to a FIFO or to a
//! network that does not answer; the job is not.
//!
//! # Checked by
//!
//! `tests/fs_path.rs`, `tests/fs_cancel.rs`.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    path::{Path, PathBuf},
};

use sward_runtime::{cancel, is_green, unblock};

use super::{DirBuilder, ReadDir};

/// Runs a job with a path.
pub(crate) fn run<T: Send + 'static>(path: &Path, job: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    if !is_green() {
        return job(path);
    }
    cancel::check();
    let path = path.to_owned();
    unblock(move || job(&path))
}

/// Runs a job with two paths.
pub(crate) fn run_two<T: Send + 'static>(
    one: &Path,
    other: &Path,
    job: impl FnOnce(&Path, &Path) -> T + Send + 'static,
) -> T {
    if !is_green() {
        return job(one, other);
    }
    cancel::check();
    let (one, other) = (one.to_owned(), other.to_owned());
    unblock(move || job(&one, &other))
}

/// Reads a whole file.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// The file is read all the same, and what was read is lost.
///
/// # Errors
///
/// Those of [`File::open`](super::File::open) and of reading.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), [1, 2, 3])?;
/// assert_eq!(fs::read(dir.join("a"))?, [1, 2, 3]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read<P: AsRef<Path>>(path: P) -> io::Result<Vec<u8>> {
    run(path.as_ref(), |path| fs::read(path))
}

/// Reads a whole file as text.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// The file is read all the same, and what was read is lost.
///
/// # Errors
///
/// Those of [`read`], and [`InvalidData`](io::ErrorKind::InvalidData) if it is not UTF-8.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "text")?;
/// assert_eq!(fs::read_to_string(dir.join("a"))?, "text");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_to_string<P: AsRef<Path>>(path: P) -> io::Result<String> {
    run(path.as_ref(), |path| fs::read_to_string(path))
}

/// Writes a whole file: creates it if it is not there, and replaces what is in it if it is.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// The file is written all the same, unless the process ends first.
///
/// # Errors
///
/// Those of [`File::create`](super::File::create) and of writing.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "text")?;
/// assert_eq!(fs::read(dir.join("a"))?, b"text");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write<P: AsRef<Path>, C: AsRef<[u8]>>(path: P, contents: C) -> io::Result<()> {
    let contents = contents.as_ref();
    if !is_green() {
        return fs::write(path, contents);
    }
    let mut copy = Vec::new();
    copy.try_reserve_exact(contents.len())?;
    copy.extend_from_slice(contents);
    run(path.as_ref(), move |path| fs::write(path, copy))
}

/// Copies a file's contents and permissions, in one job, and returns how many bytes there were. What is at `to` is replaced.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// The file is copied all the same, unless the process ends first.
///
/// # Errors
///
/// What the system says; [`InvalidInput`](io::ErrorKind::InvalidInput) if `from` is no regular file.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "text")?;
/// assert_eq!(fs::copy(dir.join("a"), dir.join("b"))?, 4);
/// assert_eq!(fs::read(dir.join("b"))?, b"text");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn copy<P: AsRef<Path>, Q: AsRef<Path>>(from: P, to: Q) -> io::Result<u64> {
    run_two(from.as_ref(), to.as_ref(), |from, to| fs::copy(from, to))
}

/// Renames a file or directory. What is at `to` is replaced, in one step. Both have to be on one file system.
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
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "")?;
/// fs::rename(dir.join("a"), dir.join("b"))?;
/// assert!(fs::exists(dir.join("b"))? && !fs::exists(dir.join("a"))?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn rename<P: AsRef<Path>, Q: AsRef<Path>>(from: P, to: Q) -> io::Result<()> {
    run_two(from.as_ref(), to.as_ref(), |from, to| fs::rename(from, to))
}

/// Removes a file, or a symbolic link. Those who have it open keep it until they close it.
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
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "")?;
/// fs::remove_file(dir.join("a"))?;
/// assert!(!fs::exists(dir.join("a"))?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn remove_file<P: AsRef<Path>>(path: P) -> io::Result<()> {
    run(path.as_ref(), |path| fs::remove_file(path))
}

/// Makes a directory, of which all above are there.
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
/// Those of [`DirBuilder::create`].
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::create_dir(dir.join("a"))?;
/// assert!(fs::metadata(dir.join("a"))?.is_dir());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn create_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    DirBuilder::new().create(path)
}

/// Makes a directory and all above that are missing. It is no error if it is there.
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
/// Those of [`DirBuilder::create`]. Some of the directories may have been made.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::create_dir_all(dir.join("a/b/c"))?;
/// assert!(fs::metadata(dir.join("a/b/c"))?.is_dir());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn create_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

/// Removes an empty directory.
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
/// What the system says: [`DirectoryNotEmpty`](io::ErrorKind::DirectoryNotEmpty) and others.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::create_dir_all(dir.join("a/b"))?;
/// assert_eq!(fs::remove_dir(dir.join("a")).unwrap_err().kind(), std::io::ErrorKind::DirectoryNotEmpty);
/// fs::remove_dir(dir.join("a/b"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn remove_dir<P: AsRef<Path>>(path: P) -> io::Result<()> {
    run(path.as_ref(), |path| fs::remove_dir(path))
}

/// Removes a directory and all that is in it, in one job. Symbolic links are removed, not followed, also by whoever swaps one in
/// meanwhile.
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
/// What the system says. Some may have been removed.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::create_dir_all(dir.join("a/b"))?;
/// fs::write(dir.join("a/b/c"), "")?;
/// fs::remove_dir_all(dir.join("a"))?;
/// assert!(!fs::exists(dir.join("a"))?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn remove_dir_all<P: AsRef<Path>>(path: P) -> io::Result<()> {
    run(path.as_ref(), |path| fs::remove_dir_all(path))
}

/// Reads the entries of a directory, without `.` and `..`.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// Nothing is lost but the result.
///
/// # Errors
///
/// What the system says. What goes wrong later is among the entries.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "")?;
/// assert_eq!(fs::read_dir(dir)?.count(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_dir<P: AsRef<Path>>(path: P) -> io::Result<ReadDir> {
    ReadDir::open(path.as_ref())
}

/// Asks for what is known of a file or directory. Symbolic links are followed.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// Nothing is lost but the result.
///
/// # Errors
///
/// What the system says.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "abc")?;
/// assert_eq!(fs::metadata(dir.join("a"))?.len(), 3);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    run(path.as_ref(), |path| fs::metadata(path))
}

/// Asks for what is known of a file, a directory, or a symbolic link, which is not followed.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// Nothing is lost but the result.
///
/// # Errors
///
/// What the system says.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// std::os::unix::fs::symlink("nowhere", dir.join("a"))?;
/// assert!(fs::symlink_metadata(dir.join("a"))?.is_symlink());
/// assert!(fs::metadata(dir.join("a")).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn symlink_metadata<P: AsRef<Path>>(path: P) -> io::Result<Metadata> {
    run(path.as_ref(), |path| fs::symlink_metadata(path))
}

/// Says whether there is something at a path. Symbolic links are followed.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// Nothing is lost but the result.
///
/// # Errors
///
/// What the system says, if it cannot be told.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// assert!(fs::exists(dir)?);
/// assert!(!fs::exists(dir.join("a"))?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn exists<P: AsRef<Path>>(path: P) -> io::Result<bool> {
    run(path.as_ref(), |path| fs::exists(path))
}

/// Returns the path without symbolic links, from the root.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// Nothing is lost but the result.
///
/// # Errors
///
/// What the system says: also that there is nothing at the path.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// assert_eq!(fs::canonicalize("/../dev/./null")?, std::path::Path::new("/dev/null"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn canonicalize<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    run(path.as_ref(), |path| fs::canonicalize(path))
}

/// Gives a file a second name. Both have to be on one file system.
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
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "text")?;
/// fs::hard_link(dir.join("a"), dir.join("b"))?;
/// assert_eq!(fs::read(dir.join("b"))?, b"text");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn hard_link<P: AsRef<Path>, Q: AsRef<Path>>(original: P, link: Q) -> io::Result<()> {
    run_two(original.as_ref(), link.as_ref(), |original, link| fs::hard_link(original, link))
}

/// Makes a symbolic link.
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
/// # #![allow(deprecated)]
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::soft_link("nowhere", dir.join("a"))?;
/// assert_eq!(fs::read_link(dir.join("a"))?, std::path::Path::new("nowhere"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[deprecated(since = "0.1.0", note = "as in `std`: replaced with `std::os::unix::fs::symlink`")]
pub fn soft_link<P: AsRef<Path>, Q: AsRef<Path>>(original: P, link: Q) -> io::Result<()> {
    run_two(original.as_ref(), link.as_ref(), |original, link| std::os::unix::fs::symlink(original, link))
}

/// Returns where a symbolic link leads to.
///
/// # Suspension
///
/// Parks the green thread; blocks the OS thread outside the runtime.
///
/// # Cancellation
///
/// Nothing is lost but the result.
///
/// # Errors
///
/// What the system says: [`InvalidInput`](io::ErrorKind::InvalidInput) if it is no link, and others.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// std::os::unix::fs::symlink("nowhere", dir.join("a"))?;
/// assert_eq!(fs::read_link(dir.join("a"))?, std::path::Path::new("nowhere"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read_link<P: AsRef<Path>>(path: P) -> io::Result<PathBuf> {
    run(path.as_ref(), |path| fs::read_link(path))
}

/// Sets who may do what with a file or directory. Symbolic links are followed.
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
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "")?;
/// let mut permissions = fs::metadata(dir.join("a"))?.permissions();
/// permissions.set_readonly(true);
/// fs::set_permissions(dir.join("a"), permissions)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn set_permissions<P: AsRef<Path>>(path: P, perm: Permissions) -> io::Result<()> {
    run(path.as_ref(), move |path| fs::set_permissions(path, perm))
}
