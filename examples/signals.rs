//! Signals: a server that reads its configuration again at `SIGHUP`, and ends in good order at `SIGTERM` or Ctrl-C.
//!
//! It sends the signals to itself, through the program `kill`, so that it ends by itself.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sward::{
    io,
    process::{self, Command},
    runtime::Builder,
    signal::{Shutdown, Signal, Signals},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// What a supervisor does as a rule, or whoever is at the keyboard.
fn send(signal: &str) -> io::Result<()> {
    let status = Command::new("kill").args(["-s", signal, &process::id().to_string()]).status()?;
    assert!(status.success());
    Ok(())
}

fn main() -> io::Result<()> {
    // From here on, no signal is missed.
    let shutdown = Shutdown::new()?;
    let hangups = Signals::new([Signal::Hangup])?;

    let runtime = Builder::new().build()?;
    let reloads = Arc::new(AtomicUsize::new(0));
    runtime.handle().spawn({
        let reloads = Arc::clone(&reloads);
        move || {
            for signal in &hangups {
                println!("{signal}: reading the configuration again");
                reloads.fetch_add(1, Relaxed);
            }
        }
    });

    // The server's work, which holds something until it ends.
    let held = Arc::new(());
    for _ in 0..10 {
        let held = Arc::clone(&held);
        runtime.handle().spawn(move || {
            thread::sleep(Duration::from_secs(3600));
            drop(held);
        });
    }

    let supervisor = runtime.handle().spawn({
        let reloads = Arc::clone(&reloads);
        move || {
            for done in 1..=2 {
                send("HUP")?;
                // Two that come together may arrive as one.
                while reloads.load(Relaxed) < done {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            send("TERM")
        }
    });

    // The first request is for the program; a second would end the process at once.
    let signal = shutdown.wait();
    println!("{signal}: ending");
    assert_eq!(signal, Signal::Terminate);
    assert!(supervisor.join().is_ok_and(|sent| sent.is_ok()));
    drop(runtime);
    assert_eq!((Arc::strong_count(&held), reloads.load(Relaxed)), (1, 2));
    println!("nothing is left");
    Ok(())
}
