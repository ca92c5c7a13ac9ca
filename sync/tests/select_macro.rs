//! `select!` and `select_biased!`: their grammar, what they evaluate and when, what a body may do, and what they select.
#![expect(
    clippy::match_single_binding,
    clippy::never_loop,
    clippy::redundant_closure_call,
    clippy::unnecessary_literal_unwrap,
    reason = "what the grammar allows is tried, sensible or not"
)]

use std::{
    cell::Cell,
    ops::Deref,
    time::{Duration, Instant},
};

use crate::common::{Drops, each_mode, each_run, everywhere, panics_with, settle, spawn_either};
use sward_runtime::thread;
use sward_sync::{
    Arc, Notify,
    channel::{
        Receiver, RecvError, SendError, Sender, TryRecvError, after, at, bounded, never, select,
        select_biased, tick, unbounded,
    },
};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3_600);

#[test]
fn what_is_ready_is_selected() {
    everywhere(|| {
        let (s1, r1) = unbounded();
        let (s2, r2) = bounded(1);
        s1.send(1).unwrap();
        select! {
            recv(r1) -> message => assert_eq!(message, Ok(1)),
            recv(r2) -> _ => panic!("nothing was sent there"),
        }
        s2.send(2).unwrap();
        select! {
            recv(r1) -> _ => panic!("that was received"),
            recv(r2) -> message => assert_eq!(message, Ok(2)),
        }
        let (_s3, r3) = bounded::<u32>(0);
        select! {
            send(s2, 3) -> result => assert_eq!(result, Ok(())),
            recv(r3) -> _ => panic!("nobody sends there"),
        }
        assert_eq!(r2.recv(), Ok(3));
    });
}

#[test]
fn results_are_those_of_the_operations() {
    everywhere(|| {
        let (sender, receiver) = bounded::<u32>(0);
        select! {
            recv(receiver) -> _ => unreachable!(),
            default => {}
        }
        select! {
            send(sender, 1) -> _ => unreachable!(),
            default(SHORT) => {}
        }
        drop(receiver);
        let result: Result<(), SendError<u32>> = select! {
            send(sender, 2) -> result => result,
            recv(never::<()>()) -> _ => unreachable!(),
        };
        assert_eq!(result, Err(SendError(2)));
        let (sender, receiver) = bounded::<u32>(0);
        drop(sender);
        let one: Result<u32, RecvError> = select! { recv(receiver) -> result => result };
        let two = select! { recv(receiver) -> result => result, default => unreachable!() };
        let three = select! { recv(receiver) -> result => result, default(LONG) => unreachable!() };
        let four = select! { recv(receiver) -> result => result, recv(never()) -> result => result };
        assert_eq!([one, two, three, four], [Err(RecvError); 4]);
        let handle = thread::spawn(|| "done");
        let result: thread::Result<&str> = select! { join(handle) -> result => result };
        assert_eq!(result.unwrap(), "done");
    });
}

#[test]
fn arms_are_separated_by_commas_or_blocks() {
    let (sender, receiver) = unbounded::<u32>();
    let notify = Notify::new();
    select! {
        send(sender, 1,) -> _ => {}
        recv(receiver,) -> _ => unreachable!(),
        notified(notify,) => { unreachable!() },
        default(LONG,) => unreachable!()
    }
    select! {
        recv(receiver) -> message => if message.is_err() { unreachable!() },
        notified(&notify) => match notify { _ => unreachable!() },
        default() => ()
    }
    select! { default => {} }
    select! { default() => {}, }
    select!(default(Duration::ZERO) => {});
    let value = select! {
        recv(receiver) -> _ => 3.0,
        recv(receiver) -> _ => loop { unreachable!() },
        recv(receiver) -> Ok(1 | 2) | Ok(_) | Err(_) => { unreachable!() }
        default => 7.
    };
    assert_eq!(value, 7.0);
}

#[test]
fn many_arms_fit() {
    everywhere(|| {
        let (s, r) = bounded::<u32>(0);
        let none = &never::<u32>();
        let other = spawn_either(1, move || s.send(7));
        let message = select! {
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(), recv(none) -> _ => unreachable!(),
            recv(r) -> message => message,
            default(LONG) => unreachable!(),
        };
        assert_eq!(message, Ok(7));
        other.join().unwrap();
    });
}

/// Derefs to a handle, as an `Arc` or a user's own type does.
struct Wrapped<T>(T);

