//! Generators by themselves: what goes in and out, how they end, what is dropped when. On OS threads and green ones.
//!
//! Overflows and aborts happen in child processes.

mod common;

use std::{
    cell::{Cell, RefCell},
    hint::black_box,
    os::unix::process::ExitStatusExt,
    panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use common::{Config, Drops, OnDrop, Watchdog, child, child_case, each_mode, quiet_panics, stress};
use sward_runtime::{
    coroutine::{self, Builder, Ended, Generator, State, Yielder},
    thread,
};

/// Runs `test` on this OS thread, on another one, and on a green thread in both modes.
#[track_caller]
fn everywhere(test: fn()) {
    quiet_panics();
    let watchdog = Watchdog::new();
    test();
    std::thread::spawn(test).join().unwrap();
    drop(watchdog);
    each_mode(1, |config| config.build().run(test));
}

/// What a call panics with, if that is a text.
fn panics(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it does not panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("no text")
}

#[test]
fn values_go_in_and_out() {
    everywhere(|| {
        let mut echo = Generator::new(|y, first: String| {
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
    everywhere(|| {
        let mut large = Generator::new(|y, mut value: [u64; 50]| -> [u8; 0] {
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
    everywhere(|| {
        let drops = Drops::new();
        let mut ended = Generator::new(|_: &Yielder<_, ()>, _| ());
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
    everywhere(|| {
        let numbers = coroutine::iter(|y| (0..5).for_each(|n| y.yield_(n)));
        assert_eq!(numbers.map(|n| n * n).collect::<Vec<_>>(), [0, 1, 4, 9, 16]);
        let mut one = coroutine::iter(|y| y.yield_(1));
        assert_eq!([one.next(), one.next(), one.next()], [Some(1), None, None]);
        // One iterates over another.
        let evens = coroutine::iter(|y| {
            let numbers = coroutine::iter(|y| (0..100).for_each(|n| y.yield_(n)));
            numbers.filter(|n| n % 2 == 0).for_each(|n| y.yield_(n));
        });
        assert!(evens.take(4).eq([0, 2, 4, 6]));
    });
}

#[test]
fn delegation_passes_values_both_ways() {
    everywhere(|| {
        fn countdown(n: u32) -> Generator<u32, u32, u32> {
            Generator::new(move |y, first| {
                if n == 0 {
                    return first;
                }
                let sent = y.yield_(n);
                y.delegate(&mut countdown(n - 1), first + sent)
            })
        }
        let mut generator = countdown(50);
        for n in (1..=50).rev() {
            assert_eq!(generator.resume(1), State::Yielded(n));
        }
        assert_eq!(generator.resume(1), State::Complete(51));
    });
}

#[test]
fn a_panic_comes_out_of_resume_with_its_payload() {
    everywhere(|| {
        let drops = Drops::new();
        let token = drops.token();
        let mut failing = Generator::new(move |y, ()| {
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
        let mut outer = Generator::new(|y, ()| {
            y.delegate(&mut Generator::new(|_: &Yielder<(), ()>, ()| resume_unwind(Box::new(5_u8))), ())
        });
        let failed = catch_unwind(AssertUnwindSafe(|| -> State<(), ()> { outer.resume(()) }));
        assert_eq!(*failed.unwrap_err().downcast::<u8>().unwrap(), 5);
    });
}

#[test]
fn one_that_never_ran_drops_its_closure() {
    everywhere(|| {
        let drops = Drops::new();
        let token = drops.token();
        drop(Generator::new(move |_: &Yielder<(), ()>, ()| drop(token)));
        assert_eq!(drops.count(), 1);
        let bomb = OnDrop(|| panic!("on purpose"));
        let unstarted = Generator::new(move |_: &Yielder<(), ()>, ()| drop(bomb));
        assert_eq!(panics(|| drop(unstarted)), "on purpose");
        assert_eq!(coroutine::iter(|y| y.yield_(1)).next(), Some(1));
    });
}

#[test]
fn one_that_is_dropped_half_way_unwinds() {
    everywhere(|| {
        let drops = Drops::new();
        let (first, second) = (drops.token(), drops.token());
        let mut generator = Generator::new(move |y, ()| {
            let _first = first;
            let _deep = OnDrop(|| assert!(thread::panicking()));
            let inner = coroutine::iter(move |y| {
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
    everywhere(|| {
        let swallowed = Rc::new(Cell::new(0));
        let count = Rc::clone(&swallowed);
        let mut stubborn = coroutine::iter(move |y| {
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
    everywhere(|| {
        let mut failing = coroutine::iter(|y| {
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
    everywhere(|| {
        let drops = Drops::new();
        let token = drops.token();
        let text = panics(move || {
            let mut generator = coroutine::iter(move |y| {
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
    everywhere(|| {
        let sum = Rc::new(Cell::new(0));
        let theirs = Rc::clone(&sum);
        panics(move || {
            let _iterate =
                OnDrop(|| theirs.set(coroutine::iter(|y| (1..=4).for_each(|n| y.yield_(n))).sum()));
            panic!("on purpose");
        });
        assert_eq!(sum.get(), 10);
    });
}

#[test]
fn a_forgotten_one_drops_nothing_and_harms_nobody() {
    everywhere(|| {
        let drops = Drops::new();
        let mut forgotten = Vec::new();
        for _ in 0..40 {
            let token = drops.token();
            let mut generator = coroutine::iter(move |y| {
                let _token = token;
                y.yield_(1);
            });
            generator.next();
            forgotten.push(generator);
        }
        forgotten.into_iter().for_each(std::mem::forget);
        for n in 0..100 {
            assert!(coroutine::iter(move |y| y.yield_(n)).eq([n]));
        }
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn one_cannot_resume_itself() {
    type Shared = Rc<RefCell<Option<Generator<(), (), ()>>>>;
    everywhere(|| {
        let shared = Shared::default();
        let own = Rc::downgrade(&shared);
        let generator = Generator::new(move |y, ()| {
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

/// A yielder, to be used inside of another body.
struct Smuggled(*const Yielder<u32, u32>);

impl Smuggled {
    fn get(&self) -> &Yielder<u32, u32> {
        // SAFETY: the tests use it in what the yielder's body calls only, though on another stack.
        unsafe { &*self.0 }
    }
}

/// A body that resumes another one, which yields for the outer.
fn yields_from_within(tokens: [common::DropToken; 2]) -> Generator<u32, u32, u32> {
    let [outer_token, inner_token] = tokens;
    Generator::new(move |y, first| {
        let _outer = outer_token;
        let smuggled = Smuggled(y);
        let mut inner = Generator::new(move |own: &Yielder<u32, u32>, first: u32| {
            let _inner = inner_token;
            let second = smuggled.get().yield_(first);
            let third = own.yield_(second);
            smuggled.get().yield_(third) + 1
        });
        let second = inner.resume(first).yielded().unwrap();
        inner.resume(second * 10).complete().unwrap()
    })
}

#[test]
fn the_outer_one_may_yield_from_inside_of_an_inner_one() {
    everywhere(|| {
        let drops = Drops::new();
        let mut outer = yields_from_within([drops.token(), drops.token()]);
        assert_eq!(outer.resume(1), State::Yielded(1));
        assert_eq!(outer.resume(2), State::Yielded(20));
        assert_eq!(drops.count(), 0);
        assert_eq!(outer.resume(3), State::Complete(4));
        assert_eq!(drops.count(), 2);
        // Dropped there, both are unwound.
        let mut outer = yields_from_within([drops.token(), drops.token()]);
        outer.resume(1);
        drop(outer);
        assert_eq!(drops.count(), 4);
        assert!(!thread::panicking());
    });
}

#[test]
fn many_live_and_end_in_any_order() {
    everywhere(|| {
        let n = stress(200);
        let mut generators: Vec<_> =
            (0..n).map(|i| coroutine::iter(move |y| (0..i % 7).for_each(|k| y.yield_(i * 10 + k)))).collect();
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
    everywhere(|| {
        let mut deep =
            Builder::new().stack_size(4 << 20).build(|_: &Yielder<(), ()>, ()| depth(2_000)).unwrap();
        assert_eq!(deep.resume(()), State::Complete(2_000));
        let error = Builder::new().stack_size(2 << 30).build(|_: &Yielder<(), ()>, ()| ()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let named = Builder::new().name("a name").build(|_: &Yielder<(), ()>, ()| ()).unwrap();
        assert!(format!("{named:?}").contains("a name"));
    });
}

#[test]
fn one_lives_in_a_thread_local_until_its_os_thread_ends() {
    std::thread_local! {
        static KEPT: RefCell<Option<Generator<(), u32, ()>>> = const { RefCell::new(None) };
    }
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let ended = std::thread::spawn(|| {
        // First, so that it is destroyed after the cache of stacks.
        KEPT.with(|kept| assert!(kept.borrow().is_none()));
        let mut generator = coroutine::iter(|y| {
            let _count = OnDrop(|| {
                DROPPED.fetch_add(1, Relaxed);
                // A new one can be had there.
                assert!(coroutine::iter(|y| y.yield_(9)).eq([9]));
            });
            y.yield_(1);
        });
        generator.next();
        KEPT.set(Some(generator));
    });
    ended.join().unwrap();
    assert_eq!(DROPPED.load(Relaxed), 1);
}

/// Runs `fault` in a child process, on an OS thread and on a green one in both modes, and hands what it wrote to `check`.
fn dies(test: &str, fault: fn(), check: impl Fn(&str)) {
    if let Some(case) = child_case() {
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a valid record.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
        match &*case {
            "os" => fault(),
            mode => Config { workers: 2, roaming: mode == "roaming" }.build().run(fault),
        }
        return;
    }
    for case in ["os", "anchored", "roaming"] {
        let output = child(test, case);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{case}: {message}");
        check(&message);
    }
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "on purpose")]
fn recurse(n: u64) -> u64 {
    let frame = [n; 64];
    black_box(&frame);
    recurse(n + 1) + black_box(frame)[0]
}

#[test]
fn an_overflow_names_the_generator() {
    dies(
        "an_overflow_names_the_generator",
        || {
            let others: Vec<_> = (0..5).map(|n| coroutine::iter(move |y| y.yield_(n))).collect();
            let named = Builder::new().name("deep well");
            let mut named = named
                .build(|y, ()| {
                    y.yield_(());
                    recurse(0)
                })
                .unwrap();
            named.resume(());
            named.resume(());
            drop(others);
        },
        |message| {
            assert!(message.contains("\ngenerator 'deep well' has overflowed its stack\n"), "{message}");
            assert!(!message.contains("green thread"), "{message}");
        },
    );
}

#[test]
fn an_overflow_inside_of_another_one_names_the_inner() {
    dies(
        "an_overflow_inside_of_another_one_names_the_inner",
        || {
            let outer = Builder::new().name("outer");
            let mut outer = outer
                .build(|_: &Yielder<(), ()>, ()| {
                    let inner = Builder::new().stack_size(16 << 10);
                    inner.build(|_: &Yielder<(), ()>, ()| recurse(0)).unwrap().resume(());
                })
                .unwrap();
            outer.resume(());
        },
        |message| {
            assert!(message.contains("\ngenerator '<unnamed>' has overflowed its stack\n"), "{message}")
        },
    );
}

#[test]
fn a_yield_from_a_destructor_that_unwinding_runs_ends_the_process() {
    dies(
        "a_yield_from_a_destructor_that_unwinding_runs_ends_the_process",
        || {
            coroutine::iter(|y| {
                let _yields = OnDrop(|| y.yield_(1));
                panic!("on purpose");
            })
            .next();
        },
        |message| assert!(message.contains("a generator cannot yield while it unwinds"), "{message}"),
    );
}

#[test]
fn a_yield_from_a_destructor_that_unwinding_runs_may_be_caught() {
    everywhere(|| {
        let caught = Rc::new(RefCell::new(String::new()));
        let theirs = Rc::clone(&caught);
        let mut failing = coroutine::iter(move |y| {
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
