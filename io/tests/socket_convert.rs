//! Conversions of UDP and Unix sockets from and to `std`'s sockets, `socket2`'s and descriptors.
#![cfg(target_os = "linux")]

use std::{
    fmt::Debug,
    io::{self, ErrorKind, IoSliceMut, Read, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
    time::Duration,
};

use crate::common::{everywhere, settle, unix::Place};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use sward_io::{
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::{UnixDatagram, UnixListener, UnixStream},
};
use sward_runtime::thread;

/// Goes through every conversion, and back to a socket of ours.
fn round_trip<S, Std>(mut socket: S) -> io::Result<S>
where
    S: From<Std> + From<Socket> + From<OwnedFd> + FromRawFd + IntoRawFd + AsRawFd + AsFd + Debug,
    Std: From<S> + AsFd,
    Socket: From<S>,
    OwnedFd: From<S>,
{
    let raw = socket.as_raw_fd();
    assert!(SockRef::from(&socket).nonblocking()?);
    let of_std = Std::from(socket);
    assert!(!SockRef::from(&of_std).nonblocking()?, "what `std` gets blocks");
    socket = S::from(of_std);
    assert!(SockRef::from(&socket).nonblocking()?, "what it gives parks");
    let of_socket2 = Socket::from(socket);
    assert!(!of_socket2.nonblocking()?);
    socket = S::from(of_socket2);
    socket = S::from(OwnedFd::from(socket));
    let given_up = socket.into_raw_fd();
    assert_eq!(given_up, raw);
    // SAFETY: given up by its owner the line before last.
    socket = unsafe { S::from_raw_fd(given_up) };
    assert_eq!(socket.as_fd().as_raw_fd(), raw);
    assert!(SockRef::from(&socket).nonblocking()?);
    Ok(socket)
}

#[test]
fn every_socket_goes_there_and_back() {
    everywhere(|| {
        let listener = round_trip::<_, std::net::TcpListener>(TcpListener::bind("127.0.0.1:0")?)?;
        let mut client = round_trip::<_, std::net::TcpStream>(TcpStream::connect(listener.local_addr()?)?)?;
        client.write_all(b"x")?;
        assert_eq!(listener.accept()?.0.read(&mut [0; 4])?, 1);

        let socket = round_trip::<_, std::net::UdpSocket>(UdpSocket::bind("127.0.0.1:0")?)?;
        socket.send_to(b"x", socket.local_addr()?)?;
        assert_eq!(socket.recv(&mut [0; 4])?, 1);

        let listener = round_trip::<_, std::os::unix::net::UnixListener>(crate::common::unix::listen()?)?;
        let client = UnixStream::connect_addr(&listener.local_addr()?)?;
        let mut client = round_trip::<_, std::os::unix::net::UnixStream>(client)?;
        client.write_all(b"x")?;
        assert_eq!(listener.accept()?.0.read(&mut [0; 4])?, 1);

        let (one, other) = UnixDatagram::pair()?;
        round_trip::<_, std::os::unix::net::UnixDatagram>(one)?.send(b"x")?;
        assert_eq!(other.recv(&mut [0; 4])?, 1);
        Ok(())
    });
}

#[test]
fn timeouts_and_the_nonblocking_mode_go_along() {
    everywhere(|| {
        let timeout = Some(Duration::from_secs(2));
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(timeout)?;
        socket.set_nonblocking(true)?;
        let socket = std::net::UdpSocket::from(socket);
        assert_eq!((socket.read_timeout()?, socket.write_timeout()?), (timeout, None));
        assert_eq!(socket.recv(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
        assert_eq!(UdpSocket::from(socket).read_timeout()?, timeout);

        let (stream, _peer) = UnixStream::pair()?;
        stream.set_write_timeout(timeout)?;
        let stream = Socket::from(stream);
        assert_eq!((stream.read_timeout()?, stream.write_timeout()?), (None, timeout));
        assert_eq!(UnixStream::from(stream).write_timeout()?, timeout);

        let (socket, _peer) = UnixDatagram::pair()?;
        socket.set_read_timeout(timeout)?;
        let socket = std::os::unix::net::UnixDatagram::from(socket);
        assert_eq!(socket.read_timeout()?, timeout);
        Ok(())
    });
}

#[test]
fn what_socket2_has_set_up_parks() {
    everywhere(|| {
        let any = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        let sockets = [Type::DGRAM, Type::DGRAM].map(|kind| {
            let socket = Socket::new(Domain::IPV4, kind, None)?;
            socket.set_reuse_port(true)?;
            Ok::<_, io::Error>(socket)
        });
        let [one, other] = sockets;
        let (one, other) = (one?, other?);
        one.bind(&any)?;
        // Two sockets on one port, which only an option allows.
        other.bind(&one.local_addr()?)?;
        let (one, other) = (UdpSocket::from(one), UdpSocket::from(other));
        assert_eq!(one.local_addr()?, other.local_addr()?);

        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&any)?;
        listener.listen(1)?;
        let listener = TcpListener::from(listener);
        let addr = listener.local_addr()?;
        thread::scope(|scope| {
            let receivers = [&one, &other].map(|socket| scope.spawn(|| socket.recv(&mut [0; 4])));
            let acceptor = scope.spawn(|| listener.accept());
            settle();
            let client = UdpSocket::bind("127.0.0.1:0")?;
            drop(TcpStream::connect(addr)?);
            acceptor.join().expect("no panic")?;
            // Each goes to one of the two, whichever; until both have one.
            while !receivers.iter().all(|receiver| receiver.is_finished()) {
                UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", one.local_addr()?)?;
                thread::yield_now();
            }
            for receiver in receivers {
                assert_eq!(receiver.join().expect("no panic")?, 1);
            }
            drop(client);
            Ok(())
        })
    });
}

#[test]
fn a_listener_of_std_accepts_from_now_on() {
    everywhere(|| {
        let listener = std::os::unix::net::UnixListener::bind_addr(&crate::common::unix::name())?;
        let addr = listener.local_addr()?;
        let listener = UnixListener::from(listener);
        thread::scope(|scope| {
            let acceptor = scope.spawn(|| listener.accept().map(drop));
            settle();
            UnixStream::connect_addr(&addr)?;
            acceptor.join().expect("no panic")
        })
    });
}

#[test]
fn a_clone_given_back_to_std_does_not_make_the_other_stall_its_worker() {
    everywhere(|| {
        let (one, other) = UnixDatagram::pair()?;
        // Blocking mode belongs to both, but is not what the other goes by.
        let _blocking = std::os::unix::net::UnixDatagram::from(one.try_clone()?);
        assert!(!SockRef::from(&one).nonblocking()?);
        thread::scope(|scope| {
            let receivers = [
                scope.spawn(|| one.recv(&mut [0; 4])),
                scope.spawn(|| one.recv_from(&mut [0; 4]).map(|(len, _)| len)),
                scope.spawn(|| one.recv_fds(&mut [0; 4], 1).map(|received| received.len)),
            ];
            settle();
            for _ in 0..3 {
                other.send(b"x")?;
            }
            for receiver in receivers {
                assert_eq!(receiver.join().expect("no panic")?, 1);
            }
            Ok(())
        })
    });
}

/// Has a reader wait, and sends three messages, each of which ends a read.
fn pass_three(mut reader: impl Read + Send, sender: &Socket) -> io::Result<()> {
    thread::scope(|scope| {
        let receiver = scope.spawn(move || -> io::Result<_> {
            let (mut one, mut other) = ([0; 2], [0; 62]);
            let mut slices = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
            Ok([reader.read(&mut [0; 64])?, reader.read_vectored(&mut slices)?, reader.read(&mut [0; 64])?])
        });
        settle();
        for message in ["one", "three", "fifteen"] {
            sender.send(message.as_bytes())?;
        }
        assert_eq!(receiver.join().expect("no panic")?, [3, 5, 7]);
        Ok(())
    })
}

#[test]
fn a_socket_that_keeps_messages_apart_gives_each_of_them() {
    everywhere(|| {
        let pair = || Socket::pair(Domain::UNIX, Type::SEQPACKET, None);
        let (socket, sender) = pair()?;
        let stream = UnixStream::from(socket);
        pass_three(&stream, &sender)?;
        pass_three(stream.try_clone()?, &sender)?;
        pass_three(UnixStream::from(OwnedFd::from(stream)), &sender)?;

        let (socket, sender) = pair()?;
        let stream = TcpStream::from(socket);
        pass_three(&stream, &sender)?;
        pass_three(stream.try_clone()?, &sender)?;

        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        let addr = SockAddr::unix(Place::new().path())?;
        listener.bind(&addr)?;
        listener.listen(1)?;
        let listener = UnixListener::from(listener);
        let client = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        client.connect(&addr)?;
        pass_three(listener.accept()?.0, &client)
    });
}

#[test]
fn a_unix_stream_in_the_place_of_a_tcp_stream_is_read_past_descriptors() {
    everywhere(|| {
        let (socket, sender) = UnixStream::pair()?;
        let reader = TcpStream::from(OwnedFd::from(socket));
        thread::scope(|scope| {
            let receiver = scope.spawn(|| -> io::Result<_> {
                Ok([(&reader).read(&mut [0; 64])?, (&reader).read(&mut [0; 64])?])
            });
            settle();
            sender.send_fds(b"one", &[sender.as_fd()])?;
            (&sender).write_all(b"three")?;
            assert_eq!(receiver.join().expect("no panic")?, [3, 5]);
            Ok(())
        })
    });
}
