//! What is no regular file: FIFOs, pipes, devices, files of the kernel; and files past the cache.

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Seek, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use crate::common::{
    fs::{everywhere_in, fifo, fresh_dir, pattern},
    once_closed,
};
use rustix::pty::OpenptFlags;
use sward_io::fs::{self, File, OpenOptions};
use sward_runtime::thread;

/// More calls than the pool has threads.
const MORE_THAN_THE_POOL: usize = 600;

/// A FIFO, opened at both ends at once.
fn both_ends(dir: &Path) -> io::Result<File> {
    fifo(&dir.join("fifo"))?;
    OpenOptions::new().read(true).write(true).open(dir.join("fifo"))
}

/// Both ends of a pipe, which come from elsewhere.
fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = io::pipe()?;
    Ok((File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer))))
}

/// The same for a FIFO, which offers less.
fn foreign_fifo(dir: &Path) -> io::Result<(File, File)> {
    fifo(&dir.join("foreign"))?;
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(dir.join("foreign"));
    Ok((File::from(open()?), File::from(open()?)))
}

#[test]
fn a_fifo_opens_when_both_ends_are_there() {
    everywhere_in(|dir| {
        let path = dir.join("fifo");
        fifo(&path)?;
        let reader = thread::spawn({
            let path = path.clone();
            move || -> io::Result<String> {
                let mut text = String::new();
                File::open(path)?.read_to_string(&mut text)?;
                Ok(text)
            }
        });
        crate::common::settle();
        assert!(!reader.is_finished());
        let mut writer = OpenOptions::new().write(true).open(&path)?;
        writer.write_all("hellö, ".as_bytes())?;
        crate::common::settle();
        writer.write_all(b"world!")?;
        // The end comes with the last writer's.
        crate::common::settle();
        assert!(!reader.is_finished());
        drop(writer);
        assert_eq!(reader.join().expect("no panic")?, "hellö, world!");
        Ok(())
    });
}

#[test]
fn whoever_waits_for_a_stream_leaves_the_worker_to_others() {
    everywhere_in(|dir| {
        let fifo = both_ends(dir)?;
        let own = (fifo.try_clone()?, fifo);
        for (mut reader, mut writer) in [own, pipe()?, foreign_fifo(dir)?] {
            // Also with one worker, on which this runs.
            let waiting = thread::spawn(move || {
                let mut byte = [0];
                reader.read_exact(&mut byte).map(|()| byte[0])
            });
            crate::common::settle();
            assert!(!waiting.is_finished());
            writer.write_all(b"!")?;
            assert_eq!(waiting.join().expect("no panic")?, b'!');
        }
        Ok(())
    });
}

#[test]
fn a_stream_that_is_full_waits_for_its_reader() {
    everywhere_in(|dir| {
        let fifo = both_ends(dir)?;
        let own = (fifo.try_clone()?, fifo);
        for (mut reader, mut writer) in [own, pipe()?, foreign_fifo(dir)?] {
            let message = pattern(1 << 20);
            let mut received = vec![0; message.len()];
            let writing = thread::spawn({
                let message = message.clone();
                move || {
                    let (one, other) = message.split_at(300_000);
                    let written = writer.write_vectored(&[IoSlice::new(one), IoSlice::new(other)])?;
                    writer.write_all(&message[written..])
                }
            });
            let (one, other) = received.split_at_mut(100);
            let read = reader.read_vectored(&mut [IoSliceMut::new(one), IoSliceMut::new(other)])?;
            reader.read_exact(&mut received[read..])?;
            writing.join().expect("no panic")?;
            assert!(received == message);
        }
        Ok(())
    });
}

