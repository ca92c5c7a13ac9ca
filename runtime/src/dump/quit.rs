//! Dumps on request from outside, by SIGQUIT: for a program that hangs and was not asked in time.
//!
//! A thread of its own waits for the signal, takes the dumps, and writes them. It needs no worker, and not the lock of the standard error
//! stream, which a thread that hangs may hold.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use signal_hook::{consts::SIGQUIT, iterator::Signals};

use crate::scheduler::{self, Shared};

/// The runtimes of the process.
static RUNTIMES: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Whether somebody waits for the signal.
static WAITS: Mutex<bool> = Mutex::new(false);

/// Has a new runtime told of.
pub(crate) fn enter(shared: &Arc<Shared>) {
    let mut runtimes = RUNTIMES.lock();
    runtimes.retain(|runtime| runtime.strong_count() > 0);
    runtimes.push(Arc::downgrade(shared));
}

/// Has SIGQUIT (Ctrl-\ on a terminal) write a dump of every runtime of the process to the standard error stream, instead of ending the process.
///
/// It works on a program that hangs: with every green thread waiting, and with every worker stuck in a call or a lock of the operating system. To be called once,
/// early; again does nothing.
///
/// # Errors
///
/// The signal or the OS thread that waits for it cannot be had.
///
/// # Examples
///
/// ```
/// sward_runtime::runtime::dump_on_quit()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn dump_on_quit() -> io::Result<()> {
    let mut waits = WAITS.lock();
    if *waits {
        return Ok(());
    }
    let mut signals = Signals::new([SIGQUIT])?;
    let serve = move || signals.forever().for_each(|_| write_all());
    std::thread::Builder::new().name("sward-quit".into()).spawn(serve)?;
    *waits = true;
    Ok(())
}

/// Whether there is an OS thread that waits for the signal.
pub(crate) fn is_waiting() -> bool {
    *WAITS.lock()
}

/// Writes to the standard error stream in one piece. What cannot be written is lost: there is nobody to tell.
pub(crate) fn write_to_stderr(text: &str) {
    // A copy: the stream's own has a lock.
    if let Ok(copy) = io::stderr().as_fd().try_clone_to_owned() {
        let _ = File::from(copy).write_all(text.as_bytes());
    }
}

fn write_all() {
    let runtimes: Vec<_> = RUNTIMES.lock().iter().filter_map(Weak::upgrade).collect();
    write_to_stderr(&format!("SIGQUIT: {} runtimes\n", runtimes.len()));
    for shared in runtimes {
        write_to_stderr(&scheduler::dump::dump(&shared).to_string());
    }
}
