//! Transfers whose system calls are interrupted, fail, find nothing, or move a byte at a time. The faults are injected at the seam for
//! system calls (`src/sys/seam.rs`), which the feature `fault-injection` opens.

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Seek, Write},
    iter::{self, repeat_n},
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
};

use crate::common::{
    everywhere,
    fs::{everywhere_in, fifo, fresh_dir, pattern, write_cold},
    pair,
    process::yield_until,
};
use sward_io::{
    faults::{
        Call, Fault,
        Fault::{Cut, Fail, Nothing},
        Plan,
    },
    fs::{File, OpenOptions},
    io::{copy, pipe},
    net::UdpSocket,
    os::unix::net::{UnixDatagram, UnixStream},
};
use sward_runtime::thread;

trait Reader: Read + AsFd + Send {}
impl<T: Read + AsFd + Send> Reader for T {}

trait Writer: Write + AsFd + Send {}
impl<T: Write + AsFd + Send> Writer for T {}

/// A stream: what is written to the one is read from the other.
type Ends = (Box<dyn Reader>, Box<dyn Writer>);

/// Streams whose readers are told of what comes.
fn watched(dir: &Path) -> io::Result<Vec<Ends>> {
    let (tcp, tcp_peer) = pair()?;
    let (unix, unix_peer) = UnixStream::pair()?;
    let (reader, writer) = pipe()?;
    let path = dir.join("ours");
    fifo(&path)?;
    let open = || OpenOptions::new().read(true).write(true).open(&path);
    Ok(vec![
        (Box::new(tcp), Box::new(tcp_peer)),
        (Box::new(unix), Box::new(unix_peer)),
        (Box::new(reader), Box::new(writer)),
        (Box::new(open()?), Box::new(open()?)),
    ])
}

/// Streams of every kind: also files that come from elsewhere, which are tried or left to the pool.
fn streams(dir: &Path) -> io::Result<Vec<Ends>> {
    let (reader, writer) = io::pipe()?;
    let path = dir.join("foreign");
    fifo(&path)?;
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&path);
    let file = |fd: OwnedFd| File::from(fd);
    let mut streams = watched(dir)?;
    streams.push((Box::new(file(reader.into())), Box::new(file(writer.into()))));
    streams.push((Box::new(File::from(open()?)), Box::new(File::from(open()?))));
    Ok(streams)
}

fn each(
    kind: fn(&Path) -> io::Result<Vec<Ends>>,
    test: impl Fn(Box<dyn Reader>, Box<dyn Writer>) -> io::Result<()> + Sync,
) {
    everywhere(|| {
        let dir = fresh_dir();
        kind(dir.path())?.into_iter().try_for_each(|(reader, writer)| test(reader, writer))
    });
}

/// All that may happen to a transfer that is made in the end.
fn hindrances() -> impl Iterator<Item = Fault> + Send + 'static {
    [Fail(libc::EINTR), Cut(1), Cut(1000), Fail(libc::EINTR), Fail(libc::EINTR), Cut(7), Nothing]
        .into_iter()
        .cycle()
}

#[test]
fn interruptions_are_seen_by_nobody() {
    each(streams, |mut reader, mut writer| {
        let interruptions = || repeat_n(Fail(libc::EINTR), 20);
        let reads = Plan::new(&reader, Call::Read, interruptions());
        let writes = Plan::new(&writer, Call::Write, interruptions());
        thread::scope(|scope| {
            // Each a single call, since those of `std` that make several hide interruptions.
            let reading = scope.spawn(|| reader.read(&mut [0; 8]));
            assert_eq!(writer.write(b"whole")?, 5);
            assert_eq!(reading.join().expect("no panic")?, 5);
            io::Result::Ok(())
        })?;
        assert_eq!((reads.injected(), writes.injected()), (20, 20));
        Ok(())
    });
}

/// Writes all, half of it by several buffers in one call.
fn write_both_ways(writer: &mut dyn Writer, sent: &[u8]) -> io::Result<()> {
    let (plain, mut rest) = sent.split_at(sent.len() / 2);
    writer.write_all(plain)?;
    while !rest.is_empty() {
        let (one, other) = rest.split_at(rest.len() / 2);
        let written = writer.write_vectored(&[IoSlice::new(&[]), IoSlice::new(one), IoSlice::new(other)])?;
        rest = &rest[written..];
    }
    Ok(())
}

