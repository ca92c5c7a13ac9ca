//! Several calls at once, and what comes of them together; and switching by hand.
//!
//! On one worker each green thread runs until it yields or waits, as a coroutine of an event loop runs until it awaits. They start in order,
//! and who yields goes behind the others: the lines are printed in the order of `asyncio.gather` and `asyncio.sleep(0)`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sward::{error::BuildError, runtime::Builder, sync::Mutex, task, thread};

fn main() -> Result<(), BuildError> {
    let lines = Mutex::new(Vec::new());
    let say = |line: String| {
        println!("{line}");
        lines.lock().expect("nobody panics").push(line);
    };
    Builder::new().workers(1).build()?.run(|| {
        let names = ["one", "two", "three"];
        let lengths = task::gather(names.map(|name| {
            let say = &say;
            move || {
                say(format!("{name}: first half"));
                thread::yield_now();
                say(format!("{name}: second half"));
                name.len()
            }
        }));
        assert_eq!(lengths, [3, 3, 5]);

        // The first that fails ends the others, which would take an hour.
        let failed = task::try_gather([3600, 0].map(|seconds| {
            move || {
                thread::sleep(Duration::from_secs(seconds));
                Err::<(), _>(format!("failed after {seconds} s"))
            }
        }));
        say(format!("{failed:?}"));

        // Of different types.
        let (sum, text) = task::join!(|| (1..=10).sum::<u32>(), || "ten".repeat(2));
        say(format!("{sum} {text}"));
    });

    let expected = [
        "one: first half",
        "two: first half",
        "three: first half",
        "one: second half",
        "two: second half",
        "three: second half",
        "Err(\"failed after 0 s\")",
        "55 tenten",
    ];
    assert_eq!(lines.into_inner().expect("nobody panics"), expected);
    Ok(())
}
