//! What an actor can do that nobody else can.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Actor, Addr, Builder, Delayed, Exit, WeakAddr,
    cell::{Cell, Node},
    delayed,
};

/// The actor that handles a message, as others see it. Its methods are given it.
pub struct Context<A: Actor>(Arc<Cell<A>>);

impl<A: Actor> Context<A> {
    pub(super) fn new(cell: &Arc<Cell<A>>) -> Self {
        Self(Arc::clone(cell))
    }

    pub(super) fn cell(&self) -> &Arc<Cell<A>> {
        &self.0
    }

    /// The actor's own address, for others. An actor that keeps it keeps itself going: [`weak`](Self::weak) does not.
    #[must_use]
    pub fn addr(&self) -> Addr<A> {
        Addr::of(&self.0)
    }

    /// The actor's own address, which does not keep it going.
    #[must_use]
    pub fn weak(&self) -> WeakAddr<A> {
        WeakAddr::of(&self.0)
    }

    /// Has the actor stop after the messages that it has, as [`Addr::stop`].
    pub fn stop(&mut self) {
        self.0.stop();
    }

    /// Has the actor end as [`Exit::Failed`] after this message; the others are dropped, unless a supervisor replaces it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward::actor::{self, Actor, Context, Exit};
    ///
    /// struct Parser;
    ///
    /// impl Actor for Parser {
    ///     type Message = &'static str;
    ///
    ///     fn handle(&mut self, message: &'static str, context: &mut Context<Self>) {
    ///         if let Err(error) = message.parse::<u32>() {
    ///             context.fail(format!("{message:?}: {error}"));
    ///         }
    ///     }
    /// }
    ///
    /// let parser = actor::spawn(Parser);
    /// parser.cast("12").unwrap();
    /// parser.cast("ab").unwrap();
    /// assert_eq!(parser.wait(), Exit::Failed("\"ab\": invalid digit found in string".into()));
    /// ```
    pub fn fail(&mut self, reason: impl AsRef<str>) {
        self.0.fail(reason.as_ref());
    }

    /// Sends the actor a message after `delay`, when there is room for it in its mailbox.
    ///
    /// It can be taken back until then. It does not keep the actor going, and is dropped when that ends, also when a supervisor replaces it. Until
    /// it is sent a green thread sleeps for it. Those that are due at about the same time come in any order.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward::actor::{self, Actor, Context};
    ///
    /// const TICK: Duration = Duration::from_millis(1);
    ///
    /// struct Countdown(u32);
    ///
    /// impl Actor for Countdown {
    ///     type Message = ();
    ///
    ///     fn started(&mut self, context: &mut Context<Self>) {
    ///         context.send_after(TICK, ());
    ///         let never = context.send_after(TICK * 60_000, ());
    ///         assert_eq!(never.cancel(), Some(()));
    ///     }
    ///
    ///     fn handle(&mut self, (): (), context: &mut Context<Self>) {
    ///         self.0 -= 1;
    ///         if self.0 == 0 {
    ///             return context.stop();
    ///         }
    ///         context.send_after(TICK, ());
    ///     }
    /// }
    ///
    /// assert!(actor::spawn(Countdown(3)).wait().is_normal());
    /// ```
    pub fn send_after(&mut self, delay: Duration, message: A::Message) -> Delayed<A::Message> {
        delayed::send(&self.0, delay, message)
    }

    /// Has the actor sent what `f` makes of it when `other` ends: at once, if it has.
    ///
    /// Such a message has room in a mailbox that is full, and comes before those that wait in it. `f` is called by who ends `other`, so it
    /// should do nothing else. A message for an actor that has stopped meanwhile is dropped. When `other` is idle and its runtime ends, that
    /// is noticed only when somebody sends it a message or waits for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward::actor::{self, Actor, Addr, Context, Exit, Strategy, Supervisor};
    ///
    /// struct Watch(Addr<Supervisor>);
    ///
    /// impl Actor for Watch {
    ///     type Message = Exit;
    ///
    ///     fn started(&mut self, context: &mut Context<Self>) {
    ///         context.monitor(&self.0, |exit| exit);
    ///     }
    ///
    ///     fn handle(&mut self, exit: Exit, context: &mut Context<Self>) {
    ///         assert_eq!(exit, Exit::Killed);
    ///         context.stop();
    ///     }
    /// }
    ///
    /// let other = actor::spawn(Supervisor::new(Strategy::OneForOne));
    /// let watch = actor::spawn(Watch(other.clone()));
    /// other.kill();
    /// assert!(watch.wait().is_normal());
    /// ```
    pub fn monitor<B: Actor>(
        &mut self,
        other: &Addr<B>,
        f: impl FnOnce(Exit) -> A::Message + Send + 'static,
    ) {
        let this = self.weak();
        other.cell().watch(this.node(), move |exit| {
            this.push_urgent(f(exit.clone()));
        });
    }

    /// Links the two: if one ends in another way than [`Exit::Normal`], so does the other, as [`Exit::Linked`], and at once, as by
    /// [`Addr::kill`]. One that is to outlive the other, and to know, [monitors](Self::monitor) it.
    ///
    /// There is no way to undo it. That an idle actor ends with its runtime is noticed as late as by [`monitor`](Self::monitor).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward::actor::{self, Actor, Addr, Context, Exit, Strategy, Supervisor};
    ///
    /// struct Partner(Addr<Supervisor>);
    ///
    /// impl Actor for Partner {
    ///     type Message = ();
    ///
    ///     fn started(&mut self, context: &mut Context<Self>) {
    ///         context.link(&self.0);
    ///     }
    ///
    ///     fn handle(&mut self, (): (), _: &mut Context<Self>) {}
    /// }
    ///
    /// let other = actor::spawn(Supervisor::new(Strategy::OneForOne));
    /// let partner = actor::spawn(Partner(other.clone()));
    /// partner.kill();
    /// // It may have been killed before it was linked.
    /// partner.wait();
    /// other.stop();
    /// assert!([Exit::Normal, Exit::Linked(Exit::Killed.into())].contains(&other.wait()));
    /// ```
    pub fn link<B: Actor>(&mut self, other: &Addr<B>) {
        other.cell().follow(&self.0);
        self.0.follow(other.cell());
    }

    /// Spawns an actor on the same runtime, [linked](Self::link) to this one.
    pub fn spawn<B: Actor>(&mut self, actor: B) -> Addr<B> {
        let child = Addr::first(Builder::new().runtime(&self.0.runtime).cell());
        self.link(&child);
        child.cell().start(actor);
        child
    }
}

impl<A: Actor> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("has_ended", &self.0.has_stopped()).finish_non_exhaustive()
    }
}
