//! Waiting for children: many at once, with a limit, from elsewhere, cancelled; and what is left of them afterwards.

use std::{
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::common::{
    everywhere,
    process::{
        Returned, alone, descriptors, limit_descriptors, one_worker, open_the_poller, send, until_waiting,
        yield_until, zombies,
    },
    runtimes, settle, stress, watchdog,
};
use rustix::process::Signal;
use sward_io::process::{Child, Command, Stdio};
use sward_runtime::{
    cancel::{self, Cancelled},
    runtime::Builder,
    thread,
};

const NO_TIME: Duration = Duration::ZERO;

/// A child that runs until its input ends.
fn cat() -> io::Result<Child> {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

/// A child that runs until it is killed.
fn endless() -> io::Result<Child> {
    Command::new("sleep").arg("1000000").spawn()
}

#[test]
fn two_hundred_children_at_once_on_one_worker() {
    let _watchdog = watchdog();
    one_worker().run(|| {
        let waiters: Vec<_> = (0..200)
            .map(|i| {
                let mut child = Command::new("sh")
                    .args(["-c", &format!("read line; exit {}", i % 100)])
                    .stdin(Stdio::piped())
                    .spawn()
                    .expect("a child");
                let stdin = child.stdin.take().expect("piped");
                let waiter = thread::spawn(move || child.wait().expect("its own child").code());
                (stdin, waiter)
            })
            .collect();
        // All are there, and all are waited for, by the only worker.
        settle();
        assert!(waiters.iter().all(|(_, waiter)| !waiter.is_finished()));
        for (i, (stdin, waiter)) in (0..).zip(waiters) {
            drop(stdin);
            assert_eq!(waiter.join().expect("no panic"), Some(i % 100));
        }
    });
}

#[test]
fn who_waits_does_not_keep_the_worker() {
    let _watchdog = watchdog();
    one_worker().run(|| {
        let mut child = cat().expect("a child");
        let (stdin, mut stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let waiter = thread::spawn(move || child.wait().expect("its own child"));
        let reader = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        settle();
        (&stdin).write_all(b"through").expect("room");
        drop(stdin);
        assert_eq!(reader.join().expect("no panic").expect("read"), "through");
        assert!(waiter.join().expect("no panic").success());
    });
}

#[test]
fn a_child_is_waited_for_by_another_thread() {
    everywhere(|| {
        let mut child = cat()?;
        let stdin = child.stdin.take();
        let green = thread::spawn(move || child.wait().map(|status| (child, status)));
        drop(stdin);
        let (mut child, status) = green.join().expect("no panic")?;
        let os = std::thread::spawn(move || child.wait());
        assert_eq!(os.join().expect("no panic")?, status);
        Ok(())
    });
}

#[test]
fn a_child_is_killed_while_it_is_waited_for() {
    everywhere(|| {
        let mut child = endless()?;
        let pid = child.id();
        let waiter = thread::spawn(move || child.wait());
        until_waiting(&waiter, "Child");
        send(pid, Signal::KILL);
        assert_eq!(waiter.join().expect("no panic")?.signal(), Some(libc::SIGKILL));
        Ok(())
    });
}

#[test]
fn a_wait_with_a_limit_ends_and_another_succeeds() {
    everywhere(|| {
        let mut child = cat()?;
        let stdin = child.stdin.take();
        let start = Instant::now();
        assert_eq!(child.wait_timeout(Duration::from_millis(20))?, None);
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(child.wait_timeout(NO_TIME)?, None);
        drop(stdin);
        let status = child.wait_timeout(Duration::from_secs(1000))?.expect("long enough");
        assert!(status.success());
        assert_eq!(child.wait_timeout(NO_TIME)?, Some(status));
        Ok(())
    });
}

#[test]
fn a_child_that_has_ended_is_seen_without_waiting() {
    everywhere(|| {
        let mut child = cat()?;
        let mut stdout = child.stdout.take().expect("piped");
        drop(child.stdin.take());
        assert_eq!(stdout.read(&mut [0])?, 0, "its end, or nearly so");
        while child.wait_timeout(NO_TIME)?.is_none() {
            thread::yield_now();
        }
        Ok(())
    });
}

#[test]
fn a_child_may_write_more_than_a_pipe_holds_to_both_streams() {
    everywhere(|| {
        // The one is written before the other, and the other before the one.
        for script in [
            "head -c 300000 /dev/zero; head -c 400000 /dev/zero >&2",
            "head -c 400000 /dev/zero >&2; head -c 300000 /dev/zero",
        ] {
            let output = Command::new("sh").args(["-c", script]).output()?;
            assert!(output.status.success());
            assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 400_000));
        }
        Ok(())
    });
}

#[test]
fn a_child_may_be_written_to_and_read_from_at_once() {
    everywhere(|| {
        let mut child = cat()?;
        let (mut stdin, mut stdout) =
            (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let sent: Vec<u8> = (0..500_000_u32).map(|i| i.to_le_bytes()[i as usize % 3]).collect();
        let received = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let result = stdin.write_all(&sent);
                drop(stdin);
                result
            });
            let mut received = Vec::new();
            stdout.read_to_end(&mut received)?;
            writer.join().expect("no panic")?;
            io::Result::Ok(received)
        })?;
        assert!(received == sent);
        assert!(child.wait()?.success());
        Ok(())
    });
}

