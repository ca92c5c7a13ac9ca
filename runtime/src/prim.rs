//! The primitives that every atomic protocol of this crate is written with.
//!
//! The only file that knows `cfg(loom)`: under it the atomics and the mutex are loom's, so that the models
//! in `loom-tests` run the very code that ships. Everything else in the crate names atomics through here.

#[cfg(loom)]
pub use loom::{
    hint, lazy_static,
    sync::{MutexGuard, atomic},
    thread_local as os_thread_local,
};
#[cfg(not(loom))]
pub use std::{hint, sync::atomic, thread, thread_local as os_thread_local};

/// loom's threads, with a `park_timeout` whose time is always up.
#[cfg(loom)]
pub mod thread {
    use std::sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    };

    use super::{atomic, global};

    pub use loom::thread::yield_now;

    loom::thread_local! {
        static THIS: Thread =
            Thread { thread: loom::thread::current(), token: Arc::default(), is_parked: Arc::default() };
    }

    /// A thread, to be unparked. The token is kept here: loom's `unpark` wakes a thread from whatever it blocks on, a mutex also.
    #[derive(Clone, Debug)]
    pub struct Thread {
        thread: loom::thread::Thread,
        token: Arc<atomic::AtomicBool>,
        /// No part of the model, whose threads all run on one OS thread.
        is_parked: Arc<global::AtomicBool>,
    }

    impl Thread {
        /// Its name.
        pub fn name(&self) -> Option<&str> {
            self.thread.name()
        }

        /// Leaves the token, and wakes the thread if it waits for it.
        pub fn unpark(&self) {
            self.token.swap(true, Release);
            if self.is_parked.swap(false, Relaxed) {
                self.thread.unpark();
            }
        }
    }

    /// The calling thread.
    pub fn current() -> Thread {
        THIS.with(Thread::clone)
    }

    /// Takes the token, blocking until it is there.
    pub fn park() {
        let this = current();
        while !this.token.swap(false, Acquire) {
            this.is_parked.store(true, Relaxed);
            loom::thread::park();
        }
    }

    /// Lets the others run.
    pub fn park_timeout(_: std::time::Duration) {
        yield_now();
    }
}

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

/// Has the cache fetch `len` bytes from an address on, which may be any. Elsewhere than on x86-64 it does nothing.
#[inline(always)]
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "an intrinsic"))]
pub fn fetch(start: usize, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has it, and no address is a wrong one: it is a hint.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(start.wrapping_add(offset))) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, len);
}

/// A fence against those who fence heavily: it holds back the compiler only.
#[inline(always)]
pub fn light_fence() {
    #[cfg(loom)]
    atomic::fence(atomic::Ordering::SeqCst);
    #[cfg(not(loom))]
    atomic::compiler_fence(atomic::Ordering::SeqCst);
}

/// A `SeqCst` fence of all threads of the process: of those that run, by the kernel; the others had one when they were switched away. `false`: the
/// kernel has no such thing.
#[must_use]
#[cfg_attr(not(loom), expect(unsafe_code, reason = "a system call"))]
pub fn heavy_fence() -> bool {
    #[cfg(loom)]
    {
        atomic::fence(atomic::Ordering::SeqCst);
        true
    }
    #[cfg(not(loom))]
    {
        let command = |command: libc::c_int| {
            // SAFETY: it reads and writes no memory.
            unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
        };
        atomic::fence(atomic::Ordering::SeqCst);
        // To register twice does nothing.
        command(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
            && command(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
    }
}

/// Atomics for process-wide statics, which loom cannot model because they outlive a model's run.
pub mod global {
    pub use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
}

#[cfg(not(loom))]
pub use parking_lot::{Mutex, MutexGuard};

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
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no model panics while it holds a lock")
    }
}
