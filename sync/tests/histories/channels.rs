//! Channels of all kinds, two at a time: sent, received, selected, with and without waiting, while either end may go.

use std::collections::VecDeque;

use super::{Log, Model, PATIENCE, Part, check};
use crate::common::channel;
use proptest::{collection::vec, prelude::*};
use sward_sync::channel::{
    Receiver, RecvTimeoutError, Select, SendTimeoutError, Sender, TryRecvError, TrySendError,
};

/// What a thread does with one of the channels; of [`Select`](Op::Select) with both.
#[derive(Clone, Copy, Debug)]
enum Op {
    TrySend(usize),
    Send(usize),
    TryRecv(usize),
    Recv(usize),
    Select,
    DropSender(usize),
    DropReceiver(usize),
}

/// What came of it, and at which channel.
#[derive(Debug)]
enum Event {
    Sent(usize, u32),
    Full(usize),
    NobodyReceives(usize),
    Received(usize, u32),
    Empty(usize),
    NobodySends(usize),
    SenderGone(usize),
    ReceiverGone(usize),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Queue {
    capacity: Option<usize>,
    messages: VecDeque<u32>,
    senders: usize,
    receivers: usize,
}

impl Queue {
    /// Whether a message is on its way where there is no buffer: to send and to receive it is one moment.
    fn is_in_transit(&self) -> bool {
        self.capacity == Some(0) && !self.messages.is_empty()
    }

    fn is_full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.messages.len() >= capacity)
    }
}

impl Model for Vec<Queue> {
    type Event = Event;

    fn after(&self, event: &Event) -> Option<Self> {
        let mut after = self.clone();
        let transit = self.iter().position(Queue::is_in_transit);
        let possible = match *event {
            Event::Received(at, message) => {
                transit.is_none_or(|transit| transit == at) && after[at].messages.pop_front() == Some(message)
            }
            _ if transit.is_some() => false,
            Event::Sent(at, message) => {
                let queue = &mut after[at];
                let room = queue.capacity == Some(0) || !queue.is_full();
                queue.messages.push_back(message);
                room && queue.receivers > 0
            }
            Event::Full(at) => self[at].is_full() && self[at].receivers > 0,
            Event::NobodyReceives(at) => self[at].receivers == 0,
            Event::Empty(at) => self[at].messages.is_empty() && self[at].senders > 0,
            Event::NobodySends(at) => self[at].messages.is_empty() && self[at].senders == 0,
            Event::SenderGone(at) => {
                after[at].senders -= 1;
                true
            }
            Event::ReceiverGone(at) => {
                after[at].receivers -= 1;
                if after[at].receivers == 0 {
                    after[at].messages.clear();
                }
                true
            }
        };
        possible.then_some(after)
    }
}

/// One thread.
struct Player {
    ops: Vec<Op>,
    senders: [Option<Sender<u32>>; 2],
    receivers: [Option<Receiver<u32>>; 2],
    /// That of its next message.
    number: u32,
}

impl Part for Player {
    type Event = Event;

    fn play(&mut self, log: &mut Log<Event>) {
        for op in std::mem::take(&mut self.ops) {
            log.note(|| self.run(op));
        }
    }
}

impl Player {
    fn run(&mut self, op: Op) -> Vec<Event> {
        match op {
            Op::TrySend(to) | Op::Send(to) => self.send(op, to).into_iter().collect(),
            Op::TryRecv(from) | Op::Recv(from) => self.recv(op, from).into_iter().collect(),
            Op::Select => self.select(),
            Op::DropSender(of) => {
                self.senders[of].take().map(|_| Event::SenderGone(of)).into_iter().collect()
            }
            Op::DropReceiver(of) => {
                self.receivers[of].take().map(|_| Event::ReceiverGone(of)).into_iter().collect()
            }
        }
    }

