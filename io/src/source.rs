//! A descriptor that green threads wait on.
//!
//! A source owns its descriptor and runs operations on it: each is tried, and when it would block, the caller waits
//! until the reactor says that it may go on. The first operation that would block registers the descriptor with the
//! reactor of the current runtime, once and for life; a connection that never has to wait is never registered.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | any number of green and OS threads, through `&Source` | [`run`](Source::run), [`wait`](Source::wait) |
//! | who ends a socket in a way that the kernel does not report | [`wake`](Source::wake) |
//! | the reactor, under the lock of its slab | [`Shared::signal`], [`Shared::shut`] |
//! | who serves connections, by a line to the socket | see `line.rs` |
//! | the owner | [`release`](Source::release), drop |
//!
//! # States
//!
//! ```text
//!   unregistered ── 1 register: an operation would block ──▶ registered ── 2 drop, release ──▶ closed
//!        └──────────────── 2 drop, release ────────────────────────────────────────────────────▲
//! ```
//!
//! # Invariants
//!
//! - **I1** Every waker in a direction's list was put there by `Source::wait`, and stands there at most as long as the
//!   `Enqueued` of that call lives, which takes it out, under the lock of the list, unless somebody else has; and it
//!   is declared after the `Waiter` in that frame, so it ends first. Or it is a foreign one, of no frame (`line.rs`, I2; `poll.rs`, P1).
//! - **I2** The descriptor is open as long as the registration lives: the source owns both, and ends the registration
//!   first.
//! - **I3** The descriptor is in non-blocking mode, as far as it is up to us: whoever creates a source saw to it.
//! - **I4** When the source ends nobody waits on it: whoever waits borrows it.
//!
//! # Orderings
//!
//! The registration is published by its `OnceLock`. The rest is in `readiness.rs`.
//!
//! # Suspension
//!
//! `wait` suspends, and so does `run`; no lock is held there, and nothing thread-local is borrowed. `run` may also
//! yield, before the operation: what has been transferred is never lost to a cancellation.
//!
//! # Rejected
//!
//! - *Registering when a socket is created.* A system call and an allocation for connections that may never wait; and
//!   the conversions from `std`'s sockets would have to fail.
//! - *Clones that share one source.* `std`'s clones are descriptors of their own: each can be converted, passed on or
//!   closed. Two directions of one descriptor need no clones here anyway.
//! - *A pointer to the operation's buffer in the waiter, filled by the reactor.* That is io_uring's job.
//! - *To trust the kernel's reports everywhere.* Who writes to a Unix socket whose buffer is full is told neither that its own
//!   end was shut down for writing nor that the peer's was for reading, and of room only when a quarter is left taken. A call
//!   that blocks ends in all three cases. So such operations also look now and then (`Operation::looking`).
//!
//! # Checked by
//!
//! `tests/tcp_concurrency.rs`, `tests/tcp_clone.rs`, `tests/udp_concurrency.rs`, `tests/unix_concurrency.rs`, `tests/socket_convert.rs`,
//! `loom-tests/tests/readiness.rs`.
//!
//! # Sources
//!
//! Go's `internal/poll/fd_unix.go`; smol-rs/async-io `reactor.rs`.
#![expect(unsafe_code, reason = "claims of waiters, which I1 keeps alive")]

mod line;
#[cfg(any(feature = "futures", feature = "hyper", feature = "tokio"))]
pub(crate) mod poll;

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use socket2::SockRef;
use sward_runtime::{
    budget, cancel,
    park::{Batch, Claimed, Outcome, WaitReason, Waiter, Waker},
};

use crate::{
    direction::{Direction, Ticket},
    error::RuntimeClosed,
    options::{Options, deadline_in},
    prim::{self, Mutex},
    reactor::Reactor,
    readiness::Snapshot,
    sys::{Event, Key, SHORT_MEANS_EMPTY},
};

use self::line::LineEnd;
pub(crate) use self::line::{Line, Look};

/// A direction in which to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
}

/// What an operation waits for, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) interest: Interest,
    pub(crate) reason: WaitReason,
    pub(crate) limit: Limit,
    /// Whether to try again now and then, because the kernel does not report all that ends the wait.
    pub(crate) looks: bool,
}

