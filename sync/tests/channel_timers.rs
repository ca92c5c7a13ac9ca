//! `after`, `at`, `tick` and `never`: messages come in time, and nothing runs while nobody waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    Either, each_config, each_run, everywhere, is_waiting, spawn_either, stress, wait_until,
};
use sward_runtime::{park::WaitReason, thread};
use sward_sync::channel::{
    Receiver, RecvTimeoutError, Select, TryRecvError, after, at, bounded, never, select, tick, unbounded,
};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// What a receiver says of itself.
fn state<T>(receiver: &Receiver<T>) -> (usize, bool, bool, Option<usize>) {
    (receiver.len(), receiver.is_empty(), receiver.is_full(), receiver.capacity())
}

const EMPTY: (usize, bool, bool, Option<usize>) = (0, true, false, Some(1));
const FULL: (usize, bool, bool, Option<usize>) = (1, false, true, Some(1));

#[test]
fn after_has_one_message_once_time_is_up() {
    everywhere(|| {
        let begin = Instant::now();
        let receiver = after(5 * MS);
        let made = Instant::now();
        let received = loop {
            // Each of these may find that time is up just now.
            match receiver.try_recv().map_err(|error| assert_eq!(error, TryRecvError::Empty)) {
                Ok(received) => break received,
                Err(()) => thread::yield_now(),
            }
            match receiver.recv_timeout(MS / 10) {
                Ok(received) => break received,
                Err(error) => assert_eq!(error, RecvTimeoutError::Timeout),
            }
        };
        assert!(received >= begin + 5 * MS && received <= made + 5 * MS && received <= Instant::now());
        // There was one message, and the channel is not disconnected.
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiver.recv_timeout(MS), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.try_iter().next(), None);
        assert_eq!(state(&receiver), EMPTY);
    });
}

#[test]
fn what_is_due_in_an_hour_is_not_there() {
    everywhere(|| {
        let now = Instant::now();
        for receiver in [after(HOUR), at(now + HOUR), tick(HOUR)] {
            assert_eq!(state(&receiver), EMPTY);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(receiver.recv_deadline(now), Err(RecvTimeoutError::Timeout));
            assert_eq!(receiver.recv_timeout(MS), Err(RecvTimeoutError::Timeout));
            assert!(now.elapsed() >= MS);
        }
    });
}

#[test]
fn a_message_is_the_time_at_which_it_was_due() {
    everywhere(|| {
        let when = Instant::now() + 2 * MS;
        assert_eq!(at(when).recv(), Ok(when));
        assert!(Instant::now() >= when);
        assert_eq!(at(when).try_recv(), Ok(when), "the past is due at once");
        let receiver = at(when);
        assert_eq!(state(&receiver), FULL);
        assert_eq!(receiver.recv_deadline(when), Ok(when), "what is there is received even if time is up");
        assert_eq!(state(&receiver), EMPTY);
        let received = after(Duration::ZERO).try_recv().unwrap();
        assert!(received >= when && received <= Instant::now());
    });
}