    fn send(&mut self, op: Op, to: usize) -> Option<Event> {
        let sender = self.senders[to].as_ref()?;
        let message = self.number;
        self.number += 1;
        let sent = match op {
            Op::TrySend(_) => sender.try_send(message),
            _ => sender.send_timeout(message, PATIENCE).map_err(|error| match error {
                SendTimeoutError::Timeout(message) => TrySendError::Full(message),
                SendTimeoutError::Disconnected(message) => TrySendError::Disconnected(message),
            }),
        };
        if let Err(error) = sent {
            assert_eq!(error.into_inner(), message, "another message is given back");
        }
        Some(match sent {
            Ok(()) => Event::Sent(to, message),
            Err(TrySendError::Full(_)) => Event::Full(to),
            Err(TrySendError::Disconnected(_)) => Event::NobodyReceives(to),
        })
    }

    fn recv(&self, op: Op, from: usize) -> Option<Event> {
        let receiver = self.receivers[from].as_ref()?;
        let received = match op {
            Op::TryRecv(_) => receiver.try_recv(),
            _ => receiver.recv_timeout(PATIENCE).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            }),
        };
        Some(match received {
            Ok(message) => Event::Received(from, message),
            Err(TryRecvError::Empty) => Event::Empty(from),
            Err(TryRecvError::Disconnected) => Event::NobodySends(from),
        })
    }

    fn select(&self) -> Vec<Event> {
        let mut select = Select::new();
        let arms: Vec<_> = (0..2).filter_map(|at| Some((at, self.receivers[at].as_ref()?))).collect();
        if arms.is_empty() {
            return Vec::new();
        }
        for (_, receiver) in &arms {
            select.recv(receiver);
        }
        match select.select_timeout(PATIENCE) {
            Ok(operation) => {
                let (at, receiver) = arms[operation.index()];
                let received = operation.recv(receiver);
                vec![received.map_or(Event::NobodySends(at), |message| Event::Received(at, message))]
            }
            // Both were empty, but not at one moment: it looks at one after the other.
            Err(_) => arms.into_iter().map(|(at, _)| Event::Empty(at)).collect(),
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..2_usize).prop_map(Op::TrySend),
        4 => (0..2_usize).prop_map(Op::Send),
        4 => (0..2_usize).prop_map(Op::TryRecv),
        4 => (0..2_usize).prop_map(Op::Recv),
        4 => Just(Op::Select),
        1 => (0..2_usize).prop_map(Op::DropSender),
        1 => (0..2_usize).prop_map(Op::DropReceiver),
    ]
}

/// Of one thread: of which channels it has a sender, of which a receiver, and what it does.
type Thread = ([bool; 2], [bool; 2], Vec<Op>);

/// The capacities, and the threads.
type Case = ([Option<usize>; 2], Vec<Thread>);

fn case() -> impl Strategy<Value = Case> {
    let capacity = || prop_oneof![Just(Some(0)), Just(Some(1)), Just(Some(2)), Just(None)];
    let thread = (any::<[bool; 2]>(), any::<[bool; 2]>(), vec(op(), 1..6));
    ([capacity(), capacity()], vec(thread, 1..4))
}

fn set_up((capacities, threads): &Case) -> (Vec<Queue>, Vec<Player>) {
    let channels = capacities.map(channel);
    let count = |has: &dyn Fn(&Thread) -> bool| threads.iter().filter(|thread| has(thread)).count();
    let queue = |at: usize| Queue {
        capacity: capacities[at],
        messages: VecDeque::new(),
        senders: count(&|thread| thread.0[at]),
        receivers: count(&|thread| thread.1[at]),
    };
    let player = |(number, (senders, receivers, ops)): (u32, &Thread)| Player {
        ops: ops.clone(),
        senders: [0, 1].map(|at| senders[at].then(|| channels[at].0.clone())),
        receivers: [0, 1].map(|at| receivers[at].then(|| channels[at].1.clone())),
        number: number * 100,
    };
    (vec![queue(0), queue(1)], (0..).zip(threads).map(player).collect())
}

#[test]
fn what_threads_see_of_channels_is_what_one_could_have_seen() {
    check(&case(), set_up);
}
