//! The seam at which the tests of this crate have system calls fail, or cut them short.
//!
//! Whoever makes a call that transfers something, accepts, connects or registers asks [`admit`] first, which says how many
//! bytes the call may move at most, or fails in its place. Programs get a function that says "as many as you like", of which
//! nothing is left once it is compiled. With the feature `fault-injection`, which is for these tests only, the answer is what a
//! test has planned for that descriptor (`seam/plan.rs`).
//!
//! What is injected is what the kernel might do. Three things are up to the test:
//!
//! - A call that says that it would block promises an event for later: there must be one.
//! - A datagram that is cut short is torn.
//! - A transfer that is cut short stands for one that was asked for less. It does not say that nothing is left ([`was_cut`]).
//!
//! Calls of `std` and of the user's are not asked for: names, directories, processes, what runs in `io::Watched`.
//!
//! # Suspension
//!
//! Nothing here suspends.
//!
//! # Rejected
//!
//! - *Functions of the tests that take the place of the C library's.* `rustix` goes past that library, so files, pipes and
//!   `splice` would be left out; and a short read of a TCP connection says that nothing is left, so one that lies hangs.
//! - *A filter of the kernel's* (seccomp). It covers everything, but it does not count, and it stays until the process ends.
//! - *`cfg(test)`.* The tests that matter are in a crate of their own.
//! - *A trait for the system, as a parameter of every type.* It would be in every signature, for the tests' sake.
//!
//! # Checked by
//!
//! `tests/faults.rs`, `tests/faults_accept.rs`, which check the seam along with what is around it.

#[cfg(feature = "fault-injection")]
pub(crate) mod plan;

use std::{
    io::{IoSlice, IoSliceMut},
    os::fd::AsRawFd,
};

use rustix::io::Errno;

/// What a system call does to a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "fault-injection"), expect(unreachable_pub, reason = "for tests to name"))]
pub enum Call {
    /// Takes data from it.
    Read,
    /// Gives data to it.
    Write,
    /// Takes a connection from it.
    Accept,
    /// Connects it to a peer.
    Connect,
    /// Has a reactor watch it.
    Register,
}

/// Asks what becomes of a call that is about to be made: how many bytes it may move at most, or how it fails.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn admit(_: impl AsRawFd, _: Call) -> Result<usize, Errno> {
    Ok(usize::MAX)
}

/// Asks what becomes of a call that is about to be made: how many bytes it may move at most, or how it fails.
#[cfg(feature = "fault-injection")]
pub(crate) fn admit(fd: impl AsRawFd, call: Call) -> Result<usize, Errno> {
    plan::next(fd.as_raw_fd(), call)
}

/// Whether the last call of this OS thread was cut short here.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn was_cut() -> bool {
    false
}

#[cfg(feature = "fault-injection")]
pub(crate) use plan::was_cut;

/// Of a buffer as much as a call gets.
#[inline(always)]
pub(crate) fn some<T>(buffer: &[T], most: usize) -> &[T] {
    &buffer[..buffer.len().min(most)]
}

/// Of a buffer as much as a call gets.
#[inline(always)]
pub(crate) fn some_mut<T>(buffer: &mut [T], most: usize) -> &mut [T] {
    let len = buffer.len().min(most);
    &mut buffer[..len]
}

/// Makes a call with several buffers: with all, or if it is cut short, with as much as it gets of the first that is not empty.
#[inline(always)]
pub(crate) fn with_some<R>(bufs: &[IoSlice<'_>], most: usize, call: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
    if most == usize::MAX {
        return call(bufs);
    }
    let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
    call(&[IoSlice::new(some(first, most))])
}

/// Makes a call with several buffers: with all, or if it is cut short, with as much as it gets of the first that is not empty.
#[inline(always)]
pub(crate) fn with_some_mut<R>(
    bufs: &mut [IoSliceMut<'_>],
    most: usize,
    call: impl FnOnce(&mut [IoSliceMut<'_>]) -> R,
) -> R {
    if most == usize::MAX {
        return call(bufs);
    }
    let first = bufs.iter_mut().find(|buf| !buf.is_empty()).map_or(&mut [][..], |buf| buf);
    call(&mut [IoSliceMut::new(some_mut(first, most))])
}
