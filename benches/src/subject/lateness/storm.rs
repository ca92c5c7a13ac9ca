//! Storms: thousands of connections that come at once, or a hundred thousand green threads that are woken at once, beside a tick.
//!
//! For sward, tokio and Go. The tick says what the storm does to who has nothing to do with it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;

use super::{Hogs, Late, TICK_LEN, Ticks};
use crate::sys::monotonic;

/// For so long the tick is alone.
pub(super) const CALM: Duration = Duration::from_millis(100);

/// What comes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Squall {
    /// Connections, each with a message that says when it was begun; a green thread for each reads it.
    Accepts,
    /// Wakes of green threads that wait for the same thing.
    Wakes,
}

impl Squall {
    /// Its name, for peers in other processes.
    pub(in crate::subject) fn name(self) -> &'static str {
        match self {
            Self::Accepts => "accept",
            Self::Wakes => "wake",
        }
    }
}

/// A storm, with a tick beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storm {
    pub(crate) squall: Squall,
    pub(crate) count: usize,
    pub(crate) ticks: Ticks,
    /// How long after the wake, or after the beginning of its connection, each ran.
    pub(crate) late: &'static Late,
    arrived: &'static AtomicUsize,
    began_ns: &'static AtomicU64,
}

impl Storm {
    /// Of so many, beside so many ticks.
    pub(crate) fn new(squall: Squall, count: usize, ticks: usize) -> Self {
        Self {
            squall,
            count,
            ticks: Ticks::new(ticks, Hogs::None),
            late: Late::leaked(count),
            arrived: Box::leak(Box::new(AtomicUsize::new(0))),
            began_ns: Box::leak(Box::new(AtomicU64::new(0))),
        }
    }

    /// One is about to wait.
    fn arrive(self) {
        self.arrived.fetch_add(1, Ordering::Release);
    }

    fn all_have_arrived(self) -> bool {
        self.arrived.load(Ordering::Acquire) == self.count
    }

    /// They are woken from now on.
    fn begin(self) {
        self.began_ns.store(monotonic().as_nanos() as u64, Ordering::Release);
    }

    fn record_wake(self) {
        self.late.record(Duration::from_nanos(self.began_ns.load(Ordering::Acquire)));
    }
}

/// After a time of calm, connects as often and as fast as it can, on an OS thread. The server closes first, and what is left is reset,
/// so that TCP remembers nothing. If it fails, the server waits for connections that do not come, and is given up.
pub(in crate::subject) fn connect_after_calm(address: SocketAddr, count: usize) {
    std::thread::spawn(move || -> io::Result<()> {
        std::thread::sleep(CALM);
        let connect = |_| {
            let due = monotonic();
            let mut stream = TcpStream::connect(address)?;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            stream.write_all(&(due.as_nanos() as u64).to_le_bytes())?;
            Ok(stream)
        };
        let streams = (0..count).map(connect).collect::<io::Result<Vec<_>>>()?;
        for mut stream in streams {
            stream.read_exact(&mut [0; TICK_LEN]).or_else(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(())
    });
}

/// sward.
pub(in crate::subject) mod sward {
    use std::io::Read;
    use std::time::Duration;

    use sward::{
        channel,
        net::TcpListener,
        thread::{sleep, spawn},
    };

    use super::super::{TICK_LEN, blocking, record_tick};
    use super::{CALM, Squall, Storm, connect_after_calm};
    use crate::error::Result;
    use crate::subject::sward::join;

    pub(in crate::subject) fn run(storm: Storm) -> Result<()> {
        match storm.squall {
            Squall::Accepts => accepts(storm),
            Squall::Wakes => wakes(storm),
        }
    }

    fn wakes(storm: Storm) -> Result<()> {
        let (gate, waiting) = channel::bounded::<()>(0);
        let waiter = |_| {
            let waiting = waiting.clone();
            spawn(move || {
                storm.arrive();
                // It never gets a message: the gate is dropped.
                let _ = waiting.recv();
                storm.record_wake();
            })
        };
        let waiters: Vec<_> = (0..storm.count).map(waiter).collect();
        while !storm.all_have_arrived() {
            sleep(Duration::from_millis(1));
        }
        let tick = spawn(move || blocking::sward::tick_by_timer(storm.ticks));
        sleep(CALM);
        storm.begin();
        drop(gate);
        waiters.into_iter().try_for_each(join)?;
        join(tick)
    }

    fn accepts(storm: Storm) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let tick = spawn(move || blocking::sward::tick_by_timer(storm.ticks));
        connect_after_calm(listener.local_addr()?, storm.count);
        let accept = |_| {
            let (mut stream, _) = listener.accept()?;
            Ok(spawn(move || {
                let mut message = [0; TICK_LEN];
                stream.read_exact(&mut message).map(|()| record_tick(storm.late, message))
            }))
        };
        let handlers = (0..storm.count).map(accept).collect::<Result<Vec<_>>>()?;
        for handler in handlers {
            join(handler)??;
        }
        join(tick)
    }
}

/// tokio.
pub(in crate::subject) mod tokio {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::spawn;
    use tokio::sync::Notify;
    use tokio::time::sleep;

    use super::super::{TICK_LEN, record_tick, tokio::tick_by_timer};
    use super::{CALM, Squall, Storm, connect_after_calm};
    use crate::error::Result;
    use crate::subject::primitives::ok;

    pub(in crate::subject) async fn run(storm: Storm) -> Result<()> {
        match storm.squall {
            Squall::Accepts => accepts(storm).await,
            Squall::Wakes => wakes(storm).await,
        }
    }

    async fn wakes(storm: Storm) -> Result<()> {
        let gate = Arc::new(Notify::new());
        let waiter = |_| {
            let gate = Arc::clone(&gate);
            spawn(async move {
                let opened = gate.notified();
                // It gets what is notified from its creation on.
                storm.arrive();
                opened.await;
                storm.record_wake();
            })
        };
        let waiters: Vec<_> = (0..storm.count).map(waiter).collect();
        while !storm.all_have_arrived() {
            sleep(Duration::from_millis(1)).await;
        }
        let tick = spawn(tick_by_timer(storm.ticks));
        sleep(CALM).await;
        storm.begin();
        gate.notify_waiters();
        for waiter in waiters {
            ok(waiter.await)?;
        }
        ok(tick.await)
    }

    async fn accepts(storm: Storm) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let tick = spawn(tick_by_timer(storm.ticks));
        connect_after_calm(listener.local_addr()?, storm.count);
        let mut handlers = Vec::new();
        for _ in 0..storm.count {
            let (mut stream, _) = listener.accept().await?;
            handlers.push(spawn(async move {
                let mut message = [0; TICK_LEN];
                stream.read_exact(&mut message).await.map(|_| record_tick(storm.late, message))
            }));
        }
        for handler in handlers {
            ok(handler.await)??;
        }
        ok(tick.await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_all_are_there(storm: Storm) {
        assert_eq!(storm.late.all().len(), storm.count);
        assert_eq!(storm.ticks.timer.all().len(), storm.ticks.count);
    }

    #[test]
    fn storms_reach_everybody() {
        for squall in [Squall::Accepts, Squall::Wakes] {
            let storm = Storm::new(squall, 50, 120);
            assert!(::sward::run(move || sward::run(storm)).is_ok());
            assert_all_are_there(storm);
            let storm = Storm::new(squall, 50, 120);
            let runtime = ::tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime.expect("threads can be started");
            let ran = runtime.block_on(async { ::tokio::spawn(tokio::run(storm)).await });
            assert!(ran.is_ok_and(|result| result.is_ok()));
            assert_all_are_there(storm);
        }
    }
}
