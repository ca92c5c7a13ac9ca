//! How a process is started: `std`'s builder, whose children park whoever waits for them.
//!
//! # Suspension
//!
//! `spawn` may yield before it begins. `status` and `output` wait.
//!
//! # Rejected
//!
//! - *To start processes on the pool of OS threads.* The half millisecond is spent once, by a thread whose attributes the child
//!   inherits (see `mod.rs`); and a `spawn` that is cancelled there would leave a child of which nobody knows.
//!
//! # Checked by
//!
//! `tests/process.rs`.

use std::{
    ffi::OsStr,
    fmt, io,
    path::Path,
    process::{CommandArgs, CommandEnvs, ExitStatus, Output, Stdio},
};

use sward_runtime::{budget, with_plain_slack};

use super::Child;

/// A builder of child processes, as [`std::process::Command`]: the methods have the same names and meaning.
///
/// What only Unix has is in [`CommandExt`](crate::os::unix::process::CommandExt), as in `std`. A command can be used several times.
///
/// # Examples
///
/// ```
/// use sward_io::process::Command;
///
/// let output = Command::new("sh").arg("-c").arg("echo $GREETING").env("GREETING", "over and out").output()?;
/// assert_eq!(output.stdout, b"over and out\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Command {
    inner: std::process::Command,
    /// Which streams the user has set: the defaults of `spawn` and `output` differ.
    is_set: Streams,
    kill_on_drop: bool,
}

/// A flag for each of the standard streams.
#[derive(Clone, Copy, Default)]
struct Streams {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Command {
    /// Begins a command that runs `program`, which is looked up in `PATH` unless it has a slash in it.
    ///
    /// Without more, the child has no arguments, and inherits environment, working directory and streams.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// assert!(Command::new("true").status()?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new<S: AsRef<OsStr>>(program: S) -> Self {
        Self::from(std::process::Command::new(program))
    }

