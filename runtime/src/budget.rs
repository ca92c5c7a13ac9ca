//! Fairness among those who never have to wait.
//!
//! An operation that succeeds at once (a token that is there, a socket that is ready) suspends nobody, so a loop of such
//! operations could keep its worker for ever. Each therefore spends from a budget that is filled up whenever the
//! green thread is resumed; when it is spent, or the poller thread finds that the green thread has been running for
//! long while others are ready, the operation yields.

use crate::{
    scheduler::{current, worker::Worker},
    thread::yield_now,
};

/// How many operations may succeed at once before one yields.
pub(crate) const BUDGET: u32 = 128;

/// Spends one operation of the running green thread's budget, and yields when none is left.
///
/// # Suspension
///
/// May yield. On an OS thread outside the runtime it does nothing.
///
/// # Examples
///
/// ```
/// for _ in 0..1_000 {
///     sward_runtime::budget::spend();
/// }
/// ```
#[inline]
pub fn spend() {
    let Some(worker) = current::worker() else { return };
    if !worker.spend_budget() {
        refill(worker);
    }
}

/// Out of line, so that it costs nothing where something is left.
#[cold]
#[inline(never)]
fn refill(worker: &Worker) {
    if worker.refill_budget() {
        yield_now();
    }
}
