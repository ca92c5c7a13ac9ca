//! Seats: workers that are stuck lose theirs and come back, while spares run, sleep and pass theirs on.
//!
//! The real `Idle`; `Runtime` follows `Worker::main`, `keep_seat` of `seating.rs`, `search.rs`, `Shared::given` and `world.rs`. Stand-ins: queues
//! are counters, read and written Relaxed wherever the real ones may be. A worker that finds a task runs it and goes on. One that sleeps,
//! or waits for a seat, gives its thread up, and whoever takes it out runs it on in its own.
//!
//! What must hold in the end: nobody waits for a seat; no worker sleeps while there is work that it could take; no seat got lost. `Idle`
//! itself looks at E1 to E3.
//!
//! # Fails when
//!
//! - the fence in `oust` is gone (D4): work is left to a sleeper;
//! - `sleep` keeps the seat though somebody waits for one, or `ask` does not take a sleeper's: E3;
//! - who queues does not look at the phase once more, or `dismiss` is not tried by who changes it: it waits in the end.

use std::mem;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence},
    },
    thread,
};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_runtime::model::{Asked, Ended, Idle, Standing};

struct Runtime {
    idle: Idle,
    /// The injector and the deques.
    shared: AtomicUsize,
    inboxes: Vec<AtomicUsize>,
    /// Touched by the thread that runs the worker.
    threads: Vec<Plain<()>>,
    must_stop: AtomicBool,
}

fn take(queue: &AtomicUsize) -> bool {
    queue.fetch_update(Relaxed, Relaxed, |tasks| tasks.checked_sub(1)).is_ok()
}

fn has_any(queue: &AtomicUsize) -> bool {
    queue.load(Relaxed) > 0
}

impl Runtime {
    fn new(workers: usize, spares: usize) -> Self {
        Self {
            idle: Idle::new(workers, spares, 1),
            shared: AtomicUsize::new(0),
            inboxes: (0..workers + spares).map(|_| AtomicUsize::new(0)).collect(),
            threads: (0..workers + spares).map(|_| Plain::new(())).collect(),
            must_stop: AtomicBool::new(false),
        }
    }

    /// A worker's loop, until it sleeps or waits for a seat.
    fn work(&self, me: usize, mut searching: bool) {
        loop {
            self.threads[me].set(());
            if self.idle.standing(me) != Standing::Seated {
                let gone =
                    if has_any(&self.inboxes[me]) { self.ask(me) } else { self.sleep(me, &mut searching) };
                if gone {
                    return;
                }
                continue;
            }
            if take(&self.inboxes[me]) || take(&self.shared) {
                if mem::take(&mut searching) && self.idle.stop_searching() && has_any(&self.shared) {
                    self.notify();
                }
                continue;
            }
            searching = searching || self.idle.start_searching();
            if self.sleep(me, &mut searching) {
                return;
            }
        }
    }

    /// `true`: it waits, or has stopped.
    fn ask(&self, me: usize) -> bool {
        if self.idle.ask(me) == Asked::Seated {
            return false;
        }
        fence(SeqCst);
        let _ = self.must_stop.load(Relaxed) && self.idle.dismiss(me);
        true
    }

    /// `true`: it sleeps.
    fn sleep(&self, me: usize, searching: &mut bool) -> bool {
        let heir = self.idle.sleep(me, mem::take(searching));
        let gone = self.look_again(me, searching);
        if let Some(heir) = heir {
            self.work(heir, false);
        }
        gone
    }

    fn look_again(&self, me: usize, searching: &mut bool) -> bool {
        let has_visible_work = has_any(&self.shared);
        let is_retired = self.idle.standing(me) == Standing::Retired;
        if is_retired && has_visible_work {
            self.notify();
        }
        if !has_any(&self.inboxes[me]) && (is_retired || !has_visible_work) {
            return true;
        }
        match self.idle.cancel_sleep(me) {
            Ended::Searching => *searching = true,
            Ended::Unseated => {}
            Ended::Already => {
                if has_any(&self.shared) {
                    self.notify();
                }
                return true;
            }
        }
        false
    }

    fn push(&self) {
        self.shared.fetch_add(1, Relaxed);
        self.notify();
    }

    fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.work(worker, true);
        }
    }

    fn send(&self, to: usize) {
        self.inboxes[to].fetch_add(1, Relaxed);
        if self.idle.notify_worker(to) {
            self.work(to, false);
        }
    }

    /// The poller thread has found a worker stuck. `spare`: one that it may start.
    fn oust(&self, stuck: usize, spare: Option<usize>) {
        let Some(given) = self.idle.oust(stuck) else { return };
        if has_any(&self.shared) {
            self.notify();
        }
        if let Some(heir) = given.wake {
            self.work(heir, false);
        }
        if let Some(spare) = spare
            && given.short
            && self.idle.start(spare)
        {
            self.work(spare, false);
        }
    }

    /// The phase changes.
    fn stop(&self) {
        self.must_stop.store(true, Relaxed);
        fence(SeqCst);
        for worker in 0..self.inboxes.len() {
            let _ = self.idle.notify_worker(worker) || self.idle.dismiss(worker);
        }
    }

    /// Nothing moves any more.
    fn assert_nobody_is_forgotten(&self) {
        let workers = 0..self.inboxes.len();
        for worker in workers {
            let standing = self.idle.standing(worker);
            assert_ne!(standing, Standing::Queued, "nobody has a seat any more");
            let rests = matches!(standing, Standing::Asleep | Standing::Retired);
            assert!(!has_any(&self.inboxes[worker]) || !rests, "work for one that sleeps");
        }
        assert!(!has_any(&self.shared) || self.idle.sleeping() == 0, "work for all, and a sleeper");
        assert!(self.idle.awake() == 0 || self.idle.start_searching(), "nobody searches");
    }
}

/// Runs the parts, one to a thread, and looks at what they left.
fn run_all<const N: usize>(runtime: Runtime, parts: [fn(&Runtime); N]) -> Arc<Runtime> {
    let runtime = Arc::new(runtime);
    let mut parts = parts.into_iter();
    let first = parts.next().expect("a model has parts");
    let threads: Vec<_> = parts
        .map(|part| {
            let runtime = Arc::clone(&runtime);
            thread::spawn(move || part(&runtime))
        })
        .collect();
    first(&runtime);
    for thread in threads {
        thread.join().unwrap();
    }
    runtime
}

/// One seat, which the spare has: the worker is in the midst of a task.
fn with_a_spare_at_work() -> Runtime {
    let runtime = Runtime::new(1, 1);
    assert!(runtime.idle.oust(0).is_some_and(|given| given.short));
    assert!(runtime.idle.start(1));
    runtime
}

/// One seat, which the worker has again: the spare sleeps without.
fn with_a_retired_spare() -> Runtime {
    let runtime = with_a_spare_at_work();
    assert_eq!(runtime.idle.sleep(1, false), None);
    assert!(runtime.idle.try_seat(0));
    assert_eq!(runtime.idle.standing(1), Standing::Retired);
    runtime
}

#[test]
fn a_stuck_worker_returns_while_its_spare_begins() {
    check_bounded(2, || {
        run_all(
            Runtime::new(1, 1),
            [|poller| poller.oust(0, Some(1)), |worker| worker.work(0, false), |outsider| outsider.push()],
        )
        .assert_nobody_is_forgotten();
    });
}

#[test]
fn work_for_all_comes_while_a_retired_spare_gets_the_seat() {
    check(|| {
        // The worker stays where it is.
        run_all(with_a_retired_spare(), [|poller| poller.oust(0, None), |outsider| outsider.push()])
            .assert_nobody_is_forgotten();
    });
}

#[test]
fn a_worker_with_work_of_its_own_returns_while_the_spare_goes_to_sleep() {
    check(|| {
        let runtime = with_a_spare_at_work();
        runtime.inboxes[0].fetch_add(1, Relaxed);
        run_all(runtime, [|worker| worker.work(0, false), |spare| spare.work(1, false)])
            .assert_nobody_is_forgotten();
    });
}

#[test]
fn a_retired_spare_is_sent_a_task_while_the_seat_is_in_use() {
    check_bounded(3, || {
        run_all(
            with_a_retired_spare(),
            [|worker| worker.work(0, false), |sender| sender.send(1), |outsider| outsider.push()],
        )
        .assert_nobody_is_forgotten();
    });
}

#[test]
fn two_return_to_the_seat_of_one_spare() {
    check_bounded(3, || {
        let runtime = Runtime::new(1, 2);
        for (stuck, spare) in [(0, 1), (1, 2)] {
            assert!(runtime.idle.oust(stuck).is_some_and(|given| given.short));
            assert!(runtime.idle.start(spare));
            runtime.inboxes[stuck].fetch_add(1, Relaxed);
        }
        run_all(
            runtime,
            [|worker| worker.work(0, false), |worker| worker.work(1, false), |spare| spare.work(2, false)],
        )
        .assert_nobody_is_forgotten();
    });
}

#[test]
fn a_worker_that_queues_for_a_seat_meets_the_end() {
    check(|| {
        let runtime = with_a_spare_at_work();
        runtime.inboxes[0].fetch_add(1, Relaxed);
        let runtime = run_all(
            runtime,
            [
                |stopper| stopper.stop(),
                |worker| {
                    let _ = worker.ask(0);
                },
            ],
        );
        assert_eq!(runtime.idle.standing(0), Standing::Unseated, "it is to see the phase");
    });
}
