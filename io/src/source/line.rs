//! A line to a socket, for those who do not own it.
//!
//! Who serves connections hands each socket over to code of the user, and has to reach it all the same: to cut it when time
//! is up, and, while no green thread looks after it, to be woken when something arrives. A line does both, and is cut off
//! with the socket.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | the owner of the source, once, before anybody else uses it | [`line`](Source::line), then [`watch`](Source::watch) |
//! | whoever holds the line, on any thread | [`cut`](Line::cut) |
//! | whoever looks after the connection, one at a time | [`look`](Line::look), [`wait`](Line::wait), [`wait_for_end`](Line::wait_for_end), [`pass_on`](Line::pass_on) |
//! | the source, when it ends or gives its descriptor away | drops [`LineEnd`] |
//!
//! # States
//!
//! Open from `line` until `LineEnd` is dropped. It can be waited on from `watch` on.
//!
//! # Invariants
//!
//! - **I1** The descriptor in an open line is open: the source owns it and the end of the line, and drops that first.
//! - **I2** A waker that is entered by `wait` or `wait_for_end` is a foreign one, so nothing of whoever entered it has to outlive it. It is
//!   claimed at the latest when the line ends: it was entered under the lock, while the line was open.
//!
//! # Orderings
//!
//! All of it is under the lock of the line, which the end takes too. The lock of a wait list is taken under it. `look` makes
//! one system call under it, which does not block. Nobody is woken under it.
//!
//! # Suspension
//!
//! Nothing here suspends.
//!
//! # Rejected
//!
//! - *A duplicate of the descriptor.* Twice as many descriptors, of which there are few.
//! - *To trust readiness, and not to look.* It is a hint: what was announced may have been read by then. A green thread would
//!   be spawned for nothing, and wait for the next message on a stack.
//! - *To look by `recv` with `MSG_PEEK`.* It takes the error that the owner is to see.
//!
//! # Checked by
//!
//! `tests/serve.rs`, `tests/serve_messages.rs`.

use std::{
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::Arc,
};

use socket2::SockRef;
use sward_runtime::park::Waker;

use super::{Baton, Interest, Shared, Source, claim};
use crate::{prim::Mutex, sys::socket};

/// The way to a socket that somebody else owns.
#[derive(Debug)]
pub(crate) struct Line(Mutex<Option<Socket>>);

#[derive(Debug)]
struct Socket {
    fd: RawFd,
    /// There once it is watched.
    shared: Option<Arc<Shared>>,
}

/// The end of a line that the source holds.
#[derive(Debug)]
pub(super) struct LineEnd(Arc<Line>);

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Something: data, the end, or an error.
    Something,
    /// Nothing yet.
    Nothing,
    /// The socket is gone, or the runtime that watched it.
    Gone,
}

impl<T: AsFd> Source<T> {
    /// Opens a line to this source.
    pub(crate) fn line(&mut self) -> Arc<Line> {
        // INVARIANT (I1): ours, and the end is the source's.
        let socket = Socket { fd: self.io.as_fd().as_raw_fd(), shared: None };
        let line = Arc::new(Line(Mutex::new(Some(socket))));
        self.line = Some(LineEnd(Arc::clone(&line)));
        line
    }

    /// Registers the descriptor before anybody has to wait. Its line, if there is one, can then be waited on.
    pub(crate) fn watch(&self) -> std::io::Result<()> {
        self.register(Interest::Read)?;
        if let (Some(LineEnd(line)), Some(registration)) = (&self.line, self.registration.get())
            && let Some(socket) = &mut *line.0.lock()
        {
            socket.shared = Some(Arc::clone(&registration.shared));
        }
        Ok(())
    }
}

impl Line {
    /// Shuts the socket down in both directions, if it is still there: who waits for it is woken.
    #[expect(unsafe_code, reason = "the descriptor is somebody else's")]
    pub(crate) fn cut(&self) {
        let socket = self.0.lock();
        if let Some(Socket { fd, .. }) = &*socket {
            // SAFETY: open (I1), and the lock is held until it was used.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            // That the peer has hung up already is as good.
            let _ = SockRef::from(&fd).shutdown(Shutdown::Both);
        }
    }

    /// Whether there is something to read. If not, readiness is taken back, as after a read that would have blocked.
    #[expect(unsafe_code, reason = "the descriptor is somebody else's")]
    pub(crate) fn look(&self) -> Look {
        let socket = self.0.lock();
        let Some(Socket { fd, shared: Some(shared) }) = &*socket else { return Look::Gone };
        let readiness = shared.read.readiness();
        // Before the system call that it vouches for.
        let seen = readiness.load();
        if seen.is_shut() {
            return Look::Gone;
        }
        if !seen.is_ready() {
            return Look::Nothing;
        }
        // SAFETY: open (I1), and the lock is held until it was used.
        if socket::is_readable(unsafe { BorrowedFd::borrow_raw(*fd) }) {
            return Look::Something;
        }
        readiness.clear_after_would_block(seen);
        Look::Nothing
    }

    /// Has a foreign waker claimed by the next event. `false`: there has been one, or the line has ended; look again.
    pub(crate) fn wait(&self, waker: Waker) -> bool {
        let socket = self.0.lock();
        let shared = socket.as_ref().and_then(|socket| socket.shared.as_ref());
        shared.is_some_and(|shared| shared.read.enqueue(waker).is_some())
    }

    /// Has a foreign waker claimed by the next event, or when the reactor closes, whatever has happened so far. `false`: it
    /// has closed, or the line has ended.
    pub(crate) fn wait_for_end(&self, waker: impl Fn() -> Waker) -> bool {
        let socket = self.0.lock();
        let Some(shared) = socket.as_ref().and_then(|socket| socket.shared.as_ref()) else { return false };
        let readiness = shared.read.readiness();
        loop {
            let seen = readiness.load();
            if seen.is_shut() {
                return false;
            }
            // Nobody will read what there is.
            readiness.clear_after_would_block(seen);
            if shared.read.enqueue(waker()).is_some() {
                return true;
            }
        }
    }

    /// Wakes the next who waits, if something is left: the duty of whoever was woken.
    pub(crate) fn pass_on(&self) {
        let shared = {
            let socket = self.0.lock();
            let Some(shared) = socket.as_ref().and_then(|socket| socket.shared.as_ref()) else { return };
            if !shared.read.readiness().load().is_ready_and_waited_for() {
                return;
            }
            Arc::clone(shared)
        };
        drop(Baton(&shared.read));
    }
}

impl Drop for LineEnd {
    fn drop(&mut self) {
        let socket = self.0.0.lock().take();
        // INVARIANT (I2): who has entered a waker learns that it waits for nothing.
        if let Some(shared) = socket.and_then(|socket| socket.shared)
            && let Some(claimed) = shared.read.signal(false, claim)
        {
            claimed.schedule();
        }
    }
}
