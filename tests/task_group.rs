//! Groups, `as_completed`, `wait`, `gather`, `race`: results in their order, failures as they should be.
#![expect(clippy::unit_arg, reason = "to park for ever is all that some of them do")]

use std::{
    mem,
    sync::{
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{Drops, ON_PURPOSE, OnDrop, each_config, each_mode, each_run, stress, wait_until};
use sward::{
    channel,
    sync::{Arc, Mutex, WaitGroup},
    task::{self, Failure, Group, Until},
    thread,
};

/// Green threads that end, with their numbers, when they are told to.
fn told(n: usize) -> (Vec<channel::Sender<()>>, Vec<thread::JoinHandle<usize>>) {
    let pairs = (0..n).map(|i| {
        let (sender, receiver) = channel::bounded(1);
        let handle = thread::spawn(move || {
            receiver.recv().unwrap();
            i
        });
        (sender, handle)
    });
    pairs.unzip()
}

#[test]
fn results_come_in_the_order_in_which_green_threads_end() {
    each_run(|| {
        let (tell, handles) = told(5);
        let mut completed = task::as_completed(handles);
        for i in [3, 0, 4, 1, 2] {
            tell[i].send(()).unwrap();
            let (position, result) = completed.next().unwrap();
            assert_eq!((position, result.unwrap()), (i, i));
        }
        assert!(completed.next().is_none());
    });
}

#[test]
fn those_that_had_ended_before_are_there_at_once() {
    each_run(|| {
        let handle = thread::spawn(|| 1);
        wait_until(|| handle.is_finished());
        let mut group: Group<_> = [handle].into_iter().collect();
        assert_eq!(group.try_join_next().unwrap().unwrap(), 1);
        assert!(group.try_join_next().is_none() && group.is_empty());
    });
}

#[test]
fn a_failure_is_a_result_and_says_whose_it_is() {
    each_run(|| {
        let mut group = Group::new();
        let builder = thread::Builder::new().name("failing".into());
        let failing = group.spawn_with(builder, || -> u32 { panic!("{ON_PURPOSE}") }).unwrap();
        let (thread, result) = group.join_next_with_thread().unwrap();
        assert_eq!(thread.id(), failing.id());
        let Err(Failure::Panicked(panic)) = result else { unreachable!("it panicked") };
        assert_eq!((panic.message(), panic.thread().name()), (Some(ON_PURPOSE), Some("failing")));
        assert_eq!(panic.spawned_at().unwrap().file(), file!());
        let text = panic.to_string();
        assert!(text.contains("'failing'") && text.contains(file!()) && text.contains(ON_PURPOSE), "{text}");

        let parked = group.spawn(|| {
            thread::park();
            1
        });
        parked.cancel();
        assert!(matches!(group.join_next(), Some(Err(Failure::Cancelled))));
    });
}

#[test]
fn a_group_that_is_dropped_cancels_and_one_that_is_detached_does_not() {
    each_run(|| {
        let drops = Drops::new();
        for detach in [false, true] {
            let mut group = Group::new();
            let (ready, release) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
            for _ in 0..4 {
                let (there, token, release) = (ready.clone(), drops.token(), Arc::clone(&release));
                group.spawn(move || {
                    let _token = token;
                    drop(there);
                    while release.load(SeqCst) == 0 {
                        thread::park_timeout(Duration::from_millis(1));
                    }
                });
            }
            ready.wait();
            if detach {
                group.detach_all();
                assert!(group.is_empty());
                release.store(1, SeqCst);
            }
            drop(group);
            wait_until(|| drops.count() == if detach { 8 } else { 4 });
        }
    });
}

#[test]
fn shutdown_waits_for_what_it_cancels() {
    each_run(|| {
        let drops = Drops::new();
        let mut group = Group::new();
        for _ in 0..10 {
            let token = drops.token();
            group.spawn(move || {
                let _token = token;
                thread::park();
            });
        }
        group.shutdown();
        assert_eq!(drops.count(), 10);
    });
}

#[test]
fn join_all_keeps_the_order_in_which_they_were_added() {
    each_run(|| {
        let (tell, handles) = told(4);
        let group: Group<_> = handles.into_iter().collect();
        for i in [2, 3, 0, 1] {
            tell[i].send(()).unwrap();
        }
        assert_eq!(group.join_all(), [0, 1, 2, 3]);
    });
}

#[test]
fn a_limit_counts_those_that_run_and_not_results() {
    each_run(|| {
        let mut group = Group::with_limit(2);
        for i in 0..stress(100) {
            // Nobody takes a result meanwhile.
            group.spawn(move || i);
        }
        assert_eq!(group.join_all().len(), stress(100));
    });
}

#[test]
fn waiting_for_a_group_ends_when_time_is_up_and_loses_nothing() {
    each_run(|| {
        let (tell, handles) = told(1);
        let mut group: Group<_> = handles.into_iter().collect();
        assert!(group.join_next_timeout(Duration::from_millis(1)).is_none());
        assert_eq!(group.len(), 1);
        tell[0].send(()).unwrap();
        assert_eq!(group.join_next().unwrap().unwrap(), 0);
    });
}

#[test]
fn wait_returns_at_the_first_at_a_failure_or_at_the_last() {
    each_run(|| {
        let (tell, handles) = told(3);
        tell[1].send(()).unwrap();
        let waited = task::wait(handles, Until::FirstCompleted, None);
        assert_eq!(waited.done.len(), 1);
        assert_eq!(waited.done[0].0, 1);
        assert_eq!(waited.pending.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 2]);

        // Handles that were given back are as good as ever.
        let mut pending: Vec<_> = waited.pending.into_iter().map(|(_, handle)| handle).collect();
        let failing = thread::spawn(|| -> usize { panic!("{ON_PURPOSE}") });
        pending.push(failing);
        let waited = task::wait(pending, Until::FirstFailed, None);
        assert!(matches!(waited.done[..], [(2, Err(Failure::Panicked(_)))]));

        let pending = waited.pending.into_iter().map(|(_, handle)| handle);
        let waited = task::wait(pending, Until::AllCompleted, Some(Duration::from_millis(1)));
        assert!(waited.done.is_empty() && waited.pending.len() == 2);
        tell.iter().for_each(|each| _ = each.send(()));
        let pending = waited.pending.into_iter().map(|(_, handle)| handle);
        let waited = task::wait(pending, Until::AllCompleted, None);
        assert!(waited.done.len() == 2 && waited.pending.is_empty());
    });
}

#[test]
fn gathered_values_are_in_order_and_may_borrow() {
    each_run(|| {
        let words = ["a", "bb", "ccc"];
        assert_eq!(task::gather(words.iter().map(|word| || word.len())), [1, 2, 3]);
        assert_eq!(task::gather(Vec::<fn() -> u8>::new()), []);
        let (number, text) = task::join!(|| words.len(), || words.concat());
        assert_eq!((number, text.as_str()), (3, "abbccc"));
    });
}

#[test]
fn on_one_worker_those_that_are_gathered_start_in_order_and_go_on_in_order_when_they_yield() {
    const ROUNDS: usize = 3;
    each_mode(1, |config| {
        for crowd in [2, 3, 30] {
            let log = Mutex::new(Vec::new());
            let steps = |i| {
                let log = &log;
                move || {
                    for round in 0..ROUNDS {
                        log.lock().unwrap().push((round, i));
                        thread::yield_now();
                    }
                }
            };
            let expected: Vec<_> =
                (0..ROUNDS).flat_map(|round| (0..crowd).map(move |i| (round, i))).collect();
            config.build().run(|| {
                task::gather((0..crowd).map(steps));
                assert_eq!(mem::take(&mut *log.lock().unwrap()), expected);
                // Anew, amid what came before.
                task::gather((0..crowd).map(steps));
                assert_eq!(mem::take(&mut *log.lock().unwrap()), expected);
                task::join!(steps(0), steps(1), steps(2));
            });
            let joined = mem::take(&mut *log.lock().unwrap());
            assert!(joined.is_sorted(), "{joined:?}");
        }
    });
}

#[test]
fn the_first_error_of_a_gather_ends_the_others() {
    each_run(|| {
        let drops = Drops::new();
        let fs = (0..5).map(|i| {
            let token = drops.token();
            move || {
                let _token = token;
                if i == 3 { Err(i) } else { Ok(thread::park()) }
            }
        });
        assert_eq!(task::try_gather(fs), Err(3));
        assert_eq!(drops.count(), 5);
    });
}

#[test]
fn a_race_has_one_winner_and_ends_the_others() {
    each_run(|| {
        let drops = Drops::new();
        let fs = (0..5).map(|i| {
            let token = drops.token();
            move || {
                let _token = token;
                if i != 2 {
                    thread::park();
                }
                i
            }
        });
        assert_eq!(task::race(fs), Some(2));
        assert_eq!(drops.count(), 5);
        assert_eq!(task::race(Vec::<fn() -> u8>::new()), None);
        let fs = ["x", "7", "y"].map(|text| move || text.parse::<u8>());
        assert_eq!(task::race_ok(fs), Ok(7));
    });
}

#[test]
fn a_concurrent_map_keeps_its_limit_and_the_order() {
    each_run(|| {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let squares = task::map_concurrent(0..stress(40), 4, |i| {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            thread::yield_now();
            running.fetch_sub(1, SeqCst);
            i * i
        });
        assert_eq!(squares, (0..stress(40)).map(|i| i * i).collect::<Vec<_>>());
        assert!(most.load(SeqCst) <= 4);
    });
}

#[test]
fn a_limit_may_be_larger_than_a_semaphore() {
    each_run(|| {
        let mut group = Group::with_limit(usize::MAX);
        group.spawn(|| 1);
        assert_eq!(group.join_all(), [1]);
        assert_eq!(task::map_concurrent(0..3, usize::MAX, |i| i), [0, 1, 2]);
    });
}

#[test]
fn on_a_runtime_that_ends_what_is_spawned_is_cancelled() {
    each_config(|config| {
        let (runtime, (there, begun)) = (config.build(), channel::bounded(1));
        let (tell, told) = mpsc::channel();
        runtime.handle().spawn(move || {
            let _last = OnDrop(move || {
                let mut group = Group::new();
                group.spawn(|| ());
                let of_group = matches!(group.join_next(), Some(Err(Failure::Cancelled)));
                let of_scope = thread::scope(|s| s.spawn(|| ()).join().is_err());
                let ended = task::scope(|s| {
                    s.spawn(|| Ok::<_, ()>(()));
                    Ok(())
                });
                tell.send((of_group, of_scope, ended)).unwrap();
            });
            there.send(()).unwrap();
            thread::park();
        });
        begun.recv().unwrap();
        drop(runtime);
        assert_eq!(told.recv().unwrap(), (true, true, Ok(())));
    });
}
