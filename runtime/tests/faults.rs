//! Stacks and OS threads that cannot be had, now and then or for a while, and a clock that jumps or stands still. The faults are injected at the
//! seam of this crate (`src/seam.rs`), which the feature `fault-injection` opens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{
    Config, Drops, Watchdog, child_case, child_succeeds, each_config, each_mode, modes, os_threads, stress,
    until_os_threads_are_gone, wait_until,
};
use sward_runtime::{
    blocking,
    faults::{
        Call,
        Fault::{Fail, Late, Nothing},
        Plan, jump, stop_clock,
    },
    runtime::Runtime,
    thread::{self, State},
    time,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// The names of a runtime's OS threads begin so, and no other's.
fn prefix(test: &str, config: Config) -> String {
    format!("{test}{}{}-", &config.mode()[..1], config.workers)
}

/// Has `n` green threads run, all of which live at once, and each of which ends with its number; and their closures end with them.
fn all_run(runtime: &Runtime, n: usize) {
    let (drops, started) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
    let handles: Vec<_> = (0..n)
        .map(|i| {
            let (token, started) = (drops.token(), Arc::clone(&started));
            runtime.handle().spawn(move || {
                let _token = token;
                started.fetch_add(1, SeqCst);
                thread::park();
                i
            })
        })
        .collect();
    wait_until(|| started.load(SeqCst) == n);
    for (i, handle) in handles.into_iter().enumerate() {
        handle.thread().unpark();
        assert_eq!(handle.join().unwrap(), i);
    }
    assert_eq!(drops.count(), n);
}

#[test]
fn stacks_that_cannot_be_had_for_a_while_are_waited_for() {
    for call in [Call::Map, Call::Guard] {
        each_config(|config| {
            let prefix = prefix("fs", config);
            let runtime = config.builder().thread_name(&prefix).build().unwrap();
            let plan = Plan::new(call, &prefix, std::iter::repeat_n(Fail(libc::ENOMEM), 30));
            all_run(&runtime, 300);
            assert_eq!(plan.injected(), 30);
            drop(plan);
            all_run(&runtime, 300);
            drop(runtime);
            until_os_threads_are_gone(&prefix);
        });
    }
}

#[test]
fn stacks_that_cannot_be_had_now_and_then_are_tried_again() {
    each_config(|config| {
        let prefix = prefix("fn", config);
        let runtime = config.builder().thread_name(&prefix).build().unwrap();
        let faults = || (0..).map(|i| if i % 3 == 1 { Nothing } else { Fail(libc::ENOMEM) });
        let _map = Plan::new(Call::Map, &prefix, faults());
        let guard = Plan::new(Call::Guard, &prefix, faults());
        for _ in 0..stress(2) {
            all_run(&runtime, 500);
        }
        assert!(guard.injected() > 0);
    });
}

#[test]
fn a_runtime_ends_while_no_stack_can_be_had() {
    each_config(|config| {
        let prefix = prefix("fe", config);
        let runtime = config.builder().thread_name(&prefix).build().unwrap();
        // Until the end has begun, and some more.
        let handle = runtime.handle();
        let late = Arc::new(AtomicUsize::new(0));
        let fault = move |_| {
            let is_late = handle.is_ending() && late.fetch_add(1, SeqCst) > 20;
            if is_late { Nothing } else { Fail(libc::ENOMEM) }
        };
        let plan = Plan::new(Call::Map, &prefix, (0..).map(fault));
        let drops = Drops::new();
        let handles: Vec<_> = (0..50)
            .map(|_| {
                let token = drops.token();
                runtime.handle().spawn(move || drop(token))
            })
            .collect();
        wait_until(|| plan.injected() > 0);
        drop(runtime);
        // Each closure was dropped, unrun.
        assert_eq!(drops.count(), 50);
        handles.into_iter().for_each(|handle| assert!(handle.join().is_err()));
    });
}

#[test]
fn whichever_os_thread_cannot_be_started_the_build_fails_and_leaves_none() {
    each_config(|config| {
        let prefix = prefix("ft", config);
        // The last one is the poller thread.
        for failing in 0..=config.workers {
            let faults = std::iter::repeat_n(Nothing, failing).chain([Fail(libc::EAGAIN)]);
            let plan = Plan::new(Call::Thread, &prefix, faults);
            let error = config.builder().thread_name(&prefix).build().unwrap_err();
            assert!(error.is_thread(), "{error}");
            assert_eq!(plan.injected(), 1);
            until_os_threads_are_gone(&prefix);
        }
    });
}

/// Blocks a worker, perhaps with a word, and has another green thread release it.
fn block_and_release(runtime: &Runtime, says_so: bool) {
    let (sender, receiver) = mpsc::channel();
    let blocked = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&blocked);
    let stuck = runtime.handle().spawn(move || {
        let wait = || {
            theirs.store(true, SeqCst);
            receiver.recv().unwrap()
        };
        if says_so { blocking(wait) } else { wait() }
    });
    while !blocked.load(SeqCst) {
        std::thread::yield_now();
    }
    runtime.handle().spawn(move || sender.send(5).unwrap()).join().unwrap();
    assert_eq!(stuck.join().unwrap(), 5);
}

