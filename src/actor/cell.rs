//! Where an actor lives: its mailbox, and the actor itself while nobody runs it.
//!
//! # Roles
//!
//! *Senders* put messages in. The *runner* is a green thread that takes them out and has the actor handle them, until there are none; it
//! is spawned by whoever puts a message in while there is none, and takes the actor along (`runner.rs`). A *supervisor* decides what
//! becomes of an actor that has ended. *Watchers* are told when it has ended for good.
//!
//! # States
//!
//! | phase | where the actor is | left by |
//! |---|---|---|
//! | `Suspended` | there is none: it has not started, or has ended and its supervisor is to decide | `start`, `finish` |
//! | `Running` | with its runner | the runner |
//! | `Idle` | here | who activates it, for a message or its end |
//! | `Stopped` | there is none, and will be none | nobody |
//!
//! # Invariants
//!
//! - **A1** An actor is in one place: here, or with one runner. Who takes it from here puts `Running` in its place under the same lock.
//! - **A2** An idle actor has no messages, nobody has asked it to end, and somebody has its address. So whoever changes that activates it.
//! - **A3** A runner that is dropped with its actor ends it, whether it has run or not. So `Running` is left in any case.
//! - **A4** Nothing foreign runs, and nothing foreign is dropped, under the lock. No other lock is taken under it.
//! - **A5** Each message in `mailbox` has a permit of `room`; who takes it out puts that back. Those in `urgent` have none: they are sent by
//!   actors that end, which must not wait.
//! - **A6** Each time that an actor becomes suspended, or is finished because its runtime ends, its supervisor is told once, if it has one; if
//!   that is gone, it is finished.
//!
//! # Orderings
//!
//! The lock orders everything.
//!
//! # Checked by
//!
//! `tests/actor.rs`, `tests/actor_later.rs`, `tests/actor_supervisor.rs`, `tests/actor_children.rs`.

use std::{
    any::Any,
    collections::VecDeque,
    mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Weak},
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};
use sward_runtime::{
    cancel::{Cancelled, Token},
    runtime::Handle,
    thread::{self, Thread},
};
use sward_sync::{OnceLock, Semaphore, TryAcquireError};

use super::{
    Actor, CastError, Exit, TryCastError,
    runner::{Next, Runner},
};

/// Tells a supervisor how its child has ended. `false`: it is not there any more.
pub(super) type Notice = Arc<dyn Fn(Exit) -> bool + Send + Sync>;

/// Any cell, as far as those need it who watch for it.
pub(super) trait Node: Send + Sync {
    fn has_stopped(&self) -> bool;
}

/// Who is told when an actor has stopped.
struct Watcher {
    /// On whose behalf: if that is gone there is no need.
    who: Weak<dyn Node>,
    tell: Box<dyn FnOnce(&Exit) + Send>,
}

/// See the module.
pub(super) enum Phase<A> {
    Idle(A),
    /// With the green thread, once it has begun.
    Running(Option<Thread>),
    /// With how it has ended.
    Suspended(Exit),
    Stopped(Exit),
}

/// See the module.
pub(super) struct Cell<A: Actor> {
    pub(super) runtime: Handle,
    room: Semaphore,
    /// Set last, when everything else is over.
    exit: OnceLock<Exit>,
    state: Mutex<State<A>>,
}

struct State<A: Actor> {
    phase: Phase<A>,
    mailbox: VecDeque<A::Message>,
    urgent: VecDeque<A::Message>,
    /// How many addresses there are.
    addrs: usize,
    /// It ends after the messages that are there.
    stopping: bool,
    /// It ends now, and how.
    ordered: Option<Exit>,
    watchers: Vec<Watcher>,
    supervisor: Option<Notice>,
    /// What ends with the actor that is here now, if there was need of it.
    life: Option<Token>,
}

impl<A: Actor> State<A> {
    fn is_closed(&self) -> bool {
        self.stopping || matches!(self.phase, Phase::Stopped(_))
    }

    /// Before a watcher is added: takes out those who are gone, when the list would have to grow. To be dropped outside the lock, as are the
    /// nodes that were looked at.
    fn withdraw_stale(&mut self) -> (Vec<Watcher>, Vec<Arc<dyn Node>>) {
        if self.watchers.len() < self.watchers.capacity() {
            return Default::default();
        }
        let mut seen = Vec::new();
        let stale = self.watchers.extract_if(.., |watcher| {
            let Some(node) = watcher.who.upgrade() else { return true };
            let stale = node.has_stopped();
            seen.push(node);
            stale
        });
        (stale.collect(), seen)
    }
}

