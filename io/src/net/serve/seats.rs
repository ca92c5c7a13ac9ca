//! Who is served, and who may be: the limit on open connections, and what a shutdown waits for.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | a green thread that accepts | takes a [`Seat`] for each attempt, and admits the [`Guest`] that comes |
//! | whoever looks after a connection | keeps its seat, and drops it at its end |
//! | a green thread of [`Server`](super::Server) | [`stop`](Seats::stop), [`wait`](Seats::wait), [`each`](Seats::each) |
//!
//! # States
//!
//! A seat is free, taken for whoever comes next (`try_take`), or a guest's (`admit`); then free again (drop).
//!
//! # Invariants
//!
//! - **I1** Not more than `limit` seats are taken, and a connection is accepted only by who has one.
//! - **I2** After `stop` nobody takes a seat and nobody is admitted. So a look at all guests after it misses none.
//! - **I3** Whoever waits is in `queue` or `watchers`, put there under the lock under which they saw that they must wait, and
//!   is unparked by whoever changes that. They are our own green threads, but the hook for errors runs on those that accept, and may
//!   leave a token behind. So whoever wakes looks again, and is listed once.
//!
//! # Orderings
//!
//! The book is under its lock. `is_stopping` is set under it, and read `Relaxed`: by those who accept, whom the readiness
//! word of the listener orders (`acceptor.rs`); and by those who look after a guest, under a lock that `each` takes after it
//! was set, for that guest. `is_short` is a hint, `Relaxed`: who misses a change tells of a shortage once too often, or not.
//!
//! # Suspension
//!
//! `wait_for_one`, `wait` and `each` suspend, and hold no lock then.
//!
//! # Rejected
//!
//! - *The semaphore of `sward-sync`.* This crate does not know it, and must know the guests anyway.
//! - *A count of guests without a list.* Nobody could be cut.
//!
//! # Checked by
//!
//! `tests/serve.rs`, `tests/serve_messages.rs`. That no acceptor misses `is_stopping` is what the model `readiness` shows of what
//! there is to read, which orders nothing either.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use slab::Slab;
use sward_runtime::thread::{self, Thread};

