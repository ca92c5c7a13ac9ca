//! Copying from descriptor to descriptor: every byte, in order; ends and errors in the middle; who else runs meanwhile.

use std::{
    io::{self, Cursor, ErrorKind, Read, Write},
    net::Shutdown,
    os::fd::OwnedFd,
};

use crate::common::{
    everywhere, pair,
    process::{alone, descriptors, one_worker, open_the_poller},
    runtimes, settle, watchdog,
};
use sward_io::{
    io::{PipeReader, PipeWriter, copy, pipe},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
};
use sward_runtime::thread;

/// Several times what fits into a pipe or a socket, and no multiple of anything.
const MUCH: usize = (3 << 20) + 12_345;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Copies `sent` from one to the other, with a thread at either end, and returns what arrives.
fn relay<A, B, C, D>(sent: &[u8], source: A, from: &mut B, to: C, sink: &mut D) -> io::Result<Vec<u8>>
where
    A: Write + Send,
    B: Read + Send,
    C: Write + Send,
    D: Read + Send,
{
    thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut source = source;
            source.write_all(sent)
        });
        let copying = scope.spawn(move || {
            let mut to = to;
            copy(from, &mut to)
        });
        let mut received = Vec::new();
        sink.read_to_end(&mut received)?;
        writing.join().expect("no panic")?;
        assert_eq!(copying.join().expect("no panic")?, sent.len() as u64);
        Ok(received)
    })
}

#[test]
fn between_connections_and_pipes_of_all_kinds() {
    everywhere(|| {
        let sent = bytes(MUCH);
        let (client, mut server) = pair()?;
        let (to, mut sink) = pair()?;
        assert!(relay(&sent, client, &mut server, to, &mut sink)? == sent, "tcp, tcp");

        let (client, mut server) = pair()?;
        let (to, mut sink) = UnixStream::pair()?;
        assert!(relay(&sent, client, &mut server, to, &mut sink)? == sent, "tcp, unix");

        let (client, mut server) = UnixStream::pair()?;
        let (mut sink, to) = pipe()?;
        assert!(relay(&sent, client, &mut server, to, &mut sink)? == sent, "unix, pipe");

        let (mut from, source) = pipe()?;
        let (to, mut sink) = pair()?;
        assert!(relay(&sent, source, &mut from, to, &mut sink)? == sent, "pipe, tcp");

        let (mut from, source) = pipe()?;
        let (mut sink, to) = pipe()?;
        assert!(relay(&sent, source, &mut from, to, &mut sink)? == sent, "pipe, pipe");
        Ok(())
    });
}

#[test]
fn by_reference_in_both_directions_at_once() {
    everywhere(|| {
        let sent = bytes(1 << 20);
        let (client, near) = pair()?;
        let (far, server) = pair()?;
        let forward = |mut from: &TcpStream, mut to: &TcpStream| {
            let copied = copy(&mut from, &mut to)?;
            to.shutdown(Shutdown::Write)?;
            io::Result::Ok(copied)
        };
        thread::scope(|scope| {
            let there = scope.spawn(|| forward(&near, &far));
            let back = scope.spawn(|| forward(&far, &near));
            let echo = scope.spawn(|| forward(&server, &server));
            let writing = scope.spawn(|| {
                (&client).write_all(&sent)?;
                client.shutdown(Shutdown::Write)
            });
            let mut received = Vec::new();
            (&client).read_to_end(&mut received)?;
            assert!(received == sent);
            writing.join().expect("no panic")?;
            for copying in [there, back, echo] {
                assert_eq!(copying.join().expect("no panic")?, 1 << 20);
            }
            io::Result::Ok(())
        })
    });
}

#[test]
fn what_is_no_descriptor_is_copied_all_the_same() {
    everywhere(|| {
        let sent = bytes(300_000);
        let (mut client, mut server) = pair()?;
        thread::scope(|scope| {
            let sent = &sent;
            let sending = scope.spawn(move || {
                let copied = copy(&mut Cursor::new(sent), &mut client);
                drop(client);
                copied
            });
            let mut received = Vec::new();
            let reader: &mut dyn Read = &mut server;
            assert_eq!(copy(reader, &mut received)?, 300_000);
            assert!(received == *sent);
            assert_eq!(sending.join().expect("no panic")?, 300_000);
            io::Result::Ok(())
        })?;

        let mut file = sward_io::fs::File::from(tempfile::tempfile()?);
        let (mut from, mut source) = pipe()?;
        source.write_all(&sent[..1000])?;
        drop(source);
        assert_eq!(copy(&mut from, &mut file)?, 1000);
        Ok(())
    });
}

