//! Figures about a runtime: that they are those of what was done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::common::{each_config, each_mode, each_runtime, stress, wait_until};
use sward_runtime::{
    runtime::{Handle, Metrics, Runtime},
    thread, unblock,
};

fn resumes(metrics: &Metrics) -> u64 {
    metrics.workers.iter().map(|worker| worker.resumes).sum()
}

fn metrics(runtime: &Runtime) -> Metrics {
    runtime.handle().metrics()
}

#[test]
fn spawns_ends_and_resumes_are_counted() {
    each_runtime(|runtime| {
        let n = stress(200) as u64;
        let fresh = metrics(runtime);
        assert_eq!((fresh.spawned, fresh.finished, fresh.live), (0, 0, 0));
        let workers = runtime.handle().workers() as u64;
        // One too many while a worker finds that there is nothing.
        assert!(resumes(&fresh) <= workers, "{fresh:?}");
        runtime.run(|| {
            let all: Vec<_> = (0..n).map(|_| thread::spawn(thread::yield_now)).collect();
            assert!(Handle::current().metrics().spawned == n + 1);
            all.into_iter().for_each(|handle| handle.join().unwrap());
        });
        wait_until(|| metrics(runtime).live == 0);
        let done = metrics(runtime);
        assert_eq!(
            (done.spawned, done.finished, done.workers.len() - done.spares),
            (n + 1, n + 1, runtime.handle().workers())
        );
        // Each once until it yields and once until its end; the first as often as it has to wait for one of them.
        assert!((2 * n + 1..=3 * n + 2 + workers).contains(&resumes(&done)), "{done:?}");
    });
}

#[test]
fn queues_are_as_long_as_what_stands_in_them() {
    each_mode(1, |config| {
        config.build().run(|| {
            let queued = || Handle::current().metrics().workers[0].queued;
            assert_eq!(queued(), 0);
            let fresh: Vec<_> = (0..7).map(|_| thread::spawn(thread::park)).collect();
            assert_eq!(queued(), 7);
            thread::yield_now();
            wait_until(|| queued() == 0);
            fresh.iter().for_each(|handle| handle.thread().unpark());
            assert_eq!(queued(), 7);
            fresh.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(queued(), 0);
        });
    });
}

#[test]
fn an_injected_green_thread_counts_until_it_is_taken() {
    each_config(|config| {
        let runtime = config.build();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let all: Vec<_> = (0..config.workers)
            .map(|_| {
                let gate = Arc::clone(&gate);
                runtime.handle().spawn(move || gate.lock().map(|gate| gate.recv()).is_ok())
            })
            .collect();
        // All workers block in foreign calls, until the gate opens.
        wait_until(|| metrics(&runtime).injected == 0 && metrics(&runtime).spawned == config.workers as u64);
        drop(go);
        all.into_iter().for_each(|handle| assert!(handle.join().unwrap()));
        assert_eq!(metrics(&runtime).injected, 0);
    });
}

#[test]
fn deadlines_are_counted_while_they_lie_ahead() {
    each_runtime(|runtime| {
        runtime.run(|| {
            let timers = || Handle::current().metrics().timers;
            assert_eq!(timers(), 0);
            let all: Vec<_> =
                (0..5).map(|_| thread::spawn(|| thread::park_timeout(Duration::from_secs(1000)))).collect();
            wait_until(|| timers() == 5);
            all.iter().for_each(|handle| handle.thread().unpark());
            all.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(timers(), 0);
        });
    });
}

#[test]
fn a_worker_without_work_sleeps_and_is_not_busy() {
    each_runtime(|runtime| {
        let asleep = |metrics: &Metrics| metrics.workers.iter().all(|worker| worker.sleeps > 0);
        wait_until(|| asleep(&metrics(runtime)));
        let start = Instant::now();
        let before = metrics(runtime);
        while start.elapsed() < Duration::from_millis(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let after = metrics(runtime);
        for (before, after) in before.workers.iter().zip(&after.workers) {
            assert!(after.busy >= before.busy && after.sleeps >= before.sleeps);
            assert!(after.busy - before.busy <= start.elapsed());
        }
        let wakes = |metrics: &Metrics| metrics.workers.iter().map(|worker| worker.wakes).sum::<u64>();
        let before = wakes(&after);
        // Some wake has to be that of a sleeper: all sleep unless they have just been woken.
        wait_until(|| {
            runtime.run(|| ());
            wakes(&metrics(runtime)) > before
        });
    });
}

#[test]
fn one_that_computes_is_seen_as_a_stall() {
    each_config(|config| {
        let start = Instant::now();
        config.build().run(|| {
            let longest = || {
                let metrics = Handle::current().metrics();
                metrics.workers.iter().map(|worker| worker.longest_stall).max().unwrap()
            };
            while longest() < Duration::from_millis(5) {
                std::hint::spin_loop();
            }
            assert!(longest() <= start.elapsed());
        });
    });
}

#[test]
fn green_threads_that_were_woken_are_sampled() {
    each_runtime(|runtime| {
        // By an OS thread, and by each other.
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let parked = runtime.handle().spawn(move || {
            while !theirs.load(SeqCst) {
                let other = thread::spawn(thread::park);
                thread::park();
                other.thread().unpark();
                other.join().unwrap();
            }
        });
        let start = Instant::now();
        let mut turns = 0;
        while metrics(runtime).delays.count() < 5 {
            parked.thread().unpark();
            std::thread::yield_now();
            turns += 1;
        }
        stop.store(true, SeqCst);
        parked.thread().unpark();
        parked.join().unwrap();
        let delays = metrics(runtime).delays;
        assert!(delays.count() >= 5 && delays.quantile(0.0) <= Some(start.elapsed()), "{turns}: {delays:?}");
        assert_eq!(delays.buckets().map(|(_, count)| count).sum::<u64>(), delays.count());
    });
}

#[test]
fn the_pool_is_told() {
    // The pool is the process's, so other tests use it meanwhile.
    each_runtime(|runtime| {
        runtime.run(|| {
            let seen = unblock(|| Handle::current_or_default().is_ok());
            assert!(seen);
            assert!(Handle::current().metrics().pool.threads >= 1);
        });
    });
}