/// Reads so much, half of it into several buffers in one call.
fn read_both_ways(reader: &mut dyn Reader, len: usize) -> io::Result<Vec<u8>> {
    let mut received = vec![0; len];
    let (plain, mut rest) = received.split_at_mut(len / 2);
    reader.read_exact(plain)?;
    while !rest.is_empty() {
        let (one, other) = rest.split_at_mut(rest.len() / 2);
        let read = reader.read_vectored(&mut [
            IoSliceMut::new(&mut []),
            IoSliceMut::new(one),
            IoSliceMut::new(other),
        ])?;
        assert!(read > 0, "the writer is still there");
        rest = &mut rest[read..];
    }
    Ok(received)
}

#[test]
fn transfers_of_a_byte_each_add_up() {
    each(streams, |mut reader, mut writer| {
        let sent = pattern(500);
        let reads = Plan::new(&reader, Call::Read, iter::repeat(Cut(1)));
        let writes = Plan::new(&writer, Call::Write, iter::repeat(Cut(1)));
        thread::scope(|scope| {
            let writing = scope.spawn(|| write_both_ways(&mut writer, &sent));
            assert!(read_both_ways(&mut reader, sent.len())? == sent);
            writing.join().expect("no panic")
        })?;
        assert!(reads.calls() >= 500 && writes.calls() >= 500, "a call for each byte");
        Ok(())
    });
}

#[test]
fn a_reader_that_is_woken_for_nothing_waits_on_and_does_not_spin() {
    each(watched, |mut reader, mut writer| {
        let plan = Plan::new(&reader, Call::Read, repeat_n(Fail(libc::EAGAIN), 10));
        thread::scope(|scope| {
            let reading = scope.spawn(|| reader.read(&mut [0; 64]));
            let mut sent = 0;
            while plan.injected() < 10 {
                // Each event is worth an attempt, and there is none without.
                let calls = plan.calls();
                writer.write_all(b"?")?;
                sent += 1;
                yield_until(|| plan.calls() > calls);
            }
            writer.write_all(b"!")?;
            // The last alarm may have been one too many.
            assert!([sent, sent + 1].contains(&reading.join().expect("no panic")?));
            // One before it waits at all, and one for what is there when it is registered.
            assert!(plan.calls() <= sent + 3, "{} calls for {sent} events", plan.calls());
            Ok(())
        })
    });
}

#[test]
fn a_writer_that_is_woken_for_nothing_waits_on_and_does_not_spin() {
    everywhere(|| {
        let (mut near, mut far) = pair()?;
        let plan = Plan::new(&near, Call::Write, repeat_n(Fail(libc::EAGAIN), 10));
        thread::scope(|scope| {
            let writing = scope.spawn(move || near.write(b"at last").map(|written| (written, near)));
            let mut events = 0;
            while plan.injected() < 10 {
                // Whatever happens to a socket, the kernel also says again that there is room.
                let calls = plan.calls();
                far.write_all(b"?")?;
                events += 1;
                yield_until(|| plan.calls() > calls);
            }
            far.write_all(b"!")?;
            let (written, near) = writing.join().expect("no panic")?;
            assert_eq!(written, 7);
            assert!(plan.calls() <= events + 3, "{} calls for {events} events", plan.calls());
            far.read_exact(&mut [0; 7])?;
            // The descriptor is this plan's until here.
            drop((plan, near));
            Ok(())
        })
    });
}

#[test]
fn a_storm_of_false_alarms_leaves_no_waiter_behind() {
    everywhere(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        sender.connect(socket.local_addr()?)?;
        let plan = Plan::new(&socket, Call::Read, repeat_n(Fail(libc::EAGAIN), 30));
        thread::scope(|scope| {
            let receiving: Vec<_> = (0..4).map(|_| scope.spawn(|| socket.recv(&mut [0; 8]))).collect();
            while plan.injected() < 30 {
                let calls = plan.calls();
                sender.send(b"?")?;
                yield_until(|| plan.calls() > calls);
            }
            // One event for four that wait, with something for each.
            sender.send(b"!")?;
            for receiving in receiving {
                assert_eq!(receiving.join().expect("no panic")?, 1);
            }
            Ok(())
        })
    });
}

