//! Lateness: how long after it was due a green thread runs, which sleeps, or waits for a socket.
//!
//! Due is what was intended at the start, so whoever is late once is late for all that was due meanwhile. The subjects whose API is
//! that of `std` share their code, as in `primitives/blocking.rs`.

mod blocking;
mod smol;
mod storm;
mod tokio;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::sys::monotonic;
use crate::work::chain;

pub(super) use blocking::{may, sward, threads};
pub(super) use smol::{run as run_smol, sleep_all as sleep_all_smol};
pub(crate) use storm::{Squall, Storm};
pub(super) use storm::{connect_after_calm, sward as storm_of_sward, tokio as storm_of_tokio};
pub(super) use tokio::{run as run_tokio, sleep_all as sleep_all_tokio};

/// What is due every so often.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// How long a hog keeps its worker at a time.
const BURST: Duration = Duration::from_millis(50);
/// How many there are.
pub(super) const HOGS: usize = 2;
/// A tick by TCP: when it was due, in nanoseconds.
pub(super) const TICK_LEN: usize = 8;

/// What keeps the workers from their other work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hogs {
    None,
    /// Compute for 50 ms, then yield.
    Computing,
    /// Block the OS thread for 50 ms, as a call into a library does that knows no green threads, then yield.
    Blocking,
}

impl Hogs {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Computing => "computing",
            Self::Blocking => "blocking",
        }
    }

    pub(super) fn count(self) -> usize {
        if self == Self::None { 0 } else { HOGS }
    }

    /// Keeps the worker; the caller yields afterwards.
    pub(super) fn burst(self) {
        match self {
            Self::None => {}
            Self::Blocking => std::thread::sleep(BURST),
            Self::Computing => {
                let start = Instant::now();
                while start.elapsed() < BURST {
                    std::hint::black_box(chain(b"hog", 100));
                }
            }
        }
    }
}

/// How long sleepers sleep: each another time, spread evenly over a range, in an order that looks random.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Naps {
    pub(crate) count: usize,
    pub(crate) shortest: Duration,
    pub(crate) spread: Duration,
}

impl Naps {
    /// So many times fewer sleepers, in so much less time.
    pub(crate) fn divided_by(self, by: u32) -> Self {
        Self { count: self.count / by as usize, shortest: self.shortest / by, spread: self.spread / by }
    }

    pub(super) fn of(self, sleeper: usize) -> Duration {
        let scattered = (sleeper as u32).wrapping_mul(0x9e37_79b9);
        self.shortest + self.spread.mul_f64(f64::from(scattered) / f64::from(u32::MAX))
    }
}

/// Where lateness is put down, by any number of green threads.
#[derive(Debug)]
pub(crate) struct Late {
    nanos: Box<[AtomicU64]>,
    taken: AtomicUsize,
    is_over: AtomicBool,
}

impl Late {
    /// Room for so many; it lives as long as the process, because green threads share it that never end.
    pub(crate) fn leaked(room: usize) -> &'static Self {
        let nanos = (0..room).map(|_| AtomicU64::new(0)).collect();
        Box::leak(Box::new(Self { nanos, taken: AtomicUsize::new(0), is_over: AtomicBool::new(false) }))
    }

    /// Puts down how long ago something was due.
    pub(super) fn record(&self, due: Duration) {
        self.put(monotonic().saturating_sub(due).as_nanos() as u64);
    }

    /// Puts down how late something was.
    pub(super) fn put(&self, nanos: u64) {
        if let Some(place) = self.nanos.get(self.taken.fetch_add(1, Ordering::Relaxed)) {
            place.store(nanos, Ordering::Release);
        }
    }

    /// All that was put down, once those who do are done.
    pub(crate) fn all(&self) -> Vec<u64> {
        let taken = self.taken.load(Ordering::Acquire).min(self.nanos.len());
        self.nanos[..taken].iter().map(|place| place.load(Ordering::Acquire)).collect()
    }

    /// Tells the hogs to end.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// Ticks by a timer, and beside hogs ticks by TCP too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    pub(crate) count: usize,
    pub(crate) hogs: Hogs,
    pub(crate) timer: &'static Late,
    pub(crate) tcp: &'static Late,
}

impl Ticks {
    pub(crate) fn new(count: usize, hogs: Hogs) -> Self {
        Self { count, hogs, timer: Late::leaked(count), tcp: Late::leaked(count) }
    }
}

/// Connects to a server and sends ticks, from an OS thread of its own, when they are due.
pub(super) fn send_ticks(address: SocketAddr, count: usize) {
    send_ticks_on(move || TcpStream::connect(address), count);
}

/// The same by a connection that is got on that thread. If it fails, whoever waits for the ticks fails too.
pub(super) fn send_ticks_on(get: impl FnOnce() -> io::Result<TcpStream> + Send + 'static, count: usize) {
    std::thread::spawn(move || -> io::Result<()> {
        let mut stream = get()?;
        stream.set_nodelay(true)?;
        let start = monotonic();
        for tick in 1..=count as u32 {
            let due = start + TICK * tick;
            std::thread::sleep(due.saturating_sub(monotonic()));
            stream.write_all(&(due.as_nanos() as u64).to_le_bytes())?;
        }
        Ok(())
    });
}

/// Puts down a tick that came by TCP.
pub(super) fn record_tick(late: &Late, tick: [u8; TICK_LEN]) {
    late.record(Duration::from_nanos(u64::from_le_bytes(tick)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naps_differ_within_their_range() {
        let naps =
            Naps { count: 1000, shortest: Duration::from_millis(10), spread: Duration::from_millis(5) };
        let mut all: Vec<_> = (0..naps.count).map(|sleeper| naps.of(sleeper)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1000);
        assert!(all[0] >= naps.shortest && all[999] <= naps.shortest + naps.spread);
        assert!(
            all[500] > naps.shortest + naps.spread * 2 / 5 && all[500] < naps.shortest + naps.spread * 3 / 5
        );
    }

    #[test]
    fn lateness_is_counted_from_when_it_was_due() {
        let late = Late::leaked(2);
        late.record(monotonic() - Duration::from_millis(3));
        late.record(monotonic() + Duration::from_secs(60));
        late.record(monotonic());
        let all = late.all();
        assert!(all.len() == 2 && all[0] >= 3_000_000 && all[1] == 0);
    }

    #[test]
    fn blocking_subjects_are_late_for_every_sleeper_and_tick() {
        let naps = Naps { count: 20, shortest: Duration::from_millis(1), spread: TICK };
        let late = Late::leaked(naps.count);
        assert!(threads::sleep_all(naps, late).is_ok());
        assert_eq!(late.all().len(), 20);
        for hogs in [Hogs::None, Hogs::Blocking] {
            let ticks = Ticks::new(30, hogs);
            assert!(threads::run(ticks).is_ok());
            assert_eq!(ticks.timer.all().len(), 30);
            assert_eq!(ticks.tcp.all().len(), if hogs == Hogs::None { 0 } else { 30 });
        }
    }
}
