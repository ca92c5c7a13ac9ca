//! Green threads and calls that are made to end: every wait can be, none that may not be is, and nothing is lost by it.

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{
    Drops, ON_PURPOSE, OnDrop, Watchdog, each_mode, each_run, each_runtime, quiet_panics, stress, wait_until,
};
use sward_runtime::{
    budget,
    cancel::{self, Cancelled, Token},
    future, thread, time, unblock,
};

const LONG: Duration = Duration::from_secs(10_000);

/// Each way to wait, for something that does not come.
const WAITS: [(&str, fn()); 8] = [
    ("park", thread::park),
    ("park_timeout", || thread::park_timeout(LONG)),
    ("sleep", || thread::sleep(LONG)),
    ("a future", || future::block_on(pending())),
    ("a token", || Token::new().wait()),
    ("yields", || {
        loop {
            thread::yield_now();
        }
    }),
    ("operations that succeed at once", || {
        loop {
            budget::spend();
        }
    }),
    ("checks", || {
        loop {
            cancel::check();
            thread::yield_now();
        }
    }),
];

/// Those that an OS thread takes part in.
fn os_waits() -> impl Iterator<Item = (&'static str, fn())> {
    WAITS.into_iter().filter(|(name, _)| *name != "operations that succeed at once")
}

fn is_cancelled<T>(result: thread::Result<T>) -> bool {
    result.is_err_and(|payload| payload.is::<Cancelled>())
}

/// Spawns a green thread that says when it has started.
fn started<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let has_started = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&has_started);
    let handle = thread::spawn(move || {
        theirs.store(true, SeqCst);
        f()
    });
    wait_until(|| has_started.load(SeqCst));
    handle
}

#[test]
fn every_wait_can_be_cancelled() {
    each_run(|| {
        for (name, wait) in WAITS {
            let drops = Drops::new();
            let token = drops.token();
            let waiting = started(move || {
                let _token = token;
                wait();
            });
            // It may be waiting by now, or be about to.
            waiting.cancel();
            assert!(is_cancelled(waiting.join()), "{name}");
            assert_eq!(drops.count(), 1, "{name}");
        }
    });
}

#[test]
fn a_wait_for_another_thread_can_be_cancelled() {
    each_run(|| {
        let forever = thread::spawn(thread::park);
        let other = forever.thread().clone();
        let joining = started(move || forever.join());
        joining.cancel();
        assert!(is_cancelled(joining.join()));
        other.unpark(); // it goes on
    });
}

#[test]
fn a_wait_for_the_pool_can_be_cancelled() {
    each_run(|| {
        let (go, gone) = mpsc::channel::<()>();
        let waiting = started(move || unblock(move || gone.recv()));
        waiting.cancel();
        assert!(is_cancelled(waiting.join()));
        drop(go);
    });
}

#[test]
fn who_is_cancelled_before_it_waits_is_cancelled_when_it_does() {
    each_runtime(|runtime| {
        for (name, wait) in WAITS {
            let (went, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let (theirs, started) = (Arc::clone(&gone), Arc::clone(&went));
            let handle = runtime.handle().spawn(move || {
                started.store(true, SeqCst);
                while !theirs.load(SeqCst) {
                    std::thread::yield_now();
                }
                wait();
            });
            while !went.load(SeqCst) {
                std::thread::yield_now();
            }
            handle.cancel();
            handle.cancel();
            gone.store(true, SeqCst);
            assert!(is_cancelled(handle.join()), "{name}");
        }
    });
}

#[test]
fn who_has_not_started_never_does() {
    each_mode(1, |config| {
        let runtime = config.build();
        runtime.run(|| {
            let (drops, runs) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
            let handles: Vec<_> = (0..100)
                .map(|_| {
                    let (token, runs) = (drops.token(), Arc::clone(&runs));
                    thread::spawn(move || {
                        let _token = token;
                        runs.fetch_add(1, SeqCst);
                    })
                })
                .collect();
            // Nobody else could have run.
            handles.iter().for_each(thread::JoinHandle::cancel);
            assert!(handles.into_iter().all(|handle| is_cancelled(handle.join())));
            assert_eq!((drops.count(), runs.load(SeqCst)), (100, 0));
        });
    });
}

#[test]
fn what_an_unstarted_closure_owns_may_wait_when_it_is_dropped() {
    each_mode(1, |config| {
        config.build().run(|| {
            let waited = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&waited);
            let on_drop = OnDrop(move || {
                thread::sleep(Duration::from_millis(1));
                theirs.store(true, SeqCst);
            });
            let handle = thread::spawn(move || drop(on_drop));
            handle.cancel();
            assert!(is_cancelled(handle.join()));
            assert!(waited.load(SeqCst));
        });
    });
}

