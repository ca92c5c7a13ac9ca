//! What work costs beside its time: CPU time, context switches, system calls and memory of the process that does it.
//!
//! CPU time and context switches are what the process says of itself by `getrusage`. System calls are counted by the kernel's
//! tracepoint `raw_syscalls:sys_enter`, which makes each a little slower; so they are counted during work that is not timed. Where
//! the kernel has no such tracepoint, or does not let us at it, there is no such figure, and a note says why.

use std::io;

use crate::bench::Figures;
use crate::error::Result;
use crate::metric::{CALLS, CPU, IDLE, PEAK, SWITCHES};
use crate::sys::{self, Usage};

/// Who does work in a process whose costs can be told.
pub(crate) trait Costs {
    /// What its process has used.
    fn usage(&self) -> Result<Usage> {
        Ok(sys::usage())
    }

    /// The number of its process.
    fn process(&self) -> Result<u32> {
        Ok(std::process::id())
    }
}

/// Reads what the work of one subject costs.
pub(crate) struct Meter<'a> {
    subject: &'a dyn Costs,
    idle_bytes: u64,
    figures: Figures,
}

impl<'a> Meter<'a> {
    /// For a subject that has done nothing yet.
    pub(crate) fn new(subject: &'a dyn Costs) -> Result<Self> {
        // One with a process of its own starts it now.
        subject.usage()?;
        let idle_bytes = sys::resident_bytes_of(&subject.process()?.to_string())?;
        Ok(Self { subject, idle_bytes, figures: Figures::new() })
    }

    /// Notes what so many operations cost, which `work` says that it has done.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> Result<(T, f64)>) -> Result<T> {
        let before = self.subject.usage()?;
        let (result, operations) = work()?;
        let after = self.subject.usage()?;
        let cpu = after.cpu.saturating_sub(before.cpu).as_nanos() as f64 / operations;
        let switches = (after.switches - before.switches) as f64 / operations;
        self.figures = vec![(&CPU, cpu), (&SWITCHES, switches)];
        Ok(result)
    }

    /// Notes the system calls of so many operations. If they cannot be counted, nothing is done.
    pub(crate) fn count<T>(&mut self, operations: f64, work: impl FnOnce() -> Result<T>) -> Result<()> {
        let Ok(mut calls) = Calls::of(self.subject.process()?) else { return Ok(()) };
        work()?;
        let calls = calls.so_far()? as f64 / operations;
        self.figures.push((&CALLS, calls));
        Ok(())
    }

    /// All that was noted, and the memory.
    pub(crate) fn figures(self) -> Result<Figures> {
        let mut figures = self.figures;
        figures.extend(memory(self.subject.process()?, self.idle_bytes)?);
        Ok(figures)
    }
}

/// The most memory that was resident in a process, and what was before it had any work.
pub(crate) fn memory(process: u32, idle_bytes: u64) -> Result<Figures> {
    let peak = sys::peak_resident_bytes_of(process)?;
    Ok(vec![(&PEAK, peak as f64 / 1e6), (&IDLE, idle_bytes as f64 / 1e6)])
}

/// Counts the system calls of a process, from now on.
#[cfg(target_os = "linux")]
pub(crate) struct Calls(Vec<perf_event::Counter>);

#[cfg(target_os = "linux")]
impl Calls {
    /// Of all threads that the process has, and will have.
    ///
    /// # Errors
    ///
    /// If the kernel has no such tracepoint, or does not let this user count.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let event = perf_event::events::Tracepoint::with_id(tracepoint()?);
        let mut counters = Vec::new();
        for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let Some(thread) = thread?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let mut builder = perf_event::Builder::new(event);
            builder.observe_pid(thread).any_cpu().inherit(true).enabled(true).include_kernel();
            match builder.build() {
                Ok(counter) => counters.push(counter),
                // That thread has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(counters))
    }

    /// How many there were.
    pub(crate) fn so_far(&mut self) -> io::Result<u64> {
        self.0.iter_mut().map(perf_event::Counter::read).sum()
    }
}

/// The number of the tracepoint.
#[cfg(target_os = "linux")]
fn tracepoint() -> io::Result<u64> {
    const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let read = |place| std::fs::read_to_string(format!("{place}/events/raw_syscalls/sys_enter/id"));
    let id = read(PLACES[0]).or_else(|_| read(PLACES[1]))?;
    id.trim().parse().map_err(|_| io::Error::other("the number of a tracepoint is none"))
}

/// Counts nothing.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Calls;

#[cfg(not(target_os = "linux"))]
impl Calls {
    /// Always an error.
    pub(crate) fn of(_process: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// None.
    pub(crate) fn so_far(&mut self) -> io::Result<u64> {
        Ok(0)
    }
}

/// Why system calls cannot be counted, if they cannot.
pub(crate) fn note() -> Option<String> {
    let error = Calls::of(std::process::id()).err()?;
    Some(format!(
        "system calls are not counted: {error}; that needs tracefs in /sys/kernel/tracing, and root or kernel.perf_event_paranoid = -1"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Here;

    impl Costs for Here {}

    fn get(figures: &Figures, name: &str) -> Option<f64> {
        figures.iter().find(|(metric, _)| metric.name == name).map(|figure| figure.1)
    }

    #[test]
    fn work_has_its_costs() {
        let mut meter = Meter::new(&Here).expect("this process can be read");
        let result = meter.time(|| {
            let start = sys::thread_cpu_time();
            while sys::thread_cpu_time() - start < Duration::from_millis(30) {
                std::hint::spin_loop();
            }
            (0..10).for_each(|_| std::thread::sleep(Duration::from_millis(1)));
            Ok((7, 10.0))
        });
        assert_eq!(result.ok(), Some(7));
        let figures = meter.figures().expect("this process can be read");
        assert!(get(&figures, "cpu").is_some_and(|cpu| cpu > 1e6));
        assert!(get(&figures, "switches").is_some_and(|switches| switches >= 1.0));
        let (peak, idle) = (get(&figures, "peak_memory"), get(&figures, "idle_memory"));
        assert!(idle > Some(0.1) && peak >= idle);
        assert_eq!(get(&figures, "system_calls"), None);
    }

    #[test]
    fn system_calls_are_counted_also_those_of_new_threads_or_it_is_said_why_not() {
        const CALLS: usize = 1000;
        let mut meter = Meter::new(&Here).expect("this process can be read");
        let mut ran = false;
        let counted = meter.count(CALLS as f64, || {
            ran = true;
            let call = || (0..CALLS).for_each(|_| drop(std::fs::metadata("/")));
            std::thread::spawn(call).join().map_err(|_| crate::error::Error::new("it panicked"))
        });
        assert!(counted.is_ok());
        assert_eq!(ran, note().is_none());
        let figures = meter.figures().expect("this process can be read");
        assert_eq!(get(&figures, "system_calls").is_some_and(|calls| calls >= 1.0), ran);
    }
}
