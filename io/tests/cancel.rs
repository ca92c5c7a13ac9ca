//! Operations that are cut short while the thread goes on: nothing was transferred by them, and what comes later is there for the next.

use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::common::{everywhere, listen, runtimes, watchdog};
use sward_io::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Command, Stdio},
};
use sward_runtime::{
    cancel::{Cancelled, Token},
    thread,
    time::timeout,
};

const SHORT: Duration = Duration::from_millis(1);

fn connected() -> io::Result<(TcpStream, TcpStream)> {
    let listener = listen()?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

#[test]
fn an_accept_takes_no_connection() {
    everywhere(|| {
        let listener = listen()?;
        assert!(timeout(SHORT, || listener.accept()).is_err());
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (_server, address) = timeout(Duration::from_secs(60), || listener.accept())??;
        assert_eq!(address, client.local_addr()?);
        Ok(())
    });
}

/// Connections arrive while accepts are cut short all the time: each is accepted once.
#[test]
fn no_connection_is_lost() {
    const CLIENTS: usize = 60;
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (listener, accepted) = (Arc::new(listen().expect("a listener")), Arc::new(AtomicUsize::new(0)));
        let address = listener.local_addr().expect("it has one");
        let over = Token::new();
        let servers: Vec<_> = (0..3)
            .map(|i| {
                let (listener, accepted, over) = (Arc::clone(&listener), Arc::clone(&accepted), over.clone());
                runtime.handle().spawn(move || {
                    for n in 0.. {
                        let limit = Duration::from_micros((n * 7 + i) % 90);
                        match over.run(|| timeout(limit, || listener.accept())) {
                            Ok(Ok(connection)) => {
                                let (mut stream, _) = connection.expect("a connection");
                                accepted.fetch_add(1, SeqCst);
                                stream.write_all(b"!").expect("room");
                            }
                            Ok(Err(_)) => {}
                            Err(Cancelled { .. }) => return,
                        }
                    }
                })
            })
            .collect();
        runtime.run(|| {
            for _ in 0..CLIENTS {
                let mut client = TcpStream::connect(address).expect("a connection");
                client.read_exact(&mut [0]).expect("an answer");
            }
        });
        over.cancel();
        servers.into_iter().for_each(|server| server.join().expect("it goes on"));
        assert_eq!(accepted.load(SeqCst), CLIENTS);
    }
}

#[test]
fn a_read_takes_nothing() {
    everywhere(|| {
        let (mut client, mut server) = connected()?;
        assert!(timeout(SHORT, || server.read(&mut [0; 9])).is_err());
        client.write_all(b"for later")?;
        let mut buf = [0; 9];
        server.read_exact(&mut buf)?;
        assert_eq!(&buf, b"for later");
        Ok(())
    });
}

#[test]
fn what_was_read_before_the_last_wait_is_in_the_buffer() {
    everywhere(|| {
        let (mut client, mut server) = connected()?;
        client.write_all(b"half")?;
        let mut buf = [b'-'; 8];
        let mut limit = Duration::from_millis(20);
        // On a busy machine time may be up before it has read anything.
        while buf == *b"--------" {
            assert!(timeout(limit, || server.read_exact(&mut buf)).is_err());
            limit *= 2;
        }
        assert_eq!(&buf, b"half----");
        client.write_all(b"rest")?;
        server.read_exact(&mut buf[4..])?;
        assert_eq!(&buf, b"halfrest");
        Ok(())
    });
}

/// A stream of numbers, read under limits that pass at any moment: all arrive in order.
#[test]
fn bytes_are_neither_lost_nor_doubled() {
    everywhere(|| {
        let (mut client, mut server) = connected()?;
        let writer = thread::spawn(move || {
            for n in 0..200_u8 {
                client.write_all(&[n])?;
                thread::sleep(Duration::from_micros(u64::from(n) % 50));
            }
            Ok::<_, io::Error>(())
        });
        let (mut next, mut buf) = (0, [0; 16]);
        for n in 0.. {
            let Ok(read) = timeout(Duration::from_micros(n % 80), || server.read(&mut buf)) else { continue };
            let read = read?;
            if read == 0 {
                break;
            }
            for &byte in &buf[..read] {
                assert_eq!(byte, next);
                next = next.wrapping_add(1);
            }
        }
        assert_eq!(next, 200);
        writer.join().expect("no panic")
    });
}