#[test]
fn who_does_not_wait_any_more_wins() {
    each_run(|| {
        let handle = started(|| 42);
        wait_until(|| handle.is_finished());
        handle.cancel();
        assert_eq!(handle.join().unwrap(), 42);
    });
}

#[test]
fn a_shield_holds_it_back_to_its_end() {
    each_run(|| {
        let passed = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&passed);
        let handle = started(move || {
            cancel::shield(|| {
                thread::park();
                thread::yield_now();
                cancel::check();
                cancel::shield(|| thread::sleep(Duration::from_millis(1)));
                thread::park_timeout(Duration::from_millis(1));
            });
            theirs.fetch_add(1, SeqCst);
            thread::park();
            theirs.fetch_add(1, SeqCst);
        });
        handle.cancel();
        thread::sleep(Duration::from_millis(1));
        assert!(!handle.is_finished());
        handle.thread().unpark();
        assert!(is_cancelled(handle.join()));
        assert_eq!(passed.load(SeqCst), 1);
    });
}

#[test]
fn an_unwinding_that_is_caught_repeats() {
    each_run(|| {
        let caught = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&caught);
        let handle = started(move || {
            for (_, wait) in WAITS {
                assert!(catch_unwind(wait).unwrap_err().is::<Cancelled>());
                theirs.fetch_add(1, SeqCst);
            }
            "it has won"
        });
        handle.cancel();
        assert_eq!(handle.join().unwrap(), "it has won");
        assert_eq!(caught.load(SeqCst), WAITS.len());
    });
}

#[test]
fn destructors_may_wait_while_it_unwinds() {
    each_run(|| {
        let steps = Arc::new(Mutex::new(vec![]));
        let theirs = Arc::clone(&steps);
        let handle = started(move || {
            let _first = OnDrop(|| theirs.lock().unwrap().push("first"));
            let _second = OnDrop(|| {
                thread::sleep(Duration::from_millis(1));
                thread::yield_now();
                thread::spawn(thread::yield_now).join().unwrap();
                theirs.lock().unwrap().push("second");
            });
            thread::park();
        });
        handle.cancel();
        assert!(is_cancelled(handle.join()));
        assert_eq!(*steps.lock().unwrap(), ["second", "first"]);
    });
}

#[test]
fn a_panic_goes_on_undisturbed() {
    each_run(|| {
        let handle = started(|| {
            let _waits = OnDrop(thread::park);
            panic!("{ON_PURPOSE}");
        });
        handle.cancel();
        thread::sleep(Duration::from_millis(1));
        handle.thread().unpark();
        assert!(!handle.join().unwrap_err().is::<Cancelled>());
    });
}

#[test]
fn a_scope_waits_for_its_threads_all_the_same() {
    each_run(|| {
        let ended = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&ended);
        let (child, children) = mpsc::channel();
        let handle = started(move || {
            thread::scope(|s| {
                let inner = s.spawn(|| {
                    thread::park();
                    theirs.store(true, SeqCst);
                });
                child.send(inner.thread().clone()).unwrap();
                thread::park();
            });
        });
        handle.cancel();
        let mut inner = None;
        wait_until(|| {
            inner = inner.take().or(children.try_recv().ok());
            inner.is_some()
        });
        thread::sleep(Duration::from_millis(1));
        assert!(!handle.is_finished());
        inner.unwrap().unpark();
        assert!(is_cancelled(handle.join()));
        assert!(ended.load(SeqCst));
    });
}

#[test]
fn a_scoped_thread_can_be_cancelled_and_its_scope_does_not_panic() {
    each_run(|| {
        let value = thread::scope(|s| {
            let left = s.spawn(thread::park);
            left.cancel();
            let joined = s.spawn(thread::park);
            joined.cancel();
            assert!(is_cancelled(joined.join()));
            7
        });
        assert_eq!(value, 7);
    });
}

#[test]
fn a_thread_can_cancel_itself_and_one_of_another_runtime() {
    each_mode(2, |config| {
        let (one, other) = (config.build(), config.build());
        let itself = one.handle().spawn(|| {
            thread::current().cancel();
            thread::park();
        });
        assert!(is_cancelled(itself.join()));
        let waiting = one.handle().spawn(thread::park);
        let canceller = other.handle().spawn(move || {
            waiting.cancel();
            waiting.join()
        });
        assert!(is_cancelled(canceller.join().unwrap()));
    });
}

