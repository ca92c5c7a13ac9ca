//! Runtimes: how one is built, entered, referred to and ended.

use std::{
    any::Any,
    fmt, io,
    panic::{Location, resume_unwind},
    sync::{Arc, OnceLock},
    thread::JoinHandle as OsJoinHandle,
    time::Duration,
};

use crate::{
    cancel,
    driver::Driver,
    error::{BuildError, BuildErrorKind, ShutDown},
    metrics,
    prim::atomic::Ordering::Relaxed,
    scheduler::{self, Config, Shared, current, shutdown, spares::start_thread, worker::Worker},
    stack::{self, DEFAULT_STACK_SIZE, Guards},
    stall::OnStall,
    task::Options,
    thread::{JoinHandle, Rejected, Spawn},
};

pub use crate::dump::{Dump, Frame, Running, ThreadDump, dump_on_quit};
pub use crate::metrics::{Histogram, Metrics, PoolMetrics, WorkerMetrics};
pub use crate::stall::Stall;

/// More workers than any machine has cores; beyond it the request is taken for a mistake.
const MAX_WORKERS: usize = 4096;

/// More spare workers are never started.
const MAX_SPARES: usize = 16_384;

/// After so long on one green thread a worker is stuck.
const STALL_AFTER: Duration = Duration::from_millis(10);

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
        let mut runtime = Runtime { shared: Arc::new(Shared::new(config)), threads: Vec::new() };
        if let Some(driver) = driver {
            let _ = runtime.shared.driver.set(driver);
        }
        crate::dump::quit::enter(&runtime.shared);
        runtime
            .start_threads(&self.thread_name)
            .map_err(|error| BuildError(BuildErrorKind::Thread(error)))?;
        Ok(runtime)
    }
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

/// Lets sleeps end when they should: the default slack of a thread's timers is 50 µs.
pub(crate) fn precise_timers() {
    #[cfg(target_os = "linux")]
    // SAFETY: sets a number of the calling thread; failure changes nothing.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0);
    }
}

/// A reference to a runtime that does not keep it running.
///
/// # Examples
///
/// ```
/// use sward_runtime::runtime::Builder;
///
/// let runtime = Builder::new().workers(1).build()?;
/// let handle = runtime.handle();
/// let sum = std::thread::spawn(move || handle.spawn(|| 1 + 1).join().unwrap()).join().unwrap();
/// assert_eq!(sum, 2);
/// # Ok::<(), sward_runtime::error::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug("Handle", f)
    }
}

impl Handle {
    /// The runtime of the calling green thread; elsewhere the default runtime, which is started at need.
    ///
    /// # Panics
    ///
    /// If the default runtime is needed and cannot be started.
    #[must_use]
    pub fn current() -> Self {
        Self::current_or_default().expect("the default runtime could not be started")
    }

    /// As [`current`](Self::current), with an error in place of the panic.
    ///
    /// # Errors
    ///
    /// Why the default runtime could not be started. A later call tries again.
    #[expect(clippy::missing_panics_doc, reason = "an invariant of this function")]
    pub fn current_or_default() -> Result<Self, BuildError> {
        static DEFAULT: OnceLock<Runtime> = OnceLock::new();
        static STARTING: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
        if let Some(worker) = current::worker() {
            return Ok(Self { shared: Arc::clone(worker.shared()) });
        }
        if let Some(runtime) = DEFAULT.get() {
            return Ok(runtime.handle());
        }
        let _starting = STARTING.lock();
        if DEFAULT.get().is_none() {
            let _ = DEFAULT.set(Builder::new().build()?);
        }
        Ok(DEFAULT.get().expect("set under the lock").handle())
    }

