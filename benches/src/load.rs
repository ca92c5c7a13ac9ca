//! The load generator: a closed loop over many connections, one request in flight on each; or an open one, see [`open_loop`].
//!
//! Each of its threads runs an epoll loop over its share of the connections. It speaks to every subject in the same
//! way, from a process of its own.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::churn;
use crate::error::{Error, Result};
use crate::open_loop;
use crate::work::{self, MESSAGE_LEN, Message};

/// What to send, and where.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) exchange: Exchange,
    pub(crate) warm_up: Duration,
    /// How long answers are only counted, between the warm-up and the measured time.
    pub(crate) counting: Duration,
    pub(crate) duration: Duration,
    /// How many requests are due each second, in an open loop; otherwise each connection sends when it has its answer.
    pub(crate) rate: Option<f64>,
}

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Udp(SocketAddr),
}

/// What is sent, and what has to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The same.
    Echo,
    /// What that many iterations of SHA-256 make of it.
    Hashes(u32),
    /// A plain text, for a request of HTTP/1.1.
    Http,
    /// The same, on a new connection each time, which the server closes.
    Churn,
}

/// What came back during the measured time.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    /// Nanoseconds from a request's write until its answer was read.
    pub(crate) latencies: Histogram<u64>,
}

/// What is going on, for the threads of the load generator.
#[derive(Debug)]
pub(crate) struct Phase {
    /// The threads that have opened their connections.
    opened: AtomicUsize,
    /// The answers that came in the time of counting.
    counted: AtomicU64,
    now: AtomicU8,
}

/// The turns of a load, as who asked for it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Answers are counted from now on.
    Counting,
    /// So many were.
    Counted(u64),
    /// The measured time begins.
    Begin,
    /// It has ended.
    End,
}

const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// The text that HTTP servers answer with.
pub(crate) const PLAIN_TEXT: &[u8] = b"Hello, World!";

const WARM_UP: u8 = 0;
const COUNT: u8 = 1;
const MEASURE: u8 = 2;
const STOP: u8 = 3;

/// How many connections are opened before their first answers are awaited: less than any server's backlog.
const OPEN_AT_ONCE: usize = 64;

/// How long the loop waits for any answer before it gives up.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

impl Phase {
    fn new() -> Self {
        Self { opened: AtomicUsize::new(0), counted: AtomicU64::new(0), now: AtomicU8::new(WARM_UP) }
    }

    /// Called by each thread once it has opened its connections, or has failed to.
    pub(crate) fn has_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.now.load(Ordering::Relaxed) == STOP
    }

    /// Puts down how long an answer took, if the measured time has begun.
    pub(crate) fn record(&self, latencies: &mut Histogram<u64>, latency: Duration) {
        match self.now.load(Ordering::Relaxed) {
            MEASURE => latencies.saturating_record(latency.as_nanos() as u64),
            COUNT => drop(self.counted.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}

/// Generates load; `at_turn` is called right at each turn.
pub(crate) fn generate(plan: &Plan, mut at_turn: impl FnMut(Turn) -> Result<()>) -> Result<Load> {
    let phase = Phase::new();
    let work_share = |thread: usize| match plan.exchange {
        Exchange::Churn => {
            let connections = (thread..plan.connections).step_by(plan.threads).len();
            churn::work_share(plan, connections, &phase)
        }
        _ => match plan.rate {
            Some(rate) => open_loop::work_share(plan, thread, &phase, rate),
            None => work_share(plan, thread, &phase),
        },
    };
    std::thread::scope(|scope| {
        let work_share = &work_share;
        let threads: Vec<_> =
            (0..plan.threads).map(|thread| scope.spawn(move || work_share(thread))).collect();
        let mut boundaries = || {
            while phase.opened.load(Ordering::Relaxed) < plan.threads {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(plan.warm_up);
            at_turn(Turn::Counting)?;
            phase.now.store(COUNT, Ordering::Relaxed);
            std::thread::sleep(plan.counting);
            phase.now.store(WARM_UP, Ordering::Relaxed);
            at_turn(Turn::Counted(phase.counted.load(Ordering::Relaxed)))?;
            at_turn(Turn::Begin)?;
            phase.now.store(MEASURE, Ordering::Relaxed);
            let start = Instant::now();
            std::thread::sleep(plan.duration);
            let elapsed = start.elapsed();
            phase.now.store(STOP, Ordering::Relaxed);
            at_turn(Turn::End)?;
            Ok(elapsed)
        };
        let elapsed: Result<Duration> = boundaries();
        phase.now.store(STOP, Ordering::Relaxed);
        let mut latencies = empty_histogram()?;
        for thread in threads {
            let part = thread.join().map_err(|_| Error::new("a load generator thread panicked"))??;
            latencies.add(part).map_err(|error| Error::new(error.to_string()))?;
        }
        Ok(Load { elapsed: elapsed?, latencies })
    })
}

pub(crate) fn empty_histogram() -> Result<Histogram<u64>> {
    let minute = 60_000_000_000;
    Histogram::new_with_bounds(100, minute, 3).map_err(|error| Error::new(error.to_string()))
}

/// Waits for events; an error if there are none for long.
pub(crate) fn wait(poll: &mut Poll, events: &mut Events) -> Result<()> {
    loop {
        match poll.poll(events, Some(SILENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        if events.is_empty() {
            return Err(Error::new(format!("the server was silent for {SILENCE:?}")));
        }
        return Ok(());
    }
}

impl Target {
    /// Opens a socket, which blocks, but not for ever.
    fn connect(&self) -> Result<OwnedFd> {
        Ok(match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(SILENCE))?;
                stream.into()
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(SILENCE))?;
                stream.into()
            }
            Self::Udp(address) => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.connect(address)?;
                socket.set_read_timeout(Some(SILENCE))?;
                socket.into()
            }
        })
    }
}

