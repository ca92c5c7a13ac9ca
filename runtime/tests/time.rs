//! Deadlines that reach every wait inside a call, and ticks at intervals.

use std::{
    future::pending,
    io,
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
};

use crate::common::{ON_PURPOSE, OnDrop, Watchdog, each_run, stress};
use sward_runtime::{
    budget,
    cancel::{self, Cancelled, Token},
    future, thread,
    time::{self, Duration, Instant, MissedTick},
    unblock,
};

const LONG: Duration = Duration::from_secs(10_000);
const SHORT: Duration = Duration::from_millis(2);

/// Each way to wait, for something that does not come.
const WAITS: [(&str, fn()); 9] = [
    ("park", thread::park),
    ("park_timeout", || thread::park_timeout(LONG)),
    ("sleep", || thread::sleep(LONG)),
    ("a future", || future::block_on(pending())),
    ("a token", || Token::new().wait()),
    ("a deadline further in", || time::timeout(LONG, thread::park).unwrap()),
    ("an unlimited sleep", || thread::sleep(Duration::MAX)),
    ("yields", || {
        loop {
            thread::yield_now();
        }
    }),
    ("checks", || {
        loop {
            cancel::check();
        }
    }),
];

#[test]
fn every_wait_ends_when_time_is_up() {
    each_run(|| {
        for (name, wait) in WAITS {
            let start = Instant::now();
            assert!(time::timeout(SHORT, wait).is_err(), "{name}");
            assert!(start.elapsed() >= SHORT, "{name}");
        }
        let forever = thread::spawn(thread::park);
        let other = forever.thread().clone();
        assert!(time::timeout(SHORT, || forever.join()).is_err());
        other.unpark();
        assert!(
            time::timeout(SHORT, || loop {
                budget::spend()
            })
            .is_err()
        );
        let (go, gone) = mpsc::channel::<()>();
        assert!(time::timeout(SHORT, || unblock(move || gone.recv())).is_err());
        drop(go);
    });
}

#[test]
fn waits_of_os_threads_end_too() {
    let _watchdog = Watchdog::new();
    for (name, wait) in WAITS {
        let start = Instant::now();
        assert!(time::timeout(SHORT, wait).is_err(), "{name}");
        assert!(start.elapsed() >= SHORT, "{name}");
    }
    let forever = thread::spawn(thread::park);
    let other = forever.thread().clone();
    assert!(time::timeout(SHORT, || forever.join()).is_err());
    other.unpark();
}

#[test]
fn what_ends_in_time_returns() {
    each_run(|| {
        let value = time::timeout(LONG, || {
            thread::yield_now();
            thread::sleep(Duration::from_micros(10));
            thread::spawn(|| 42).join().unwrap()
        });
        assert_eq!(value, Ok(42));
        assert_eq!(time::timeout(Duration::MAX, || 7), Ok(7));
        assert_eq!(time::deadline(Instant::now() + LONG, || 8), Ok(8));
    });
}

#[test]
fn who_returns_late_has_won() {
    each_run(|| {
        assert_eq!(time::timeout(Duration::ZERO, || 42), Ok(42));
        let late = time::deadline(Instant::now(), || catch_unwind(thread::park).is_err());
        assert_eq!(late, Ok(true));
    });
}

#[test]
fn a_deadline_that_has_passed_ends_the_first_wait() {
    each_run(|| {
        let reached = AtomicUsize::new(0);
        let cut = time::deadline(Instant::now(), || {
            reached.fetch_add(1, SeqCst);
            thread::sleep(Duration::from_nanos(1));
            reached.fetch_add(1, SeqCst);
        });
        assert_eq!((cut.is_err(), reached.into_inner()), (true, 1));
    });
}

#[test]
fn a_wake_that_came_first_is_not_lost_to_a_deadline_that_has_passed() {
    each_run(|| {
        let taken = || {
            thread::current().unpark();
            let is_taken = time::timeout(Duration::ZERO, thread::park).is_ok();
            if !is_taken {
                // It was this one's turn to yield, which noticed the deadline. The token is there still.
                thread::park();
            }
            is_taken
        };
        assert!((0..100).filter(|_| taken()).count() > 50);
    });
}

