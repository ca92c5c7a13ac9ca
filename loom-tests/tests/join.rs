//! The join word: a task that ends, against the handle that asks, waits, gives up, or is dropped.
//!
//! The real `JoinWord`, and the real `State` for the joiner's wait; `Pair` follows `run_task` of `scheduler/worker.rs` and
//! `Joiner` of `thread/handle.rs`. Stand-ins: result and waker slot are [`Plain`] memory, and so is the joiner's frame, which the task
//! may touch only until the joiner's wait has ended; a result that nobody drops is a leak, which loom reports.
//!
//! # Fails when
//!
//! - the load in `is_finished` is Relaxed, the failure of `wait` or of `detach` is Relaxed, or the swap in `finish` is Acquire: the
//!   handle does not see the result;
//! - the exchange in `wait` is Relaxed, or the swap in `finish` is Release: the task does not see the waker;
//! - the store in `release` is Relaxed, or the loads in `give_up` are Relaxed: the frame ends while the task uses it;
//! - `give_up` does not wait for `release`: as above.
#![cfg(loom)]

use loom::{sync::Arc, thread};
use sward_loom_tests::{Parker, Plain, check};
use sward_runtime::model::{Claim, Finish, JoinWord, Outcome, Shield, State};

/// loom counts it: one that is left at the model's end fails it.
type Output = Arc<u32>;

/// A task and its joiner.
struct Pair {
    word: JoinWord,
    result: Plain<Option<Output>>,
    /// The joiner's waker: the number of its wait.
    slot: Plain<Option<u32>>,
    /// On the joiner's stack while it waits.
    frame: Plain<bool>,
    joiner: State,
    parker: Parker,
}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            word: JoinWord::default(),
            result: Plain::new(None),
            slot: Plain::new(None),
            frame: Plain::new(false),
            joiner: State::default(),
            parker: Parker::default(),
        })
    }

    /// The task, on a thread of its own.
    fn task(pair: &Arc<Self>) -> thread::JoinHandle<()> {
        let pair = Arc::clone(pair);
        thread::spawn(move || pair.end())
    }

    /// The task ends.
    fn end(&self) {
        self.result.set(Some(Arc::new(7)));
        match self.word.finish() {
            Finish::Unawaited => {}
            Finish::DropResult => self.drop_result(),
            Finish::Wake => {
                let epoch = self.slot.replace(None).expect("J1");
                assert!(self.frame.get(), "J2");
                if self.joiner.claim(epoch, Outcome::Woken) == Claim::Parked {
                    self.parker.unpark();
                }
                self.word.release();
            }
        }
    }

    /// The handle waits; with a deadline, which has then passed. `true`: the task has finished.
    fn wait(&self, deadline: bool) -> bool {
        if self.word.is_finished() {
            return true;
        }
        self.frame.set(true);
        let epoch = self.joiner.begin_wait(Shield::Shielded, false);
        self.slot.set(Some(epoch));
        let outcome = if self.word.wait() {
            self.block(epoch, deadline)
        } else {
            let _ = self.joiner.claim(epoch, Outcome::Woken);
            Outcome::Woken
        };
        let finished = outcome == Outcome::Woken || self.word.give_up();
        self.frame.set(false);
        finished
    }

    fn block(&self, epoch: u32, deadline: bool) -> Outcome {
        let _ = self.joiner.park();
        loop {
            if let Some(outcome) = self.joiner.outcome() {
                return outcome;
            }
            if deadline {
                let _ = self.joiner.claim(epoch, Outcome::TimedOut);
            } else {
                self.parker.park();
            }
        }
    }

    /// The handle takes the result.
    fn take(&self) {
        assert_eq!(*self.result.replace(None).expect("J3"), 7);
    }

    /// The handle is dropped.
    fn detach(&self) {
        if self.word.detach() {
            self.drop_result();
        }
    }

    fn drop_result(&self) {
        assert!(self.result.replace(None).is_some(), "J3: one side drops it");
    }
}

#[test]
fn join_finds_the_result() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        assert!(pair.wait(false));
        pair.take();
        task.join().unwrap();
    });
}

#[test]
fn a_result_that_is_there_may_be_taken_without_a_wait() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        if pair.word.is_finished() {
            pair.take();
        } else {
            pair.detach();
        }
        task.join().unwrap();
    });
}

#[test]
fn a_join_whose_time_is_up_may_be_repeated() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        if !pair.wait(true) {
            assert!(pair.wait(false));
        }
        pair.take();
        task.join().unwrap();
    });
}

#[test]
fn the_result_of_a_detached_task_is_dropped_once() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        pair.detach();
        task.join().unwrap();
    });
}

#[test]
fn after_a_join_whose_time_is_up_one_side_drops_the_result() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        if pair.wait(true) {
            pair.take();
        } else {
            pair.detach();
        }
        task.join().unwrap();
    });
}
