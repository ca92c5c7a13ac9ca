//! Spare workers: OS threads that are started when others are stuck, and stay for the next time.
//!
//! A spare is a worker like the others, with a number above theirs. It runs while it has a seat (`seats.rs`), sleeps without one
//! otherwise, and ends with the runtime: it may have become the home of tasks.
//!
//! # Roles
//!
//! The *poller thread* starts spares, one at a time; so who counts the workers need only keep it from doing so.
//!
//! # Invariants
//!
//! - **N2** A spare is counted as started under the lock of the world's stops, and only while workers need not stop. So the stopper,
//!   which counts under that lock, misses none that runs.
//! - **N3** A spare has its seat before its thread begins. If the thread cannot be started, the seat is given to another or left free, and
//!   the poller thread tries again later.

use std::{io, panic::AssertUnwindSafe, sync::Arc, thread::JoinHandle};

use super::{Shared, idle::Given, worker::Worker};
use crate::prim::{
    Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use crate::{seam, slack};

/// After so many of its ticks the poller thread tries again to start a thread that could not be started.
const RETRY: u32 = 16;

/// The spares' OS threads. See the module.
pub(crate) struct Spares {
    /// What the names of the runtime's OS threads begin with.
    prefix: String,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The poller thread's tick at which a thread could not be started.
    failed: AtomicU32,
}

impl Spares {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix, threads: Mutex::new(Vec::new()), failed: AtomicU32::new(RETRY.wrapping_neg()) }
    }

    /// The threads that have been started, to be joined. None is started afterwards.
    pub(super) fn take(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.threads.lock())
    }
}

/// Starts an OS thread of a runtime. If `main` panics, the process aborts.
pub(crate) fn start_thread(name: String, main: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    seam::admit(seam::Call::Thread, Some(&name))?;
    slack::remember();
    let main = move || {
        seam::begin();
        slack::set_least();
        if std::panic::catch_unwind(AssertUnwindSafe(main)).is_err() {
            crate::error::abort("a runtime thread panicked outside any green thread");
        }
    };
    std::thread::Builder::new().name(name).spawn(main)
}

/// Whether one is to be started.
pub(super) fn is_wanted(shared: &Shared) -> bool {
    shared.idle.is_short() && shared.remotes.started() < shared.remotes.capacity()
}

/// Starts a spare, if a seat is free and nobody sleeps with one. The poller thread only.
pub(super) fn start_one(shared: &Arc<Shared>) {
    if !shared.idle.is_short() {
        return;
    }
    let spare = shared.remotes.started();
    let tick = shared.poller.tick();
    let has_failed = tick.wrapping_sub(shared.spares.failed.load(Relaxed)) < RETRY;
    if spare == shared.remotes.capacity() || has_failed || !count_one_more(shared, spare) {
        return;
    }
    let name = format!("{}-spare-{}", shared.spares.prefix, spare - shared.remotes.regular());
    let theirs = Arc::clone(shared);
    match start_thread(name, move || Worker::new(spare, theirs).main()) {
        Ok(thread) => shared.spares.threads.lock().push(thread),
        Err(_) => {
            shared.spares.failed.store(tick, Relaxed);
            {
                let _stops = shared.world.stops.lock();
                shared.remotes.close();
                shared.world.changed.notify_all();
                if let Some(worker) = shared.idle.abandon(spare) {
                    shared.wake_worker(worker, false);
                }
            }
            if shared.has_visible_work() {
                shared.notify();
            }
        }
    }
}

/// Counts a spare as started (N2). `false`: none may be, or need be.
fn count_one_more(shared: &Shared, spare: usize) -> bool {
    let _stops = shared.world.stops.lock();
    let go = !shared.must_stop() && shared.idle.start(spare);
    if go {
        shared.remotes.open();
    }
    go
}

impl Shared {
    /// A seat was given to somebody else: does what is to be done about it (D4 of `idle.rs`).
    pub(super) fn given(&self, given: Given) {
        if let Some(worker) = given.wake {
            self.wake_worker(worker, false);
        }
        if self.has_visible_work() {
            self.notify();
        }
        if given.short && self.remotes.started() < self.remotes.capacity() {
            self.poller.wake(self);
        }
    }
}
