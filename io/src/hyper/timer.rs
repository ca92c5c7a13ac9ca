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
//! # States
//!
//! An alarm is 1 set by `enter`: its waker is in the slab and its note in the heap. It is over when 2 its sleep leaves or 3 its time has come:
//! the waker goes, and the note is *dead*, until it is first in the heap, or the dead outnumber the others.
//!
//! # Invariants
//!
//! - **T1** Wakers are foreign code: they are neither cloned nor dropped nor woken under the lock.
//! - **T2** Whoever enters a deadline that is the first notifies the thread, which looks at the list under the lock under which it
//!   begins to wait. It waits for a condition, since wakers may use up the token of the thread that they run on.
//! - **T3** Nothing is entered before the thread has been started.
//! - **T4** For each waker in the slab there is one note in the heap with its name, which is given out once. When a sleep has left there are at
//!   most as many dead ones beside these, and [`FEW`].
//!
//! # Suspension
//!
//! Nothing here suspends. The lock is held for a step in a heap, or a look at all that is in it, once for as many sleeps that have left.
//!
//! # Rejected
//!
//! - *A green thread for each sleep.* Most are dropped early: a time limit for each request, with a stack until it is over.
//! - *Entries in the wheels of workers.* They lie in frames; these would need an owner that outlives the runtime.
//! - *A tree by deadline.* A search to enter, and one to leave, for what is hardly ever waited for: each request of HTTP/1.1 makes a sleep
//!   of 30 s, and drops it. Entered at the end of a heap and left there, it costs a third.
//!
//! # Checked by
//!
//! `tests/hyper.rs`, `tests/hyper_http2.rs`.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use ::hyper::rt;
use parking_lot::{Condvar, Mutex, MutexGuard};
use slab::Slab;

use crate::options::deadline_in;

/// How many dead notes are not worth a look at all.
const FEW: usize = 64;

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
        Box::pin(Sleep { deadline: deadline_in(duration), name: None })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep { deadline: Some(deadline), name: None })
    }
}

/// Ready at its deadline, or never.
#[derive(Debug)]
struct Sleep {
    deadline: Option<Instant>,
    /// That of its alarm, once it has been polled.
    name: Option<Name>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        let is_set = self.name.is_some_and(|name| ALARMS.is_set_for(name, context.waker()));
        if !is_set {
            let name = ALARMS.enter(deadline, context.waker().clone());
            if let Some(last) = self.name.replace(name) {
                ALARMS.leave(last);
            }
        }
        Poll::Pending
    }
}

impl rt::Sleep for Sleep {}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            ALARMS.leave(name);
        }
    }
}

/// The process's.
static ALARMS: Alarms = Alarms {
    list: Mutex::new(List { notes: BinaryHeap::new(), wakers: Slab::new(), next_id: 0, is_served: false }),
    first: Condvar::new(),
};

struct Alarms {
    list: Mutex<List>,
    /// There is another first note.
    first: Condvar,
}

struct List {
    /// The earliest is on top.
    notes: BinaryHeap<Reverse<Note>>,
    /// Those to be woken, with their names.
    wakers: Slab<(u64, Waker)>,
    next_id: u64,
    /// The thread has been started.
    is_served: bool,
}

/// Which alarm: where its waker is, if it is this one's (T4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    id: u64,
    place: usize,
}

/// When an alarm is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    deadline: Instant,
    name: Name,
}

impl Alarms {
    /// Has `waker` woken at the deadline.
    fn enter(&'static self, deadline: Instant, waker: Waker) -> Name {
        let mut list = self.list.lock();
        self.start(&mut list);
        let note = list.insert(deadline, waker);
        let is_first = list.first() == Some(note);
        drop(list);
        if is_first {
            // INVARIANT (T2): after the entry.
            self.first.notify_one();
        }
        note.name
    }

    /// Whether this alarm is still set, and wakes what `waker` wakes.
    fn is_set_for(&self, name: Name, waker: &Waker) -> bool {
        self.list.lock().find(name).is_some_and(|set| set.will_wake(waker))
    }

    fn leave(&self, name: Name) {
        let removed = self.list.lock().remove(name);
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
                    Some(first) => drop(self.first.wait_until(&mut list, first.deadline)),
                    None => self.first.wait(&mut list),
                }
                continue;
            }
            MutexGuard::unlocked(&mut list, || {
                for waker in due {
                    // A panic has been reported by its hook, and is none of the others'.
                    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                }
            });
        }
    }
}

impl List {
    fn insert(&mut self, deadline: Instant, waker: Waker) -> Note {
        self.next_id += 1;
        let name = Name { id: self.next_id, place: self.wakers.insert((self.next_id, waker)) };
        let note = Note { deadline, name };
        self.notes.push(Reverse(note));
        note
    }

    fn find(&self, name: Name) -> Option<&Waker> {
        self.wakers.get(name.place).filter(|(id, _)| *id == name.id).map(|(_, waker)| waker)
    }

    fn remove(&mut self, name: Name) -> Option<Waker> {
        self.find(name)?;
        let (_, waker) = self.wakers.try_remove(name.place)?;
        if self.notes.len() > 2 * self.wakers.len() + FEW {
            // INVARIANT (T4): the dead go, all at once.
            let mut notes = mem::take(&mut self.notes);
            notes.retain(|Reverse(note)| self.find(note.name).is_some());
            self.notes = notes;
        }
        Some(waker)
    }

    /// The first note, which may be dead.
    fn first(&self) -> Option<Note> {
        self.notes.peek().map(|Reverse(note)| *note)
    }

    /// Takes out all whose time has come, and the dead before the next.
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(note) = self.first() {
            let is_dead = self.find(note.name).is_none();
            if !is_dead && note.deadline > now {
                break;
            }
            self.notes.pop();
            // Nothing is gained here by a look at all: notes go as wakers do.
            if !is_dead {
                due.extend(self.wakers.try_remove(note.name.place).map(|(_, waker)| waker));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests;
