//! The tests of this crate, one module for each subject, in one binary: most of their build is code that they share.
//!
//! `cargo test -p sward-runtime --test main shutdown::` runs those of one module.

mod auto_traits;
mod bad_input;
mod cancel;
mod common;
mod deadlock;
mod deaths;
mod doubt;
mod driver;
mod dump;
#[cfg(feature = "fault-injection")]
mod faults;
mod future;
mod generator;
mod generator_deaths;
mod generator_scope;
mod generator_threads;
mod join;
mod locals;
mod metrics;
mod panics;
mod park;
mod pool;
mod roaming;
mod scope;
mod shutdown;
mod shutdown_stuck;
mod spawn;
mod stack_overflow;
mod stacks;
mod stall;
mod time;
mod timers;
mod token;
mod watch;
mod yield_fairness;
