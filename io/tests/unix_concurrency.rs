//! Many green threads on Unix streams, their clones, and what ends a wait.
#![cfg(target_os = "linux")]

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, RawFd},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use crate::common::{
    everywhere,
    process::alone,
    runtimes, settle, stress,
    unix::{duplicate_from, fill},
    watchdog,
};
use sward_io::{RuntimeClosed, os::unix::net::UnixStream};
use sward_runtime::thread;

#[test]
fn a_reader_and_a_writer_of_one_stream_are_independent() {
    everywhere(|| {
        let (here, there) = UnixStream::pair()?;
        let total = 1_usize << 20;
        thread::scope(|scope| {
            // Both directions are full at once: if one held the other up, neither would end.
            for stream in [&here, &there] {
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
fn several_readers_of_one_stream_share_what_comes() {
    everywhere(|| {
        let (mut here, there) = UnixStream::pair()?;
        let clone = there.try_clone()?;
        let received = AtomicUsize::new(0);
        thread::scope(|scope| {
            for stream in [&there, &there, &there, &clone, &clone] {
                let received = &received;
                scope.spawn(move || {
                    let mut stream = stream;
                    // One byte at a time: each leaves something for the next.
                    while stream.read(&mut [0]).expect("reading") > 0 {
                        received.fetch_add(1, Relaxed);
                    }
                });
            }
            settle();
            for _ in 0..20 {
                here.write_all(&[0; 10])?;
                settle();
            }
            here.shutdown(Shutdown::Write)
        })?;
        assert_eq!(received.load(Relaxed), 200);
        Ok(())
    });
}

#[test]
fn writers_on_clones_write_every_byte_once() {
    everywhere(|| {
        let (first, mut peer) = UnixStream::pair()?;
        let second = first.try_clone()?;
        thread::scope(|scope| {
            for (byte, mut stream) in [(1, first), (2, second)] {
                scope.spawn(move || stream.write_all(&vec![byte; 1 << 20]));
            }
            let mut received = Vec::new();
            peer.read_to_end(&mut received)?;
            let twos = received.iter().filter(|&&byte| byte == 2).count();
            assert_eq!((received.len(), twos), (2 << 20, 1 << 20));
            Ok(())
        })
    });
}

#[test]
fn a_reader_a_writer_and_a_closer_on_clones_leave_each_other_alone() {
    everywhere(|| {
        let rounds = stress(100);
        let (one, other) = UnixStream::pair()?;
        let (mut reader, mut writer) = (one.try_clone()?, one.try_clone()?);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            // What is closed is registered: it has waited. Its timeout is its own, since it was not cloned here.
            let closer = scope.spawn(|| {
                while !done.load(Relaxed) {
                    let duplicate = UnixStream::from(one.as_fd().try_clone_to_owned()?);
                    duplicate.set_read_timeout(Some(Duration::from_nanos(1)))?;
                    let _ = duplicate.peek(&mut [0]);
                }
                io::Result::Ok(())
            });
            let echo = scope.spawn(|| io::copy(&mut &other, &mut &other));
            let written = scope.spawn(move || {
                for round in 0..rounds {
                    writer.write_all(&[round as u8; 100])?;
                }
                writer.shutdown(Shutdown::Write)
            });
            for round in 0..rounds {
                let mut buffer = [0; 100];
                reader.read_exact(&mut buffer)?;
                assert_eq!(buffer, [round as u8; 100]);
            }
            written.join().expect("no panic")?;
            assert_eq!(echo.join().expect("no panic")?, 100 * rounds as u64);
            done.store(true, Relaxed);
            closer.join().expect("no panic")
        })
    });
}

#[test]
fn shutdown_from_elsewhere_wakes_readers_and_writers() {
    everywhere(|| {
        for (reads_end, how) in [(true, Shutdown::Both), (true, Shutdown::Read), (false, Shutdown::Write)] {
            let (stream, mut peer) = UnixStream::pair()?;
            let clone = stream.try_clone()?;
            fill(&stream)?;
            thread::scope(|scope| {
                let readers = [&stream, &stream, &clone].map(|stream| {
                    scope.spawn(move || {
                        let mut stream = stream;
                        stream.read(&mut [0])
                    })
                });
                let writers = [&stream, &stream, &clone].map(|stream| {
                    scope.spawn(move || {
                        let mut stream = stream;
                        stream.write(&[0; 4096])
                    })
                });
                settle();
                stream.shutdown(how)?;
                if !reads_end {
                    // They still wait: for this.
                    settle();
                    peer.write_all(b"abc")?;
                }
                for reader in readers {
                    assert_eq!(reader.join().expect("no panic")?, usize::from(!reads_end));
                }
                if how == Shutdown::Read {
                    peer.read_exact(&mut vec![0; 100_000])?;
                }
                for writer in writers {
                    let written = writer.join().expect("no panic");
                    match how {
                        Shutdown::Read => assert!(written? > 0),
                        _ => assert_eq!(written.expect_err("shut down").kind(), ErrorKind::BrokenPipe),
                    }
                }
                io::Result::Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn a_peer_that_ends_its_reading_half_wakes_a_writer() {
    everywhere(|| {
        let (stream, peer) = UnixStream::pair()?;
        fill(&stream)?;
        thread::scope(|scope| {
            let writer = scope.spawn(|| (&stream).write(&[0; 4096]));
            settle();
            // What was written stays unread, so there is never any room.
            peer.shutdown(Shutdown::Read)?;
            assert_eq!(
                writer.join().expect("no panic").expect_err("no reader").kind(),
                ErrorKind::BrokenPipe
            );
            Ok(())
        })
    });
}

#[test]
fn a_little_room_is_enough_for_a_writer() {
    everywhere(|| {
        let (stream, mut peer) = UnixStream::pair()?;
        fill(&stream)?;
        thread::scope(|scope| {
            let writer = scope.spawn(|| (&stream).write(b"x"));
            settle();
            // Too little for the system to report.
            peer.read_exact(&mut vec![0; 16 * 1024])?;
            assert_eq!(writer.join().expect("no panic")?, 1);
            Ok(())
        })
    });
}

#[test]
fn dropping_the_peer_wakes_a_reader_and_a_writer() {
    everywhere(|| {
        let (stream, peer) = UnixStream::pair()?;
        fill(&stream)?;
        thread::scope(|scope| {
            let reader = scope.spawn(|| (&stream).read(&mut [0]));
            let writer = scope.spawn(|| (&stream).write(&[0; 4096]));
            settle();
            drop(peer);
            // One of the two gets the error that data was lost.
            let (read, written) = (reader.join().expect("no panic"), writer.join().expect("no panic"));
            let reset = |error: &io::Error| error.kind() == ErrorKind::ConnectionReset;
            assert!(read.as_ref().map_or_else(reset, |&read| read == 0), "{read:?}");
            let kind = written.expect_err("nobody reads").kind();
            assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
            Ok(())
        })
    });
}

#[test]
fn a_new_owner_of_a_descriptor_gets_its_own_events_only() {
    const NUMBERS: RawFd = 700;
    alone("a_new_owner_of_a_descriptor_gets_its_own_events_only", || {
        everywhere(|| {
            for round in 0..20_u8 {
                let (old, mut peer) = UnixStream::pair()?;
                let mut old = UnixStream::from(duplicate_from(&old, NUMBERS)?);
                let fd = old.as_raw_fd();
                // Registered, and closed with an event on its way.
                old.set_read_timeout(Some(Duration::from_micros(1)))?;
                assert!(old.read(&mut [0]).is_err());
                let (new, mut peer_of_new) = UnixStream::pair()?;
                let keeper = old.try_clone()?;
                peer.write_all(b"stale")?;
                drop(old);
                let mut new = UnixStream::from(duplicate_from(&new, NUMBERS)?);
                assert_eq!(new.as_raw_fd(), fd, "the number is in use again");
                thread::scope(|scope| {
                    let reader = scope.spawn(move || {
                        let mut byte = [0];
                        new.read_exact(&mut byte).map(|()| byte)
                    });
                    settle();
                    // The open socket behind the old number lives on in a clone, and changes.
                    peer.write_all(b"stale")?;
                    settle();
                    drop(keeper);
                    peer_of_new.write_all(&[round])?;
                    assert_eq!(reader.join().expect("no panic")?, [round]);
                    io::Result::Ok(())
                })?;
            }
            Ok(())
        });
    });
}

#[test]
fn the_end_of_the_stream_is_not_lost_when_it_comes_with_the_data() {
    everywhere(|| {
        for round in 0..stress(50) {
            let (mut here, mut there) = UnixStream::pair()?;
            thread::scope(|scope| {
                let reader = scope.spawn(move || {
                    let mut received = Vec::new();
                    there.read_to_end(&mut received).map(|_| received)
                });
                if round % 2 == 0 {
                    settle();
                }
                here.write_all(b"the last words")?;
                drop(here);
                assert_eq!(reader.join().expect("no panic")?, b"the last words");
                io::Result::Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn a_socket_outlives_its_runtime_with_an_error() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (mut stream, mut peer) = runtime.run(|| {
            let (mut stream, peer) = UnixStream::pair().expect("a pair");
            stream.set_read_timeout(Some(Duration::from_nanos(1))).expect("set");
            assert!(stream.read(&mut [0]).is_err());
            (stream, peer)
        });
        drop(runtime);
        for result in [stream.read(&mut [0]), stream.write(&[0])] {
            let error = result.expect_err("the runtime has ended");
            assert!(error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>()));
        }
        peer.write_all(b"x").expect("its peer has never waited, so it is nobody's");
        let mut stream = std::os::unix::net::UnixStream::from(stream);
        stream.set_read_timeout(None).expect("set");
        assert_eq!(stream.read(&mut [0; 4]).expect("through `std` it goes on"), 1);
    }
}

#[test]
fn a_pair_passes_a_token_to_and_fro() {
    everywhere(|| {
        let rounds = stress(2_000);
        let (mut here, there) = UnixStream::pair()?;
        thread::scope(|scope| {
            let other = scope.spawn(move || io::copy(&mut &there, &mut there.try_clone()?));
            let mut token = [0];
            for round in 0..rounds {
                let sent = [round as u8];
                here.write_all(&sent)?;
                here.read_exact(&mut token)?;
                assert_eq!(token, sent);
            }
            drop(here);
            assert_eq!(other.join().expect("no panic")?, rounds as u64);
            Ok(())
        })
    });
}
