//! The list of those who wait, in the order in which they came: entries on the waiters' own stacks, linked through themselves.
//!
//! Every primitive of this crate waits with it: channels keep lists beside their buffer, under their own lock, and whatever wants to be one
//! word keeps its list in the [`lot`](crate::lot). To wait allocates nothing, and to give up waiting takes one step.
//!
//! # Roles
//!
//! The *waiter* puts its entry in a list, suspends, and takes it out again unless somebody else did. A *claimer* takes entries
//! out, from the front, and ends their waits. Both hold the lock under which the list stands: the *registry's*.
//!
//! # States
//!
//! ```text
//!   out ──1 push──▶ in a list ──2 pop_front, claim_…──▶ out
//!                      └────────3 remove─────────────────▲
//! ```
//!
//! 1. and 3. by the waiter, in [`wait`] or in a `select`; 2. by a claimer, which then claims the wait.
//!
//! # Invariants
//!
//! - **L1** An entry is in one list at most, and only while it lives at its place: its waiter takes it out, under the registry's lock,
//!   before the frame ends, unless it was woken: then the claimer has taken it out.
//! - **L2** Links and replies are touched under the registry's lock only, but for the reply that a woken waiter reads: its claimer is
//!   done with the entry once the claim is made.
//! - **L3** A claimer takes the entry out *before* it claims the wait. So a woken waiter needs no lock to leave.
//!
//! # Orderings
//!
//! None of its own: the registry's lock orders everything, and the claim orders the reply before the waiter's return.
//!
//! # Rejected
//!
//! - *A list in each primitive, behind a pointer in its word* (std's queue-based `RwLock`): no table, but each word would need a
//!   second lock, and permits and readers would have no room beside the pointer.
//! - *Boxed entries with tickets:* safe code, and an allocation for each wait.
//!
//! # Checked by
//!
//! Every model of this crate.

use std::{
    cell::{Cell, UnsafeCell},
    fmt,
    ptr::NonNull,
    time::Instant,
};

use sward_runtime::{
    cancel,
    park::{Batch, Claimed, Outcome, WaitReason, Waiter, Waker},
};

use crate::prim::{Lock, LockGuard};

/// One waiter's place in one list.
pub(crate) struct Entry {
    waker: Waker,
    /// What the waiter asks for.
    ask: Ask,
    /// What it was given. Zero until then.
    reply: Cell<usize>,
    links: UnsafeCell<Links>,
}

/// What a waiter asks for. Its registry knows what it means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// How much, or which.
    pub(crate) number: usize,
    /// Where to put it, or where it lies: something in the waiter's frame, or nothing.
    pub(crate) slot: *const (),
}

impl Ask {
    /// No particular thing.
    pub(crate) const PLAIN: Self = Self::number(0);

    /// So much, or that one.
    pub(crate) const fn number(number: usize) -> Self {
        Self { number, slot: std::ptr::null() }
    }

    /// What lies, or is to be put, there.
    pub(crate) const fn slot(slot: *const ()) -> Self {
        Self { number: 0, slot }
    }
}

#[derive(Default)]
struct Links {
    prev: Option<NonNull<Entry>>,
    next: Option<NonNull<Entry>>,
    linked: bool,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("ask", &self.ask)
            .field("reply", &self.reply.get())
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// An entry for a wait.
    #[inline]
    pub(crate) fn new(waiter: &Waiter, ask: Ask) -> Self {
        Self { waker: waiter.waker(), ask, reply: Cell::new(0), links: UnsafeCell::default() }
    }

    /// What ends the wait, for a registry that keeps no list.
    #[inline]
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// What the waiter asks for.
    #[inline]
    pub(crate) fn ask(&self) -> Ask {
        self.ask
    }

    /// What the waiter was given, zero if nothing.
    #[inline]
    pub(crate) fn reply(&self) -> usize {
        self.reply.get()
    }

