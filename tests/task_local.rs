//! Values that are bound for a call: where they hold, who inherits them, and when they are dropped.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use crate::common::{
    Drops, ON_PURPOSE, OnDrop, each_config, each_run, on_every_thread, quiet_panics, stress,
};
use sward::{
    cancel,
    channel::{Sender, unbounded},
    sync::{Arc, Barrier, mpsc},
    task::{self, Group, Local},
    thread, thread_local, unblock,
};

static NUMBER: Local<usize> = Local::new();
static NAME: Local<String> = Local::new();

fn number() -> Option<usize> {
    NUMBER.get().as_deref().copied()
}

#[test]
fn a_binding_holds_in_the_call_and_hides_the_outer_one() {
    on_every_thread(|| {
        assert_eq!(number(), None);
        NUMBER.scope(1, || {
            NAME.scope("one".into(), || {
                NUMBER.scope(2, || assert_eq!((number(), NAME.get().unwrap().as_str()), (Some(2), "one")));
                assert_eq!(number(), Some(1));
            });
            assert_eq!(NAME.get(), None);
        });
        assert_eq!(number(), None);
    });
}

#[test]
fn a_call_that_unwinds_unbinds() {
    on_every_thread(|| {
        NUMBER.scope(1, || {
            let unwound = catch_unwind(AssertUnwindSafe(|| NUMBER.scope(2, || panic!("{ON_PURPOSE}"))));
            assert!(unwound.is_err());
            assert_eq!(number(), Some(1));
        });
        assert_eq!(number(), None);
    });
}

