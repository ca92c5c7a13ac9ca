//! Violent ends: panics where none may be, and processes that exit, fork, or overflow a stack, in the middle of everything. What cannot go on
//! ends with a line that says why; what can is unharmed.
//!
//! Each happens in a child process. Where an abort is due, a child that goes on exits with zero, which its parent sees.

use std::{
    cell::Cell,
    hint::black_box,
    io,
    os::unix::process::ExitStatusExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{
    Config, OnDrop, Watchdog, child, child_case, child_succeeds, each_config, modes, quiet_panics, wait_until,
};
use sward_runtime::{
    cancel::Cancelled, driver::Driver, park::Batch, runtime::Runtime, thread, thread::State, unblock,
};

/// Runs `body` in a child process for each mode, with two workers, and hands what came of it to `check`.
#[track_caller]
fn in_children(test: &str, body: impl Fn(Config), check: impl Fn(&Output, &str)) {
    if let Some(case) = child_case() {
        let _watchdog = Watchdog::new();
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a valid record. No core dump is wanted.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
        return body(Config { workers: 2, roaming: case == "roaming" });
    }
    for roaming in modes() {
        let output = child(test, if roaming { "roaming" } else { "anchored" });
        let message = String::from_utf8_lossy(&output.stderr);
        check(&output, &message);
    }
}

/// The process has aborted, and said so.
fn aborts_with(words: &'static str) -> impl Fn(&Output, &str) {
    move |output, message| {
        assert!(message.contains(words), "{message}");
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{message}");
    }
}

/// A runtime with green threads that wait, yield and sleep.
fn with_others(config: Config) -> Runtime {
    let runtime = config.build();
    for i in 0..10 {
        runtime.handle().spawn(move || {
            loop {
                match i % 3 {
                    0 => thread::yield_now(),
                    1 => thread::sleep(Duration::from_micros(100)),
                    _ => thread::park(),
                }
            }
        });
    }
    runtime
}

#[test]
fn a_destructor_that_panics_amid_a_panic_aborts() {
    in_children(
        "a_destructor_that_panics_amid_a_panic_aborts",
        |config| {
            with_others(config).run(|| {
                let _bomb = OnDrop(|| {
                    thread::yield_now();
                    panic!("the second");
                });
                panic!("the first");
            });
        },
        aborts_with("the second"),
    );
}

#[test]
fn a_destructor_that_panics_amid_a_cancellation_aborts() {
    in_children(
        "a_destructor_that_panics_amid_a_cancellation_aborts",
        |config| {
            with_others(config).run(|| {
                let parked = thread::spawn(|| {
                    let _bomb = OnDrop(|| panic!("in a destructor"));
                    thread::park();
                });
                wait_until(|| matches!(parked.thread().state(), State::Waiting(_)));
                parked.cancel();
                let _ = parked.join();
            });
        },
        aborts_with("in a destructor"),
    );
}

/// A destructor may fail as long as it keeps that to itself.
#[test]
fn a_panic_that_a_destructor_catches_amid_a_cancellation_harms_nobody() {
    each_config(|config| {
        let runtime = with_others(config);
        runtime.run(|| {
            let handles: Vec<_> = (0..20)
                .map(|_| {
                    thread::spawn(|| {
                        let _fails = OnDrop(|| {
                            let caught = catch_unwind(AssertUnwindSafe(|| {
                                thread::yield_now();
                                panic!("{}", crate::common::ON_PURPOSE);
                            }));
                            assert!(caught.is_err());
                        });
                        thread::park();
                    })
                })
                .collect();
            let waits =
                |handle: &thread::JoinHandle<()>| matches!(handle.thread().state(), State::Waiting(_));
            wait_until(|| handles.iter().all(waits));
            handles.iter().for_each(thread::JoinHandle::cancel);
            handles.into_iter().for_each(|handle| assert!(handle.join().unwrap_err().is::<Cancelled>()));
        });
        drop(runtime);
    });
}

/// One of `std`'s: it belongs to the worker, whose OS thread ends with the runtime.
#[test]
fn a_thread_local_of_a_worker_that_panics_in_its_destructor_aborts() {
    struct Bomb(Cell<bool>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0.get(), "of a thread-local");
        }
    }
    std::thread_local!(static BOMB: Bomb = const { Bomb(Cell::new(false)) });
    in_children(
        "a_thread_local_of_a_worker_that_panics_in_its_destructor_aborts",
        |config| config.build().run(|| BOMB.with(|bomb| bomb.0.set(true))),
        aborts_with("of a thread-local"),
    );
}

