//! Load by connections that come and go: each is opened, carries one message and its answer, and is closed.
//!
//! The server closes first, and the client then resets what is left. So TCP remembers nothing of a connection: otherwise the
//! memories of one measurement, for a minute, would slow down the next ones, and the client would run out of ports.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::error::{Error, Result};
use crate::load::{Phase, Plan, Target, empty_histogram, wait};
use crate::work::{MESSAGE_LEN, Message};

const REQUEST: Message = [0x5a; MESSAGE_LEN];

/// A connection, from its opening to its end.
#[derive(Debug)]
struct Passing {
    stream: TcpStream,
    is_sent: bool,
    answer: [u8; 2 * MESSAGE_LEN],
    filled: usize,
    opened: Instant,
}

impl Passing {
    fn open(address: SocketAddr, poll: &Poll, token: Token) -> Result<Self> {
        let opened = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let mut passing = Self { stream, is_sent: false, answer: [0; 2 * MESSAGE_LEN], filled: 0, opened };
        // On a loopback device the connection is there by now, most often; so there is nothing to wait for.
        passing.proceed()?;
        Ok(passing)
    }

    /// Does what can be done now; returns whether the server has answered and closed.
    fn proceed(&mut self) -> Result<bool> {
        if !self.is_sent {
            match self.stream.write(&REQUEST) {
                Ok(MESSAGE_LEN) => self.is_sent = true,
                Ok(_) => return Err(Error::new("a request was cut short")),
                Err(error) if is_early(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            match self.stream.read(&mut self.answer[self.filled..]) {
                Ok(0) if self.answer[..self.filled] == REQUEST => return Ok(true),
                Ok(0) => return Err(Error::new("the server gave a wrong answer")),
                Ok(count) => self.filled += count,
                Err(error) if is_early(&error) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn is_early(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

/// The loop of one thread: so many connections at a time.
pub(crate) fn work_share(plan: &Plan, connections: usize, phase: &Phase) -> Result<Histogram<u64>> {
    let Target::Tcp(address) = plan.target else {
        return Err(Error::new("connections come and go by TCP only"));
    };
    // None of them is there for long, so none is awaited.
    phase.has_opened();
    let mut latencies = empty_histogram()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut all =
        (0..connections).map(|at| Passing::open(address, &poll, Token(at))).collect::<Result<Vec<_>>>()?;
    while !phase.is_over() {
        wait(&mut poll, &mut events)?;
        for event in &events {
            let passing = &mut all[event.token().0];
            // An event may be that of a connection that has ended before.
            if passing.proceed()? {
                phase.record(&mut latencies, passing.opened.elapsed());
                *passing = Passing::open(address, &poll, event.token())?;
            }
        }
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::load::{Exchange, Load, generate};

    /// How many times as long a load may have to be, on a busy machine.
    const LONGER: [u32; 3] = [1, 10, 100];

    fn load(change: u8, longer: u32) -> Result<Load> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut message = [0; MESSAGE_LEN];
                let read = stream.read_exact(&mut message);
                message[9] ^= change;
                drop(read.and_then(|()| stream.write_all(&message)));
            }
        });
        let (warm_up, counting, duration) =
            (Duration::from_millis(20), Duration::from_millis(5), Duration::from_millis(50) * longer);
        let target = Target::Tcp(address);
        let plan = Plan {
            target,
            connections: 3,
            threads: 2,
            exchange: Exchange::Churn,
            warm_up,
            counting,
            duration,
            rate: None,
        };
        generate(&plan, |_| Ok(()))
    }

    #[test]
    fn connections_are_counted_when_they_end() {
        let counts = |longer| load(0, longer).expect("the server answers").latencies.len() > 10;
        assert!(LONGER.into_iter().any(counts));
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        let fails = |longer| load(1, longer).is_err_and(|error| error.to_string().contains("wrong answer"));
        assert!(LONGER.into_iter().any(fails));
    }
}
