//! Green threads that belong together, and whose results come as they end.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::thread::{self, JoinHandle, Thread};
use sward_sync::Semaphore;

use super::{Failure, watch::Watch};

/// Green threads that belong together: results are taken in the order in which they end, and dropping the group cancels those that
/// still run.
///
/// # Examples
///
/// ```
/// use sward::task::Group;
///
/// let mut group = Group::new();
/// for i in 0..10_u64 {
///     group.spawn(move || i * i);
/// }
/// let mut sum = 0;
/// while let Some(result) = group.join_next() {
///     sum += result?;
/// }
/// assert_eq!(sum, 285);
/// # Ok::<(), sward::task::Failure>(())
/// ```
pub struct Group<T> {
    watch: Watch<T>,
    permits: Option<Arc<Semaphore>>,
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self { watch: Watch::default(), permits: None }
    }
}

impl<T> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> Group<T> {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty group of which at most `limit` run at once: [`spawn`](Self::spawn) waits until one of them has ended.
    ///
    /// # Panics
    ///
    /// If `limit` is 0, with which nothing could ever run.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward::{sync::atomic::{AtomicUsize, Ordering::Relaxed}, task::Group, thread};
    ///
    /// static RUNNING: AtomicUsize = AtomicUsize::new(0);
    /// let mut group = Group::with_limit(3);
    /// for _ in 0..20 {
    ///     group.spawn(|| {
    ///         assert!(RUNNING.fetch_add(1, Relaxed) < 3);
    ///         thread::yield_now();
    ///         RUNNING.fetch_sub(1, Relaxed);
    ///     });
    /// }
    /// assert_eq!(group.join_all().len(), 20);
    /// ```
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        assert!(limit > 0, "a group needs room for one green thread at least");
        let permits = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { watch: Watch::default(), permits: Some(permits) }
    }

    /// How many there are whose results have not been taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.watch.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a green thread that runs already. It does not count for a limit. Its own group it cannot wait for.
    pub fn push(&mut self, handle: JoinHandle<T>) {
        self.watch.add(handle);
    }

    /// Takes the next result, waiting until one has ended. `None`: there are no more.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    pub fn join_next(&mut self) -> Option<Result<T, Failure>> {
        self.join_next_with_thread().map(|(_, result)| result)
    }

    /// As [`join_next`](Self::join_next), and says whose result it is.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    pub fn join_next_with_thread(&mut self) -> Option<(Thread, Result<T, Failure>)> {
        self.watch.next(None).map(|finished| (finished.thread, finished.result))
    }

    /// As [`join_next`](Self::join_next), at most for `timeout`. `None`: time is up, or there are no more.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    pub fn join_next_timeout(&mut self, timeout: Duration) -> Option<Result<T, Failure>> {
        self.watch.next(Instant::now().checked_add(timeout)).map(|finished| finished.result)
    }

    /// Takes the next result if one has ended.
    pub fn try_join_next(&mut self) -> Option<Result<T, Failure>> {
        self.watch.try_next().map(|finished| finished.result)
    }

    /// Waits for all and returns the values, in the order in which they were added.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The group is dropped, which cancels all.
    ///
    /// # Panics
    ///
    /// If one panicked, with its payload, or was cancelled; the others are cancelled then.
    pub fn join_all(mut self) -> Vec<T> {
        let mut values = BTreeMap::new();
        while let Some(finished) = self.watch.next(None) {
            values.insert(finished.number, finished.result.unwrap_or_else(|failure| failure.resume()));
        }
        values.into_values().collect()
    }

    /// Cancels all that still run, and goes on: their results are taken as ever.
    pub fn cancel(&self) {
        self.watch.threads().for_each(Thread::cancel);
    }

    /// Cancels all that still run, waits until they have ended, and drops all results.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    pub fn shutdown(mut self) {
        self.cancel();
        while self.watch.next(None).is_some() {}
    }

    /// Lets all run on by themselves: the group is empty then.
    pub fn detach_all(&mut self) {
        drop(std::mem::take(&mut self.watch));
    }
}

impl<T: Send + 'static> Group<T> {
    /// Spawns a green thread in the group.
    ///
    /// # Suspension
    ///
    /// With a limit, waits while so many run.
    ///
    /// # Panics
    ///
    /// If the default runtime is needed and cannot be started. On a runtime that ends the closure is dropped, and the result is
    /// [`Failure::Cancelled`].
    #[track_caller]
    pub fn spawn(&mut self, f: impl FnOnce() -> T + Send + 'static) -> Thread {
        let handle = thread::spawn(self.counted(f));
        self.add(handle)
    }

    /// As [`spawn`](Self::spawn), with a name or a stack size.
    ///
    /// # Suspension
    ///
    /// With a limit, waits while so many run.
    ///
    /// # Errors
    ///
    /// As [`thread::Builder::spawn`].
    #[track_caller]
    pub fn spawn_with(
        &mut self,
        builder: thread::Builder,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Thread> {
        let handle = builder.spawn(self.counted(f))?;
        Ok(self.add(handle))
    }

    /// Waits until there is room for `f`, which gives it back at its end.
    fn counted<F: FnOnce() -> T + Send + 'static>(
        &self,
        f: F,
    ) -> impl FnOnce() -> T + Send + 'static + use<T, F> {
        let permits = self.permits.as_ref().map(Arc::clone);
        let permit = permits.map(|permits| permits.acquire_owned().expect("it is never closed"));
        move || {
            let _permit = permit;
            f()
        }
    }

    fn add(&mut self, handle: JoinHandle<T>) -> Thread {
        let thread = handle.thread().clone();
        self.watch.add(handle);
        thread
    }
}

impl<T> Extend<JoinHandle<T>> for Group<T> {
    fn extend<I: IntoIterator<Item = JoinHandle<T>>>(&mut self, handles: I) {
        handles.into_iter().for_each(|handle| self.push(handle));
    }
}

impl<T> FromIterator<JoinHandle<T>> for Group<T> {
    fn from_iter<I: IntoIterator<Item = JoinHandle<T>>>(handles: I) -> Self {
        let mut group = Self::new();
        group.extend(handles);
        group
    }
}

/// The results, as the green threads end.
impl<T> Iterator for Group<T> {
    type Item = Result<T, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.join_next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T> Drop for Group<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}
