//! The standard streams where they are full, or almost: what fits is written, and nobody waits for more.
//!
//! Each test runs in a process of its own, in which a pipe takes the place of the standard output.
#![expect(clippy::print_stdout, reason = "what `std` prints is a part of it")]

use std::{
    io::{self as std_io, PipeReader, PipeWriter},
    os::fd::OwnedFd,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sward_io::io::{self, Read, Write};
use sward_runtime::{cancel::Cancelled, thread};

use crate::common::{
    process::{alone, until_waiting},
    runtimes, settle,
};

/// A page of a pipe.
const PAGE: usize = 4096;

/// What fills a page of a pipe so far that the next write of this size takes another one.
const MOST_OF_A_PAGE: usize = PAGE / 2 + 1;

/// A pipe in the place of the standard output.
struct Redirected {
    before: OwnedFd,
    reader: PipeReader,
    writer: PipeWriter,
    /// How much was in the pipe to begin with.
    filled: usize,
}

impl Redirected {
    /// A pipe whose pages have so much in them, each.
    fn new(in_a_page: usize) -> Self {
        let (reader, mut writer) = std_io::pipe().expect("a pipe");
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut filled = 0;
        while poll(&mut [PollFd::new(&writer, PollFlags::OUT)], Some(&now)).expect("open") != 0 {
            writer.write_all(&vec![b'x'; in_a_page]).expect("a page is free");
            filled += in_a_page;
        }
        // What the harness has written.
        std_io::stdout().flush().expect("written");
        let before = rustix::io::dup(rustix::stdio::stdout()).expect("a duplicate");
        rustix::stdio::dup2_stdout(&writer).expect("redirected");
        Self { before, reader, writer, filled }
    }

    /// Makes room for whoever waits for it.
    fn drain(&mut self) {
        let mut filling = vec![0; std::mem::take(&mut self.filled)];
        self.reader.read_exact(&mut filling).expect("it is there");
    }

    /// All that has been written since.
    fn finish(mut self) -> String {
        self.drain();
        rustix::stdio::dup2_stdout(&self.before).expect("as it was");
        drop(self.writer);
        let mut output = String::new();
        self.reader.read_to_string(&mut output).expect("UTF-8");
        output
    }
}

#[test]
fn what_there_is_room_for_is_written_although_nobody_reads() {
    alone("what_there_is_room_for_is_written_although_nobody_reads", || {
        for runtime in runtimes() {
            // No page is free, but in the last one there is room.
            let pipe = Redirected::new(MOST_OF_A_PAGE);
            runtime.run(|| {
                let mut stdout = io::stdout();
                stdout.write_all(b"a line\n").expect("written");
                writeln!(stdout, "line {} in {} parts", 2, 5).expect("written");
                write!(stdout, "a part").expect("written");
                stdout.flush().expect("written");
                print!(", one of std,");
                stdout.flush().expect("written");
                print!(" and");
                stdout.write_all(b" the end\n").expect("written");
            });
            assert_eq!(pipe.finish(), "a line\nline 2 in 5 parts\na part, one of std, and the end\n");
        }
    });
}

#[test]
fn where_there_is_no_room_parts_of_lines_are_kept_back_and_nothing_is_flushed_at_once() {
    let name = "where_there_is_no_room_parts_of_lines_are_kept_back_and_nothing_is_flushed_at_once";
    alone(name, || {
        for runtime in runtimes() {
            let mut pipe = Redirected::new(PAGE);
            runtime.run(|| {
                let mut stdout = io::stdout();
                stdout.flush().expect("nothing");
                let stderr = rustix::io::dup(rustix::stdio::stderr()).expect("a duplicate");
                rustix::stdio::dup2_stderr(&pipe.writer).expect("redirected");
                let flushed = io::stderr().flush();
                rustix::stdio::dup2_stderr(&stderr).expect("as it was");
                flushed.expect("nothing");

                stdout.write_all(b"kept").expect("kept");
                stdout.write_all(b" back").expect("kept");
                let flusher = thread::spawn(|| io::stdout().flush());
                until_waiting(&flusher, "Writable");
                pipe.drain();
                flusher.join().expect("no panic").expect("written");
            });
            assert_eq!(pipe.finish(), "kept back");
        }
    });
}

#[test]
fn more_of_a_line_than_is_kept_back_parks_where_there_is_no_room() {
    alone("more_of_a_line_than_is_kept_back_parks_where_there_is_no_room", || {
        for runtime in runtimes() {
            let mut pipe = Redirected::new(PAGE);
            runtime.run(|| {
                let writer = thread::spawn(|| {
                    let mut stdout = io::stdout();
                    (0..100).try_for_each(|_| stdout.write_all(&[b'y'; 100]))
                });
                until_waiting(&writer, "Writable");
                pipe.drain();
                writer.join().expect("no panic").expect("written");
                io::stdout().flush().expect("written");
            });
            assert_eq!(pipe.finish(), "y".repeat(10_000));
        }
    });
}

#[test]
fn a_cancelled_flush_of_what_std_has_printed_keeps_no_worker() {
    alone("a_cancelled_flush_of_what_std_has_printed_keeps_no_worker", || {
        for runtime in runtimes() {
            let mut pipe = Redirected::new(PAGE);
            runtime.run(|| {
                print!("printed");
                let flusher = thread::spawn(|| io::stdout().flush());
                until_waiting(&flusher, "Pool");
                flusher.cancel();
                assert!(flusher.join().expect_err("cancelled").is::<Cancelled>());
                let writer = thread::spawn(|| io::stdout().write_all(b" and written\n"));
                // On the only worker, if there is but one.
                until_waiting(&writer, "Writable");
                settle();
                assert!(!writer.is_finished());
                pipe.drain();
                writer.join().expect("no panic").expect("written");
            });
            assert_eq!(pipe.finish(), "printed and written\n");
        }
    });
}
