//! Streams of bytes in memory, between the threads of a program: for tests, and for what wants a stream where there is no socket.
//!
//! A channel is a buffer and two [`Direction`]s, the very ones that sockets wait in: who reads waits for readiness in one, who
//! writes in the other. Where a socket has the kernel's events, a channel has those of its other end.
//!
//! # States
//!
//! Of the buffer: open, then ended by its writer (what is in it can still be read), by its reader (likewise, until that is dropped), or both.
//!
//! # Invariants
//!
//! - **D1** Whoever puts something into the buffer, takes something out or ends it, signals the direction that may go on after the
//!   lock of the buffer was released. So who found nothing to do, and had loaded the readiness before it looked, does not wait in vain (I2 of
//!   `readiness.rs`).
//!
//! # Orderings
//!
//! The buffer is under its lock; readiness orders itself. Neither lock is taken under the other.
//!
//! # Suspension
//!
//! Reads and writes suspend, and hold nothing then.
//!
//! # Rejected
//!
//! - *A socket pair.* Two descriptors, two system calls for each message, and a capacity that the kernel decides on.
//! - *The condition variable of `sync`.* The layers do not know each other.
//!
//! # Checked by
//!
//! `tests/duplex.rs`.
//!
//! # Sources
//!
//! tokio's `duplex` and `simplex`, for the names and for what an end means.

mod stream;

pub use stream::{DuplexStream, SimplexReader, SimplexWriter, duplex, simplex};

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read},
    panic::{RefUnwindSafe, UnwindSafe},
    time::Duration,
};

use sward_runtime::{
    budget,
    park::{WaitReason, Waker},
};

use crate::{
    direction::Direction,
    options::deadline_in,
    prim::Mutex,
    source::{Baton, Enqueued, claim},
};

/// Bytes on their way from one end to the other.
#[derive(Debug)]
struct Channel {
    buffer: Mutex<Buffer>,
    readable: Direction<Waker>,
    writable: Direction<Waker>,
}

#[derive(Debug)]
struct Buffer {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// There will be no more bytes.
    is_written: bool,
    /// Nobody wants more bytes.
    is_read: bool,
}

// A panic leaves nothing of a channel half done: no foreign code runs under its locks.
impl UnwindSafe for Channel {}
impl RefUnwindSafe for Channel {}

impl Channel {
    fn new(capacity: usize) -> Self {
        let bytes = VecDeque::new();
        Self {
            buffer: Mutex::new(Buffer { bytes, capacity, is_written: false, is_read: false }),
            readable: Direction::new(true),
            writable: Direction::new(true),
        }
    }

    fn read(&self, buf: &mut [u8], timeout: Option<Duration>) -> io::Result<usize> {
        if buf.is_empty() {
            return self.buffer.lock().take(buf);
        }
        let read = run(&self.readable, WaitReason::Readable, timeout, || self.buffer.lock().take(buf))?;
        if read > 0 {
            signal(&self.writable);
        }
        Ok(read)
    }

    fn write(&self, buf: &[u8], timeout: Option<Duration>) -> io::Result<usize> {
        if buf.is_empty() {
            return self.buffer.lock().put(buf);
        }
        let written = run(&self.writable, WaitReason::Writable, timeout, || self.buffer.lock().put(buf))?;
        if written > 0 {
            signal(&self.readable);
        }
        Ok(written)
    }

    /// There will be no more bytes.
    fn end_writing(&self) {
        self.buffer.lock().is_written = true;
        self.signal_both();
    }

    /// Nobody wants what might come; what is there can be read.
    fn end_reading(&self) {
        self.buffer.lock().is_read = true;
        self.signal_both();
    }

    /// Nobody reads any more, not even what is there.
    fn close_reader(&self) {
        self.end_reading();
        // After it nothing comes.
        let left = std::mem::take(&mut self.buffer.lock().bytes);
        drop(left);
    }

    fn signal_both(&self) {
        signal(&self.readable);
        signal(&self.writable);
    }
}

impl Buffer {
    fn take(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && !self.is_written && !self.is_read && !buf.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        // Where the bytes wrap around, what is read ends.
        self.bytes.read(buf)
    }

    fn put(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.is_read || self.is_written {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = self.capacity - self.bytes.len();
        if room == 0 && !buf.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let put = room.min(buf.len());
        self.bytes.extend(&buf[..put]);
        Ok(put)
    }
}

/// Tries while the direction is ready, and waits while it is not: `Source::run` for what is in memory.
fn run(
    direction: &Direction<Waker>,
    reason: WaitReason,
    timeout: Option<Duration>,
    mut attempt: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    // Before the operation, not after it: who is ended here has lost nothing.
    budget::spend();
    let mut deadline = None;
    let mut baton: Option<Baton<'_>> = None;
    loop {
        // Before the attempt that it vouches for.
        let seen = direction.readiness().load();
        if !seen.is_ready() {
            drop(baton.take());
            let deadline = *deadline.get_or_insert_with(|| timeout.and_then(deadline_in));
            baton = Enqueued::wait(direction, reason, deadline)?;
            continue;
        }
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                direction.readiness().clear_after_would_block(seen);
            }
            result => return result,
        }
    }
}

/// Says that something has changed for those who wait in a direction (D1).
fn signal(direction: &Direction<Waker>) {
    if let Some(claimed) = direction.signal(false, claim) {
        claimed.schedule();
    }
}
