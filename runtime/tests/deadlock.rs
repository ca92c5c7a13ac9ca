//! Deadlocks: reported where it is certain that nobody will go on, told as a doubt where it is not, and never while somebody will.
//!
//! A test process has threads of its harness. So the tests fork: the child has the one thread that forked, as a program has at its start.

use std::{
    io::{BufRead, BufReader},
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{Config, child, child_case, child_succeeds, configs, each_mode, stress};
use sward_runtime::{
    runtime::Runtime,
    thread::{self, JoinHandle},
    unblock,
};

fn build(config: Config) -> Runtime {
    config.builder().detect_deadlocks(true).build().expect("the runtime could not be built")
}

/// Runs `body` in a process with a single thread.
fn forked(body: impl FnOnce()) -> ExitStatus {
    // SAFETY: the harness of a child process waits for its only test, and holds no lock meanwhile.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // In place of a watchdog, which is a thread.
        // SAFETY: a number.
        unsafe { libc::alarm(60) };
        body();
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    ExitStatus::from_raw(status)
}

#[inline(never)]
fn wait_for_ever() {
    thread::park();
}

#[test]
fn a_program_in_which_nobody_can_go_on_is_ended_with_a_dump() {
    const TEST: &str = "a_program_in_which_nobody_can_go_on_is_ended_with_a_dump";
    if child_case().is_some() {
        for config in configs() {
            let status = forked(|| {
                build(config).run(|| {
                    let others: Vec<JoinHandle<_>> = (0..3).map(|_| thread::spawn(wait_for_ever)).collect();
                    // Their deadlines are over when they are looked at.
                    thread::sleep(Duration::from_millis(5));
                    others.into_iter().for_each(|other| other.join().unwrap());
                });
            });
            assert_eq!(status.signal(), Some(libc::SIGABRT), "{config:?}: {status}");
        }
        return;
    }
    let output = child(TEST, "alone");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("fatal error: a deadlock").count(), configs().count(), "{text}");
    assert_eq!(text.matches("4 green threads are alive").count(), configs().count(), "{text}");
    for part in ["'main'", "waits: Join", "waits: Park", "wait_for_ever", "deadlock.rs:"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

/// What ends by itself, however long it stands still before.
fn goes_on() {
    for _ in 0..stress(3) {
        // A deadline.
        thread::sleep(Duration::from_millis(40));
        // A call on the pool.
        unblock(|| std::thread::sleep(Duration::from_millis(40)));
        // An OS thread that is gone once it has woken somebody.
        let (main, woken) = (thread::current(), Arc::new(AtomicBool::new(false)));
        let theirs = Arc::clone(&woken);
        drop(std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(40));
            theirs.store(true, SeqCst);
            main.unpark();
        }));
        while !woken.load(SeqCst) {
            thread::park();
        }
    }
}

#[test]
fn a_program_that_goes_on_is_left_alone() {
    const TEST: &str = "a_program_that_goes_on_is_left_alone";
    if child_case().is_none() {
        return child_succeeds(TEST, "alone");
    }
    for config in configs() {
        let status = forked(|| build(config).run(goes_on));
        assert!(status.success(), "{config:?}: {status}");
    }
}

#[test]
fn a_program_without_a_run_is_left_alone() {
    const TEST: &str = "a_program_without_a_run_is_left_alone";
    if child_case().is_none() {
        return child_succeeds(TEST, "alone");
    }
    for config in configs() {
        let status = forked(|| {
            let runtime = build(config);
            // They wait for ever, as a daemon may whose program does something else.
            let daemon = runtime.run(|| thread::spawn(wait_for_ever));
            std::thread::sleep(Duration::from_millis(100));
            runtime.run(|| thread::sleep(Duration::from_millis(40)));
            drop(runtime);
            assert!(daemon.join().is_err());
        });
        assert!(status.success(), "{config:?}: {status}");
    }
}

#[test]
fn where_another_thread_may_help_there_is_a_warning() {
    // In a child process, for the standard error stream is the process's.
    const TEST: &str = "where_another_thread_may_help_there_is_a_warning";
    if child_case().is_none() {
        return child_succeeds(TEST, "alone");
    }
    each_mode(2, |config| {
        let (reader, writer) = std::io::pipe().unwrap();
        // SAFETY: both are open; the copy is nobody's but ours.
        let before = unsafe { libc::dup(2) };
        // SAFETY: as above; the stream is put back below.
        assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), 2) }, 2);
        drop(writer);
        let runtime = build(config);
        let helper = runtime.run(|| {
            let main = thread::current();
            let helper = std::thread::spawn(move || {
                let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
                let told = lines.any(|line| line.contains("warning: perhaps a deadlock: for 1s"));
                let main_is_told = lines.any(|line| line.contains("'main'") && line.contains("waits: Park"));
                main.unpark();
                told && main_is_told
            });
            wait_for_ever();
            helper
        });
        // SAFETY: as above.
        assert_eq!(unsafe { libc::dup2(before, 2) }, 2);
        // SAFETY: ours.
        unsafe { libc::close(before) };
        assert!(helper.join().unwrap());
    });
}

#[test]
fn the_warning_comes_once() {
    const TEST: &str = "the_warning_comes_once";
    if child_case().is_none() {
        return child_succeeds(TEST, "alone");
    }
    each_mode(2, |config| {
        let (reader, writer) = std::io::pipe().unwrap();
        // SAFETY: both are open; the copy is nobody's but ours.
        let before = unsafe { libc::dup(2) };
        // SAFETY: as above; the stream is put back below.
        assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), 2) }, 2);
        drop(writer);
        let (sender, warnings) = mpsc::channel();
        let listener = std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines().map(Result::unwrap);
            lines.filter(|line| line.starts_with("warning: ")).for_each(|line| sender.send(line).unwrap());
        });
        let helper = build(config).run(|| {
            let main = thread::current();
            let helper = std::thread::spawn(move || {
                let first = warnings.recv().unwrap();
                main.unpark();
                // It would come after a second.
                let second = warnings.recv_timeout(Duration::from_millis(1_500));
                main.unpark();
                assert!(first.contains("deadlock") && second.is_err(), "{first} {second:?}");
            });
            wait_for_ever();
            wait_for_ever();
            helper
        });
        // SAFETY: as above. The pipe's last writer is gone with it.
        assert_eq!(unsafe { libc::dup2(before, 2) }, 2);
        // SAFETY: ours.
        unsafe { libc::close(before) };
        listener.join().unwrap();
        helper.join().unwrap();
    });
}
