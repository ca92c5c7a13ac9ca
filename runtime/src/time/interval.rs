//! Ticks at intervals.
//!
//! # Sources
//!
//! The behaviours for missed ticks, and that a tick counts as missed when it is five milliseconds late, are tokio's.

use std::time::{Duration, Instant};

use crate::{seam, thread};

/// A tick that is later than that was missed; one that is less late is just late.
const TOLERANCE: Duration = Duration::from_millis(5);

/// When the next tick is due after one that was missed, because the one before it took too long.
///
/// With a period of 10 ms, a tick at 0, and 25 ms that are spent after it:
///
/// | | ticks |
/// |---|---|
/// | `Burst` | 25 (for 10), 25 (for 20), 30, 40 |
/// | `Delay` | 25, 35, 45 |
/// | `Skip` | 25 (for 10), 30, 40 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTick {
    /// Ticks follow each other at once until all that were missed have been made up for.
    #[default]
    Burst,
    /// A period after the late one.
    Delay,
    /// At the next multiple of the period; the missed ones are left out.
    Skip,
}

impl MissedTick {
    /// When the tick after that of `due` is due, which came at `now`. `None`: never.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Option<Instant> {
        let late = now.saturating_duration_since(due);
        if late <= TOLERANCE {
            return due.checked_add(period);
        }
        match self {
            Self::Burst => due.checked_add(period),
            Self::Delay => now.checked_add(period),
            Self::Skip => {
                let over = late.as_nanos() % period.as_nanos();
                // Less than the period, whose seconds fit.
                let over = Duration::new((over / 1_000_000_000) as u64, (over % 1_000_000_000) as u32);
                now.checked_add(period - over)
            }
        }
    }
}

/// Ticks now, and then every `period`.
///
/// # Panics
///
/// If `period` is zero.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward_runtime::time;
///
/// let period = Duration::from_millis(1);
/// let mut interval = time::interval(period);
/// let first = interval.tick(); // at once
/// assert_eq!(interval.tick() - first, period);
/// ```
#[must_use]
pub fn interval(period: Duration) -> Interval {
    interval_at(seam::now(), period)
}

/// Ticks at `start`, and then every `period`.
///
/// # Panics
///
/// If `period` is zero.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use sward_runtime::time;
///
/// let start = Instant::now() + Duration::from_millis(1);
/// let mut interval = time::interval_at(start, Duration::from_millis(1));
/// assert_eq!(interval.tick(), start);
/// ```
#[must_use]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval is zero");
    Interval { next: Some(start), period, missed: MissedTick::default() }
}

/// Ticks at intervals: see [`interval`].
#[derive(Debug)]
pub struct Interval {
    /// `None`: later than the clock can say.
    next: Option<Instant>,
    period: Duration,
    missed: MissedTick,
}

impl Interval {
    /// Waits for the next tick, and returns when it was due.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. A tick that is due already yields.
    ///
    /// # Cancellation
    ///
    /// The tick is not used up.
    pub fn tick(&mut self) -> Instant {
        let Some(due) = self.next else {
            loop {
                thread::sleep(Duration::MAX);
            }
        };
        thread::sleep_until(due);
        self.next = self.missed.next(due, seam::now(), self.period);
        due
    }

    /// When the next tick is due. `None`: later than the clock can say.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        self.next
    }

    /// Lets the next tick be due a period from now.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use sward_runtime::time;
    ///
    /// let mut interval = time::interval(Duration::from_secs(3600));
    /// interval.reset();
    /// assert!(interval.next_tick().unwrap() > Instant::now());
    /// ```
    pub fn reset(&mut self) {
        self.next = seam::now().checked_add(self.period);
    }

    /// Lets the next tick be due at `at`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use sward_runtime::time;
    ///
    /// let mut interval = time::interval(Duration::from_secs(3600));
    /// let now = Instant::now();
    /// interval.reset_at(now);
    /// assert_eq!(interval.tick(), now);
    /// ```
    pub fn reset_at(&mut self, at: Instant) {
        self.next = Some(at);
    }

    /// The time from tick to tick.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What becomes of missed ticks.
    #[must_use]
    pub fn missed_tick(&self) -> MissedTick {
        self.missed
    }

    /// Sets what becomes of missed ticks: [`MissedTick::Burst`] if nothing is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_runtime::time::{self, MissedTick};
    ///
    /// let mut interval = time::interval(Duration::from_millis(1));
    /// interval.set_missed_tick(MissedTick::Skip);
    /// assert_eq!(interval.missed_tick(), MissedTick::Skip);
    /// ```
    pub fn set_missed_tick(&mut self, missed: MissedTick) {
        self.missed = missed;
    }
}

#[cfg(test)]
mod tests;
