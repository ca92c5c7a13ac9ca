//! Ten pieces of work that need nothing but a CPU, one after the other and on green threads.
//!
//! Green threads that have not started are taken by whoever is idle, so all workers have something to do, and ten pieces take as
//! long as ten divided by the number of CPUs.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use sward::thread;

/// How many steps of Collatz's sequence lead from all numbers below `limit` to 1.
fn work(limit: u64) -> u64 {
    let mut steps = 0;
    for start in 1..limit {
        let mut n = start;
        while n != 1 {
            n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
    }
    steps
}

fn timed<R>(f: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = f();
    (result, start.elapsed())
}

fn main() -> std::io::Result<()> {
    let limits: Vec<u64> = (0..10).map(|i| 50_000 + i).collect();
    let cpus = thread::available_parallelism()?.get();

    let (one_by_one, sequential) = timed(|| limits.iter().map(|&limit| work(limit)).collect::<Vec<_>>());

    let (at_once, parallel) = timed(|| {
        let threads: Vec<_> = limits
            .iter()
            // Each tells also which OS thread, that is which worker, it ran on.
            .map(|&limit| thread::spawn(move || (work(limit), std::thread::current().id())))
            .collect();
        threads.into_iter().map(|t| t.join().expect("it does not panic")).collect::<Vec<_>>()
    });

    let workers: HashSet<_> = at_once.iter().map(|(_, worker)| worker).collect();
    let speed_up = sequential.as_secs_f64() / parallel.as_secs_f64();
    println!("one after the other: {sequential:.1?}");
    println!("on green threads:    {parallel:.1?}, {} workers took part", workers.len());
    println!("speed-up:            {speed_up:.2}");

    assert!(one_by_one.iter().eq(at_once.iter().map(|(steps, _)| steps)));
    assert!(workers.len() >= cpus.min(2), "one worker did everything");
    Ok(())
}
