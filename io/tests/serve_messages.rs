//! Servers whose connections have a stack only while there is something to do.

use std::{
    cell::Cell,
    io::{self, BufReader, Read, Write},
    net::SocketAddr,
    ops::ControlFlow,
    panic::resume_unwind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::common::{
    DropToken, Drops, everywhere, listen, runtimes,
    server::{LONG, ask, echo_byte},
    settle, stress, wait_until, watchdog,
};
use socket2::SockRef;
use sward_io::{
    net::{ServeOptions, Server, TcpStream, serve_messages},
    os::unix::net::{UnixListener, UnixStream},
};
use sward_runtime::{runtime::Handle, thread};

const GO_ON: io::Result<ControlFlow<()>> = Ok(ControlFlow::Continue(()));
const BREAK: io::Result<ControlFlow<()>> = Ok(ControlFlow::Break(()));

fn echo_server(options: ServeOptions) -> io::Result<(Server, SocketAddr)> {
    let listener = listen()?;
    let addr = listener.local_addr()?;
    let server = serve_messages(
        listener,
        options,
        |stream, _| Ok(stream),
        |stream: &mut TcpStream| echo_byte(stream),
    )?;
    Ok((server, addr))
}

/// Reads a message: its length, and as many bytes. `None`: the end of the stream.
fn receive(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 2];
    if stream.read(&mut len[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut len[1..])?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

fn frame(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).expect("short");
    [&len.to_be_bytes(), message].concat()
}

#[test]
fn the_state_of_a_connection_lasts_and_need_not_be_sync() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let init = |stream, peer: SocketAddr| Ok((stream, peer.port(), Cell::new(0_u16)));
        let server = serve_messages(
            listener,
            ServeOptions::new(),
            init,
            |state: &mut (TcpStream, u16, Cell<u16>)| {
                let (stream, port, count) = state;
                if stream.read(&mut [0])? == 0 {
                    return BREAK;
                }
                count.set(count.get() + 1);
                stream.write_all(&port.to_be_bytes())?;
                stream.write_all(&count.get().to_be_bytes())?;
                GO_ON
            },
        )?;
        let clients: io::Result<Vec<_>> = (0..10).map(|_| TcpStream::connect(addr)).collect();
        for count in 1..=5_u16 {
            for client in clients.as_ref().expect("connected") {
                (&*client).write_all(b"?")?;
                let mut answer = [0; 4];
                (&*client).read_exact(&mut answer)?;
                let [a, b, c, d] = answer;
                assert_eq!(u16::from_be_bytes([a, b]), client.local_addr()?.port());
                assert_eq!(u16::from_be_bytes([c, d]), count);
            }
        }
        assert_eq!(server.connections(), 10);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

/// Messages, however they are cut, reach the handler whole and in order, each once.
#[test]
fn messages_are_whole_however_they_arrive() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let handler = |stream: &mut TcpStream| {
            let Some(message) = receive(stream)? else { return BREAK };
            stream.write_all(&frame(&message))?;
            GO_ON
        };
        let server = serve_messages(listener, ServeOptions::new(), |stream, _| Ok(stream), handler)?;
        let messages: Vec<Vec<u8>> = (0..20_u8).map(|i| vec![i; usize::from(i) * 7 % 60]).collect();
        let all: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        for step in [1, 2, 3, 64, 1000] {
            let mut client = TcpStream::connect(addr)?;
            client.set_nodelay(true)?;
            let (mut writer, all) = (client.try_clone()?, all.clone());
            let writer = thread::spawn(move || -> io::Result<()> {
                for piece in all.chunks(step) {
                    writer.write_all(piece)?;
                    thread::yield_now();
                }
                Ok(())
            });
            for message in &messages {
                assert_eq!(receive(&mut client)?.as_ref(), Some(message));
            }
            writer.join().expect("no panic")?;
        }
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_message_that_arrives_while_the_handler_runs_is_not_lost() {
    everywhere(|| {
        let (arrived, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (arrivals, gate) = (Arc::clone(&arrived), Arc::clone(&go_on));
        let listener = listen()?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let handler = move |stream: &mut TcpStream| {
            if stream.read(&mut [0])? == 0 {
                return BREAK;
            }
            let number = arrivals.fetch_add(1, SeqCst) + 1;
            wait_until(|| gate.load(SeqCst) >= number);
            GO_ON
        };
        let server = serve_messages(listener, ServeOptions::new(), |stream, _| Ok(stream), handler)?;
        client.write_all(b"?")?;
        wait_until(|| arrived.load(SeqCst) == 1);
        // The handler has the first one.
        client.write_all(b"?")?;
        go_on.store(1, SeqCst);
        wait_until(|| arrived.load(SeqCst) == 2);
        go_on.store(2, SeqCst);
        for number in 3..stress(100) {
            client.write_all(b"?")?;
            // Sometimes before the handler is done, sometimes after.
            go_on.store(number, SeqCst);
            wait_until(|| arrived.load(SeqCst) == number);
        }
        drop(client);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn idle_connections_have_no_green_thread() {
    let _watchdog = watchdog();
    // Two descriptors for each, and others need some too.
    let count = 2000.min(descriptor_limit() / 8);
    for runtime in runtimes() {
        let workers = runtime.handle().workers();
        runtime.run(|| {
            let (server, addr) = echo_server(ServeOptions::new()).expect("a server");
            let clients: Vec<_> = (0..count).map(|_| TcpStream::connect(addr).expect("connected")).collect();
            wait_until(|| server.connections() == count);
            // This one, and those who accept.
            wait_until(|| Handle::current().live() == 1 + workers);
            for client in &clients {
                ask(client).expect("served");
            }
            wait_until(|| Handle::current().live() == 1 + workers);
            assert_eq!(server.connections(), count);
            drop(clients);
            wait_until(|| server.connections() == 0);
            assert_eq!(server.shutdown(LONG), 0);
        });
    }
}

fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live `rlimit`.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

#[test]
fn many_clients_at_once_each_get_their_answers() {
    everywhere(|| {
        let (server, addr) = echo_server(ServeOptions::new().max_connections(12))?;
        let clients: Vec<_> = (0..16_u8)
            .map(|client| {
                thread::spawn(move || -> io::Result<()> {
                    for round in 0..10 {
                        let mut stream = TcpStream::connect(addr)?;
                        for i in 0..stress(10) {
                            let byte = client ^ round ^ u8::try_from(i % 256).expect("small");
                            stream.write_all(&[byte])?;
                            let mut answer = [0];
                            stream.read_exact(&mut answer)?;
                            assert_eq!(answer, [byte]);
                        }
                        if round % 3 == 0 {
                            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
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

/// Urgent data raises an event although there is nothing to read.
#[test]
fn spurious_readiness_does_not_run_the_handler() {
    everywhere(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let listener = listen()?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let server = serve_messages(
            listener,
            ServeOptions::new(),
            |stream, _| Ok(stream),
            move |stream: &mut TcpStream| {
                count.fetch_add(1, SeqCst);
                echo_byte(stream)
            },
        )?;
        ask(&client)?;
        for messages in 2..5 {
            SockRef::from(&client).send_out_of_band(b"!")?;
            settle();
            ask(&client)?;
            assert_eq!(runs.load(SeqCst), messages);
        }
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_panic_or_an_error_costs_its_connection_only_and_is_told() {
    everywhere(|| {
        let (sender, errors) = mpsc::channel();
        let options = ServeOptions::new().on_error(move |error| drop(sender.send(error.to_string())));
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let init = |mut stream: TcpStream, _| {
            let mut command = [0];
            stream.read_exact(&mut command)?;
            match command[0] {
                b'p' => resume_unwind(Box::new("in init")),
                b'e' => Err(io::Error::other("in init")),
                _ => Ok(stream),
            }
        };
        let server = serve_messages(listener, options, init, |stream: &mut TcpStream| {
            let mut command = [0];
            stream.read_exact(&mut command)?;
            match command[0] {
                b'p' => resume_unwind(Box::new("on purpose")),
                b'e' => Err(io::Error::other("as asked")),
                _ => stream.write_all(&command).map(|()| ControlFlow::Continue(())),
            }
        })?;
        let well = TcpStream::connect(addr)?;
        (&well).write_all(b".")?;
        ask(&well)?;
        for (commands, told) in [
            ("p", "a handler panicked: in init"),
            ("e", "a connection failed: in init"),
            (".p", "a handler panicked: on purpose"),
            (".e", "a connection failed: as asked"),
        ] {
            let mut client = TcpStream::connect(addr)?;
            for command in commands.as_bytes().chunks(1) {
                client.write_all(command)?;
                settle();
            }
            assert_eq!(client.read(&mut [0])?, 0);
            wait_until(|| server.connections() == 1);
            assert_eq!(errors.try_iter().collect::<Vec<_>>(), [told]);
        }
        ask(&well)?;
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_peer_that_resets_an_idle_connection_is_an_error_of_the_handler() {
    everywhere(|| {
        let (sender, errors) = mpsc::channel();
        let (server, addr) =
            echo_server(ServeOptions::new().on_error(move |error| drop(sender.send(error.to_string()))))?;
        let client = TcpStream::connect(addr)?;
        ask(&client)?;
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        drop(client);
        wait_until(|| server.connections() == 0);
        let told = errors.try_iter().collect::<Vec<_>>();
        assert!(
            matches!(&told[..], [error] if error.starts_with("a connection failed: Connection reset")),
            "{told:?}"
        );
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn idle_connections_are_closed_after_a_while_and_busy_ones_are_not() {
    everywhere(|| {
        let timeout = Duration::from_millis(20);
        let go_on = Arc::new(AtomicBool::new(false));
        let waits = Arc::clone(&go_on);
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let options = ServeOptions::new().idle_timeout(timeout);
        // Each with a message that is there before the server is: nobody is idle before it.
        let (mut busy, mut idle) = (TcpStream::connect(addr)?, TcpStream::connect(addr)?);
        busy.write_all(b"w")?;
        idle.write_all(b"?")?;
        let start = Instant::now();
        let server = serve_messages(
            listener,
            options,
            |stream, _| Ok(stream),
            move |stream: &mut TcpStream| {
                let mut command = [0];
                if stream.read(&mut command)? == 0 {
                    return BREAK;
                }
                if command == *b"w" {
                    wait_until(|| waits.load(SeqCst));
                }
                stream.write_all(&command)?;
                GO_ON
            },
        )?;
        idle.read_exact(&mut [0])?;
        assert_eq!(idle.read(&mut [0])?, 0);
        assert!(start.elapsed() >= timeout);
        wait_until(|| server.connections() == 1);
        go_on.store(true, SeqCst);
        busy.read_exact(&mut [0])?;
        assert_eq!(busy.read(&mut [0])?, 0);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_shutdown_closes_idle_connections_at_once_and_busy_ones_after_their_message() {
    everywhere(|| {
        let (begun, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (begins, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let server = serve_messages(
            listener,
            ServeOptions::new(),
            |stream, _| Ok(stream),
            move |stream: &mut TcpStream| {
                let mut command = [0];
                if stream.read(&mut command)? == 0 {
                    return BREAK;
                }
                if command == *b"w" {
                    begins.store(true, SeqCst);
                    wait_until(|| waits.load(SeqCst));
                }
                stream.write_all(&command)?;
                GO_ON
            },
        )?;
        let (mut busy, mut idle) = (TcpStream::connect(addr)?, TcpStream::connect(addr)?);
        ask(&idle)?;
        busy.write_all(b"w")?;
        wait_until(|| begun.load(SeqCst));
        let same = server.clone();
        let shutdown = thread::spawn(move || same.shutdown(LONG));
        assert_eq!(idle.read(&mut [0])?, 0);
        assert!(!shutdown.is_finished());
        go_on.store(true, SeqCst);
        let mut answer = [0];
        busy.read_exact(&mut answer)?;
        assert_eq!(answer, *b"w");
        assert_eq!(busy.read(&mut [0])?, 0);
        assert_eq!(shutdown.join().expect("no panic"), 0);
        server.join()
    });
}

#[test]
fn a_shutdown_cuts_a_handler_that_waits_for_the_rest_of_a_message() {
    everywhere(|| {
        let has_begun = Arc::new(AtomicBool::new(false));
        let (begins, runs) = (Arc::clone(&has_begun), AtomicUsize::new(0));
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let handler = move |stream: &mut TcpStream| {
            stream.read_exact(&mut [0])?;
            begins.store(runs.fetch_add(1, SeqCst) == 2, SeqCst);
            stream.read_exact(&mut [0])?;
            stream.write_all(b"!")?;
            GO_ON
        };
        let server = serve_messages(listener, ServeOptions::new(), |stream, _| Ok(stream), handler)?;
        let mut client = TcpStream::connect(addr)?;
        client.write_all(b"first")?;
        client.read_exact(&mut [0; 2])?;
        // Woken by the last byte, the handler waits for one more.
        wait_until(|| has_begun.load(SeqCst));
        assert_eq!(server.shutdown(Duration::from_millis(1)), 1);
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
        server.join()
    });
}

#[test]
fn the_end_of_the_runtime_frees_idle_connections() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let drops = Drops::new();
        let (for_init, for_handler) = (drops.token(), drops.token());
        let clients = runtime.run(|| {
            let listener = listen().expect("a listener");
            let addr = listener.local_addr().expect("bound");
            let init = move |stream, _| Ok((stream, DropToken::clone_of(&for_init)));
            let options = ServeOptions::new().idle_timeout(Duration::MAX);
            let server =
                serve_messages(listener, options, init, move |(stream, _): &mut (TcpStream, DropToken)| {
                    let _captured = &for_handler;
                    echo_byte(stream)
                });
            let _server = server.expect("a server");
            let connect = |_| {
                let client = TcpStream::connect(addr).expect("connected");
                ask(&client).expect("served");
                std::net::TcpStream::from(client)
            };
            let clients: Vec<_> = (0..10).map(connect).collect();
            // One is busy, one has a message on its way.
            (&clients[0]).write_all(b"?").expect("sent");
            clients
        });
        drop(runtime);
        // What init and the handler captured, and each state.
        assert_eq!(drops.count(), 2 + clients.len());
        for mut client in clients {
            client.read_to_end(&mut Vec::new()).map_or_else(
                |error| assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
                |read| assert!(read <= 1),
            );
        }
    }
}

#[test]
fn the_end_of_the_runtime_in_the_midst_of_traffic_frees_all() {
    let _watchdog = watchdog();
    for _ in 0..stress(1) {
        for runtime in runtimes() {
            let drops = Drops::new();
            let made = Arc::new(AtomicUsize::new(0));
            let (in_init, count) = (drops.clone(), Arc::clone(&made));
            let addr = runtime.run(|| {
                let listener = listen().expect("a listener");
                let addr = listener.local_addr().expect("bound");
                let init = move |stream, _| {
                    count.fetch_add(1, SeqCst);
                    Ok((stream, in_init.token()))
                };
                let handler = |(stream, _): &mut (TcpStream, DropToken)| echo_byte(stream);
                serve_messages(listener, ServeOptions::new(), init, handler).expect("a server");
                addr
            });
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    std::thread::spawn(move || -> io::Result<()> {
                        let mut client = std::net::TcpStream::connect(addr)?;
                        loop {
                            client.write_all(b"?")?;
                            client.read_exact(&mut [0])?;
                        }
                    })
                })
                .collect();
            while made.load(SeqCst) < 4 {
                std::thread::yield_now();
            }
            drop(runtime);
            assert_eq!(drops.count(), made.load(SeqCst));
            for client in clients {
                assert!(client.join().expect("no panic").is_err());
            }
        }
    }
}

#[test]
fn a_connection_whose_stream_is_gone_ends() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let given = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&given);
        type Slot = Arc<Mutex<Option<TcpStream>>>;
        let init = move |stream, _| {
            let slot = Arc::new(Mutex::new(Some(stream)));
            shared.lock().expect("no panic").push(Arc::clone(&slot));
            Ok(slot)
        };
        let server = serve_messages(listener, ServeOptions::new(), init, |slot: &mut Slot| {
            let stream = slot.lock().expect("no panic").take();
            let Some(stream) = stream else { return BREAK };
            let flow = echo_byte(&stream)?;
            // The second message says to keep the stream away.
            if flow.is_continue() && stream.nodelay()? {
                return GO_ON;
            }
            stream.set_nodelay(true)?;
            *slot.lock().expect("no panic") = Some(stream);
            Ok(flow)
        })?;
        // Taken away by the handler.
        let mut first = TcpStream::connect(addr)?;
        ask(&first)?;
        ask(&first)?;
        assert_eq!(first.read(&mut [0])?, 0);
        wait_until(|| server.connections() == 0);
        // Taken away by others while it is idle.
        let mut second = TcpStream::connect(addr)?;
        ask(&second)?;
        wait_until(|| given.lock().expect("no panic")[1].lock().expect("no panic").is_some());
        settle();
        let taken = given.lock().expect("no panic")[1].lock().expect("no panic").take();
        drop(taken);
        assert_eq!(second.read(&mut [0])?, 0);
        wait_until(|| server.connections() == 0);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_buffer_may_be_part_of_the_state() {
    everywhere(|| {
        let listener = listen()?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let init = |stream, _| Ok(BufReader::with_capacity(4, stream));
        let server =
            serve_messages(listener, ServeOptions::new(), init, |stream: &mut BufReader<TcpStream>| {
                loop {
                    let mut byte = [0];
                    if stream.read(&mut byte)? == 0 {
                        return BREAK;
                    }
                    stream.get_mut().write_all(&byte)?;
                    if stream.buffer().is_empty() {
                        return GO_ON;
                    }
                }
            })?;
        client.write_all(b"many at once")?;
        let mut answer = [0; 12];
        client.read_exact(&mut answer)?;
        assert_eq!(&answer, b"many at once");
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
        let handler = |stream: &mut UnixStream| echo_byte(stream);
        let server = serve_messages(listener, ServeOptions::new(), |stream, _| Ok(stream), handler)?;
        let mut client = UnixStream::connect(&path)?;
        for _ in 0..3 {
            client.write_all(b"?")?;
            client.read_exact(&mut [0])?;
        }
        assert_eq!(server.shutdown(LONG), 0);
        assert_eq!(client.read(&mut [0])?, 0);
        Ok(())
    });
}

/// A connection that is about to rest when all stops is closed by one side or the other.
#[test]
fn a_shutdown_in_the_midst_of_traffic_ends_every_connection() {
    everywhere(|| {
        for round in 0..stress(20) {
            let (server, addr) = echo_server(ServeOptions::new())?;
            let clients: Vec<_> = (0..4)
                .map(|number| {
                    thread::spawn(move || -> io::Result<()> {
                        loop {
                            let client = TcpStream::connect(addr)?;
                            // Once the server is gone, its port may be somebody else's, who does not answer.
                            client.set_read_timeout(Some(Duration::from_millis(200)))?;
                            for _ in 0..number {
                                ask(&client)?;
                            }
                            // The first says nothing, so its connections rest before anything has arrived.
                            (&client).read_exact(&mut [0; 1][..usize::from(number == 0)])?;
                        }
                    })
                })
                .collect();
            (0..round * 5).for_each(|_| thread::yield_now());
            assert_eq!(server.shutdown(LONG), 0);
            for client in clients {
                assert!(client.join().expect("no panic").is_err());
            }
        }
        Ok(())
    });
}

#[test]
fn a_connection_that_is_set_up_during_a_shutdown_is_closed() {
    everywhere(|| {
        let (begun, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (begins, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let init = move |stream, _| {
            if begins.fetch_add(1, SeqCst) == 0 {
                wait_until(|| waits.load(SeqCst));
            }
            Ok(stream)
        };
        let handler = |stream: &mut TcpStream| echo_byte(stream);
        let server = serve_messages(listener, ServeOptions::new(), init, handler)?;
        let mut slow = TcpStream::connect(addr)?;
        wait_until(|| begun.load(SeqCst) == 1);
        let mut idle = TcpStream::connect(addr)?;
        ask(&idle)?;
        let same = server.clone();
        let shutdown = thread::spawn(move || same.shutdown(LONG));
        // When this one is closed, the other, which was there before, has been passed over.
        assert_eq!(idle.read(&mut [0])?, 0);
        go_on.store(true, SeqCst);
        assert_eq!(slow.read(&mut [0])?, 0);
        assert_eq!(shutdown.join().expect("no panic"), 0);
        server.join()
    });
}
