//! Values for all, for the latest comer, for one: `broadcast`, `watch` and `oneshot`.

use std::collections::VecDeque;

use super::{Log, Model, PATIENCE, Part, check};
use proptest::{collection::vec, prelude::*};
use sward_sync::{broadcast, oneshot, watch};

/// What a thread does with its sender or its receiver, for each of the three as far as it has it.
#[derive(Clone, Copy, Debug)]
enum Op {
    Send,
    Replace,
    TryRecv,
    Recv,
    Close,
    DropSender,
    DropReceiver,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Send),
        2 => Just(Op::Replace),
        6 => Just(Op::TryRecv),
        6 => Just(Op::Recv),
        1 => Just(Op::Close),
        1 => Just(Op::DropSender),
        1 => Just(Op::DropReceiver),
    ]
}

/// Of one thread: whether it has a sender, and a receiver, and what it does.
type Thread = (bool, bool, Vec<Op>);

fn threads() -> impl Strategy<Value = Vec<Thread>> {
    vec((any::<bool>(), any::<bool>(), vec(op(), 1..8)), 1..4)
}

fn count(threads: &[Thread], has: impl Fn(&Thread) -> bool) -> usize {
    threads.iter().filter(|thread| has(thread)).count()
}

#[derive(Debug)]
enum BroadcastEvent {
    Sent { value: u32, receivers: usize },
    NobodyReceives,
    Received { by: usize, value: u32 },
    Lagged { by: usize, missed: u64 },
    Empty { by: usize },
    NobodySends { by: usize },
    SenderGone,
    ReceiverGone,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Broadcast {
    capacity: usize,
    /// The latest, as many as there is room for.
    values: VecDeque<u32>,
    /// How many there were.
    sent: u64,
    /// How many of them each thread has received or missed.
    seen: Vec<u64>,
    senders: usize,
    receivers: usize,
}

impl Broadcast {
    /// The number of the oldest value that is kept.
    fn oldest(&self) -> u64 {
        self.sent - self.values.len() as u64
    }
}

impl Model for Broadcast {
    type Event = BroadcastEvent;

    fn after(&self, event: &BroadcastEvent) -> Option<Self> {
        let mut after = self.clone();
        let possible = match *event {
            BroadcastEvent::Sent { value, receivers } => {
                after.values.push_back(value);
                after.sent += 1;
                if after.values.len() > self.capacity {
                    after.values.pop_front();
                }
                receivers == self.receivers && receivers > 0
            }
            BroadcastEvent::NobodyReceives => self.receivers == 0,
            BroadcastEvent::Received { by, value } => {
                let next = self.seen[by].checked_sub(self.oldest());
                after.seen[by] += 1;
                next.is_some_and(|next| self.values.get(next as usize) == Some(&value))
            }
            BroadcastEvent::Lagged { by, missed } => {
                after.seen[by] += missed;
                missed > 0 && after.seen[by] == self.oldest()
            }
            BroadcastEvent::Empty { by } => self.seen[by] == self.sent && self.senders > 0,
            BroadcastEvent::NobodySends { by } => self.seen[by] == self.sent && self.senders == 0,
            BroadcastEvent::SenderGone => {
                after.senders -= 1;
                true
            }
            BroadcastEvent::ReceiverGone => {
                after.receivers -= 1;
                true
            }
        };
        possible.then_some(after)
    }
}

struct BroadcastPlayer {
    by: usize,
    ops: Vec<Op>,
    sender: Option<broadcast::Sender<u32>>,
    receiver: Option<broadcast::Receiver<u32>>,
    /// The next one to send.
    value: u32,
}

impl Part for BroadcastPlayer {
    type Event = BroadcastEvent;

    fn play(&mut self, log: &mut Log<BroadcastEvent>) {
        for op in std::mem::take(&mut self.ops) {
            log.note(|| self.run(op));
        }
    }
}

impl BroadcastPlayer {
    fn run(&mut self, op: Op) -> Option<BroadcastEvent> {
        match op {
            Op::Send | Op::Replace => {
                self.value += 1;
                Some(match self.sender.as_ref()?.send(self.value) {
                    Ok(receivers) => BroadcastEvent::Sent { value: self.value, receivers },
                    Err(broadcast::error::SendError(value)) => {
                        assert_eq!(value, self.value, "another value is given back");
                        BroadcastEvent::NobodyReceives
                    }
                })
            }
            Op::TryRecv | Op::Recv => self.recv(op),
            Op::Close => None,
            Op::DropSender => self.sender.take().map(|_| BroadcastEvent::SenderGone),
            Op::DropReceiver => self.receiver.take().map(|_| BroadcastEvent::ReceiverGone),
        }
    }

