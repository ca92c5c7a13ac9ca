//! Where signals arrive, and from where those who wait are woken.
//!
//! The handler does what a handler may: it counts, and writes a byte to a pipe. An OS thread reads the pipe and wakes those who wait.
//! Each of them compares the counts with those that it has seen.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | the kernel, on any thread, in the middle of anything | [`Hub::note`] |
//! | the OS thread `sward-signal` | [`Hub::serve`] |
//! | whoever makes a `Signals` | [`Hub::install`] |
//! | any number of green and OS threads | [`Hub::wait`] |
//!
//! # States
//!
//! A signal is the system's until 1 `install` has its handler called, for good: the crate `signal-hook`, through which it is done, lets
//! others handle the same signal beside us, and therefore never puts the system's own action back.
//!
//! The request to end is 2 not ours, then 3 waited for (`watch_requests`), then 4 made: by the first of its signals, in the handler.
//! From then on 5 the next of them ends the process.
//!
//! # Invariants
//!
//! - **I1** A waker in `waiters` belongs to a waiter whose frame lives: the thread takes it out when it claims it, under the lock of the
//!   list, and else so does the waiter, before its frame ends.
//! - **I2** A waiter that is in the list has found, under the lock of the list, no count that it had not seen. So a signal that it is
//!   to hear of is counted later, rings later, and the thread, which takes the lock after that, finds it.
//! - **I3** The handler writes to a descriptor that is never closed, and never waits: the pipe is non-blocking at that end, and if it is
//!   full the thread has yet to read what is in it.
//! - **I4** Of our handlers at most one runs on a thread at a time: all signals are blocked while one does. The stacks that threads have
//!   for handlers, `std`'s among them, have room for two or three at most.
//!
//! # Orderings
//!
//! | written | read | what becomes visible |
//! |---|---|---|
//! | `counts`, by the handler, `Release` | by a waiter, under the lock, `Acquire` | the signal itself, and (4) |
//! | `request`, by the handler, before the count | by the handler, on another thread perhaps | that a signal which was told of was the first |
//!
//! Locks are taken in this order: the list of waiters here, the request of a `Shutdown`, the counts that a `Signals` has seen. Nothing
//! is woken under any of them.
//!
//! The byte in the pipe is written after the count and read before the lock is taken, so the kernel orders the two (I2).
//!
//! # Suspension
//!
//! `wait` suspends, and holds nothing then.
//!
//! # Rejected
//!
//! - *The reactor reads the pipe.* Runtimes come and go, and a program may wait for a signal without one; the signal is the process's.
//!   Go, too, has a thread for this.
//! - *signalfd.* It tells only of signals that are blocked in all threads, and child processes would inherit that.
//! - *A flag for each signal in place of a count.* Signals that the kernel keeps apart would be merged here.
//!
//! # Checked by
//!
//! `tests/signal.rs`.
//!
//! # Sources
//!
//! signal-safety(7); Go's `sigqueue.go`; the crate `signal-hook-registry`.
#![expect(unsafe_code, reason = "a handler of signals, and claims of waiters")]

use std::{
    io::{self, PipeReader, PipeWriter, Read},
    mem,
    os::fd::AsFd,
    ptr,
    sync::OnceLock,
    time::Instant,
};

use libc::c_int;
use parking_lot::Mutex;
use sward_runtime::park::{Batch, Outcome, WaitReason, Waiter, Waker};

use super::Signal;
use crate::{
    prim::{
        atomic::Ordering::{AcqRel, Acquire, Release},
        global::{AtomicU8, AtomicUsize},
    },
    sys,
};

/// As many signals as any system has, and zero, which is none.
const SIGNALS: usize = 65;

/// The signals that ask a process to end.
pub(super) const REQUESTS: [Signal; 2] = [Signal::Interrupt, Signal::Terminate];

/// Nobody has waited for the request to end (2): the signals mean nothing to us.
const UNWATCHED: u8 = 0;

/// The next of the signals is the request to end (3).
const WATCHED: u8 = 1;

/// The request was made (4).
const REQUESTED: u8 = 2;

/// The process's.
pub(super) static HUB: Hub = Hub {
    counts: [const { AtomicUsize::new(0) }; SIGNALS],
    request: AtomicU8::new(UNWATCHED),
    bell: OnceLock::new(),
    state: Mutex::new(State { installed: [false; SIGNALS], waiters: Vec::new(), next_ticket: 0 }),
};

#[derive(Debug)]
pub(super) struct Hub {
    /// How often each signal has come since it was installed.
    counts: [AtomicUsize; SIGNALS],
    /// What has become of the request to end.
    request: AtomicU8,
    /// What the handler writes to. Set before the first handler is there.
    bell: OnceLock<PipeWriter>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    installed: [bool; SIGNALS],
    waiters: Vec<(u64, Waker)>,
    next_ticket: u64,
}

