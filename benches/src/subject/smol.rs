//! smol: an executor of its own, as its documentation advises, run by a number of threads that also drive the reactor.
//!
//! This is what `smol::spawn` with `SMOL_THREADS` does, less a check whether the global executor exists. The main
//! thread only waits and takes no part in the reactor.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smol::channel::{Receiver, RecvError, bounded};
use smol::future::{block_on, or, yield_now};
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::net::unix::UnixListener;
use smol::net::{TcpListener, TcpStream, UdpSocket};
use smol::{Executor, Task, Timer};

use super::computing::{Compute, ROWS, row};
use super::dialogue::Dialogue;
use super::files::{self, Order};
use super::lateness::{self, Late, Naps, Ticks};
use super::primitives::{self, Done, Primitive};
use super::serving::{Announce, Role, Serve, Service, unix_path};
use super::{Frames, STARTED, StartLine, Subject, leaves, resident_growth};
use crate::cost::Costs;
use crate::error::{Error, Result};
use crate::relay::Relay;
use crate::work::MESSAGE_LEN;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Smol {
    executor: &'static Executor<'static>,
    workers: usize,
}

impl Smol {
    pub(crate) fn new(workers: usize) -> Self {
        let executor: &'static Executor<'static> = Box::leak(Box::new(Executor::new()));
        for _ in 0..workers {
            std::thread::spawn(|| smol::block_on(executor.run(std::future::pending::<()>())));
        }
        Self { executor, workers }
    }

    /// Runs `root` as a task.
    fn run<T: Send + 'static>(self, root: impl Future<Output = T> + Send + 'static) -> T {
        block_on(self.executor.spawn(root))
    }

    /// Spawns a node of skynet. No box is needed for the recursion: the task is one.
    fn skynet(self, number: u64, depth: u32) -> Task<u64> {
        self.executor.spawn(async move {
            if depth == 0 {
                return number;
            }
            let below = leaves(depth - 1);
            let children: [_; 10] =
                std::array::from_fn(|at| self.skynet(number + at as u64 * below, depth - 1));
            let mut sum = 0;
            for child in children {
                sum += child.await;
            }
            sum
        })
    }

    fn fib(self, n: u32) -> Task<u64> {
        self.executor.spawn(async move { if n < 2 { u64::from(n) } else { self.fib_of_two(n).await } })
    }

    fn fib_of_two(self, n: u32) -> impl Future<Output = u64> + Send {
        let spawned = self.fib(n - 1);
        async move {
            let here = if n < 4 { u64::from(n - 2) } else { self.fib_in_place(n - 2).await };
            spawned.await + here
        }
    }

    /// The call that is not spawned; the recursion needs the box.
    fn fib_in_place(self, n: u32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(self.fib_of_two(n))
    }
}

async fn receive(turn: &Receiver<()>, limit: Option<Duration>) -> std::result::Result<(), RecvError> {
    let Some(limit) = limit else { return turn.recv().await };
    let late = async {
        Timer::after(limit).await;
        Err(RecvError)
    };
    or(turn.recv(), late).await
}

impl Subject for Smol {
    fn yields(&self, threads: usize, each: u64) -> Result<Duration> {
        let this = *self;
        Ok(self.run(async move {
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
            let tasks: Vec<_> = (0..threads).map(|_| this.executor.spawn(yield_all(line.clone()))).collect();
            for task in tasks {
                task.await;
            }
            start.elapsed()
        }))
    }

    fn spawn_join(&self, count: u64) -> Result<Duration> {
        let this = *self;
        Ok(self.run(async move {
            let start = Instant::now();
            for _ in 0..count {
                this.executor.spawn(async {}).await;
            }
            start.elapsed()
        }))
    }

    fn spawn_batch(&self, count: usize) -> Result<Duration> {
        let this = *self;
        Ok(self.run(async move {
            let start = Instant::now();
            let tasks: Vec<_> = (0..count).map(|_| this.executor.spawn(async {})).collect();
            for task in tasks {
                task.await;
            }
            start.elapsed()
        }))
    }

    fn pingpong(&self, rounds: u64, limit: Option<Duration>) -> Result<Duration> {
        let this = *self;
        let elapsed = self.run(async move {
            let (ping, pinged) = bounded(1);
            let (pong, ponged) = bounded(1);
            let echo = this.executor.spawn(async move {
                for _ in 0..rounds {
                    receive(&pinged, limit).await?;
                    if pong.send(()).await.is_err() {
                        break;
                    }
                }
                Ok::<(), RecvError>(())
            });
            let start = Instant::now();
            for _ in 0..rounds {
                if ping.send(()).await.is_err() {
                    break;
                }
                receive(&ponged, limit).await?;
            }
            let elapsed = start.elapsed();
            echo.await?;
            Ok::<Duration, RecvError>(elapsed)
        });
        elapsed.map_err(|error| Error::new(error.to_string()))
    }

