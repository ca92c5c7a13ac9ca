//! `OnceLock`: written once, read by all; in every kind of runtime, and with OS threads.

use std::{
    panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use crate::common::{
    Drops, Either, ON_PURPOSE, each_config, each_run, quiet_panics, spawn_either, stress, wait_until,
};
use sward_runtime::thread;
use sward_sync::OnceLock;

#[test]
fn it_can_be_shared_sent_and_survive_a_panic() {
    fn check<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    check::<OnceLock<String>>();
    static CELL: OnceLock<String> = OnceLock::new();
    assert_eq!(CELL.get(), None);
    assert!(size_of::<OnceLock<()>>() <= 4);
}

#[test]
fn the_first_value_stays() {
    let cell = OnceLock::new();
    assert_eq!(cell.set(1), Ok(()));
    assert_eq!(cell.set(2), Err(2));
    assert_eq!(cell.try_insert(3), Err((&1, 3)));
    assert_eq!(cell.get_or_init(|| unreachable!()), &1);
    assert_eq!(cell.get_or_try_init(|| -> Result<_, ()> { unreachable!() }), Ok(&1));
    assert_eq!((cell.wait(), cell.get()), (&1, Some(&1)));
    assert_eq!(OnceLock::new().try_insert(4), Ok(&4));
}

#[test]
fn who_owns_it_may_change_it_and_take_the_value_out() {
    let mut cell = OnceLock::new();
    assert_eq!(cell.get_mut(), None);
    assert_eq!(cell.take(), None);
    *cell.get_mut_or_init(|| 1) += 1;
    assert_eq!(cell.get_mut_or_init(|| unreachable!()), &2);
    assert_eq!(cell.take(), Some(2));
    assert_eq!(cell.get(), None);
    assert_eq!(cell.get_mut_or_try_init(|| Err("no")), Err("no"));
    assert_eq!(cell.get_mut_or_try_init(|| Ok::<_, ()>(3)), Ok(&mut 3));
    *cell.get_mut().unwrap() += 1;
    assert_eq!(cell.get(), Some(&4));
    assert_eq!(cell.into_inner(), Some(4));
    assert_eq!(OnceLock::<u32>::new().into_inner(), None);
}

#[test]
fn one_value_is_made_and_all_see_it() {
    each_run(|| {
        for _ in 0..stress(20) {
            let cell = Arc::new((OnceLock::new(), AtomicUsize::new(0)));
            let threads: Vec<_> = (0..8)
                .map(|i| {
                    let cell = Arc::clone(&cell);
                    spawn_either(i, move || {
                        let (cell, made) = &*cell;
                        let make = || {
                            made.fetch_add(1, SeqCst);
                            thread::yield_now();
                            "value".to_owned()
                        };
                        let value = match i % 4 {
                            0 | 1 => cell.get_or_init(make),
                            2 => cell.get_or_try_init(|| Ok::<_, ()>(make())).unwrap(),
                            _ => cell.wait(),
                        };
                        assert_eq!((value.as_str(), made.load(SeqCst)), ("value", 1));
                    })
                })
                .collect();
            threads.into_iter().for_each(Either::join);
        }
    });
}

#[test]
fn readers_that_do_not_wait_see_all_of_the_value_or_none_of_it() {
    each_run(|| {
        let cell = Arc::new(OnceLock::<String>::new());
        let readers = (0..4).map(|i| {
            let cell = Arc::clone(&cell);
            spawn_either(i, move || {
                wait_until(|| cell.get().is_some());
                assert_eq!(cell.get().unwrap(), "a value on the heap");
            })
        });
        let writers = (0..4).map(|i| {
            let cell = Arc::clone(&cell);
            spawn_either(i, move || _ = cell.set("a value on the heap".to_owned()))
        });
        let threads: Vec<_> = readers.chain(writers).collect();
        threads.into_iter().for_each(Either::join);
    });
}

#[test]
fn a_function_that_fails_or_panics_leaves_it_empty_for_the_next() {
    quiet_panics();
    let cell: OnceLock<u32> = OnceLock::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| cell.get_or_init(|| panic!("{ON_PURPOSE}"))));
    assert!(panicked.is_err());
    assert_eq!(cell.get(), None);
    assert_eq!(cell.get_or_try_init(|| Err("no")), Err("no"));
    assert_eq!(cell.get(), None);
    assert_eq!(cell.clone().get(), None);
    assert_eq!(cell.get_or_try_init(|| Ok::<_, ()>(1)), Ok(&1));
    assert_eq!(cell.get(), Some(&1));
}

