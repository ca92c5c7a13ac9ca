//! A worker takes up a task, and a stopper that does not wait for it looks at those that it has not; or has all of them end, as `cancel_all` of
//! `scheduler/shutdown.rs`, which a stand-in follows line by line.
//!
//! Seen to fail without either fence, and with the order of the two writes of `end`, or of the two reads of `look`, turned round. The last model: without the
//! heavy fence; if what is in the worker's hands is not cancelled, or is looked at after the stacks; and if a wait is cancelled in place of the task.

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{
            AtomicPtr, AtomicU8,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
            fence,
        },
    },
    thread,
};
use sward_runtime::model::{Claim, Hands, Shield, State};

const RUNNING: u8 = 0;
const DUMPING: u8 = 1;
const STOPPING: u8 = 2;
const DRAINING: u8 = 3;

/// In a stack: nothing may touch it any more but who takes it apart.
const ENDED: u32 = 99;

/// A worker, its runtime's phase, and two stacks.
#[derive(Default)]
struct World {
    hands: Hands<UnsafeCell<u32>>,
    phase: AtomicU8,
    stacks: [UnsafeCell<u32>; 2],
}

impl World {
    fn task(&self, i: usize) -> *mut UnsafeCell<u32> {
        (&raw const self.stacks[i]).cast_mut()
    }

    /// Takes a task up and runs it, unless it is to stop.
    fn run(&self, i: usize) -> bool {
        let goes_on = self.hands.take(self.task(i), &self.phase) == RUNNING;
        if goes_on {
            self.touch(i);
        }
        goes_on
    }

    /// loom fails if the other side does so at the same time.
    fn touch(&self, i: usize) {
        self.stacks[i].with_mut(|stack| {
            // SAFETY: what is modelled.
            let stack = unsafe { &mut *stack };
            assert_ne!(*stack, ENDED);
            *stack += 1;
        });
    }

    fn set_ended(&self, i: usize) {
        // SAFETY: as above.
        self.stacks[i].with_mut(|stack| unsafe { *stack = ENDED });
    }

    /// Looks at all stacks that the worker cannot touch; whether it was in the midst of the first.
    fn look(&self) -> usize {
        self.phase.store(DUMPING, Relaxed);
        fence(SeqCst); // the heavy one
        let busy = self.hands.look();
        let free: Vec<_> = (0..2).filter(|&i| !busy.contains(&self.task(i))).collect();
        free.iter().for_each(|&i| self.touch(i));
        free.len()
    }
}

#[test]
fn a_worker_that_goes_on_meets_a_look() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || {
            for i in 0..2 {
                if !theirs.run(i) {
                    return;
                }
                theirs.hands.put_down();
            }
        });
        assert!(world.look() >= 1);
        worker.join().unwrap();
    });
}

#[test]
fn a_task_that_ends_meets_a_look() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || {
            if !theirs.run(0) {
                return;
            }
            theirs.set_ended(0);
            if theirs.hands.end(theirs.task(0), &theirs.phase) == RUNNING {
                // Taken apart.
                theirs.set_ended(0);
            }
            // It would stop here, and take it apart after the look.
        });
        assert!(world.look() >= 1);
        worker.join().unwrap();
    });
}

#[test]
fn a_task_that_is_taken_up_again_meets_a_look() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || {
            let _ = theirs.run(1) && {
                theirs.hands.put_down();
                theirs.run(1)
            };
        });
        assert!(world.look() >= 1);
        worker.join().unwrap();
    });
}

/// A task, and the stack on which it starts.
#[derive(Default)]
struct Ending {
    hands: Hands<State>,
    phase: AtomicU8,
    task: State,
    occupant: AtomicPtr<State>,
}

impl Ending {
    /// Starts the task, which waits. Whether it is parked then.
    fn start(&self) -> bool {
        let task = (&raw const self.task).cast_mut();
        if self.hands.take(task, &self.phase) != RUNNING {
            return false; // It stops, and starts the task when every wait is cancelled.
        }
        self.occupant.store(task, Release);
        if self.phase.load(Relaxed) == DRAINING {
            return false;
        }
        self.hands.put_down();
        self.task.park(self.task.next(Shield::Open))
    }

    /// Has all tasks end. Whether this has the task run again.
    fn cancel(&self) -> bool {
        self.phase.store(STOPPING, Relaxed);
        fence(SeqCst); // the heavy one
        let current = self.hands.look()[0];
        let occupant = self.occupant.load(Acquire);
        // SAFETY: it lives as long as the model.
        let tasks = [current, occupant].into_iter().filter_map(|task| unsafe { task.as_ref() });
        let claims: Vec<_> = tasks.map(State::cancel).collect();
        self.phase.store(DRAINING, Relaxed);
        claims.contains(&Claim::Parked)
    }
}

#[test]
fn a_task_that_starts_and_waits_meets_the_end() {
    loom::model(|| {
        let world = Arc::new(Ending::default());
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || theirs.start());
        let is_resumed = world.cancel();
        assert_eq!(worker.join().unwrap(), is_resumed);
    });
}
