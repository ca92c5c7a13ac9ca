//! A child process: waiting for its end, killing it, its streams.
//!
//! # States
//!
//! A process runs, 1 has ended and is there to be asked (a zombie), and 2 has been reaped by [`Process::look`]. From then on
//! `std` remembers its status, and no system call about it is made (P1 of `mod.rs`).
//!
//! # Suspension
//!
//! Every wait suspends, and so does the drop of a child that is to be killed.
//!
//! # Rejected
//!
//! - *A handler for `SIGCHLD`.* It is the process's, signals are merged, and all children must be looked at each time.
//! - *A thread that waits, for each child or for all.* A thread too many; and waiting for all takes away children that are not ours.
//! - *The pidfd kept from the first wait to the last.* It would be bound to the runtime of the first.
//!
//! # Checked by
//!
//! `tests/process.rs`.
//!
//! # Sources
//!
//! pidfd_open(2), waitid(2).

use std::{
    io::{self, Read},
    os::fd::OwnedFd,
    process::{ExitStatus, Output},
    time::{Duration, Instant},
};

use sward_runtime::{budget, cancel, thread};

use super::{ChildStderr, ChildStdin, ChildStdout};
use crate::{
    options::deadline_in,
    source::{Operation, Source},
};

/// Where the kernel has no pidfd to give, the child is looked at again after so long; the time doubles with each look.
const FIRST_LOOK: Duration = Duration::from_millis(1);

/// The longest time between looks.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// A child process, running or ended: as [`std::process::Child`].
///
/// A child that is dropped runs on, as in `std`; and as in `std`, when it ends it stays in the system's table of processes, as a
/// zombie, until this process ends too. So wait for every child, or have it killed and reaped with
/// [`kill_on_drop`](Self::kill_on_drop).
///
/// # Examples
///
/// ```
/// use sward_io::process::Command;
///
/// let mut child = Command::new("sleep").arg("3600").spawn()?;
/// assert_eq!(child.try_wait()?, None);
/// child.kill()?;
/// assert!(!child.wait()?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Child {
    /// The child's standard input, if it is a pipe.
    pub stdin: Option<ChildStdin>,
    /// The child's standard output, if it is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The child's standard error, if it is a pipe.
    pub stderr: Option<ChildStderr>,
    // A value of its own, so that the streams can be moved out of a child, which a type with a destructor would not allow.
    process: Process,
}

/// The process itself, and what is to become of it.
#[derive(Debug)]
struct Process {
    child: std::process::Child,
    kill_on_drop: bool,
}

impl Child {
    pub(super) fn new(child: std::process::Child, kill_on_drop: bool) -> Self {
        let mut child = Self::from(child);
        child.process.kill_on_drop = kill_on_drop;
        child
    }

    /// Returns the number of the process. It belongs to it until it has been waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::{self, Command};
    ///
    /// let mut child = Command::new("true").spawn()?;
    /// assert_ne!(child.id(), process::id());
    /// child.wait()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Ends the child with `SIGKILL`. That it has ended already is no error.
    ///
    /// It is not waited for: to do that is still up to the caller.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::process::ExitStatusExt;
    /// use sward_io::process::Command;
    ///
    /// let mut child = Command::new("sleep").arg("3600").spawn()?;
    /// child.kill()?;
    /// assert_eq!(child.wait()?.signal(), Some(9));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.child.kill()
    }

    /// Sets whether the child is killed, and reaped, if it is dropped before it has been waited for. At first it is not.
    ///
    /// With [`Command::kill_on_drop`](super::Command::kill_on_drop) it is so from the start. Nothing is dropped when this process
    /// ends, so then the child runs on.
    ///
    /// # Suspension
    ///
    /// The drop parks the green thread (blocks the OS thread outside the runtime) until the child is gone, which after a
    /// `SIGKILL` is soon.
    ///
    /// # Cancellation
    ///
    /// That wait is not cancelled: when the runtime ends, the children go before it.
    ///
    /// # Panics
    ///
    /// The drop, inside of [`no_suspend`](sward_runtime::thread::no_suspend).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// let mut child = Command::new("sleep").arg("3600").spawn()?;
    /// child.kill_on_drop(true);
    /// drop(child); // does not take an hour
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) {
        self.process.kill_on_drop = kill_on_drop;
    }

    /// Waits for the end of the child, and returns its status; later calls return the same.
    ///
    /// The child's standard input is closed first if it is still there, so that the two do not wait for each other.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until the child has ended.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the child can be waited for again.
    ///
    /// # Errors
    ///
    /// What the system says: for one that somebody else has waited for it, which happens if `SIGCHLD` is ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn()?;
    /// assert_eq!(child.wait()?.code(), Some(7));
    /// assert_eq!(child.wait()?.code(), Some(7));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.process.wait()
    }

    /// As [`wait`](Self::wait), for at most `timeout`: `None` if the child is still running then.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until the child has ended or the time is up.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the child can be waited for again.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_io::process::Command;
    ///
    /// let mut child = Command::new("sleep").arg("3600").spawn()?;
    /// if child.wait_timeout(Duration::from_millis(10))?.is_none() {
    ///     child.kill()?;
    /// }
    /// assert!(!child.wait()?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        drop(self.stdin.take());
        self.process.wait_until(deadline_in(timeout))
    }

    /// Returns the child's status if it has ended, without waiting. Its standard input stays as it is.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::{Command, Stdio};
    ///
    /// let mut child = Command::new("cat").stdin(Stdio::piped()).spawn()?;
    /// assert_eq!(child.try_wait()?, None);
    /// let status = child.wait()?;
    /// assert_eq!(child.try_wait()?, Some(status));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        budget::spend();
        self.process.look()
    }

    /// Waits for the end of the child, and collects all that it writes to those of its streams that are pipes and still there.
    ///
    /// Both are read at once, so however much the child writes to either, it is not held up. The child's standard input is
    /// closed first.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until the streams and the child have ended. A process that
    /// the child leaves behind, with its streams, is waited for as well.
    ///
    /// # Cancellation
    ///
    /// What was collected is lost, and the child is dropped.
    ///
    /// # Errors
    ///
    /// Those of reading and of [`wait`](Self::wait); and, if both streams are pipes, that no second green thread could be started to
    /// read them.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::{Command, Stdio};
    ///
    /// let mut command = Command::new("sh");
    /// command.args(["-c", "echo out; echo err >&2"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    /// let output = command.spawn()?.wait_with_output()?;
    /// assert!(output.status.success());
    /// assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = match (self.stdout.take(), self.stderr.take()) {
            (None, None) => (Vec::new(), Vec::new()),
            (Some(stdout), None) => (read_all(stdout)?, Vec::new()),
            (None, Some(stderr)) => (Vec::new(), read_all(stderr)?),
            (Some(stdout), Some(stderr)) => read_both(stdout, stderr)?,
        };
        let status = self.wait()?;
        Ok(Output { status, stdout, stderr })
    }
}