#[test]
fn those_who_take_turns_on_a_worker_keep_their_own() {
    each_run(|| {
        let handles: Vec<_> = (0..stress(100))
            .map(|i| {
                thread::spawn(move || {
                    assert_eq!(number(), None);
                    NUMBER.scope(i, || {
                        for _ in 0..5 {
                            thread::yield_now();
                            assert_eq!(number(), Some(i));
                        }
                        thread::sleep(Duration::from_micros(i as u64 % 10 * 10));
                        assert_eq!(number(), Some(i));
                    });
                    assert_eq!(number(), None);
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn what_ends_within_the_call_inherits() {
    each_run(|| {
        let seen = NUMBER.scope(7, || {
            let scoped = task::scope(|s| {
                let inner = s.clone();
                let child = s.spawn(move || {
                    let grandchild = inner.spawn(|| Ok::<_, ()>(number()));
                    Ok((number(), grandchild.join()))
                });
                Ok(child.join())
            });
            assert_eq!(scoped, Ok((Some(7), Some(7))));
            // What is bound where it is spawned, which may be further in than the scope.
            let inner = task::scope(|s| Ok::<_, ()>(NUMBER.scope(8, || s.spawn(|| Ok(number()))).join()));
            assert_eq!(inner, Ok(Some(8)));
            assert_eq!(task::gather([number, number]), [Some(7); 2]);
            assert_eq!(task::map_concurrent(0..5, 2, |i| number().unwrap() + i), [7, 8, 9, 10, 11]);
            assert_eq!(task::race([number]), Some(Some(7)));
            task::join!(number, || NUMBER.scope(9, number))
        });
        assert_eq!(seen, (Some(7), Some(9)));
    });
}

#[test]
fn what_may_outlive_the_call_inherits_on_request_only() {
    each_run(|| {
        let (plain, one, all) = NUMBER.scope(1, || {
            NAME.scope("n".into(), || {
                let both = || (number(), NAME.get().is_some());
                (
                    thread::spawn(both),
                    thread::spawn(NUMBER.inherit(both)),
                    thread::Builder::new().name("all".into()).spawn(task::inherit(both)).unwrap(),
                )
            })
        });
        assert_eq!(plain.join().unwrap(), (None, false));
        assert_eq!(one.join().unwrap(), (Some(1), false));
        assert_eq!(all.join().unwrap(), (Some(1), true));
        let mut group = Group::new();
        NUMBER.scope(2, || {
            group.spawn(number);
            group.spawn(NUMBER.inherit(number));
            assert_eq!(unblock(number), None);
            assert_eq!(unblock(NUMBER.inherit(number)), Some(2));
        });
        assert_eq!(group.join_all(), [None, Some(2)]);
    });
}

#[test]
fn an_os_thread_gives_and_takes_as_a_green_one() {
    each_config(|config| {
        let runtime = config.build();
        NUMBER.scope(3, || {
            assert_eq!(runtime.run(number), None);
            assert_eq!(runtime.run(NUMBER.inherit(number)), Some(3));
            let theirs = runtime.run(task::inherit(|| std::thread::spawn(task::inherit(number))));
            assert_eq!(theirs.join().unwrap(), Some(3));
        });
    });
}

#[test]
fn what_is_unbound_where_it_is_asked_leaves_the_closure_as_it_is() {
    on_every_thread(|| {
        let (one, all) = (NUMBER.inherit(number), task::inherit(number));
        NUMBER.scope(4, || {
            assert_eq!(one(), Some(4));
            assert_eq!(all(), None);
            assert_eq!(number(), Some(4));
        });
    });
}

#[test]
fn a_value_is_shared_and_dropped_with_its_last_heir() {
    static TOKEN: Local<Option<crate::common::DropToken>> = Local::new();
    each_run(|| {
        let drops = Drops::new();
        let (release, released) = mpsc::channel::<()>();
        let heir = TOKEN.scope(Some(drops.token()), || {
            let f = TOKEN.inherit(move || {
                released.recv().unwrap();
                Arc::as_ptr(&TOKEN.get().unwrap()).addr()
            });
            (thread::spawn(f), Arc::as_ptr(&TOKEN.get().unwrap()).addr())
        });
        assert_eq!(drops.count(), 0);
        release.send(()).unwrap();
        assert_eq!(heir.0.join().unwrap(), heir.1);
        assert_eq!(drops.count(), 1);
        // Nor is one kept whose heir never runs.
        TOKEN.scope(Some(drops.token()), || drop(task::inherit(|| ())));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn one_that_is_cancelled_unbinds_before_its_destructors_look() {
    each_run(|| {
        let (there, begun) = mpsc::channel();
        let (seen, looked) = mpsc::channel();
        let parked = thread::spawn(move || {
            let _look = OnDrop(|| seen.send(number()).unwrap());
            NUMBER.scope(1, || {
                let _inside = OnDrop(|| seen.send(number()).unwrap());
                there.send(()).unwrap();
                loop {
                    thread::park();
                }
            });
        });
        begun.recv().unwrap();
        parked.cancel();
        assert!(parked.join().is_err());
        assert_eq!(looked.iter().collect::<Vec<_>>(), [Some(1), None]);
    });
}

#[test]
fn destructors_of_values_may_bind_and_ask() {
    struct Asks;
    impl Drop for Asks {
        fn drop(&mut self) {
            assert_eq!(number(), None);
            cancel::shield(thread::yield_now);
            NUMBER.scope(5, || assert_eq!(number(), Some(5)));
        }
    }
    static ASKS: Local<Asks> = Local::new();
    on_every_thread(|| {
        ASKS.scope(Asks, || ());
        assert_eq!(number(), None);
    });
}

#[test]
fn a_thread_that_ends_has_none() {
    struct Late(mpsc::Sender<Option<usize>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let _ = self.0.send(number());
        }
    }
    thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });
    each_run(|| {
        let (seen, looked) = mpsc::channel();
        let ending = NUMBER.scope(6, || {
            thread::spawn(NUMBER.inherit(move || {
                assert_eq!(number(), Some(6));
                LATE.set(Some(Late(seen)));
            }))
        });
        ending.join().unwrap();
        assert_eq!(looked.recv(), Ok(None));
    });
}

#[test]
fn many_bind_and_inherit_at_once() {
    quiet_panics();
    each_run(|| {
        let meet = Arc::new(Barrier::new(4));
        let mut group = Group::new();
        for i in 0..4 {
            let meet = Arc::clone(&meet);
            group.spawn(move || {
                for round in 0..stress(50) {
                    let value = i * 1000 + round;
                    let children = NUMBER.scope(value, || {
                        meet.wait();
                        [thread::spawn(NUMBER.inherit(number)), thread::spawn(task::inherit(number))]
                    });
                    for child in children {
                        assert_eq!(child.join().unwrap(), Some(value));
                    }
                }
            });
        }
        group.join_all();
    });
}

#[test]
fn a_long_line_of_threads_that_bind_and_inherit_comes_to_its_end() {
    static FIRST: Local<u32> = Local::new();
    static SECOND: Local<u32> = Local::new();
    fn next(left: u32, done: Sender<()>) {
        if left == 0 {
            return drop(done);
        }
        // Neither hides the other.
        let key = if left.is_multiple_of(2) { &FIRST } else { &SECOND };
        key.scope(left, || drop(thread::spawn(task::inherit(move || next(left - 1, done)))));
    }
    each_run(|| {
        let (done, over) = unbounded();
        next(10_000, done);
        assert!(over.recv().is_err());
    });
}