    /// Adds an argument, which no shell takes apart.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// assert_eq!(Command::new("echo").arg("a  b").output()?.stdout, b"a  b\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Self {
        self.inner.arg(arg);
        self
    }

    /// Adds arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// assert_eq!(Command::new("printf").args(["%s-%s", "a", "b"]).output()?.stdout, b"a-b");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn args<I, S>(&mut self, args: I) -> &mut Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.inner.args(args);
        self
    }

    /// Sets a variable of the child's environment.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// assert_eq!(Command::new("sh").args(["-c", "echo $A"]).env("A", "1").output()?.stdout, b"1\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn env<K, V>(&mut self, key: K, val: V) -> &mut Self
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.inner.env(key, val);
        self
    }

    /// Sets variables of the child's environment.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// let mut command = Command::new("sh");
    /// command.args(["-c", "echo $A$B"]).envs([("A", "1"), ("B", "2")]);
    /// assert_eq!(command.output()?.stdout, b"12\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.inner.envs(vars);
        self
    }

    /// Removes a variable from the child's environment, set or inherited.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// let mut command = Command::new("sh");
    /// command.args(["-c", "echo ${A:-unset}"]).env("A", "1").env_remove("A");
    /// assert_eq!(command.output()?.stdout, b"unset\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Self {
        self.inner.env_remove(key);
        self
    }

    /// Empties the child's environment: it inherits nothing, and what was set before is forgotten.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// assert_eq!(Command::new("/usr/bin/env").env_clear().env("A", "1").output()?.stdout, b"A=1\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn env_clear(&mut self) -> &mut Self {
        self.inner.env_clear();
        self
    }

    /// Sets the child's working directory.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// assert_eq!(Command::new("pwd").current_dir("/").output()?.stdout, b"/\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Self {
        self.inner.current_dir(dir);
        self
    }

    /// Sets the child's standard input. If not set, it is inherited, but for [`output`](Self::output), which gives it none.
    ///
    /// Apart from [`Stdio`] itself, it may be a descriptor: a file, an end of a [`pipe`](crate::io::pipe), a stream of another child.
    /// The child finds it in blocking mode.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use sward_io::process::{Command, Stdio};
    ///
    /// let mut child = Command::new("wc").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    /// child.stdin.take().expect("piped").write_all(b"four")?;
    /// assert_eq!(child.wait_with_output()?.stdout, b"4\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stdin<T: Into<Stdio>>(&mut self, stdin: T) -> &mut Self {
        self.is_set.stdin = true;
        self.inner.stdin(stdin);
        self
    }

    /// Sets the child's standard output. If not set, it is inherited, but for [`output`](Self::output), which collects it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::{Command, Stdio};
    ///
    /// assert!(Command::new("echo").arg("unheard").stdout(Stdio::null()).status()?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stdout<T: Into<Stdio>>(&mut self, stdout: T) -> &mut Self {
        self.is_set.stdout = true;
        self.inner.stdout(stdout);
        self
    }

    /// Sets the child's standard error. If not set, it is inherited, but for [`output`](Self::output), which collects it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::{Command, Stdio};
    ///
    /// assert!(!Command::new("ls").arg("/no/such").stderr(Stdio::null()).status()?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stderr<T: Into<Stdio>>(&mut self, stderr: T) -> &mut Self {
        self.is_set.stderr = true;
        self.inner.stderr(stderr);
        self
    }

    /// Sets whether a child is killed, and reaped, if it is dropped before it has been waited for. At first it is not.
    ///
    /// That holds for [`status`](Self::status) and [`output`](Self::output) too, when they are cancelled. For one child alone, and for
    /// what the drop does, see [`Child::kill_on_drop`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// let child = Command::new("sleep").arg("3600").kill_on_drop(true).spawn()?;
    /// drop(child); // does not take an hour
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Self {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// Starts the child, and returns it running.
    ///
    /// # Suspension
    ///
    /// Does not park: it takes as long as the system takes to start a process. May yield before that.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such program; and whatever else the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::{io::ErrorKind, process::Command};
    ///
    /// let mut child = Command::new("true").spawn()?;
    /// assert!(child.wait()?.success());
    /// assert_eq!(Command::new("/no/such/program").spawn().unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spawn(&mut self) -> io::Result<Child> {
        // Before the child is there: who is ended here leaves none behind.
        budget::spend();
        self.start()
    }

    /// Starts the child and waits for its end. Its streams are inherited unless set.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until the child has ended.
    ///
    /// # Cancellation
    ///
    /// The child is dropped: it runs on, unless told otherwise with [`kill_on_drop`](Self::kill_on_drop).
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn) and of [`Child::wait`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// assert_eq!(Command::new("false").status()?.code(), Some(1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts the child, waits for its end, and collects what it writes. Unless set, its standard input is empty and the other
    /// streams are collected.
    ///
    /// # Suspension
    ///
    /// As [`Child::wait_with_output`].
    ///
    /// # Cancellation
    ///
    /// The child is dropped: it runs on, unless told otherwise with [`kill_on_drop`](Self::kill_on_drop).
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn) and of [`Child::wait_with_output`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::process::Command;
    ///
    /// let output = Command::new("echo").arg("over and out").output()?;
    /// assert!(output.status.success());
    /// assert_eq!(output.stdout, b"over and out\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn output(&mut self) -> io::Result<Output> {
        budget::spend();
        self.default_streams(Stdio::null, Stdio::piped);
        let child = self.start();
        // As they were, for a later `spawn`.
        self.default_streams(Stdio::inherit, Stdio::inherit);
        child?.wait_with_output()
    }

    fn start(&mut self) -> io::Result<Child> {
        let child = with_plain_slack(|| self.inner.spawn())?;
        Ok(Child::new(child, self.kill_on_drop))
    }

    /// Gives those of the streams that are not set what they are by default.
    fn default_streams(&mut self, input: fn() -> Stdio, output: fn() -> Stdio) {
        let Streams { stdin, stdout, stderr } = self.is_set;
        if !stdin {
            self.inner.stdin(input());
        }
        if !stdout {
            self.inner.stdout(output());
        }
        if !stderr {
            self.inner.stderr(output());
        }
    }

    /// Returns the program.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(sward_io::process::Command::new("ls").get_program(), "ls");
    /// ```
    #[must_use]
    pub fn get_program(&self) -> &OsStr {
        self.inner.get_program()
    }

    /// Returns the arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut command = sward_io::process::Command::new("ls");
    /// command.args(["-l", "/"]);
    /// assert!(command.get_args().eq(["-l", "/"]));
    /// ```
    pub fn get_args(&self) -> CommandArgs<'_> {
        self.inner.get_args()
    }

    /// Returns what was set of the environment; `None` for a variable that was removed.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut command = sward_io::process::Command::new("ls");
    /// command.env("LANG", "C").env_remove("TERM");
    /// assert_eq!(command.get_envs().count(), 2);
    /// assert!(command.get_envs().any(|(key, value)| key == "TERM" && value.is_none()));
    /// ```
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.inner.get_envs()
    }

    /// Returns the working directory, if it was set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// let mut command = sward_io::process::Command::new("ls");
    /// assert_eq!(command.get_current_dir(), None);
    /// command.current_dir("/tmp");
    /// assert_eq!(command.get_current_dir(), Some(Path::new("/tmp")));
    /// ```
    #[must_use]
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.inner.get_current_dir()
    }

    /// The command of `std` underneath.
    pub(crate) fn inner(&mut self) -> &mut std::process::Command {
        &mut self.inner
    }
}

/// Takes over a command of `std`. Which of its streams are set cannot be told: [`output`](Command::output) replaces them all.
impl From<std::process::Command> for Command {
    fn from(inner: std::process::Command) -> Self {
        Self { inner, is_set: Streams::default(), kill_on_drop: false }
    }
}

/// As `std`'s: the command line.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
