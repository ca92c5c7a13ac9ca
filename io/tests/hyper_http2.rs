//! HTTP/2 by hyper, server and client: streams beside each other, streams that are given up, connections that end.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    pin::{Pin, pin},
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{
    common::{self, DropToken, Drops, everywhere, server::LONG, wait_until},
    hyper::collect,
};
use futures_lite::future::or;
use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    client::conn::http2 as client,
    rt::Executor as _,
    server::conn::http2 as server,
    service::service_fn,
};
use sward_io::{
    hyper::{Executor, Timer},
    io::Polled,
    net::TcpStream,
};
use sward_runtime::{future::block_on, thread, unblock};

/// The smallest windows: bodies of 64 KiB wait for them, those of all streams for that of the connection.
const WINDOW: u32 = 65_535;

/// What futures wait at, any number of them, until it is open.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    fn open(&self) {
        let mut gate = self.0.lock().expect("no panic");
        gate.0 = true;
        let waiting = std::mem::take(&mut gate.1);
        drop(gate);
        waiting.into_iter().for_each(Waker::wake);
    }

    async fn passed(&self) {
        std::future::poll_fn(|context| {
            let mut gate = self.0.lock().expect("no panic");
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// What is sent.
enum Sent {
    Whole(Option<Bytes>),
    /// What has come, as it comes.
    Back(Incoming),
    /// Ends when it is given up.
    Endless(#[expect(dead_code, reason = "it counts its drop")] DropToken),
}

impl Sent {
    fn nothing() -> Self {
        Self::Whole(None)
    }

    fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Back(body) => Pin::new(body).poll_frame(context),
            Self::Endless(_) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 5000]))))),
        }
    }
}

/// A connection on which small frames do not wait for the acknowledgement of others.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let (client, server) = common::pair()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

type Ends = mpsc::Receiver<hyper::Result<()>>;

/// Serves a connection, by the executor; at the gate, its graceful shutdown begins. Says how it ended.
fn serve<F, R>(stream: TcpStream, stop: Gate, answer: F) -> Ends
where
    F: Fn(Request<Incoming>) -> R + Send + 'static,
    R: Future<Output = hyper::Result<Response<Sent>>> + Send + 'static,
{
    let (ended, ends) = mpsc::channel();
    Executor.execute(async move {
        let mut builder = server::Builder::new(Executor);
        builder.timer(Timer).initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let mut connection = pin!(builder.serve_connection(Polled::new(stream), service_fn(answer)));
        let stopped = async {
            stop.passed().await;
            None
        };
        let mut end = or(async { Some(connection.as_mut().await) }, stopped).await;
        if end.is_none() {
            connection.as_mut().graceful_shutdown();
            end = Some(connection.await);
        }
        ended.send(end.expect("it ended")).expect("it is waited for");
    });
    ends
}

/// The other end of a connection, on a green thread of its own that waits for it.
fn connect(
    stream: TcpStream,
) -> io::Result<(client::SendRequest<Sent>, thread::JoinHandle<hyper::Result<()>>)> {
    let mut builder = client::Builder::new(Executor);
    builder.timer(Timer).initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let handshake = builder.handshake(Polled::new(stream));
    let (sender, connection) = block_on(handshake).map_err(io::Error::other)?;
    Ok((sender, thread::spawn(|| block_on(connection))))
}

/// How an end has ended.
fn end(ends: Ends) -> io::Result<()> {
    unblock(move || ends.recv()).expect("it says so").map_err(io::Error::other)
}

fn request(path: &str, body: Sent) -> Request<Sent> {
    Request::post(format!("http://here{path}")).body(body).expect("a request")
}

/// `len` bytes that are another stream's if they are mixed up.
fn bytes(stream: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i + stream * 31) % 251) as u8).collect()
}

/// Sends back what comes: as it comes, or all at once.
async fn echo(request: Request<Incoming>) -> hyper::Result<Response<Sent>> {
    let whole = request.uri().path() == "/whole";
    let body = request.into_body();
    Ok(Response::new(if whole { Sent::whole(collect(body).await?) } else { Sent::Back(body) }))
}

async fn ask(mut sender: client::SendRequest<Sent>, path: &str, sent: Vec<u8>) -> hyper::Result<()> {
    let response = sender.send_request(request(path, Sent::whole(sent.clone()))).await?;
    assert!(collect(response.into_body()).await? == sent);
    Ok(())
}

