//! Joining: results and panics arrive once, handles are given back, and what nobody wants is dropped.

use std::{
    panic::panic_any,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::common::{Drops, ON_PURPOSE, OnDrop, each_config, each_run, each_runtime, stress, wait_until};
use sward_runtime::thread;

#[test]
fn a_panic_arrives_with_its_payload() {
    each_run(|| {
        let text =
            thread::spawn(|| panic!("on purpose, {}", thread::current().id().eq(&thread::current().id())))
                .join();
        let text: Result<(), _> = text;
        assert_eq!(*text.unwrap_err().downcast::<String>().unwrap(), "on purpose, true");

        let literal = thread::spawn(|| -> u8 { panic!("on purpose") }).join().unwrap_err();
        assert_eq!(*literal.downcast::<&str>().unwrap(), ON_PURPOSE);

        #[derive(Debug, PartialEq)]
        struct Custom(Vec<u8>);
        let custom = thread::spawn(|| -> u8 { std::panic::resume_unwind(Box::new(Custom(vec![1]))) });
        assert_eq!(*custom.join().unwrap_err().downcast::<Custom>().unwrap(), Custom(vec![1]));

        let static_text = thread::spawn(|| panic_any("on purpose: any")).join().unwrap_err();
        assert!(static_text.is::<&'static str>());
    });
}

#[test]
fn a_panic_arrives_from_a_green_thread_that_has_waited() {
    each_run(|| {
        let handle = thread::spawn(|| {
            thread::yield_now();
            thread::sleep(Duration::from_micros(100));
            panic!("on purpose");
        });
        assert!(handle.join().is_err());
    });
}

#[test]
fn is_finished_turns_true_at_the_end() {
    each_run(|| {
        let handle = thread::spawn(thread::park);
        thread::yield_now();
        assert!(!handle.is_finished());
        handle.thread().unpark();
        wait_until(|| handle.is_finished());
        handle.join().unwrap();
    });
}

#[test]
fn is_finished_is_true_once_the_result_of_a_panic_is_there() {
    each_run(|| {
        let handle = thread::spawn(|| panic!("on purpose"));
        wait_until(|| handle.is_finished());
        assert!(handle.join().is_err());
    });
}

#[test]
fn join_timeout_gives_the_handle_back_and_takes_the_result_later() {
    fn check() {
        let handle = thread::spawn(|| {
            thread::park();
            5
        });
        let handle = handle.join_timeout(Duration::ZERO).unwrap_err();
        let start = Instant::now();
        let handle = handle.join_timeout(Duration::from_millis(3)).unwrap_err();
        assert!(start.elapsed() >= Duration::from_millis(3));
        handle.thread().unpark();
        assert_eq!(handle.join_timeout(Duration::MAX).unwrap().unwrap(), 5);
    }
    each_runtime(|runtime| runtime.run(check));
    check();
}

#[test]
fn join_timeout_races_with_the_end() {
    each_run(|| {
        let drops = Drops::new();
        let n = stress(300);
        for i in 0..n {
            let token = drops.token();
            let nap = Duration::from_micros((i % 7) as u64 * 20);
            let mut handle = thread::spawn(move || {
                thread::sleep(nap);
                (i, token)
            });
            let (value, token) = loop {
                match handle.join_timeout(Duration::from_micros(60)) {
                    Ok(result) => break result.unwrap(),
                    Err(back) => handle = back,
                }
            };
            assert_eq!((value, drops.count()), (i, i));
            drop(token);
        }
        assert_eq!(drops.count(), n);
    });
}

#[test]
fn a_detached_green_thread_runs_to_its_end() {
    each_run(|| {
        let done = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&done);
        drop(thread::spawn(move || {
            for _ in 0..10 {
                thread::yield_now();
            }
            theirs.store(true, SeqCst);
        }));
        wait_until(|| done.load(SeqCst));
    });
}

#[test]
fn a_joined_result_is_dropped_by_the_joiner_alone() {
    each_run(|| {
        let drops = Drops::new();
        let token = drops.token();
        let token = thread::spawn(move || token).join().unwrap();
        assert_eq!(drops.count(), 0);
        drop(token);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_detached_result_is_dropped_exactly_once() {
    each_run(|| {
        let drops = Drops::new();
        // Detached before the end.
        let token = drops.token();
        let handle = thread::spawn(move || {
            thread::park();
            token
        });
        let thread = handle.thread().clone();
        drop(handle);
        thread.unpark();
        wait_until(|| drops.count() == 1);
        // Detached after the end: dropped with the handle, though a `Thread` is kept.
        let token = drops.token();
        let handle = thread::spawn(move || token);
        let thread = handle.thread().clone();
        wait_until(|| handle.is_finished());
        assert_eq!(drops.count(), 1);
        drop(handle);
        assert_eq!(drops.count(), 2);
        drop(thread);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_result_is_dropped_exactly_once_when_the_handle_goes_as_the_thread_ends() {
    each_runtime(|runtime| {
        let drops = Drops::new();
        let n = stress(2_000);
        let handle = runtime.handle();
        for i in 0..n {
            let token = drops.token();
            let detached = handle.spawn(move || token);
            for _ in 0..i % 50 {
                std::hint::spin_loop();
            }
            drop(detached);
        }
        runtime.run(|| {
            for i in 0..n {
                let token = drops.token();
                let detached = thread::spawn(move || {
                    thread::yield_now();
                    token
                });
                if i % 3 == 0 {
                    thread::yield_now();
                }
                drop(detached);
            }
        });
        wait_until(|| handle.live() == 0);
        assert_eq!(drops.count(), 2 * n);
    });
}

#[test]
fn a_handle_dropped_by_its_own_green_thread_detaches_it() {
    each_run(|| {
        let drops = Drops::new();
        let token = drops.token();
        let (give, take) = mpsc::channel();
        let own = thread::spawn(move || {
            let own: thread::JoinHandle<_> = loop {
                match take.try_recv() {
                    Ok(own) => break own,
                    Err(_) => thread::yield_now(),
                }
            };
            drop::<thread::JoinHandle<crate::common::DropToken>>(own);
            token
        });
        give.send(own).unwrap();
        wait_until(|| drops.count() == 1);
    });
}

#[test]
fn the_destructor_of_a_detached_result_may_wait_and_spawn() {
    each_run(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&done);
        drop(thread::spawn(move || {
            OnDrop(move || {
                thread::sleep(Duration::from_micros(100));
                theirs.fetch_add(thread::spawn(|| 2).join().unwrap(), SeqCst);
            })
        }));
        wait_until(|| done.load(SeqCst) == 2);
    });
}

#[test]
fn an_os_thread_joins() {
    each_runtime(|runtime| {
        for i in 0..stress(100) {
            let handle = runtime.handle().spawn(move || {
                if i % 2 == 0 {
                    thread::yield_now();
                }
                i
            });
            assert_eq!(handle.join().unwrap(), i);
        }
    });
}

#[test]
fn a_green_thread_joins_one_of_another_runtime() {
    each_config(|config| {
        let (here, there) = (config.build(), config.build());
        let handle = there.handle();
        let sum: usize = here.run(|| {
            let handles: Vec<_> = (0..stress(200))
                .map(|i| {
                    handle.spawn(move || {
                        if i % 2 == 0 {
                            thread::sleep(Duration::from_micros(50));
                        }
                        1
                    })
                })
                .collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).sum()
        });
        assert_eq!(sum, stress(200));
    });
}

#[test]
fn joining_oneself_panics_and_the_runtime_goes_on() {
    each_run(|| {
        let slot = Arc::new(Mutex::new(None::<thread::JoinHandle<()>>));
        let (theirs, (say, said)) = (Arc::clone(&slot), mpsc::channel());
        let own = thread::spawn(move || {
            let own = loop {
                if let Some(own) = theirs.lock().unwrap().take() {
                    break own;
                }
                thread::yield_now();
            };
            crate::common::quiet_panics();
            let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| own.join())).unwrap_err();
            say.send(payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap();
        });
        *slot.lock().unwrap() = Some(own);
        let message = loop {
            match said.try_recv() {
                Ok(message) => break message,
                Err(_) => thread::yield_now(),
            }
        };
        assert_eq!(message.as_deref(), Some("a green thread cannot join itself"));
        assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
    });
}

#[test]
fn handles_are_joined_in_any_order_by_anyone() {
    each_run(|| {
        let handles: Vec<_> = (0..stress(500)).map(|i| thread::spawn(move || i)).collect();
        let joiners: Vec<_> = handles
            .into_iter()
            .rev()
            .enumerate()
            .map(|(i, handle)| {
                thread::spawn(move || {
                    if i % 3 == 0 {
                        thread::yield_now();
                    }
                    handle.join().unwrap()
                })
            })
            .collect();
        let sum: usize = joiners.into_iter().map(|joiner| joiner.join().unwrap()).sum();
        assert_eq!(sum, stress(500) * (stress(500) - 1) / 2);
    });
}

#[test]
fn what_happened_before_the_end_is_seen_after_join() {
    each_run(|| {
        for _ in 0..stress(200) {
            let cell = Arc::new(Mutex::new(0));
            let handles: Vec<_> = (0..4)
                .map(|_| {
                    let cell = Arc::clone(&cell);
                    thread::spawn(move || *cell.lock().unwrap() += 1)
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            // All others are gone with their references.
            assert_eq!(Arc::try_unwrap(cell).unwrap().into_inner().unwrap(), 4);
        }
    });
}
