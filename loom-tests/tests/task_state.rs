//! The wait word of a task: a worker that switches away from it, against those who end its wait.
//!
//! The real `State`. Stand-ins: the task's stack is a [`Plain`] word that only the task's owner may touch; a claimer that
//! found the task parked runs it on the spot, where the scheduler would queue it (the queue would order the two as well).
//!
//! # Fails when
//!
//! - the exchange in `park` is Relaxed: the claimer runs a stack that it does not see;
//! - the exchange in `end_wait` is Release: as above, or Acquire: the task does not see what the waker wrote;
//! - the load in `outcome` is Relaxed: as the latter;
//! - `park` stores instead of exchanging, or does not see that the wait is over already: a claim is lost;
//! - `park` does not look at the cancel bit: the cancellation is lost;
//! - the exchange of `claim` that comes before the wait is Relaxed, or Acquire: the task does not see what the waker wrote;
//! - `claim` ignores the epoch, or leaves it as it is where the wait has not begun: an older claim ends the next wait;
//! - `park`, or the exchange of `claim` that comes before the wait, does not keep the token bit: a token is lost;
//! - `claim_cancelled` ignores that the wait is shielded, or that it is doubtful;
//! - `dispel` stores instead of exchanging, leaves the number of the wait as it is, or does not look at the cancel bit: a claim is lost.

use loom::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use sward_loom_tests::{Plain, check};
use sward_runtime::model::{Claim, Outcome, Place, Reach, Shield, State, Wait};

struct Task {
    state: State,
    /// Touched by the owner alone.
    stack: Plain<u32>,
    /// What each kind of claimer has written for the task before it claims.
    letters: [Plain<bool>; 3],
    resumed: AtomicUsize,
}

impl Task {
    fn running() -> Self {
        Self {
            state: State::default(),
            stack: Plain::new(0),
            letters: [Plain::new(false), Plain::new(false), Plain::new(false)],
            resumed: AtomicUsize::new(0),
        }
    }

    /// A running task, and its first wait, which begins as it is parked.
    fn to_wait(shield: Shield) -> (Arc<Self>, Wait) {
        let task = Self::running();
        let wait = task.state.next(shield);
        (Arc::new(task), wait)
    }

    fn letter(&self, of: Outcome) -> &Plain<bool> {
        &self.letters[of as usize]
    }

    /// The worker: the task has put its frame on its stack, and is now switched away from.
    fn suspend(&self, wait: Wait) {
        self.stack.set(1);
        if !self.state.park(wait) {
            self.resume();
        }
    }

    /// The task goes on: it finds its stack, and what the claimer wrote.
    fn resume(&self) {
        assert_eq!(self.stack.replace(2), 1, "the stack is seen, and resumed once");
        self.resumed.fetch_add(1, Relaxed);
        let outcome = self.state.outcome().expect("a wait that is over has an outcome");
        assert!(self.letter(outcome).get());
    }

    /// Ends the wait as a waker or a timer does. `true`: it won.
    fn claim(&self, wait: Wait, outcome: Outcome) -> bool {
        self.letter(outcome).set(true);
        self.follow(self.state.claim(wait.epoch(), outcome))
    }

    /// Ends the wait as a shutdown does.
    fn cancel(&self, reach: Reach) -> bool {
        self.letter(Outcome::Cancelled).set(true);
        self.follow(self.state.claim_cancelled(reach))
    }

    fn follow(&self, claim: Claim) -> bool {
        if claim == Claim::Parked {
            self.resume();
        }
        claim != Claim::Lost
    }

    fn assert_resumed_by(&self, outcome: Outcome) {
        assert_eq!(self.resumed.load(Relaxed), 1);
        assert_eq!(self.state.outcome(), Some(outcome));
        assert_eq!(self.state.place(), Place::Active);
    }
}

#[test]
fn a_waker_and_a_worker_that_switches_away_resume_the_task_once() {
    check(|| {
        let (task, wait) = Task::to_wait(Shield::Open);
        let worker = thread::spawn({
            let task = Arc::clone(&task);
            move || task.suspend(wait)
        });
        assert!(task.claim(wait, Outcome::Woken));
        worker.join().unwrap();
        task.assert_resumed_by(Outcome::Woken);
    });
}

