//! The reactor: which descriptors are registered, and what the kernel's events mean to them.
//!
//! One per runtime, started when the first operation of that runtime has to wait, and driven by it through the
//! `Driver` trait: the poller thread waits here, and a worker with nothing to do may look. The reactor runs no code
//! of anybody: it turns events into readiness and hands those who wait for it over to the runtime.
//!
//! # Roles
//!
//! | who | does |
//! |---|---|
//! | the poller thread, any worker, any number at once | `wait` |
//! | any thread | `notify`, `has_sources` |
//! | a source, on any green or OS thread | `register`, `deregister` |
//! | what has futures to drop when the runtime ends | `tell_of_close`, `forget` |
//! | the runtime, once | `close` |
//!
//! # States
//!
//! A slot of the slab is 1 filled by `register`, before the kernel knows the descriptor, and 2 emptied by
//! `deregister`, before the kernel forgets it. The reactor is open until 3 `close`.
//!
//! # Invariants
//!
//! - **I1** A key is given out once: its generation is that of this use of the slot. So an event that was on its way
//!   when its source was closed meets an empty slot or a generation of somebody else's, and is ignored, also when
//!   the slot or the number of the descriptor has a new owner.
//! - **I2** A descriptor is registered in the kernel only while its slot is filled, so no event of a source that is
//!   there is ever ignored.
//! - **I3** After `close` no slot is filled any more, and every direction that was in one is shut.
//!
//! # Orderings
//!
//! The slab is under its lock, taken once for all the events of a wait; the locks of wait lists are taken under it,
//! never the other way round. No system call is made under either. `sources` is a hint, `Relaxed`: who sees it too late
//! leaves readiness to the poller thread's next tick.
//!
//! # Suspension
//!
//! `wait` blocks the OS thread that calls it. Nothing here suspends a green thread.
//!
//! # Rejected
//!
//! - *A reactor per process, as in async-io.* Runtimes come and go; a test wants its own.
//! - *Pointers to sources in the kernel's events.* Needs memory that is never freed (Go's `pollCache`) or a grace
//!   period; a lock once per batch costs less than one system call.
//! - *A slab per worker.* Nothing shows that the lock is contended while there is one epoll descriptor below it.
//!
//! # Checked by
//!
//! `tests/tcp_concurrency.rs`, `tests/tcp_runtime.rs`, `sys/tests.rs`.
//!
//! # Sources
//!
//! Go's `netpoll.go`; smol-rs/async-io `reactor.rs`; tokio's `runtime/io/driver.rs`.

use std::{
    fmt, io,
    os::fd::RawFd,
    sync::{Arc, Weak},
    time::Duration,
};

use slab::Slab;
use sward_runtime::{driver::Driver, error::ShutDown, park::Batch, runtime::Handle};

use crate::{
    error::RuntimeClosed,
    prim::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    source::Shared,
    sys::{
        Events, Key, Poller,
        seam::{self, Call},
    },
};

/// The registered sources of one runtime: what its [`Driver`] is.
///
/// A runtime starts one by itself when the first of its sockets has to wait. To hand it to the builder has the same effect,
/// only earlier: what can go wrong goes wrong before anything runs.
///
/// # Examples
///
/// ```
/// use sward_io::Reactor;
/// use sward_runtime::runtime::Builder;
///
/// let runtime = Builder::new().workers(1).driver(Reactor::new).build()?;
/// # drop(runtime);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reactor {
    poller: Poller,
    registry: Mutex<Registry>,
    /// How many slots are filled.
    sources: AtomicUsize,
    /// Whom to tell; `None` after `close`.
    on_close: Mutex<Option<Slab<Weak<dyn OnClose>>>>,
}

/// Is told that the runtime has ended.
pub(crate) trait OnClose: fmt::Debug + Send + Sync {
    /// Nothing of the runtime runs any more.
    fn closed(&self);
}

#[derive(Debug)]
struct Registry {
    slots: Slab<Slot>,
    next_generation: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    shared: Arc<Shared>,
}

impl Reactor {
    /// The reactor of the current runtime: that of the running green thread, or else the default runtime's.
    pub(crate) fn current() -> io::Result<Arc<Self>> {
        let runtime = Handle::current_or_default().map_err(io::Error::other)?;
        runtime.driver(Self::new).map_err(|error| match error.get_ref() {
            // One error for one thing, whether the runtime ended before or after its first wait.
            Some(inner) if inner.is::<ShutDown>() => RuntimeClosed.into(),
            _ => error,
        })
    }

