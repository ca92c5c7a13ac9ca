//! The end of a runtime: every green thread unwinds, every destructor runs once, every OS thread is gone, no matter what
//! happens meanwhile.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::common::{
    Drops, OnDrop, each_config, each_mode, os_threads, stress, until_os_threads_are_gone, wait_until,
};
use sward_runtime::{
    budget,
    cancel::{self, Cancelled},
    runtime::{Builder, Handle, Runtime},
    thread,
};

/// Spawns `n` green threads that own a token each and then `wait`; returns once all have started.
fn spawn_waiting(
    runtime: &Runtime,
    n: usize,
    drops: &Drops,
    wait: impl Fn() + Send + Copy + 'static,
) -> Vec<thread::JoinHandle<()>> {
    let started = Arc::new(AtomicUsize::new(0));
    let handles = (0..n)
        .map(|_| {
            let (token, started) = (drops.token(), Arc::clone(&started));
            runtime.handle().spawn(move || {
                let _token = token;
                started.fetch_add(1, SeqCst);
                wait();
            })
        })
        .collect();
    wait_until(|| started.load(SeqCst) == n);
    handles
}

/// Waits until the runtime is being dropped: from then on it takes no spawns from outside.
fn until_closed(handle: &Handle) {
    while handle.try_spawn(|| ()).is_ok() {
        std::thread::yield_now();
    }
}

fn all_were_cancelled(handles: Vec<thread::JoinHandle<()>>) {
    for handle in handles {
        assert!(handle.is_finished());
        assert!(handle.join().unwrap_err().is::<Cancelled>());
    }
}

#[test]
fn those_that_wait_or_yield_unwind() {
    each_config(|config| {
        let runtime = config.build();
        let drops = Drops::new();
        let mut handles = Vec::new();
        handles.extend(spawn_waiting(&runtime, 50, &drops, thread::park));
        handles.extend(spawn_waiting(&runtime, 50, &drops, || thread::sleep(Duration::from_secs(10_000))));
        handles.extend(spawn_waiting(&runtime, 50, &drops, || thread::park_timeout(Duration::MAX)));
        handles.extend(spawn_waiting(&runtime, 50, &drops, || {
            let child = thread::spawn(thread::park);
            if let Err(payload) = child.join() {
                resume_unwind(payload); // the child ended first
            }
        }));
        handles.extend(spawn_waiting(&runtime, 50, &drops, || {
            thread::scope(|s| {
                s.spawn(thread::park);
            });
            thread::park(); // the scope's own wait is not cancelled
        }));
        handles.extend(spawn_waiting(&runtime, 10, &drops, || {
            loop {
                thread::yield_now();
            }
        }));
        handles.extend(spawn_waiting(&runtime, 10, &drops, || {
            loop {
                budget::spend();
            }
        }));
        drop(runtime);
        assert_eq!(drops.count(), 270);
        all_were_cancelled(handles);
    });
}

#[test]
fn those_that_have_not_started_are_dropped_unrun() {
    each_mode(1, |config| {
        // With nobody to take over for the worker that is blocked.
        let runtime = config.builder().max_spares(0).build().unwrap();
        let (drops, runs) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
        let blocked = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&blocked);
        let (go, wait) = mpsc::channel::<()>();
        runtime.handle().spawn(move || {
            theirs.store(true, SeqCst);
            let _ = wait.recv(); // blocks the only worker
        });
        wait_until(|| blocked.load(SeqCst));
        let handles: Vec<_> = (0..100)
            .map(|_| {
                let (token, runs) = (drops.token(), Arc::clone(&runs));
                runtime.handle().spawn(move || {
                    let _token = token;
                    runs.fetch_add(1, SeqCst);
                })
            })
            .collect();
        let gate = runtime.handle();
        let dropper = std::thread::spawn(move || drop(runtime));
        until_closed(&gate);
        drop(go);
        dropper.join().unwrap();
        assert_eq!((drops.count(), runs.load(SeqCst)), (100, 0));
        all_were_cancelled(handles);
    });
}

