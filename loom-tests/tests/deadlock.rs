//! A look for deadlocks meets an OS thread outside that wakes a task and ends.
//!
//! The real `judge`, over the real `State`. Stand-ins: that a thread is there is a word that it clears at its end.
//!
//! # Fails when
//!
//! - `judge` counts the threads after it has looked at the tasks: the wake comes between the look and the count, from a thread that is gone by then.

use loom::{
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{AcqRel, Acquire},
        },
    },
    thread,
};
use sward_loom_tests::check;
use sward_runtime::model::{Claim, Outcome, Place, Shield, State, Verdict, judge};

/// Tasks that wait, each for an OS thread.
struct World {
    tasks: Vec<State>,
    others: AtomicUsize,
}

fn world(n: usize) -> (Arc<World>, Vec<u32>) {
    let world = World { tasks: (0..n).map(|_| State::default()).collect(), others: AtomicUsize::new(n) };
    let epochs = world.tasks.iter().map(|task| {
        let wait = task.next(Shield::Open);
        assert!(task.park(wait));
        wait.epoch()
    });
    let epochs = epochs.collect();
    (Arc::new(world), epochs)
}

impl World {
    fn wake(&self, task: usize, epoch: u32) {
        assert_eq!(self.tasks[task].claim(epoch, Outcome::Woken), Claim::Parked);
        self.others.fetch_sub(1, AcqRel);
    }

    fn judge(&self) -> Verdict {
        let all_wait = || self.tasks.iter().all(|task| task.place() == Place::Parked);
        judge(|| self.others.load(Acquire), all_wait)
    }
}

#[test]
fn a_wake_from_outside_meets_a_look() {
    check(|| {
        let (world, epochs) = world(1);
        let theirs = Arc::clone(&world);
        let waker = thread::spawn(move || theirs.wake(0, epochs[0]));
        assert_ne!(world.judge(), Verdict::Certain);
        waker.join().unwrap();
        assert_eq!(world.judge(), Verdict::Alive);
    });
}

#[test]
fn two_wakes_from_outside_meet_a_look() {
    check(|| {
        let (world, epochs) = world(2);
        let wakers: Vec<_> = epochs
            .into_iter()
            .enumerate()
            .map(|(task, epoch)| {
                let theirs = Arc::clone(&world);
                thread::spawn(move || theirs.wake(task, epoch))
            })
            .collect();
        assert_ne!(world.judge(), Verdict::Certain);
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
    });
}
