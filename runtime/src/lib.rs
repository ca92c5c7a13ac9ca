//! The runtime under [`sward`](https://docs.rs/sward): a work-stealing M:N scheduler of green threads.
//!
//! Programs use the facade, `sward`; this crate is for those who build on the scheduler, as `sward-io` and `sward-sync` do.
//!
//! # Modules, in reading order
//!
//! | module | what it is for |
//! |---|---|
//! | `stack`, `fiber` | memory to run on, and the switch |
//! | `task` | the record of a green thread, and the words that decide its races |
//! | `queue`, `scheduler` | where ready tasks wait, who runs them, who sleeps and who is woken |
//! | [`park`] | the one door through which everything waits |
//! | `timer` | deadlines |
//! | `metrics` | figures about a running runtime |
//! | [`driver`] | what an idle worker waits on |
//! | [`thread`], [`runtime`], [`cancel`], [`time`], [`coroutine`], [`budget`], [`placement`], [`blocking`], [`unblock`] | the public surface |
//!
//! The protocols are described in `docs/scheduler.md` of the repository, and each file's header states its invariants.
#![deny(unsafe_code)]
#![cfg_attr(loom, allow(dead_code, reason = "models drive the protocols one by one"))]
#![doc(test(attr(deny(warnings))))]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("sward runs on Linux, on x86-64 and AArch64");

mod blocking;
pub mod budget;
pub mod cancel;
#[expect(unsafe_code, reason = "coroutines and their stacks; see docs/unsafe.md")]
pub mod coroutine;
pub mod driver;
#[expect(unsafe_code, reason = "a suspended stack that looks at itself; see docs/unsafe.md")]
mod dump;
pub mod error;
#[expect(unsafe_code, reason = "the switch; see docs/unsafe.md")]
mod fiber;
#[expect(unsafe_code, reason = "the claim of a wait; see docs/unsafe.md")]
pub mod future;
mod metrics;
#[expect(unsafe_code, reason = "the claim of a wait; see docs/unsafe.md")]
pub mod park;
pub mod placement;
#[expect(unsafe_code, reason = "boxed results; see docs/unsafe.md")]
mod pool;
#[doc(hidden)]
pub mod prim;
#[expect(unsafe_code, reason = "intrusive lists; see docs/unsafe.md")]
mod queue;
#[expect(unsafe_code, reason = "the builder's roaming mode, and borrowing closures; see docs/unsafe.md")]
pub mod runtime;
#[expect(unsafe_code, reason = "ownership of tasks; see docs/unsafe.md")]
mod scheduler;
mod seam;
mod slack;
mod spans;
#[expect(unsafe_code, reason = "memory mappings and a signal handler; see docs/unsafe.md")]
mod stack;
mod stall;
#[expect(unsafe_code, reason = "the type-erased record; see docs/unsafe.md")]
mod task;
#[expect(unsafe_code, reason = "ownership of results; see docs/unsafe.md")]
pub mod thread;
pub mod time;
#[expect(unsafe_code, reason = "entries on the waiters' stacks; see docs/unsafe.md")]
mod timer;

pub use blocking::blocking;
#[doc(hidden)]
pub use pool::unblock_apart;
pub use pool::{is_green, unblock};
pub use runtime::run;
#[doc(hidden)]
pub use slack::with_plain_slack;

/// Faults of the system, for the tests of this crate to inject. Not part of the public API.
#[cfg(feature = "fault-injection")]
#[doc(hidden)]
pub mod faults {
    pub use crate::seam::{
        Call,
        plan::{Fault, Plan, jump, stop_clock},
    };
}

/// The words of the protocols, for the models in `loom-tests`. No part of the API.
#[doc(hidden)]
pub mod model {
    pub use crate::{
        cancel::bound::Slot,
        future::Signal,
        queue::inbox::{Inbox, Linked},
        scheduler::{
            deadlock::{Verdict, judge},
            hands::Hands,
            idle::{Asked, Ended, Given, Idle},
            poller::Control,
            seats::Standing,
            sleeper::{Kick, Sleeper, Woke},
        },
        task::{
            join::{Entry, Finish, JoinWord},
            slab::Slab,
            state::{Claim, Outcome, Place, Reach, Shield, State, Wait},
        },
    };
}
