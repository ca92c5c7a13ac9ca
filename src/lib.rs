//! Green threads for Rust.
pub use sward_runtime::{cancel, error, runtime, run, thread, unblock};
pub use sward_io::net;
