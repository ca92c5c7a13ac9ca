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
//! - **V2** When the supervisor is dropped no child is left under supervision.
//!
//! # Sources
//!
//! Erlang's `supervisor`: the strategies, when which child is started again, how often, and how children are stopped.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use sward_runtime::time;

use super::{Actor, Addr, Builder, Context, Exit, cell::Notice};

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
    children: Vec<Entry>,
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

/// What a supervisor is told when a child has ended. Nobody else can tell it anything.
#[derive(Debug)]
pub struct ChildEnded {
    index: usize,
    exit: Exit,
}

impl Supervisor {
    /// One without children, that fails when children have to be started again more than three times in five seconds.
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            max: 3,
            period: Duration::from_secs(5),
            grace: Duration::from_secs(5),
            children: Vec::new(),
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
        let addr = Addr::first(builder.cell());
        let child = Box::new(Supervised { addr: addr.clone(), factory });
        self.children.push(Entry { child, restart, life: Life::Up });
        addr
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

    /// A child has ended by itself.
    fn child_ended(&mut self, index: usize, exit: &Exit, context: &mut Context<Self>) {
        let entry = &mut self.children[index];
        if !entry.restart.is_due_after(exit) || entry.child.has_stopped() {
            entry.life = Life::Gone;
            return entry.child.release();
        }
        if !self.may_restart() {
            return context.fail(format!("children ended too often; the last one: {exit}"));
        }
        self.children[index].life = Life::Due;
        let affected = match self.strategy {
            Strategy::OneForOne => index..index,
            Strategy::OneForAll => 0..self.children.len(),
            Strategy::RestForOne => index..self.children.len(),
        };
        let cause = exit.linked();
        for entry in self.children[affected].iter_mut().rev().filter(|entry| entry.life == Life::Up) {
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
}

impl Actor for Supervisor {
    type Message = ChildEnded;

    fn started(&mut self, context: &mut Context<Self>) {
        for (index, entry) in self.children.iter().enumerate() {
            let this = context.weak();
            let notice = move |exit| this.push_urgent(ChildEnded { index, exit });
            entry.child.supervise(std::sync::Arc::new(notice));
            // If its runtime has ended, that is told too.
            entry.child.start();
        }
    }

    fn handle(&mut self, message: ChildEnded, context: &mut Context<Self>) {
        let ChildEnded { index, exit } = message;
        match self.children[index].life {
            Life::Up => self.child_ended(index, &exit, context),
            Life::Interrupted => self.children[index].life = Life::Due,
            Life::Due | Life::Gone => return,
        }
        if self.children.iter().any(|entry| entry.life == Life::Interrupted) {
            return;
        }
        for entry in self.children.iter_mut().filter(|entry| entry.life == Life::Due) {
            entry.life = if entry.child.start() { Life::Up } else { Life::Gone };
        }
    }

    fn stopped(&mut self, _: &Exit) {
        for entry in self.children.iter().rev() {
            entry.child.release();
            entry.child.stop(self.grace);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for entry in self.children.iter().rev() {
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

/// A child, whatever its type.
trait Child: Send {
    fn supervise(&self, notice: Notice);
    /// Whether nothing can start it again.
    fn has_stopped(&self) -> bool;
    /// Makes an actor and runs it. The child is suspended, or has stopped with its runtime: `false`.
    fn start(&self) -> bool;
    /// Has the actor end now, to be started again. `false`: it has stopped.
    fn interrupt(&self, exit: Exit) -> bool;
    /// Ends the supervision.
    fn release(&self);
    /// Has it end now.
    fn end(&self, exit: Exit);
    /// Has it stop, and waits for that; after `grace` it is killed, and waited for as long again.
    fn stop(&self, grace: Duration);
}

struct Supervised<A: Actor, F> {
    addr: Addr<A>,
    factory: F,
}

impl<A, F> Child for Supervised<A, F>
where
    A: Actor,
    F: Fn() -> A + Send,
{
    fn supervise(&self, notice: Notice) {
        self.addr.cell().supervise(notice);
    }

    fn has_stopped(&self) -> bool {
        self.addr.exit().is_some()
    }

    fn start(&self) -> bool {
        !self.has_stopped() && self.addr.cell().start((self.factory)())
    }

    fn interrupt(&self, exit: Exit) -> bool {
        self.addr.cell().order(exit, true)
    }

    fn release(&self) {
        self.addr.cell().leave_supervision();
    }

    fn end(&self, exit: Exit) {
        self.addr.cell().order(exit, false);
    }

    fn stop(&self, grace: Duration) {
        self.addr.stop();
        if time::timeout(grace, || self.addr.wait()).is_err() {
            self.addr.kill();
            let _ = time::timeout(grace, || self.addr.wait());
        }
    }
}
