//! The settings of a runtime, and what they are checked for.

use std::{fmt, io, sync::Arc, time::Duration};

use super::{Runtime, Stall};
use crate::{
    driver::Driver,
    error::{BuildError, BuildErrorKind},
    scheduler::{Config, Shared, current},
    stack::{self, DEFAULT_STACK_SIZE, Guards},
    stall::OnStall,
};

/// More workers than any machine has cores; beyond it the request is taken for a mistake.
const MAX_WORKERS: usize = 4096;

/// More spare workers are never started.
const MAX_SPARES: usize = 16_384;

/// After so long on one green thread a worker is stuck.
const STALL_AFTER: Duration = Duration::from_millis(10);

/// The settings of a runtime.
///
/// # Examples
///
/// ```
/// use sward_runtime::{runtime::Builder, thread};
///
/// let runtime = Builder::new().workers(2).stack_size(128 << 10).thread_name("web").build()?;
/// assert_eq!(runtime.run(|| thread::spawn(|| 7).join().unwrap()), 7);
/// # Ok::<(), sward_runtime::error::BuildError>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    workers: Option<usize>,
    stack_size: usize,
    thread_name: String,
    roaming: bool,
    guards: Guards,
    detects_deadlocks: bool,
    driver: Option<StartDriver>,
    stall_after: Duration,
    on_stall: Option<OnStall>,
    max_spares: Option<usize>,
}

type StartDriver = Box<dyn FnOnce() -> io::Result<Arc<dyn Driver>>>;

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("stack_size", &self.stack_size)
            .field("thread_name", &self.thread_name)
            .field("roaming", &self.roaming)
            .finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            workers: None,
            stack_size: DEFAULT_STACK_SIZE,
            thread_name: String::from("sward"),
            roaming: false,
            guards: Guards::Auto,
            detects_deadlocks: cfg!(debug_assertions),
            driver: None,
            stall_after: STALL_AFTER,
            on_stall: None,
            max_spares: None,
        }
    }
}

impl Builder {
    /// The defaults: as many workers as threads can run in parallel, stacks of 256 KiB, anchored.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of workers, from 1 to 4096.
    pub fn workers(mut self, n: usize) -> Self {
        self.workers = Some(n);
        self
    }

    /// Sets the stack size in bytes of green threads that do not ask for their own, rounded up to whole pages and to at least
    /// 16 KiB; at most 1 GiB. It is address space: memory is taken page by page as a stack is used.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// Sets the prefix of the OS threads' names: `prefix-0`, `prefix-1`, …, `prefix-poller`.
    pub fn thread_name(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name = prefix.into();
        self
    }

    /// Sets after how long on one green thread a worker counts as stuck; 10 milliseconds if nothing is set.
    ///
    /// A green thread that computes for long, or blocks its OS thread in foreign code, keeps its worker. If that lasts this long while
    /// there is work that others could do, a spare worker takes over, and the stuck one waits for its turn when it comes back: so
    /// as many workers run at once as the runtime was built with. What has started on the stuck worker and is anchored there waits for it.
    /// Looked at once a millisecond.
    pub fn stall_after(mut self, duration: Duration) -> Self {
        self.stall_after = duration;
        self
    }

    /// Has `f` called when a green thread has kept its worker for [`stall_after`](Self::stall_after) while others wait for that worker: once for each time,
    /// on an OS thread of the pool behind [`unblock`](crate::unblock).
    ///
    /// For logs and alarms: what has started on that worker, and is anchored there, waits until the stall is over. A call in
    /// [`blocking`](crate::blocking) is not told of. With the feature `tracing` there is also an event, at the level `WARN`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// use sward_runtime::{runtime::Builder, thread};
    ///
    /// let (sender, stalls) = mpsc::channel();
    /// let runtime = Builder::new().workers(1).on_stall(move |stall| sender.send(stall.to_string()).unwrap()).build()?;
    /// runtime.run(move || {
    ///     let waiting = thread::spawn(|| ());
    ///     // A foreign call that blocks the only worker.
    ///     let told = stalls.recv().unwrap();
    ///     assert!(told.contains("'main'") && told.contains("wait behind it"), "{told}");
    ///     waiting.join().unwrap();
    /// });
    /// # Ok::<(), sward_runtime::error::BuildError>(())
    /// ```
    pub fn on_stall(mut self, f: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.on_stall = Some(Arc::new(f));
        self
    }

    /// Sets how many spare workers may be started at most, for workers that are stuck and for green threads in
    /// [`blocking`](crate::blocking); 64 and twice the number of workers if nothing is set, 16,384 at most. With none,
    /// stuck workers are not made up for.
    ///
    /// A spare that is not needed yet costs nothing. One that was started stays, asleep, for the next time, and ends with the runtime.
    pub fn max_spares(mut self, n: usize) -> Self {
        self.max_spares = Some(n);
        self
    }

