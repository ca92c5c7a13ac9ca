//! An open file: the operations other than transfers and locks.
//!
//! # Roles
//!
//! Any number of green threads and OS threads may use one file, as in `std`.
//!
//! # Suspension
//!
//! Each operation is one job in the pool. `open` may wait for somebody else, so it can be cancelled; the others last as long as a disk
//! does, and cannot, as in the kernel itself.
//!
//! # Rejected
//!
//! - *Closing in the pool.* Whoever drops a lock, or the last writer of a FIFO, counts on its being gone.
//!
//! # Checked by
//!
//! `tests/fs_file.rs`, `tests/fs_special.rs`.

use std::{
    fmt,
    fs::{self, FileTimes, Metadata, Permissions},
    io::{self, IsTerminal},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use sward_runtime::cancel;

use super::{OpenOptions, handle::Handle};
use crate::source::Source;

/// An open file, as [`std::fs::File`].
///
/// It is read and written through [`Read`](io::Read), [`Write`](io::Write) and [`Seek`](io::Seek), also through a shared
/// reference; and at offsets through [`std::os::unix::fs::FileExt`]. Clones share one position. Errors and results are
/// `std`'s. What only `std` can have: a file in an [`Arc`] is read through `&*file`.
///
/// What is written is handed to the system by each write, whose error it is, and nothing is read ahead: as in `std` there is no
/// buffer. Wrap a file in a [`BufReader`](io::BufReader) or [`BufWriter`](io::BufWriter) to have one.
///
/// A file is closed when it is dropped, on the spot, and errors of that are ignored.
///
/// # Suspension
///
/// Reading what the system has in its cache takes one system call and suspends nothing. What may have to wait for a disk is
/// done on the pool of OS threads that [`unblock`](sward_runtime::unblock) runs closures on, and parks the green thread meanwhile. So is every other
/// operation that may touch the disk. Files in memory (tmpfs) are read and written on the spot.
///
/// A FIFO, a terminal or another device waits for somebody else: reading and writing parks the green thread until it is
/// ready, as with a socket, and does not occupy the pool.
///
/// On an OS thread outside the runtime an operation blocks, as `std`'s.
///
/// # Cancellation
///
/// An operation on a disk that has begun is not interrupted: the cancellation takes effect at the next wait, so the position
/// and the contents are what the program knows of. A wait for a FIFO, a terminal or a device ends, and nothing is lost:
/// nothing had been read, and nothing written. For locks see [`lock`](Self::lock).
///
/// # Errors
///
/// Those of `std`. Besides, an operation on a FIFO, a terminal or a device fails with
/// [`RuntimeClosed`](crate::RuntimeClosed) inside once the runtime has ended in which it has first waited.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use sward_io::fs::File;
///
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("greeting");
/// let mut file = File::create(&path)?;
/// file.write_all(b"Hello, world!")?;
///
/// let mut greeting = String::new();
/// File::open(&path)?.read_to_string(&mut greeting)?;
/// assert_eq!(greeting, "Hello, world!");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct File {
    /// A descriptor that is registered with the reactor only if it is a stream that has to be waited for.
    source: Source<Arc<Handle>>,
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime). A FIFO is open once somebody has opened it for
    /// writing; until then the call occupies a thread of the pool.
    ///
    /// # Cancellation
    ///
    /// The file is closed once it is open.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// assert_eq!(File::open(&path).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    /// File::create(&path)?;
    /// assert!(File::open(&path)?.metadata()?.is_file());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn open<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing, creates it if it is not there, and empties it if it is.
    ///
    /// # Suspension
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancellation
    ///
    /// The file is created or emptied all the same.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use sward_io::fs::{self, File};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// fs::write(&path, "something long")?;
    /// File::create(&path)?.write_all(b"short")?;
    /// assert_eq!(fs::read(&path)?, b"short");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Creates a file, which must not be there yet, and opens it for reading and writing.
    ///
    /// # Suspension
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancellation
    ///
    /// The file is created all the same.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists); those of [`OpenOptions::open`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// File::create_new(&path)?;
    /// assert_eq!(File::create_new(&path).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create_new<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Returns options to open a file with: [`OpenOptions::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// File::options().append(true).create(true).open(&path)?.write_all(b"one more\n")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Waits until all that was written, and the metadata, are on the disk.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime), as do most operations here.
    ///
    /// # Errors
    ///
    /// What the system says: also errors of writing back that nobody has been told of.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let mut file = File::create(&path)?;
    /// file.write_all(b"precious")?;
    /// file.sync_all()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn sync_all(&self) -> io::Result<()> {
        self.run(|file| file.sync_all())
    }

    /// Waits until all that was written is on the disk, and as much of the metadata as is needed to read it.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let mut file = File::create(&path)?;
    /// file.write_all(b"precious")?;
    /// file.sync_data()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn sync_data(&self) -> io::Result<()> {
        self.run(|file| file.sync_data())
    }

    /// Cuts the file off at this length, or fills it up with zeros. The position stays.
    ///
    /// # Errors
    ///
    /// What the system says; [`InvalidInput`](io::ErrorKind::InvalidInput) for a length that it cannot express.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::{self, File};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// File::create(&path)?.set_len(4)?;
    /// assert_eq!(fs::read(&path)?, [0; 4]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.run(move |file| file.set_len(size))
    }

    /// Asks for what is known of the file.
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
    /// let metadata = File::create(&path)?.metadata()?;
    /// assert!(metadata.is_file() && metadata.len() == 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.run(|file| file.metadata())
    }

    /// Creates another handle to the same open file: a descriptor of its own, with the same position.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Seek, Write};
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let mut file = File::create_new(&path)?;
    /// let mut clone = file.try_clone()?;
    /// file.write_all(b"over there")?;
    /// assert_eq!(clone.stream_position()?, 10);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::new(self.handle().try_clone()?))
    }

    /// Sets who may do what with the file.
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
    /// let mut permissions = file.metadata()?.permissions();
    /// permissions.set_readonly(true);
    /// file.set_permissions(permissions)?;
    /// assert!(file.metadata()?.permissions().readonly());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_permissions(&self, perm: Permissions) -> io::Result<()> {
        self.run(move |file| file.set_permissions(perm))
    }

    /// Sets when the file was last read and changed, as far as `times` says.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{fs::FileTimes, time::SystemTime};
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let file = File::create(&path)?;
    /// file.set_times(FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH))?;
    /// assert_eq!(file.metadata()?.accessed()?, SystemTime::UNIX_EPOCH);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_times(&self, times: FileTimes) -> io::Result<()> {
        self.run(move |file| file.set_times(times))
    }

    /// Sets when the file was last changed.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use sward_io::fs::File;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let file = File::create(&path)?;
    /// file.set_modified(SystemTime::UNIX_EPOCH)?;
    /// assert_eq!(file.metadata()?.modified()?, SystemTime::UNIX_EPOCH);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time))
    }

    /// Whether this is a terminal, as [`io::IsTerminal`](crate::io::IsTerminal) says too.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!sward_io::fs::File::open("/dev/null")?.is_terminal());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.handle().file().is_terminal()
    }

    pub(super) fn new(handle: Handle) -> Self {
        Self { source: Source::new(Arc::new(handle)) }
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        self.source.io()
    }

    pub(super) fn source(&self) -> &Source<Arc<Handle>> {
        &self.source
    }

    /// Gives the file up to `std`.
    pub(super) fn release(self) -> fs::File {
        let handle = Arc::clone(self.source.io());
        // Deregistered while the descriptor is still open.
        drop(self.source);
        Arc::into_inner(handle).expect("whoever owns a file alone owns its handle alone (I1)").release()
    }

    /// Runs an operation that takes as long as a disk does.
    pub(super) fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&fs::File) -> T + Send + 'static,
    ) -> T {
        // Once it has begun it is not cancelled.
        cancel::check();
        self.handle().run(operation)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle().file().fmt(f)
    }
}