/// When a wait ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// As the socket's timeout and deadline for this direction say.
    Timeout,
    /// Then, or never.
    Deadline(Option<Instant>),
}

impl Operation {
    pub(crate) const READ: Self = Self::new(Interest::Read, WaitReason::Readable);
    pub(crate) const WRITE: Self = Self::new(Interest::Write, WaitReason::Writable);
    pub(crate) const ACCEPT: Self = Self::new(Interest::Read, WaitReason::Accept);
    pub(crate) const CHILD: Self = Self::new(Interest::Read, WaitReason::Child);

    const fn new(interest: Interest, reason: WaitReason) -> Self {
        Self { interest, reason, limit: Limit::Timeout, looks: false }
    }

    /// The same, until a deadline that does not come from the options.
    pub(crate) const fn until(self, deadline: Option<Instant>) -> Self {
        Self { limit: Limit::Deadline(deadline), ..self }
    }

    /// The same for a socket of which the kernel does not report all that ends the wait.
    pub(crate) const fn looking(self) -> Self {
        Self { looks: true, ..self }
    }

    pub(crate) const fn connect(deadline: Option<Instant>) -> Self {
        Self::new(Interest::Write, WaitReason::Connect).until(deadline)
    }
}

/// When an operation that looks does so first. The time doubles with each look.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// The longest time between looks.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// A descriptor and its place in a reactor.
#[derive(Debug)]
pub(crate) struct Source<T: AsFd> {
    // This and the next are declared before `io`, so dropped before it (I1 of `line.rs`, I2).
    line: Option<LineEnd>,
    registration: OnceLock<Registration>,
    /// Held by whoever registers, so that nobody registers twice.
    registering: Mutex<()>,
    /// Made when first set or shared.
    options: OnceLock<Arc<Options>>,
    /// Whether to believe what a short transfer says: not of a socket from elsewhere that is none of the type's own kind.
    short_means_empty: bool,
    io: T,
}

// A panic leaves nothing of a source half done: no lock is held while foreign code runs.
impl<T: AsFd> UnwindSafe for Source<T> {}
impl<T: AsFd> RefUnwindSafe for Source<T> {}

impl<T: AsFd> Source<T> {
    /// Takes a socket that is in non-blocking mode (I3).
    pub(crate) fn new(io: T) -> Self {
        Self {
            line: None,
            registration: OnceLock::new(),
            registering: Mutex::new(()),
            options: OnceLock::new(),
            short_means_empty: SHORT_MEANS_EMPTY,
            io,
        }
    }

