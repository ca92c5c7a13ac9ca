//! The join word: a task that ends, against the handle that asks, waits, gives up, or is dropped.
//!
//! The real `JoinWord`, and the real `State` for the joiner's wait; `Pair` follows `run` of `task/life.rs` and
//! `Joiner` of `thread/handle.rs`. Stand-ins: result and waker slot are [`Plain`] memory, and so is the joiner's frame, which the task
//! may touch only until the joiner's wait has ended; a result, or a future's waker, that nobody drops is a leak, which loom reports.
//!
//! # Fails when
//!
//! - the load in `is_finished` is Relaxed, the failure of `wait` or of `detach` is Relaxed, or the swap in `finish` is Acquire: the
//!   handle does not see the result;
//! - the exchange in `wait` is Relaxed, or the swap in `finish` is Release: the task does not see the waker;
//! - the store in `release` is Relaxed, or the loads in `give_up` are Relaxed: the frame ends while the task uses it;
//! - `give_up` does not wait for `release`: as above;
//! - the exchange in `begin_entry` is Relaxed: two who borrow the handle touch the slot at once;
//! - the exchange in `enter` is Acquire: the task does not see the waker; its failure, or that in `begin_entry`, is Relaxed: the handle does
//!   not see the result;
//! - `finish` takes `ENTERING` for `WAITING`: the slot is empty, or written at the same time; it takes `POLLED` for `EMPTY`: a future
//!   is not woken;
//! - the exchange in `enter_polled` is Acquire: the task does not see the waker; its failure, that of `withdraw` or of `leave` is Relaxed:
//!   the handle does not see the result;
//! - the exchange in `leave` is Acquire: two who borrow the handle touch the slot at once; as they do if `withdraw` takes the slot
//!   from `WAITING` too, or `leave` comes before the waker is taken out;
//! - who joins asks whether the task has finished before it withdraws: it writes the slot from which the task takes a future's waker.

use loom::{sync::Arc, thread};
use sward_loom_tests::{Parker, Plain, check, check_bounded};
use sward_runtime::model::{Claim, Entry, Finish, JoinWord, Outcome, Shield, State, Wait};

/// loom counts it: one that is left at the model's end fails it.
type Output = Arc<u32>;

/// A task and its joiner.
struct Pair {
    word: JoinWord,
    result: Plain<Option<Output>>,
    slot: Plain<Option<Waker>>,
    /// The second one only borrows the handle, and so may the first.
    joiners: [Joiner; 2],
}

enum Waker {
    /// Which joiner's, and the number of its wait.
    Of(usize, u32),
    /// That of a future.
    Foreign(Arc<Parker>),
}

#[derive(Default)]
struct Joiner {
    /// On its stack while it waits.
    frame: Plain<bool>,
    state: State,
    parker: Parker,
}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            word: JoinWord::default(),
            result: Plain::new(None),
            slot: Plain::new(None),
            joiners: Default::default(),
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
            Finish::Wake => match self.slot.replace(None).expect("J1") {
                Waker::Of(who, epoch) => {
                    let joiner = &self.joiners[who];
                    assert!(joiner.frame.get(), "J2");
                    if joiner.state.claim(epoch, Outcome::Woken) == Claim::Parked {
                        joiner.parker.unpark();
                    }
                    self.word.release();
                }
                Waker::Foreign(parker) => {
                    self.word.release();
                    parker.unpark();
                }
            },
        }
    }

    /// The handle waits; with a deadline, which has then passed. `true`: the task has finished.
    fn wait(&self, deadline: bool) -> bool {
        if self.withdraw() || self.word.is_finished() {
            return true;
        }
        let joiner = &self.joiners[0];
        let wait = joiner.to_wait();
        self.slot.set(Some(Waker::Of(0, wait.epoch())));
        let outcome = if self.word.wait() {
            joiner.block(wait, deadline)
        } else {
            let _ = joiner.state.claim(wait.epoch(), Outcome::Woken);
            Outcome::Woken
        };
        let finished = outcome == Outcome::Woken || self.word.give_up();
        joiner.frame.set(false);
        finished
    }

    /// A `select` waits, which borrows the handle. `None`: another does.
    fn visit(&self, who: usize, deadline: bool) -> Option<bool> {
        self.withdraw();
        let joiner = &self.joiners[who];
        let wait = joiner.to_wait();
        let entry = self.word.begin_entry();
        let entered = entry == Entry::Begun && {
            self.slot.set(Some(Waker::Of(who, wait.epoch())));
            self.word.enter()
        };
        let finished = if entered {
            // Its wait may end by another's doing: it leaves in any case.
            joiner.block(wait, deadline);
            self.word.give_up()
        } else {
            let _ = joiner.state.claim(wait.epoch(), Outcome::Woken);
            entry != Entry::Taken
        };
        joiner.frame.set(false);
        (entry != Entry::Taken).then_some(finished)
    }

    /// The handle is polled as a future, and is pending: who is woken. `None`: the task has finished.
    fn poll(&self) -> Option<Arc<Parker>> {
        if self.word.is_finished() || self.withdraw() {
            return None;
        }
        let parker = Arc::new(Parker::default());
        let entry = self.word.begin_entry();
        assert_ne!(entry, Entry::Taken, "nobody borrows the handle");
        let entered = entry == Entry::Begun && {
            self.slot.set(Some(Waker::Foreign(Arc::clone(&parker))));
            self.word.enter_polled()
        };
        entered.then_some(parker)
    }

    /// Takes back the waker of a future, if there is one. `true`: the task has finished meanwhile.
    fn withdraw(&self) -> bool {
        if !self.word.is_polled() {
            return false;
        }
        match self.word.withdraw() {
            Entry::Finished => true,
            Entry::Taken => false,
            Entry::Begun => {
                let waker = self.slot.replace(None);
                let finished = self.word.leave();
                assert!(matches!(waker, Some(Waker::Foreign(_))));
                finished
            }
        }
    }

    /// The handle takes the result.
    fn take(&self) {
        assert_eq!(*self.result.replace(None).expect("J3"), 7);
    }

    /// The handle is dropped.
    fn detach(&self) {
        if self.withdraw() || self.word.detach() {
            self.drop_result();
        }
    }

    fn drop_result(&self) {
        assert!(self.result.replace(None).is_some(), "J3: one side drops it");
    }
}

