//! A wait with a deadline: the timer, a waker and a shutdown race for it, and the waiter takes its entries back.
//!
//! The real `State`. Stand-ins: a wheel and a registry of wakers are [loom mutexes](Mutex) that say whether the waiter's entry is
//! in them; the entries themselves are on the waiter's frame, which is [`Plain`] memory that dies when the frame ends. A claimer
//! that found the task parked runs it on the spot, after it has released its lock (W2 of `runtime/src/park.rs`). Which
//! deadline is due is not modelled: the wheel is pure, and has tests of its own.
//!
//! # Fails when
//!
//! - the exchange in `State::end_wait` is Acquire, or the load in `State::outcome` is Relaxed: the frame ends while a claimer reads it;
//! - the exchange in `State::end_wait` is Release, or that in `State::park` is Relaxed: the claimer runs a stack that it does not see;
//! - the waiter leaves its entry in the wheel or in the registry (W1);
//! - a claimer reads the entry after its claim, or claims after it has released the lock.

use loom::{
    sync::{Arc, Mutex},
    thread,
};
use sward_loom_tests::{Plain, check};
use sward_runtime::model::{Claim, Outcome, Reach, Shield, State};

/// A task in a wait with a deadline.
struct Waiter {
    state: State,
    /// The waiter's frame, which holds its entries: the number of the wait. `None`: the frame has ended.
    frame: Plain<Option<u32>>,
    /// The rest of its stack: written until it is switched away from.
    stack: Plain<u32>,
    wheel: Mutex<bool>,
    registry: Mutex<bool>,
}

impl Waiter {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            state: State::default(),
            frame: Plain::new(None),
            stack: Plain::new(0),
            wheel: Mutex::new(false),
            registry: Mutex::new(false),
        })
    }

    /// The waiter: it enters itself in both, and is switched away from.
    fn wait(&self) {
        let wait = self.state.next(Shield::Open);
        self.frame.set(Some(wait.epoch()));
        *self.registry.lock().unwrap() = true;
        *self.wheel.lock().unwrap() = true;
        self.stack.set(1);
        if !self.state.park(wait) {
            self.end_wait();
        }
    }

    /// It goes on, takes back what nobody else took, and its frame ends.
    fn end_wait(&self) {
        assert_eq!(self.stack.replace(2), 1, "the stack is seen, and resumed once");
        let outcome = self.state.outcome().expect("the wait is over");
        if outcome != Outcome::TimedOut {
            *self.wheel.lock().unwrap() = false;
        }
        if outcome != Outcome::Woken {
            *self.registry.lock().unwrap() = false;
        }
        assert!(self.frame.replace(None).is_some(), "the frame ends once");
    }

    /// The timer fires, or a waker comes: if it finds the entry it takes it out and claims the wait.
    fn claim(&self, list: &Mutex<bool>, outcome: Outcome) -> bool {
        let claim = {
            let mut entered = list.lock().unwrap();
            if !*entered {
                return false;
            }
            *entered = false;
            let epoch = self.frame.get().expect("an entry is alive while it is entered");
            self.state.claim(epoch, outcome)
        };
        self.follow(claim)
    }

    fn follow(&self, claim: Claim) -> bool {
        if claim == Claim::Parked {
            self.end_wait();
        }
        claim != Claim::Lost
    }

    fn fire(&self) -> bool {
        self.claim(&self.wheel, Outcome::TimedOut)
    }

    fn wake(&self) -> bool {
        self.claim(&self.registry, Outcome::Woken)
    }

    /// A shutdown has no entry: the task itself leads it to the wait.
    fn cancel(&self) -> bool {
        self.follow(self.state.claim_cancelled(Reach::Open))
    }
}

fn one_of_two_ends_the_wait(one: fn(&Waiter) -> bool, other: fn(&Waiter) -> bool) {
    check(move || {
        let waiter = Waiter::new();
        let task = thread::spawn({
            let waiter = Arc::clone(&waiter);
            move || waiter.wait()
        });
        let claimer = thread::spawn({
            let waiter = Arc::clone(&waiter);
            move || one(&waiter)
        });
        let here = other(&waiter);
        let there = claimer.join().unwrap();
        task.join().unwrap();
        assert!(!(here && there), "one wins");
        let over = waiter.state.outcome().is_some();
        assert_eq!(over, here || there);
        assert_eq!(over, waiter.frame.get().is_none());
        assert_eq!(*waiter.wheel.lock().unwrap(), !over, "nothing stays behind");
        assert_eq!(*waiter.registry.lock().unwrap(), !over, "nothing stays behind");
    });
}

#[test]
fn a_timer_and_a_waker_end_one_wait() {
    one_of_two_ends_the_wait(Waiter::fire, Waiter::wake);
}

#[test]
fn a_timer_and_a_shutdown_end_one_wait() {
    one_of_two_ends_the_wait(Waiter::fire, Waiter::cancel);
}

#[test]
fn a_waker_and_a_shutdown_end_one_wait() {
    one_of_two_ends_the_wait(Waiter::wake, Waiter::cancel);
}