#[test]
fn those_that_were_just_spawned_end_one_way_or_the_other() {
    each_config(|config| {
        for _ in 0..stress(20) {
            let runtime = config.build();
            let (drops, runs) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
            let handles: Vec<_> = (0..50)
                .map(|i| {
                    let (token, runs) = (drops.token(), Arc::clone(&runs));
                    runtime.handle().spawn(move || {
                        let _token = token;
                        if i % 2 == 0 {
                            thread::yield_now();
                        }
                        runs.fetch_add(1, SeqCst);
                    })
                })
                .collect();
            drop(runtime);
            assert_eq!(drops.count(), 50);
            let ok = handles.into_iter().filter_map(|handle| handle.join().ok()).count();
            assert_eq!(ok, runs.load(SeqCst));
        }
    });
}

#[test]
fn a_cancelled_green_thread_that_catches_is_cancelled_again() {
    each_config(|config| {
        let runtime = config.build();
        let caught = Arc::new(AtomicUsize::new(0));
        let (counted, drops) = (Arc::clone(&caught), Drops::new());
        let handles = spawn_waiting(&runtime, 1, &drops, || ());
        all_ended(handles);
        let started = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&started);
        let stubborn = runtime.handle().spawn(move || {
            theirs.store(true, SeqCst);
            for wait in [thread::park, thread::yield_now, || thread::sleep(Duration::from_secs(1_000))] {
                let outcome = catch_unwind(wait);
                assert!(outcome.unwrap_err().is::<Cancelled>());
                counted.fetch_add(1, SeqCst);
            }
            thread::park();
            unreachable!("the last wait is cancelled as well");
        });
        wait_until(|| started.load(SeqCst));
        drop(runtime);
        assert_eq!(caught.load(SeqCst), 3);
        let outcome: std::thread::Result<()> = stubborn.join();
        assert!(outcome.unwrap_err().is::<Cancelled>());
    });
}

fn all_ended(handles: Vec<thread::JoinHandle<()>>) {
    handles.into_iter().for_each(|handle| handle.join().unwrap());
}

#[test]
fn one_that_catches_and_returns_has_a_result() {
    each_config(|config| {
        let runtime = config.build();
        let started = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&started);
        let handle = runtime.handle().spawn(move || {
            theirs.store(true, SeqCst);
            catch_unwind(thread::park).is_err()
        });
        wait_until(|| started.load(SeqCst));
        drop(runtime);
        assert!(handle.join().unwrap());
    });
}

#[test]
fn the_panic_hook_hears_nothing_of_it() {
    // In a child process: the hook is the process's.
    const TEST: &str = "the_panic_hook_hears_nothing_of_it";
    if crate::common::child_case().is_none() {
        return crate::common::child_succeeds(TEST, "hook");
    }
    static HEARD: AtomicUsize = AtomicUsize::new(0);
    std::panic::set_hook(Box::new(|_| {
        HEARD.fetch_add(1, SeqCst);
    }));
    let runtime = Builder::new().workers(2).build().unwrap();
    let drops = Drops::new();
    let handles = spawn_waiting(&runtime, 20, &drops, thread::park);
    drop(runtime);
    let _ = std::panic::take_hook();
    all_were_cancelled(handles);
    assert_eq!(HEARD.load(SeqCst), 0);
}

#[test]
fn destructors_may_wait_while_they_unwind() {
    each_config(|config| {
        let runtime = config.build();
        let waited = Arc::new(AtomicUsize::new(0));
        let started = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let (waited, started) = (Arc::clone(&waited), Arc::clone(&started));
            runtime.handle().spawn(move || {
                let helper = thread::spawn(|| {
                    let _slow = OnDrop(|| thread::sleep(Duration::from_micros(300)));
                    thread::park();
                });
                let mut helper = Some(helper);
                let _check = OnDrop(move || {
                    let start = Instant::now();
                    thread::sleep(Duration::from_micros(200));
                    assert!(start.elapsed() >= Duration::from_micros(200));
                    thread::park_timeout(Duration::from_micros(50));
                    thread::yield_now();
                    thread::current().unpark();
                    thread::park();
                    assert!(helper.take().unwrap().join().unwrap_err().is::<Cancelled>());
                    waited.fetch_add(1, SeqCst);
                });
                started.fetch_add(1, SeqCst);
                thread::park();
            });
        }
        wait_until(|| started.load(SeqCst) == 20);
        drop(runtime);
        assert_eq!(waited.load(SeqCst), 20);
    });
}

