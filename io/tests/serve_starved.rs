//! Servers when there are no descriptors left, and that they lose none. In a child process, since the limit is the process's.

use std::{
    io::{Read, Write},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{
    listen,
    process::{alone, descriptors, limit_descriptors, open_all},
    runtimes, wait_until,
};
use sward_io::net::{ServeError, ServeOptions, Server, TcpStream, serve, serve_messages};
use sward_runtime::{runtime::Handle, thread};

#[test]
fn a_server_recovers_when_there_are_descriptors_again_and_leaks_none() {
    alone("a_server_recovers_when_there_are_descriptors_again_and_leaks_none", || {
        for runtime in runtimes() {
            runtime.run(|| starve(false));
            runtime.run(|| starve(true));
        }
    });
}

/// A server that sends back what it gets, of one kind or the other.
fn start(by_message: bool, errors: &Arc<AtomicUsize>) -> (Server, std::net::SocketAddr) {
    let errors = Arc::clone(errors);
    let options = ServeOptions::new().on_error(move |error| {
        assert!(matches!(error, ServeError::Accept(_)), "{error}");
        errors.fetch_add(1, SeqCst);
    });
    let listener = listen().expect("a listener");
    let addr = listener.local_addr().expect("bound");
    let answer = |stream: &mut TcpStream| {
        let mut byte = [0];
        let read = stream.read(&mut byte)?;
        stream.write_all(&byte[..read])?;
        Ok(if read == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let server = if by_message {
        serve_messages(listener, options, |stream, _| Ok(stream), answer)
    } else {
        serve(listener, options, move |mut stream, _| {
            while answer(&mut stream)?.is_continue() {}
            Ok(())
        })
    };
    (server.expect("a server"), addr)
}

/// How many descriptors are open, without those of the runtime before, which may be closed a moment late.
fn settled() -> usize {
    let looks = std::iter::repeat_with(|| {
        thread::sleep(Duration::from_millis(1));
        descriptors()
    });
    looks.take(20).min().expect("some")
}

/// Takes all descriptors but those of the clients, lets go of them again, and sees everybody served.
fn starve(by_message: bool) {
    let ask = |mut client: &TcpStream| {
        client.write_all(b"?").expect("sent");
        client.read_exact(&mut [0]).expect("answered");
    };
    let errors = Arc::new(AtomicUsize::new(0));
    let (server, addr) = start(by_message, &errors);
    let first = TcpStream::connect(addr).expect("connected");
    ask(&first);
    let before = settled();

    let limit = limit_descriptors(200);
    let mut files = open_all();
    // For the client's end.
    drop(files.pop());
    let second = TcpStream::connect(addr).expect("connected");
    while errors.load(SeqCst) == 0 {
        thread::yield_now();
    }
    ask(&first);
    assert_eq!(server.connections(), 1);
    // Long enough for each to try again and again.
    thread::sleep(Duration::from_millis(100));
    // All at once: between two that are given back one after the other there may be another shortage.
    drop(limit);
    ask(&second);
    drop(files);

    let clients: Vec<_> = (0..50).map(|_| TcpStream::connect(addr).expect("connected")).collect();
    clients.iter().for_each(ask);
    wait_until(|| descriptors() == before + 2 + 2 * clients.len());
    // One shortage is told once, whoever notices it; but who noticed it just before its end may tell of it after that.
    assert!(errors.load(SeqCst) <= 1 + Handle::current().workers());
    drop((first, second, clients));
    assert_eq!(server.shutdown(Duration::from_secs(3600)), 0);
    // The listener, and the two ends of the first connection.
    wait_until(|| descriptors() == before - 3);
}
