//! The streams of a child process, at the end of its parent: pipes.

use crate::pipe::end::{End, conversions, reads, writes};

/// What a child reads as its standard input, to be written here: as [`std::process::ChildStdin`].
///
/// When it is dropped, the child finds the end of its input.
///
/// # Suspension
///
/// A write that finds no room parks the green thread until the child has read; outside the runtime it blocks the OS thread.
///
/// # Cancellation
///
/// A cancelled write has written nothing.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use sward_io::process::{Command, Stdio};
///
/// let mut child = Command::new("tr").args(["a-z", "A-Z"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
/// let mut stdin = child.stdin.take().expect("piped");
/// stdin.write_all(b"over and out")?;
/// drop(stdin);
/// assert_eq!(child.wait_with_output()?.stdout, b"OVER AND OUT");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ChildStdin(End);

/// What a child writes to its standard output, to be read here: as [`std::process::ChildStdout`].
///
/// # Suspension
///
/// A read that finds nothing parks the green thread until the child has written; outside the runtime it blocks the OS thread.
///
/// # Cancellation
///
/// A cancelled read has taken nothing.
///
/// # Examples
///
/// The output of one child is the input of another:
///
/// ```
/// use sward_io::process::{Command, Stdio};
///
/// let mut numbers = Command::new("seq").arg("3").stdout(Stdio::piped()).spawn()?;
/// let output = Command::new("tac").stdin(numbers.stdout.take().expect("piped")).output()?;
/// assert_eq!(output.stdout, b"3\n2\n1\n");
/// assert!(numbers.wait()?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ChildStdout(End);

/// What a child writes to its standard error, to be read here: as [`std::process::ChildStderr`].
///
/// # Suspension
///
/// A read that finds nothing parks the green thread until the child has written; outside the runtime it blocks the OS thread.
///
/// # Cancellation
///
/// A cancelled read has taken nothing.
///
/// # Examples
///
/// ```
/// use std::io::{BufRead, BufReader};
/// use sward_io::process::{Command, Stdio};
///
/// let mut child = Command::new("sh").args(["-c", "echo no good >&2"]).stderr(Stdio::piped()).spawn()?;
/// let stderr = BufReader::new(child.stderr.take().expect("piped"));
/// assert_eq!(stderr.lines().next().expect("a line")?, "no good");
/// assert!(child.wait()?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ChildStderr(End);

writes!(ChildStdin);
reads!(ChildStdout);
reads!(ChildStderr);
conversions!(ChildStdin, std::process::ChildStdin);
conversions!(ChildStdout, std::process::ChildStdout);
conversions!(ChildStderr, std::process::ChildStderr);