#[test]
fn a_destructor_of_one_that_never_ran_may_wait() {
    each_mode(1, |config| {
        let waited = Arc::new(AtomicUsize::new(0));
        let runtime = config.build();
        let (go, wait) = mpsc::channel::<()>();
        let blocked = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&blocked);
        runtime.handle().spawn(move || {
            theirs.store(true, SeqCst);
            let _ = wait.recv();
        });
        wait_until(|| blocked.load(SeqCst));
        for _ in 0..10 {
            let waited = Arc::clone(&waited);
            let owned = OnDrop(move || {
                thread::sleep(Duration::from_micros(100));
                waited.fetch_add(1, SeqCst);
            });
            runtime.handle().spawn(move || {
                let _owned = owned;
            });
        }
        let gate = runtime.handle();
        let dropper = std::thread::spawn(move || drop(runtime));
        until_closed(&gate);
        drop(go);
        dropper.join().unwrap();
        assert_eq!(waited.load(SeqCst), 10);
    });
}

#[test]
fn destructors_of_locals_and_of_results_may_wait_during_the_end() {
    type Slow = OnDrop<Box<dyn FnMut() + Send>>;
    sward_runtime::thread_local!(static SLOW: std::cell::RefCell<Option<Slow>> = const { std::cell::RefCell::new(None) });
    each_config(|config| {
        let runtime = config.build();
        let (started, waited) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let slow = || {
            let waited = Arc::clone(&waited);
            OnDrop(Box::new(move || {
                thread::sleep(Duration::from_micros(100));
                waited.fetch_add(1, SeqCst);
            }) as Box<dyn FnMut() + Send>)
        };
        for _ in 0..10 {
            let (local, detached, scoped) = (slow(), slow(), slow());
            let started = Arc::clone(&started);
            drop(runtime.handle().spawn(move || {
                SLOW.set(Some(local));
                started.fetch_add(1, SeqCst);
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    thread::scope(|s| {
                        s.spawn(move || {
                            let _ = catch_unwind(thread::park);
                            scoped
                        });
                    });
                    thread::park();
                }));
                detached
            }));
        }
        wait_until(|| started.load(SeqCst) == 10);
        drop(runtime);
        assert_eq!(waited.load(SeqCst), 30);
    });
}

