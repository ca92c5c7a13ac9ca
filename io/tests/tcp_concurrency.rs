//! Many green threads on one socket, and many sockets.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::fd::AsRawFd,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use crate::common::{everywhere, listen, pair, runtimes, settle, stress, watchdog};
use socket2::SockRef;
use sward_io::net::{TcpListener, TcpStream};
use sward_runtime::thread;

#[test]
fn a_reader_and_a_writer_of_one_stream_are_independent() {
    everywhere(|| {
        let (client, server) = pair()?;
        let total = 2_usize << 20;
        thread::scope(|scope| {
            // Both directions are full at once: if one held the other up, neither would end.
            for stream in [&client, &server] {
                scope.spawn(move || {
                    let mut stream = stream;
                    stream.write_all(&vec![7; total])?;
                    stream.shutdown(Shutdown::Write)
                });
                scope.spawn(move || {
                    let mut stream = stream;
                    let mut received = Vec::new();
                    assert_eq!(stream.read_to_end(&mut received).expect("reading"), total);
                });
            }
        });
        Ok(())
    });
}

#[test]
fn the_end_of_the_stream_is_not_lost_when_it_comes_with_the_data() {
    everywhere(|| {
        for round in 0..stress(50) {
            let (mut client, mut server) = pair()?;
            thread::scope(|scope| {
                let reader = scope.spawn(move || {
                    let mut buffer = [0; 64];
                    // The first read registers; those after it are shorter than the buffer.
                    let mut received = 0;
                    loop {
                        match server.read(&mut buffer)? {
                            0 => return io::Result::Ok(received),
                            read => received += read,
                        }
                    }
                });
                if round % 2 == 0 {
                    settle();
                }
                client.write_all(b"the last words")?;
                drop(client);
                assert_eq!(reader.join().expect("no panic")?, 14);
                io::Result::Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn urgent_data_does_not_hide_what_comes_after_it() {
    everywhere(|| {
        let (client, mut server) = pair()?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let (mut buffer, mut received) = ([0; 64], Vec::new());
                while received.len() < 11 {
                    let read = server.read(&mut buffer)?;
                    received.extend_from_slice(&buffer[..read]);
                }
                io::Result::Ok(received)
            });
            settle();
            // A read stops short at the urgent byte, with more behind it, and no event will tell of that.
            let socket = SockRef::from(&client);
            socket.send(b"before")?;
            socket.send_out_of_band(b"!")?;
            socket.send(b"after")?;
            assert_eq!(reader.join().expect("no panic")?, b"beforeafter");
            Ok(())
        })
    });
}

#[test]
fn several_readers_of_one_stream_share_what_comes() {
    everywhere(|| {
        const READERS: usize = 5;
        let (mut client, server) = pair()?;
        let received = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    let mut stream = &server;
                    // One byte at a time: each leaves something for the next.
                    while stream.read(&mut [0]).expect("reading") > 0 {
                        received.fetch_add(1, Relaxed);
                    }
                });
            }
            settle();
            for _ in 0..20 {
                client.write_all(&[0; 10])?;
                settle();
            }
            client.shutdown(Shutdown::Write)
        })?;
        assert_eq!(received.load(Relaxed), 200);
        Ok(())
    });
}

#[test]
fn a_reader_that_gives_up_leaves_the_others_served() {
    everywhere(|| {
        let (mut client, server) = pair()?;
        let patient = server.try_clone()?;
        thread::scope(|scope| {
            let impatient = scope.spawn(|| {
                server.set_read_timeout(Some(Duration::from_millis(1)))?;
                for _ in 0..10 {
                    assert!((&server).read(&mut [0]).is_err());
                }
                server.set_read_timeout(None)
            });
            impatient.join().expect("no panic")?;
            let readers =
                [scope.spawn(|| (&server).read(&mut [0])), scope.spawn(|| (&server).read(&mut [0]))];
            settle();
            client.write_all(b"xy")?;
            for reader in readers {
                assert_eq!(reader.join().expect("no panic")?, 1);
            }
            drop(patient);
            Ok(())
        })
    });
}

