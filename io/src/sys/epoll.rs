//! Readiness on Linux: epoll, spoken to directly.
//!
//! One epoll descriptor for the whole reactor, and one event descriptor that interrupts whoever waits. No timer
//! descriptor: `epoll_pwait2` takes nanoseconds. A wait is one system call.
//!
//! # Roles
//!
//! Any thread may call anything at any time, several threads at once.
//!
//! # States
//!
//! The notifier is quiet or rung (`notified`). 1 `notify` rings it once, however often it is called; 2 the wait that
//! would block and collects its event makes it quiet again; 3 a look that collects its event by accident rings again.
//!
//! # Invariants
//!
//! - **I1** `epoll` and `notifier` are open as long as the poller lives: it owns them.
//! - **I2** After a successful wait, the first `len` entries of `Events` were written by the kernel.
//! - **I3** While `notified` is set, the notifier's event is pending in epoll or in the hands of one caller of `wait`,
//!   who will either clear the flag and return (a wait that blocks) or ring again (a look).
//!
//! # Orderings
//!
//! `notified` is written by swaps, `AcqRel`, on both sides: what a caller of `notify` did before it is visible to the
//! thread whose wait it ended, also when its own ring was saved because another was pending (I3): then the clear
//! comes after its swap in the order of that flag. `coarse` is a hint, `Relaxed`.
//!
//! # Suspension
//!
//! `wait` blocks the OS thread. It runs on workers and on the poller thread, never on a green thread.
//!
//! # Rejected
//!
//! - *The `polling` crate here too.* It does not ask for `EPOLLRDHUP`, without which a short read must not clear
//!   readiness: the end of the stream may have come with the data, and no later edge would tell. It lets one thread
//!   wait at a time, and spends 3 to 5 system calls on a wait (timer descriptor, re-arming both, reading the notifier).
//! - *Reading the notifier.* Edge-triggered, each write raises an event of its own; only a counter about to overflow,
//!   after 2^64 rings, must be read.
//! - *A level-triggered notifier.* Every look would find it, and it must be read.
//! - *A pointer to the source in the event.* Needs the memory of closed sources to outlive every event on its way.
//!
//! # Checked by
//!
//! `sys/tests.rs`, `tests/`.
//!
//! # Sources
//!
//! epoll(7), epoll_wait(2), tcp(7); Go's `netpoll_epoll.go`.
#![expect(unsafe_code, reason = "system calls")]

use std::{
    fmt, hint, io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr, slice,
    time::Duration,
};

use libc::{c_int, epoll_event};

use super::{Event, Key};
use crate::prim::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Relaxed},
};

/// After a short transfer the kernel raises an edge as soon as there is more, and `EPOLLRDHUP` tells the end.
pub(crate) const SHORT_MEANS_EMPTY: bool = true;

/// The notifier's key, which no source has.
const NOTIFIER_KEY: usize = usize::MAX;

/// How many events one wait collects at most: 3 KiB on the stack of whoever waits.
const CAPACITY: usize = 256;

/// What every descriptor is registered for; hang-up and error are always reported.
const INTEREST: c_int = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET;

/// An epoll descriptor and what interrupts it.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    notifier: OwnedFd,
    /// A ring of the notifier is under way (I3).
    notified: AtomicBool,
    /// The kernel has no `epoll_pwait2` (before 5.11): timeouts are in milliseconds.
    coarse: AtomicBool,
}

