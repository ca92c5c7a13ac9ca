//! Pauses between attempts of what no event announces.
//!
//! Two operations on Unix sockets wait for room in a queue of somebody else: a connect for the listener's, and a datagram to an
//! address for the receiver's. The kernel lets a call that blocks wait for that, but reports it to no poller. So they are tried
//! again after a pause, which is short at first.
//!
//! # Suspension
//!
//! `until_room` suspends. It may also yield, before the attempt: what has been done is never lost to a cancellation.
//!
//! # Rejected
//!
//! - *Readiness of the sending socket.* A datagram that the receiver's queue has no room for is freed, which reads as room:
//!   the socket is reported writable at each attempt.
//! - *A second socket, connected to the receiver,* is reported when there is room; at six system calls for each wait.
//! - *A thread of the pool that blocks.* It cannot be called back when the green thread is cancelled; and as many of
//!   them as the pool has threads would leave none to whoever is to make room.
//!
//! # Checked by
//!
//! `tests/unix_listener.rs`, `tests/unix_datagram.rs`.

use std::{
    io,
    time::{Duration, Instant},
};

use sward_runtime::{budget, thread};

/// The first pause. The next ones are twice as long each.
const FIRST: Duration = Duration::from_micros(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(20);

/// Tries an operation until it finds room, or the time is up. `waits` says whether it is to wait at all.
pub(super) fn until_room<R>(
    deadline: Option<Instant>,
    waits: impl Fn() -> bool,
    mut attempt: impl FnMut() -> io::Result<R>,
) -> io::Result<R> {
    let mut pause = FIRST;
    loop {
        // Before the attempt, not after it: who is ended here has lost nothing.
        budget::spend();
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && waits() => {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    return Err(error);
                }
                thread::sleep(left.map_or(pause, |left| left.min(pause)));
                pause = (pause * 2).min(LONGEST);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
