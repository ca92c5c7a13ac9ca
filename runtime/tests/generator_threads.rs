//! Generators and the threads that they run on: bodies that wait, that are cancelled, that stay with their owner.

mod common;

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{Drops, OnDrop, each_mode, each_run, each_runtime, quiet_panics, stress, wait_until};
use sward_runtime::{
    cancel,
    coroutine::{self, Generator, State, Yielder},
    thread, time,
};

fn panics(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it does not panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("no text")
}

/// Yields the numbers below `n`, and waits in every way before each.
fn slow_numbers(n: u64) -> Generator<(), u64, ()> {
    coroutine::iter(move |y| {
        for i in 0..n {
            thread::yield_now();
            thread::sleep(Duration::from_micros(i % 3 * 50));
            let mine = thread::current();
            let helper = thread::spawn(move || {
                mine.unpark();
                i
            });
            thread::park();
            y.yield_(helper.join().unwrap());
        }
    })
}

#[test]
fn a_body_that_waits_parks_the_whole_chain() {
    each_run(|| {
        let handles: Vec<_> = (0..stress(20) as u64)
            .map(|i| {
                thread::spawn(move || {
                    // Three stacks deep.
                    let doubled = coroutine::iter(move |y| {
                        for n in slow_numbers(5 + i % 5) {
                            thread::yield_now();
                            y.yield_(2 * n);
                        }
                    });
                    let mut sum = 0;
                    for n in doubled {
                        thread::yield_now();
                        sum += n;
                    }
                    (sum, (0..5 + i % 5).sum::<u64>() * 2)
                })
            })
            .collect();
        for handle in handles {
            let (sum, expected) = handle.join().unwrap();
            assert_eq!(sum, expected);
        }
    });
}

#[test]
fn a_body_waits_on_an_os_thread_too() {
    assert!(slow_numbers(4).eq(0..4));
}

#[test]
fn destructors_of_a_dropped_body_may_wait() {
    each_run(|| {
        let drops = Drops::new();
        let handles: Vec<_> = (0..20)
            .map(|_| {
                let token = drops.token();
                thread::spawn(move || {
                    let mut generator = coroutine::iter(move |y| {
                        let _token = token;
                        let _slow = OnDrop(|| {
                            thread::yield_now();
                            thread::sleep(Duration::from_micros(50));
                            thread::spawn(thread::yield_now).join().unwrap();
                        });
                        y.yield_(1);
                    });
                    generator.next();
                    drop(generator);
                })
            })
            .collect();
        for handle in handles {
            handle.join().unwrap();
        }
        assert_eq!(drops.count(), 20);
    });
}

#[test]
fn a_green_thread_that_ends_unwinds_what_it_suspended_and_what_it_runs() {
    each_runtime(|runtime| {
        let drops = Drops::new();
        let ready = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..30)
            .map(|i| {
                let (suspended, running, ready) = (drops.token(), drops.token(), Arc::clone(&ready));
                runtime.handle().spawn(move || {
                    let mut half_way = coroutine::iter(move |y| {
                        let _token = suspended;
                        y.yield_(());
                    });
                    half_way.next();
                    let mut waits = coroutine::iter(move |y| {
                        let _token = running;
                        y.yield_(());
                        ready.fetch_add(1, SeqCst);
                        thread::park();
                    });
                    waits.next();
                    if i % 2 == 0 {
                        waits.next();
                    } else {
                        // Below one more.
                        coroutine::iter(move |y| {
                            y.yield_(());
                            waits.next();
                        })
                        .count();
                    }
                })
            })
            .collect();
        wait_until(|| ready.load(SeqCst) == 30);
        for handle in &handles {
            handle.cancel();
        }
        for handle in handles {
            assert!(handle.join().unwrap_err().is::<cancel::Cancelled>());
        }
        assert_eq!(drops.count(), 60);
    });
}

#[test]
fn a_deadline_of_the_resumer_reaches_the_body() {
    each_run(|| {
        let mut waits = coroutine::iter(|y| {
            y.yield_(1);
            thread::park();
        });
        assert_eq!(waits.next(), Some(1));
        assert!(time::timeout(Duration::from_millis(1), || waits.next()).is_err());
        assert!(waits.is_done());
        assert!(!cancel::is_due());
    });
}

#[test]
fn a_body_may_be_inside_of_scopes_but_not_yield_there() {
    type Scope = fn(&mut dyn FnMut());
    let scopes: [Scope; 4] = [
        |f| thread::no_suspend(f),
        |f| cancel::shield(f),
        |f| time::timeout(Duration::from_secs(600), f).unwrap(),
        |f| cancel::Token::new().run(f).unwrap(),
    ];
    let test = move || {
        for scope in scopes {
            let mut inside = Generator::new(move |y, ()| {
                scope(&mut || ());
                y.yield_(String::new());
                panics(|| scope(&mut || y.yield_(String::new())))
            });
            // It does not matter what the resumer is inside of, nor that this changes.
            assert_eq!(inside.resume(()), State::Yielded(String::new()));
            scope(&mut || {
                let refused = inside.try_resume(()).unwrap().complete().unwrap();
                assert!(refused.contains("cannot yield inside"), "{refused}");
            });
            // Nothing was left behind.
            thread::yield_now();
            assert!(coroutine::iter(|y| y.yield_(1)).eq([1]));
        }
    };
    quiet_panics();
    test();
    each_run(test);
}

