//! What a busy system and odd peers do, for real: signals that interrupt whatever waits, peers that send a byte at a time or stop in the
//! middle, as many descriptors as there are, and foreign code that meddles with them. What has to be feigned is in `faults.rs`.

use std::{
    fs,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    mem::ManuallyDrop,
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use crate::common::{
    everywhere,
    fs::{fresh_dir, pattern},
    listen, pair,
    process::{alone, limit_descriptors, until_waiting},
    runtimes, stress,
};
use rustix::process::{Resource, getrlimit};
use sward_io::{
    fs::File,
    io::{copy, pipe},
    net::{TcpStream, UdpSocket},
    os::unix::net::{UnixDatagram, UnixStream},
    process::Command,
};
use sward_runtime::thread;

/// How often the handler has run.
static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Relaxed);
}

/// Has `SIGUSR1` interrupt what it hits, as handlers do that do not ask for calls to be restarted.
fn interrupt_calls() {
    // SAFETY: all of `sigaction` is integers and a pointer, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
    // The stacks of green threads are small.
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the handler is a function that does nothing but count.
    let result = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// Sends the signal to every thread of this process but its own, again and again.
fn rain(is_over: &AtomicBool) {
    let me = rustix::thread::gettid().as_raw_nonzero().get();
    let process = rustix::process::getpid().as_raw_nonzero().get();
    while !is_over.load(Relaxed) {
        for entry in fs::read_dir("/proc/self/task").expect("/proc is mounted").filter_map(Result::ok) {
            let thread: i32 = entry.file_name().to_string_lossy().parse().expect("a number");
            if thread != me {
                // SAFETY: takes no pointer. A thread that has ended is an error, which is none here.
                unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
            }
        }
        std::thread::yield_now();
    }
}

#[test]
fn signals_interrupt_nothing_that_a_program_sees() {
    alone("signals_interrupt_nothing_that_a_program_sees", || {
        interrupt_calls();
        for runtime in runtimes() {
            let is_over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let before = HANDLED.load(Relaxed);
                scope.spawn(|| rain(&is_over));
                while HANDLED.load(Relaxed) == before {
                    std::thread::yield_now();
                }
                let result = runtime.run(|| (0..stress(1)).try_for_each(|_| work()));
                // Outside of the runtime calls block, and are interrupted there.
                let outside = work();
                is_over.store(true, Relaxed);
                result.expect("the work inside");
                outside.expect("the work outside");
            });
        }
    });
}

/// Something of everything that makes system calls, with no error of which a call is told that may be repeated.
fn work() -> io::Result<()> {
    let sent = pattern(300_000);
    let dir = fresh_dir();
    let listener = listen()?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    thread::scope(|scope| {
        let (server, _) = listener.accept()?;
        let (unix, unix_peer) = UnixStream::pair()?;
        let (mut reader, mut writer) = pipe()?;
        let sending =
            scope.spawn(|| (&client).write_all(&sent).and_then(|()| client.shutdown(Shutdown::Write)));
        let relays = [
            scope.spawn(move || copy(&mut &server, &mut &unix).and_then(|_| unix.shutdown(Shutdown::Write))),
            scope.spawn(move || copy(&mut &unix_peer, &mut writer).map(drop)),
        ];
        let mut received = Vec::new();
        let mut buffer = vec![0; 1 << 14];
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                read => received.extend_from_slice(&buffer[..read]),
            }
        }
        assert!(received == sent);
        sending.join().expect("no panic")?;
        relays.into_iter().try_for_each(|relay| relay.join().expect("no panic"))
    })?;

    let path = dir.path().join("file");
    let mut file = File::create(&path)?;
    assert_eq!(file.write(&sent)?, sent.len());
    file.sync_all()?;
    assert!(sward_io::fs::read(&path)? == sent);

    let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    one.set_read_timeout(Some(Duration::from_millis(5)))?;
    assert_eq!(one.recv(&mut [0]).expect_err("nothing is sent").kind(), ErrorKind::WouldBlock);
    one.set_read_timeout(None)?;
    other.send_to(b"x", one.local_addr()?)?;
    assert_eq!(one.recv(&mut [0; 4])?, 1);

    let output = Command::new("echo").arg("done").output()?;
    assert_eq!(output.stdout, b"done\n");
    thread::sleep(Duration::from_millis(1));
    Ok(())
}

#[test]
fn a_peer_that_sends_a_byte_at_a_time_is_understood() {
    everywhere(|| {
        let (client, server) = pair()?;
        client.set_nodelay(true)?;
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                for byte in b"a line\nand a block of bytes, and the rest" {
                    (&client).write_all(&[*byte])?;
                    thread::yield_now();
                }
                client.shutdown(Shutdown::Write)
            });
            let mut reader = BufReader::with_capacity(8, &server);
            let (mut line, mut block, mut rest) = (String::new(), [0; 22], Vec::new());
            reader.read_line(&mut line)?;
            reader.read_exact(&mut block)?;
            reader.read_to_end(&mut rest)?;
            assert_eq!((&*line, &block), ("a line\n", b"and a block of bytes, "));
            assert_eq!(rest, b"and the rest");
            sending.join().expect("no panic")
        })
    });
}

#[test]
fn a_reset_in_the_middle_of_a_long_write_ends_it() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        thread::scope(|scope| {
            // More than the buffers take, so it waits.
            let writing = scope.spawn(move || client.write_all(&vec![1; 64 << 20]));
            server.read_exact(&mut vec![0; 100_000])?;
            // There is data that was not read, so this resets the connection.
            drop(server);
            let error = writing.join().expect("no panic").expect_err("nobody reads");
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
            Ok(())
        })
    });
}