    fn skynet(&self, depth: u32) -> Result<(Duration, u64)> {
        let this = *self;
        Ok(self.run(async move {
            let start = Instant::now();
            let sum = this.skynet(0, depth).await;
            (start.elapsed(), sum)
        }))
    }

    fn fib(&self, n: u32) -> Result<(Duration, u64)> {
        let this = *self;
        Ok(self.run(async move {
            let start = Instant::now();
            let number = this.fib_in_place(n).await;
            (start.elapsed(), number)
        }))
    }

    fn primitive(&self, primitive: Primitive, count: u64) -> Result<Done> {
        self.run(primitives::smol::run(self.executor, primitive, count))
    }

    fn read_file(&self, path: &Path, order: Order, count: u64) -> Result<Done> {
        let path = path.to_owned();
        self.run(async move { files::smol::read(&path, order, count).await })
    }

    fn idle(&self, count: usize, frames: Frames) -> Result<u64> {
        let this = *self;
        let (gate, closed) = bounded::<()>(1);
        let growth = resident_growth(count, || {
            for _ in 0..count {
                let closed = closed.clone();
                let wait = async move {
                    frames.call();
                    STARTED.fetch_add(1, Ordering::Release);
                    // An error says that the gate was dropped, which is as good a reason to go on.
                    let _ = closed.recv().await;
                };
                this.executor.spawn(wait).detach();
            }
            Ok(())
        });
        drop(gate);
        growth
    }

    fn wakes(&self, samples: usize) -> Result<Vec<u64>> {
        let relay = Relay::leaked();
        let (wake, woken) = bounded(1);
        let wait = async move {
            while woken.recv().await.is_ok() {
                relay.record();
            }
        };
        self.executor.spawn(wait).detach();
        relay.drive(samples, || wake.try_send(()).map_err(|error| Error::new(error.to_string())))
    }

    fn sleep_all(&self, naps: Naps, late: &'static Late) -> Result<()> {
        self.run(lateness::sleep_all_smol(self.executor, naps, late))
    }

    fn ticks(&self, ticks: Ticks) -> Result<()> {
        self.run(lateness::run_smol(self.executor, ticks))
    }
}

impl Costs for Smol {}

impl Compute for Smol {
    fn mandelbrot(&self) -> Result<Done> {
        let this = *self;
        Ok(self.run(async move {
            let start = Instant::now();
            let rows: Vec<_> = (0..ROWS).map(|y| this.executor.spawn(async move { row(y) })).collect();
            let mut count = 0;
            for row in rows {
                count += row.await;
            }
            Done { time: start.elapsed(), count }
        }))
    }
}

impl Serve for Smol {
    fn serve(&self, service: Service, announce: Announce) -> Result<()> {
        let this = *self;
        for _ in 0..service.batch_tasks {
            let work = async move {
                loop {
                    service.batch.chunk();
                    yield_now().await;
                }
            };
            self.executor.spawn::<()>(work).detach();
        }
        self.run(async move {
            match service.role {
                Role::UnixEcho => this.serve_unix(service, announce).await,
                Role::UdpEcho => this.serve_datagrams(announce).await,
                _ => this.serve_tcp(service, announce).await,
            }
        })
    }
}

impl Smol {
    async fn serve_tcp(self, service: Service, announce: Announce) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(&listener.local_addr()?.to_string());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match service.role {
                Role::PlainEcho => self.executor.spawn(plain_echo(stream)).detach(),
                _ => self.executor.spawn(connection(stream, service)).detach(),
            }
        }
    }

    async fn serve_unix(self, service: Service, announce: Announce) -> Result<()> {
        let path = unix_path();
        let listener = UnixListener::bind(&path)?;
        announce(&path.to_string_lossy());
        loop {
            let (stream, _) = listener.accept().await?;
            self.executor.spawn(connection(stream, service)).detach();
        }
    }

    async fn serve_datagrams(self, announce: Announce) -> Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        announce(&socket.local_addr()?.to_string());
        for _ in 1..self.workers {
            // A clone is the same socket, with the same descriptor.
            self.executor.spawn(echo_datagrams(socket.clone())).detach();
        }
        echo_datagrams(socket).await
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

async fn echo_datagrams(socket: UdpSocket) -> Result<()> {
    let mut datagram = [0; 2 * MESSAGE_LEN];
    loop {
        let (count, from) = socket.recv_from(&mut datagram).await?;
        socket.send_to(&datagram[..count], from).await?;
    }
}
