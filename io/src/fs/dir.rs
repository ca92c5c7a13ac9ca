//! Directories: making them, and reading what is in them.
//!
//! Entries are fetched from the pool in batches, each with what the system says of its kind, so that a walk through a
//! directory parks once in a while and not at every step.
//!
//! # Suspension
//!
//! Fetching suspends, and is not cancelled: the iterator travels to the pool and back.
//!
//! # Checked by
//!
//! `tests/fs_dir.rs`.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    fs::{self, FileType, Metadata},
    io,
    os::unix::fs::{DirBuilderExt, DirEntryExt},
    panic::{RefUnwindSafe, UnwindSafe},
    path::{Path, PathBuf},
    sync::Arc,
};

use sward_runtime::{cancel, is_green, unblock};

/// How many entries are fetched at once.
const BATCH: usize = 128;

/// The entries of a directory, as [`std::fs::ReadDir`]: see [`read_dir`](super::read_dir).
///
/// The entries `.` and `..` are left out. In which order the others come, and whether those that come and go meanwhile
/// are among them, is up to the system.
///
/// # Suspension
///
/// Entries are fetched in batches: now and then `next` parks the green thread until there are more. Outside the runtime it
/// blocks the OS thread.
///
/// # Cancellation
///
/// No entry is lost.
///
/// # Examples
///
/// ```
/// use sward_io::fs;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// for name in ["a", "b", "c"] {
///     fs::write(dir.join(name), name)?;
/// }
/// let mut names = fs::read_dir(dir)?
///     .map(|entry| entry.map(|entry| entry.file_name()))
///     .collect::<Result<Vec<_>, _>>()?;
/// names.sort();
/// assert_eq!(names, ["a", "b", "c"]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ReadDir {
    path: PathBuf,
    fetched: Fetched,
}

// As `std`'s: a panic leaves no entry half fetched.
impl UnwindSafe for ReadDir {}
impl RefUnwindSafe for ReadDir {}

/// What has been fetched, and from where there is more. It travels.
#[derive(Default)]
struct Fetched {
    batch: VecDeque<io::Result<DirEntry>>,
    /// `None`: there is no more.
    rest: Option<fs::ReadDir>,
}

impl Fetched {
    /// Fetches entries, up to the first that is an error.
    fn fetch(&mut self, most: usize) {
        while self.batch.len() < most {
            let Some(entry) = self.rest.as_mut().and_then(Iterator::next) else {
                self.rest = None;
                return;
            };
            let is_error = entry.is_err();
            self.batch.push_back(entry.map(DirEntry::new));
            if is_error {
                return;
            }
        }
    }
}

impl ReadDir {
    /// Opens a directory and fetches the first entries.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if !is_green() {
            let fetched = Fetched { rest: Some(fs::read_dir(path)?), ..Fetched::default() };
            return Ok(Self { path: path.to_owned(), fetched });
        }
        cancel::check();
        let path = path.to_owned();
        unblock(move || {
            let mut fetched = Fetched { rest: Some(fs::read_dir(&path)?), ..Fetched::default() };
            fetched.fetch(BATCH);
            Ok(Self { path, fetched })
        })
    }

    #[cold]
    fn fetch(&mut self) {
        if !is_green() {
            return self.fetched.fetch(1);
        }
        cancel::check();
        let mut travelling = std::mem::take(&mut self.fetched);
        self.fetched = cancel::shield(|| {
            unblock(move || {
                travelling.fetch(BATCH);
                travelling
            })
        });
    }
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        if self.fetched.batch.is_empty() && self.fetched.rest.is_some() {
            self.fetch();
        }
        self.fetched.batch.pop_front()
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadDir").field(&self.path).finish()
    }
}

