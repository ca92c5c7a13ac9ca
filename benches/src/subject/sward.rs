//! sward, anchored as it is by default, and roaming.
//!
//! This is `threads.rs` with its imports changed, which is what sward promises, and a runtime around it.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sward::net::{ServeOptions, TcpListener, TcpStream, serve_messages};
use sward::runtime::{Builder, Runtime};
use sward::thread::{self, JoinHandle, Thread, spawn};

use super::computing::{Compute, for_sward};
use super::files::{self, Order};
use super::http;
use super::lateness::{self, Late, Naps, Storm, Ticks};
use super::primitives::{Done, Primitive, blocking};
use super::serving::{self, Announce, Role, Serve, Service};
use super::{Frames, STARTED, StartLine, Subject, leaves, resident_growth};
use crate::cost::Costs;
use crate::error::{Error, Result};
use crate::relay::Relay;
use crate::work::MESSAGE_LEN;

#[derive(Debug)]
pub(crate) struct Sward {
    runtime: Runtime,
    workers: usize,
    /// Whether connections are served by message.
    by_message: bool,
}

impl Sward {
    /// A started green thread stays on its worker.
    pub(crate) fn anchored(workers: usize) -> Result<Self> {
        Self::start(Builder::new(), workers)
    }

    fn start(builder: Builder, workers: usize) -> Result<Self> {
        let runtime = builder.workers(workers).build().map_err(|error| Error::new(error.to_string()))?;
        Ok(Self { runtime, workers, by_message: false })
    }

    /// As `anchored`, but a connection has a green thread only while there is a message.
    pub(crate) fn by_message(workers: usize) -> Result<Self> {
        Ok(Self { by_message: true, ..Self::anchored(workers)? })
    }

    /// Every green thread may move whenever it is suspended.
    pub(crate) fn roaming(workers: usize) -> Result<Self> {
        // SAFETY: no green thread of the benchmarks keeps a reference into a thread-local, a value tied to an OS
        // thread or a guard of one across a suspension: they use atomics, `Arc`, sockets and plain numbers.
        Self::start(unsafe { Builder::new().roaming() }, workers)
    }
}

pub(super) fn join<T>(handle: JoinHandle<T>) -> Result<T> {
    handle.join().map_err(|_| Error::new("a green thread panicked"))
}

impl Subject for Sward {
    fn yields(&self, threads: usize, each: u64) -> Result<Duration> {
        self.runtime.run(move || {
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
            let handles: Vec<_> = (0..threads).map(|_| spawn_one(line.clone())).collect();
            handles.into_iter().try_for_each(join)?;
            Ok(start.elapsed())
        })
    }

    fn spawn_join(&self, count: u64) -> Result<Duration> {
        self.runtime.run(move || {
            let start = Instant::now();
            for _ in 0..count {
                join(spawn(|| ()))?;
            }
            Ok(start.elapsed())
        })
    }

    fn spawn_batch(&self, count: usize) -> Result<Duration> {
        self.runtime.run(move || {
            let start = Instant::now();
            let handles: Vec<_> = (0..count).map(|_| spawn(|| ())).collect();
            handles.into_iter().try_for_each(join)?;
            Ok(start.elapsed())
        })
    }

    fn pingpong(&self, rounds: u64, limit: Option<Duration>) -> Result<Duration> {
        self.runtime.run(move || {
            let turns = Arc::new(Turns { is_pong: AtomicBool::new(false), limit });
            let main = thread::current();
            let echo = {
                let turns = Arc::clone(&turns);
                spawn(move || (0..rounds).for_each(|_| turns.pong(&main)))
            };
            let other = echo.thread();
            let start = Instant::now();
            (0..rounds).for_each(|_| turns.ping(other));
            let elapsed = start.elapsed();
            join(echo)?;
            Ok(elapsed)
        })
    }

