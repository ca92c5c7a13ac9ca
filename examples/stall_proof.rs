//! Green threads that block their OS thread in foreign calls, more than there are workers, and the others go on.
//!
//! The foreign call is `recv` of `std`'s channel, of which the runtime knows nothing: it finds the worker stuck and starts another in its place. With
//! `blocking` it is told, and does so at once.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use sward::{blocking, runtime::Builder, thread};

const WORKERS: usize = 2;

fn main() -> Result<(), sward::error::BuildError> {
    let runtime = Builder::new().workers(WORKERS).on_stall(|stall| println!("told: {stall}")).build()?;

    // Two for whom nothing was said, two with a word, and all of them for as long as `doors` is there.
    let (arrive, arrived) = mpsc::channel();
    let mut doors = Vec::new();
    let mut stuck = Vec::new();
    for i in 0..2 * WORKERS {
        let (door, behind) = mpsc::channel::<()>();
        doors.push(door);
        let arrive = arrive.clone();
        stuck.push(runtime.handle().spawn(move || {
            arrive.send(()).expect("somebody counts");
            let closed = if i % 2 == 0 { behind.recv() } else { blocking(|| behind.recv()) };
            closed.is_err()
        }));
    }

    // What has started on a worker stays there, and would wait for one of them that starts after it.
    assert_eq!(arrived.iter().take(2 * WORKERS).count(), 2 * WORKERS);

    let start = Instant::now();
    let ticks = runtime.run(|| {
        let ticker = thread::spawn(|| {
            let start = Instant::now();
            let mut ticks = 0;
            while start.elapsed() < Duration::from_millis(200) {
                thread::sleep(Duration::from_millis(1));
                ticks += 1;
            }
            ticks
        });
        let sum: u64 = (0..100).map(|i| thread::spawn(move || i).join().expect("it does not panic")).sum();
        println!("{} are stuck on {WORKERS} workers, and the sum is {sum}", 2 * WORKERS);
        ticker.join().expect("it does not panic")
    });
    println!("{ticks} ticks of a millisecond in {:.0?}", start.elapsed());
    assert!(ticks > 10);

    // They come back.
    drop(doors);
    assert!(stuck.into_iter().all(|thread| thread.join().expect("it does not panic")));
    println!("all have returned");
    Ok(())
}
