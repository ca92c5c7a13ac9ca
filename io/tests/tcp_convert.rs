//! Conversions from and to `std`'s sockets and descriptors.

use std::{
    io::{ErrorKind, Read, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
    time::Duration,
};

use crate::common::{everywhere, listen, pair, settle};
use socket2::SockRef;
use sward_io::net::{TcpListener, TcpStream};
use sward_runtime::thread;

#[test]
fn a_stream_of_std_parks_from_now_on() {
    everywhere(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let client = std::net::TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        let (mut client, mut server) = (TcpStream::from(client), TcpStream::from(server));
        assert!(SockRef::from(&server).nonblocking()?);
        thread::scope(|scope| {
            let reader = scope.spawn(move || server.read(&mut [0; 4]));
            settle();
            client.write_all(b"x")?;
            assert_eq!(reader.join().expect("no panic")?, 1);
            Ok(())
        })
    });
}

#[test]
fn a_listener_of_std_parks_from_now_on() {
    everywhere(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let listener = TcpListener::from(listener);
        thread::scope(|scope| {
            let acceptor = scope.spawn(move || listener.accept());
            settle();
            let client = TcpStream::connect(addr)?;
            assert_eq!(acceptor.join().expect("no panic")?.1, client.local_addr()?);
            Ok(())
        })
    });
}

#[test]
fn a_stream_given_back_to_std_blocks() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        // Registered, so that giving it back has something to undo.
        client.set_read_timeout(Some(Duration::from_millis(1)))?;
        assert!(client.read(&mut [0]).is_err());
        client.set_read_timeout(None)?;
        let mut client = std::net::TcpStream::from(client);
        assert!(!SockRef::from(&client).nonblocking()?);
        server.write_all(b"x")?;
        assert_eq!(client.read(&mut [0; 4])?, 1);

        let listener = std::net::TcpListener::from(listen()?);
        assert!(!SockRef::from(&listener).nonblocking()?);
        Ok(())
    });
}

#[test]
fn a_nonblocking_stream_given_back_to_std_stays_so() {
    everywhere(|| {
        let (client, _server) = pair()?;
        client.set_nonblocking(true)?;
        let mut client = std::net::TcpStream::from(client);
        assert_eq!(client.read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn timeouts_go_along() {
    everywhere(|| {
        let (client, _server) = pair()?;
        let timeout = Some(Duration::from_secs(2));
        client.set_read_timeout(timeout)?;
        let client = std::net::TcpStream::from(client);
        assert_eq!((client.read_timeout()?, client.write_timeout()?), (timeout, None));
        client.set_write_timeout(timeout)?;
        let client = TcpStream::from(client);
        assert_eq!((client.read_timeout()?, client.write_timeout()?), (timeout, timeout));
        client.set_read_timeout(None)?;
        let client = std::net::TcpStream::from(client);
        assert_eq!((client.read_timeout()?, client.write_timeout()?), (None, timeout));
        Ok(())
    });
}

#[test]
fn descriptors_go_there_and_back() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        let raw = client.as_raw_fd();
        assert_eq!(client.as_fd().as_raw_fd(), raw);
        client = TcpStream::from(OwnedFd::from(client));
        assert_eq!(client.as_raw_fd(), raw);
        let given_up = client.into_raw_fd();
        assert_eq!(given_up, raw);
        // SAFETY: given up by its owner the line before last.
        client = unsafe { TcpStream::from_raw_fd(given_up) };
        client.write_all(b"x")?;
        assert_eq!(server.read(&mut [0; 4])?, 1);

        let listener = listen()?;
        let addr = listener.local_addr()?;
        assert_eq!(TcpListener::from(OwnedFd::from(listener)).local_addr()?, addr);
        Ok(())
    });
}

#[test]
fn a_clone_given_back_to_std_does_not_make_the_other_stall_its_worker() {
    everywhere(|| {
        let (client, mut server) = pair()?;
        // Blocking mode belongs to both, but is not what the other goes by.
        let _blocking = std::net::TcpStream::from(client.try_clone()?);
        assert!(!SockRef::from(&client).nonblocking()?);
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut buffer = [0; 4];
                (&client).read_exact(&mut buffer).map(|()| buffer)
            });
            settle();
            server.write_all(b"pong")?;
            assert_eq!(&reader.join().expect("no panic")?, b"pong");
            Ok(())
        })
    });
}
