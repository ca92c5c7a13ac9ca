//! Files and directories that park the green thread instead of blocking its worker.
//!
//! The types, functions, methods and errors are those of [`std::fs`]; what differs is said where it does. What is only data, such
//! as [`Metadata`], is `std`'s own type. Methods of `std`'s [`Path`](std::path::Path) that ask the system, such as
//! [`Path::exists`](std::path::Path::exists), block: use the functions here.
//!
//! # Suspension
//!
//! Reading what the system has in its cache takes one system call and suspends nothing. All else that may touch a disk runs
//! on a pool of OS threads, while the green thread is parked. FIFOs, terminals and other devices are waited for as sockets
//! are. On an OS thread outside the runtime everything blocks, as in `std`.
//!
//! # Cancellation
//!
//! An operation on an open file that has begun is not interrupted. What is done to a path goes on in the pool when its caller is
//! cancelled, and its result is lost.
//!
//! # Examples
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use sward_io::fs::{self, File};
//! use sward_runtime::thread;
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path().to_owned();
//! // A green thread for each file, on however many workers.
//! let writers: Vec<_> = (0..100)
//!     .map(|n| {
//!         let path = dir.join(n.to_string());
//!         thread::spawn(move || writeln!(File::create(path)?, "{n}"))
//!     })
//!     .collect();
//! for writer in writers {
//!     writer.join().unwrap()?;
//! }
//!
//! let sum = thread::spawn(move || {
//!     let mut sum = 0;
//!     for entry in fs::read_dir(dir)? {
//!         for line in BufReader::new(File::open(entry?.path())?).lines() {
//!             sum += line?.parse::<u32>().unwrap();
//!         }
//!     }
//!     std::io::Result::Ok(sum)
//! });
//! assert_eq!(sum.join().unwrap()?, 4950);
//! # Ok::<(), std::io::Error>(())
//! ```

mod buffer;
mod convert;
mod dir;
mod file;
mod handle;
mod lock;
mod options;
mod path;
mod transfer;
mod warmth;

pub(crate) use path::{run, run_two};

pub use dir::{DirBuilder, DirEntry, ReadDir};
pub use file::File;
pub use options::OpenOptions;
#[expect(deprecated, reason = "`std` has it")]
pub use path::soft_link;
pub use path::{
    canonicalize, copy, create_dir, create_dir_all, exists, hard_link, metadata, read, read_dir, read_link,
    read_to_string, remove_dir, remove_dir_all, remove_file, rename, set_permissions, symlink_metadata,
    write,
};
#[doc(no_inline)]
pub use std::fs::{FileTimes, FileType, Metadata, Permissions, TryLockError};
