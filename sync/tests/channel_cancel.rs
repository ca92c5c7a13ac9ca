//! Those who wait at channels as their runtime ends, and messages of every size and alignment: no message is lost, and none
//! is dropped twice.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use crate::common::{
    CAPACITIES, DropToken, Drops, channel, each_config, each_run, everywhere, fill, is_waiting, spawn_either,
    stress, until_waiting, wait_until,
};
use sward_runtime::{cancel::Cancelled, park::WaitReason, runtime::Runtime, thread};
use sward_sync::{
    Arc, Barrier, Condvar, Mutex, Notify, ReentrantLock, RwLock, Semaphore, WaitGroup,
    channel::{Receiver, Select, Sender, bounded, never, select},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Whether a green thread waits at channels.
fn waits(thread: &thread::Thread) -> bool {
    is_waiting(thread, WaitReason::Channel) || is_waiting(thread, WaitReason::Select)
}

/// Ends the runtime once all of them wait, and checks that they were made to end.
fn end<T: Send + 'static>(runtime: Runtime, waiting: Vec<thread::JoinHandle<T>>) {
    wait_until(|| waiting.iter().all(|handle| waits(handle.thread())));
    drop(runtime);
    for handle in waiting {
        assert!(handle.join().err().unwrap().is::<Cancelled>());
    }
}

/// Receives a message in one of six ways. `None`: the channel is disconnected.
fn receive<T>(way: usize, receiver: &Receiver<T>) -> Option<T> {
    match way % 6 {
        0 => receiver.recv().ok(),
        1 => receiver.recv_timeout(HOUR).ok(),
        2 => receiver.iter().next(),
        3 => select! {
            recv(receiver) -> message => message.ok(),
            recv(never::<()>()) -> _ => unreachable!(),
        },
        4 => {
            let mut select = Select::new();
            select.recv(receiver);
            select.select_timeout(HOUR).unwrap().recv(receiver).ok()
        }
        _ => loop {
            let mut select = Select::new();
            select.recv(receiver);
            assert_eq!(select.ready(), 0);
            match receiver.try_recv() {
                Ok(message) => break Some(message),
                Err(error) if error.is_disconnected() => break None,
                Err(_) => {}
            }
        },
    }
}

/// Sends a message in one of five ways. `false`: the channel is disconnected.
fn send<T>(way: usize, sender: &Sender<T>, message: T) -> bool {
    match way % 5 {
        0 => sender.send(message).is_ok(),
        1 => sender.send_timeout(message, HOUR).is_ok(),
        2 => select! {
            send(sender, message) -> result => result.is_ok(),
            recv(never::<()>()) -> _ => unreachable!(),
        },
        3 => {
            let mut select = Select::new();
            select.send(sender);
            select.select_timeout(HOUR).unwrap().send(sender, message).is_ok()
        }
        _ => {
            let mut message = message;
            loop {
                let mut select = Select::new();
                select.send(sender);
                assert_eq!(select.ready(), 0);
                match sender.try_send(message) {
                    Ok(()) => break true,
                    Err(error) if error.is_disconnected() => break false,
                    Err(error) => message = error.into_inner(),
                }
            }
        }
    }
}

#[test]
fn receivers_that_are_cancelled_leave_the_channel_to_the_others() {
    each_config(|config| {
        for capacity in CAPACITIES {
            let drops = Drops::new();
            let (sender, receiver) = channel(capacity);
            let runtime = config.build();
            let waiting: Vec<_> = (0..12)
                .map(|way| {
                    let (receiver, token) = (receiver.clone(), drops.token());
                    runtime.handle().spawn(move || {
                        let _token = token;
                        receive::<DropToken>(way, &receiver)
                    })
                })
                .collect();
            end(runtime, waiting);
            assert_eq!(drops.count(), 12, "what was on their stacks");
            assert!(capacity != Some(0) || sender.try_send(drops.token()).is_err(), "nobody waits any more");
            let theirs = (sender.clone(), drops.token());
            let sending = std::thread::spawn(move || theirs.0.send(theirs.1).unwrap());
            let before = drops.count();
            drop(receiver.recv().unwrap());
            assert_eq!(drops.count(), before + 1);
            sending.join().unwrap();
            drop(receiver);
            assert!(sender.send(drops.token()).is_err(), "the handles of those that ended are gone");
        }
    });
}

