//! What hyper needs: connections, an executor, a timer.

use std::{
    convert::Infallible,
    io::{self, Write as _},
    pin::{Pin, pin},
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use crate::common::{everywhere, pair, runtimes, stress, watchdog};
use futures_lite::future::zip;
use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    client,
    rt::{self, Executor as _, Timer as _, Write as _},
    server,
    service::service_fn,
};
use sward_io::{
    hyper::{Executor, Timer},
    io::Polled,
    os::unix::net::UnixStream,
};
use sward_runtime::{future::block_on, runtime::Builder, thread};

/// A body of one piece, or none.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Reads a body to its end.
pub(crate) async fn collect(mut body: Incoming) -> hyper::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend_from_slice(frame?.data_ref().expect("no trailers"));
    }
    Ok(bytes)
}

/// Answers with what it was sent, and the path before it.
async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Whole>> {
    let mut answer = request.uri().path().as_bytes().to_vec();
    answer.extend(collect(request.into_body()).await?);
    Ok(Response::new(Whole(Some(answer.into()))))
}

/// Serves one end on a green thread, and asks several times on the other, on one connection.
fn ask<S>(client: Polled<S>, server: Polled<S>) -> io::Result<()>
where
    S: Send + 'static,
    Polled<S>: rt::Read + rt::Write + Unpin,
{
    let serving = thread::spawn(move || {
        let connection =
            server::conn::http1::Builder::new().timer(Timer).serve_connection(server, service_fn(answer));
        block_on(connection)
    });
    let asked = block_on(async {
        let (mut sender, connection) = client::conn::http1::handshake(client).await?;
        let requests = async {
            let mut sizes = Vec::new();
            for size in [0, 1, 1000, 1_000_000] {
                let body = vec![b'x'; size];
                let request = Request::post("/path").header("host", "here");
                let request = request.body(Whole(Some(body.into()))).expect("a request");
                let response = sender.send_request(request).await?;
                let answer = collect(response.into_body()).await?;
                assert!(answer.starts_with(b"/path") && answer[5..].iter().all(|&byte| byte == b'x'));
                sizes.push(answer.len() - 5);
            }
            // Ends the connection.
            drop(sender);
            hyper::Result::Ok(sizes)
        };
        let (sizes, connection) = zip(requests, connection).await;
        connection?;
        sizes
    });
    assert_eq!(asked.map_err(io::Error::other)?, [0, 1, 1000, 1_000_000]);
    serving.join().expect("no panic").map_err(io::Error::other)
}

/// Reads at most a byte; none at the end, and of a socket that fails. Says when it waits.
async fn read_one<S: rt::Read + Unpin>(socket: &mut S, byte: &mut [u8; 1], waits: impl Fn()) -> usize {
    let mut buffer = rt::ReadBuf::new(byte);
    let read = std::future::poll_fn(|context| {
        let read = Pin::new(&mut *socket).poll_read(context, buffer.unfilled());
        if read.is_pending() {
            waits();
        }
        read
    })
    .await;
    if read.is_ok() { buffer.filled().len() } else { 0 }
}

/// Counts nothing: only to poll.
fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Anchored only: hyper keeps the date in a thread-local, and the look at the stack of one that roams also finds what a call has left behind.
#[test]
fn requests_are_answered() {
    let _watchdog = watchdog();
    for workers in [1, 2, 8] {
        let runtime = Builder::new().workers(workers).build().expect("a runtime");
        runtime
            .run(|| {
                let (client, server) = pair()?;
                ask(Polled::new(client), Polled::new(server))?;
                let (client, server) = UnixStream::pair()?;
                ask(Polled::new(client), Polled::new(server))
            })
            .expect("the test");
    }
}

#[test]
fn connections_take_several_buffers_in_one_call() -> io::Result<()> {
    let (client, _server) = pair()?;
    assert!(Polled::new(client).is_write_vectored());
    Ok(())
}

#[test]
fn the_executor_runs_futures_on_green_threads() {
    everywhere(|| {
        let (sender, receiver) = mpsc::channel();
        for number in 0..10 {
            let sender = sender.clone();
            Executor.execute(async move {
                Timer.sleep(Duration::from_millis(1)).await;
                sender.send(number).expect("it is waited for");
            });
        }
        drop(sender);
        let mut numbers = sward_runtime::unblock(move || receiver.iter().collect::<Vec<_>>());
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..10));
        Ok(())
    });
}

