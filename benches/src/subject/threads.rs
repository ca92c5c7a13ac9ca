//! OS threads: what the kernel offers, for scale.
//!
//! Fewer workers than CPUs means that the process is confined to as many CPUs. Batch work does not yield: the kernel
//! preempts it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::computing::{Compute, for_threads};
use super::files::{self, Order};
use super::lateness::{self, Late, Naps, Ticks};
use super::primitives::{Done, Primitive, blocking};
use super::serving::{self, Announce, Serve, Service};
use super::{Frames, STARTED, StartLine, Subject, leaves, resident_growth};
use crate::cost::Costs;
use crate::error::{Error, Result};
use crate::relay::Relay;
use crate::sys;

/// As small as the stacks of the green threads that have stacks.
const STACK_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Threads {
    workers: usize,
    channels: Channels,
}

/// Whose channels are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Channels {
    Std,
    Crossbeam,
    Flume,
}

impl Threads {
    pub(crate) fn new(workers: usize, channels: Channels) -> Result<Self> {
        let cpus = sys::allowed_cpus();
        if workers < cpus.len() {
            sys::confine(&cpus[..workers])?;
        }
        Ok(Self { workers, channels })
    }
}

pub(super) fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    Ok(thread::Builder::new().stack_size(STACK_BYTES).spawn(f)?)
}

pub(super) fn join<T>(handle: JoinHandle<T>) -> Result<T> {
    handle.join().map_err(|_| Error::new("a thread panicked"))
}

impl Subject for Threads {
    fn yields(&self, threads: usize, each: u64) -> Result<Duration> {
        let start = Instant::now();
        let line = StartLine::new(threads);
        let yield_all = move |line: StartLine| {
            line.arrive();
            while !line.is_open() {
                thread::yield_now();
            }
            (0..each).for_each(|_| thread::yield_now());
        };
        let spawn_one = |line: StartLine| spawn(move || yield_all(line));
        let handles = (0..threads).map(|_| spawn_one(line.clone())).collect::<Result<Vec<_>>>()?;
        handles.into_iter().try_for_each(join)?;
        Ok(start.elapsed())
    }

    fn spawn_join(&self, count: u64) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..count {
            join(spawn(|| ())?)?;
        }
        Ok(start.elapsed())
    }

    fn spawn_batch(&self, count: usize) -> Result<Duration> {
        let start = Instant::now();
        let handles = (0..count).map(|_| spawn(|| ())).collect::<Result<Vec<_>>>()?;
        handles.into_iter().try_for_each(join)?;
        Ok(start.elapsed())
    }

    fn pingpong(&self, rounds: u64, limit: Option<Duration>) -> Result<Duration> {
        let turns = Arc::new(Turns { is_pong: AtomicBool::new(false), limit });
        let main = thread::current();
        let echo = {
            let turns = Arc::clone(&turns);
            spawn(move || (0..rounds).for_each(|_| turns.pong(&main)))?
        };
        let start = Instant::now();
        (0..rounds).for_each(|_| turns.ping(echo.thread()));
        let elapsed = start.elapsed();
        join(echo)?;
        Ok(elapsed)
    }

    fn skynet(&self, depth: u32) -> Result<(Duration, u64)> {
        let start = Instant::now();
        let sum = join(spawn(move || skynet(0, depth))?)??;
        Ok((start.elapsed(), sum))
    }

    fn fib(&self, n: u32) -> Result<(Duration, u64)> {
        let start = Instant::now();
        let number = join(spawn(move || fib(n))?)??;
        Ok((start.elapsed(), number))
    }

    fn primitive(&self, primitive: Primitive, count: u64) -> Result<Done> {
        match self.channels {
            Channels::Std => blocking::threads::run(primitive, count),
            Channels::Crossbeam => blocking::crossbeam::run(primitive, count),
            Channels::Flume => blocking::flume::run(primitive, count),
        }
    }

    fn read_file(&self, path: &Path, order: Order, count: u64) -> Result<Done> {
        files::threads::read(path, order, count)
    }

    fn idle(&self, count: usize, frames: Frames) -> Result<u64> {
        resident_growth(count, || {
            (0..count).try_for_each(|_| {
                spawn(move || {
                    frames.call();
                    STARTED.fetch_add(1, Ordering::Release);
                    loop {
                        thread::park();
                    }
                })
                .map(drop)
            })
        })
    }

    fn wakes(&self, samples: usize) -> Result<Vec<u64>> {
        let relay = Relay::leaked();
        let waiter = spawn(move || {
            loop {
                while !relay.is_due() {
                    thread::park();
                }
                relay.record();
            }
        })?;
        relay.drive(samples, || {
            waiter.thread().unpark();
            Ok(())
        })
    }

    fn sleep_all(&self, naps: Naps, late: &'static Late) -> Result<()> {
        lateness::threads::sleep_all(naps, late)
    }

    fn ticks(&self, ticks: Ticks) -> Result<()> {
        lateness::threads::run(ticks)
    }
}

impl Costs for Threads {}

impl Compute for Threads {
    fn mandelbrot(&self) -> Result<Done> {
        for_threads::mandelbrot()
    }

    fn quicksort(&self) -> Result<Done> {
        Ok(for_threads::quicksort())
    }
}

impl Serve for Threads {
    fn serve(&self, service: Service, announce: Announce) -> Result<()> {
        for _ in 0..service.batch_tasks {
            spawn(move || -> () {
                loop {
                    service.batch.chunk();
                }
            })?;
        }
        serving::threads::serve(service, self.workers, announce)
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
            Some(limit) => thread::park_timeout(limit),
            None => thread::park(),
        }
    }

    fn ping(&self, other: &Thread) {
        self.is_pong.store(true, Ordering::Release);
        other.unpark();
        while self.is_pong.load(Ordering::Acquire) {
            self.wait();
        }
    }

    fn pong(&self, other: &Thread) {
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
    let child = |at| spawn(move || skynet(number + at * below, depth - 1));
    let children = (0..10).map(child).collect::<Result<Vec<_>>>()?;
    children.into_iter().map(|child| join(child)?).sum()
}

fn fib(n: u32) -> Result<u64> {
    if n < 2 {
        return Ok(u64::from(n));
    }
    let spawned = spawn(move || fib(n - 1))?;
    let here = fib(n - 2)?;
    Ok(join(spawned)?? + here)
}
