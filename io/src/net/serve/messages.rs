//! Connections that have a stack only while there is something to do.
//!
//! The state of a connection is on the heap. While it is idle nothing of it is on any stack: it waits in the reactor with a
//! foreign waker, which spawns a green thread when something arrives. So idle connections cost a few hundred bytes, and
//! each message may run on another worker, in anchored mode too, since no frame is alive between two of them.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | the green thread that looks after the connection, one at a time | [`attend`](Connection::attend): handler, look, rest |
//! | whoever claims the waker: a worker, the poller thread, who ends the runtime | [`wake_by_ref`](Connection::wake_by_ref) |
//! | who closes idle connections | [`end_if_idle`](Guest::end_if_idle) |
//!
//! # States
//!
//! The session is what makes a connection: its state, in it the stream, and its seat. It is owned, and moves:
//!
//! ```text
//!   attended ──── 1 rest: nothing to read ───▶ resting ── 3 end_if_idle ──▶ ended
//!      │  ▲                                       │                           ▲
//!      │  └──────────── 2 wake_by_ref ────────────┘                           │
//!      └─────────────── 4 the handler said so, failed, or all stops ──────────┘
//! ```
//!
//! While the runtime ends, events leave a session at rest (5), until the reactor closes.
//!
//! # Invariants
//!
//! - **I1** The session is in `rest`, or else one green thread owns it. It is taken out of `rest` under the lock, by one (2, 3).
//! - **I2** While it is in `rest` a waker of ours is in the reactor, or has been claimed and takes it out: it is entered
//!   under the same lock (1), the line has not ended, or its end claims it. So no connection is forgotten; and when the
//!   runtime ends, the reactor claims all wakers, which drop the sessions, and nothing refers to the connections any more.
//!   That is when nothing runs any more: a session that was dropped by a worker before could wait for a green thread of it.
//! - **I3** The handler is run only if there was something to read just before: data, the end, or an error.
//!
//! # Orderings
//!
//! The session is handed over under the lock of `rest`. Before it rests, the seats are asked under that lock whether all
//! stops; `end_if_idle` takes it after that was set. So one of the two ends it. What arrives between a look that found
//! nothing and the entry of the waker is in the readiness word, which refuses to be waited on (`readiness.rs`, I3).
//!
//! Under the lock of `rest` those of the line and of a wait list are taken, never the other way round. Wakers are run, and
//! sessions dropped, under none of them.
//!
//! # Suspension
//!
//! `attend` suspends, in the handler and between messages of one connection, and holds no lock then.
//!
//! # Rejected
//!
//! - *To have a green thread wait, and to give its stack back.* What it stands on cannot be given back.
//! - *A handler that is a state machine, called with bytes.* It could not read and write as it likes, and everything that
//!   takes a stream would have to be written anew.
//! - *To end the rest by time with an entry in the timers.* One more for each message; a look at all connections now and then
//!   costs less.
//! - *To trust the event and not to look again.* See `line.rs`.
//!
//! # Checked by
//!
//! `tests/serve_messages.rs`, `tests/serve_ends.rs`. The words are those of `readiness.rs` and `park.rs`, with their models.

use std::{io, marker::PhantomData, ops::ControlFlow, sync::Arc, task::Wake, time::Instant};

use sward_runtime::{budget, park::Waker, runtime::Handle};

use super::{
    accept::{Service, Visit},
    listener::{Listener, Stream},
    options::Reports,
    seats::{Guest, Seat, Seats},
};
use crate::{
    prim::Mutex,
    source::{Line, Look},
};

/// What all connections of a server share.
pub(super) struct Messages<T, I, H> {
    pub(super) runtime: Handle,
    pub(super) seats: Arc<Seats>,
    pub(super) reports: Reports,
    /// Whether it is of interest since when a connection rests.
    pub(super) is_timed: bool,
    pub(super) init: I,
    pub(super) handler: H,
    pub(super) state: PhantomData<fn() -> T>,
}

struct Connection<T, I, H> {
    service: Arc<Messages<T, I, H>>,
    line: Arc<Line>,
    rest: Mutex<Option<Rest<T>>>,
}

/// A connection that nobody looks after.
struct Rest<T> {
    session: Box<Session<T>>,
    since: Option<Instant>,
}

struct Session<T> {
    state: T,
    // After the state: the seat is free once the connection is closed.
    _seat: Seat,
}

