//! The subset of the tests that `.ci/run fat` builds optimised, for which all of them would take too long.

mod channel_rendezvous;
mod common;
mod mutex;
mod rwlock;
mod select_stress;