#[test]
fn of_nested_deadlines_the_earliest_counts() {
    each_run(|| {
        // The inner one, for the inner call.
        let outer = time::timeout(LONG, || {
            assert!(time::timeout(SHORT, thread::park).is_err());
            thread::yield_now();
            "goes on"
        });
        assert_eq!(outer, Ok("goes on"));
        // The outer one, through the inner call.
        let outer = time::timeout(SHORT, || {
            let _ = time::timeout(LONG, thread::park);
            unreachable!("the outer one has passed");
        });
        assert!(outer.is_err());
        // Both at once: the outer one.
        let at = Instant::now() + SHORT;
        let outer = time::deadline(at, || time::deadline(at, thread::park));
        assert!(outer.is_err());
    });
}

#[test]
fn a_wait_with_a_deadline_of_its_own_ends_at_the_earlier_one() {
    each_run(|| {
        let returned = time::timeout(LONG, || thread::park_timeout(SHORT));
        assert!(returned.is_ok(), "its own came first");
        assert!(time::timeout(SHORT, || thread::park_timeout(LONG)).is_err());
        let handle = thread::spawn(thread::park);
        let handle = time::timeout(LONG, || handle.join_timeout(SHORT)).unwrap().unwrap_err();
        handle.thread().unpark();
        handle.join().unwrap();
    });
}

#[test]
fn the_thread_goes_on_as_before() {
    each_run(|| {
        for _ in 0..10 {
            assert!(time::timeout(Duration::from_micros(50), thread::park).is_err());
            thread::sleep(Duration::from_micros(50));
            assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
            thread::current().unpark();
            thread::park();
            cancel::check();
        }
        assert!(!thread::panicking());
    });
}

#[test]
fn destructors_run_and_may_wait() {
    each_run(|| {
        let dropped = AtomicBool::new(false);
        let cut = time::timeout(SHORT, || {
            let _waits = OnDrop(|| {
                thread::sleep(SHORT);
                dropped.store(true, SeqCst);
            });
            thread::park();
        });
        assert!(cut.is_err() && dropped.into_inner());
    });
}

#[test]
fn a_panic_goes_through() {
    each_run(|| {
        let panicked = catch_unwind(|| time::timeout(LONG, || panic!("{ON_PURPOSE}")));
        assert!(panicked.is_err());
        // And is not disturbed by a deadline that passes meanwhile.
        let panicked = catch_unwind(|| {
            time::timeout(SHORT, || {
                let _waits = OnDrop(|| thread::sleep(SHORT * 2));
                panic!("{ON_PURPOSE}")
            })
        });
        assert!(panicked.is_err());
    });
}

#[test]
fn a_shield_holds_a_deadline_back() {
    each_run(|| {
        let steps = AtomicUsize::new(0);
        let cut = time::timeout(SHORT, || {
            cancel::shield(|| {
                thread::sleep(SHORT * 2);
                steps.fetch_add(1, SeqCst);
                assert!(time::timeout(SHORT, thread::park).is_err(), "one inside it is not held back");
                steps.fetch_add(1, SeqCst);
            });
            thread::yield_now();
            steps.fetch_add(1, SeqCst);
        });
        assert_eq!((cut.is_err(), steps.into_inner()), (true, 2));
    });
}

#[test]
fn threads_that_were_spawned_inside_are_not_bound() {
    each_run(|| {
        let ended = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&ended);
        let mut child = None;
        let cut = time::timeout(SHORT, || {
            child = Some(thread::spawn(move || {
                thread::park();
                theirs.store(true, SeqCst);
            }));
            thread::park();
        });
        assert!(cut.is_err());
        let child = child.unwrap();
        child.thread().unpark();
        child.join().unwrap();
        assert!(ended.load(SeqCst));
    });
}