#[test]
fn a_sleep_ends_no_earlier_than_it_should() {
    everywhere(|| {
        let start = Instant::now();
        let deadline = start + Duration::from_millis(20);
        block_on(zip(Timer.sleep(Duration::from_millis(10)), Timer.sleep_until(deadline)));
        assert!(start.elapsed() >= Duration::from_millis(20));
        // One that is over already is not waited for.
        assert!(Timer.sleep_until(start).as_mut().poll(&mut context()).is_ready());
        assert!(Timer.sleep(Duration::ZERO).as_mut().poll(&mut context()).is_ready());
        Ok(())
    });
}

#[test]
fn many_sleeps_end_in_the_order_of_their_deadlines() {
    everywhere(|| {
        let now = Instant::now();
        let (sender, receiver) = mpsc::channel();
        // The first to be entered is the last to end, so each is the first for a while.
        let sleepers: Vec<_> = (1..20)
            .rev()
            .map(|number| {
                let sender = sender.clone();
                thread::spawn(move || {
                    let deadline = now + Duration::from_millis(5 * number);
                    block_on(Timer.sleep_until(deadline));
                    assert!(Instant::now() >= deadline);
                    sender.send(number).expect("it is waited for");
                })
            })
            .collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("no panic"));
        assert_eq!(receiver.try_iter().count(), 19);
        Ok(())
    });
}

#[test]
fn a_sleep_can_be_reset_and_given_up() {
    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }
    everywhere(|| {
        let wakes = Arc::new(Nothing);
        let waker = Waker::from(Arc::clone(&wakes));
        let mut sleep = Timer.sleep(Duration::from_secs(1000));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        // Again, with another: the first is not kept.
        assert!(sleep.as_mut().poll(&mut context()).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&wakes), 1);

        Timer.reset(&mut sleep, Instant::now() + Duration::from_millis(1));
        block_on(sleep);

        let waker = Waker::from(Arc::clone(&wakes));
        let mut sleep = Timer.sleep(Duration::from_secs(1000));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop((sleep, waker));
        assert_eq!(Arc::strong_count(&wakes), 1);
        Ok(())
    });
}

#[test]
fn a_sleep_for_ever_does_not_end() {
    let mut sleep = pin!(Timer.sleep(Duration::MAX));
    assert!(sleep.as_mut().poll(&mut context()).is_pending());
}

#[test]
fn a_future_is_dropped_when_its_runtime_has_ended() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (sender, receiver) = mpsc::channel::<()>();
        runtime.run(|| {
            Executor.execute(async move {
                let _sender = sender;
                std::future::pending::<()>().await;
            });
        });
        drop(runtime);
        receiver.recv().expect_err("dropped");
    }
}

/// Is pending for so many polls, and has itself woken in each: by another thread, or before it returns.
struct Turns {
    left: usize,
    elsewhere: bool,
    done: mpsc::Sender<()>,
}

impl Future for Turns {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            self.done.send(()).expect("it is waited for");
            return Poll::Ready(());
        }
        self.left -= 1;
        let waker = context.waker().clone();
        if self.elsewhere {
            // Sometimes while this is polled still, sometimes after that, sometimes twice.
            thread::spawn(move || waker.wake_by_ref());
            if self.left.is_multiple_of(2) {
                thread::yield_now();
                context.waker().wake_by_ref();
            }
        } else {
            waker.wake();
        }
        Poll::Pending
    }
}

#[test]
fn no_wake_of_a_future_is_lost_whenever_it_comes() {
    everywhere(|| {
        let (done, all) = mpsc::channel();
        let futures = stress(100);
        for number in 0..futures {
            Executor.execute(Turns { left: 50, elsewhere: number % 2 == 0, done: done.clone() });
        }
        drop(done);
        assert_eq!(sward_runtime::unblock(move || all.iter().count()), futures);
        Ok(())
    });
}

