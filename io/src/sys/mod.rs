//! What the reactor and the sockets ask of the operating system.
//!
//! A backend gives a `Poller`, in which each descriptor is registered once, edge-triggered, in both directions and for
//! life, and the `Events` that it fills:
//!
//! | | |
//! |---|---|
//! | `Poller::new() -> io::Result<Poller>` | an empty one, with its notifier |
//! | `Poller::add(&self, RawFd, Key) -> io::Result<()>` | registers; what is ready already raises an event |
//! | `Poller::remove(&self, RawFd)` | deregisters, before the descriptor is closed |
//! | `Poller::wait(&self, &mut Events, Option<Duration>) -> io::Result<()>` | fills `Events`; an interruption is no error |
//! | `Poller::notify(&self)` | makes the current or else the next wait that would block return |
//! | `Events::iter(&self) -> impl Iterator<Item = (Key, Event)>` | what was collected |
//! | `SHORT_MEANS_EMPTY: bool` | whether after a short transfer an event comes as soon as there is more |
//!
//! `wait` may be called by several threads at once. A call with a timeout of zero only looks, and never swallows a
//! notification that another thread is to be woken by.
//!
//! This module and those below it are the only ones in the crate that speak to the kernel without `std`.
//!
//! # Checked by
//!
//! `sys/tests.rs`, which both backends pass on Linux: build with and without the feature `polling`.

#[cfg(target_os = "linux")]
pub(crate) mod ancillary;
#[cfg(all(target_os = "linux", not(feature = "polling")))]
mod epoll;
pub(crate) mod file;
#[cfg(any(not(target_os = "linux"), feature = "polling"))]
mod portable;
pub(crate) mod seam;
pub(crate) mod socket;

#[cfg(all(target_os = "linux", not(feature = "polling")))]
pub(crate) use epoll::{Events, Poller, SHORT_MEANS_EMPTY};
#[cfg(any(not(target_os = "linux"), feature = "polling"))]
pub(crate) use portable::{Events, Poller, SHORT_MEANS_EMPTY};

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// How many bits of a key are the index of a slot; those above are its generation.
const INDEX_BITS: u32 = if usize::BITS == 64 { 32 } else { 24 };

/// Names a registration: the index of a slot in the reactor's slab, and the generation of its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(usize);

impl Key {
    /// Packs a key. `None`: the index does not fit. The highest index is left out, so that the backends have a key, all
    /// ones, for their own use.
    pub(crate) fn new(index: usize, generation: usize) -> Option<Self> {
        let index_limit = (1 << INDEX_BITS) - 1;
        (index < index_limit).then_some(Self(generation << INDEX_BITS | index))
    }

    /// The slot's place in the slab.
    pub(crate) fn index(self) -> usize {
        self.0 & ((1 << INDEX_BITS) - 1)
    }
}

/// Tries whether a poller takes a descriptor. Epoll refuses what can only be tried, such as regular files.
pub(crate) fn is_watchable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let poller = Poller::new()?;
    match poller.add(fd.as_raw_fd(), Key(0)) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(false),
        added => added.map(|()| {
            poller.remove(fd.as_raw_fd());
            true
        }),
    }
}

/// What the kernel reported about one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Reading may be tried.
    pub(crate) readable: bool,
    /// Writing may be tried.
    pub(crate) writable: bool,
    /// A short read does not mean that nothing is left: end of stream, error, or urgent data.
    pub(crate) read_held: bool,
    /// A short write does not mean that there is no room: hang-up or error.
    pub(crate) write_held: bool,
}

#[cfg(test)]
mod tests;
