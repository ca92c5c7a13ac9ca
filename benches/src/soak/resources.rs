//! What this process holds: descriptors, OS threads, mappings, memory, children. It must come back to what it was.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::sys;

/// For so long things may take to settle: OS threads that have been joined leave `/proc` a little later, closures that were
/// left on the pool run to their end.
const PATIENCE: Duration = Duration::from_secs(10);
/// By so much more than after the warm-up the figures may be, which depend on what the allocator and the C library keep.
const MORE_MAPPINGS: usize = 100;
const MORE_MEMORY: u64 = 48 << 20;

/// What is held at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    descriptors: usize,
    /// Those of the pool are counted apart: they end after a while without work.
    threads: usize,
    pool_threads: usize,
    mappings: usize,
    resident: u64,
    has_children: bool,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>3} descriptors {:>3}+{:<3} OS threads {:>4} mappings {:>7.1} MiB",
            self.descriptors,
            self.threads,
            self.pool_threads,
            self.mappings,
            self.resident as f64 / f64::from(1 << 20)
        )
    }
}

impl Figures {
    pub(crate) fn now() -> Result<Self> {
        sys::trim_heap();
        let (mut threads, mut pool_threads) = (0, 0);
        for thread in std::fs::read_dir("/proc/self/task")? {
            // One that ends at this moment has no name any more, and does not count.
            match std::fs::read_to_string(thread?.path().join("comm")) {
                Ok(name) if name.starts_with("sward-pool") => pool_threads += 1,
                Ok(_) => threads += 1,
                Err(_) => {}
            }
        }
        Ok(Self {
            // The directory that is read is open itself.
            descriptors: std::fs::read_dir("/proc/self/fd")?.count() - 1,
            threads,
            pool_threads,
            mappings: std::fs::read_to_string("/proc/self/maps")?.lines().count(),
            resident: sys::resident_bytes()?,
            has_children: sys::has_children(),
        })
    }

    /// What to compare with while memory is not compared.
    pub(crate) fn with_any_memory(self) -> Self {
        Self { mappings: usize::MAX - MORE_MAPPINGS, resident: u64::MAX - MORE_MEMORY, ..self }
    }

    /// What to compare with when memory was seen later.
    pub(crate) fn with_memory_of(self, later: &Self) -> Self {
        Self { mappings: later.mappings, resident: later.resident, ..self }
    }

    /// What is more than it was, and by more than it may.
    fn excess(&self, base: &Self) -> Vec<String> {
        let mut excess = Vec::new();
        let mut more = |what: &str, now: u64, before: u64, margin: u64| {
            if now > before + margin {
                excess.push(format!("{now} {what}, after {before} at first"));
            }
        };
        more("descriptors", self.descriptors as u64, base.descriptors as u64, 0);
        more("OS threads", self.threads as u64, base.threads as u64, 0);
        more("mappings", self.mappings as u64, base.mappings as u64, MORE_MAPPINGS as u64);
        more("bytes of memory", self.resident, base.resident, MORE_MEMORY);
        more("children", u64::from(self.has_children), u64::from(base.has_children), 0);
        excess
    }

    /// Looks until nothing is more than it may be, or patience ends.
    pub(crate) fn settled(base: &Self) -> Result<(Self, Vec<String>)> {
        Self::until(PATIENCE, |figures| figures.excess(base))
    }

    /// As `settled`, when the pool's threads should have ended, too.
    pub(crate) fn at_last(base: &Self) -> Result<(Self, Vec<String>)> {
        Self::until(2 * PATIENCE, |figures| {
            let mut excess = figures.excess(base);
            if figures.pool_threads > 0 {
                excess.push(format!("{} OS threads of the pool, which has no work", figures.pool_threads));
            }
            excess
        })
    }

    fn until(patience: Duration, excess: impl Fn(&Self) -> Vec<String>) -> Result<(Self, Vec<String>)> {
        let start = Instant::now();
        loop {
            let figures = Self::now()?;
            let excess = excess(&figures);
            if excess.is_empty() || start.elapsed() > patience {
                return Ok((figures, excess));
            }
            sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Figures {
        Figures {
            descriptors: 9,
            threads: 2,
            pool_threads: 3,
            mappings: 70,
            resident: 5 << 20,
            has_children: false,
        }
    }

    #[test]
    fn each_kind_of_leak_is_seen() {
        assert_eq!(base().excess(&base()), [""; 0]);
        assert_eq!(
            Figures { descriptors: 10, ..base() }.excess(&base()),
            ["10 descriptors, after 9 at first"]
        );
        assert_eq!(Figures { threads: 3, ..base() }.excess(&base()), ["3 OS threads, after 2 at first"]);
        assert_eq!(Figures { mappings: 171, ..base() }.excess(&base()), ["171 mappings, after 70 at first"]);
        assert!(Figures { resident: 54 << 20, ..base() }.excess(&base())[0].contains("bytes of memory"));
        assert!(Figures { has_children: true, ..base() }.excess(&base())[0].contains("children"));
    }

    #[test]
    fn what_is_open_is_counted() {
        let before = Figures::now().expect("there is a /proc");
        let held: Vec<_> =
            (0..64).map(|_| std::fs::File::open("/dev/null").expect("it can be opened")).collect();
        let after = Figures::now().expect("there is a /proc");
        // Other tests of this process may close some.
        assert!(after.descriptors > before.descriptors + held.len() / 2);
    }
}
