//! Load in an open loop: requests are due at a fixed rate, whether or not those before them were answered.
//!
//! Latency is from when a request was due. So if the server is late once, all that was due meanwhile is late, as it would be for
//! clients that know nothing of each other; a closed loop would have sent nothing and seen one slow answer. A request that is due while
//! all connections are busy waits for one, and that counts too. What was not answered at the end counts with the time until then.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};

use crate::error::{Error, Result};
use crate::load::{Connection, Phase, Plan, SILENCE, empty_histogram};

/// When requests are due.
#[derive(Debug)]
struct Arrivals {
    start: Instant,
    gap: Duration,
    /// Those that were taken.
    count: u32,
}

impl Arrivals {
    fn new(start: Instant, per_second: f64) -> Self {
        Self { start, gap: Duration::from_secs_f64(1.0 / per_second), count: 0 }
    }

    /// The next one, if it is due by then.
    fn next_until(&mut self, now: Instant) -> Option<Instant> {
        let due = self.start + self.gap * self.count;
        (due <= now).then(|| {
            self.count += 1;
            due
        })
    }
}

/// The loop of one thread over its share of the connections, and of the rate. It never sleeps, or it would be late itself.
pub(crate) fn work_share(plan: &Plan, thread: usize, phase: &Phase, rate: f64) -> Result<Histogram<u64>> {
    let connections = Connection::open_all(plan, (thread..plan.connections).step_by(plan.threads));
    // Also when that failed: nobody shall wait for this thread.
    phase.has_opened();
    let mut connections = connections?;
    let mut latencies = empty_histogram()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    for (index, connection) in connections.iter().enumerate() {
        connection.register(&poll, index)?;
    }
    let mut idle: VecDeque<usize> = (0..connections.len()).collect();
    let mut unsent: VecDeque<Instant> = VecDeque::new();
    let mut now = Instant::now();
    let (mut arrivals, mut heard) = (Arrivals::new(now, rate / plan.threads as f64), now);
    while !phase.is_over() {
        while let Some(due) = arrivals.next_until(now) {
            unsent.push_back(due);
        }
        while let (Some(&due), Some(&index)) = (unsent.front(), idle.front()) {
            unsent.pop_front();
            idle.pop_front();
            connections[index].send_due(due)?;
        }
        match poll.poll(&mut events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            while !connection.receive()? {}
            heard = Instant::now();
            phase.record(&mut latencies, heard - connection.due());
            idle.push_back(event.token().0);
        }
        now = Instant::now();
        if now - heard > SILENCE {
            return Err(Error::new(format!("the server was silent for {SILENCE:?}")));
        }
    }
    let is_idle = |index: usize| idle.contains(&index);
    let in_flight =
        connections.iter().enumerate().filter(|&(index, _)| !is_idle(index)).map(|(_, one)| one.due());
    for due in in_flight.chain(unsent) {
        latencies.saturating_record((now - due).as_nanos() as u64);
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::load::{Exchange, Load, Target, generate};
    use crate::work::MESSAGE_LEN;

    /// A server that pauses before each answer on a connection but the first.
    fn load(connections: usize, pause: Duration, rate: f64) -> Result<Load> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut message = [0; MESSAGE_LEN];
                    let mut is_first = true;
                    while stream.read_exact(&mut message).is_ok() {
                        std::thread::sleep(if is_first { Duration::ZERO } else { pause });
                        is_first = false;
                        if stream.write_all(&message).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let (warm_up, counting, duration) =
            (Duration::from_millis(20), Duration::from_millis(5), Duration::from_millis(300));
        let target = Target::Tcp(address);
        let exchange = Exchange::Echo;
        generate(
            &Plan {
                target,
                connections,
                threads: 1,
                exchange,
                warm_up,
                counting,
                duration,
                rate: Some(rate),
            },
            |_| Ok(()),
        )
    }

    #[test]
    fn requests_are_due_at_a_fixed_rate() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start, 1000.0);
        let until = |arrivals: &mut Arrivals, millis| {
            std::iter::from_fn(|| arrivals.next_until(start + Duration::from_millis(millis))).count()
        };
        assert_eq!(until(&mut arrivals, 5), 6);
        assert_eq!(until(&mut arrivals, 5), 0);
        assert_eq!(until(&mut arrivals, 1000), 995);
    }

    #[test]
    fn no_more_is_sent_than_is_due() {
        let start = Instant::now();
        let load = load(4, Duration::ZERO, 100.0).expect("the server answers");
        // However late the end is noticed; and one at the very beginning.
        let due = start.elapsed().as_secs_f64() * 100.0 + 1.0;
        assert!(!load.latencies.is_empty() && load.latencies.len() as f64 <= due);
    }

    #[test]
    fn what_waits_for_a_slow_server_is_late() {
        // A connection can carry 50 requests a second, at most, and 1000 are due: each is later than the one before.
        let load = load(1, Duration::from_millis(20), 1000.0).expect("the server answers");
        assert!(load.latencies.max() >= Duration::from_millis(200).as_nanos() as u64 * 99 / 100);
        assert!(load.latencies.len() > 200, "those that were not answered count");
    }
}
