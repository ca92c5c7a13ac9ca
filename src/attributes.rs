//! What the attributes `#[sward::main]` and `#[sward::test]` expand to.

use std::{
    io::{self, Write},
    process,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use sward_runtime::{runtime::Builder, time};

/// Runs a program's `main`.
///
/// # Panics
///
/// If the runtime cannot be built; with the payload of `f`.
#[track_caller]
pub fn main<T: Send>(builder: Builder, workers: Option<usize>, f: fn() -> T) -> T {
    let builder = match workers {
        Some(workers) => builder.workers(workers),
        None => builder,
    };
    builder.build().expect("the runtime could not be built").run(f)
}

/// How long a test that is out of time may take to unwind.
const GRACE: Duration = Duration::from_secs(30);

/// Runs a test, which fails when it takes longer.
///
/// # Panics
///
/// If it takes longer; if the runtime cannot be built; with the payload of `f`.
#[track_caller]
pub fn test<T: Send>(builder: Builder, workers: usize, milliseconds: u64, f: fn() -> T) -> T {
    let timeout = Duration::from_millis(milliseconds);
    let _watchdog = Watchdog::new(timeout.saturating_add(GRACE));
    let runtime = builder.workers(workers).build().expect("the runtime could not be built");
    match runtime.run(|| time::timeout(timeout, f)) {
        Ok(value) => value,
        Err(_) => panic!("the test has not ended after {timeout:?}, with {workers} workers"),
    }
}

/// Aborts the process unless it is dropped in time.
struct Watchdog(#[expect(dead_code, reason = "dropped to tell the watchdog")] mpsc::Sender<()>);

impl Watchdog {
    fn new(patience: Duration) -> Self {
        let (alive, end) = mpsc::channel::<()>();
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        std::thread::spawn(move || {
            if end.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                let _ = writeln!(
                    io::stderr(),
                    "{test} has not ended after {patience:?} and does not unwind, aborting"
                );
                process::abort();
            }
        });
        Self(alive)
    }
}