#[test]
fn a_shortage_of_memory_is_told_and_nothing_is_lost() {
    everywhere(|| {
        for error in [libc::ENOBUFS, libc::ENOMEM] {
            let told = |plan: Plan, send: &mut dyn FnMut() -> io::Result<usize>| -> io::Result<()> {
                assert_eq!(send().expect_err("short of memory").raw_os_error(), Some(error));
                assert_eq!(send()?, 5);
                assert_eq!((plan.calls(), plan.injected()), (2, 1));
                Ok(())
            };
            let fault = || [Fail(error)];
            let mut received = [0; 8];

            let (mut near, mut far) = pair()?;
            told(Plan::new(&near, Call::Write, fault()), &mut || near.write(b"whole"))?;
            assert_eq!(far.read(&mut received)?, 5);

            let (mut near, mut far) = UnixStream::pair()?;
            told(Plan::new(&near, Call::Write, fault()), &mut || near.write(b"whole"))?;
            assert_eq!(far.read(&mut received)?, 5);

            let (near, far) = UnixDatagram::pair()?;
            told(Plan::new(&near, Call::Write, fault()), &mut || near.send(b"whole"))?;
            assert_eq!(far.recv(&mut received)?, 5);

            let (near, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
            let to = far.local_addr()?;
            told(Plan::new(&near, Call::Write, fault()), &mut || near.send_to(b"whole", to))?;
            assert_eq!(far.recv_from(&mut received)?, (5, near.local_addr()?));
            near.connect(to)?;
            told(Plan::new(&near, Call::Write, fault()), &mut || near.send(b"whole"))?;
            assert_eq!(far.recv(&mut received)?, 5);
        }
        Ok(())
    });
}

#[test]
fn a_failure_in_the_middle_ends_the_transfer_and_keeps_what_was_moved() {
    everywhere(|| {
        let (mut near, mut far) = pair()?;
        let plan = Plan::new(&near, Call::Write, [Cut(3), Cut(2), Fail(libc::ECONNRESET)]);
        let error = near.write_all(b"in the middle").expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        drop(plan);
        near.shutdown(Shutdown::Write)?;

        let plan = Plan::new(&far, Call::Read, [Cut(4), Fail(libc::ECONNRESET)]);
        let mut received = Vec::new();
        let error = far.read_to_end(&mut received).expect_err("reset");
        assert_eq!((error.kind(), &*received), (ErrorKind::ConnectionReset, &b"in t"[..]));
        far.read_to_end(&mut received)?;
        assert_eq!(received, b"in th");
        drop(plan);
        Ok(())
    });
}

#[test]
fn a_reactor_that_takes_no_more_fails_the_wait_and_the_next_one_succeeds() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        let plan = Plan::new(&server, Call::Register, [Fail(libc::ENOSPC), Fail(libc::ENOMEM)]);
        for error in [libc::ENOSPC, libc::ENOMEM] {
            assert_eq!(server.read(&mut [0]).expect_err("no room").raw_os_error(), Some(error));
        }
        thread::scope(|scope| {
            let reading = scope.spawn(|| server.read(&mut [0]));
            yield_until(|| plan.calls() == 3);
            client.write_all(b"x")?;
            assert_eq!(reading.join().expect("no panic")?, 1);
            Ok(())
        })
    });
}

/// Copies from one stream to another, with faults at both ends, and sees all of it arrive.
fn copied<A: Writer, B: Reader, C: Writer, D: Reader>(
    (mut source, mut from): (A, B),
    (mut to, mut sink): (C, D),
    [reads, writes]: [Box<dyn Iterator<Item = Fault> + Send>; 2],
) -> io::Result<()> {
    let sent = pattern(200_000);
    let reads = Plan::new(&from, Call::Read, reads);
    let writes = Plan::new(&to, Call::Write, writes);
    let mut received = vec![0; sent.len()];
    thread::scope(|scope| {
        let writing = scope.spawn(|| source.write_all(&sent).map(|()| drop(source)));
        let copying = scope.spawn(|| copy(&mut from, &mut to));
        sink.read_exact(&mut received)?;
        writing.join().expect("no panic")?;
        assert_eq!(copying.join().expect("no panic")?, sent.len() as u64);
        io::Result::Ok(())
    })?;
    assert!(received == sent);
    assert!(reads.injected() > 0 && writes.injected() > 0, "the copy went past the seam");
    Ok(())
}

