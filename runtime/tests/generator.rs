//! Generators by themselves: what goes in and out, how they end, what is dropped when. On OS threads and green ones.
//!
//! How they end their process is in `generator_deaths.rs`; what they borrow, in `generator_scope.rs`.

use std::{
    cell::{Cell, RefCell},
    hint::black_box,
    panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind},
    rc::Rc,
};

use crate::common::{Drops, OnDrop, on_every_thread, panics, stress};
use sward_runtime::{
    coroutine::{self, Builder, Ended, Generator, Scope, State, Yielder},
    thread,
};

/// Runs `test` in a scope, on OS threads and green ones.
#[track_caller]
fn everywhere(test: for<'s> fn(&'s Scope<'s, '_>)) {
    on_every_thread(move || coroutine::scope(|s| test(s)));
}

#[test]
fn values_go_in_and_out() {
    everywhere(|s| {
        let mut echo = s.generator(|y, first: String| {
            let mut text = first;
            for n in 0..3 {
                text = y.yield_((n, text));
            }
            text.len()
        });
        assert!(!echo.is_done());
        assert_eq!(echo.resume("a".into()), State::Yielded((0, "a".into())));
        assert_eq!(echo.resume("b".into()), State::Yielded((1, "b".into())));
        assert_eq!(echo.resume("c".into()), State::Yielded((2, "c".into())));
        assert_eq!(echo.resume("four".into()), State::Complete(4));
        assert!(echo.is_done());
    });
}

#[test]
fn values_of_any_size_pass() {
    everywhere(|s| {
        let mut large = s.generator(|y, mut value: [u64; 50]| -> [u8; 0] {
            for _ in 0..3 {
                value[49] += 1;
                value = y.yield_(value);
            }
            []
        });
        let mut value = [7; 50];
        for i in 1..=3 {
            value = large.resume(value).yielded().unwrap();
            assert_eq!((value[0], value[49]), (7, 7 + i));
        }
        assert_eq!(large.resume(value), State::Complete([]));
    });
}