#[test]
fn an_os_thread_is_not_cancelled() {
    let _watchdog = Watchdog::new();
    thread::current().cancel();
    thread::park_timeout(Duration::from_millis(1));
    thread::yield_now();
}

/// A cancellation, a second one, and an `unpark` at the same moment.
#[test]
fn of_a_wake_and_cancellations_one_wins() {
    each_run(|| {
        for _ in 0..stress(200) {
            let woken = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&woken);
            let handle = thread::spawn(move || {
                thread::park();
                theirs.store(true, SeqCst);
            });
            let cancellers = [(); 2].map(|()| {
                let other = handle.thread().clone();
                thread::spawn(move || other.cancel())
            });
            let other = handle.thread().clone();
            let waker = thread::spawn(move || other.unpark());
            assert_eq!(handle.join().is_ok(), woken.load(SeqCst));
            for other in cancellers.into_iter().chain([waker]) {
                other.join().unwrap();
            }
        }
    });
}

#[test]
fn a_token_ends_every_wait_of_the_calls_it_runs() {
    each_run(|| {
        for (name, wait) in WAITS {
            let token = Token::new();
            let theirs = token.clone();
            let handle = started(move || {
                let cut = theirs.run(wait).is_err();
                thread::yield_now(); // the thread itself goes on
                cut
            });
            token.cancel();
            assert!(handle.join().unwrap(), "{name}");
        }
    });
}

#[test]
fn a_token_ends_waits_of_os_threads() {
    let _watchdog = Watchdog::new();
    for (name, wait) in os_waits() {
        let token = Token::new();
        let theirs = token.clone();
        let (entered, has_entered) = mpsc::channel();
        let handle = std::thread::spawn(move || {
            let cut = theirs.run(|| {
                entered.send(()).unwrap();
                wait();
            });
            thread::park_timeout(Duration::from_millis(1)); // goes on
            cut.is_err()
        });
        has_entered.recv().unwrap();
        token.cancel();
        assert!(handle.join().unwrap(), "{name}");
    }
}

#[test]
fn an_os_thread_has_shields_too() {
    let _watchdog = Watchdog::new();
    let token = Token::new();
    let cut = token.run(|| {
        token.cancel();
        cancel::shield(|| thread::park_timeout(Duration::from_millis(1)));
        assert!(token.child().run(|| ()).is_err());
        thread::scope(|s| {
            s.spawn(|| thread::sleep(Duration::from_millis(1)));
        });
        assert_eq!(crate::common::Config { workers: 1, roaming: false }.build().run(|| 7), 7);
        thread::park();
    });
    assert!(cut.is_err());
}

#[test]
fn what_was_cancelled_before_is_not_called() {
    each_run(|| {
        let token = Token::new();
        assert_eq!(token.run(|| 42).unwrap(), 42);
        token.cancel();
        assert!(token.run(|| unreachable!("not called")).is_err());
        assert!(token.child().run(|| unreachable!("not called")).is_err());
    });
}

#[test]
fn the_outermost_token_that_is_cancelled_catches() {
    each_run(|| {
        let run = |cancel_outer: bool, cancel_inner: bool| {
            let (outer, inner) = (Token::new(), Token::new());
            let mut inner_caught = false;
            let result = outer.run(|| {
                let result = inner.run(|| {
                    if cancel_inner {
                        inner.cancel();
                    }
                    if cancel_outer {
                        outer.cancel();
                    }
                    thread::park();
                });
                inner_caught = result.is_err();
            });
            (result.is_err(), inner_caught)
        };
        assert_eq!(run(false, true), (false, true));
        assert_eq!(run(true, false), (true, false));
        assert_eq!(run(true, true), (true, false));
    });
}

#[test]
fn the_cancellation_of_the_thread_goes_through_tokens() {
    each_run(|| {
        let token = Token::new();
        let theirs = token.clone();
        let handle = started(move || {
            let _ = theirs.run(thread::park);
            "caught"
        });
        handle.cancel();
        assert!(is_cancelled(handle.join()));
        assert!(!token.is_cancelled());
    });
}

