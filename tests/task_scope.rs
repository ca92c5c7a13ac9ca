//! Scopes: what they wait for, what a failure ends, and what comes of them.
#![expect(clippy::unit_arg, reason = "to park for ever is all that some of them do")]

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{Drops, ON_PURPOSE, OnDrop, each_config, each_mode, each_run, stress, wait_until};
use sward::{
    cancel,
    sync::{Mutex, Semaphore, WaitGroup},
    task, thread,
    time::{self, Elapsed},
};

fn ok<T>(value: T) -> Result<T, Infallible> {
    Ok(value)
}

#[test]
fn its_value_is_the_bodys_and_all_that_it_spawned_has_ended() {
    each_run(|| {
        let ended = AtomicUsize::new(0);
        let value = task::scope(|s| {
            for _ in 0..20 {
                s.spawn(|| {
                    thread::yield_now();
                    ended.fetch_add(1, SeqCst);
                    ok(())
                });
            }
            ok("value")
        });
        assert_eq!((value, ended.load(SeqCst)), (Ok("value"), 20));
    });
}

#[test]
fn handles_give_values_in_any_order() {
    each_run(|| {
        let numbers: Vec<usize> = (0..10).collect();
        let doubled = task::scope(|s| {
            let handles: Vec<_> = numbers.iter().map(|n| s.spawn(move || ok(n * 2))).collect();
            Ok(handles.into_iter().rev().map(task::Handle::join).collect::<Vec<_>>())
        });
        assert_eq!(doubled.unwrap(), (0..10).rev().map(|n| n * 2).collect::<Vec<_>>());
    });
}

#[test]
fn the_first_error_ends_the_others_and_the_body() {
    each_run(|| {
        let drops = Drops::new();
        let started = AtomicUsize::new(0);
        let result: Result<(), &str> = task::scope(|s| {
            for _ in 0..10 {
                s.spawn(|| {
                    let _token = drops.token();
                    started.fetch_add(1, SeqCst);
                    thread::park();
                    Ok(())
                });
            }
            s.spawn(|| {
                wait_until(|| started.load(SeqCst) == 10);
                Err::<(), _>("first")
            });
            let _token = drops.token();
            thread::park();
            Ok(())
        });
        assert_eq!((result, drops.count()), (Err("first"), 11));
    });
}

#[test]
fn an_error_of_the_body_ends_what_it_spawned() {
    each_run(|| {
        let result = task::scope(|s| {
            s.spawn(|| Ok(thread::park()));
            Err::<(), _>("body")
        });
        assert_eq!(result, Err("body"));
    });
}

#[test]
fn a_panic_ends_the_others_and_keeps_its_payload() {
    each_run(|| {
        for by_body in [false, true] {
            let drops = Drops::new();
            let result = catch_unwind(AssertUnwindSafe(|| {
                task::scope(|s| {
                    let token = drops.token();
                    s.spawn(move || {
                        let _token = token;
                        ok(thread::park())
                    });
                    if by_body {
                        panic!("{ON_PURPOSE}");
                    }
                    s.spawn(|| -> Result<(), _> { panic!("{ON_PURPOSE}") });
                    Ok(())
                })
            }));
            assert_eq!(*result.unwrap_err().downcast::<String>().unwrap(), ON_PURPOSE);
            assert_eq!(drops.count(), 1);
        }
    });
}

#[test]
fn a_failed_one_that_is_joined_ends_the_body() {
    each_run(|| {
        let result = task::scope(|s| {
            let failed = s.spawn(|| Err::<u32, _>("child"));
            let value = failed.join();
            unreachable!("{value}");
            #[expect(unreachable_code, reason = "it gives the closure its type")]
            Ok(())
        });
        assert_eq!(result, Err("child"));
    });
}

#[test]
fn who_is_spawned_after_a_failure_does_not_start() {
    each_run(|| {
        let started = AtomicUsize::new(0);
        let result: Result<(), &str> = task::scope(|s| {
            let failed = s.spawn(|| Err::<(), _>("early"));
            wait_until(|| failed.is_finished());
            cancel::shield(|| {
                s.spawn(|| {
                    started.fetch_add(1, SeqCst);
                    Ok(())
                })
            });
            Ok(())
        });
        assert_eq!((result, started.load(SeqCst)), (Err("early"), 0));
    });
}

#[test]
fn cleaning_up_may_wait_in_a_shield() {
    each_run(|| {
        let cleaned = AtomicUsize::new(0);
        let ready = WaitGroup::new();
        let result: Result<(), &str> = task::scope(|s| {
            let there = ready.clone();
            s.spawn(|| {
                let _clean_up = OnDrop(|| {
                    cancel::shield(|| thread::sleep(Duration::from_millis(1)));
                    cleaned.fetch_add(1, SeqCst);
                });
                drop(there);
                thread::park();
                Ok(())
            });
            ready.wait();
            Err("over")
        });
        assert_eq!((result, cleaned.load(SeqCst)), (Err("over"), 1));
    });
}

