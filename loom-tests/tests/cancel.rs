//! Cancellation: of a green thread, against its waits as they begin and end; and of a token, against all that is registered with it.
//!
//! The real `State`; and the real `Token`, `Slot` and bounds, on OS threads that wait through the real `Waiter`. A stand-in: the waits of a
//! green thread follow `Waiter::wait` of `runtime/src/park.rs` and `park` of `park/token.rs`, line by line, and whoever ends one that is parked notes that it
//! runs again, where the scheduler would queue it.
//!
//! # Fails when
//!
//! - `State::cancel` does not claim the wait that is under way, or sets the bit after it has looked for one: a wait goes on for ever;
//! - `State::park` does not look at the cancel bit: the same;
//! - `park`, for the token, parks although the cancel bit is set: the same;
//! - `Slot::enter` does not look whether the slot is cancelled, or `Slot::cancel` does not say so: the same;
//! - `Token::register` does not look whether the token is cancelled: a call is never made;
//! - `Token::child` does not look again: a child is left alone;
//! - the store of `cancelled` is Relaxed, or the load in `is_cancelled`; or the step of `State::cancel`: what the canceller wrote is not seen.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_runtime::{
    cancel::Token,
    model::{Claim, Outcome, Shield, Slot, State},
    park::{WaitReason, Waiter},
};

/// A green thread that waits once.
struct Task {
    state: State,
    /// What the canceller has written.
    letter: Plain<u32>,
    /// How often it was made to run again.
    resumed: AtomicUsize,
}

impl Task {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: State::default(), letter: Plain::new(0), resumed: AtomicUsize::new(0) })
    }

    fn resume(&self) {
        self.resumed.fetch_add(1, Relaxed);
    }

    /// `Waiter::new` and `Waiter::wait`, as far as the worker that parks the task. The epoch.
    fn wait(&self, shield: Shield) -> u32 {
        let wait = self.state.next(shield);
        let epoch = wait.epoch();
        if !self.state.is_simply_ahead(wait) && self.state.is_cancelled() && shield == Shield::Open {
            let _ = self.state.claim(epoch, Outcome::Cancelled);
            self.resume();
        } else if !self.state.park(wait) {
            self.resume();
        }
        epoch
    }

    /// `park`, as far as the worker.
    fn park(&self) {
        if self.state.is_limited_or_has_token() {
            if self.state.has_token() {
                self.state.clear_token();
            }
            return self.resume();
        }
        if !self.state.park(self.state.next_for_token(Shield::Open)) {
            self.resume();
        }
    }

    fn follow(&self, claim: Claim) {
        if claim == Claim::Parked {
            self.resume();
        }
    }

    fn cancel(&self) {
        self.follow(self.state.cancel());
    }

    fn times_resumed(&self) -> usize {
        self.resumed.load(Relaxed)
    }
}

fn spawn<T: 'static>(task: &Arc<Task>, f: impl FnOnce(&Task) -> T + 'static) -> thread::JoinHandle<T> {
    let task = Arc::clone(task);
    thread::spawn(move || f(&task))
}

#[test]
fn a_wait_that_begins_as_its_task_is_cancelled_ends() {
    check(|| {
        let task = Task::new();
        let worker = spawn(&task, |task| _ = task.wait(Shield::Open));
        task.cancel();
        worker.join().unwrap();
        assert_eq!(task.times_resumed(), 1);
        assert_eq!(task.state.outcome(), Some(Outcome::Cancelled));
    });
}

#[test]
fn a_park_that_begins_as_its_task_is_cancelled_ends() {
    check(|| {
        let task = Task::new();
        let worker = spawn(&task, Task::park);
        task.cancel();
        worker.join().unwrap();
        assert_eq!(task.times_resumed(), 1);
    });
}

#[test]
fn a_shielded_wait_goes_on_and_the_next_one_ends() {
    check(|| {
        let task = Task::new();
        let worker = spawn(&task, |task| task.wait(Shield::Shielded));
        task.cancel();
        let epoch = worker.join().unwrap();
        assert_eq!(task.times_resumed(), 0);
        assert_eq!(task.state.claim(epoch, Outcome::Woken), Claim::Parked);
        let _ = task.wait(Shield::Open);
        assert_eq!(task.state.outcome(), Some(Outcome::Cancelled));
    });
}

#[test]
fn of_two_cancellers_one_resumes_the_task() {
    check_bounded(3, || {
        let task = Task::new();
        let worker = spawn(&task, |task| _ = task.wait(Shield::Open));
        let other = spawn(&task, Task::cancel);
        task.cancel();
        other.join().unwrap();
        worker.join().unwrap();
        assert_eq!(task.times_resumed(), 1);
        assert_eq!(task.state.outcome(), Some(Outcome::Cancelled));
    });
}

