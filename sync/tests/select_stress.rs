//! Selects at random, over channels of every capacity, by green threads and OS threads: messages are neither lost nor doubled.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use crate::common::{Drops, each_config, each_run, everywhere, spawn_either, stress};
use sward_runtime::thread;
use sward_sync::{
    Arc, Notify, WaitGroup,
    channel::{Receiver, Select, Sender, bounded, never, select, unbounded},
};

/// A sequence of numbers, each below what is asked for.
struct Random(u32);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % n
    }
}

/// A message that knows its number, and notes whether it was received; its drop is counted.
struct Message {
    number: usize,
    _token: crate::common::DropToken,
}

const CAPACITIES: [Option<usize>; 5] = [Some(0), Some(0), Some(1), Some(3), None];

struct Channels {
    senders: Vec<Sender<Message>>,
    receivers: Vec<Receiver<Message>>,
}

impl Channels {
    fn new() -> Self {
        let (senders, receivers) = CAPACITIES.iter().map(|c| c.map_or_else(unbounded, bounded)).unzip();
        Self { senders, receivers }
    }
}

/// Sends a message by one of many ways, to one of three channels at random, or to one channel.
fn send(senders: &[Sender<Message>], message: Message, random: &mut Random) {
    let [a, b, c] = [(); 3].map(|()| &senders[random.below(senders.len())]);
    let timeout = Duration::from_micros(random.below(100) as u64);
    match random.below(6) {
        0 => a.send(message).unwrap_or_else(|_| panic!("the receivers are there")),
        1 => {
            let mut select = Select::new();
            for sender in [a, b, c] {
                select.send(sender);
            }
            let operation = select.select();
            let sender = [a, b, c][operation.index()];
            operation.send(sender, message).unwrap_or_else(|_| panic!("the receivers are there"));
        }
        2 => select! {
            send(a, message) -> result => assert!(result.is_ok()),
            send(b, message) -> result => assert!(result.is_ok()),
            recv(never::<()>()) -> _ => unreachable!(),
        },
        3 => select! {
            send(a, message) -> result => assert!(result.is_ok()),
            send(c, message) -> result => assert!(result.is_ok()),
            default(timeout) => send(senders, message, random),
        },
        4 => select! {
            send(b, message) -> result => assert!(result.is_ok()),
            default => send(senders, message, random),
        },
        _ => match a.send_timeout(message, timeout) {
            Ok(()) => {}
            Err(error) => send(senders, error.into_inner(), random),
        },
    }
}

/// Receives by one of many ways. `None`: `stop` is closed. Without a limit it waits at all channels, or some sender may find nobody.
fn recv(receivers: &[Receiver<Message>], stop: &Receiver<()>, random: &mut Random) -> Option<Message> {
    loop {
        let [a, b, c] = [(); 3].map(|()| &receivers[random.below(receivers.len())]);
        let timeout = Duration::from_micros(random.below(100) as u64);
        let received = match random.below(5) {
            0 => {
                let mut select = Select::new();
                for receiver in receivers {
                    select.recv(receiver);
                }
                let stopped = select.recv(stop);
                let operation = select.select();
                match operation.index() {
                    index if index == stopped => {
                        operation.recv(stop).unwrap_err();
                        return None;
                    }
                    index => operation.recv(&receivers[index]).ok(),
                }
            }
            1 => select! {
                recv(receivers[0]) -> message => message.ok(),
                recv(receivers[1]) -> message => message.ok(),
                recv(receivers[2]) -> message => message.ok(),
                recv(receivers[3]) -> message => message.ok(),
                recv(receivers[4]) -> message => message.ok(),
                recv(stop) -> _ => return None,
            },
            2 => select! {
                recv(a) -> message => message.ok(),
                recv(a) -> message => message.ok(),
                recv(c) -> message => message.ok(),
                default(timeout) => None,
            },
            3 => {
                select! { recv(b) -> message => message.ok(), recv(stop) -> _ => return None, default => None }
            }
            _ => a.recv_timeout(timeout).ok(),
        };
        if received.is_some() {
            return received;
        }
    }
}

