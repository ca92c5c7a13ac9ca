//! A pool of OS threads for calls that block, and [`unblock`], which parks a green thread while one of them works for it.
//!
//! The pool is the process's. Its threads start when there is work and none is idle, and end after a while without any. What may wait for something that
//! takes a thread of the pool itself, such as a lock that another is to give up, has a thread of its own ([`unblock_apart`]).
//!
//! # Invariants
//!
//! - **U1** A job in the queue has a thread on its way to it: either one is idle, or one was started for it, or all [`MAX_THREADS`]
//!   are busy and take it when they are done; or, when none can be started at all, its owner keeps trying.
//! - **U2** No job takes its thread, or the count of it, with it: a panic ends in [`run`], or in the result.

use std::{
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    cancel,
    park::{Outcome, WaitReason, Waiter, Waker},
    scheduler::current,
    seam, slack,
};

/// As many calls of [`unblock`] may block at once; more wait in a queue.
const MAX_THREADS: usize = 512;

/// After so long without work a thread ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How often a job is offered again when no thread could be started for it and none is left to take it.
const RETRY: Duration = Duration::from_millis(10);

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    state: Mutex<State>,
    work: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// How many have a thread of their own.
    apart: usize,
}

static POOL: Pool = Pool {
    state: Mutex::new(State { jobs: VecDeque::new(), threads: 0, idle: 0, apart: 0 }),
    work: Condvar::new(),
};

impl Pool {
    /// Queues a job and sees to it that a thread will take it. `false`: there is none, and none could be started.
    fn submit(&'static self, job: Job) -> bool {
        self.state.lock().jobs.push_back(job);
        self.ensure_thread()
    }

    /// Starts a thread for a job; if there can be none, it is the next one in the queue.
    fn submit_apart(&'static self, job: Job) -> bool {
        let slot = Arc::new(Mutex::new(Some(job)));
        let theirs = Arc::clone(&slot);
        let take = move || {
            slack::set_plain();
            let job = theirs.lock().take();
            // Before it is seen to be done.
            drop(theirs);
            job.into_iter().for_each(run);
            self.state.lock().apart -= 1;
        };
        self.state.lock().apart += 1;
        if std::thread::Builder::new().name("sward-apart".into()).spawn(take).is_ok() {
            return true;
        }
        let mut state = self.state.lock();
        state.apart -= 1;
        if let Some(job) = slot.lock().take() {
            state.jobs.push_front(job);
        }
        drop(state);
        self.ensure_thread()
    }

    fn ensure_thread(&'static self) -> bool {
        {
            let mut state = self.state.lock();
            if state.idle >= state.jobs.len() || state.threads >= MAX_THREADS {
                self.work.notify_one();
                return true;
            }
            state.threads += 1;
        }
        let started = std::thread::Builder::new().name("sward-pool".into()).spawn(|| self.serve());
        if started.is_ok() {
            return true;
        }
        let mut state = self.state.lock();
        state.threads -= 1;
        state.threads > 0
    }

    fn serve(&self) {
        slack::set_plain();
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                run(job);
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let timed_out = self.work.wait_for(&mut state, KEEP_ALIVE).timed_out();
            state.idle -= 1;
            if timed_out && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

/// Runs a job (U2). A panic is dropped: nobody waits for it, and its hook has reported it. So is its payload, whose destructor may panic too.
fn run(job: Job) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(job)) {
        mem::forget(payload);
    }
}

/// The pool behind [`unblock`], at one moment. In [`Metrics`](crate::runtime::Metrics).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// OS threads that it has.
    pub threads: usize,
    /// Those that wait for work.
    pub idle: usize,
    /// Calls that wait for an OS thread.
    pub queued: usize,
}

/// Whether no call is under way or waits for an OS thread.
pub(crate) fn is_idle() -> bool {
    let state = POOL.state.lock();
    state.jobs.is_empty() && state.idle == state.threads && state.apart == 0
}

pub(crate) fn metrics() -> PoolMetrics {
    let state = POOL.state.lock();
    PoolMetrics { threads: state.threads, idle: state.idle, queued: state.jobs.len() }
}

/// Where the job leaves its result for the green thread that waits.
struct Slot<T> {
    result: Option<std::thread::Result<T>>,
    waiter: Option<Waker>,
}