/// What an answer has to be.
#[derive(Debug)]
enum Expected {
    Exactly(Message),
    /// A response of HTTP/1.1 that has gone well, and ends with [`PLAIN_TEXT`].
    PlainText,
}

impl Expected {
    /// Whether this is all of the answer. An error if it is not what was asked for.
    fn is_met(&self, answer: &[u8]) -> Result<bool> {
        let (is_complete, is_right) = match self {
            Self::Exactly(message) => (answer.len() >= MESSAGE_LEN, answer == message),
            Self::PlainText => {
                let text = answer.strip_suffix(PLAIN_TEXT);
                let is_complete = text.is_some_and(|head| head.ends_with(b"\r\n\r\n"));
                (is_complete, answer.starts_with(b"HTTP/1.1 200 "))
            }
        };
        if is_complete && !is_right {
            return Err(Error::new("the server gave a wrong answer"));
        }
        Ok(is_complete)
    }
}

/// One connection with its one request in flight.
#[derive(Debug)]
pub(crate) struct Connection {
    /// A socket, of whatever kind. It blocks; but it is only read once there is something, and then until the answer is complete.
    stream: File,
    request: Vec<u8>,
    expected: Expected,
    answer: [u8; 512],
    filled: usize,
    sent: Instant,
}

impl Connection {
    /// Opens connections and makes one round trip on each. A group has been accepted before the next one connects, so no
    /// queue of the kernel overflows.
    pub(crate) fn open_all(plan: &Plan, share: impl Iterator<Item = usize>) -> Result<Vec<Self>> {
        let numbers: Vec<usize> = share.collect();
        let mut all = Vec::with_capacity(numbers.len());
        for group in numbers.chunks(OPEN_AT_ONCE) {
            let mut opened =
                group.iter().map(|&number| Self::open(plan, number)).collect::<Result<Vec<_>>>()?;
            for connection in &mut opened {
                while !connection.receive()? {}
            }
            all.append(&mut opened);
        }
        Ok(all)
    }