#[test]
fn a_local_of_a_green_thread_that_panics_in_its_destructor_aborts() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("of a local");
        }
    }
    sward_runtime::thread_local!(static BOMB: Bomb = Bomb);
    in_children(
        "a_local_of_a_green_thread_that_panics_in_its_destructor_aborts",
        |config| {
            with_others(config).run(|| thread::spawn(|| BOMB.with(|_| ())).join().unwrap());
        },
        aborts_with("a green-thread local panicked in its destructor, aborting"),
    );
}

/// Recursion without end, in frames of 512 bytes or so.
#[inline(never)]
#[expect(unconditional_recursion, reason = "on purpose")]
fn recurse(n: u64) -> u64 {
    let frame = [n; 64];
    black_box(&frame);
    recurse(n + 1) + black_box(frame)[0]
}

/// Others wait for the locks that it holds, that of what the message is written to among them.
#[test]
fn an_overflow_under_locks_is_named_and_aborts() {
    in_children(
        "an_overflow_under_locks_is_named_and_aborts",
        |config| {
            let runtime = with_others(config);
            let lock = Arc::new(Mutex::new(()));
            let theirs = Arc::clone(&lock);
            let run = move || {
                let _lock = theirs.lock().unwrap();
                let (_out, _err) = (io::stdout().lock(), io::stderr().lock());
                recurse(0);
            };
            runtime.run(move || {
                let deep = thread::Builder::new().name("deep".into()).spawn(run).unwrap();
                deep.join().unwrap();
                drop(lock);
            });
        },
        aborts_with("green thread 'deep'"),
    );
}

#[test]
fn a_process_that_exits_on_a_green_thread_exits() {
    in_children(
        "a_process_that_exits_on_a_green_thread_exits",
        |config| with_others(config).run(|| std::process::exit(37)),
        |output, message| assert_eq!(output.status.code(), Some(37), "{message}"),
    );
}

/// A child that runs another program, and one that only exits: made as a shell would, on a green thread among others.
#[test]
fn a_fork_on_a_green_thread_harms_nobody() {
    fn fork(in_child: impl FnOnce()) -> i32 {
        // SAFETY: the child calls nothing but what is safe after a fork.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            in_child();
            // SAFETY: ends the process.
            unsafe { libc::_exit(38) };
        }
        assert!(pid > 0, "{}", io::Error::last_os_error());
        unblock(move || {
            let mut status = 0;
            // SAFETY: our own child.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            std::process::ExitStatus::from_raw(status).code().expect("it exits")
        })
    }
    const TEST: &str = "a_fork_on_a_green_thread_harms_nobody";
    if child_case().is_none() {
        return modes()
            .into_iter()
            .for_each(|roaming| child_succeeds(TEST, if roaming { "roaming" } else { "anchored" }));
    }
    each_config(|config| {
        let runtime = with_others(config);
        runtime.run(|| {
            for _ in 0..3 {
                let forks: Vec<_> = (0..3).map(|_| thread::spawn(|| fork(|| ()))).collect();
                forks.into_iter().for_each(|fork| assert_eq!(fork.join().unwrap(), 38));
                let code = fork(|| {
                    let path = c"/bin/sh".as_ptr();
                    let args = [path, c"-c".as_ptr(), c"exit 39".as_ptr(), std::ptr::null()];
                    // SAFETY: strings that end with a zero, in an array that ends with a null.
                    unsafe { libc::execv(path, args.as_ptr()) };
                });
                assert_eq!(code, 39);
                let status = unblock(|| Command::new("/bin/sh").args(["-c", "exit 40"]).status());
                assert_eq!(status.unwrap().code(), Some(40));
                assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
            }
        });
        drop(runtime);
    });
}

