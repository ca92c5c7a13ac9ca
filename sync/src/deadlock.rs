//! Deadlock detection, in debug builds: who holds which lock, and who waits for which.
//!
//! A thread that is about to wait for a lock without a deadline, and would thereby close a circle of threads that wait for each other, or for
//! itself, panics instead. Release builds and models have none of this: [`ON`] is a constant, and what depends on it is compiled away.
//!
//! # Roles
//!
//! Mutexes, reentrant locks and reader-writer locks go through [`take`], [`try_take`], [`release`] and [`downgrade`]. The table is the process's,
//! under a lock of `std`, so that the locks themselves keep their size. Whoever closes a circle is the one that finds it.
//!
//! # Invariants
//!
//! - **Y1** What the table says is held is held: an entry is made by the holder once it holds the lock, and removed by it before it unlocks. (The
//!   reverse is not so: between the two steps a lock is held that the table does not know.)
//! - **Y2** Whoever the table says waits is in [`take`] for that lock, without a deadline: it registers before it looks at the lock again, and its
//!   entry goes away, with what it holds, under one lock of the table. So it cannot release anything while it stands there.
//! - **Y3** An entry that outlives its lock (of a guard that was forgotten) names nobody wrongly: a lock is taken for the first time in its life
//!   under the table's lock, and whoever is the only holder removes the entries of all others.
//!
//! # No false alarms
//!
//! A circle that is found is one at a single moment, under the table's lock. Each thread in it waits without a deadline (Y2) for a lock that the
//! next one holds (Y1), to write, or to read while the next one writes; so it goes on only after that one has unlocked, which that one does only
//! after it has gone on itself (Y2). Guards do not leave their threads. What could still end such a wait is its cancellation: a circle
//! with a thread whose waits are being cancelled is not reported.
//!
//! # No circle is missed
//!
//! that consists of such waits only: each of its threads holds its lock, and has entered it, before it waits for the next, so the last one to
//! register finds them all. Not seen are a reader that waits behind a writer that waits, and any wait that is not for a lock.
//!
//! # Checked by
//!
//! `tests/deadlock.rs`.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt::Write,
    panic::Location,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use sward_runtime::{budget, cancel::Cancellable, thread};

use crate::prim::MODEL;

/// Whether there is any of this.
const ON: bool = cfg!(debug_assertions) && !MODEL;

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By one.
    Alone,
    /// By many, to read.
    Shared,
}

/// A lock, as the table and its messages name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// Where its word lies.
    pub(crate) key: usize,
    pub(crate) type_name: &'static str,
    pub(crate) mode: Mode,
}

/// Takes a lock with `attempt` if it can be had at once.
///
/// `is_sole` says whether the caller, who holds it, is the only one.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
pub(crate) fn try_take(
    subject: Subject,
    attempt: impl FnOnce() -> bool,
    is_sole: impl FnOnce() -> bool,
) -> bool {
    if !ON {
        return attempt();
    }
    let mut table = table();
    let taken = attempt();
    if taken {
        table.hold(subject, is_sole());
    }
    taken
}

/// Takes a lock with `wait`, which may give up, at the latest at `deadline`.
///
/// # Panics
///
/// If the wait would never end.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
pub(crate) fn take(
    subject: Subject,
    deadline: Option<Instant>,
    attempt: impl FnOnce() -> bool,
    wait: impl FnOnce() -> bool,
    is_sole: impl Fn() -> bool,
) -> bool {
    if !ON {
        return wait();
    }
    // Who locks again and again yields in time to a woken one behind it. The attempt below does not look for one.
    budget::spend();
    if try_take(subject, attempt, &is_sole) {
        return true;
    }
    if deadline.is_some() {
        let taken = wait();
        if taken {
            table().hold(subject, is_sole());
        }
        return taken;
    }
    let waiting = Waiting::begin(subject);
    let taken = wait();
    waiting.end(|table| {
        if taken {
            table.hold(subject, is_sole())
        }
    });
    taken
}

/// Before a holder unlocks.
#[inline(always)]
pub(crate) fn release(key: usize) {
    if ON {
        table().release(key);
    }
}

/// Before the holder of a lock makes it shared.
#[inline(always)]
pub(crate) fn downgrade(key: usize) {
    if ON && let Some(hold) = table().holds.get_mut(&(key, thread::number())) {
        hold.mode = Mode::Shared;
    }
}

static TABLE: Mutex<Table> = Mutex::new(Table { holds: BTreeMap::new(), waits: BTreeMap::new() });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Table {
    /// By lock and thread.
    holds: BTreeMap<(usize, u64), Hold>,
    /// By thread.
    waits: BTreeMap<u64, Wait>,
}

struct Hold {
    mode: Mode,
    /// How often: a thread may read several times.
    times: usize,
    at: &'static Location<'static>,
}

