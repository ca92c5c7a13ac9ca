//! Results in the order in which they come.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, Instant};

use sward::{
    task::{self, Group},
    thread,
};

const TICK: Duration = Duration::from_millis(20);

fn fetch(ticks: u32) -> u32 {
    thread::sleep(TICK * ticks);
    ticks
}

fn main() {
    let start = Instant::now();
    let handles = [3, 1, 2].map(|ticks| thread::spawn(move || fetch(ticks)));
    let mut order = Vec::new();
    for (position, result) in task::as_completed(handles) {
        println!("number {position} after {:.0?}: {result:?}", start.elapsed());
        order.push(position);
    }
    assert_eq!(order, [1, 2, 0]);

    // A group takes new ones while it gives results out, and at most four of these run at once.
    let mut group = Group::with_limit(4);
    for ticks in 0..8 {
        group.spawn(move || if ticks == 5 { panic!("number 5 always fails") } else { fetch(ticks % 3) });
    }
    let (mut values, mut failures) = (0, 0);
    while let Some(result) = group.join_next() {
        match result {
            Ok(_) => values += 1,
            Err(failure) => {
                println!("{failure}");
                failures += 1;
            }
        }
    }
    assert_eq!((values, failures), (7, 1));
}
