//! UDP sockets do what those of `std` do.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use crate::common::{everywhere, once_closed, settle};
use sward_io::net::UdpSocket;
use sward_runtime::thread;

const SHORT: Duration = Duration::from_millis(5);

/// A socket on a port of its own.
fn socket() -> io::Result<UdpSocket> {
    UdpSocket::bind("127.0.0.1:0")
}

/// Two sockets that are connected to each other.
fn pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let pair = (socket()?, socket()?);
    pair.0.connect(pair.1.local_addr()?)?;
    pair.1.connect(pair.0.local_addr()?)?;
    Ok(pair)
}

/// Runs a test on two sockets of each family that the machine has.
fn each_family(test: impl Fn(UdpSocket, UdpSocket) -> io::Result<()> + Sync) {
    everywhere(|| {
        test(socket()?, socket()?)?;
        match UdpSocket::bind("[::1]:0") {
            Ok(one) => test(one, UdpSocket::bind("[::1]:0")?),
            Err(_) => Ok(()),
        }
    });
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn bind_fails_for_an_address_of_somebody_else() {
    everywhere(|| {
        assert_eq!(kind(UdpSocket::bind("203.0.113.1:0")), Some(ErrorKind::AddrNotAvailable));
        let none: &[SocketAddr] = &[];
        assert_eq!(kind(UdpSocket::bind(none)), Some(ErrorKind::InvalidInput));
        Ok(())
    });
}

#[test]
fn a_datagram_arrives_with_the_address_of_its_sender() {
    each_family(|server, client| {
        let addr = server.local_addr()?;
        thread::scope(|scope| {
            let receiver = scope.spawn(|| {
                let mut buffer = [0; 16];
                let (received, sender) = server.recv_from(&mut buffer)?;
                io::Result::Ok((buffer[..received].to_vec(), sender))
            });
            settle();
            assert_eq!(client.send_to(b"hello", addr)?, 5);
            assert_eq!(receiver.join().expect("no panic")?, (b"hello".to_vec(), client.local_addr()?));
            Ok(())
        })
    });
}

#[test]
fn a_connected_socket_knows_its_peer_and_hears_nobody_else() {
    each_family(|one, other| {
        assert_eq!(kind(one.peer_addr()), Some(ErrorKind::NotConnected));
        assert!(one.send(b"to whom?").is_err());
        one.connect(other.local_addr()?)?;
        other.connect(one.local_addr()?)?;
        assert_eq!(one.peer_addr()?, other.local_addr()?);
        assert_eq!(other.peer_addr()?, one.local_addr()?);

        let stranger = UdpSocket::bind((one.local_addr()?.ip(), 0))?;
        stranger.send_to(b"stranger", one.local_addr()?)?;
        other.send(b"peer")?;
        let mut buffer = [0; 16];
        assert_eq!(one.recv(&mut buffer)?, 4);
        assert_eq!(&buffer[..4], b"peer");
        Ok(())
    });
}

#[test]
fn connecting_to_itself_is_fine() {
    each_family(|socket, _| {
        socket.connect(socket.local_addr()?)?;
        socket.send(b"hello world")?;
        let mut buffer = [0; 11];
        for _ in 0..3 {
            assert_eq!(socket.peek(&mut buffer)?, 11);
            assert_eq!(socket.peek_from(&mut buffer)?, (11, socket.local_addr()?));
        }
        buffer.fill(0);
        assert_eq!(socket.recv(&mut buffer)?, 11);
        assert_eq!(&buffer, b"hello world");
        socket.set_nonblocking(true)?;
        assert_eq!(kind(socket.peek(&mut buffer)), Some(ErrorKind::WouldBlock));
        Ok(())
    });
}

#[test]
fn a_peek_that_waits_leaves_the_datagram() {
    everywhere(|| {
        let (one, other) = pair()?;
        thread::scope(|scope| {
            let peeker = scope.spawn(|| one.peek_from(&mut [0; 2]));
            settle();
            other.send(b"abc")?;
            assert_eq!(peeker.join().expect("no panic")?, (2, other.local_addr()?));
            assert_eq!(one.recv(&mut [0; 8])?, 3);
            Ok(())
        })
    });
}

#[test]
fn an_empty_datagram_is_one() {
    everywhere(|| {
        let (one, other) = pair()?;
        thread::scope(|scope| {
            let receiver = scope.spawn(|| {
                let lengths = [one.recv(&mut [0; 8])?, one.recv_from(&mut [0; 8])?.0, one.recv(&mut [])?];
                io::Result::Ok((lengths, one.recv(&mut [0; 8])?))
            });
            settle();
            for datagram in [&b""[..], b"", b"", b"end"] {
                assert_eq!(other.send(datagram)?, datagram.len());
            }
            assert_eq!(receiver.join().expect("no panic")?, ([0; 3], 3));
            Ok(())
        })
    });
}

#[test]
fn what_does_not_fit_is_lost_and_the_next_datagram_is_whole() {
    everywhere(|| {
        let (one, other) = pair()?;
        other.send(b"too long by far")?;
        other.send(b"next")?;
        other.send(b"no room at all")?;
        other.send(b"last")?;
        let mut buffer = [0; 8];
        assert_eq!(one.recv(&mut buffer)?, 8);
        assert_eq!(&buffer, b"too long");
        assert_eq!(one.recv_from(&mut buffer)?.0, 4);
        assert_eq!(&buffer[..4], b"next");
        assert_eq!(one.recv(&mut [])?, 0);
        assert_eq!(one.recv(&mut buffer)?, 4);
        assert_eq!(&buffer[..4], b"last");
        Ok(())
    });
}

#[test]
fn a_datagram_that_is_too_long_is_refused_not_cut() {
    // Zeros that nobody looks at take no memory.
    let longer_than_any_length = vec![0; i32::MAX as usize + 1];
    everywhere(|| {
        let (one, other) = pair()?;
        for long in [&longer_than_any_length[..1 << 17], &longer_than_any_length] {
            assert_eq!(one.send(long).expect_err("too long").raw_os_error(), Some(libc::EMSGSIZE));
            let error = one.send_to(long, other.local_addr()?).expect_err("too long");
            assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        }
        Ok(())
    });
}

#[test]
fn timeouts_are_kept_exactly_and_zero_is_refused() {
    everywhere(|| {
        let socket = socket()?;
        assert_eq!((socket.read_timeout()?, socket.write_timeout()?), (None, None));
        let exact = Some(Duration::from_nanos(1_234_567));
        socket.set_read_timeout(exact)?;
        socket.set_write_timeout(Some(Duration::MAX))?;
        assert_eq!(socket.read_timeout()?, exact);
        assert!(socket.write_timeout()?.is_some());

        let zero = Some(Duration::ZERO);
        assert_eq!(kind(socket.set_read_timeout(zero)), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(socket.set_write_timeout(zero)), Some(ErrorKind::InvalidInput));
        assert_eq!(socket.read_timeout()?, exact);

        socket.set_read_timeout(None)?;
        socket.set_write_timeout(None)?;
        assert_eq!((socket.read_timeout()?, socket.write_timeout()?), (None, None));
        Ok(())
    });
}

#[test]
fn a_receive_times_out_as_in_std_and_the_next_is_as_good() {
    everywhere(|| {
        let (one, other) = pair()?;
        one.set_read_timeout(Some(SHORT))?;
        for _ in 0..3 {
            let start = Instant::now();
            let error = one.recv_from(&mut [0; 8]).expect_err("nothing to receive");
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
            assert!(start.elapsed() >= SHORT);
        }
        for receive in [UdpSocket::recv, UdpSocket::peek] {
            assert_eq!(kind(receive(&one, &mut [0; 8])), Some(ErrorKind::WouldBlock));
        }
        one.set_read_timeout(Some(Duration::MAX))?;
        thread::scope(|scope| {
            let receiver = scope.spawn(|| one.recv(&mut [0; 8]));
            settle();
            other.send(b"late")?;
            assert_eq!(receiver.join().expect("no panic")?, 4);
            Ok(())
        })
    });
}

#[test]
fn nonblocking_operations_return_would_block() {
    each_family(|socket, other| {
        socket.set_nonblocking(true)?;
        socket.set_nonblocking(false)?;
        socket.connect(other.local_addr()?)?;
        socket.set_nonblocking(true)?;
        assert_eq!(kind(socket.recv(&mut [0])), Some(ErrorKind::WouldBlock));
        assert_eq!(kind(socket.recv_from(&mut [0])), Some(ErrorKind::WouldBlock));

        // What is there is had without waiting for the reactor to notice, also when the socket has waited before.
        for _ in 0..2 {
            other.send_to(b"x", socket.local_addr()?)?;
            assert_eq!(socket.recv(&mut [0; 4])?, 1);
            assert_eq!(kind(socket.recv(&mut [0; 4])), Some(ErrorKind::WouldBlock));
            socket.set_nonblocking(false)?;
            socket.set_read_timeout(Some(SHORT))?;
            assert!(socket.recv(&mut [0; 4]).is_err());
            socket.set_nonblocking(true)?;
        }
        Ok(())
    });
}

#[test]
fn options_are_those_of_the_socket() {
    everywhere(|| {
        let socket = socket()?;
        socket.set_ttl(100)?;
        assert_eq!(socket.ttl()?, 100);
        for on in [true, false] {
            socket.set_broadcast(on)?;
            assert_eq!(socket.broadcast()?, on);
            socket.set_multicast_loop_v4(on)?;
            assert_eq!(socket.multicast_loop_v4()?, on);
        }
        socket.set_multicast_ttl_v4(7)?;
        assert_eq!(socket.multicast_ttl_v4()?, 7);
        assert!(socket.take_error()?.is_none());
        // What has no method here is had through the descriptor.
        socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 15)?;
        assert!(socket2::SockRef::from(&socket).recv_buffer_size()? >= 1 << 15);

        let Ok(socket) = UdpSocket::bind("[::1]:0") else { return Ok(()) };
        for on in [true, false] {
            socket.set_multicast_loop_v6(on)?;
            assert_eq!(socket.multicast_loop_v6()?, on);
        }
        Ok(())
    });
}

