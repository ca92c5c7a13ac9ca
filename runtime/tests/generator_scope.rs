//! Generators in their scopes: what they borrow, who unwinds them, and yielders that are lent on to generators further in.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use crate::common::{Drops, OnDrop, on_every_thread, panics};
use sward_runtime::{
    cancel,
    coroutine::{self, Generator, Scope, State, Yielder},
    thread,
};

/// Runs `test` in a scope, on OS threads and green ones.
#[track_caller]
fn everywhere(test: for<'s> fn(&'s Scope<'s, '_>)) {
    on_every_thread(move || coroutine::scope(|s| test(s)));
}

#[test]
fn bodies_borrow_from_outside_and_own_each_other() {
    everywhere(|_| {
        let (numbers, mut log) = ([3, 1, 2], Vec::new());
        let sum = coroutine::scope(|s| {
            let doubled = s.iter(|y| numbers.iter().for_each(|n| y.yield_(2 * n)));
            let mut noted = s.generator(|y, ()| {
                for n in doubled {
                    log.push(n);
                    y.yield_(n);
                }
                numbers.len()
            });
            let mut sum = 0;
            while let State::Yielded(n) = noted.resume(()) {
                sum += n;
            }
            sum
        });
        assert_eq!((sum, log), (12, vec![6, 2, 4]));
    });
}

#[test]
fn functions_make_them_in_the_scope_of_their_caller() {
    fn below<'s>(s: &'s Scope<'s, '_>, n: u32) -> Generator<'s, (), u32, ()> {
        s.iter(move |y| (0..n).for_each(|i| y.yield_(i)))
    }
    fn odd<'s>(
        s: &'s Scope<'s, '_>,
        numbers: impl Iterator<Item = u32> + 's,
    ) -> impl Iterator<Item = u32> + 's {
        s.iter(|y| numbers.filter(|n| n % 2 == 1).for_each(|n| y.yield_(n)))
    }
    everywhere(|s| {
        assert!(odd(s, below(s, 8)).eq([1, 3, 5, 7]));
        assert!(odd(s, odd(s, below(s, 4))).eq([1, 3]));
    });
}

#[test]
fn a_panic_that_leaves_a_scope_unwinds_what_is_half_way() {
    everywhere(|_| {
        let drops = Drops::new();
        let text = panics(|| {
            coroutine::scope(|s| {
                let mut generators: Vec<_> = (0..3)
                    .map(|n| {
                        let token = drops.token();
                        s.iter(move |y| {
                            let _token = token;
                            y.yield_(n);
                        })
                    })
                    .collect();
                generators[1].next();
                generators[2].next();
                generators[2].next();
                assert_eq!(drops.count(), 1);
                panic!("on purpose");
            });
        });
        assert_eq!(text, "on purpose");
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn os_threads_that_a_body_has_lent_its_frames_to_are_joined_when_it_is_dropped() {
    everywhere(|s| {
        let ended = Rc::new(AtomicUsize::new(0));
        let theirs = Rc::clone(&ended);
        let mut lends = s.iter(move |y| {
            let (stop, count) = (AtomicBool::new(false), &*theirs);
            std::thread::scope(|threads| {
                let _stop = OnDrop(|| stop.store(true, Relaxed));
                for _ in 0..2 {
                    threads.spawn(|| {
                        while !stop.load(Relaxed) {
                            std::thread::yield_now();
                        }
                        count.fetch_add(1, Relaxed);
                    });
                }
                y.yield_(1);
                y.yield_(2);
            });
        });
        assert_eq!(lends.next(), Some(1));
        assert_eq!(ended.load(Relaxed), 0);
        drop(lends);
        assert_eq!(ended.load(Relaxed), 2);
    });
}

#[test]
fn one_that_has_ended_may_be_forgotten() {
    everywhere(|s| {
        let mut returned = s.iter(|y| y.yield_(1));
        assert_eq!(returned.by_ref().count(), 1);
        std::mem::forget(returned);
        let mut failed = s.iter(|y| {
            y.yield_(1);
            panic!("on purpose");
        });
        failed.next();
        assert_eq!(panics(|| assert!(failed.next().is_none())), "on purpose");
        std::mem::forget(failed);
    });
}

/// A body that runs another one, which yields for the outer.
fn yields_from_within<'s>(
    s: &'s Scope<'s, '_>,
    [outer_token, inner_token]: [crate::common::DropToken; 2],
) -> Generator<'s, u32, u32, u32> {
    s.generator(move |y, first| {
        let _outer = outer_token;
        coroutine::scope(|inside| {
            let mut inner = inside.generator(move |own, first: u32| {
                let _inner = inner_token;
                let second = y.yield_(first);
                let third = own.yield_(second);
                y.yield_(third) + 1
            });
            let second = inner.resume(first).yielded().unwrap();
            inner.resume(second * 10).complete().unwrap()
        })
    })
}

#[test]
fn the_outer_one_may_yield_from_inside_of_an_inner_one() {
    everywhere(|s| {
        let drops = Drops::new();
        let mut outer = yields_from_within(s, [drops.token(), drops.token()]);
        assert_eq!(outer.resume(1), State::Yielded(1));
        assert_eq!(outer.resume(2), State::Yielded(20));
        assert_eq!(drops.count(), 0);
        assert_eq!(outer.resume(3), State::Complete(4));
        assert_eq!(drops.count(), 2);
        // Dropped there, both are unwound.
        for resumes in 1..3 {
            let before = drops.count();
            let mut outer = yields_from_within(s, [drops.token(), drops.token()]);
            (0..resumes).for_each(|n| assert!(outer.resume(n).yielded().is_some()));
            assert_eq!(drops.count(), before);
            drop(outer);
            assert_eq!(drops.count(), before + 2);
        }
        assert!(!thread::panicking());
    });
}

type Log = Rc<RefCell<Vec<&'static str>>>;

/// Yields from inside of an inner one, which goes on when it is to unwind there.
fn swallows_within<'s>(s: &'s Scope<'s, '_>, log: Log) -> Generator<'s, (), u32, ()> {
    s.iter(move |y| {
        let note = |text| log.borrow_mut().push(text);
        let _outer = OnDrop(|| note("outer"));
        coroutine::scope(|inside| {
            let mut inner = inside.iter(|own| {
                let _inner = OnDrop(|| note("inner"));
                own.yield_(());
                assert!(catch_unwind(AssertUnwindSafe(|| y.yield_(1))).is_err());
                // It may still yield to the other.
                own.yield_(());
                y.yield_(2);
            });
            inner.next();
            inner.next();
            note("swallowed");
            let unwound = catch_unwind(AssertUnwindSafe(|| inner.next()));
            assert!(unwound.is_err() && inner.is_done());
            note("swallowed again");
            inside.iter(|_: &Yielder<(), ()>| y.yield_(3)).next();
        });
    })
}

