//! Many green threads on one UDP socket, its clones, and what ends a wait.

use std::{
    io::{self, ErrorKind},
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, AsRawFd, RawFd},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::common::{everywhere, process::alone, runtimes, settle, stress, unix::duplicate_from, watchdog};
use socket2::SockRef;
use sward_io::{
    RuntimeClosed,
    net::{TcpListener, TcpStream, UdpSocket},
};
use sward_runtime::{cancel::Cancelled, runtime::Builder, thread};

/// Two sockets that are connected to each other.
fn pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let pair = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    pair.0.connect(pair.1.local_addr()?)?;
    pair.1.connect(pair.0.local_addr()?)?;
    Ok(pair)
}

#[test]
fn receivers_of_one_socket_get_each_datagram_once() {
    everywhere(|| {
        const RECEIVERS: usize = 6;
        let datagrams = stress(300);
        let server = UdpSocket::bind("127.0.0.1:0")?;
        let addr = server.local_addr()?;
        let (received, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..RECEIVERS {
                scope.spawn(|| {
                    let mut buffer = [0; 16];
                    loop {
                        let (len, _) = server.recv_from(&mut buffer).expect("receiving");
                        let Ok(number) = buffer[..len].try_into().map(usize::from_le_bytes) else { return };
                        sum.fetch_add(number, Relaxed);
                        received.fetch_add(1, Relaxed);
                    }
                });
            }
            settle();
            let client = UdpSocket::bind("127.0.0.1:0")?;
            for number in 0..datagrams {
                client.send_to(&number.to_le_bytes(), addr)?;
                // No more on their way than the system has room for.
                while received.load(Relaxed) + 20 < number {
                    thread::yield_now();
                }
            }
            while received.load(Relaxed) < datagrams {
                thread::yield_now();
            }
            for _ in 0..RECEIVERS {
                client.send_to(b"end", addr)?;
            }
            io::Result::Ok(())
        })?;
        assert_eq!(sum.load(Relaxed), (0..datagrams).sum());
        Ok(())
    });
}

#[test]
fn clones_share_the_datagrams_the_timeouts_and_the_mode() {
    everywhere(|| {
        let (one, other) = pair()?;
        let clone = one.try_clone()?;
        assert_ne!(clone.as_raw_fd(), one.as_raw_fd());
        let clone_of_other = other.try_clone()?;
        thread::scope(|scope| {
            let receivers = [&one, &clone].map(|socket| scope.spawn(|| socket.recv(&mut [0; 8])));
            settle();
            clone_of_other.send(b"a")?;
            other.send(b"b")?;
            for receiver in receivers {
                assert_eq!(receiver.join().expect("no panic")?, 1);
            }
            io::Result::Ok(())
        })?;
        one.set_read_timeout(Some(Duration::from_millis(1)))?;
        assert_eq!(clone.read_timeout()?, one.read_timeout()?);
        assert!(clone.recv(&mut [0; 8]).is_err());
        clone.set_read_timeout(None)?;
        clone.set_nonblocking(true)?;
        assert_eq!(one.recv(&mut [0; 8]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
        drop(one);
        assert_eq!(clone.send(b"still here")?, 10);
        Ok(())
    });
}

#[test]
fn a_receiver_a_sender_and_a_closer_on_clones_leave_each_other_alone() {
    everywhere(|| {
        let rounds = stress(50);
        let (one, other) = pair()?;
        let (receiver, sender) = (one.try_clone()?, one.try_clone()?);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            // What is closed is registered: it has waited. Its timeout is its own, since it was not cloned here.
            let closer = scope.spawn(|| {
                while !done.load(Relaxed) {
                    let duplicate = UdpSocket::from(one.as_fd().try_clone_to_owned()?);
                    duplicate.set_read_timeout(Some(Duration::from_nanos(1)))?;
                    let _ = duplicate.peek(&mut [0]);
                }
                io::Result::Ok(())
            });
            let echo = scope.spawn(|| {
                let mut buffer = [0; 16];
                for _ in 0..rounds {
                    let len = other.recv(&mut buffer)?;
                    other.send(&buffer[..len])?;
                }
                io::Result::Ok(())
            });
            let received = scope.spawn(|| {
                for round in 0..rounds {
                    let mut buffer = [0; 16];
                    let len = receiver.recv(&mut buffer)?;
                    assert_eq!(buffer[..len], round.to_le_bytes());
                    sender.send(&(round + 1).to_le_bytes())?;
                }
                io::Result::Ok(())
            });
            sender.send(&0_usize.to_le_bytes())?;
            received.join().expect("no panic")?;
            echo.join().expect("no panic")?;
            done.store(true, Relaxed);
            closer.join().expect("no panic")
        })
    });
}

#[test]
fn shutdown_from_elsewhere_wakes_receivers() {
    everywhere(|| {
        let (one, _other) = pair()?;
        let clone = one.try_clone()?;
        thread::scope(|scope| {
            let receivers = [&one, &one, &clone].map(|socket| scope.spawn(|| socket.recv(&mut [0; 8])));
            settle();
            // `std` has no method for it, but the system does it.
            SockRef::from(&clone).shutdown(Shutdown::Read)?;
            for receiver in receivers {
                assert_eq!(receiver.join().expect("no panic")?, 0);
            }
            Ok(())
        })
    });
}