    fn recv(&mut self, op: Op) -> Option<BroadcastEvent> {
        use broadcast::error::{RecvTimeoutError, TryRecvError};
        let (by, receiver) = (self.by, self.receiver.as_mut()?);
        let received = match op {
            Op::TryRecv => receiver.try_recv(),
            _ => receiver.recv_timeout(PATIENCE).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Closed => TryRecvError::Closed,
                RecvTimeoutError::Lagged(missed) => TryRecvError::Lagged(missed),
            }),
        };
        Some(match received {
            Ok(value) => BroadcastEvent::Received { by, value },
            Err(TryRecvError::Lagged(missed)) => BroadcastEvent::Lagged { by, missed },
            Err(TryRecvError::Empty) => BroadcastEvent::Empty { by },
            Err(TryRecvError::Closed) => BroadcastEvent::NobodySends { by },
        })
    }
}

fn set_up_broadcast((capacity, threads): &(usize, Vec<Thread>)) -> (Broadcast, Vec<BroadcastPlayer>) {
    let (sender, receiver) = broadcast::channel(*capacity);
    let start = Broadcast {
        capacity: *capacity,
        values: VecDeque::new(),
        sent: 0,
        seen: vec![0; threads.len()],
        senders: count(threads, |thread| thread.0),
        receivers: count(threads, |thread| thread.1),
    };
    let player = |(by, (sends, receives, ops)): (usize, &Thread)| BroadcastPlayer {
        by,
        ops: ops.clone(),
        sender: sends.then(|| sender.clone()),
        receiver: receives.then(|| receiver.resubscribe()),
        value: by as u32 * 100,
    };
    (start, threads.iter().enumerate().map(player).collect())
}

#[test]
fn what_threads_see_of_a_broadcast_is_what_one_could_have_seen() {
    check(&(1..4_usize, threads()), set_up_broadcast);
}

#[derive(Debug)]
enum WatchEvent {
    Set { value: u32 },
    NobodyReceives,
    Replaced { value: u32, old: u32 },
    Saw { by: usize, value: u32 },
    Changed { by: usize },
    Unchanged { by: usize },
    NobodySends { by: usize },
    SenderGone,
    ReceiverGone,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Watch {
    value: u32,
    version: u64,
    /// By each thread.
    seen: Vec<u64>,
    senders: usize,
    receivers: usize,
}

impl Model for Watch {
    type Event = WatchEvent;

    fn after(&self, event: &WatchEvent) -> Option<Self> {
        let mut after = self.clone();
        let possible = match *event {
            WatchEvent::Set { value } => {
                after.value = value;
                after.version += 1;
                // Who is gone by the time of the change was there when it was looked for.
                true
            }
            WatchEvent::NobodyReceives => self.receivers == 0,
            WatchEvent::Replaced { value, old } => {
                after.value = value;
                after.version += 1;
                old == self.value
            }
            WatchEvent::Saw { by, value } => {
                after.seen[by] = self.version;
                value == self.value
            }
            WatchEvent::Changed { by } => {
                after.seen[by] = self.version;
                self.seen[by] != self.version
            }
            WatchEvent::Unchanged { by } => self.seen[by] == self.version && self.senders > 0,
            WatchEvent::NobodySends { by } => self.seen[by] == self.version && self.senders == 0,
            WatchEvent::SenderGone => {
                after.senders -= 1;
                true
            }
            WatchEvent::ReceiverGone => {
                after.receivers -= 1;
                true
            }
        };
        possible.then_some(after)
    }
}

struct WatchPlayer {
    by: usize,
    ops: Vec<Op>,
    sender: Option<watch::Sender<u32>>,
    receiver: Option<watch::Receiver<u32>>,
    /// The next one to send.
    value: u32,
}

impl Part for WatchPlayer {
    type Event = WatchEvent;

