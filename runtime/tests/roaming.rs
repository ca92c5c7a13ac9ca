//! Who moves: a started green thread never leaves its worker in anchored mode, and does so in roaming mode when another worker
//! has nothing else to do. Debug builds catch those that may not.

use std::{
    collections::HashMap,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::common::{Config, Watchdog, each_config, each_mode, modes, os_thread_id, stress};
use sward_runtime::thread;

/// Many that suspend in every way; returns how many of the suspensions ended on another OS thread.
fn moves(config: Config) -> usize {
    let moves = Arc::new(AtomicUsize::new(0));
    config.build().run(|| {
        let handles: Vec<_> = (0..100)
            .map(|i| {
                let moves = Arc::clone(&moves);
                thread::spawn(move || {
                    for step in 0..stress(100) {
                        let before = os_thread_id();
                        match (i + step) % 4 {
                            0 | 1 => thread::yield_now(),
                            2 => thread::sleep(Duration::from_micros(20)),
                            _ => thread::spawn(thread::yield_now).join().unwrap(),
                        }
                        moves.fetch_add(usize::from(os_thread_id() != before), SeqCst);
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
    moves.load(SeqCst)
}

#[test]
fn an_anchored_green_thread_never_leaves_its_worker() {
    each_config(|config| {
        if !config.roaming || config.workers == 1 {
            assert_eq!(moves(config), 0);
        }
    });
}

#[test]
fn a_roaming_green_thread_moves() {
    each_mode(2, |config| {
        // However little others leave to do, at some time one is taken over.
        while config.roaming && moves(config) == 0 {}
        assert!(config.roaming || moves(config) == 0);
    });
}

#[test]
fn a_ready_roaming_green_thread_leaves_a_worker_that_is_stuck() {
    let _watchdog = Watchdog::new();
    if !modes().contains(&true) {
        return;
    }
    let runtime = Config { workers: 2, roaming: true }.build();
    runtime.run(|| {
        for _ in 0..stress(20) {
            let (first, second) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicI32::new(0)));
            let (before, after) = (Arc::clone(&first), Arc::clone(&second));
            let mover = thread::spawn(move || {
                before.store(os_thread_id(), SeqCst);
                thread::park();
                after.store(os_thread_id(), SeqCst);
            });
            crate::common::wait_until(|| first.load(SeqCst) != 0);
            // Woken here, it can go on elsewhere only.
            mover.thread().unpark();
            let here = os_thread_id();
            while second.load(SeqCst) == 0 {
                std::hint::spin_loop();
            }
            assert_ne!(second.load(SeqCst), here);
            mover.join().unwrap();
        }
    });
}

#[test]
fn an_anchored_green_thread_waits_for_a_worker_that_is_stuck() {
    let _watchdog = Watchdog::new();
    if !modes().contains(&false) {
        return;
    }
    let runtime = Config { workers: 2, roaming: false }.build();
    runtime.run(|| {
        let others: Vec<_> = (0..20)
            .map(|_| {
                thread::spawn(move || {
                    let home = os_thread_id();
                    for _ in 0..10 {
                        thread::yield_now();
                        assert_eq!(os_thread_id(), home);
                    }
                })
            })
            .collect();
        thread::yield_now();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(25) {
            std::hint::spin_loop(); // stuck, for longer than the poller thread looks on
        }
        others.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

std::thread_local! {
    static WORD: std::cell::Cell<u64> = const { std::cell::Cell::new(1) };
}

/// Breaks the promise of roaming mode: holds a reference into a thread-local while it waits.
fn hold_across_suspensions(stop: &AtomicBool, suspend: fn()) {
    #[inline(never)]
    fn hold(word: &std::cell::Cell<u64>, stop: &AtomicBool, suspend: fn()) {
        let word = std::hint::black_box(word);
        while !stop.load(SeqCst) {
            suspend();
            // Never the value: it may be another OS thread's by now. To look at the address is enough to keep it.
            std::hint::black_box(std::ptr::from_ref(word));
        }
    }
    WORD.with(|word| hold(word, stop, suspend));
}

/// Runs one that breaks the promise, among others that keep the workers busy now and then; `turn` is called on a green thread over and over.
/// Returns how it ended, and the line that spawned it.
fn break_the_promise(
    config: Config,
    suspend: fn(),
    turn: fn(&thread::Thread),
) -> (std::thread::Result<()>, u32) {
    config.build().run(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let others: Vec<_> = (0..4)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(SeqCst) {
                        (0..10_000).for_each(|_| std::hint::spin_loop());
                        thread::yield_now();
                        thread::sleep(Duration::from_micros(50));
                    }
                })
            })
            .collect();
        let (theirs, builder) = (Arc::clone(&stop), thread::Builder::new().name("culprit".into()));
        let body = move || hold_across_suspensions(&theirs, suspend);
        let (culprit, line) = (builder.spawn(body).unwrap(), line!());
        let mut turns = 0;
        while !culprit.is_finished() && turns < 200 {
            turn(culprit.thread());
            // In anchored mode nothing would ever happen.
            turns += u32::from(!config.roaming);
        }
        stop.store(true, SeqCst);
        culprit.thread().unpark();
        others.into_iter().for_each(|handle| handle.join().unwrap());
        (culprit.join(), line)
    })
}

/// Leaves its worker without work, which then steals.
fn doze(_: &thread::Thread) {
    thread::sleep(Duration::from_micros(200));
}

/// Wakes it from wherever this runs.
fn wake(thread: &thread::Thread) {
    thread.unpark();
    thread::yield_now();
}

#[cfg(stack_scan)]
fn is_caught(suspend: fn(), turn: fn(&thread::Thread)) {
    let _watchdog = Watchdog::new();
    if !modes().contains(&true) {
        return;
    }
    crate::common::quiet_panics();
    for _ in 0..stress(3) {
        let (ended, line) = break_the_promise(Config { workers: 2, roaming: true }, suspend, turn);
        let text = *ended.unwrap_err().downcast::<String>().expect("a panic with a text");
        assert!(text.contains("green thread 'culprit'"), "{text}");
        assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
        assert!(text.contains("thread-local"), "{text}");
    }
}

#[test]
#[cfg(stack_scan)]
fn a_reference_into_a_thread_local_is_caught_when_its_green_thread_is_stolen() {
    is_caught(thread::yield_now, doze);
}

#[test]
#[cfg(stack_scan)]
fn a_reference_into_a_thread_local_is_caught_when_its_green_thread_is_woken_by_another_worker() {
    is_caught(thread::park, wake);
}

#[test]
fn the_same_reference_is_fine_in_anchored_mode() {
    let _watchdog = Watchdog::new();
    if modes().contains(&false) {
        let config = Config { workers: 2, roaming: false };
        break_the_promise(config, thread::yield_now, doze).0.unwrap();
        break_the_promise(config, thread::park, wake).0.unwrap();
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the lock of standard output and the capture of the harness are part of the subject"
)]
fn print_nothing(i: usize) {
    print!("{}", if i == usize::MAX { "never" } else { "" });
}

/// What programs do between suspensions, much of which goes through thread-locals of std and of libc.
#[inline(never)]
fn ordinary_work(i: usize) -> usize {
    let mut out = std::io::sink();
    writeln!(out, "{i}").unwrap();
    print_nothing(i);
    let text = format!("{i:?} {:x} {}", i, 0.5 + i as f64);
    let map: HashMap<_, _> = text.bytes().enumerate().collect();
    let mut list: Vec<_> = map.into_iter().collect();
    list.sort_unstable();
    let error = std::fs::File::open("/nonexistent").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    let caught = catch_unwind(AssertUnwindSafe(|| {
        assert!(i.is_multiple_of(2), "on purpose");
        list.len()
    }));
    let _ = std::env::var("SWARD_NO_SUCH_VARIABLE");
    assert!("no number".parse::<f64>().is_err());
    let (send, receive) = mpsc::channel();
    send.send(text).unwrap();
    let shared = Mutex::new(receive.recv().unwrap());
    let _ = std::thread::current().id();
    let length = shared.lock().unwrap().len();
    let value: Box<dyn Fn(usize) -> usize> = Box::new(move |n| n + length);
    assert!(Instant::now().elapsed() < Duration::MAX);
    value(caught.unwrap_or(1))
}

#[inline(never)]
fn nested(depth: usize, i: usize) -> usize {
    if depth == 0 {
        thread::yield_now();
        return ordinary_work(i);
    }
    let frame = [i; 16];
    let below = nested(depth - 1, i + 1);
    below + std::hint::black_box(frame)[depth % 16] + ordinary_work(i) % 2
}

#[test]
fn ordinary_code_between_suspensions_is_not_taken_for_a_broken_promise() {
    each_config(|config| {
        config.build().run(|| {
            let handles: Vec<_> = (0..50)
                .map(|i| {
                    thread::Builder::new()
                        .name(format!("ordinary {i}"))
                        .spawn(move || {
                            let mut sum = 0;
                            for step in 0..stress(20) {
                                sum += ordinary_work(i + step);
                                thread::yield_now();
                                sum += nested(step % 8, i);
                                if step % 5 == 0 {
                                    thread::sleep(Duration::from_micros(10));
                                }
                                sum += thread::spawn(move || ordinary_work(step)).join().unwrap();
                            }
                            sum
                        })
                        .unwrap()
                })
                .collect();
            for handle in handles {
                assert!(handle.join().unwrap() > 0);
            }
        });
    });
}

#[test]
fn green_thread_locals_go_where_their_green_thread_goes() {
    sward_runtime::thread_local!(static OWN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    each_config(|config| {
        config.build().run(|| {
            let handles: Vec<_> = (0..100)
                .map(|i| {
                    thread::spawn(move || {
                        OWN.set(i);
                        OWN.with(|own| {
                            for _ in 0..stress(100) {
                                thread::yield_now();
                                assert_eq!(own.get(), i);
                                assert_eq!(OWN.get(), i);
                            }
                        });
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        });
    });
}