#[test]
fn a_copy_gets_through_whatever_hinders_it() {
    everywhere(|| {
        let faults = || -> [Box<dyn Iterator<Item = Fault> + Send>; 2] {
            [Box::new(hindrances()), Box::new(hindrances().skip(1))]
        };
        let piped = || pipe().map(|(reader, writer)| (writer, reader));
        copied(pair()?, pair()?, faults())?;
        copied(piped()?, UnixStream::pair()?, faults())?;
        copied(UnixStream::pair()?, piped()?, faults())
    });
}

#[test]
fn a_copy_that_is_refused_in_the_middle_loses_nothing() {
    everywhere(|| {
        for before in 0..4 {
            let refusal = |first| -> Box<dyn Iterator<Item = Fault> + Send> {
                Box::new(repeat_n(Cut(first), before).chain([Fail(libc::EINVAL)]))
            };
            // The writer refuses what is in the pipe already, and the reader before anything is taken.
            copied(pair()?, pair()?, [Box::new(hindrances()), refusal(10)])?;
            copied(pair()?, pair()?, [refusal(1000), Box::new(hindrances())])?;
        }
        Ok(())
    });
}

#[test]
fn files_are_read_and_written_whole_whatever_hinders_it() {
    everywhere_in(|dir| {
        let contents = pattern(30_000);
        let mut file = OpenOptions::new().read(true).write(true).create(true).open(dir.join("new"))?;
        let reads = Plan::new(&file, Call::Read, hindrances());
        let writes = Plan::new(&file, Call::Write, hindrances().skip(1));
        write_both_ways(&mut file, &contents)?;
        file.write_all_at(&contents, contents.len() as u64)?;
        file.rewind()?;
        assert!(read_both_ways(&mut file, contents.len())? == contents);
        let mut again = vec![0; contents.len()];
        file.read_exact_at(&mut again, contents.len() as u64)?;
        assert!(again == contents);
        assert!(reads.injected() > 0 && writes.injected() > 0, "the file went past the seam");

        // Some of it is in no cache.
        write_cold(&dir.join("cold"), &contents, 2)?;
        let mut file = File::open(dir.join("cold"))?;
        let reads = Plan::new(&file, Call::Read, hindrances());
        assert!(read_both_ways(&mut file, contents.len())? == contents);
        assert!(reads.injected() > 0, "the file went past the seam");
        Ok(())
    });
}

#[test]
fn descriptors_travel_whatever_hinders_their_message() {
    everywhere(|| {
        let (near, far) = UnixStream::pair()?;
        let faults = || [Fail(libc::EINTR), Cut(1)];
        let plans = [Plan::new(&near, Call::Write, faults()), Plan::new(&far, Call::Read, faults())];
        let (mut reader, writer) = io::pipe()?;
        assert_eq!(near.send_fds(b"with the first byte", &[writer.as_fd()])?, 1);
        drop(writer);
        let received = far.recv_fds(&mut [0; 32], 4)?;
        assert_eq!((received.len, received.fds.len()), (1, 1));
        drop(received);
        assert_eq!(reader.read(&mut [0])?, 0);
        assert!(plans.iter().all(|plan| plan.injected() == 2), "{plans:?}");
        Ok(())
    });
}

#[cfg(feature = "futures")]
#[test]
fn futures_get_through_whatever_hinders_them() {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use sward_io::io::Polled;
    use sward_runtime::future::block_on;

    everywhere(|| {
        let (near, far) = pair()?;
        let (mut near, mut far) = (Polled::new(near), Polled::new(far));
        let reads = Plan::new(&far, Call::Read, hindrances());
        let writes = Plan::new(&near, Call::Write, hindrances().skip(1));
        let sent = pattern(200_000);
        let mut received = vec![0; sent.len()];
        thread::scope(|scope| {
            let writing = scope.spawn(|| block_on(near.write_all(&sent)));
            block_on(far.read_exact(&mut received))?;
            writing.join().expect("no panic")
        })?;
        assert!(received == sent);
        assert!(reads.injected() > 0 && writes.injected() > 0, "the futures went past the seam");
        Ok(())
    });
}
