//! The standard output and the standard error, each under a lock that parks.
//!
//! What is kept back of a line that is not complete is kept in `std`'s buffer. So it comes in order with what `print!` writes, the
//! usual flush after a prompt works whichever of the two wrote it, and it is written when the process ends.
//!
//! # Checked by
//!
//! `tests/stdio.rs`.

use std::{
    fmt,
    io::{self, Write},
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
};

use super::{
    lock::{Guard, Lock},
    raw::Standard,
};

/// Defines a handle and its lock for one of the two streams.
macro_rules! output {
    (
        $(#[$handle_doc:meta])* $handle:ident,
        $(#[$lock_doc:meta])* $locked:ident,
        $(#[$function_doc:meta])* $function:ident,
        $standard:ident, $example:literal
    ) => {
        $(#[$handle_doc])*
        pub struct $handle(());

        $(#[$lock_doc])*
        pub struct $locked<'a> {
            _guard: Guard,
            handle: PhantomData<&'a ()>,
        }

        $(#[$function_doc])*
        #[must_use]
        pub fn $function() -> $handle {
            $handle(())
        }

        impl $handle {
            /// Locks the stream for the calling thread, green or not, which may take the lock again.
            ///
            /// What others write meanwhile waits for the lock, but for the macros of `std`, which do not know it.
            ///
            /// # Suspension
            ///
            /// Parks the green thread (blocks the OS thread outside the runtime) while another thread holds the lock.
            ///
            /// # Cancellation
            ///
            /// The lock is not taken.
            ///
            /// # Examples
            ///
            #[doc = $example]
            #[must_use]
            pub fn lock(&self) -> $locked<'static> {
                static LOCK: Lock = Lock::new();
                $locked { _guard: LOCK.lock(), handle: PhantomData }
            }
        }

        impl Write for $locked<'_> {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                Standard::$standard.write(buf)
            }

            fn flush(&mut self) -> io::Result<()> {
                Standard::$standard.flush()
            }
        }

        /// The lock is held for the whole of each call, so what one call writes stays together.
        impl Write for &$handle {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.lock().write(buf)
            }

            fn flush(&mut self) -> io::Result<()> {
                self.lock().flush()
            }

            fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                self.lock().write_all(buf)
            }

            fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
                self.lock().write_fmt(args)
            }
        }

        /// The lock is held for the whole of each call, so what one call writes stays together.
        impl Write for $handle {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (&*self).write(buf)
            }

            fn flush(&mut self) -> io::Result<()> {
                (&*self).flush()
            }

            fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                (&*self).write_all(buf)
            }

            fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
                (&*self).write_fmt(args)
            }
        }

        /// Lends the descriptor. It is shared with other processes: its mode is theirs too.
        impl AsFd for $handle {
            fn as_fd(&self) -> BorrowedFd<'_> {
                rustix::stdio::$function()
            }
        }

        /// Lends the descriptor. It is shared with other processes: its mode is theirs too.
        impl AsFd for $locked<'_> {
            fn as_fd(&self) -> BorrowedFd<'_> {
                rustix::stdio::$function()
            }
        }

        /// Tells the descriptor.
        impl AsRawFd for $handle {
            fn as_raw_fd(&self) -> RawFd {
                Standard::$standard.as_fd().as_raw_fd()
            }
        }

        /// Tells the descriptor.
        impl AsRawFd for $locked<'_> {
            fn as_raw_fd(&self) -> RawFd {
                Standard::$standard.as_fd().as_raw_fd()
            }
        }

        impl fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($handle)).finish_non_exhaustive()
            }
        }

        impl fmt::Debug for $locked<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($locked)).finish_non_exhaustive()
            }
        }
    };
}

output! {
    /// The standard output of the process, as [`std::io::Stdout`].
    ///
    /// It is written line by line: what comes after the last end of a line is kept back until the line is complete, the stream is
    /// flushed, or the process ends. It is kept in the same place as what `print!` writes, so the two may be mixed. The
    /// macros themselves are `std`'s, and block the worker when whoever reads the output is slow.
    ///
    /// Nothing is switched that other processes would notice: the descriptor stays in the mode in which it is.
    ///
    /// # Suspension
    ///
    /// Writing parks the green thread until there is room, and while another thread holds the lock; outside the runtime it blocks
    /// the OS thread. To a file it writes directly.
    ///
    /// # Cancellation
    ///
    /// What a cancelled write was about to write is written or not. A write to a terminal may be under way on the pool of OS
    /// threads, and goes on; and so does the flush of what `print!` has kept back, where there is no room for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::io::{self, Write};
    ///
    /// writeln!(io::stdout(), "over and out")?;
    /// # Ok::<(), io::Error>(())
    /// ```
    Stdout,
    /// The standard output, locked, as [`std::io::StdoutLock`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::io::{self, Write};
    ///
    /// let mut stdout = io::stdout().lock();
    /// writeln!(stdout, "two lines")?;
    /// writeln!(stdout, "that stay together")?;
    /// # Ok::<(), io::Error>(())
    /// ```
    StdoutLock,
    /// Returns a handle to the standard output of the process, as [`std::io::stdout`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::io::{self, Write};
    ///
    /// print!("a prompt: ");
    /// io::stdout().flush()?;
    /// # Ok::<(), io::Error>(())
    /// ```
    stdout,
    Out, "```
use sward_io::io::{self, Write};

let mut stdout = io::stdout().lock();
for i in 1..=3 {
    writeln!(stdout, \"{i}\")?;
}
# Ok::<(), io::Error>(())
```"
}

output! {
    /// The standard error of the process, as [`std::io::Stderr`]. Nothing is kept back.
    ///
    /// Nothing is switched that other processes would notice: the descriptor stays in the mode in which it is.
    ///
    /// # Suspension
    ///
    /// Writing parks the green thread until there is room, and while another thread holds the lock; outside the runtime it blocks
    /// the OS thread. To a file it writes directly.
    ///
    /// # Cancellation
    ///
    /// What a cancelled write was about to write is written or not. A write to a terminal may be under way on the pool of OS
    /// threads, and goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::io::{self, Write};
    ///
    /// writeln!(io::stderr(), "no harm done")?;
    /// # Ok::<(), io::Error>(())
    /// ```
    Stderr,
    /// The standard error, locked, as [`std::io::StderrLock`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::io::{self, Write};
    ///
    /// let mut stderr = io::stderr().lock();
    /// writeln!(stderr, "two lines")?;
    /// writeln!(stderr, "that stay together")?;
    /// # Ok::<(), io::Error>(())
    /// ```
    StderrLock,
    /// Returns a handle to the standard error of the process, as [`std::io::stderr`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::io::{self, Write};
    ///
    /// writeln!(io::stderr(), "no harm done")?;
    /// # Ok::<(), io::Error>(())
    /// ```
    stderr,
    Err, "```
use sward_io::io::{self, Write};

let mut stderr = io::stderr().lock();
for i in 1..=3 {
    writeln!(stderr, \"{i}\")?;
}
# Ok::<(), io::Error>(())
```"
}