use crate::prim::{
    Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// How long whoever waits for a seat does not look for one.
const LOOK: Duration = Duration::from_millis(500);

/// How many guests `each` copies from the book at a time.
const CHUNK: usize = 256;

/// An open connection, as far as its end is concerned.
pub(super) trait Guest: Send + Sync {
    /// Shuts its socket down.
    fn cut(&self);

    /// Has it ended, on a green thread of its own, if nobody looks after it, and nobody has since `since`, if that is given.
    fn end_if_idle(self: Arc<Self>, since: Option<Instant>);
}

/// The seats of one server.
pub(super) struct Seats {
    limit: usize,
    is_stopping: AtomicBool,
    /// The last accept failed for want of descriptors or memory. A hint.
    is_short: AtomicBool,
    book: Mutex<Book>,
}

/// Who sits where, and who waits for what.
#[derive(Default)]
pub(super) struct Book {
    taken: usize,
    guests: Slab<Arc<dyn Guest>>,
    /// How many green threads accept, or are about to.
    acceptors: usize,
    /// Why one of them gave up.
    failure: Option<io::Error>,
    /// Those who wait for a seat.
    queue: Vec<Thread>,
    /// Those who wait for an end.
    watchers: Vec<Thread>,
}

impl Book {
    /// Whether nobody accepts any more.
    pub(super) fn is_shut(&self) -> bool {
        self.acceptors == 0
    }

    /// Whether, besides, all connections have ended.
    pub(super) fn is_over(&self) -> bool {
        self.is_shut() && self.guests.is_empty()
    }
}

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        let (is_stopping, is_short) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { limit, is_stopping, is_short, book: Mutex::new(Book::default()) }
    }

    /// Whether connections are to end as soon as they can.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }

    /// Remembers that descriptors or memory are short. `true`: that is news.
    pub(super) fn fall_short(&self) -> bool {
        !self.is_short.swap(true, Relaxed)
    }

    /// Remembers that they are not.
    pub(super) fn recover(&self) {
        if self.is_short.load(Relaxed) {
            self.is_short.store(false, Relaxed);
        }
    }

    /// How many connections are open.
    pub(super) fn guests(&self) -> usize {
        self.book.lock().guests.len()
    }

    /// Why an acceptor gave up, told once.
    pub(super) fn take_failure(&self) -> Option<io::Error> {
        self.book.lock().failure.take()
    }

    /// Takes a seat. `None`: there is none, or nobody is let in any more.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let mut book = self.book.lock();
        if self.is_stopping() || book.taken >= self.limit {
            return None;
        }
        // INVARIANT (I1): counted under the lock.
        book.taken += 1;
        Some(Seat { seats: Arc::clone(self), guest: None })
    }

    /// Waits while there is no seat. `false`: there will be none. Looks now and then, in case that whoever was woken for one cannot run.
    pub(super) fn wait_for_one(&self) -> bool {
        let me = thread::current();
        loop {
            {
                let mut book = self.book.lock();
                // There still if the token was somebody else's (I3).
                book.queue.retain(|other| other.id() != me.id());
                if self.is_stopping() || book.taken < self.limit {
                    return !self.is_stopping();
                }
                book.queue.push(me.clone());
            }
            thread::park_timeout(LOOK);
        }
    }

    /// Lets nobody in from now on.
    pub(super) fn stop(&self) {
        let queue = {
            let mut book = self.book.lock();
            // INVARIANT (I2): under the lock under which seats are taken and guests admitted.
            self.is_stopping.store(true, Relaxed);
            std::mem::take(&mut book.queue)
        };
        queue.iter().for_each(Thread::unpark);
    }

    /// Waits until it is over. `false`: the time is up.
    pub(super) fn wait(&self, deadline: Option<Instant>, is_over: impl Fn(&Book) -> bool) -> bool {
        let me = thread::current();
        loop {
            {
                let mut book = self.book.lock();
                book.watchers.retain(|watcher| watcher.id() != me.id());
                if is_over(&book) {
                    return true;
                }
                book.watchers.push(me.clone());
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return self.book.lock().is_over_by(&me, is_over),
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// Shows all guests to `f`, except those who come and go meanwhile.
    pub(super) fn each(&self, mut f: impl FnMut(Arc<dyn Guest>)) {
        let mut keys = 0..CHUNK;
        loop {
            // So that those who end do so before many more are told, and for who calls this again and again.
            thread::yield_now();
            let chunk: Vec<_> = {
                let book = self.book.lock();
                if keys.start >= book.guests.capacity() {
                    return;
                }
                keys.clone().filter_map(|key| book.guests.get(key).cloned()).collect()
            };
            chunk.into_iter().for_each(&mut f);
            keys = keys.end..keys.end + CHUNK;
        }
    }
}

impl Book {
    /// The last look of a watcher whose time is up.
    fn is_over_by(&mut self, me: &Thread, is_over: impl Fn(&Self) -> bool) -> bool {
        self.watchers.retain(|watcher| watcher.id() != me.id());
        is_over(self)
    }
}

/// The right to one open connection.
pub(super) struct Seat {
    seats: Arc<Seats>,
    guest: Option<usize>,
}

impl Seat {
    /// Gives the seat to whoever came. `false`: too late.
    #[must_use]
    pub(super) fn admit(&mut self, guest: Arc<dyn Guest>) -> bool {
        let mut book = self.seats.book.lock();
        // INVARIANT (I2): under the lock.
        if self.seats.is_stopping() {
            return false;
        }
        self.guest = Some(book.guests.insert(guest));
        true
    }

    /// Says who has come to look after the guest that was admitted.
    pub(super) fn replace(&self, guest: Arc<dyn Guest>) {
        let mut book = self.seats.book.lock();
        let place = self.guest.and_then(|key| book.guests.get_mut(key));
        let before = place.map(|place| std::mem::replace(place, guest));
        drop(book);
        drop(before);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut book = self.seats.book.lock();
        book.taken -= 1;
        let guest = self.guest.and_then(|key| book.guests.try_remove(key));
        let next = book.queue.pop();
        let watchers = if book.guests.is_empty() { std::mem::take(&mut book.watchers) } else { Vec::new() };
        drop(book);
        // INVARIANT (I3): a seat is free, and perhaps all are.
        next.iter().chain(&watchers).for_each(Thread::unpark);
        // It may be the last that knows the handler: foreign destructors.
        drop(guest);
    }
}

/// One who accepts, or is about to.
pub(super) struct Acceptor(Arc<Seats>);

impl Acceptor {
    pub(super) fn new(seats: &Arc<Seats>) -> Self {
        seats.book.lock().acceptors += 1;
        Self(Arc::clone(seats))
    }

    pub(super) fn seats(&self) -> &Arc<Seats> {
        &self.0
    }

    /// Says why it gives up. The first who does is remembered.
    pub(super) fn fail(&self, error: io::Error) {
        self.0.book.lock().failure.get_or_insert(error);
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let mut book = self.0.book.lock();
        book.acceptors -= 1;
        let watchers = std::mem::take(&mut book.watchers);
        drop(book);
        // INVARIANT (I3): it may have been the last.
        watchers.iter().for_each(Thread::unpark);
    }
}
