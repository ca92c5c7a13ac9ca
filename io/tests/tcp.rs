//! Connections and listeners do what those of `std` do.

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr},
    time::Duration,
};

use crate::common::{everywhere, listen, nobody, once_closed, pair, settle};
use sward_io::net::{TcpListener, TcpStream, ToSocketAddrs};
use sward_runtime::thread;

#[test]
fn bind_fails_for_an_address_of_somebody_else() {
    everywhere(|| {
        let error = TcpListener::bind("203.0.113.1:0").expect_err("not ours");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        Ok(())
    });
}

#[test]
fn connect_to_where_nobody_listens_is_refused() {
    everywhere(|| {
        let (addr, _keeper) = nobody()?;
        let error = TcpStream::connect(addr).expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn connect_tries_every_address() {
    everywhere(|| {
        let listener = listen()?;
        let (nobody, _keeper) = nobody()?;
        let addrs = [nobody, listener.local_addr()?];
        let stream = TcpStream::connect(&addrs[..])?;
        assert_eq!(stream.peer_addr()?, addrs[1]);

        let none: &[SocketAddr] = &[];
        assert_eq!(TcpStream::connect(none).expect_err("no address").kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn a_port_can_be_bound_again_at_once() {
    everywhere(|| {
        // An address of its own, so that no other test is given the port meanwhile.
        let listener = TcpListener::bind("127.0.0.2:0")?;
        let addr = listener.local_addr()?;
        let client = TcpStream::connect(addr)?;
        let (server, _) = listener.accept()?;
        // The side that closes first keeps the port in TIME_WAIT.
        drop(server);
        drop(listener);
        drop(client);
        once_closed(|| TcpListener::bind(addr).is_ok());
        Ok(())
    });
}

#[test]
fn addresses_are_those_of_std() -> io::Result<()> {
    fn same(addr: impl ToSocketAddrs + std::net::ToSocketAddrs) -> io::Result<()> {
        let ours: Vec<_> = ToSocketAddrs::to_socket_addrs(&addr)?.collect();
        let theirs: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs(&addr)?.collect();
        assert_eq!(ours, theirs);
        Ok(())
    }
    let v4 = (Ipv4Addr::new(77, 88, 21, 11), 24352);
    let v6 = (Ipv6Addr::new(0x2a02, 0x6b8, 0, 1, 0, 0, 0, 1), 53);
    same(v4)?;
    same(v6)?;
    same((std::net::IpAddr::from(v4.0), 80))?;
    same(SocketAddr::from(v4))?;
    same(&[SocketAddr::from(v4), SocketAddr::from(v6)][..])?;
    same("77.88.21.11:24352")?;
    same("[2a02:6b8:0:1::1]:53")?;
    same(String::from("77.88.21.11:24352"))?;
    same(("2a02:6b8:0:1::1", 53))?;
    same((String::from("77.88.21.11"), 24352))?;
    same("localhost:23924")?;
    same(("localhost", 23924))?;
    Ok(())
}

#[test]
fn names_are_looked_up_on_green_threads() {
    everywhere(|| {
        let listener = listen()?;
        let port = listener.local_addr()?.port();
        let stream = TcpStream::connect(("localhost", port))?;
        assert!(stream.peer_addr()?.ip().is_loopback());
        assert!(TcpStream::connect("no port").is_err());
        assert!(TcpListener::bind("256.1.1.1:x").is_err());
        Ok(())
    });
}

#[test]
fn both_ends_agree_on_their_addresses() {
    everywhere(|| {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(any) else { continue };
            let client = TcpStream::connect(listener.local_addr()?)?;
            let (server, peer) = listener.accept()?;
            assert_eq!(peer, client.local_addr()?);
            assert_eq!(server.peer_addr()?, peer);
            assert_eq!(server.local_addr()?, client.peer_addr()?);
        }
        Ok(())
    });
}

#[test]
fn a_closed_connection_is_the_end_of_the_stream_again_and_again() {
    everywhere(|| {
        let (client, mut server) = pair()?;
        drop(client);
        assert_eq!(server.read(&mut [0])?, 0);
        assert_eq!(server.read(&mut [0])?, 0);
        Ok(())
    });
}

#[test]
fn a_reader_that_waits_sees_the_end_of_the_stream() {
    everywhere(|| {
        let (client, mut server) = pair()?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || server.read(&mut [0; 16]));
            settle();
            drop(client);
            assert_eq!(reader.join().expect("no panic")?, 0);
            Ok(())
        })
    });
}

#[test]
fn writing_to_a_closed_connection_fails_without_a_signal() {
    everywhere(|| {
        let (mut client, server) = pair()?;
        drop(server);
        let error = loop {
            // The first writes may still be taken: the refusal is on its way.
            if let Err(error) = client.write(&[0; 4096]) {
                break error;
            }
            thread::yield_now();
        };
        let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
        assert!(kinds.contains(&error.kind()), "{error}");
        Ok(())
    });
}

#[test]
fn a_reset_reaches_the_reader_as_an_error() {
    everywhere(|| {
        let (mut client, server) = pair()?;
        client.write_all(b"never read")?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || client.read(&mut [0]));
            settle();
            // There is data that was not read, so this resets the connection.
            drop(server);
            let error = reader.join().expect("no panic").expect_err("reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            Ok(())
        })
    });
}

#[test]
fn a_partial_read_leaves_the_rest() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        client.write_all(&[1, 2, 3, 4])?;
        let mut byte = [0];
        for expected in 1..=4 {
            assert_eq!(server.read(&mut byte)?, 1);
            assert_eq!(byte, [expected]);
        }
        Ok(())
    });
}