impl Hub {
    /// How often a signal has come.
    pub(super) fn count(&self, signal: c_int) -> usize {
        // Pairs with `note`.
        self.counts[index(signal)].load(Acquire)
    }

    /// (1) Has a signal counted, if it is not yet.
    pub(super) fn install(&'static self, signal: c_int) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.installed[index(signal)] {
            return Ok(());
        }
        if self.bell.get().is_none() {
            self.start()?;
        }
        let is_request = REQUESTS.iter().any(|request| request.as_raw() == signal);
        // SAFETY: the closure does what is async-signal-safe only: atomic operations, a system call that neither blocks nor
        // touches `errno` (I3), and what `signal-hook` has for handlers to end the process with.
        unsafe { signal_hook::low_level::register(signal, move || self.note(signal, is_request)) }?;
        state.installed[index(signal)] = true;
        use_other_stack(signal)
    }

    /// Starts the thread that the handlers ring for.
    fn start(&'static self) -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        // INVARIANT (I3): this end, not the other.
        sys::file::set_nonblocking(writer.as_fd(), true)?;
        std::thread::Builder::new().name("sward-signal".into()).spawn(move || self.serve(reader))?;
        // Under the lock of `install`, so nobody else has set it.
        let _ = self.bell.set(writer);
        Ok(())
    }

    /// (3) Takes the signals that ask the process to end, which are installed, for requests: the next, or one that came since
    /// the caller installed them, is the first.
    pub(super) fn watch_requests(&self, has_come: impl FnOnce() -> bool) {
        self.request.store(WATCHED, Release);
        if has_come() {
            self.request.store(REQUESTED, Release);
        }
    }

    /// In the handler.
    fn note(&self, signal: c_int, is_request: bool) {
        // (4) Before it is told of, so that whoever asks again, having seen what came of it, is the second.
        if is_request && self.request.compare_exchange(WATCHED, REQUESTED, AcqRel, Acquire) == Err(REQUESTED)
        {
            // (5) For `SIGINT` and `SIGTERM` it does not fail.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
        // Pairs with `count`.
        self.counts[index(signal)].fetch_add(1, AcqRel);
        if let Some(bell) = self.bell.get() {
            // That it is full is fine (I3).
            let _ = rustix::io::write(bell, &[0]);
        }
    }

    /// The thread: wakes all who wait whenever it rings. They look for themselves which signal it was.
    fn serve(&self, mut bell: PipeReader) {
        let mut rings = [0; 64];
        loop {
            match bell.read(&mut rings) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The other end is never closed, so this ends with the process; or somebody has closed what is not theirs.
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let mut ready = Batch::new();
            for (_, waker) in self.state.lock().waiters.drain(..) {
                // SAFETY: under the lock of the list, in which the waker stood (I1).
                if let Some(claimed) = unsafe { waker.claim() } {
                    ready.push(claimed);
                }
            }
            ready.schedule();
        }
    }

    /// Waits until a signal comes, any signal, unless there is something already. `Woken` also then.
    pub(super) fn wait(&self, is_something: impl FnOnce() -> bool, deadline: Option<Instant>) -> Outcome {
        // SAFETY: used up in this function, which begins no other wait.
        let mut waiter = unsafe { Waiter::new(WaitReason::Signal) };
        let ticket = {
            let mut state = self.state.lock();
            if is_something() {
                return Outcome::Woken;
            }
            // INVARIANT (I2): under the same lock.
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.waiters.push((ticket, waiter.waker()));
            ticket
        };
        let outcome = waiter.wait(deadline);
        if outcome != Outcome::Woken {
            // INVARIANT (I1): not claimed by the thread, so perhaps still there.
            self.state.lock().waiters.retain(|(other, _)| *other != ticket);
        }
        outcome
    }
}

/// Where a signal's count stands. Signals are positive and fewer than that, as `Signal::check` saw to.
fn index(signal: c_int) -> usize {
    usize::try_from(signal).unwrap_or(0).min(SIGNALS - 1)
}

/// Has the handler of a signal run on the stack that each worker has for handlers, since a green thread's own may be nearly full;
/// and undisturbed by other signals, since that stack has room for one. `signal-hook` asks for neither.
fn use_other_stack(signal: c_int) -> io::Result<()> {
    // SAFETY: all of `sigaction` is integers and an address, for which zero is a value.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: writes to `action`, and changes nothing.
    if unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) } != 0 {
        return Err(io::Error::last_os_error());
    }
    action.sa_flags |= libc::SA_ONSTACK;
    // SAFETY: writes to the set.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    // SAFETY: the handler is the one that was there.
    if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
