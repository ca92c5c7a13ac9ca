//! What the kernel knows of an OS thread of this process: whether it computes or blocks.
//!
//! Read from `/proc`, some ten microseconds a time; only for a worker that seems to be stuck. Where it cannot be read nothing is known.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

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

/// What it blocks in: a function of the kernel's, or the number of a system call. `None`: not known, or it does not block.
pub(super) fn blocked_in(thread: i32) -> Option<String> {
    if is_runnable(thread)? {
        return None;
    }
    if let Some(function) = read(thread, "wchan").filter(|function| !matches!(&**function, "" | "0")) {
        return Some(function);
    }
    let call = read(thread, "syscall")?;
    let number: u32 = call.split_whitespace().next()?.parse().ok()?;
    Some(format!("system call {number}"))
}

/// For how long it has run. `None`: not known.
pub(super) fn cpu_time(thread: i32) -> Option<Duration> {
    schedstat(thread).map(|[ran, _]| ran)
}

/// For how long the calling one, whose number this is, has run or waited for a CPU. `None`: not known.
pub(super) fn own_busy_time(thread: i32) -> Option<Duration> {
    let [_, waited] = schedstat(thread)?;
    // The other figure lags behind, by up to a tick of the kernel's, while the thread runs.
    let ran = clock_gettime(ClockId::ThreadCPUTime);
    Some(waited + Duration::new(ran.tv_sec.try_into().ok()?, ran.tv_nsec.try_into().ok()?))
}

fn schedstat(thread: i32) -> Option<[Duration; 2]> {
    let stat = read(thread, "schedstat")?;
    let mut nanos = stat.split_whitespace().map(str::parse);
    let mut next = || nanos.next()?.ok().map(Duration::from_nanos);
    Some([next()?, next()?])
}
