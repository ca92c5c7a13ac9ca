//! Generators that end their process: overflows, leaks, yields where there is nobody to tell. In child processes.

use std::{cell::RefCell, hint::black_box, os::unix::process::ExitStatusExt, rc::Rc};

use crate::common::{Config, OnDrop, child, child_case};
use sward_runtime::coroutine::{self, Builder, Generator, Scope, Yielder};

/// Runs `fault` in a scope in a child process, on an OS thread and on a green one in both modes, and hands what that wrote to `check`.
fn dies(test: &str, fault: for<'s> fn(&'s Scope<'s, '_>), check: impl Fn(&str)) {
    let fault = move || coroutine::scope(|s| fault(s));
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
        |s| {
            let others: Vec<_> = (0..5).map(|n| s.iter(move |y| y.yield_(n))).collect();
            let named = Builder::new().name("deep well");
            let mut named = named
                .build(s, |y, ()| {
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
        |s| {
            let outer = Builder::new().name("outer");
            let mut outer = outer
                .build(s, |_: &Yielder<(), ()>, ()| {
                    let inner = Builder::new().stack_size(16 << 10);
                    inner.build(s, |_: &Yielder<(), ()>, ()| recurse(0)).unwrap().resume(());
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
        |s| {
            s.iter(|y| {
                let _yields = OnDrop(|| y.yield_(1));
                panic!("on purpose");
            })
            .next();
        },
        |message| assert!(message.contains("a generator cannot yield while it unwinds"), "{message}"),
    );
}

/// What the process says when a scope ends that is not to.
const LEAKED: &str =
    "fatal runtime error: a scope of generators ends, but one of them was leaked, aborting\n";

/// One that is half-way, of which nothing is to be dropped.
fn half_way<'s>(s: &'s Scope<'s, '_>) -> Generator<'s, (), u32, ()> {
    let mut generator = s.iter(|y| {
        let _alarm = OnDrop(|| panic!("it was unwound"));
        y.yield_(1);
    });
    assert_eq!(generator.next(), Some(1));
    generator
}

#[test]
fn a_forgotten_one_aborts_at_the_end_of_its_scope() {
    dies(
        "a_forgotten_one_aborts_at_the_end_of_its_scope",
        |s| std::mem::forget(half_way(s)),
        |message| assert!(message.ends_with(LEAKED), "{message}"),
    );
}

#[test]
fn a_forgotten_one_that_never_ran_aborts_too() {
    dies(
        "a_forgotten_one_that_never_ran_aborts_too",
        |s| std::mem::forget(s.iter(|y| y.yield_(1))),
        |message| assert!(message.ends_with(LEAKED), "{message}"),
    );
}

#[test]
fn a_cycle_aborts_at_the_end_of_its_scope() {
    type Shared<'s> = Rc<RefCell<Option<Generator<'s, (), (), ()>>>>;
    dies(
        "a_cycle_aborts_at_the_end_of_its_scope",
        |s| {
            let shared = Shared::default();
            let own = Rc::clone(&shared);
            let cycle = s.iter(move |y| {
                let _own = own;
                y.yield_(());
            });
            shared.replace(Some(cycle));
            shared.borrow_mut().as_mut().unwrap().next();
        },
        |message| assert!(message.ends_with(LEAKED), "{message}"),
    );
}

#[test]
fn a_scope_that_a_panic_leaves_aborts_if_one_was_forgotten() {
    dies(
        "a_scope_that_a_panic_leaves_aborts_if_one_was_forgotten",
        |s| {
            std::mem::forget(half_way(s));
            panic!("on purpose");
        },
        |message| assert!(message.contains("on purpose") && message.ends_with(LEAKED), "{message}"),
    );
}

#[test]
fn a_body_that_is_forgotten_inside_of_a_scope_of_its_own_aborts_further_out() {
    dies(
        "a_body_that_is_forgotten_inside_of_a_scope_of_its_own_aborts_further_out",
        |s| {
            let mut outer = s.iter(|y| {
                coroutine::scope(|inside| {
                    let _inner = half_way(inside);
                    y.yield_(());
                });
            });
            outer.next();
            std::mem::forget(outer);
        },
        |message| assert!(message.ends_with(LEAKED), "{message}"),
    );
}