#[test]
fn senders_that_are_cancelled_have_not_sent() {
    each_config(|config| {
        for capacity in [0, 1, 7] {
            let drops = Drops::new();
            let (sender, receiver) = bounded(capacity);
            let sent = fill(&sender, || (0, drops.token()));
            let before = drops.count();
            let runtime = config.build();
            let waiting: Vec<_> = (0..10)
                .map(|way| {
                    let (sender, message) = (sender.clone(), (1, drops.token()));
                    runtime.handle().spawn(move || send(way, &sender, message))
                })
                .collect();
            end(runtime, waiting);
            assert_eq!((drops.count(), receiver.len()), (before + 10, sent));
            let theirs = sender.clone();
            let message = (2, drops.token());
            let sending = std::thread::spawn(move || theirs.send(message).unwrap());
            drop(sender);
            let received: Vec<_> = receiver.iter().map(|(n, _)| n).collect();
            sending.join().unwrap();
            assert!(received.iter().copied().eq(std::iter::repeat_n(0, sent).chain([2])));
            assert_eq!(drops.count(), before + 10 + sent + 1);
        }
    });
}

/// Senders and receivers of a runtime that ends, against others that go on: who was told that it sent has sent, and each message that was
/// sent was received once, by one of them or by those who come later.
#[test]
fn a_runtime_that_ends_in_the_middle_loses_no_message_and_doubles_none() {
    each_config(|config| {
        for capacity in CAPACITIES {
            for round in 0..stress(3) {
                let (drops, made) = (Drops::new(), Arc::new(AtomicUsize::new(0)));
                let (sent, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let (sender, receiver) = channel(capacity);
                let runtime = config.build();
                for way in 0..5 {
                    let (sender, sent) = (sender.clone(), Arc::clone(&sent));
                    let (drops, made) = (drops.clone(), Arc::clone(&made));
                    runtime.handle().spawn(move || {
                        loop {
                            made.fetch_add(1, SeqCst);
                            assert!(send(way, &sender, drops.token()));
                            sent.fetch_add(1, SeqCst);
                        }
                    });
                }
                for way in 0..6 {
                    let (receiver, received) = (receiver.clone(), Arc::clone(&received));
                    runtime.handle().spawn(move || {
                        while receive(way, &receiver).is_some() {
                            received.fetch_add(1, SeqCst);
                        }
                    });
                }
                let theirs = (receiver.clone(), Arc::clone(&received));
                let outside = std::thread::spawn(move || {
                    while theirs.0.recv().is_ok() {
                        theirs.1.fetch_add(1, SeqCst);
                    }
                });
                wait_until(|| sent.load(SeqCst) >= 50 * round);
                drop(runtime);
                drop(sender);
                outside.join().unwrap();
                assert_eq!(sent.load(SeqCst), received.load(SeqCst));
                assert!(receiver.try_recv().is_err_and(|error| error.is_disconnected()));
                assert_eq!(drops.count(), made.load(SeqCst));
            }
        }
    });
}

/// Those who are cancelled at a channel hold locks and permits: all are given back.
#[test]
fn what_is_held_while_waiting_at_a_channel_is_given_back() {
    each_config(|config| {
        let (_sender, receiver) = bounded::<()>(1);
        let mutex = Arc::new(Mutex::new(0));
        let lock = Arc::new(RwLock::new(0));
        let reentrant = Arc::new(ReentrantLock::new(0));
        let permits = Arc::new(Semaphore::new(5));
        let group = WaitGroup::new();
        let runtime = config.build();
        let held = (Arc::clone(&mutex), Arc::clone(&permits), group.clone(), receiver.clone());
        let first = runtime.handle().spawn(move || {
            let (mutex, permits, _group, receiver) = held;
            let _guard = mutex.lock().unwrap();
            let _permits = permits.acquire_many(3).unwrap();
            receiver.recv()
        });
        let held = (Arc::clone(&lock), Arc::clone(&reentrant), Arc::clone(&permits), receiver.clone());
        let second = runtime.handle().spawn(move || {
            let (lock, reentrant, permits, receiver) = held;
            let _guard = lock.write().unwrap();
            let _guards = (reentrant.lock(), reentrant.lock());
            let _permits = permits.acquire_owned().unwrap();
            select! { recv(receiver) -> message => message }
        });
        end(runtime, vec![first, second]);
        // A panic poisons, and so does an end that nobody foresaw.
        assert!(mutex.try_lock().is_err() && mutex.is_poisoned());
        mutex.clear_poison();
        assert!(mutex.try_lock().is_ok());
        assert!(lock.is_poisoned());
        lock.clear_poison();
        assert!(lock.try_write().is_ok());
        assert!(reentrant.try_lock().is_some());
        assert_eq!(permits.available_permits(), 5);
        group.wait();
    });
}

/// One green thread at each primitive, and what they wait for comes when they are gone.
#[test]
fn those_who_are_cancelled_at_any_primitive_take_nothing_along() {
    each_config(|config| {
        let mutex = Arc::new((Mutex::new(0), Condvar::new()));
        let lock = Arc::new(RwLock::new(0));
        let (permits, notify) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let barrier = Arc::new(Barrier::new(2));
        let drops = Drops::new();
        let runtime = config.build();
        let spawn = |reason, wait: Box<dyn FnOnce() + Send>| {
            let token = drops.token();
            let handle = runtime.handle().spawn(move || {
                let _token = token;
                wait();
            });
            until_waiting(handle.thread(), reason);
            handle
        };
        let shared = Arc::clone(&mutex);
        let wait = move || drop(shared.1.wait(shared.0.lock().unwrap()));
        let mut waiting = vec![spawn(WaitReason::Condvar, Box::new(wait))];
        let (guard, writer) = (mutex.0.lock().unwrap(), lock.write().unwrap());
        for _ in 0..3 {
            let shared = Arc::clone(&mutex);
            waiting.push(spawn(WaitReason::Lock, Box::new(move || drop(shared.0.lock()))));
            let shared = Arc::clone(&lock);
            waiting.push(spawn(WaitReason::Lock, Box::new(move || drop(shared.read()))));
            let shared = Arc::clone(&lock);
            waiting.push(spawn(WaitReason::Lock, Box::new(move || drop(shared.write()))));
            let shared = Arc::clone(&permits);
            let acquire = move || drop(shared.acquire_many(2));
            waiting.push(spawn(WaitReason::Semaphore, Box::new(acquire)));
            let shared = Arc::clone(&notify);
            waiting.push(spawn(WaitReason::Notify, Box::new(move || shared.wait())));
        }
        let shared = Arc::clone(&barrier);
        waiting.push(spawn(WaitReason::Barrier, Box::new(move || _ = shared.wait())));
        drop(runtime);
        assert_eq!(drops.count(), waiting.len());
        for handle in waiting {
            assert!(handle.join().unwrap_err().is::<Cancelled>());
        }
        drop((guard, writer));
        assert!(mutex.0.try_lock().is_ok() && lock.try_read().is_ok() && lock.try_write().is_ok());
        permits.add_permits(2);
        assert!(permits.try_acquire_many(2).is_ok());
        notify.notify_one();
        assert!(notify.wait_timeout(Duration::ZERO), "nobody else took it");
        let second = Arc::clone(&barrier);
        let other = std::thread::spawn(move || second.wait().is_leader());
        assert!(barrier.wait().is_leader() != other.join().unwrap(), "two are needed, as ever");
    });
}

/// Passes messages through channels of every capacity, by the buffer and from hand to hand, and leaves some there.
fn pass<M: Send + 'static>(
    make: impl Fn(usize, &Drops) -> M,
    check: impl Fn(usize, &M) + Copy + Send + 'static,
) {
    for capacity in CAPACITIES {
        for way in 0..6 {
            let drops = Drops::new();
            let (sender, receiver) = channel(capacity);
            let receiving = spawn_large(move || {
                for i in 0..8 {
                    let (number, message) = receive(way, &receiver).unwrap();
                    assert_eq!(number, i);
                    check(i, &message);
                }
                receiver
            });
            for i in 0..8 {
                assert!(send(way, &sender, (i, make(i, &drops))));
            }
            let receiver = receiving.join().unwrap();
            assert_eq!(drops.count(), 8);
            let left = fill(&sender, || (0, make(0, &drops)));
            let refused = drops.count() - 8;
            drop(receiver);
            assert_eq!(drops.count(), 8 + refused + left);
            assert!(!send(way, &sender, (0, make(0, &drops))));
            assert_eq!(drops.count(), 8 + refused + left + 1);
        }
    }
}

