//! [`std::io`], with what would block replaced by what parks: `use sward_io::io` in place of `use std::io`.
//!
//! The traits, the adapters and the functions are `std`'s own, re-exported: [`Read`], [`Write`], [`BufReader`], [`Chain`] and all the
//! others work with whatever parks. What is not `std`'s:
//!
//! | here | |
//! |---|---|
//! | [`stdin`], [`stdout`], [`stderr`] and their types | as in `std`, parking |
//! | [`pipe`], [`PipeReader`], [`PipeWriter`] | as in `std`, parking |
//! | [`copy`] | as in `std`, which does not copy our sockets in the kernel |
//! | [`duplex`], [`simplex`] and their types | beyond `std`: streams in memory |
//! | [`IsTerminal`] | `std`'s cannot be implemented by others |
//! | [`Watched`] | beyond `std`: any descriptor |
//! | `Polled`, `BlockOn` | beyond `std`, with features: sockets in futures, and futures as streams |
//! | [`Reactor`], [`RuntimeClosed`] | what serves readiness, and the error when it is gone |
//!
//! ```
//! use sward_io::io::{self, BufRead, BufReader, Write};
//!
//! let (reader, mut writer) = io::pipe()?;
//! writeln!(writer, "one\ntwo")?;
//! drop(writer);
//! let lines: Vec<_> = BufReader::new(reader).lines().collect::<io::Result<_>>()?;
//! assert_eq!(lines, ["one", "two"]);
//! # Ok::<(), io::Error>(())
//! ```

#[doc(no_inline)]
pub use std::io::*;

// What is named here hides what has the same name there.
pub use crate::{
    copy::copy,
    duplex::{DuplexStream, SimplexReader, SimplexWriter, duplex, simplex},
    error::RuntimeClosed,
    pipe::{PipeReader, PipeWriter, pipe},
    reactor::Reactor,
    stdio::{IsTerminal, Stderr, StderrLock, Stdin, StdinLock, Stdout, StdoutLock, stderr, stdin, stdout},
    watched::Watched,
};

#[cfg(any(feature = "futures", feature = "hyper", feature = "tokio"))]
pub use crate::polled::Polled;
#[cfg(feature = "futures")]
pub use crate::polled::block_on::BlockOn;
