//! A look at each load twice a second: one that has done nothing for half a minute waits for a wake that was lost.
//!
//! Then the green threads are dumped, the OS threads are listed, and the process ends.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sward::runtime::Handle;

use super::context::Ctx;

const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(500);
/// A dump takes a second at most. If that hangs, too, the process ends without it.
const DUMP: Duration = Duration::from_secs(10);

/// What is watched.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// The runtime and the loads on it.
    loads: Mutex<Option<(Handle, Vec<Ctx>)>>,
    /// Changes when the run comes to its next stage.
    stage: AtomicU64,
    name: Mutex<String>,
    /// How to repeat the run from here.
    repeat: Mutex<String>,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    pub(crate) watched: Arc<Watched>,
    end: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watched {
    /// The run is at another stage, which may take no longer than a load may stand still.
    pub(crate) fn stage(&self, name: impl Into<String>) {
        *self.loads.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name.into();
        self.stage.fetch_add(1, Relaxed);
    }

    /// Says how to repeat the run from here, for the last line of a report.
    pub(crate) fn repeats(&self, command: String) {
        *self.repeat.lock().unwrap_or_else(PoisonError::into_inner) = command;
    }

    /// Loads run, each of which must move.
    pub(crate) fn loads(&self, handle: Handle, loads: Vec<Ctx>) {
        *self.loads.lock().unwrap_or_else(PoisonError::into_inner) = Some((handle, loads));
        self.stage.fetch_add(1, Relaxed);
    }

    /// Where everything is: a name and a number that changes for each load, or for the stage.
    fn look(&self) -> Vec<(String, u64)> {
        match &*self.loads.lock().unwrap_or_else(PoisonError::into_inner) {
            // The stage tells the loads of one episode from those of the next.
            Some((_, loads)) => {
                let stage = self.stage.load(Relaxed) << 48;
                let moves = |load: &Ctx| load.look().map(|n| (load.load().to_owned(), stage + n));
                loads.iter().filter_map(moves).collect()
            }
            None => {
                let name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
                vec![(name.clone(), self.stage.load(Relaxed))]
            }
        }
    }

    fn handle(&self) -> Option<Handle> {
        let loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        loads.as_ref().map(|(handle, _)| handle.clone())
    }
}

impl Watchdog {
    pub(crate) fn new() -> std::io::Result<Self> {
        let watched = Arc::new(Watched::default());
        let (end, ended) = mpsc::channel::<()>();
        let theirs = Arc::clone(&watched);
        let watch = move || {
            let mut last: Vec<(String, u64, Instant)> = Vec::new();
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if let Some(stuck) = step(&mut last, theirs.look(), Instant::now()) {
                    give_up(&theirs, &stuck);
                }
            }
        };
        let thread = std::thread::Builder::new().name("soak-watchdog".into()).spawn(watch)?;
        Ok(Self { watched, end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.end.take());
        // It does not panic.
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// Notes who has moved since when, and returns who has not for too long.
fn step(last: &mut Vec<(String, u64, Instant)>, now: Vec<(String, u64)>, at: Instant) -> Option<Vec<String>> {
    let since = |name: &str, n: u64| {
        let before = last.iter().find(|(other, before, _)| other == name && *before == n);
        before.map_or(at, |&(_, _, since)| since)
    };
    let moved: Vec<_> = now.into_iter().map(|(name, n)| (since(&name, n), name, n)).collect();
    *last = moved.into_iter().map(|(since, name, n)| (name, n, since)).collect();
    let stuck = last.iter().filter(|(_, _, since)| at.duration_since(*since) >= PATIENCE);
    let stuck: Vec<String> = stuck.map(|(name, _, _)| name.clone()).collect();
    (!stuck.is_empty()).then_some(stuck)
}

fn give_up(watched: &Watched, stuck: &[String]) -> ! {
    println!("violation: no progress for {PATIENCE:?}: {}", stuck.join(", "));
    if let Some(handle) = watched.handle() {
        println!("{:#?}", handle.metrics());
        let (sender, dump) = mpsc::channel();
        std::thread::spawn(move || sender.send(handle.dump().to_string()));
        println!("{}", dump.recv_timeout(DUMP).unwrap_or_else(|_| "the dump hangs, too".into()));
    }
    println!("OS threads: number, name, state, system call, where in the kernel");
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).unwrap_or("?");
        let call = read("syscall");
        let call = call.split_whitespace().next().unwrap_or("?");
        let number = thread.file_name();
        println!("  {} {} {state} {call} {}", number.display(), read("comm").trim(), read("wchan"));
    }
    println!("{}", watched.repeat.lock().unwrap_or_else(PoisonError::into_inner));
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_still_for_too_long_is_named_and_who_moves_is_not() {
        let (start, mut last) = (Instant::now(), Vec::new());
        let look = |a: u64, b: u64| vec![("a".to_owned(), a), ("b".to_owned(), b)];
        assert_eq!(step(&mut last, look(0, 0), start), None);
        assert_eq!(step(&mut last, look(1, 0), start + PATIENCE / 2), None);
        assert_eq!(step(&mut last, look(1, 0), start + PATIENCE), Some(vec!["b".to_owned()]));
        // What is done is not watched, and starts anew if it comes back.
        assert_eq!(step(&mut last, vec![], start + PATIENCE), None);
        assert_eq!(step(&mut last, look(1, 0), start + 2 * PATIENCE), None);
    }
}