#[test]
fn one_of_those_who_wait_makes_the_value_if_another_cannot() {
    each_run(|| {
        let (cell, tries) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..10)
            .map(|i| {
                let (cell, tries) = (Arc::clone(&cell), Arc::clone(&tries));
                spawn_either(i, move || {
                    let result = cell.get_or_try_init(|| {
                        let n = tries.fetch_add(1, SeqCst);
                        thread::yield_now();
                        if n < 5 { Err(n) } else { Ok(n) }
                    });
                    result.copied()
                })
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(Either::join).collect();
        assert_eq!(tries.load(SeqCst), 6);
        assert_eq!(results.iter().filter(|result| **result == Ok(5)).count(), 5);
        let mut failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        failed.sort_unstable();
        assert_eq!(failed, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_function_that_is_cancelled_leaves_it_to_those_outside() {
    each_config(|config| {
        let (runtime, cell) = (config.build(), Arc::new(OnceLock::new()));
        let begun = Arc::new(AtomicBool::new(false));
        let (theirs, they_have) = (Arc::clone(&cell), Arc::clone(&begun));
        let caller = runtime.handle().spawn(move || {
            theirs.get_or_init(|| {
                they_have.store(true, SeqCst);
                thread::park();
                1
            });
        });
        wait_until(|| begun.load(SeqCst));
        let theirs = Arc::clone(&cell);
        let waiting = runtime.handle().spawn(move || _ = theirs.wait());
        let theirs = Arc::clone(&cell);
        let outside = std::thread::spawn(move || *theirs.get_or_init(|| 2));
        drop(runtime);
        assert!(caller.join().is_err());
        assert_eq!(outside.join().unwrap(), 2);
        _ = waiting.join(); // cancelled, unless it was quick
        assert_eq!(cell.get(), Some(&2));
    });
}

#[test]
fn every_value_is_dropped_once() {
    let drops = Drops::new();
    let cell = OnceLock::new();
    assert!(cell.set(drops.token()).is_ok());
    drop(cell.set(drops.token()));
    assert_eq!(drops.count(), 1);
    thread::spawn(move || drop(cell)).join().unwrap();
    assert_eq!(drops.count(), 2);
    let mut cell = OnceLock::from(drops.token());
    drop(cell.take());
    drop(cell);
    drop(OnceLock::from(drops.token()).into_inner());
    assert_eq!(drops.count(), 4);
}

#[test]
fn a_borrowed_value_may_die_before_the_cell() {
    let cell = OnceLock::new();
    {
        let text = String::from("short-lived");
        cell.set(&text).unwrap();
    }
}

#[test]
fn it_is_cloned_compared_and_shown_as_std_does() {
    type Std<T> = std::sync::OnceLock<T>;
    let (empty, full) = (OnceLock::<u32>::default(), OnceLock::from(1));
    assert_eq!(full, full.clone());
    assert_eq!(empty, empty.clone());
    assert_ne!(full, empty);
    assert_ne!(full, OnceLock::from(2));
    assert_eq!(format!("{empty:?} {full:?}"), format!("{:?} {:?}", Std::<u32>::new(), Std::from(1)));
    assert_eq!(format!("{full:#?}"), format!("{:#?}", Std::from(1)));
}
