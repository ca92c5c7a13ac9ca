//! The tests of this crate, one module for each subject, in one binary: most of their build is code that they share.
//!
//! `cargo test -p sward-sync --test main mutex::` runs those of one module.

mod barrier;
mod broadcast;
mod cancel;
mod channel_bounded;
mod channel_cancel;
mod channel_disconnect;
mod channel_iter;
mod channel_rendezvous;
mod channel_timers;
mod channel_unbounded;
mod common;
mod condvar;
mod deadlock;
mod histories;
mod lazy_lock;
mod model;
mod mpsc;
mod mutex;
mod notify;
mod once;
mod once_lock;
mod oneshot;
mod parker;
mod poison;
mod pool;
mod reentrant_lock;
mod rwlock;
mod select;
mod select_arms;
mod select_macro;
mod select_ready;
mod select_stress;
mod semaphore;
mod wait_group;
mod watch;
