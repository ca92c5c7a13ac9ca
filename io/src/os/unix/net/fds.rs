//! Descriptors that are passed to another process, or to another thread of this one.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use super::{UnixDatagram, UnixStream};
use crate::{net::datagram::receive, source::Operation, sys::ancillary};

/// What [`UnixStream::recv_fds`] and [`UnixDatagram::recv_fds`] return.
///
/// # Examples
///
/// ```
/// use std::{fs::File, io::{self, Read}};
/// use sward_io::os::unix::net::{ReceivedFds, UnixStream};
///
/// /// Receives an open file, with a byte that says nothing.
/// fn receive(stream: &UnixStream) -> io::Result<File> {
///     let ReceivedFds { mut fds, .. } = stream.recv_fds(&mut [0], 1)?;
///     fds.pop().map(File::from).ok_or(io::ErrorKind::UnexpectedEof.into())
/// }
/// # use std::os::fd::AsFd;
/// # let (here, there) = UnixStream::pair()?;
/// # here.send_fds(b".", &[File::open("/dev/null")?.as_fd()])?;
/// # assert_eq!(receive(&there)?.read(&mut [0])?, 0);
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ReceivedFds {
    /// How many bytes of data were received.
    pub len: usize,
    /// The descriptors, in the order in which they were sent. Child processes do not inherit them.
    pub fds: Vec<OwnedFd>,
    /// Whether more descriptors came than were wanted, or than the process may have. They are closed.
    pub is_truncated: bool,
}

impl From<ancillary::Received> for ReceivedFds {
    fn from(received: ancillary::Received) -> Self {
        let ancillary::Received { len, fds, is_truncated } = received;
        Self { len, fds, is_truncated }
    }
}

impl UnixStream {
    /// Writes data, and passes duplicates of descriptors with its first byte. On Linux only.
    ///
    /// Returns how many bytes were written. If they are not all, the descriptors have been passed nevertheless, and the rest
    /// is to be written as usual.
    ///
    /// # Suspension
    ///
    /// As writing.
    ///
    /// # Cancellation
    ///
    /// Nothing has been passed.
    ///
    /// # Errors
    ///
    /// Those of writing; [`InvalidInput`](io::ErrorKind::InvalidInput) if there are descriptors but no data to carry them, or
    /// more than 253 descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{fs::File, io::Read, os::fd::AsFd};
    /// use sward_io::os::unix::net::UnixStream;
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// here.send_fds(b"null", &[File::open("/dev/null")?.as_fd()])?;
    ///
    /// let mut received = there.recv_fds(&mut [0; 16], 1)?;
    /// assert_eq!((received.len, received.is_truncated), (4, false));
    /// let mut file = File::from(received.fds.remove(0));
    /// assert_eq!(file.read(&mut [0])?, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        if buf.is_empty() && !fds.is_empty() {
            let message = "descriptors pass through a stream only with data";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let operation = Operation::WRITE.looking();
        self.source().run(operation, |io| ancillary::send(io.as_fd(), buf, fds), |_| false)
    }

    /// Reads data, and takes the descriptors that were passed with it, at most `limit`. On Linux only.
    ///
    /// Descriptors of several [`send_fds`](Self::send_fds) never come together: a read ends before the next that has some.
    /// Descriptors that are not received, because of the limit or because of a plain read, are closed.
    ///
    /// # Suspension
    ///
    /// As reading.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of reading.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use sward_io::os::unix::net::UnixStream;
    ///
    /// let (here, there) = UnixStream::pair()?;
    /// here.send_fds(b"two", &[here.as_fd(), here.as_fd()])?;
    /// let received = there.recv_fds(&mut [0; 16], 1)?;
    /// assert_eq!((received.fds.len(), received.is_truncated), (1, true));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_fds(&self, buf: &mut [u8], limit: usize) -> io::Result<ReceivedFds> {
        let attempt = |io: &std::os::unix::net::UnixStream| ancillary::receive(io.as_fd(), buf, limit);
        Ok(self.source().run(Operation::READ, attempt, |_| false)?.into())
    }
}

impl UnixDatagram {
    /// Sends a datagram to the peer, and duplicates of descriptors with it. Returns its length. On Linux only.
    ///
    /// # Suspension
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancellation
    ///
    /// Nothing has been passed.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send); [`InvalidInput`](io::ErrorKind::InvalidInput) if there are more than 253 descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use sward_io::os::unix::net::UnixDatagram;
    ///
    /// let (here, there) = UnixDatagram::pair()?;
    /// here.send_fds(b"", &[here.as_fd()])?;
    /// assert_eq!(there.recv_fds(&mut [], 1)?.fds.len(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn send_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let operation = Operation::WRITE.looking();
        self.source().run(operation, |io| ancillary::send(io.as_fd(), buf, fds), |_| false)
    }

    /// Receives a datagram, and takes the descriptors that were sent with it, at most `limit`. On Linux only.
    ///
    /// Descriptors that are not received, because of the limit or because of a plain receive, are closed.
    ///
    /// # Suspension
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use sward_io::os::unix::net::{UnixDatagram, UnixStream};
    ///
    /// let (here, there) = UnixDatagram::pair()?;
    /// let (stream, _peer) = UnixStream::pair()?;
    /// here.send_fds(b"a stream", &[stream.as_fd()])?;
    /// let mut received = there.recv_fds(&mut [0; 16], 1)?;
    /// let _same_stream = received.fds.pop().map(UnixStream::from);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recv_fds(&self, buf: &mut [u8], limit: usize) -> io::Result<ReceivedFds> {
        let attempt = |socket: BorrowedFd<'_>| ancillary::receive(socket, buf, limit);
        Ok(receive(self.source(), attempt, nothing)?.into())
    }
}

/// What there is to receive when the reading half was shut down.
fn nothing() -> io::Result<ancillary::Received> {
    Ok(ancillary::Received { len: 0, fds: Vec::new(), is_truncated: false })
}