#[test]
fn an_end_at_once_is_nothing() {
    everywhere(|| {
        let (client, mut server) = pair()?;
        let (mut to, _sink) = pair()?;
        drop(client);
        assert_eq!(copy(&mut server, &mut to)?, 0);
        Ok(())
    });
}

#[test]
fn a_writer_that_breaks_in_the_middle_is_an_error() {
    everywhere(|| {
        let (mut client, mut server) = pair()?;
        let (mut sink, mut to) = pipe()?;
        let copying = thread::spawn(move || copy(&mut server, &mut to));
        client.write_all(b"some of it")?;
        sink.read_exact(&mut [0; 10])?;
        drop(sink);
        // It may notice at the second write only.
        while client.write_all(b"more of it").is_ok() && !copying.is_finished() {
            thread::yield_now();
        }
        assert_eq!(copying.join().expect("no panic").expect_err("broken").kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn a_reader_that_breaks_in_the_middle_is_an_error() {
    everywhere(|| {
        let (client, mut server) = pair()?;
        let (mut to, mut sink) = pair()?;
        let copying = thread::spawn(move || copy(&mut server, &mut to));
        (&client).write_all(b"some of it")?;
        let mut some = [0; 10];
        sink.read_exact(&mut some)?;
        assert_eq!(&some, b"some of it");
        // The peer learns of it by a reset.
        let client = socket2::Socket::from(OwnedFd::from(client));
        client.set_linger(Some(std::time::Duration::ZERO))?;
        drop(client);
        let error = copying.join().expect("no panic").expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(sink.read(&mut some)?, 0);
        Ok(())
    });
}

#[test]
fn what_does_not_splice_is_written() {
    everywhere(|| {
        // A file that is appended to refuses, and so does any that is no stream, once something has been read.
        let file = tempfile::NamedTempFile::new()?;
        let appended = std::fs::OpenOptions::new().append(true).open(file.path())?;
        let mut to = PipeWriter::from(OwnedFd::from(appended));
        let (mut from, mut source) = pipe()?;
        let sent = bytes(200_000);
        let writing = thread::spawn(move || source.write_all(&bytes(200_000)));
        assert_eq!(copy(&mut from, &mut to)?, 200_000);
        writing.join().expect("no panic")?;
        assert!(std::fs::read(file.path())? == sent);

        // A reader that refuses.
        let directory = tempfile::tempdir()?;
        let mut from = PipeReader::from(OwnedFd::from(std::fs::File::open(directory.path())?));
        let (mut to, _sink) = pair()?;
        assert_eq!(copy(&mut from, &mut to).expect_err("a directory").kind(), ErrorKind::IsADirectory);
        Ok(())
    });
}

#[test]
fn through_a_child_process() {
    let _watchdog = watchdog();
    let runtime = runtimes().next().expect("there are some");
    runtime.run(|| {
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat");
        let (mut input, mut output) =
            (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (mut source, mut from) = UnixStream::pair().expect("a pair");
        let (mut to, mut sink) = pair().expect("a connection");
        let feeding = thread::spawn(move || copy(&mut from, &mut input));
        let draining = thread::spawn(move || copy(&mut output, &mut to));
        let writing = thread::spawn(move || source.write_all(&bytes(MUCH)));
        let mut received = Vec::new();
        sink.read_to_end(&mut received).expect("read");
        assert!(received == bytes(MUCH));
        writing.join().expect("no panic").expect("written");
        assert_eq!(feeding.join().expect("no panic").expect("fed"), MUCH as u64);
        assert_eq!(draining.join().expect("no panic").expect("drained"), MUCH as u64);
        assert!(child.wait().expect("waited for").success());
    });
}

#[test]
fn who_waits_keeps_neither_the_worker_nor_a_pipe() {
    alone("who_waits_keeps_neither_the_worker_nor_a_pipe", || {
        one_worker().run(|| {
            let pairs: Vec<_> = (0..50).map(|_| (pair().expect("two"), pair().expect("two"))).collect();
            open_the_poller();
            let before = descriptors();
            let (ends, copying): (Vec<_>, Vec<_>) = pairs
                .into_iter()
                .map(|((client, mut server), (mut to, sink))| {
                    let copying = thread::spawn(move || copy(&mut server, &mut to));
                    ((client, sink), copying)
                })
                .unzip();
            settle();
            // One that is idle, and none for each that waits.
            assert!(descriptors() <= before + 2);
            for (mut client, mut sink) in ends {
                client.write_all(b"byte").expect("room");
                sink.read_exact(&mut [0; 4]).expect("four bytes");
                drop(client);
            }
            for copying in copying {
                assert_eq!(copying.join().expect("no panic").expect("copied"), 4);
            }
        });
    });
}
