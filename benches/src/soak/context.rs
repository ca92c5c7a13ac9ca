//! What a load is given: to start threads that are accounted for, to count what it does, and to say what is wrong.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle as OsJoinHandle;
use std::time::{Duration, Instant};

use sward::cancel::Cancelled;
use sward::runtime::Handle;
use sward::sync::oneshot;
use sward::thread::{self, JoinHandle};

use super::random::Random;
use super::report::{Kind, Report};

/// By then all that is dropped in the background has been dropped.
const SETTLED: Duration = Duration::from_secs(10);

/// What the loads of an episode share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) episode: u64,
    pub(crate) seed: u64,
    pub(crate) handle: Handle,
    pub(crate) report: Arc<Report>,
    /// The loads are to come to an end.
    is_over: AtomicBool,
    /// The runtime is dropped in their midst.
    is_ending: AtomicBool,
    spawned: AtomicU64,
    joined: AtomicU64,
    abandoned: AtomicU64,
    tracked: AtomicI64,
    outsiders: Mutex<Vec<OsJoinHandle<()>>>,
}

impl Shared {
    pub(crate) fn new(episode: u64, seed: u64, handle: Handle, report: Arc<Report>) -> Self {
        Self {
            episode,
            seed,
            handle,
            report,
            is_over: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            spawned: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            tracked: AtomicI64::new(0),
            outsiders: Mutex::default(),
        }
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    pub(crate) fn end_amid(&self) {
        self.is_ending.store(true, SeqCst);
    }

    /// Joins the OS threads that the loads have started. Those that start others have done so by then, or are joined here themselves.
    pub(crate) fn join_outsiders(&self) {
        loop {
            let next = self.outsiders.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(outsider) = next else { return };
            // A panic was told by the hook.
            drop(outsider.join());
        }
    }

    /// What is wrong, when the runtime has gone and nothing should be left.
    pub(crate) fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        // A runtime that was dropped on a green thread ends a little later.
        let start = Instant::now();
        while self.tracked.load(SeqCst) != 0 && start.elapsed() < SETTLED {
            std::thread::sleep(Duration::from_millis(5));
        }
        let tracked = self.tracked.load(SeqCst);
        if tracked != 0 {
            flaws.push(format!("{tracked} messages and closures of green threads were never dropped"));
        }
        let live = self.handle.live();
        if live != 0 {
            flaws.push(format!("{live} green threads are left of a runtime that has gone"));
        }
        let [spawned, joined, abandoned] =
            [&self.spawned, &self.joined, &self.abandoned].map(|count| count.load(SeqCst));
        if !self.is_ending.load(SeqCst) && spawned != joined + abandoned {
            flaws.push(format!(
                "of {spawned} green threads {joined} were joined, and {abandoned} left by those that were unwound"
            ));
        }
        flaws
    }
}

/// An episode, as one of its loads sees it.
#[derive(Clone, Debug)]
pub(crate) struct Ctx(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    load: &'static str,
    seed: u64,
    progress: AtomicU64,
    is_done: AtomicBool,
}

impl Ctx {
    pub(crate) fn new(shared: Arc<Shared>, load: &'static str) -> Self {
        let name = load.bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
        let seed = Random::of(Random::of(shared.seed, shared.episode).next(), name).next();
        let (progress, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(Inner { shared, load, seed, progress, is_done }))
    }