#[test]
fn a_new_owner_of_a_descriptor_gets_its_own_datagrams_only() {
    const NUMBERS: RawFd = 700;
    alone("a_new_owner_of_a_descriptor_gets_its_own_datagrams_only", || {
        everywhere(|| {
            for round in 0..20_u8 {
                let (old, peer) = pair()?;
                let old = UdpSocket::from(duplicate_from(&old, NUMBERS)?);
                let fd = old.as_raw_fd();
                // Registered, and closed with an event on its way.
                old.set_read_timeout(Some(Duration::from_micros(1)))?;
                assert!(old.recv(&mut [0]).is_err());
                peer.send(b"stale")?;
                let (new, peer_of_new) = pair()?;
                drop(old);
                let new = UdpSocket::from(duplicate_from(&new, NUMBERS)?);
                assert_eq!(new.as_raw_fd(), fd, "the number is in use again");
                thread::scope(|scope| {
                    let receiver = scope.spawn(|| {
                        let mut byte = [0];
                        new.recv(&mut byte).map(|len| (len, byte[0]))
                    });
                    settle();
                    let _ = peer.send(b"stale");
                    settle();
                    peer_of_new.send(&[round])?;
                    assert_eq!(receiver.join().expect("no panic")?, (1, round));
                    io::Result::Ok(())
                })?;
            }
            Ok(())
        });
    });
}

#[test]
fn a_cancelled_receive_loses_no_datagram() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (server, client) = pair().expect("a pair");
        let clone = server.try_clone().expect("a clone");
        let received = Arc::new(AtomicUsize::new(0));
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let (socket, received) = (server.try_clone().expect("a clone"), Arc::clone(&received));
                runtime.handle().spawn(move || {
                    loop {
                        socket.recv(&mut [0; 8]).expect("the socket is open");
                        received.fetch_add(1, Relaxed);
                    }
                })
            })
            .collect();
        let counted = Arc::clone(&received);
        let outside = std::thread::spawn(move || {
            // Ends at a datagram with more than a byte.
            while clone.recv(&mut [0; 8]).expect("the socket is open") == 1 {
                counted.fetch_add(1, Relaxed);
            }
        });
        runtime.run(settle);
        let mut sent = 0;
        let mut send = |count| {
            for _ in 0..count {
                client.send(b"x").expect("sent");
                sent += 1;
            }
            sent
        };
        send(20);
        drop(runtime);
        let sent = send(20);
        for green in waiting {
            let ended: Result<std::convert::Infallible, _> = green.join();
            assert!(ended.expect_err("cancelled").is::<Cancelled>());
        }
        while received.load(Relaxed) < sent {
            std::thread::yield_now();
        }
        client.send(b"end").expect("sent");
        outside.join().expect("no panic");
        assert_eq!(received.load(Relaxed), sent);
    }
}

#[test]
fn a_socket_outlives_its_runtime_with_an_error() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (socket, peer) = runtime.run(|| {
            let (socket, peer) = pair().expect("a pair");
            socket.set_read_timeout(Some(Duration::from_nanos(1))).expect("set");
            assert!(socket.recv(&mut [0]).is_err());
            (socket, peer)
        });
        drop(runtime);
        let error = socket.recv(&mut [0]).expect_err("the runtime has ended");
        assert!(error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>()));
        peer.send(b"x").expect("its peer has never waited, so it is nobody's");
        let socket = std::net::UdpSocket::from(socket);
        socket.set_read_timeout(None).expect("set");
        assert_eq!(socket.recv(&mut [0; 4]).expect("through `std` it goes on"), 1);
    }
}

#[test]
fn names_are_looked_up_off_the_workers() {
    let _watchdog = watchdog();
    let anchored = Builder::new().workers(1);
    // SAFETY: the test keeps nothing thread-local across a suspension.
    let roaming = unsafe { Builder::new().workers(1).roaming() };
    for builder in [anchored, roaming] {
        builder.build().expect("a runtime").run(|| {
            // What would wait panics in there, before it has begun.
            let waits = |operation: &dyn Fn(&str) -> io::Result<()>, to: &str| {
                panic::catch_unwind(AssertUnwindSafe(|| thread::no_suspend(|| operation(to)))).is_err()
            };
            let looked_up = |operation: &dyn Fn(&str) -> io::Result<()>, address: SocketAddr| {
                let name = format!("localhost:{}", address.port());
                operation(&name).expect("looked up");
                assert!(waits(operation, &name), "the worker would be held up");
                assert!(!waits(operation, &address.to_string()), "there is nothing to look up");
            };
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            looked_up(&|address| UdpSocket::bind(address).map(drop), any);
            looked_up(&|address| TcpListener::bind(address).map(drop), any);
            // Which of the addresses of the name comes first is not for us to say.
            let server = UdpSocket::bind("localhost:0").expect("bound").local_addr().expect("bound");
            let client = UdpSocket::bind((server.ip(), 0)).expect("bound");
            looked_up(&|address| client.send_to(b"x", address).map(drop), server);
            looked_up(&|address| client.connect(address), server);
            let listener = TcpListener::bind("localhost:0").expect("bound");
            let port = listener.local_addr().expect("bound").port();
            let connect = |name: &str| TcpStream::connect(name).map(drop);
            connect(&format!("localhost:{port}")).expect("looked up");
            assert!(waits(&connect, &format!("localhost:{port}")), "the worker would be held up");
        });
    }
}
