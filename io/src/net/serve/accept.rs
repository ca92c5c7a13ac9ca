//! Accepting for a server: who does it, and what becomes of errors.
//!
//! A green thread for each worker accepts, placed on the workers in turn. Of those that wait one is woken for each
//! connection, and the next by that one if there are more. Each connection gets a green thread at once, on the worker whose
//! turn it is.
//!
//! One that is woken may be on a worker that is stuck in foreign code. So none waits with a seat, and those that wait, for a connection or for a seat,
//! also look now and then (`Operation::looking`, [`Seats::wait_for_one`]): accepting is late by half a second at most, as long as one worker is not stuck.
//!
//! # Roles
//!
//! One green thread each runs [`accept_all`]. They share the listener, which is closed when the last of them ends.
//!
//! # Orderings
//!
//! Those of `seats.rs` and of `acceptor.rs`.
//!
//! # Suspension
//!
//! `accept_all` suspends, and holds neither a seat nor a lock then.
//!
//! # Rejected
//!
//! - *One green thread that accepts.* It competes with the connections of its worker, and a burst of connections waits for
//!   that one worker. `SO_REUSEPORT` would spread a burst too, and lose what is in the queue of a listener that is closed.
//! - *To accept first and to take the seat then.* A connection that is accepted and not served is worse than one in the
//!   queue: its peer believes that it is talked to.
//! - *A descriptor in reserve, to accept and hang up when there are none left.* The peer would try again at once, in
//!   place of waiting in the queue.
//!
//! # Checked by
//!
//! `tests/serve.rs`, `tests/serve_starved.rs`.

use std::{cell::Cell, io, sync::Arc, time::Duration};

use sward_runtime::{placement, runtime::Handle, thread};

use super::{
    listener::{Listener, Stream},
    options::{Reports, ServeError},
    seats::{Acceptor, Guest, Seat, Seats},
};
use crate::{error::RuntimeClosed, source::Line};

/// How long to wait after an error that may come again at once.
const PAUSE: Duration = Duration::from_millis(10);

/// What is done with connections.
pub(super) trait Service<L: Listener>: Send + Sync + 'static {
    /// Looks after a connection. Called on a green thread of its own.
    fn receive(self: Arc<Self>, visit: Visit<L>);
}

/// A connection that was accepted.
pub(super) struct Visit<L: Listener> {
    pub(super) stream: L::Stream,
    pub(super) peer: L::Addr,
    pub(super) line: Arc<Line>,
    // After the stream: the seat is free once the connection is closed.
    pub(super) seat: Seat,
}

impl Guest for Line {
    fn cut(&self) {
        Self::cut(self);
    }

    fn end_if_idle(self: Arc<Self>, _since: Option<std::time::Instant>) {
        // Somebody looks after it as long as it is there.
    }
}

/// Starts to accept, on every worker of a runtime.
pub(super) fn start<L: Listener>(
    listener: Arc<L>,
    runtime: &Handle,
    seats: &Arc<Seats>,
    reports: &Reports,
    service: Arc<impl Service<L>>,
) {
    let acceptors: Vec<_> = (0..runtime.workers()).map(|_| Acceptor::new(seats)).collect();
    let (starter, reports) = (Acceptor::new(seats), reports.clone());
    runtime.spawn(move || {
        // Dropped in the reverse order: the listener is closed before the list of acceptors is empty.
        let _starter = starter;
        let listener = listener;
        for acceptor in acceptors {
            let (listener, service) = (Arc::clone(&listener), Arc::clone(&service));
            let reports = reports.clone();
            placement::spread_next_spawn();
            thread::spawn(move || accept_all(acceptor, listener, &reports, &service));
        }
    });
}

/// Accepts until it is over. The listener is dropped before the acceptor, as the order of the parameters has it.
fn accept_all<L: Listener>(
    acceptor: Acceptor,
    listener: Arc<L>,
    reports: &Reports,
    service: &Arc<impl Service<L>>,
) {
    let seats = acceptor.seats();
    let seat = Cell::new(None);
    let enter = || {
        let taken = seats.try_take();
        let is_taken = taken.is_some();
        seat.set(taken);
        is_taken
    };
    while seats.wait_for_one() {
        let (stream, peer) = match listener.accept_if(&enter, &|| seat.set(None)) {
            Ok(Some(accepted)) => accepted,
            Ok(None) => continue,
            Err(error) => {
                // It is not `leave`'s if the error came after the accept.
                seat.set(None);
                let remedy = remedy(&error);
                if remedy == Remedy::GiveUp {
                    acceptor.fail(io::Error::new(error.kind(), error.to_string()));
                }
                if remedy != Remedy::Pause || seats.fall_short() {
                    reports.tell(ServeError::Accept(error));
                }
                match remedy {
                    Remedy::GoOn => continue,
                    Remedy::GiveUp => break,
                    Remedy::Pause => {
                        thread::sleep(PAUSE);
                        continue;
                    }
                }
            }
        };
        seats.recover();
        let seat = seat.take().expect("a connection was accepted with a seat");
        receive(stream, peer, seat, service);
    }
}

/// Has a connection looked after.
fn receive<L: Listener>(
    mut stream: L::Stream,
    peer: L::Addr,
    mut seat: Seat,
    service: &Arc<impl Service<L>>,
) {
    let line = stream.line();
    if seat.admit(Arc::clone(&line) as Arc<dyn Guest>) {
        let service = Arc::clone(service);
        thread::spawn(move || service.receive(Visit { stream, peer, line, seat }));
    }
}

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// It was that connection's.
    GoOn,
    /// It would come again at once.
    Pause,
    /// It will come again for ever.
    GiveUp,
}

fn remedy(error: &io::Error) -> Remedy {
    if error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>()) {
        return Remedy::GiveUp;
    }
    match error.raw_os_error() {
        // Ours: a peer whose address cannot be told.
        None if error.kind() == io::ErrorKind::InvalidInput => Remedy::GoOn,
        Some(libc::ECONNABORTED | libc::EPROTO | libc::EPERM | libc::ETIMEDOUT) => Remedy::GoOn,
        // No listener: closed by foreign code, or shut down.
        Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EOPNOTSUPP) => Remedy::GiveUp,
        _ => Remedy::Pause,
    }
}
