//! Servers with a green thread for each connection: limits, errors, and shutdowns.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::fd::OwnedFd,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use crate::common::{
    DropToken, Drops, everywhere, listen, runtimes,
    server::{LONG, ask},
    settle, stress, wait_until, watchdog,
};
use socket2::SockRef;
use sward_io::{
    net::{ServeError, ServeOptions, TcpListener, TcpStream, serve},
    os::unix::net::{UnixListener, UnixStream},
};
use sward_runtime::thread;

fn echo(stream: &TcpStream) -> io::Result<()> {
    io::copy(&mut &*stream, &mut &*stream).map(drop)
}

#[test]
fn many_connections_are_served_at_once() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let server = serve(listener, ServeOptions::new(), |stream, _| echo(&stream))?;
        let clients: Vec<_> = (0..40)
            .map(|_| {
                thread::spawn(move || -> io::Result<TcpStream> {
                    let client = TcpStream::connect(addr)?;
                    ask(&client)?;
                    Ok(client)
                })
            })
            .collect();
        let clients: io::Result<Vec<_>> =
            clients.into_iter().map(|client| client.join().expect("no panic")).collect();
        let clients = clients?;
        assert_eq!(server.connections(), clients.len());
        clients.iter().try_for_each(ask)?;
        drop(clients);
        assert_eq!(server.shutdown(Duration::MAX), 0);
        assert_eq!(server.connections(), 0);
        Ok(())
    });
}