impl<T> Deref for Wrapped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[test]
fn handles_are_given_by_value_by_reference_or_by_what_derefs_to_one() {
    let (sender, receiver) = unbounded();
    let boxed = (Box::new(sender.clone()), Box::new(receiver.clone()));
    let wrapped = (Wrapped(sender.clone()), Wrapped(receiver.clone()));
    let notify = Arc::new(Notify::new());
    select! { send(&&&&sender, 0) -> _ => {}, recv(&&&&receiver) -> _ => unreachable!() }
    select! { recv(*boxed.1) -> _ => {}, notified(notify) => unreachable!() }
    select! { send(boxed.0, 0) -> _ => {}, default => unreachable!() }
    select! { recv(boxed.1) -> _ => {}, default => unreachable!() }
    select! { send(wrapped.0, 0) -> _ => {}, notified(&notify) => unreachable!() }
    select! { recv(wrapped.1) -> _ => {}, default(LONG) => unreachable!() }
    select! { send((|| sender.clone())(), 0) -> _ => {}, recv(Some(&never::<()>()).unwrap()) -> _ => unreachable!() }
    select! { recv([receiver][0]) -> _ => {}, recv(after(LONG)) -> _ => unreachable!() }
    let (given, taken) = (Some(unbounded::<()>().1), None::<&Receiver<()>>);
    select! {
        recv(given.as_ref().unwrap_or(&never())) -> message => assert_eq!(message, Err(RecvError)),
        recv(taken.unwrap_or(&never())) -> _ => unreachable!(),
    }
}

#[test]
fn types_are_inferred_through_it() {
    let (sender, receiver) = unbounded();
    select! {
        recv(receiver) -> _ => {}
        default => {}
    }
    sender.send("text").unwrap();
    let (sender, receiver) = unbounded();
    let value = select! {
        send(sender, 1_u8) -> _ => "sent".into(),
        default => String::new(),
    };
    assert_eq!((value.as_str(), receiver.recv()), ("sent", Ok(1)));
}

#[test]
fn what_an_arm_names_may_be_moved_or_dropped_in_its_body_and_in_others() {
    everywhere(|| {
        let (sender, receiver) = unbounded::<Vec<u32>>();
        let (kept, given) = (vec![1], vec![2]);
        let (sender, receiver) = select! {
            send(sender, given) -> _ => { drop(kept); (sender, receiver) }
            recv(receiver) -> _ => { drop(kept); (sender, receiver) }
        };
        // The same names for what comes out.
        let receiver = select! {
            recv(receiver) -> message => { assert_eq!(message, Ok(vec![2])); drop(sender); receiver }
            default => { drop(sender); receiver }
        };
        select! { recv(receiver) -> receiver => assert_eq!(receiver, Err(RecvError)) }
        let handle = thread::spawn(|| 7);
        let message = select! {
            join(handle) -> handle => handle.unwrap(),
            recv(never()) -> message => { drop(handle); message.unwrap() }
        };
        assert_eq!(message, 7);
    });
}

#[test]
fn bodies_may_leave_what_is_around_them() {
    fn first(receiver: &Receiver<Result<u32, String>>, other: &Receiver<()>) -> Result<u32, String> {
        let value = 'found: loop {
            select! {
                recv(receiver) -> message => match message {
                    Ok(Ok(0)) => continue,
                    Ok(Ok(9)) => return Ok(9),
                    Ok(message) => break 'found message?,
                    Err(RecvError) => return Err("no message".into()),
                },
                recv(other) -> _ => unreachable!(),
            }
        };
        Ok(value + 1)
    }
    let (sender, receiver) = unbounded();
    for message in [Ok(0), Ok(1), Ok(9), Err("wrong".to_owned())] {
        sender.send(message).unwrap();
    }
    drop(sender);
    let results = [(); 4].map(|()| first(&receiver, &never()));
    assert_eq!(results, [Ok(2), Ok(9), Err("wrong".into()), Err("no message".into())]);
}

#[test]
fn they_nest() {
    let (sender, receiver) = unbounded();
    let value = select! {
        send(sender, select! { default => 1 }) -> _ => select! {
            recv(receiver) -> outer => select! {
                send(sender, 2) -> _ => select! { recv(receiver) -> inner => (outer, inner) },
                recv(receiver) -> _ => unreachable!(),
            },
        },
        recv(select! { default => never::<()>() }) -> _ => unreachable!(),
    };
    assert_eq!(value, (Ok(1), Ok(2)));
}

#[test]
#[forbid(unsafe_code)]
fn it_is_hygienic_and_has_no_unsafe_code() {
    mod core {}
    struct Some;
    struct None;
    #[derive(Debug, PartialEq)]
    struct Ok(u32);
    struct Err;
    enum Option {}
    enum Result {}
    let _ = (Some, None, Err, std::any::type_name::<Option>(), std::any::type_name::<Result>());
    let (_arm, _picked, _result, _receiver) = (1, 2, 3, Ok(4));
    let (sender, receiver) = unbounded::<u32>();
    select! {
        send(sender, _arm + _picked + _result) -> result => { result.unwrap(); }
        recv(receiver) -> _ => unreachable!(),
    }
    select! {
        recv(receiver) -> message => assert_eq!(Ok(message.unwrap() - 2), _receiver),
        default => unreachable!(),
    }
}

