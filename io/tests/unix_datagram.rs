//! Unix datagram sockets do what those of `std` do.
#![cfg(target_os = "linux")]

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::Shutdown,
    os::{
        fd::{AsRawFd, RawFd},
        linux::net::SocketAddrExt,
        unix::net::SocketAddr,
    },
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::common::{
    everywhere,
    process::alone,
    runtimes, settle, stress,
    unix::{Place, duplicate_from, name},
    watchdog,
};
use sward_io::os::unix::net::UnixDatagram;
use sward_runtime::{cancel::Cancelled, thread};

const SHORT: Duration = Duration::from_millis(5);

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// Sends until there is no room.
fn fill(send: impl Fn() -> io::Result<usize>) {
    while send().is_ok() {}
}

#[test]
fn a_datagram_arrives_with_the_name_of_its_sender() {
    everywhere(|| {
        let (here, there) = (Place::new(), Place::new());
        let one = UnixDatagram::bind(here.path())?;
        let other = UnixDatagram::bind(there.path())?;
        thread::scope(|scope| {
            let receiver = scope.spawn(|| {
                let mut buffer = [0; 16];
                let (received, sender) = other.recv_from(&mut buffer)?;
                io::Result::Ok((buffer[..received].to_vec(), sender))
            });
            settle();
            assert_eq!(one.send_to(b"hello", there.path())?, 5);
            let (received, sender) = receiver.join().expect("no panic")?;
            assert_eq!((&*received, sender.as_pathname()), (&b"hello"[..], Some(here.path())));

            // And back, to where it came from.
            other.connect_addr(&sender)?;
            other.send(b"hello back")?;
            assert_eq!(one.recv(&mut [0; 16])?, 10);
            Ok(())
        })
    });
}

#[test]
fn abstract_names_are_names() {
    everywhere(|| {
        let (here, there) = (name(), name());
        let one = UnixDatagram::bind_addr(&here)?;
        let other = UnixDatagram::bind_addr(&there)?;
        assert_eq!(one.local_addr()?.as_abstract_name(), here.as_abstract_name());
        one.send_to_addr(b"hello", &there)?;
        let (received, sender) = other.recv_from(&mut [0; 16])?;
        assert_eq!((received, sender.as_abstract_name()), (5, here.as_abstract_name()));
        Ok(())
    });
}

#[test]
fn who_has_no_name_sends_without_one() {
    everywhere(|| {
        let addr = name();
        let receiver = UnixDatagram::bind_addr(&addr)?;
        let sender = UnixDatagram::unbound()?;
        assert!(sender.local_addr()?.is_unnamed());
        sender.send_to_addr(b"hello", &addr)?;
        let (received, from) = receiver.recv_from(&mut [0; 16])?;
        assert_eq!((received, from.is_unnamed()), (5, true));
        Ok(())
    });
}

#[test]
fn a_peer_can_be_changed() {
    everywhere(|| {
        let (here, there) = (Place::new(), name());
        let one = UnixDatagram::bind(here.path())?;
        let other = UnixDatagram::bind_addr(&there)?;
        let sender = UnixDatagram::unbound()?;
        assert_eq!(kind(sender.peer_addr()), Some(ErrorKind::NotConnected));
        assert_eq!(kind(sender.send(b"to whom?")), Some(ErrorKind::NotConnected));
        sender.connect(here.path())?;
        assert_eq!(sender.peer_addr()?.as_pathname(), Some(here.path()));
        sender.send(b"one")?;
        sender.connect_addr(&there)?;
        assert_eq!(sender.peer_addr()?.as_abstract_name(), there.as_abstract_name());
        sender.send(b"other")?;
        assert_eq!(one.recv(&mut [0; 16])?, 3);
        assert_eq!(other.recv(&mut [0; 16])?, 5);
        assert_eq!(kind(sender.connect(Place::new().path())), Some(ErrorKind::NotFound));
        assert_eq!(kind(sender.send_to(b"x", Place::new().path())), Some(ErrorKind::NotFound));
        assert_eq!(kind(sender.send_to_addr(b"x", &name())), Some(ErrorKind::ConnectionRefused));
        Ok(())
    });
}

