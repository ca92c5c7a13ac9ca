//! Supervisors: actors that start others again when they have ended.
//!
//! # Roles
//!
//! Each *child* is a cell that outlives its actors. When one of these has ended the cell is suspended, and the *supervisor* is told (A6 of
//! `cell.rs`); it has a *factory* make another, or lets the child end.
//!
//! # Invariants
//!
//! - **V1** A child that is `Interrupted` is about to be suspended, or to stop with its runtime, or has done so, and the supervisor is about to
//!   be told. So when none is, all that are `Due` are suspended, and can be started, or have stopped.
//! - **V2** When the supervisor is dropped no child is left under supervision, nor one that was on its way to it.
//! - **V3** A child keeps its number, and a later one has a greater number; so the order of numbers is that in which they were added.
//!
//! # Sources
//!
//! Erlang's `supervisor`: the strategies, when which child is started again, how often, and how children are stopped.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Actor, Addr, Builder, CallError, Context, Exit, Reply,
    cell::{Cell, Node},
    child::{Child, Newcomer, supervised},
};

/// Which children are started again when one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// It alone.
    OneForOne,
    /// All. The others are ended first.
    OneForAll,
    /// It, and those that were added after it, which are ended first.
    RestForOne,
}

/// When a child is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Whenever it ends.
    Permanent,
    /// If it ended in another way than [`Exit::Normal`].
    Transient,
    /// Never.
    Temporary,
}

impl Restart {
    fn is_due_after(self, exit: &Exit) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => !exit.is_normal(),
            Self::Temporary => false,
        }
    }
}

/// An actor that keeps others going: its children, which it starts when it starts, starts again when they end, and stops when it stops.
///
/// The address of a child stays valid when it is started again, and the messages that wait in its mailbox are kept; the one that it was
/// handling is lost. Its state is made afresh. Who [monitors](Context::monitor) a child, is linked to it or [waits](Addr::wait) for it is
/// told when it is not started again.
///
/// A child whose [runtime](Builder::runtime) ends is not started again, and ends no others. If it is idle then, that is noticed when somebody
/// sends it a message or waits for it.
///
/// Keep the address of the supervisor: if nobody has it any more the supervisor stops, and its children with it.
///
/// Children can be added to one that runs, and removed: [`Addr::add_child`], [`Addr::remove_child`].
///
/// If children have to be started again too often the supervisor [fails](Context::fail), for its own supervisor to see. However it ends,
/// it stops its children, the last one first.
///
/// # Examples
///
/// ```
/// use sward::actor::{self, Actor, Context, Reply, Restart, Strategy, Supervisor};
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// enum Message {
///     Next(Reply<u64>),
///     Break,
/// }
///
/// impl Actor for Counter {
///     type Message = Message;
///
///     fn handle(&mut self, message: Message, _: &mut Context<Self>) {
///         match message {
///             Message::Next(reply) => {
///                 self.0 += 1;
///                 reply.send(self.0);
///             }
///             Message::Break => panic!("on purpose"),
///         }
///     }
/// }
///
/// let mut supervisor = Supervisor::new(Strategy::OneForOne);
/// let counter = supervisor.child(Restart::Permanent, Counter::default);
/// let supervisor = actor::spawn(supervisor);
/// assert_eq!(counter.call(Message::Next)?, 1);
/// assert_eq!(counter.call(Message::Next)?, 2);
/// counter.cast(Message::Break)?;
/// assert_eq!(counter.call(Message::Next)?, 1);
/// assert!(supervisor.join().is_normal());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a supervisor does nothing until it is spawned"]
pub struct Supervisor {
    strategy: Strategy,
    max: usize,
    period: Duration,
    grace: Duration,
    /// By their numbers (V3).
    children: BTreeMap<u64, Entry>,
    next: u64,
    /// When children were started again, as far as it matters.
    restarts: VecDeque<Instant>,
}

struct Entry {
    child: Box<dyn Child>,
    restart: Restart,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Its actor has not ended, as far as is known.
    Up,
    /// The same, but it was told to end, to be started again.
    Interrupted,
    /// It is to be started as soon as nobody is interrupted.
    Due,
    /// It is not started again.
    Gone,
}

/// What a supervisor is sent: by its children's ends, and by [`Addr::add_child`] and [`Addr::remove_child`].
pub struct SupervisorMessage(Request);

enum Request {
    Ended { number: u64, exit: Exit },
    Add { child: Newcomer, restart: Restart, reply: Reply<()> },
    Remove { child: Arc<dyn Node>, reply: Reply<bool> },
}

