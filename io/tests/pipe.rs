//! Pipes: bytes in order, ends, many at both ends, conversions, and the ends of runtimes.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
    sync::mpsc,
    time::Duration,
};

use crate::common::{
    everywhere,
    fs::{everywhere_in, pattern, write_cold},
    process::{Returned, alone, descriptors, in_role, one_worker, open_the_poller, role, until_waiting},
    runtimes, settle, stress, watchdog,
};
use rustix::{
    fs::OFlags,
    io::{ReadWriteFlags, preadv2},
};
use sward_io::{
    RuntimeClosed,
    io::{PipeReader, PipeWriter, pipe},
    process::{ChildStdout, Command},
};
use sward_runtime::{cancel::Cancelled, thread, time};

const SHORT: Duration = Duration::from_millis(1);

fn is_nonblocking(fd: impl AsFd) -> bool {
    rustix::fs::fcntl_getfl(fd).expect("open").contains(OFlags::NONBLOCK)
}

#[test]
fn clones_are_the_same_end() {
    everywhere(|| {
        let (reader, writer) = pipe()?;
        writer.try_clone()?.write_all(b"12345")?;
        drop(writer);
        let mut clone = reader.try_clone()?;
        drop(reader);
        let mut text = String::new();
        clone.read_to_string(&mut text)?;
        assert_eq!(text, "12345");
        Ok(())
    });
}

#[test]
fn what_is_a_regular_file_is_transferred_also_past_the_cache() {
    everywhere_in(|dir| {
        let (path, contents) = (dir.join("cold"), pattern(100_000));
        write_cold(&path, &contents, 2)?;
        let mut read = Vec::new();
        PipeReader::from(OwnedFd::from(File::open(&path)?)).read_to_end(&mut read)?;
        assert!(read == contents);

        write_cold(&path, &contents, 2)?;
        let mut slices = [0; 100_000];
        let (one, other) = slices.split_at_mut(10);
        let mut stdout = ChildStdout::from(OwnedFd::from(File::open(&path)?));
        let read = stdout.read_vectored(&mut [IoSliceMut::new(one), IoSliceMut::new(other)])?;
        assert!(read > 0 && slices[..read] == contents[..read]);

        let path = dir.join("written");
        PipeWriter::from(OwnedFd::from(File::create(&path)?)).write_all(&contents)?;
        assert!(fs::read(&path)? == contents);
        Ok(())
    });
}

#[test]
fn empty_buffers_are_not_waited_for() {
    everywhere(|| {
        let (mut reader, mut writer) = pipe()?;
        // Both have waited in vain.
        assert!(time::timeout(SHORT, || reader.read(&mut [0])).is_err());
        assert_eq!((reader.read(&mut [])?, reader.read_vectored(&mut [])?), (0, 0));
        assert!(time::timeout(SHORT, || writer.write_all(&[0; 1 << 20])).is_err());
        assert_eq!((writer.write(&[])?, writer.write_vectored(&[])?), (0, 0));
        Ok(())
    });
}

#[test]
fn more_than_fits_goes_through_in_order() {
    everywhere(|| {
        let (mut reader, mut writer) = pipe()?;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let received = thread::scope(|scope| {
            let sent = &sent;
            let thread = scope.spawn(move || {
                let result = writer.write_all(sent);
                drop(writer);
                result
            });
            let mut received = Vec::new();
            reader.read_to_end(&mut received)?;
            thread.join().expect("no panic")?;
            io::Result::Ok(received)
        })?;
        assert!(received == sent);
        Ok(())
    });
}

#[test]
fn an_end_is_told_to_whoever_waits() {
    everywhere(|| {
        let (reader, writer) = pipe()?;
        let waiter = thread::spawn(move || (&reader).read(&mut [0]));
        settle();
        drop(writer);
        assert_eq!(waiter.join().expect("no panic")?, 0);

        let (reader, mut writer) = pipe()?;
        let waiter = thread::spawn(move || writer.write_all(&[0; 1 << 20]));
        settle();
        drop(reader);
        assert_eq!(waiter.join().expect("no panic").expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn several_buffers_in_one_call() {
    everywhere(|| {
        let (mut reader, mut writer) = pipe()?;
        assert_eq!(writer.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")])?, 5);
        let (mut a, mut b) = ([0; 3], [0; 3]);
        assert_eq!(reader.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])?, 5);
        assert_eq!((&a, &b), (b"abc", b"de\0"));
        writer.flush()?;
        assert_eq!(writer.write(b"")?, 0);
        Ok(())
    });
}

#[test]
fn short_writes_of_many_are_not_torn_apart() {
    const RECORD: usize = 500;
    everywhere(|| {
        let (reader, writer) = pipe()?;
        let times = stress(100);
        thread::scope(|scope| {
            let writers: Vec<_> = (b'a'..b'i')
                .map(|name| {
                    let writer = &writer;
                    scope.spawn(move || (0..times).try_for_each(|_| (&*writer).write_all(&[name; RECORD])))
                })
                .collect();
            let mut record = [0; RECORD];
            for _ in 0..writers.len() * times {
                (&reader).read_exact(&mut record)?;
                assert!(record.iter().all(|&byte| byte == record[0]));
            }
            writers.into_iter().try_for_each(|writer| writer.join().expect("no panic"))
        })
    });
}

#[test]
fn each_byte_goes_to_one_of_many_readers() {
    everywhere(|| {
        let (reader, mut writer) = pipe()?;
        let bytes = stress(20_000);
        thread::scope(|scope| {
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut buffer = [0; 64];
                        let mut count = 0;
                        loop {
                            match (&reader).read(&mut buffer)? {
                                0 => return io::Result::Ok(count),
                                read => count += read,
                            }
                        }
                    })
                })
                .collect();
            for chunk in vec![0; bytes].chunks(50) {
                writer.write_all(chunk)?;
            }
            drop(writer);
            let mut count = 0;
            for reader in readers {
                count += reader.join().expect("no panic")?;
            }
            assert_eq!(count, bytes);
            Ok(())
        })
    });
}

