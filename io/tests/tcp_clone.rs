//! Clones of a socket are handles of their own to one connection.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::fd::AsRawFd,
    time::Duration,
};

use crate::common::{everywhere, listen, pair, settle};
use sward_io::net::TcpStream;
use sward_runtime::thread;

#[test]
fn a_clone_is_a_descriptor_of_its_own() {
    everywhere(|| {
        let (stream, mut peer) = pair()?;
        let mut clone = stream.try_clone()?;
        assert_ne!(stream.as_raw_fd(), clone.as_raw_fd());
        drop(stream);
        clone.write_all(b"a")?;
        assert_eq!(peer.read(&mut [0; 2])?, 1);
        drop(clone);
        assert_eq!(peer.read(&mut [0; 2])?, 0);
        Ok(())
    });
}

#[test]
fn a_clone_writes_while_the_other_reads() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        let mut writer = client.try_clone()?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut buffer = [0; 4];
                client.read_exact(&mut buffer).map(|()| buffer)
            });
            settle();
            writer.write_all(b"ping")?;
            let mut buffer = [0; 4];
            server.read_exact(&mut buffer)?;
            assert_eq!(&buffer, b"ping");
            server.write_all(b"pong")?;
            assert_eq!(&reader.join().expect("no panic")?, b"pong");
            Ok(())
        })
    });
}

#[test]
fn two_clones_read_every_byte_once() {
    everywhere(|| {
        let (first, mut peer) = pair()?;
        let second = first.try_clone()?;
        thread::scope(|scope| {
            let count = |mut stream: TcpStream| {
                move || {
                    let (mut sum, mut buffer) = (0, [0; 7]);
                    loop {
                        match stream.read(&mut buffer)? {
                            0 => return io::Result::Ok(sum),
                            read => sum += buffer[..read].iter().map(|&byte| u64::from(byte)).sum::<u64>(),
                        }
                    }
                }
            };
            let readers = [scope.spawn(count(first)), scope.spawn(count(second))];
            settle();
            for byte in 0..200 {
                peer.write_all(&[byte])?;
                if byte % 16 == 0 {
                    thread::yield_now();
                }
            }
            drop(peer);
            let mut sum = 0;
            for reader in readers {
                sum += reader.join().expect("no panic")?;
            }
            assert_eq!(sum, (0..200).sum());
            Ok(())
        })
    });
}

#[test]
fn two_clones_write_every_byte_once() {
    everywhere(|| {
        let (first, mut peer) = pair()?;
        let second = first.try_clone()?;
        thread::scope(|scope| {
            for (byte, mut stream) in [(1, first), (2, second)] {
                scope.spawn(move || stream.write_all(&vec![byte; 1 << 20]));
            }
            let mut received = Vec::new();
            peer.read_to_end(&mut received)?;
            let twos = received.iter().filter(|&&byte| byte == 2).count();
            assert_eq!((received.len(), twos), (2 << 20, 1 << 20));
            Ok(())
        })
    });
}

#[test]
fn shutdown_of_a_clone_wakes_a_reader_and_a_writer() {
    everywhere(|| {
        let (stream, _peer) = pair()?;
        let (mut reader, mut writer) = (stream.try_clone()?, stream.try_clone()?);
        thread::scope(|scope| {
            let reader = scope.spawn(move || reader.read(&mut [0]));
            let writer = scope.spawn(move || {
                loop {
                    if let Err(error) = writer.write(&[0; 1 << 16]) {
                        return error.kind();
                    }
                }
            });
            settle();
            stream.shutdown(Shutdown::Both)?;
            assert_eq!(reader.join().expect("no panic")?, 0);
            assert_eq!(writer.join().expect("no panic"), ErrorKind::BrokenPipe);
            Ok(())
        })
    });
}

#[test]
fn dropping_a_clone_disturbs_nobody() {
    everywhere(|| {
        let (mut stream, mut peer) = pair()?;
        let clone = stream.try_clone()?;
        clone.set_read_timeout(Some(Duration::from_millis(1)))?;
        assert!((&clone).read(&mut [0]).is_err());
        clone.set_read_timeout(None)?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || stream.read(&mut [0; 4]));
            settle();
            drop(clone);
            peer.write_all(b"x")?;
            assert_eq!(reader.join().expect("no panic")?, 1);
            Ok(())
        })
    });
}

#[test]
fn timeouts_and_mode_are_shared() {
    everywhere(|| {
        let (mut stream, _peer) = pair()?;
        let clone = stream.try_clone()?;
        clone.set_read_timeout(Some(Duration::from_millis(1)))?;
        assert_eq!(stream.read_timeout()?, clone.read_timeout()?);
        assert_eq!(stream.read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
        clone.set_read_timeout(None)?;
        clone.set_nonblocking(true)?;
        assert_eq!(stream.read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn clones_of_a_listener_both_accept() {
    everywhere(|| {
        const CONNECTIONS: usize = 20;
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let clones = [listener.try_clone()?, listener];
        thread::scope(|scope| {
            let acceptors = clones.map(|listener| {
                scope.spawn(move || {
                    let mut accepted = 0;
                    loop {
                        let (mut stream, _) = listener.accept()?;
                        match stream.read(&mut [0])? {
                            0 => return io::Result::Ok(accepted),
                            _ => accepted += 1,
                        }
                    }
                })
            });
            settle();
            for _ in 0..CONNECTIONS {
                TcpStream::connect(addr)?.write_all(b"x")?;
            }
            // Each ends at a connection without a byte.
            for _ in 0..2 {
                drop(TcpStream::connect(addr)?);
            }
            let mut accepted = 0;
            for acceptor in acceptors {
                accepted += acceptor.join().expect("no panic")?;
            }
            assert_eq!(accepted, CONNECTIONS);
            Ok(())
        })
    });
}