impl fmt::Debug for SupervisorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.0 {
            Request::Ended { number, exit } => {
                return f.debug_struct("Ended").field("number", number).field("exit", exit).finish();
            }
            Request::Add { .. } => "Add",
            Request::Remove { .. } => "Remove",
        };
        f.debug_struct(name).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// One without children, that fails when children have to be started again more than three times in five seconds.
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            max: 3,
            period: Duration::from_secs(5),
            grace: Duration::from_secs(5),
            children: BTreeMap::new(),
            next: 0,
            restarts: VecDeque::new(),
        }
    }

    /// Sets how often children may be started again: `max` times in any `period`.
    pub fn intensity(mut self, max: usize, period: Duration) -> Self {
        (self.max, self.period) = (max, period);
        self
    }

    /// Sets how long each child is given to handle its messages when the supervisor stops; after that it is killed. Five seconds if not set.
    ///
    /// One that is killed is waited for as long again, to come to the end of a computation or of [`Actor::stopped`]; after that it is
    /// left to itself.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Adds a child, which `factory` makes: each time, on the supervisor's green thread. Its address is valid at once; what it is sent
    /// before the supervisor starts it waits for that.
    ///
    /// The supervisor has an address of its own, so the child stays when the caller's is dropped. Children are started in the order in
    /// which they were added; so a factory that calls a child that was added later waits for ever.
    ///
    /// They run on the runtime of the green thread that calls this, or on the default one, wherever the supervisor is spawned; by
    /// [`child_with`](Self::child_with) on any other.
    ///
    /// # Panics
    ///
    /// If the default runtime is needed and cannot be started. If `factory` panics, the supervisor does.
    pub fn child<A, F>(&mut self, restart: Restart, factory: F) -> Addr<A>
    where
        A: Actor,
        F: Fn() -> A + Send + 'static,
    {
        self.child_with(Builder::new(), restart, factory)
    }

    /// As [`child`](Self::child), with settings.
    ///
    /// # Panics
    ///
    /// As [`child`](Self::child).
    pub fn child_with<A, F>(&mut self, builder: Builder, restart: Restart, factory: F) -> Addr<A>
    where
        A: Actor,
        F: Fn() -> A + Send + 'static,
    {
        let (addr, child) = supervised(builder, factory);
        self.adopt(child, restart, Life::Up);
        addr
    }

    fn adopt(&mut self, child: Box<dyn Child>, restart: Restart, life: Life) -> u64 {
        let number = self.next;
        self.next += 1;
        self.children.insert(number, Entry { child, restart, life });
        number
    }

    /// Whether one may be started again now. If so, that counts.
    fn may_restart(&mut self) -> bool {
        let now = Instant::now();
        while self.restarts.front().is_some_and(|then| now.duration_since(*then) > self.period) {
            self.restarts.pop_front();
        }
        let may = self.restarts.len() < self.max;
        if may {
            self.restarts.push_back(now);
        }
        may
    }

    /// Has the context's actor, which is this one, told of the end of a child.
    fn watch(&self, number: u64, context: &Context<Self>) {
        let this = context.weak();
        let notice = move |exit| this.push_urgent(SupervisorMessage(Request::Ended { number, exit }));
        self.children[&number].child.supervise(Arc::new(notice));
    }

    fn ended(&mut self, number: u64, exit: &Exit, context: &mut Context<Self>) {
        let Some(entry) = self.children.get_mut(&number) else { return };
        match entry.life {
            Life::Up => self.ended_by_itself(number, exit, context),
            Life::Interrupted => entry.life = Life::Due,
            Life::Due | Life::Gone => {}
        }
    }

    fn ended_by_itself(&mut self, number: u64, exit: &Exit, context: &mut Context<Self>) {
        let entry = &self.children[&number];
        if !entry.restart.is_due_after(exit) || entry.child.has_stopped() {
            entry.child.release();
            self.children.remove(&number);
            return;
        }
        if !self.may_restart() {
            return context.fail(format!("children ended too often; the last one: {exit}"));
        }
        self.children.entry(number).and_modify(|entry| entry.life = Life::Due);
        let first = match self.strategy {
            Strategy::OneForOne => return,
            Strategy::OneForAll => 0,
            Strategy::RestForOne => number,
        };
        self.forget_gone();
        let cause = exit.linked();
        let affected = self.children.range_mut(first..).rev().map(|(_, entry)| entry);
        for entry in affected.filter(|entry| entry.life == Life::Up) {
            if entry.restart == Restart::Temporary {
                entry.life = Life::Gone;
                entry.child.release();
                entry.child.end(cause.clone());
            } else {
                let is_awaited = entry.child.interrupt(cause.clone());
                entry.life = if is_awaited { Life::Interrupted } else { Life::Gone };
            }
        }
    }

    /// Starts those that are due, in order, if nobody is interrupted (V1).
    fn start_due(&mut self) {
        if self.children.values().any(|entry| entry.life == Life::Interrupted) {
            return;
        }
        for entry in self.children.values_mut().filter(|entry| entry.life == Life::Due) {
            entry.life = if entry.child.start() { Life::Up } else { Life::Gone };
        }
        self.forget_gone();
    }

    /// Forgets those that have ended for good.
    fn forget_gone(&mut self) {
        self.children.retain(|_, entry| entry.life != Life::Gone || !entry.child.has_stopped());
    }

    /// Stops a child for good. `false`: there is none like that.
    fn remove(&mut self, child: &Arc<dyn Node>) -> bool {
        self.forget_gone();
        let found = self.children.iter_mut().find(|(_, entry)| entry.child.is(child));
        let Some((&number, entry)) = found else { return false };
        entry.life = Life::Gone;
        entry.child.release();
        // While this waits it is still one of ours, for the case that we are ended.
        entry.child.stop(self.grace);
        self.children.remove(&number);
        true
    }
}

