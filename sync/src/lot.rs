//! The parking lot: a wait list for any address, so that a lock need be no more than a word.
//!
//! A primitive keeps its state in an atomic word, and only those who must wait, or have somebody to wake, come here with the
//! word's address. There is one lot in a process: a table of buckets, each with its lock and the lists of the addresses that fall into it.
//!
//! # Roles
//!
//! A *waiter* calls [`park`]: under the lock of the bucket its word is looked at again, and its entry appended. A *claimer* changed
//! the word so that somebody may go on, and calls [`with`] to take waiters off the list and to correct the word while no other can come or go.
//!
//! # Invariants
//!
//! - **P1** The entry of a waiter stands in the list of its key, from the look at the word until somebody takes it out, all under the
//!   bucket's lock (L1 to L3 of `wait_list.rs`).
//! - **P2** A bit of the word that says "somebody waits" is set before, or under, the bucket's lock by whoever waits, and cleared under it
//!   by whoever leaves the list empty. So who finds it clear has nobody to wake.
//! - **P3** A list that is empty is no key's: the next one with a new key takes it over.
//!
//! # Orderings
//!
//! The bucket's lock orders the looks and changes that are made under it. What the primitive needs beyond that it says itself.
//!
//! # Suspension
//!
//! [`park`] suspends with the lock released, by itself or by its worker; the closures given to it or to [`with`] must not.
//!
//! # Rejected
//!
//! A table that grows with the number of threads, as `parking_lot`'s: a million green threads may wait, but hardly for a million
//! different things; those who wait for the same thing share a list.
//!
//! # Checked by
//!
//! The models of all that is built on it.
//!
//! # Sources
//!
//! Linux's futex; WebKit's `ParkingLot`; `parking_lot_core`.

use crate::{
    prim::{Lock, MODEL, const_fn, global_array},
    wait_list::{self, Wait, WaitList},
};

/// How many buckets there are: a power of two. Pages of the table are touched when they are used.
const BUCKETS: usize = if MODEL { 1 } else { 4096 };

/// The lists of the addresses that fall into it. Aligned so that two buckets share no cache line.
#[repr(align(64))]
struct Bucket(Lock<Lists>);

/// Each with the key it is of. The first has a place of its own: few buckets ever see two at once.
#[derive(Default)]
struct Lists {
    first: Keyed,
    more: Option<Vec<Keyed>>,
}

#[derive(Default)]
struct Keyed {
    key: usize,
    list: WaitList,
}

impl Bucket {
    const_fn! {
        const fn new() -> Bucket {
            Bucket(Lock::new(Lists { first: Keyed { key: 0, list: WaitList::new() }, more: None }))
        }
    }
}

global_array! { fn buckets() -> [Bucket; BUCKETS] = Bucket::new() }

impl Keyed {
    /// Whether somebody waits here for `key` (P3).
    fn is_of(&self, key: usize) -> bool {
        self.key == key && !self.list.is_empty()
    }
}

impl Lists {
    /// The list of `key`: its own, or one that is empty.
    fn of(&mut self, key: usize) -> &mut WaitList {
        if self.first.is_of(key) || self.more.is_none() && self.first.list.is_empty() {
            self.first.key = key;
            return &mut self.first.list;
        }
        self.search(key)
    }

    #[cold]
    fn search(&mut self, key: usize) -> &mut WaitList {
        let more = self.more.get_or_insert_default();
        let found = if let Some(at) = more.iter().position(|keyed| keyed.is_of(key)) {
            &mut more[at]
        } else if self.first.list.is_empty() {
            &mut self.first
        } else {
            more.retain(|keyed| !keyed.list.is_empty());
            more.push(Keyed::default());
            more.last_mut().expect("just pushed")
        };
        found.key = key;
        &mut found.list
    }
}

/// The bucket of a key, by Fibonacci hashing.
fn bucket(key: usize) -> &'static Bucket {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let hash = (key as u64).wrapping_mul(MULTIPLIER);
    &buckets()[(hash >> 32) as usize & (BUCKETS - 1)]
}

/// Runs `f` on the list of `key`, under the lock of its bucket. What it claims is for the caller to schedule, after this returns.
#[inline]
pub(crate) fn with<R>(key: usize, f: impl FnOnce(&mut WaitList) -> R) -> R {
    f(bucket(key).0.lock().of(key))
}

/// How a [`park`] ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parked {
    /// There was nothing to wait for after all.
    Refused,
    /// A claimer woke us, with this reply.
    Woken(usize),
    /// The deadline passed.
    TimedOut,
}

/// Waits in the list of `key`. Under the bucket's lock, `validate` decides whether to wait at all, and, after a wait that nobody ended by
/// waking, `left` corrects the word: it is told whether the list is empty now.
///
/// Suspension and cancellation are as in [`wait_list::wait`].
pub(crate) fn park(
    key: usize,
    wait: Wait,
    validate: impl FnOnce() -> bool,
    left: impl FnOnce(bool),
) -> Parked {
    let bucket = &bucket(key).0;
    let locked = bucket.lock();
    if !validate() {
        return Parked::Refused;
    }
    let left = |lists: &mut Lists| left(lists.of(key).is_empty());
    wait_list::wait(bucket, locked, wait, |lists| lists.of(key), left).map_or(Parked::TimedOut, Parked::Woken)
}

/// As [`park`]; `before` runs once the entry is in the list, and the lock released.
pub(crate) fn park_with(
    key: usize,
    wait: Wait,
    validate: impl FnOnce() -> bool,
    before: impl FnOnce(),
    left: impl FnOnce(bool),
) -> Parked {
    let bucket = &bucket(key).0;
    let locked = bucket.lock();
    if !validate() {
        return Parked::Refused;
    }
    let left = |lists: &mut Lists| left(lists.of(key).is_empty());
    let reply = wait_list::wait_with(bucket, locked, wait, |lists| lists.of(key), before, left);
    reply.map_or(Parked::TimedOut, Parked::Woken)
}
