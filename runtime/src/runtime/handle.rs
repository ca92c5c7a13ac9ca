//! References to a runtime, by which anybody spawns green threads on it and looks at it.

use std::{
    any::Any,
    fmt, io,
    panic::Location,
    sync::{Arc, OnceLock},
};

use super::{Builder, Dump, Metrics, Runtime};
use crate::{
    driver::Driver,
    error::{BuildError, ShutDown},
    metrics,
    scheduler::{self, Shared, current},
    thread::{JoinHandle, Rejected, Spawn},
};

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
    pub(super) shared: Arc<Shared>,
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

    pub(super) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("workers", &self.workers())
            .field("roaming", &self.shared.roaming)
            .field("live", &self.live())
            .field("stacks", &self.shared.stacks.live())
            .finish_non_exhaustive()
    }
}
