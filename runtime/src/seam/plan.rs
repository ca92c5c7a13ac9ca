//! What tests have planned for the system, and for the clock.
//!
//! A plan is a series of faults for one kind of call, of the OS threads whose names begin alike: those of one runtime. Each call takes the next one, and when there are
//! none left, calls are made as always. It is over when it is dropped.
//!
//! # Suspension
//!
//! Nothing here suspends. The locks are held for a step of a test's iterator, or to look at the clock.
//!
//! # Checked by
//!
//! `tests/faults.rs`.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use super::Call;

/// The plans that are not over.
static PLANS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// How the clock goes wrong.
static CLOCK: RwLock<Clock> = RwLock::new(Clock { ahead: Duration::ZERO, stopped: None });

struct Clock {
    ahead: Duration,
    stopped: Option<Instant>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is made.
    Nothing,
    /// It fails with this error of the system, and is not made.
    Fail(i32),
    /// The OS thread that it starts begins so much later.
    Late(Duration),
}

/// What becomes of the next calls of one kind. Made by tests of this crate, and over when it is dropped.
#[must_use = "it is over when it is dropped"]
#[derive(Debug)]
pub struct Plan {
    id: usize,
}

struct Entry {
    id: usize,
    call: Call,
    prefix: String,
    faults: Box<dyn Iterator<Item = Fault> + Send>,
    injected: usize,
    /// Those whose threads have not begun.
    late: Vec<Duration>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("call", &self.call)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Plan {
    /// Plans the next calls of a kind, of OS threads whose names begin so.
    pub fn new(
        call: Call,
        prefix: &str,
        faults: impl IntoIterator<Item = Fault, IntoIter: Send + 'static>,
    ) -> Self {
        let mut plans = PLANS.lock();
        let id = plans.last().map_or(0, |last| last.id + 1);
        let faults = Box::new(faults.into_iter());
        plans.push(Entry { id, call, prefix: prefix.to_owned(), faults, injected: 0, late: Vec::new() });
        Self { id }
    }

    /// How many calls failed by plan, or were late.
    pub fn injected(&self) -> usize {
        self.look(|entry| entry.injected)
    }

    fn look<R>(&self, look: impl FnOnce(&Entry) -> R) -> R {
        look(PLANS.lock().iter().find(|entry| entry.id == self.id).expect("it is there until the drop"))
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        PLANS.lock().retain(|entry| entry.id != self.id);
    }
}

fn with_name<R>(thread: Option<&str>, f: impl FnOnce(&str) -> R) -> R {
    match thread {
        Some(name) => f(name),
        None => f(std::thread::current().name().unwrap_or_default()),
    }
}

/// Takes the next fault for a call.
// Not inlined, so that the place of the OS thread's name is found anew each time.
#[inline(never)]
pub(crate) fn next(call: Call, thread: Option<&str>) -> io::Result<()> {
    let mut plans = PLANS.lock();
    let is_meant = |name: &str, entry: &Entry| entry.call == call && name.starts_with(&entry.prefix);
    let entry = with_name(thread, |name| plans.iter_mut().find(|entry| is_meant(name, entry)));
    let Some(entry) = entry else { return Ok(()) };
    let fault = entry.faults.next().unwrap_or(Fault::Nothing);
    entry.injected += usize::from(fault != Fault::Nothing);
    match fault {
        Fault::Nothing => Ok(()),
        Fault::Fail(error) => Err(io::Error::from_raw_os_error(error)),
        Fault::Late(delay) => {
            entry.late.push(delay);
            Ok(())
        }
    }
}

/// An OS thread begins that was admitted: late, if that is the plan.
#[inline(never)]
pub(crate) fn begin() {
    let late = with_name(None, |name| {
        let mut plans = PLANS.lock();
        let mut meant = plans.iter_mut().filter(|entry| name.starts_with(&entry.prefix));
        meant.find_map(|entry| entry.late.pop())
    });
    if let Some(delay) = late {
        std::thread::sleep(delay);
    }
}

/// The time, as tests have it.
pub(crate) fn now() -> Instant {
    let clock = CLOCK.read();
    clock.stopped.unwrap_or_else(Instant::now) + clock.ahead
}

/// The clock jumps so far ahead. For a process in which nobody else looks at it.
pub fn jump(ahead: Duration) {
    CLOCK.write().ahead += ahead;
}

/// The clock stands still, or goes on from where it was.
pub fn stop_clock(stop: bool) {
    let mut clock = CLOCK.write();
    match (stop, clock.stopped) {
        (true, None) => clock.stopped = Some(Instant::now()),
        (false, Some(_)) => clock.stopped = None,
        _ => {}
    }
}
