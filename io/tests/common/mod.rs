//! What the tests share: the runtime's matrix, stress, watchdog and counted drops; connected pairs.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

use std::{io, net::SocketAddr};

use socket2::{Domain, Socket, Type};
use sward_io::net::{TcpListener, TcpStream};
use sward_runtime::{runtime::Runtime, thread};

pub(crate) mod fs;
pub(crate) mod process;
#[path = "../../../runtime/tests/common/mod.rs"]
mod runtime_common;
pub(crate) mod server;
#[cfg(target_os = "linux")]
pub(crate) mod unix;

pub(crate) use self::runtime_common::{Config, DropToken, Drops, Watchdog, configs, stress, wait_until};

/// Lets a watchdog loose on the calling test.
#[track_caller]
pub(crate) fn watchdog() -> Watchdog {
    Watchdog::new()
}

/// The runtimes that every behaviour must hold on.
pub(crate) fn runtimes() -> impl Iterator<Item = Runtime> {
    configs().map(Config::build)
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

/// Returns once something is so that follows when a descriptor is closed. A child that another test starts has a copy of each until its
/// own program begins.
pub(crate) fn once_closed(follows: impl FnMut() -> bool) {
    wait_until(follows);
}

/// Lets others run, so that whoever was just spawned is probably waiting now. No test depends on it for its result.
pub(crate) fn settle() {
    for _ in 0..50 {
        thread::yield_now();
    }
}
