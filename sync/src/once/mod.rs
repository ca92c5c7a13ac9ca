//! A function that is called once, and those who wait for it.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | [`Once`] |
//! | `lock.rs` | [`OnceLock`]: a [`Once`] and a value |
//! | `lazy.rs` | [`LazyLock`]: the function too |
//!
//! # Roles
//!
//! The *caller* is the one whose function runs. *Waiters* wait for it to return; those in [`Once::wait`] also for a caller to come.
//!
//! # States
//!
//! ```text
//!   INCOMPLETE ──1──▶ RUNNING ──2──▶ COMPLETE
//!                      │   ▲
//!                      3   1
//!                      ▼   │
//!                     POISONED
//! ```
//!
//! 1 `begin`; 2 `Running`'s drop, after the function has returned; 3 the same, if it unwinds. Beside the state stands the bit `PARKED`:
//! somebody waits in the lot.
//!
//! # Invariants
//!
//! - **O1** One caller at most at a time: the one that made the step to `RUNNING`, until it leaves that state. After `COMPLETE` there is none.
//! - **O2** `PARKED` is set by a waiter, under its bucket's lock. The caller that clears it, leaving `RUNNING`, wakes all who are in the lot
//!   then. It is never set beside `COMPLETE`.
//!
//! # Orderings
//!
//! A look that finds `COMPLETE` (Acquire), or `POISONED` and goes on to `RUNNING` (Acquire), reads the caller's last step (Release): what
//! the function did.
//!
//! # Suspension
//!
//! The function may suspend. Those who come meanwhile wait for it; so a function that waits for one of them waits for ever.
//!
//! # Rejected
//!
//! `ONCE_INIT`, which `std` has deprecated since 1.38.
//!
//! # Checked by
//!
//! `loom-tests/tests/once.rs`, `tests/once.rs`.

#[expect(unsafe_code, reason = "the value, until it is there; see docs/unsafe.md")]
mod lazy;
#[expect(unsafe_code, reason = "the value, until it is there; see docs/unsafe.md")]
mod lock;

