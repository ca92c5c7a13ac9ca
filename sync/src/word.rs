//! A number that is waited for: one word, and the lot for those who wait.
//!
//! For primitives in which all who wait look again whenever the number changes: a count that falls to zero, a version that grows.
//!
//! # Roles
//!
//! A *waiter* waits until the number is as it likes. Whoever changes the number *wakes* all of them, if the change may matter to one.
//!
//! # Invariants
//!
//! - **D1** `WAITING` is set by a waiter, under its bucket's lock, beside a number that it does not like; and cleared under it by whoever leaves
//!   the list empty (P2 of `lot.rs`). So a change that comes later finds it set.
//!
//! # Orderings
//!
//! A look (Acquire) reads every change before it (Release: all writes to the word are read-modify-writes). Changes read each other (Acquire), so
//! that whoever is woken, which the claim orders, sees what happened before all of them.
//!
//! # Checked by
//!
//! `loom-tests/tests/wait_group.rs`, `tests/wait_group.rs`, `tests/watch.rs`.

use std::time::Instant;

use sward_runtime::park::WaitReason;

use crate::{
    lot::{self, Parked},
    prim::atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
    wait_list::{Ask, Wait},
};

const WAITING: usize = 1;
const SHIFT: u32 = 1;

/// With what a waiter is woken: to look again.
const LOOK_AGAIN: usize = 1;

/// The number, which wraps around one bit before the word does. See the module.
#[derive(Debug)]
pub(crate) struct Word(AtomicUsize);

impl Word {
    pub(crate) fn new(number: usize) -> Self {
        Self(AtomicUsize::new(number << SHIFT))
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The number.
    #[inline]
    pub(crate) fn get(&self) -> usize {
        self.0.load(Acquire) >> SHIFT
    }

    /// Adds to the number. Wakes nobody.
    #[inline]
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n << SHIFT, AcqRel);
    }

    /// Subtracts from the number, and returns what is left. Wakes nobody.
    #[inline]
    pub(crate) fn subtract(&self, n: usize) -> usize {
        (self.0.fetch_sub(n << SHIFT, AcqRel) >> SHIFT) - n
    }

    /// Sets bits of the number. Wakes nobody.
    pub(crate) fn set(&self, bits: usize) {
        self.0.fetch_or(bits << SHIFT, AcqRel);
    }

    /// Wakes all who wait, to look again.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.0.load(Relaxed) & WAITING != 0 {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_all(&self) {
        let mut ready = lot::with(self.key(), |list| {
            self.0.fetch_and(!WAITING, Relaxed);
            list.claim_all(LOOK_AGAIN)
        });
        ready.schedule();
    }

    /// Waits until `is_fine` says so of the number, and returns that. `None`: the deadline passed.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub(crate) fn wait(
        &self,
        reason: WaitReason,
        deadline: Option<Instant>,
        is_fine: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        loop {
            let number = self.get();
            if is_fine(number) {
                return Some(number);
            }
            let parked = lot::park(
                self.key(),
                Wait::new(reason, Ask::PLAIN, deadline),
                || self.announce(&is_fine),
                |empty| {
                    if empty {
                        self.0.fetch_and(!WAITING, Relaxed);
                    }
                },
            );
            if parked == Parked::TimedOut {
                return None;
            }
        }
    }

    /// The last look before a wait, under the bucket's lock. `false`: the number is fine.
    fn announce(&self, is_fine: impl Fn(usize) -> bool) -> bool {
        let mut word = self.0.load(Relaxed);
        while !is_fine(word >> SHIFT) {
            match self.0.compare_exchange_weak(word, word | WAITING, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }
}