impl<L, T, I, H> Service<L> for Messages<T, I, H>
where
    L: Listener,
    T: Send + 'static,
    I: Fn(L::Stream, L::Addr) -> io::Result<T> + Send + Sync + 'static,
    H: Fn(&mut T) -> io::Result<ControlFlow<()>> + Send + Sync + 'static,
{
    fn receive(self: Arc<Self>, visit: Visit<L>) {
        let Visit { stream, peer, line, seat } = visit;
        let state = self.reports.guard(|| {
            stream.watch()?;
            (self.init)(stream, peer)
        });
        let Some(state) = state else { return };
        let connection = Arc::new(Connection { service: self, line, rest: Mutex::new(None) });
        seat.replace(Arc::clone(&connection) as Arc<dyn Guest>);
        connection.attend(Box::new(Session { state, _seat: seat }));
    }
}

impl<T, I, H> Connection<T, I, H>
where
    T: Send + 'static,
    I: Send + Sync + 'static,
    H: Fn(&mut T) -> io::Result<ControlFlow<()>> + Send + Sync + 'static,
{
    /// Runs the handler while there is something to read, and then lets the connection rest, or ends it.
    fn attend(self: &Arc<Self>, mut session: Box<Session<T>>) {
        let Messages { seats, reports, handler, .. } = &*self.service;
        loop {
            match self.line.look() {
                Look::Gone => break,
                Look::Nothing => match self.rest(session) {
                    None => return,
                    Some(back) => session = back,
                },
                // INVARIANT (I3): looked at just now.
                Look::Something => {
                    budget::spend();
                    let flow = reports.guard(|| handler(&mut session.state));
                    self.line.pass_on();
                    if flow != Some(ControlFlow::Continue(())) {
                        break;
                    }
                }
            }
            if seats.is_stopping() {
                break;
            }
        }
        self.end(session);
    }

    /// (1) Leaves the session to whoever is woken by the next event. Given back if something has happened already, or all
    /// stops.
    fn rest(self: &Arc<Self>, session: Box<Session<T>>) -> Option<Box<Session<T>>> {
        let waker = Waker::foreign(Arc::clone(self).into());
        let since = self.service.is_timed.then(Instant::now);
        let mut rest = self.rest.lock();
        if self.service.seats.is_stopping() || !self.line.wait(waker) {
            drop(rest);
            return Some(session);
        }
        // INVARIANT (I2): under the lock under which the waker was entered.
        *rest = Some(Rest { session, since });
        None
    }

    /// (5) Leaves the session until the reactor closes; ends it if that is so, or if the socket is gone.
    fn rest_on(self: &Arc<Self>, session: Box<Session<T>>) {
        let mut rest = self.rest.lock();
        if self.line.wait_for_end(|| Waker::foreign(Arc::clone(self).into())) {
            // INVARIANT (I2): under the lock under which the waker was entered.
            *rest = Some(Rest { session, since: None });
        } else {
            drop(rest);
            self.end(session);
        }
    }

    /// (3, 4) Closes the connection, which is foreign code.
    fn end(&self, session: Box<Session<T>>) {
        let _ = self.service.reports.guard(|| {
            drop(session);
            Ok(())
        });
    }
}

impl<T, I, H> Wake for Connection<T, I, H>
where
    T: Send + 'static,
    I: Send + Sync + 'static,
    H: Fn(&mut T) -> io::Result<ControlFlow<()>> + Send + Sync + 'static,
{
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// (2) Has somebody look after the connection. When the runtime ends, it ends.
    fn wake_by_ref(self: &Arc<Self>) {
        let rest = self.rest.lock().take();
        // None: it was closed, and the event is for somebody else.
        let Some(Rest { session, .. }) = rest else { return self.line.pass_on() };
        let runtime = &self.service.runtime;
        if runtime.is_ending() {
            // A green thread that is spawned here might never run.
            return self.rest_on(session);
        }
        let this = Arc::clone(self);
        // If it cannot be spawned any more, the session has ended with the closure.
        let _ = runtime.spawn_in_turn(move || this.attend(session));
    }
}

impl<T, I, H> Guest for Connection<T, I, H>
where
    T: Send + 'static,
    I: Send + Sync + 'static,
    H: Fn(&mut T) -> io::Result<ControlFlow<()>> + Send + Sync + 'static,
{
    fn cut(&self) {
        self.line.cut();
    }

    fn end_if_idle(self: Arc<Self>, since: Option<Instant>) {
        let is_due = |rest: &mut Rest<T>| since.is_none_or(|limit| rest.since.is_some_and(|at| at <= limit));
        let rest = self.rest.lock().take_if(is_due);
        if let Some(Rest { session, .. }) = rest {
            let runtime = self.service.runtime.clone();
            if runtime.is_ending() {
                // As above. Whoever called this ends, too, and waits for nothing.
                return self.end(session);
            }
            // What a destructor waits for is waited for by nobody else, and can be cut meanwhile.
            drop(runtime.try_spawn(move || self.end(session)));
        }
    }
}