#[test]
fn random_selects_over_random_channels_lose_nothing_and_double_nothing() {
    const SENDERS: usize = 4;
    everywhere(|| {
        let rounds = stress(100);
        let drops = Drops::new();
        let channels = Channels::new();
        let received: Arc<Vec<AtomicUsize>> =
            Arc::new((0..SENDERS * rounds).map(|_| AtomicUsize::new(0)).collect());
        let (stop, stopped) = bounded(0);
        let receiving: Vec<_> = (0..SENDERS)
            .map(|i| {
                let (receivers, stopped) = (channels.receivers.clone(), stopped.clone());
                let received = Arc::clone(&received);
                spawn_either(i, move || {
                    let mut random = Random(0x9e37_79b9 ^ i as u32);
                    while let Some(message) = recv(&receivers, &stopped, &mut random) {
                        received[message.number].fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        let sending: Vec<_> = (0..SENDERS)
            .map(|i| {
                let (senders, drops) = (channels.senders.clone(), drops.clone());
                spawn_either(i / 2, move || {
                    let mut random = Random(0xdead_beef ^ i as u32);
                    for number in i * rounds..(i + 1) * rounds {
                        send(&senders, Message { number, _token: drops.token() }, &mut random);
                    }
                })
            })
            .collect();
        sending.into_iter().for_each(crate::common::Either::join);
        drop(stop);
        receiving.into_iter().for_each(crate::common::Either::join);
        // What was in a buffer when all stopped.
        for receiver in &channels.receivers {
            for message in receiver.try_iter() {
                received[message.number].fetch_add(1, SeqCst);
            }
        }
        assert!(received.iter().all(|times| times.load(SeqCst) == 1));
        assert_eq!(drops.count(), SENDERS * rounds);
    });
}

#[test]
fn the_messages_of_each_sender_arrive_in_order() {
    everywhere(|| {
        let rounds = stress(200);
        for capacity in CAPACITIES {
            let (s1, r1) = capacity.map_or_else(unbounded, bounded);
            let (s2, r2) = bounded(1);
            let other = spawn_either(0, move || {
                for i in 0..rounds {
                    select! {
                        send(s1, i) -> result => result.unwrap(),
                        send(s2, i) -> result => result.unwrap(),
                    }
                }
                // The end of a channel would be selected too.
                (s1, s2)
            });
            let mut last = [None; 2];
            for _ in 0..rounds {
                let (from, message) = select! {
                    recv(r1) -> message => (0, message.unwrap()),
                    recv(r2) -> message => (1, message.unwrap()),
                };
                assert!(last[from] < Some(message));
                last[from] = Some(message);
            }
            other.join();
        }
    });
}

/// Go's `doubleselect`: one sends to several that select it together, and each message has to arrive once.
#[test]
fn of_a_channel_that_is_in_a_select_several_times_each_message_arrives_once() {
    everywhere(|| {
        let rounds = stress(300);
        let (sender, receiver) = bounded(0);
        let (forward, arrived) = unbounded();
        let sending = spawn_either(0, move || {
            for i in 0..rounds {
                select! {
                    send(sender, i) -> result => result.unwrap(),
                    send(sender, i) -> result => result.unwrap(),
                    send(sender, i) -> result => result.unwrap(),
                }
            }
        });
        let receiving: Vec<_> = (0..3)
            .map(|i| {
                let (receiver, forward) = (receiver.clone(), forward.clone());
                spawn_either(i, move || {
                    loop {
                        let message = select! {
                            recv(receiver) -> message => message,
                            recv(receiver) -> message => message,
                            recv(receiver) -> message => message,
                        };
                        let Ok(message) = message else { break };
                        forward.send(message).unwrap();
                    }
                })
            })
            .collect();
        drop(forward);
        sending.join();
        let mut all: Vec<_> = arrived.iter().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..rounds));
        receiving.into_iter().for_each(crate::common::Either::join);
    });
}

/// Go's `selectfuzz` in short: everybody sends and receives at once, so that selects meet selects.
#[test]
fn selects_that_only_meet_selects_all_meet() {
    everywhere(|| {
        let rounds = stress(100);
        let channels: Vec<_> = (0..3).map(|_| bounded(0)).collect();
        let (sent, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let group = WaitGroup::new();
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let (channels, group) = (channels.clone(), group.clone());
                let (sent, received) = (Arc::clone(&sent), Arc::clone(&received));
                spawn_either(i, move || {
                    let mut random = Random(1 + i as u32);
                    group.wait();
                    // An even number in all: each exchange takes two.
                    for _ in 0..rounds {
                        let [a, b] = [(); 2].map(|()| &channels[random.below(3)]);
                        let c = &channels[0];
                        select! {
                            send(a.0, 1) -> result => { sent.fetch_add(1, SeqCst); result.unwrap() }
                            send(c.0, 1) -> result => { sent.fetch_add(1, SeqCst); result.unwrap() }
                            recv(b.1) -> message => { received.fetch_add(message.unwrap(), SeqCst); }
                            recv(c.1) -> message => { received.fetch_add(message.unwrap(), SeqCst); }
                            // The last ones may find nobody.
                            default(Duration::from_millis(1)) => {}
                        }
                    }
                })
            })
            .collect();
        drop(group);
        threads.into_iter().for_each(crate::common::Either::join);
        assert_eq!(sent.load(SeqCst), received.load(SeqCst));
        assert!(sent.load(SeqCst) > 0);
    });
}

#[test]
fn a_select_against_close_timeout_and_notification_ends_each_time() {
    everywhere(|| {
        for i in 0..stress(100) {
            let (sender, receiver) = bounded::<usize>(i % 2);
            let notify = Arc::new(Notify::new());
            let theirs = Arc::clone(&notify);
            let others = [
                spawn_either(i, move || {
                    // The receiver may be gone.
                    let _ = sender.send(i);
                }),
                spawn_either(i / 2, move || theirs.notify_one()),
            ];
            let (mut messages, mut notifications) = (0, 0);
            for timeout in [0, 1, 10, 100, 1_000] {
                select! {
                    recv(receiver) -> message => messages += usize::from(message.is_ok()),
                    notified(notify) => notifications += 1,
                    default(Duration::from_micros(timeout)) => {}
                }
            }
            messages += receiver.iter().count();
            others.into_iter().for_each(crate::common::Either::join);
            notifications += usize::from(notify.wait_timeout(Duration::ZERO));
            assert_eq!((messages, notifications), (1, 1));
        }
    });
}

#[test]
fn handles_are_joined_as_their_green_threads_end() {
    each_run(|| {
        for _ in 0..stress(20) {
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..10).map(|_| bounded(1)).unzip();
            let mut handles: Vec<_> = receivers
                .into_iter()
                .map(|receiver| thread::spawn(move || receiver.recv().unwrap()))
                .collect();
            let other = thread::spawn(move || {
                for (i, sender) in senders.iter().enumerate() {
                    sender.send(i).unwrap();
                    if i % 3 == 0 {
                        thread::yield_now();
                    }
                }
            });
            let mut sum = 0;
            while !handles.is_empty() {
                let mut select = Select::new();
                for handle in &handles {
                    select.join(handle);
                }
                let index = match select.ready_timeout(Duration::from_micros(10)) {
                    Ok(index) => index,
                    Err(_) => select.ready(),
                };
                sum += handles.swap_remove(index).join().unwrap();
            }
            assert_eq!(sum, 45);
            select! {
                join(other) -> result => result.unwrap(),
                recv(never::<()>()) -> _ => unreachable!(),
            }
        }
    });
}

#[test]
fn runtimes_that_end_in_the_middle_lose_nothing() {
    each_config(|config| {
        for round in 0..stress(10) {
            let drops = Drops::new();
            let channels = Channels::new();
            let made = Arc::new(AtomicUsize::new(0));
            let (stop, stopped) = bounded::<()>(0);
            let outside: Vec<_> = (0..2)
                .map(|i| {
                    let (receivers, stopped) = (channels.receivers.clone(), stopped.clone());
                    std::thread::spawn(move || {
                        let mut random = Random(1 + i);
                        std::iter::from_fn(|| recv(&receivers, &stopped, &mut random)).count()
                    })
                })
                .collect();
            let runtime = config.build();
            for i in 0..8_u32 {
                let (senders, drops, made) = (channels.senders.clone(), drops.clone(), Arc::clone(&made));
                let receivers = channels.receivers.clone();
                drop(runtime.handle().spawn(move || {
                    let mut random = Random(round as u32 * 8 + i + 1);
                    loop {
                        if i % 2 == 0 {
                            let number = made.fetch_add(1, SeqCst);
                            send(&senders, Message { number, _token: drops.token() }, &mut random);
                        } else {
                            drop(recv(&receivers, &never(), &mut random));
                        }
                    }
                }));
            }
            while made.load(SeqCst) < 100 {
                std::thread::yield_now();
            }
            drop(runtime);
            drop(stop);
            for thread in outside {
                thread.join().unwrap();
            }
            drop(channels);
            assert_eq!(drops.count(), made.load(SeqCst));
        }
    });
}
