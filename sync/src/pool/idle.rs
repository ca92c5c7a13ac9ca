//! The objects of a pool that nobody uses, and those that are in use as far as the pool knows them.
//!
//! # Invariants
//!
//! - **P1** Who has an object, or makes one, has a [`Slot`]. There are as many slots as the pool may have objects.
//! - **P2** An object is made only by who found none idle. All others are in use or being made then, and have a slot each: so there are
//!   never more objects than slots.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{prim::Lock, semaphore::RawSemaphore};

/// What guards and the pool share.
pub(super) struct Shared<T> {
    pub(super) slots: RawSemaphore,
    /// Oldest return first.
    idle: Lock<VecDeque<Idle<T>>>,
    pub(super) limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max: usize,
    pub(super) max_idle: usize,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_age: Option<Duration>,
}

/// An object, and when it was made.
pub(super) struct Pooled<T> {
    pub(super) object: T,
    pub(super) made: Instant,
}

struct Idle<T> {
    pooled: Pooled<T>,
    since: Instant,
}

/// The right to have an object. Goes to the next in line when it is dropped.
pub(super) struct Slot<T>(Arc<Shared<T>>);

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.0.slots.release(1);
    }
}

/// Whether something that began at `start` has gone on for too long.
fn is_over(start: Instant, limit: Option<Duration>, now: Instant) -> bool {
    limit.is_some_and(|limit| now.saturating_duration_since(start) >= limit)
}

impl<T> Slot<T> {
    /// The caller has acquired one of `shared.slots`.
    pub(super) fn new(shared: &Arc<Shared<T>>) -> Self {
        Self(Arc::clone(shared))
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The object that was returned last. Those that are too old are dropped on the way.
    pub(super) fn take_idle(&self) -> Option<Pooled<T>> {
        loop {
            let Idle { pooled, since } = self.0.idle.lock().pop_back()?;
            let now = Instant::now();
            if is_over(since, self.limits().idle_timeout, now) || pooled.is_too_old(self.limits(), now) {
                drop(pooled);
            } else {
                return Some(pooled);
            }
        }
    }

    /// Keeps an object for the next, or drops it, if there are enough or it is too old; and one that has been idle for too long.
    pub(super) fn keep(&self, pooled: Pooled<T>) {
        let (limits, since) = (self.limits(), Instant::now());
        let mut dropped = [None, None];
        let mut idle = self.0.idle.lock();
        if idle.front().is_some_and(|oldest| is_over(oldest.since, limits.idle_timeout, since)) {
            dropped[0] = idle.pop_front().map(|oldest| oldest.pooled);
        }
        if idle.len() >= limits.max_idle || pooled.is_too_old(limits, since) {
            dropped[1] = Some(pooled);
        } else {
            idle.push_back(Idle { pooled, since });
        }
        drop(idle);
        // Last, because it runs destructors.
        drop(dropped);
    }
}

impl<T> Pooled<T> {
    fn is_too_old(&self, limits: &Limits, now: Instant) -> bool {
        is_over(self.made, limits.max_age, now)
    }
}

impl<T> Shared<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { slots: RawSemaphore::new(limits.max), idle: Lock::new(VecDeque::new()), limits }
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    pub(super) fn in_use(&self) -> usize {
        self.limits.max - self.slots.available()
    }

    /// Drops the objects that nobody uses.
    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }
}