#[test]
fn a_clone_spawns_from_within() {
    each_run(|| {
        let sum = AtomicUsize::new(0);
        let add = |n| {
            sum.fetch_add(n, SeqCst);
            ok(())
        };
        task::scope(|s| {
            let inner = s.clone();
            s.spawn(move || {
                for n in 0..5 {
                    inner.spawn(move || add(n));
                }
                ok(())
            });
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.load(SeqCst), 10);
    });
}

#[test]
fn one_that_is_cancelled_by_hand_is_no_failure() {
    each_run(|| {
        let result = task::scope(|s| {
            let parked = s.spawn(|| ok(thread::park()));
            parked.cancel();
            let other = s.spawn(|| Ok(1));
            Ok(other.join())
        });
        assert_eq!(result, Ok(1));
    });
}

#[test]
fn a_timeout_around_it_ends_all() {
    each_run(|| {
        let drops = Drops::new();
        let result = time::timeout(Duration::from_millis(2), || {
            task::scope(|s| {
                for _ in 0..3 {
                    let token = drops.token();
                    s.spawn(move || {
                        let _token = token;
                        ok(thread::park())
                    });
                }
                Ok(())
            })
        });
        assert!(matches!(result, Err(Elapsed { .. })));
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn cancelling_its_owner_ends_all() {
    each_run(|| {
        let drops = Drops::new();
        let (token, ready) = (drops.token(), WaitGroup::new());
        let there = ready.clone();
        let owner = thread::spawn(move || {
            task::scope(|s| {
                s.spawn(move || {
                    let _token = token;
                    drop(there);
                    ok(thread::park())
                });
                Ok(())
            })
        });
        ready.wait();
        owner.cancel();
        assert!(owner.join().unwrap_err().is::<cancel::Cancelled>());
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn an_inner_one_that_fails_leaves_the_outer_alone() {
    each_run(|| {
        let result = task::scope(|outer| {
            let beside = outer.spawn(|| {
                thread::yield_now();
                ok(1)
            });
            let inner = task::scope(|s| {
                s.spawn(|| Ok(thread::park()));
                Err::<(), _>("inner")
            });
            assert_eq!(inner, Err("inner"));
            Ok(beside.join())
        });
        assert_eq!(result, Ok(1));
    });
}

#[test]
fn a_limit_holds() {
    each_run(|| {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        task::scope(|s| {
            s.limit(3);
            for _ in 0..stress(50) {
                s.spawn(|| {
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, SeqCst);
                    ok(())
                });
            }
            Ok(())
        })
        .unwrap();
        assert!((1..=3).contains(&most.load(SeqCst)));
    });
}

#[test]
fn it_works_on_an_os_thread() {
    let _watchdog = crate::common::Watchdog::new();
    let result = task::scope(|s| {
        let value = s.spawn(|| Ok(20));
        s.spawn(|| Err::<(), _>("child"));
        thread::park();
        Ok(value.join())
    });
    assert_eq!(result, Err("child"));
}

/// Random trees in which something fails: at the end nobody runs, every lock is free, every permit and every token is back.
#[test]
fn trees_that_fail_anywhere_leave_nothing_behind() {
    struct World {
        drops: Drops,
        made: AtomicUsize,
        lock: Mutex<u64>,
        permits: Semaphore,
    }
    fn grow(world: &World, depth: u32, mut seed: u64) -> Result<u64, u64> {
        world.made.fetch_add(1, SeqCst);
        let _token = world.drops.token();
        let mut draw = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        match draw(12) {
            0 => return Err(seed),
            1 => panic!("{ON_PURPOSE}"),
            2 => {
                let elapsed = time::timeout(Duration::ZERO, || thread::sleep(Duration::from_secs(3600)));
                assert!(elapsed.is_err());
            }
            _ => {}
        }
        let _permit = world.permits.acquire().map_err(|_| 0_u64)?;
        *world.lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) += 1;
        thread::yield_now();
        drop(_permit);
        if depth == 0 {
            return Ok(1);
        }
        let seeds: Vec<u64> = (0..draw(4)).map(|i| draw(u64::MAX) + i).collect();
        task::scope(|s| {
            let handles: Vec<_> =
                seeds.iter().map(|&seed| s.spawn(move || grow(world, depth - 1, seed))).collect();
            if let Some(last) = handles.last()
                && draw(6) == 0
            {
                last.cancel();
                return Ok(0);
            }
            Ok(handles.into_iter().map(task::Handle::join).sum::<u64>() + 1)
        })
    }
    each_config(|config| {
        let runtime = config.build();
        let world = World {
            drops: Drops::new(),
            made: AtomicUsize::new(0),
            lock: Mutex::new(0),
            permits: Semaphore::new(3),
        };
        let mut outcomes = [0; 3];
        for seed in 0..stress(60) as u64 {
            let result = runtime.run(|| catch_unwind(AssertUnwindSafe(|| grow(&world, 4, seed * 7919 + 1))));
            outcomes[match result {
                Ok(Ok(_)) => 0,
                Ok(Err(_)) => 1,
                Err(_) => 2,
            }] += 1;
            assert_eq!(world.drops.count(), world.made.load(SeqCst), "seed {seed}");
            assert_eq!(world.permits.available_permits(), 3, "seed {seed}");
            assert!(!matches!(world.lock.try_lock(), Err(sward::sync::TryLockError::WouldBlock)));
        }
        assert!(outcomes.iter().all(|&n| n > 0), "some kind of end was never seen: {outcomes:?}");
    });
}

#[test]
fn an_error_that_panics_as_it_is_dropped_does_not_hide_the_first() {
    #[derive(Debug)]
    struct Second(bool);
    impl Drop for Second {
        fn drop(&mut self) {
            assert!(!self.0, "{ON_PURPOSE}");
        }
    }
    each_run(|| {
        let result = task::scope(|s| {
            s.spawn(|| {
                // Not a wait that is cancelled: it fails when the other one has.
                while !cancel::is_due() {
                    cancel::shield(thread::yield_now);
                }
                Err::<(), _>(Second(true))
            });
            s.spawn(|| Err::<(), _>(Second(false)));
            Ok(())
        });
        assert!(matches!(result, Err(Second(false))));
    });
}

#[test]
fn a_payload_of_another_ones_cancellation_is_a_failure() {
    each_run(|| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            task::scope(|s| {
                s.spawn(|| {
                    let other = thread::spawn(thread::park);
                    other.cancel();
                    other.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
                    ok(())
                });
                Ok(())
            })
        }));
        assert!(caught.unwrap_err().is::<cancel::Cancelled>());
    });
}

#[test]
fn a_closure_that_is_not_run_and_panics_as_it_is_dropped_fails_its_scope() {
    each_run(|| {
        let (dropped, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|s| {
                let (runs, dropped) = (&runs, &dropped);
                let bad = OnDrop(move || {
                    dropped.fetch_add(1, SeqCst);
                    // A second one, while the first unwinds, would be the end of the process.
                    assert!(std::thread::panicking(), "{ON_PURPOSE}");
                });
                let handle = s.spawn(move || {
                    runs.fetch_add(1, SeqCst);
                    let _bad = bad;
                    thread::park();
                });
                handle.cancel();
            });
        }));
        // It may have begun, and was cancelled: that panic is not another one's.
        assert!(caught.is_err() || runs.load(SeqCst) == 1);
        assert_eq!(dropped.load(SeqCst), 1);
    });
}

