//! The standard streams of the process, parking: what [`io::stdin`](crate::io::stdin) and its kin are made of.
//!
//! | file | |
//! |---|---|
//! | `lock.rs` | the lock of a stream: it parks, and belongs to a green thread |
//! | `raw.rs` | reads and writes that leave the mode of the descriptors alone |
//! | `landing.rs` | what a read on the pool has read when nobody waits for it any more |
//! | `stdin.rs`, `output.rs` | the public types |

mod landing;
mod lock;
mod output;
mod raw;
mod stdin;

use std::{os::fd::AsFd, process::Stdio};

pub use output::{Stderr, StderrLock, Stdout, StdoutLock, stderr, stdout};
pub use stdin::{Stdin, StdinLock, stdin};

/// Whether a descriptor is a terminal, as [`std::io::IsTerminal`], which only `std` can implement.
///
/// What implements `std`'s implements this one.
///
/// # Examples
///
/// ```
/// use sward_io::io::{self, IsTerminal};
///
/// let colour = io::stdout().is_terminal();
/// assert_eq!(colour, std::io::stdout().is_terminal());
/// ```
pub trait IsTerminal {
    /// Whether it is a terminal.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::io::IsTerminal;
    ///
    /// assert!(!std::fs::File::open("/dev/null")?.is_terminal());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn is_terminal(&self) -> bool;
}

impl<T: std::io::IsTerminal> IsTerminal for T {
    fn is_terminal(&self) -> bool {
        std::io::IsTerminal::is_terminal(self)
    }
}

/// Implements it for what this crate has in place of `std`'s.
macro_rules! is_terminal {
    ($($handle:ty)*) => {
        $(
            impl IsTerminal for $handle {
                fn is_terminal(&self) -> bool {
                    std::io::IsTerminal::is_terminal(&self.as_fd())
                }
            }
        )*
    };
}

is_terminal!(Stdin StdinLock<'_> Stdout StdoutLock<'_> Stderr StderrLock<'_> crate::fs::File);

impl From<Stdout> for Stdio {
    /// As that of `std`: the child writes where this process does.
    fn from(_: Stdout) -> Self {
        std::io::stdout().into()
    }
}

impl From<Stderr> for Stdio {
    /// As that of `std`: the child writes where this process does.
    fn from(_: Stderr) -> Self {
        std::io::stderr().into()
    }
}