#[test]
fn one_that_has_ended_gives_the_value_back_or_panics() {
    everywhere(|s| {
        let drops = Drops::new();
        let mut ended = s.generator(|_: &Yielder<_, ()>, _| ());
        ended.resume(drops.token());
        assert_eq!(drops.count(), 1);
        let Err(Ended(token)) = ended.try_resume(drops.token()) else { panic!("it goes on") };
        assert_eq!(drops.count(), 1);
        let text = panics(|| {
            ended.resume(token);
        });
        assert_eq!(text, "a generator was resumed after its end");
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn it_is_an_iterator() {
    everywhere(|s| {
        let numbers = s.iter(|y| (0..5).for_each(|n| y.yield_(n)));
        assert_eq!(numbers.map(|n| n * n).collect::<Vec<_>>(), [0, 1, 4, 9, 16]);
        let mut one = s.iter(|y| y.yield_(1));
        assert_eq!([one.next(), one.next(), one.next()], [Some(1), None, None]);
        // One iterates over another.
        let evens = s.iter(|y| {
            let numbers = s.iter(|y| (0..100).for_each(|n| y.yield_(n)));
            numbers.filter(|n| n % 2 == 0).for_each(|n| y.yield_(n));
        });
        assert!(evens.take(4).eq([0, 2, 4, 6]));
    });
}

#[test]
fn delegation_passes_values_both_ways() {
    everywhere(|s| {
        fn countdown<'s>(s: &'s Scope<'s, '_>, n: u32) -> Generator<'s, u32, u32, u32> {
            s.generator(move |y, first| {
                if n == 0 {
                    return first;
                }
                let sent = y.yield_(n);
                y.delegate(&mut countdown(s, n - 1), first + sent)
            })
        }
        let mut generator = countdown(s, 50);
        for n in (1..=50).rev() {
            assert_eq!(generator.resume(1), State::Yielded(n));
        }
        assert_eq!(generator.resume(1), State::Complete(51));
    });
}

#[test]
fn a_panic_comes_out_of_resume_with_its_payload() {
    everywhere(|s| {
        let drops = Drops::new();
        let token = drops.token();
        let mut failing = s.generator(move |y, ()| {
            let _token = token;
            y.yield_(());
            panic_any(77_u8);
        });
        failing.resume(());
        let failed = catch_unwind(AssertUnwindSafe(|| -> State<(), ()> { failing.resume(()) }));
        assert_eq!(*failed.unwrap_err().downcast::<u8>().unwrap(), 77);
        assert_eq!(drops.count(), 1);
        assert!(failing.is_done());
        assert!(!thread::panicking());
        // Through several.
        let mut outer = s.generator(|y, ()| {
            y.delegate(&mut s.generator(|_: &Yielder<(), ()>, ()| resume_unwind(Box::new(5_u8))), ())
        });
        let failed = catch_unwind(AssertUnwindSafe(|| -> State<(), ()> { outer.resume(()) }));
        assert_eq!(*failed.unwrap_err().downcast::<u8>().unwrap(), 5);
    });
}

#[test]
fn one_that_never_ran_drops_its_closure() {
    everywhere(|s| {
        let drops = Drops::new();
        let token = drops.token();
        drop(s.generator(move |_: &Yielder<(), ()>, ()| drop(token)));
        assert_eq!(drops.count(), 1);
        let bomb = OnDrop(|| panic!("on purpose"));
        let unstarted = s.generator(move |_: &Yielder<(), ()>, ()| drop(bomb));
        assert_eq!(panics(|| drop(unstarted)), "on purpose");
        assert_eq!(s.iter(|y| y.yield_(1)).next(), Some(1));
    });
}

#[test]
fn one_that_is_dropped_half_way_unwinds() {
    everywhere(|s| {
        let drops = Drops::new();
        let (first, second) = (drops.token(), drops.token());
        let mut generator = s.generator(move |y, ()| {
            let _first = first;
            let _deep = OnDrop(|| assert!(thread::panicking()));
            let inner = s.iter(move |y| {
                let _second = second;
                y.yield_(1);
                y.yield_(2);
            });
            inner.for_each(|n| y.yield_(n));
        });
        assert_eq!(generator.resume(()), State::Yielded(1));
        assert_eq!(drops.count(), 0);
        drop(generator);
        assert_eq!(drops.count(), 2);
        assert!(!thread::panicking());
    });
}

#[test]
fn who_swallows_the_unwinding_gets_it_again() {
    everywhere(|s| {
        let swallowed = Rc::new(Cell::new(0));
        let count = Rc::clone(&swallowed);
        let mut stubborn = s.iter(move |y| {
            for n in 0..10 {
                let yielded = catch_unwind(AssertUnwindSafe(|| y.yield_(n)));
                count.set(count.get() + usize::from(yielded.is_err()));
            }
        });
        assert_eq!([stubborn.next(), stubborn.next()], [Some(0), Some(1)]);
        drop(stubborn);
        assert_eq!(swallowed.get(), 9);
        assert_eq!(Rc::strong_count(&swallowed), 1);
    });
}

#[test]
fn a_panic_while_it_is_dropped_comes_out_of_the_drop() {
    everywhere(|s| {
        let mut failing = s.iter(|y| {
            let _ = catch_unwind(AssertUnwindSafe(|| y.yield_(1)));
            panic!("on purpose");
        });
        failing.next();
        assert_eq!(panics(|| drop(failing)), "on purpose");
        assert!(!thread::panicking());
    });
}

#[test]
fn one_is_dropped_while_its_owner_unwinds() {
    everywhere(|s| {
        let drops = Drops::new();
        let token = drops.token();
        let text = panics(move || {
            let mut generator = s.iter(move |y| {
                let _token = token;
                let _ = catch_unwind(AssertUnwindSafe(|| y.yield_(1)));
                y.yield_(2);
            });
            generator.next();
            panic!("on purpose");
        });
        assert_eq!(text, "on purpose");
        assert_eq!(drops.count(), 1);
        assert!(!thread::panicking());
    });
}

#[test]
fn a_destructor_may_iterate_while_its_owner_unwinds() {
    everywhere(|s| {
        let sum = Rc::new(Cell::new(0));
        let theirs = Rc::clone(&sum);
        panics(move || {
            let _iterate = OnDrop(|| theirs.set(s.iter(|y| (1..=4).for_each(|n| y.yield_(n))).sum()));
            panic!("on purpose");
        });
        assert_eq!(sum.get(), 10);
    });
}

#[test]
fn one_cannot_resume_itself() {
    type Shared<'s> = Rc<RefCell<Option<Generator<'s, (), (), ()>>>>;
    everywhere(|s| {
        let shared = Shared::default();
        let own = Rc::downgrade(&shared);
        let generator = s.generator(move |y, ()| {
            let own = own.upgrade().unwrap();
            assert!(own.try_borrow_mut().is_err());
            drop(own);
            y.yield_(());
        });
        *shared.borrow_mut() = Some(generator);
        let mut borrowed = shared.borrow_mut();
        let generator = borrowed.as_mut().unwrap();
        assert_eq!(generator.resume(()), State::Yielded(()));
        assert_eq!(generator.resume(()), State::Complete(()));
    });
}

#[test]
fn many_live_and_end_in_any_order() {
    everywhere(|s| {
        let n = stress(200);
        let mut generators: Vec<_> =
            (0..n).map(|i| s.iter(move |y| (0..i % 7).for_each(|k| y.yield_(i * 10 + k)))).collect();
        let mut seen = 0;
        for round in 0..8 {
            for (i, generator) in generators.iter_mut().enumerate().rev() {
                let expected = (round < i % 7).then_some(i * 10 + round);
                assert_eq!(generator.next(), expected);
                seen += usize::from(expected.is_some());
            }
            if round == 3 {
                // Some are dropped half-way.
                generators.truncate(n / 2);
            }
        }
        assert!(seen > n);
        assert!(generators.iter().all(Generator::is_done));
    });
}

#[test]
fn stacks_are_as_large_as_asked_for() {
    fn depth(n: usize) -> usize {
        let frame = black_box([n; 128]);
        if n == 0 { frame[5] } else { depth(n - 1) + 1 }
    }
    everywhere(|s| {
        let mut deep =
            Builder::new().stack_size(4 << 20).build(s, |_: &Yielder<(), ()>, ()| depth(500)).unwrap();
        assert_eq!(deep.resume(()), State::Complete(500));
        let error = Builder::new().stack_size(2 << 30).build(s, |_: &Yielder<(), ()>, ()| ()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let named = Builder::new().name("a name").build(s, |_: &Yielder<(), ()>, ()| ()).unwrap();
        assert!(format!("{named:?}").contains("a name"));
    });
}

#[test]
fn a_yield_from_a_destructor_that_unwinding_runs_may_be_caught() {
    everywhere(|s| {
        let caught = Rc::new(RefCell::new(String::new()));
        let theirs = Rc::clone(&caught);
        let mut failing = s.iter(move |y| {
            let _yields = OnDrop(|| *theirs.borrow_mut() = panics(|| y.yield_(1)));
            panic!("on purpose");
        });
        let text = panics(|| {
            failing.next();
        });
        assert_eq!(text, "on purpose");
        assert_eq!(*caught.borrow(), "a generator cannot yield while it unwinds");
        assert!(!thread::panicking());
    });
}