/// All that is left of a stream.
fn read_all(mut stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All that is left of two streams, one of which is read by a green thread of its own.
fn read_both(stdout: ChildStdout, stderr: ChildStderr) -> io::Result<(Vec<u8>, Vec<u8>)> {
    /// Ends the second one with the first, for whose sake the scope would wait for the child.
    struct Ending(thread::Thread);
    impl Drop for Ending {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    thread::scope(|scope| {
        let second = thread::Builder::new().spawn_scoped(scope, || read_all(stderr))?;
        let _ending = Ending(second.thread().clone());
        let stdout = read_all(stdout)?;
        match second.join() {
            Ok(stderr) => Ok((stdout, stderr?)),
            Err(payload) => std::panic::resume_unwind(payload),
        }
    })
}

impl Process {
    fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.wait_until(None)? {
                return Ok(status);
            }
        }
    }

    /// Waits with a pidfd of its own (P2). `None`: the deadline has passed.
    fn wait_until(&mut self, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        budget::spend();
        if let Some(status) = self.look()? {
            return Ok(Some(status));
        }
        let Ok(pidfd) = self.pidfd() else { return self.look_until(deadline) };
        let attempt = |_: &OwnedFd| self.look()?.ok_or_else(|| io::ErrorKind::WouldBlock.into());
        match Source::new(pidfd).run(Operation::CHILD.until(deadline), attempt, |_| false) {
            Ok(status) => Ok(Some(status)),
            // The time is up; but the kernel may not have told the reactor yet.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.look(),
            // Where nothing unwinds: a cancellation or a deadline from outside has ended the wait.
            Err(_) if cancel::is_due() => Err(cancel::fail()),
            // Either the look has failed, and will do so again, or the reactor takes no more.
            Err(_) => self.look_until(deadline),
        }
    }

    /// Waits without a pidfd: before Linux 5.3, behind a filter that does not know it, or without descriptors left.
    #[cold]
    fn look_until(&mut self, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        let mut pause = FIRST_LOOK;
        loop {
            if let Some(status) = self.look()? {
                return Ok(Some(status));
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(None);
            }
            thread::sleep(deadline.map_or(pause, |deadline| pause.min(deadline - now)));
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// (2) Reaps the process if it has ended (P1).
    fn look(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// A descriptor of the process, which becomes readable when that has ended. The process has not been reaped, so its number is
    /// still its own.
    #[cfg(target_os = "linux")]
    fn pidfd(&self) -> io::Result<OwnedFd> {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};

        Ok(pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?)
    }

    #[cfg(not(target_os = "linux"))]
    fn pidfd(&self) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kill_on_drop && self.child.kill().is_ok() {
            // An error: somebody else has reaped it.
            let _ = cancel::shield(|| self.wait());
        }
    }
}

/// Takes over a child that `std` has started: its streams park from now on.
impl From<std::process::Child> for Child {
    fn from(mut child: std::process::Child) -> Self {
        Self {
            stdin: child.stdin.take().map(ChildStdin::from),
            stdout: child.stdout.take().map(ChildStdout::from),
            stderr: child.stderr.take().map(ChildStderr::from),
            process: Process { child, kill_on_drop: false },
        }
    }
}