impl Poller {
    /// Creates an empty poller with its notifier.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call above just made this descriptor, and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        // SAFETY: takes no pointer.
        let notifier = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the call above just made this descriptor, and nobody else has it.
        let notifier = unsafe { OwnedFd::from_raw_fd(notifier) };
        let poller =
            Self { epoll, notifier, notified: AtomicBool::new(false), coarse: AtomicBool::new(false) };
        let interest = libc::EPOLLIN | libc::EPOLLET;
        poller.control(libc::EPOLL_CTL_ADD, poller.notifier.as_raw_fd(), interest, NOTIFIER_KEY)?;
        Ok(poller)
    }

    /// Registers a descriptor in both directions; what is ready already raises an event.
    pub(crate) fn add(&self, fd: RawFd, key: Key) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, INTEREST, key.0)
    }

    /// Deregisters a descriptor. That it is not registered any more is no error: somebody closed it behind our back.
    pub(crate) fn remove(&self, fd: RawFd) {
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    /// Collects events, for at most `timeout`.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.len = 0;
        events.len = match self.collect(&mut events.list, timeout) {
            Ok(collected) => collected,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        if events.as_slice().iter().any(is_notification) {
            if timeout == Some(Duration::ZERO) {
                // (3) Meant for a thread that waits: this one would not have.
                self.ring();
            } else {
                // (2) Pairs with the swap in `notify`.
                self.notified.swap(false, AcqRel);
            }
        }
        Ok(())
    }

    /// Makes the current or else the next wait that would block return.
    pub(crate) fn notify(&self) {
        // (1) Pairs with the swap in `wait`.
        if !self.notified.swap(true, AcqRel) {
            self.ring();
        }
    }

    /// The wait itself: one system call, the cheapest that can tell this timeout.
    fn collect(
        &self,
        list: &mut [MaybeUninit<epoll_event>; CAPACITY],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        match timeout {
            None => self.collect_ms(list, -1),
            Some(Duration::ZERO) => self.collect_ms(list, 0),
            Some(timeout) if !self.coarse.load(Relaxed) => match self.collect_ns(list, timeout) {
                // Before Linux 5.11, or a filter that predates it.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.coarse.store(true, Relaxed);
                    self.collect_ms(list, ceil_ms(timeout))
                }
                result => result,
            },
            Some(timeout) => self.collect_ms(list, ceil_ms(timeout)),
        }
    }

    /// `epoll_pwait`: milliseconds, -1 for ever. By number, since the C library's is a place where a thread may be cancelled, which costs two
    /// exchanges.
    fn collect_ms(
        &self,
        list: &mut [MaybeUninit<epoll_event>; CAPACITY],
        timeout_ms: c_int,
    ) -> io::Result<usize> {
        let (epoll, events, sigmask) =
            (self.epoll.as_raw_fd(), list.as_mut_ptr(), ptr::null::<libc::sigset_t>());
        // SAFETY:
        // 1. The descriptor is open (I1); the kernel writes at most `CAPACITY` entries, which `list` has.
        // 2. A null mask leaves the signals as they are.
        let collected = unsafe {
            libc::syscall(libc::SYS_epoll_pwait, epoll, events, CAPACITY, timeout_ms, sigmask, 0_usize)
        };
        usize::try_from(collected).map_err(|_| io::Error::last_os_error())
    }

    /// `epoll_pwait2`: nanoseconds. Called by number, so that programs link where the C library is older than it.
    fn collect_ns(
        &self,
        list: &mut [MaybeUninit<epoll_event>; CAPACITY],
        timeout: Duration,
    ) -> io::Result<usize> {
        let Ok(seconds) = i64::try_from(timeout.as_secs()) else { return self.collect_ms(list, -1) };
        let timeout = KernelTimespec { seconds, nanoseconds: timeout.subsec_nanos().into() };
        let (epoll, events) = (self.epoll.as_raw_fd(), list.as_mut_ptr());
        let (timeout, sigmask) = (ptr::from_ref(&timeout), ptr::null::<libc::sigset_t>());
        // SAFETY:
        // 1. The descriptor is open (I1); the kernel writes at most `CAPACITY` entries, which `list` has.
        // 2. `timeout` points to a live timespec in the kernel's layout; a null mask leaves the signals as they are.
        let collected = unsafe {
            libc::syscall(libc::SYS_epoll_pwait2, epoll, events, CAPACITY, timeout, sigmask, 0_usize)
        };
        usize::try_from(collected).map_err(|_| io::Error::last_os_error())
    }

    /// Raises an event on the notifier.
    fn ring(&self) {
        let one = 1_u64;
        let notifier = self.notifier.as_raw_fd();
        loop {
            // SAFETY: the descriptor is open (I1), and `one` is 8 bytes.
            let written = unsafe { libc::write(notifier, ptr::from_ref(&one).cast(), size_of_val(&one)) };
            if written >= 0 {
                return;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                // The counter would overflow: empty it.
                io::ErrorKind::WouldBlock => self.drain(),
                _ => unreachable!("an event descriptor of our own cannot be written to: {error}"),
            }
        }
    }

    /// Sets the notifier's counter back to zero.
    #[cold]
    fn drain(&self) {
        let mut count = 0_u64;
        let notifier = self.notifier.as_raw_fd();
        // SAFETY: the descriptor is open (I1), and `count` is 8 bytes. That there is nothing to read is fine.
        unsafe { libc::read(notifier, ptr::from_mut(&mut count).cast(), size_of_val(&count)) };
    }

    /// `epoll_ctl`.
    fn control(&self, operation: c_int, fd: RawFd, interest: c_int, key: usize) -> io::Result<()> {
        let mut event = epoll_event { events: interest.cast_unsigned(), u64: key as u64 };
        // SAFETY: the descriptor is open (I1), `event` lives; whatever `fd` is, the kernel checks it.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &raw mut event) })?;
        Ok(())
    }
}

/// `struct __kernel_timespec`: 64 bits on every architecture, unlike the C library's.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

/// What one wait collected.
pub(crate) struct Events {
    list: [MaybeUninit<epoll_event>; CAPACITY],
    len: usize,
}

impl Events {
    /// Creates room for the events of one wait, on the stack and without touching it.
    pub(crate) fn new() -> Self {
        // Were it a constant, all of it would be one, and the 3 KiB be filled before each wait.
        let none = hint::black_box(0);
        Self { list: [MaybeUninit::uninit(); CAPACITY], len: none }
    }

    /// What was reported about whom, the notifier left out.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, Event)> {
        let sources = self.as_slice().iter().filter(|event| !is_notification(event));
        sources.map(|event| (Key(event.u64 as usize), decode(event.events.cast_signed())))
    }

    fn as_slice(&self) -> &[epoll_event] {
        // SAFETY: the kernel wrote the first `len` entries (I2).
        unsafe { slice::from_raw_parts(self.list.as_ptr().cast(), self.len) }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Whether this is the notifier's event.
fn is_notification(event: &epoll_event) -> bool {
    event.u64 == NOTIFIER_KEY as u64
}

/// Tells the directions apart. Hang-up and error concern both: each may have an error to fetch.
fn decode(flags: c_int) -> Event {
    let broken = flags & (libc::EPOLLHUP | libc::EPOLLERR) != 0;
    let read_held = broken || flags & (libc::EPOLLRDHUP | libc::EPOLLPRI) != 0;
    Event {
        readable: read_held || flags & libc::EPOLLIN != 0,
        writable: broken || flags & libc::EPOLLOUT != 0,
        read_held,
        write_held: broken,
    }
}

/// Rounds up, so that a wait is never shorter than asked for.
fn ceil_ms(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}

/// The result of a system call.
fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
