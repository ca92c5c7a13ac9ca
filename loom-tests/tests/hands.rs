//! A worker takes up a task, and a stopper that does not wait for it looks at those that it has not.
//!
//! Seen to fail without either fence, and with the order of the two writes of `end`, or of the two reads of `look`, turned round.

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{
            AtomicU8,
            Ordering::{Relaxed, SeqCst},
            fence,
        },
    },
    thread,
};
use sward_runtime::model::Hands;

const RUNNING: u8 = 0;
const DUMPING: u8 = 1;

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
