//! What green threads wait for.

/// What a green thread waits for, for dumps and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum WaitReason {
    /// It has not run yet.
    NotStarted,
    /// `park`, for an `unpark`.
    Park,
    /// `sleep`.
    Sleep,
    /// `join`, for another green thread's end.
    Join,
    /// The end of a scope's green threads.
    Scope,
    /// `unblock`, for the pool.
    Pool,
    /// Data to read.
    Readable,
    /// Room to write.
    Writable,
    /// A connection to accept.
    Accept,
    /// A connection to be made.
    Connect,
    /// A lock.
    Lock,
    /// A channel.
    Channel,
    /// The others of a wait group.
    Group,
    /// A condition variable.
    Condvar,
    /// The others at a barrier.
    Barrier,
    /// Another thread's initialisation.
    Once,
    /// Permits of a semaphore.
    Semaphore,
    /// A notification.
    Notify,
    /// One of several things.
    Select,
    /// A future.
    Future,
    /// A child process.
    Child,
    /// A signal.
    Signal,
}

impl WaitReason {
    pub(crate) fn from_u8(n: u8) -> Self {
        const ALL: [WaitReason; 22] = [
            WaitReason::NotStarted,
            WaitReason::Park,
            WaitReason::Sleep,
            WaitReason::Join,
            WaitReason::Scope,
            WaitReason::Pool,
            WaitReason::Readable,
            WaitReason::Writable,
            WaitReason::Accept,
            WaitReason::Connect,
            WaitReason::Lock,
            WaitReason::Channel,
            WaitReason::Group,
            WaitReason::Condvar,
            WaitReason::Barrier,
            WaitReason::Once,
            WaitReason::Semaphore,
            WaitReason::Notify,
            WaitReason::Select,
            WaitReason::Future,
            WaitReason::Child,
            WaitReason::Signal,
        ];
        ALL[usize::from(n)]
    }
}
