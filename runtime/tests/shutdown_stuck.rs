//! A runtime that ends while workers are in foreign calls, which wait for what other green threads of it have.

use std::{
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::common::{
    Config, Drops, OnDrop, each_config, each_mode, stress, until_os_threads_are_gone, wait_until,
};
use sward_runtime::{blocking, cancel::Cancelled, runtime::Runtime, thread};

/// How a green thread blocks its worker.
#[derive(Clone, Copy)]
enum How {
    /// And says so.
    Blocking,
    /// In a foreign call.
    Call,
    /// It computes until it sees that it may go on.
    Compute,
}

/// Has a green thread block its worker until the sender is gone that is returned. It is blocked by then.
fn block(runtime: &Runtime, how: How) -> (mpsc::Sender<()>, thread::JoinHandle<bool>) {
    let (sender, receiver) = mpsc::channel::<()>();
    let blocked = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&blocked);
    let handle = runtime.handle().spawn(move || {
        let wait = || {
            theirs.store(true, SeqCst);
            match how {
                How::Compute => while receiver.try_recv() != Err(mpsc::TryRecvError::Disconnected) {},
                How::Blocking | How::Call => assert!(receiver.recv().is_err()),
            }
        };
        match how {
            How::Blocking => blocking(wait),
            How::Call | How::Compute => wait(),
        }
        true
    });
    while !blocked.load(SeqCst) {
        std::thread::yield_now();
    }
    (sender, handle)
}

/// Blocks as many as are asked for, has as many others hold what they wait for, and ends the runtime.
fn ends(config: Config, how: How, pairs: usize) {
    let prefix = format!("ss{}{}", config.mode().len(), config.workers);
    let runtime = config.builder().thread_name(&prefix).build().unwrap();
    let (drops, holding) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
    let (senders, blocked): (Vec<_>, Vec<_>) = (0..pairs).map(|_| block(&runtime, how)).unzip();
    let holders: Vec<_> = senders
        .into_iter()
        .map(|sender| {
            let (token, holding) = (drops.token(), Arc::clone(&holding));
            runtime.handle().spawn(move || {
                let (_token, _sender) = (token, sender);
                holding.fetch_add(1, SeqCst);
                thread::park();
            })
        })
        .collect();
    wait_until(|| holding.load(SeqCst) == pairs);
    drop(runtime);
    assert_eq!(drops.count(), pairs);
    blocked.into_iter().for_each(|handle| assert!(handle.join().unwrap()));
    holders.into_iter().for_each(|handle| assert!(handle.join().unwrap_err().is::<Cancelled>()));
    until_os_threads_are_gone(&prefix);
}

#[test]
fn a_call_in_blocking_gets_what_another_holds_that_is_cancelled() {
    each_config(|config| ends(config, How::Blocking, 1));
}

#[test]
fn more_such_calls_than_workers_get_it() {
    each_config(|config| ends(config, How::Blocking, config.workers + 3));
}

#[test]
fn so_does_a_call_that_nobody_was_told_of() {
    each_config(|config| {
        ends(config, How::Call, 1);
        ends(config, How::Call, config.workers + 2);
    });
}

#[test]
fn and_one_that_computes_until_then() {
    each_config(|config| ends(config, How::Compute, 1));
}

/// What they wait for comes late, from destructors that wait themselves, one for the other.
#[test]
fn destructors_that_wait_release_calls_one_after_the_other() {
    each_config(|config| {
        let runtime = config.build();
        let (first, mut blocked) = block(&runtime, How::Blocking);
        let mut release = Some(first);
        for _ in 0..3 {
            let (next, handle) = block(&runtime, How::Blocking);
            let holds = Arc::new(AtomicBool::new(false));
            let (theirs, held, waited_for) = (Arc::clone(&holds), release.replace(next), blocked);
            runtime.handle().spawn(move || {
                let (mut held, mut waited_for) = (held, Some(waited_for));
                let _slow = OnDrop(|| {
                    thread::yield_now();
                    thread::sleep(Duration::from_micros(100));
                    drop(held.take());
                    assert!(waited_for.take().unwrap().join().unwrap());
                });
                theirs.store(true, SeqCst);
                thread::park();
            });
            wait_until(|| holds.load(SeqCst));
            blocked = handle;
        }
        let last = runtime.handle().spawn(move || {
            let _last = release;
            thread::park();
        });
        wait_until(|| matches!(last.thread().state(), thread::State::Waiting(_)));
        drop(runtime);
        assert!(blocked.join().unwrap());
        assert!(last.join().unwrap_err().is::<Cancelled>());
    });
}

