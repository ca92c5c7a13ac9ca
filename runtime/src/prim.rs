//! The primitives that every atomic protocol of this crate is written with.
//!
//! The only file that knows `cfg(loom)`: under it the atomics and the mutex are loom's, so that the models
//! in `loom-tests` run the very code that ships. Everything else in the crate names atomics through here.

#[cfg(loom)]
pub use loom::{hint, sync::atomic, thread};
#[cfg(not(loom))]
pub use std::{hint, sync::atomic, thread};

/// Memory, which loom watches for leaks and double frees.
pub mod raw {
    #[cfg(loom)]
    pub use loom::alloc::{alloc, dealloc};
    #[cfg(not(loom))]
    pub use std::alloc::{alloc, dealloc};
}

/// Whether this is a model, in which capacities are small.
pub const MODEL: bool = cfg!(loom);

/// Reads an atomic that nobody else uses any more; a model fails if it has not seen every step on it.
///
/// # Safety
///
/// Nobody else uses it.
#[expect(unsafe_code, reason = "under loom it is")]
pub unsafe fn unsync_load(atomic: &atomic::AtomicIsize) -> isize {
    #[cfg(loom)]
    // SAFETY: the caller's contract.
    return unsafe { atomic.unsync_load() };
    #[cfg(not(loom))]
    atomic.load(atomic::Ordering::Relaxed)
}

/// Atomics for process-wide statics, which loom cannot model because they outlive a model's run.
pub mod global {
    pub use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
}

#[cfg(not(loom))]
pub use parking_lot::Mutex;

/// loom's mutex with the signature of `parking_lot`'s.
#[cfg(loom)]
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Mutex<T> {
    /// Creates an unlocked mutex.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Locks it.
    #[expect(clippy::missing_panics_doc, reason = "a poisoned model has already failed")]
    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no model panics while it holds a lock")
    }
}
