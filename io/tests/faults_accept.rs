//! Accepting and connecting when the system says no, by the seam for system calls as in `faults.rs`.

use std::{
    any::Any,
    io::{self, ErrorKind, Read, Write},
    iter::repeat_n,
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::common::{
    everywhere, listen,
    process::{alone, descriptors, yield_until},
    runtimes, settle, unix,
};
use sward_io::{
    faults::{Call, Fault::Fail, Plan},
    net::{ServeError, ServeOptions, TcpStream, serve},
    os::unix::net::UnixStream,
};
use sward_runtime::thread;

/// A listener of any kind, to accept from and to connect to.
struct Place<'a> {
    fd: BorrowedFd<'a>,
    accept: &'a (dyn Fn() -> io::Result<()> + Sync),
    connect: &'a dyn Fn() -> io::Result<Box<dyn Any>>,
}

fn each_listener(test: impl Fn(Place<'_>) -> io::Result<()> + Sync) {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        test(Place {
            fd: listener.as_fd(),
            accept: &|| listener.accept().map(drop),
            connect: &|| Ok(Box::new(TcpStream::connect(addr)?)),
        })?;
        let listener = unix::listen()?;
        let addr = listener.local_addr()?;
        test(Place {
            fd: listener.as_fd(),
            accept: &|| listener.accept().map(drop),
            connect: &|| Ok(Box::new(UnixStream::connect_addr(&addr)?)),
        })
    });
}

#[test]
fn a_shortage_is_told_with_pauses_and_the_connection_is_kept() {
    each_listener(|Place { fd, accept, connect }| {
        let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        let plan = Plan::new(fd, Call::Accept, shortages.map(Fail));
        let client = connect()?;
        let starts = Instant::now();
        for shortage in shortages {
            assert_eq!(accept().expect_err("a shortage").raw_os_error(), Some(shortage));
        }
        assert!(starts.elapsed() >= Duration::from_millis(30), "each after the first paused");
        accept()?;
        assert_eq!((plan.calls(), plan.injected()), (5, 4));
        drop(client);
        Ok(())
    });
}

#[test]
fn the_failure_of_a_connection_is_told_as_in_std_and_the_next_is_accepted() {
    each_listener(|Place { fd, accept, connect }| {
        let failures = [libc::ECONNABORTED, libc::EPROTO, libc::ENETDOWN, libc::EHOSTUNREACH, libc::EPERM];
        let plan = Plan::new(fd, Call::Accept, failures.map(Fail));
        let client = connect()?;
        for failure in failures {
            assert_eq!(accept().expect_err("a failure").raw_os_error(), Some(failure));
        }
        accept()?;
        assert_eq!(plan.calls(), 6);
        drop(client);
        Ok(())
    });
}

#[test]
fn interruptions_and_false_alarms_are_seen_by_nobody() {
    each_listener(|Place { fd, accept, connect }| {
        let faults = repeat_n([Fail(libc::EINTR), Fail(libc::EAGAIN)], 10);
        let plan = Plan::new(fd, Call::Accept, faults.flatten());
        thread::scope(|scope| {
            let accepting = scope.spawn(accept);
            let mut clients = Vec::new();
            while plan.injected() < 20 {
                let calls = plan.calls();
                clients.push(connect()?);
                yield_until(|| plan.calls() > calls);
            }
            clients.push(connect()?);
            accepting.join().expect("no panic")?;
            // For each event one that is interrupted and one that finds nothing.
            assert!(plan.calls() <= 2 * clients.len() + 4, "{} calls", plan.calls());
            // Nobody was lost.
            for _ in 1..clients.len() {
                accept()?;
            }
            Ok(())
        })
    });
}

