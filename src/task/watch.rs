//! Several green threads, of which the next one to end is waited for.
//!
//! Each handle is polled once, as the future that it is, with a waker that puts its number into a queue; so nobody looks at those that run on.
//!
//! # Roles
//!
//! The *owner* adds handles and takes results. The *workers* that end the green threads wake it.
//!
//! # Invariants
//!
//! - **G1** A member's number is put into the queue once, when it has ended: by its waker, or by `add`.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use parking_lot::Mutex;
use sward_runtime::thread::{self, JoinHandle, Thread};
use sward_sync::Notify;

use super::Failure;

/// The numbers of those that have ended, oldest first.
#[derive(Debug, Default)]
struct Ended {
    /// Its lock is held for a few instructions, also on a worker that is between two green threads.
    numbers: Mutex<VecDeque<u64>>,
    notify: Notify,
}

impl Ended {
    fn push(&self, number: u64) {
        self.numbers.lock().push_back(number);
        self.notify.notify_one();
    }

    fn pop(&self) -> Option<u64> {
        self.numbers.lock().pop_front()
    }
}

/// Tells that one has ended.
struct Member {
    ended: Arc<Ended>,
    number: u64,
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ended.push(self.number);
    }
}

enum Handle<T> {
    Running(JoinHandle<T>),
    Ended(Thread, thread::Result<T>),
}

/// One that has ended.
pub(super) struct Finished<T> {
    pub(super) number: u64,
    pub(super) thread: Thread,
    pub(super) result: Result<T, Failure>,
}

/// See the module. Dropping it detaches them.
pub(super) struct Watch<T> {
    ended: Arc<Ended>,
    handles: HashMap<u64, Handle<T>>,
    next: u64,
}

impl<T> Default for Watch<T> {
    fn default() -> Self {
        Self { ended: Arc::default(), handles: HashMap::new(), next: 0 }
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> Watch<T> {
    /// How many there are whose results have not been taken.
    pub(super) fn len(&self) -> usize {
        self.handles.len()
    }

    /// Adds one. Numbers are given out in order, from zero.
    pub(super) fn add(&mut self, handle: JoinHandle<T>) {
        let number = self.next;
        self.next += 1;
        let handle = self.poll(number, handle);
        if matches!(handle, Handle::Ended(..)) {
            self.ended.push(number);
        }
        self.handles.insert(number, handle);
    }

    fn poll(&self, number: u64, mut handle: JoinHandle<T>) -> Handle<T> {
        let waker = Waker::from(Arc::new(Member { ended: Arc::clone(&self.ended), number }));
        let polled = std::pin::Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
        match polled {
            Poll::Pending => Handle::Running(handle),
            Poll::Ready(result) => Handle::Ended(handle.thread().clone(), result),
        }
    }

    /// Takes the next result that is there.
    pub(super) fn try_next(&mut self) -> Option<Finished<T>> {
        let number = self.ended.pop()?;
        let handle = match self.handles.remove(&number)? {
            // Its waker was woken, so it has ended (G1).
            Handle::Running(handle) => self.poll(number, handle),
            ended @ Handle::Ended(..) => ended,
        };
        match handle {
            Handle::Ended(thread, result) => {
                let result = result.map_err(|payload| Failure::new(payload, thread.clone()));
                Some(Finished { number, thread, result })
            }
            Handle::Running(_) => {
                unreachable!("a green thread wakes those who wait for its end when it has ended (G1)")
            }
        }
    }

    /// Takes the next result, waiting for it at most until `deadline`. `None`: time is up, or there are no more.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> Option<Finished<T>> {
        loop {
            if let Some(finished) = self.try_next() {
                return Some(finished);
            }
            if self.handles.is_empty() {
                return None;
            }
            match deadline {
                None => self.ended.notify.wait(),
                Some(deadline) if self.ended.notify.wait_until(deadline) => {}
                // One may have ended just now.
                Some(_) => return self.try_next(),
            }
        }
    }

    /// Those whose results have not been taken.
    pub(super) fn threads(&self) -> impl Iterator<Item = &Thread> {
        self.handles.values().map(|handle| match handle {
            Handle::Running(handle) => handle.thread(),
            Handle::Ended(thread, _) => thread,
        })
    }

    /// Gives the handles back of those that have not been seen to end, in order.
    pub(super) fn into_running(self) -> Vec<(u64, JoinHandle<T>)> {
        let running = self.handles.into_iter().filter_map(|(number, handle)| match handle {
            Handle::Running(handle) => Some((number, handle)),
            Handle::Ended(..) => None,
        });
        let mut running: Vec<_> = running.collect();
        running.sort_unstable_by_key(|(number, _)| *number);
        running
    }
}