#[test]
fn a_cancelled_wait_leaves_the_status_to_the_next() {
    let _watchdog = watchdog();
    for limit in [None, Some(Duration::from_secs(1000))] {
        for runtime in runtimes() {
            let mut child = cat().expect("a child");
            let stdin = child.stdin.take();
            let (sender, returned) = mpsc::channel();
            let mut child = Returned(Some(child), sender);
            let waiter = runtime.handle().spawn(move || {
                let child = child.0.as_mut().expect("not returned yet");
                match limit {
                    None => child.wait().map(Some),
                    Some(limit) => child.wait_timeout(limit),
                }
            });
            until_waiting(&waiter, "Child");
            drop(runtime);
            assert!(waiter.join().expect_err("cancelled").is::<Cancelled>());

            // In another runtime, and outside.
            let mut child = returned.recv().expect("returned while unwinding");
            assert_eq!(child.wait_timeout(NO_TIME).expect("its own child"), None);
            drop(stdin);
            let other = Builder::new().workers(1).build().expect("a runtime");
            let status = other.run(|| child.wait()).expect("its own child");
            assert!(status.success());
            assert_eq!(child.wait().expect("remembered"), status);
        }
    }
}

#[test]
fn a_cancelled_read_leaves_what_comes_to_std() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let mut child = cat().expect("a child");
        let mut stdin = child.stdin.take().expect("piped");
        let (sender, returned) = mpsc::channel();
        let mut stdout = Returned(child.stdout.take(), sender);
        let reader =
            runtime.handle().spawn(move || stdout.0.as_mut().expect("not returned yet").read(&mut [0; 8]));
        until_waiting(&reader, "Readable");
        drop(runtime);
        assert!(reader.join().expect_err("cancelled").is::<Cancelled>());
        stdin.write_all(b"late").expect("room");
        drop(stdin);
        let stdout = std::process::ChildStdout::from(returned.recv().expect("returned while unwinding"));
        assert_eq!(io::read_to_string(stdout).expect("read"), "late");
        assert!(child.wait().expect("its own child").success());
    }
}

#[test]
fn what_is_shielded_waits_also_while_the_runtime_ends() {
    /// Ends its child in an orderly way.
    struct Service(Option<Child>, mpsc::Sender<Option<i32>>);
    impl Drop for Service {
        fn drop(&mut self) {
            let mut child = self.0.take().expect("dropped once");
            drop(child.stdin.take());
            let status = cancel::shield(|| child.wait()).expect("its own child");
            let _ = self.1.send(status.code());
        }
    }
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (sender, status) = mpsc::channel();
        let script = "read line; exit 5";
        let child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().expect("a child");
        let service = Service(Some(child), sender);
        let waiter = runtime.handle().spawn(move || {
            let _service = service;
            thread::park();
        });
        until_waiting(&waiter, "Park");
        drop(runtime);
        assert!(waiter.join().is_err());
        assert_eq!(status.recv().expect("sent"), Some(5));
    }
}

