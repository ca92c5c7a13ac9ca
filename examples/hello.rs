//! Spawn, join, scope: the API of `std::thread`, on green threads.
//!
//! Run it with `cargo run --example hello`. In a program of your own nothing but the import differs from `std`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sward::thread;

fn main() -> std::io::Result<()> {
    // The first spawn starts a runtime: as many workers as there are CPUs, and a poller thread.
    let hello = thread::spawn(|| {
        // Parks the green thread. Its worker, an OS thread, runs others meanwhile.
        thread::sleep(Duration::from_millis(1));
        "hello"
    });
    let answer = hello.join().expect("it does not panic");
    println!("a green thread says {answer}");
    assert_eq!(answer, "hello");

    // They are cheap: until one runs, it is one allocation.
    let threads: Vec<_> = (0..10_000_u64).map(|i| thread::spawn(move || i)).collect();
    let sum: u64 = threads.into_iter().map(|t| t.join().expect("it does not panic")).sum();
    println!("10 000 green threads make {sum}");
    assert_eq!(sum, 49_995_000);

    // Inside a scope they may borrow.
    let words = ["green", "thread"];
    let mut lengths = [0; 2];
    thread::scope(|s| {
        for (word, length) in words.iter().zip(&mut lengths) {
            s.spawn(move || *length = word.len());
        }
    });
    println!("{words:?} have {lengths:?} letters");
    assert_eq!(lengths, [5, 6]);

    // A panic stays in its green thread, and `join` hands it over.
    let named = thread::Builder::new().name("unlucky".into());
    let unlucky = named.spawn(|| -> u32 { std::panic::resume_unwind(Box::new("bad luck")) })?;
    let payload = unlucky.join().expect_err("it panicked");
    println!("join reports: {:?}", payload.downcast_ref::<&str>());
    assert_eq!(payload.downcast_ref(), Some(&"bad luck"));
    Ok(())
}