#[test]
fn of_a_waker_and_a_timer_one_wins() {
    check(|| {
        let (task, wait) = Task::to_wait(Shield::Open);
        let worker = thread::spawn({
            let task = Arc::clone(&task);
            move || task.suspend(wait)
        });
        let timer = thread::spawn({
            let task = Arc::clone(&task);
            move || task.claim(wait, Outcome::TimedOut)
        });
        let woken = task.claim(wait, Outcome::Woken);
        let timed_out = timer.join().unwrap();
        worker.join().unwrap();
        assert!(woken ^ timed_out);
        task.assert_resumed_by(if woken { Outcome::Woken } else { Outcome::TimedOut });
    });
}

/// A waker against a shutdown with a certain reach. Whether the shutdown won.
fn cancel(shield: Shield, reach: Reach) -> bool {
    let (task, wait) = Task::to_wait(shield);
    let worker = thread::spawn({
        let task = Arc::clone(&task);
        move || task.suspend(wait)
    });
    let ender = thread::spawn({
        let task = Arc::clone(&task);
        move || task.cancel(reach)
    });
    let woken = task.claim(wait, Outcome::Woken);
    let cancelled = ender.join().unwrap();
    worker.join().unwrap();
    assert!(woken ^ cancelled);
    task.assert_resumed_by(if woken { Outcome::Woken } else { Outcome::Cancelled });
    cancelled
}

#[test]
fn of_a_waker_and_a_cancellation_one_wins() {
    check(|| _ = cancel(Shield::Open, Reach::Open));
}

#[test]
fn of_a_waker_and_a_cancellation_by_name_one_wins() {
    check(|| _ = cancel(Shield::Doubtful, Reach::Doubtful));
    check(|| _ = cancel(Shield::Believed, Reach::Calm));
}

#[test]
fn a_shielded_wait_is_ended_by_its_waker_only() {
    check(|| assert!(!cancel(Shield::Shielded, Reach::Calm)));
}

#[test]
fn a_doubtful_wait_is_not_cancelled_unless_asked_for() {
    check(|| assert!(!cancel(Shield::Doubtful, Reach::Open)));
}

#[test]
fn a_wait_of_one_that_is_taken_to_unwind_is_not_cancelled_unless_it_is_known_not_to() {
    check(|| assert!(!cancel(Shield::Believed, Reach::Doubtful)));
}

#[test]
fn a_claim_of_an_older_wait_leaves_the_next_alone() {
    /// What the task does after its first wait: it waits again, for something that does not come.
    fn wait_again(task: &Task) {
        task.resume();
        assert!(task.state.park(task.state.next(Shield::Open)));
    }

    fn claim(task: &Task, wait: Wait, outcome: Outcome) {
        task.letter(outcome).set(true);
        if task.state.claim(wait.epoch(), outcome) == Claim::Parked {
            wait_again(task);
        }
    }

    check(|| {
        let (task, first) = Task::to_wait(Shield::Open);
        let claimers = [Outcome::Woken, Outcome::TimedOut].map(|outcome| {
            let task = Arc::clone(&task);
            thread::spawn(move || claim(&task, first, outcome))
        });
        task.stack.set(1);
        if !task.state.park(first) {
            wait_again(&task);
        }
        for claimer in claimers {
            claimer.join().unwrap();
        }
        assert_eq!(task.resumed.load(Relaxed), 1);
        assert_eq!(task.state.outcome(), None, "the second wait goes on");
        assert_eq!(task.state.place(), Place::Parked);
        assert_eq!(task.state.claim(first.epoch().wrapping_add(1), Outcome::Woken), Claim::Parked);
    });
}

/// The next wait has the same number, unless the waker came first (W1 of `park.rs`).
#[test]
fn a_waker_that_was_taken_back_leaves_the_next_wait_alone() {
    check(|| {
        let task = Arc::new(Task::running());
        let registry = Arc::new(Mutex::new(None));
        let waker = thread::spawn({
            let (task, registry) = (Arc::clone(&task), Arc::clone(&registry));
            move || {
                let mut locked = registry.lock().unwrap();
                let found: Option<Wait> = locked.take();
                found.is_some_and(|wait| task.state.claim(wait.epoch(), Outcome::Woken) == Claim::Running)
            }
        });
        let first = task.state.next(Shield::Open);
        *registry.lock().unwrap() = Some(first);
        let taken_back = registry.lock().unwrap().take().is_some();
        assert!(task.state.park(task.state.next(Shield::Open)));
        assert_eq!(waker.join().unwrap(), !taken_back);
        assert_eq!((task.state.place(), task.state.outcome()), (Place::Parked, None));
        let again = task.state.claim(first.epoch(), Outcome::Woken);
        assert_eq!(again, if taken_back { Claim::Parked } else { Claim::Lost });
    });
}

