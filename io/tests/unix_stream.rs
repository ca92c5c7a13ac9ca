//! Unix connections do what those of `std` do.
#![cfg(target_os = "linux")]

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    net::Shutdown,
    os::{fd::AsRawFd, linux::net::SocketAddrExt},
    time::{Duration, Instant},
};

use crate::common::{
    everywhere, once_closed, settle,
    unix::{Place, accepted, fill, listen, name},
};
use sward_io::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use sward_runtime::thread;

const SHORT: Duration = Duration::from_millis(5);

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_connection_to_a_path_goes_both_ways() {
    everywhere(|| {
        let place = Place::new();
        let listener = UnixListener::bind(place.path())?;
        thread::scope(|scope| {
            let server = scope.spawn(|| {
                let (mut stream, peer) = listener.accept()?;
                assert!(peer.is_unnamed());
                let mut question = [0; 5];
                stream.read_exact(&mut question)?;
                assert_eq!(&question, b"hello");
                stream.write_all(b"world!")
            });
            let mut client = UnixStream::connect(place.path())?;
            assert_eq!(client.peer_addr()?.as_pathname(), Some(place.path()));
            client.write_all(b"hello")?;
            let mut answer = Vec::new();
            client.read_to_end(&mut answer)?;
            assert_eq!(answer, b"world!");
            server.join().expect("no panic")
        })
    });
}

#[test]
fn a_connection_to_an_abstract_name_has_it() {
    everywhere(|| {
        let addr = name();
        let listener = UnixListener::bind_addr(&addr)?;
        let mut client = UnixStream::connect_addr(&addr)?;
        let (mut server, _) = listener.accept()?;
        for named in [client.peer_addr()?, server.local_addr()?] {
            assert_eq!(named.as_abstract_name(), addr.as_abstract_name());
        }
        assert!(server.peer_addr()?.is_unnamed());
        client.write_all(b"x")?;
        assert_eq!(server.read(&mut [0; 4])?, 1);
        Ok(())
    });
}

#[test]
fn names_that_cannot_be_are_refused() {
    everywhere(|| {
        let long = format!("/tmp/{}", "a".repeat(108));
        for path in [&*long, "\0asdf", "in\0side"] {
            assert_eq!(kind(UnixStream::connect(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(UnixListener::bind(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            assert_eq!(kind(UnixDatagram::bind(path)), Some(ErrorKind::InvalidInput), "{path:?}");
            let sent = UnixDatagram::unbound()?.send_to(b"x", path);
            assert_eq!(kind(sent), Some(ErrorKind::InvalidInput), "{path:?}");
        }
        assert_eq!(kind(UnixStream::connect(Place::new().path())), Some(ErrorKind::NotFound));
        assert_eq!(kind(UnixStream::connect_addr(&name())), Some(ErrorKind::ConnectionRefused));
        assert!(UnixStream::connect("").is_err());
        Ok(())
    });
}

#[test]
fn a_pair_is_connected_and_has_no_names() {
    everywhere(|| {
        let (mut here, mut there) = UnixStream::pair()?;
        for end in [&here, &there] {
            assert!(end.local_addr()?.is_unnamed() && end.peer_addr()?.is_unnamed());
        }
        thread::scope(|scope| {
            let other = scope.spawn(move || {
                let mut question = [0; 5];
                there.read_exact(&mut question)?;
                there.write_all(b"world!")?;
                io::Result::Ok(question)
            });
            settle();
            here.write_all(b"hello")?;
            let mut answer = Vec::new();
            here.read_to_end(&mut answer)?;
            assert_eq!(answer, b"world!");
            assert_eq!(&other.join().expect("no panic")?, b"hello");
            Ok(())
        })
    });
}

#[test]
fn vectored_transfers_fill_one_slice_after_the_other() {
    everywhere(|| {
        let (mut here, mut there) = UnixStream::pair()?;
        let written =
            here.write_vectored(&[IoSlice::new(b"hello"), IoSlice::new(b" "), IoSlice::new(b"world!")])?;
        assert_eq!(written, 12);
        let (mut first, mut second) = ([0; 6], [0; 7]);
        let read = there.read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])?;
        assert_eq!((read, &first, &second), (12, b"hello ", b"world!\0"));
        Ok(())
    });
}

#[test]
fn a_clone_is_a_descriptor_of_its_own_for_the_same_stream() {
    everywhere(|| {
        let (mut stream, mut peer) = UnixStream::pair()?;
        let mut clone = stream.try_clone()?;
        assert_ne!(stream.as_raw_fd(), clone.as_raw_fd());
        peer.write_all(b"helloworld")?;
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer)?;
        assert_eq!(&buffer, b"hello");
        clone.read_exact(&mut buffer)?;
        assert_eq!(&buffer, b"world");

        clone.set_read_timeout(Some(SHORT))?;
        assert_eq!(stream.read_timeout()?, Some(SHORT));
        clone.set_nonblocking(true)?;
        assert_eq!(kind(stream.read(&mut buffer)), Some(ErrorKind::WouldBlock));
        drop(stream);
        clone.write_all(b"a")?;
        assert_eq!(peer.read(&mut buffer)?, 1);
        drop(clone);
        assert_eq!(peer.read(&mut buffer)?, 0);
        Ok(())
    });
}

#[test]
fn timeouts_are_kept_exactly_and_zero_is_refused() {
    everywhere(|| {
        let (stream, _peer) = UnixStream::pair()?;
        assert_eq!((stream.read_timeout()?, stream.write_timeout()?), (None, None));
        let exact = Some(Duration::from_nanos(1_234_567));
        stream.set_read_timeout(exact)?;
        stream.set_write_timeout(Some(Duration::MAX))?;
        assert_eq!(stream.read_timeout()?, exact);
        assert!(stream.write_timeout()?.is_some());
        let zero = Some(Duration::ZERO);
        assert_eq!(kind(stream.set_read_timeout(zero)), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(stream.set_write_timeout(zero)), Some(ErrorKind::InvalidInput));
        stream.set_read_timeout(None)?;
        assert_eq!(stream.read_timeout()?, None);
        Ok(())
    });
}

#[test]
fn a_read_times_out_and_the_next_is_as_good() {
    everywhere(|| {
        let (mut stream, mut peer) = UnixStream::pair()?;
        stream.set_read_timeout(Some(SHORT))?;
        for _ in 0..3 {
            let start = Instant::now();
            let error = stream.read_exact(&mut [0; 8]).expect_err("nothing to read");
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
            assert!(start.elapsed() >= SHORT);
        }
        stream.set_read_timeout(Some(Duration::MAX))?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut buffer = [0; 11];
                stream.read_exact(&mut buffer).map(|()| buffer)
            });
            settle();
            peer.write_all(b"hello world")?;
            assert_eq!(&reader.join().expect("no panic")?, b"hello world");
            Ok(())
        })
    });
}