impl Joiner {
    fn to_wait(&self) -> Wait {
        self.frame.set(true);
        self.state.next(Shield::Shielded)
    }

    fn block(&self, wait: Wait, deadline: bool) -> Outcome {
        let _ = self.state.park(wait);
        loop {
            if let Some(outcome) = self.state.outcome() {
                return outcome;
            }
            if deadline {
                let _ = self.state.claim(wait.epoch(), Outcome::TimedOut);
            } else {
                self.parker.park();
            }
        }
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

#[test]
fn a_select_finds_the_end() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        assert_eq!(pair.visit(0, false), Some(true));
        pair.take();
        task.join().unwrap();
    });
}

#[test]
fn a_select_whose_time_is_up_leaves_the_handle_as_it_was() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        if pair.visit(0, true) == Some(true) || pair.wait(true) {
            pair.take();
        } else {
            pair.detach();
        }
        task.join().unwrap();
    });
}

#[test]
fn of_two_selects_with_one_handle_one_is_turned_away_or_they_take_turns() {
    check_bounded(3, || {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        let other = {
            let pair = Arc::clone(&pair);
            thread::spawn(move || pair.visit(1, true))
        };
        let mine = pair.visit(0, true);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() || theirs.is_some());
        assert!(pair.wait(false));
        pair.take();
        task.join().unwrap();
    });
}

#[test]
fn of_two_polls_the_later_one_is_woken() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        if pair.poll().is_some()
            && let Some(parker) = pair.poll()
        {
            parker.park();
            assert!(pair.poll().is_none());
        }
        pair.take();
        task.join().unwrap();
    });
}

#[test]
fn a_handle_that_was_polled_is_joined_or_dropped() {
    for joined in [true, false] {
        check(move || {
            let pair = Pair::new();
            let task = Pair::task(&pair);
            if pair.poll().is_none() || joined && pair.wait(false) {
                pair.take();
            } else {
                pair.detach();
            }
            task.join().unwrap();
        });
    }
}

#[test]
fn a_select_takes_the_place_of_a_poll() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        if pair.poll().is_some() {
            assert_eq!(pair.visit(0, false), Some(true));
        }
        pair.take();
        task.join().unwrap();
    });
}

#[test]
fn after_a_select_whose_time_is_up_the_handle_is_polled_again() {
    check(|| {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        if pair.poll().is_some()
            && pair.visit(0, true) == Some(false)
            && let Some(parker) = pair.poll()
        {
            parker.park();
        }
        pair.take();
        task.join().unwrap();
    });
}

#[test]
fn of_two_selects_with_a_handle_that_was_polled_one_is_turned_away_or_they_take_turns() {
    check_bounded(3, || {
        let pair = Pair::new();
        let task = Pair::task(&pair);
        let polled = pair.poll();
        let other = {
            let pair = Arc::clone(&pair);
            thread::spawn(move || pair.visit(1, true))
        };
        let mine = pair.visit(0, true);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() || theirs.is_some());
        drop(polled);
        assert!(pair.wait(false));
        pair.take();
        task.join().unwrap();
    });
}