#[test]
fn streams_of_all_sizes_are_answered_beside_each_other() {
    everywhere(|| {
        let (client, server) = pair()?;
        let ends = serve(server, Gate::default(), echo);
        let (sender, connection) = connect(client)?;
        let sizes = [0, 1, 1000, 16_384, 65_535, 65_536, 200_000, 1 << 20];
        let asking: Vec<_> = (0..4 * sizes.len())
            .map(|stream| {
                let sender = sender.clone();
                thread::spawn(move || {
                    let path = if stream % 2 == 0 { "/whole" } else { "/back" };
                    block_on(ask(sender, path, bytes(stream, sizes[stream / 4])))
                })
            })
            .collect();
        drop(sender);
        for asking in asking {
            asking.join().expect("no panic").map_err(io::Error::other)?;
        }
        connection.join().expect("no panic").map_err(io::Error::other)?;
        end(ends)
    });
}

/// Each stream leaves bytes behind that nobody reads, or that nobody sends any more: if they stayed in the window of the connection, it would
/// soon be shut.
#[test]
fn streams_that_are_given_up_end_on_the_server_and_the_others_go_on() {
    everywhere(|| {
        let (client, server) = pair()?;
        let drops = Drops::new();
        let (arrived, arrivals) = mpsc::channel::<Gate>();
        let gates = Arc::new(Mutex::new(arrivals));
        let held = drops.clone();
        let ends = serve(server, Gate::default(), move |request| {
            let (token, gates) = (held.token(), Arc::clone(&gates));
            async move {
                let arrived = || gates.lock().expect("no panic").recv().expect("a gate").open();
                match request.uri().path() {
                    "/never" => {
                        arrived();
                        std::future::pending().await
                    }
                    "/endless" => Ok(Response::new(Sent::Endless(token))),
                    "/swallow" => {
                        let mut body = request.into_body();
                        read(&mut body, 100_000).await?;
                        arrived();
                        let error = collect(body).await.expect_err("given up");
                        drop(token);
                        Err(error)
                    }
                    _ => echo(request).await,
                }
            }
        });
        let (mut sender, connection) = connect(client)?;
        for round in 1..=10 {
            // Before the answer: with nothing to send, and amid what is sent.
            for (path, body) in [("/never", Sent::nothing()), ("/swallow", Sent::Endless(drops.token()))] {
                let gate = Gate::default();
                arrived.send(gate.clone()).expect("it is served");
                let response = sender.send_request(request(path, body));
                block_on(or(async { assert!(response.await.is_err(), "no answer") }, gate.passed()));
            }
            // Amid the answer.
            block_on(async {
                let response = sender.send_request(request("/endless", Sent::nothing())).await?;
                read(&mut response.into_body(), 100_000).await
            })
            .map_err(io::Error::other)?;
            wait_until(|| drops.count() == 4 * round);
        }
        block_on(ask(sender.clone(), "/back", bytes(0, 1 << 20))).map_err(io::Error::other)?;
        drop(sender);
        connection.join().expect("no panic").map_err(io::Error::other)?;
        end(ends)
    });
}

/// Reads so many bytes or some more.
async fn read(body: &mut Incoming, mut len: usize) -> hyper::Result<()> {
    while len > 0 {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        len = len.saturating_sub(frame.expect("more")?.data_ref().expect("no trailers").len());
    }
    Ok(())
}