#[test]
fn acceptors_of_one_listener_share_the_connections() {
    everywhere(|| {
        const ACCEPTORS: usize = 8;
        let connections = stress(200);
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let accepted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..ACCEPTORS {
                scope.spawn(|| {
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
                TcpStream::connect(addr)?.write_all(b"x")?;
            }
            for _ in 0..ACCEPTORS {
                drop(TcpStream::connect(addr)?);
            }
            io::Result::Ok(())
        })?;
        assert_eq!(accepted.load(Relaxed), connections);
        Ok(())
    });
}

#[test]
fn a_new_owner_of_a_descriptor_gets_its_own_events_only() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let mut reused = 0;
        for round in 0..100_u8 {
            let client = TcpStream::connect(addr)?;
            let (mut server, _) = listener.accept()?;
            // Registered, and then closed with an event on its way.
            server.set_read_timeout(Some(Duration::from_micros(1)))?;
            let _ = server.read(&mut [0]);
            (&client).write_all(b"stale")?;
            let fd = server.as_raw_fd();
            drop(server);
            let next_client = TcpStream::connect(addr)?;
            let (mut next, _) = listener.accept()?;
            reused += usize::from(fd == next.as_raw_fd() || fd == next_client.as_raw_fd());
            thread::scope(|scope| {
                let reader = scope.spawn(move || {
                    let mut byte = [0];
                    next.read_exact(&mut byte).map(|()| byte)
                });
                drop(client);
                settle();
                (&next_client).write_all(&[round])?;
                assert_eq!(reader.join().expect("no panic")?, [round]);
                io::Result::Ok(())
            })?;
        }
        // Other tests in this process open descriptors too, but hardly ever in between.
        assert!(reused > 0, "the test tested nothing");
        Ok(())
    });
}

/// Sends back what it reads, a green thread for each of so many connections.
fn echo(listener: TcpListener, connections: usize) -> io::Result<()> {
    let streams: Vec<_> = listener.incoming().take(connections).collect::<io::Result<_>>()?;
    let echoes: Vec<_> = streams
        .into_iter()
        .map(|stream| thread::spawn(move || io::copy(&mut &stream, &mut &stream)))
        .collect();
    for echo in echoes {
        echo.join().expect("no panic")?;
    }
    Ok(())
}

#[test]
fn a_thousand_connections_are_served_at_once() {
    const CONNECTIONS: usize = 1_000;
    const MESSAGES: u32 = 10;
    let _watchdog = watchdog();
    for runtime in runtimes() {
        runtime.run(|| {
            let listener = listen().expect("a listener");
            let addr = listener.local_addr().expect("bound");
            let server = thread::spawn(move || echo(listener, CONNECTIONS));
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|name| {
                    thread::spawn(move || {
                        let mut stream = TcpStream::connect(addr)?;
                        for message in 0..MESSAGES {
                            let sent = (name as u32 * MESSAGES + message).to_be_bytes();
                            stream.write_all(&sent)?;
                            let mut received = [0; 4];
                            stream.read_exact(&mut received)?;
                            assert_eq!(received, sent);
                        }
                        io::Result::Ok(())
                    })
                })
                .collect();
            for client in clients {
                client.join().expect("no panic").expect("the client");
            }
            server.join().expect("no panic").expect("the server");
        });
    }
}

#[test]
fn a_pair_passes_a_token_to_and_fro() {
    everywhere(|| {
        let rounds = stress(2_000);
        let (mut client, mut server) = pair()?;
        thread::scope(|scope| {
            let other = scope.spawn(move || {
                let mut token = [0];
                for _ in 0..rounds {
                    server.read_exact(&mut token)?;
                    server.write_all(&token)?;
                }
                io::Result::Ok(())
            });
            let mut token = [0];
            for round in 0..rounds {
                let sent = [round as u8];
                client.write_all(&sent)?;
                client.read_exact(&mut token)?;
                assert_eq!(token, sent);
            }
            other.join().expect("no panic")
        })
    });
}
