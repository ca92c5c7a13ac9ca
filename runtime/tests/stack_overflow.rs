//! A stack that overflows ends the process with a message that names the green thread; every other fault is left alone.
//!
//! The faults happen in child processes.

use std::{hint::black_box, io, os::unix::process::ExitStatusExt, process::Output};

use crate::common::{Config, child, child_case};
use sward_runtime::thread;

/// Runs `fault` in a child process, once for each mode, and hands what came of it to `check`.
#[track_caller]
fn in_child(test: &str, fault: impl Fn(Config), check: impl Fn(&Output, &str)) {
    if let Some(case) = child_case() {
        no_core_dump();
        fault(Config { workers: 2, roaming: case == "roaming" });
        // Reached only if nothing happened, which the parent sees.
        return;
    }
    for roaming in crate::common::modes() {
        let output = child(test, if roaming { "roaming" } else { "anchored" });
        let message = String::from_utf8_lossy(&output.stderr);
        check(&output, &message);
    }
}

fn no_core_dump() {
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid record.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
}

#[track_caller]
fn names_it_and_aborts(output: &Output, message: &str, name: &str) {
    assert!(message.contains(&format!("green thread '{name}'")), "{message}");
    assert!(message.contains("has overflowed its stack"), "{message}");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{message}");
}

/// Recursion without end, in frames of 512 bytes or so.
#[inline(never)]
#[expect(unconditional_recursion, reason = "on purpose")]
fn recurse(n: u64) -> u64 {
    let frame = [n; 64];
    black_box(&frame);
    recurse(n + 1) + black_box(frame)[0]
}

/// A named green thread, which runs `f` between others.
fn run_named(config: Config, name: &str, f: fn()) {
    config.build().run(|| {
        let others: Vec<_> = (0..10).map(|_| thread::spawn(thread::park)).collect();
        thread::yield_now();
        let named = thread::Builder::new().name(name.into()).spawn(f).unwrap();
        named.join().unwrap();
        drop(others);
    });
}

#[test]
fn the_message_names_the_green_thread() {
    in_child(
        "the_message_names_the_green_thread",
        |config| {
            run_named(config, "bottomless pit", || {
                recurse(0);
            });
        },
        |output, message| names_it_and_aborts(output, message, "bottomless pit"),
    );
}

#[test]
fn one_without_a_name_is_told_by_its_number() {
    in_child(
        "one_without_a_name_is_told_by_its_number",
        |config| {
            config.build().run(|| {
                let unnamed = thread::spawn(|| {
                    let id = format!("{:?}", thread::current().id());
                    io::Write::write_all(&mut io::stderr(), id.as_bytes()).unwrap();
                    recurse(0)
                });
                unnamed.join().unwrap();
            });
        },
        |output, message| {
            names_it_and_aborts(output, message, "<unnamed>");
            let (_, id) = message.split_once("ThreadId(").expect("the child says the id");
            let id = id.split(')').next().unwrap();
            assert!(message.contains(&format!("(id {id})")), "{message}");
        },
    );
}

#[test]
fn one_that_was_suspended_before_is_named_as_well() {
    in_child(
        "one_that_was_suspended_before_is_named_as_well",
        |config| {
            run_named(config, "traveller", || {
                for _ in 0..100 {
                    thread::yield_now();
                }
                thread::sleep(std::time::Duration::from_millis(1));
                recurse(0);
            });
        },
        |output, message| names_it_and_aborts(output, message, "traveller"),
    );
}

#[test]
fn a_small_stack_of_its_own_overflows_early() {
    /// Uses some 100 KiB, which fits a stack of the default size.
    #[inline(never)]
    fn use_a_lot() -> u8 {
        let frames = [1_u8; 100 << 10];
        black_box(&frames)[black_box(77)]
    }
    in_child(
        "a_small_stack_of_its_own_overflows_early",
        |config| {
            config.build().run(|| {
                assert_eq!(thread::spawn(use_a_lot).join().unwrap(), 1);
                let small = thread::Builder::new().name("small".into()).stack_size(16 << 10);
                small.spawn(use_a_lot).unwrap().join().unwrap();
            });
        },
        |output, message| names_it_and_aborts(output, message, "small"),
    );
}