    fn play(&mut self, log: &mut Log<WatchEvent>) {
        for op in std::mem::take(&mut self.ops) {
            log.note(|| self.run(op));
        }
    }
}

impl WatchPlayer {
    fn run(&mut self, op: Op) -> Option<WatchEvent> {
        let by = self.by;
        match op {
            Op::Send => {
                self.value += 1;
                let sent = self.sender.as_ref()?.send(self.value);
                Some(sent.map_or(WatchEvent::NobodyReceives, |()| WatchEvent::Set { value: self.value }))
            }
            Op::Replace => {
                self.value += 1;
                let old = self.sender.as_ref()?.send_replace(self.value);
                Some(WatchEvent::Replaced { value: self.value, old })
            }
            Op::TryRecv => {
                let value = *self.receiver.as_mut()?.borrow_and_update();
                Some(WatchEvent::Saw { by, value })
            }
            Op::Recv => Some(match self.receiver.as_mut()?.changed_timeout(PATIENCE) {
                Ok(()) => WatchEvent::Changed { by },
                Err(watch::error::RecvTimeoutError::Timeout) => WatchEvent::Unchanged { by },
                Err(watch::error::RecvTimeoutError::Closed) => WatchEvent::NobodySends { by },
            }),
            Op::Close => None,
            Op::DropSender => self.sender.take().map(|_| WatchEvent::SenderGone),
            Op::DropReceiver => self.receiver.take().map(|_| WatchEvent::ReceiverGone),
        }
    }
}

fn set_up_watch(threads: &[Thread]) -> (Watch, Vec<WatchPlayer>) {
    let (sender, receiver) = watch::channel(0);
    let start = Watch {
        value: 0,
        version: 0,
        seen: vec![0; threads.len()],
        senders: count(threads, |thread| thread.0),
        receivers: count(threads, |thread| thread.1),
    };
    let player = |(by, (sends, receives, ops)): (usize, &Thread)| WatchPlayer {
        by,
        ops: ops.clone(),
        sender: sends.then(|| sender.clone()),
        receiver: receives.then(|| receiver.clone()),
        value: by as u32 * 100,
    };
    (start, threads.iter().enumerate().map(player).collect())
}

#[test]
fn what_threads_see_of_a_watched_value_is_what_one_could_have_seen() {
    check(&threads(), |threads| set_up_watch(threads));
}

#[derive(Debug)]
enum OneshotEvent {
    Sent,
    NotSent,
    Received,
    Empty,
    NobodySends,
    Closed,
    SenderGone,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Oneshot {
    is_there: bool,
    sender: bool,
    open: bool,
}

impl Model for Oneshot {
    type Event = OneshotEvent;

    fn after(&self, event: &OneshotEvent) -> Option<Self> {
        let Self { is_there, sender, open } = *self;
        let (possible, is_there, sender, open) = match event {
            OneshotEvent::Sent => (open, true, false, open),
            OneshotEvent::NotSent => (!open, is_there, false, open),
            OneshotEvent::Received => (is_there, false, sender, open),
            OneshotEvent::Empty => (!is_there && sender && open, is_there, sender, open),
            OneshotEvent::NobodySends => (!(is_there || sender && open), is_there, sender, open),
            OneshotEvent::Closed => (true, is_there, sender, false),
            OneshotEvent::SenderGone => (true, is_there, false, open),
        };
        possible.then_some(Self { is_there, sender, open })
    }
}

/// The first thread has the sender, the other the receiver.
struct OneshotPlayer {
    ops: Vec<Op>,
    sender: Option<oneshot::Sender<u32>>,
    receiver: Option<oneshot::Receiver<u32>>,
}

impl Part for OneshotPlayer {
    type Event = OneshotEvent;

    fn play(&mut self, log: &mut Log<OneshotEvent>) {
        for op in std::mem::take(&mut self.ops) {
            log.note(|| self.run(op));
        }
    }
}

impl OneshotPlayer {
    fn run(&mut self, op: Op) -> Option<OneshotEvent> {
        use oneshot::error::{RecvTimeoutError, TryRecvError};
        let received = match op {
            Op::Send | Op::Replace => {
                let sent = self.sender.take()?.send(7);
                return Some(sent.map_or(OneshotEvent::NotSent, |()| OneshotEvent::Sent));
            }
            Op::DropSender => return self.sender.take().map(|_| OneshotEvent::SenderGone),
            // A receiver that goes closes first.
            Op::DropReceiver => return self.receiver.take().map(|_| OneshotEvent::Closed),
            Op::Close => {
                self.receiver.as_mut()?.close();
                return Some(OneshotEvent::Closed);
            }
            Op::TryRecv => self.receiver.as_mut()?.try_recv(),
            Op::Recv => self.receiver.as_mut()?.recv_timeout(PATIENCE).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Closed => TryRecvError::Closed,
            }),
        };
        Some(match received {
            Ok(value) => {
                assert_eq!(value, 7);
                OneshotEvent::Received
            }
            Err(TryRecvError::Empty) => OneshotEvent::Empty,
            Err(TryRecvError::Closed) => OneshotEvent::NobodySends,
        })
    }
}

fn set_up_oneshot(ops: &[Vec<Op>; 2]) -> (Oneshot, Vec<OneshotPlayer>) {
    let (sender, receiver) = oneshot::channel();
    let [sending, receiving] = ops.clone();
    let sends = OneshotPlayer { ops: sending, sender: Some(sender), receiver: None };
    let receives = OneshotPlayer { ops: receiving, sender: None, receiver: Some(receiver) };
    (Oneshot { is_there: false, sender: true, open: true }, vec![sends, receives])
}

#[test]
fn what_threads_see_of_a_oneshot_is_what_one_could_have_seen() {
    check(&[vec(op(), 1..8), vec(op(), 1..8)], set_up_oneshot);
}
