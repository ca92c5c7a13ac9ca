//! Streams in memory: bytes in order, ends, limits, many at both ends, cancellation.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::common::{
    everywhere,
    process::{Returned, until_waiting},
    runtimes, settle, stress, watchdog,
};
use sward_io::io::{duplex, simplex};
use sward_runtime::{cancel::Cancelled, thread};

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn more_than_fits_goes_through_in_order() {
    everywhere(|| {
        for capacity in [1, 7, 4096, 1 << 20] {
            let sent = bytes(if capacity == 1 { 2000 } else { 100_000 });
            let (mut reader, mut writer) = simplex(capacity);
            let received = thread::scope(|scope| {
                let sent = &sent;
                let writing = scope.spawn(move || writer.write_all(sent));
                let mut received = Vec::new();
                reader.read_to_end(&mut received)?;
                writing.join().expect("no panic")?;
                io::Result::Ok(received)
            })?;
            assert!(received == sent, "with room for {capacity}");
        }
        Ok(())
    });
}

#[test]
fn both_directions_at_once() {
    everywhere(|| {
        let (one, other) = duplex(100);
        let sent = bytes(50_000);
        thread::scope(|scope| {
            let echoing = scope.spawn(|| {
                let copied = io::copy(&mut &other, &mut &other)?;
                other.shutdown(Shutdown::Write).map(|()| copied)
            });
            let writing = scope.spawn(|| {
                (&one).write_all(&sent)?;
                one.shutdown(Shutdown::Write)
            });
            let mut back = Vec::new();
            (&one).read_to_end(&mut back)?;
            assert!(back == sent);
            writing.join().expect("no panic")?;
            assert_eq!(echoing.join().expect("no panic")?, 50_000);
            io::Result::Ok(())
        })
    });
}

