//! What a `Select` waits for beside channels: timers, the ends of green threads, notifications.

use std::{
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use crate::common::{
    ON_PURPOSE, each_mode, each_run, everywhere, panics_with, spawn_either, stress, until_waiting,
};
use sward_runtime::{park::WaitReason, thread};
use sward_sync::{
    Arc, Notify,
    atomic::{AtomicUsize, Ordering::SeqCst},
    channel::{Select, after, at, bounded, never, select, tick},
};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3_600);
const DROPPED: &str = "dropped `SelectedOperation` without completing the operation";

#[test]
fn timers_are_received_from_when_they_are_due() {
    everywhere(|| {
        let begin = Instant::now();
        let (first, second, none) = (at(begin + 2 * SHORT), after(LONG), never::<()>());
        let mut select = Select::new();
        let due = select.recv(&first);
        select.recv(&second);
        select.recv(&none);
        let operation = select.select();
        assert_eq!(operation.index(), due);
        assert!(begin.elapsed() >= 2 * SHORT);
        assert_eq!(panics_with(|| operation), DROPPED);
        assert_eq!(select.select().recv(&first), Ok(begin + 2 * SHORT), "it is due again");
        assert!(select.select_timeout(SHORT).is_err());

        let ticker = tick(SHORT);
        let mut select = Select::new();
        select.recv(&ticker);
        let first = select.select().recv(&ticker).unwrap();
        let last = (0..5).map(|_| select.select().recv(&ticker).unwrap()).last().unwrap();
        assert!(last >= first + 5 * SHORT);
    });
}

#[test]
fn the_end_of_a_green_thread_is_selected_and_its_handle_joined() {
    everywhere(|| {
        let (sender, receiver) = bounded(0);
        let handle = thread::spawn(move || receiver.recv().unwrap());
        let commands = never::<()>();
        let mut select = Select::new();
        select.recv(&commands);
        let ended = select.join(&handle);
        assert!(select.try_select().is_err());
        assert!(select.select_timeout(SHORT).is_err());
        sender.send(7).unwrap();
        let operation = select.select();
        assert_eq!(operation.index(), ended);
        operation.join(&handle);
        assert_eq!(panics_with(|| select.select()), DROPPED);
        assert_eq!(select.ready(), ended, "it has ended once and for ever");
        assert_eq!(handle.join().unwrap(), 7);

        let failed = thread::spawn(|| panic!("{}", ON_PURPOSE));
        let mut select = Select::new();
        select.join(&failed);
        select.select().join(&failed);
        assert!(failed.join().is_err());

        let data = vec![1, 2, 3];
        thread::scope(|s| {
            let handles: Vec<_> = (0..3)
                .map(|i| {
                    s.spawn({
                        let data = &data;
                        move || data[i]
                    })
                })
                .collect();
            let mut select = Select::new();
            for handle in &handles {
                select.join(handle);
            }
            let first = select.ready();
            assert!(handles[first].is_finished());
        });
    });
}