    fn skynet(&self, depth: u32) -> Result<(Duration, u64)> {
        self.runtime.run(move || {
            let start = Instant::now();
            let sum = join(spawn(move || skynet(0, depth)))??;
            Ok((start.elapsed(), sum))
        })
    }

    fn fib(&self, n: u32) -> Result<(Duration, u64)> {
        self.runtime.run(move || {
            let start = Instant::now();
            let number = fib(n)?;
            Ok((start.elapsed(), number))
        })
    }

    fn primitive(&self, primitive: Primitive, count: u64) -> Result<Done> {
        self.runtime.run(move || blocking::sward::run(primitive, count))
    }

    fn read_file(&self, path: &Path, order: Order, count: u64) -> Result<Done> {
        let path = path.to_owned();
        self.runtime.run(move || files::sward::read(&path, order, count))
    }

    fn idle(&self, count: usize, frames: Frames) -> Result<u64> {
        resident_growth(count, || {
            self.runtime.run(move || {
                for _ in 0..count {
                    spawn(move || -> () {
                        frames.call();
                        STARTED.fetch_add(1, Ordering::Release);
                        loop {
                            thread::park();
                        }
                    });
                }
            });
            Ok(())
        })
    }

    fn wakes(&self, samples: usize) -> Result<Vec<u64>> {
        let relay = Relay::leaked();
        let waiter = self.runtime.run(move || {
            spawn(move || -> () {
                loop {
                    while !relay.is_due() {
                        thread::park();
                    }
                    relay.record();
                }
            })
        });
        let waiter = waiter.thread();
        relay.drive(samples, || {
            waiter.unpark();
            Ok(())
        })
    }

    fn sleep_all(&self, naps: Naps, late: &'static Late) -> Result<()> {
        self.runtime.run(move || lateness::sward::sleep_all(naps, late))
    }

    fn ticks(&self, ticks: Ticks) -> Result<()> {
        self.runtime.run(move || lateness::sward::run(ticks))
    }

    fn storm(&self, storm: Storm) -> Result<()> {
        self.runtime.run(move || lateness::storm_of_sward::run(storm))
    }
}

impl Costs for Sward {}

impl Compute for Sward {
    fn mandelbrot(&self) -> Result<Done> {
        self.runtime.run(for_sward::mandelbrot)
    }

    fn quicksort(&self) -> Result<Done> {
        Ok(self.runtime.run(for_sward::quicksort))
    }
}

impl Serve for Sward {
    fn serve(&self, service: Service, announce: Announce) -> Result<()> {
        if self.by_message {
            return serve_by_message(&self.runtime, announce);
        }
        let workers = self.workers;
        self.runtime.run(move || {
            for _ in 0..service.batch_tasks {
                spawn(move || -> () {
                    loop {
                        service.batch.chunk();
                        thread::yield_now();
                    }
                });
            }
            match service.role {
                Role::Http => http::sward(announce),
                _ => serving::sward::serve(service, workers, announce),
            }
        })
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
    let children: [_; 10] = std::array::from_fn(|at| {
        let number = number + at as u64 * below;
        spawn(move || skynet(number, depth - 1))
    });
    children.into_iter().map(|child| join(child)?).sum()
}

fn fib(n: u32) -> Result<u64> {
    if n < 2 {
        return Ok(u64::from(n));
    }
    let spawned = spawn(move || fib(n - 1));
    let here = fib(n - 2)?;
    Ok(join(spawned)?? + here)
}

/// As a plain echo, a message at a time.
fn serve_by_message(runtime: &Runtime, announce: Announce) -> Result<()> {
    let listener = runtime.run(|| TcpListener::bind("127.0.0.1:0"))?;
    announce(&listener.local_addr()?.to_string());
    let init = |stream: TcpStream, _peer| {
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let answer = |stream: &mut TcpStream| {
        let mut message = [0; MESSAGE_LEN];
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
        Ok(ControlFlow::Continue(()))
    };
    let server = runtime.run(move || serve_messages(listener, ServeOptions::new(), init, answer))?;
    Ok(server.join()?)
}
