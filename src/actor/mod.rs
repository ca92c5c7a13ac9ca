//! Actors: values that nobody shares, and that are sent messages.
//!
//! An [`Actor`] owns its state, and handles one message at a time; so it needs no locks, and its [`Addr`] can be given to anybody. While
//! it has no messages it is a value in a box, without a green thread or a stack. With the first message it gets a fresh green thread,
//! which may be on any worker, also in anchored mode. In it the actor may wait for whatever it likes; its messages wait meanwhile.
//!
//! A million actors that count take 270 MB. When each of them is sent a message at the same time it becomes 490 MB, for the green threads
//! that wait for their turn, which need no stacks yet.
//!
//! ```
//! use sward::actor::{self, Actor, Context, Reply};
//!
//! #[derive(Default)]
//! struct Counter(u64);
//!
//! enum Message {
//!     Add(u64),
//!     Get(Reply<u64>),
//! }
//!
//! impl Actor for Counter {
//!     type Message = Message;
//!
//!     fn handle(&mut self, message: Message, _: &mut Context<Self>) {
//!         match message {
//!             Message::Add(n) => self.0 += n,
//!             Message::Get(reply) => reply.send(self.0),
//!         }
//!     }
//! }
//!
//! let counter = actor::spawn(Counter::default());
//! counter.cast(Message::Add(40))?;
//! counter.cast(Message::Add(2))?;
//! assert_eq!(counter.call(Message::Get)?, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How an actor ends
//!
//! It is [stopped](Addr::stop), or stops itself, or its last address is dropped: then it handles what has been sent before. It
//! [panics](Exit::Panicked), or [fails](Context::fail), or is [killed](Addr::kill), or ends with one that it is [linked](Context::link)
//! to: then the messages that it has are dropped. In each case [`Actor::stopped`] is called, then the actor is dropped, then who waits for
//! it is told. No other actor notices, unless it is linked to it, [monitors](Context::monitor) it, or is its [`Supervisor`].
//!
//! With its runtime an actor ends without [`Actor::stopped`]. One that is idle then is dropped with its last address, or when somebody sends it
//! a message or waits for it: so whoever monitors it, is linked to it or supervises it is told then, not before. Those that hold the last
//! addresses of others are dropped one inside the other, so a chain of many thousands of them, idle when their runtime ends, overflows the
//! stack.
//!
//! | file | what is in it |
//! |---|---|
//! | `cell.rs` | the mailbox and the phases of an actor: the algorithm |
//! | `runner.rs` | the green thread of an actor that has messages |
//! | `addr.rs` | [`Addr`], [`WeakAddr`], [`Reply`] |
//! | `context.rs` | [`Context`]: what an actor can do itself |
//! | `delayed.rs` | [`Delayed`]: messages that are sent later |
//! | `exit.rs` | how actors end, and errors |
//! | `supervisor.rs`, `child.rs` | [`Supervisor`]: starts actors again |
//!
//! The vocabulary is Erlang's; that an actor that is started again keeps its address and its messages is Akka's.

mod addr;
mod cell;
mod child;
mod context;
mod delayed;
mod exit;
mod runner;
mod supervisor;

use std::sync::Arc;

use sward_runtime::{budget, runtime::Handle};

use self::cell::Cell;
pub use self::{
    addr::{Addr, Reply, WeakAddr},
    context::Context,
    delayed::Delayed,
    exit::{CallError, CastError, Exit, TryCastError},
    supervisor::{Restart, Strategy, Supervisor, SupervisorMessage},
};

/// How many messages a mailbox holds, unless a [`Builder`] says otherwise.
const BOUND: usize = 1024;

/// A value that handles messages, one at a time. See the [module](self).
pub trait Actor: Sized + Send + 'static {
    /// What it is sent: an `enum`, as a rule, with a [`Reply`] in each variant that is a question.
    type Message: Send + 'static;

    /// Handles a message. It may wait; the other messages do so too then.
    ///
    /// # Panics
    ///
    /// A panic ends the actor, or has its [`Supervisor`] replace it.
    fn handle(&mut self, message: Self::Message, context: &mut Context<Self>);

    /// Is called once, before the first message.
    fn started(&mut self, context: &mut Context<Self>) {
        let _ = context;
    }

    /// Is called once, when the actor has handled its last message, or was ended after [`started`](Self::started). It may wait, and is not
    /// cancelled, also by [`Addr::kill`]. When its runtime ends, or its green thread is cancelled by hand, it is not called.
    fn stopped(&mut self, exit: &Exit) {
        let _ = exit;
    }
}

/// Spawns an actor on the runtime of the calling green thread, or on the default one.
///
/// It lives as long as somebody has its address: if that is dropped at once, it starts and stops.
///
/// # Suspension
///
/// May yield, so that those who spawn many let them start.
///
/// # Panics
///
/// If the default runtime is needed and cannot be started.
///
/// # Examples
///
/// ```
/// use sward::actor::{self, Actor, Context};
///
/// struct Printer;
///
/// impl Actor for Printer {
///     type Message = String;
///
///     fn handle(&mut self, message: String, _: &mut Context<Self>) {
///         println!("{message}");
///     }
/// }
///
/// let printer = actor::spawn(Printer);
/// printer.cast("hello".into()).unwrap();
/// assert!(printer.join().is_normal());
/// ```
#[must_use = "an actor whose address is dropped stops"]
pub fn spawn<A: Actor>(actor: A) -> Addr<A> {
    Builder::new().spawn(actor)
}

/// Sets an actor up before it is spawned.
///
/// # Examples
///
/// ```
/// use sward::{actor::{self, Actor, Context, TryCastError}, thread};
///
/// struct Stuck;
///
/// impl Actor for Stuck {
///     type Message = ();
///
///     fn handle(&mut self, (): (), _: &mut Context<Self>) {
///         thread::park();
///     }
/// }
///
/// let stuck = actor::Builder::new().mailbox(2).spawn(Stuck);
/// while stuck.try_cast(()) != Err(TryCastError::Full(())) {}
/// stuck.kill();
/// stuck.wait();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    bound: usize,
    runtime: Option<Handle>,
}

impl Default for Builder {
    fn default() -> Self {
        Self { bound: BOUND, runtime: None }
    }
}

impl Builder {
    /// The defaults: a mailbox for 1024 messages, the runtime of the calling green thread or the default one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many messages the mailbox holds. Who sends more waits.
    ///
    /// # Panics
    ///
    /// If that is none.
    pub fn mailbox(mut self, bound: usize) -> Self {
        assert!(bound > 0, "a mailbox needs room for one message at least");
        self.bound = bound;
        self
    }

    /// Sets the runtime.
    pub fn runtime(mut self, runtime: &Handle) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Spawns an actor. On a runtime that has ended it is dropped, and has ended as [`Exit::Cancelled`].
    ///
    /// # Suspension
    ///
    /// May yield.
    ///
    /// # Panics
    ///
    /// If the default runtime is needed and cannot be started.
    #[must_use = "an actor whose address is dropped stops"]
    pub fn spawn<A: Actor>(self, actor: A) -> Addr<A> {
        budget::spend();
        let cell = self.cell();
        cell.start(actor);
        Addr::first(cell)
    }

    /// One without its actor.
    fn cell<A: Actor>(self) -> Arc<Cell<A>> {
        Cell::new(self.runtime.unwrap_or_else(Handle::current), self.bound)
    }
}
