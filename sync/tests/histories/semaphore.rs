//! A semaphore: permits taken at once or waited for, given back, added, taken away, and its end.

use std::sync::Arc;

use super::{Log, Model, PATIENCE, Part, check};
use proptest::{collection::vec, prelude::*};
use sward_sync::{AcquireTimeoutError, OwnedSemaphorePermit, Semaphore, TryAcquireError};

#[derive(Clone, Copy, Debug)]
enum Op {
    TryAcquire(u32),
    /// One: while it waits there is none, which is all that the others may know of it.
    Acquire,
    Release,
    Add(usize),
    Forget(usize),
    Close,
}

#[derive(Debug)]
enum Event {
    Acquired(usize),
    TooFew(usize),
    Closed,
    Added(usize),
    Forgotten { asked: usize, taken: usize },
    Closing,
    Left(usize),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Permits {
    left: usize,
    closed: bool,
}

impl Model for Permits {
    type Event = Event;

    fn after(&self, event: &Event) -> Option<Self> {
        let Self { left, closed } = *self;
        let (possible, left, closed) = match *event {
            Event::Acquired(n) => (!closed && n <= left, left.saturating_sub(n), closed),
            Event::TooFew(n) => (!closed && n > left, left, closed),
            Event::Closed => (closed, left, closed),
            Event::Added(n) => (true, left + n, closed),
            Event::Forgotten { asked, taken } => (taken == asked.min(left), left - taken.min(left), closed),
            Event::Closing => (true, left, true),
            Event::Left(n) => (n == left, left, closed),
        };
        possible.then_some(Self { left, closed })
    }
}

struct Player {
    ops: Vec<Op>,
    semaphore: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
}

impl Part for Player {
    type Event = Event;

    fn play(&mut self, log: &mut Log<Event>) {
        for op in std::mem::take(&mut self.ops) {
            log.note(|| self.run(op));
        }
    }

    fn last(&self) -> Option<Event> {
        Some(Event::Left(self.semaphore.available_permits()))
    }
}

impl Player {
    fn run(&mut self, op: Op) -> Option<Event> {
        let semaphore = Arc::clone(&self.semaphore);
        match op {
            Op::TryAcquire(n) => Some(match semaphore.try_acquire_many_owned(n) {
                Ok(permit) => self.keep(permit),
                Err(TryAcquireError::NoPermits) => Event::TooFew(n as usize),
                Err(TryAcquireError::Closed) => Event::Closed,
            }),
            Op::Acquire => Some(match semaphore.acquire_owned_timeout(PATIENCE) {
                Ok(permit) => self.keep(permit),
                Err(AcquireTimeoutError::Timeout) => Event::TooFew(1),
                Err(AcquireTimeoutError::Closed) => Event::Closed,
            }),
            Op::Release => self.held.pop().map(|permit| Event::Added(permit.num_permits())),
            Op::Add(n) => {
                semaphore.add_permits(n);
                Some(Event::Added(n))
            }
            Op::Forget(asked) => Some(Event::Forgotten { asked, taken: semaphore.forget_permits(asked) }),
            Op::Close => {
                semaphore.close();
                Some(Event::Closing)
            }
        }
    }

    fn keep(&mut self, permit: OwnedSemaphorePermit) -> Event {
        let n = permit.num_permits();
        self.held.push(permit);
        Event::Acquired(n)
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..4_u32).prop_map(Op::TryAcquire),
        8 => Just(Op::Acquire),
        8 => Just(Op::Release),
        2 => (1..3_usize).prop_map(Op::Add),
        2 => (1..3_usize).prop_map(Op::Forget),
        1 => Just(Op::Close),
    ]
}

fn set_up((permits, threads): &(usize, Vec<Vec<Op>>)) -> (Permits, Vec<Player>) {
    let semaphore = Arc::new(Semaphore::new(*permits));
    let player =
        |ops: &Vec<Op>| Player { ops: ops.clone(), semaphore: Arc::clone(&semaphore), held: Vec::new() };
    (Permits { left: *permits, closed: false }, threads.iter().map(player).collect())
}

#[test]
fn what_threads_see_of_a_semaphore_is_what_one_could_have_seen() {
    check(&(0..4_usize, vec(vec(op(), 1..7), 1..4)), set_up);
}
