//! Descriptors that are passed over Unix sockets: they arrive, they are not inherited, and none is left open.
#![cfg(target_os = "linux")]

use std::{
    fs::File,
    io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use crate::common::{everywhere, process::alone, settle};
use socket2::SockRef;
use sward_io::os::unix::net::{UnixDatagram, UnixStream};
use sward_runtime::thread;

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// The reading end of a pipe, and so many duplicates of its writing end.
fn pipes(count: usize) -> io::Result<(PipeReader, Vec<PipeWriter>)> {
    let (reader, writer) = pipe()?;
    let mut writers = vec![writer];
    while writers.len() < count {
        writers.push(writers[0].try_clone()?);
    }
    Ok((reader, writers))
}

fn borrowed(writers: &[PipeWriter]) -> Vec<BorrowedFd<'_>> {
    writers.iter().map(AsFd::as_fd).collect()
}

/// Returns once no writing end is open any more, of this process or in a socket. A child that another test starts has a copy of each until
/// its own program begins.
fn until_closed(mut reader: PipeReader) -> io::Result<()> {
    assert_eq!(reader.read(&mut [0])?, 0);
    Ok(())
}

/// Whether child processes inherit a descriptor.
fn is_inherited(fd: &OwnedFd) -> bool {
    // SAFETY: takes no pointer.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
    assert!(flags >= 0);
    flags & libc::FD_CLOEXEC == 0
}

#[test]
fn descriptors_arrive_in_order_and_work() {
    everywhere(|| {
        let (here, there) = UnixStream::pair()?;
        let (mut reader, writers) = pipes(1)?;
        let null = File::open("/dev/null")?;
        assert_eq!(here.send_fds(b"two", &[writers[0].as_fd(), null.as_fd()])?, 3);
        drop(writers);

        let mut buffer = [0; 16];
        let received = there.recv_fds(&mut buffer, 8)?;
        assert_eq!((&buffer[..received.len], received.is_truncated), (&b"two"[..], false));
        for fd in &received.fds {
            assert!(!is_inherited(fd));
        }
        let [writer, null] = <[OwnedFd; 2]>::try_from(received.fds).expect("two");
        File::from(writer).write_all(b"through")?;
        let mut through = String::new();
        reader.read_to_string(&mut through)?;
        assert_eq!(through, "through");
        assert_eq!(File::from(null).read(&mut [0])?, 0);
        Ok(())
    });
}

#[test]
fn a_receive_waits_for_them() {
    everywhere(|| {
        let (here, there) = UnixStream::pair()?;
        let (one, other) = UnixDatagram::pair()?;
        thread::scope(|scope| {
            let stream = scope.spawn(|| there.recv_fds(&mut [0; 4], 1));
            let datagram = scope.spawn(|| other.recv_fds(&mut [0; 4], 1));
            settle();
            here.send_fds(b"x", &[here.as_fd()])?;
            one.send_fds(b"", &[here.as_fd()])?;
            assert_eq!(stream.join().expect("no panic")?.fds.len(), 1);
            let datagram = datagram.join().expect("no panic")?;
            assert_eq!((datagram.len, datagram.fds.len()), (0, 1));

            there.set_read_timeout(Some(Duration::from_millis(1)))?;
            assert_eq!(kind(there.recv_fds(&mut [0; 4], 1)), Some(ErrorKind::WouldBlock));
            other.set_nonblocking(true)?;
            assert_eq!(kind(other.recv_fds(&mut [0; 4], 1)), Some(ErrorKind::WouldBlock));
            Ok(())
        })
    });
}

#[test]
fn those_over_the_limit_are_closed() {
    everywhere(|| {
        for limit in [0, 1, 2, 3, 9] {
            let (here, there) = UnixStream::pair()?;
            let (reader, writers) = pipes(10)?;
            here.send_fds(b"ten", &borrowed(&writers))?;
            drop(writers);
            let received = there.recv_fds(&mut [0; 16], limit)?;
            assert_eq!((received.len, received.fds.len(), received.is_truncated), (3, limit, true));
            drop(received);
            until_closed(reader)?;
        }
        Ok(())
    });
}

#[test]
fn what_nobody_receives_is_closed() {
    everywhere(|| {
        let (mut here, mut there) = UnixStream::pair()?;
        let (one, other) = UnixDatagram::pair()?;
        let (reader, writers) = pipes(2)?;
        here.send_fds(b"plainly read", &borrowed(&writers))?;
        assert_eq!(there.read(&mut [0; 16])?, 12);
        one.send_fds(b"plainly received", &borrowed(&writers))?;
        assert_eq!(other.recv(&mut [0; 16])?, 16);
        drop(writers);
        until_closed(reader)?;

        let (reader, writers) = pipes(2)?;
        here.send_fds(b"never read", &borrowed(&writers))?;
        one.send_fds(b"never received", &borrowed(&writers))?;
        drop(writers);
        here.write_all(b"more")?;
        drop((there, other));
        until_closed(reader)?;
        Ok(())
    });
}