/// A green thread with room on its stack for messages that hardly anybody would send by value.
fn spawn_large<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().stack_size(16 << 20).spawn(f).unwrap()
}

#[test]
fn messages_without_a_size_are_counted_and_dropped_once_each() {
    /// Has a destructor and no size.
    struct Nothing;
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
        }
    }
    everywhere(|| {
        for capacity in [Some(1), Some(1 << 20), Some(usize::MAX), None] {
            let (sender, receiver) = channel(capacity);
            let before = DROPPED.load(SeqCst);
            let sent = capacity.map_or(3_000, |capacity| capacity.min(3_000));
            (0..sent).for_each(|_| sender.send(Nothing).unwrap());
            assert_eq!((sender.len(), receiver.is_full()), (sent, capacity == Some(sent)));
            let received = sent / 3;
            assert_eq!(receiver.iter().take(received).count(), received);
            assert_eq!(DROPPED.load(SeqCst), before + received);
            drop(receiver);
            assert_eq!(DROPPED.load(SeqCst), before + sent);
            assert!(sender.send(Nothing).is_err());
        }
        let (sender, receiver) = bounded(0);
        let sending = spawn_either(0, move || (0..10).for_each(|_| sender.send(Nothing).unwrap()));
        assert_eq!(receiver.iter().count(), 10);
        sending.join();
    });
}

