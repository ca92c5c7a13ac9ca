//! Signals: everybody hears of each, those of real time as often as they were sent, though waiters are cancelled and replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sward::signal::{Signal, Signals as Receiver};
use sward::{thread, time};

use super::Load;
use crate::soak::context::{Ctx, End, Outsider, Task, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;
use crate::sys;

/// What has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// The signals of a lane. Nobody else in the process sends them.
type Kinds = [Signal; 2];
/// Those that the kernel keeps apart, and those that it may merge.
const EXACT: [Kinds; 2] =
    [[Signal::RealTime(1), Signal::RealTime(2)], [Signal::RealTime(3), Signal::RealTime(4)]];
const MERGED: Kinds = [Signal::User1, Signal::User2];

#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Of those that are kept apart.
    sent: Arc<AtomicU64>,
    witness: OnceLock<Receiver>,
}

impl Load for Signals {
    fn run(&self, ctx: &Ctx) {
        let Some(witness) = ctx.expect("signals", Receiver::new(EXACT.concat())) else { return };
        self.witness.get_or_init(|| witness);
        let lanes = EXACT.into_iter().chain([MERGED]).enumerate().map(|(n, kinds)| {
            let (ctx, mut random, sent) = (ctx.clone(), ctx.random(n as u64), Arc::clone(&self.sent));
            ctx.clone().spawn(move || {
                let lane = Lane { ctx: ctx.clone(), kinds, sent: (kinds != MERGED).then_some(sent) };
                ctx.repeat(&mut random, |random| round(&lane, random));
            })
        });
        join_all(lanes.collect::<Vec<_>>());
    }

    /// Whoever was there all the time has heard of each, also if others were unwound. None is left for the next episode.
    fn check(&self, ctx: &Ctx) {
        let Some(witness) = self.witness.get() else { return };
        let (sent, mut came) = (self.sent.load(SeqCst), 0);
        while came < sent && witness.recv_timeout(PATIENCE).is_some() {
            came += 1;
        }
        came += u64::from(witness.try_recv().is_some());
        if came != sent {
            ctx.violation(format_args!("of {sent} signals {came} have come"));
        }
    }
}

/// Who sends, and what.
#[derive(Clone)]
struct Lane {
    ctx: Ctx,
    kinds: Kinds,
    /// `None`: of these the kernel may merge some.
    sent: Option<Arc<AtomicU64>>,
}

impl Lane {
    /// Sends some signals; returns how many of each kind.
    fn burst(&self, random: &mut Random) -> [usize; 2] {
        let mut sent = [0; 2];
        for _ in 0..random.count(1..=20) {
            let kind = random.count(0..=1);
            if sys::raise(self.kinds[kind].as_raw(), random.one_in(2)) {
                sent[kind] += 1;
                if let Some(total) = &self.sent {
                    total.fetch_add(1, SeqCst);
                }
            }
            if random.one_in(4) {
                thread::sleep(random.micros(0..=200));
            }
        }
        sent
    }
}

/// Those who share a receiver: each signal goes to one of them.
struct Group {
    receiver: Receiver,
    taken: [AtomicUsize; 2],
    is_over: AtomicBool,
}

impl Group {
    fn new(receiver: Receiver) -> Arc<Self> {
        Arc::new(Self { receiver, taken: Default::default(), is_over: AtomicBool::new(false) })
    }

    fn taken(&self) -> [usize; 2] {
        [0, 1].map(|kind| self.taken[kind].load(SeqCst))
    }

    /// To be called with no wait since it was received.
    fn take(&self, lane: &Lane, signal: Signal) {
        match lane.kinds.iter().position(|&kind| kind == signal) {
            None => lane.ctx.violation(format_args!("{signal} came to who does not wait for it")),
            Some(kind) => {
                self.taken[kind].fetch_add(1, SeqCst);
            }
        }
        lane.ctx.count(Kind::Signals, 1);
    }

    fn member(self: &Arc<Self>, lane: &Lane, random: &mut Random) -> Task<()> {
        let (group, lane, mut random) = (Arc::clone(self), lane.clone(), random.fork());
        lane.ctx.clone().spawn(move || {
            while !group.is_over.load(SeqCst) {
                let receiver = &group.receiver;
                let signal = match random.within(0..=3) {
                    0 => time::timeout(random.micros(0..=1_000), || receiver.recv()).ok(),
                    1 => receiver.recv_timeout(random.micros(0..=1_000)),
                    _ => Some(receiver.recv()),
                };
                match signal {
                    Some(signal) => group.take(&lane, signal),
                    None => lane.ctx.count(Kind::Timeouts, 1),
                }
            }
        })
    }