#[test]
fn a_read_that_ends_at_descriptors_does_not_hide_what_comes_after_them() {
    everywhere(|| {
        let (mut here, mut there) = UnixStream::pair()?;
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let (mut buffer, mut received) = ([0; 64], Vec::new());
                while received.len() < 16 {
                    let read = there.read(&mut buffer)?;
                    received.extend_from_slice(&buffer[..read]);
                }
                io::Result::Ok(received)
            });
            settle();
            // Each read is shorter than its buffer, with more behind it, and no event will tell of that.
            here.write_all(b"data")?;
            here.send_fds(b"with", &[here.as_fd()])?;
            here.send_fds(b"many", &[here.as_fd()])?;
            here.write_all(b"ends")?;
            assert_eq!(reader.join().expect("no panic")?, b"datawithmanyends");
            Ok(())
        })
    });
}

#[test]
fn descriptors_of_two_sends_come_apart() {
    everywhere(|| {
        let (mut here, there) = UnixStream::pair()?;
        here.send_fds(b"one", &[here.as_fd()])?;
        here.send_fds(b"three", &[here.as_fd(), here.as_fd(), here.as_fd()])?;
        here.write_all(b"none")?;
        let mut seen = Vec::new();
        let mut bytes = 0;
        while bytes < 12 {
            let received = there.recv_fds(&mut [0; 64], 64)?;
            assert!(!received.is_truncated);
            bytes += received.len;
            seen.push(received.fds.len());
        }
        assert_eq!(seen.iter().sum::<usize>(), 4);
        assert_eq!(seen[..2], [1, 3]);
        Ok(())
    });
}

#[test]
fn as_many_pass_as_the_system_allows() {
    everywhere(|| {
        let (here, there) = UnixDatagram::pair()?;
        let (reader, writers) = pipes(1)?;
        let many = vec![writers[0].as_fd(); 253];
        here.send_fds(b"many", &many)?;
        let too_many = vec![writers[0].as_fd(); 254];
        assert_eq!(kind(here.send_fds(b"more", &too_many)), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(here.send_fds(b"more", &too_many.repeat(100))), Some(ErrorKind::InvalidInput));
        let received = there.recv_fds(&mut [0; 16], usize::MAX)?;
        assert_eq!((received.fds.len(), received.is_truncated), (253, false));
        drop((received, many, too_many));
        drop(writers);
        until_closed(reader)?;
        Ok(())
    });
}

#[test]
fn without_data_a_stream_passes_nothing_and_says_so() {
    everywhere(|| {
        let (mut here, there) = UnixStream::pair()?;
        assert_eq!(kind(here.send_fds(b"", &[here.as_fd()])), Some(ErrorKind::InvalidInput));
        assert_eq!(here.send_fds(b"", &[])?, 0);
        assert_eq!(here.send_fds(b"data", &[])?, 4);
        here.write_all(b"!")?;
        let received = there.recv_fds(&mut [0; 16], 4)?;
        assert_eq!((received.len, received.fds.len(), received.is_truncated), (5, 0, false));
        Ok(())
    });
}

#[test]
fn the_end_of_the_stream_brings_nothing() {
    everywhere(|| {
        let (here, there) = UnixStream::pair()?;
        drop(here);
        let received = there.recv_fds(&mut [0; 16], 4)?;
        assert_eq!((received.len, received.fds.len(), received.is_truncated), (0, 0, false));
        assert_eq!(kind(there.send_fds(b"x", &[there.as_fd()])), Some(ErrorKind::BrokenPipe));
        Ok(())
    });
}

/// Whether a descriptor of a process is open here. No other test has one.
fn has_pidfd() -> io::Result<bool> {
    let mut open = std::fs::read_dir("/proc/self/fd")?.filter_map(Result::ok);
    Ok(open
        .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link.to_string_lossy().contains("pidfd"))))
}

#[test]
fn other_messages_do_not_take_the_room_of_descriptors_and_leave_none() {
    const SO_PASSPIDFD: libc::c_int = 76;
    let test = || {
        let (here, there) = UnixDatagram::pair()?;
        SockRef::from(&there).set_passcred(true)?;
        let on: libc::c_int = 1;
        // SAFETY: `on` is an integer, and its length is told. Kernels that do not know the option refuse it.
        unsafe {
            let fd = there.as_raw_fd();
            let (value, len) = ((&raw const on).cast(), size_of_val(&on) as libc::socklen_t);
            libc::setsockopt(fd, libc::SOL_SOCKET, SO_PASSPIDFD, value, len);
        }
        for count in [0, 1, 4, 253] {
            let (reader, writers) = pipes(1)?;
            here.send_fds(b"x", &vec![writers[0].as_fd(); count])?;
            drop(writers);
            let received = there.recv_fds(&mut [0; 4], 253)?;
            assert_eq!((received.len, received.fds.len()), (1, count));
            drop(received);
            until_closed(reader)?;
            assert!(!has_pidfd()?);
        }
        Ok(())
    };
    // Other tests have such descriptors of their own.
    alone("other_messages_do_not_take_the_room_of_descriptors_and_leave_none", || everywhere(test));
}

#[test]
fn a_socket_that_is_passed_goes_on_at_the_other_end() {
    everywhere(|| {
        let (here, there) = UnixStream::pair()?;
        let (passed, mut peer) = UnixStream::pair()?;
        here.send_fds(b".", &[passed.as_fd()])?;
        drop(passed);
        let mut received = there.recv_fds(&mut [0], 1)?;
        let mut passed = UnixStream::from(received.fds.remove(0));
        thread::scope(|scope| {
            let reader = scope.spawn(move || passed.read(&mut [0; 8]));
            settle();
            peer.write_all(b"hello")?;
            assert_eq!(reader.join().expect("no panic")?, 5);
            Ok(())
        })
    });
}
