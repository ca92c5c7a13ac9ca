//! How a file is to be opened.
//!
//! # Suspension
//!
//! `open` is one job in the pool, which also looks what was opened. It is cancelled like any wait, since a FIFO may never open.
//!
//! # Checked by
//!
//! `tests/fs_file.rs`, `tests/fs_special.rs`, `tests/fs_cancel.rs`.

use std::{fmt, fs, io, os::unix::fs::OpenOptionsExt, path::Path};

use sward_runtime::{cancel, is_green, unblock};

use super::{File, handle::Handle};

/// How a file is to be opened, as [`std::fs::OpenOptions`].
///
/// What is there on Unix only is set through [`std::os::unix::fs::OpenOptionsExt`].
///
/// # Examples
///
/// ```
/// use std::{io::Write, os::unix::fs::OpenOptionsExt};
/// use sward_io::fs::{self, OpenOptions};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("file");
/// let mut log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
/// log.write_all(b"started\n")?;
/// assert_eq!(fs::read_to_string(&path)?, "started\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct OpenOptions(fs::OpenOptions);

impl OpenOptions {
    /// Creates options that say nothing: not even whether to read or to write.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::OpenOptions;
    ///
    /// let devices = OpenOptions::new().read(true).open("/dev")?;
    /// assert!(devices.metadata()?.is_dir());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[expect(clippy::new_without_default, reason = "`std`'s has no default either")]
    #[must_use]
    pub fn new() -> Self {
        Self(fs::OpenOptions::new())
    }

    /// Sets whether to read.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    /// use sward_io::fs::OpenOptions;
    ///
    /// let mut nothing = OpenOptions::new().read(true).open("/dev/null")?;
    /// assert_eq!(nothing.read(&mut [0])?, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.0.read(read);
        self
    }

    /// Sets whether to write. What is there is overwritten, not cut off.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use sward_io::fs::OpenOptions;
    ///
    /// let mut nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    /// nowhere.write_all(b"gone")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.0.write(write);
        self
    }

    /// Sets whether each write goes to what is the end of the file by then. Implies writing.
    ///
    /// A write is appended in one piece, whoever else appends.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use sward_io::fs::{self, OpenOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// fs::write(&path, "one,")?;
    /// OpenOptions::new().append(true).open(&path)?.write_all(b"two")?;
    /// assert_eq!(fs::read(&path)?, b"one,two");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.0.append(append);
        self
    }

    /// Sets whether to empty the file. It has to be opened for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::{self, OpenOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// fs::write(&path, "old")?;
    /// OpenOptions::new().write(true).truncate(true).open(&path)?;
    /// assert!(fs::read(&path)?.is_empty());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.0.truncate(truncate);
        self
    }

    /// Sets whether to create the file if it is not there. It has to be opened for writing or appending.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::OpenOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// OpenOptions::new().write(true).create(true).open(&path)?;
    /// assert!(path.exists());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.0.create(create);
        self
    }

    /// Sets whether to create the file, which must not be there yet, not even as a symbolic link. Overrides
    /// [`create`](Self::create) and [`truncate`](Self::truncate).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs::OpenOptions;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// let mut options = OpenOptions::new();
    /// options.write(true).create_new(true);
    /// options.open(&path)?;
    /// assert_eq!(options.open(&path).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.0.create_new(create_new);
        self
    }

    /// Opens a file.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime). A FIFO is open once somebody has opened its other
    /// end; until then the call occupies a thread of the pool.
    ///
    /// # Cancellation
    ///
    /// The file is opened all the same, and if need be created or emptied, and then closed.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::OpenOptions::open`]: [`NotFound`](io::ErrorKind::NotFound),
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied), [`AlreadyExists`](io::ErrorKind::AlreadyExists),
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for options that make no sense together, and others.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use sward_io::fs::OpenOptions;
    ///
    /// let error = OpenOptions::new().read(true).open("/no/such/file").unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::NotFound);
    /// let error = OpenOptions::new().read(true).truncate(true).open("/dev/null").unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    /// ```
    pub fn open<P: AsRef<Path>>(&self, path: P) -> io::Result<File> {
        let path = path.as_ref();
        let handle = if is_green() {
            cancel::check();
            let (options, path) = (self.0.clone(), path.to_owned());
            unblock(move || options.open(path).map(Handle::open))?
        } else {
            // Looked at when it is first used on a green thread, if ever.
            Handle::adopt(self.0.open(path)?)
        };
        Ok(File::new(handle))
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl OpenOptionsExt for OpenOptions {
    fn mode(&mut self, mode: u32) -> &mut Self {
        self.0.mode(mode);
        self
    }

    fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.0.custom_flags(flags);
        self
    }
}