/// Whether the caller is a green thread, for which [`unblock`] uses the pool; elsewhere it may block.
///
/// For those who would prepare what they hand to [`unblock`], and on an OS thread need not.
///
/// # Examples
///
/// ```
/// use sward_runtime::{is_green, thread};
///
/// assert!(!is_green());
/// assert!(thread::spawn(is_green).join().unwrap());
/// ```
#[must_use]
pub fn is_green() -> bool {
    current::task().is_some()
}

/// Runs `f`, which may block, on a pool of OS threads, and parks the calling green thread until it has returned.
///
/// For calls that would stall a worker: foreign code, files, name look-ups. What cannot be sent runs in [`blocking`](crate::blocking). On an OS thread outside the runtime it just calls `f`.
///
/// # Suspension
///
/// Parks the green thread.
///
/// # Cancellation
///
/// `f` runs to its end all the same; its result is dropped.
///
/// # Panics
///
/// With `f`'s payload if `f` panics. Inside [`no_suspend`](crate::thread::no_suspend), without calling `f`.
///
/// # Examples
///
/// ```
/// use sward_runtime::{thread, unblock};
///
/// let size = thread::spawn(|| unblock(|| std::fs::metadata("/").map(|m| m.len()))).join().unwrap()?;
/// assert!(size > 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn unblock<T, F>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    unblock_by(|job| POOL.submit(job), f)
}

/// Runs `f` on the pool, with nobody to wait for it. A panic in it is for the hook only.
pub(crate) fn detach(f: impl FnOnce() + Send + 'static) {
    // If there is no thread for it just now, whoever comes next takes it along.
    let _ = POOL.submit(Box::new(f));
}

/// As [`unblock`], on an OS thread of its own: however many calls block. No part of the API.
#[doc(hidden)]
pub fn unblock_apart<T, F>(f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    unblock_by(|job| POOL.submit_apart(job), f)
}

fn unblock_by<T, F>(submit: impl FnOnce(Job) -> bool, f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let Some(task) = current::task() else { return f() };
    // Before `f` is on its way: what a wait would panic about.
    current::assert_may_suspend();
    task.panic_if_caught();
    let slot = Arc::new(Mutex::new(Slot { result: None, waiter: None }));
    let theirs = Arc::clone(&slot);
    let served = submit(Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(f));
        let claimed = {
            let mut slot = theirs.lock();
            slot.result = Some(result);
            // SAFETY: the waiter takes its waker out under this lock (W1 of `park.rs`).
            slot.waiter.as_ref().and_then(|waiter| unsafe { waiter.claim() })
        };
        // Before the green thread runs on, so that what it sees freed is freed.
        drop(theirs);
        if let Some(claimed) = claimed {
            claimed.schedule();
        }
    }));
    match wait_for(slot, served) {
        Ok(value) => value,
        Err(payload) => resume_unwind(payload),
    }
}

fn wait_for<T>(slot: Arc<Mutex<Slot<T>>>, mut served: bool) -> std::thread::Result<T>
where
    T: Send + 'static,
{
    loop {
        // SAFETY: used up in this turn of the loop, which begins no other wait.
        let mut waiter = unsafe { Waiter::new(WaitReason::Pool) };
        {
            let mut slot = slot.lock();
            if let Some(result) = slot.result.take() {
                return result;
            }
            slot.waiter = Some(waiter.waker());
        }
        let deadline = (!served).then(|| seam::now() + RETRY);
        let outcome = waiter.wait(deadline);
        slot.lock().waiter = None;
        match outcome {
            Outcome::Woken => {}
            Outcome::TimedOut => served = POOL.ensure_thread(),
            Outcome::Cancelled => {
                // There may be a result by now. Not while unwinding: its destructor may panic.
                run(Box::new(|| cancel::shield(|| drop(slot))));
                cancel::unwind()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsInDrop;

    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    #[test]
    fn the_counts_are_right_whatever_a_job_does() {
        for submit in [Pool::submit, Pool::submit_apart] {
            assert!(submit(&POOL, Box::new(|| resume_unwind(Box::new(PanicsInDrop)))));
            while !is_idle() {
                std::thread::yield_now();
            }
        }
    }
}