#[test]
fn a_shield_covers_the_tokens_outside_and_not_those_inside() {
    each_run(|| {
        let (outside, inside) = (Token::new(), Token::new());
        let (theirs, their_inside) = (outside.clone(), inside.clone());
        let steps = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&steps);
        let is_shielded = Arc::new(AtomicBool::new(false));
        let shielded = Arc::clone(&is_shielded);
        let handle = thread::spawn(move || {
            theirs.run(|| {
                cancel::shield(|| {
                    shielded.store(true, SeqCst);
                    assert!(their_inside.run(thread::park).is_err());
                    counted.fetch_add(1, SeqCst);
                    thread::yield_now();
                    counted.fetch_add(1, SeqCst);
                });
                thread::park();
                counted.fetch_add(1, SeqCst);
            })
        });
        // Earlier, the token would end what is outside the shield.
        wait_until(|| is_shielded.load(SeqCst));
        outside.cancel();
        handle.cancel();
        thread::sleep(Duration::from_millis(1));
        assert_eq!(steps.load(SeqCst), 0);
        inside.cancel();
        assert!(is_cancelled(handle.join()));
        assert_eq!(steps.load(SeqCst), 2);
    });
}

#[test]
fn a_token_does_not_disturb_an_unwinding() {
    each_run(|| {
        let token = Token::new();
        let theirs = token.clone();
        let is_inside = Arc::new(AtomicBool::new(false));
        let inside = Arc::clone(&is_inside);
        let handle = thread::spawn(move || {
            let _ = theirs.run(|| {
                inside.store(true, SeqCst);
                let _waits = OnDrop(thread::park);
                panic!("{ON_PURPOSE}");
            });
        });
        // Earlier, the token would end the call before it begins.
        wait_until(|| is_inside.load(SeqCst));
        token.cancel();
        thread::sleep(Duration::from_millis(1));
        handle.thread().unpark();
        assert!(!handle.join().unwrap_err().is::<Cancelled>());
    });
}

#[test]
fn an_unwinding_to_a_token_that_is_caught_repeats() {
    each_run(|| {
        let token = Token::new();
        let cut = token.run(|| {
            token.cancel();
            for (_, wait) in WAITS {
                assert!(catch_unwind(wait).is_err());
            }
            thread::park();
        });
        assert!(cut.is_err());
        let won = Token::new();
        let value = won.run(|| {
            won.cancel();
            catch_unwind(thread::park).is_err()
        });
        assert!(value.unwrap(), "who returns all the same has won");
    });
}

#[test]
fn an_unwinding_that_is_kept_and_thrown_later_ends_nothing_else() {
    each_run(|| {
        let (first, second) = (Token::new(), Token::new());
        let mut kept = None;
        let _ = first.run(|| {
            first.cancel();
            kept = catch_unwind(thread::park).err();
        });
        let thrown = catch_unwind(AssertUnwindSafe(|| {
            let _ = second.run(|| resume_unwind(kept.take().unwrap()));
        }));
        assert!(thrown.is_err());
    });
}

#[test]
fn children_are_cancelled_with_their_parent_and_not_the_reverse() {
    let parent = Token::new();
    let (first, second) = (parent.child(), parent.child());
    let grandchild = first.child();
    drop(parent.child());
    first.cancel();
    assert!(grandchild.is_cancelled() && !parent.is_cancelled() && !second.is_cancelled());
    let late = first.child();
    assert!(late.is_cancelled());
    let orphan = {
        let middle = parent.child();
        middle.child()
    };
    parent.cancel();
    assert!(second.is_cancelled());
    assert!(orphan.is_cancelled(), "a child keeps its parent");
}

#[test]
fn callbacks_are_called_once_in_order_unless_withdrawn() {
    let token = Token::new();
    let calls = Arc::new(Mutex::new(vec![]));
    let note = |name: &'static str| {
        let calls = Arc::clone(&calls);
        move || calls.lock().unwrap().push(name)
    };
    token.on_cancel(note("first")).keep();
    let withdrawn = token.on_cancel(note("withdrawn"));
    let second = token.on_cancel(note("second"));
    drop(withdrawn);
    token.cancel();
    token.cancel();
    drop(second);
    let _late = token.on_cancel(note("late"));
    assert_eq!(*calls.lock().unwrap(), ["first", "second", "late"]);
}