#[test]
fn a_group_is_joined_once_and_left_once() {
    everywhere(|| {
        let group = Ipv4Addr::new(239, 255, 77, 1);
        let socket = socket()?;
        socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
        assert!(socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).is_err());
        socket.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
        assert!(socket.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST).is_err());
        assert!(socket.join_multicast_v4(&Ipv4Addr::LOCALHOST, &Ipv4Addr::LOCALHOST).is_err());

        let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0x4d01);
        let Ok(socket) = UdpSocket::bind("[::1]:0") else { return Ok(()) };
        // The first interface is the loopback.
        socket.join_multicast_v6(&group, 1)?;
        assert!(socket.join_multicast_v6(&group, 1).is_err());
        socket.leave_multicast_v6(&group, 1)?;
        assert!(socket.leave_multicast_v6(&group, 1).is_err());
        Ok(())
    });
}

#[test]
fn a_group_hears_what_is_sent_to_it() {
    everywhere(|| {
        let group = Ipv4Addr::new(239, 255, 77, 2);
        let receiver = UdpSocket::bind("0.0.0.0:0")?;
        receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
        let sender = socket()?;
        socket2::SockRef::from(&sender).set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
        thread::scope(|scope| {
            let heard = scope.spawn(|| receiver.recv_from(&mut [0; 8]));
            settle();
            sender.send_to(b"all", (group, receiver.local_addr()?.port()))?;
            assert_eq!(heard.join().expect("no panic")?, (3, sender.local_addr()?));
            Ok(())
        })
    });
}

#[test]
fn a_peer_that_is_not_there_refuses_and_wakes_the_receiver() {
    everywhere(|| {
        let gone = socket()?;
        let addr = gone.local_addr()?;
        let socket = socket()?;
        socket.connect(addr)?;
        drop(gone);
        thread::scope(|scope| {
            let receiver = scope.spawn(|| socket.recv(&mut [0; 8]));
            settle();
            // The refusal may be told to who sends again.
            once_closed(|| {
                let _ = socket.send(b"anybody?");
                settle();
                receiver.is_finished()
            });
            assert_eq!(kind(receiver.join().expect("no panic")), Some(ErrorKind::ConnectionRefused));
            Ok(())
        })
    });
}

#[test]
fn debug_output_names_the_address() -> io::Result<()> {
    let socket = socket()?;
    let (addr, fd) = (socket.local_addr()?, socket.as_raw_fd());
    assert_eq!(format!("{socket:?}"), format!("UdpSocket {{ addr: {addr:?}, fd: {fd} }}"));
    Ok(())
}

#[test]
fn sockets_may_be_sent_shared_and_used_across_a_caught_panic() {
    fn check<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<UdpSocket>();
}
