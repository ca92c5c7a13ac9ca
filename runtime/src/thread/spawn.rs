//! How a green thread comes to be.

use std::{io, panic::Location, sync::Arc};

use super::handle::{JoinHandle, Joiner};
use crate::{
    error::{ShutDown, StackShortage},
    prim::atomic::Ordering::Relaxed,
    runtime::Handle,
    scheduler::{Shared, current, worker::Worker},
    stack,
    task::{Meta, Options, TaskRef},
};

/// Spawns a green thread and returns a handle to it.
///
/// It runs on the runtime of the calling green thread, or on the default one, which is started at need. As with `std`, it is
/// detached when the handle is dropped; it ends with its runtime.
///
/// # Panics
///
/// If the default runtime is needed and cannot be started; [`Builder::spawn`] returns an error then.
///
/// # Cancellation
///
/// On a runtime that is ending the closure is dropped unrun, and `join` returns [`Cancelled`](crate::cancel::Cancelled).
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let threads: Vec<_> = (0..10_u64).map(|i| thread::spawn(move || i * i)).collect();
/// let sum: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
/// assert_eq!(sum, 285);
/// ```
#[track_caller]
#[inline]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let spawn = Spawn { options: None, site: Location::caller() };
    if let Some(worker) = current::worker() {
        // SAFETY: `'static` and `Send`, by the bounds.
        return JoinHandle(unsafe { spawn.on_worker(worker, false, f) });
    }
    let handle = Handle::current_or_default().expect("the default runtime could not be started");
    handle.spawn_at(spawn, f)
}

/// Sets a green thread up before it is spawned.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
///
/// let handle = thread::Builder::new().name("deep".into()).stack_size(1 << 20).spawn(|| 1)?;
/// assert_eq!(handle.thread().name(), Some("deep"));
/// assert_eq!(handle.join().unwrap(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    options: Options,
}

impl Builder {
    /// The defaults: no name, the runtime's stack size.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the green thread, for messages and dumps. The name may have no null bytes in it: to [spawn](Self::spawn) with one panics.
    pub fn name(mut self, name: String) -> Self {
        self.options.name = Some(name);
        self
    }

    /// Sets the size of the stack in bytes, rounded up to whole pages and to at least 16 KiB. It is address space: memory is
    /// taken page by page as the stack is used.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.options.stack_size = Some(bytes);
        self
    }

    /// Spawns the green thread, on the runtime of the calling one or the default one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a stack size above 1 GiB; [`ShutDown`] inside when the runtime is ending; [`StackShortage`] inside while
    /// green threads wait for stacks; and why the default runtime could not be started. The closure is dropped.
    ///
    /// # Panics
    ///
    /// If the name has a null byte in it, as with `std`.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: `'static` and `Send`, by the bounds.
        unsafe { self.spawn_at(Location::caller(), f) }.map(JoinHandle)
    }

    /// As [`spawn`](Self::spawn), but what the closure and its result borrow is not checked.
    ///
    /// # Safety
    ///
    /// The green thread must not outlive what `f` and its result borrow. The end of [`join`](JoinHandle::join) is that of the green thread; a handle that is dropped, as when the wait in
    /// `join` is cancelled, leaves it running. `T` may be dropped with the handle, or when the green thread ends.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::{cancel, thread};
    ///
    /// let text = String::from("borrowed");
    /// // SAFETY: it is joined before `text` is gone, which nothing cuts short.
    /// let handle = unsafe { thread::Builder::new().spawn_unchecked(|| text.len()) }?;
    /// assert_eq!(cancel::shield(|| handle.join()).unwrap(), 8);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub unsafe fn spawn_unchecked<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        // SAFETY: the caller's contract, and `Send` by the bounds.
        unsafe { self.spawn_at(Location::caller(), f) }.map(JoinHandle)
    }

    /// # Safety
    ///
    /// `f` and what it borrows outlive the green thread, and both `F` and `T` may be sent to another thread.
    pub(super) unsafe fn spawn_at<F, T>(self, site: &'static Location<'static>, f: F) -> io::Result<Joiner<T>>
    where
        F: FnOnce() -> T,
    {
        let has_null = self.options.name.as_ref().is_some_and(|name| name.contains('\0'));
        assert!(!has_null, "thread name may not contain interior null bytes");
        if let Some(size) = self.options.stack_size {
            stack::round(size).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        }
        let spawn = Spawn { options: Some(Box::new(self.options)), site };
        if let Some(worker) = current::worker() {
            check(worker.shared())?;
            if worker.shared().is_draining() {
                return Err(ShutDown(()).into());
            }
            // SAFETY: the caller's contract.
            return Ok(unsafe { spawn.on_worker(worker, false, f) });
        }
        let handle = Handle::current_or_default()?;
        check(handle.shared())?;
        // SAFETY: the caller's contract.
        unsafe { spawn.outside(handle.shared(), f) }.map_err(|_| ShutDown(()).into())
    }
}

/// Says so when no stack can be had.
fn check(shared: &Shared) -> io::Result<()> {
    if shared.shortage.load(Relaxed) { Err(StackShortage(()).into()) } else { Ok(()) }
}

/// The handle to a green thread that its runtime, which is ending, did not take: it has ended as cancelled.
pub(crate) struct Rejected<T> {
    pub(crate) joiner: Joiner<T>,
}

/// What is known of a green thread before its closure.
#[derive(Debug)]
pub(crate) struct Spawn {
    pub(crate) options: Option<Box<Options>>,
    pub(crate) site: &'static Location<'static>,
}

impl Spawn {
    /// Spawns on the calling worker; `in_turn`: to run when those have that were woken before.
    ///
    /// # Safety
    ///
    /// `f` and what it borrows outlive the green thread, and both `F` and `T` may be sent to another thread.
    #[inline]
    pub(crate) unsafe fn on_worker<F, T>(self, worker: &Worker, in_turn: bool, f: F) -> Joiner<T>
    where
        F: FnOnce() -> T,
    {
        // SAFETY: the running task is alive while it runs.
        let parent = unsafe { worker.current_ptr().as_ref() }.map_or(0, |task| task.meta.id);
        let meta = self.meta(worker.fresh_id(), parent);
        // SAFETY: the caller's contract.
        let (task, handle) = unsafe { TaskRef::new(worker.shared_ptr(), meta, f, Some(worker.slab())) };
        if in_turn {
            worker.spawn_in_turn(task);
        } else {
            worker.spawn(task);
        }
        Joiner::new(handle)
    }

    /// Spawns from a thread that is not a worker of that runtime.
    ///
    /// # Safety
    ///
    /// As [`on_worker`](Self::on_worker).
    pub(crate) unsafe fn outside<F, T>(self, shared: &Arc<Shared>, f: F) -> Result<Joiner<T>, Rejected<T>>
    where
        F: FnOnce() -> T,
    {
        let meta = self.meta(crate::scheduler::fresh_id(), 0);
        // SAFETY: the caller's contract.
        let (task, handle) = unsafe { TaskRef::new(Arc::as_ptr(shared), meta, f, None) };
        let joiner = Joiner::new(handle);
        let Err(task) = shared.spawn_from_outside(task) else { return Ok(joiner) };
        // SAFETY: no queue took it, so this is its only run; the closure is dropped.
        unsafe { task.run_closure(true) };
        let _ = task.join.finish();
        task.state.finish();
        Err(Rejected { joiner })
    }

    fn meta(self, id: u64, parent: u64) -> Meta {
        Meta { id, parent, site: self.site, options: self.options }
    }
}
