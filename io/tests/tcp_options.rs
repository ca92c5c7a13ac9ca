//! Timeouts, modes and socket options.

use std::{
    io::{self, ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use crate::common::{everywhere, listen, nobody, pair};
use sward_io::net::TcpStream;
use sward_runtime::thread;

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn timeouts_are_kept_exactly() {
    everywhere(|| {
        let (stream, _peer) = pair()?;
        assert_eq!((stream.read_timeout()?, stream.write_timeout()?), (None, None));
        let exact = Some(Duration::from_nanos(1_234_567));
        stream.set_read_timeout(exact)?;
        stream.set_write_timeout(Some(Duration::MAX))?;
        assert_eq!(stream.read_timeout()?, exact);
        assert!(stream.write_timeout()?.is_some());
        stream.set_read_timeout(None)?;
        assert_eq!(stream.read_timeout()?, None);
        Ok(())
    });
}

#[test]
fn a_timeout_of_zero_is_refused() {
    everywhere(|| {
        let listener = listen()?;
        let (stream, _peer) = pair()?;
        let zero = Some(Duration::ZERO);
        let results = [
            stream.set_read_timeout(zero),
            stream.set_write_timeout(zero),
            TcpStream::connect_timeout(&listener.local_addr()?, Duration::ZERO).map(drop),
        ];
        for result in results {
            assert_eq!(result.expect_err("zero").kind(), ErrorKind::InvalidInput);
        }
        Ok(())
    });
}

#[test]
fn a_read_times_out_as_in_std() {
    everywhere(|| {
        let (mut stream, mut peer) = pair()?;
        stream.set_read_timeout(Some(SHORT))?;
        for _ in 0..3 {
            let start = Instant::now();
            let error = stream.read(&mut [0; 8]).expect_err("nothing to read");
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
            assert!(start.elapsed() >= SHORT);
        }
        assert_eq!(stream.peek(&mut [0; 8]).expect_err("nothing to read").kind(), ErrorKind::WouldBlock);

        // It is as good as before.
        peer.write_all(b"late")?;
        stream.set_read_timeout(None)?;
        let mut buffer = [0; 4];
        stream.read_exact(&mut buffer)?;
        assert_eq!(&buffer, b"late");
        Ok(())
    });
}

#[test]
fn a_deadline_ends_reads_until_it_is_taken_back() {
    everywhere(|| {
        let (mut stream, mut peer) = pair()?;
        let would_block = |result: io::Result<usize>| {
            assert_eq!(result.expect_err("time is up").kind(), ErrorKind::WouldBlock);
        };
        let deadline = Instant::now() + SHORT;
        // The earlier of the two counts, and clones share it.
        stream.set_read_timeout(Some(Duration::from_secs(1000)))?;
        stream.try_clone()?.set_read_deadline(Some(deadline));
        would_block(stream.read(&mut [0; 8]));
        assert!(Instant::now() >= deadline);
        // It has passed for later ones too, whatever there is.
        peer.write_all(b"x")?;
        would_block(stream.peek(&mut [0]));
        stream.set_read_deadline(None);
        stream.read_exact(&mut [0])?;
        // The other direction has one of its own.
        stream.write_all(b"x")?;
        stream.set_write_deadline(Some(deadline));
        loop {
            if let Err(error) = stream.write(&[0; 1 << 16]) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return Ok(());
            }
        }
    });
}

#[test]
fn a_read_with_a_timeout_gets_what_is_there() {
    everywhere(|| {
        let (mut stream, mut peer) = pair()?;
        stream.set_read_timeout(Some(Duration::from_secs(1000)))?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut buffer = [0; 5];
                stream.read_exact(&mut buffer).map(|()| buffer)
            });
            peer.write_all(b"hello")?;
            assert_eq!(&reader.join().expect("no panic")?, b"hello");
            Ok(())
        })
    });
}

