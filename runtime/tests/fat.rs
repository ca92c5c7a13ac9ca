//! The subset of the tests that `.ci/run fat` builds with the whole program in one unit, for which all of them would take too long.

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