#[test]
fn spares_that_cannot_be_started_are_tried_again() {
    each_mode(1, |config| {
        let prefix = prefix("fp", config);
        let runtime = config.builder().thread_name(&prefix).build().unwrap();
        let plan = Plan::new(Call::Thread, &format!("{prefix}-spare"), [Fail(libc::EAGAIN); 3]);
        block_and_release(&runtime, true);
        assert_eq!(plan.injected(), 3);
        block_and_release(&runtime, false);
        drop(runtime);
        until_os_threads_are_gone(&prefix);
    });
}

/// One spare makes up for one worker, however long it takes to begin: it is not stuck itself meanwhile.
#[test]
fn a_spare_that_begins_late_is_waited_for() {
    each_mode(1, |config| {
        let prefix = prefix("fl", config);
        let runtime =
            config.builder().thread_name(&prefix).stall_after(Duration::from_millis(200)).build().unwrap();
        let spares = format!("{prefix}-spare");
        let plan = Plan::new(Call::Thread, &spares, [Late(Duration::from_millis(60))]);
        block_and_release(&runtime, false);
        assert_eq!((plan.injected(), os_threads(&spares)), (1, 1));
    });
}

/// Runs `body` in a child process for each mode: the clock is the process's.
#[track_caller]
fn with_a_clock_of_its_own(test: &str, body: impl Fn(Config)) {
    match child_case() {
        None => {
            for roaming in modes() {
                child_succeeds(test, if roaming { "roaming" } else { "anchored" });
            }
        }
        Some(case) => {
            let _watchdog = Watchdog::new();
            for workers in [1, 2, 8] {
                body(Config { workers, roaming: case == "roaming" });
            }
        }
    }
}

#[test]
fn a_clock_that_jumps_an_hour_ahead_ends_what_is_due_by_then() {
    with_a_clock_of_its_own("a_clock_that_jumps_an_hour_ahead_ends_what_is_due_by_then", |config| {
        let runtime = config.build();
        runtime.run(|| {
            let sleep = |duration| thread::spawn(move || thread::sleep(duration));
            let (due, later): (Vec<_>, Vec<_>) =
                (0..20).map(|i| (sleep(HOUR / 2 + Duration::from_secs(i)), sleep(HOUR * 5))).unzip();
            let limited = thread::spawn(|| time::timeout(HOUR / 2, thread::park).is_err());
            let ticks = thread::spawn(|| {
                let mut interval = time::interval(HOUR / 4);
                for _ in 0..3 {
                    interval.tick();
                }
            });
            let waits = |thread: &thread::Thread| matches!(thread.state(), State::Waiting(_));
            wait_until(|| due.iter().chain(&later).all(|handle| waits(handle.thread())));
            wait_until(|| waits(limited.thread()) && waits(ticks.thread()));
            jump(HOUR);
            // Workers that sleep would do so by the system's clock, which has not jumped: so each has something to do.
            let stop = Arc::new(AtomicBool::new(false));
            let hogs: Vec<_> = (0..config.workers)
                .map(|_| {
                    let stop = Arc::clone(&stop);
                    thread::spawn(move || wait_until(|| stop.load(SeqCst)))
                })
                .collect();
            due.into_iter().for_each(|handle| handle.join().unwrap());
            assert!(limited.join().unwrap());
            ticks.join().unwrap();
            assert!(later.iter().all(|handle| !handle.is_finished()));
            thread::sleep(Duration::from_millis(2));
            stop.store(true, SeqCst);
            hogs.into_iter().for_each(|hog| hog.join().unwrap());
            later.iter().for_each(thread::JoinHandle::cancel);
            later.into_iter().for_each(|handle| assert!(handle.join().is_err()));
        });
        all_run(&runtime, 50);
    });
}

#[test]
fn while_the_clock_stands_still_all_that_needs_no_time_goes_on() {
    with_a_clock_of_its_own("while_the_clock_stands_still_all_that_needs_no_time_goes_on", |config| {
        let runtime = config.build();
        stop_clock(true);
        let sleeper = runtime.handle().spawn(|| thread::sleep(Duration::from_millis(1)));
        for _ in 0..3 {
            all_run(&runtime, 100);
            runtime.run(|| (0..1_000).for_each(|_| thread::yield_now()));
        }
        wait_until(|| matches!(sleeper.thread().state(), State::Waiting(_)));
        assert!(!sleeper.is_finished());
        stop_clock(false);
        sleeper.join().unwrap();
        // A stall is found out again.
        block_and_release(&runtime, false);
        stop_clock(true);
        drop(runtime);
        stop_clock(false);
    });
}