#[test]
fn expressions_are_evaluated_once_in_order_and_only_the_message_that_is_sent() {
    everywhere(|| {
        let (open, _receiver) = unbounded::<u32>();
        let (full, _full) = bounded::<u32>(0);
        let order = Cell::new(0);
        let step = |expected: u32| {
            assert_eq!(order.replace(expected + 1), expected);
            true
        };
        select! {
            send({ step(0); &full }, u32::from(!step(99))) -> _ => unreachable!(),
            recv({ step(1); never::<()>() }) -> _ => unreachable!(),
            send({ step(2); &open }, { step(4); 5 }) -> result => { result.unwrap(); step(5); }
            default({ step(3); LONG }) => unreachable!(),
        }
        assert_eq!(order.get(), 6);
    });
}

#[test]
fn a_message_that_is_not_made_leaves_all_as_it_was() {
    fn leave(sender: &Sender<u32>, closed: &Receiver<u32>, next: Option<u32>) -> Option<u32> {
        select! {
            send(sender, next?) -> result => result.ok(),
            recv(closed) -> _ => unreachable!(),
        }
        .map(|()| 0)
    }
    everywhere(|| {
        let (sender, receiver) = bounded(1);
        let never = never();
        assert_eq!(leave(&sender, &never, None), None);
        let said = panics_with(|| {
            select! {
                send(sender, None.expect(crate::common::ON_PURPOSE)) -> _ => unreachable!(),
                default => unreachable!(),
            }
        });
        assert_eq!(said, crate::common::ON_PURPOSE);
        assert_eq!(leave(&sender, &never, Some(1)), Some(0), "the room is still there");
        assert!(sender.is_full());
        assert_eq!(receiver.recv(), Ok(1));
    });
    each_mode(1, |config| {
        config.build().run(|| {
            let (sender, receiver) = bounded(0);
            let other = thread::spawn(move || receiver.recv());
            settle();
            assert_eq!(leave(&sender, &never(), None), None);
            settle();
            assert!(!other.is_finished(), "the receiver waits on");
            assert_eq!(leave(&sender, &never(), Some(2)), Some(0));
            assert_eq!(other.join().unwrap(), Ok(2));
        });
    });
}

#[test]
fn it_waits_for_the_first_of_all() {
    everywhere(|| {
        for which in 0..6 {
            let (s1, r1) = bounded(0);
            let (s2, r2) = bounded(1);
            let (s3, r3) = bounded(0);
            let notify = Arc::new(Notify::new());
            let (end, ending) = bounded::<()>(0);
            let handle = thread::spawn(move || ending.recv());
            let theirs = Arc::clone(&notify);
            let other = spawn_either(which, move || match which {
                0 => s1.send(()).map(|()| (None, None)).unwrap(),
                1 => s2.send(()).map(|()| (Some(s1), None)).unwrap(),
                2 => r3.recv().map(|()| (Some(s1), Some(s2))).unwrap(),
                3 => {
                    theirs.notify_one();
                    (Some(s1), Some(s2))
                }
                4 => end.send(()).map(|()| (Some(s1), Some(s2))).unwrap(),
                _ => (Some(s1), Some(s2)),
            });
            let patience = if which == 5 { SHORT } else { LONG };
            let selected = select! {
                recv(r1) -> message => message.map(|()| 0).unwrap(),
                recv(r2) -> message => message.map(|()| 1).unwrap(),
                send(s3, ()) -> result => if result.is_ok() { 2 } else { which },
                notified(notify) => 3,
                join(handle) -> result => if result.unwrap().is_ok() { 4 } else { which },
                default(patience) => 5,
            };
            assert_eq!(selected, which);
            other.join();
        }
    });
}

#[test]
fn one_joins_whichever_ends_first_and_keeps_the_other_handles() {
    struct Pair<T> {
        left: thread::JoinHandle<T>,
        right: (u32, thread::JoinHandle<T>),
    }
    everywhere(|| {
        let (go, wait) = bounded(0);
        let pair =
            Pair { left: thread::spawn(move || wait.recv().unwrap()), right: (0, thread::spawn(|| "first")) };
        let rest = select! {
            join(pair.left) -> _ => unreachable!(),
            join(pair.right.1) -> first => { assert_eq!(first.unwrap(), "first"); pair.left }
        };
        let rest = select! {
            join(rest) -> _ => unreachable!(),
            default => rest,
        };
        go.send("second").unwrap();
        assert_eq!(rest.join().unwrap(), "second");

        let data = [1, 2, 3];
        let sum: i32 = thread::scope(|s| {
            let handle = s.spawn(|| data.iter().sum());
            select! {
                join(handle) -> sum => sum.unwrap(),
                recv(never()) -> sum => sum.unwrap(),
            }
        });
        assert_eq!(sum, 6);
        let failed = thread::spawn(|| panic!("{}", crate::common::ON_PURPOSE));
        select! { join(failed) -> result => assert!(result.is_err()) }
    });
}