#[test]
fn a_child_that_is_dropped_runs_on() {
    alone("a_child_that_is_dropped_runs_on", || {
        everywhere(|| {
            let mut child = cat()?;
            let (stdin, mut stdout) =
                (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
            drop(child);
            (&stdin).write_all(b"still there")?;
            drop(stdin);
            assert_eq!(io::read_to_string(&mut stdout)?, "still there");
            Ok(())
        });
        // And is left behind when it has ended, as in `std`.
        yield_until(|| zombies() == 7);
    });
}

#[test]
fn a_child_that_is_to_be_killed_is_gone_when_it_is_dropped() {
    alone("a_child_that_is_to_be_killed_is_gone_when_it_is_dropped", || {
        let is_there = |pid: u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
        everywhere(|| {
            let mut child = endless()?;
            child.kill_on_drop(true);
            let pid = child.id();
            assert!(is_there(pid));
            drop(child);
            assert!(!is_there(pid), "not even as a zombie");

            let mut child = Command::new("sleep").arg("1000000").kill_on_drop(true).spawn()?;
            let pid = child.id();
            child.kill_on_drop(false);
            drop(child);
            assert!(is_there(pid));
            send(pid, Signal::KILL);

            // One that has been waited for is left alone: its number may be another's.
            let mut child = Command::new("true").kill_on_drop(true).spawn()?;
            child.wait()?;
            drop(child);
            Ok(())
        });
    });
}

#[test]
fn a_cancelled_command_kills_its_child_if_told_to() {
    alone("a_cancelled_command_kills_its_child_if_told_to", || {
        for runtime in runtimes() {
            let before = zombies();
            for how in ["status", "output"] {
                let waiter = move || {
                    // The pipe makes known that the child runs, and that it has ended.
                    let (mut reader, writer) = sward_io::io::pipe().expect("a pipe");
                    let mut command = Command::new("sh");
                    command.args(["-c", "echo; exec sleep 1000000"]).stdout(writer).kill_on_drop(true);
                    let runner = thread::spawn(move || {
                        if how == "status" { command.status().map(drop) } else { command.output().map(drop) }
                    });
                    reader.read_exact(&mut [0]).expect("it runs");
                    drop(runner);
                    reader
                };
                let reader = runtime.run(waiter);
                drop(reader);
            }
            drop(runtime);
            assert_eq!(zombies(), before, "killed and reaped before the runtime was gone");
        }
        assert_eq!(zombies(), 0);
    });
}

#[test]
fn nothing_is_left_of_children_that_were_waited_for() {
    alone("nothing_is_left_of_children_that_were_waited_for", || {
        for runtime in runtimes() {
            let round = || {
                for _ in 0..stress(5) {
                    let mut child = cat().expect("a child");
                    assert_eq!(child.try_wait().expect("its own child"), None);
                    child.wait().expect("its own child");
                    assert!(Command::new("echo").output().expect("a child").status.success());
                    let mut killed = endless().expect("a child");
                    killed.kill_on_drop(true);
                }
            };
            // What the runtime itself needs is there after these.
            runtime.run(open_the_poller);
            runtime.run(round);
            let before = descriptors();
            runtime.run(round);
            assert_eq!(descriptors(), before);
            assert_eq!(zombies(), 0);
        }
    });
}

#[test]
fn a_child_is_waited_for_without_descriptors_left() {
    alone("a_child_is_waited_for_without_descriptors_left", || {
        for runtime in runtimes() {
            let mut child = endless().expect("a child");
            // The runtime needs descriptors of its own, to begin with.
            assert_eq!(runtime.run(|| child.wait_timeout(NO_TIME)).expect("its own child"), None);
            let limit = limit_descriptors(0);
            runtime.run(|| {
                let start = Instant::now();
                assert_eq!(child.wait_timeout(Duration::from_millis(20)).expect("its own child"), None);
                assert!(start.elapsed() >= Duration::from_millis(20));
                child.kill().expect("its own child");
                assert!(!child.wait().expect("its own child").success());
            });
            drop(limit);
        }
    });
}

#[test]
fn a_child_that_others_have_reaped_is_an_error() {
    alone("a_child_that_others_have_reaped_is_an_error", || {
        // SAFETY: no handler, but the kernel's word that nobody waits for children.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        everywhere(|| {
            let mut child = Command::new("true").spawn()?;
            assert_eq!(child.wait().expect_err("reaped").raw_os_error(), Some(libc::ECHILD));
            assert_eq!(child.try_wait().expect_err("reaped").raw_os_error(), Some(libc::ECHILD));
            Ok(())
        });
    });
}

#[test]
fn children_come_and_go_on_all_workers() {
    everywhere(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for i in 0..stress(10) {
                            let script = format!("echo {i}; exit {}", i % 5);
                            let output = Command::new("sh").args(["-c", &script]).output()?;
                            assert_eq!(output.stdout, format!("{i}\n").into_bytes());
                            assert_eq!(output.status.code(), i32::try_from(i % 5).ok());
                        }
                        io::Result::Ok(())
                    })
                })
                .collect();
            for thread in threads {
                thread.join().expect("no panic")?;
            }
            Ok(())
        })
    });
}