#[test]
fn what_the_canceller_wrote_is_seen() {
    check(|| {
        let task = Task::new();
        let canceller = spawn(&task, |task| {
            task.letter.set(7);
            task.cancel();
        });
        let _ = task.wait(Shield::Open);
        if task.state.outcome() == Some(Outcome::Cancelled) {
            assert_eq!(task.letter.get(), 7);
        }
        canceller.join().unwrap();
    });
}

#[test]
fn a_token_that_comes_with_a_cancellation_is_taken_or_stays() {
    check(|| {
        let task = Task::new();
        let waker = spawn(&task, |task| task.follow(task.state.leave_token()));
        let canceller = spawn(&task, Task::cancel);
        task.park();
        waker.join().unwrap();
        canceller.join().unwrap();
        assert_eq!(task.times_resumed(), 1);
        // Ended by the token, or cancelled, and then it is still there.
        let is_cancelled = task.state.outcome() == Some(Outcome::Cancelled);
        assert!(!is_cancelled || task.state.has_token());
    });
}

/// A wait in a slot. Its outcome.
fn wait_in(slot: &Slot) -> Outcome {
    // SAFETY: used up here.
    let mut waiter = unsafe { Waiter::new(WaitReason::Notify) };
    if !slot.enter(waiter.waker()) {
        return Outcome::Cancelled;
    }
    let outcome = waiter.wait(None);
    slot.leave();
    outcome
}

#[test]
fn a_wait_that_enters_a_slot_as_that_is_cancelled_ends() {
    check(|| {
        let slot = Slot::new(Outcome::Cancelled);
        let waiting = thread::spawn({
            let slot = std::sync::Arc::clone(&slot);
            move || assert_eq!(wait_in(&slot), Outcome::Cancelled)
        });
        slot.cancel();
        waiting.join().unwrap();
        assert_eq!(wait_in(&slot), Outcome::Cancelled);
    });
}

/// The frame of the bound ends while the token's canceller is at it.
#[test]
fn a_call_that_waits_is_cut_short_by_its_token() {
    check_bounded(3, || {
        let token = Token::new();
        let theirs = token.clone();
        let canceller = thread::spawn(move || theirs.cancel());
        assert!(token.run(sward_runtime::thread::park).is_err());
        canceller.join().unwrap();
    });
}

#[test]
fn a_call_that_ends_by_itself_does_not_meet_its_token() {
    check_bounded(3, || {
        let token = Token::new();
        let theirs = token.clone();
        let me = sward_runtime::thread::current();
        let other = thread::spawn(move || {
            me.unpark();
            theirs.cancel();
        });
        let unparked = token.run(sward_runtime::thread::park).is_ok();
        if !unparked {
            sward_runtime::thread::park();
        }
        other.join().unwrap();
    });
}

#[test]
fn who_waits_for_a_token_goes_on_when_it_is_cancelled() {
    check(|| {
        let token = Token::new();
        let theirs = token.clone();
        let canceller = thread::spawn(move || theirs.cancel());
        token.wait();
        canceller.join().unwrap();
    });
}

#[test]
fn a_child_that_is_made_as_its_parent_is_cancelled_is_cancelled() {
    check(|| {
        let parent = Token::new();
        let theirs = parent.clone();
        let canceller = thread::spawn(move || theirs.cancel());
        let child = parent.child();
        canceller.join().unwrap();
        assert!(child.is_cancelled());
    });
}

#[test]
fn a_call_is_made_once_or_withdrawn() {
    check(|| {
        let token = Token::new();
        let calls = std::sync::Arc::new(AtomicUsize::new(0));
        let cancellers = [(); 2].map(|()| {
            let theirs = token.clone();
            thread::spawn(move || theirs.cancel())
        });
        let counted = std::sync::Arc::clone(&calls);
        token.on_cancel(move || _ = counted.fetch_add(1, Relaxed)).keep();
        drop(token.on_cancel(|| ()));
        for canceller in cancellers {
            canceller.join().unwrap();
        }
        assert_eq!(calls.load(Relaxed), 1);
    });
}

#[test]
fn who_finds_a_token_cancelled_sees_what_came_before() {
    check(|| {
        let token = Token::new();
        let letter = Arc::new(Plain::new(0));
        let canceller = thread::spawn({
            let (token, letter) = (token.clone(), Arc::clone(&letter));
            move || {
                letter.set(7);
                token.cancel();
            }
        });
        if token.is_cancelled() {
            assert_eq!(letter.get(), 7);
        }
        canceller.join().unwrap();
    });
}