#[test]
fn huge_messages_go_through_whole() {
    type Huge = ([u8; 1 << 16], DropToken);
    each_run(|| {
        let body = || {
            let make = |i: usize, drops: &Drops| -> Huge { ([i as u8; 1 << 16], drops.token()) };
            pass(make, |i, (bytes, _)| assert!(bytes.iter().all(|byte| usize::from(*byte) == i)));
        };
        spawn_large(body).join().unwrap();
    });
}

#[test]
fn messages_lie_where_their_alignment_wants_them() {
    #[repr(align(128))]
    struct Aligned {
        number: u64,
        _token: DropToken,
    }
    each_run(|| {
        let body = || {
            let check = |i: usize, message: &Aligned| {
                assert!(std::ptr::from_ref(message).addr().is_multiple_of(128));
                assert_eq!(message.number, i as u64);
            };
            pass(|i, drops| Aligned { number: i as u64, _token: drops.token() }, check);
        };
        spawn_large(body).join().unwrap();
    });
}

/// A capacity is a limit: nothing is set aside for it.
#[test]
fn a_capacity_beyond_all_memory_takes_none() {
    const SIZE: usize = 1 << 16;
    let body = || {
        for capacity in [usize::MAX, usize::MAX / SIZE, isize::MAX.unsigned_abs() + 1] {
            let (sender, receiver) = bounded(capacity);
            assert_eq!((sender.capacity(), receiver.capacity()), (Some(capacity), Some(capacity)));
            for i in 0..40_u8 {
                assert!(sender.try_send([i; SIZE]).is_ok());
            }
            assert!(sender.len() == 40 && !sender.is_full());
            assert!(receiver.try_iter().map(|message: [u8; SIZE]| message[SIZE - 1]).eq(0..40));
        }
    };
    spawn_large(body).join().unwrap();
    std::thread::Builder::new().stack_size(16 << 20).spawn(body).unwrap().join().unwrap();
}
