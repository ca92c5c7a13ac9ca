//! A `select` over operations that are known at run time.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{Aim, Case, Limit, SelectedOperation, run};
use crate::{
    Notify,
    channel::{
        ReadyTimeoutError, Receiver, SelectTimeoutError, Sender, TryReadyError, TrySelectError,
        arm::{Arm, Joinable},
    },
};

/// Selects from operations that are known at run time.
///
/// An operation is added with [`send`](Self::send), [`recv`](Self::recv), [`join`](Self::join) or [`notified`](Self::notified), each of which
/// returns its index. Then either [`select`](Self::select) waits for one of them and does it, as far as the one that has to name the
/// message: the [`SelectedOperation`] must be completed. Or [`ready`](Self::ready) waits until one could be done, which it may
/// turn out not to be any more when it is tried.
///
/// An operation can be done when it need not wait, so also if it would fail because a channel is disconnected.
///
/// [`select!`](crate::select!) is simpler where the operations are known beforehand.
///
/// # Fairness
///
/// If several can be done, each has the same chance, unless the `Select` is [biased](Self::new_biased).
///
/// # Examples
///
/// ```
/// use sward_sync::channel::{Receiver, RecvError, Select, unbounded};
///
/// /// Receives from whichever has a message.
/// fn recv_any<T>(receivers: &[Receiver<T>]) -> Result<T, RecvError> {
///     let mut select = Select::new();
///     for receiver in receivers {
///         select.recv(receiver);
///     }
///     let operation = select.select();
///     let index = operation.index();
///     operation.recv(&receivers[index])
/// }
///
/// let channels: Vec<_> = (0..10).map(|_| unbounded()).collect();
/// let (senders, receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
/// senders[7].send("found").unwrap();
/// assert_eq!(recv_any(&receivers), Ok("found"));
/// ```
#[derive(Clone)]
pub struct Select<'a> {
    cases: Vec<Case<'a>>,
    next: usize,
    biased: bool,
}

// SAFETY: what it refers to can be used by several threads: handles of green threads and notifications anyway, and of the channels only what
// moves messages of whatever type from place to place in the channel, under its lock. It neither drops one nor gives one out: to complete an
// operation takes a handle, which another thread has only if the messages may be sent to it.
unsafe impl Send for Select<'_> {}
// SAFETY: as above; and nothing can be done with a shared reference but to clone it.
unsafe impl Sync for Select<'_> {}

