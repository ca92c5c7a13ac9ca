//! tokio: its multi-thread runtime, with all drivers on as `#[tokio::main]` has them.
//!
//! Everything runs in a spawned task, as its documentation advises, because the future given to `block_on` is not on
//! a worker.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};

use super::primitives::{self, Done, Primitive};
use super::{STARTED, Service, StartLine, Subject, leaves, resident_growth};
use crate::error::{Error, Result};
use crate::relay::Relay;
use crate::work::{Inbound, MESSAGE_LEN};

#[derive(Debug)]
pub(crate) struct Tokio {
    runtime: Runtime,
}

impl Tokio {
    pub(crate) fn new(workers: usize) -> Result<Self> {
        Ok(Self { runtime: Builder::new_multi_thread().worker_threads(workers).enable_all().build()? })
    }

    /// Runs `root` as a task.
    fn run<T: Send + 'static>(&self, root: impl Future<Output = T> + Send + 'static) -> Result<T> {
        self.runtime.block_on(self.runtime.spawn(root)).map_err(|error| Error::new(error.to_string()))
    }
}

/// The value of a task that does not panic and is not aborted.
async fn join<T>(handle: JoinHandle<T>) -> T {
    handle.await.expect("no task of a benchmark panics")
}

impl Subject for Tokio {
    fn yields(&self, threads: usize, each: u64) -> Result<Duration> {
        self.run(async move {
            let start = Instant::now();
            let line = StartLine::new(threads);
            let yield_all = |line: StartLine| async move {
                line.arrive();
                while !line.is_open() {
                    yield_now().await;
                }
                for _ in 0..each {
                    yield_now().await;
                }
            };
            let handles: Vec<_> = (0..threads).map(|_| tokio::spawn(yield_all(line.clone()))).collect();
            for handle in handles {
                join(handle).await;
            }
            start.elapsed()
        })
    }

    fn spawn_join(&self, count: u64) -> Result<Duration> {
        self.run(async move {
            let start = Instant::now();
            for _ in 0..count {
                join(tokio::spawn(async {})).await;
            }
            start.elapsed()
        })
    }

    fn spawn_batch(&self, count: usize) -> Result<Duration> {
        self.run(async move {
            let start = Instant::now();
            let handles: Vec<_> = (0..count).map(|_| tokio::spawn(async {})).collect();
            for handle in handles {
                join(handle).await;
            }
            start.elapsed()
        })
    }

    fn pingpong(&self, rounds: u64) -> Result<Duration> {
        self.run(async move {
            let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let echo = {
                let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
                tokio::spawn(async move {
                    for _ in 0..rounds {
                        ping.notified().await;
                        pong.notify_one();
                    }
                })
            };
            let start = Instant::now();
            for _ in 0..rounds {
                ping.notify_one();
                pong.notified().await;
            }
            let elapsed = start.elapsed();
            join(echo).await;
            elapsed
        })
    }

    fn skynet(&self, depth: u32) -> Result<(Duration, u64)> {
        self.run(async move {
            let start = Instant::now();
            let sum = join(skynet(0, depth)).await;
            (start.elapsed(), sum)
        })
    }

    fn fib(&self, n: u32) -> Result<(Duration, u64)> {
        self.run(async move {
            let start = Instant::now();
            let number = fib_in_place(n).await;
            (start.elapsed(), number)
        })
    }

    fn primitive(&self, primitive: Primitive, count: u64) -> Result<Done> {
        self.run(primitives::tokio::run(primitive, count))?
    }

    fn idle(&self, count: usize) -> Result<u64> {
        static GATE: Notify = Notify::const_new();
        resident_growth(count, || {
            self.run(async move {
                for _ in 0..count {
                    tokio::spawn(async {
                        STARTED.fetch_add(1, Ordering::Release);
                        GATE.notified().await;
                    });
                }
            })
        })
    }

    fn wakes(&self, samples: usize) -> Result<Vec<u64>> {
        let relay = Relay::leaked();
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        self.runtime.spawn(async move {
            loop {
                woken.notified().await;
                relay.record();
            }
        });
        relay.drive(samples, || {
            wake.notify_one();
            Ok(())
        })
    }

    fn serve(&self, service: Service, announce: &dyn Fn(SocketAddr)) -> Result<()> {
        if let Service::Requests { batch, batch_tasks, .. } = service {
            for _ in 0..batch_tasks {
                self.runtime.spawn(async move {
                    loop {
                        batch.chunk();
                        yield_now().await;
                    }
                });
            }
        }
        let listener = self.run(TcpListener::bind("127.0.0.1:0"))??;
        announce(listener.local_addr()?);
        self.run(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                match service {
                    Service::PlainEcho => tokio::spawn(plain_echo(stream)),
                    _ => tokio::spawn(connection(stream, service)),
                };
            }
        })?
    }
}

/// Spawns a node of skynet. No box is needed for the recursion: the task is one.
fn skynet(number: u64, depth: u32) -> JoinHandle<u64> {
    tokio::spawn(async move {
        if depth == 0 {
            return number;
        }
        let below = leaves(depth - 1);
        let children: [_; 10] = std::array::from_fn(|at| skynet(number + at as u64 * below, depth - 1));
        let mut sum = 0;
        for child in children {
            sum += join(child).await;
        }
        sum
    })
}

fn fib(n: u32) -> JoinHandle<u64> {
    tokio::spawn(async move { if n < 2 { u64::from(n) } else { fib_of_two(n).await } })
}

fn fib_of_two(n: u32) -> impl Future<Output = u64> + Send {
    let spawned = fib(n - 1);
    async move {
        let here = if n < 4 { u64::from(n - 2) } else { fib_in_place(n - 2).await };
        join(spawned).await + here
    }
}

/// The call that is not spawned; the recursion needs the box.
fn fib_in_place(n: u32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(fib_of_two(n))
}

async fn connection(mut stream: TcpStream, service: Service) {
    let mut inbound = Inbound::new();
    // A connection ends when its client goes away, however it goes.
    while let Ok(count @ 1..) = stream.read(inbound.space()).await {
        let Some(request) = inbound.received(count) else {
            continue;
        };
        if stream.write_all(&service.respond(&request)).await.is_err() {
            return;
        }
    }
}

async fn plain_echo(mut stream: TcpStream) {
    let mut message = [0; MESSAGE_LEN];
    while stream.read_exact(&mut message).await.is_ok() && stream.write_all(&message).await.is_ok() {}
}