#[test]
fn a_scope_waits_for_its_threads_all_the_same() {
    each_run(|| {
        let ended = AtomicBool::new(false);
        let cut = time::timeout(SHORT, || {
            thread::scope(|s| {
                s.spawn(|| {
                    thread::sleep(SHORT * 3);
                    ended.store(true, SeqCst);
                });
                thread::park();
            });
        });
        assert!(cut.is_err() && ended.into_inner());
    });
}

#[test]
fn the_cancellation_of_the_thread_goes_through_deadlines() {
    each_run(|| {
        let handle = thread::spawn(|| {
            let _ = time::timeout(LONG, thread::park);
            "caught"
        });
        handle.cancel();
        assert!(handle.join().unwrap_err().is::<Cancelled>());
    });
}

#[test]
fn a_deadline_and_a_token_bound_the_same_call() {
    each_run(|| {
        let token = Token::new();
        assert!(time::timeout(SHORT, || token.run(thread::park)).is_err());
        assert!(token.run(|| time::timeout(SHORT, thread::park)).unwrap().is_err());
        let theirs = token.clone();
        thread::spawn(move || theirs.cancel());
        assert!(time::timeout(LONG, || token.run(thread::park)).unwrap().is_err());
    });
}

#[test]
fn an_error_of_io_says_that_time_is_up() {
    let elapsed = time::timeout(Duration::ZERO, thread::yield_now).unwrap_err();
    let error = io::Error::from(elapsed);
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::TimedOut, "time is up".into()));
}

/// Deadlines, wakes and the ends of calls at the same moment.
#[test]
fn of_a_wake_and_a_deadline_one_wins() {
    each_run(|| {
        for i in 0..stress(300) {
            let handle = thread::spawn(move || {
                let limit = Duration::from_micros(i as u64 % 60);
                if time::timeout(limit, thread::park).is_err() {
                    thread::park(); // the token was left alone
                }
            });
            handle.thread().unpark();
            handle.join().unwrap();
        }
    });
}

#[test]
fn many_threads_time_out_at_once() {
    each_run(|| {
        let at = Instant::now() + SHORT;
        let handles: Vec<_> = (0..stress(500))
            .map(|_| thread::spawn(move || time::deadline(at, || time::timeout(LONG, thread::park)).is_err()))
            .collect();
        assert!(handles.into_iter().all(|handle| handle.join().unwrap()));
    });
}

#[test]
fn an_interval_ticks_at_once_and_then_at_intervals() {
    each_run(|| {
        let (start, period) = (Instant::now(), Duration::from_millis(1));
        let mut interval = time::interval_at(start, period);
        for n in 0..5 {
            assert_eq!(interval.tick(), start + period * n);
            assert!(Instant::now() >= start + period * n);
        }
    });
}

#[test]
fn a_tick_that_is_cut_short_is_not_used_up() {
    each_run(|| {
        let at = Instant::now() + SHORT;
        let mut interval = time::interval_at(at, LONG);
        assert!(time::timeout(Duration::ZERO, || interval.tick()).is_err());
        assert_eq!(interval.tick(), at);
    });
}

#[test]
fn missed_ticks_are_dealt_with_as_was_asked() {
    each_run(|| {
        let period = Duration::from_secs(10);
        let missed = Instant::now().checked_sub(period * 5 / 2).expect("a clock that is older");
        for (behaviour, next) in
            [(MissedTick::Burst, missed + period), (MissedTick::Skip, missed + period * 3)]
        {
            let mut interval = time::interval_at(missed, period);
            interval.set_missed_tick(behaviour);
            assert_eq!(interval.tick(), missed);
            assert_eq!(interval.next_tick(), Some(next), "{behaviour:?}");
        }
        let mut interval = time::interval_at(missed, period);
        interval.set_missed_tick(MissedTick::Delay);
        let now = Instant::now();
        interval.tick();
        assert!(interval.next_tick().unwrap() >= now + period);
    });
}
