//! The channel and the semaphore against plain models: any sequence of operations by one thread, and histories of many threads.
//!
//! A history is the operations of all threads with the moments, on one clock, at which each began and ended. It is linearizable if each
//! operation can be given a moment in between at which it happens at once.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Instant,
};

use crate::common::{each_config, each_mode, spawn_either, stress};
use proptest::prelude::*;
use sward_sync::{
    Semaphore, TryAcquireError,
    channel::{self, Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError},
};

/// An operation on a channel that does not wait.
#[derive(Clone, Copy, Debug)]
enum ChannelOp {
    TrySend,
    SendUntilNow,
    TryRecv,
    RecvUntilNow,
    CloneSender,
    DropSender,
    CloneReceiver,
    DropReceiver,
}

fn channel_op() -> impl Strategy<Value = ChannelOp> {
    use ChannelOp::*;
    // Handles come and go rarely, so that the channel stays open for a while.
    prop_oneof![
        8 => Just(TrySend),
        4 => Just(SendUntilNow),
        8 => Just(TryRecv),
        4 => Just(RecvUntilNow),
        1 => Just(CloneSender),
        1 => Just(DropSender),
        1 => Just(CloneReceiver),
        1 => Just(DropReceiver),
    ]
}

/// A channel and what it should be.
struct Channels {
    senders: Vec<Sender<u64>>,
    receivers: Vec<Receiver<u64>>,
    queue: VecDeque<u64>,
    capacity: usize,
    next: u64,
}

impl Channels {
    fn new(capacity: Option<usize>) -> Self {
        let (sender, receiver) = capacity.map_or_else(channel::unbounded, channel::bounded);
        assert_eq!(sender.capacity(), capacity);
        Self {
            senders: vec![sender],
            receivers: vec![receiver],
            queue: VecDeque::new(),
            capacity: capacity.unwrap_or(usize::MAX),
            next: 0,
        }
    }

    fn run(&mut self, op: ChannelOp) {
        match op {
            ChannelOp::TrySend | ChannelOp::SendUntilNow => self.send(op),
            ChannelOp::TryRecv | ChannelOp::RecvUntilNow => self.recv(op),
            ChannelOp::CloneSender => self.senders.extend(self.senders.first().cloned()),
            ChannelOp::DropSender => drop(self.senders.pop()),
            ChannelOp::CloneReceiver => self.receivers.extend(self.receivers.first().cloned()),
            ChannelOp::DropReceiver => {
                self.receivers.pop();
                if self.receivers.is_empty() {
                    self.queue.clear();
                }
            }
        }
        if let Some(sender) = self.senders.last() {
            assert_eq!(sender.len(), self.queue.len());
            assert_eq!(sender.is_empty(), self.queue.is_empty());
        }
        if let Some(receiver) = self.receivers.last() {
            assert_eq!(receiver.len(), self.queue.len());
            assert_eq!(receiver.is_full(), self.queue.len() == self.capacity);
        }
    }

    fn send(&mut self, op: ChannelOp) {
        let Some(sender) = self.senders.last() else { return };
        let message = self.next;
        self.next += 1;
        let sent = match op {
            ChannelOp::TrySend => sender.try_send(message),
            _ => sender.send_deadline(message, Instant::now()).map_err(|error| match error {
                SendTimeoutError::Timeout(message) => TrySendError::Full(message),
                SendTimeoutError::Disconnected(message) => TrySendError::Disconnected(message),
            }),
        };
        let expected = if self.receivers.is_empty() {
            Err(TrySendError::Disconnected(message))
        } else if self.queue.len() == self.capacity {
            Err(TrySendError::Full(message))
        } else {
            self.queue.push_back(message);
            Ok(())
        };
        assert_eq!(sent, expected);
    }

