//! Scopes: what may be borrowed, and that the owner never goes on before the last of its green threads has ended.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{Drops, ON_PURPOSE, OnDrop, each_config, each_run, each_runtime, stress, wait_until};
use sward_runtime::{
    runtime::{Builder, Handle},
    thread,
};

/// Runs `body` on a green thread of every runtime, and on an OS thread.
#[track_caller]
fn everywhere(body: impl Fn() + Sync) {
    each_run(&body);
    let _watchdog = crate::common::Watchdog::new();
    body();
}

#[test]
fn green_threads_borrow_from_the_frame_around_them() {
    everywhere(|| {
        let text = String::from("borrowed");
        let mut counts = [0; 8];
        let length = thread::scope(|s| {
            for (i, count) in counts.iter_mut().enumerate() {
                let text = &text;
                s.spawn(move || {
                    if i % 2 == 0 {
                        thread::yield_now();
                    }
                    *count = text.len() + i;
                });
            }
            s.spawn(|| text.len()).join().unwrap()
        });
        assert_eq!(length, 8);
        assert_eq!(counts, std::array::from_fn(|i| 8 + i));
    });
}

#[test]
fn the_value_of_the_closure_comes_back_also_from_an_empty_scope() {
    everywhere(|| assert_eq!(thread::scope(|_| 3), 3));
}

#[test]
fn scopes_nest_and_children_spawn_siblings() {
    everywhere(|| {
        let sum = AtomicUsize::new(0);
        thread::scope(|outer| {
            for _ in 0..4 {
                outer.spawn(|| {
                    outer.spawn(|| sum.fetch_add(1, SeqCst));
                    thread::scope(|inner| {
                        for _ in 0..4 {
                            inner.spawn(|| {
                                thread::yield_now();
                                sum.fetch_add(10, SeqCst)
                            });
                        }
                    });
                    assert!(sum.load(SeqCst) >= 40);
                });
            }
        });
        assert_eq!(sum.load(SeqCst), 4 + 160);
    });
}

#[test]
fn the_owner_goes_on_only_after_the_last_has_ended() {
    everywhere(|| {
        for _ in 0..stress(20) {
            let ended = AtomicUsize::new(0);
            thread::scope(|s| {
                for i in 0..20 {
                    let ended = &ended;
                    // Handles that are dropped do not set anyone free.
                    drop(s.spawn(move || {
                        if i % 5 == 0 {
                            thread::sleep(Duration::from_micros(200));
                        }
                        thread::yield_now();
                        ended.fetch_add(1, SeqCst);
                    }));
                }
            });
            assert_eq!(ended.load(SeqCst), 20);
        }
    });
}

#[test]
fn the_owners_panic_waits_until_all_have_ended() {
    everywhere(|| {
        crate::common::quiet_panics();
        let ended = AtomicBool::new(false);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|s| {
                s.spawn(|| {
                    for _ in 0..20 {
                        thread::yield_now();
                    }
                    thread::sleep(Duration::from_millis(1));
                    ended.store(true, SeqCst);
                });
                panic!("on purpose");
            });
        }));
        assert!(ended.load(SeqCst));
        assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), ON_PURPOSE);
    });
}

#[test]
fn the_owners_own_panic_is_what_comes_out_when_children_panicked_too() {
    everywhere(|| {
        crate::common::quiet_panics();
        let outcome = catch_unwind(|| {
            thread::scope(|s| {
                s.spawn(|| panic!("on purpose: a child"));
                panic!("on purpose: the owner");
            });
        });
        assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), "on purpose: the owner");
    });
}

#[test]
fn a_childs_panic_makes_the_scope_panic_after_the_others_have_ended() {
    // The scope's own panic is std's words, which the hook would print.
    everywhere(|| {
        crate::common::quiet_panics();
        let ended = AtomicUsize::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            thread::scope(|s| {
                s.spawn(|| panic!("on purpose"));
                for _ in 0..5 {
                    s.spawn(|| {
                        thread::yield_now();
                        ended.fetch_add(1, SeqCst)
                    });
                }
            });
        }));
        assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), "a scoped thread panicked");
        assert_eq!(ended.load(SeqCst), 5);
    });
}

#[test]
fn a_childs_panic_that_was_joined_is_no_ones_else() {
    everywhere(|| {
        crate::common::quiet_panics();
        let message = thread::scope(|s| {
            let failed = s.spawn(|| panic!("on purpose")).join().unwrap_err();
            *failed.downcast::<&str>().unwrap()
        });
        assert_eq!(message, ON_PURPOSE);
    });
}

#[test]
fn results_may_borrow_and_are_dropped_while_what_they_borrow_lives() {
    struct Borrows<'a>(&'a AtomicUsize);
    impl Drop for Borrows<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    everywhere(|| {
        let dropped = AtomicUsize::new(0);
        thread::scope(|s| {
            let kept = s.spawn(|| Borrows(&dropped)).join().unwrap();
            assert_eq!(kept.0.load(SeqCst), 0);
            drop(kept);
            // Not joined, dropped, and dropped after the end.
            s.spawn(|| Borrows(&dropped));
            drop(s.spawn(|| Borrows(&dropped)));
            let ended = s.spawn(|| Borrows(&dropped));
            wait_until(|| ended.is_finished());
            drop(ended);
        });
        assert_eq!(dropped.load(SeqCst), 4);
    });
}

#[test]
fn closures_are_dropped_before_the_scope_ends() {
    everywhere(|| {
        for _ in 0..stress(100) {
            let drops = Drops::new();
            thread::scope(|s| {
                for _ in 0..4 {
                    let token = drops.token();
                    s.spawn(move || {
                        let _owned = &token;
                    });
                }
            });
            assert_eq!(drops.count(), 4);
        }
    });
}

