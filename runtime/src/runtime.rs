//! Runtimes: how one is built, entered, referred to and ended.

mod builder;
mod handle;

use std::{
    fmt, io,
    panic::{Location, resume_unwind},
    sync::Arc,
    thread::JoinHandle as OsJoinHandle,
};

use crate::{
    cancel,
    prim::atomic::Ordering::Relaxed,
    scheduler::{self, Shared, current, shutdown, spares::start_thread, worker::Worker},
    task::Options,
    thread::Spawn,
};

pub use self::{builder::Builder, handle::Handle};
pub use crate::dump::{Dump, Frame, Running, ThreadDump, dump_on_quit};
pub use crate::metrics::{Histogram, Metrics, PoolMetrics, WorkerMetrics};
pub use crate::stall::Stall;

/// Runs `f` as the first green thread of a new runtime with default settings, and ends that runtime when `f` returns.
///
/// As a Go program's `main`: green threads that are still there when `f` returns are ended by unwinding.
///
/// # Panics
///
/// With `f`'s payload if `f` panics; if the runtime cannot be built; on a green thread.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let sum = sward_runtime::run(|| {
///     let a = thread::spawn(|| 1);
///     let b = thread::spawn(|| 2);
///     a.join().unwrap() + b.join().unwrap()
/// });
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    assert_outside();
    Builder::new().build().expect("the runtime could not be built").run(f)
}

#[track_caller]
fn assert_outside() {
    assert!(
        current::worker().is_none(),
        "`run` called on a green thread, which it would block: use `thread::spawn` and `join` there"
    );
}

/// A runtime: its workers, its poller thread, and every green thread on them.
///
/// Dropping it ends every green thread of it: those that wait unwind, those that have not started are dropped, those that
/// compute do so until they wait. Each destructor runs once; then the OS threads end. On a green thread the drop does not wait for
/// that, since it may be one of those that are to end.
///
/// # Examples
///
/// ```
/// use sward_runtime::{runtime::Builder, thread};
///
/// let runtime = Builder::new().workers(1).build()?;
/// let forever = runtime.handle().spawn(thread::park);
/// drop(runtime);
/// assert!(forever.join().is_err());
/// # Ok::<(), sward_runtime::error::BuildError>(())
/// ```
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Vec<OsJoinHandle<()>>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle().debug("Runtime", f)
    }
}

impl Runtime {
    /// Starts its OS threads. If one cannot be started, those that were end again.
    fn start(shared: Shared, prefix: &str) -> io::Result<Self> {
        let mut runtime = Self { shared: Arc::new(shared), threads: Vec::new() };
        crate::dump::quit::enter(&runtime.shared);
        runtime.start_threads(prefix)?;
        Ok(runtime)
    }

    fn start_threads(&mut self, prefix: &str) -> io::Result<()> {
        let workers = self.shared.remotes.regular();
        for index in 0..workers {
            let shared = Arc::clone(&self.shared);
            self.start_thread(format!("{prefix}-{index}"), move || Worker::new(index, shared).main())
                .inspect_err(|_| self.shared.world.abandon(workers - index))?;
        }
        let shared = Arc::clone(&self.shared);
        self.start_thread(format!("{prefix}-poller"), move || scheduler::poller::main(&shared))
    }

    fn start_thread(&mut self, name: String, main: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(start_thread(name, main)?);
        Ok(())
    }

    /// Runs `f` as a green thread and waits for its end; `f` may borrow. Other green threads go on afterwards; [`Handle::dump`] lists those that are left.
    ///
    /// # Suspension
    ///
    /// Blocks the calling OS thread.
    ///
    /// # Cancellation
    ///
    /// The wait is not ended by a deadline or a token of the OS thread: `f` may borrow.
    ///
    /// # Panics
    ///
    /// With `f`'s payload if `f` panics; on a green thread.
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        assert_outside();
        let main = Box::new(Options { name: Some("main".into()), stack_size: None });
        let spawn = Spawn { options: Some(main), site: Location::caller() };
        let shared = &*self.shared;
        let f = move || {
            let _run = Run::begin(shared);
            f()
        };
        // SAFETY: this call returns only after the green thread's end, so what `f` borrows outlives it; both types are Send.
        let joiner = unsafe { spawn.outside(&self.shared, f) };
        let joiner = joiner.unwrap_or_else(|rejected| rejected.joiner);
        match cancel::shield(|| joiner.join()) {
            Ok(value) => value,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// A handle, by which green threads can be spawned on this runtime from anywhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }
}

/// Counts a green thread that a `run` waits for, from its start to its end. (Z2 of `deadlock.rs`: until then the OS thread in `run` may be up to something.)
struct Run<'a>(&'a Shared);

impl<'a> Run<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.runs.fetch_add(1, Relaxed);
        Self(shared)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Relaxed);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let threads = std::mem::take(&mut self.threads);
        if current::worker().is_none() {
            return shutdown::shut_down(&shared, threads);
        }
        let end = move || shutdown::shut_down(&shared, threads);
        if std::thread::Builder::new().name("sward-shutdown".into()).spawn(end).is_err() {
            crate::error::abort(
                "a runtime was dropped on a green thread, and no OS thread could be started to end it",
            );
        }
    }
}
