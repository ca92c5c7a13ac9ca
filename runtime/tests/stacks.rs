//! Stacks: what happens when there are no more, what a parked green thread costs, and that memory is given back.
//!
//! Limits and memory are the process's, so each case runs in a child.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{Config, Watchdog, child_case, child_succeeds, modes, stress, wait_until};
use sward_runtime::{
    error::StackShortage,
    runtime::{Handle, Runtime},
    thread,
};

/// Runs `body` in a child process for each mode, with two workers.
#[track_caller]
fn in_children(test: &str, body: impl Fn(Config)) {
    match child_case() {
        None => {
            for roaming in modes() {
                child_succeeds(test, if roaming { "roaming" } else { "anchored" });
            }
        }
        Some(case) => {
            let _watchdog = Watchdog::new();
            body(Config { workers: 2, roaming: case == "roaming" });
        }
    }
}

/// A number of pages of /proc/self/statm in bytes: 0 is the address space, 1 what is resident.
fn memory(column: usize) -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("/proc is not mounted");
    let pages: usize = statm.split(' ').nth(column).unwrap().parse().unwrap();
    pages * 4_096
}

/// Lets the address space grow by `more` bytes at most.
fn limit_address_space(more: usize) {
    let limit = (memory(0) + more) as libc::rlim_t;
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: a valid record.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Whether the calling green thread is told that there are no stacks.
fn is_short() -> bool {
    match thread::Builder::new().spawn(|| ()) {
        Ok(_) => false,
        Err(error) => {
            assert!(error.get_ref().is_some_and(|inner| inner.is::<StackShortage>()), "{error}");
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            true
        }
    }
}

/// Spawns `n` that park, more than there can be stacks for; sees to it that the shortage is told, releases them, and counts.
fn outlives_a_shortage(runtime: &Runtime, n: usize) {
    let (parked, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let release = Arc::new(AtomicBool::new(false));
    let handle = runtime.handle();
    // This one has its stack before the others come.
    let (go, wait) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (started, begin) = (Arc::clone(&wait), Arc::clone(&go));
    let witness = handle.spawn(move || {
        started.store(true, SeqCst);
        while !begin.load(SeqCst) {
            thread::sleep(Duration::from_micros(100));
        }
        while !is_short() {
            thread::sleep(Duration::from_micros(100));
        }
        // `spawn` has no error to return: what it spawns waits, and is not lost.
        thread::spawn(|| 1)
    });
    wait_until(|| wait.load(SeqCst));

    let crowd: Vec<_> = (0..n)
        .map(|i| {
            let (parked, ended, release) = (Arc::clone(&parked), Arc::clone(&ended), Arc::clone(&release));
            handle.spawn(move || {
                parked.fetch_add(1, SeqCst);
                while !release.load(SeqCst) {
                    thread::park();
                }
                ended.fetch_add(1, SeqCst);
                i
            })
        })
        .collect();
    go.store(true, SeqCst);
    let waits_for_a_stack = witness.join().unwrap();
    assert!(parked.load(SeqCst) < n, "there were stacks for all of them: nothing was tested");

    release.store(true, SeqCst);
    crowd.iter().for_each(|handle| handle.thread().unpark());
    for (i, handle) in crowd.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), i);
    }
    assert_eq!(ended.load(SeqCst), n);
    assert_eq!(waits_for_a_stack.join().unwrap(), 1);
    // The shortage is over.
    handle.spawn(|| wait_until(|| !is_short())).join().unwrap();
    wait_until(|| handle.live() == 0);
}

#[test]
fn when_address_space_runs_out_green_threads_wait_for_a_stack() {
    in_children("when_address_space_runs_out_green_threads_wait_for_a_stack", |config| {
        let runtime = config.build();
        runtime.run(|| thread::spawn(|| ()).join().unwrap());
        limit_address_space(300 << 20);
        for _ in 0..stress(2) {
            outlives_a_shortage(&runtime, 5_000);
        }
    });
}

#[test]
fn a_shortage_of_large_stacks_ends_too() {
    in_children("a_shortage_of_large_stacks_ends_too", |config| {
        let runtime = config.builder().stack_size(16 << 20).build().unwrap();
        runtime.run(|| thread::spawn(|| ()).join().unwrap());
        limit_address_space(300 << 20);
        outlives_a_shortage(&runtime, 200);
    });
}