/// Others may set the token bit at any time (S1).
#[test]
fn a_stray_token_survives_a_wait_and_does_not_end_it() {
    check(|| {
        let task = Arc::new(Task::running());
        let stray = thread::spawn({
            let task = Arc::clone(&task);
            move || assert_eq!(task.state.leave_token(), Claim::Lost)
        });
        let wait = task.state.next(Shield::Open);
        let waker = thread::spawn({
            let task = Arc::clone(&task);
            move || assert!(task.claim(wait, Outcome::Woken))
        });
        task.suspend(wait);
        stray.join().unwrap();
        waker.join().unwrap();
        task.assert_resumed_by(Outcome::Woken);
        assert!(task.state.has_token());
    });
}

/// A task that puts its wait in a registry, and then waits.
fn register_and_suspend(task: &Task, registry: &Mutex<Option<Wait>>) {
    let wait = task.state.next(Shield::Open);
    *registry.lock().unwrap() = Some(wait);
    task.suspend(wait);
}

#[test]
fn a_waker_that_finds_the_wait_in_a_registry_never_loses_alone() {
    check(|| {
        let task = Arc::new(Task::running());
        let registry = Arc::new(Mutex::new(None));
        let worker = thread::spawn({
            let (task, registry) = (Arc::clone(&task), Arc::clone(&registry));
            move || register_and_suspend(&task, &registry)
        });
        let found = registry.lock().unwrap().take();
        if let Some(wait) = found {
            assert!(task.claim(wait, Outcome::Woken));
        }
        worker.join().unwrap();
        assert_eq!(task.resumed.load(Relaxed), usize::from(found.is_some()));
    });
}

#[test]
fn of_a_waker_and_a_canceller_one_ends_the_wait_whenever_it_begins() {
    check(|| {
        let task = Arc::new(Task::running());
        let registry = Arc::new(Mutex::new(None));
        let worker = thread::spawn({
            let (task, registry) = (Arc::clone(&task), Arc::clone(&registry));
            move || register_and_suspend(&task, &registry)
        });
        let canceller = thread::spawn({
            let task = Arc::clone(&task);
            move || {
                task.letter(Outcome::Cancelled).set(true);
                task.follow(task.state.cancel())
            }
        });
        let found = registry.lock().unwrap().take();
        let woken = found.is_some_and(|wait| task.claim(wait, Outcome::Woken));
        let cancelled = canceller.join().unwrap();
        worker.join().unwrap();
        // It is cancelled as it begins, or once it is parked, unless its waker was first.
        assert_eq!(task.resumed.load(Relaxed), 1);
        assert!(!(woken && cancelled));
        task.assert_resumed_by(if woken { Outcome::Woken } else { Outcome::Cancelled });
    });
}

/// The worker: the doubt about the wait is over.
fn dispel(task: &Task, wait: Wait) {
    if task.state.dispel(false) == Claim::Parked {
        if task.state.outcome_of(wait).is_some() {
            return task.resume();
        }
        // The task looks at its bounds, and waits on.
        assert_eq!(task.stack.replace(1), 1);
        task.suspend(wait.with_shield(Shield::Open));
    }
}

#[test]
fn a_wait_that_begins_anew_is_ended_by_a_waker_that_was_there_before() {
    check(|| {
        let (task, wait) = Task::to_wait(Shield::Doubtful);
        task.state.set_bound(true);
        let waker = thread::spawn({
            let task = Arc::clone(&task);
            move || assert!(task.claim(wait, Outcome::Woken))
        });
        task.suspend(wait);
        dispel(&task, wait);
        waker.join().unwrap();
        task.assert_resumed_by(Outcome::Woken);
    });
}

#[test]
fn a_task_that_is_cancelled_as_the_doubt_about_its_wait_ends_does_not_wait_on() {
    for bound in [false, true] {
        check(move || {
            let (task, wait) = Task::to_wait(Shield::Doubtful);
            task.state.set_bound(bound);
            task.letter(Outcome::Cancelled).set(true);
            let canceller = thread::spawn({
                let task = Arc::clone(&task);
                move || task.follow(task.state.cancel())
            });
            task.suspend(wait);
            dispel(&task, wait);
            canceller.join().unwrap();
            task.assert_resumed_by(Outcome::Cancelled);
        });
    }
}