    /// Takes a socket from elsewhere: makes it non-blocking (I3) and takes over its timeouts. It may be of another kind than the type says,
    /// such as one that keeps messages apart, of which a read gives one at most; `is_own_kind` says.
    pub(crate) fn adopt(io: T, is_own_kind: impl FnOnce(BorrowedFd<'_>) -> bool) -> Self {
        let mut source = Self::new(io);
        source.short_means_empty &= is_own_kind(source.io.as_fd());
        let socket = SockRef::from(&source.io);
        // These fail only if the descriptor is no open socket, which every operation on it will report.
        let _ = socket.set_nonblocking(true);
        let timeouts = [(Interest::Read, socket.read_timeout()), (Interest::Write, socket.write_timeout())];
        for (interest, timeout) in timeouts {
            if let Ok(timeout @ Some(_)) = timeout {
                let _ = source.options().set_timeout(interest, timeout);
            }
        }
        source
    }

    /// Takes a duplicate of the descriptor, which shares this one's options.
    pub(crate) fn share_with(&self, io: T) -> Self {
        let options = OnceLock::from(Arc::clone(self.options()));
        Self { options, short_means_empty: self.short_means_empty, ..Self::new(io) }
    }

    /// Takes a connection that was accepted from this listener, in non-blocking mode (I3): it is of the same kind.
    pub(crate) fn accepted<C: AsFd>(&self, io: C) -> Source<C> {
        Source { short_means_empty: self.short_means_empty, ..Source::new(io) }
    }

    /// (2) Gives the socket back as `std` would have it: with its timeouts, and blocking unless told otherwise.
    pub(crate) fn release(self) -> T {
        let options = self.options.clone();
        let io = self.into_io();
        let socket = SockRef::from(&io);
        // As in `adopt`, an error here is one that every operation will report.
        if let Some(options) = options.get() {
            let _ = socket.set_read_timeout(options.timeout(Interest::Read));
            let _ = socket.set_write_timeout(options.timeout(Interest::Write));
        }
        let _ = socket.set_nonblocking(options.get().is_some_and(|options| options.is_nonblocking()));
        io
    }

    /// (2) Gives the descriptor back as it is: in non-blocking mode.
    pub(crate) fn into_io(self) -> T {
        // The descriptor is still open (I1 of `line.rs`, I2).
        drop(self.line);
        drop(self.registration);
        self.io
    }

    /// The socket, for what never waits.
    pub(crate) fn io(&self) -> &T {
        &self.io
    }

    /// The options, made if need be.
    pub(crate) fn options(&self) -> &Arc<Options> {
        self.options.get_or_init(|| Arc::new(Options::new()))
    }

    /// How long operations in this direction wait.
    pub(crate) fn timeout(&self, interest: Interest) -> Option<Duration> {
        self.options.get().and_then(|options| options.timeout(interest))
    }

    /// When a wait in this direction that begins now ends, by its timeout or its deadline.
    pub(crate) fn end_of_wait(&self, interest: Interest) -> Option<Instant> {
        let options = self.options.get()?;
        let end = options.timeout(interest).and_then(deadline_in);
        end.into_iter().chain(options.deadline(interest)).min()
    }

    /// Fails if the deadline of this direction has passed.
    #[inline]
    pub(crate) fn check_deadline(&self, interest: Interest) -> io::Result<()> {
        match self.options.get().and_then(|options| options.deadline(interest)) {
            Some(deadline) if deadline <= Instant::now() => Err(time_is_up()),
            _ => Ok(()),
        }
    }

    /// Whether operations return `WouldBlock` instead of waiting.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.options.get().is_some_and(|options| options.is_nonblocking())
    }

    /// Wakes whoever waits in a direction of this source, for something that the kernel does not report.
    pub(crate) fn wake(&self, interest: Interest) {
        let direction = self.registration.get().map(|registration| registration.shared.direction(interest));
        if let Some(claimed) = direction.and_then(|direction| direction.signal(false, claim)) {
            claimed.schedule();
        }
    }

    /// Whether this direction may have ended: the kernel has said so, or it would have told nobody.
    pub(crate) fn may_have_ended(&self, interest: Interest) -> bool {
        let is_held = |shared: &Shared| shared.direction(interest).readiness().load().is_held();
        !SHORT_MEANS_EMPTY || self.registration.get().is_none_or(|registration| is_held(&registration.shared))
    }

