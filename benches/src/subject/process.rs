//! A peer in a process of its own: it reads one command a line and answers with one line of whole numbers.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::primitives::Done;
use crate::error::{Error, Result};
use crate::sys::Usage;

/// The process, which the first command starts.
#[derive(Debug)]
pub(super) struct Process {
    command: RefCell<Command>,
    started: RefCell<Option<Started>>,
}

#[derive(Debug)]
struct Started {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// To be started by this command.
    pub(super) fn new(command: Command) -> Self {
        Self { command: RefCell::new(command), started: RefCell::new(None) }
    }

    /// Sends a command; returns the numbers in the answer.
    pub(super) fn ask(&self, command: &str) -> Result<Vec<u64>> {
        let mut started = self.started.borrow_mut();
        let started = match &mut *started {
            Some(started) => started,
            none => none.insert(Started::start(&mut self.command.borrow_mut())?),
        };
        writeln!(started.commands, "{command}")?;
        let mut line = String::new();
        started.answers.read_line(&mut line)?;
        let numbers = line.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<u64>, _>>();
        match numbers {
            Ok(numbers) if !numbers.is_empty() => Ok(numbers),
            _ => Err(Error::new(format!("the peer answered {command:?} by {line:?}"))),
        }
    }

    /// The answer is nanoseconds.
    pub(super) fn time(&self, command: &str) -> Result<Duration> {
        Ok(Duration::from_nanos(self.ask(command)?[0]))
    }

    /// What it says that it has used.
    pub(super) fn usage(&self) -> Result<Usage> {
        match self.ask("usage")?[..] {
            [nanos, switches] => Ok(Usage { cpu: Duration::from_nanos(nanos), switches }),
            _ => Err(Error::new("the peer did not say what it has used")),
        }
    }

    /// The number of the process; an error before the first command.
    pub(super) fn id(&self) -> Result<u32> {
        let started = self.started.borrow();
        started
            .as_ref()
            .map(|started| started.child.id())
            .ok_or_else(|| Error::new("the peer was not started"))
    }

    /// The answer is nanoseconds and something else.
    pub(super) fn done(&self, command: &str) -> Result<Done> {
        match self.ask(command)?[..] {
            [nanos, count] => Ok(Done { time: Duration::from_nanos(nanos), count }),
            _ => Err(Error::new(format!("the peer did not give two numbers for {command:?}"))),
        }
    }
}

impl Started {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(commands), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new("the peer has no pipes"));
        };
        Ok(Self { child, commands, answers: BufReader::new(answers) })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already; nothing depends on its status.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answering(line: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("read order; echo {line}")]);
        Process::new(command)
    }

    #[test]
    fn answers_are_numbers() {
        assert_eq!(answering("1 20 3").ask("work").ok(), Some(vec![1, 20, 3]));
        assert!(answering("7 8").done("work").is_ok_and(|done| done.count == 8));
        assert!(answering("7").done("work").is_err());
        let usage = Usage { cpu: Duration::from_nanos(5), switches: 6 };
        assert_eq!(answering("5 6").usage().ok(), Some(usage));
        assert!(answering("5").usage().is_err());
    }

    #[test]
    fn it_has_a_number_once_it_is_started() {
        let peer = answering("1");
        assert!(peer.id().is_err());
        assert!(peer.ask("work").is_ok() && peer.id().is_ok());
    }

    #[test]
    fn whatever_else_is_answered_is_an_error() {
        assert!(answering("oh no").ask("work").is_err_and(|error| error.to_string().contains("oh no")));
        assert!(answering("").ask("work").is_err());
    }
}
