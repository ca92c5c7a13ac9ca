//! What processes have on Unix, as [`std::os::unix::process`].
//!
//! # Invariants
//!
//! - **C1** What `pre_exec` is given runs between fork and exec, as `std` runs it: the caller's promise is passed on.
//!
//! # Checked by
//!
//! `tests/process.rs`.
#![expect(unsafe_code, reason = "`pre_exec` is unsafe to call")]

use std::{ffi::OsStr, io};

#[doc(no_inline)]
pub use std::os::unix::process::{ExitStatusExt, parent_id};

use sward_runtime::with_plain_slack;

use crate::process::Command;

/// Keeps others from implementing [`CommandExt`], so that it can grow as `std`'s does.
trait Sealed {}

impl Sealed for Command {}

/// What only Unix has of a [`Command`], as [`std::os::unix::process::CommandExt`].
///
/// # Examples
///
/// ```
/// use sward_io::{os::unix::process::CommandExt, process::Command};
///
/// let output = Command::new("sh").arg0("bee").args(["-c", "echo $0"]).output()?;
/// assert_eq!(output.stdout, b"bee\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[expect(private_bounds, reason = "it is to be implemented here only")]
pub trait CommandExt: Sealed {
    /// Sets the child's user.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::{os::unix::process::CommandExt, process::Command};
    ///
    /// Command::new("whoami").uid(65534).status()?; // needs the right to do so
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn uid(&mut self, id: u32) -> &mut Command;

    /// Sets the child's group.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::{os::unix::process::CommandExt, process::Command};
    ///
    /// Command::new("id").gid(65534).status()?; // needs the right to do so
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn gid(&mut self, id: u32) -> &mut Command;

    /// Adds a closure that the child runs just before it becomes the program. If it returns an error, so does
    /// [`spawn`](Command::spawn).
    ///
    /// # Safety
    ///
    /// As [`std`'s](std::os::unix::process::CommandExt::pre_exec): the child is a copy of this process with only the calling thread
    /// in it, so the closure may do nothing but what is safe in a signal handler. It may not allocate, take locks, or wait for
    /// anything, least of all as a green thread does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use sward_io::{os::unix::process::CommandExt, process::Command};
    ///
    /// let mut command = Command::new("true");
    /// // SAFETY: makes an error, which allocates nothing.
    /// unsafe { command.pre_exec(|| Err(io::ErrorKind::PermissionDenied.into())) };
    /// assert!(command.status().is_err());
    /// ```
    unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Command
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static;

    /// Becomes the program: this process runs it from now on, and nothing else of it is left, no thread and no destructor.
    /// Returns only if that fails.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::{os::unix::process::CommandExt, process::Command};
    ///
    /// let error = Command::new("/no/such/program").exec();
    /// panic!("it could not be started: {error}");
    /// ```
    fn exec(&mut self) -> io::Error;

    /// Sets the name under which the child finds itself called, in place of the program's.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::{os::unix::process::CommandExt, process::Command};
    ///
    /// assert!(Command::new("true").arg0("something else").status()?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command;

    /// Sets the child's process group; zero for one of its own, which signals from the terminal do not reach.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::{os::unix::process::CommandExt, process::Command};
    ///
    /// let mut child = Command::new("true").process_group(0).spawn()?;
    /// assert!(child.wait()?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn process_group(&mut self, pgroup: i32) -> &mut Command;
}

impl CommandExt for Command {
    fn uid(&mut self, id: u32) -> &mut Command {
        std::os::unix::process::CommandExt::uid(self.inner(), id);
        self
    }

    fn gid(&mut self, id: u32) -> &mut Command {
        std::os::unix::process::CommandExt::gid(self.inner(), id);
        self
    }

    unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Command
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: the caller's contract (C1).
        unsafe { std::os::unix::process::CommandExt::pre_exec(self.inner(), f) };
        self
    }

    fn exec(&mut self) -> io::Error {
        with_plain_slack(|| std::os::unix::process::CommandExt::exec(self.inner()))
    }

    fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        std::os::unix::process::CommandExt::arg0(self.inner(), arg);
        self
    }

    fn process_group(&mut self, pgroup: i32) -> &mut Command {
        std::os::unix::process::CommandExt::process_group(self.inner(), pgroup);
        self
    }
}