/// A driver that cannot wait, and panics when it is told to.
#[derive(Default)]
struct Broken {
    panics: Arc<AtomicBool>,
}

impl Driver for Broken {
    fn wait(&self, _timeout: Option<Duration>, _ready: &mut Batch) -> io::Result<()> {
        assert!(!self.panics.load(SeqCst), "in the driver");
        Err(io::Error::from_raw_os_error(libc::EBADF))
    }

    fn notify(&self) {}

    fn has_sources(&self) -> bool {
        true
    }

    fn close(&self, _ready: &mut Batch) {}
}

/// As when epoll fails.
#[test]
fn a_driver_that_cannot_wait_keeps_nobody_from_going_on() {
    each_config(|config| {
        let runtime = config.builder().driver(|| Ok(Broken::default())).build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let parked = runtime.handle().spawn(move || {
            sender.send(()).unwrap();
            thread::park();
            thread::sleep(Duration::from_millis(1));
            3
        });
        receiver.recv().unwrap();
        // Everybody may be asleep by now, in the driver's way.
        wait_until(|| matches!(parked.thread().state(), State::Waiting(_)));
        parked.thread().unpark();
        assert_eq!(parked.join().unwrap(), 3);
        let sum: usize = runtime.run(|| {
            let handles: Vec<_> = (0..50).map(|i| thread::spawn(move || i)).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).sum()
        });
        assert_eq!(sum, 1_225);
    });
}

#[test]
fn a_panic_inside_the_runtime_aborts_with_one_line() {
    in_children(
        "a_panic_inside_the_runtime_aborts_with_one_line",
        |config| {
            let panics = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&panics);
            let runtime = config.builder().driver(|| Ok(Broken { panics: theirs })).build().unwrap();
            runtime.run(|| {
                panics.store(true, SeqCst);
                thread::park();
            });
        },
        aborts_with("fatal runtime error: a runtime thread panicked outside any green thread, aborting\n"),
    );
}

/// The pool's threads: what was to run there waits until one can be had.
#[test]
fn calls_for_which_no_thread_can_be_had_are_made_later() {
    const TEST: &str = "calls_for_which_no_thread_can_be_had_are_made_later";
    let Some(mode) = child_case() else {
        return modes()
            .into_iter()
            .for_each(|roaming| child_succeeds(TEST, if roaming { "roaming" } else { "anchored" }));
    };
    let _watchdog = Watchdog::new();
    quiet_panics();
    let runtime = Config { workers: 2, roaming: mode == "roaming" }.build();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: there is room for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) }, 0);
    let set = |soft: libc::rlim_t| {
        let limit = libc::rlimit { rlim_cur: soft, ..limit };
        // SAFETY: a valid record.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, 0);
    };
    // SAFETY: a number of a user, since the superuser may start as many as he likes.
    assert!(unsafe { libc::geteuid() } != 0 || unsafe { libc::setuid(54_324) } == 0);
    set(0);
    assert!(std::thread::Builder::new().spawn(|| ()).is_err());
    let calls: Vec<_> = (0..20).map(|i| runtime.handle().spawn(move || unblock(move || i))).collect();
    wait_until(|| calls.iter().all(|call| matches!(call.thread().state(), State::Waiting(_))));
    // A cancelled one does not wait for it.
    let cancelled = runtime.handle().spawn(|| unblock(|| ()));
    wait_until(|| matches!(cancelled.thread().state(), State::Waiting(_)));
    cancelled.cancel();
    assert!(cancelled.join().unwrap_err().is::<Cancelled>());
    set(limit.rlim_max);
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(call.join().unwrap(), i);
    }
}
