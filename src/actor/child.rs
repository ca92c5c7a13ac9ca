//! Children of supervisors, whatever their types.

use std::{ptr, sync::Arc, time::Duration};

use sward_runtime::time;

use super::{
    Actor, Addr, Builder, Exit,
    cell::{Node, Notice},
};

/// A child, whatever its type.
pub(super) trait Child: Send {
    /// Whether it is this one.
    fn is(&self, node: &Arc<dyn Node>) -> bool;
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

/// A child that has not started, and its address for others.
pub(super) fn supervised<A, F>(builder: Builder, factory: F) -> (Addr<A>, Box<dyn Child>)
where
    A: Actor,
    F: Fn() -> A + Send + 'static,
{
    let addr = Addr::first(builder.cell());
    let child = Box::new(Supervised { addr: addr.clone(), factory });
    (addr, child)
}

impl<A, F> Child for Supervised<A, F>
where
    A: Actor,
    F: Fn() -> A + Send,
{
    fn is(&self, node: &Arc<dyn Node>) -> bool {
        ptr::addr_eq(Arc::as_ptr(self.addr.cell()), Arc::as_ptr(node))
    }

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

/// A child on its way to its supervisor. If it does not get there it has ended (V2 of `supervisor.rs`).
pub(super) struct Newcomer(Option<Box<dyn Child>>);

impl Newcomer {
    pub(super) fn new(child: Box<dyn Child>) -> Self {
        Self(Some(child))
    }

    /// It is there: the supervisor sees to it.
    pub(super) fn arrive(mut self) -> Box<dyn Child> {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            child.release();
        }
    }
}
