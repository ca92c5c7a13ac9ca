//! How one worker (or the poller thread) blocks its OS thread, and how it is woken.
//!
//! # States
//!
//! `AWAKE`; `BLOCKED` in a futex; `POLLING` in the driver; `WOKEN` or `WOKEN_SEARCHING`: a wake that the thread has
//! not seen yet.
//!
//! # Invariants
//!
//! - **P1** Only the thread itself leaves `WOKEN` and `WOKEN_SEARCHING`; so a wake that comes before the thread blocks is not lost.
//!
//! # Orderings
//!
//! `wake` (Release) is read by the thread's swap (Acquire). What a wake announces is found in the queues, which have orderings
//! of their own.
//!
//! # Checked by
//!
//! `loom-tests/tests/sleeper.rs`.

use std::{
    sync::OnceLock,
    thread::{self, Thread},
    time::Instant,
};

use crate::prim::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use crate::seam;

const AWAKE: u8 = 0;
const BLOCKED: u8 = 1;
const POLLING: u8 = 2;
const WOKEN: u8 = 3;
const WOKEN_SEARCHING: u8 = 4;

/// Why a sleep ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woke {
    /// By itself: the time is over, the driver returned, or for no reason.
    Unasked,
    /// By a wake.
    Woken,
    /// By a wake that made it a searcher.
    Searching,
}

/// What a wake must still do.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kick {
    /// Nothing: the thread is awake and will see it.
    Nothing,
    /// Unpark the OS thread.
    Thread,
    /// Notify the driver.
    Driver,
}

/// See the module.
#[derive(Debug)]
pub struct Sleeper {
    state: AtomicU8,
    thread: OnceLock<Thread>,
}

impl Default for Sleeper {
    fn default() -> Self {
        Self { state: AtomicU8::new(AWAKE), thread: OnceLock::new() }
    }
}

impl Sleeper {
    /// Makes the calling thread the one that sleeps here.
    pub fn adopt(&self) {
        let _ = self.thread.set(thread::current());
    }

    /// Announces a sleep. `false`: a wake is there already; call [`awake`](Self::awake).
    #[must_use]
    pub fn begin(&self, polling: bool) -> bool {
        let state = if polling { POLLING } else { BLOCKED };
        self.state.compare_exchange(AWAKE, state, AcqRel, Acquire).is_ok()
    }

    /// Ends a sleep, and tells why.
    pub fn awake(&self) -> Woke {
        match self.state.swap(AWAKE, Acquire) {
            WOKEN => Woke::Woken,
            WOKEN_SEARCHING => Woke::Searching,
            _ => Woke::Unasked,
        }
    }

    /// Whether a wake has come since `begin`.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.state.load(Relaxed) >= WOKEN
    }

    /// Blocks until a wake or the deadline.
    pub fn block(&self, deadline: Option<Instant>) -> Woke {
        if self.begin(false) {
            // The OS thread's own parker may wake for no reason, or for a reason of foreign code.
            while !self.is_woken() {
                let Some(deadline) = deadline else {
                    thread::park();
                    continue;
                };
                let left = deadline.saturating_duration_since(seam::now());
                if left.is_zero() {
                    break;
                }
                thread::park_timeout(left);
            }
        }
        self.awake()
    }

    /// Leaves a wake. The caller does what the kick says.
    pub fn wake(&self, searching: bool) -> Kick {
        match self.state.swap(if searching { WOKEN_SEARCHING } else { WOKEN }, AcqRel) {
            BLOCKED => Kick::Thread,
            POLLING => Kick::Driver,
            _ => Kick::Nothing,
        }
    }

    /// Carries out [`Kick::Thread`].
    pub fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
