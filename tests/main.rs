//! The tests of this crate, one module for each subject, in one binary: most of their build is code that they share.
//!
//! `cargo test -p sward --test main actor::` runs those of one module.

mod actor;
mod actor_children;
mod actor_later;
mod actor_supervisor;
mod attributes;
mod common;
mod std_names;
mod task_group;
mod task_local;
mod task_scope;
mod tokio_interop;
#[cfg(feature = "tracing")]
mod tracing_spans;