    /// The same on an OS thread.
    fn outsider(self: &Arc<Self>, lane: &Lane) -> Outsider<()> {
        let (group, lane) = (Arc::clone(self), lane.clone());
        lane.ctx.clone().outside(move || {
            while !group.is_over.load(SeqCst) && !lane.ctx.is_ending() {
                // With a limit, since nobody cancels it.
                if let Some(signal) = group.receiver.recv_timeout(Duration::from_millis(20)) {
                    group.take(&lane, signal);
                }
            }
        })
    }
}

fn end(ctx: &Ctx, member: Task<()>) {
    member.cancel();
    if matches!(member.end(), End::Cancelled) {
        ctx.count(Kind::Cancels, 1);
    }
}

/// Some groups, each of which hears of all signals.
fn round(lane: &Lane, random: &mut Random) {
    let ctx = &lane.ctx;
    let Some(first) = ctx.expect("signals", Receiver::new(lane.kinds)) else { return };
    let others = (0..random.count(0..=2)).map(|_| first.clone()).collect::<Vec<_>>();
    let groups: Vec<_> = others.into_iter().chain([first]).map(Group::new).collect();
    let mut members = Vec::new();
    for group in &groups {
        members.extend((0..random.count(1..=3)).map(|_| (group, group.member(lane, random))));
    }
    let outside = random.one_in(3).then(|| groups[0].outsider(lane));
    let mut total = [0; 2];
    for _ in 0..random.count(1..=5) {
        let before: Vec<_> = groups.iter().map(|group| group.taken()).collect();
        let sent = send(lane, random);
        total = [0, 1].map(|kind| total[kind] + sent[kind]);
        let has_heard = |group: &Group, before: &[usize; 2]| {
            let taken = group.taken();
            (0..2).all(|kind| match lane.sent {
                Some(_) => taken[kind] >= total[kind],
                None => sent[kind] == 0 || taken[kind] > before[kind],
            })
        };
        let start = Instant::now();
        while !groups.iter().zip(&before).all(|(group, before)| has_heard(group, before)) {
            if start.elapsed() > PATIENCE {
                let taken: Vec<_> = groups.iter().map(|group| group.taken()).collect();
                ctx.amiss(format_args!("of {total:?} signals {taken:?} have come, {before:?} before"));
                break;
            }
            if random.one_in(2) {
                let (group, member) = members.swap_remove(random.count(0..=members.len() - 1));
                members.push((group, group.member(lane, random)));
                end(ctx, member);
            }
            thread::sleep(random.micros(0..=1_000));
        }
    }
    groups.iter().for_each(|group| group.is_over.store(true, SeqCst));
    members.into_iter().for_each(|(_, member)| end(ctx, member));
    outside.map(Outsider::join);
    for group in &groups {
        let taken = group.taken();
        // One that was sent in the round before may have come late, of those that are not kept apart.
        let late = usize::from(lane.sent.is_none());
        if (0..2).any(|kind| taken[kind] > total[kind] + late) {
            ctx.amiss(format_args!("of {total:?} signals {taken:?} have come"));
        }
        if let (Some(signal), Some(_)) = (group.receiver.try_recv(), &lane.sent) {
            ctx.amiss(format_args!("{signal} came once more than it was sent"));
        }
    }
}

/// Sends signals from here and there at once; returns how many of each kind.
fn send(lane: &Lane, random: &mut Random) -> [usize; 2] {
    let green = (0..random.count(0..=2)).map(|_| {
        let (lane, mut random) = (lane.clone(), random.fork());
        lane.ctx.clone().spawn(move || lane.burst(&mut random))
    });
    let mut green = green.collect::<Vec<_>>();
    let outside = random.one_in(3).then(|| {
        let (lane, mut random) = (lane.clone(), random.fork());
        lane.ctx.clone().outside(move || lane.burst(&mut random))
    });
    let mut bursts = vec![lane.burst(random)];
    bursts.extend(outside.and_then(Outsider::join));
    bursts.extend(join_all(green.drain(..)));
    [0, 1].map(|kind| bursts.iter().map(|sent| sent[kind]).sum())
}
