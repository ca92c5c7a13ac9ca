//! Measures how long a wake takes from an OS thread to a green thread.
//!
//! The waker sleeps before and after each wake, so that all workers have gone to sleep: what is measured is an idle
//! runtime. The green thread waits by the primitive of its runtime and calls [`Relay::record`] once it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long the runtime is left alone before each wake.
const IDLE: Duration = Duration::from_millis(1);
/// After this a wake counts as lost.
const LOST: Duration = Duration::from_secs(5);

/// The shared state of the waker and of the green thread it wakes.
#[derive(Debug)]
pub(crate) struct Relay {
    epoch: Instant,
    /// Wakes sent so far; written by the waker before it wakes.
    sent: AtomicU64,
    /// When the latest was sent, in nanoseconds since the epoch.
    sent_at: AtomicU64,
    /// Wakes that the green thread has recorded.
    recorded: AtomicU64,
    latencies: Mutex<Vec<u64>>,
}

impl Relay {
    /// Lives as long as the process: it is shared with a green thread that never ends.
    pub(crate) fn leaked() -> &'static Self {
        Box::leak(Box::new(Self {
            epoch: Instant::now(),
            sent: AtomicU64::new(0),
            sent_at: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            latencies: Mutex::new(Vec::with_capacity(10_000)),
        }))
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Called by the green thread: whether a wake was sent that is not yet recorded.
    pub(crate) fn is_due(&self) -> bool {
        self.sent.load(Ordering::Acquire) > self.recorded.load(Ordering::Relaxed)
    }

    /// Called by the green thread as soon as it runs after a wake.
    pub(crate) fn record(&self) {
        let latency = self.now().saturating_sub(self.sent_at.load(Ordering::Acquire));
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
        self.recorded.fetch_add(1, Ordering::Release);
    }

    /// Called by the waker, an OS thread: wakes the green thread `samples` times by `wake`.
    pub(crate) fn drive(&self, samples: usize, mut wake: impl FnMut() -> Result<()>) -> Result<Vec<u64>> {
        for sample in 1..=samples as u64 {
            std::thread::sleep(IDLE);
            self.sent_at.store(self.now(), Ordering::Release);
            self.sent.store(sample, Ordering::Release);
            wake()?;
            let sent = Instant::now();
            while self.recorded.load(Ordering::Acquire) < sample {
                if sent.elapsed() > LOST {
                    return Err(Error::new(format!("wake {sample} did not arrive within {LOST:?}")));
                }
                std::thread::sleep(IDLE);
            }
        }
        Ok(std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wake_is_recorded_once() {
        let relay = Relay::leaked();
        let waiter = std::thread::spawn(move || {
            for _ in 0..3 {
                while !relay.is_due() {
                    std::thread::park();
                }
                relay.record();
            }
        });
        let latencies = relay.drive(3, || {
            waiter.thread().unpark();
            Ok(())
        });
        assert_eq!(latencies.map(|all| all.len()).ok(), Some(3));
    }
}