#[test]
fn a_dropped_body_is_unwound_although_it_swallows_and_enters_scopes() {
    each_run(|| {
        let drops = Drops::new();
        let token = drops.token();
        let mut stubborn = coroutine::iter(move |y| {
            let _token = token;
            for n in 0..3 {
                let _ = catch_unwind(AssertUnwindSafe(|| y.yield_(n)));
                let _ = catch_unwind(AssertUnwindSafe(|| cancel::shield(|| y.yield_(n))));
            }
        });
        stubborn.next();
        drop(stubborn);
        assert_eq!(drops.count(), 1);
    });
}

type Kept = RefCell<Option<Generator<(), u32, ()>>>;

std::thread_local! {
    static KEPT: Kept = const { RefCell::new(None) };
}

/// Out of line: the OS thread's own, looked up anew after each suspension.
#[inline(never)]
fn keep(generator: Generator<(), u32, ()>) {
    KEPT.set(Some(generator));
}

#[inline(never)]
fn is_kept() -> bool {
    KEPT.with_borrow(Option::is_some)
}

#[inline(never)]
fn take_kept() -> Generator<(), u32, ()> {
    KEPT.take().expect("none is kept")
}

#[test]
fn another_green_thread_neither_resumes_nor_unwinds_it() {
    each_mode(1, |config| {
        config.build().run(|| {
            let drops = Drops::new();
            let token = drops.token();
            let start = thread::spawn(move || {
                let mut generator = coroutine::iter(move |y| {
                    let _token = token;
                    y.yield_(1);
                    y.yield_(2);
                });
                generator.next();
                keep(generator);
                thread::park();
                let mut generator = take_kept();
                assert_eq!(generator.next(), Some(2));
                keep(generator);
            });
            let other = {
                let starter = start.thread().clone();
                thread::spawn(move || {
                    wait_until(is_kept);
                    let mut generator = take_kept();
                    let text = panics(|| {
                        generator.next();
                    });
                    assert!(text.contains("another thread"), "{text}");
                    assert!(!generator.is_done());
                    keep(generator);
                    starter.unpark();
                })
            };
            other.join().unwrap();
            start.join().unwrap();
            // Its owner has ended: it is leaked.
            thread::spawn(|| drop(take_kept())).join().unwrap();
            assert_eq!(drops.count(), 0);
            // One that has not started belongs to nobody.
            thread::spawn(|| keep(coroutine::iter(|y| y.yield_(3)))).join().unwrap();
            thread::spawn(|| assert!(take_kept().eq([3]))).join().unwrap();
        });
    });
}

struct KeptHere {
    generator: RefCell<Option<Generator<(), u32, ()>>>,
}

impl Drop for KeptHere {
    fn drop(&mut self) {
        if let Some(mut generator) = self.generator.take() {
            // Its body may have borrowed a local that is gone.
            let text = panics(|| {
                generator.next();
            });
            assert!(text.contains("another thread"), "{text}");
        }
        // One that needs no second resume may run.
        assert!(coroutine::iter(|_: &Yielder<(), ()>| ()).eq([]));
    }
}

sward_runtime::thread_local! {
    static BORROWED: String = "borrowed".to_owned();
    static HERE: KeptHere = KeptHere { generator: RefCell::new(None) };
}

#[test]
fn one_in_a_local_is_leaked_when_the_green_thread_ends() {
    each_run(|| {
        let drops = Drops::new();
        for _ in 0..10 {
            let token = drops.token();
            thread::spawn(move || {
                let mut generator = coroutine::iter(move |y| {
                    let _token = token;
                    BORROWED.with(|text| {
                        let _look = OnDrop(|| assert_eq!(text, "borrowed"));
                        y.yield_(1);
                    });
                });
                assert_eq!(generator.next(), Some(1));
                HERE.with(|here| here.generator.replace(Some(generator)));
            })
            .join()
            .unwrap();
        }
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn a_scope_inside_of_a_body_joins_before_the_body_goes_on() {
    each_run(|| {
        let mut sums = Generator::new(|y: &Yielder<Vec<u32>, u32>, mut numbers: Vec<u32>| -> () {
            loop {
                let (left, right) = numbers.split_at(numbers.len() / 2);
                let sum = thread::scope(|s| {
                    let left = s.spawn(|| left.iter().sum::<u32>());
                    let right = s.spawn(|| right.iter().sum::<u32>());
                    left.join().unwrap() + right.join().unwrap()
                });
                numbers = y.yield_(sum);
            }
        });
        for n in 0..stress(20) as u32 {
            assert_eq!(sums.resume((0..n).collect()), State::Yielded((0..n).sum()));
        }
    });
}
