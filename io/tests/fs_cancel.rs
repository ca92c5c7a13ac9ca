//! The end of a runtime in the middle of operations on files: nothing is lost, nothing happens twice.

use std::{
    fs::File as StdFile,
    io::{Read, Seek, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::common::{
    fs::{fifo, fresh_dir, pattern, write_cold},
    runtimes, watchdog,
};
use sward_io::fs::{self, File, OpenOptions};
use sward_runtime::{cancel::Cancelled, thread};

/// Lets a runtime come far enough.
fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

#[test]
fn writes_have_either_returned_or_not_begun() {
    // Large, so that the end comes in the middle of one.
    const RECORD: usize = 2 << 20;
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let dir = fresh_dir();
        let path = dir.path().join("file");
        let written = Arc::new(AtomicU64::new(0));
        let mut file = File::create(&path).expect("a file");
        let writer = runtime.handle().spawn({
            let written = Arc::clone(&written);
            move || loop {
                let record = vec![written.load(SeqCst) as u8; RECORD];
                assert_eq!(file.write(&record).expect("to be written"), RECORD);
                written.fetch_add(1, SeqCst);
            }
        });
        wait_until(|| written.load(SeqCst) > 2);
        drop(runtime);
        assert!(writer.join().expect_err("it never ends").is::<Cancelled>());
        let found = std::fs::read(&path).expect("it is there");
        assert_eq!(found.len() as u64, written.load(SeqCst) * RECORD as u64);
        let mut records = found.chunks(RECORD).enumerate();
        assert!(records.all(|(n, record)| record.iter().all(|&byte| byte == n as u8)));
    }
}

#[test]
fn reads_have_either_returned_or_not_begun() {
    const PIECE: usize = 1 << 20;
    let _watchdog = watchdog();
    let contents = pattern(16 * PIECE);
    for runtime in runtimes() {
        let dir = fresh_dir();
        let path = dir.path().join("file");
        write_cold(&path, &contents, 64).expect("a file");
        let mut theirs = StdFile::open(&path).expect("it is there");
        let file = File::from(theirs.try_clone().expect("a clone"));
        let read = Arc::new(AtomicU64::new(0));
        let reader = runtime.handle().spawn({
            let read = Arc::clone(&read);
            move || {
                let mut buffer = vec![0; PIECE];
                loop {
                    let step = (&file).read(&mut buffer).expect("to be read");
                    read.fetch_add(step as u64, SeqCst);
                    thread::yield_now();
                }
            }
        });
        wait_until(|| read.load(SeqCst) > PIECE as u64);
        drop(runtime);
        assert!(reader.join().expect_err("it never ends").is::<Cancelled>());
        let position = theirs.stream_position().expect("a position");
        assert_eq!(position, read.load(SeqCst));
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).expect("to be read");
        assert!(rest == contents[position as usize..]);
    }
}

#[test]
fn a_wait_for_a_stream_ends_and_takes_nothing() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let dir = fresh_dir();
        let path = dir.path().join("fifo");
        fifo(&path).expect("a FIFO");
        let mut ours = StdFile::options().read(true).write(true).open(&path).expect("it is there");
        // One that is opened on a green thread, and one that comes from elsewhere.
        let foreign = File::from(ours.try_clone().expect("a clone"));
        let readers = [
            runtime.handle().spawn(move || File::open(&path).and_then(|mut file| file.read(&mut [0; 99]))),
            runtime.handle().spawn(move || (&foreign).read(&mut [0; 99])),
        ];
        runtime.run(crate::common::settle);
        drop(runtime);
        for reader in readers {
            assert!(reader.join().expect_err("cancelled").is::<Cancelled>());
        }
        ours.write_all(b"for whoever comes next").expect("there is room");
        let mut read = [0; 22];
        ours.read_exact(&mut read).expect("to be read");
        assert_eq!(&read, b"for whoever comes next");
    }
}

#[test]
fn text_that_was_read_from_a_stream_is_kept() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let kept = Arc::new(parking_lot::Mutex::new(String::new()));
        writer.write_all("hellö".as_bytes()).expect("there is room");
        let reading = runtime.handle().spawn({
            struct Keep(String, Arc<parking_lot::Mutex<String>>);
            impl Drop for Keep {
                fn drop(&mut self) {
                    *self.1.lock() = std::mem::take(&mut self.0);
                }
            }
            let mut file = File::from(std::os::fd::OwnedFd::from(reader));
            let mut text = Keep(String::from("> "), Arc::clone(&kept));
            move || file.read_to_string(&mut text.0).map(drop)
        });
        // All of it has been read once there is room for a whole pipe again.
        let left = || rustix::io::ioctl_fionread(&writer).expect("a pipe");
        wait_until(|| left() == 0);
        runtime.run(crate::common::settle);
        drop(runtime);
        assert!(reading.join().expect_err("cancelled").is::<Cancelled>());
        assert_eq!(*kept.lock(), "> hellö");
    }
}

#[test]
fn a_fifo_that_never_opens_holds_nobody_up() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let dir = fresh_dir();
        let path = dir.path().join("fifo");
        fifo(&path).expect("a FIFO");
        let opening = runtime.handle().spawn({
            let path = path.clone();
            move || File::open(path).map(drop)
        });
        runtime.run(crate::common::settle);
        drop(runtime);
        assert!(opening.join().expect_err("cancelled").is::<Cancelled>());
        // The call that was left behind ends, if it has come that far, and closes what it has opened.
        let mut writer = StdFile::options().read(true).write(true).open(&path).expect("it is there");
        writer.write_all(b"x").expect("there is room");
    }
}

#[test]
fn what_is_done_to_paths_goes_on() {
    let _watchdog = watchdog();
    let contents = pattern(8 << 20);
    for runtime in runtimes() {
        let dir = fresh_dir();
        let path = dir.path().join("file");
        let writing = runtime.handle().spawn({
            let (path, contents) = (path.clone(), contents.clone());
            move || fs::write(path, contents)
        });
        wait_until(|| path.exists());
        drop(runtime);
        if let Err(payload) = writing.join() {
            assert!(payload.is::<Cancelled>());
        }
        wait_until(|| std::fs::metadata(&path).expect("it is there").len() == contents.len() as u64);
        assert!(std::fs::read(&path).expect("it is there") == contents);
    }
}

#[test]
fn destructors_of_a_cancelled_green_thread_use_files() {
    struct Footer(File);
    impl Drop for Footer {
        fn drop(&mut self) {
            self.0.write_all(b"the end").expect("to be written");
            self.0.sync_all().expect("to be synced");
            assert!(fs::metadata("/").expect("it is there").is_dir());
        }
    }
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let dir = fresh_dir();
        let path = dir.path().join("file");
        let file = runtime.run(|| OpenOptions::new().write(true).create(true).open(&path)).expect("a file");
        let footer = Footer(file);
        let parked = runtime.handle().spawn(move || {
            let _footer = footer;
            thread::park();
        });
        runtime.run(crate::common::settle);
        drop(runtime);
        assert!(parked.join().expect_err("cancelled").is::<Cancelled>());
        assert_eq!(std::fs::read(&path).expect("it is there"), b"the end");
    }
}
