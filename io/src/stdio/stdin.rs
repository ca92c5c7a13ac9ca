//! The standard input: one buffer for the process, under a lock that parks.
//!
//! # Invariants
//!
//! - **I1** The buffer is in its place unless somebody holds the lock; who takes the lock takes the buffer out, and puts it back before
//!   the lock is released.
//!
//! # Checked by
//!
//! `tests/stdio.rs`.

use std::{
    fmt,
    io::{self, BufRead, BufReader, IoSliceMut, Lines, Read},
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
};

use parking_lot::Mutex;

use super::{
    lock::{Guard, Lock},
    raw::{Raw, Standard},
};

static LOCK: Lock = Lock::new();

/// `None` before it is first used, and while somebody has it (I1).
static BUFFER: Mutex<Buffer> = Mutex::new(Buffer::Unused);

#[derive(Debug)]
enum Buffer {
    Unused,
    Here(Box<BufReader<Raw>>),
    Taken,
}

/// The standard input of the process, as [`std::io::Stdin`].
///
/// All handles share one buffer, which is not that of [`std::io::stdin`]: use one of the two, or else each has a part of the input.
///
/// Nothing is switched that other processes would notice: the descriptor stays in the mode in which it is.
///
/// # Suspension
///
/// Reading parks the green thread until there is something to read, and while another thread holds the lock; outside the
/// runtime it blocks the OS thread.
///
/// # Cancellation
///
/// What was read stays in the buffer. A read from a terminal that somebody else reads at the same time, or from a file, may be under
/// way on the pool of OS threads when it is cancelled; what it gets goes to the next read.
///
/// # Examples
///
/// ```no_run
/// use sward_io::io;
///
/// let mut line = String::new();
/// io::stdin().read_line(&mut line)?;
/// # Ok::<(), io::Error>(())
/// ```
pub struct Stdin(());

/// The standard input, locked, as [`std::io::StdinLock`]: reads through [`BufRead`] and [`Read`].
///
/// # Examples
///
/// ```no_run
/// use sward_io::io::{self, BufRead};
///
/// for line in io::stdin().lock().lines() {
///     assert!(!line?.ends_with('\n'));
/// }
/// # Ok::<(), io::Error>(())
/// ```
pub struct StdinLock<'a> {
    /// There until the drop.
    buffer: Option<Box<BufReader<Raw>>>,
    _guard: Guard,
    handle: PhantomData<&'a ()>,
}

/// Returns a handle to the standard input of the process, as [`std::io::stdin`].
///
/// # Examples
///
/// ```no_run
/// use sward_io::io;
///
/// let all = io::read_to_string(io::stdin())?;
/// # drop(all);
/// # Ok::<(), io::Error>(())
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin(())
}

impl Stdin {
    /// Locks the standard input for the calling thread, green or not.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) while another thread holds the lock.
    ///
    /// # Cancellation
    ///
    /// The lock is not taken.
    ///
    /// # Panics
    ///
    /// If the calling thread holds the lock already. `std` lets it wait for itself.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::io::{self, BufRead};
    ///
    /// let mut stdin = io::stdin().lock();
    /// let start = stdin.fill_buf()?;
    /// # drop(start.to_vec());
    /// # Ok::<(), io::Error>(())
    /// ```
    #[must_use]
    pub fn lock(&self) -> StdinLock<'static> {
        let guard = LOCK.lock();
        // INVARIANT (I1): taken under the lock.
        let buffer = match std::mem::replace(&mut *BUFFER.lock(), Buffer::Taken) {
            Buffer::Unused => Box::new(BufReader::new(Raw)),
            Buffer::Here(buffer) => buffer,
            Buffer::Taken => panic!("the standard input is locked by the same thread already"),
        };
        StdinLock { buffer: Some(buffer), _guard: guard, handle: PhantomData }
    }

    /// Reads a line, appends it to `buf` with its end, and returns how many bytes it has: zero at the end of the input.
    ///
    /// # Suspension
    ///
    /// Parks the green thread (blocks the OS thread outside the runtime) until there is a line.
    ///
    /// # Cancellation
    ///
    /// The part of the line that was there is in `buf` or in the buffer of the stream.
    ///
    /// # Errors
    ///
    /// What the system says; [`InvalidData`](io::ErrorKind::InvalidData) if the line is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::io;
    ///
    /// let mut line = String::new();
    /// if io::stdin().read_line(&mut line)? == 0 {
    ///     panic!("nothing more to come");
    /// }
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn read_line(&self, buf: &mut String) -> io::Result<usize> {
        self.lock().read_line(buf)
    }

    /// Locks the standard input and returns an iterator over its lines.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use sward_io::io;
    ///
    /// let lines = io::stdin().lines().collect::<Result<Vec<_>, _>>()?;
    /// # drop(lines);
    /// # Ok::<(), io::Error>(())
    /// ```
    #[must_use]
    pub fn lines(self) -> Lines<StdinLock<'static>> {
        self.lock().lines()
    }
}

impl StdinLock<'_> {
    fn reader(&mut self) -> &mut BufReader<Raw> {
        self.buffer.as_mut().expect("there until the drop")
    }
}

impl Drop for StdinLock<'_> {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // INVARIANT (I1): the guard, a field, is dropped after this.
            *BUFFER.lock() = Buffer::Here(buffer);
        }
    }
}

impl Read for StdinLock<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader().read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.reader().read_vectored(bufs)
    }

    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.reader().read_to_end(buf)
    }

    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        self.reader().read_to_string(buf)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.reader().read_exact(buf)
    }
}

impl BufRead for StdinLock<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader().fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader().consume(amount);
    }

    fn read_until(&mut self, byte: u8, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.reader().read_until(byte, buf)
    }

    fn read_line(&mut self, buf: &mut String) -> io::Result<usize> {
        self.reader().read_line(buf)
    }
}

/// Implements [`Read`] for a handle by way of its lock, which is held for the whole of each call.
macro_rules! read_locked {
    ($handle:ty) => {
        impl Read for $handle {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.lock().read(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.lock().read_vectored(bufs)
            }

            fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
                self.lock().read_to_end(buf)
            }

            fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
                self.lock().read_to_string(buf)
            }

            fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
                self.lock().read_exact(buf)
            }
        }
    };
}

read_locked!(Stdin);
read_locked!(&Stdin);

/// Lends the descriptor. It is shared with other processes: its mode is theirs too.
impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        rustix::stdio::stdin()
    }
}

/// Lends the descriptor. It is shared with other processes: its mode is theirs too.
impl AsFd for StdinLock<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        rustix::stdio::stdin()
    }
}

/// Tells the descriptor: zero.
impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        Standard::In.as_fd().as_raw_fd()
    }
}

/// Tells the descriptor: zero.
impl AsRawFd for StdinLock<'_> {
    fn as_raw_fd(&self) -> RawFd {
        Standard::In.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}

impl fmt::Debug for StdinLock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdinLock").finish_non_exhaustive()
    }
}