impl<A: Actor> Node for Cell<A> {
    fn has_stopped(&self) -> bool {
        self.exit.get().is_some()
    }
}

impl<A: Actor> Cell<A> {
    /// One whose actor is still to [`start`](Self::start), and of which there is one address.
    pub(super) fn new(runtime: Handle, bound: usize) -> Arc<Self> {
        let state = State {
            phase: Phase::Suspended(Exit::Cancelled),
            mailbox: VecDeque::new(),
            urgent: VecDeque::new(),
            addrs: 1,
            stopping: false,
            ordered: None,
            watchers: Vec::new(),
            supervisor: None,
            life: None,
        };
        let (room, exit) = (Semaphore::new(bound.min(Semaphore::MAX_PERMITS)), OnceLock::new());
        Arc::new(Self { runtime, room, exit, state: Mutex::new(state) })
    }

    /// Puts an actor into a suspended one, and runs it. Whatever is in the mailbox is for it. `false`: it has stopped.
    pub(super) fn start(self: &Arc<Self>, actor: A) -> bool {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Suspended(_)) {
            state.phase = Phase::Running(None);
            drop(state);
            Runner::new(self, actor, true).spawn();
            return true;
        }
        !matches!(state.phase, Phase::Stopped(_))
    }

    /// Takes the actor if it is idle (A1).
    fn activate(self: &Arc<Self>, state: &mut State<A>) -> Option<Runner<A>> {
        match mem::replace(&mut state.phase, Phase::Running(None)) {
            Phase::Idle(actor) => Some(Runner::new(self, actor, false)),
            phase => {
                state.phase = phase;
                None
            }
        }
    }

    /// Puts a message in, waiting for room at most until `deadline`.
    pub(super) fn cast(
        self: &Arc<Self>,
        message: A::Message,
        deadline: Option<Instant>,
    ) -> Result<(), TryCastError<A::Message>> {
        let permit = match self.room.try_acquire() {
            Ok(permit) => Some(permit),
            Err(TryAcquireError::Closed) => None,
            Err(TryAcquireError::NoPermits) => {
                assert!(!self.is_mine(), "an actor cannot wait for room in its own mailbox");
                match deadline {
                    None => self.room.acquire().ok(),
                    Some(deadline) => match self.room.acquire_until(deadline) {
                        Ok(permit) => Some(permit),
                        Err(_) if self.room.is_closed() => None,
                        Err(_) => return Err(TryCastError::Full(message)),
                    },
                }
            }
        };
        let Some(permit) = permit else { return Err(TryCastError::Stopped(message)) };
        permit.forget();
        self.push(message).map_err(|CastError(message)| TryCastError::Stopped(message))
    }

    /// Puts a message in if there is room.
    pub(super) fn try_cast(self: &Arc<Self>, message: A::Message) -> Result<(), TryCastError<A::Message>> {
        match self.room.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(TryAcquireError::NoPermits) => return Err(TryCastError::Full(message)),
            Err(TryAcquireError::Closed) => return Err(TryCastError::Stopped(message)),
        }
        self.push(message).map_err(|CastError(message)| TryCastError::Stopped(message))
    }

    /// Puts a message in that has its permit.
    fn push(self: &Arc<Self>, message: A::Message) -> Result<(), CastError<A::Message>> {
        let is_ending = self.runtime.is_ending();
        let mut state = self.state.lock();
        let is_lost = is_ending && matches!(state.phase, Phase::Idle(_));
        if is_lost || state.is_closed() {
            drop(state);
            if is_lost {
                self.abandon();
            }
            self.room.add_permits(1);
            return Err(CastError(message));
        }
        state.mailbox.push_back(message);
        self.go(state);
        Ok(())
    }

    /// Puts a message in that needs no permit (A5). `false`: nobody will handle it.
    pub(super) fn push_urgent(self: &Arc<Self>, message: A::Message) -> bool {
        let is_ending = self.runtime.is_ending();
        let mut state = self.state.lock();
        let refused = match state.phase {
            Phase::Stopped(_) => true,
            Phase::Idle(_) => is_ending,
            Phase::Running(_) | Phase::Suspended(_) => false,
        };
        if !refused {
            state.urgent.push_back(message);
            self.go(state);
        }
        !refused
    }

    /// Has an idle actor look at what has changed.
    fn go(self: &Arc<Self>, mut state: MutexGuard<'_, State<A>>) {
        let runner = self.activate(&mut state);
        drop(state);
        if let Some(runner) = runner {
            runner.spawn();
        }
    }

    /// Has it end after the messages that are there.
    pub(super) fn stop(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.stopping = true;
        self.go(state);
    }

    /// Has it end now, as `exit`: also in the middle of a message, if it waits. Only if told to `keep` them are its messages kept. `false`: it
    /// has stopped.
    pub(super) fn order(self: &Arc<Self>, exit: Exit, keep: bool) -> bool {
        let mut state = self.state.lock();
        let thread = match &state.phase {
            Phase::Stopped(_) => return false,
            Phase::Suspended(_) if keep => return true,
            // Whatever is put in its place: `begin` looks.
            Phase::Suspended(_) => None,
            Phase::Idle(_) => None,
            Phase::Running(thread) => thread.clone(),
        };
        state.ordered.get_or_insert(exit);
        let dropped = if keep { VecDeque::new() } else { mem::take(&mut state.mailbox) };
        self.go(state);
        if let Some(thread) = thread {
            thread.cancel();
        }
        self.room.add_permits(dropped.len());
        dropped.into_iter().for_each(drop_quietly);
        true
    }

    /// Has it end after the message that it handles, for a reason. If it is to be replaced, its other messages are kept.
    pub(super) fn fail(self: &Arc<Self>, reason: &str) {
        let mut state = self.state.lock();
        state.ordered.get_or_insert_with(|| Exit::Failed(reason.into()));
    }

    /// As `order`, for one whose neighbour has ended. If its runtime ends it will find out by itself.
    fn order_linked(self: &Arc<Self>, exit: &Exit) {
        if !exit.is_normal() && !self.runtime.is_ending() {
            self.order(exit.linked(), false);
        }
    }

    /// Another address.
    pub(super) fn add_addr(&self) {
        self.state.lock().addrs += 1;
    }

    /// Another address, unless there is none and the actor is to end.
    pub(super) fn try_add_addr(&self) -> bool {
        let mut state = self.state.lock();
        let possible = state.addrs > 0 && !matches!(state.phase, Phase::Stopped(_));
        state.addrs += usize::from(possible);
        possible
    }

    /// An address less.
    pub(super) fn release(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.addrs -= 1;
        if state.addrs == 0 {
            self.go(state);
        }
    }

    /// Whether the caller is the one who runs it.
    pub(super) fn is_mine(&self) -> bool {
        let me = thread::current().id();
        matches!(&self.state.lock().phase, Phase::Running(Some(thread)) if thread.id() == me)
    }

    /// Whether its messages are not handled any more.
    pub(super) fn has_ended(&self) -> bool {
        let state = self.state.lock();
        state.ordered.is_some() || matches!(state.phase, Phase::Suspended(_) | Phase::Stopped(_))
    }

    /// What is cancelled when its actor ends, also one that is replaced.
    pub(super) fn life(&self) -> Token {
        self.state.lock().life.get_or_insert_default().clone()
    }

    /// How it has ended, if it has.
    pub(super) fn exit(&self) -> &OnceLock<Exit> {
        &self.exit
    }

    /// Has `tell` called when it stops: at once, if it has.
    pub(super) fn watch(&self, who: Weak<dyn Node>, tell: impl FnOnce(&Exit) + Send + 'static) {
        let mut state = self.state.lock();
        if let Phase::Stopped(exit) = &state.phase {
            let exit = exit.clone();
            drop(state);
            return tell(&exit);
        }
        let stale = state.withdraw_stale();
        state.watchers.push(Watcher { who, tell: Box::new(tell) });
        drop(state);
        drop(stale);
    }

    /// Ends this one when `other` ends abnormally.
    pub(super) fn follow<B: Actor>(self: &Arc<Self>, other: &Cell<B>) {
        let this = Arc::downgrade(self);
        let who: Weak<dyn Node> = Weak::<Self>::clone(&this);
        other.watch(who, move |exit| {
            if let Some(this) = this.upgrade() {
                this.order_linked(exit);
            }
        });
    }

    /// Takes it under supervision.
    pub(super) fn supervise(&self, notice: Notice) {
        self.state.lock().supervisor = Some(notice);
    }

    /// Ends the supervision: however it ends, it has ended for good.
    pub(super) fn leave_supervision(&self) {
        let mut state = self.state.lock();
        let notice = state.supervisor.take();
        let suspended = match &state.phase {
            Phase::Suspended(exit) => Some(exit.clone()),
            _ => None,
        };
        drop(state);
        drop(notice);
        if let Some(exit) = suspended {
            self.finish(exit);
        }
    }

    /// The runner begins. `Some`: the actor is to end before it does anything.
    pub(super) fn begin(&self) -> Option<Exit> {
        let me = thread::current();
        let mut state = self.state.lock();
        state.phase = Phase::Running(Some(me));
        state.ordered.take()
    }

    /// What the runner is to do next. Puts the actor back if that is nothing.
    pub(super) fn next(&self, actor: &mut Option<A>) -> Next<A::Message> {
        let mut state = self.state.lock();
        if let Some(exit) = state.ordered.take() {
            return Next::End(exit);
        }
        if let Some(message) = state.urgent.pop_front() {
            return Next::Message(message);
        }
        if let Some(message) = state.mailbox.pop_front() {
            drop(state);
            self.room.add_permits(1);
            return Next::Message(message);
        }
        if state.stopping || state.addrs == 0 {
            return Next::End(Exit::Normal);
        }
        let actor = actor.take().expect("the runner has it until here");
        // Idle, it has no buffers; nor does it have a green thread.
        let buffers = (mem::take(&mut state.mailbox), mem::take(&mut state.urgent));
        let running = mem::replace(&mut state.phase, Phase::Idle(actor));
        drop(state);
        drop((buffers, running));
        Next::Nothing
    }

    /// What an unwinding says of the end of the actor.
    pub(super) fn exit_of(&self, payload: Box<dyn Any + Send>) -> Exit {
        if payload.is::<Cancelled>() {
            return self.state.lock().ordered.take().unwrap_or(Exit::Cancelled);
        }
        let exit = Exit::panicked(&*payload);
        drop_quietly(payload);
        exit
    }

    /// The actor, which the runner had, has ended: its supervisor decides, if there is one. On a runtime that ends there is nothing to decide.
    pub(super) fn ended(&self, exit: Exit) {
        let is_ending = self.runtime.is_ending();
        let mut state = self.state.lock();
        if let Some(life) = state.life.take() {
            drop(state);
            life.cancel();
            state = self.state.lock();
        }
        let notice = state.supervisor.clone();
        let Some(notice) = notice.as_ref().filter(|_| !is_ending) else {
            drop(state);
            self.finish(exit.clone());
            return notice.map_or((), |notice| _ = notice(exit));
        };
        state.phase = Phase::Suspended(exit.clone());
        // If it broke before it had handled all, the next one stops.
        state.stopping &= !exit.is_normal();
        state.ordered = None;
        drop(state);
        if !notice(exit.clone()) {
            self.finish(exit);
        }
    }

    /// It has ended for good.
    fn finish(&self, exit: Exit) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Stopped(_)) {
            return;
        }
        let phase = mem::replace(&mut state.phase, Phase::Stopped(exit.clone()));
        let messages = (mem::take(&mut state.mailbox), mem::take(&mut state.urgent));
        let (watchers, notice) = (mem::take(&mut state.watchers), state.supervisor.take());
        drop(state);
        self.room.close();
        drop_quietly(phase);
        drop_quietly(notice);
        // One by one: of two that panic at it the second would end the process.
        messages.0.into_iter().chain(messages.1).for_each(drop_quietly);
        let _ = self.exit.set(exit.clone());
        for watcher in watchers {
            let _ = panic::catch_unwind(AssertUnwindSafe(|| (watcher.tell)(&exit)));
        }
    }

    /// Its runtime has ended. If nobody runs the actor it ends here.
    pub(super) fn abandon(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let runner = self.activate(&mut state);
        let is_suspended = matches!(state.phase, Phase::Suspended(_));
        drop(state);
        // Which ends it, unrun (A3).
        drop(runner);
        if is_suspended {
            self.finish(Exit::Cancelled);
        }
    }
}

/// Drops what may panic at it.
pub(super) fn drop_quietly<T>(value: T) {
    let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(value)));
}