#[test]
fn a_write_times_out_when_the_peer_does_not_read() {
    everywhere(|| {
        let (mut stream, mut peer) = UnixStream::pair()?;
        fill(&stream)?;
        // Also after the operation has looked in between.
        for timeout in [SHORT / 4, SHORT * 4] {
            stream.set_write_timeout(Some(timeout))?;
            let start = Instant::now();
            assert_eq!(kind(stream.write(&[0; 4096])), Some(ErrorKind::WouldBlock));
            assert!(start.elapsed() >= timeout);
        }
        stream.set_write_timeout(Some(Duration::MAX))?;
        thread::scope(|scope| {
            let writer = scope.spawn(move || stream.write_all(b"at last"));
            settle();
            let mut received = Vec::new();
            peer.read_to_end(&mut received)?;
            assert!(received.ends_with(b"at last"));
            writer.join().expect("no panic")
        })
    });
}

#[test]
fn peek_takes_nothing_away() {
    everywhere(|| {
        let (mut stream, mut peer) = accepted()?;
        thread::scope(|scope| {
            let peeker = scope.spawn(|| stream.peek(&mut [0; 10]));
            settle();
            peer.write_all(&[1, 3, 3, 7])?;
            assert_eq!(peeker.join().expect("no panic")?, 4);
            io::Result::Ok(())
        })?;
        let mut buffer = [0; 10];
        for _ in 0..2 {
            assert_eq!(stream.peek(&mut buffer)?, 4);
        }
        assert_eq!(stream.read(&mut buffer)?, 4);
        stream.set_nonblocking(true)?;
        assert_eq!(kind(stream.peek(&mut buffer)), Some(ErrorKind::WouldBlock));
        Ok(())
    });
}

#[test]
fn the_peer_says_who_it_is() {
    everywhere(|| {
        let (client, server) = accepted()?;
        let cred = server.peer_cred()?;
        // SAFETY: takes nothing.
        let uid = unsafe { libc::getuid() };
        // SAFETY: takes nothing.
        let gid = unsafe { libc::getgid() };
        let pid = i32::try_from(std::process::id()).ok();
        assert_eq!((cred.uid, cred.gid, cred.pid), (uid, gid, pid));
        assert_eq!(client.peer_cred()?, cred);
        let (here, _there) = UnixStream::pair()?;
        assert_eq!(here.peer_cred()?, cred);
        Ok(())
    });
}

