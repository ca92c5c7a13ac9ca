//! A histogram of durations: what it takes to count one, and what can be asked of many.
//!
//! Four buckets to each power of two, so a bucket is at most a quarter as wide as what is in it is long.

use std::{fmt, ops::Range, time::Duration};

use crate::prim::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets to a power of two.
const PARTS: u64 = 4;

/// From this power of two on, in nanoseconds, all is one bucket: more than an hour.
const LAST_POWER: u64 = 42;

const BUCKETS: usize = ((LAST_POWER - 1) * PARTS + 1) as usize;

/// In which bucket so many nanoseconds are.
fn bucket_of(nanos: u64) -> usize {
    if nanos < PARTS {
        return nanos as usize;
    }
    let power = u64::from(nanos.ilog2());
    let part = (nanos >> (power - 2)) % PARTS;
    usize::try_from((power - 1) * PARTS + part).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// The least that is in a bucket.
fn start_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < PARTS { bucket } else { (PARTS + bucket % PARTS) << (bucket / PARTS - 1) }
}

/// Where one thread counts, and others look.
pub(super) struct Tally([AtomicU64; BUCKETS]);

impl Default for Tally {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Tally {
    /// Counts a duration. By its owner only.
    pub(super) fn count(&self, nanos: u64) {
        super::add(&self.0[bucket_of(nanos)], 1);
    }
}

/// How many durations were how long. From [`Metrics`](super::Metrics).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_runtime::{runtime::Builder, thread};
///
/// let runtime = Builder::new().workers(1).build()?;
/// runtime.run(|| thread::sleep(Duration::from_millis(20)));
/// let delays = runtime.handle().metrics().delays;
/// assert_eq!(delays.count() > 0, delays.quantile(0.99).is_some());
/// # Ok::<(), sward_runtime::error::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Histogram(Vec<u64>);

impl Histogram {
    pub(super) fn new() -> Self {
        Self(vec![0; BUCKETS])
    }

    pub(super) fn add(&mut self, tally: &Tally) {
        for (sum, one) in self.0.iter_mut().zip(&tally.0) {
            *sum += one.load(Relaxed);
        }
    }

    /// How many durations it has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What the share `q` of all durations (0.5 for the median, 0.99 for the 99th percentile) does not exceed, up to the width of a bucket. `None`: there
    /// are none.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let wanted = (q.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        self.buckets().find_map(|(range, count)| {
            below += count;
            (below >= wanted).then_some(range.end)
        })
    }

    /// The buckets that are not empty, shortest first, each with how many durations are in it. The last of all has no end that means
    /// anything: what takes more than an hour is there.
    pub fn buckets(&self) -> impl Iterator<Item = (Range<Duration>, u64)> {
        let counts = self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0);
        let nanos = |bucket| Duration::from_nanos(start_of(bucket));
        counts.map(move |(bucket, count)| (nanos(bucket)..nanos(bucket + 1), count))
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.buckets()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_within_its_bucket() {
        let mut samples = vec![0, 1, 2, 3, 4, 5, 7, 8, 9, 1000, (1 << LAST_POWER) - 1];
        samples.extend((2..LAST_POWER).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]));
        for nanos in samples {
            let bucket = bucket_of(nanos);
            assert!(start_of(bucket) <= nanos && nanos < start_of(bucket + 1), "{nanos} in {bucket}");
        }
        for nanos in [1 << LAST_POWER, u64::MAX] {
            assert_eq!(bucket_of(nanos), BUCKETS - 1);
        }
    }

    #[test]
    fn buckets_are_without_gaps_and_narrow() {
        for bucket in 0..BUCKETS - 1 {
            let (start, end) = (start_of(bucket), start_of(bucket + 1));
            assert_eq!(bucket_of(start), bucket);
            assert_eq!(bucket_of(end - 1), bucket);
            assert!(start < PARTS || (end - start) * PARTS <= start, "{start}..{end}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_counts() {
        let (tally, mut histogram) = (Tally::default(), Histogram::new());
        assert_eq!(histogram.quantile(0.5), None);
        for nanos in 1..=100 {
            tally.count(nanos * 1000);
        }
        histogram.add(&tally);
        assert_eq!(histogram.count(), 100);
        for (q, micros) in [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)] {
            let found = histogram.quantile(q).unwrap();
            let exact = Duration::from_micros(micros);
            assert!(exact <= found && found <= exact * 5 / 4, "{q}: {found:?}");
        }
    }
}
