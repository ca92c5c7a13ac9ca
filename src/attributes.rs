//! What the attributes `#[sward::main]` and `#[sward::test]` expand to.

use std::{
    io::{self, Write},
    process,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::Duration,
};

use sward_runtime::{
    cancel::Token,
    runtime::{Builder, Dump, Handle},
};

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

/// Runs a test, which fails when it takes longer, and says then what each green thread waited for.
///
/// # Panics
///
/// If it takes longer; if the runtime cannot be built; with the payload of `f`.
#[track_caller]
pub fn test<T: Send>(builder: Builder, workers: usize, milliseconds: u64, f: fn() -> T) -> T {
    test_within(builder, workers, Duration::from_millis(milliseconds), GRACE, f)
}

/// As [`test()`], with a grace.
///
/// # Panics
///
/// As [`test()`].
#[track_caller]
pub fn test_within<T: Send>(
    builder: Builder,
    workers: usize,
    timeout: Duration,
    grace: Duration,
    f: fn() -> T,
) -> T {
    // Dropped after the runtime, whose end may be what hangs.
    let watchdog;
    let runtime = builder.workers(workers).build().expect("the runtime could not be built");
    let out_of_time = Token::new();
    watchdog = Watchdog::new(timeout, grace, runtime.handle(), out_of_time.clone());
    let result = runtime.run(|| out_of_time.run(f));
    match result {
        Ok(value) => value,
        Err(_) => {
            let dump = watchdog.dump.recv().expect("it has made one before the token was cancelled");
            panic!("the test has not ended after {timeout:?}, with {workers} workers\n{dump}")
        }
    }
}

/// Ends a test that is out of time, and the process if that does not help; unless it is dropped before.
struct Watchdog {
    dump: Receiver<Dump>,
    #[expect(dead_code, reason = "dropped to tell the watchdog")]
    alive: Sender<()>,
}

impl Watchdog {
    fn new(timeout: Duration, grace: Duration, runtime: Handle, out_of_time: Token) -> Self {
        let (alive, end) = mpsc::channel();
        let (told, dump) = mpsc::channel();
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        std::thread::spawn(move || {
            let is_over = |patience| end.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
            if is_over(timeout) {
                return;
            }
            // Before anything is made to end.
            let dump = runtime.dump();
            let _ = told.send(dump.clone());
            out_of_time.cancel();
            if !is_over(grace) {
                let _ = writeln!(
                    io::stderr(),
                    "{test} has not ended after {timeout:?} and does not unwind, aborting\n{dump}"
                );
                process::abort();
            }
        });
        Self { dump, alive }
    }
}