#[test]
fn timers_come_when_they_are_due() {
    everywhere(|| {
        let begin = Instant::now();
        let ticker = tick(SHORT);
        let timeout = after(20 * SHORT);
        let mut ticks = 0;
        let end = loop {
            select! {
                recv(ticker) -> message => {
                    ticks += 1;
                    assert!(message.unwrap() >= begin + ticks * SHORT);
                }
                recv(timeout) -> message => break message.unwrap(),
                recv(at(begin + LONG)) -> _ => unreachable!(),
            }
        };
        // Who comes late finds both due, and takes either.
        assert!(ticks > 0 || ticker.try_recv().is_ok());
        assert!(end >= begin + 20 * SHORT);
        select! { default(SHORT) => assert!(begin.elapsed() >= 21 * SHORT) }
    });
}

#[test]
fn each_of_those_that_are_ready_has_its_chance_unless_biased() {
    const ROUNDS: usize = 4_000;
    everywhere(|| {
        let (s1, r1) = bounded(ROUNDS);
        let (s2, r2) = unbounded();
        let mut hits = [0_usize; 3];
        for i in 0..ROUNDS {
            s1.send(i).unwrap();
            s2.send(i).unwrap();
        }
        for _ in 0..ROUNDS {
            select! {
                recv(r1) -> _ => hits[0] += 1,
                recv(after(Duration::ZERO)) -> _ => hits[1] += 1,
                recv(r2) -> _ => hits[2] += 1,
            }
        }
        // A third each, give or take ten times the standard deviation.
        assert!(hits.iter().all(|hits| hits.abs_diff(ROUNDS / 3) < 300), "{hits:?}");
        let left = ROUNDS - hits[0];
        for i in 0..left + 10 {
            select_biased! {
                recv(r1) -> message => assert_eq!((i < left, message), (true, Ok(hits[0] + i))),
                recv(r2) -> _ => assert!(i >= left),
                default(LONG) => unreachable!(),
            }
        }
    });
}

#[test]
fn of_sending_and_receiving_in_one_neither_meets_the_other() {
    everywhere(|| {
        let (s, r) = bounded::<u32>(0);
        select! {
            send(s, 0) -> _ => unreachable!(),
            recv(r) -> _ => unreachable!(),
            default(SHORT) => {}
        }
        let others: Vec<_> = (0..2)
            .map(|i| {
                let (s, r) = (s.clone(), r.clone());
                spawn_either(i, move || {
                    select! {
                        send(s, 1) -> result => { result.unwrap(); 0 }
                        recv(r) -> message => message.unwrap(),
                    }
                })
            })
            .collect();
        assert_eq!(others.into_iter().map(crate::common::Either::join).sum::<u32>(), 1);
        assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn messages_are_dropped_once_wherever_they_are() {
    each_run(|| {
        let drops = Drops::new();
        for capacity in [0, 1, 3] {
            let (s1, r1) = bounded(capacity);
            let (s2, r2) = bounded(capacity);
            let token = drops.clone();
            let sender = thread::spawn(move || {
                for _ in 0..10 {
                    select! {
                        send(s1, token.token()) -> _ => {}
                        send(s2, token.token()) -> _ => {}
                    }
                }
            });
            for i in 0..5 {
                select! {
                    recv(r1) -> message => assert!(message.is_ok()),
                    recv(r2) -> message => if i > 0 { drop(message.unwrap()) },
                }
            }
            drop((r1, r2));
            sender.join().unwrap();
        }
        assert_eq!(drops.count(), 30);
    });
}

#[test]
fn a_runtime_that_ends_takes_no_message_with_it() {
    crate::common::each_config(|config| {
        let drops = Drops::new();
        let (s, r) = bounded(0);
        let runtime = config.build();
        let handles: Vec<_> = (0..4)
            .map(|_| {
                let r = r.clone();
                runtime.handle().spawn(move || {
                    let mut received = 0;
                    loop {
                        select! {
                            recv(r) -> message => { drop(message.unwrap()); received += 1; }
                            recv(never::<()>()) -> _ => unreachable!(),
                            default(LONG) => break received,
                        }
                    }
                })
            })
            .collect();
        for _ in 0..100 {
            s.send(drops.token()).unwrap();
        }
        drop(runtime);
        assert!(handles.into_iter().all(|handle| handle.join().is_err()));
        assert!(s.try_send(drops.token()).is_err(), "one of them is still in the list");
        assert_eq!(drops.count(), 101);
        assert!(r.is_empty());
    });
}