#[test]
fn scoped_handles_tell_of_their_green_threads() {
    everywhere(|| {
        thread::scope(|s| {
            let parked = thread::Builder::new().name("scoped".into()).spawn_scoped(s, thread::park).unwrap();
            assert_eq!(parked.thread().name(), Some("scoped"));
            assert!(!parked.is_finished());
            parked.thread().unpark();
            wait_until(|| parked.is_finished());
            parked.join().unwrap();
        });
    });
}

#[test]
fn a_sibling_joins_through_a_handle_that_was_sent_to_it() {
    everywhere(|| {
        let sum = thread::scope(|s| {
            let first = s.spawn(|| {
                thread::yield_now();
                1
            });
            s.spawn(move || first.join().unwrap() + 1).join().unwrap()
        });
        assert_eq!(sum, 2);
    });
}

#[test]
fn a_spawn_that_fails_leaves_the_scope_whole() {
    everywhere(|| {
        let drops = Drops::new();
        let value = thread::scope(|s| {
            let token = drops.token();
            let error = thread::Builder::new()
                .stack_size(usize::MAX)
                .spawn_scoped(s, move || drop(token))
                .expect_err("no stack is that large");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(drops.count(), 1, "the closure of the failed spawn is dropped");
            s.spawn(|| 1).join().unwrap()
        });
        assert_eq!(value, 1);
    });
}

#[test]
fn an_unpark_meant_for_the_owner_does_not_end_the_scope_early() {
    everywhere(|| {
        let owner = thread::current();
        let ended = AtomicBool::new(false);
        thread::scope(|s| {
            s.spawn(|| {
                owner.unpark();
                thread::sleep(Duration::from_millis(1));
                owner.unpark();
                thread::yield_now();
                ended.store(true, SeqCst);
            });
        });
        assert!(ended.load(SeqCst));
        // The token is still there: this returns at once.
        thread::park();
    });
}

#[test]
fn many_scopes_at_once() {
    each_run(|| {
        let total = Arc::new(AtomicUsize::new(0));
        let owners: Vec<_> = (0..50)
            .map(|_| {
                let total = Arc::clone(&total);
                thread::spawn(move || {
                    for _ in 0..stress(20) {
                        let mut parts = [0; 4];
                        thread::scope(|s| {
                            for (i, part) in parts.iter_mut().enumerate() {
                                s.spawn(move || *part = i);
                            }
                        });
                        total.fetch_add(parts.iter().sum(), SeqCst);
                    }
                })
            })
            .collect();
        owners.into_iter().for_each(|owner| owner.join().unwrap());
        assert_eq!(total.load(SeqCst), 50 * stress(20) * 6);
    });
}

#[test]
fn a_scope_of_one_runtime_spawned_from_a_green_thread_of_another_ends_with_it() {
    each_config(|config| {
        let outer = config.build();
        outer.run(|| {
            let here = Handle::current().workers();
            let seen = thread::scope(|s| s.spawn(|| Handle::current().workers()).join().unwrap());
            assert_eq!(seen, here);
        });
    });
}

#[test]
fn a_scope_whose_runtime_is_dropped_ends_its_children_first() {
    each_config(|config| {
        let (ended, outlived) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let started = Arc::new(AtomicUsize::new(0));
        let runtime = config.build();
        let (all, early, begun) = (Arc::clone(&ended), Arc::clone(&outlived), Arc::clone(&started));
        let owner = runtime.handle().spawn(move || {
            let local = Mutex::new(0);
            let (local, begun, all) = (&local, &begun, &all);
            let _check = OnDrop(|| early.store(all.load(SeqCst) != begun.load(SeqCst), SeqCst));
            thread::scope(|s| {
                for _ in 0..8 {
                    s.spawn(move || {
                        begun.fetch_add(1, SeqCst);
                        let _end = OnDrop(|| {
                            thread::park_timeout(Duration::from_micros(200));
                            *local.lock().unwrap() += 1;
                            all.fetch_add(1, SeqCst);
                        });
                        thread::park();
                    });
                }
            });
        });
        wait_until(|| started.load(SeqCst) == 8);
        drop(runtime);
        assert_eq!(ended.load(SeqCst), 8);
        assert!(!outlived.load(SeqCst), "the owner's frame ended before those that borrow from it");
        assert!(owner.is_finished());
    });
}

#[test]
fn an_os_threads_scope_ends_when_the_runtime_of_its_children_does_not() {
    // The default runtime is never dropped; another one that is does not disturb it.
    let _watchdog = crate::common::Watchdog::new();
    let other = Builder::new().workers(1).build().unwrap();
    let sum = thread::scope(|s| {
        let handles: Vec<_> = (0..4).map(|i| s.spawn(move || i)).collect();
        drop(other);
        handles.into_iter().map(|handle| handle.join().unwrap()).sum::<usize>()
    });
    assert_eq!(sum, 6);
}

#[test]
fn a_scope_run_by_a_runtime_borrows_from_the_os_thread() {
    each_runtime(|runtime| {
        let mut numbers = vec![1, 2, 3, 4, 5, 6];
        let numbers = &mut numbers;
        runtime.run(|| {
            thread::scope(|s| {
                for chunk in numbers.chunks_mut(2) {
                    s.spawn(move || chunk.reverse());
                }
            });
        });
        assert_eq!(*numbers, [2, 1, 4, 3, 6, 5]);
    });
}
