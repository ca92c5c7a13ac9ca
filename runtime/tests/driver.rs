//! Who looks at the driver, and what workers do before they wait in it: a driver of our own notes each look, and how long it was to wait.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use sward_runtime::{driver::Driver, park::Batch, runtime::Handle, thread};

use crate::common::{each_config, each_mode};

/// Has a source that is never ready.
#[derive(Default)]
struct Noted {
    looks: Mutex<Vec<Option<Duration>>>,
    notified: Mutex<bool>,
    changed: Condvar,
}

impl Noted {
    /// The looks since the first that did not wait.
    fn since_first_glance(&self) -> Vec<Option<Duration>> {
        let looks = self.looks.lock().unwrap();
        looks.iter().copied().skip_while(|limit| *limit != Some(Duration::ZERO)).collect()
    }
}

impl Driver for Noted {
    fn wait(&self, timeout: Option<Duration>, _ready: &mut Batch) -> io::Result<()> {
        self.looks.lock().unwrap().push(timeout);
        if timeout == Some(Duration::ZERO) {
            return Ok(());
        }
        let notified = self.notified.lock().unwrap();
        let limit = timeout.unwrap_or(Duration::MAX);
        let (mut notified, _) = self.changed.wait_timeout_while(notified, limit, |set| !*set).unwrap();
        *notified = false;
        Ok(())
    }

    fn notify(&self) {
        *self.notified.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn has_sources(&self) -> bool {
        true
    }

    fn close(&self, _ready: &mut Batch) {}
}

#[test]
fn while_all_workers_compute_the_driver_is_glanced_at_and_nobody_waits_in_it() {
    const LOOKS: usize = 5;
    each_config(|config| {
        // Nobody to whom the seat of one that computes could go, so that nobody sleeps.
        let runtime = config.builder().max_spares(0).build().unwrap();
        let driver = runtime.handle().driver(|| Ok(Noted::default())).unwrap();
        let computing = AtomicUsize::new(0);
        let all_compute = AtomicBool::new(false);
        let compute = || {
            if computing.fetch_add(1, Relaxed) + 1 == config.workers {
                // One who looked before may have waited.
                driver.looks.lock().unwrap().clear();
                all_compute.store(true, Relaxed);
            }
            while !all_compute.load(Relaxed) {
                std::hint::spin_loop();
            }
            while driver.since_first_glance().len() < LOOKS {
                std::hint::spin_loop();
            }
        };
        runtime.run(|| thread::scope(|scope| (0..config.workers).for_each(|_| drop(scope.spawn(compute)))));
        assert_eq!(driver.since_first_glance()[..LOOKS], [Some(Duration::ZERO); LOOKS]);
    });
}

/// The worker that looks at it the first time starts green threads, as an event does that has a foreign waker. What the poller thread would start comes to the worker
/// in batches, of which the first overtakes what is left of the one before.
struct Starter {
    runtime: Handle,
    started: Arc<Mutex<Vec<usize>>>,
    is_done: Mutex<bool>,
}

const STARTED: usize = 100;

impl Driver for Starter {
    fn wait(&self, timeout: Option<Duration>, _ready: &mut Batch) -> io::Result<()> {
        let is_worker = std::thread::current().name() == Some("sward-0");
        if !is_worker || std::mem::replace(&mut *self.is_done.lock().unwrap(), true) {
            std::thread::park_timeout(timeout.unwrap_or(Duration::from_millis(1)));
            return Ok(());
        }
        for i in 0..STARTED {
            let started = Arc::clone(&self.started);
            let spawned = self.runtime.try_spawn(move || started.lock().unwrap().push(i));
            drop(spawned.unwrap());
        }
        Ok(())
    }

    fn notify(&self) {}

    fn has_sources(&self) -> bool {
        true
    }

    fn close(&self, _ready: &mut Batch) {}
}

#[test]
fn what_events_start_runs_in_the_order_in_which_they_came() {
    each_mode(1, |config| {
        let runtime = config.build();
        let started = Arc::default();
        let starter =
            Starter { runtime: runtime.handle(), started: Arc::clone(&started), is_done: Mutex::default() };
        runtime.run(|| {
            runtime.handle().driver(|| Ok(starter)).unwrap();
            while started.lock().unwrap().len() < STARTED {
                thread::yield_now();
            }
        });
        assert_eq!(*started.lock().unwrap(), (0..STARTED).collect::<Vec<_>>());
    });
}

#[test]
fn woken_tasks_that_were_left_to_a_worker_that_computes_are_stolen_from_it() {
    const TURNS: usize = 1_000;
    each_mode(2, |config| {
        if !config.roaming {
            // What has started stays where it is.
            return;
        }
        // Nobody to whom the seat of the one that computes could go.
        let runtime = config.builder().max_spares(0).build().unwrap();
        let _driver = runtime.handle().driver(|| Ok(Noted::default())).unwrap();
        let (turn, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let await_turn = |n| {
            while turn.load(Relaxed) < n {
                thread::park();
            }
        };
        runtime.run(|| {
            let asker = thread::current();
            thread::scope(|scope| {
                let computes = scope.spawn(|| {
                    for n in 1..=TURNS {
                        await_turn(n);
                        while taken.load(Relaxed) < n {
                            std::hint::spin_loop();
                        }
                    }
                });
                // Runs so shortly that to steal it is not worth it.
                let stolen = scope.spawn(|| {
                    for n in 1..=TURNS {
                        await_turn(n);
                        taken.store(n, Relaxed);
                        asker.unpark();
                    }
                });
                for n in 1..=TURNS {
                    turn.store(n, Relaxed);
                    computes.thread().unpark();
                    stolen.thread().unpark();
                    // Leaves its worker without work.
                    while taken.load(Relaxed) < n {
                        thread::park();
                    }
                }
            });
        });
    });
}
