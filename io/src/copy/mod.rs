//! Copying from a reader to a writer, in the kernel where both are descriptors.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | [`copy`] | asks `ends` whether both are descriptors that it knows |
//! | `ends` | recognises a TCP or Unix connection, a pipe, or a stream of a child process, behind any reader or writer |
//! | `splice` | moves the bytes: from the reader into a pipe of its own, and from there to the writer |
//!
//! # Suspension
//!
//! `copy` suspends as its reader and writer do.
//!
//! # Rejected
//!
//! - *A function of another name for descriptors.* A program that says `io::copy` gets what it can have, as with `std`.
//! - *To splice without a pipe in between where one of the two is a pipe.* When it would block, it does not tell which of the two is
//!   to be waited for.
//! - *Files.* The kernel would read from the disk, and the worker would wait. `fs::copy` is for files.
//!
//! # Checked by
//!
//! `tests/copy.rs`.
//!
//! # Sources
//!
//! `std`'s `sys/io/kernel_copy/linux.rs`; Go's `internal/poll/splice_linux.go`.

#[cfg(target_os = "linux")]
mod ends;
#[cfg(target_os = "linux")]
mod splice;

use std::io::{self, Read, Write};

/// Copies all that a reader has to a writer, as [`std::io::copy`], and returns how many bytes it was.
///
/// On Linux, if the two are connections, pipes or streams of child processes, by value or by reference, the bytes do not pass through the
/// program (`splice`). Anything else is copied by `std`'s function: files, streams of TLS, what is in memory.
///
/// # Suspension
///
/// Parks the green thread while there is nothing to read or no room to write; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// What has been read and not yet written is lost.
///
/// # Signals
///
/// In a program that has given `SIGPIPE` back its default action, which Rust programs ignore, a copy to a socket whose peer is gone raises it:
/// `splice` knows no flag against that. Sockets that are written to raise none.
///
/// # Errors
///
/// The first error of the reader or the writer. What was read before is written, but for what is on its way when the writer fails.
///
/// # Examples
///
/// ```
/// use sward_io::{io, net::{Shutdown, TcpListener, TcpStream}};
/// use sward_runtime::thread;
/// # use std::io::{Read, Write};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let (server, _) = listener.accept()?;
/// // An echo, in the kernel.
/// let echo = thread::spawn(move || io::copy(&mut &server, &mut &server));
///
/// client.write_all(b"over and out")?;
/// client.shutdown(Shutdown::Write)?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert_eq!(answer, "over and out");
/// assert_eq!(echo.join().unwrap()?, 12);
/// # Ok::<(), io::Error>(())
/// ```
pub fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: Read + ?Sized,
    W: Write + ?Sized,
{
    let mut copied = 0;
    if !copy_in_kernel(reader, writer, &mut copied)? {
        copied += io::copy(reader, writer)?;
    }
    Ok(copied)
}

/// Copies what the kernel copies by itself. `false`: that was not all.
#[cfg(target_os = "linux")]
fn copy_in_kernel<R, W>(reader: &R, writer: &mut W, copied: &mut u64) -> io::Result<bool>
where
    R: Read + ?Sized,
    W: Write + ?Sized,
{
    let (Some(from), Some(to)) = (ends::of_reader(reader), ends::of_writer(writer)) else { return Ok(false) };
    match splice::run(from, to, copied)? {
        splice::Stop::End => Ok(true),
        splice::Stop::Refusal(rest) => {
            writer.write_all(&rest)?;
            *copied += rest.len() as u64;
            Ok(false)
        }
    }
}

/// Copies what the kernel copies by itself: nothing, here.
#[cfg(not(target_os = "linux"))]
fn copy_in_kernel<R, W>(_reader: &R, _writer: &mut W, _copied: &mut u64) -> io::Result<bool>
where
    R: Read + ?Sized,
    W: Write + ?Sized,
{
    Ok(false)
}
