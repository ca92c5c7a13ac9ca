//! The primitives: what each subject is asked to do with its channels and locks.
//!
//! The amount is a number of operations, which the harness raises until a trial is long enough; so it is divided among the green threads here,
//! in the same way for all.

pub(super) mod blocking;
pub(super) mod smol;
pub(super) mod tokio;

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::work::chain;

/// One benchmark of a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Primitive {
    /// Two green threads send a message to and fro; a round trip.
    ChanPingpong,
    /// 4 producers and a consumer on a channel for 1024 messages; a message.
    ChanMpsc,
    /// 4 producers and 4 consumers on a channel for 1024 messages; a message.
    ChanMpmc,
    /// A consumer selects from 4 channels for 16 messages, each with a producer; a message.
    SelectFanIn,
    /// As `ChanPingpong`, each receive limited; a round trip.
    PingpongTimeout,
    /// A message goes through 8 stages, with a channel for 16 messages before each; a message.
    Pipeline,
    /// 32 producers, each with a consumer and a channel for 16 messages; both hash. A message.
    Pairs,
    /// One green thread locks and unlocks.
    MutexUncontended,
    /// 8 green threads add to a number under a lock; an addition.
    MutexContended,
    /// 8 green threads read a number under a lock, and add to it each 32nd time; an operation.
    RwLockReadMostly,
    /// Two green threads wait for their turn with a condition variable; a round trip.
    CondvarHandoff,
    /// 8 green threads yield while they hold one of 4 permits; a permit.
    Semaphore,
}

pub(super) const PRODUCERS: u64 = 4;
pub(super) const CONSUMERS: u64 = 4;
pub(super) const CAPACITY: usize = 1024;
pub(super) const SELECT_CAPACITY: usize = 16;
/// Of `PingpongTimeout`: longer than any round trip.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
pub(super) const STAGES: u64 = 8;
pub(super) const PAIRS: u64 = 32;
pub(super) const CONTENDERS: u64 = 8;
pub(super) const WRITE_EACH: u64 = 32;
pub(super) const PERMITS: usize = 4;

impl Primitive {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ChanPingpong => "chan_pingpong",
            Self::ChanMpsc => "chan_mpsc",
            Self::ChanMpmc => "chan_mpmc",
            Self::SelectFanIn => "select_fan_in",
            Self::PingpongTimeout => "pingpong_timeout",
            Self::Pipeline => "pipeline",
            Self::Pairs => "pairs",
            Self::MutexUncontended => "mutex_uncontended",
            Self::MutexContended => "mutex_contended",
            Self::RwLockReadMostly => "rwlock_read_mostly",
            Self::CondvarHandoff => "condvar_handoff",
            Self::Semaphore => "semaphore",
        }
    }

    /// A count that divides evenly among those who share it.
    pub(crate) fn round(self, count: u64) -> u64 {
        count.next_multiple_of(PAIRS)
    }
}

/// What either side of a pair does for a message: some hashing, of less than a microsecond. Returns one.
pub(super) fn hash_for_message() -> u64 {
    u64::from(!std::hint::black_box(chain(b"message", 8)).is_empty())
}

/// The time of a run, and a number by which to see that all of it was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) time: Duration,
    pub(crate) count: u64,
}

/// What a subject that lacks a primitive answers.
pub(super) fn lacks<T>(primitive: Primitive) -> Result<T> {
    Err(Error::new(format!("no {}", primitive.name())))
}

/// A result of whatever library as one of ours.
pub(super) fn ok<T, E: fmt::Display>(result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|error| Error::new(error.to_string()))
}