impl<'a> Select<'a> {
    /// Without operations.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::Select;
    ///
    /// // There is nothing that could be selected.
    /// assert!(Select::new().try_select().is_err());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { cases: Vec::with_capacity(4), next: 0, biased: false }
    }

    /// Without operations. If several can be done, it is the one that was added first.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{Select, unbounded};
    ///
    /// let (s1, r1) = unbounded();
    /// let (s2, r2) = unbounded();
    /// s1.send(1).unwrap();
    /// s2.send(2).unwrap();
    /// let mut select = Select::new_biased();
    /// let urgent = select.recv(&r1);
    /// select.recv(&r2);
    /// let operation = select.select();
    /// assert_eq!(operation.index(), urgent);
    /// assert_eq!(operation.recv(&r1), Ok(1));
    /// ```
    #[must_use]
    pub fn new_biased() -> Self {
        Self { biased: true, ..Self::new() }
    }

    fn add(&mut self, arm: &'a dyn Arm) -> usize {
        let index = self.next;
        self.next += 1;
        self.cases.push(Case { arm, index });
        index
    }

    /// Adds sending, and returns its index.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{Select, bounded};
    ///
    /// let (sender, receiver) = bounded(1);
    /// let mut select = Select::new();
    /// select.send(&sender);
    /// select.select().send(&sender, "hello").unwrap();
    /// assert_eq!(receiver.recv(), Ok("hello"));
    /// ```
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(sender)
    }

    /// Adds receiving, and returns its index.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::channel::{Select, after, never};
    ///
    /// let (timeout, never) = (after(Duration::from_millis(1)), never::<()>());
    /// let mut select = Select::new();
    /// select.recv(&never);
    /// let timed_out = select.recv(&timeout);
    /// let operation = select.select();
    /// assert_eq!(operation.index(), timed_out);
    /// operation.recv(&timeout).unwrap();
    /// ```
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(receiver)
    }

    /// Adds the end of a green thread, and returns its index. When it has come, [`join`](sward_runtime::thread::JoinHandle::join) returns at
    /// once.
    ///
    /// # Panics
    ///
    /// The `select` panics if a green thread waits for its own end, or if another waits for that end by the same handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::channel::Select;
    ///
    /// let mut handles: Vec<_> = (0..10).map(|i| thread::spawn(move || i)).collect();
    /// let mut sum = 0;
    /// while !handles.is_empty() {
    ///     let mut select = Select::new();
    ///     for handle in &handles {
    ///         select.join(handle);
    ///     }
    ///     let first = select.ready();
    ///     sum += handles.swap_remove(first).join().unwrap();
    /// }
    /// assert_eq!(sum, 45);
    /// ```
    pub fn join<H: Joinable>(&mut self, handle: &'a H) -> usize {
        self.add(handle)
    }

    /// Adds the wait for a notification, and returns its index.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Notify, channel::Select};
    ///
    /// let notify = Notify::new();
    /// notify.notify_one();
    /// let mut select = Select::new();
    /// select.notified(&notify);
    /// select.select().notified(&notify);
    /// assert!(select.try_select().is_err()); // the notification has been taken
    /// ```
    pub fn notified(&mut self, notify: &'a Notify) -> usize {
        self.add(notify)
    }

    /// Removes an operation, for instance one whose channel is disconnected. Its index is not used again.
    ///
    /// # Panics
    ///
    /// If there is no operation with this index, or not any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{RecvError, Select, unbounded};
    ///
    /// let (s1, r1) = unbounded::<i32>();
    /// let (_, r2) = unbounded::<i32>();
    /// let mut select = Select::new();
    /// let first = select.recv(&r1);
    /// let second = select.recv(&r2);
    ///
    /// let operation = select.select();
    /// assert_eq!(operation.index(), second);
    /// assert_eq!(operation.recv(&r2), Err(RecvError));
    /// select.remove(second);
    ///
    /// s1.send(10).unwrap();
    /// let operation = select.select();
    /// assert_eq!(operation.index(), first);
    /// assert_eq!(operation.recv(&r1), Ok(10));
    /// ```
    pub fn remove(&mut self, index: usize) {
        assert!(index < self.next, "index out of bounds; {index} >= {}", self.next);
        let at = self.cases.iter().position(|case| case.index == index);
        self.cases.remove(at.expect("no operation with this index"));
    }

    fn run(&mut self, aim: Aim, limit: Limit) -> Option<SelectedOperation<'a>> {
        let (at, token) = run(&mut self.cases, aim, self.biased, limit)?;
        let Case { arm, index } = self.cases[at];
        Some(SelectedOperation::new(arm, index, token))
    }

    fn assert_not_empty(&self) {
        assert!(!self.cases.is_empty(), "no operations have been added to `Select`");
    }

    /// Selects an operation that can be done now.
    ///
    /// # Suspension
    ///
    /// May yield.
    ///
    /// # Errors
    ///
    /// If none can be done.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{Select, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert!(select.try_select().is_err());
    /// sender.send(1).unwrap();
    /// assert_eq!(select.try_select()?.recv(&receiver), Ok(1));
    /// # Ok::<(), sward_sync::channel::TrySelectError>(())
    /// ```
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.run(Aim::Select, Limit::Now).ok_or(TrySelectError)
    }

    /// Selects an operation, waiting until one can be done.
    ///
    /// # Suspension
    ///
    /// Parks the green thread, once; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// Nothing was selected, so nothing is lost.
    ///
    /// # Panics
    ///
    /// If there are no operations.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::channel::{Select, unbounded};
    ///
    /// let (s1, r1) = unbounded();
    /// let (_s2, r2) = unbounded::<u32>();
    /// thread::spawn(move || s1.send(1).unwrap());
    /// let mut select = Select::new();
    /// let first = select.recv(&r1);
    /// select.recv(&r2);
    /// let operation = select.select();
    /// assert_eq!(operation.index(), first);
    /// assert_eq!(operation.recv(&r1), Ok(1));
    /// ```
    pub fn select(&mut self) -> SelectedOperation<'a> {
        self.assert_not_empty();
        self.run(Aim::Select, Limit::Never).expect("without a limit it does not time out")
    }

    /// As [`select`](Self::select), waiting no longer than `timeout`.
    ///
    /// # Suspension
    ///
    /// As [`select`](Self::select).
    ///
    /// # Cancellation
    ///
    /// As [`select`](Self::select).
    ///
    /// # Errors
    ///
    /// If time is up, and none could be done.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::channel::{Select, bounded};
    ///
    /// let (_sender, receiver) = bounded::<u32>(1);
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert!(select.select_timeout(Duration::from_millis(1)).is_err());
    /// ```
    pub fn select_timeout(&mut self, timeout: Duration) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.run(Aim::Select, Limit::after(timeout)).ok_or(SelectTimeoutError)
    }

    /// As [`select`](Self::select), waiting no longer than until `deadline`.
    ///
    /// # Suspension
    ///
    /// As [`select`](Self::select).
    ///
    /// # Cancellation
    ///
    /// As [`select`](Self::select).
    ///
    /// # Errors
    ///
    /// If time is up, and none could be done.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::channel::{Select, bounded};
    ///
    /// let (sender, receiver) = bounded(1);
    /// sender.send(1).unwrap();
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert_eq!(select.select_deadline(Instant::now())?.recv(&receiver), Ok(1));
    /// # Ok::<(), sward_sync::channel::SelectTimeoutError>(())
    /// ```
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.run(Aim::Select, Limit::At(deadline)).ok_or(SelectTimeoutError)
    }

    /// Looks for an operation that could be done now, and returns its index.
    ///
    /// # Suspension
    ///
    /// May yield.
    ///
    /// # Errors
    ///
    /// If none could be done.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{Select, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// let mut select = Select::new();
    /// let index = select.recv(&receiver);
    /// assert!(select.try_ready().is_err());
    /// sender.send(1).unwrap();
    /// assert_eq!(select.try_ready(), Ok(index));
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.run_ready(Limit::Now).ok_or(TryReadyError)
    }

    /// Waits until one of the operations could be done, and returns its index. Another thread may be first to do it.
    ///
    /// # Suspension
    ///
    /// As [`select`](Self::select).
    ///
    /// # Cancellation
    ///
    /// As [`select`](Self::select).
    ///
    /// # Panics
    ///
    /// If there are no operations.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::channel::{Select, unbounded};
    ///
    /// let (s1, r1) = unbounded();
    /// let (_s2, r2) = unbounded::<u32>();
    /// thread::spawn(move || s1.send(1).unwrap());
    /// let mut select = Select::new();
    /// let first = select.recv(&r1);
    /// select.recv(&r2);
    /// assert_eq!(select.ready(), first);
    /// assert_eq!(r1.try_recv(), Ok(1));
    /// ```
    pub fn ready(&mut self) -> usize {
        self.assert_not_empty();
        self.run_ready(Limit::Never).expect("without a limit it does not time out")
    }

    /// As [`ready`](Self::ready), waiting no longer than `timeout`.
    ///
    /// # Suspension
    ///
    /// As [`select`](Self::select).
    ///
    /// # Cancellation
    ///
    /// As [`select`](Self::select).
    ///
    /// # Errors
    ///
    /// If time is up, and none could be done.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::channel::{Select, bounded};
    ///
    /// let (_sender, receiver) = bounded::<u32>(1);
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// assert!(select.ready_timeout(Duration::from_millis(1)).is_err());
    /// ```
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.run_ready(Limit::after(timeout)).ok_or(ReadyTimeoutError)
    }

    /// As [`ready`](Self::ready), waiting no longer than until `deadline`.
    ///
    /// # Suspension
    ///
    /// As [`select`](Self::select).
    ///
    /// # Cancellation
    ///
    /// As [`select`](Self::select).
    ///
    /// # Errors
    ///
    /// If time is up, and none could be done.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::channel::{Select, bounded};
    ///
    /// let (sender, _receiver) = bounded::<u32>(1);
    /// let mut select = Select::new();
    /// let index = select.send(&sender);
    /// assert_eq!(select.ready_deadline(Instant::now()), Ok(index));
    /// ```
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.run_ready(Limit::At(deadline)).ok_or(ReadyTimeoutError)
    }

    fn run_ready(&mut self, limit: Limit) -> Option<usize> {
        let (at, _) = run(&mut self.cases, Aim::Ready, self.biased, limit)?;
        Some(self.cases[at].index)
    }

    /// An empty `Select`, of the same kind, for other operations. It need not allocate anew.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::channel::{Select, unbounded};
    ///
    /// let (s1, r1) = unbounded::<i32>();
    /// let mut select = Select::new();
    /// assert_eq!(select.recv(&r1), 0);
    /// select = select.recycle();
    /// drop((s1, r1));
    ///
    /// let (s2, r2) = unbounded();
    /// s2.send(2).unwrap();
    /// assert_eq!(select.recv(&r2), 0);
    /// assert_eq!(select.select().recv(&r2), Ok(2));
    /// ```
    #[must_use]
    pub fn recycle<'b>(self) -> Select<'b> {
        let Self { mut cases, biased, .. } = self;
        cases.clear();
        // Of no elements, so this leaves just the memory.
        let cases = cases.into_iter().map(|_| -> Case<'b> { unreachable!("it is empty") }).collect();
        Select { cases, next: 0, biased }
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}
