//! The seam at which the tests of this crate have the system fail: memory and threads that cannot be had, and a clock that jumps.
//!
//! Whoever maps or guards stacks, or starts an OS thread of a runtime, asks [`admit`] first; whoever wants the time for a deadline asks [`now`]. Programs get functions
//! of which nothing is left once they are compiled. With the feature `fault-injection`, which is for these tests only, the answers are what a test has planned
//! (`seam/plan.rs`).
//!
//! # Suspension
//!
//! Nothing here suspends.
//!
//! # Rejected
//!
//! Limits of the process's (`setrlimit`) alone: they fail everything from a point on, in a process of their own, and not the third call of one runtime. They have tests as
//! well.
//!
//! # Checked by
//!
//! `tests/faults.rs`, which checks the seam along with what is around it.

#[cfg(feature = "fault-injection")]
pub(crate) mod plan;

use std::io;

/// What is asked of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "fault-injection"), expect(unreachable_pub, reason = "for tests to name"))]
pub enum Call {
    /// Address space for stacks, asked for on a worker.
    Map,
    /// The guard of a stack, the same.
    Guard,
    /// An OS thread.
    Thread,
}

/// Asks what becomes of a call that is about to be made, on the OS thread of this name or for it; `None`: on the calling one.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn admit(_: Call, _thread: Option<&str>) -> io::Result<()> {
    Ok(())
}

/// Asks what becomes of a call that is about to be made, on the OS thread of this name or for it; `None`: on the calling one.
#[cfg(feature = "fault-injection")]
pub(crate) fn admit(call: Call, thread: Option<&str>) -> io::Result<()> {
    plan::next(call, thread)
}

/// An OS thread begins that was admitted.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn begin() {}

#[cfg(feature = "fault-injection")]
pub(crate) use plan::begin;

/// The time.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(feature = "fault-injection")]
pub(crate) use plan::now;