    /// Spawns a green thread on this runtime.
    ///
    /// On a runtime that has shut down the closure is dropped unrun, and `join` returns
    /// [`Cancelled`](crate::cancel::Cancelled).
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_at(Spawn { options: None, site: Location::caller() }, f)
    }

    /// As [`spawn`](Self::spawn), with an error when the runtime has shut down.
    ///
    /// # Errors
    ///
    /// [`ShutDown`] inside. The closure is dropped.
    #[track_caller]
    pub fn try_spawn<F, T>(&self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let spawn = Spawn { options: None, site: Location::caller() };
        self.try_spawn_at(spawn, false, f).map_err(|_| ShutDown(()).into())
    }

    /// As [`try_spawn`](Self::try_spawn), for wakers: it runs when those have that were woken before. `false`: `f` was dropped.
    #[doc(hidden)]
    #[track_caller]
    pub fn spawn_in_turn<F>(&self, f: F) -> bool
    where
        F: FnOnce() + Send + 'static,
    {
        let spawn = Spawn { options: None, site: Location::caller() };
        self.try_spawn_at(spawn, true, f).is_ok()
    }

    pub(crate) fn spawn_at<F, T>(&self, spawn: Spawn, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.try_spawn_at(spawn, false, f).unwrap_or_else(|rejected| JoinHandle(rejected.joiner))
    }

    fn try_spawn_at<F, T>(&self, spawn: Spawn, in_turn: bool, f: F) -> Result<JoinHandle<T>, Rejected<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let joiner = match current::worker() {
            Some(worker) if std::ptr::eq(worker.shared_ptr(), Arc::as_ptr(&self.shared)) => {
                // SAFETY: `'static` and `Send`, by the bounds.
                unsafe { spawn.on_worker(worker, in_turn, f) }
            }
            // SAFETY: as above.
            _ => unsafe { spawn.outside(&self.shared, f) }?,
        };
        Ok(JoinHandle(joiner))
    }

    /// The runtime's driver, which `start` makes if there is none yet.
    ///
    /// # Errors
    ///
    /// Those of `start`; and if the runtime has a driver of another type, or has shut down.
    #[expect(clippy::missing_panics_doc, reason = "an invariant of this function")]
    pub fn driver<D: Driver>(&self, start: impl FnOnce() -> io::Result<D>) -> io::Result<Arc<D>> {
        let shared = &self.shared;
        if shared.driver.get().is_none() {
            let _starting = shared.driver_start.lock();
            if shared.driver.get().is_none() {
                // Held until it is set, so that whoever ends the runtime closes it.
                let gate = shared.world.gate.read();
                if gate.closed {
                    return Err(ShutDown(()).into());
                }
                let driver = crate::thread::no_suspend(start)?;
                let _ = shared.driver.set(Arc::new(driver));
            }
            // Sleeping workers do not know of it yet.
            shared.poller.wake(shared);
        }
        let driver: Arc<dyn Any + Send + Sync> = Arc::clone(shared.driver.get().expect("set above")) as _;
        driver.downcast().map_err(|_| io::Error::other("the runtime has a driver of another kind"))
    }

    /// How many workers the runtime has.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.shared.remotes.regular()
    }

    /// How many green threads have been spawned and have not ended. A snapshot.
    #[must_use]
    pub fn live(&self) -> usize {
        usize::try_from(self.shared.live()).unwrap_or(usize::MAX)
    }

    /// The most bytes of stack that any green thread has used, as far as is known: it is seen when the pages of a finished one are
    /// given back. Zero in release builds.
    #[must_use]
    pub fn stack_high_water(&self) -> usize {
        self.shared.stacks.high_water()
    }

    /// Figures about the runtime: what its workers do, how many green threads there are, and how long they wait to run.
    ///
    /// Cheap to have, since all of it is counted anyway: nothing stands still for a look, and no figure is on the path of a switch.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::{runtime::Builder, thread};
    ///
    /// let runtime = Builder::new().workers(2).build()?;
    /// runtime.run(|| {
    ///     for _ in 0..100 {
    ///         thread::spawn(thread::yield_now).join().unwrap();
    ///     }
    /// });
    /// let metrics = runtime.handle().metrics();
    /// assert_eq!(metrics.spawned, 101);
    /// assert!(metrics.workers.iter().map(|worker| worker.resumes).sum::<u64>() >= 201);
    /// # Ok::<(), sward_runtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        metrics::collect(&self.shared)
    }

    /// Looks at every green thread: its name, where it was spawned, what it waits for and since when, and what it was about to do: a backtrace. For
    /// programs that hang.
    ///
    /// Workers stand still meanwhile: some microseconds for each frame of a stack, and a second at most, after which stacks are left out. If a worker does not come to
    /// a suspension for 100 milliseconds, since what it runs neither waits nor yields, the look is taken without it: what it runs is told without its stack.
    /// Of a runtime that is ending nothing is known.
    ///
    /// What a program has left behind when [`run`](Runtime::run) returns is told too, as long as the runtime is there: its end unwinds it all.
    ///
    /// Frames have names and lines as far as the binary has symbols and debug information (`debug = "line-tables-only"` will do).
    ///
    /// # Suspension
    ///
    /// On a green thread, parks it, while an OS thread of its own looks; it is itself in the dump.
    ///
    /// # Cancellation
    ///
    /// The look is taken all the same; its result is dropped.
    ///
    /// # Panics
    ///
    /// On a green thread inside [`no_suspend`](crate::thread::no_suspend).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::{park::WaitReason, runtime::Builder, thread};
    ///
    /// let runtime = Builder::new().workers(2).build()?;
    /// let named = runtime.run(|| thread::Builder::new().name("stuck".into()).spawn(thread::park)).unwrap();
    /// while named.thread().state() != thread::State::Waiting(WaitReason::Park) {}
    /// let dump = runtime.handle().dump();
    /// assert!(dump.to_string().contains("'stuck'"), "{dump}");
    /// assert!(dump.to_string().contains("waits: Park"), "{dump}");
    /// # Ok::<(), sward_runtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn dump(&self) -> Dump {
        let shared = Arc::clone(&self.shared);
        crate::pool::unblock_apart(move || scheduler::dump::dump(&shared))
    }

    /// Whether the runtime is ending, or has ended. Seen by a worker of it to be `false`, it takes what that worker spawns next.
    #[doc(hidden)]
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.shared.is_ending()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("workers", &self.workers())
            .field("roaming", &self.shared.roaming)
            .field("live", &self.live())
            .field("stacks", &self.shared.stacks.live())
            .finish_non_exhaustive()
    }
}