#[test]
fn empty_buffers_transfer_nothing() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        assert_eq!(client.write(&[])?, 0);
        client.write_all(b"x")?;
        assert_eq!(server.read(&mut [])?, 0);
        assert_eq!(server.read_vectored(&mut [])?, 0);
        assert_eq!(server.read(&mut [0; 2])?, 1);
        client.flush()
    });
}

#[test]
fn empty_buffers_are_not_waited_for() {
    everywhere(|| {
        let (mut client, server) = pair()?;
        // Both have waited in vain.
        client.set_write_timeout(Some(Duration::from_millis(1)))?;
        while client.write(&[0; 1 << 16]).is_ok() {}
        client.set_write_timeout(None)?;
        assert_eq!((client.write(&[])?, client.write_vectored(&[])?), (0, 0));
        assert_eq!(client.read_vectored(&mut [])?, 0);
        drop(server);
        Ok(())
    });
}

#[test]
fn vectored_transfers_fill_one_slice_after_the_other() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        let written =
            client.write_vectored(&[IoSlice::new(b""), IoSlice::new(b"foo"), IoSlice::new(b"barbaz")])?;
        assert_eq!(written, 9);
        let (mut first, mut second) = ([0; 4], [0; 32]);
        let read = server.read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])?;
        assert_eq!(read, 9);
        assert_eq!(&first, b"foob");
        assert_eq!(&second[..5], b"arbaz");
        Ok(())
    });
}

#[test]
fn more_slices_than_the_system_takes_are_cut_off() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        let slices: Vec<_> = (0..3_000).map(|_| IoSlice::new(b"ab")).collect();
        let written = client.write_vectored(&slices)?;
        assert!(0 < written && written <= 6_000);
        let mut buffer = vec![0; written];
        server.read_exact(&mut buffer)?;
        assert!(buffer.chunks(2).all(|pair| pair == b"ab"));
        Ok(())
    });
}

#[test]
fn a_write_larger_than_the_buffers_waits_for_the_reader() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        let message: Vec<u8> = (0..8_u32 << 20).map(|at| (at % 251) as u8).collect();
        thread::scope(|scope| {
            let sent = &message;
            let writer = scope.spawn(move || {
                client.write_all(sent)?;
                client.shutdown(Shutdown::Write)
            });
            let mut received = Vec::new();
            server.read_to_end(&mut received)?;
            assert!(received == message);
            writer.join().expect("no panic")
        })
    });
}

#[test]
fn connections_are_served_interleaved() {
    everywhere(|| {
        const CONNECTIONS: u8 = 10;
        let listener = listen()?;
        let addr = listener.local_addr()?;
        thread::scope(|scope| {
            for name in 0..CONNECTIONS {
                scope.spawn(move || -> io::Result<()> {
                    let mut stream = TcpStream::connect(addr)?;
                    thread::yield_now();
                    stream.write_all(&[name])
                });
            }
            let mut streams = listener.incoming().take(CONNECTIONS.into()).collect::<io::Result<Vec<_>>>()?;
            let mut names = Vec::new();
            for stream in streams.iter_mut().rev() {
                stream.read_to_end(&mut names)?;
            }
            names.sort_unstable();
            assert!(names.into_iter().eq(0..CONNECTIONS));
            Ok(())
        })
    });
}

#[test]
fn shutting_a_half_down_leaves_the_other() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        client.shutdown(Shutdown::Write)?;
        assert!(client.write(&[1]).is_err());
        assert_eq!(server.read(&mut [0])?, 0);
        server.write_all(&[1])?;
        assert_eq!(client.read(&mut [0])?, 1);

        client.shutdown(Shutdown::Read)?;
        assert_eq!(client.read(&mut [0])?, 0);
        Ok(())
    });
}

#[test]
fn peek_takes_nothing_away() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        thread::scope(|scope| {
            let peeker = scope.spawn(|| {
                let mut buffer = [0; 16];
                let seen = server.peek(&mut buffer)?;
                io::Result::Ok((buffer, seen))
            });
            settle();
            client.write_all(b"abc")?;
            let (buffer, seen) = peeker.join().expect("no panic")?;
            assert!(b"abc".starts_with(&buffer[..seen]) && seen > 0);
            io::Result::Ok(())
        })?;
        let mut buffer = [0; 3];
        server.read_exact(&mut buffer)?;
        assert_eq!(&buffer, b"abc");

        drop(client);
        assert_eq!(server.peek(&mut buffer)?, 0);
        Ok(())
    });
}

#[test]
fn a_peek_shorter_than_asked_for_does_not_hide_the_data() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        // Registers.
        server.set_nonblocking(true)?;
        assert!(server.read(&mut [0]).is_err());
        server.set_nonblocking(false)?;
        client.write_all(b"abc")?;
        let mut buffer = [0; 16];
        for _ in 0..3 {
            assert_eq!(server.peek(&mut buffer)?, 3);
        }
        assert_eq!(server.read(&mut buffer)?, 3);
        Ok(())
    });
}

#[test]
fn debug_output_names_the_ends() -> io::Result<()> {
    let (client, _server) = pair()?;
    let output = format!("{client:?}");
    assert!(output.starts_with("TcpStream {") && output.contains("addr") && output.contains("peer"));
    let listener = listen()?;
    assert!(format!("{listener:?}").starts_with("TcpListener {"));
    Ok(())
}

#[test]
fn sockets_may_be_sent_shared_and_used_across_a_caught_panic() {
    fn check<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<TcpStream>();
    check::<TcpListener>();
}
