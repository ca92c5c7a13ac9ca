//! What threads, green or not, wait for each other with.
//!
//! A layer of `sward`; programs use it through that crate. Everything here works on a green thread, which it parks, and on an
//! OS thread outside the runtime, which it blocks, and the two can wait for each other.
//!
//! [`Arc`], [`Weak`] and [`atomic`] are `std`'s, so that an import of `std::sync` can be replaced line for line.
#![deny(unsafe_code)]
#![cfg_attr(loom, allow(dead_code, reason = "models drive the protocols one by one"))]
#![doc(test(attr(deny(warnings))))]

mod barrier;
pub mod broadcast;
pub mod channel;
mod condvar;
mod deadlock;
mod lot;
pub mod mpmc;
pub mod mpsc;
#[expect(unsafe_code, reason = "the value under the lock; see docs/unsafe.md")]
mod mutex;
#[expect(unsafe_code, reason = "a wait in a `select`; see docs/unsafe.md")]
mod notify;
mod once;
pub mod oneshot;
mod parker;
mod poison;
pub mod pool;
mod prim;
#[expect(unsafe_code, reason = "the value under the lock; see docs/unsafe.md")]
mod reentrant;
#[expect(unsafe_code, reason = "the value under the lock; see docs/unsafe.md")]
mod rwlock;
mod semaphore;
#[expect(unsafe_code, reason = "the value under the lock; see docs/unsafe.md")]
mod spin;
mod wait_group;
#[expect(unsafe_code, reason = "entries on the waiters' stacks; see docs/unsafe.md")]
mod wait_list;
pub mod watch;
mod word;

pub use std::sync::{Arc, Weak, atomic};

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard};
pub use notify::Notify;
pub use once::{LazyLock, Once, OnceLock, OnceState};
pub use parker::{Parker, Unparker};
pub use poison::{LockResult, LockTimeoutError, LockTimeoutResult, PoisonError, TryLockError, TryLockResult};
pub use pool::{Pool, PoolGuard};
pub use reentrant::{ReentrantLock, ReentrantLockGuard};
pub use rwlock::{MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{
    AcquireError, AcquireTimeoutError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError,
};
pub use wait_group::WaitGroup;

/// The locks without their values, for the models in `loom-tests`; the others use the public types. No part of the API.
#[doc(hidden)]
pub mod model {
    pub use crate::{
        mutex::RawMutex,
        rwlock::RawRwLock,
        spin::{SpinGuard, SpinLock},
    };
}