    /// Sets whether deadlocks are reported; by default in builds with debug assertions.
    ///
    /// A deadlock is when [`Runtime::run`] waits, every green thread waits too, and nothing is left that could wake one: no deadline, no socket, no call on the pool. Then the
    /// process prints a dump of all green threads to the standard error stream, and aborts, as a Go program does. If it has OS threads that are not the runtime's, one of them
    /// may yet wake a green thread: then the dump is a warning, printed once, after nothing has moved for a second. A test under `cargo test` has such threads.
    /// Who waits for a signal that ends the process by default is taken for one that waits for ever.
    ///
    /// It is looked for when all workers have been asleep for a while, so it costs nothing that runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new().workers(1).detect_deadlocks(true).build()?;
    /// # drop(runtime);
    /// # Ok::<(), sward_runtime::error::BuildError>(())
    /// ```
    pub fn detect_deadlocks(mut self, on: bool) -> Self {
        self.detects_deadlocks = on;
        self
    }

    /// Starts a driver with the runtime. Without this it is started when the first socket needs it.
    ///
    /// `sward-io`'s is `sward_io::Reactor::new`.
    pub fn driver<D: Driver>(mut self, start: impl FnOnce() -> io::Result<D> + 'static) -> Self {
        self.driver = Some(Box::new(move || Ok(Arc::new(start()?))));
        self
    }

    /// Makes every runnable green thread stealable at every suspension, as in Go, in place of anchoring it to the worker that ran it
    /// first.
    ///
    /// # Safety
    ///
    /// Whatever runs on the runtime's green threads keeps across a suspension
    ///
    /// 1. no reference into a `std` thread-local (`LocalKey::with` around something that waits),
    /// 2. no value that is not `Send` and that a thread-local also reaches (a clone of an `Rc` that is stored in one),
    /// 3. no guard that is tied to its OS thread,
    ///
    /// and touches no thread-local in code that the compiler may inline together with a suspension: it may keep the address.
    /// Optimised builds with debug assertions (`opt-level` 1 or more in the profile) look for the first and the last when a green thread moves, and panic
    /// in it. They look for words on its stack that point into thread-locals, living or left there by earlier calls: where one is found in
    /// a correct program, as is likely if that program is not optimised and this crate is,
    /// `[profile.dev.package.sward-runtime] debug-assertions = false` turns the look off.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::{runtime::Builder, thread};
    ///
    /// // SAFETY: nothing in this program uses thread-locals.
    /// let runtime = unsafe { Builder::new().workers(2).roaming() }.build()?;
    /// runtime.run(|| thread::yield_now());
    /// # Ok::<(), sward_runtime::error::BuildError>(())
    /// ```
    pub unsafe fn roaming(mut self) -> Self {
        self.roaming = true;
        self
    }

    /// Makes guards with `mprotect` even where the kernel has guard regions. For tests of the fallback.
    #[doc(hidden)]
    pub fn mprotect_guards(mut self) -> Self {
        self.guards = Guards::Mprotect;
        self
    }

    /// Starts the runtime's OS threads: the workers and the poller thread.
    ///
    /// # Errors
    ///
    /// When a setting is out of range, an OS thread cannot be started, or the driver cannot; whatever was started has ended again.
    pub fn build(self) -> Result<Runtime, BuildError> {
        let cpus = num_cpus::get();
        let workers = match self.workers {
            Some(0) => return Err(BuildError(BuildErrorKind::NoWorkers)),
            Some(n) if n > MAX_WORKERS => return Err(BuildError(BuildErrorKind::TooManyWorkers(n))),
            Some(n) => n,
            None => cpus,
        };
        let stack_size =
            stack::round(self.stack_size).map_err(|error| BuildError(BuildErrorKind::StackSize(error)))?;
        stack::overflow::install(current::running);

        let config = Config {
            workers,
            searchers: workers.min(cpus) / 2,
            stack_size,
            guards: self.guards,
            roaming: self.roaming,
            max_spares: self.max_spares.unwrap_or(2 * workers + 64).min(MAX_SPARES),
            stall_after: self.stall_after,
            on_stall: self.on_stall,
            thread_name: self.thread_name.clone(),
            detects_deadlocks: self.detects_deadlocks,
        };
        // Before there is a runtime: when it fails there is nothing to end.
        let driver = self.driver.map(|start| start()).transpose();
        let driver = driver.map_err(|error| BuildError(BuildErrorKind::Driver(error)))?;
        let shared = Shared::new(config);
        if let Some(driver) = driver {
            let _ = shared.driver.set(driver);
        }
        Runtime::start(shared, &self.thread_name).map_err(|error| BuildError(BuildErrorKind::Thread(error)))
    }
}