use std::{
    cell::Cell,
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

use sward_runtime::park::WaitReason;

pub use self::{lazy::LazyLock, lock::OnceLock};
use crate::{
    lot::{self, Parked},
    prim::{
        atomic::{
            AtomicU8,
            Ordering::{Acquire, Relaxed, Release},
        },
        const_fn,
    },
    wait_list::{Ask, Wait},
};

const INCOMPLETE: u8 = 0;
const POISONED: u8 = 1;
const RUNNING: u8 = 2;
const COMPLETE: u8 = 3;
const STATE: u8 = 0b11;

const PARKED: u8 = 1 << 2;

/// With what a waiter is woken: to look again.
const LOOK_AGAIN: usize = 1;

/// Calls a function once, whoever comes first; the others wait until it has returned.
///
/// As `std::sync::Once`; a byte in size. Where there is a value, [`OnceLock`] is easier.
///
/// # Examples
///
/// ```
/// use sward_sync::Once;
///
/// static START: Once = Once::new();
///
/// START.call_once(|| {
///     // Whatever must happen first.
/// });
/// assert!(START.is_completed());
/// ```
pub struct Once {
    state: AtomicU8,
}

impl UnwindSafe for Once {}

impl RefUnwindSafe for Once {}

/// The state of a [`Once`], for the function that [`Once::call_once_force`] calls.
///
/// # Examples
///
/// ```
/// use sward_sync::Once;
///
/// Once::new().call_once_force(|state| assert!(!state.is_poisoned()));
/// ```
pub struct OnceState {
    poisoned: bool,
    /// The state to be in afterwards.
    then: Cell<u8>,
}

impl Once {
    const_fn! {
        /// A `Once` whose function has not been called.
        ///
        /// # Examples
        ///
        /// ```
        /// assert!(!sward_sync::Once::new().is_completed());
        /// ```
        #[expect(clippy::new_without_default, reason = "as `std`'s")]
        #[inline]
        #[must_use]
        pub const fn new() -> Once {
            Once { state: AtomicU8::new(INCOMPLETE) }
        }
    }

    /// Calls `f`, unless a function has been called before. When this returns, one has returned, and all that it did is visible.
    ///
    /// # Suspension
    ///
    /// While another caller's function runs, parks the green thread; blocks an OS thread outside the runtime. Waits for ever if `f` itself
    /// comes here.
    ///
    /// # Cancellation
    ///
    /// A caller whose function is cancelled poisons, as one whose function panics. One that waits changes nothing.
    ///
    /// # Panics
    ///
    /// If `f` panics; that poisons the `Once`. And if it is poisoned.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::{Once, atomic::{AtomicU32, Ordering::Relaxed}};
    ///
    /// static START: Once = Once::new();
    /// static STARTS: AtomicU32 = AtomicU32::new(0);
    ///
    /// thread::scope(|s| {
    ///     for _ in 0..10 {
    ///         s.spawn(|| START.call_once(|| _ = STARTS.fetch_add(1, Relaxed)));
    ///     }
    /// });
    /// assert_eq!(STARTS.load(Relaxed), 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn call_once<F>(&self, f: F)
    where
        F: FnOnce(),
    {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(false, &mut |_| f.take().expect("called once (O1)")());
        }
    }

    /// As [`call_once`](Self::call_once), but calls `f` also if the `Once` is poisoned; it no longer is if `f` returns.
    ///
    /// # Suspension
    ///
    /// As [`call_once`](Self::call_once).
    ///
    /// # Cancellation
    ///
    /// As [`call_once`](Self::call_once).
    ///
    /// # Panics
    ///
    /// If `f` panics; that poisons the `Once`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::Once;
    ///
    /// static START: Once = Once::new();
    ///
    /// let failed = thread::spawn(|| START.call_once(|| panic!("no luck")));
    /// assert!(failed.join().is_err());
    /// START.call_once_force(|state| assert!(state.is_poisoned()));
    /// assert!(START.is_completed());
    /// ```
    #[inline]
    pub fn call_once_force<F>(&self, f: F)
    where
        F: FnOnce(&OnceState),
    {
        if !self.is_completed() {
            let mut f = Some(f);
            self.call(true, &mut |state| f.take().expect("called once (O1)")(state));
        }
    }

    /// Whether a function has been called, and has returned.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Once;
    ///
    /// let once = Once::new();
    /// once.call_once(|| assert!(!once.is_completed()));
    /// assert!(once.is_completed());
    /// ```
    #[inline]
    #[must_use]
    pub fn is_completed(&self) -> bool {
        // With the last step of `Running`'s drop.
        self.state.load(Acquire) == COMPLETE
    }

    /// Waits until a function has been called and has returned.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Panics
    ///
    /// If the `Once` is poisoned, now or while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::Once;
    ///
    /// static READY: Once = Once::new();
    ///
    /// let waiting = thread::spawn(|| READY.wait());
    /// READY.call_once(|| ());
    /// waiting.join().unwrap();
    /// ```
    #[inline]
    pub fn wait(&self) {
        if !self.is_completed() {
            self.wait_for_completion(false);
        }
    }

    /// As [`wait`](Self::wait), but waits on if the `Once` is poisoned.
    ///
    /// # Suspension
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancellation
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::thread;
    /// use sward_sync::Once;
    ///
    /// static READY: Once = Once::new();
    ///
    /// assert!(thread::spawn(|| READY.call_once(|| panic!())).join().is_err());
    /// let waiting = thread::spawn(|| READY.wait_force());
    /// READY.call_once_force(|_| ());
    /// waiting.join().unwrap();
    /// ```
    #[inline]
    pub fn wait_force(&self) {
        if !self.is_completed() {
            self.wait_for_completion(true);
        }
    }

    /// One whose function has been called.
    pub(crate) fn completed() -> Self {
        Self { state: AtomicU8::new(COMPLETE) }
    }

    /// Calls `f`, or waits for whoever does.
    #[cold]
    #[track_caller]
    fn call(&self, even_if_poisoned: bool, f: &mut dyn FnMut(&OnceState)) {
        loop {
            let word = self.state.load(Acquire);
            match word & STATE {
                COMPLETE => return,
                POISONED if !even_if_poisoned => panic_poisoned(),
                RUNNING => self.park(|state| state == RUNNING),
                state if self.begin(word) => {
                    let running = Running(self, POISONED);
                    return running.run(state == POISONED, f);
                }
                _ => {}
            }
        }
    }

    /// (1) Becomes the caller. `false`: `word` has changed.
    fn begin(&self, word: u8) -> bool {
        let running = word & !STATE | RUNNING;
        self.state.compare_exchange(word, running, Acquire, Relaxed).is_ok()
    }

    #[cold]
    fn wait_for_completion(&self, even_if_poisoned: bool) {
        loop {
            match self.state.load(Acquire) & STATE {
                COMPLETE => return,
                POISONED if !even_if_poisoned => panic_poisoned(),
                _ => self.park(|state| state != COMPLETE && (even_if_poisoned || state != POISONED)),
            }
        }
    }

    /// Waits for a step of the caller, while the state is as wanted.
    fn park(&self, is_to_wait: impl Fn(u8) -> bool) {
        let parked = lot::park(
            self.key(),
            Wait::new(WaitReason::Once, Ask::PLAIN, None),
            || {
                let mut word = self.state.load(Relaxed);
                while is_to_wait(word & STATE) {
                    match self.state.compare_exchange_weak(word, word | PARKED, Relaxed, Relaxed) {
                        Ok(_) => return true,
                        Err(now) => word = now,
                    }
                }
                false
            },
            |empty| {
                if empty {
                    self.state.fetch_and(!PARKED, Relaxed);
                }
            },
        );
        debug_assert_ne!(parked, Parked::TimedOut, "there is no deadline");
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// The function is running. Ends that on drop: poisoned, unless it was found to be otherwise.
struct Running<'a>(&'a Once, u8);

impl Running<'_> {
    fn run(mut self, poisoned: bool, f: &mut dyn FnMut(&OnceState)) {
        let state = OnceState { poisoned, then: Cell::new(COMPLETE) };
        f(&state);
        self.1 = state.then.get();
    }
}

impl Drop for Running<'_> {
    /// (2, 3)
    fn drop(&mut self) {
        let Self(once, then) = *self;
        // With whoever finds the new state.
        if once.state.swap(then, Release) & PARKED == 0 {
            return;
        }
        let mut ready = lot::with(once.key(), |list| {
            // Somebody may have come after the swap, and is among them too.
            once.state.fetch_and(!PARKED, Relaxed);
            list.claim_all(LOOK_AGAIN)
        });
        ready.schedule();
    }
}

#[cold]
#[track_caller]
fn panic_poisoned() -> ! {
    panic!("Once instance has previously been poisoned")
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl OnceState {
    /// Whether the `Once` was poisoned when the function was called.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Once;
    ///
    /// Once::new().call_once_force(|state| assert!(!state.is_poisoned()));
    /// ```
    #[inline]
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Lets the `Once` be poisoned after the function has returned.
    pub(crate) fn poison(&self) {
        self.then.set(POISONED);
    }
}

impl fmt::Debug for OnceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceState").field("poisoned", &self.is_poisoned()).finish()
    }
}
