//! Unix listeners do what those of `std` do.
#![cfg(target_os = "linux")]

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net::SocketAddr},
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::common::{
    everywhere, once_closed, runtimes, settle, stress,
    unix::{Place, listen, name},
    watchdog,
};
use socket2::{Domain, SockAddr, SockAddrStorage, SockRef, Socket, Type};
use sward_io::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use sward_runtime::{cancel::Cancelled, thread};

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_listener_has_the_name_that_it_was_given() {
    everywhere(|| {
        let place = Place::new();
        let listener = UnixListener::bind(place.path())?;
        assert_eq!(listener.local_addr()?.as_pathname(), Some(place.path()));
        assert_eq!(kind(UnixListener::bind(place.path())), Some(ErrorKind::AddrInUse));
        // The file stays, with nobody behind it.
        drop(listener);
        once_closed(|| UnixStream::connect(place.path()).is_err());
        assert_eq!(kind(UnixStream::connect(place.path())), Some(ErrorKind::ConnectionRefused));
        assert_eq!(kind(UnixListener::bind(place.path())), Some(ErrorKind::AddrInUse));

        let addr = name();
        let listener = UnixListener::bind_addr(&addr)?;
        assert_eq!(listener.local_addr()?.as_abstract_name(), addr.as_abstract_name());
        assert_eq!(kind(UnixListener::bind_addr(&addr)), Some(ErrorKind::AddrInUse));
        // The name goes with the listener.
        drop(listener);
        once_closed(|| UnixListener::bind_addr(&addr).is_ok());

        let unnamed = SocketAddr::from_pathname("")?;
        let listener = UnixListener::bind_addr(&unnamed)?;
        assert!(listener.local_addr()?.as_abstract_name().is_some_and(|name| !name.is_empty()));
        Ok(())
    });
}

#[test]
fn an_accept_that_waits_gets_the_next_connection() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        thread::scope(|scope| {
            let acceptor = scope.spawn(|| {
                let (mut stream, peer) = listener.accept()?;
                assert!(peer.is_unnamed());
                stream.read(&mut [0; 4])
            });
            settle();
            UnixStream::connect_addr(&addr)?.write_all(b"x")?;
            assert_eq!(acceptor.join().expect("no panic")?, 1);
            Ok(())
        })
    });
}

#[test]
fn a_client_with_a_name_is_known_by_it() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let mut names = vec![name()];
        let place = Place::new();
        names.push(SocketAddr::from_pathname(place.path())?);
        for name in names {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            let abstract_name = |addr: &SocketAddr| {
                let name = addr.as_abstract_name()?;
                Some([&b"\0"[..], name].concat())
            };
            let bytes = |addr: &SocketAddr| {
                let path = addr.as_pathname().map(|path| path.as_os_str().as_bytes().to_vec());
                path.or_else(|| abstract_name(addr)).expect("it has a name")
            };
            let path = bytes(&name);
            client.bind(&SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(&path)))?)?;
            let to = bytes(&addr);
            client.connect(&SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(&to)))?)?;
            let (stream, peer) = listener.accept()?;
            assert_eq!(bytes(&peer), path);
            assert_eq!(bytes(&stream.peer_addr()?), path);
        }
        Ok(())
    });
}

/// Binds to a path that leaves no room for a zero behind it. The kernel allows that; neither `std` nor `socket2` does.
fn bind_to_the_longest_path(socket: &Socket, path: &[u8]) -> io::Result<()> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a Unix address is one of those that fit, and all of it is integers.
    let addr: &mut libc::sockaddr_un = unsafe { storage.view_as() };
    addr.sun_family = libc::AF_UNIX as libc::sa_family_t;
    assert_eq!(path.len(), addr.sun_path.len());
    for (to, &from) in addr.sun_path.iter_mut().zip(path) {
        *to = from as libc::c_char;
    }
    // SAFETY: a Unix address of this length was just written.
    socket.bind(&unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_un>() as libc::socklen_t) })
}

#[test]
fn a_peer_with_a_path_that_fills_its_field_is_served() {
    everywhere(|| {
        let place = Place::new();
        let mut path = place.path().as_os_str().as_bytes().to_vec();
        path.resize(108, b'x');
        let file = Path::new(std::ffi::OsStr::from_bytes(&path));
        let listener = listen()?;
        let name = [b"\0", listener.local_addr()?.as_abstract_name().expect("it has one")].concat();
        let name = SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(&name)))?;

        let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        bind_to_the_longest_path(&client, &path)?;
        client.connect(&name)?;
        std::fs::remove_file(file)?;
        let (mut stream, _) = listener.accept()?;
        client.send(b"x")?;
        assert_eq!(stream.read(&mut [0; 4])?, 1);
        drop((client, listener));

        let sender = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        bind_to_the_longest_path(&sender, &path)?;
        std::fs::remove_file(file)?;
        let place = Place::new();
        let receiver = UnixDatagram::bind(place.path())?;
        sender.send_to(b"x", &SockAddr::unix(place.path())?)?;
        assert_eq!(receiver.recv_from(&mut [0; 4])?.0, 1);
        Ok(())
    });
}

#[test]
fn incoming_never_ends() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        assert_eq!(listener.incoming().size_hint(), (usize::MAX, None));
        thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..4 {
                    UnixStream::connect_addr(&addr)?.write_all(&[0])?;
                }
                io::Result::Ok(())
            });
            for stream in listener.incoming().take(2).chain((&listener).into_iter().take(2)) {
                assert_eq!(stream?.read(&mut [0])?, 1);
            }
            Ok(())
        })
    });
}

