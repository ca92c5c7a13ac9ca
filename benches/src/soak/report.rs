//! What was done, and what went wrong.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// After so many violations the others are only counted.
const SHOWN: usize = 40;

macro_rules! kinds {
    ($($kind:ident $label:literal,)*) => {
        /// What is counted. Each occurs in any run of a minute or more, or else the soak has not done its work.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(crate) enum Kind { $($kind,)* }

        impl Kind {
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)*];

            fn label(self) -> &'static str {
                match self { $(Self::$kind => $label,)* }
            }
        }
    };
}

kinds! {
    Episodes "episodes, each with a runtime of its own",
    Amid "of them, those dropped in the midst of their load",
    Runtimes "runtimes built and dropped beside that",
    Tasks "green threads",
    Outsiders "OS threads outside",
    Messages "messages",
    Selects "messages by select",
    Broadcasts "values broadcast, watched and sent once",
    Connections "connections",
    Bytes "bytes echoed",
    Servers "servers, each with a shutdown",
    Answers "answers of servers",
    Datagrams "datagrams",
    Lost "datagrams that UDP has lost",
    Descriptors "descriptors passed",
    Signals "signals that were waited for",
    Sleeps "sleeps",
    Ticks "ticks of intervals",
    Timeouts "calls cut short by a time limit",
    Cancels "green threads cancelled",
    Panics "panics",
    Groups "groups, scopes, races",
    Locks "locks taken",
    Meetings "condition variables, barriers and permits waited for",
    Computing "pieces of computing that never wait",
    Stuck "calls that block a worker unannounced",
    Blocking "calls inside `blocking`",
    Unblock "calls on the pool",
    Unparks "unparks from outside",
    Files "files written and read",
    Pipes "pipes and Unix sockets",
    Processes "child processes",
    Dumps "dumps",
    Stalls "stalls that were reported",
    Spares "spare workers",
}

/// The counts of a run, and its violations.
#[derive(Debug)]
pub(crate) struct Report {
    counts: Vec<AtomicU64>,
    violations: AtomicUsize,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            counts: Kind::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            violations: AtomicUsize::new(0),
        }
    }

    pub(crate) fn count(&self, kind: Kind, n: u64) {
        self.counts[kind as usize].fetch_add(n, Relaxed);
    }

    pub(crate) fn violation(&self, what: &dyn fmt::Display) {
        let before = self.violations.fetch_add(1, Relaxed);
        if before < SHOWN {
            println!("violation: {what}");
        } else if before == SHOWN {
            println!("violation: more, which are counted only");
        }
    }

    pub(crate) fn violations(&self) -> usize {
        self.violations.load(Relaxed)
    }

    /// What has never occurred, and should. Whether the kernel loses a datagram is up to it, and some loads are for Linux only.
    pub(crate) fn absent(&self) -> impl Iterator<Item = &'static str> {
        let of_linux = [Kind::Servers, Kind::Answers, Kind::Descriptors, Kind::Signals];
        let should =
            move |kind: &Kind| *kind != Kind::Lost && (cfg!(target_os = "linux") || !of_linux.contains(kind));
        let absent = move |kind: &&Kind| should(kind) && self.counts[**kind as usize].load(Relaxed) == 0;
        Kind::ALL.iter().filter(absent).map(|kind| kind.label())
    }
}

/// The table at the end.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &kind in Kind::ALL {
            writeln!(f, "{:>16}  {}", self.counts[kind as usize].load(Relaxed), kind.label())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_occurred_is_named() {
        let report = Report::new();
        Kind::ALL.iter().filter(|&&kind| kind != Kind::Dumps).for_each(|&kind| report.count(kind, 2));
        assert_eq!(report.absent().collect::<Vec<_>>(), ["dumps"]);
        report.count(Kind::Dumps, 1);
        assert_eq!(report.absent().count(), 0);
        assert!(report.to_string().contains("1  dumps"));
    }
}