#[test]
fn clones_share_the_message() {
    each_run(|| {
        let receiver = after(MS);
        let received = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..6)
            .map(|n| {
                let (receiver, received) = (receiver.clone(), Arc::clone(&received));
                spawn_either(n, move || {
                    // However long the others take, somebody has received it when nobody waits any more.
                    while received.load(SeqCst) == 0 {
                        match receiver.recv_timeout(5 * MS) {
                            Ok(_) => _ = received.fetch_add(1, SeqCst),
                            Err(error) => assert!(error.is_timeout()),
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(Either::join);
        assert_eq!((received.load(SeqCst), state(&receiver)), (1, EMPTY));
        assert!(receiver.same_channel(&receiver.clone()) && !receiver.same_channel(&after(MS)));
    });
}

#[test]
fn a_clone_is_the_same_channel_and_not_another_one_of_its_kind() {
    let when = Instant::now() + HOUR;
    let kinds = [after(HOUR), at(when), tick(HOUR), at(when)];
    for (i, a) in kinds.iter().enumerate() {
        for (j, b) in kinds.iter().enumerate() {
            assert_eq!(a.same_channel(&b.clone()), i == j);
        }
        assert!(!a.same_channel(&never()) && !never().same_channel(a));
        assert!(!a.same_channel(&unbounded().1));
    }
    assert!(never::<Instant>().same_channel(&never()));
}

#[test]
fn time_that_never_comes_is_waited_for_in_vain() {
    everywhere(|| {
        for receiver in [after(Duration::MAX), tick(Duration::MAX), never()] {
            let start = Instant::now();
            assert_eq!(receiver.recv_timeout(MS), Err(RecvTimeoutError::Timeout));
            assert!(start.elapsed() >= MS);
            assert_eq!(receiver.recv_deadline(start), Err(RecvTimeoutError::Timeout));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            assert!(receiver.is_empty() && receiver.try_iter().next().is_none());
        }
        assert_eq!(state(&never::<String>()), (0, true, true, Some(0)));
    });
}

#[test]
fn a_wait_that_ends_before_the_message_leaves_it() {
    everywhere(|| {
        let when = Instant::now() + 3 * MS;
        let receiver = at(when);
        // Unless the message is there by the time somebody looks.
        match receiver.recv_deadline(when - 2 * MS) {
            Err(error) => assert!(error.is_timeout() && receiver.recv_timeout(Duration::MAX) == Ok(when)),
            Ok(received) => assert_eq!(received, when),
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn ticks_come_a_period_apart_to_whoever_waits_for_them() {
    everywhere(|| {
        let start = Instant::now();
        let ticker = tick(2 * MS);
        let ticks: Vec<_> = ticker.iter().take(4).collect();
        assert!(ticks[0] >= start + 2 * MS);
        assert!(ticks.windows(2).all(|pair| pair[1] >= pair[0] + 2 * MS));
        assert!(ticks[3] <= Instant::now());
    });
}

#[test]
fn ticks_that_nobody_was_there_for_are_not_made_up_for() {
    everywhere(|| {
        let ticker = tick(2 * MS);
        thread::sleep(9 * MS);
        assert_eq!(state(&ticker), FULL);
        let late = Instant::now();
        let first = ticker.try_recv().unwrap();
        assert!(first < late);
        // The next one is due a period after the late one was taken.
        assert!(ticker.recv().unwrap() >= late + 2 * MS);
    });
}

#[test]
fn clones_share_the_ticks() {
    each_run(|| {
        let start = Instant::now();
        let ticker = tick(MS);
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let ticker = ticker.clone();
                spawn_either(n, move || ticker.iter().take(3).collect::<Vec<_>>())
            })
            .collect();
        let mut ticks: Vec<_> = threads.into_iter().flat_map(Either::join).collect();
        ticks.sort_unstable();
        assert_eq!(ticks.len(), 12);
        assert!(ticks[0] >= start + MS);
        assert!(ticks.windows(2).all(|pair| pair[1] >= pair[0] + MS), "no tick was received twice");
        assert!(Instant::now() >= start + 12 * MS);
    });
}

#[test]
fn a_tick_without_a_period_is_always_there() {
    let ticker = tick(Duration::ZERO);
    let ticks: Vec<_> = ticker.try_iter().take(100).collect();
    assert_eq!(ticks.len(), 100);
    assert!(ticks.is_sorted());
}

#[test]
fn in_a_select_a_timer_is_the_time_limit_of_the_others() {
    everywhere(|| {
        let (sender, receiver) = bounded::<u32>(1);
        let begin = Instant::now();
        let (limit, far) = (at(begin + 2 * MS), after(HOUR));
        select! {
            recv(receiver) -> _ => unreachable!("nothing was sent"),
            recv(far) -> _ => unreachable!("an hour is not over"),
            recv(never::<()>()) -> _ => unreachable!(),
            recv(limit) -> when => assert_eq!(when, Ok(begin + 2 * MS)),
        }
        assert!(begin.elapsed() >= 2 * MS);
        select! {
            recv(limit) -> _ => unreachable!("it was received"),
            recv(far) -> _ => unreachable!("an hour is not over"),
            default(MS) => {}
        }
        sender.send(1).unwrap();
        select! {
            recv(receiver) -> message => assert_eq!(message, Ok(1)),
            recv(far) -> _ => unreachable!("an hour is not over"),
        }
    });
}

#[test]
fn of_a_message_and_a_time_that_race_one_is_selected_and_the_other_is_left() {
    each_run(|| {
        for n in 0..stress(60) {
            let (sender, receiver) = bounded(1);
            let when = Instant::now() + Duration::from_micros(n as u64 * 7 % 200);
            let timer = at(when);
            let other = spawn_either(n, move || sender.send(n).unwrap());
            let selected_message = select! {
                recv(receiver) -> message => message == Ok(n),
                recv(timer) -> time => time != Ok(when),
            };
            if selected_message {
                assert_eq!(timer.recv(), Ok(when));
            } else {
                assert_eq!(receiver.recv(), Ok(n));
            }
            assert_eq!((receiver.try_recv().is_err(), timer.try_recv().is_err()), (true, true));
            other.join();
        }
    });
}

/// Some wait in `recv`, some in a `select`, some watch: each tick goes to one of them.
#[test]
fn those_in_a_select_share_with_those_who_receive() {
    each_run(|| {
        let start = Instant::now();
        let ticker = tick(MS);
        let (stop, stopped) = bounded::<()>(0);
        let threads: Vec<_> = (0..6)
            .map(|n| {
                let (ticker, stopped) = (ticker.clone(), stopped.clone());
                spawn_either(n, move || {
                    let mut ticks = Vec::new();
                    while ticks.len() < 2 {
                        match n / 2 {
                            0 => ticks.extend(ticker.recv()),
                            1 => select! {
                                recv(ticker) -> when => ticks.extend(when),
                                recv(stopped) -> _ => unreachable!("it is stopped later"),
                            },
                            _ => {
                                let mut select = Select::new();
                                select.recv(&ticker);
                                assert_eq!(select.ready(), 0);
                                ticks.extend(ticker.try_recv());
                            }
                        }
                    }
                    ticks
                })
            })
            .collect();
        let mut ticks: Vec<_> = threads.into_iter().flat_map(Either::join).collect();
        drop(stop);
        ticks.sort_unstable();
        assert!(ticks.len() == 12 && ticks[0] >= start + MS);
        assert!(ticks.windows(2).all(|pair| pair[1] >= pair[0] + MS), "no tick was received twice");
    });
}

#[test]
fn many_wait_for_many_times() {
    each_run(|| {
        let start = Instant::now();
        let waiting: Vec<_> = (0..stress(200))
            .map(|i| {
                let when = start + Duration::from_micros((i * 37 % 5_000) as u64);
                thread::spawn(move || {
                    assert_eq!(at(when).recv(), Ok(when));
                    assert!(Instant::now() >= when);
                })
            })
            .collect();
        waiting.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

/// Threads wait for times that are hours away, or never come, as their runtime ends.
#[test]
fn a_wait_for_a_time_is_cancelled_with_the_runtime() {
    each_config(|config| {
        let ticker = tick(HOUR);
        let receivers = [after(HOUR), ticker.clone(), never(), after(Duration::MAX)];
        let runtime = config.build();
        let waiting: Vec<_> = receivers
            .into_iter()
            .flat_map(|receiver| {
                let second = receiver.clone();
                let receiving = runtime.handle().spawn(move || receiver.recv().is_ok());
                let selecting = runtime.handle().spawn(move || {
                    select! {
                        recv(second) -> message => message.is_ok(),
                        recv(never::<()>()) -> _ => unreachable!(),
                    }
                });
                [(receiving, WaitReason::Sleep), (selecting, WaitReason::Select)]
            })
            .collect();
        wait_until(|| waiting.iter().all(|(handle, reason)| is_waiting(handle.thread(), *reason)));
        drop(runtime);
        assert!(waiting.into_iter().all(|(handle, _)| handle.join().is_err()));
        assert_eq!(ticker.try_recv(), Err(TryRecvError::Empty));
    });
}
