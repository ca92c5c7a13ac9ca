//! Three computations that pause between their steps, on one worker.
//!
//! Each is a plain loop with a `sleep` in it. While one sleeps the others go on, so together they take as long as the longest, not as
//! long as all of them.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, Instant};

use sward::{error::BuildError, runtime::Builder, thread};

const PAUSE: Duration = Duration::from_millis(30);

/// Shows one step of a computation, and pauses.
fn step(name: &str, i: u64, value: u64) {
    println!("{name:<9} step {i}: {value}");
    thread::sleep(PAUSE);
}

fn factorial(n: u64) -> u64 {
    let mut product = 1;
    for i in 2..=n {
        product *= i;
        step("factorial", i - 1, product);
    }
    product
}

fn fibonacci(n: u64) -> u64 {
    let (mut a, mut b) = (0, 1);
    for i in 1..=n {
        (a, b) = (b, a + b);
        step("fibonacci", i, a);
    }
    a
}

fn binomial(n: u64, k: u64) -> u64 {
    let mut result = 1;
    for i in 1..=k {
        result = result * (n - i + 1) / i;
        step("binomial", i, result);
    }
    result
}

fn main() -> Result<(), BuildError> {
    let runtime = Builder::new().workers(1).build()?;
    let start = Instant::now();
    let results = runtime.run(|| {
        let threads = [
            thread::spawn(|| factorial(6)),
            thread::spawn(|| fibonacci(10)),
            thread::spawn(|| binomial(20, 8)),
        ];
        threads.map(|t| t.join().expect("it does not panic"))
    });
    let elapsed = start.elapsed();

    println!("{results:?} after {elapsed:.0?}");
    assert_eq!(results, [720, 55, 125_970]);
    let (longest, all) = (PAUSE * 10, PAUSE * (5 + 10 + 8));
    assert!(elapsed >= longest, "a sleep was too short");
    assert!(elapsed < all, "they ran one after the other");
    Ok(())
}