#[test]
fn nonblocking_accepts_return_would_block() {
    everywhere(|| {
        let listener = listen()?;
        let clone = listener.try_clone()?;
        clone.set_nonblocking(true)?;
        assert_eq!(kind(listener.accept()), Some(ErrorKind::WouldBlock));
        let client = UnixStream::connect_addr(&listener.local_addr()?)?;
        let (mut server, _) = listener.accept()?;
        assert_eq!(kind(listener.accept()), Some(ErrorKind::WouldBlock));
        // The mode is the listener's, not the connection's.
        server.set_read_timeout(Some(Duration::from_nanos(1)))?;
        assert!(server.read(&mut [0]).is_err());
        drop(client);
        Ok(())
    });
}

#[test]
fn acceptors_share_the_connections_and_so_do_clones() {
    everywhere(|| {
        const ACCEPTORS: usize = 6;
        let connections = stress(100);
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let clone = listener.try_clone()?;
        let accepted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for acceptor in 0..ACCEPTORS {
                let listener = if acceptor % 2 == 0 { &listener } else { &clone };
                let accepted = &accepted;
                scope.spawn(move || {
                    loop {
                        let (mut stream, _) = listener.accept().expect("accepting");
                        if stream.read(&mut [0]).expect("reading") == 0 {
                            return;
                        }
                        accepted.fetch_add(1, Relaxed);
                    }
                });
            }
            settle();
            for _ in 0..connections {
                UnixStream::connect_addr(&addr)?.write_all(b"x")?;
            }
            for _ in 0..ACCEPTORS {
                drop(UnixStream::connect_addr(&addr)?);
            }
            io::Result::Ok(())
        })?;
        assert_eq!(accepted.load(Relaxed), connections);
        Ok(())
    });
}

#[test]
fn connects_wait_while_the_listener_takes_no_more() {
    everywhere(|| {
        const CLIENTS: usize = 8;
        let listener = listen()?;
        // One connection may wait.
        SockRef::from(&listener).listen(0)?;
        let addr = listener.local_addr()?;
        let connected = AtomicUsize::new(0);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut stream = UnixStream::connect_addr(&addr)?;
                        connected.fetch_add(1, Relaxed);
                        stream.write_all(b"x")
                    })
                })
                .collect();
            while connected.load(Relaxed) == 0 {
                thread::yield_now();
            }
            settle();
            assert_eq!(connected.load(Relaxed), 1);
            for stream in listener.incoming().take(CLIENTS) {
                assert_eq!(stream?.read(&mut [0; 4])?, 1);
            }
            for client in clients {
                client.join().expect("no panic")?;
            }
            Ok(())
        })
    });
}

#[test]
fn a_connect_that_waits_ends_with_the_listener() {
    everywhere(|| {
        let listener = listen()?;
        SockRef::from(&listener).listen(0)?;
        let addr = listener.local_addr()?;
        let waiting = UnixStream::connect_addr(&addr)?;
        thread::scope(|scope| {
            let client = scope.spawn(|| UnixStream::connect_addr(&addr));
            settle();
            drop(listener);
            assert_eq!(kind(client.join().expect("no panic")), Some(ErrorKind::ConnectionRefused));
            drop(waiting);
            Ok(())
        })
    });
}

#[test]
fn a_connect_that_waits_is_cancelled_with_its_runtime() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let listener = listen().expect("a listener");
        SockRef::from(&listener).listen(0).expect("listening");
        let addr = listener.local_addr().expect("bound");
        let waiting = UnixStream::connect_addr(&addr).expect("connected");
        let client = runtime.handle().spawn(move || UnixStream::connect_addr(&addr));
        runtime.run(settle);
        drop(runtime);
        assert!(client.join().expect_err("cancelled").is::<Cancelled>());
        // It has left nothing behind.
        drop((waiting, listener.accept().expect("the one that waited")));
        listener.set_nonblocking(true).expect("set");
        assert_eq!(kind(listener.accept()), Some(ErrorKind::WouldBlock));
    }
}

#[test]
fn a_cancelled_accept_loses_no_connection() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let listener = listen().expect("a listener");
        let addr = listener.local_addr().expect("bound");
        let accepted = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let (listener, accepted) = (listener.try_clone().expect("a clone"), Arc::clone(&accepted));
            runtime.handle().spawn(move || {
                loop {
                    listener.accept().expect("the listener is open");
                    accepted.fetch_add(1, Relaxed);
                }
            });
        }
        let counted = Arc::clone(&accepted);
        let outside = std::thread::spawn(move || {
            // Ends at a connection with a byte.
            while (&listener.accept().expect("accepting").0).read(&mut [0]).expect("reading") == 0 {
                counted.fetch_add(1, Relaxed);
            }
        });
        runtime.run(settle);
        let connect = |count| {
            for _ in 0..count {
                drop(UnixStream::connect_addr(&addr).expect("connected"));
            }
        };
        connect(20);
        drop(runtime);
        connect(20);
        while accepted.load(Relaxed) < 40 {
            std::thread::yield_now();
        }
        UnixStream::connect_addr(&addr).expect("connected").write_all(b"x").expect("written");
        outside.join().expect("no panic");
        assert_eq!(accepted.load(Relaxed), 40);
    }
}