#[test]
fn when_guards_made_with_mprotect_run_out_green_threads_wait_for_a_stack() {
    in_children("when_guards_made_with_mprotect_run_out_green_threads_wait_for_a_stack", |config| {
        let runtime = config.builder().mprotect_guards().build().unwrap();
        let most = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
        let most: usize = most.trim().parse().unwrap();
        if most > 100_000 {
            // Some systems allow so many that memory would end first. Address space runs out in their place.
            limit_address_space(300 << 20);
            return outlives_a_shortage(&runtime, 5_000);
        }
        outlives_a_shortage(&runtime, most / 2 + 5_000);
    });
}

#[test]
fn a_runtime_is_dropped_in_the_middle_of_a_shortage() {
    in_children("a_runtime_is_dropped_in_the_middle_of_a_shortage", |config| {
        let runtime = config.build();
        let drops = crate::common::Drops::new();
        let handle = runtime.handle();
        let begun = Arc::new(AtomicUsize::new(0));
        runtime.run(|| thread::spawn(|| ()).join().unwrap());
        limit_address_space(300 << 20);
        let crowd: Vec<_> = (0..3_000)
            .map(|_| {
                let (token, begun) = (drops.token(), Arc::clone(&begun));
                handle.spawn(move || {
                    let _token = token;
                    begun.fetch_add(1, SeqCst);
                    thread::park();
                })
            })
            .collect();
        wait_until(|| begun.load(SeqCst) >= 100);
        drop(runtime);
        assert_eq!(drops.count(), 3_000);
        for handle in crowd {
            assert!(handle.join().unwrap_err().is::<sward_runtime::cancel::Cancelled>());
        }
    });
}

#[test]
fn a_green_thread_that_has_not_started_has_no_stack() {
    in_children("a_green_thread_that_has_not_started_has_no_stack", |config| {
        let runtime = Config { workers: 1, ..config }.build();
        runtime.run(|| {
            let before = memory(1);
            let n = 100_000;
            let handles: Vec<_> = (0..n).map(|_| thread::spawn(|| ())).collect();
            let each = (memory(1).saturating_sub(before)) / n;
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert!(each <= 600, "{each} bytes for each");
        });
    });
}

#[test]
fn parked_green_threads_take_a_page_each_and_give_it_back() {
    // In a debug build frames are larger, and each stack keeps account of more.
    let (n, bound) = if cfg!(debug_assertions) { (50_000, 9_000) } else { (1_000_000, 4_710) };
    in_children("parked_green_threads_take_a_page_each_and_give_it_back", |config| {
        let runtime = config.build();
        runtime.run(|| thread::spawn(|| ()).join().unwrap());
        let before = memory(1);
        let parked = Arc::new(AtomicUsize::new(0));
        let handle: Handle = runtime.handle();
        let mut crowd = Vec::with_capacity(n);
        for _ in 0..n {
            let parked = Arc::clone(&parked);
            let handle = handle.spawn(move || {
                parked.fetch_add(1, SeqCst);
                thread::park();
            });
            crowd.push(handle.thread().clone());
        }
        wait_until(|| parked.load(SeqCst) == n);
        wait_until(|| memory(1) > before);
        let own = n * size_of::<thread::Thread>();
        let each = (memory(1) - before - own) / n;
        assert!(each <= bound, "{each} bytes for each");

        crowd.iter().for_each(thread::Thread::unpark);
        drop(crowd);
        wait_until(|| handle.live() == 0);
        // What is left: allocator slack, and stacks that the workers keep warm. It is given back while they are idle.
        let kept = before + n * each / 5;
        while memory(1) > kept {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn stacks_are_used_again() {
    in_children("stacks_are_used_again", |config| {
        let runtime = config.build();
        let wave = || {
            let handles: Vec<_> = (0..1_000).map(|_| runtime.handle().spawn(thread::yield_now)).collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        };
        // All at once, as they never are again.
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let handles: Vec<_> = (0..1_000)
            .map(|_| {
                let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
                runtime.handle().spawn(move || {
                    begun.fetch_add(1, SeqCst);
                    wait_until(|| go.load(SeqCst));
                })
            })
            .collect();
        wait_until(|| begun.load(SeqCst) == 1_000);
        go.store(true, SeqCst);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        (0..10).for_each(|_| wave());
        let before = memory(0);
        (0..stress(100)).for_each(|_| wave());
        let grown = memory(0).saturating_sub(before);
        assert!(
            grown <= 256 << 20,
            "{grown} bytes of address space for the same 1,000 green threads over and over"
        );
    });
}