    /// Runs an operation to its end: tries it while the source is ready, and waits while it is not.
    ///
    /// `attempt` is the operation: one system call that does not block. `is_short` says of its result that the kernel
    /// had no more to give or to take.
    #[inline]
    pub(crate) fn run<R>(
        &self,
        operation: Operation,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
        is_short: impl FnOnce(&R) -> bool,
    ) -> io::Result<R> {
        // Before the operation, not after it: who is ended here has lost nothing.
        budget::spend();
        if matches!(operation.limit, Limit::Timeout) {
            self.check_deadline(operation.interest)?;
        }
        let mut turn = Turn { deadline: None, look: FIRST_LOOK, is_last: false, baton: None };
        loop {
            let direction =
                self.registration.get().map(|registration| registration.shared.direction(operation.interest));
            // Before the system call that it vouches for.
            let seen = direction.map_or(Snapshot::UNREGISTERED, |direction| direction.readiness().load());
            if let Some(direction) = direction
                && !seen.is_to_be_tried()
                && self.wait(direction, seen, operation, &mut turn)?
            {
                continue;
            }
            match attempt(&self.io) {
                Ok(result) => {
                    if let Some(direction) = direction
                        && self.short_means_empty
                        && is_short(&result)
                    {
                        direction.readiness().clear_after_short(seen);
                    }
                    return Ok(result);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked(error, direction.map(|direction| (direction, seen)), operation.interest)?;
                    if turn.is_last {
                        return Err(time_is_up());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until there is something to try. `false`: nothing was reported, but try all the same, because the socket is
    /// not to wait, or it is time to look, or the time is up: as in `std`, what is there is had then too, although the
    /// reactor may be late to tell of it.
    #[inline(never)]
    fn wait<'a>(
        &'a self,
        direction: &'a Direction<Waker>,
        seen: Snapshot,
        operation: Operation,
        turn: &mut Turn<'a>,
    ) -> io::Result<bool> {
        if seen.is_shut() {
            // Who is to end with the runtime ends, instead of handling an error.
            cancel::check();
            return Err(RuntimeClosed.into());
        }
        if self.is_nonblocking() {
            return Ok(false);
        }
        turn.baton = None;
        let deadline = *turn.deadline.get_or_insert_with(|| self.deadline(operation));
        let look = operation.looks.then(|| turn.next_look()).flatten();
        match Enqueued::wait(direction, operation.reason, look.into_iter().chain(deadline).min()) {
            Ok(baton) => {
                turn.baton = baton;
                Ok(true)
            }
            Err(error) if error.raw_os_error() == time_is_up().raw_os_error() => {
                turn.is_last = look.is_none_or(|look| deadline.is_some_and(|deadline| deadline <= look));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Sees to it that an operation which would block can be waited for.
    #[cold]
    fn blocked(
        &self,
        error: io::Error,
        seen: Option<(&Direction<Waker>, Snapshot)>,
        interest: Interest,
    ) -> io::Result<()> {
        if let Some((direction, seen)) = seen {
            direction.readiness().clear_after_would_block(seen);
        }
        if self.is_nonblocking() {
            return Err(error);
        }
        match seen {
            Some(_) => Ok(()),
            // As in `wait`: a runtime that is ending starts no reactor.
            None => self.register(interest).inspect_err(|_| cancel::check()),
        }
    }

    /// (1) Registers the descriptor with the reactor of the current runtime. The direction in which it would just have
    /// blocked starts empty: if something came since, the kernel reports it as soon as it knows the descriptor.
    fn register(&self, blocked: Interest) -> io::Result<()> {
        let _registering = self.registering.lock();
        if self.registration.get().is_some() {
            return Ok(());
        }
        let reactor = Reactor::current()?;
        let fd = self.io.as_fd().as_raw_fd();
        let shared = Arc::new(Shared::new(blocked != Interest::Read, blocked != Interest::Write));
        let key = reactor.register(fd, Arc::clone(&shared))?;
        self.registration.get_or_init(|| Registration { reactor, key, fd, shared });
        Ok(())
    }

    fn deadline(&self, operation: Operation) -> Option<Instant> {
        match operation.limit {
            Limit::Timeout => self.end_of_wait(operation.interest),
            Limit::Deadline(deadline) => deadline,
        }
    }
}

/// What an operation in progress has come by.
struct Turn<'a> {
    /// Known since the first wait.
    deadline: Option<Option<Instant>>,
    /// How long until the next look.
    look: Duration,
    /// The time is up, so the next attempt is the last.
    is_last: bool,
    /// Held since it was woken; passed on when the operation ends, however it ends.
    baton: Option<Baton<'a>>,
}

impl Turn<'_> {
    /// When to look, if nothing happens before.
    fn next_look(&mut self) -> Option<Instant> {
        let look = deadline_in(self.look);
        self.look = (self.look * 2).min(LAST_LOOK);
        look
    }
}

/// What `std` returns when the kernel's own timeout ends a wait.
fn time_is_up() -> io::Error {
    io::Error::from_raw_os_error(libc::EAGAIN)
}

/// The duty of an operation that was woken: to wake the next if it leaves something behind.
pub(crate) struct Baton<'a>(&'a Direction<Waker>);

impl Drop for Baton<'_> {
    fn drop(&mut self) {
        if let Some(next) = self.0.pass_on(claim) {
            next.schedule();
        }
    }
}

/// A waiter in a direction's list.
pub(crate) struct Enqueued<'a> {
    direction: &'a Direction<Waker>,
    ticket: Ticket,
}

impl<'a> Enqueued<'a> {
    /// Waits for the next event. `None`: there has been one.
    pub(crate) fn wait(
        direction: &'a Direction<Waker>,
        reason: WaitReason,
        deadline: Option<Instant>,
    ) -> io::Result<Option<Baton<'a>>> {
        // SAFETY: used up in this function, which begins no other wait.
        let mut waiter = unsafe { Waiter::fallible(reason) };
        let Some(ticket) = direction.enqueue(waiter.waker()) else { return Ok(None) };
        // INVARIANT (I1): ends before `waiter` does.
        let enqueued = Self { direction, ticket };
        match waiter.wait_fallibly(deadline) {
            Outcome::Woken => {
                // INVARIANT (I1): who claimed it took it out.
                mem::forget(enqueued);
                Ok(Some(Baton(direction)))
            }
            Outcome::TimedOut => Err(time_is_up()),
            Outcome::Cancelled => {
                drop(enqueued);
                Err(cancel::fail())
            }
        }
    }
}

impl Drop for Enqueued<'_> {
    fn drop(&mut self) {
        if !self.direction.remove(self.ticket) {
            // Whoever took it out may have left the duty to a waiter that will not run on.
            drop(Baton(self.direction));
        }
    }
}

