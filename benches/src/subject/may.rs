//! may: the other stackful coroutine runtime for Rust.
//!
//! Stacks of 64 KiB; workers pinned to CPUs, which is its default. The pool of stacks is as large as the benchmark
//! needs where tens of thousands of coroutines come and go, because beyond the pool each costs a mapping; otherwise
//! it is the default of 1000. Batch work beside a server runs on OS threads; see there why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use may::coroutine::{self, Coroutine, JoinHandle, yield_now};
use may::go;

use super::computing::{Compute, for_may};
use super::http;
use super::lateness::{self, Late, Naps, Ticks};
use super::primitives::{Done, Primitive, blocking};
use super::serving::{self, Announce, Role, Serve, Service};
use super::{Demand, Frames, STARTED, StartLine, Subject, leaves, resident_growth};
use crate::cost::Costs;
use crate::error::{Error, Result};
use crate::relay::Relay;

/// In machine words, as may counts them.
const STACK_WORDS: usize = 64 * 1024 / size_of::<usize>();
/// Enough for the largest benchmark that may can do.
const LARGE_POOL: usize = 25_000;

#[derive(Debug)]
pub(crate) struct May {
    workers: usize,
}

impl May {
    pub(crate) fn new(workers: usize, demand: Demand) -> Self {
        may::config().set_workers(workers).set_stack_size(STACK_WORDS);
        if demand == Demand::ManySpawns {
            may::config().set_pool_capacity(LARGE_POOL);
        }
        Self { workers }
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

    fn pingpong(&self, rounds: u64, limit: Option<Duration>) -> Result<Duration> {
        join(go!(move || {
            let turns = Arc::new(Turns { is_pong: AtomicBool::new(false), limit });
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

    fn idle(&self, count: usize, frames: Frames) -> Result<u64> {
        // The pool exists before, so that its stacks are not taken for those of the coroutines.
        join(go!(|| ()))?;
        resident_growth(count, || {
            for _ in 0..count {
                go!(move || -> () {
                    frames.call();
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

    fn sleep_all(&self, naps: Naps, late: &'static Late) -> Result<()> {
        join(go!(move || lateness::may::sleep_all(naps, late)))?
    }

    fn ticks(&self, ticks: Ticks) -> Result<()> {
        join(go!(move || lateness::may::run(ticks)))?
    }
}

impl Costs for May {}

impl Compute for May {
    fn mandelbrot(&self) -> Result<Done> {
        join(go!(for_may::mandelbrot))?
    }
}

impl Serve for May {
    fn serve(&self, service: Service, announce: Announce) -> Result<()> {
        // On OS threads: a worker of may looks at its sockets only once no coroutine is ready, so coroutines that
        // yield for ever would keep it from serving at all. Its documentation keeps CPU-bound work off workers.
        for _ in 0..service.batch_tasks {
            std::thread::spawn(move || -> () {
                loop {
                    service.batch.chunk();
                }
            });
        }
        if service.role == Role::SmallHttp {
            return http::may(announce);
        }
        let workers = self.workers;
        join(go!(move || serving::may::serve(service, workers, announce)))?
    }
}

/// Whose turn it is in ping-pong.
#[derive(Debug)]
struct Turns {
    is_pong: AtomicBool,
    /// How long a wait may take.
    limit: Option<Duration>,
}

impl Turns {
    fn wait(&self) {
        match self.limit {
            Some(limit) => coroutine::park_timeout(limit),
            None => coroutine::park(),
        }
    }

    fn ping(&self, other: &Coroutine) {
        self.is_pong.store(true, Ordering::Release);
        other.unpark();
        while self.is_pong.load(Ordering::Acquire) {
            self.wait();
        }
    }

    fn pong(&self, other: &Coroutine) {
        while !self.is_pong.load(Ordering::Acquire) {
            self.wait();
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
