//! What others may touch of each worker, spares among them.
//!
//! A spare's part is made when it is first started, so that one that is never needed costs a pointer.
//!
//! # Invariants
//!
//! - **N1** Workers are numbered in the order in which they are started, and every number below `started` has its part; none is ever
//!   taken away. `started` is raised by the poller thread only, and taken back by it if the thread could not be started.
//!
//! # Orderings
//!
//! `started` is raised with Release, after the part was made, and read with Acquire.

use std::{ops::Index, sync::OnceLock};

use crossbeam_deque::Stealer;
use crossbeam_utils::CachePadded;

use super::{hands::Hands, sleeper::Sleeper, worker::Worker};
use crate::{
    metrics::Counters,
    prim::{
        Mutex,
        atomic::{
            AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    queue::{deque::Deque, inbox::Inbox},
    task::{Header, TaskRef},
    timer::Timers,
};

/// What others may touch of one worker.
pub(crate) struct Remote {
    /// Counts its switches. Others read it to see whether it is stuck.
    pub(crate) tick: AtomicU32,
    /// Whether it is asked to look around at its next tick.
    pub(crate) poke: AtomicBool,
    /// Whether it is asked to give its seat to one that waits for it; with `poke`.
    pub(crate) pass: AtomicBool,
    /// A task that has not started, or one that roams; taken by its worker, or by a thief if the worker is stuck.
    pub(crate) run_next: AtomicPtr<Header>,
    pub(crate) inbox: Inbox<Header>,
    pub(crate) spawned: Stealer<TaskRef>,
    pub(crate) woken: Stealer<TaskRef>,
    /// The other ends of these two, until the worker takes them.
    deques: Mutex<Option<Deques>>,
    pub(crate) timers: Timers,
    pub(crate) sleeper: Sleeper,
    /// Tasks spawned here, and finished here. Written by the worker alone.
    pub(crate) spawns: AtomicU64,
    pub(crate) ends: AtomicU64,
    /// How many ready tasks lived there when it looked last. Written by the worker alone.
    pub(crate) local: AtomicUsize,
    pub(crate) counters: Counters,
    /// What the worker has its hands on, once it has begun; valid while its loop runs.
    pub(crate) hands: AtomicPtr<Hands<Header>>,
    /// The worker itself, in the same way: for who looks while it stands.
    pub(super) worker: AtomicPtr<Worker>,
    /// The kernel's number of its OS thread.
    pub(crate) os_thread: AtomicI32,
    /// Whether a task of it was in the middle of its unwinding when it stopped last.
    pub(crate) unwinds: AtomicBool,
    /// Whether the task that it runs is to be judged when it suspends, see `aside.rs`.
    pub(crate) accused: AtomicBool,
    /// The poller thread's tick at which it was last found stuck.
    pub(crate) stalled: AtomicU32,
    /// For the scan of stacks: where the thread-locals of its OS thread lie.
    #[cfg(stack_scan)]
    pub(crate) tls: OnceLock<std::ops::Range<usize>>,
}

/// `spawned` and `woken`, as their worker has them.
pub(super) type Deques = (Deque, Deque);

impl Default for Remote {
    fn default() -> Self {
        let (spawned, woken) = (Deque::newest_first(), Deque::oldest_first());
        Self {
            tick: AtomicU32::new(0),
            poke: AtomicBool::new(false),
            pass: AtomicBool::new(false),
            run_next: AtomicPtr::default(),
            inbox: Inbox::default(),
            spawned: spawned.stealer(),
            woken: woken.stealer(),
            deques: Mutex::new(Some((spawned, woken))),
            timers: Timers::default(),
            sleeper: Sleeper::default(),
            spawns: AtomicU64::new(0),
            ends: AtomicU64::new(0),
            local: AtomicUsize::new(0),
            counters: Counters::default(),
            hands: AtomicPtr::default(),
            worker: AtomicPtr::default(),
            os_thread: AtomicI32::new(0),
            unwinds: AtomicBool::new(false),
            accused: AtomicBool::new(false),
            // Long ago.
            stalled: AtomicU32::new(u32::MAX / 2),
            #[cfg(stack_scan)]
            tls: OnceLock::new(),
        }
    }
}

impl Remote {
    /// Takes the worker's ends of its deques: once, by the worker.
    pub(super) fn take_deques(&self) -> Deques {
        self.deques.lock().take().expect("a worker starts once")
    }

    /// Takes the run-next task, if there is one.
    #[inline]
    pub(crate) fn take_run_next(&self) -> Option<TaskRef> {
        if self.run_next.load(Relaxed).is_null() {
            return None;
        }
        let task = std::ptr::NonNull::new(self.run_next.swap(std::ptr::null_mut(), Acquire))?;
        // SAFETY: the slot owned a reference, which the swap took out once.
        Some(unsafe { TaskRef::from_raw(task) })
    }

    /// Whether there is something in its deques.
    pub(crate) fn has_visible_work(&self) -> bool {
        !self.spawned.is_empty() || !self.woken.is_empty()
    }
}

/// All of them. See the module.
pub(crate) struct Remotes {
    regular: Box<[CachePadded<Remote>]>,
    spares: Box<[OnceLock<Box<CachePadded<Remote>>>]>,
    started: AtomicUsize,
}

impl Remotes {
    /// Of `regular` workers, and of as many as `spares` more.
    pub(super) fn new(regular: usize, spares: usize) -> Self {
        Self {
            regular: (0..regular).map(|_| CachePadded::default()).collect(),
            spares: (0..spares).map(|_| OnceLock::new()).collect(),
            started: AtomicUsize::new(regular),
        }
    }

    /// How many the runtime was built with.
    #[inline]
    pub(crate) fn regular(&self) -> usize {
        self.regular.len()
    }

    /// How many there may be.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.regular.len() + self.spares.len()
    }

    /// How many have been started.
    #[inline]
    pub(crate) fn started(&self) -> usize {
        self.started.load(Acquire)
    }

    /// Makes the part of the next spare (N1). The poller thread only.
    pub(super) fn open(&self) {
        let spare = self.started.load(Relaxed);
        self.spares[spare - self.regular()].get_or_init(Box::default);
        self.started.store(spare + 1, Release);
    }

    /// Takes that back. The poller thread only.
    pub(super) fn close(&self) {
        self.started.store(self.started.load(Relaxed) - 1, Release);
    }

    /// Those of all workers that have been started.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Remote> {
        (0..self.started()).map(|worker| &self[worker])
    }

    #[cold]
    fn spare(&self, worker: usize) -> &Remote {
        self.spares[worker - self.regular.len()].get().expect("every number below `started` has its part")
    }
}

impl Index<usize> for Remotes {
    type Output = Remote;

    #[inline]
    fn index(&self, worker: usize) -> &Remote {
        match self.regular.get(worker) {
            Some(remote) => remote,
            None => self.spare(worker),
        }
    }
}
