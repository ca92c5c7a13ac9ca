//! The prime sieve, after Doug McIlroy and libtask: a chain of green threads, one for each prime.
//!
//! The first sends 2, 3, 4, … into a channel without a buffer. Each prime that comes out at the end gets a filter of its own, which
//! passes on what it does not divide. Nothing here ends the filters: when the chain is dropped from the end, each finds its channel
//! closed and goes.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use sward::{
    channel::{Receiver, bounded},
    error::BuildError,
    runtime::Builder,
    thread,
};

/// 2, 3, 4, … until nobody listens.
fn numbers() -> Receiver<u32> {
    let (sender, receiver) = bounded(0);
    thread::spawn(move || (2..).try_for_each(|n| sender.send(n)));
    receiver
}

/// What comes in, less the multiples of `prime`.
fn filter(numbers: Receiver<u32>, prime: u32) -> Receiver<u32> {
    let (sender, receiver) = bounded(0);
    thread::spawn(move || numbers.iter().filter(|n| n % prime != 0).try_for_each(|n| sender.send(n)));
    receiver
}

/// The first `count` primes.
fn primes(count: usize) -> Vec<u32> {
    let mut chain = numbers();
    let mut primes = Vec::new();
    while primes.len() < count {
        let prime = chain.recv().expect("the numbers do not end");
        primes.push(prime);
        chain = filter(chain, prime);
    }
    primes
}

fn main() -> Result<(), BuildError> {
    // One worker: each number that passes is a switch and nothing more.
    let primes = Builder::new().workers(1).build()?.run(|| primes(100));
    println!("{primes:?}");
    assert_eq!(primes[..10], [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    assert_eq!(primes.last(), Some(&541));
    Ok(())
}
