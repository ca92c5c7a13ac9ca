//! The green thread that runs an actor while there are messages.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use sward_runtime::{budget, cancel};

use super::{Actor, Context, Exit, cell::Cell};

/// What is to be done next.
pub(super) enum Next<M> {
    Message(M),
    /// The actor is idle again.
    Nothing,
    End(Exit),
}

/// An actor on its way to its green thread, or there. Dropped, it ends the actor (A3 of `cell.rs`).
pub(super) struct Runner<A: Actor> {
    context: Context<A>,
    /// `None`: it is idle again, or has ended.
    actor: Option<A>,
    /// It is still to be told that it has started.
    fresh: bool,
}

impl<A: Actor> Runner<A> {
    pub(super) fn new(cell: &Arc<Cell<A>>, actor: A, fresh: bool) -> Self {
        Self { context: Context::new(cell), actor: Some(actor), fresh }
    }

    /// Runs it as a green thread. On a runtime that has ended it is dropped.
    pub(super) fn spawn(self) {
        let runtime = self.context.cell().runtime.clone();
        drop(runtime.spawn(move || self.run()));
    }

    fn run(mut self) {
        let worked = panic::catch_unwind(AssertUnwindSafe(|| self.work()));
        let exit = match worked {
            Ok(None) => return,
            Ok(Some(exit)) => exit,
            Err(payload) => self.context.cell().exit_of(payload),
        };
        self.end(exit);
    }

    /// `None`: the actor is idle.
    fn work(&mut self) -> Option<Exit> {
        if let Some(exit) = self.context.cell().begin() {
            return Some(exit);
        }
        if let Some(actor) = self.actor.as_mut().filter(|_| mem::take(&mut self.fresh)) {
            actor.started(&mut self.context);
        }
        loop {
            // Here, where no message is in hand.
            budget::spend();
            match self.context.cell().next(&mut self.actor) {
                Next::Message(message) => {
                    self.actor.as_mut().expect("it has not ended").handle(message, &mut self.context);
                }
                Next::Nothing => return None,
                Next::End(exit) => return Some(exit),
            }
        }
    }

    /// Ends the actor. Nothing of this is cancelled.
    fn end(&mut self, mut exit: Exit) {
        let Some(mut actor) = self.actor.take() else { return };
        let cell = self.context.cell();
        cancel::shield(|| {
            let told = panic::catch_unwind(AssertUnwindSafe(|| {
                if exit != Exit::Cancelled && !self.fresh {
                    actor.stopped(&exit);
                }
            }));
            let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(actor)));
            for payload in [told, dropped].into_iter().filter_map(Result::err) {
                let panicked = cell.exit_of(payload);
                if exit.is_normal() {
                    exit = panicked;
                }
            }
            cell.ended(exit);
        });
    }
}

impl<A: Actor> Drop for Runner<A> {
    fn drop(&mut self) {
        self.end(Exit::Cancelled);
    }
}