#[test]
fn a_handle_is_waited_for_by_one_at_a_time_and_not_by_its_own_thread() {
    each_mode(1, |config| {
        config.build().run(|| {
            let stop = Arc::new(Notify::new());
            let theirs = Arc::clone(&stop);
            let handle = Arc::new(thread::spawn(move || theirs.wait()));
            let other = {
                let handle = Arc::clone(&handle);
                thread::spawn(move || {
                    let mut select = Select::new();
                    select.join(&*handle);
                    select.select().join(&*handle);
                })
            };
            until_waiting(other.thread(), WaitReason::Select);
            let (sender, receiver) = bounded(0);
            let mut select = Select::new_biased();
            select.recv(&receiver);
            select.join(&*handle);
            let taken = "a green thread can be joined by one `select` at a time";
            assert_eq!(panics_with(|| select.select()), taken);
            assert!(sender.try_send(1).is_err(), "the other operations were left");
            stop.notify_one();
            other.join().unwrap();
            assert_eq!(select.ready(), 1);

            let (give, take) = bounded::<thread::JoinHandle<String>>(1);
            let narcissus = thread::spawn(move || {
                let myself = take.recv().unwrap();
                let mut select = Select::new();
                select.join(&myself);
                panics_with(|| select.select())
            });
            let done = narcissus.thread().clone();
            give.send(narcissus).unwrap();
            crate::common::wait_until(|| format!("{done:?}").contains("Finished"));
        });
    });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polls a handle as a future. `true`: it is pending, and keeps a waker.
fn is_pending<T>(handle: &mut thread::JoinHandle<T>, waker: Arc<impl Wake + Send + Sync + 'static>) -> bool {
    let waker = Waker::from(waker);
    let polled = Pin::new(handle).poll(&mut Context::from_waker(&waker));
    matches!(polled, Poll::Pending)
}

#[test]
fn a_select_takes_the_place_of_who_polled_the_handle_before() {
    everywhere(|| {
        let (sender, receiver) = bounded(0);
        let mut handle = thread::spawn(move || receiver.recv().unwrap());
        let wakes = Arc::new(Wakes::default());
        assert!(is_pending(&mut handle, Arc::clone(&wakes)));
        let mut select = Select::new();
        select.join(&handle);
        assert!(select.try_select().is_err());
        assert_eq!(Arc::strong_count(&wakes), 2, "it did not wait");
        assert!(select.ready_timeout(SHORT).is_err());
        assert_eq!(Arc::strong_count(&wakes), 1, "who asks last is woken");
        drop(select);
        // And the other way round.
        assert!(is_pending(&mut handle, Arc::clone(&wakes)));
        assert!(is_pending(&mut handle, Arc::clone(&wakes)));
        assert_eq!(Arc::strong_count(&wakes), 2);
        sender.send(7).unwrap();
        crate::common::wait_until(|| wakes.0.load(SeqCst) == 1);
        assert_eq!(select! { join(handle) -> result => result.unwrap() }, 7);

        let (sender, receiver) = bounded(0);
        let mut handle = thread::spawn(move || receiver.recv().unwrap());
        assert!(is_pending(&mut handle, Arc::clone(&wakes)));
        let sending = spawn_either(1, move || sender.send(8).unwrap());
        let result = select! {
            join(handle) -> result => result,
            recv(never::<()>()) -> _ => unreachable!(),
        };
        assert_eq!(result.unwrap(), 8);
        sending.join();
    });
}

#[test]
fn a_waker_in_its_place_may_wait_or_panic_as_it_is_dropped() {
    struct Slow;
    impl Wake for Slow {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(SHORT);
        }
    }
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{ON_PURPOSE}");
        }
    }
    each_run(|| {
        let (sender, receiver) = bounded(1);
        let (give, take) = bounded(0);
        let mut handle = thread::spawn(move || take.recv().unwrap());
        for way in 0..4 {
            // The handle's own is the last one.
            let pending = match way % 2 {
                0 => is_pending(&mut handle, Arc::new(Slow)),
                _ => is_pending(&mut handle, Arc::new(Bomb)),
            };
            assert!(pending);
            let sender = sender.clone();
            let sending = spawn_either(way, move || sender.send(way).unwrap());
            let mut select = Select::new();
            select.join(&handle);
            let received = select.recv(&receiver);
            let operation = select.select();
            assert_eq!(operation.index(), received);
            assert_eq!(operation.recv(&receiver), Ok(way), "what was there is not lost");
            sending.join();
        }
        assert!(is_pending(&mut handle, Arc::new(Slow)));
        give.send(7).unwrap();
        assert_eq!(select! { join(handle) -> result => result.unwrap() }, 7);
    });
}

#[test]
fn handles_that_were_polled_are_selected_as_their_green_threads_end() {
    each_run(|| {
        let wakes = Arc::new(Wakes::default());
        for i in 0..stress(200) {
            let mut handle = thread::spawn(move || i);
            let timer = after(if i % 3 == 0 { Duration::ZERO } else { LONG });
            if is_pending(&mut handle, Arc::clone(&wakes)) {
                let selected = {
                    let mut select = Select::new();
                    let joined = select.join(&handle);
                    select.recv(&timer);
                    select.ready() == joined
                };
                assert!(selected && handle.is_finished() || i % 3 == 0);
                assert_eq!(handle.join().unwrap(), i);
            }
        }
        crate::common::wait_until(|| Arc::strong_count(&wakes) == 1);
    });
}

#[test]
fn a_notification_is_selected_once_and_kept_if_something_else_is() {
    everywhere(|| {
        let notify = Notify::new();
        let (sender, receiver) = bounded(1);
        let mut select = Select::new_biased();
        select.recv(&receiver);
        let notified = select.notified(&notify);
        notify.notify_one();
        sender.send(1).unwrap();
        assert_eq!(select.select().recv(&receiver), Ok(1));
        let operation = select.select();
        assert_eq!(operation.index(), notified);
        operation.notified(&notify);
        assert!(select.try_select().is_err());
        notify.notify_one();
        assert_eq!(panics_with(|| select.select()), DROPPED);
        notify.wait();

        let notify = Arc::new(Notify::new());
        for all in [false, true] {
            let theirs = Arc::clone(&notify);
            let other = thread::spawn(move || {
                let commands = never::<()>();
                let mut select = Select::new();
                select.recv(&commands);
                select.notified(&theirs);
                select.select().notified(&theirs);
            });
            if all {
                until_waiting(other.thread(), WaitReason::Select);
                notify.notify_waiters();
            } else {
                notify.notify_one();
            }
            other.join().unwrap();
            assert!(!notify.wait_until(Instant::now()));
        }
    });
}

#[test]
fn those_who_are_notified_and_drop_it_pass_it_on() {
    each_mode(1, |config| {
        config.build().run(|| {
            let notify = Arc::new(Notify::new());
            let spawn = |careless: bool| {
                let notify = Arc::clone(&notify);
                let handle = thread::spawn(move || {
                    let mut select = Select::new();
                    select.notified(&notify);
                    let operation = select.select();
                    if careless {
                        assert_eq!(panics_with(|| operation), DROPPED);
                    } else {
                        operation.notified(&notify);
                    }
                });
                until_waiting(handle.thread(), WaitReason::Select);
                handle
            };
            let handles = [spawn(true), spawn(false)];
            notify.notify_one();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            let handles = [spawn(true), spawn(false)];
            notify.notify_waiters();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert!(!notify.wait_until(Instant::now()), "one that was for all is not passed on");
        });
    });
}