#[test]
fn a_limit_may_be_anything_but_is_set_before_the_first_is_spawned() {
    each_run(|| {
        let value = task::scope(|s| {
            s.limit(usize::MAX);
            Ok(s.spawn(|| ok(1)).join())
        });
        assert_eq!(value, Ok(1));
        let late = catch_unwind(AssertUnwindSafe(|| {
            task::scope(|s| {
                s.spawn(|| ok(()));
                ok(s.limit(2))
            })
        }));
        let message = *late.unwrap_err().downcast::<&str>().unwrap();
        assert_eq!(message, "the limit of a scope is set once, before anything is spawned in it");
    });
}

/// Joins, by scope or by group, a green thread that is ended with the runtime. What it waits for begins when another is suspended in its
/// unwinding, so that it is in doubt who unwinds and the wait is not ended.
fn join_late(by_scope: bool, parked: Arc<AtomicBool>, unwinding: &AtomicBool) {
    let park = move || {
        parked.store(true, SeqCst);
        thread::park();
    };
    if by_scope {
        let _ = task::scope(|s| {
            let child = s.spawn(|| ok(park()));
            wait_until(|| unwinding.load(SeqCst));
            ok(child.join())
        });
    } else {
        let mut group = task::Group::new();
        group.spawn(park);
        wait_until(|| unwinding.load(SeqCst));
        group.join_all();
    }
}

fn join_as_the_runtime_ends(by_scope: bool) {
    each_mode(1, |config| {
        let runtime = config.build();
        let [parked, unwinding, ended] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let joiner = runtime.handle().spawn({
            let (parked, unwinding, ended) =
                (Arc::clone(&parked), Arc::clone(&unwinding), Arc::clone(&ended));
            move || {
                let _ended = OnDrop(|| ended.store(true, SeqCst));
                join_late(by_scope, parked, &unwinding);
            }
        });
        wait_until(|| parked.load(SeqCst));
        let unwinds = runtime.handle().spawn({
            let unwinding = Arc::clone(&unwinding);
            move || {
                let _late = OnDrop(|| {
                    unwinding.store(true, SeqCst);
                    wait_until(|| ended.load(SeqCst));
                });
                panic!("{ON_PURPOSE}");
            }
        });
        wait_until(|| unwinding.load(SeqCst) && joiner.thread().state() != thread::State::Runnable);
        drop(runtime);
        assert!(joiner.join().unwrap_err().is::<cancel::Cancelled>());
        assert_eq!(*unwinds.join().unwrap_err().downcast::<String>().unwrap(), ON_PURPOSE);
    });
}

#[test]
fn who_joins_in_a_scope_as_the_runtime_ends_is_cancelled_also_while_another_unwinds() {
    join_as_the_runtime_ends(true);
}

#[test]
fn who_joins_a_group_as_the_runtime_ends_is_cancelled_also_while_another_unwinds() {
    join_as_the_runtime_ends(false);
}
