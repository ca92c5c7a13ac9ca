//! Waits that are cut short while the thread goes on: nothing is lost by it, nothing taken, and who comes next is not held up.

use std::{
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{Drops, Either, each_run, everywhere, quiet_panics, spawn_either, stress, until_waiting};
use sward_runtime::{
    cancel::{Cancelled, Token},
    park::WaitReason,
    thread,
    time::timeout,
};
use sward_sync::{
    Barrier, Condvar, LazyLock, Mutex, Notify, Once, OnceLock, Parker, Pool, ReentrantLock, RwLock,
    Semaphore, WaitGroup, broadcast,
    channel::{self, bounded, select, unbounded},
    oneshot, watch,
};

const LONG: Duration = Duration::from_secs(10_000);
const SHORT: Duration = Duration::from_millis(1);

/// A time limit that may be over at any moment, or none that matters.
fn soon(n: usize) -> Duration {
    if n.is_multiple_of(5) { LONG } else { Duration::from_micros(n as u64 * 7 % 90) }
}

/// Runs `f` on threads of both kinds, each with a number of its own, until all have ended.
fn crowd(threads: usize, f: impl Fn(usize) + Send + Sync + 'static) {
    let f = Arc::new(f);
    let handles: Vec<_> = (0..threads)
        .map(|i| {
            let f = Arc::clone(&f);
            spawn_either(i, move || f(i))
        })
        .collect();
    handles.into_iter().for_each(Either::join);
}

#[test]
fn a_wait_for_a_mutex_leaves_it_to_others() {
    everywhere(|| {
        let mutex = Mutex::new(0);
        let guard = mutex.lock().unwrap();
        // In debug builds a thread that waits for itself panics, unless its wait ends.
        assert!(timeout(SHORT, || drop(mutex.lock())).is_err());
        drop(guard);
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn a_mutex_that_is_handed_over_or_not_is_never_lost() {
    each_run(|| {
        let mutex = Arc::new(Mutex::new(0));
        let (theirs, taken) = (Arc::clone(&mutex), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&taken);
        crowd(6, move |i| {
            for n in 0..stress(60) {
                let locked =
                    timeout(soon(n + i), || theirs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
                if let Ok(mut guard) = locked {
                    *guard += 1;
                    counted.fetch_add(1, SeqCst);
                }
            }
        });
        let guard = mutex.try_lock().expect("free at the end");
        assert_eq!(*guard, taken.load(SeqCst));
    });
}

#[test]
fn a_lock_that_is_held_when_the_call_is_cut_short_is_poisoned() {
    everywhere(|| {
        let mutex = Mutex::new(0);
        let cut = timeout(SHORT, || {
            let _guard = mutex.lock().unwrap();
            thread::park();
        });
        assert!(cut.is_err() && mutex.is_poisoned());
    });
}

#[test]
fn waits_in_a_circle_that_end_are_no_deadlock() {
    each_run(|| {
        let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
        let barrier = Arc::new(Barrier::new(2));
        crowd(2, move |i| {
            let _first = locks[i].lock().unwrap();
            barrier.wait();
            assert!(timeout(SHORT, || drop(locks[1 - i].lock())).is_err());
            // Nobody lets go before both have given up.
            barrier.wait();
        });
    });
}

#[test]
fn a_reader_writer_lock_is_never_lost() {
    each_run(|| {
        let lock = Arc::new(RwLock::new(0));
        let (theirs, taken) = (Arc::clone(&lock), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&taken);
        crowd(6, move |i| {
            for n in 0..stress(60) {
                if (n + i).is_multiple_of(3) {
                    if let Ok(guard) = timeout(soon(n + i), || theirs.write()) {
                        *guard.unwrap() += 1;
                        counted.fetch_add(1, SeqCst);
                    }
                } else if let Ok(guard) = timeout(soon(n + i), || theirs.read()) {
                    let guard = guard.unwrap();
                    let before = *guard;
                    thread::yield_now();
                    assert_eq!(*guard, before, "nobody writes meanwhile");
                }
            }
        });
        assert_eq!(*lock.try_write().expect("free at the end"), taken.load(SeqCst));
    });
}

#[test]
fn a_writer_that_gives_up_lets_readers_in() {
    each_run(|| {
        let lock = Arc::new(RwLock::new(()));
        let reading = lock.read().unwrap();
        let (token, theirs) = (Token::new(), Arc::clone(&lock));
        let writer = thread::spawn({
            let token = token.clone();
            move || token.run(|| drop(theirs.write())).is_err()
        });
        until_waiting(writer.thread(), WaitReason::Lock);
        let theirs = Arc::clone(&lock);
        let reader = thread::spawn(move || drop(theirs.read().unwrap()));
        token.cancel();
        assert!(writer.join().unwrap());
        reader.join().unwrap();
        drop(reading);
    });
}

#[test]
fn a_reentrant_lock_is_left_to_others() {
    each_run(|| {
        let lock = Arc::new(ReentrantLock::new(7));
        let guard = lock.lock();
        let theirs = Arc::clone(&lock);
        let waiting = thread::spawn(move || timeout(SHORT, || drop(theirs.lock())).is_err());
        assert!(waiting.join().unwrap());
        drop(guard);
        assert_eq!(*lock.try_lock().expect("free"), 7);
    });
}

#[test]
fn a_condvar_leaves_its_mutex_free_and_passes_notifications_on() {
    everywhere(|| {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let guard = mutex.lock().unwrap();
        assert!(timeout(SHORT, || drop(condvar.wait(guard))).is_err());
        assert!(mutex.try_lock().is_ok());
    });
    each_run(|| {
        for round in 0..stress(50) {
            let shared = Arc::new((Mutex::new(0_usize), Condvar::new()));
            let (patient, hasty) = (Arc::clone(&shared), Arc::clone(&shared));
            let take = |(mutex, condvar): &(Mutex<usize>, Condvar)| {
                let mut there = condvar.wait_while(mutex.lock().unwrap(), |there| *there == 0).unwrap();
                *there -= 1;
            };
            let hasty = thread::spawn(move || timeout(soon(round * 5 + 1), || take(&hasty)).is_ok());
            let patient = thread::spawn(move || take(&patient));
            *shared.0.lock().unwrap() += 1;
            shared.1.notify_one();
            if hasty.join().unwrap() {
                *shared.0.lock().unwrap() += 1;
                shared.1.notify_one();
            }
            // One notification for one thing: if the hasty one had it and threw it away, this would wait for ever.
            patient.join().unwrap();
        }
    });
}

#[test]
fn permits_are_neither_lost_nor_made() {
    each_run(|| {
        let semaphore = Arc::new(Semaphore::new(3));
        let theirs = Arc::clone(&semaphore);
        crowd(6, move |i| {
            for n in 0..stress(60) {
                let wanted = 1 + (n + i) as u32 % 3;
                if let Ok(permits) = timeout(soon(n + i), || theirs.acquire_many(wanted)) {
                    thread::yield_now();
                    drop(permits.unwrap());
                }
            }
        });
        assert_eq!(semaphore.available_permits(), 3);
    });
}

#[test]
fn who_stands_behind_one_that_gives_up_moves_up() {
    each_run(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let (first, second) = (Arc::clone(&semaphore), Arc::clone(&semaphore));
        let first = thread::spawn(move || drop(first.acquire_many(5)));
        until_waiting(first.thread(), WaitReason::Semaphore);
        let second = thread::spawn(move || second.acquire().unwrap().forget());
        until_waiting(second.thread(), WaitReason::Semaphore);
        first.cancel();
        second.join().unwrap();
        assert!(first.join().unwrap_err().is::<Cancelled>());
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn who_gives_up_at_a_barrier_has_not_come() {
    everywhere(|| {
        let barrier = Arc::new(Barrier::new(2));
        assert!(timeout(SHORT, || barrier.wait()).is_err());
        let theirs = Arc::clone(&barrier);
        let other = thread::spawn(move || theirs.wait().is_leader());
        assert_ne!(barrier.wait().is_leader(), other.join().unwrap());
    });
}

#[test]
fn an_initialiser_that_is_cut_short_leaves_the_place_to_the_next() {
    everywhere(|| {
        let cell = OnceLock::new();
        assert!(
            timeout(SHORT, || *cell.get_or_init(|| {
                thread::park();
                1
            }))
            .is_err()
        );
        assert_eq!(*cell.get_or_init(|| 2), 2);
    });
    each_run(|| {
        // The next is one who waits.
        let cell = Arc::new(OnceLock::new());
        let (token, theirs) = (Token::new(), Arc::clone(&cell));
        let first = thread::spawn({
            let token = token.clone();
            move || {
                token
                    .run(|| {
                        theirs.get_or_init(|| {
                            thread::park();
                            1
                        });
                    })
                    .is_err()
            }
        });
        until_waiting(first.thread(), WaitReason::Park);
        let theirs = Arc::clone(&cell);
        let second = thread::spawn(move || *theirs.get_or_init(|| 2));
        until_waiting(second.thread(), WaitReason::Once);
        token.cancel();
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (true, 2));
    });
}

#[test]
fn a_function_that_is_called_once_is_not_called_again_when_it_was_cut_short() {
    quiet_panics();
    everywhere(|| {
        let once = Once::new();
        assert!(timeout(SHORT, || once.call_once(thread::park)).is_err());
        assert!(catch_unwind(|| once.call_once(|| ())).is_err(), "poisoned");
        let lazy: LazyLock<u8> = LazyLock::new(|| {
            thread::park();
            1
        });
        assert!(timeout(SHORT, || *lazy).is_err());
        assert!(catch_unwind(std::panic::AssertUnwindSafe(|| *lazy)).is_err(), "its function is used up");
    });
}

#[test]
fn who_waits_for_an_initialiser_may_give_up() {
    each_run(|| {
        let once = Arc::new(Once::new());
        let theirs = Arc::clone(&once);
        let running = thread::spawn(move || theirs.call_once(thread::park));
        until_waiting(running.thread(), WaitReason::Park);
        assert!(timeout(SHORT, || once.wait()).is_err());
        running.thread().unpark();
        running.join().unwrap();
        once.wait();
    });
}

#[test]
fn notifications_go_to_those_who_wait_on() {
    each_run(|| {
        for round in 0..stress(100) {
            let notify = Arc::new(Notify::new());
            let (hasty, patient) = (Arc::clone(&notify), Arc::clone(&notify));
            let hasty = thread::spawn(move || timeout(soon(round * 5 + 1), || hasty.wait()).is_ok());
            let patient = thread::spawn(move || patient.wait());
            notify.notify_one();
            if hasty.join().unwrap() {
                notify.notify_one();
            }
            patient.join().unwrap();
        }
    });
}

#[test]
fn a_parker_keeps_its_token() {
    each_run(|| {
        for round in 0..stress(100) {
            let parker = Parker::new();
            let unparker = parker.unparker().clone();
            let other = thread::spawn(move || unparker.unpark());
            if timeout(soon(round * 5 + 1), || parker.park()).is_err() {
                parker.park();
            }
            other.join().unwrap();
        }
    });
}

#[test]
fn a_wait_group_can_be_left() {
    everywhere(|| {
        let group = WaitGroup::new();
        let member = group.clone();
        assert!(timeout(SHORT, || group.wait()).is_err());
        member.wait(); // alone now
    });
}

#[test]
fn one_message_is_not_lost() {
    everywhere(|| {
        let (sender, mut receiver) = oneshot::channel();
        assert!(timeout(SHORT, || receiver.recv_timeout(LONG)).is_err());
        sender.send(7).unwrap();
        assert_eq!(receiver.recv_timeout(LONG), Ok(7));
        let (mut sender, receiver) = oneshot::channel::<u8>();
        assert!(timeout(SHORT, || sender.closed()).is_err());
        drop(receiver);
        sender.closed();
    });
}

#[test]
fn a_change_is_not_lost() {
    everywhere(|| {
        let (sender, mut receiver) = watch::channel(0);
        assert!(timeout(SHORT, || receiver.changed()).is_err());
        sender.send(1).unwrap();
        assert_eq!(receiver.changed(), Ok(()));
        assert_eq!(*receiver.borrow(), 1);
    });
}

#[test]
fn a_broadcast_is_not_lost() {
    each_run(|| {
        let (sender, receiver) = broadcast::channel(1024);
        let sent = stress(200);
        let receivers: Vec<_> = (0..4)
            .map(|i| {
                let mut receiver = receiver.resubscribe();
                thread::spawn(move || {
                    let mut received = vec![];
                    for n in 0.. {
                        match timeout(soon(n + i), || receiver.recv()) {
                            Ok(Ok(message)) => received.push(message),
                            Ok(Err(_)) => break,
                            Err(_) => {}
                        }
                    }
                    received
                })
            })
            .collect();
        for message in 0..sent {
            sender.send(message).unwrap();
            thread::yield_now();
        }
        drop(sender);
        for receiver in receivers {
            assert!(receiver.join().unwrap().into_iter().eq(0..sent));
        }
    });
}

/// Messages that are sent and received under limits: what `send` says was sent is received once, and all else is dropped.
fn each_message_arrives_or_is_dropped(capacity: Option<usize>) {
    each_run(|| {
        let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
        let (sent, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (drops, made) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
        let receivers: Vec<_> = (0..3)
            .map(|i| {
                let (receiver, received) = (receiver.clone(), Arc::clone(&received));
                spawn_either(i, move || {
                    for n in 0.. {
                        match timeout(soon(n + i), || receiver.recv()) {
                            Ok(Ok(message)) => {
                                received.fetch_add(1, SeqCst);
                                drop(message);
                            }
                            Ok(Err(_)) => break,
                            Err(_) => {}
                        }
                    }
                })
            })
            .collect();
        let (theirs, counted, dropped, all) = (sender, Arc::clone(&sent), drops.clone(), Arc::clone(&made));
        crowd(3, move |i| {
            for n in 0..stress(60) {
                let message = dropped.token();
                all.fetch_add(1, SeqCst);
                if let Ok(result) = timeout(soon(n + i), || theirs.send(message)) {
                    result.unwrap();
                    counted.fetch_add(1, SeqCst);
                }
            }
            // The last one closes the channel.
        });
        receivers.into_iter().for_each(Either::join);
        assert_eq!(received.load(SeqCst), sent.load(SeqCst));
        assert_eq!(drops.count(), made.load(SeqCst));
    });
}

#[test]
fn each_message_of_an_unbounded_channel_arrives_or_is_dropped() {
    each_message_arrives_or_is_dropped(None);
}

#[test]
fn each_message_of_a_bounded_channel_arrives_or_is_dropped() {
    each_message_arrives_or_is_dropped(Some(1));
}

#[test]
fn each_message_of_a_rendezvous_arrives_or_is_dropped() {
    each_message_arrives_or_is_dropped(Some(0));
}

#[test]
fn a_select_that_is_cut_short_takes_nothing() {
    each_run(|| {
        let channels: Vec<_> = (0..2).map(bounded).collect();
        let sent = stress(60);
        let senders: Vec<_> = channels
            .iter()
            .map(|(sender, _)| {
                let sender = sender.clone();
                thread::spawn(move || (0..sent).for_each(|n| sender.send(n).unwrap()))
            })
            .collect();
        let (one, other) = (&channels[0].1, &channels[1].1);
        let (mut received, mut n) = ([0; 2], 0);
        while received != [sent; 2] {
            n += 1;
            let selected = timeout(soon(n), || {
                select! {
                    recv(one) -> message => (0, message.unwrap()),
                    recv(other) -> message => (1, message.unwrap()),
                    recv(channel::after(SHORT)) -> _ => (2, 0),
                }
            });
            if let Ok((i @ 0..2, message)) = selected {
                assert_eq!(message, received[i], "in order, none left out");
                received[i] += 1;
            }
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn what_a_pool_lends_comes_back() {
    each_run(|| {
        let pool = Pool::new(2, || Ok::<_, std::io::Error>(0));
        let theirs = pool.clone();
        crowd(4, move |i| {
            for n in 0..stress(60) {
                if let Ok(value) = timeout(soon(n + i), || theirs.get()) {
                    thread::yield_now();
                    drop(value);
                }
            }
        });
        assert_eq!(pool.in_use(), 0);
        let both = [pool.get().unwrap(), pool.get().unwrap()];
        assert!(timeout(SHORT, || pool.get()).is_err());
        drop(both);
    });
}
