//! Deadlocks: when every green thread waits and nothing is left that could wake one.
//!
//! The poller thread looks when it is about to sleep without a limit, that is when all workers have slept for a while: a program that runs never comes here. A
//! first look at what costs nothing rules most out. Then the world is stopped (`world.rs`), and it is judged.
//!
//! Where all OS threads of the process are the runtime's own, or wait in `run` for it, the verdict is certain, and the process aborts with the dump: as in Go, where the same
//! ends it. Another OS thread may hold what wakes a green thread; then it is a warning, once, after a second in which nothing moved.
//!
//! # Roles
//!
//! The poller thread, alone.
//!
//! # Invariants
//!
//! - **Z1** The OS threads are counted before the tasks are looked at, while the world is stopped. Who woke a task and is gone by the count has done so before the look,
//!   which sees it; and while nobody but us is there, nobody is made. So a certain verdict is right, whenever a wake comes.
//! - **Z2** An OS thread in `run` counts as ours from when the green thread that it waits for has started, until that has ended: meanwhile it does nothing but wait.
//!
//! # Checked by
//!
//! `loom-tests/tests/deadlock.rs`, `tests/deadlock.rs`.
//!
//! # Sources
//!
//! Go's `checkdead`.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{
    Shared,
    dump::{Found, Standing},
};
use crate::{
    dump::{Dump, quit},
    park::WaitReason,
    prim::atomic::Ordering::Relaxed,
    thread::State,
};

/// For how long nothing may move before a doubtful deadlock is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// After so long there is another look, if the first could not tell.
const AGAIN: Duration = Duration::from_millis(100);

/// What a look came to.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody goes on, or will.
    Alive,
    /// Nobody will, unless an OS thread outside wakes a green thread.
    Doubtful,
    /// Nobody ever will.
    Certain,
}

/// Judges, given how many OS threads there are besides ours, and whether all tasks wait. In this order (Z1).
pub fn judge(others: impl FnOnce() -> usize, all_wait: impl FnOnce() -> bool) -> Verdict {
    let others = others();
    match (all_wait(), others) {
        (false, _) => Verdict::Alive,
        (true, 0) => Verdict::Certain,
        (true, _) => Verdict::Doubtful,
    }
}

/// What the poller thread remembers between two looks.
pub(super) struct Detector {
    /// How often tasks had been resumed then.
    resumes: u64,
    /// Since when that has not changed.
    since: Instant,
    stage: Stage,
    /// Whether a doubtful one was told.
    has_warned: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    /// It was doubtful.
    Doubted,
    /// There is no more to tell until something moves.
    Done,
}

impl Detector {
    pub(super) fn new() -> Self {
        Self { resumes: 0, since: Instant::now(), stage: Stage::Fresh, has_warned: false }
    }

    /// Looks, when all workers sleep, and tells for how long the poller thread may sleep: `None`: without a limit.
    pub(super) fn look(&mut self, shared: &Shared) -> Option<Duration> {
        if !shared.detects_deadlocks || shared.runs.load(Relaxed) == 0 || is_awaited(shared) {
            return None;
        }
        if !is_still(shared) {
            return Some(AGAIN);
        }
        let remotes = shared.remotes.iter();
        let resumes = remotes.map(|remote| remote.counters.resumes(|| remote.tick.load(Relaxed))).sum();
        if resumes != self.resumes {
            *self = Self { resumes, has_warned: self.has_warned, ..Self::new() };
        }
        let waited = self.since.elapsed();
        match self.stage {
            Stage::Done => return None,
            Stage::Doubted if waited < PATIENCE => return Some(PATIENCE - waited),
            Stage::Fresh | Stage::Doubted => {}
        }
        let Some((verdict, dump)) = examine(shared, self.stage == Stage::Doubted && !self.has_warned) else {
            return Some(AGAIN);
        };
        self.stage = match (verdict, self.stage) {
            (Verdict::Doubtful, Stage::Fresh) => Stage::Doubted,
            _ => Stage::Done,
        };
        match (verdict, dump) {
            (Verdict::Certain, Some(dump)) => {
                quit::write_to_stderr(&format!(
                    "fatal error: a deadlock: every green thread waits, and nothing is left that could wake one\n{dump}"
                ));
                std::process::abort();
            }
            (Verdict::Doubtful, Some(dump)) => {
                self.has_warned = true;
                quit::write_to_stderr(&format!(
                    "warning: perhaps a deadlock: for {PATIENCE:?} every green thread has waited, and only an OS thread of the program \
                 could wake one\n{dump}"
                ));
            }
            _ => {}
        }
        (self.stage == Stage::Doubted).then_some(PATIENCE)
    }
}

/// Whether there is a deadline or a descriptor ahead, whose time or event makes a worker wake.
fn is_awaited(shared: &Shared) -> bool {
    shared.driver.get().is_some_and(|driver| driver.has_sources())
        || shared.remotes.iter().any(|remote| remote.timers.len() != 0)
}

/// Whether nothing is under way that will wake a green thread: no call on the pool, no task that is about to start.
fn is_still(shared: &Shared) -> bool {
    crate::pool::is_idle() && !shared.shortage.load(Relaxed) && !shared.has_visible_work()
}

/// Stops the world, and judges it; with the dump if it is to be told: if it is certain, or else if `tell_doubt`. `None`: it cannot be told, since somebody does not stop, or
/// something has come up.
fn examine(shared: &Shared, tell_doubt: bool) -> Option<(Verdict, Option<Dump>)> {
    let standing = Standing::stop(shared);
    if standing.busy > 0 || standing.is_ending || is_awaited(shared) || !is_still(shared) {
        return None;
    }
    let mut all = Vec::new();
    let verdict = judge(
        || others(shared),
        || {
            all = standing.look();
            let waits =
                |found: &&Found| matches!(found.thread.state, State::Waiting(reason) if is_of_ours(reason));
            all.iter().filter(waits).count() as u64 == shared.live()
        },
    );
    let dump = standing.end(all);
    let is_told = verdict == Verdict::Certain || verdict == Verdict::Doubtful && tell_doubt;
    Some((verdict, is_told.then(|| dump.named())))
}

/// Whether it is another green thread that ends such a wait, as a rule: not something outside of the process.
fn is_of_ours(reason: WaitReason) -> bool {
    use WaitReason::{Accept, Child, Connect, Readable, Signal, Writable};
    !matches!(reason, Accept | Child | Connect | Readable | Signal | Writable)
}

/// How many OS threads there are besides ours. Where they cannot be counted, one.
fn others(shared: &Shared) -> usize {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return 1 };
    // Before ours are: one of ours that ends meanwhile makes it doubtful, not certain.
    let all = threads.count();
    let ours = shared.remotes.started() + 1 // the poller thread
        + shared.runs.load(Relaxed) // Z2
        + crate::pool::metrics().threads
        + usize::from(quit::is_waiting());
    all.saturating_sub(ours)
}
