//! Child processes: the names, signatures and meaning of [`std::process`], parking instead of blocking.
//!
//! [`Command`] starts a process, [`Child`] waits for it, and its streams are read and written while other green threads run.
//! What a process is given and what it leaves ([`Stdio`], [`ExitStatus`], [`Output`]) are `std`'s own types.
//!
//! ```
//! use sward_io::process::Command;
//! use sward_runtime::thread;
//!
//! // Ten at once, on however many workers.
//! let children: Vec<_> = (0..10)
//!     .map(|i| thread::spawn(move || Command::new("sh").args(["-c", &format!("exit {i}")]).status()))
//!     .collect();
//! for (i, child) in (0..).zip(children) {
//!     assert_eq!(child.join().unwrap()?.code(), Some(i));
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What waits, and what does not
//!
//! The end of a child is waited for with a descriptor of the process (pidfd), which the reactor watches: no thread, and no handler
//! for `SIGCHLD`. Only this program's own children are reaped, each by its own `Child`, so other code may have children of its own.
//!
//! To start a process takes half a millisecond or so, in which nothing is waited for: the kernel makes a process, and loads
//! the program. [`Command::spawn`] does that on the worker itself and not on another thread, because a child inherits things from
//! the very thread that starts it: its name spaces, its priority, and the thread whose end `PR_SET_PDEATHSIG` is about. To start
//! many large ones without holding up the worker, call it inside of [`unblock`](sward_runtime::unblock).
//!
//! The slack of timers (`PR_SET_TIMERSLACK`) is not inherited from a worker, which has the least, but is what it was before there was a runtime. That
//! holds for children of [`Command`] only: whoever starts processes or OS threads on a green thread in another way, as with `std`'s own
//! `Command`, sets it himself, or does it inside of `unblock`.
//!
//! # Invariants
//!
//! - **P1** A process is reaped through `std`'s `Child` only, which remembers that it has been: so a number that the system has given to
//!   another process is never waited for or killed.
//! - **P2** A wait has no state beyond its frame, so one that is cancelled or runs out of time leaves everything to the next.
//!
//! # Checked by
//!
//! `tests/process.rs`.

mod child;
mod command;
mod stream;

pub use child::Child;
pub use command::Command;
pub use stream::{ChildStderr, ChildStdin, ChildStdout};

#[doc(no_inline)]
pub use std::process::{
    CommandArgs, CommandEnvs, ExitCode, ExitStatus, Output, Stdio, Termination, abort, exit, id,
};