#[test]
fn the_end_of_the_stream_comes_again_and_again() {
    everywhere(|| {
        let (client, mut server) = accepted()?;
        thread::scope(|scope| {
            let reader =
                scope.spawn(move || io::Result::Ok([server.read(&mut [0])?, server.read(&mut [0])?]));
            settle();
            drop(client);
            assert_eq!(reader.join().expect("no panic")?, [0, 0]);
            Ok(())
        })
    });
}

#[test]
fn writing_to_a_closed_connection_fails_without_a_signal() {
    everywhere(|| {
        let (mut here, there) = UnixStream::pair()?;
        drop(there);
        once_closed(|| here.write(b"x").is_err());
        assert_eq!(kind(here.write(b"x")), Some(ErrorKind::BrokenPipe));
        assert_eq!(kind(here.write_vectored(&[IoSlice::new(b"x")])), Some(ErrorKind::BrokenPipe));
        Ok(())
    });
}

#[test]
fn closing_with_unread_data_resets_the_peer() {
    everywhere(|| {
        let (mut here, there) = UnixStream::pair()?;
        here.write_all(b"never read")?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let error = here.read(&mut [0]).expect_err("reset");
                // The error is said once.
                io::Result::Ok((error.kind(), here.read(&mut [0])?))
            });
            settle();
            drop(there);
            assert_eq!(reader.join().expect("no panic")?, (ErrorKind::ConnectionReset, 0));
            Ok(())
        })
    });
}

#[test]
fn shutting_a_half_down_leaves_the_other() {
    everywhere(|| {
        let (mut here, mut there) = UnixStream::pair()?;
        here.shutdown(Shutdown::Write)?;
        assert_eq!(kind(here.write(&[1])), Some(ErrorKind::BrokenPipe));
        assert_eq!(there.read(&mut [0])?, 0);
        there.write_all(&[1])?;
        assert_eq!(here.read(&mut [0])?, 1);
        here.shutdown(Shutdown::Read)?;
        assert_eq!(here.read(&mut [0])?, 0);
        assert_eq!(kind(there.write(&[1])), Some(ErrorKind::BrokenPipe));
        Ok(())
    });
}

#[test]
fn a_write_larger_than_the_buffers_waits_for_the_reader() {
    everywhere(|| {
        let (mut here, mut there) = UnixStream::pair()?;
        let message: Vec<u8> = (0..4_u32 << 20).map(|at| (at % 251) as u8).collect();
        thread::scope(|scope| {
            let sent = &message;
            let writer = scope.spawn(move || {
                here.write_all(sent)?;
                here.shutdown(Shutdown::Write)
            });
            let mut received = Vec::new();
            there.read_to_end(&mut received)?;
            assert!(received == message);
            writer.join().expect("no panic")
        })
    });
}

#[test]
fn empty_buffers_transfer_nothing() {
    everywhere(|| {
        let (mut here, mut there) = UnixStream::pair()?;
        assert_eq!(here.write(&[])?, 0);
        here.write_all(b"x")?;
        assert_eq!(there.read(&mut [])?, 0);
        assert_eq!(there.read(&mut [0; 2])?, 1);
        here.flush()
    });
}

#[test]
fn empty_buffers_are_not_waited_for() {
    everywhere(|| {
        let (mut here, there) = UnixStream::pair()?;
        // Both have waited in vain.
        here.set_write_timeout(Some(Duration::from_millis(1)))?;
        while here.write(&[0; 1 << 16]).is_ok() {}
        here.set_write_timeout(None)?;
        assert_eq!((here.write(&[])?, here.write_vectored(&[])?), (0, 0));
        assert_eq!(here.read_vectored(&mut [])?, 0);
        drop(there);
        Ok(())
    });
}

#[test]
fn pending_errors_are_taken_once() {
    everywhere(|| {
        assert!(listen()?.take_error()?.is_none());
        let (mut here, there) = UnixStream::pair()?;
        here.write_all(b"never read")?;
        drop(there);
        let error = here.take_error()?.expect("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(here.take_error()?.is_none());
        Ok(())
    });
}

#[test]
fn debug_output_is_that_of_std() -> io::Result<()> {
    let (stream, _peer) = UnixStream::pair()?;
    let ours = format!("{stream:?}");
    assert!(ours.starts_with("UnixStream {") && ours.ends_with("local: (unnamed), peer: (unnamed) }"));
    assert_eq!(ours, format!("{:?}", std::os::unix::net::UnixStream::from(stream)));
    assert!(format!("{:?}", listen()?).starts_with("UnixListener { fd: "));
    assert!(format!("{:?}", UnixDatagram::unbound()?).starts_with("UnixDatagram { fd: "));
    Ok(())
}

#[test]
fn sockets_may_be_sent_shared_and_used_across_a_caught_panic() {
    fn check<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<UnixStream>();
    check::<UnixListener>();
    check::<UnixDatagram>();
}