/// When its call is over it is as cancelled as the others.
#[test]
fn who_comes_back_from_a_call_during_the_end_is_cancelled_and_spawns_nothing() {
    each_config(|config| {
        let runtime = config.build();
        let (sender, receiver) = mpsc::channel::<()>();
        let (ran, blocked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (runs, theirs) = (Arc::clone(&ran), Arc::clone(&blocked));
        let back = runtime.handle().spawn(move || {
            blocking(|| {
                theirs.store(true, SeqCst);
                receiver.recv().unwrap_err();
            });
            thread::spawn(move || runs.store(true, SeqCst));
            thread::park();
        });
        wait_until(|| blocked.load(SeqCst));
        let holder = runtime.handle().spawn(move || {
            let _sender = sender;
            thread::park();
        });
        wait_until(|| matches!(holder.thread().state(), thread::State::Waiting(_)));
        drop(runtime);
        assert!(back.join().unwrap_err().is::<Cancelled>());
        assert!(!ran.load(SeqCst));
    });
}

/// They come to a switch, begin waits, start and end others, at any moment of the end.
#[test]
fn those_who_block_now_and_then_end_too() {
    each_config(|config| {
        for round in 0..stress(3) {
            let runtime = config.build();
            let drops = Drops::new();
            let (sender, blocked) = block(&runtime, How::Blocking);
            let handles: Vec<_> = (0..30)
                .map(|i| {
                    let (token, sender) = (drops.token(), sender.clone());
                    runtime.handle().spawn(move || {
                        let (_token, _sender) = (token, sender);
                        for step in 0.. {
                            match (i + step) % 5 {
                                0 => blocking(|| std::thread::sleep(Duration::from_micros(300))),
                                1 => thread::spawn(|| ()).join().unwrap_or(()),
                                2 => thread::sleep(Duration::from_micros(50)),
                                3 => thread::park_timeout(Duration::from_micros(50)),
                                _ => thread::yield_now(),
                            }
                        }
                    })
                })
                .collect();
            drop(sender);
            std::thread::sleep(Duration::from_millis(round as u64 % 4));
            drop(runtime);
            assert_eq!(drops.count(), 30);
            handles.into_iter().for_each(|handle| assert!(handle.join().is_err()));
            assert!(blocked.join().unwrap());
        }
    });
}

/// Its worker has no seat any more, and sleeps as soon as it has ended.
#[test]
fn when_the_last_to_end_comes_back_from_a_call_nobody_waits_any_longer() {
    each_config(|config| {
        // An end that is not told of it waits for twice as long. More than once, since an OS thread can lose its CPU.
        let long = Duration::from_millis(500);
        while {
            let runtime = config.build();
            let (senders, blocked): (Vec<_>, Vec<_>) =
                (0..config.workers).map(|_| block(&runtime, How::Call)).unzip();
            // It can run only where one of them has lost its seat, and goes once the others are all that is left.
            let other = runtime.handle().spawn(thread::park);
            wait_until(|| matches!(other.thread().state(), thread::State::Waiting(_)));
            let handle = runtime.handle().clone();
            let releaser = std::thread::spawn(move || {
                wait_until(|| handle.live() == blocked.len());
                drop(senders);
                blocked.into_iter().for_each(|handle| assert!(handle.join().unwrap()));
                Instant::now()
            });
            drop(runtime);
            releaser.join().unwrap().elapsed() >= long
        } {}
    });
}

#[test]
fn one_that_caught_its_cancellation_beside_an_unwinding_one_ends_too() {
    each_mode(1, |config| {
        let runtime = config.build();
        let (waiting, caught) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        // Before and after it, since one of them is to unwind, and wait, as it is cancelled.
        let sleepy = || {
            let waiting = Arc::clone(&waiting);
            runtime.handle().spawn(move || {
                let _sleeps = OnDrop(|| thread::sleep(Duration::from_millis(100)));
                waiting.fetch_add(1, SeqCst);
                thread::park();
            })
        };
        let first = sleepy();
        let stubborn = {
            let (waiting, caught) = (Arc::clone(&waiting), Arc::clone(&caught));
            runtime.handle().spawn(move || {
                waiting.fetch_add(1, SeqCst);
                let cancelled = catch_unwind(thread::park);
                caught.store(cancelled.unwrap_err().is::<Cancelled>(), SeqCst);
                thread::park();
            })
        };
        let last = sleepy();
        wait_until(|| waiting.load(SeqCst) == 3);
        drop(runtime);
        assert!(caught.load(SeqCst));
        [first, stubborn, last]
            .into_iter()
            .for_each(|handle| assert!(handle.join().unwrap_err().is::<Cancelled>()));
    });
}

#[test]
fn a_call_gets_what_one_holds_that_began_to_wait_beside_an_unwinding_one() {
    // The call has the only worker; a spare runs the other two.
    each_mode(1, |config| {
        let runtime = config.build();
        let (sender, call) = block(&runtime, How::Blocking);
        let unwinding = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&unwinding);
        let panics = runtime.handle().spawn(move || {
            let _parks = OnDrop(|| {
                theirs.store(true, SeqCst);
                thread::park();
            });
            panic!("a panic");
        });
        wait_until(|| unwinding.load(SeqCst));
        let holding = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&holding);
        let holder = runtime.handle().spawn(move || {
            let _sender = sender;
            theirs.store(true, SeqCst);
            thread::park();
        });
        wait_until(|| holding.load(SeqCst));
        panics.thread().unpark();
        assert!(panics.join().is_err());
        drop(runtime);
        assert!(call.join().unwrap());
        assert!(holder.join().unwrap_err().is::<Cancelled>());
    });
}
