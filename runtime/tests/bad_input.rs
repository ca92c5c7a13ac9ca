//! Bad input and exhausted resources: a typed error or a documented panic, and nothing left behind.

use std::{
    error::Error,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::common::{
    Drops, child_case, child_succeeds, each_config, each_run, os_threads, until_os_threads_are_gone,
};
use sward_runtime::{
    cancel::Cancelled,
    driver::Driver,
    error::ShutDown,
    park::Batch,
    runtime::{Builder, Handle},
    thread,
};

/// The text of a panic.
#[track_caller]
fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it should have panicked") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a panic with a text")).to_owned(),
    }
}

#[test]
fn no_workers_are_too_few() {
    let error = Builder::new().workers(0).build().unwrap_err();
    assert!(error.is_invalid_setting() && !error.is_thread() && !error.is_driver());
    assert_eq!(error.to_string(), "a runtime needs at least one worker");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_million_workers_are_too_many() {
    for n in [4_097, 1_000_000, usize::MAX] {
        let error = Builder::new().workers(n).build().unwrap_err();
        assert!(error.is_invalid_setting());
        assert!(error.to_string().contains(&n.to_string()), "{error}");
    }
}

#[test]
fn a_runtimes_stack_size_is_rounded_up_or_refused() {
    let _watchdog = crate::common::Watchdog::new();
    for size in [(1 << 30) + 1, 1 << 40, usize::MAX] {
        let error = Builder::new().stack_size(size).build().unwrap_err();
        assert!(error.is_invalid_setting());
        assert!(error.source().is_some());
    }
    for size in [0, 1, 4_095, 16 << 10, (16 << 10) + 1, 1 << 20, 1 << 30] {
        let runtime = Builder::new().workers(1).stack_size(size).build().unwrap();
        assert_eq!(runtime.run(|| thread::spawn(|| format!("{}", 1)).join().unwrap()), "1");
    }
}

#[test]
fn a_green_threads_stack_size_is_rounded_up_or_refused() {
    each_run(|| {
        let drops = Drops::new();
        for size in [(1 << 30) + 1, usize::MAX] {
            let token = drops.token();
            let error = thread::Builder::new().stack_size(size).spawn(move || drop(token)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(drops.count(), 2);
        for size in [0, 1, 5_000, 100_000, 1 << 20, 1 << 30] {
            let deep = thread::Builder::new().stack_size(size).spawn(|| {
                thread::yield_now();
                format!("{}", 2)
            });
            assert_eq!(deep.unwrap().join().unwrap(), "2");
        }
    });
}

#[test]
fn a_large_stack_can_be_used_to_its_end() {
    fn fill(bytes: usize) -> usize {
        let frame = [1_u8; 4_096];
        let used = std::hint::black_box(&frame).len();
        if bytes <= 8_192 { used } else { used + fill(bytes - 8_192) }
    }
    each_run(|| {
        let deep = thread::Builder::new().stack_size(64 << 20).spawn(|| fill(60 << 20)).unwrap();
        assert_eq!(deep.join().unwrap(), (60 << 20) / 2);
    });
}

#[test]
fn run_on_a_green_thread_panics() {
    each_config(|config| {
        let runtime = config.build();
        let inner = config.build();
        runtime.run(|| {
            for text in [panic_text(|| sward_runtime::run(|| ())), panic_text(|| inner.run(|| ()))] {
                assert!(text.contains("`run` called on a green thread"), "{text}");
            }
            assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
        });
    });
}

#[test]
fn a_runtime_that_has_ended_takes_no_green_threads() {
    each_config(|config| {
        let runtime = config.build();
        let handle = runtime.handle();
        drop(runtime);
        let drops = Drops::new();

        let token = drops.token();
        let error = handle.try_spawn(move || drop(token)).unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<ShutDown>()), "{error}");
        assert_eq!(drops.count(), 1);

        let token = drops.token();
        let cancelled = handle.spawn(move || drop(token));
        assert!(cancelled.is_finished());
        assert_eq!(drops.count(), 2);
        cancelled.thread().unpark();
        assert!(cancelled.join().unwrap_err().is::<Cancelled>());

        // The same from a green thread of another runtime.
        config.build().run(|| {
            let token = drops.token();
            assert!(handle.spawn(move || drop(token)).join().unwrap_err().is::<Cancelled>());
            assert!(handle.try_spawn(|| ()).is_err());
        });
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_suspension_inside_no_suspend_panics_and_leaves_the_green_thread_usable() {
    each_run(|| {
        let ended = thread::spawn(|| 1);
        crate::common::wait_until(|| ended.is_finished());
        let suspensions: [(&str, fn()); 6] = [
            ("park", thread::park),
            ("park_timeout", || thread::park_timeout(Duration::from_millis(1))),
            ("yield_now", thread::yield_now),
            ("sleep", || thread::sleep(Duration::from_millis(1))),
            ("join", || thread::spawn(thread::park).join().unwrap()),
            ("unblock", || sward_runtime::unblock(|| ())),
        ];
        for (name, suspension) in suspensions {
            let text = panic_text(|| thread::no_suspend(suspension));
            assert!(text.contains("no_suspend"), "{name}: {text}");
            // Each of them works again.
            thread::yield_now();
            thread::sleep(Duration::from_micros(10));
            thread::current().unpark();
            thread::park();
            assert_eq!(thread::spawn(|| 2).join().unwrap(), 2);
        }
        // What need not wait is allowed, nested as well.
        let sum = thread::no_suspend(|| thread::no_suspend(|| 1) + ended.join().unwrap());
        assert_eq!(sum, 2);
        thread::no_suspend(|| {
            thread::current().unpark();
            for _ in 0..1_000 {
                sward_runtime::budget::spend();
            }
        });
        thread::park();
    });
}

#[test]
fn no_suspend_on_an_os_thread_forbids_nothing() {
    let _watchdog = crate::common::Watchdog::new();
    assert_eq!(
        thread::no_suspend(|| {
            thread::yield_now();
            thread::sleep(Duration::from_micros(1));
            7
        }),
        7
    );
}

#[test]
fn a_scope_inside_no_suspend_still_outlives_its_children() {
    // The wait for the children cannot be given up, so this cannot be a panic that lets the frame go. It may end the process,
    // which is why it runs in another one.
    const TEST: &str = "a_scope_inside_no_suspend_still_outlives_its_children";
    match child_case() {
        None => {
            for mode in crate::common::modes() {
                let output = crate::common::child(TEST, if mode { "roaming" } else { "anchored" });
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(!text.contains("USE AFTER END"), "{text}");
            }
        }
        Some(case) => {
            let runtime = crate::common::Config { workers: 1, roaming: case == "roaming" }.build();
            runtime.run(|| {
                let alive = Arc::new(std::sync::atomic::AtomicBool::new(true));
                let seen = Arc::clone(&alive);
                let frame =
                    crate::common::OnDrop(move || alive.store(false, std::sync::atomic::Ordering::SeqCst));
                let _ = catch_unwind(AssertUnwindSafe(move || {
                    let frame = frame;
                    thread::no_suspend(|| {
                        thread::scope(|s| {
                            s.spawn(|| {
                                let _borrowed = &frame;
                                if !seen.load(std::sync::atomic::Ordering::SeqCst) {
                                    say("USE AFTER END");
                                }
                            });
                        });
                    });
                }));
                (0..10).for_each(|_| thread::yield_now());
            });
        }
    }
}

/// Past the harness, which captures what is printed.
fn say(text: &str) {
    let _ = io::Write::write_all(&mut io::stdout(), text.as_bytes());
}

/// A driver that has nothing to watch.
struct Nothing;

impl Driver for Nothing {
    fn wait(&self, _timeout: Option<Duration>, _ready: &mut Batch) -> io::Result<()> {
        Ok(())
    }

    fn notify(&self) {}

    fn has_sources(&self) -> bool {
        false
    }

    fn close(&self, _ready: &mut Batch) {}
}

/// Another one.
struct Other(Nothing);

impl Driver for Other {
    fn wait(&self, timeout: Option<Duration>, ready: &mut Batch) -> io::Result<()> {
        self.0.wait(timeout, ready)
    }

    fn notify(&self) {}

    fn has_sources(&self) -> bool {
        false
    }

    fn close(&self, _ready: &mut Batch) {}
}

#[test]
fn a_driver_that_cannot_start_fails_the_build() {
    each_config(|config| {
        let prefix = format!("nodrv{}{}", config.workers, &config.mode()[..1]);
        let build = config
            .builder()
            .thread_name(prefix.clone())
            .driver(|| Err::<Nothing, _>(io::Error::from_raw_os_error(libc::EMFILE)));
        let error = build.build().unwrap_err();
        assert!(error.is_driver() && !error.is_thread() && !error.is_invalid_setting());
        assert!(error.to_string().starts_with("the driver could not be started"), "{error}");
        let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.raw_os_error(), Some(libc::EMFILE));
        until_os_threads_are_gone(&prefix);
    });
}

#[test]
fn a_driver_that_cannot_start_later_can_be_tried_again() {
    each_config(|config| {
        let runtime = config.build();
        let handle = runtime.handle();
        let failed = handle.driver(|| Err::<Nothing, _>(io::Error::from_raw_os_error(libc::EMFILE)));
        assert_eq!(failed.err().and_then(|error| error.raw_os_error()), Some(libc::EMFILE));
        let first = handle.driver(|| Ok(Nothing)).unwrap();
        let second =
            handle.driver(|| -> io::Result<Nothing> { unreachable!("there is one already") }).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert!(handle.driver(|| Ok(Other(Nothing))).is_err(), "the runtime has a driver of another kind");
        drop(runtime);
        let other = config.build().handle();
        assert!(other.driver(|| Ok(Nothing)).is_err(), "that runtime has ended");
    });
}

/// Lets the process start `more` OS threads at most.
fn limit_threads(more: u64) {
    // The superuser is exempt, so this becomes somebody else who runs nothing.
    // SAFETY: no arguments.
    let mut limit = if unsafe { libc::geteuid() } == 0 {
        // SAFETY: a number of a user.
        let changed = unsafe { libc::setuid(54_321) };
        assert_eq!(changed, 0, "{}", io::Error::last_os_error());
        os_threads("") as u64 + more
    } else {
        0 // whatever runs for this user is too much
    };
    if more == 0 {
        limit = 0;
    }
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: a valid record.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

#[test]
fn os_threads_that_cannot_be_started_fail_the_build_and_leave_none_behind() {
    const TEST: &str = "os_threads_that_cannot_be_started_fail_the_build_and_leave_none_behind";
    let Some(case) = child_case() else {
        for roaming in crate::common::modes() {
            // None at all; some of the workers; all of them, but not the poller thread.
            for more in [0, 3, 8] {
                child_succeeds(TEST, &format!("{} {more}", if roaming { "roaming" } else { "anchored" }));
            }
        }
        return;
    };
    let _watchdog = crate::common::Watchdog::new();
    let (mode, more) = case.split_once(' ').unwrap();
    let config = crate::common::Config { workers: 8, roaming: mode == "roaming" };
    limit_threads(more.parse().unwrap());
    for _ in 0..20 {
        let error = config.builder().thread_name("halfway").build().unwrap_err();
        assert!(error.is_thread() && !error.is_driver(), "{error}");
        assert!(error.to_string().starts_with("an OS thread could not be started"), "{error}");
        let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.raw_os_error(), Some(libc::EAGAIN));
        until_os_threads_are_gone("halfway");
    }
}

#[test]
fn the_default_runtime_that_cannot_be_started_is_an_error_and_is_tried_again() {
    const TEST: &str = "the_default_runtime_that_cannot_be_started_is_an_error_and_is_tried_again";
    if child_case().is_none() {
        return child_succeeds(TEST, "default");
    }
    let _watchdog = crate::common::Watchdog::new();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: there is room for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) }, 0);
    // The hard limit stays, so that the soft one can be raised again.
    let set = |soft: libc::rlim_t| {
        let limit = libc::rlimit { rlim_cur: soft, ..limit };
        // SAFETY: a valid record.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, 0);
    };
    // SAFETY: as in `limit_threads`.
    if unsafe { libc::geteuid() } == 0 {
        // SAFETY: a number of a user.
        assert_eq!(unsafe { libc::setuid(54_322) }, 0);
    }
    set(0);
    let drops = Drops::new();
    let token = drops.token();
    let error = thread::Builder::new().spawn(move || drop(token)).unwrap_err();
    assert_eq!(error.raw_os_error().or(Some(libc::EAGAIN)), Some(libc::EAGAIN));
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(drops.count(), 1);
    assert!(Handle::current_or_default().unwrap_err().is_thread());
    assert!(panic_text(|| thread::spawn(|| ())).contains("the default runtime could not be started"));
    set(limit.rlim_max);
    assert_eq!(thread::spawn(|| 3).join().unwrap(), 3);
}

#[test]
fn deadlines_at_the_ends_of_the_clock_do_no_harm() {
    each_run(|| {
        let mut far = Instant::now();
        let mut step = Duration::from_secs(1 << 40);
        while !step.is_zero() {
            match far.checked_add(step) {
                Some(farther) => far = farther,
                None => step /= 2,
            }
        }
        let sleeper = thread::spawn(move || {
            thread::park_timeout(far - Instant::now());
            1
        });
        let sleeper = sleeper.join_timeout(Duration::from_micros(100)).unwrap_err();
        sleeper.thread().unpark();
        assert_eq!(sleeper.join_timeout(far - Instant::now()).unwrap().unwrap(), 1);
    });
}

#[test]
fn a_name_with_a_null_byte_in_it_panics_as_with_std() {
    const TEXT: &str = "thread name may not contain interior null bytes";
    each_run(|| {
        let named = || thread::Builder::new().name("on\0purpose".to_owned());
        assert!(panic_text(|| drop(named().spawn(|| ()))).contains(TEXT));
        thread::scope(|s| assert!(panic_text(|| drop(named().spawn_scoped(s, || ()))).contains(TEXT)));
    });
}