#[test]
fn a_pair_talks_both_ways() {
    everywhere(|| {
        let (here, there) = UnixDatagram::pair()?;
        thread::scope(|scope| {
            let other = scope.spawn(move || {
                let mut buffer = [0; 5];
                assert_eq!(there.recv(&mut buffer)?, 5);
                there.send(b"world!")?;
                io::Result::Ok(buffer)
            });
            settle();
            here.send(b"hello")?;
            let mut buffer = [0; 6];
            assert_eq!(here.recv_from(&mut buffer)?.0, 6);
            assert_eq!(&buffer, b"world!");
            assert_eq!(&other.join().expect("no panic")?, b"hello");
            Ok(())
        })
    });
}

#[test]
fn peek_takes_nothing_away() {
    everywhere(|| {
        let (here, there) = UnixDatagram::pair()?;
        thread::scope(|scope| {
            let peekers = [scope.spawn(|| here.peek(&mut [0; 2])), scope.spawn(|| here.peek(&mut [0; 2]))];
            settle();
            there.send(b"hello")?;
            for peeker in peekers {
                assert_eq!(peeker.join().expect("no panic")?, 2);
            }
            io::Result::Ok(())
        })?;
        assert_eq!(here.peek_from(&mut [0; 16])?.0, 5);
        assert_eq!(here.recv(&mut [0; 16])?, 5);
        here.set_nonblocking(true)?;
        assert_eq!(kind(here.peek(&mut [0; 16])), Some(ErrorKind::WouldBlock));
        assert_eq!(kind(here.peek_from(&mut [0; 16])), Some(ErrorKind::WouldBlock));
        Ok(())
    });
}

#[test]
fn an_empty_datagram_is_one_and_a_long_one_is_cut() {
    everywhere(|| {
        let (here, there) = UnixDatagram::pair()?;
        for datagram in [&b""[..], b"too long by far", b"", b"next"] {
            assert_eq!(there.send(datagram)?, datagram.len());
        }
        let mut buffer = [0; 8];
        assert_eq!(here.recv(&mut buffer)?, 0);
        assert_eq!(here.recv(&mut buffer)?, 8);
        assert_eq!(&buffer, b"too long");
        assert_eq!(here.recv_from(&mut buffer)?.0, 0);
        assert_eq!(here.recv(&mut [])?, 0);

        thread::scope(|scope| {
            let receiver = scope.spawn(|| here.recv(&mut [0; 8]));
            settle();
            there.send(b"")?;
            assert_eq!(receiver.join().expect("no panic")?, 0);
            let huge = there.send(&vec![0; 1 << 24]).expect_err("longer than the system sends");
            assert_eq!(huge.raw_os_error(), Some(libc::EMSGSIZE));
            Ok(())
        })
    });
}

#[test]
fn timeouts_are_kept_exactly_and_zero_is_refused() {
    everywhere(|| {
        let socket = UnixDatagram::unbound()?;
        assert_eq!((socket.read_timeout()?, socket.write_timeout()?), (None, None));
        let exact = Some(Duration::from_nanos(1_234_567));
        socket.set_read_timeout(exact)?;
        socket.set_write_timeout(Some(Duration::MAX))?;
        assert_eq!(socket.read_timeout()?, exact);
        assert!(socket.write_timeout()?.is_some());
        let zero = Some(Duration::ZERO);
        assert_eq!(kind(socket.set_read_timeout(zero)), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(socket.set_write_timeout(zero)), Some(ErrorKind::InvalidInput));
        Ok(())
    });
}

