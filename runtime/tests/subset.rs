//! The subset of the tests that `.ci/run checked` and `.ci/run fat` build optimised, for which all of them would take too long.

mod cancel;
mod common;
mod generator;
mod generator_deaths;
mod generator_scope;
mod generator_threads;
mod park;
mod roaming;
mod shutdown;
mod timers;
