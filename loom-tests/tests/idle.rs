//! Who sleeps and who is woken: workers that look for work and go to sleep, against those who bring work.
//!
//! The real `Idle`; `Runtime` follows `Worker::main`, `search.rs`, `Shared::notify` and `Shared::send_home`. Stand-ins: queues are
//! counters, read and written Relaxed wherever the real ones may be, so that only the fences of D2 order them against
//! `Idle`. A worker that finds a task is busy with it for ever. A worker that sleeps gives its thread up, and whoever takes
//! it off the sleepers runs it on in its own.
//!
//! What must hold in the end: no worker sleeps while there is work that it could take, and nobody counts as searching.
//!
//! # Fails when
//!
//! - the fence in `sleep`, in `stop_searching`, in `notify` or in `notify_worker` is gone: work is left to sleepers;
//! - a worker does not look once more after `sleep`, or `stop_searching` never says that it was the last: as above;
//! - a worker that was woken as a searcher runs a task of its own without passing the duty on: as above;
//! - a worker that saw work for all, but was taken off the sleepers by name, forgets it: as above;
//! - `take` or `cancel_sleep` does not look under the lock whether the worker still sleeps: it runs on two threads (D3).

use std::mem;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_runtime::model::{Ended, Idle, Standing};

struct Runtime {
    idle: Idle,
    /// The injector and the deques: tasks that every worker may take.
    shared: AtomicUsize,
    /// Tasks that one worker alone may take.
    inboxes: Vec<AtomicUsize>,
    /// Touched by the thread that runs the worker.
    threads: Vec<Plain<()>>,
}

impl Runtime {
    /// All workers are busy.
    fn new(workers: usize, max_searching: usize) -> Self {
        Self {
            idle: Idle::new(workers, 0, max_searching),
            shared: AtomicUsize::new(0),
            inboxes: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            threads: (0..workers).map(|_| Plain::new(())).collect(),
        }
    }

    /// The worker's loop, from where it has nothing to run, until it has, or sleeps.
    fn work(&self, me: usize, mut searching: bool) {
        loop {
            self.threads[me].set(());
            if take(&self.inboxes[me]) || take(&self.shared) {
                return self.run(searching);
            }
            searching = searching || self.idle.start_searching();
            if searching && take(&self.shared) {
                return self.run(searching);
            }
            assert_eq!(self.idle.sleep(me, mem::take(&mut searching)), None);
            if !has_any(&self.shared) && !has_any(&self.inboxes[me]) {
                return;
            }
            if self.idle.cancel_sleep(me) == Ended::Already {
                // It was woken by name, perhaps: then it will not look at what it saw.
                if has_any(&self.shared) {
                    self.notify();
                }
                return;
            }
            searching = true;
        }
    }

    /// A worker has found a task, which keeps it busy from now on.
    fn run(&self, searching: bool) {
        if searching && self.idle.stop_searching() && has_any(&self.shared) {
            self.notify();
        }
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

    /// Nothing moves any more.
    fn assert_no_work_is_left_to_sleepers(&self) {
        let sleeping = self.idle.sleeping();
        assert!(!has_any(&self.shared) || sleeping == 0, "work for all, and a sleeper");
        for (worker, inbox) in self.inboxes.iter().enumerate() {
            assert!(!has_any(inbox) || self.idle.standing(worker) != Standing::Asleep, "work for a sleeper");
        }
        let asleep =
            (0..self.inboxes.len()).filter(|&worker| self.idle.standing(worker) == Standing::Asleep).count();
        assert_eq!(asleep, sleeping, "D1");
        assert!(sleeping == 0 || self.idle.could_wake(), "nobody searches");
        assert!(sleeping > 0 || self.idle.start_searching(), "nobody searches");
    }
}

/// Takes a task, unless the queue looks empty.
fn take(queue: &AtomicUsize) -> bool {
    queue.fetch_update(Relaxed, Relaxed, |tasks| tasks.checked_sub(1)).is_ok()
}

fn has_any(queue: &AtomicUsize) -> bool {
    queue.load(Relaxed) > 0
}

/// Runs the parts, one to a thread, and looks at what they left.
fn run_all<const N: usize>(runtime: Runtime, parts: [fn(&Runtime); N]) {
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
    runtime.assert_no_work_is_left_to_sleepers();
}

#[test]
fn work_from_outside_meets_a_worker_that_goes_to_sleep() {
    check(|| {
        run_all(Runtime::new(1, 1), [|outsider| outsider.push(), |worker| worker.work(0, false)]);
    });
}

#[test]
fn a_task_sent_home_meets_a_worker_that_goes_to_sleep() {
    check(|| {
        run_all(Runtime::new(1, 1), [|sender| sender.send(0), |worker| worker.work(0, false)]);
    });
}

#[test]
fn two_tasks_from_outside_meet_two_workers_that_go_to_sleep() {
    check_bounded(3, || {
        run_all(
            Runtime::new(2, 1),
            [
                |outsider| {
                    outsider.push();
                    outsider.push();
                },
                |worker| worker.work(0, false),
                |worker| worker.work(1, false),
            ],
        );
    });
}

#[test]
fn a_worker_that_spawns_two_meets_one_that_goes_to_sleep() {
    check(|| {
        run_all(
            Runtime::new(2, 1),
            [
                |spawner| {
                    spawner.push();
                    spawner.push();
                    spawner.work(0, false);
                },
                |worker| worker.work(1, false),
            ],
        );
    });
}

#[test]
fn the_last_searcher_that_finds_work_passes_the_duty_on() {
    check(|| {
        let runtime = Runtime::new(2, 1);
        runtime.shared.fetch_add(1, Relaxed);
        assert_eq!(runtime.idle.sleep(1, false), None);
        assert!(runtime.idle.start_searching());
        run_all(runtime, [|outsider| outsider.push(), |searcher| searcher.work(0, true)]);
    });
}

#[test]
fn of_two_searchers_the_last_looks_again() {
    check_bounded(4, || {
        let runtime = Runtime::new(3, 2);
        runtime.shared.fetch_add(1, Relaxed);
        assert_eq!(runtime.idle.sleep(2, false), None);
        assert!(runtime.idle.start_searching());
        assert!(runtime.idle.start_searching());
        run_all(
            runtime,
            [
                |outsider| outsider.push(),
                |searcher| searcher.work(0, true),
                |searcher| searcher.work(1, true),
            ],
        );
    });
}

#[test]
fn a_sleeper_with_work_of_its_own_and_work_for_all_is_woken_once() {
    check(|| {
        let runtime = Runtime::new(2, 1);
        assert_eq!(runtime.idle.sleep(1, false), None);
        assert_eq!(runtime.idle.sleep(0, false), None);
        run_all(runtime, [|outsider| outsider.push(), |sender| sender.send(0)]);
    });
}

#[test]
fn a_worker_about_to_sleep_is_sent_a_task_while_there_is_work_for_all() {
    check_bounded(3, || {
        let runtime = Runtime::new(2, 1);
        assert_eq!(runtime.idle.sleep(1, false), None);
        run_all(
            runtime,
            [|outsider| outsider.push(), |sender| sender.send(0), |worker| worker.work(0, false)],
        );
    });
}