#[test]
fn a_write_times_out_as_in_std() {
    everywhere(|| {
        let (mut stream, _peer) = pair()?;
        stream.set_write_timeout(Some(SHORT))?;
        let error = loop {
            if let Err(error) = stream.write(&[0; 1 << 16]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn a_timeout_in_one_direction_leaves_the_other() {
    everywhere(|| {
        let (stream, mut peer) = pair()?;
        stream.set_read_timeout(Some(SHORT))?;
        thread::scope(|scope| {
            let writer = scope.spawn(|| (&stream).write_all(&vec![1; 4 << 20]));
            assert_eq!((&stream).read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
            let mut received = vec![0; 4 << 20];
            peer.read_exact(&mut received)?;
            writer.join().expect("no panic")
        })
    });
}

#[test]
fn connect_with_a_timeout_connects_or_says_why_not() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1000))?;
        assert_eq!(stream.peer_addr()?, addr);
        let far = TcpStream::connect_timeout(&addr, Duration::MAX)?;
        assert_eq!(far.peer_addr()?, addr);

        let (nobody, _keeper) = nobody()?;
        let error = TcpStream::connect_timeout(&nobody, Duration::from_secs(1000)).expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn connect_times_out_when_the_listener_takes_no_more() {
    everywhere(|| {
        // A backlog of one, which nobody empties: from some attempt on the system answers no more.
        let (addr, socket) = nobody()?;
        socket.listen(0)?;
        let mut taken = Vec::new();
        let error = loop {
            match TcpStream::connect_timeout(&addr, Duration::from_millis(30)) {
                Ok(stream) => taken.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn nonblocking_operations_return_would_block() {
    everywhere(|| {
        let listener = listen()?;
        listener.set_nonblocking(true)?;
        assert_eq!(listener.accept().expect_err("nobody").kind(), ErrorKind::WouldBlock);
        listener.set_nonblocking(false)?;

        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, _) = listener.accept()?;
        client.set_nonblocking(true)?;
        assert_eq!(client.read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);

        // What is there is had without waiting for the reactor to notice.
        server.write_all(b"x")?;
        assert_eq!(client.read(&mut [0; 4])?, 1);
        assert_eq!(client.read(&mut [0; 4]).expect_err("nothing").kind(), ErrorKind::WouldBlock);

        client.set_nonblocking(false)?;
        server.write_all(b"y")?;
        assert_eq!(client.read(&mut [0; 4])?, 1);
        Ok(())
    });
}

#[test]
fn a_registered_socket_turned_nonblocking_does_not_wait() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        client.set_read_timeout(Some(SHORT))?;
        assert!(client.read(&mut [0]).is_err());
        client.set_nonblocking(true)?;
        assert_eq!(client.read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
        server.write_all(b"x")?;
        assert_eq!(client.read(&mut [0; 4])?, 1);
        Ok(())
    });
}

#[test]
fn options_are_those_of_the_socket() {
    everywhere(|| {
        let (stream, _peer) = pair()?;
        assert!(!stream.nodelay()?);
        stream.set_nodelay(true)?;
        assert!(stream.nodelay()?);
        stream.set_nodelay(false)?;
        assert!(!stream.nodelay()?);

        stream.set_ttl(100)?;
        assert_eq!(stream.ttl()?, 100);
        let listener = listen()?;
        listener.set_ttl(101)?;
        assert_eq!(listener.ttl()?, 101);

        // What has no method here is had through the descriptor.
        let linger = Some(Duration::from_secs(3));
        socket2::SockRef::from(&stream).set_linger(linger)?;
        assert_eq!(socket2::SockRef::from(&stream).linger()?, linger);
        Ok(())
    });
}

#[test]
fn pending_errors_are_taken_once() {
    everywhere(|| {
        let listener = listen()?;
        assert!(listener.take_error()?.is_none());
        let (client, server) = pair()?;
        assert!(client.take_error()?.is_none());
        (&client).write_all(b"never read")?;
        drop(server);
        let error = loop {
            if let Some(error) = client.take_error()? {
                break error;
            }
            thread::yield_now();
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(client.take_error()?.is_none());
        io::Result::Ok(())
    });
}
