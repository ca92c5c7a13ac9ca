//! What the operating system knows: CPU time, resident memory, and which CPUs a process may use.
//!
//! All `unsafe` of the harness is here.

use std::mem::MaybeUninit;
use std::time::Duration;

use crate::error::{Error, Result};

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Of all its threads, user and system.
    pub(crate) cpu: Duration,
    /// Context switches of all its threads, whether asked for or not.
    pub(crate) switches: u64,
}

/// What this process has used.
pub(crate) fn usage() -> Usage {
    usage_of(libc::RUSAGE_SELF)
}

/// The CPU time that this process has used.
pub(crate) fn cpu_time() -> Duration {
    usage().cpu
}

/// The CPU time of those children, and their children, that have ended and were waited for.
pub(crate) fn children_cpu_time() -> Duration {
    usage_of(libc::RUSAGE_CHILDREN).cpu
}

fn usage_of(of: libc::c_int) -> Usage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is a valid place for one `rusage`.
    let failed = unsafe { libc::getrusage(of, usage.as_mut_ptr()) } != 0;
    assert!(!failed, "getrusage with a valid first argument does not fail");
    // SAFETY: `rusage` is made of integers, for which the zeroes written above are valid in any case.
    let usage = unsafe { usage.assume_init() };
    Usage {
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        switches: usage.ru_nvcsw.unsigned_abs() + usage.ru_nivcsw.unsigned_abs(),
    }
}

/// The time that a number of the kernel's clock ticks stand for.
pub(crate) fn ticks(count: u64) -> Duration {
    // SAFETY: `sysconf` has no preconditions.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Duration::from_secs_f64(count as f64 / per_second as f64)
}

fn duration(time: libc::timeval) -> Duration {
    // CPU time is never negative, and the microseconds are below a million.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_usec.unsigned_abs() as u32 * 1_000)
}

/// The CPU time that the calling OS thread has used.
pub(crate) fn thread_cpu_time() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The time by a clock that all processes of the machine share.
pub(crate) fn monotonic() -> Duration {
    clock(libc::CLOCK_MONOTONIC)
}

fn clock(number: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one `timespec`.
    let failed = unsafe { libc::clock_gettime(number, &raw mut time) } != 0;
    assert!(!failed, "these clocks can be read");
    // Neither time is ever negative, and the nanoseconds are below a billion.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The memory of this process that is resident now, in bytes.
pub(crate) fn resident_bytes() -> Result<u64> {
    resident_bytes_of("self")
}

/// The same of any process, by its number.
pub(crate) fn resident_bytes_of(process: &str) -> Result<u64> {
    let path = format!("/proc/{process}/statm");
    let statm = std::fs::read_to_string(&path)?;
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| Error::new(format!("{path} has no resident pages")))?;
    // SAFETY: `sysconf` has no preconditions.
    let page_size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages * page_size.unsigned_abs())
}

/// The most memory that was ever resident in a process, in bytes.
pub(crate) fn peak_resident_bytes_of(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path)?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kib.ok_or_else(|| Error::new(format!("{path} has no VmHWM")))? * 1024)
}

/// The numbers of the CPUs that this process may use.
#[cfg(target_os = "linux")]
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: `set` is a valid place for a CPU set of the size given.
    let failed = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) } != 0;
    if failed {
        return (0..available()).collect();
    }
    // SAFETY: the call above filled the set.
    let set = unsafe { set.assume_init() };
    let possible = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: every index is below CPU_SETSIZE.
    (0..possible).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Confines the calling thread, and the threads and processes that it starts from now on, to some CPUs.
#[cfg(target_os = "linux")]
pub(crate) fn confine(cpus: &[usize]) -> Result<()> {
    let set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: a CPU set is a bit mask, for which zeroes are valid: the empty set.
    let mut set = unsafe { set.assume_init() };
    for &cpu in cpus {
        // SAFETY: the number came from `allowed_cpus`, so it is below CPU_SETSIZE.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: `set` is a valid CPU set of the size given.
    let failed = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } != 0;
    if failed {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

/// The numbers of the CPUs that this process may use.
#[cfg(not(target_os = "linux"))]
pub(crate) fn allowed_cpus() -> Vec<usize> {
    (0..available()).collect()
}

/// Confining is not possible here; the figures then include migrations between CPUs.
#[cfg(not(target_os = "linux"))]
pub(crate) fn confine(_cpus: &[usize]) -> Result<()> {
    Ok(())
}

/// How many workers "all" means: the CPUs this process may use, less what a cgroup quota withholds.
pub(crate) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Gives back to the kernel what the allocator keeps, as far as it can.
pub(crate) fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the allocator keep few separate heaps, whose number would otherwise depend on which threads happened to meet.
pub(crate) fn few_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Sends a signal to this process, or to the calling OS thread alone. `false`: the kernel has no room for one more.
#[cfg(target_os = "linux")]
pub(crate) fn raise(signal: i32, to_this_thread: bool) -> bool {
    if to_this_thread {
        // SAFETY: it has no preconditions.
        return unsafe { libc::raise(signal) } == 0;
    }
    // Unlike `kill` it says so when a signal cannot be kept apart from others.
    let (process, value) =
        (std::process::id().cast_signed(), libc::sigval { sival_ptr: std::ptr::null_mut() });
    // SAFETY: it has no preconditions.
    unsafe { libc::sigqueue(process, signal, value) == 0 }
}

/// Whether there are child processes, running or not yet waited for.
pub(crate) fn has_children() -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is a valid place for one `siginfo_t`.
    let failed = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) } != 0;
    !(failed && std::io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD))
}