#[test]
fn waits_that_began_beside_an_unwinding_one_are_cancelled_too() {
    each_mode(1, |config| {
        crate::common::quiet_panics();
        let runtime = config.build();
        let drops = Drops::new();
        let tokens = [drops.token(), drops.token()];
        runtime.run(|| {
            let (unwinding, unwind) = (Arc::new(AtomicBool::new(false)), thread::current());
            let theirs = Arc::clone(&unwinding);
            let panics = thread::spawn(move || {
                let _slow = OnDrop(|| {
                    theirs.store(true, SeqCst);
                    unwind.unpark();
                    thread::park(); // in the middle of the unwinding
                });
                panic!("on purpose");
            });
            thread::park();
            assert!(unwinding.load(SeqCst));
            // Their waits begin while the worker's panic count is not zero.
            let started = Arc::new(AtomicUsize::new(0));
            for (limit, token) in [None, Some(Duration::from_secs(3600))].into_iter().zip(tokens) {
                let theirs = Arc::clone(&started);
                thread::spawn(move || {
                    let _token = token;
                    theirs.fetch_add(1, SeqCst);
                    limit.map_or_else(thread::park, thread::sleep);
                });
            }
            wait_until(|| started.load(SeqCst) == 2);
            panics.thread().unpark();
            let ended: std::thread::Result<()> = panics.join();
            assert!(ended.is_err());
        });
        drop(runtime);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_destructor_that_waits_for_one_whose_wait_is_doubtful_does_not_hang_the_end() {
    each_mode(1, |config| {
        crate::common::quiet_panics();
        let runtime = config.build();
        let started = Arc::new(AtomicUsize::new(0));
        let (waits, theirs) = (Arc::clone(&started), Arc::clone(&started));
        runtime.handle().spawn(move || {
            let _slow = OnDrop(|| {
                // It begins to wait beside our unwinding, and we wait for its end.
                let begun = Arc::clone(&theirs);
                let child = thread::spawn(move || {
                    begun.fetch_add(1, SeqCst);
                    thread::sleep(Duration::from_secs(3600));
                });
                let ended: std::thread::Result<()> = child.join();
                assert!(ended.is_err());
            });
            waits.fetch_add(1, SeqCst);
            panic!("on purpose");
        });
        wait_until(|| started.load(SeqCst) == 2);
        drop(runtime);
    });
}

#[test]
fn a_shield_holds_the_end_back() {
    each_config(|config| {
        let runtime = config.build();
        let (started, committed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (theirs, counted) = (Arc::clone(&started), Arc::clone(&committed));
        let handle = runtime.handle().spawn(move || {
            cancel::shield(|| {
                theirs.store(true, SeqCst);
                for _ in 0..10 {
                    thread::sleep(Duration::from_micros(200));
                    thread::yield_now();
                    cancel::shield(cancel::check);
                    counted.fetch_add(1, SeqCst);
                }
            });
            thread::park();
            unreachable!("outside the shield it ends");
        });
        wait_until(|| started.load(SeqCst));
        drop(runtime);
        assert_eq!(committed.load(SeqCst), 10);
        let outcome: std::thread::Result<()> = handle.join();
        assert!(outcome.unwrap_err().is::<Cancelled>());
        assert_eq!(cancel::shield(|| 3), 3, "on an OS thread it just runs");
    });
}

#[test]
fn a_shield_ends_with_its_closure_also_by_unwinding() {
    each_config(|config| {
        crate::common::quiet_panics();
        let runtime = config.build();
        let drops = Drops::new();
        let handles = spawn_waiting(&runtime, 5, &drops, || {
            let outcome = catch_unwind(|| cancel::shield(|| panic!("on purpose")));
            assert!(outcome.is_err());
            thread::park();
        });
        drop(runtime);
        all_were_cancelled(handles);
    });
}

#[test]
fn what_destructors_spawn_during_the_end_is_dropped_unrun() {
    each_config(|config| {
        let runtime = config.build();
        let (drops, runs) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
        let started = Arc::new(AtomicUsize::new(0));
        let refused = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let (inner, ran) = (drops.clone(), Arc::clone(&runs));
            let (started, refused) = (Arc::clone(&started), Arc::clone(&refused));
            runtime.handle().spawn(move || {
                let _check = OnDrop(|| {
                    let (token, ran) = (inner.token(), Arc::clone(&ran));
                    let late = thread::spawn(move || {
                        let _token = token;
                        ran.fetch_add(1, SeqCst);
                    });
                    assert!(late.join().unwrap_err().is::<Cancelled>());
                    let token = inner.token();
                    let error = thread::Builder::new().spawn(move || drop(token)).unwrap_err();
                    assert!(error.get_ref().is_some_and(|e| e.is::<sward_runtime::error::ShutDown>()));
                    refused.fetch_add(1, SeqCst);
                });
                started.fetch_add(1, SeqCst);
                thread::park();
            });
        }
        wait_until(|| started.load(SeqCst) == 20);
        drop(runtime);
        assert_eq!(refused.load(SeqCst), 20);
        assert_eq!(drops.count(), 40);
        assert_eq!(runs.load(SeqCst), 0);
    });
}

#[test]
fn os_threads_that_spawn_all_the_while_are_told_when_it_is_over() {
    each_config(|config| {
        for round in 0..stress(10) {
            let runtime = config.build();
            let (drops, runs) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
            let spawners: Vec<_> = (0..3)
                .map(|_| {
                    let (handle, drops, runs) = (runtime.handle(), drops.clone(), Arc::clone(&runs));
                    std::thread::spawn(move || {
                        let mut handles = Vec::new();
                        loop {
                            let (token, runs) = (drops.token(), Arc::clone(&runs));
                            let body = move || {
                                let _token = token;
                                thread::yield_now();
                                runs.fetch_add(1, SeqCst);
                            };
                            match handle.try_spawn(body) {
                                Ok(handle) => handles.push(handle),
                                Err(_) => return handles,
                            }
                        }
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_micros(100 * (round as u64 % 10)));
            drop(runtime);
            let mut spawned = 0;
            let mut ok = 0;
            for spawner in spawners {
                let handles = spawner.join().unwrap();
                spawned += handles.len();
                ok += handles.into_iter().filter_map(|handle| handle.join().ok()).count();
            }
            assert_eq!(drops.count(), spawned + 3, "three were refused");
            assert_eq!(ok, runs.load(SeqCst));
        }
    });
}

#[test]
fn os_threads_may_unpark_and_join_all_the_while() {
    each_config(|config| {
        for _ in 0..stress(10) {
            let runtime = config.build();
            let drops = Drops::new();
            let handles = spawn_waiting(&runtime, 50, &drops, || {
                for _ in 0..20 {
                    thread::park();
                }
            });
            let stop = Arc::new(AtomicBool::new(false));
            let threads: Vec<_> = handles.iter().map(|handle| handle.thread().clone()).collect();
            let theirs = Arc::clone(&stop);
            let unparker = std::thread::spawn(move || {
                while !theirs.load(SeqCst) {
                    threads.iter().for_each(thread::Thread::unpark);
                }
            });
            let joiner = std::thread::spawn(move || {
                handles.into_iter().for_each(|handle| match handle.join() {
                    Ok(()) => {}
                    Err(payload) => assert!(payload.is::<Cancelled>()),
                });
            });
            drop(runtime);
            stop.store(true, SeqCst);
            unparker.join().unwrap();
            joiner.join().unwrap();
            assert_eq!(drops.count(), 50);
        }
    });
}

#[test]
fn a_runtime_is_dropped_on_its_own_green_thread() {
    each_config(|config| {
        let drops = Drops::new();
        let prefix = format!("own{}{}", config.workers, &config.mode()[..1]);
        let runtime = config.builder().thread_name(prefix.clone()).build().unwrap();
        let others = spawn_waiting(&runtime, 20, &drops, thread::park);
        let handle = runtime.handle();
        let (token, shared) = (drops.token(), handle.clone());
        let dropper = handle.spawn(move || {
            let _token = token;
            drop(runtime);
            drop(shared);
            thread::park(); // unwinds, as those of the others do
        });
        let ended: std::thread::Result<()> = dropper.join();
        assert!(ended.unwrap_err().is::<Cancelled>());
        for other in others {
            assert!(other.join().unwrap_err().is::<Cancelled>());
        }
        assert_eq!(drops.count(), 21);
        until_os_threads_are_gone(&prefix);
    });
}

#[test]
fn a_runtime_is_dropped_on_the_green_thread_of_another() {
    each_config(|config| {
        let (outer, inner) = (config.build(), config.build());
        let drops = Drops::new();
        let handles = spawn_waiting(&inner, 20, &drops, thread::park);
        outer.run(move || {
            drop(inner);
            for handle in handles {
                assert!(handle.join().unwrap_err().is::<Cancelled>());
            }
        });
        assert_eq!(drops.count(), 20);
    });
}

#[test]
fn a_runtime_that_a_green_thread_of_its_own_owns_ends_with_the_program_or_before() {
    // The last owner unwinds and drops what it owns, which is the runtime that unwinds it.
    each_config(|config| {
        let prefix = format!("cyc{}{}", config.workers, &config.mode()[..1]);
        let runtime = config.builder().thread_name(prefix.clone()).build().unwrap();
        let handle = runtime.handle();
        let ended = handle.spawn(move || {
            let _runtime = runtime;
            thread::yield_now();
        });
        ended.join().unwrap();
        until_os_threads_are_gone(&prefix);
    });
}

#[test]
fn the_os_threads_are_gone_when_drop_returns() {
    each_config(|config| {
        let prefix = format!("gone{}{}", config.workers, &config.mode()[..1]);
        for _ in 0..stress(5) {
            let runtime = config.builder().thread_name(prefix.clone()).build().unwrap();
            let drops = Drops::new();
            let handles = spawn_waiting(&runtime, 10, &drops, thread::park);
            wait_until(|| os_threads(&prefix) == config.workers + 1); // they name themselves
            drop(runtime);
            until_os_threads_are_gone(&prefix);
            all_were_cancelled(handles);
        }
    });
}

#[test]
fn a_hundred_runtimes_one_after_the_other() {
    each_config(|config| {
        for i in 0..stress(100) {
            let runtime = config.build();
            if i % 2 == 0 {
                assert_eq!(runtime.run(|| thread::spawn(move || i).join().unwrap()), i);
            }
        }
    });
}

#[test]
fn several_runtimes_at_once_end_each_by_itself() {
    each_config(|config| {
        let drops: [Drops; 4] = std::array::from_fn(|_| Drops::new());
        let mut runtimes: Vec<_> = drops
            .iter()
            .map(|drops| {
                let runtime = config.build();
                let handles = spawn_waiting(&runtime, 10, drops, thread::park);
                (runtime, handles)
            })
            .collect();
        for (i, drops) in drops.iter().enumerate().rev() {
            assert_eq!(drops.count(), 0);
            let (runtime, handles) = runtimes.remove(i);
            drop(runtime);
            all_were_cancelled(handles);
            assert_eq!(drops.count(), 10);
        }
    });
}

#[test]
fn a_panic_during_the_end_is_what_join_reports() {
    each_config(|config| {
        crate::common::quiet_panics();
        let runtime = config.build();
        let started = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&started);
        let handle = runtime.handle().spawn(move || {
            theirs.store(true, SeqCst);
            let _ = catch_unwind(thread::park);
            panic!("on purpose");
        });
        let drops = Drops::new();
        let others = spawn_waiting(&runtime, 10, &drops, || {
            let _check = OnDrop(|| {
                // Caught within the destructor, it ends nothing.
                let _ = catch_unwind(AssertUnwindSafe(|| panic!("on purpose")));
            });
            thread::park();
        });
        wait_until(|| started.load(SeqCst));
        drop(runtime);
        let outcome: std::thread::Result<()> = handle.join();
        assert!(outcome.unwrap_err().is::<&str>());
        all_were_cancelled(others);
        assert_eq!(drops.count(), 10);
    });
}

#[test]
fn several_that_panic_and_wait_in_their_unwinding_survive_the_end() {
    // In a child process: what goes wrong here aborts.
    const TEST: &str = "several_that_panic_and_wait_in_their_unwinding_survive_the_end";
    let Some(case) = crate::common::child_case() else {
        for roaming in crate::common::modes() {
            crate::common::child_succeeds(TEST, if roaming { "roaming" } else { "anchored" });
        }
        return;
    };
    let _watchdog = crate::common::Watchdog::new();
    crate::common::quiet_panics();
    let runtime = crate::common::Config { workers: 1, roaming: case == "roaming" }.build();
    let (begun, waited) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handles: Vec<_> = (0..10)
        .map(|_| {
            let (begun, waited) = (Arc::clone(&begun), Arc::clone(&waited));
            runtime.handle().spawn(move || {
                let _slow = OnDrop(|| {
                    begun.fetch_add(1, SeqCst);
                    for _ in 0..5 {
                        thread::sleep(Duration::from_millis(1));
                    }
                    waited.fetch_add(1, SeqCst);
                });
                panic!("on purpose");
            })
        })
        .collect();
    wait_until(|| begun.load(SeqCst) == 10);
    drop(runtime);
    assert_eq!(waited.load(SeqCst), 10);
    for handle in handles {
        let outcome: std::thread::Result<()> = handle.join();
        assert!(outcome.unwrap_err().is::<&str>(), "it panicked before the end came");
    }
}

#[test]
fn run_ends_its_runtime_and_whatever_is_left_on_it() {
    let _watchdog = crate::common::Watchdog::new();
    let drops = Drops::new();
    let token = drops.token();
    let value = sward_runtime::run(|| {
        thread::spawn(move || {
            let _token = token;
            thread::park();
        });
        thread::yield_now();
        4
    });
    assert_eq!((value, drops.count()), (4, 1));
    let payload = catch_unwind(|| {
        crate::common::quiet_panics();
        sward_runtime::run(|| panic!("on purpose"))
    });
    assert!(payload.unwrap_err().is::<&str>());
}

#[test]
fn a_handle_outlives_its_runtime() {
    each_config(|config| {
        let runtime = config.build();
        let handle = runtime.handle();
        let running: Handle = runtime.run(Handle::current);
        drop(runtime);
        for handle in [handle, running] {
            assert_eq!((handle.workers(), handle.live()), (config.workers, 0));
            assert!(handle.try_spawn(|| ()).is_err());
        }
    });
}

#[test]
fn one_that_computes_is_waited_for() {
    each_config(|config| {
        let runtime = config.build();
        let (started, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (theirs, end) = (Arc::clone(&started), Arc::clone(&done));
        let handle = runtime.handle().spawn(move || {
            theirs.store(true, SeqCst);
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(3) {
                std::hint::spin_loop();
            }
            end.store(true, SeqCst);
            1
        });
        wait_until(|| started.load(SeqCst));
        drop(runtime);
        assert!(done.load(SeqCst));
        assert_eq!(handle.join().unwrap(), 1);
    });
}
