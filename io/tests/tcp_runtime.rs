//! Sockets and runtimes: their ends, several of them, and none.

use std::{
    convert::Infallible,
    io::{self, Read, Write},
    sync::Arc,
    time::Duration,
};

use crate::common::{everywhere, listen, pair, runtimes, settle, watchdog};
use sward_io::{
    Reactor, RuntimeClosed,
    net::{TcpListener, TcpStream},
};
use sward_runtime::{cancel::Cancelled, runtime::Builder, thread};

fn is_closed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>())
}

/// Waits once on a stream, and so binds it to the runtime of the calling thread.
fn bind(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_nanos(1)))?;
    let error = (&*stream).read(&mut [0]).expect_err("nothing to read");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    stream.set_read_timeout(None)
}

#[test]
fn the_end_of_a_runtime_ends_those_who_wait_in_it() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (reads, writes) = (pair().expect("a pair"), pair().expect("a pair"));
        let listener = listen().expect("a listener");
        let handle = runtime.handle();
        let reader = handle.spawn(move || (&reads.0).read(&mut [0]));
        let acceptor = handle.spawn(move || listener.accept());
        let writer = handle.spawn(move || -> Infallible {
            loop {
                (&writes.0).write_all(&[0; 1 << 16]).expect("the peer is there, but does not read");
            }
        });
        runtime.run(settle);
        drop(runtime);
        assert!(reader.join().expect_err("cancelled").is::<Cancelled>());
        assert!(acceptor.join().expect_err("cancelled").is::<Cancelled>());
        let Err::<Infallible, _>(ended) = writer.join();
        assert!(ended.is::<Cancelled>());
        drop((reads.1, writes.1));
    }
}

#[test]
fn a_socket_outlives_its_runtime_with_an_error() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (mut stream, mut peer) = runtime.run(|| {
            let (stream, peer) = pair().expect("a pair");
            bind(&stream).expect("bound");
            (stream, peer)
        });
        drop(runtime);
        assert!(is_closed(&stream.read(&mut [0]).expect_err("the runtime has ended")));
        assert!(is_closed(&stream.write(&[0]).expect_err("the runtime has ended")));
        // Its peer has never waited, so it is nobody's.
        peer.write_all(b"x").expect("room");

        // Through `std` it goes on.
        let mut stream = std::net::TcpStream::from(stream);
        assert_eq!(stream.read(&mut [0; 4]).expect("a byte"), 1);
    }
}

#[test]
fn the_end_of_a_runtime_wakes_an_os_thread_that_waits_on_its_socket() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (stream, peer) = runtime.run(|| {
            let (stream, peer) = pair().expect("a pair");
            bind(&stream).expect("bound");
            (stream, peer)
        });
        let reader = std::thread::spawn(move || (&stream).read(&mut [0]));
        settle();
        drop(runtime);
        assert!(is_closed(&reader.join().expect("no panic").expect_err("the runtime has ended")));
        drop(peer);
    }
}

#[test]
fn sockets_of_one_runtime_are_used_in_another() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let other = Builder::new().workers(2).build().expect("a runtime");
        let (stream, peer) = runtime.run(|| {
            let (stream, peer) = pair().expect("a pair");
            bind(&stream).expect("bound");
            (Arc::new(stream), peer)
        });
        let reader = other.handle().spawn(move || (&*stream).read(&mut [0; 4]));
        other.run(settle);
        (&peer).write_all(b"x").expect("room");
        assert_eq!(reader.join().expect("no panic").expect("a byte"), 1);
    }
}

#[test]
fn os_threads_and_green_threads_talk() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let listener = listen().expect("a listener");
        let addr = listener.local_addr().expect("bound");
        let client = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(addr)?;
            let mut answer = [0; 4];
            for _ in 0..100 {
                stream.write_all(b"ping")?;
                stream.read_exact(&mut answer)?;
                assert_eq!(&answer, b"ping");
            }
            io::Result::Ok(())
        });
        runtime.run(|| {
            let (stream, _) = listener.accept().expect("accepting");
            assert_eq!(io::copy(&mut &stream, &mut &stream).expect("echoing"), 400);
        });
        client.join().expect("no panic").expect("the client");
    }
}

#[test]
fn os_threads_wait_on_one_socket_together() {
    let _watchdog = watchdog();
    let listener = Arc::new(listen().expect("a listener"));
    let addr = listener.local_addr().expect("bound");
    let acceptors: Vec<_> = (0..4)
        .map(|_| {
            let listener = Arc::clone(&listener);
            std::thread::spawn(move || listener.accept().map(drop))
        })
        .collect();
    let clients: Vec<_> = acceptors.iter().map(|_| TcpStream::connect(addr).expect("connected")).collect();
    for acceptor in acceptors {
        acceptor.join().expect("no panic").expect("accepted");
    }
    drop(clients);
}

#[test]
fn the_reactor_may_be_started_with_the_runtime() {
    let _watchdog = watchdog();
    let runtime = Builder::new().workers(2).driver(Reactor::new).build().expect("a runtime");
    runtime.run(|| {
        let (stream, peer) = pair().expect("a pair");
        bind(&stream).expect("bound");
        (&peer).write_all(b"x").expect("room");
        assert_eq!((&stream).read(&mut [0; 4]).expect("a byte"), 1);
    });
}

#[test]
fn a_wait_that_never_ends_does_not_hold_up_the_others() {
    everywhere(|| {
        let listener: TcpListener = listen()?;
        let addr = listener.local_addr()?;
        let idle = TcpStream::connect(addr)?;
        let (waited_on, _) = listener.accept()?;
        let forever = thread::spawn(move || (&waited_on).read(&mut [0]));
        for _ in 0..20 {
            let mut client = TcpStream::connect(addr)?;
            let (mut server, _) = listener.accept()?;
            client.write_all(b"x")?;
            assert_eq!(server.read(&mut [0; 4])?, 1);
        }
        drop(idle);
        assert_eq!(forever.join().expect("no panic")?, 0);
        Ok(())
    });
}