    /// Connects and sends the first request.
    fn open(plan: &Plan, number: usize) -> Result<Self> {
        let mut request = [0x5a; MESSAGE_LEN];
        request[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let (request, expected) = match plan.exchange {
            Exchange::Hashes(iterations) => {
                (request.to_vec(), Expected::Exactly(work::answer(&request, iterations)))
            }
            Exchange::Http => (HTTP_REQUEST.to_vec(), Expected::PlainText),
            Exchange::Echo | Exchange::Churn => (request.to_vec(), Expected::Exactly(request)),
        };
        let stream = File::from(plan.target.connect()?);
        let mut connection =
            Self { stream, request, expected, answer: [0; 512], filled: 0, sent: Instant::now() };
        connection.send()?;
        Ok(connection)
    }

    /// The same for a request that was due then.
    pub(crate) fn send_due(&mut self, due: Instant) -> Result<()> {
        self.sent = due;
        self.send()
    }

    /// When the request was due that is in flight, or was sent, if nobody said when it was due.
    pub(crate) fn due(&self) -> Instant {
        self.sent
    }

    /// Has events of this connection reported under a number.
    pub(crate) fn register(&self, poll: &Poll, number: usize) -> Result<()> {
        let source = self.stream.as_raw_fd();
        Ok(poll.registry().register(&mut SourceFd(&source), Token(number), Interest::READABLE)?)
    }

    fn send(&mut self) -> Result<()> {
        // The socket's buffer is empty: one request is in flight at a time.
        let count = self.stream.write(&self.request)?;
        if count < self.request.len() { Err(Error::new("a request was cut short")) } else { Ok(()) }
    }

    /// Reads what is there; returns whether the answer is complete.
    pub(crate) fn receive(&mut self) -> Result<bool> {
        match self.stream.read(&mut self.answer[self.filled..]) {
            Ok(0) => return Err(Error::new("the server closed a connection")),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        let is_complete = self.expected.is_met(&self.answer[..self.filled])?;
        if is_complete {
            self.filled = 0;
        }
        Ok(is_complete)
    }
}

/// The loop of one thread over its share of the connections.
fn work_share(plan: &Plan, thread: usize, phase: &Phase) -> Result<Histogram<u64>> {
    let connections = Connection::open_all(plan, (thread..plan.connections).step_by(plan.threads));
    // Also when that failed: nobody shall wait for this thread.
    phase.has_opened();
    let mut connections = connections?;
    let mut latencies = empty_histogram()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    for (index, connection) in connections.iter_mut().enumerate() {
        connection.register(&poll, index)?;
        connection.sent = Instant::now();
        connection.send()?;
    }
    while !phase.is_over() {
        wait(&mut poll, &mut events)?;
        for event in &events {
            let connection = &mut connections[event.token().0];
            while !connection.receive()? {}
            let now = Instant::now();
            phase.record(&mut latencies, now - connection.sent);
            connection.sent = now;
            connection.send()?;
        }
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// How many times as long a load may have to be, on a busy machine.
    const LONGER: [u32; 3] = [1, 10, 100];

    fn plan(target: &Target, longer: u32) -> Plan {
        let (warm_up, counting, duration) =
            (Duration::from_millis(20), Duration::from_millis(5), Duration::from_millis(50));
        let (counting, duration) = (counting * longer, duration * longer);
        let target = target.clone();
        Plan {
            target,
            connections: 3,
            threads: 2,
            exchange: Exchange::Echo,
            warm_up,
            counting,
            duration,
            rate: None,
        }
    }

    /// Sends messages back, each with one byte changed.
    fn echo(mut stream: impl Read + Write + Send + 'static, change: u8) {
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

    fn serve(change: u8) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| echo(stream, change)));
        Target::Tcp(address)
    }

    #[test]
    fn load_counts_what_an_echo_server_answers() {
        let target = serve(0);
        let counts = |longer| {
            let mut turns = Vec::new();
            let load = generate(&plan(&target, longer), |turn| {
                turns.push(turn);
                Ok(())
            });
            let load = load.expect("the server answers");
            assert!(load.elapsed >= Duration::from_millis(50) * longer);
            let [Turn::Counting, Turn::Counted(counted), Turn::Begin, Turn::End] = turns[..] else {
                panic!("{turns:?}");
            };
            counted > 0 && load.latencies.len() > 10
        };
        assert!(LONGER.into_iter().any(counts));
    }

    fn is_loaded(target: &Target) -> bool {
        LONGER.into_iter().any(|longer| {
            let load = generate(&plan(target, longer), |_| Ok(()));
            load.expect("the server answers").latencies.len() > 10
        })
    }

    #[test]
    fn unix_sockets_and_datagrams_are_loaded_too() {
        let path = std::env::temp_dir().join(format!("sward-benches-test-{}.socket", std::process::id()));
        let listener = UnixListener::bind(&path).expect("nothing is there");
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| echo(stream, 0)));
        assert!(is_loaded(&Target::Unix(path.clone())));
        drop(std::fs::remove_file(path));

        let socket = UdpSocket::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = socket.local_addr().expect("a bound socket has an address");
        std::thread::spawn(move || {
            let mut message = [0; MESSAGE_LEN];
            while let Ok((count, from)) = socket.recv_from(&mut message) {
                drop(socket.send_to(&message[..count], from));
            }
        });
        assert!(is_loaded(&Target::Udp(address)));
    }

    #[test]
    fn a_response_is_complete_with_its_text() {
        let is_met = |answer: &str| Expected::PlainText.is_met(answer.as_bytes());
        assert_eq!(is_met("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n").ok(), Some(false));
        assert_eq!(is_met("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, World!").ok(), Some(true));
        assert!(is_met("HTTP/1.1 404 Not Found\r\n\r\nHello, World!").is_err());
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let load = generate(&plan(&serve(1), 1), |_| Ok(()));
        assert!(load.is_err_and(|error| error.to_string().contains("wrong answer")));
    }
}
