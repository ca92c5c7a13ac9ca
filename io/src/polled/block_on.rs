//! What is polled, for threads.

use std::{
    future::poll_fn,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    pin::Pin,
};

use futures_io::{AsyncRead, AsyncWrite};
use sward_runtime::future::block_on;

/// [`Read`] and [`Write`] for what has [`AsyncRead`] and [`AsyncWrite`]: the opposite of [`Polled`](super::Polled).
///
/// # Suspension
///
/// An operation that is pending parks the green thread until it is ready; it blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// What an operation does that is given up while it is pending, the type inside says; as a rule, nothing.
///
/// # Errors
///
/// Those of the type inside.
///
/// # Examples
///
/// ```
/// use std::io::Read;
/// use sward_io::io::BlockOn;
///
/// // Something asynchronous, here a slice of bytes.
/// let mut text = String::new();
/// BlockOn::new(&b"over and out"[..]).read_to_string(&mut text)?;
/// assert_eq!(text, "over and out");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct BlockOn<T>(T);

impl<T> BlockOn<T> {
    /// Takes something asynchronous.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::io::BlockOn;
    /// let reader = BlockOn::new(&b"bytes"[..]);
    /// # let _ = reader;
    /// ```
    pub fn new(inner: T) -> Self {
        Self(inner)
    }

    /// What is inside.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::io::BlockOn;
    /// assert_eq!(BlockOn::new(&b"bytes"[..]).get_ref().len(), 5);
    /// ```
    pub fn get_ref(&self) -> &T {
        &self.0
    }

    /// What is inside, to be changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::io::BlockOn;
    /// let mut reader = BlockOn::new(&b"bytes"[..]);
    /// *reader.get_mut() = b"other bytes";
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }

    /// Gives back what is inside.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sward_io::io::BlockOn;
    /// assert_eq!(BlockOn::new(&b"bytes"[..]).into_inner(), b"bytes");
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsyncRead + Unpin> Read for BlockOn<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        block_on(poll_fn(|context| Pin::new(&mut self.0).poll_read(context, buf)))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        block_on(poll_fn(|context| Pin::new(&mut self.0).poll_read_vectored(context, bufs)))
    }
}

impl<T: AsyncWrite + Unpin> Write for BlockOn<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        block_on(poll_fn(|context| Pin::new(&mut self.0).poll_write(context, buf)))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        block_on(poll_fn(|context| Pin::new(&mut self.0).poll_write_vectored(context, bufs)))
    }

    fn flush(&mut self) -> io::Result<()> {
        block_on(poll_fn(|context| Pin::new(&mut self.0).poll_flush(context)))
    }
}
