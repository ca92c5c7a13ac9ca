//! tokio: its multi-thread runtime, with all drivers on as `#[tokio::main]` has them.
//!
//! Everything runs in a spawned task, as its documentation advises, because the future given to `block_on` is not on
//! a worker.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};

use super::computing::{Compute, ROWS, row};
use super::dialogue::Dialogue;
use super::files::{self, Order};
use super::http;
use super::lateness::{self, Late, Naps, Storm, Ticks};
use super::primitives::{self, Done, Primitive};
use super::serving::{Announce, Role, Serve, Service, unix_path};
use super::{Frames, STARTED, StartLine, Subject, leaves, resident_growth};
use crate::cost::Costs;
use crate::error::{Error, Result};
use crate::relay::Relay;
use crate::work::MESSAGE_LEN;

#[derive(Debug)]
pub(crate) struct Tokio {
    runtime: Runtime,
    workers: usize,
}

impl Tokio {
    pub(crate) fn new(workers: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
        Ok(Self { runtime, workers })
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

async fn notified(notify: &Notify, limit: Option<Duration>) {
    match limit {
        Some(limit) => {
            tokio::time::timeout(limit, notify.notified()).await.expect("the limit is never reached")
        }
        None => notify.notified().await,
    }
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

    fn pingpong(&self, rounds: u64, limit: Option<Duration>) -> Result<Duration> {
        self.run(async move {
            let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let echo = {
                let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
                tokio::spawn(async move {
                    for _ in 0..rounds {
                        notified(&ping, limit).await;
                        pong.notify_one();
                    }
                })
            };
            let start = Instant::now();
            for _ in 0..rounds {
                ping.notify_one();
                notified(&pong, limit).await;
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

    fn read_file(&self, path: &Path, order: Order, count: u64) -> Result<Done> {
        let path = path.to_owned();
        self.run(async move { files::tokio::read(&path, order, count).await })?
    }

    fn idle(&self, count: usize, frames: Frames) -> Result<u64> {
        static GATE: Notify = Notify::const_new();
        resident_growth(count, || {
            self.run(async move {
                for _ in 0..count {
                    tokio::spawn(async move {
                        frames.call();
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

    fn sleep_all(&self, naps: Naps, late: &'static Late) -> Result<()> {
        self.run(lateness::sleep_all_tokio(naps, late))?
    }

    fn ticks(&self, ticks: Ticks) -> Result<()> {
        self.run(lateness::run_tokio(ticks))?
    }

    fn storm(&self, storm: Storm) -> Result<()> {
        self.run(lateness::storm_of_tokio::run(storm))?
    }
}

impl Costs for Tokio {}

impl Compute for Tokio {
    fn mandelbrot(&self) -> Result<Done> {
        self.run(async {
            let start = Instant::now();
            let rows: Vec<_> = (0..ROWS).map(|y| tokio::spawn(async move { row(y) })).collect();
            let mut count = 0;
            for row in rows {
                count += join(row).await;
            }
            Done { time: start.elapsed(), count }
        })
    }
}

impl Serve for Tokio {
    fn serve(&self, service: Service, announce: Announce) -> Result<()> {
        for _ in 0..service.batch_tasks {
            self.runtime.spawn(async move {
                loop {
                    service.batch.chunk();
                    yield_now().await;
                }
            });
        }
        let workers = self.workers;
        self.run(async move {
            match service.role {
                Role::UnixEcho => serve_unix(service, announce).await,
                Role::Http => http::tokio(announce).await,
                Role::UdpEcho => serve_datagrams(workers, announce).await,
                _ => serve_tcp(service, announce).await,
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

async fn serve_tcp(service: Service, announce: Announce) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match service.role {
            Role::PlainEcho => tokio::spawn(plain_echo(stream)),
            _ => tokio::spawn(connection(stream, service)),
        };
    }
}

async fn serve_unix(service: Service, announce: Announce) -> Result<()> {
    let path = unix_path();
    let listener = UnixListener::bind(&path)?;
    announce(&path.to_string_lossy());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, service));
    }
}

async fn connection(mut stream: impl AsyncRead + AsyncWrite + Unpin, service: Service) {
    let mut dialogue = Dialogue::new(service);
    // A connection ends when its client goes away, however it goes, or says what is no request.
    while let Ok(count @ 1..) = stream.read(dialogue.space()).await {
        let Ok(answer) = dialogue.received(count) else { return };
        let Some(answer) = answer else { continue };
        if stream.write_all(answer).await.is_err() || service.is_once() {
            return;
        }
    }
}

async fn plain_echo(mut stream: TcpStream) {
    let mut message = [0; MESSAGE_LEN];
    while stream.read_exact(&mut message).await.is_ok() && stream.write_all(&message).await.is_ok() {}
}

async fn serve_datagrams(workers: usize, announce: Announce) -> Result<()> {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
    announce(&socket.local_addr()?.to_string());
    for _ in 1..workers {
        tokio::spawn(echo_datagrams(Arc::clone(&socket)));
    }
    echo_datagrams(socket).await
}

async fn echo_datagrams(socket: Arc<UdpSocket>) -> Result<()> {
    let mut datagram = [0; 2 * MESSAGE_LEN];
    loop {
        let (count, from) = socket.recv_from(&mut datagram).await?;
        socket.send_to(&datagram[..count], from).await?;
    }
}