#[test]
fn the_end_of_a_stream_comes_again_and_again_until_there_is_a_writer() {
    everywhere_in(|dir| {
        let path = dir.join("fifo");
        let keeper = both_ends(dir)?;
        let mut reader = File::open(&path)?;
        drop(keeper);
        for _ in 0..3 {
            assert_eq!(reader.read(&mut [0])?, 0);
        }
        let mut writer = OpenOptions::new().write(true).open(&path)?;
        let reading = thread::spawn(move || {
            let mut byte = [0];
            reader.read_exact(&mut byte).map(|()| reader)
        });
        crate::common::settle();
        writer.write_all(b"x")?;
        let mut reader = reading.join().expect("no panic")?;
        drop(writer);
        assert_eq!(reader.read(&mut [0])?, 0);
        // Nobody reads any more.
        let mut writer = OpenOptions::new().read(true).write(true).open(&path)?.try_clone()?;
        writer.write_all(b"y")?;
        let (reader, mut writer) = pipe()?;
        drop(reader);
        once_closed(|| writer.write(b"z").is_err());
        assert_eq!(writer.write(b"z").expect_err("nobody reads").kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn streams_have_no_position() {
    everywhere_in(|dir| {
        let fifo = both_ends(dir)?;
        for mut stream in [fifo, pipe()?.0] {
            assert_eq!(stream.seek(io::SeekFrom::Start(0)).expect_err("none").kind(), ErrorKind::NotSeekable);
            assert_eq!(stream.read_at(&mut [0], 0).expect_err("none").kind(), ErrorKind::NotSeekable);
        }
        Ok(())
    });
}

#[test]
fn streams_do_not_occupy_the_pool() {
    let _watchdog = crate::common::watchdog();
    for runtime in crate::common::runtimes() {
        let dir = fresh_dir();
        runtime.run(|| {
            let mut writer = both_ends(dir.path()).expect("a FIFO");
            let readers: Vec<_> = (0..MORE_THAN_THE_POOL)
                .map(|_| {
                    let mut reader = writer.try_clone().expect("a clone");
                    thread::spawn(move || reader.read_exact(&mut [0]))
                })
                .collect();
            crate::common::settle();
            // There is still somebody to do this.
            fs::write(dir.path().join("file"), "free").expect("to be written");
            writer.write_all(&[0; MORE_THAN_THE_POOL]).expect("there is room");
            for reader in readers {
                reader.join().expect("no panic").expect("a byte");
            }
        });
    }
}

#[test]
fn streams_in_non_blocking_mode_do_not_wait() {
    everywhere_in(|dir| {
        let path = dir.join("fifo");
        let _keeper = both_ends(dir)?;
        let mut options = OpenOptions::new();
        let mut reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(&path)?;
        assert_eq!(reader.read(&mut [0]).expect_err("empty").kind(), ErrorKind::WouldBlock);
        let mut read = Vec::new();
        assert_eq!(reader.read_to_end(&mut read).expect_err("empty").kind(), ErrorKind::WouldBlock);
        assert!(options.write(true).open(&path)?.write(&[0; 16])? == 16);
        assert_eq!(reader.read(&mut [0; 99])?, 16);
        Ok(())
    });
}

#[test]
fn a_stream_of_a_green_thread_works_on_an_os_thread() {
    everywhere_in(|dir| {
        let (mut reader, mut writer) =
            (both_ends(dir)?, OpenOptions::new().write(true).open(dir.join("fifo"))?);
        let reading = std::thread::spawn(move || {
            let mut buffer = [0; 2];
            reader.read_exact(&mut buffer).map(|()| buffer)
        });
        writer.write_all(b"o")?;
        crate::common::settle();
        writer.write_all(b"k")?;
        assert_eq!(&reading.join().expect("no panic")?, b"ok");
        Ok(())
    });
}

#[test]
fn terminals_are_waited_for() {
    everywhere_in(|_| {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let mut options = OpenOptions::new();
        let path = name.to_str().expect("a path");
        let mut terminal = options.read(true).write(true).custom_flags(libc::O_NOCTTY).open(path)?;
        assert!(terminal.is_terminal());
        // The other end comes from elsewhere, in blocking mode.
        let mut master = File::from(master);
        let waiting = thread::spawn(move || {
            let mut line = [0; 64];
            let read = terminal.read(&mut line)?;
            terminal.write_all(b"read")?;
            io::Result::Ok((line[..read].to_vec(), terminal))
        });
        crate::common::settle();
        assert!(!waiting.is_finished());
        // A line at a time.
        master.write_all(b"hel")?;
        crate::common::settle();
        assert!(!waiting.is_finished());
        master.write_all(b"lo\n")?;
        let (line, _terminal) = waiting.join().expect("no panic")?;
        assert_eq!(line, b"hello\n");
        // What was typed is echoed.
        let mut echo = [0; 11];
        master.read_exact(&mut echo)?;
        assert_eq!(&echo, b"hello\r\nread");
        Ok(())
    });
}

#[test]
fn devices_are_read_and_written() {
    everywhere_in(|_| {
        let mut buffer = [7; 64];
        let mut zero = File::open("/dev/zero")?;
        zero.read_exact(&mut buffer)?;
        assert_eq!(buffer, [0; 64]);
        zero.read_exact_at(&mut buffer, 12)?;
        File::open("/dev/urandom")?.read_exact(&mut buffer)?;
        assert_ne!(buffer, [0; 64]);
        let mut null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        null.write_all(&buffer)?;
        assert_eq!(null.read_to_end(&mut Vec::new())?, 0);
        assert_eq!(File::create("/dev/full")?.write(b"x").expect_err("full").kind(), ErrorKind::StorageFull);
        Ok(())
    });
}

#[test]
fn files_of_the_kernel_are_read_whole() {
    everywhere_in(|_| {
        let mut status = String::new();
        File::open("/proc/self/status")?.read_to_string(&mut status)?;
        assert!(status.starts_with("Name:") && status.contains("Threads:"), "{status}");
        assert!(fs::read_to_string("/proc/self/status")?.contains("Threads:"));
        // They say that they are empty, and each read makes a piece.
        let mut mounts = File::open("/proc/self/mounts")?;
        let (mut piece, mut all) = ([0; 7], Vec::new());
        while let read @ 1.. = mounts.read(&mut piece)? {
            all.extend_from_slice(&piece[..read]);
        }
        assert!(str::from_utf8(&all).is_ok_and(|mounts| mounts.contains(" / ")));
        Ok(())
    });
}

#[test]
fn a_file_that_tells_what_happens_is_waited_for() {
    // One that has no type: what inotify has to say.
    everywhere_in(|dir| {
        let inotify = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC)?;
        rustix::fs::inotify::add_watch(&inotify, dir, rustix::fs::inotify::WatchFlags::CREATE)?;
        let mut inotify = File::from(inotify);
        let waiting = thread::spawn(move || inotify.read(&mut [0; 512]));
        crate::common::settle();
        assert!(!waiting.is_finished());
        fs::write(dir.join("new"), "")?;
        assert!(waiting.join().expect("no panic")? > 0);
        Ok(())
    });
}

#[test]
fn files_past_the_cache_are_read_and_written() {
    let dir = fresh_dir();
    let path = dir.path().join("file");
    let contents = pattern(3 << 20);
    std::fs::write(&path, &contents).expect("to be written");
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_DIRECT);
    if options.open(&path).is_err() {
        // Not every file system can.
        return;
    }
    let is_whole = |path: &PathBuf| -> io::Result<()> {
        let mut file = options.open(path)?;
        // The pool's buffers are aligned, whatever the caller's are.
        let mut buffer = vec![0; contents.len() + 4096];
        assert_eq!(file.read(&mut buffer)?, contents.len());
        assert!(buffer[..contents.len()] == contents);
        buffer[..4096].fill(7);
        file.write_all_at(&buffer[..4096], 8192)?;
        file.write_all_at(&contents[8192..8192 + 4096], 8192)?;
        file.rewind()?;
        let mut slices = buffer.chunks_mut(1 << 20).map(IoSliceMut::new).collect::<Vec<_>>();
        assert!(file.read_vectored(&mut slices)? > 0);
        drop(slices);
        assert!(buffer[..4096] == contents[..4096]);
        Ok(())
    };
    let _watchdog = crate::common::watchdog();
    for runtime in crate::common::runtimes() {
        runtime.run(|| is_whole(&path).expect("the test"));
    }
}