#[test]
fn a_handler_is_told_its_peer() {
    everywhere(|| {
        let (sender, peers) = mpsc::channel();
        let listener = listen()?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let server = serve(listener, ServeOptions::new(), move |stream, peer| {
            let _ = sender.send((peer, stream.peer_addr()?));
            echo(&stream)
        })?;
        ask(&client)?;
        assert_eq!(peers.try_recv(), Ok((client.local_addr()?, client.local_addr()?)));
        drop(client);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn no_more_connections_than_the_limit_are_open() {
    const LIMIT: usize = 3;
    everywhere(|| {
        let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let counts = (Arc::clone(&now), Arc::clone(&peak));
        let server = serve(listener, ServeOptions::new().max_connections(LIMIT), move |stream, _| {
            counts.1.fetch_max(counts.0.fetch_add(1, SeqCst) + 1, SeqCst);
            let result = echo(&stream);
            counts.0.fetch_sub(1, SeqCst);
            result
        })?;
        let clients: io::Result<Vec<_>> = (0..12).map(|_| TcpStream::connect(addr)).collect();
        let clients = clients?;
        wait_until(|| now.load(SeqCst) == LIMIT);
        settle();
        assert_eq!(server.connections(), LIMIT);
        // Each is served once those before have gone.
        for client in clients {
            ask(&client)?;
        }
        wait_until(|| server.connections() == 0);
        assert_eq!(peak.load(SeqCst), LIMIT);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_shutdown_waits_for_handlers_and_closes_the_listener_before() {
    everywhere(|| {
        let (sender, results) = mpsc::channel();
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let server = serve(listener, ServeOptions::new(), move |stream, peer| {
            let _ = sender.send((peer, echo(&stream).is_ok()));
            Ok(())
        })?;
        let client = TcpStream::connect(addr)?;
        let me = client.local_addr()?;
        ask(&client)?;
        let same = server.clone();
        let shutdown = thread::spawn(move || same.shutdown(LONG));
        // Refused, or reset while it waits in the queue.
        wait_until(|| TcpStream::connect(addr).is_err());
        ask(&client)?;
        assert!(!shutdown.is_finished());
        drop(client);
        assert_eq!(shutdown.join().expect("no panic"), 0);
        assert_eq!(results.try_iter().filter(|(peer, _)| *peer == me).collect::<Vec<_>>(), [(me, true)]);
        server.join()
    });
}

#[test]
fn a_shutdown_cuts_what_is_left_when_the_time_is_up() {
    everywhere(|| {
        for grace in [Duration::ZERO, Duration::from_millis(5)] {
            let listener = listen()?;
            let addr = listener.local_addr()?;
            let server = serve(listener, ServeOptions::new(), |stream, _| echo(&stream))?;
            let clients = [TcpStream::connect(addr)?, TcpStream::connect(addr)?];
            clients.iter().try_for_each(ask)?;
            assert_eq!(server.shutdown(grace), 2);
            for client in &clients {
                assert_eq!((&*client).read(&mut [0])?, 0);
            }
            server.join()?;
            assert_eq!(server.connections(), 0);
            assert_eq!(server.shutdown(grace), 0);
        }
        Ok(())
    });
}

#[test]
fn a_socket_that_the_handler_gave_away_is_not_cut() {
    everywhere(|| {
        let (sender, streams) = mpsc::channel();
        let go_on = Arc::new(AtomicBool::new(false));
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let waits = Arc::clone(&go_on);
        let server = serve(listener, ServeOptions::new(), move |stream, _| {
            let _ = sender.send(std::net::TcpStream::from(stream));
            wait_until(|| waits.load(SeqCst));
            Ok(())
        })?;
        let mut client = TcpStream::connect(addr)?;
        let mut given = None;
        wait_until(|| {
            given = streams.try_recv().ok();
            given.is_some()
        });
        assert_eq!(server.shutdown(Duration::ZERO), 1);
        given.expect("received").write_all(b"!")?;
        client.read_exact(&mut [0])?;
        go_on.store(true, SeqCst);
        server.join()
    });
}

#[test]
fn a_shutdown_does_not_wait_for_a_seat() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let server = serve(listener, ServeOptions::new().max_connections(1), |stream, _| echo(&stream))?;
        let first = TcpStream::connect(addr)?;
        ask(&first)?;
        let second = TcpStream::connect(addr)?;
        settle();
        assert_eq!(server.shutdown(Duration::from_millis(1)), 1);
        // Whoever waited in the queue is refused.
        assert!(ask(&second).is_err());
        server.join()
    });
}

#[test]
fn a_panic_or_an_error_costs_its_connection_only_and_is_told() {
    everywhere(|| {
        let (sender, errors) = mpsc::channel();
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let options = ServeOptions::new().on_error(move |error| {
            let _ = sender.send(error.to_string());
            // Of no consequence.
            resume_unwind(Box::new("in the hook"));
        });
        let server = serve(listener, options, |mut stream, _| {
            let mut command = [0];
            while stream.read(&mut command)? == 1 {
                match command[0] {
                    b'p' => resume_unwind(Box::new("on purpose")),
                    b'e' => return Err(io::Error::other("as asked")),
                    _ => stream.write_all(&command)?,
                }
            }
            Ok(())
        })?;
        let well = TcpStream::connect(addr)?;
        ask(&well)?;
        for (command, told) in
            [("p", "a handler panicked: on purpose"), ("e", "a connection failed: as asked")]
        {
            let mut client = TcpStream::connect(addr)?;
            client.write_all(command.as_bytes())?;
            assert_eq!(client.read(&mut [0])?, 0);
            wait_until(|| server.connections() == 1);
            assert_eq!(errors.try_iter().collect::<Vec<_>>(), [told]);
        }
        ask(&well)?;
        drop(well);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn unix_sockets_are_served() {
    everywhere(|| {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path)?;
        let server = serve(listener, ServeOptions::new(), |stream, peer| {
            assert!(peer.is_unnamed());
            io::copy(&mut &stream, &mut &stream).map(drop)
        })?;
        let mut client = UnixStream::connect(&path)?;
        client.write_all(b"?")?;
        client.read_exact(&mut [0])?;
        assert_eq!(server.shutdown(Duration::ZERO), 1);
        assert_eq!(client.read(&mut [0])?, 0);
        server.join()
    });
}

#[test]
fn connections_that_come_and_go_or_are_reset_leave_nothing_behind() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let server = serve(listener, ServeOptions::new().max_connections(16), |stream, _| echo(&stream))?;
        let clients: Vec<_> = (0..8)
            .map(|client| {
                thread::spawn(move || -> io::Result<()> {
                    for round in 0..stress(10) {
                        let stream = TcpStream::connect(addr)?;
                        if (client + round) % 3 == 0 {
                            // A reset, perhaps before it is accepted.
                            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                            continue;
                        }
                        ask(&stream)?;
                        if round % 2 == 0 {
                            stream.shutdown(Shutdown::Write)?;
                            assert_eq!((&stream).read(&mut [0])?, 0);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().expect("no panic"))?;
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_listener_that_was_shut_down_by_others_ends_its_server() {
    everywhere(|| {
        let (sender, errors) = mpsc::channel();
        let listener = listen()?;
        let (clone, client) = (listener.try_clone()?, TcpStream::connect(listener.local_addr()?)?);
        let options = ServeOptions::new().on_error(move |error| drop(sender.send(error)));
        let server = serve(listener, options, |stream, _| echo(&stream))?;
        ask(&client)?;
        SockRef::from(&clone).shutdown(Shutdown::Both)?;
        wait_until(|| matches!(errors.try_recv(), Ok(ServeError::Accept(_))));
        // Connections go on.
        ask(&client)?;
        drop(client);
        assert_eq!(server.join().expect_err("it was shut down").kind(), io::ErrorKind::InvalidInput);
        server.join()
    });
}

#[test]
fn the_end_of_the_runtime_ends_the_server_and_frees_the_handler() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let drops = Drops::new();
        let handler = drops.token();
        let (server, client) = runtime.run(|| {
            let listener = listen().expect("a listener");
            let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
            let server = serve(listener, ServeOptions::new(), move |stream, _| {
                let _frame = DropToken::clone_of(&handler);
                echo(&stream)
            });
            ask(&client).expect("served");
            (server.expect("a server"), std::net::TcpStream::from(client))
        });
        drop(runtime);
        assert_eq!(drops.count(), 2);
        assert_eq!((&client).read(&mut [0]).expect("closed"), 0);
        assert_eq!(server.connections(), 0);
        assert_eq!(server.shutdown(LONG), 0);
        server.join().expect("no failure");
    }
}

#[test]
fn a_server_of_the_default_runtime_can_be_used_outside() -> io::Result<()> {
    let _watchdog = watchdog();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = serve(listener, ServeOptions::new(), |stream, _| echo(&stream))?;
    let client = TcpStream::connect(addr)?;
    ask(&client)?;
    let same = server.clone();
    let waits = std::thread::spawn(move || same.join());
    drop(client);
    assert_eq!(server.shutdown(LONG), 0);
    waits.join().expect("no panic")
}

#[test]
#[should_panic(expected = "a server without connections")]
fn a_limit_of_zero_is_refused() {
    drop(ServeOptions::new().max_connections(0));
}

#[test]
#[should_panic(expected = "an idle timeout of zero")]
fn an_idle_timeout_of_zero_is_refused() {
    drop(ServeOptions::new().idle_timeout(Duration::ZERO));
}

#[test]
fn a_shutdown_does_not_wait_longer_for_one_who_accepts_either() {
    everywhere(|| {
        let (begun, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (begins, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
        let listener = listen()?;
        let clone = listener.try_clone()?;
        let options = ServeOptions::new().on_error(move |_| {
            begins.store(true, SeqCst);
            wait_until(|| waits.load(SeqCst));
        });
        let server = serve(listener, options, |stream, _| echo(&stream))?;
        SockRef::from(&clone).shutdown(Shutdown::Both)?;
        wait_until(|| begun.load(SeqCst));
        assert_eq!(server.shutdown(Duration::from_millis(1)), 0);
        go_on.store(true, SeqCst);
        assert_eq!(server.join().expect_err("it was shut down").kind(), io::ErrorKind::InvalidInput);
        Ok(())
    });
}

/// One handler keeps its worker; `others` connect all the same, and when these have gone, others again.
fn serve_beside_a_stuck_worker(options: &ServeOptions, others: usize) {
    let _watchdog = watchdog();
    for runtime in runtimes().filter(|runtime| runtime.handle().workers() > 1) {
        let (go_on, waits) = mpsc::channel();
        let waits = std::sync::Mutex::new(waits);
        let (server, addr) = runtime.run(|| {
            let listener = listen().expect("a listener");
            let addr = listener.local_addr().expect("bound");
            let handler = move |stream: TcpStream, _| {
                let mut command = [0];
                if (&stream).read(&mut command)? == 1 && command == *b"w" {
                    (&stream).write_all(b"!")?;
                    // With its worker.
                    let _ = waits.lock().expect("not poisoned").recv();
                }
                Ok(())
            };
            (serve(listener, options.clone(), handler).expect("a server"), addr)
        });
        let mut stuck = std::net::TcpStream::connect(addr).expect("connected");
        stuck.write_all(b"w").expect("sent");
        stuck.read_exact(&mut [0]).expect("answered");
        for _ in 0..2 {
            let connect = |_| std::net::TcpStream::connect(addr).expect("connected");
            let clients: Vec<_> = (0..others).map(connect).collect();
            while server.connections() < 1 + others {
                std::thread::yield_now();
            }
            // So that each has a handler, on a worker that is not stuck.
            clients.iter().for_each(|mut client| client.write_all(b"x").expect("sent"));
            clients.iter().for_each(|mut client| assert_eq!(client.read(&mut [0]).expect("closed"), 0));
            while server.connections() > 1 {
                std::thread::yield_now();
            }
        }
        go_on.send(()).expect("it waits");
        drop(stuck);
        assert_eq!(server.shutdown(LONG), 0);
    }
}

#[test]
fn a_connection_that_is_refused_once_it_was_accepted_leaves_its_place() {
    everywhere(|| {
        let dir = tempfile::tempdir()?;
        let unix = std::os::unix::net::UnixListener::bind(dir.path().join("socket"))?;
        // Whose peers have no address that TCP knows.
        let listener = TcpListener::from(OwnedFd::from(unix));
        let server = serve(listener, ServeOptions::new().max_connections(1), |_, _| Ok(()))?;
        for _ in 0..3 {
            assert_eq!(UnixStream::connect(dir.path().join("socket"))?.read(&mut [0])?, 0);
        }
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_stuck_worker_does_not_keep_connections_from_being_accepted() {
    serve_beside_a_stuck_worker(&ServeOptions::new(), 3);
}

#[test]
fn a_stuck_worker_does_not_keep_the_last_place_free() {
    serve_beside_a_stuck_worker(&ServeOptions::new().max_connections(2), 1);
}

#[test]
fn the_cancellation_of_another_is_a_panic_like_any() {
    everywhere(|| {
        let (sender, errors) = mpsc::channel();
        let options = ServeOptions::new().on_error(move |error| drop(sender.send(error.to_string())));
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let server = serve(listener, options, |_, _| {
            let other = thread::spawn(thread::park);
            other.cancel();
            resume_unwind(other.join().expect_err("cancelled"))
        })?;
        assert_eq!(TcpStream::connect(addr)?.read(&mut [0])?, 0);
        assert_eq!(server.shutdown(LONG), 0);
        assert_eq!(errors.try_iter().collect::<Vec<_>>(), ["a handler panicked: no message"]);
        Ok(())
    });
}
