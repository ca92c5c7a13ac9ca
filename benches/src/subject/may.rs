//! may: the other stackful coroutine runtime for Rust.
//!
//! Stacks of 64 KiB; workers pinned to CPUs, which is its default. The pool of stacks is as large as the benchmark
//! needs where tens of thousands of coroutines come and go, because beyond the pool each costs a mapping; otherwise
//! it is the default of 1000. Batch work beside a server runs on OS threads; see there why.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use may::coroutine::{self, Coroutine, JoinHandle, yield_now};
use may::go;
use may::net::{TcpListener, TcpStream};

use super::primitives::{Done, Primitive, blocking};
use super::{Demand, STARTED, Service, StartLine, Subject, leaves, resident_growth};
use crate::error::{Error, Result};
use crate::relay::Relay;
use crate::work::{Inbound, MESSAGE_LEN};

/// In machine words, as may counts them.
const STACK_WORDS: usize = 64 * 1024 / size_of::<usize>();
/// Enough for the largest benchmark that may can do.
const LARGE_POOL: usize = 25_000;

#[derive(Debug)]
pub(crate) struct May;

impl May {
    pub(crate) fn new(workers: usize, demand: Demand) -> Self {
        may::config().set_workers(workers).set_stack_size(STACK_WORDS);
        if demand == Demand::ManySpawns {
            may::config().set_pool_capacity(LARGE_POOL);
        }
        Self
    }
}

pub(super) fn join<T>(handle: JoinHandle<T>) -> Result<T> {
    handle.join().map_err(|_| Error::new("a coroutine panicked"))
}

/// `go!` as a function.
pub(super) fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    go!(f)
}

impl Subject for May {
    fn yields(&self, threads: usize, each: u64) -> Result<Duration> {
        join(go!(move || {
            let start = Instant::now();
            let line = StartLine::new(threads);
            let yield_all = move |line: StartLine| {
                line.arrive();
                while !line.is_open() {
                    yield_now();
                }
                (0..each).for_each(|_| yield_now());
            };
            let spawn_one = |line: StartLine| go!(move || yield_all(line));
            let handles: Vec<_> = (0..threads).map(|_| spawn_one(line.clone())).collect();
            handles.into_iter().try_for_each(join)?;
            Ok(start.elapsed())
        }))?
    }

    fn spawn_join(&self, count: u64) -> Result<Duration> {
        join(go!(move || {
            let start = Instant::now();
            for _ in 0..count {
                join(go!(|| ()))?;
            }
            Ok(start.elapsed())
        }))?
    }

    fn spawn_batch(&self, count: usize) -> Result<Duration> {
        join(go!(move || {
            let start = Instant::now();
            let handles: Vec<_> = (0..count).map(|_| go!(|| ())).collect();
            handles.into_iter().try_for_each(join)?;
            Ok(start.elapsed())
        }))?
    }

    fn pingpong(&self, rounds: u64) -> Result<Duration> {
        join(go!(move || {
            let turns = Arc::new(Turns::default());
            let main = coroutine::current();
            let echo = {
                let turns = Arc::clone(&turns);
                go!(move || (0..rounds).for_each(|_| turns.pong(&main)))
            };
            let start = Instant::now();
            (0..rounds).for_each(|_| turns.ping(echo.coroutine()));
            let elapsed = start.elapsed();
            join(echo)?;
            Ok(elapsed)
        }))?
    }

    fn skynet(&self, depth: u32) -> Result<(Duration, u64)> {
        join(go!(move || {
            let start = Instant::now();
            let sum = join(go!(move || skynet(0, depth)))??;
            Ok((start.elapsed(), sum))
        }))?
    }

    fn fib(&self, n: u32) -> Result<(Duration, u64)> {
        join(go!(move || {
            let start = Instant::now();
            let number = fib(n)?;
            Ok((start.elapsed(), number))
        }))?
    }

    fn primitive(&self, primitive: Primitive, count: u64) -> Result<Done> {
        join(go!(move || blocking::may::run(primitive, count)))?
    }

    fn idle(&self, count: usize) -> Result<u64> {
        // The pool exists before, so that its stacks are not taken for those of the coroutines.
        join(go!(|| ()))?;
        resident_growth(count, || {
            for _ in 0..count {
                go!(|| -> () {
                    STARTED.fetch_add(1, Ordering::Release);
                    loop {
                        coroutine::park();
                    }
                });
            }
            Ok(())
        })
    }

    fn wakes(&self, samples: usize) -> Result<Vec<u64>> {
        let relay = Relay::leaked();
        let waiter = go!(move || -> () {
            loop {
                while !relay.is_due() {
                    coroutine::park();
                }
                relay.record();
            }
        });
        relay.drive(samples, || {
            waiter.coroutine().unpark();
            Ok(())
        })
    }

    fn serve(&self, service: Service, announce: &dyn Fn(SocketAddr)) -> Result<()> {
        if let Service::Requests { batch, batch_tasks, .. } = service {
            // On OS threads: a worker of may looks at its sockets only once no coroutine is ready, so coroutines that
            // yield for ever would keep it from serving at all. Its documentation keeps CPU-bound work off workers.
            for _ in 0..batch_tasks {
                std::thread::spawn(move || -> () {
                    loop {
                        batch.chunk();
                    }
                });
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0")?;
        announce(listener.local_addr()?);
        join(go!(move || -> Result<()> {
            loop {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                // A connection ends when its client goes away, however it goes.
                match service {
                    Service::PlainEcho => go!(move || drop(plain_echo(stream))),
                    _ => go!(move || drop(connection(stream, service))),
                };
            }
        }))?
    }
}

/// Whose turn it is in ping-pong.
#[derive(Debug, Default)]
struct Turns {
    is_pong: AtomicBool,
}

impl Turns {
    fn ping(&self, other: &Coroutine) {
        self.is_pong.store(true, Ordering::Release);
        other.unpark();
        while self.is_pong.load(Ordering::Acquire) {
            coroutine::park();
        }
    }

    fn pong(&self, other: &Coroutine) {
        while !self.is_pong.load(Ordering::Acquire) {
            coroutine::park();
        }
        self.is_pong.store(false, Ordering::Release);
        other.unpark();
    }
}

fn skynet(number: u64, depth: u32) -> Result<u64> {
    if depth == 0 {
        return Ok(number);
    }
    let below = leaves(depth - 1);
    let children: [_; 10] = std::array::from_fn(|at| {
        let number = number + at as u64 * below;
        go!(move || skynet(number, depth - 1))
    });
    children.into_iter().map(|child| join(child)?).sum()
}

fn fib(n: u32) -> Result<u64> {
    if n < 2 {
        return Ok(u64::from(n));
    }
    let spawned = go!(move || fib(n - 1));
    let here = fib(n - 2)?;
    Ok(join(spawned)?? + here)
}

fn connection(mut stream: TcpStream, service: Service) -> std::io::Result<()> {
    let mut inbound = Inbound::new();
    loop {
        let count = stream.read(inbound.space())?;
        if count == 0 {
            return Ok(());
        }
        if let Some(request) = inbound.received(count) {
            stream.write_all(&service.respond(&request))?;
        }
    }
}

fn plain_echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut message = [0; MESSAGE_LEN];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}