#[test]
fn what_callbacks_own_is_dropped_with_them() {
    let drops = Drops::new();
    let token = Token::new();
    let owner = |token: &Token| {
        let owned = drops.token();
        token.on_cancel(move || drop(owned))
    };
    drop(owner(&token));
    assert_eq!(drops.count(), 1);
    owner(&token).keep();
    token.cancel();
    assert_eq!(drops.count(), 2);
    let never = Token::new();
    owner(&never).keep();
    drop(never);
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_callback_that_panics_keeps_no_other_from_its_turn() {
    quiet_panics();
    let token = Token::new();
    let calls = Arc::new(AtomicUsize::new(0));
    for i in 0..3 {
        let calls = Arc::clone(&calls);
        token
            .on_cancel(move || {
                calls.fetch_add(1, SeqCst);
                assert!(i != 1, "{ON_PURPOSE}");
            })
            .keep();
    }
    let child = token.child();
    assert!(catch_unwind(AssertUnwindSafe(|| token.cancel())).is_err());
    assert_eq!(calls.load(SeqCst), 3);
    assert!(child.is_cancelled());
}

#[test]
fn a_token_can_be_waited_for() {
    each_run(|| {
        let token = Token::new();
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let token = token.child();
                thread::spawn(move || token.wait())
            })
            .collect();
        let theirs = token.clone();
        let outside = std::thread::spawn(move || theirs.wait());
        token.cancel();
        waiting.into_iter().for_each(|handle| handle.join().unwrap());
        token.wait();
        outside.join().unwrap();
    });
}

/// The token of `park` is taken by a `park` that returns, and by no other.
#[test]
fn a_park_that_is_cut_short_leaves_the_token() {
    each_run(|| {
        for _ in 0..stress(200) {
            let token = Token::new();
            let theirs = token.clone();
            let handle = thread::spawn(move || {
                let unparked = theirs.run(thread::park).is_ok();
                if !unparked {
                    thread::park(); // the token is there, or comes
                }
            });
            let other = handle.thread().clone();
            let waker = thread::spawn(move || other.unpark());
            token.cancel();
            handle.join().unwrap();
            waker.join().unwrap();
        }
    });
}

#[test]
fn tokens_and_calls_that_end_by_themselves_do_not_meet() {
    each_run(|| {
        let token = Token::new();
        let handles: Vec<_> = (0..8)
            .map(|_| {
                let token = token.clone();
                thread::spawn(move || {
                    let mut runs = 0;
                    while token.run(|| token.child().run(|| thread::park_timeout(Duration::ZERO))).is_ok() {
                        runs += 1;
                    }
                    runs
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(1));
        token.cancel();
        for handle in handles {
            let _: usize = handle.join().unwrap();
        }
    });
}

/// Trees of threads that are cancelled, time out and panic in the middle of whatever they do: in the end nobody lives, and every destructor
/// has run once.
#[test]
fn random_trees_leave_nothing_behind() {
    fn grow(seed: usize, depth: usize, life: &Arc<()>) {
        let _alive = Arc::clone(life);
        if depth == 0 {
            return thread::sleep(Duration::from_micros(seed as u64 % 300));
        }
        let children: Vec<_> = (1..4)
            .map(|i| {
                let (seed, life) = (seed.wrapping_mul(31) + i, Arc::clone(life));
                thread::spawn(move || grow(seed, depth - 1, &life))
            })
            .collect();
        let limit = Duration::from_micros(seed as u64 % 400);
        for (i, child) in children.into_iter().enumerate() {
            match (seed >> i) % 5 {
                0 => child.cancel(),
                1 => _ = time::timeout(limit, || child.join()),
                2 => assert!(!seed.is_multiple_of(11), "{ON_PURPOSE}"),
                _ => {
                    let token = Token::new();
                    let theirs = token.clone();
                    thread::spawn(move || theirs.cancel());
                    let _ = token.run(|| child.join());
                }
            }
        }
    }
    each_runtime(|runtime| {
        for seed in 0..stress(20) {
            let life = Arc::new(());
            let theirs = Arc::clone(&life);
            let _ = runtime.handle().spawn(move || grow(seed * 7919 + 1, 3, &theirs)).join();
            // Those that were detached are on their way out.
            wait_until(|| Arc::strong_count(&life) == 1);
        }
    });
}

/// What came of an earlier wait is not taken for what came of the next, which found its token there as it began.
#[test]
fn a_park_whose_token_comes_as_it_begins_is_not_cut_short_as_the_wait_before() {
    each_run(|| {
        let target = thread::spawn(|| {
            for _ in 0..stress(2_000) {
                let _ = time::timeout(Duration::ZERO, thread::park);
                thread::park();
            }
        });
        let thread = target.thread().clone();
        let unparker = std::thread::spawn(move || {
            while thread.state() != thread::State::Finished {
                thread.unpark();
                std::hint::spin_loop();
            }
        });
        assert!(target.join().is_ok());
        unblock(|| unparker.join()).unwrap();
    });
}
