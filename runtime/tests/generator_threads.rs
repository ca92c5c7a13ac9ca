//! Generators and the threads that they run on: bodies that wait, that are cancelled, that borrow locals.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{Drops, OnDrop, each_run, each_runtime, panics, quiet_panics, stress, wait_until};
use sward_runtime::{
    cancel,
    coroutine::{self, Generator, Scope, State, Yielder},
    thread, time,
};

/// Yields the numbers below `n`, and waits in every way before each.
fn slow_numbers<'s>(s: &'s Scope<'s, '_>, n: u64) -> Generator<'s, (), u64, ()> {
    s.iter(move |y| {
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
                    let sum = coroutine::scope(|s| {
                        // Three stacks deep.
                        let doubled = s.iter(move |y| {
                            for n in slow_numbers(s, 5 + i % 5) {
                                thread::yield_now();
                                y.yield_(2 * n);
                            }
                        });
                        doubled.inspect(|_| thread::yield_now()).sum::<u64>()
                    });
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
    coroutine::scope(|s| assert!(slow_numbers(s, 4).eq(0..4)));
}

#[test]
fn destructors_of_a_dropped_body_may_wait() {
    each_run(|| {
        let drops = Drops::new();
        let handles: Vec<_> = (0..20)
            .map(|_| {
                let token = drops.token();
                thread::spawn(move || {
                    coroutine::scope(|s| {
                        let mut generator = s.iter(move |y| {
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
                    });
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
                    coroutine::scope(|s| {
                        let mut half_way = s.iter(move |y| {
                            let _token = suspended;
                            y.yield_(());
                        });
                        half_way.next();
                        let mut waits = s.iter(move |y| {
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
                            let outer = s.iter(move |y| {
                                y.yield_(());
                                waits.next();
                            });
                            outer.count();
                        }
                    });
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
        coroutine::scope(|s| {
            let mut waits = s.iter(|y| {
                y.yield_(1);
                thread::park();
            });
            assert_eq!(waits.next(), Some(1));
            assert!(time::timeout(Duration::from_millis(1), || waits.next()).is_err());
            assert!(waits.is_done());
            assert!(!cancel::is_due());
        });
    });
}

fn yields_inside_of_what_nests<'s>(s: &'s Scope<'s, '_>) {
    type Inside = fn(&mut dyn FnMut());
    let all: [Inside; 4] = [
        |f| thread::no_suspend(f),
        |f| cancel::shield(f),
        |f| time::timeout(Duration::from_secs(600), f).unwrap(),
        |f| cancel::Token::new().run(f).unwrap(),
    ];
    for inside in all {
        let mut generator = s.generator(move |y, ()| {
            inside(&mut || ());
            y.yield_(String::new());
            panics(|| inside(&mut || y.yield_(String::new())))
        });
        // It does not matter what the resumer is inside of, nor that this changes.
        assert_eq!(generator.resume(()), State::Yielded(String::new()));
        inside(&mut || {
            let refused = generator.try_resume(()).unwrap().complete().unwrap();
            assert!(refused.contains("cannot yield inside"), "{refused}");
        });
        // Nothing was left behind.
        thread::yield_now();
        assert!(s.iter(|y| y.yield_(1)).eq([1]));
    }
}

#[test]
fn a_body_may_be_inside_of_what_nests_but_not_yield_there() {
    quiet_panics();
    coroutine::scope(|s| yields_inside_of_what_nests(s));
    each_run(|| coroutine::scope(|s| yields_inside_of_what_nests(s)));
}

#[test]
fn a_dropped_body_is_unwound_although_it_swallows_and_enters_scopes() {
    each_run(|| {
        let drops = Drops::new();
        let token = drops.token();
        coroutine::scope(|s| {
            let mut stubborn = s.iter(move |y| {
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
    });
}

/// Its destructor makes generators while other locals of the thread are still to be destroyed.
struct MakesMore(Arc<AtomicUsize>);

impl Drop for MakesMore {
    fn drop(&mut self) {
        coroutine::scope(|s| {
            let mut ended = s.iter(|y| (0..3).for_each(|n| y.yield_(n)));
            let mut half_way = s.iter(|y| (10..20).for_each(|n| y.yield_(n)));
            let sum: usize = ended.by_ref().chain(half_way.by_ref().take(2)).sum();
            self.0.fetch_add(sum, SeqCst);
        });
    }
}

std::thread_local! {
    static OF_OS_THREAD: RefCell<Option<MakesMore>> = const { RefCell::new(None) };
}

sward_runtime::thread_local! {
    static OF_GREEN_THREAD: RefCell<Option<MakesMore>> = const { RefCell::new(None) };
    static BORROWED: String = "borrowed".to_owned();
}

#[test]
fn destructors_of_locals_may_make_generators() {
    let sum = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&sum);
    let ended = std::thread::spawn(move || {
        // First, so that it is destroyed after the cache of stacks.
        OF_OS_THREAD.set(Some(MakesMore(theirs)));
        coroutine::scope(|s| assert!(s.iter(|y| y.yield_(1)).eq([1])));
    });
    ended.join().unwrap();
    assert_eq!(sum.swap(0, SeqCst), 24);
    each_run(|| {
        let theirs = Arc::clone(&sum);
        let ended = thread::spawn(move || OF_GREEN_THREAD.set(Some(MakesMore(theirs))));
        ended.join().unwrap();
        assert_eq!(sum.swap(0, SeqCst), 24);
    });
}

#[test]
fn a_body_inside_of_a_local_is_unwound_before_that_is_destroyed() {
    each_run(|| {
        let drops = Drops::new();
        for cancelled in [false, true] {
            let token = drops.token();
            let ready = Arc::new(AtomicUsize::new(0));
            let theirs = Arc::clone(&ready);
            let handle = thread::spawn(move || {
                coroutine::scope(|s| {
                    let mut inside = s.iter(move |y| {
                        let _token = token;
                        BORROWED.with(|text| {
                            let _look = OnDrop(|| assert_eq!(text, "borrowed"));
                            y.yield_(text.len());
                        });
                    });
                    assert_eq!(inside.next(), Some(8));
                    theirs.fetch_add(1, SeqCst);
                    if cancelled {
                        thread::park();
                    }
                });
            });
            wait_until(|| ready.load(SeqCst) == 1);
            if cancelled {
                handle.cancel();
            }
            assert_eq!(handle.join().is_err(), cancelled);
        }
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_scope_inside_of_a_body_joins_before_the_body_goes_on() {
    each_run(|| {
        coroutine::scope(|s| {
            let mut sums = s.generator(|y: &Yielder<Vec<u32>, u32>, mut numbers: Vec<u32>| -> () {
                loop {
                    let (left, right) = numbers.split_at(numbers.len() / 2);
                    let sum = thread::scope(|threads| {
                        let left = threads.spawn(|| left.iter().sum::<u32>());
                        let right = threads.spawn(|| right.iter().sum::<u32>());
                        left.join().unwrap() + right.join().unwrap()
                    });
                    numbers = y.yield_(sum);
                }
            });
            for n in 0..stress(20) as u32 {
                assert_eq!(sums.resume((0..n).collect()), State::Yielded((0..n).sum()));
            }
        });
    });
}
