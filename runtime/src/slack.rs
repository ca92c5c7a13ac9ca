//! The slack of an OS thread's timers: how much later than asked for the kernel may end its sleeps.
//!
//! The runtime's OS threads have the least, so that sleeps end when they should. But what a thread has, the threads and processes that it starts
//! inherit, also as their default. So what was there before is remembered, for those whom this is not about.
//!
//! # Checked by
//!
//! `io/tests/process.rs`.

use std::{num::NonZero, sync::OnceLock};

use rustix::thread::{current_timer_slack, set_current_timer_slack};

/// What the thread had that started the first runtime.
static PLAIN: OnceLock<Option<NonZero<u64>>> = OnceLock::new();

/// Remembers the slack of the calling thread, which is about to start a thread that will have the least.
pub(crate) fn remember() {
    PLAIN.get_or_init(|| NonZero::new(current_timer_slack().ok()?));
}

/// Gives the calling thread the least: the default is 50 µs.
pub(crate) fn set_least() {
    set(Some(NonZero::<u64>::MIN));
}

/// Gives the calling thread back what it would have if no runtime's thread had started it.
pub(crate) fn set_plain() {
    set(PLAIN.get().copied().flatten());
}

/// `None`: the thread's default.
fn set(slack: Option<NonZero<u64>>) {
    // Where the system has none, sleeps end as they do.
    let _ = set_current_timer_slack(slack);
}

/// Calls `f`, which starts a process and does not wait, so that the process inherits what it would from a thread outside the runtime.
/// No part of the API.
#[doc(hidden)]
pub fn with_plain_slack<R>(f: impl FnOnce() -> R) -> R {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            set_least();
        }
    }
    if !crate::is_green() {
        return f();
    }
    set_plain();
    let _restore = Restore;
    f()
}