    pub(crate) fn load(&self) -> &'static str {
        self.0.load
    }

    /// The runtime.
    pub(crate) fn handle(&self) -> &Handle {
        &self.0.shared.handle
    }

    /// A stream of random numbers for the `n`th part of the load.
    pub(crate) fn random(&self, n: u64) -> Random {
        Random::of(self.0.seed, n)
    }

    /// Whether the load is to come to an end.
    pub(crate) fn is_over(&self) -> bool {
        self.0.shared.is_over.load(Relaxed) || self.is_ending()
    }

    /// Whether the runtime is dropped in the midst of the load: then sockets close, and nobody answers.
    pub(crate) fn is_ending(&self) -> bool {
        self.0.shared.is_ending.load(SeqCst)
    }

    /// Does something again and again, with short rests, until the load is to end.
    pub(crate) fn repeat(&self, random: &mut Random, mut f: impl FnMut(&mut Random)) {
        while !self.is_over() {
            f(random);
            self.progress();
            match random.within(0..=3) {
                0 => thread::sleep(random.micros(1..=5_000)),
                _ => thread::yield_now(),
            }
        }
    }

    /// Says that something was done. A load that says so for half a minute no more has lost a wake.
    pub(crate) fn count(&self, kind: Kind, n: u64) {
        self.0.shared.report.count(kind, n);
        self.progress();
    }

    pub(crate) fn progress(&self) {
        self.0.progress.fetch_add(1, Relaxed);
    }

    /// How far it has come; `None`: it is done.
    pub(crate) fn look(&self) -> Option<u64> {
        (!self.0.is_done.load(SeqCst)).then(|| self.0.progress.load(Relaxed))
    }

    pub(crate) fn set_done(&self) {
        self.0.is_done.store(true, SeqCst);
    }

    /// Tells of something that must never be.
    pub(crate) fn violation(&self, what: impl fmt::Display) {
        let shared = &self.0.shared;
        shared.report.violation(&format_args!("episode {}, {}: {what}", shared.episode, self.0.load));
    }

    /// Tells of something that must not be, unless the runtime is being dropped.
    pub(crate) fn amiss(&self, what: impl fmt::Display) {
        if !self.is_ending() {
            self.violation(what);
        }
    }

    /// The value; an error is amiss.
    pub(crate) fn expect<T, E: fmt::Display>(&self, what: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.amiss(format_args!("{what}: {error}"))).ok()
    }

    /// An error is a violation, whatever else goes on.
    pub(crate) fn check<E: fmt::Display>(&self, what: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.violation(format_args!("{what}: {error}"));
        }
    }

    /// A value whose drop is awaited.
    pub(crate) fn tracked(&self) -> Tracked {
        self.0.shared.tracked.fetch_add(1, Relaxed);
        Tracked(Arc::clone(&self.0.shared))
    }

    /// A green thread, which must be joined.
    #[track_caller]
    pub(crate) fn spawn<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        self.spawn_on(self.handle(), f)
    }

    /// The same, on another runtime.
    #[track_caller]
    pub(crate) fn spawn_on<T: Send + 'static>(
        &self,
        handle: &Handle,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Task<T> {
        let tracked = self.tracked();
        self.0.shared.spawned.fetch_add(1, Relaxed);
        self.count(Kind::Tasks, 1);
        let handle = handle.spawn(move || {
            let _tracked = tracked;
            f()
        });
        Task { handle: Some(handle), is_joined: false, ctx: self.clone() }
    }

    /// An OS thread outside the runtime, which is joined at the end of the episode.
    pub(crate) fn outside<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Outsider<T> {
        self.count(Kind::Outsiders, 1);
        let (sender, receiver) = oneshot::channel();
        let name = format!("soak-{}", self.0.load);
        // The receiver may have been unwound.
        let body = move || drop(sender.send(f()));
        match std::thread::Builder::new().name(name).spawn(body) {
            Ok(thread) => {
                self.0.shared.outsiders.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            }
            Err(error) => self.violation(format_args!("an OS thread could not be started: {error}")),
        }
        Outsider(receiver)
    }

    /// Waits for a while that ends early when the load is to end.
    pub(crate) fn rest(&self, duration: Duration) {
        let step = Duration::from_millis(20);
        let mut left = duration;
        while !left.is_zero() && !self.is_over() {
            thread::sleep(left.min(step));
            left = left.saturating_sub(step);
        }
    }
}

/// Counts as alive until it is dropped.
#[derive(Debug)]
pub(crate) struct Tracked(Arc<Shared>);

impl Drop for Tracked {
    fn drop(&mut self) {
        self.0.tracked.fetch_sub(1, Relaxed);
    }
}

/// A message with a number, whose drop is awaited.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) number: usize,
    _tracked: Tracked,
}

impl Message {
    pub(crate) fn new(ctx: &Ctx, number: usize) -> Self {
        Self { number, _tracked: ctx.tracked() }
    }
}

/// A green thread of a load.
#[derive(Debug)]
pub(crate) struct Task<T> {
    handle: Option<JoinHandle<T>>,
    is_joined: bool,
    ctx: Ctx,
}

/// How a green thread has ended.
#[derive(Debug)]
pub(crate) enum End<T> {
    Returned(T),
    Cancelled,
    Panicked(Box<dyn Any + Send>),
}

impl<T> Task<T> {
    /// Waits for the end of one that may panic, or is cancelled.
    pub(crate) fn end(mut self) -> End<T> {
        let handle = self.handle.take().expect("it is taken here only");
        let result = handle.join();
        self.is_joined = true;
        self.ctx.0.shared.joined.fetch_add(1, Relaxed);
        self.ctx.progress();
        match result {
            Ok(value) => End::Returned(value),
            Err(payload) if payload.is::<Cancelled>() => End::Cancelled,
            Err(payload) => End::Panicked(payload),
        }
    }

    /// Waits for the result. None is a violation, unless the runtime is being dropped.
    pub(crate) fn join(self) -> Option<T> {
        let ctx = self.ctx.clone();
        match self.end() {
            End::Returned(value) => return Some(value),
            End::Cancelled => ctx.amiss("a green thread ended as cancelled, and nobody cancelled it"),
            // The hook has told the rest.
            End::Panicked(_) => ctx.violation("a green thread panicked"),
        }
        None
    }

    pub(crate) fn cancel(&self) {
        self.thread().cancel();
    }

    pub(crate) fn thread(&self) -> &thread::Thread {
        self.handle.as_ref().expect("it is taken at the end").thread()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if !self.is_joined && thread::panicking() {
            self.ctx.0.shared.abandoned.fetch_add(1, Relaxed);
        }
    }
}

/// Joins them all, and checks that they returned.
pub(crate) fn join_all<T>(tasks: impl IntoIterator<Item = Task<T>>) -> Vec<T> {
    tasks.into_iter().filter_map(Task::join).collect()
}

/// An OS thread of a load.
#[derive(Debug)]
pub(crate) struct Outsider<T>(oneshot::Receiver<T>);

impl<T> Outsider<T> {
    /// Waits for its result, without blocking a worker. `None`: it panicked.
    pub(crate) fn join(self) -> Option<T> {
        self.0.recv().ok()
    }
}
