//! Waiting for some or all of several green threads that run already.

use std::time::{Duration, Instant};

use sward_runtime::thread::JoinHandle;

use super::{Failure, watch::Watch};

/// The results of green threads, in the order in which they end. See [`as_completed`].
#[derive(Debug)]
pub struct AsCompleted<T>(Watch<T>);

/// Iterates over the results of green threads, in the order in which they end, each with the position of its handle.
///
/// Each step waits until another one has ended. Those of an iterator that is dropped run on by themselves. The caller's own handle among
/// them never ends.
///
/// # Suspension
///
/// [`Iterator::next`] parks the green thread; blocks an OS thread outside the runtime.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward::{task, thread};
///
/// let delays = [20, 0, 10];
/// let handles = delays.map(|ms| thread::spawn(move || thread::sleep(Duration::from_millis(ms))));
/// let order: Vec<_> = task::as_completed(handles).map(|(i, _)| i).collect();
/// assert_eq!(order, [1, 2, 0]);
/// ```
pub fn as_completed<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> AsCompleted<T> {
    AsCompleted(watch(handles))
}

impl<T> Iterator for AsCompleted<T> {
    type Item = (usize, Result<T, Failure>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(None).map(|finished| (position(finished.number), finished.result))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

/// When [`wait`] returns, at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When one has ended.
    FirstCompleted,
    /// When one has panicked or was cancelled, or all have ended.
    FirstFailed,
    /// When all have ended.
    AllCompleted,
}

/// What [`wait`] found, each with the position of its handle.
#[derive(Debug)]
pub struct Waited<T> {
    /// Those that have ended, in that order.
    pub done: Vec<(usize, Result<T, Failure>)>,
    /// Those that have not.
    pub pending: Vec<(usize, JoinHandle<T>)>,
}

impl<T> Waited<T> {
    /// Cancels those that have not ended, without waiting for it.
    pub fn cancel_pending(&self) {
        self.pending.iter().for_each(|(_, handle)| handle.cancel());
    }
}

/// Waits until one, or all, of the green threads have ended, at most for `timeout`. Nothing is cancelled: the handles of those that run on
/// are given back. The caller's own handle among them never ends.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// The handles are dropped, which detaches the green threads.
///
/// # Examples
///
/// ```
/// use sward::{task::{self, Until}, thread};
///
/// let handles = [thread::spawn(|| thread::park()), thread::spawn(|| ())];
/// let waited = task::wait(handles, Until::FirstCompleted, None);
/// assert_eq!(waited.done[0].0, 1);
/// waited.cancel_pending();
/// for (_, handle) in waited.pending {
///     assert!(handle.join().is_err());
/// }
/// ```
pub fn wait<T>(
    handles: impl IntoIterator<Item = JoinHandle<T>>,
    until: Until,
    timeout: Option<Duration>,
) -> Waited<T> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut watch = watch(handles);
    let mut done = Vec::new();
    while let Some(finished) = watch.next(deadline) {
        let enough = match until {
            Until::FirstCompleted => true,
            Until::FirstFailed => finished.result.is_err(),
            Until::AllCompleted => false,
        };
        done.push((position(finished.number), finished.result));
        if enough {
            break;
        }
    }
    // Whatever else has ended meanwhile.
    done.extend(std::iter::from_fn(|| watch.try_next()).map(|each| (position(each.number), each.result)));
    let pending = watch.into_running().into_iter().map(|(number, handle)| (position(number), handle));
    Waited { done, pending: pending.collect() }
}

fn watch<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> Watch<T> {
    let mut watch = Watch::default();
    handles.into_iter().for_each(|handle| watch.add(handle));
    watch
}

/// A number is the position of a handle here.
fn position(number: u64) -> usize {
    usize::try_from(number).expect("it counts values in memory")
}
