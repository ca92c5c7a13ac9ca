//! One direction of a descriptor: events, against operations that find nothing and wait.
//!
//! The real `Readiness` and `Direction`, and the real `State` for the waiters; `Socket::read` follows `io/src/source.rs`. Stand-ins: the
//! kernel is one Relaxed counter of what there is to read, so that it orders nothing, and reports a change once, to the thread that
//! made it; [`Parker`] for the waiter's blocking. An event that is lost leaves a reader blocked for ever, which loom reports.
//!
//! # Fails when
//!
//! - the load in `Readiness::load` is Relaxed, or the exchange in `update` is Acquire: an operation that does not see what an event
//!   announced takes back the readiness that it set (I2);
//! - `clear_after_would_block` or `clear_after_short` ignores the tick: as above;
//! - `transition_to_waiting` does not look at readiness in the same step (I3);
//! - `pass_on` does nothing, or a reader that was woken does not call it: the next one is forgotten.

use std::mem;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use sward_io::model::Direction;
use sward_loom_tests::{Parker, check, check_bounded};
use sward_runtime::model::{Claim, Outcome, Shield, State};

/// One OS thread that reads.
#[derive(Debug)]
struct Reader {
    state: State,
    parker: Parker,
}

impl Reader {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: State::default(), parker: Parker::default() })
    }
}

/// A wait of a reader, as it stands in the list.
type Waker = (Arc<Reader>, u32);

fn claim(waker: &Waker) -> Option<Arc<Reader>> {
    let (reader, epoch) = waker;
    (reader.state.claim(*epoch, Outcome::Woken) != Claim::Lost).then(|| Arc::clone(reader))
}

fn schedule(claimed: Option<Arc<Reader>>) {
    if let Some(reader) = claimed {
        reader.parker.unpark();
    }
}

struct Socket {
    /// What the kernel has.
    bytes: AtomicUsize,
    direction: Direction<Waker>,
}

impl Socket {
    fn new(ready: bool) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), direction: Direction::new(ready) })
    }

    /// The peer writes, and the event is collected.
    fn arrive(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
        schedule(self.direction.signal(false, claim));
    }

    /// The system call: takes at most `len` bytes.
    fn try_read(&self, len: usize) -> usize {
        let left = |bytes: usize| (bytes > 0).then(|| bytes.saturating_sub(len));
        self.bytes.fetch_update(Relaxed, Relaxed, left).map_or(0, |bytes| bytes.min(len))
    }

    /// Reads into a buffer of `len` bytes. `false`: time was up, or the runtime has ended.
    fn read(&self, reader: &Arc<Reader>, len: usize, deadline: bool) -> bool {
        self.read_until(reader, len, deadline) > 0
    }

    fn read_some(&self, reader: &Arc<Reader>, len: usize) -> usize {
        self.read_until(reader, len, false)
    }

    /// With a deadline, time is up as soon as it waits.
    fn read_until(&self, reader: &Arc<Reader>, len: usize, deadline: bool) -> usize {
        let mut holds_baton = false;
        let read = loop {
            let seen = self.direction.readiness().load();
            if !seen.is_to_be_tried() {
                if seen.is_shut() {
                    break 0;
                }
                if mem::take(&mut holds_baton) {
                    self.pass_on();
                }
                match self.wait(reader, deadline) {
                    Some(woken) => holds_baton = woken,
                    None => break 0,
                }
                continue;
            }
            let read = self.try_read(len);
            if read == 0 {
                self.direction.readiness().clear_after_would_block(seen);
                continue;
            }
            if read < len {
                self.direction.readiness().clear_after_short(seen);
            }
            break read;
        };
        if holds_baton {
            self.pass_on();
        }
        read
    }

    fn pass_on(&self) {
        schedule(self.direction.pass_on(claim));
    }

    /// Waits for readiness. Whether it was woken, and so holds the baton. `None`: time was up.
    fn wait(&self, reader: &Arc<Reader>, deadline: bool) -> Option<bool> {
        let wait = reader.state.next(Shield::Shielded);
        let epoch = wait.epoch();
        let Some(ticket) = self.direction.enqueue((Arc::clone(reader), epoch)) else {
            let _ = reader.state.claim(epoch, Outcome::Woken);
            return Some(false);
        };
        if deadline && reader.state.claim(epoch, Outcome::TimedOut) != Claim::Lost {
            if !self.direction.remove(ticket) {
                self.pass_on();
            }
            return None;
        }
        let _ = reader.state.park(wait);
        while reader.state.outcome().is_none() {
            reader.parker.park();
        }
        Some(true)
    }
}

/// Two events, and a reader that wants as much.
fn events_meet_a_reader(ready: bool) {
    check_bounded(4, move || {
        let socket = Socket::new(ready);
        let peer = thread::spawn({
            let socket = Arc::clone(&socket);
            move || {
                socket.arrive(1);
                socket.arrive(1);
            }
        });
        let reader = Reader::new();
        assert!(socket.read(&reader, 1, false));
        assert!(socket.read(&reader, 1, false));
        peer.join().unwrap();
    });
}

#[test]
fn events_meet_a_reader_that_finds_nothing() {
    events_meet_a_reader(true);
}

#[test]
fn events_meet_a_reader_that_waits() {
    events_meet_a_reader(false);
}

#[test]
fn an_event_meets_a_short_read() {
    check_bounded(4, || {
        let socket = Socket::new(false);
        let peer = thread::spawn({
            let socket = Arc::clone(&socket);
            move || {
                socket.arrive(1);
                socket.arrive(1);
            }
        });
        let reader = Reader::new();
        let mut left = 2;
        while left > 0 {
            left -= socket.read_some(&reader, 2);
        }
        peer.join().unwrap();
    });
}

#[test]
fn one_event_for_two_is_passed_on() {
    check_bounded(3, || {
        let socket = Socket::new(false);
        let readers = [(); 2].map(|()| {
            let socket = Arc::clone(&socket);
            thread::spawn(move || assert!(socket.read(&Reader::new(), 1, false)))
        });
        socket.arrive(2);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_reader_that_gives_up_leaves_the_event_to_the_next() {
    check_bounded(3, || {
        let socket = Socket::new(false);
        let patient = thread::spawn({
            let socket = Arc::clone(&socket);
            move || assert!(socket.read(&Reader::new(), 1, false))
        });
        let peer = thread::spawn({
            let socket = Arc::clone(&socket);
            move || socket.arrive(1)
        });
        if socket.read(&Reader::new(), 1, true) {
            socket.arrive(1);
        }
        peer.join().unwrap();
        patient.join().unwrap();
    });
}

#[test]
fn the_end_of_the_runtime_meets_a_reader_that_waits() {
    check(|| {
        let socket = Socket::new(false);
        let ender = thread::spawn({
            let socket = Arc::clone(&socket);
            move || socket.direction.shut(claim, |reader| schedule(Some(reader)))
        });
        assert!(!socket.read(&Reader::new(), 1, false));
        ender.join().unwrap();
    });
}