#[test]
fn who_waits_does_not_keep_the_worker() {
    let _watchdog = watchdog();
    one_worker().run(|| {
        let (mut reader, writer) = pipe().expect("a pipe");
        let waiter = thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes.len())
        });
        settle();
        let fillers: Vec<_> = (0..3)
            .map(|_| {
                let writer = writer.try_clone().expect("a clone");
                thread::spawn(move || (&writer).write_all(&[0; 300_000]))
            })
            .collect();
        drop(writer);
        for filler in fillers {
            filler.join().expect("no panic").expect("written");
        }
        assert_eq!(waiter.join().expect("no panic").expect("read"), 900_000);
    });
}

#[test]
fn ends_go_to_std_and_back() {
    everywhere(|| {
        let (reader, writer) = pipe()?;
        assert!(is_nonblocking(&reader) && is_nonblocking(&writer));
        let (mut reader, mut writer) = (io::PipeReader::from(reader), io::PipeWriter::from(writer));
        assert!(!is_nonblocking(&reader) && !is_nonblocking(&writer));
        writer.write_all(b"std")?;
        let mut bytes = [0; 3];
        reader.read_exact(&mut bytes)?;
        let (reader, writer) = (PipeReader::from(reader), PipeWriter::from(writer));
        let waiter = thread::spawn(move || (&reader).read(&mut [0; 8]));
        settle();
        (&writer).write_all(b"green")?;
        assert_eq!(waiter.join().expect("no panic")?, 5);
        Ok(())
    });
}

#[test]
fn ends_are_descriptors() {
    everywhere(|| {
        let (reader, writer) = pipe()?;
        let raw = reader.as_raw_fd();
        assert_eq!(reader.as_fd().as_raw_fd(), raw);
        let reader = PipeReader::from(OwnedFd::from(reader));
        let given_up = reader.into_raw_fd();
        assert_eq!(given_up, raw);
        // SAFETY: given up by its owner the line before last.
        let mut reader = unsafe { PipeReader::from_raw_fd(given_up) };
        // SAFETY: given up in the same line.
        let mut writer = unsafe { PipeWriter::from_raw_fd(writer.into_raw_fd()) };
        writer.write_all(b"x")?;
        assert_eq!(reader.read(&mut [0; 4])?, 1);
        assert!(format!("{reader:?}{writer:?}").contains("PipeWriter"));
        Ok(())
    });
}

#[test]
fn a_child_writes_to_its_parent() {
    let name = "a_child_writes_to_its_parent";
    if role().is_some() {
        writeln!(io::stdout(), "over and out").expect("the parent reads");
        return;
    }
    everywhere(|| {
        let (reader, writer) = pipe()?;
        let mut command = Command::from(in_role(name, "child"));
        assert!(command.stdout(writer).status()?.success());
        drop(command);
        let text = io::read_to_string(&reader)?;
        assert!(text.contains("over and out"), "{text}");
        Ok(())
    });
}

#[test]
fn a_clone_that_was_given_up_does_not_make_the_other_stall_its_worker() {
    let _watchdog = watchdog();
    let (probe, _writer) = io::pipe().expect("a pipe");
    let mut byte = [0];
    let at_once = preadv2(&probe, &mut [IoSliceMut::new(&mut byte)], u64::MAX, ReadWriteFlags::NOWAIT);
    if at_once == Err(rustix::io::Errno::OPNOTSUPP) {
        // Before Linux 6.4 a pipe has its mode and nothing else.
        return;
    }
    one_worker().run(|| {
        let (reader, mut writer) = pipe().expect("a pipe");
        let _blocking = io::PipeReader::from(reader.try_clone().expect("a clone"));
        assert!(!is_nonblocking(&reader));
        let waiter = thread::spawn(move || (&reader).read(&mut [0; 8]));
        settle();
        writer.write_all(b"x").expect("room");
        assert_eq!(waiter.join().expect("no panic").expect("a byte"), 1);
    });
}

#[test]
fn a_cancelled_read_has_taken_nothing() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (reader, mut writer) = pipe().expect("a pipe");
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
        // It belonged to that runtime; what is in the pipe is had through `std`, or a new reader.
        let error = reader.read(&mut [0; 8]).expect_err("the runtime has ended");
        assert!(error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>()));
        let mut reader = PipeReader::from(OwnedFd::from(reader));
        assert_eq!(reader.read(&mut [0; 8]).expect("four bytes"), 4);
    }
}

#[test]
fn descriptors_are_closed() {
    alone("descriptors_are_closed", || {
        for runtime in runtimes() {
            let round = || {
                let (reader, writer) = pipe().expect("a pipe");
                let clone = writer.try_clone().expect("a clone");
                let waiter = thread::spawn(move || (&reader).read(&mut [0; 8]));
                settle();
                drop(io::PipeWriter::from(clone));
                drop(writer);
                assert_eq!(waiter.join().expect("no panic").expect("the end"), 0);
            };
            runtime.run(open_the_poller);
            let before = descriptors();
            for _ in 0..10 {
                runtime.run(round);
            }
            assert_eq!(descriptors(), before);
        }
    });
}
