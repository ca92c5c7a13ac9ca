//! Asks several mirrors, takes the answer that comes first, and cancels the others.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, Instant};

use sward::{
    task::{self, Until},
    thread,
    time::{self, Elapsed},
};

/// A mirror that answers after some time.
fn download(mirror: &'static str, milliseconds: u64) -> &'static str {
    thread::sleep(Duration::from_millis(milliseconds));
    mirror
}

fn main() {
    let mirrors = [("slow", 60_000), ("fast", 10), ("slower", 90_000)];
    let start = Instant::now();

    // By handles: wait until one has ended, then say what becomes of the others.
    let handles = mirrors.map(|(name, ms)| thread::spawn(move || download(name, ms)));
    let waited = task::wait(handles, Until::FirstCompleted, Some(Duration::from_secs(30)));
    for (position, result) in &waited.done {
        println!("mirror {position} answered: {result:?}");
    }
    assert!(matches!(waited.done[..], [(1, Ok("fast"))]));
    waited.cancel_pending();
    for (position, handle) in waited.pending {
        println!("mirror {position}: {}", handle.join().map_or("cancelled", |name| name));
    }

    // The same in one call, which also waits until the losers have ended.
    let winner = task::race(mirrors.map(|(name, ms)| move || download(name, ms)));
    assert_eq!(winner, Some("fast"));

    // With a deadline for whatever is inside.
    let nobody: Result<_, Elapsed> = time::timeout(Duration::from_millis(5), || download("slow", 60_000));
    println!("with little patience: {}", nobody.unwrap_err());
    assert!(start.elapsed() < Duration::from_secs(30), "nobody waited for the slow ones");
}