/// A descriptor's place in a reactor.
#[derive(Debug)]
struct Registration {
    reactor: Arc<Reactor>,
    key: Key,
    fd: RawFd,
    shared: Arc<Shared>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.reactor.deregister(self.fd, self.key);
    }
}

/// What the reactor knows of a source.
#[derive(Debug)]
pub(crate) struct Shared {
    read: Direction<Waker>,
    write: Direction<Waker>,
}

impl Shared {
    /// Creates the two directions, each assumed ready or seen to be not.
    pub(crate) fn new(readable: bool, writable: bool) -> Self {
        Self { read: Direction::new(readable), write: Direction::new(writable) }
    }

    /// Has the cache fetch it, for an event that is on its way.
    pub(crate) fn fetch(&self) {
        prim::fetch(std::ptr::from_ref(self).addr(), size_of::<Self>());
    }

    /// Records an event and claims those that it wakes.
    pub(crate) fn signal(&self, event: Event, ready: &mut Batch) {
        if event.readable
            && let Some(claimed) = self.read.signal(event.read_held, claim)
        {
            ready.push(claimed);
        }
        if event.writable
            && let Some(claimed) = self.write.signal(event.write_held, claim)
        {
            ready.push(claimed);
        }
    }

    /// Ends both directions and claims all that wait.
    pub(crate) fn shut(&self, ready: &mut Batch) {
        self.read.shut(claim, |claimed| ready.push(claimed));
        self.write.shut(claim, |claimed| ready.push(claimed));
    }

    /// What is known of reading and of writing.
    #[cfg(test)]
    pub(crate) fn is_ready(&self) -> (bool, bool) {
        (self.read.readiness().load().is_ready(), self.write.readiness().load().is_ready())
    }

    /// Whether both directions have ended.
    #[cfg(test)]
    pub(crate) fn is_shut(&self) -> bool {
        [&self.read, &self.write].iter().all(|direction| direction.readiness().load().is_shut())
    }

    fn direction(&self, interest: Interest) -> &Direction<Waker> {
        match interest {
            Interest::Read => &self.read,
            Interest::Write => &self.write,
        }
    }
}

/// Claims a waiter of a direction's list. Only for a `Direction` to call.
pub(crate) fn claim(waker: &Waker) -> Option<Claimed> {
    // SAFETY:
    // 1. The direction calls this under the lock of the list in which the waker stands (`direction.rs`, I1).
    // 2. The waiter takes itself out under that lock before its frame ends, or has none (I1).
    unsafe { waker.claim() }
}