#[test]
fn a_connection_that_is_shut_down_answers_the_streams_that_are_open() {
    everywhere(|| {
        let (client, server) = pair()?;
        let (stop, answers) = (Gate::default(), Gate::default());
        let (arrived, arrivals) = mpsc::channel();
        let held = answers.clone();
        let ends = serve(server, stop.clone(), move |request| {
            let (arrived, held) = (arrived.clone(), held.clone());
            async move {
                if request.uri().path() == "/held" {
                    arrived.send(()).expect("it is waited for");
                    held.passed().await;
                }
                echo(request).await
            }
        });
        let (mut sender, connection) = connect(client)?;
        // So little that no window is to be opened again: a client that writes to a connection that has ended drops what it has not read yet.
        let asking: Vec<_> = (0..8)
            .map(|stream| {
                let sender = sender.clone();
                thread::spawn(move || block_on(ask(sender, "/held", bytes(stream, 1000))))
            })
            .collect();
        let arrivals = unblock(move || {
            arrivals.iter().take(8).for_each(drop);
            arrivals
        });
        // What hyper has sent but not ticked off when it is told would fail; it takes them in turn.
        block_on(ask(sender.clone(), "/back", vec![b'x'])).map_err(io::Error::other)?;
        stop.open();
        // Until the client has been told.
        while block_on(ask(sender.clone(), "/back", vec![b'x'])).is_ok() {}
        assert!(block_on(sender.send_request(request("/held", Sent::nothing()))).is_err());
        assert!(asking.iter().all(|asking| !asking.is_finished()));
        answers.open();
        for asking in asking {
            asking.join().expect("no panic").map_err(io::Error::other)?;
        }
        // It ends although the client has not let go of it.
        end(ends)?;
        connection.join().expect("no panic").map_err(io::Error::other)?;
        assert_eq!(arrivals.try_iter().count(), 0);
        Ok(())
    });
}

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: u8 = 6;
const ACK: u8 = 1;

/// The other end of a connection by hand: answers so many pings and no more; then it hangs up, if it is to. Returns how many came.
fn answer_pings(mut stream: TcpStream, answers: usize, hangs_up: bool) -> io::Result<usize> {
    let mut pings = 0;
    while pings < answers || !hangs_up {
        let mut head = [0; 9];
        match stream.read_exact(&mut head) {
            // A reset, if something that it was sent has not been read.
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                break;
            }
            result => result?,
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload)?;
        if head[3] == PING {
            pings += 1;
            if pings <= answers {
                head[4] = ACK;
                stream.write_all(&[&head[..], &payload].concat())?;
            }
        }
    }
    Ok(pings)
}

/// Keeps a connection alive, of a server and then of a client, with such a peer: how they ended, and how many pings came.
fn keep_alive(
    timeout: Duration,
    answers: usize,
    hangs_up: bool,
) -> io::Result<[(hyper::Result<()>, usize); 2]> {
    const INTERVAL: Duration = Duration::from_millis(1);
    let (mut peer, stream) = pair()?;
    peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    peer.write_all(&SETTINGS)?;
    let mut builder = server::Builder::new(Executor);
    builder.timer(Timer).keep_alive_interval(INTERVAL).keep_alive_timeout(timeout);
    let (ended, ends) = mpsc::channel();
    let connection = builder.serve_connection(Polled::new(stream), service_fn(echo));
    Executor.execute(async move { ended.send(connection.await).expect("it is waited for") });
    let pings = answer_pings(peer, answers, hangs_up)?;
    let by_server = (unblock(move || ends.recv()).expect("it says so"), pings);

    let (stream, mut peer) = pair()?;
    peer.write_all(&SETTINGS)?;
    let mut builder = client::Builder::new(Executor);
    builder.timer(Timer).keep_alive_interval(INTERVAL).keep_alive_timeout(timeout);
    // Or else it would depend on whether the connection is polled before the stream counts as open, whether it ever begins.
    builder.keep_alive_while_idle(true);
    let handshake = builder.handshake(Polled::new(stream));
    let (mut sender, connection) = block_on(handshake).map_err(io::Error::other)?;
    let connection = thread::spawn(|| block_on(connection));
    let asking = thread::spawn(move || block_on(sender.send_request(request("/", Sent::nothing()))));
    // What a client begins with.
    peer.read_exact(&mut [0; 24])?;
    let pings = answer_pings(peer, answers, hangs_up)?;
    let _ = connection.join().expect("no panic");
    Ok([by_server, (asking.join().expect("no panic").map(drop), pings)])
}

#[test]
fn a_peer_that_answers_no_ping_ends_the_connection() {
    everywhere(|| {
        let [(served, pings), (asked, pings_of_client)] = keep_alive(Duration::from_millis(5), 0, false)?;
        let error = served.expect_err("a timeout");
        assert!(error.is_timeout(), "{error:?}");
        // It may end before it takes the request. Nobody else ends it.
        asked.expect_err("no answer");
        // None, if it has no time to send it.
        assert!(pings < 2 && pings_of_client < 2);
        Ok(())
    });
}

#[test]
fn a_peer_that_answers_is_pinged_again_and_again() {
    everywhere(|| {
        for (_, pings) in keep_alive(LONG, 5, true)? {
            assert_eq!(pings, 5);
        }
        Ok(())
    });
}