#[test]
fn waits_time_out_in_every_operation() {
    everywhere(|| {
        let addr = name();
        let receiver = UnixDatagram::bind_addr(&addr)?;
        let sender = UnixDatagram::unbound()?;
        sender.connect_addr(&addr)?;
        receiver.set_read_timeout(Some(SHORT))?;
        let timed = |operation: &dyn Fn() -> io::Result<usize>| {
            let start = Instant::now();
            let error = operation().expect_err("nothing comes");
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
            assert!(start.elapsed() >= SHORT);
        };
        timed(&|| receiver.recv(&mut [0]));
        timed(&|| receiver.recv_from(&mut [0]).map(|(len, _)| len));
        timed(&|| receiver.peek(&mut [0]));

        sender.set_nonblocking(true)?;
        fill(|| sender.send(b"x"));
        assert_eq!(kind(sender.send_to_addr(b"x", &addr)), Some(ErrorKind::WouldBlock));
        sender.set_nonblocking(false)?;
        sender.set_write_timeout(Some(SHORT))?;
        timed(&|| sender.send(b"x"));
        timed(&|| sender.send_to_addr(b"x", &addr));
        sender.set_write_timeout(None)?;
        let by_deadline = |send: &dyn Fn() -> io::Result<usize>| {
            let deadline = Instant::now() + SHORT;
            sender.set_write_deadline(Some(deadline));
            assert_eq!(kind(send()), Some(ErrorKind::WouldBlock));
            assert!(Instant::now() >= deadline);
        };
        by_deadline(&|| sender.send(b"x"));
        by_deadline(&|| sender.send_to_addr(b"x", &addr));
        sender.set_write_deadline(None);

        // They are as good as before.
        receiver.recv(&mut [0])?;
        sender.set_write_timeout(Some(Duration::MAX))?;
        sender.send_to_addr(b"x", &addr)?;
        receiver.recv(&mut [0])?;
        sender.send(b"x")?;
        Ok(())
    });
}

#[test]
fn senders_wait_until_the_receiver_has_room() {
    everywhere(|| {
        let datagrams = stress(100);
        let addr = name();
        let receiver = UnixDatagram::bind_addr(&addr)?;
        thread::scope(|scope| {
            // Half of them have a peer. Few find room at once, and it is mostly others who fill it.
            for sender in 0..4 {
                let addr = &addr;
                scope.spawn(move || {
                    let socket = UnixDatagram::unbound()?;
                    for number in 0..datagrams {
                        let datagram = [sender, number].map(usize::to_le_bytes).concat();
                        if sender % 2 == 0 {
                            socket.connect_addr(addr)?;
                            socket.send(&datagram)?;
                        } else {
                            socket.send_to_addr(&datagram, addr)?;
                        }
                    }
                    io::Result::Ok(())
                });
            }
            settle();
            let mut next = [0_usize; 4];
            for _ in 0..4 * datagrams {
                let mut datagram = [0; 16];
                assert_eq!(receiver.recv(&mut datagram)?, 16);
                let (sender, number) = datagram.split_at(8);
                let sender = usize::from_le_bytes(sender.try_into().expect("eight bytes"));
                // Nothing is lost, and nothing overtakes.
                assert_eq!(number, next[sender].to_le_bytes());
                next[sender] += 1;
            }
            assert_eq!(next, [datagrams; 4]);
            Ok(())
        })
    });
}

#[test]
fn a_receiver_that_is_closed_wakes_the_senders() {
    everywhere(|| {
        let addr = name();
        let receiver = UnixDatagram::bind_addr(&addr)?;
        let sender = UnixDatagram::unbound()?;
        sender.connect_addr(&addr)?;
        sender.set_nonblocking(true)?;
        fill(|| sender.send(b"x"));
        sender.set_nonblocking(false)?;
        thread::scope(|scope| {
            let senders = [
                scope.spawn(|| sender.send(b"x")),
                scope.spawn(|| sender.send(b"x")),
                scope.spawn(|| sender.send_to_addr(b"x", &addr)),
            ];
            settle();
            drop(receiver);
            for sender in senders {
                let refused = kind(sender.join().expect("no panic"));
                // The first to notice that the peer is gone has no peer any more.
                assert!(matches!(refused, Some(ErrorKind::ConnectionRefused | ErrorKind::NotConnected)));
            }
            Ok(())
        })
    });
}

