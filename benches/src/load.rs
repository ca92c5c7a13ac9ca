//! The load generator: a closed loop over many connections, one request in flight on each.
//!
//! Each of its threads runs an epoll loop over its share of the connections. It speaks to every subject in the same
//! way, from a process of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::error::{Error, Result};
use crate::work::{self, MESSAGE_LEN, Message};

/// What to send, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    /// The work that the answers must prove; none means an echo.
    pub(crate) iterations: Option<u32>,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What came back during the measured time.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    /// Nanoseconds from a request's write until its answer was read.
    pub(crate) latencies: Histogram<u64>,
}

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// How many connections are opened before their first answers are awaited: less than any server's backlog.
const OPEN_AT_ONCE: usize = 64;

/// How long the loop waits for any answer before it gives up.
const SILENCE: Duration = Duration::from_secs(10);

/// Generates load; `at_boundary` is called right when the measured time begins and when it ends.
pub(crate) fn generate(plan: &Plan, mut at_boundary: impl FnMut() -> Result<()>) -> Result<Load> {
    let (opened, phase) = (AtomicUsize::new(0), AtomicU8::new(WARM_UP));
    std::thread::scope(|scope| {
        let shares = (0..plan.threads).map(|thread| (thread..plan.connections).step_by(plan.threads));
        let threads: Vec<_> =
            shares.map(|share| scope.spawn(|| work_share(plan, share, &opened, &phase))).collect();
        let mut boundaries = || {
            while opened.load(Ordering::Relaxed) < plan.threads {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(plan.warm_up);
            at_boundary()?;
            phase.store(MEASURE, Ordering::Relaxed);
            let start = Instant::now();
            std::thread::sleep(plan.duration);
            let elapsed = start.elapsed();
            phase.store(STOP, Ordering::Relaxed);
            at_boundary()?;
            Ok(elapsed)
        };
        let elapsed: Result<Duration> = boundaries();
        phase.store(STOP, Ordering::Relaxed);
        let mut latencies = empty_histogram()?;
        for thread in threads {
            let part = thread.join().map_err(|_| Error::new("a load generator thread panicked"))??;
            latencies.add(part).map_err(|error| Error::new(error.to_string()))?;
        }
        Ok(Load { elapsed: elapsed?, latencies })
    })
}

fn empty_histogram() -> Result<Histogram<u64>> {
    let minute = 60_000_000_000;
    Histogram::new_with_bounds(100, minute, 3).map_err(|error| Error::new(error.to_string()))
}

/// One connection with its one request in flight.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request: Message,
    expected: Message,
    answer: [u8; 4 * MESSAGE_LEN],
    filled: usize,
    sent: Instant,
}

impl Connection {
    /// Opens connections, blocking, and makes one round trip on each. A group has been accepted before the next one
    /// connects, so no queue of the kernel overflows.
    fn open_all(plan: &Plan, share: impl Iterator<Item = usize>) -> Result<Vec<Self>> {
        let numbers: Vec<usize> = share.collect();
        let mut all = Vec::with_capacity(numbers.len());
        for group in numbers.chunks(OPEN_AT_ONCE) {
            let opened = group.iter().map(|&number| Self::open(plan, number)).collect::<Result<Vec<_>>>()?;
            for (mut stream, request, expected) in opened {
                let mut answer = [0; MESSAGE_LEN];
                stream.read_exact(&mut answer)?;
                if answer != expected {
                    return Err(Error::new("the server gave a wrong answer"));
                }
                stream.set_nonblocking(true)?;
                let stream = TcpStream::from_std(stream);
                let answer = [0; 4 * MESSAGE_LEN];
                all.push(Self { stream, request, expected, answer, filled: 0, sent: Instant::now() });
            }
        }
        Ok(all)
    }

    /// Connects and sends the first request.
    fn open(plan: &Plan, number: usize) -> Result<(std::net::TcpStream, Message, Message)> {
        let mut request = [0x5a; MESSAGE_LEN];
        request[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let expected = plan.iterations.map_or(request, |iterations| work::answer(&request, iterations));
        let mut stream = std::net::TcpStream::connect(plan.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.write_all(&request)?;
        Ok((stream, request, expected))
    }

    fn send(&mut self) -> Result<()> {
        // The socket's buffer is empty: one request is in flight at a time.
        let count = self.stream.write(&self.request)?;
        if count < MESSAGE_LEN { Err(Error::new("a request was cut short")) } else { Ok(()) }
    }

    /// Reads what is there; returns whether the answer is complete. The buffer is longer than an answer, so a short
    /// read says that the socket is drained.
    fn receive(&mut self) -> Result<bool> {
        loop {
            match self.stream.read(&mut self.answer[self.filled..]) {
                Ok(0) => return Err(Error::new("the server closed a connection")),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if self.filled >= MESSAGE_LEN {
                break;
            }
        }
        if self.answer[..self.filled] != self.expected {
            return Err(Error::new("the server gave a wrong answer"));
        }
        self.filled = 0;
        Ok(true)
    }
}

/// The loop of one thread over its share of the connections.
fn work_share(
    plan: &Plan,
    share: impl Iterator<Item = usize>,
    opened: &AtomicUsize,
    phase: &AtomicU8,
) -> Result<Histogram<u64>> {
    let connections = Connection::open_all(plan, share);
    // Also when that failed: nobody shall wait for this thread.
    opened.fetch_add(1, Ordering::Relaxed);
    let mut connections = connections?;
    let mut latencies = empty_histogram()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    for (index, connection) in connections.iter_mut().enumerate() {
        poll.registry().register(&mut connection.stream, Token(index), Interest::READABLE)?;
        connection.send()?;
    }
    loop {
        match poll.poll(&mut events, Some(SILENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        let now_phase = phase.load(Ordering::Relaxed);
        if now_phase == STOP {
            return Ok(latencies);
        }
        if events.is_empty() {
            return Err(Error::new(format!("the server was silent for {SILENCE:?}")));
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            if !connection.receive()? {
                continue;
            }
            let now = Instant::now();
            if now_phase == MEASURE {
                latencies.saturating_record((now - connection.sent).as_nanos() as u64);
            }
            connection.sent = now;
            connection.send()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn plan(address: SocketAddr) -> Plan {
        let (warm_up, duration) = (Duration::from_millis(20), Duration::from_millis(50));
        Plan { address, connections: 3, threads: 2, iterations: None, warm_up, duration }
    }

    fn serve(change: u8) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut message = [0; MESSAGE_LEN];
                    while stream.read_exact(&mut message).is_ok() {
                        message[9] ^= change;
                        if stream.write_all(&message).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    #[test]
    fn load_counts_what_an_echo_server_answers() {
        let mut boundaries = 0;
        let load = generate(&plan(serve(0)), || {
            boundaries += 1;
            Ok(())
        });
        assert!(
            load.is_ok_and(|load| load.latencies.len() > 10 && load.elapsed >= Duration::from_millis(50))
        );
        assert_eq!(boundaries, 2);
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let load = generate(&plan(serve(1)), || Ok(()));
        assert!(load.is_err_and(|error| error.to_string().contains("wrong answer")));
    }
}