    /// Ends the wait with `reply`. `None`, and no reply: it has ended already.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the registry from whose list it has taken this entry, and has held it since.
    #[inline(always)]
    pub(crate) unsafe fn claim(&self, reply: usize) -> Option<Claimed> {
        // Before the claim, after which the entry may be gone.
        self.reply.set(reply);
        // SAFETY: the waiter was in the registry under this lock, and leaves it under the same one unless it is woken (L1).
        let claimed = unsafe { Waker::claim_in_frame(&raw const self.waker) };
        if claimed.is_none() {
            // Still there: the waiter will ask for the lock before it leaves, since it was not woken.
            self.reply.set(0);
        }
        claimed
    }

    #[inline]
    fn links(&self) -> *mut Links {
        self.links.get()
    }
}

/// The list. The registry's lock is held whenever it is touched.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    front: Option<NonNull<Entry>>,
    back: Option<NonNull<Entry>>,
}

// SAFETY: whoever reaches it holds the registry's lock, and so may touch the entries (L2).
unsafe impl Send for WaitList {}

impl WaitList {
    pub(crate) const fn new() -> Self {
        Self { front: None, back: None }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    /// The first entry.
    #[inline]
    pub(crate) fn front(&self) -> Option<&Entry> {
        // SAFETY: it is in the list, so it lives (L1).
        self.front.map(|entry| unsafe { entry.as_ref() })
    }

    /// The entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        std::iter::successors(self.front(), |entry| {
            // SAFETY: the lock is held (L2).
            let next = unsafe { (*entry.links()).next };
            // SAFETY: it is in the list, so it lives (L1).
            next.map(|next| unsafe { next.as_ref() })
        })
    }

    /// (1) Puts an entry last, or first if it has waited before.
    ///
    /// # Safety
    ///
    /// The entry is in no list, and its waiter keeps L1.
    #[inline]
    pub(crate) unsafe fn push(&mut self, entry: &Entry, first: bool) {
        let this = Some(NonNull::from(entry));
        let (prev, next) = if first { (None, self.front) } else { (self.back, None) };
        // SAFETY: the lock is held (L2).
        unsafe { *entry.links() = Links { prev, next, linked: true } };
        self.link(prev, next, this, this);
    }

    /// (2) Takes the first entry out. It lives on while the registry's lock is held, unless its wait is claimed.
    #[inline(always)]
    pub(crate) fn pop_front(&mut self) -> Option<&Entry> {
        let entry = self.front?;
        // SAFETY: it is in the list, so it lives (L1).
        let entry = unsafe { entry.as_ref() };
        // SAFETY: the lock is held (L2).
        let links = unsafe { &mut *entry.links() };
        links.linked = false;
        self.link(None, links.next, links.next, None);
        Some(entry)
    }

    /// (2) Takes entries out until one could be claimed, with `reply`.
    #[inline]
    pub(crate) fn claim_front(&mut self, reply: usize) -> Option<Claimed> {
        while !self.is_empty() {
            if let Some(claimed) = self.claim_first(reply) {
                return Some(claimed);
            }
        }
        None
    }

    /// (2) Takes the first entry out and claims it, with `reply`. `None`: its wait has ended already, or there is none.
    #[inline]
    pub(crate) fn claim_first(&mut self, reply: usize) -> Option<Claimed> {
        let entry = self.pop_front()?;
        // SAFETY: taken out just now, and whoever reaches the list holds the lock.
        unsafe { entry.claim(reply) }
    }

    /// (2) As `claim_front`, from the other end.
    pub(crate) fn claim_back(&mut self, reply: usize) -> Option<Claimed> {
        while let Some(entry) = self.back {
            // SAFETY: it is in the list, so it lives (L1).
            let entry = unsafe { entry.as_ref() };
            self.unlink(entry);
            // SAFETY: as above.
            if let Some(claimed) = unsafe { entry.claim(reply) } {
                return Some(claimed);
            }
        }
        None
    }

    /// (2) Takes all entries out, and claims them with `reply`.
    pub(crate) fn claim_all(&mut self, reply: usize) -> Batch {
        let mut ready = Batch::new();
        while let Some(claimed) = self.claim_front(reply) {
            ready.push(claimed);
        }
        ready
    }

    /// (3) Takes an entry out. `false`: it is out already.
    #[inline]
    pub(crate) fn remove(&mut self, entry: &Entry) -> bool {
        // SAFETY: the lock is held (L2).
        let linked = unsafe { (*entry.links()).linked };
        if linked {
            self.unlink(entry);
        }
        linked
    }

    #[inline]
    fn unlink(&mut self, entry: &Entry) {
        // SAFETY: the lock is held (L2).
        let Links { prev, next, .. } = unsafe { std::mem::take(&mut *entry.links()) };
        self.link(prev, next, next, prev);
    }

    /// Lets `prev`, or the front, lead on to `after_prev`, and `next`, or the back, lead back to `before_next`.
    #[inline]
    fn link(
        &mut self,
        prev: Option<NonNull<Entry>>,
        next: Option<NonNull<Entry>>,
        after_prev: Option<NonNull<Entry>>,
        before_next: Option<NonNull<Entry>>,
    ) {
        // SAFETY: it is in the list, so it lives (L1).
        let links_of = |entry: NonNull<Entry>| unsafe { entry.as_ref() }.links();
        match prev {
            None => self.front = after_prev,
            // SAFETY: the lock is held (L2).
            Some(prev) => unsafe { (*links_of(prev)).next = after_prev },
        }
        match next {
            None => self.back = before_next,
            // SAFETY: as above.
            Some(next) => unsafe { (*links_of(next)).prev = before_next },
        }
    }
}

