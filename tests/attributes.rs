//! `#[sward::main]` and `#[sward::test]`: what they run on, and how a test fails that takes too long.

use std::{
    num::ParseIntError,
    os::unix::process::ExitStatusExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{child, child_case, panics};
use sward::{
    runtime::{Builder, Handle},
    thread,
};

#[sward::main(workers = 3)]
fn main_with_three_workers() -> usize {
    Handle::current().workers()
}

#[sward::main]
fn plain_main() -> Result<u32, ParseIntError> {
    "7".parse::<u32>()
}

#[sward::main(mode = "anchored", workers = 2)]
fn anchored_main() -> bool {
    is_roaming()
}

#[sward::main(
    workers = 2,
    // SAFETY: no thread-local is used in it.
    unsafe(mode = "roaming")
)]
fn roaming_main() -> bool {
    is_roaming()
}

fn is_roaming() -> bool {
    format!("{:?}", Handle::current()).contains("roaming: true")
}

#[test]
fn main_runs_in_the_mode_that_is_vouched_for() {
    assert!(!anchored_main());
    assert!(roaming_main());
}

#[sward::test(
    workers = [2, 8],
    // SAFETY: no thread-local is used in it.
    unsafe(mode = "roaming")
)]
fn a_test_in_roaming_mode() {
    assert!(is_roaming());
    thread::spawn(thread::yield_now).join().unwrap();
}

#[sward::test(mode = "anchored")]
fn a_test_in_anchored_mode() {
    assert!(!is_roaming());
}

#[test]
fn main_returns_what_its_body_does() {
    assert_eq!(main_with_three_workers(), 3);
    assert_eq!(plain_main(), Ok(7));
}

#[sward::test]
fn a_test_is_on_a_green_thread() {
    assert_eq!(thread::current().name(), Some("main"));
    assert_eq!(Handle::current().workers(), 2);
}

#[sward::test(workers = [1, 8], timeout = "30s")]
fn a_test_for_each_number() -> Result<(), ParseIntError> {
    assert!([1, 8].contains(&Handle::current().workers()));
    "7".parse::<u32>().map(drop)
}

#[sward::test(workers = [1, 2])]
#[expect(unused_variables, reason = "an attribute is the body's")]
#[should_panic(expected = "on purpose")]
fn attributes_of_a_list_of_tests() {
    crate::common::quiet_panics();
    let unused = 1;
    panic!("on purpose");
}

#[sward::test(timeout = "5ms")]
#[should_panic(expected = "the test has not ended after 5ms, with 2 workers")]
fn a_test_that_waits_for_ever_fails() {
    thread::sleep(Duration::MAX);
}

#[test]
fn a_test_that_waits_for_ever_says_what_each_green_thread_waits_for() {
    const LINE: u32 = line!() + 2;
    fn waits() {
        thread::spawn(thread::park).join().unwrap();
    }
    let place = format!("at tests/attributes.rs:{LINE}:9 by ThreadId(");
    // On a busy machine time may be up before the spawn.
    let says_so =
        |millis| panics(|| sward::__private::test(Builder::new(), 2, millis, waits)).contains(&place);
    assert!([5, 500, 5_000].into_iter().any(says_so));
}

#[sward::test]
#[should_panic(expected = "on purpose")]
fn a_panic_is_the_tests() {
    crate::common::quiet_panics();
    thread::scope(|s| {
        s.spawn(|| ());
        panic!("on purpose");
    });
}

/// One that neither waits nor yields, and does not end.
fn spawn_endless() {
    let runs = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&runs);
    drop(thread::spawn(move || {
        loop {
            theirs.store(true, SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
    }));
    while !runs.load(SeqCst) {
        thread::yield_now();
    }
}

#[test]
fn a_test_that_leaves_or_waits_beside_an_endless_green_thread_ends_its_process() {
    const TEST: &str = "a_test_that_leaves_or_waits_beside_an_endless_green_thread_ends_its_process";
    let waits = || {
        spawn_endless();
        thread::park();
    };
    match child_case().as_deref().and_then(|case| case.split_once(' ')) {
        Some((case, millis)) => {
            let short = Duration::from_millis(millis.parse().unwrap());
            let f = if case == "leaves" { spawn_endless } else { waits };
            sward::__private::test_within(Builder::new(), 2, short, short, f);
        }
        None => {
            for case in ["leaves", "waits"] {
                // On a busy machine time may be up before it has begun.
                let aborts = |millis| {
                    let output = child(TEST, &format!("{case} {millis}"));
                    let text = String::from_utf8_lossy(&output.stderr);
                    output.status.signal() == Some(libc::SIGABRT)
                        && text.contains("does not unwind, aborting")
                };
                assert!([50, 500, 5_000].into_iter().any(aborts), "{case}");
            }
        }
    }
}
