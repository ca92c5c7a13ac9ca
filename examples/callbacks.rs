//! Callbacks, for those who like them: at the end of a green thread, and later.
//!
//! `join` is as good where somebody can wait, and somebody always can: a green thread costs little.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, Instant};

use sward::{channel, thread, time};

const TICK: Duration = Duration::from_millis(10);

/// Calls `f` after `delay`: a green thread that sleeps is all that it takes.
fn call_later(delay: Duration, f: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        thread::sleep(delay);
        f();
    });
}

fn main() {
    let (said, lines) = channel::unbounded();
    let say = move |line: &str| {
        println!("{line}");
        said.send(line.to_owned()).expect("`main` receives");
    };

    let report = say.clone();
    thread::spawn(|| 6 * 7).on_finish(move |result| report(&format!("result: {result:?}")));
    assert_eq!(lines.recv().as_deref(), Ok("result: Ok(42)"));

    let (early, late) = (say.clone(), say.clone());
    call_later(TICK * 3, move || late("three ticks later"));
    call_later(TICK, move || early("a tick later"));
    say("at once");
    let order: Vec<_> = lines.iter().take(3).collect();
    assert_eq!(order, ["at once", "a tick later", "three ticks later"]);

    // Again and again, without drifting: the fourth tick comes four periods after the start, however long the work takes.
    let start = Instant::now();
    let mut ticks = time::interval(TICK);
    for n in 0..5 {
        let due = ticks.tick();
        assert!(due >= start + TICK * n);
    }
    assert!(start.elapsed() >= TICK * 4);
    println!("five ticks after {:.0?}", start.elapsed());
}