#[test]
fn a_future_that_panics_is_dropped_and_the_others_go_on() {
    everywhere(|| {
        let (sender, receiver) = mpsc::channel::<()>();
        let (go, gone) = mpsc::channel();
        Executor.execute(async move {
            let _sender = sender;
            // Pending first.
            Timer.sleep(Duration::from_millis(1)).await;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        Executor.execute(async move {
            Timer.sleep(Duration::from_millis(5)).await;
            go.send(()).expect("it is waited for");
        });
        sward_runtime::unblock(move || receiver.recv()).expect_err("dropped");
        sward_runtime::unblock(move || gone.recv()).expect("it went on");
        Ok(())
    });
}

#[test]
fn a_future_may_call_what_suspends() {
    everywhere(|| {
        let (sender, receiver) = mpsc::channel();
        Executor.execute(async move {
            for number in 0..3 {
                thread::sleep(Duration::from_millis(1));
                let child = thread::spawn(move || number);
                Timer.sleep(Duration::from_millis(1)).await;
                sender.send(child.join().expect("no panic")).expect("it is waited for");
            }
        });
        assert_eq!(sward_runtime::unblock(move || receiver.iter().collect::<Vec<_>>()), [0, 1, 2]);
        Ok(())
    });
}

#[test]
fn futures_are_dropped_when_their_runtime_ends_amid_their_wakes() {
    let _watchdog = watchdog();
    for _ in 0..stress(10) {
        for runtime in runtimes() {
            let (sender, receiver) = mpsc::channel::<()>();
            let clients: io::Result<Vec<_>> = runtime.run(|| {
                let serve = |_| {
                    let (client, server) = pair()?;
                    let sender = sender.clone();
                    Executor.execute(async move {
                        let _sender = sender;
                        let mut server = Polled::new(server);
                        let mut bytes = [0; 1];
                        // Until it fails, or its client goes away.
                        while read_one(&mut server, &mut bytes, || ()).await == 1 {}
                    });
                    Ok(client)
                };
                (0..8).map(serve).collect()
            });
            drop(sender);
            let mut clients = clients.expect("pairs");
            let writer =
                std::thread::spawn(
                    move || {
                        while clients.iter_mut().all(|client| client.write_all(b"x").is_ok()) {}
                    },
                );
            drop(runtime);
            receiver.recv().expect_err("all are dropped");
            writer.join().expect("no panic");
        }
    }
}

#[test]
fn a_future_that_has_used_a_socket_and_waits_for_nothing_is_dropped_when_its_runtime_ends() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (sender, receiver) = mpsc::channel::<()>();
        let (waits, waiting) = mpsc::channel();
        let (reads, read) = mpsc::channel();
        runtime
            .run(|| {
                let (mut client, server) = pair()?;
                Executor.execute(async move {
                    let _sender = sender;
                    let mut server = Polled::new(server);
                    let waits = || waits.send(()).unwrap_or_default();
                    let bytes = read_one(&mut server, &mut [0; 1], waits).await;
                    // The socket keeps what it has of that wait.
                    reads.send(bytes).expect("it is waited for");
                    std::future::pending::<()>().await;
                });
                sward_runtime::unblock(move || waiting.recv()).expect("it waits");
                client.write_all(b"x")?;
                assert_eq!(sward_runtime::unblock(move || read.recv()), Ok(1));
                io::Result::Ok(())
            })
            .expect("a pair");
        drop(runtime);
        receiver.recv().expect_err("dropped");
    }
}

#[test]
fn a_future_that_waits_for_a_socket_is_dropped_when_its_runtime_ends() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (sender, receiver) = mpsc::channel::<()>();
        let _client = runtime
            .run(|| {
                let (client, server) = pair()?;
                let (polled, waits) = mpsc::channel();
                Executor.execute(async move {
                    let _sender = sender;
                    let mut server = Polled::new(server);
                    read_one(&mut server, &mut [0; 1], || polled.send(()).unwrap_or_default()).await;
                    unreachable!("nothing comes");
                });
                sward_runtime::unblock(move || waits.recv()).expect("polled");
                io::Result::Ok(client)
            })
            .expect("a pair");
        drop(runtime);
        receiver.recv().expect_err("dropped");
    }
}

/// A sleep that has begun, with who is to be woken at its end.
fn begun(waker: &Waker) -> Pin<Box<dyn rt::Sleep>> {
    loop {
        let mut sleep = Timer.sleep(Duration::from_millis(20));
        // On a busy machine it may be over already.
        if sleep.as_mut().poll(&mut Context::from_waker(waker)).is_pending() {
            return sleep;
        }
    }
}

/// Uses up the token of the thread that it is woken on, after it has left it one.
struct Eater(mpsc::Sender<()>);

/// Says that it was woken.
struct Teller(mpsc::Sender<()>);

impl Wake for Teller {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

impl Wake for Eater {
    fn wake(self: Arc<Self>) {
        let next = Waker::from(Arc::new(Teller(self.0.clone())));
        std::mem::forget(begun(&next));
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn a_waker_may_use_up_the_token_of_its_thread() {
    let _watchdog = watchdog();
    let (sender, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Eater(sender)));
    let _sleep = begun(&waker);
    assert_eq!(woken.recv(), Ok(()));
}
