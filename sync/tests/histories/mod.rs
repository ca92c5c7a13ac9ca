//! Short histories of a few threads, at random, and what explains them: an order of their operations, each at one moment between its begin
//! and its end, in which a plain model would have answered the same.
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), which notes where it has been, as Lowe does
//! ("Testing for linearizability", 2017).

mod channels;
mod semaphore;
mod values;

use std::{
    collections::HashSet,
    fmt::Debug,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{Either, each_config, spawn_either, stress};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use sward_sync::Barrier;

/// How long an operation waits: about as long as the others take.
const PATIENCE: Duration = Duration::from_micros(100);

/// What something should be, between two operations.
trait Model: Clone + Eq + Hash + Debug {
    /// An operation and its answer.
    type Event: Debug + Send + 'static;

    /// What it is after the operation. `None`: now it would have answered otherwise.
    fn after(&self, event: &Self::Event) -> Option<Self>;
}

/// An event, and when its operation began and ended.
#[derive(Debug)]
struct Timed<E> {
    begin: u64,
    end: u64,
    event: E,
}

/// What one thread does, and what it has at hand for that.
trait Part: Send + 'static {
    type Event: Debug + Send + 'static;

    fn play(&mut self, log: &mut Log<Self::Event>);

    /// What is seen once all have ended.
    fn last(&self) -> Option<Self::Event> {
        None
    }
}

/// What one thread has done.
struct Log<E> {
    clock: Arc<AtomicU64>,
    events: Vec<Timed<E>>,
}

impl<E> Log<E> {
    /// Does something, and notes what `op` says of it: several events if it was several looks, in any order, at several things.
    fn note<I: IntoIterator<Item = E>>(&mut self, op: impl FnOnce() -> I) {
        let begin = self.clock.fetch_add(1, SeqCst);
        let events = op();
        let end = self.clock.fetch_add(1, SeqCst);
        self.events.extend(events.into_iter().map(|event| Timed { begin, end, event }));
    }
}

/// Has all parts played at once, by green threads and OS threads. What they have at hand is dropped when all have ended.
fn record<P: Part>(parts: Vec<P>) -> Vec<Timed<P::Event>> {
    let clock = Arc::new(AtomicU64::new(0));
    let start = Arc::new(Barrier::new(parts.len()));
    let spawn = |(n, mut part): (usize, P)| {
        let (mut log, start) = (Log { clock: Arc::clone(&clock), events: Vec::new() }, Arc::clone(&start));
        spawn_either(n, move || {
            start.wait();
            part.play(&mut log);
            (log.events, part)
        })
    };
    let threads: Vec<_> = parts.into_iter().enumerate().map(spawn).collect();
    let (mut events, parts): (Vec<_>, Vec<_>) = threads.into_iter().map(Either::join).unzip();
    let mut log = Log { clock, events: Vec::new() };
    log.note(|| parts.first().and_then(Part::last));
    events.push(log.events);
    events.into_iter().flatten().collect()
}

/// Whether some order explains the history of what was `start` in the beginning.
fn is_explained<M: Model>(start: &M, history: &[Timed<M::Event>]) -> bool {
    assert!(history.len() < 64, "a set of events is a word");
    let all = (1_u64 << history.len()) - 1;
    let (mut seen, mut open) = (HashSet::new(), vec![(0_u64, start.clone())]);
    while let Some((done, model)) = open.pop() {
        if done == all {
            return true;
        }
        let rest = || history.iter().enumerate().filter(|(i, _)| done >> i & 1 == 0);
        // Whatever begins after another has ended comes after it.
        let first_end = rest().map(|(_, timed)| timed.end).min().unwrap_or(0);
        for (i, timed) in rest().filter(|(_, timed)| timed.begin < first_end) {
            let next = model.after(&timed.event).map(|model| (done | 1 << i, model));
            open.extend(next.filter(|next| seen.insert(next.clone())));
        }
    }
    false
}

/// Records a history of each case that `cases` thinks of, and looks for its explanation.
fn check<C: Debug, P: Part, M: Model<Event = P::Event>>(
    cases: &(impl Strategy<Value = C> + Sync),
    set_up: impl Fn(&C) -> (M, Vec<P>) + Sync,
) {
    each_config(|config| {
        config.build().run(|| {
            let mut runner = TestRunner::deterministic();
            for _ in 0..stress(80) {
                let case = cases.new_tree(&mut runner).expect("nothing is filtered").current();
                let (start, parts) = set_up(&case);
                let history = record(parts);
                assert!(is_explained(&start, &history), "no order explains it\n{case:#?}\n{history:#?}");
            }
        });
    });
}

/// A number that is read and written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Register(u32);

#[derive(Debug)]
enum Access {
    Read(u32),
    Write(u32),
}

impl Model for Register {
    type Event = Access;

    fn after(&self, event: &Access) -> Option<Self> {
        match *event {
            Access::Read(value) => (value == self.0).then(|| self.clone()),
            Access::Write(value) => Some(Self(value)),
        }
    }
}

#[test]
fn the_search_finds_an_order_where_there_is_one() {
    let timed = |begin, end, event| Timed { begin, end, event };
    let overlapping = [
        timed(0, 5, Access::Write(1)),
        timed(1, 3, Access::Read(0)),
        timed(2, 7, Access::Write(2)),
        timed(4, 6, Access::Read(1)),
        timed(8, 9, Access::Read(2)),
    ];
    assert!(is_explained(&Register(0), &overlapping));
}

#[test]
fn the_search_sees_where_there_is_none() {
    let timed = |begin, end, event| Timed { begin, end, event };
    // Both reads overlap the write, and the later one sees the older value.
    let back_in_time =
        [timed(0, 9, Access::Write(1)), timed(1, 2, Access::Read(1)), timed(3, 4, Access::Read(0))];
    assert!(!is_explained(&Register(0), &back_in_time));
    let stale = [timed(0, 1, Access::Write(1)), timed(2, 3, Access::Read(0))];
    assert!(!is_explained(&Register(0), &stale));
}