/// A wait to begin, in one list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) reason: WaitReason,
    pub(crate) ask: Ask,
    /// Whether to wait in front of the others, having waited before.
    pub(crate) first: bool,
    pub(crate) deadline: Option<Instant>,
}

impl Wait {
    /// A wait at the end of the line, until `deadline` or for ever.
    #[inline]
    pub(crate) const fn new(reason: WaitReason, ask: Ask, deadline: Option<Instant>) -> Self {
        Self { reason, ask, first: false, deadline }
    }
}

/// Waits in a list of a registry that is locked already. `None`: the deadline passed. Otherwise the reply.
///
/// The lock is released once the waiter is in the list. After a wait that nobody ended by waking, `left` runs under the lock, when the entry is
/// out of the list.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime. `left` must not suspend.
///
/// # Cancellation
///
/// Unwinds once `left` has run.
#[inline(always)]
pub(crate) fn wait<S>(
    registry: &Lock<S>,
    locked: LockGuard<'_, S>,
    wait: Wait,
    list: impl Fn(&mut S) -> &mut WaitList,
    left: impl FnOnce(&mut S),
) -> Option<usize> {
    wait_with(registry, locked, wait, list, || (), left)
}

/// As [`wait`], with something to be done once the waiter is in the list and the lock is released.
///
/// # Suspension
///
/// As [`wait`]. `before` must not suspend.
///
/// # Cancellation
///
/// As [`wait`].
#[inline]
pub(crate) fn wait_with<S>(
    registry: &Lock<S>,
    locked: LockGuard<'_, S>,
    wait: Wait,
    list: impl Fn(&mut S) -> &mut WaitList,
    before: impl FnOnce(),
    left: impl FnOnce(&mut S),
) -> Option<usize> {
    // Released before the closures are dropped, if there cannot be a wait: they may own what takes locks when it is dropped.
    let mut locked = locked;
    // SAFETY: used up in this function; nothing that it calls meanwhile makes another.
    let mut waiter = unsafe { Waiter::new(wait.reason) };
    let entry = Entry::new(&waiter, wait.ask);
    // SAFETY: as above.
    unsafe { list(&mut locked).push(&entry, wait.first) };
    drop(locked);
    before();
    let outcome = waiter.wait(wait.deadline);
    if outcome == Outcome::Woken {
        return Some(entry.reply());
    }
    leave(registry, &entry, list, left);
    if outcome == Outcome::Cancelled {
        cancel::unwind();
    }
    None
}

/// Takes the entry out, after a wait that nobody ended by waking: whoever found it ended has taken it out.
fn leave<S>(
    registry: &Lock<S>,
    entry: &Entry,
    list: impl Fn(&mut S) -> &mut WaitList,
    left: impl FnOnce(&mut S),
) {
    let mut locked = registry.lock();
    list(&mut locked).remove(entry);
    left(&mut locked);
}
