//! `park` and `unpark`: threads that leave the token, against the one that takes it, also when its time is up.
//!
//! The real `State`; `Thread` follows `park`, `park_until`, `Waiter` and `unpark_os_thread` of `runtime/src/park.rs` and of the files in its folder, line by line.
//! It has two doors: a green thread's, whose worker parks it for the token once it is off its stack, and an OS thread's, which
//! parks itself and may have a deadline. Stand-ins: [`Parker`] for the thread's own blocking; a deadline has always passed.
//!
//! # Fails when
//!
//! - the exchange in `park` is Relaxed, or that in `end_wait` is Release: the claimer runs a stack that it does not see;
//! - `fetch_and` in `clear_token` or the load in `outcome` is Relaxed, or either exchange in `leave_token` has no
//!   Release: what was written before `unpark` is not seen after the `park` that took the token;
//! - `leave_token` does nothing if the token is there: as the latter;
//! - `park` stores instead of exchanging: a token is lost.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use sward_loom_tests::{Parker, Plain, check, check_bounded};
use sward_runtime::model::{Claim, Outcome, Shield, State, Wait};

/// One thread that parks, as others see it.
struct Thread {
    state: State,
    parker: Parker,
}

/// How a thread parks.
type Door = fn(&Thread);

impl Thread {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: State::default(), parker: Parker::default() })
    }

    /// A green thread, and its worker.
    fn park(&self) {
        if self.state.has_token() {
            return self.state.clear_token();
        }
        if self.state.park(self.state.next_for_token(Shield::Open)) {
            self.parker.park();
        }
        assert_eq!(self.state.outcome(), Some(Outcome::Woken));
    }

    /// An OS thread.
    fn park_os(&self) {
        self.park_until(false);
    }

    /// An OS thread, with a deadline that has passed.
    fn park_timeout(&self) {
        self.park_until(true);
    }

    fn park_until(&self, deadline: bool) {
        let wait = self.state.next_for_token(Shield::Shielded);
        let _ = self.state.park(wait);
        while self.state.outcome().is_none() {
            if deadline {
                let _ = self.state.claim(wait.epoch(), Outcome::TimedOut);
            } else {
                self.parker.park();
            }
        }
    }

    fn unpark(&self) {
        if self.state.leave_token() == Claim::Parked {
            self.parker.unpark();
        }
    }

    /// Unparks a thread, having told so by a word that orders nothing.
    fn unpark_after(parked: &Arc<Self>, done: &Arc<AtomicUsize>) -> thread::JoinHandle<()> {
        let (parked, done) = (Arc::clone(parked), Arc::clone(done));
        thread::spawn(move || {
            done.fetch_add(1, Relaxed);
            parked.unpark();
        })
    }
}

fn what_was_written_is_seen(door: Door) {
    check(move || {
        let parked = Thread::new();
        let letter = Arc::new(Plain::new(0));
        let other = thread::spawn({
            let (parked, letter) = (Arc::clone(&parked), Arc::clone(&letter));
            move || {
                letter.set(7);
                parked.unpark();
            }
        });
        door(&parked);
        assert_eq!(letter.get(), 7);
        other.join().unwrap();
        assert!(!parked.state.has_token(), "one unpark, one token");
    });
}

/// The claimer runs the green thread on the spot.
#[test]
fn an_unpark_sees_the_stack_that_it_resumes() {
    check(|| {
        let parked = Thread::new();
        let stack = Arc::new(Plain::new(0));
        let worker = thread::spawn({
            let (parked, stack) = (Arc::clone(&parked), Arc::clone(&stack));
            move || {
                stack.set(1);
                if !parked.state.park(parked.state.next_for_token(Shield::Open)) {
                    assert_eq!(stack.replace(2), 1);
                }
            }
        });
        if parked.state.leave_token() == Claim::Parked {
            assert_eq!(stack.replace(2), 1);
        }
        worker.join().unwrap();
        assert_eq!(stack.get(), 2);
    });
}

#[test]
fn what_was_written_before_unpark_is_seen_after_a_green_threads_park() {
    what_was_written_is_seen(Thread::park);
}

#[test]
fn what_was_written_before_unpark_is_seen_after_an_os_threads_park() {
    what_was_written_is_seen(Thread::park_os);
}

/// A token that was lost, or taken without seeing what came before it, lets the last park wait for ever.
fn of_two_unparks_none_is_lost(preemptions: usize, first: Door, then: Door) {
    check_bounded(preemptions, move || {
        let parked = Thread::new();
        let done = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let others = [0, 1].map(|i| Thread::unpark_after(&parked, &done[i]));
        first(&parked);
        while done[0].load(Relaxed) + done[1].load(Relaxed) < 2 {
            then(&parked);
        }
        for other in others {
            other.join().unwrap();
        }
        if parked.state.has_token() {
            parked.state.clear_token();
        }
        assert!(!parked.state.has_token());
    });
}

#[test]
fn of_two_unparks_of_a_green_thread_none_is_lost() {
    of_two_unparks_none_is_lost(3, Thread::park, Thread::park);
}

#[test]
fn of_two_unparks_of_an_os_thread_none_is_lost() {
    of_two_unparks_none_is_lost(3, Thread::park_os, Thread::park_os);
}

#[test]
fn of_two_unparks_of_a_thread_whose_time_is_up_none_is_lost() {
    of_two_unparks_none_is_lost(2, Thread::park_timeout, Thread::park_os);
}

#[test]
fn a_token_that_comes_as_time_is_up_is_kept_or_seen() {
    check(|| {
        let parked = Thread::new();
        let done = Arc::new(AtomicUsize::new(0));
        let other = Thread::unpark_after(&parked, &done);
        parked.park_timeout();
        while done.load(Relaxed) == 0 {
            parked.park_os();
        }
        other.join().unwrap();
    });
}

#[test]
fn an_unpark_never_ends_a_wait_for_something_else() {
    check(|| {
        let parked = Thread::new();
        let other = thread::spawn({
            let parked = Arc::clone(&parked);
            move || parked.unpark()
        });
        parked.park_timeout();
        let wait = parked.state.next(Shield::Shielded);
        assert!(parked.state.park(wait));
        other.join().unwrap();
        assert_eq!(parked.state.outcome(), None);
    });
}