#[test]
fn a_write_ends_when_there_is_no_room() {
    everywhere(|| {
        let (mut client, mut server) = connected()?;
        let chunk = vec![7; 1 << 16];
        let mut written = 0;
        while let Ok(n) = timeout(Duration::from_millis(20), || client.write(&chunk)) {
            written += n?;
        }
        drop(client);
        let mut received = Vec::new();
        server.read_to_end(&mut received)?;
        assert_eq!(received.len(), written, "what was cut short has written nothing");
        Ok(())
    });
}

#[test]
fn readers_that_give_up_hold_nobody_up() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        runtime.run(|| {
            let (mut client, server) = connected().expect("a connection");
            let server = Arc::new(server);
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    let server = Arc::clone(&server);
                    thread::spawn(move || (&*server).read(&mut [0]).expect("to be read"))
                })
                .collect();
            thread::yield_now();
            // Half of them, as the bytes arrive.
            for (i, reader) in readers.iter().enumerate() {
                client.write_all(b"x").expect("room");
                if i % 2 == 0 {
                    reader.cancel();
                }
            }
            let read = readers.into_iter().filter_map(|reader| reader.join().ok()).sum::<usize>();
            assert!(read >= 4);
            let mut rest = vec![0; 8 - read];
            (&*server).read_exact(&mut rest).expect("the others' bytes");
        });
    }
}

#[test]
fn a_datagram_is_left_to_the_next() {
    everywhere(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        assert!(timeout(SHORT, || socket.recv(&mut [0; 9])).is_err());
        socket.send_to(b"datagram", socket.local_addr()?)?;
        assert!(socket.peek(&mut [0; 9])? > 0);
        let mut buf = [0; 9];
        assert_eq!(socket.recv(&mut buf)?, 8);
        Ok(())
    });
}

#[test]
fn a_limit_is_an_error_of_io() {
    everywhere(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let accept = || -> io::Result<_> { timeout(SHORT, || listener.accept())? };
        assert_eq!(accept().expect_err("nobody connects").kind(), io::ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn a_pipe_and_a_lock_of_a_file_can_be_waited_for_under_a_limit() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        runtime.run(|| {
            let (mut reader, mut writer) = sward_io::io::pipe().expect("a pipe");
            assert!(timeout(SHORT, || reader.read(&mut [0; 4])).is_err());
            writer.write_all(b"pipe").expect("room");
            let mut buf = [0; 4];
            reader.read_exact(&mut buf).expect("to be read");
            assert_eq!(&buf, b"pipe");

            let dir = crate::common::fs::fresh_dir();
            let path = dir.path().join("lock");
            let ours = std::fs::File::create(&path).expect("a file");
            ours.lock().expect("free");
            let theirs = File::open(&path).expect("it is there");
            assert!(timeout(SHORT, || theirs.lock()).is_err());
            ours.unlock().expect("ours");
            theirs.lock().expect("given back if it was given");
        });
    }
}

#[test]
fn a_child_can_be_waited_for_again() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        runtime.run(|| {
            let mut child = Command::new("sleep").arg("3600").spawn().expect("a child");
            assert!(timeout(SHORT, || child.wait()).is_err());
            child.kill().expect("it runs");
            assert!(!child.wait().expect("it is ours").success());
        });
    }
}

/// Both of its streams are read, one by a green thread of its own.
#[test]
fn the_output_of_a_child_can_be_collected_under_a_limit() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        runtime.run(|| {
            let mut command = Command::new("sleep");
            command.arg("3600").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
            let child = command.spawn().expect("a child");
            assert!(timeout(SHORT, || child.wait_with_output()).is_err());
            assert!(timeout(SHORT, || command.output()).is_err());
        });
    }
}
