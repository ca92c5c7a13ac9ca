//! `LazyLock`: made at first use; in every kind of runtime, and with OS threads.

use std::{
    panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use crate::common::{
    DropToken, Drops, Either, ON_PURPOSE, each_config, each_run, quiet_panics, spawn_either, wait_until,
};
use sward_runtime::thread;
use sward_sync::LazyLock;

fn message(f: impl FnOnce()) -> String {
    quiet_panics();
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| (*payload.downcast::<&str>().unwrap()).to_owned())
}

const POISONED: &str = "LazyLock instance has previously been poisoned";

#[test]
fn it_can_be_shared_sent_and_survive_a_panic() {
    fn check<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    check::<LazyLock<String>>();
}

#[test]
fn it_is_made_at_first_use_and_only_then() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static LAZY: LazyLock<Vec<u32>> = LazyLock::new(|| {
        CALLS.fetch_add(1, SeqCst);
        vec![1, 2, 3]
    });
    assert_eq!(CALLS.load(SeqCst), 0);
    assert_eq!(LazyLock::get(&LAZY), None);
    assert_eq!(thread::spawn(|| LAZY.len()).join().unwrap(), 3);
    assert_eq!(*LAZY, [1, 2, 3]);
    assert_eq!(LazyLock::force(&LAZY), LazyLock::get(&LAZY).unwrap());
    assert_eq!(CALLS.load(SeqCst), 1);
}

#[test]
fn those_who_come_meanwhile_wait() {
    each_run(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let lazy = Arc::new(LazyLock::new(move || {
            thread::yield_now();
            counted.fetch_add(1, SeqCst) + 42
        }));
        let threads: Vec<_> = (0..10)
            .map(|i| {
                let lazy = Arc::clone(&lazy);
                spawn_either(i, move || **lazy)
            })
            .collect();
        assert!(threads.into_iter().map(Either::join).all(|value| value == 42));
        assert_eq!(calls.load(SeqCst), 1);
    });
}

#[test]
fn who_owns_it_may_change_it() {
    let mut lazy = LazyLock::new(|| String::from("a"));
    assert_eq!(LazyLock::get_mut(&mut lazy), None);
    LazyLock::force_mut(&mut lazy).push('b');
    LazyLock::get_mut(&mut lazy).unwrap().push('c');
    lazy.push('d');
    assert_eq!(*lazy, "abcd");
    assert_eq!(LazyLock::get(&lazy).unwrap(), "abcd");
    assert_eq!(LazyLock::into_inner(lazy).unwrap_or_default(), "abcd");
    let unused = LazyLock::new(|| 6);
    assert_eq!(LazyLock::into_inner(unused).unwrap_err()() * 7, 42);
    let shared = LazyLock::new(|| 1);
    LazyLock::force(&shared);
    assert_eq!(LazyLock::into_inner(shared).unwrap_or(0), 1);
}

#[test]
fn a_function_that_panics_poisons_it_for_good() {
    type Lazy = LazyLock<u32>;
    let lazy = Lazy::new(|| panic!("{ON_PURPOSE}"));
    assert_eq!(message(|| _ = *lazy), ON_PURPOSE);
    assert_eq!(message(|| _ = *lazy), POISONED);
    assert_eq!(message(|| _ = LazyLock::force(&lazy)), POISONED);
    assert_eq!(LazyLock::get(&lazy), None);
    let mut lazy = lazy;
    assert_eq!(LazyLock::get_mut(&mut lazy), None);
    assert_eq!(message(|| _ = LazyLock::force_mut(&mut lazy)), POISONED);
    assert_eq!(message(|| _ = LazyLock::into_inner(lazy)), POISONED);
    let mut lazy = Lazy::new(|| panic!("{ON_PURPOSE}"));
    assert_eq!(message(|| _ = LazyLock::force_mut(&mut lazy)), ON_PURPOSE);
    assert_eq!(message(|| _ = *lazy), POISONED);
    assert_eq!(message(|| _ = LazyLock::force_mut(&mut lazy)), POISONED);
}

#[test]
fn those_who_wait_for_a_function_that_is_cancelled_panic() {
    each_config(|config| {
        quiet_panics();
        let runtime = config.build();
        let begun = Arc::new(AtomicBool::new(false));
        let they_have = Arc::clone(&begun);
        let lazy = Arc::new(LazyLock::new(move || {
            they_have.store(true, SeqCst);
            thread::park();
        }));
        let theirs = Arc::clone(&lazy);
        let caller = runtime.handle().spawn(move || **theirs);
        wait_until(|| begun.load(SeqCst));
        let theirs = Arc::clone(&lazy);
        let outside = std::thread::spawn(move || message(|| **theirs));
        drop(runtime);
        assert!(caller.join().is_err());
        assert_eq!(outside.join().unwrap(), POISONED);
    });
}

#[test]
fn the_function_and_the_value_are_dropped_once() {
    let (functions, values) = (Drops::new(), Drops::new());
    let make = || {
        let (function, value) = (functions.token(), values.token());
        LazyLock::new(move || {
            drop(function);
            value
        })
    };
    drop(make());
    assert_eq!((functions.count(), values.count()), (1, 1));
    let lazy = make();
    LazyLock::force(&lazy);
    assert_eq!((functions.count(), values.count()), (2, 1));
    drop(lazy);
    assert_eq!((functions.count(), values.count()), (2, 2));
    let token = functions.token();
    let poisoned = LazyLock::new(move || -> DropToken {
        let _token = token;
        panic!("{ON_PURPOSE}")
    });
    assert_eq!(message(|| _ = LazyLock::force(&poisoned)), ON_PURPOSE);
    assert_eq!(functions.count(), 3);
    drop(poisoned);
    assert_eq!(functions.count(), 3);
}

#[test]
fn it_is_shown_and_made_by_default_as_std_does() {
    type Std<T> = std::sync::LazyLock<T>;
    let (ours, theirs) = (LazyLock::<Vec<u32>>::default(), Std::<Vec<u32>>::default());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}