/// As a foreign function with a frame of 40 KiB would: moves the stack pointer at once, without touching what is between.
#[inline(never)]
fn foreign_frame() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the stack pointer is back where it was; what is written is below every live frame, or in the guard.
    unsafe {
        std::arch::asm!("sub rsp, 40960", "mov byte ptr [rsp], 1", "add rsp, 40960");
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("sub sp, sp, #10, lsl #12", "strb wzr, [sp]", "add sp, sp, #10, lsl #12");
    };
}

/// Goes down in small steps, with a foreign call at each.
#[inline(never)]
#[expect(unconditional_recursion, reason = "on purpose")]
fn recurse_with_foreign_calls(n: u64) -> u64 {
    let frame = [n; 64];
    black_box(&frame);
    foreign_frame();
    recurse_with_foreign_calls(n + 1) + black_box(frame)[0]
}

#[test]
fn a_deep_foreign_frame_does_not_step_over_the_guard() {
    in_child(
        "a_deep_foreign_frame_does_not_step_over_the_guard",
        |config| {
            run_named(config, "foreign", || {
                recurse_with_foreign_calls(0);
            });
        },
        |output, message| names_it_and_aborts(output, message, "foreign"),
    );
}

#[test]
fn a_deep_foreign_frame_hits_a_guard_made_with_mprotect_too() {
    in_child(
        "a_deep_foreign_frame_hits_a_guard_made_with_mprotect_too",
        |config| {
            let runtime = config.builder().mprotect_guards().build().unwrap();
            runtime.run(|| {
                let named = thread::Builder::new().name("protected".into());
                named.spawn(|| recurse_with_foreign_calls(0)).unwrap().join().unwrap();
            });
        },
        |output, message| names_it_and_aborts(output, message, "protected"),
    );
}

#[test]
fn an_overflow_while_it_unwinds_is_named_too() {
    in_child(
        "an_overflow_while_it_unwinds_is_named_too",
        |config| {
            run_named(config, "falling", || {
                crate::common::quiet_panics();
                let _deep = crate::common::OnDrop(|| {
                    recurse(0);
                });
                panic!("on purpose");
            });
        },
        |output, message| names_it_and_aborts(output, message, "falling"),
    );
}

#[test]
fn an_overflow_of_an_os_thread_has_the_message_of_std() {
    in_child(
        "an_overflow_of_an_os_thread_has_the_message_of_std",
        |config| {
            // The handler is there.
            let runtime = config.build();
            runtime.run(|| thread::spawn(|| ()).join().unwrap());
            let plain = std::thread::Builder::new().name("plain".into()).spawn(|| recurse(0)).unwrap();
            plain.join().unwrap();
        },
        |output, message| {
            assert!(message.contains("thread 'plain'"), "{message}");
            assert!(message.contains("has overflowed its stack"), "{message}");
            assert!(!message.contains("green thread"), "{message}");
            assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{message}");
        },
    );
}

#[test]
fn a_fault_elsewhere_on_a_green_thread_is_a_segmentation_fault() {
    in_child(
        "a_fault_elsewhere_on_a_green_thread_is_a_segmentation_fault",
        |config| {
            run_named(config, "stray", || {
                let nowhere = std::ptr::without_provenance_mut::<u8>(black_box(8));
                // SAFETY: none: the fault is the subject. Nothing is ever mapped there.
                unsafe { nowhere.write_volatile(1) };
            });
        },
        |output, message| {
            assert!(!message.contains("overflowed"), "{message}");
            assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{message}");
        },
    );
}

#[test]
fn a_fault_on_an_os_thread_is_a_segmentation_fault() {
    in_child(
        "a_fault_on_an_os_thread_is_a_segmentation_fault",
        |config| {
            let _runtime = config.build();
            let nowhere = std::ptr::without_provenance::<u8>(black_box(8));
            // SAFETY: as above.
            let _ = unsafe { nowhere.read_volatile() };
        },
        |output, message| {
            assert!(!message.contains("overflowed"), "{message}");
            assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{message}");
        },
    );
}