    fn recv(&mut self, op: ChannelOp) {
        let Some(receiver) = self.receivers.last() else { return };
        let received = match op {
            ChannelOp::TryRecv => receiver.try_recv(),
            _ => receiver.recv_deadline(Instant::now()).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            }),
        };
        let none = if self.senders.is_empty() { TryRecvError::Disconnected } else { TryRecvError::Empty };
        assert_eq!(received, self.queue.pop_front().ok_or(none));
    }
}

/// An operation on a semaphore that does not wait.
#[derive(Clone, Copy, Debug)]
enum SemaphoreOp {
    Acquire(u32),
    Release,
    Add(usize),
    Forget(usize),
    Close,
}

fn semaphore_op() -> impl Strategy<Value = SemaphoreOp> {
    prop_oneof![
        8 => (0..4_u32).prop_map(SemaphoreOp::Acquire),
        8 => Just(SemaphoreOp::Release),
        2 => (0..3_usize).prop_map(SemaphoreOp::Add),
        2 => (0..3_usize).prop_map(SemaphoreOp::Forget),
        1 => Just(SemaphoreOp::Close),
    ]
}

fn run_semaphore(permits: usize, ops: &[SemaphoreOp]) {
    let semaphore = Semaphore::new(permits);
    let (mut left, mut closed, mut held) = (permits, false, Vec::new());
    for &op in ops {
        match op {
            SemaphoreOp::Acquire(n) => {
                let expected = if closed {
                    Err(TryAcquireError::Closed)
                } else if (n as usize) > left {
                    Err(TryAcquireError::NoPermits)
                } else {
                    Ok(())
                };
                let permit = semaphore.try_acquire_many(n);
                assert_eq!(permit.as_ref().map(drop).map_err(|error| *error), expected);
                if let Ok(permit) = permit {
                    left -= n as usize;
                    held.push((permit, n));
                }
            }
            SemaphoreOp::Release => {
                left += held.pop().map_or(0, |(permit, n)| {
                    drop(permit);
                    n as usize
                });
            }
            SemaphoreOp::Add(n) => {
                semaphore.add_permits(n);
                left += n;
            }
            SemaphoreOp::Forget(n) => {
                let forgotten = semaphore.forget_permits(n);
                assert_eq!(forgotten, n.min(left));
                left -= forgotten;
            }
            SemaphoreOp::Close => {
                semaphore.close();
                closed = true;
            }
        }
        assert_eq!((semaphore.available_permits(), semaphore.is_closed()), (left, closed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_channel_is_a_queue(
        capacity in prop_oneof![Just(None), (0..5_usize).prop_map(Some)],
        ops in prop::collection::vec(channel_op(), 0..200),
    ) {
        let mut channels = Channels::new(capacity);
        for op in ops {
            channels.run(op);
        }
    }

    #[test]
    fn a_semaphore_is_a_number(permits in 0..6_usize, ops in prop::collection::vec(semaphore_op(), 0..200)) {
        run_semaphore(permits, &ops);
    }
}

#[test]
fn the_same_holds_on_a_green_thread() {
    each_mode(1, |config| {
        config.build().run(|| {
            let mut runner = proptest::test_runner::TestRunner::deterministic();
            let cases = (
                0..5_usize,
                prop::collection::vec(channel_op(), 0..200),
                prop::collection::vec(semaphore_op(), 0..200),
            );
            runner
                .run(&cases, |(size, channel_ops, semaphore_ops)| {
                    let mut channels = Channels::new(Some(size));
                    channel_ops.into_iter().for_each(|op| channels.run(op));
                    run_semaphore(size, &semaphore_ops);
                    Ok(())
                })
                .unwrap();
        });
    });
}

/// The clock of a history.
#[derive(Debug, Default)]
struct Clock(AtomicU64);

impl Clock {
    fn now(&self) -> u64 {
        self.0.fetch_add(1, SeqCst)
    }
}

/// When an operation began and ended.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: u64,
    end: u64,
}

/// What happened to a queue.
#[derive(Debug, Default)]
struct History {
    /// By message.
    sent: Vec<Option<Span>>,
    received: Vec<Option<Span>>,
    /// Receivings that found nothing.
    empty: Vec<Span>,
}

impl History {
    /// Whether each receiving can be explained. The four ways in which a queue can be wrong are those of Henzinger, Sezgin and Vafeiadis,
    /// "Aspect-oriented linearizability proofs" (CONCUR 2013): a message that nobody sent, one that is received twice (seen when the
    /// history is made), two in the wrong order, and "empty" while it was not.
    fn check(&self) {
        let mut both: Vec<(Span, Span)> = Vec::new();
        for (sent, received) in self.sent.iter().zip(&self.received) {
            let (sent, received) = (sent.expect("all are sent"), received.expect("all are received"));
            assert!(received.end > sent.begin, "received before it was sent");
            both.push((sent, received));
        }
        both.sort_by_key(|(sent, _)| sent.begin);
        self.check_order(&both);
        self.check_empty(&both);
    }

    /// If one is sent wholly before the other, it is not received wholly after it.
    fn check_order(&self, both: &[(Span, Span)]) {
        // By the beginning of the sending: those that ended before it are the earlier ones; of them the latest begin of a receiving counts.
        let mut by_end = both.to_vec();
        by_end.sort_by_key(|(sent, _)| sent.end);
        let (mut earlier, mut latest) = (by_end.iter().peekable(), 0);
        for (sent, received) in both {
            while let Some((_, before)) = earlier.next_if(|(before, _)| before.end < sent.begin) {
                latest = latest.max(before.begin);
            }
            assert!(received.end > latest, "an older message was received after a newer one");
        }
    }

    /// While "empty" was found, there was a moment at which no message was certainly in the queue.
    fn check_empty(&self, both: &[(Span, Span)]) {
        let mut certain: Vec<Span> = both
            .iter()
            .filter(|(sent, received)| sent.end < received.begin)
            .map(|(sent, received)| Span { begin: sent.end, end: received.begin })
            .collect();
        certain.sort_by_key(|span| span.begin);
        for empty in &self.empty {
            let mut covered = empty.begin;
            for span in &certain {
                if span.begin <= covered {
                    covered = covered.max(span.end);
                }
            }
            assert!(covered <= empty.end, "found empty while it was not: {empty:?}");
        }
    }
}

/// Has `producers` and `consumers`, green and OS threads, use a channel, and checks what they saw.
fn check_channel(capacity: Option<usize>, producers: usize, consumers: usize, each: usize) {
    let (sender, receiver) = capacity.map_or_else(channel::unbounded, channel::bounded);
    let messages = producers * each;
    let clock = Arc::new(Clock::default());
    let history = Arc::new(Mutex::new(History {
        sent: vec![None; messages],
        received: vec![None; messages],
        empty: Vec::new(),
    }));
    let mut threads = Vec::new();
    for producer in 0..producers {
        let (sender, clock, history) = (sender.clone(), Arc::clone(&clock), Arc::clone(&history));
        threads.push(spawn_either(producer, move || {
            let spans: Vec<_> = (producer * each..(producer + 1) * each)
                .map(|message| {
                    let begin = clock.now();
                    sender.send(message).unwrap();
                    (message, Span { begin, end: clock.now() })
                })
                .collect();
            let mut history = history.lock().unwrap();
            spans.into_iter().for_each(|(message, span)| history.sent[message] = Some(span));
        }));
    }
    drop(sender);
    for consumer in 0..consumers {
        let (receiver, clock, history) = (receiver.clone(), Arc::clone(&clock), Arc::clone(&history));
        threads.push(spawn_either(consumer, move || {
            let (mut spans, mut empty) = (Vec::new(), Vec::new());
            for turn in 0_usize.. {
                let begin = clock.now();
                // Now and then without waiting, which may find nothing.
                let received = if turn.is_multiple_of(3) {
                    receiver.try_recv()
                } else {
                    receiver.recv().map_err(|_| TryRecvError::Disconnected)
                };
                let span = Span { begin, end: clock.now() };
                match received {
                    Ok(message) => spans.push((message, span)),
                    Err(TryRecvError::Empty) => empty.push(span),
                    Err(TryRecvError::Disconnected) => break,
                }
            }
            let mut history = history.lock().unwrap();
            history.empty.extend(empty);
            for (message, span) in spans {
                assert!(
                    history.received[message].replace(span).is_none(),
                    "message {message} was received twice"
                );
            }
        }));
    }
    threads.into_iter().for_each(crate::common::Either::join);
    history.lock().unwrap().check();
}

#[test]
fn histories_of_channels_are_linearizable() {
    each_config(|config| {
        config.build().run(|| {
            for _ in 0..stress(3) {
                for capacity in [Some(1), Some(7), None] {
                    check_channel(capacity, 3, 3, 60);
                }
            }
        });
    });
}

#[test]
fn without_a_buffer_every_message_is_received_once() {
    each_config(|config| config.build().run(|| check_channel(Some(0), 3, 3, stress(60))));
}

#[test]
#[should_panic(expected = "an older message was received after a newer one")]
fn the_check_sees_a_wrong_order() {
    let span = |begin, end| Some(Span { begin, end });
    let history = History {
        sent: vec![span(0, 1), span(2, 3)],
        received: vec![span(6, 7), span(4, 5)],
        empty: Vec::new(),
    };
    history.check();
}

#[test]
#[should_panic(expected = "found empty while it was not")]
fn the_check_sees_a_wrong_empty() {
    let span = |begin, end| Span { begin, end };
    // Two messages, one after the other, cover the time in which nothing was found.
    let history = History {
        sent: vec![Some(span(0, 1)), Some(span(2, 4))],
        received: vec![Some(span(6, 9)), Some(span(8, 11))],
        empty: vec![span(3, 7)],
    };
    history.check();
}

/// Has eight threads take and return permits, some of them several at once, and checks that there are never too many.
fn check_semaphore(permits: usize, each: usize) {
    let semaphore = Arc::new(Semaphore::new(permits));
    let clock = Arc::new(Clock::default());
    let threads: Vec<_> = (0..8_usize)
        .map(|n| {
            let (semaphore, clock) = (Arc::clone(&semaphore), Arc::clone(&clock));
            spawn_either(n, move || {
                let mut held = Vec::new();
                for turn in 0..each {
                    let many = 1 + (n + turn) % permits;
                    let permit = if turn.is_multiple_of(4) {
                        semaphore.try_acquire_many(many as u32).ok()
                    } else {
                        semaphore.acquire_many(many as u32).ok()
                    };
                    if let Some(permit) = permit {
                        let begin = clock.now();
                        if turn.is_multiple_of(2) {
                            sward_runtime::thread::yield_now();
                        }
                        held.push((Span { begin, end: clock.now() }, many));
                        drop(permit);
                    }
                }
                held
            })
        })
        .collect();
    let mut changes = Vec::new();
    for (span, many) in threads.into_iter().flat_map(crate::common::Either::join) {
        let many = i64::try_from(many).expect("a few");
        changes.extend([(span.begin, many), (span.end, -many)]);
    }
    changes.sort_unstable();
    let held = changes.iter().scan(0, |held, (_, change)| {
        *held += change;
        Some(*held)
    });
    let most = held.max().unwrap_or(0);
    assert!(most <= i64::try_from(permits).expect("a few"), "{most} of {permits} permits were held at once");
    assert_eq!(semaphore.available_permits(), permits);
}

#[test]
fn there_are_never_more_permits_held_than_there_are() {
    each_config(|config| {
        config.build().run(|| {
            for permits in [1, 3, 5] {
                check_semaphore(permits, stress(60));
            }
        });
    });
}