#[test]
fn one_that_is_dropped_inside_of_an_inner_one_unwinds_from_there_outwards() {
    everywhere(|s| {
        for owner_unwinds in [false, true] {
            let log = Log::default();
            let mut outer = swallows_within(s, Rc::clone(&log));
            assert_eq!(outer.next(), Some(1));
            let text = panics(move || {
                let outer = outer;
                if !owner_unwinds {
                    drop(outer);
                }
                panic!("on purpose");
            });
            assert_eq!(text, "on purpose");
            assert_eq!(*log.borrow(), ["swallowed", "inner", "swallowed again", "outer"]);
            assert!(!thread::panicking());
        }
    });
}

/// Asserts that `yields` may not, because of what it is inside of.
#[track_caller]
fn refused(yields: impl FnOnce()) {
    let text = panics(yields);
    assert!(text.contains("cannot yield inside"), "{text}");
}

#[test]
fn a_yield_from_within_looks_at_what_every_body_is_inside_of() {
    everywhere(|s| {
        let mut outer = s.iter(|y| {
            coroutine::scope(|inside| {
                let mut inner = inside.iter(|own| {
                    y.yield_(1);
                    // The resumer of the outer one has left a shield since, and that makes no difference here.
                    refused(|| cancel::shield(|| own.yield_(())));
                    refused(|| cancel::shield(|| y.yield_(0)));
                    own.yield_(());
                    // The outer body is in a shield now.
                    refused(|| y.yield_(0));
                    own.yield_(());
                    y.yield_(2);
                    // Its resumer has entered one.
                    own.yield_(());
                });
                inner.next();
                cancel::shield(|| inner.next());
                inner.next();
                y.yield_(3);
                assert_eq!(inner.next(), None);
            });
        });
        assert_eq!(cancel::shield(|| outer.next()), Some(1));
        assert_eq!(outer.next(), Some(2));
        assert_eq!(cancel::shield(|| outer.next()), Some(3));
        assert_eq!(outer.next(), None);
    });
}

#[test]
fn one_yields_within_another_whoever_unwinds_around_it() {
    everywhere(|s| {
        let sum = Rc::new(Cell::new(0));
        let mut outer = s.iter(|y| {
            coroutine::scope(|inside| {
                let inner = inside.iter(|own| {
                    for n in 0..4 {
                        y.yield_(n);
                        own.yield_(10 * n);
                    }
                });
                inner.for_each(|n| y.yield_(n));
            });
        });
        sum.set(outer.by_ref().take(3).sum());
        let theirs = Rc::clone(&sum);
        panics(|| {
            let _iterate = OnDrop(|| theirs.set(theirs.get() + outer.by_ref().take(3).sum::<u32>()));
            panic!("on purpose");
        });
        assert_eq!(sum.get() + outer.sum::<u32>(), 66);
    });
}