#[test]
fn a_peer_that_has_said_all_it_has_to_say_is_still_answered() {
    everywhere(|| {
        let (client, server) = pair()?;
        let answer = pattern(3 << 20);
        thread::scope(|scope| {
            let serving = scope.spawn(|| {
                let mut question = Vec::new();
                (&server).read_to_end(&mut question)?;
                (&server).write_all(&answer)?;
                drop(question);
                server.shutdown(Shutdown::Write)
            });
            (&client).write_all(b"question")?;
            client.shutdown(Shutdown::Write)?;
            let mut received = Vec::new();
            (&client).read_to_end(&mut received)?;
            assert!(received == answer);
            serving.join().expect("no panic")
        })
    });
}

#[test]
fn as_many_descriptors_as_there_may_be_are_waited_on_at_once() {
    alone("as_many_descriptors_as_there_may_be_are_waited_on_at_once", || {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(20_000).min(20_000);
        let _limit = limit_descriptors(most);
        for runtime in runtimes() {
            runtime.run(|| wait_on_all().expect("the test"));
        }
    });
}

/// Opens what can be opened, has a green thread wait on each, and then something happens to each.
fn wait_on_all() -> io::Result<()> {
    // The runtime needs descriptors of its own, to begin with.
    let (mut first, _peer) = UnixStream::pair()?;
    first.set_read_timeout(Some(Duration::from_micros(1)))?;
    assert_eq!(first.read(&mut [0]).expect_err("nothing is sent").kind(), ErrorKind::WouldBlock);

    let (near, far): (Vec<_>, Vec<_>) =
        std::iter::repeat_with(UnixStream::pair).map_while(Result::ok).unzip();
    assert!(near.len() > 100, "{}", near.len());
    thread::scope(|scope| {
        let waiting: Vec<_> = near
            .iter()
            .map(|mut stream| {
                scope.spawn(move || {
                    let mut bytes = [0; 4];
                    stream.read_exact(&mut bytes).map(|()| u32::from_ne_bytes(bytes))
                })
            })
            .collect();
        // There is none left for anything else, and that is an error like any other.
        let error = UnixStream::pair().expect_err("no descriptors");
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        for (number, mut stream) in far.iter().enumerate().rev() {
            stream.write_all(&u32::try_from(number).expect("not so many").to_ne_bytes())?;
        }
        for (number, waiting) in waiting.into_iter().enumerate() {
            assert_eq!(waiting.join().expect("no panic")? as usize, number);
        }
        Ok(())
    })
}

#[test]
fn a_descriptor_that_foreign_code_replaces_harms_nobody_else() {
    alone("a_descriptor_that_foreign_code_replaces_harms_nobody_else", || {
        for runtime in runtimes() {
            runtime.run(|| replace().expect("the test"));
        }
    });
}

/// Something else is put in the place of a socket on which somebody waits.
fn replace() -> io::Result<()> {
    let (ours, mut peer) = pair()?;
    let (mut other, mut other_peer) = pair()?;
    let file = fs::File::open("/dev/null")?;
    let fd = ours.as_raw_fd();
    let ours = std::sync::Arc::new(ours);
    let waiting = thread::spawn({
        let ours = std::sync::Arc::clone(&ours);
        move || (&*ours).read(&mut [0])
    });
    until_waiting(&waiting, "Readable");
    // SAFETY: the number is open, and is left so; who owns it will close it.
    let mut meddled = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(fd) });
    rustix::io::dup2(file.as_fd(), &mut meddled)?;

    // The socket is closed, as its peer sees, and nobody tells who waits. But it can be told to stop.
    assert_eq!(peer.read(&mut [0])?, 0);
    waiting.cancel();
    assert!(waiting.join().is_err(), "cancelled");
    assert_eq!((&*ours).write(b"x").expect_err("no socket").raw_os_error(), Some(libc::ENOTSOCK));
    drop(ours);

    // The number, and the place in the reactor, go to the next, which gets its own events.
    let (mut next, mut next_peer) = pair()?;
    let reading = thread::spawn(move || next.read(&mut [0; 8]));
    until_waiting(&reading, "Readable");
    next_peer.write_all(b"next")?;
    assert_eq!(reading.join().expect("no panic")?, 4);
    other_peer.write_all(b"x")?;
    other.read_exact(&mut [0])
}

#[test]
fn a_timeout_that_is_up_at_once_leaves_nothing_that_is_there() {
    everywhere(|| {
        let (mut stream, mut peer) = UnixStream::pair()?;
        let (receiver, sender) = UnixDatagram::pair()?;
        let instant = Some(Duration::from_nanos(1));
        stream.set_read_timeout(instant)?;
        receiver.set_read_timeout(instant)?;
        for _ in 0..stress(100) {
            // After this both are known to be empty, until the reactor says otherwise, which it has no time to do.
            assert_eq!(stream.read(&mut [0]).expect_err("empty").kind(), ErrorKind::WouldBlock);
            assert_eq!(receiver.recv(&mut [0]).expect_err("empty").kind(), ErrorKind::WouldBlock);
            peer.write_all(b"x")?;
            sender.send(b"x")?;
            assert_eq!(stream.read(&mut [0])?, 1);
            assert_eq!(receiver.recv(&mut [0])?, 1);
        }
        Ok(())
    });
}
