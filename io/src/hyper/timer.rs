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
//! - **T2** Whoever enters a deadline that is the first wakes the thread after that, which looks at the list before it parks.
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
    thread::{self, Thread},
    time::{Duration, Instant},
};

use ::hyper::rt;
use parking_lot::Mutex;

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
static ALARMS: Alarms = Alarms(Mutex::new(List { entries: BTreeMap::new(), next_id: 0, server: None }));

struct Alarms(Mutex<List>);

struct List {
    entries: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
    server: Option<Thread>,
}

impl Alarms {
    /// Has `waker` woken at the deadline; a waker that was entered with the same id is not.
    fn enter(&'static self, deadline: Instant, id: Option<u64>, waker: Waker) -> u64 {
        let mut list = self.0.lock();
        let id = id.unwrap_or_else(|| list.fresh_id());
        let replaced = list.entries.insert((deadline, id), waker);
        let is_first = list.entries.first_key_value().is_some_and(|(key, _)| *key == (deadline, id));
        let server = (is_first && replaced.is_none()).then(|| self.server(&mut list));
        drop(list);
        // After the lock (T1), and after the entry (T2).
        drop(replaced);
        if let Some(server) = server {
            server.unpark();
        }
        id
    }

    fn leave(&self, deadline: Instant, id: u64) {
        let removed = self.0.lock().entries.remove(&(deadline, id));
        // The lock ended with the statement before (T1).
        drop(removed);
    }

    /// The thread that serves, started if need be.
    fn server(&'static self, list: &mut List) -> Thread {
        let start = || {
            let thread = thread::Builder::new().name("sward-timer".into()).spawn(move || self.serve());
            thread.expect("an OS thread for timers").thread().clone()
        };
        list.server.get_or_insert_with(start).clone()
    }

    /// The thread: wakes whoever is due, and waits for the next.
    fn serve(&self) {
        loop {
            let (due, next) = self.0.lock().take_due(Instant::now());
            for waker in due {
                // A panic has been reported by its hook, and is none of the others'.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
            match next {
                // One that has come meanwhile has left a token (T2).
                Some(next) => thread::park_timeout(next.saturating_duration_since(Instant::now())),
                None => thread::park(),
            }
        }
    }
}

impl List {
    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Takes out all whose deadline has passed, and tells the first of the others.
    fn take_due(&mut self, now: Instant) -> (impl Iterator<Item = Waker> + use<>, Option<Instant>) {
        let later = self.entries.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.entries, later);
        (due.into_values(), self.entries.first_key_value().map(|(&(deadline, _), _)| deadline))
    }
}