struct Wait {
    subject: Subject,
    at: &'static Location<'static>,
    name: Option<String>,
    cancellable: Cancellable,
}

/// The calling thread's entry among those that wait.
struct Waiting;

impl Waiting {
    /// # Panics
    ///
    /// If the wait would never end.
    #[track_caller]
    fn begin(subject: Subject) -> Self {
        let me = thread::number();
        // Before the table is locked: it takes memory.
        let (name, cancellable) = (name(), Cancellable::current());
        let wait = Wait { subject, at: Location::caller(), name, cancellable };
        let mut table = table();
        table.waits.insert(me, wait);
        let waiting = Self;
        let report = table.circle(me).map(|circle| table.report(&circle));
        drop(table);
        if let Some(report) = report {
            // Takes the entry away on its way out.
            panic!("{report}");
        }
        waiting
    }

    #[track_caller]
    fn end(self, then: impl FnOnce(&mut Table)) {
        let mut table = table();
        std::mem::forget(self);
        let wait = table.waits.remove(&thread::number());
        then(&mut table);
        drop(table);
        drop(wait);
    }
}

impl Drop for Waiting {
    /// When the wait is cancelled, or does not begin.
    fn drop(&mut self) {
        let wait = table().waits.remove(&thread::number());
        drop(wait);
    }
}

/// The calling thread's name.
fn name() -> Option<String> {
    if sward_runtime::is_green() {
        return thread::current().name().map(str::to_owned);
    }
    std::thread::current().name().map(str::to_owned)
}

impl Table {
    /// The calling thread holds a lock now.
    #[track_caller]
    fn hold(&mut self, subject: Subject, is_sole: bool) {
        if is_sole {
            // INVARIANT: Y3. Our own too: this is the first time that we hold it.
            let old: Vec<_> = self.holds_of(subject.key).map(|(hold, _)| *hold).collect();
            for hold in old {
                self.holds.remove(&hold);
            }
        }
        match self.holds.entry((subject.key, thread::number())) {
            Entry::Occupied(mut hold) => hold.get_mut().times += 1,
            Entry::Vacant(place) => {
                place.insert(Hold { mode: subject.mode, times: 1, at: Location::caller() });
            }
        }
    }

    fn holds_of(&self, lock: usize) -> impl Iterator<Item = (&(usize, u64), &Hold)> {
        self.holds.range((lock, 0)..=(lock, u64::MAX))
    }

    fn release(&mut self, lock: usize) {
        let key = (lock, thread::number());
        if let Some(hold) = self.holds.get_mut(&key) {
            hold.times -= 1;
            if hold.times == 0 {
                self.holds.remove(&key);
            }
        }
    }

    /// The threads that a wait is for.
    fn holders(&self, wait: &Wait) -> impl Iterator<Item = u64> {
        let Subject { key, mode, .. } = wait.subject;
        let in_the_way = move |hold: &Hold| hold.mode == Mode::Alone || mode == Mode::Alone;
        self.holds_of(key).filter(move |(_, hold)| in_the_way(hold)).map(|((_, thread), _)| *thread)
    }

    /// A circle of waits that `me` closes: each thread waits for the next, and the last one for `me`, which comes first.
    fn circle(&self, me: u64) -> Option<Vec<u64>> {
        // Who was found to wait for whom.
        let mut waiters = BTreeMap::from([(me, me)]);
        let mut found = vec![me];
        while let Some(thread) = found.pop() {
            let Some(wait) = self.waits.get(&thread) else { continue };
            if wait.cancellable.is_due() {
                continue;
            }
            for holder in self.holders(wait) {
                if holder == me {
                    let mut circle = vec![thread];
                    while circle[circle.len() - 1] != me {
                        circle.push(waiters[&circle[circle.len() - 1]]);
                    }
                    circle.reverse();
                    return Some(circle);
                }
                if let Entry::Vacant(new) = waiters.entry(holder) {
                    new.insert(thread);
                    found.push(holder);
                }
            }
        }
        None
    }

    /// What to say about a circle.
    fn report(&self, circle: &[u64]) -> String {
        let mut report = match circle {
            [_] => String::from("deadlock: a thread waits for a lock that it holds itself"),
            _ => format!("deadlock: {} threads wait for each other", circle.len()),
        };
        for (i, id) in circle.iter().enumerate() {
            let wait = &self.waits[id];
            let Subject { key, type_name, .. } = wait.subject;
            let name = wait.name.as_deref().unwrap_or("<unnamed>");
            let next = circle[(i + 1) % circle.len()];
            let held_by = if circle.len() == 1 { String::from("it") } else { format!("ThreadId({next})") };
            let at = self.holds[&(key, next)].at;
            write!(
                report,
                "\n  thread '{name}' ThreadId({id}) waits at {} for {type_name} at {key:#x}, which {held_by} holds since {at}",
                wait.at,
            )
            .expect("a string can be written to");
        }
        report
    }
}
