//! Messages that an actor sends itself later.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sward_runtime::{cancel::Token, thread};

use super::{Actor, cell::Cell};

/// A message that [`Context::send_after`](super::Context::send_after) sends later. It does so too when this is dropped.
pub struct Delayed<M> {
    /// Whoever takes it out has it: the green thread that sends it, or the one that cancels it.
    message: Arc<Mutex<Option<M>>>,
    token: Token,
}

impl<M> Delayed<M> {
    /// Takes the message back. `None`: it has been sent, or waits for room in the mailbox, or the actor has ended.
    pub fn cancel(self) -> Option<M> {
        let message = self.message.lock().take();
        if message.is_some() {
            self.token.cancel();
        }
        message
    }

    /// Whether the message is still to be sent.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.message.lock().is_some()
    }
}

impl<M> fmt::Debug for Delayed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delayed").field("is_pending", &self.is_pending()).finish()
    }
}

/// Sends the actor a message later: a green thread that sleeps, and that is cancelled with the actor's token.
pub(super) fn send<A: Actor>(
    cell: &Arc<Cell<A>>,
    delay: Duration,
    message: A::Message,
) -> Delayed<A::Message> {
    let due = Instant::now().checked_add(delay);
    let (message, token) = (Arc::new(Mutex::new(Some(message))), cell.life().child());
    let delayed = Delayed { message: Arc::clone(&message), token: token.clone() };
    let receiver = Arc::downgrade(cell);
    let sender = cell.runtime.spawn(move || {
        let _ = token.run(|| {
            match due {
                Some(due) => thread::sleep_until(due),
                None => thread::sleep(Duration::MAX),
            }
            let message = message.lock().take();
            if let (Some(message), Some(cell)) = (message, receiver.upgrade()) {
                let _ = cell.cast(message, None);
            }
        });
        // If it was ended: outside the lock.
        let unsent = message.lock().take();
        drop(unsent);
    });
    drop(sender);
    delayed
}