#[test]
fn shutdown_from_elsewhere_wakes_receivers_and_senders() {
    everywhere(|| {
        for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
            let (socket, peer) = UnixDatagram::pair()?;
            let clone = socket.try_clone()?;
            socket.set_nonblocking(true)?;
            fill(|| socket.send(b"x"));
            socket.set_nonblocking(false)?;
            thread::scope(|scope| {
                let receivers = [&socket, &socket, &clone].map(|socket| {
                    scope.spawn(|| io::Result::Ok((socket.recv_from(&mut [0])?.0, socket.recv(&mut [0])?)))
                });
                let senders = [&socket, &socket, &clone].map(|socket| scope.spawn(|| socket.send(b"x")));
                settle();
                clone.shutdown(how)?;
                if how == Shutdown::Write {
                    // They still wait: for these.
                    settle();
                    for _ in 0..6 {
                        peer.send(b"y")?;
                    }
                }
                let expected = if how == Shutdown::Write { (1, 1) } else { (0, 0) };
                for receiver in receivers {
                    assert_eq!(receiver.join().expect("no panic")?, expected);
                }
                if how == Shutdown::Read {
                    for _ in 0..6 {
                        peer.recv(&mut [0])?;
                    }
                }
                for sender in senders {
                    let sent = sender.join().expect("no panic");
                    match how {
                        Shutdown::Read => assert_eq!(sent?, 1),
                        _ => assert_eq!(kind(sent), Some(ErrorKind::BrokenPipe)),
                    }
                }
                io::Result::Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn what_was_sent_before_a_shutdown_is_received_first() {
    everywhere(|| {
        let (socket, peer) = UnixDatagram::pair()?;
        peer.send(b"before")?;
        socket.shutdown(Shutdown::Read)?;
        assert_eq!(socket.recv(&mut [0; 16])?, 6);
        assert_eq!((socket.recv(&mut [0; 16])?, socket.peek(&mut [0; 16])?), (0, 0));
        assert_eq!(kind(peer.send(b"after")), Some(ErrorKind::BrokenPipe));
        for _ in 0..2 {
            socket.set_nonblocking(true)?;
            assert_eq!(kind(socket.recv(&mut [0; 16])), Some(ErrorKind::WouldBlock));
            socket.set_nonblocking(false)?;
            assert_eq!(socket.recv(&mut [0; 16])?, 0);
        }
        Ok(())
    });
}

#[test]
fn a_shutdown_is_noticed_by_a_socket_that_has_waited_before() {
    everywhere(|| {
        let (socket, _peer) = UnixDatagram::pair()?;
        socket.set_read_timeout(Some(SHORT))?;
        assert!(socket.recv(&mut [0; 16]).is_err());
        socket.set_read_timeout(None)?;
        socket.shutdown(Shutdown::Read)?;
        for _ in 0..2 {
            socket.set_nonblocking(true)?;
            // Until the system has reported it, too.
            settle();
            assert_eq!(kind(socket.recv(&mut [0; 16])), Some(ErrorKind::WouldBlock));
            socket.set_nonblocking(false)?;
            assert_eq!(socket.recv(&mut [0; 16])?, 0);
        }
        Ok(())
    });
}

#[test]
fn receivers_get_each_datagram_once() {
    everywhere(|| {
        const RECEIVERS: usize = 6;
        let datagrams = stress(300);
        let (server, client) = UnixDatagram::pair()?;
        let clone = server.try_clone()?;
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for receiver in 0..RECEIVERS {
                let socket = if receiver % 2 == 0 { &server } else { &clone };
                let sum = &sum;
                scope.spawn(move || {
                    let mut buffer = [0; 16];
                    loop {
                        let (len, _) = socket.recv_from(&mut buffer).expect("receiving");
                        let Ok(number) = buffer[..len].try_into().map(usize::from_le_bytes) else { return };
                        sum.fetch_add(number, Relaxed);
                    }
                });
            }
            settle();
            for number in 0..datagrams {
                client.send(&number.to_le_bytes())?;
            }
            for _ in 0..RECEIVERS {
                client.send(b"end")?;
            }
            io::Result::Ok(())
        })?;
        assert_eq!(sum.load(Relaxed), (0..datagrams).sum());
        Ok(())
    });
}

#[test]
fn a_new_owner_of_a_descriptor_gets_its_own_datagrams_only() {
    const NUMBERS: RawFd = 700;
    alone("a_new_owner_of_a_descriptor_gets_its_own_datagrams_only", || {
        everywhere(|| {
            for round in 0..20_u8 {
                let (old, peer) = UnixDatagram::pair()?;
                let keeper = old.try_clone()?;
                let old = UnixDatagram::from(duplicate_from(&old, NUMBERS)?);
                let fd = old.as_raw_fd();
                // Registered, and closed with an event on its way.
                old.set_read_timeout(Some(Duration::from_micros(1)))?;
                assert!(old.recv(&mut [0]).is_err());
                let (new, peer_of_new) = UnixDatagram::pair()?;
                peer.send(b"stale")?;
                drop(old);
                let new = UnixDatagram::from(duplicate_from(&new, NUMBERS)?);
                assert_eq!(new.as_raw_fd(), fd, "the number is in use again");
                thread::scope(|scope| {
                    let receiver = scope.spawn(|| {
                        let mut byte = [0];
                        new.recv(&mut byte).map(|len| (len, byte[0]))
                    });
                    settle();
                    // The open socket behind the old number lives on in a clone, and changes.
                    peer.send(b"stale")?;
                    settle();
                    drop(keeper);
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
fn cancelled_operations_lose_no_datagram_and_send_none() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (server, client) = UnixDatagram::pair().expect("a pair");
        let received = Arc::new(AtomicUsize::new(0));
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let (socket, received) = (server.try_clone().expect("a clone"), Arc::clone(&received));
                runtime.handle().spawn(move || -> Infallible {
                    loop {
                        socket.recv_from(&mut [0; 8]).expect("the socket is open");
                        received.fetch_add(1, Relaxed);
                    }
                })
            })
            .collect();
        let (full, reader) = UnixDatagram::pair().expect("a pair");
        let sender = runtime.handle().spawn(move || -> Infallible {
            loop {
                full.send(b"x").expect("the peer is there, but does not receive");
            }
        });
        let clone = server.try_clone().expect("a clone");
        let counted = Arc::clone(&received);
        let outside = std::thread::spawn(move || {
            while clone.recv(&mut [0; 8]).expect("the socket is open") == 1 {
                counted.fetch_add(1, Relaxed);
            }
        });
        runtime.run(settle);
        for _ in 0..20 {
            client.send(b"x").expect("sent");
        }
        drop(runtime);
        for _ in 0..20 {
            client.send(b"x").expect("sent");
        }
        for green in waiting.into_iter().chain([sender]) {
            assert!(green.join().expect_err("cancelled").is::<Cancelled>());
        }
        while received.load(Relaxed) < 40 {
            std::thread::yield_now();
        }
        client.send(b"end").expect("sent");
        outside.join().expect("no panic");
        assert_eq!(received.load(Relaxed), 40);

        // All that was sent was sent before the end, and there is no more.
        reader.set_nonblocking(true).expect("set");
        while reader.recv(&mut [0; 8]).is_ok() {}
        assert_eq!(kind(reader.recv(&mut [0; 8])), Some(ErrorKind::WouldBlock));
    }
}

#[test]
fn an_address_without_a_name_is_nobody() {
    everywhere(|| {
        let nobody = SocketAddr::from_pathname("")?;
        let socket = UnixDatagram::unbound()?;
        assert!(socket.send_to_addr(b"x", &nobody).is_err());
        // To be bound to it is to be given a name.
        assert!(UnixDatagram::bind_addr(&nobody)?.local_addr()?.as_abstract_name().is_some());
        Ok(())
    });
}
