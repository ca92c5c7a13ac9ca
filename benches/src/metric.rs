//! The figures a benchmark can report: their names, units and which way is better.
//!
//! A child process reports `(metric, value)` pairs; the parent turns them into [`Summary`] values.

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
    /// The figure only explains the others.
    Neither,
}

/// A figure that a benchmark reports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

impl Metric {
    const fn new(name: &'static str, unit: &'static str, better: Better) -> Self {
        Self { name, unit, better }
    }
}

pub(crate) static TIME: Metric = Metric::new("time", "ns", Better::Lower);
pub(crate) static FIRST: Metric = Metric::new("first_time", "ns", Better::Lower);
/// CPU time of all threads for one operation.
pub(crate) static CPU: Metric = Metric::new("cpu", "ns", Better::Lower);
/// Context switches for one operation, whether asked for or not.
pub(crate) static SWITCHES: Metric = Metric::new("switches", "each", Better::Neither);
/// System calls for one operation.
pub(crate) static CALLS: Metric = Metric::new("system_calls", "each", Better::Neither);
/// The most memory that was ever resident.
pub(crate) static PEAK: Metric = Metric::new("peak_memory", "MB", Better::Neither);
/// What was resident before there was any work.
pub(crate) static IDLE: Metric = Metric::new("idle_memory", "MB", Better::Neither);
pub(crate) static RESIDENT: Metric = Metric::new("resident", "B", Better::Lower);
pub(crate) static REQUESTS: Metric = Metric::new("requests", "1/s", Better::Higher);
pub(crate) static MESSAGES: Metric = Metric::new("messages", "1/s", Better::Higher);
pub(crate) static CONNECTIONS: Metric = Metric::new("connections", "1/s", Better::Higher);
pub(crate) static P50: Metric = Metric::new("p50", "us", Better::Lower);
pub(crate) static P99: Metric = Metric::new("p99", "us", Better::Lower);
pub(crate) static P999: Metric = Metric::new("p99.9", "us", Better::Lower);
pub(crate) static MAX: Metric = Metric::new("max", "us", Better::Lower);
pub(crate) static TCP_P50: Metric = Metric::new("tcp_p50", "us", Better::Lower);
pub(crate) static TCP_P99: Metric = Metric::new("tcp_p99", "us", Better::Lower);
pub(crate) static TCP_MAX: Metric = Metric::new("tcp_max", "us", Better::Lower);
pub(crate) static STORM_P50: Metric = Metric::new("storm_p50", "us", Better::Lower);
pub(crate) static STORM_P99: Metric = Metric::new("storm_p99", "us", Better::Lower);
pub(crate) static STORM_MAX: Metric = Metric::new("storm_max", "us", Better::Lower);
pub(crate) static CPU_SLEEPER: Metric = Metric::new("cpu_per_sleeper", "ns", Better::Lower);
pub(crate) static CPUS: Metric = Metric::new("cpus", "CPUs", Better::Lower);
pub(crate) static CPU_REQUEST: Metric = Metric::new("cpu_per_request", "us", Better::Lower);
pub(crate) static CPU_MESSAGE: Metric = Metric::new("cpu_per_message", "us", Better::Lower);
pub(crate) static CPU_CONNECTION: Metric = Metric::new("cpu_per_connection", "us", Better::Lower);
pub(crate) static CHUNKS: Metric = Metric::new("batch_chunks", "1/s", Better::Higher);
/// CPU time for each request beyond all hashing.
pub(crate) static OVERHEAD: Metric = Metric::new("overhead_per_request", "us", Better::Lower);
pub(crate) static LOAD: Metric = Metric::new("load_generator", "CPUs", Better::Neither);
/// Context switches of the load generator for one operation: how often it waited for the server.
pub(crate) static LOAD_SWITCHES: Metric = Metric::new("load_switches", "each", Better::Neither);
pub(crate) static SPEEDUP: Metric = Metric::new("speedup", "x", Better::Higher);
/// The same with the batch work counted: all work done, with all workers over one worker.
pub(crate) static WORK_SPEEDUP: Metric = Metric::new("work_speedup", "x", Better::Higher);

/// Every metric, to find one by the name that a child process printed.
static ALL: &[&Metric] = &[
    &TIME,
    &FIRST,
    &CPU,
    &SWITCHES,
    &CALLS,
    &PEAK,
    &IDLE,
    &RESIDENT,
    &REQUESTS,
    &MESSAGES,
    &CONNECTIONS,
    &P50,
    &P99,
    &P999,
    &MAX,
    &TCP_P50,
    &TCP_P99,
    &TCP_MAX,
    &STORM_P50,
    &STORM_P99,
    &STORM_MAX,
    &CPU_SLEEPER,
    &CPUS,
    &CPU_REQUEST,
    &CPU_MESSAGE,
    &CPU_CONNECTION,
    &CHUNKS,
    &OVERHEAD,
    &LOAD,
    &LOAD_SWITCHES,
    &SPEEDUP,
    &WORK_SPEEDUP,
];

/// Finds a metric by name.
pub(crate) fn find(name: &str) -> Option<&'static Metric> {
    ALL.iter().copied().find(|metric| metric.name == name)
}

/// The median of several rounds with its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Summary {
    /// Summarises the figures of all rounds; `None` if there are none.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max, rounds: sorted.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_odd_number_of_rounds_is_the_middle_one() {
        let summary = Summary::of(&[3.0, 1.0, 2.0]);
        assert_eq!(summary, Some(Summary { median: 2.0, min: 1.0, max: 3.0, rounds: 3 }));
    }

    #[test]
    fn median_of_an_even_number_of_rounds_is_the_mean_of_the_middle_two() {
        let summary = Summary::of(&[4.0, 1.0, 2.0, 10.0]);
        assert_eq!(summary, Some(Summary { median: 3.0, min: 1.0, max: 10.0, rounds: 4 }));
    }

    #[test]
    fn one_round_is_its_own_median_and_no_round_has_none() {
        assert_eq!(Summary::of(&[7.5]), Some(Summary { median: 7.5, min: 7.5, max: 7.5, rounds: 1 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn metrics_have_distinct_names_and_are_found_by_them() {
        for metric in ALL {
            assert_eq!(find(metric.name), Some(*metric));
            assert_eq!(ALL.iter().filter(|other| other.name == metric.name).count(), 1);
        }
        assert_eq!(find("no such metric"), None);
    }
}