#[test]
fn a_server_passes_over_whatever_befalls_its_accepts() {
    everywhere(|| {
        let told = Arc::new(AtomicUsize::new(0));
        let errors = Arc::clone(&told);
        let options = ServeOptions::new().on_error(move |error| {
            assert!(matches!(error, ServeError::Accept(_)), "{error}");
            errors.fetch_add(1, SeqCst);
        });
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let faults = [
            libc::ECONNABORTED,
            libc::EINTR,
            libc::EMFILE,
            libc::ENFILE,
            libc::EPROTO,
            libc::ENOBUFS,
            libc::ENOMEM,
        ];
        let plan = Plan::new(&listener, Call::Accept, faults.map(Fail));
        let server = serve(listener, options, |mut stream, _| {
            let mut byte = [0];
            while stream.read(&mut byte)? > 0 {
                stream.write_all(&byte)?;
            }
            Ok(())
        })?;
        for round in 0..20 {
            let mut client = TcpStream::connect(addr)?;
            let mut answer = [0];
            client.write_all(&[round])?;
            client.read_exact(&mut answer)?;
            assert_eq!(answer, [round]);
        }
        assert_eq!(plan.injected(), faults.len());
        drop(plan);
        // With those who accept, all has been told.
        assert_eq!(server.shutdown(Duration::from_secs(3600)), 0);
        // Of the shortages, one after the other, the first; an interruption is no error.
        assert!((3..=6).contains(&told.load(SeqCst)), "{told:?}");
        Ok(())
    });
}

#[test]
fn a_connect_that_fails_leaves_no_descriptor_and_tries_the_next_address() {
    alone("a_connect_that_fails_leaves_no_descriptor_and_tries_the_next_address", || {
        for runtime in runtimes() {
            runtime.run(|| connect().expect("the test"));
        }
    });
}

fn connect() -> io::Result<()> {
    let listener = listen()?;
    let addr = listener.local_addr()?;
    drop((TcpStream::connect(addr)?, listener.accept()?));
    let before = descriptors();
    for (error, kind) in [
        (libc::ENETUNREACH, ErrorKind::NetworkUnreachable),
        (libc::EADDRNOTAVAIL, ErrorKind::AddrNotAvailable),
        (libc::ENOMEM, ErrorKind::OutOfMemory),
    ] {
        let plan = Plan::of_any(Call::Connect, [Fail(error), Fail(error)]);
        assert_eq!(TcpStream::connect(addr).expect_err("no connection").kind(), kind);
        assert_eq!(descriptors(), before);
        let stream = TcpStream::connect(&[addr, addr][..])?;
        assert_eq!((stream.peer_addr()?, plan.calls()), (addr, 3));
        drop((stream, listener.accept()?));
    }

    // A queue that is full, again and again, and interruptions.
    let listener = unix::listen()?;
    let plan = Plan::of_any(Call::Connect, repeat_n([Fail(libc::EAGAIN), Fail(libc::EINTR)], 5).flatten());
    let mut client = UnixStream::connect_addr(&listener.local_addr()?)?;
    assert_eq!(plan.calls(), 11);
    let (mut server, _) = listener.accept()?;
    client.write_all(b"x")?;
    server.read_exact(&mut [0])
}

#[test]
fn one_who_waits_to_accept_takes_over_from_one_that_failed() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let plan = Plan::new(&listener, Call::Accept, [Fail(libc::EAGAIN), Fail(libc::ECONNABORTED)]);
        thread::scope(|scope| {
            let accepting = [(); 2].map(|()| scope.spawn(|| listener.accept()));
            // One has found nothing, so the other need not look.
            yield_until(|| plan.injected() > 0);
            settle();
            let client = TcpStream::connect(addr)?;
            client.shutdown(Shutdown::Write)?;
            // One connection, one event: who is woken fails, and the other gets the connection.
            let results = accepting.map(|accepting| accepting.join().expect("no panic"));
            let failures = results.iter().filter(|result| result.is_err()).count();
            assert_eq!(failures, 1, "{results:?}");
            Ok(())
        })
    });
}