/// What can be asked of a supervisor that has been spawned.
impl Addr<Supervisor> {
    /// Adds a child, as the last one, and waits until the supervisor has started it: as [`Supervisor::child`], to one that runs. While the
    /// supervisor is ending others to start them again, the child is started with them.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The supervisor may have the child all the same.
    ///
    /// # Errors
    ///
    /// If the supervisor has ended, or ends before it gets to it, as it does when `factory` panics. Then the child has ended too.
    ///
    /// # Panics
    ///
    /// If the supervisor's own green thread, which calls the factories, asks for it; if the default runtime is needed and cannot be started.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward::actor::{self, Actor, Context, Reply, Restart, Strategy, Supervisor};
    ///
    /// struct Room(&'static str);
    ///
    /// impl Actor for Room {
    ///     type Message = Reply<&'static str>;
    ///
    ///     fn handle(&mut self, reply: Reply<&'static str>, _: &mut Context<Self>) {
    ///         reply.send(self.0);
    ///     }
    /// }
    ///
    /// let rooms = actor::spawn(Supervisor::new(Strategy::OneForOne));
    /// let kitchen = rooms.add_child(Restart::Permanent, || Room("kitchen"))?;
    /// assert_eq!(kitchen.call(|reply| reply)?, "kitchen");
    /// assert!(rooms.remove_child(&kitchen)?);
    /// assert!(kitchen.exit().is_some_and(|exit| exit.is_normal()));
    /// # Ok::<(), actor::CallError>(())
    /// ```
    pub fn add_child<A, F>(&self, restart: Restart, factory: F) -> Result<Addr<A>, CallError>
    where
        A: Actor,
        F: Fn() -> A + Send + 'static,
    {
        self.add_child_with(Builder::new(), restart, factory)
    }

    /// As [`add_child`](Self::add_child), with settings.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// As [`add_child`](Self::add_child).
    ///
    /// # Errors
    ///
    /// As [`add_child`](Self::add_child).
    ///
    /// # Panics
    ///
    /// As [`add_child`](Self::add_child).
    pub fn add_child_with<A, F>(
        &self,
        builder: Builder,
        restart: Restart,
        factory: F,
    ) -> Result<Addr<A>, CallError>
    where
        A: Actor,
        F: Fn() -> A + Send + 'static,
    {
        let (addr, child) = supervised(builder, factory);
        let child = Newcomer::new(child);
        self.call(|reply| SupervisorMessage(Request::Add { child, restart, reply }))?;
        Ok(addr)
    }

    /// Has the supervisor stop a child, as it does when it stops itself, and forget it. `false`: it has no such child; one that has ended and
    /// is not started again is none.
    ///
    /// The supervisor waits for the end of the child, at most as long as its [`grace`](Supervisor::grace) allows, and sees to the others
    /// afterwards. So a child that removes itself is killed when that time is over.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// The child may be removed all the same.
    ///
    /// # Errors
    ///
    /// If the supervisor has ended, or ends before it gets to it. Then the child has been told to end with it.
    ///
    /// # Panics
    ///
    /// If the supervisor's own green thread, which calls the factories, asks for it.
    pub fn remove_child<A: Actor>(&self, child: &Addr<A>) -> Result<bool, CallError> {
        let child: Arc<dyn Node> = Arc::<Cell<A>>::clone(child.cell());
        self.call(|reply| SupervisorMessage(Request::Remove { child, reply }))
    }
}

impl Actor for Supervisor {
    type Message = SupervisorMessage;

    fn started(&mut self, context: &mut Context<Self>) {
        for (&number, entry) in &self.children {
            self.watch(number, context);
            // If its runtime has ended, that is told too.
            entry.child.start();
        }
    }

    fn handle(&mut self, message: SupervisorMessage, context: &mut Context<Self>) {
        match message.0 {
            Request::Ended { number, exit } => self.ended(number, &exit, context),
            Request::Add { child, restart, reply } => {
                let number = self.adopt(child.arrive(), restart, Life::Due);
                self.watch(number, context);
                self.start_due();
                return reply.send(());
            }
            Request::Remove { child, reply } => {
                let removed = self.remove(&child);
                drop(child);
                reply.send(removed);
            }
        }
        self.start_due();
    }

    fn stopped(&mut self, _: &Exit) {
        for entry in self.children.values().rev() {
            entry.child.release();
            entry.child.stop(self.grace);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for entry in self.children.values().rev() {
            entry.child.release();
            entry.child.end(Exit::Killed);
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("strategy", &self.strategy)
            .field("children", &self.children.len())
            .finish_non_exhaustive()
    }
}