#[test]
fn an_end_is_told_to_whoever_waits() {
    everywhere(|| {
        let (one, other) = duplex(4);
        let reading = thread::spawn(move || (&one).read(&mut [0; 4]));
        settle();
        drop(other);
        assert_eq!(reading.join().expect("no panic")?, 0);

        let (mut one, other) = duplex(4);
        let writing = thread::spawn(move || one.write_all(&[0; 5]));
        settle();
        drop(other);
        assert_eq!(writing.join().expect("no panic").expect_err("it is gone").kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn what_was_written_before_the_end_is_read() {
    everywhere(|| {
        let (mut one, mut other) = duplex(16);
        one.write_all(b"last words")?;
        drop(one);
        let mut words = [0; 5];
        other.read_exact(&mut words)?;
        assert_eq!(&words, b"last ");
        other.read_exact(&mut words)?;
        assert_eq!(&words, b"words");
        assert_eq!(other.read(&mut words)?, 0);
        assert_eq!(other.write(b"?").expect_err("it is gone").kind(), ErrorKind::BrokenPipe);
        assert_eq!(other.write(b"").expect_err("it is gone").kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn halves_are_shut_down_one_by_one() {
    everywhere(|| {
        let (mut one, mut other) = duplex(16);
        one.write_all(b"over")?;
        one.shutdown(Shutdown::Write)?;
        assert_eq!(one.write(b"?").expect_err("shut down").kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        other.read_to_string(&mut text)?;
        assert_eq!(text, "over");
        other.write_all(b"answer")?;
        let mut answer = [0; 6];
        one.read_exact(&mut answer)?;

        // Whoever waits on this side is woken, too.
        thread::scope(|scope| {
            let reading = scope.spawn(|| (&one).read(&mut [0; 4]));
            settle();
            one.shutdown(Shutdown::Read)?;
            assert_eq!(reading.join().expect("no panic")?, 0);
            io::Result::Ok(())
        })?;
        assert_eq!(other.write(b"?").expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn halves_taken_apart_end_one_by_one() {
    everywhere(|| {
        let (one, mut other) = duplex(16);
        let (mut reader, writer) = one.into_split();
        drop(writer);
        assert_eq!(other.read(&mut [0; 4])?, 0);
        other.write_all(b"still")?;
        reader.read_exact(&mut [0; 5])?;
        drop(reader);
        assert_eq!(other.write(b"?").expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn nothing_is_read_and_written_at_once() {
    everywhere(|| {
        let (mut reader, mut writer) = simplex(1);
        assert_eq!(reader.read(&mut [])?, 0);
        assert_eq!(writer.write(&[])?, 0);
        writer.write_all(b"x")?;
        assert_eq!(writer.write(&[])?, 0);
        writer.flush()
    });
}

#[test]
fn nothing_is_read_and_written_at_once_after_a_wait_too() {
    everywhere(|| {
        let (mut one, _other) = duplex(1);
        let limit = Some(Duration::from_millis(1));
        one.set_read_timeout(limit)?;
        one.set_write_timeout(limit)?;
        assert_eq!(one.read(&mut [0]).expect_err("nothing there").kind(), ErrorKind::WouldBlock);
        one.write_all(b"x")?;
        assert_eq!(one.write(b"y").expect_err("no room").kind(), ErrorKind::WouldBlock);
        assert_eq!((one.read(&mut [])?, one.write(&[])?), (0, 0));
        Ok(())
    });
}

#[test]
fn what_has_arrived_is_read_after_the_end_of_the_reading_half() {
    everywhere(|| {
        let (mut one, mut other) = duplex(16);
        other.write_all(b"here")?;
        one.shutdown(Shutdown::Read)?;
        assert_eq!(other.write(b"?").expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        one.read_to_string(&mut text)?;
        assert_eq!(text, "here");
        Ok(())
    });
}

#[test]
fn timeouts_end_waits_only() {
    everywhere(|| {
        let (mut one, mut other) = duplex(2);
        let limit = Duration::from_millis(5);
        assert_eq!(
            one.set_read_timeout(Some(Duration::ZERO)).expect_err("zero").kind(),
            ErrorKind::InvalidInput
        );
        one.set_read_timeout(Some(limit))?;
        one.set_write_timeout(Some(limit))?;
        assert_eq!((one.read_timeout()?, one.write_timeout()?), (Some(limit), Some(limit)));
        assert_eq!(other.read_timeout()?, None);

        let start = Instant::now();
        assert_eq!(one.read(&mut [0; 2]).expect_err("nothing there").kind(), ErrorKind::WouldBlock);
        assert!(start.elapsed() >= limit);
        one.write_all(b"xy")?;
        assert_eq!(one.write(b"z").expect_err("no room").kind(), ErrorKind::WouldBlock);
        // All of it can be used as before.
        other.read_exact(&mut [0; 2])?;
        one.write_all(b"z")?;
        other.write_all(b"a")?;
        assert_eq!(one.read(&mut [0; 2])?, 1);
        Ok(())
    });
}

#[test]
fn each_byte_goes_to_one_of_many_readers() {
    everywhere(|| {
        let (reader, writer) = duplex(16);
        let times = stress(200);
        let read = thread::scope(|scope| {
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let (mut buffer, mut count) = ([0; 5], 0);
                        loop {
                            match (&reader).read(&mut buffer)? {
                                0 => return io::Result::Ok(count),
                                read => count += read,
                            }
                        }
                    })
                })
                .collect();
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    let writer = &writer;
                    scope.spawn(move || (0..times).try_for_each(|_| (&*writer).write_all(b"1234567")))
                })
                .collect();
            writers.into_iter().try_for_each(|writer| writer.join().expect("no panic"))?;
            writer.shutdown(Shutdown::Write)?;
            readers.into_iter().map(|reader| reader.join().expect("no panic")).sum::<io::Result<usize>>()
        })?;
        assert_eq!(read, 4 * 7 * times);
        Ok(())
    });
}

#[test]
fn a_cancelled_read_has_taken_nothing() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (reader, mut writer) = simplex(16);
        let (sender, returned) = mpsc::channel();
        let reader = Returned(Some(reader), sender);
        let waiter = runtime.handle().spawn(move || {
            reader.0.as_ref().map(|mut reader| reader.read(&mut [0; 8])).expect("not returned yet")
        });
        until_waiting(&waiter, "Readable");
        drop(runtime);
        assert!(waiter.join().expect_err("cancelled").is::<Cancelled>());
        writer.write_all(b"late").expect("room");
        let mut reader = returned.recv().expect("returned while unwinding");
        // It belongs to no runtime.
        assert_eq!(reader.read(&mut [0; 8]).expect("four bytes"), 4);
    }
}

#[test]
fn no_capacity_is_a_mistake() {
    let error = std::panic::catch_unwind(|| duplex(0)).expect_err("it panics");
    assert_eq!(error.downcast_ref(), Some(&"the capacity must not be zero"));
}
