//! Whether the machine was quiet: how many CPUs other processes used during the measurements.
//!
//! The kernel's count of all busy time, less what this process and its children used. Time that the host of a virtual
//! machine withheld counts as used by others.

use std::time::{Duration, Instant};

use crate::metric::Summary;
use crate::sys;

/// Others that use more than this spoil figures.
const LOUD_CPUS: f64 = 0.1;

/// The state when a measurement began.
#[derive(Debug)]
pub(crate) struct Watch {
    start: Instant,
    busy: Duration,
    own: Duration,
}

impl Watch {
    /// Starts to watch; `None` where the kernel does not count.
    pub(crate) fn start() -> Option<Self> {
        Some(Self { start: Instant::now(), busy: busy_time()?, own: own_time() })
    }

    /// The CPUs that others used since.
    pub(crate) fn others_cpus(&self) -> Option<f64> {
        let busy = busy_time()?.saturating_sub(self.busy);
        let own = own_time().saturating_sub(self.own);
        Some(busy.saturating_sub(own).as_secs_f64() / self.start.elapsed().as_secs_f64())
    }
}

fn own_time() -> Duration {
    sys::cpu_time() + sys::children_cpu_time()
}

fn busy_time() -> Option<Duration> {
    busy_ticks(&std::fs::read_to_string("/proc/stat").ok()?).map(sys::ticks)
}

/// The ticks of all CPUs in `/proc/stat` that were neither idle nor waiting for a disk.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks = fields.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    match ticks[..] {
        [user, nice, system, _idle, _disk, irq, softirq, steal, ..] => {
            Some(user + nice + system + irq + softirq + steal)
        }
        _ => None,
    }
}

/// A warning, if others were loud during the measurements.
pub(crate) fn warning(others_cpus: &[f64]) -> Option<String> {
    let Summary { median, max, .. } = Summary::of(others_cpus)?;
    let loud = others_cpus.iter().filter(|&&cpus| cpus > LOUD_CPUS).count();
    (loud > 0).then(|| {
        format!(
            "! not quiet: other processes used {median:.2} CPUs (median; {max:.2} at most), and more than {LOUD_CPUS} \
             during {loud} of {} measurements",
            others_cpus.len(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_all_but_idle_and_disk() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 2000 8 16 32 0 0\ncpu0 1 1 1 1 1 1 1 1\n"), Some(63));
        assert_eq!(busy_ticks("cpu  1 2 4\n"), None);
        assert_eq!(busy_ticks(""), None);
    }

    #[test]
    fn only_loud_others_are_worth_a_warning() {
        assert_eq!(warning(&[]), None);
        assert_eq!(warning(&[0.01, 0.09]), None);
        let warning = warning(&[0.0, 0.5, 0.02]).unwrap_or_default();
        assert!(warning.contains("0.02 CPUs (median; 0.50 at most)"));
        assert!(warning.contains("1 of 3"));
    }
}
