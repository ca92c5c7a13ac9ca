//! What the kernel knows of an OS thread of this process: whether it computes or blocks.
//!
//! Read from `/proc`, some ten microseconds a time; only for a worker that seems to be stuck. Where it cannot be read nothing is known.

use std::{fs, time::Duration};

fn read(thread: i32, file: &str) -> Option<String> {
    if thread == 0 {
        return None;
    }
    fs::read_to_string(format!("/proc/self/task/{thread}/{file}")).ok()
}

/// Whether it runs, or would if a CPU were free. `None`: not known.
pub(super) fn is_runnable(thread: i32) -> Option<bool> {
    let stat = read(thread, "stat")?;
    // The name, in parentheses, may hold any.
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.starts_with('R'))
}

/// For how long it has run. `None`: not known.
pub(super) fn cpu_time(thread: i32) -> Option<Duration> {
    let stat = read(thread, "schedstat")?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
