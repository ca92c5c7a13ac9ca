//! Conversions of files from and to `std`'s files, descriptors and child processes.

use std::{
    io::{self, Read, Seek, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
    process::{Command, Stdio},
};

use crate::common::fs::{everywhere_in, fifo};
use rustix::fs::OFlags;
use sward_io::fs::{File, OpenOptions};
use sward_runtime::thread;

fn is_nonblocking(fd: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::fcntl_getfl(fd)?.contains(OFlags::NONBLOCK))
}

#[test]
fn files_come_from_std_and_go_there_with_their_position() {
    everywhere_in(|dir| {
        let mut theirs = std::fs::File::create_new(dir.join("file"))?;
        theirs.write_all(b"abcdef")?;
        theirs.rewind()?;
        let mut ours = File::from(theirs);
        let mut buffer = [0; 2];
        ours.read_exact(&mut buffer)?;
        assert_eq!(&buffer, b"ab");
        let mut theirs = std::fs::File::from(ours);
        theirs.read_exact(&mut buffer)?;
        assert_eq!(&buffer, b"cd");

        let mut ours = File::from(OwnedFd::from(theirs));
        ours.read_exact(&mut buffer)?;
        assert_eq!(&buffer, b"ef");
        assert!(OwnedFd::from(ours).as_raw_fd() > 2);
        Ok(())
    });
}

#[test]
fn descriptors_are_lent_told_and_given_up() {
    everywhere_in(|dir| {
        let mut file = File::create_new(dir.join("file"))?;
        file.write_all(b"abc")?;
        let number = file.as_raw_fd();
        assert_eq!(file.as_fd().as_raw_fd(), number);
        let duplicate = file.as_fd().try_clone_to_owned()?;
        assert_eq!(file.into_raw_fd(), number);
        // SAFETY: it was given up just now.
        let mut file = unsafe { File::from_raw_fd(number) };
        assert_eq!(file.stream_position()?, 3);
        assert_eq!(File::from(duplicate).stream_position()?, 3);
        file.rewind()
    });
}

#[test]
fn streams_that_are_given_up_block_as_in_std() {
    everywhere_in(|dir| {
        fifo(&dir.join("fifo"))?;
        let open = || OpenOptions::new().read(true).write(true).open(dir.join("fifo"));
        let mut ours = open()?;
        let mut clone = ours.try_clone()?;
        ours.write_all(b"ab")?;
        let mut theirs = std::fs::File::from(ours);
        assert!(!is_nonblocking(&theirs)?);
        let mut byte = [0];
        theirs.read_exact(&mut byte)?;
        assert_eq!(&byte, b"a");
        // Clones go on parking.
        clone.read_exact(&mut byte)?;
        assert_eq!(&byte, b"b");
        let reader = thread::spawn(move || clone.read(&mut [0; 8]));
        crate::common::settle();
        assert!(!reader.is_finished());
        theirs.write_all(b"cde")?;
        assert_eq!(reader.join().expect("no panic")?, 3);

        let fd = OwnedFd::from(open()?);
        assert!(!is_nonblocking(&fd)?);
        Ok(())
    });
}

#[test]
fn children_read_and_write_files() {
    everywhere_in(|dir| {
        File::create(dir.join("in"))?.write_all(b"through a child")?;
        let stdin = Stdio::from(File::open(dir.join("in"))?);
        let stdout = Stdio::from(File::create(dir.join("out"))?);
        assert!(Command::new("cat").stdin(stdin).stdout(stdout).status()?.success());
        assert_eq!(std::fs::read(dir.join("out"))?, b"through a child");
        Ok(())
    });
}
