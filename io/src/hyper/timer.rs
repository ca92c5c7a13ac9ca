//! Timers for futures.
//!
//! A green thread that waits has a timer of its worker's. A future may be polled anywhere, and be dropped after the runtime has ended in which
//! it was polled. So its deadlines are in one list of the process, and an OS thread waits for the first.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | a `Sleep`, on any thread | `enter`, `leave` |
//! | the OS thread `sward-timer`, started when the first enters | `serve` |
//!
//! # Invariants
//!
//! - **T1** Wakers are foreign code: they are neither cloned nor dropped nor woken under the lock.
//! - **T2** Whoever enters a deadline that is the first notifies the thread, which looks at the list under the lock under which it
//!   begins to wait. It waits for a condition, since wakers may use up the token of the thread that they run on.
//! - **T3** Nothing is entered before the thread has been started.
//!
//! # Suspension
//!
//! Nothing here suspends. The lock is held for one step in a tree.
//!
//! # Rejected
//!
//! - *A green thread for each sleep.* Most are dropped early: a time limit for each request, with a stack until it is over.
//! - *Entries in the wheels of workers.* They lie in frames; these would need an owner that outlives the runtime.
//!
//! # Checked by
//!
//! `tests/hyper.rs`.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use ::hyper::rt;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::options::deadline_in;

/// Tells hyper the time, and when it is over: hyper's [`Timer`](rt::Timer).
///
/// # Panics
///
/// A sleep panics when it is first polled if the one OS thread that serves them all cannot be started.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use hyper::rt::Timer as _;
/// use sward_io::hyper::Timer;
/// use sward_runtime::future;
///
/// let start = Instant::now();
/// future::block_on(Timer.sleep(Duration::from_millis(5)));
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep { deadline: deadline_in(duration), id: None })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep { deadline: Some(deadline), id: None })
    }
}

/// Ready at its deadline, or never.
#[derive(Debug)]
struct Sleep {
    deadline: Option<Instant>,
    /// That of its entry, once it has been polled.
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        self.id = Some(ALARMS.enter(deadline, self.id, context.waker().clone()));
        Poll::Pending
    }
}

impl rt::Sleep for Sleep {}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let (Some(deadline), Some(id)) = (self.deadline, self.id) {
            ALARMS.leave(deadline, id);
        }
    }
}

/// The process's.
static ALARMS: Alarms = Alarms {
    list: Mutex::new(List { entries: BTreeMap::new(), next_id: 0, is_served: false }),
    first: Condvar::new(),
};

struct Alarms {
    list: Mutex<List>,
    /// There is another first entry.
    first: Condvar,
}

struct List {
    entries: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
    /// The thread has been started.
    is_served: bool,
}

impl Alarms {
    /// Has `waker` woken at the deadline; a waker that was entered with the same id is not.
    fn enter(&'static self, deadline: Instant, id: Option<u64>, waker: Waker) -> u64 {
        let mut list = self.list.lock();
        self.start(&mut list);
        let id = id.unwrap_or_else(|| list.fresh_id());
        let replaced = list.entries.insert((deadline, id), waker);
        let is_first = list.entries.first_key_value().is_some_and(|(key, _)| *key == (deadline, id));
        drop(list);
        if is_first && replaced.is_none() {
            // INVARIANT (T2): after the entry.
            self.first.notify_one();
        }
        // After the lock (T1).
        drop(replaced);
        id
    }

    fn leave(&self, deadline: Instant, id: u64) {
        let removed = self.list.lock().entries.remove(&(deadline, id));
        // The lock ended with the statement before (T1).
        drop(removed);
    }

    /// Starts the thread that serves, if need be (T3).
    fn start(&'static self, list: &mut List) {
        if !list.is_served {
            let thread = thread::Builder::new().name("sward-timer".into()).spawn(move || self.serve());
            drop(thread.expect("an OS thread for timers"));
            list.is_served = true;
        }
    }

    /// The thread: wakes whoever is due, and waits for the next.
    fn serve(&self) {
        let mut list = self.list.lock();
        loop {
            let due = list.take_due(Instant::now());
            if due.is_empty() {
                // INVARIANT (T2): looked at under this lock.
                match list.first() {
                    Some(first) => drop(self.first.wait_until(&mut list, first)),
                    None => self.first.wait(&mut list),
                }
                continue;
            }
            MutexGuard::unlocked(&mut list, || {
                for waker in due.into_values() {
                    // A panic has been reported by its hook, and is none of the others'.
                    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                }
            });
        }
    }
}

impl List {
    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The first deadline.
    fn first(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(&(deadline, _), _)| deadline)
    }

    /// Takes out all whose deadline has passed.
    fn take_due(&mut self, now: Instant) -> BTreeMap<(Instant, u64), Waker> {
        let later = self.entries.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.entries, later)
    }
}