    /// Creates a reactor without sources.
    ///
    /// # Errors
    ///
    /// There are no descriptors left: it takes two.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::driver::Driver;
    ///
    /// assert!(!sward_io::Reactor::new()?.has_sources());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new() -> io::Result<Self> {
        let registry = Registry { slots: Slab::new(), next_generation: 0, is_closed: false };
        let on_close = Mutex::new(Some(Slab::new()));
        let registry = Mutex::new(registry);
        Ok(Self { poller: Poller::new()?, registry, sources: AtomicUsize::new(0), on_close })
    }

    /// Has `whom` told when the runtime has ended. `None`: it has.
    #[cfg(feature = "hyper")]
    pub(crate) fn tell_of_close(&self, whom: Weak<dyn OnClose>) -> Option<usize> {
        self.on_close.lock().as_mut().map(|all| all.insert(whom))
    }

    /// Tells it no more.
    #[cfg(feature = "hyper")]
    pub(crate) fn forget(&self, place: usize) {
        let forgotten = self.on_close.lock().as_mut().and_then(|all| all.try_remove(place));
        drop(forgotten);
    }

    /// (1) Registers a descriptor. What is ready already raises an event.
    pub(crate) fn register(&self, fd: RawFd, shared: Arc<Shared>) -> io::Result<Key> {
        // INVARIANT (I2): the slot is filled before the kernel can report the key.
        let key = self.registry.lock().insert(shared)?;
        self.sources.fetch_add(1, Relaxed);
        let admitted = seam::admit(fd, Call::Register).map_err(io::Error::from);
        match admitted.and_then(|_| self.poller.add(fd, key)) {
            Ok(()) => Ok(key),
            Err(error) => {
                self.vacate(key);
                Err(error)
            }
        }
    }

    /// (2) Deregisters a descriptor, which is still open.
    pub(crate) fn deregister(&self, fd: RawFd, key: Key) {
        self.vacate(key);
        self.poller.remove(fd);
    }

    fn vacate(&self, key: Key) {
        let vacated = self.registry.lock().remove(key);
        if vacated.is_some() {
            self.sources.fetch_sub(1, Relaxed);
        }
        // The slot, and with it perhaps the last reference to its source's state, ends after the lock was released.
        drop(vacated);
    }
}

impl Driver for Reactor {
    fn wait(&self, timeout: Option<Duration>, ready: &mut Batch) -> io::Result<()> {
        let mut events = Events::new();
        self.poller.wait(&mut events, timeout)?;
        let mut sources = events.iter().peekable();
        if sources.peek().is_some() {
            let registry = self.registry.lock();
            // All at once: one after the other, each would be waited for.
            events.iter().filter_map(|(key, _)| registry.find(key)).for_each(|slot| slot.shared.fetch());
            for (key, event) in sources {
                if let Some(slot) = registry.find(key) {
                    slot.shared.signal(event, ready);
                }
            }
        }
        Ok(())
    }

    fn notify(&self) {
        self.poller.notify();
    }

    fn has_sources(&self) -> bool {
        self.sources.load(Relaxed) != 0
    }

    fn close(&self, ready: &mut Batch) {
        let slots = {
            let mut registry = self.registry.lock();
            registry.is_closed = true;
            // INVARIANT (I3): taken out under the lock that set the flag, so `insert` adds none.
            std::mem::take(&mut registry.slots)
        };
        self.sources.fetch_sub(slots.len(), Relaxed);
        for (_, slot) in slots {
            slot.shared.shut(ready);
        }
        // Before foreign code runs, which may wait for those who waited here.
        ready.schedule();
        let on_close = self.on_close.lock().take();
        for (_, whom) in on_close.into_iter().flatten() {
            if let Some(whom) = whom.upgrade() {
                whom.closed();
            }
        }
        self.poller.notify();
    }
}

impl Registry {
    fn insert(&mut self, shared: Arc<Shared>) -> io::Result<Key> {
        if self.is_closed {
            return Err(RuntimeClosed.into());
        }
        let entry = self.slots.vacant_entry();
        let key = Key::new(entry.key(), self.next_generation).ok_or(io::ErrorKind::OutOfMemory)?;
        // INVARIANT (I1): each generation is used once, until the counter wraps after 2^32 registrations.
        self.next_generation = self.next_generation.wrapping_add(1);
        entry.insert(Slot { key, shared });
        Ok(key)
    }

    fn find(&self, key: Key) -> Option<&Slot> {
        self.slots.get(key.index()).filter(|slot| slot.key == key)
    }

    fn remove(&mut self, key: Key) -> Option<Slot> {
        self.find(key)?;
        self.slots.try_remove(key.index())
    }
}

#[cfg(test)]
mod tests;
