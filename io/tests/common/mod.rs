//! What the tests share: a watchdog, the runtimes to run on, and connected pairs.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use sward_io::net::{TcpListener, TcpStream};
use sward_runtime::{
    runtime::{Builder, Runtime},
    thread,
};

pub(crate) mod fs;
pub(crate) mod process;
#[cfg(target_os = "linux")]
pub(crate) mod unix;

/// Ends the process, with a message, if it is not dropped in time: a hang is a failure.
pub(crate) struct Watchdog(#[expect(dead_code, reason = "dropped to tell the dog")] mpsc::Sender<()>);

/// Lets a watchdog loose on the calling test.
pub(crate) fn watchdog() -> Watchdog {
    let (sender, receiver) = mpsc::channel();
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    std::thread::spawn(move || {
        if receiver.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            let _ = writeln!(io::stderr(), "{name} hangs");
            std::process::abort();
        }
    });
    Watchdog(sender)
}

/// The runtimes that every behaviour must hold on: both modes, with one, two and eight workers.
pub(crate) fn runtimes() -> impl Iterator<Item = Runtime> {
    [1, 2, 8].into_iter().flat_map(|workers| {
        let anchored = Builder::new().workers(workers);
        // SAFETY: the tests keep nothing thread-local across a suspension.
        let roaming = unsafe { Builder::new().workers(workers).roaming() };
        [anchored, roaming].map(|builder| builder.build().expect("a runtime"))
    })
}

/// Runs a test on a green thread of each runtime, and on an OS thread outside.
pub(crate) fn everywhere(test: impl Fn() -> io::Result<()> + Sync) {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        runtime.run(|| test().expect("the test"));
    }
    test().expect("the test outside the runtimes");
}

/// A listener on a port of its own.
pub(crate) fn listen() -> io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0")
}

/// The two ends of a new connection.
pub(crate) fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = listen()?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, peer) = listener.accept()?;
    assert_eq!(peer, client.local_addr()?);
    Ok((client, server))
}

/// An address where nobody listens, and the socket that keeps it from being given to anybody else.
pub(crate) fn nobody() -> io::Result<(SocketAddr, Socket)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let addr = socket.local_addr()?.as_socket().expect("bound to an address of that family");
    Ok((addr, socket))
}

/// Lets others run, so that whoever was just spawned is probably waiting now. No test depends on it for its result.
pub(crate) fn settle() {
    for _ in 0..50 {
        thread::yield_now();
    }
}

/// How much more than usual the stress tests do: `SWARD_STRESS`, 1 by default.
pub(crate) fn stress() -> usize {
    std::env::var("SWARD_STRESS").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}