/// An entry of a directory, as [`std::fs::DirEntry`].
///
/// What is there on Unix only is told through [`std::os::unix::fs::DirEntryExt`].
///
/// # Examples
///
/// ```
/// use std::os::unix::fs::{DirEntryExt, MetadataExt};
/// use sward_io::fs::{self, DirEntry};
///
/// fn describe(entry: &DirEntry) -> std::io::Result<String> {
///     Ok(format!("{}: {} bytes", entry.path().display(), entry.metadata()?.len()))
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// fs::write(dir.join("a"), "abc")?;
/// let entry = fs::read_dir(dir)?.next().expect("there is one")?;
/// assert!(describe(&entry)?.ends_with("/a: 3 bytes"));
/// assert_eq!(entry.ino(), entry.metadata()?.ino());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct DirEntry {
    entry: Arc<fs::DirEntry>,
    /// As far as the system could say.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn new(entry: fs::DirEntry) -> Self {
        Self { file_type: entry.file_type().ok(), entry: Arc::new(entry) }
    }

    /// Returns the path: that of the directory, as it was given, and the name.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// fs::write(dir.join("a"), "")?;
    /// let entry = fs::read_dir(dir)?.next().expect("there is one")?;
    /// assert_eq!(entry.path(), dir.join("a"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// Asks for what is known of the entry. A symbolic link is not followed.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks the OS thread outside the runtime.
    ///
    /// # Errors
    ///
    /// What the system says: also that the entry is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// fs::write(dir.join("a"), "abc")?;
    /// let entry = fs::read_dir(dir)?.next().expect("there is one")?;
    /// assert_eq!(entry.metadata()?.len(), 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metadata(&self) -> io::Result<Metadata> {
        if !is_green() {
            return self.entry.metadata();
        }
        cancel::check();
        let entry = Arc::clone(&self.entry);
        unblock(move || entry.metadata())
    }

    /// Returns the kind of the entry: that which it was when it was fetched. A symbolic link is not followed.
    ///
    /// # Suspension
    ///
    /// Returns at once, unless the kind could not be had with the entry.
    ///
    /// # Errors
    ///
    /// What the system says, as for [`metadata`](Self::metadata).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// fs::create_dir(dir.join("a"))?;
    /// let entry = fs::read_dir(dir)?.next().expect("there is one")?;
    /// assert!(entry.file_type()?.is_dir());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None => self.metadata().map(|metadata| metadata.file_type()),
        }
    }

    /// Returns the name, without the directory.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::fs;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// fs::write(dir.join("a"), "")?;
    /// let entry = fs::read_dir(dir)?.next().expect("there is one")?;
    /// assert_eq!(entry.file_name(), "a");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }
}

impl DirEntryExt for DirEntry {
    fn ino(&self) -> u64 {
        self.entry.ino()
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

/// How directories are to be made, as [`std::fs::DirBuilder`].
///
/// What is there on Unix only is set through [`std::os::unix::fs::DirBuilderExt`].
///
/// # Examples
///
/// ```
/// use std::os::unix::fs::DirBuilderExt;
/// use sward_io::fs::DirBuilder;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// DirBuilder::new().recursive(true).mode(0o700).create(dir.join("a/b/c"))?;
/// assert!(dir.join("a/b/c").is_dir());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct DirBuilder {
    recursive: bool,
    /// `std`'s own if `None`.
    mode: Option<u32>,
}

impl DirBuilder {
    /// Creates a builder of single directories, with the permissions that are usual on the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// sward_io::fs::DirBuilder::new().create(dir.join("a"))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[expect(clippy::new_without_default, reason = "`std`'s has no default either")]
    #[must_use]
    pub fn new() -> Self {
        Self { recursive: false, mode: None }
    }

    /// Sets whether to make the directories above that are missing too. Then it is no error if the directory is there.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// sward_io::fs::DirBuilder::new().recursive(true).create(dir.join("a/b"))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.recursive = recursive;
        self
    }

    /// Makes a directory.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks the OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The directory is made all the same.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists), [`NotFound`](io::ErrorKind::NotFound) for the one above, and others.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use sward_io::fs::DirBuilder;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let dir = dir.path();
    /// let builder = DirBuilder::new();
    /// builder.create(dir.join("a"))?;
    /// assert_eq!(builder.create(dir.join("a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(self.recursive);
        if let Some(mode) = self.mode {
            builder.mode(mode);
        }
        super::run(path.as_ref(), move |path| builder.create(path))
    }
}

impl DirBuilderExt for DirBuilder {
    fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = Some(mode);
        self
    }
}
