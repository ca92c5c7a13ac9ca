//! A lock for a handful of instructions: it spins, and in the end lets other OS threads run.
//!
//! Under it stand the lists of those who wait, the buffer of a channel, and nothing else: no user code, no suspension, no panic. To take and
//! to release it costs one read-modify-write in all; a lock that can park its waiters needs a second one, to see at the release
//! whether there are any.
//!
//! # Roles
//!
//! Any thread locks it, green or not. The holder keeps it for some tens of nanoseconds.
//!
//! # Invariants
//!
//! - **K1** Whoever changed `locked` from `false` to `true` is the only one to reach the value, until it stores `false`.
//!
//! # Orderings
//!
//! The exchange in `try_take` (Acquire) reads the store in `drop` of the guard (Release): what the last holder did.
//!
//! # Suspension
//!
//! None, and a holder must not: a worker would spin on a lock whose holder waits in its own queue.
//!
//! # Rejected
//!
//! - `parking_lot::Mutex`: 5 ns more for each pair of lock and unlock on x86-64, which is a tenth of a rendezvous.
//! - A ticket lock: fair, but the next in line may be an OS thread that the kernel has descheduled.
//!
//! # Checked by
//!
//! `loom-tests/tests/spin.rs`.

use std::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    panic::{RefUnwindSafe, UnwindSafe},
};

use sward_runtime::placement;

use crate::prim::{
    MODEL,
    atomic::{
        AtomicBool,
        Ordering::{Acquire, Relaxed, Release},
    },
    const_fn, hint, thread,
};

/// The longest of the [`Pauses`].
const LONGEST: u32 = if MODEL { 0 } else { 64 };

/// The first pause of who found the lock taken: long enough for the holder to come back for it a few times, while all that it guards is in the
/// cache of one core. To take turns at each operation is what costs.
const FIRST_IN_LINE: u32 = 16;

// In a model nobody pauses.
const _: () = assert!(MODEL || FIRST_IN_LINE <= LONGEST);

/// Pauses that double, for who looks again and again at a word that another core is about to change: who looks all the time slows the holder down,
/// and has the word move from core to core after each operation.
pub(crate) struct Pauses(u32);

impl Pauses {
    /// For who waits for a [`SpinLock`].
    fn in_line() -> Self {
        Self(FIRST_IN_LINE)
    }

    /// For who could wait for a green thread instead: none if that could not be running just now.
    pub(crate) fn beside_others() -> Self {
        Self(if placement::others_run_beside() { 1 } else { LONGEST + 1 })
    }

    /// Pauses, twice as long as the last time. `false`, at once, after the longest.
    pub(crate) fn pause(&mut self) -> bool {
        let is_left = self.0 <= LONGEST;
        if is_left {
            (0..self.0).for_each(|_| hint::spin_loop());
            self.0 *= 2;
        }
        is_left
    }
}

/// The lock. See the module.
pub struct SpinLock<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time (K1).
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SpinLock<T> {}

// No panic leaves the value half changed: there is none under the lock.
impl<T> UnwindSafe for SpinLock<T> {}
impl<T> RefUnwindSafe for SpinLock<T> {}

impl<T> SpinLock<T> {
    const_fn! {
        /// An unlocked one.
        pub const fn new(value: T) -> Self {
            Self { locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
        }
    }

    /// Locks it.
    #[inline]
    pub fn lock(&self) -> SpinGuard<'_, T> {
        if !self.try_take() {
            self.take_contended();
        }
        SpinGuard(self, PhantomData)
    }

    // Not a swap: one that fails would store as well, and a model cannot tell that the holder's store comes after it.
    #[inline]
    fn try_take(&self) -> bool {
        self.locked.compare_exchange(false, true, Acquire, Relaxed).is_ok()
    }

    /// Looks again and again; after the longest pause the OS thread lets others run, for the holder may have been descheduled.
    #[cold]
    fn take_contended(&self) {
        let mut pauses = Pauses::in_line();
        loop {
            if !pauses.pause() {
                thread::yield_now();
            }
            if !self.locked.load(Relaxed) && self.try_take() {
                return;
            }
        }
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for SpinLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpinLock").finish_non_exhaustive()
    }
}

/// The right to the value.
///
/// As much `Sync` as a mutable borrow of the value is.
#[derive(Debug)]
pub struct SpinGuard<'a, T>(&'a SpinLock<T>, PhantomData<&'a mut T>);

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock, which is held (K1).
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.locked.store(false, Release);
    }
}
