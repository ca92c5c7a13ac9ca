//! Sockets with the traits of tokio: on green threads, and in tasks of tokio.

use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    mem::MaybeUninit,
    pin::Pin,
};

use crate::common::{DropToken, Drops, everywhere, pair, wait_until};
use sward_io::{
    io::Polled,
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
};
use sward_runtime::{future::block_on, thread};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy, copy_bidirectional, split},
    runtime::Runtime,
};

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

async fn echo(stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
    let (mut reader, mut writer) = split(stream);
    copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

/// Sends `bytes` to an echo and reads them back, both at once.
async fn there_and_back(stream: impl AsyncRead + AsyncWrite, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let (mut reader, mut writer) = split(stream);
    let write = async {
        writer.write_all(bytes).await?;
        writer.shutdown().await
    };
    let mut back = Vec::new();
    let (read, written) = futures_lite::future::zip(reader.read_to_end(&mut back), write).await;
    written?;
    assert_eq!(read?, back.len());
    Ok(back)
}

#[test]
fn what_is_sent_comes_back_in_order() {
    everywhere(|| {
        let sent = bytes(1 << 20);
        let (client, server) = pair()?;
        let echoing = thread::spawn(|| block_on(echo(Polled::new(server))));
        assert!(block_on(there_and_back(Polled::new(client), &sent))? == sent);
        echoing.join().expect("no panic")?;

        let (client, server) = UnixStream::pair()?;
        let echoing = thread::spawn(|| block_on(echo(Polled::new(server))));
        assert!(block_on(there_and_back(Polled::new(client), &sent))? == sent);
        echoing.join().expect("no panic")
    });
}

/// Sends `bytes` to an echo and reads them back, on two green threads.
fn send_and_read(stream: TcpStream, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut writer = stream.try_clone()?;
    let writing = thread::spawn(move || {
        writer.write_all(&bytes)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut back = Vec::new();
    (&stream).read_to_end(&mut back)?;
    writing.join().expect("no panic")?;
    Ok(back)
}

#[test]
fn tasks_copy_both_ways_between_green_threads() {
    let tokio = Runtime::new().expect("a runtime of tokio");
    everywhere(|| {
        let sent = bytes(1 << 20);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let ((client, one), (other, mut server)) = (pair()?, pair()?);
                let between = tokio.spawn(async {
                    copy_bidirectional(&mut Polled::new(one), &mut Polled::new(other)).await
                });
                let echoing = thread::spawn(move || {
                    io::copy(&mut server.try_clone()?, &mut server)?;
                    server.shutdown(Shutdown::Write)
                });
                let sent = sent.clone();
                let client = thread::spawn(move || send_and_read(client, sent));
                Ok((client, between, echoing))
            })
            .collect::<io::Result<_>>()?;
        for (client, between, echoing) in clients {
            assert!(client.join().expect("no panic")? == sent);
            echoing.join().expect("no panic")?;
            assert_eq!(block_on(between).expect("no panic")?, (1 << 20, 1 << 20));
        }
        Ok(())
    });
}

#[test]
fn a_task_that_is_aborted_while_it_reads_lets_go_of_its_socket() {
    let tokio = Runtime::new().expect("a runtime of tokio");
    everywhere(|| {
        let (mut client, server) = pair()?;
        let drops = Drops::new();
        let token = drops.token();
        let reading = tokio.spawn(async move {
            let _token: DropToken = token;
            let mut server = Polled::new(server);
            server.write_all(b"!").await?;
            server.read_u8().await
        });
        client.read_exact(&mut [0])?;
        reading.abort();
        assert_eq!(client.read(&mut [0])?, 0);
        assert!(block_on(reading).expect_err("aborted").is_cancelled());
        wait_until(|| drops.count() == 1);
        Ok(())
    });
}

#[test]
fn a_read_fills_what_is_left_of_a_buffer_and_no_more() {
    everywhere(|| {
        let (mut client, server) = pair()?;
        let mut server = Polled::new(server);
        client.write_all(b"abcdef")?;
        let mut memory = [MaybeUninit::uninit(); 8];
        let mut buf = ReadBuf::uninit(&mut memory);
        buf.put_slice(b"01234");
        let mut read = |buf: &mut ReadBuf<'_>| {
            block_on(std::future::poll_fn(|context| Pin::new(&mut server).poll_read(context, buf)))
        };
        read(&mut buf)?;
        assert_eq!((buf.filled(), buf.remaining()), (&b"01234abc"[..], 0));
        buf.clear();
        read(&mut buf)?;
        assert_eq!((buf.filled(), buf.initialized().len()), (&b"def"[..], 8));
        client.shutdown(Shutdown::Write)?;
        read(&mut buf)?;
        assert_eq!(buf.filled(), b"def");
        Ok(())
    });
}

#[test]
fn several_buffers_in_one_call() {
    everywhere(|| {
        let (one, other) = UnixStream::pair()?;
        let (mut one, mut other) = (Polled::new(one), Polled::new(other));
        assert!(one.is_write_vectored());
        block_on(async {
            assert_eq!(one.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]).await?, 5);
            one.flush().await?;
            let mut read = [0; 5];
            other.read_exact(&mut read).await?;
            assert_eq!(&read, b"abcde");
            Ok(())
        })
    });
}

#[test]
fn errors_are_those_of_the_socket() {
    everywhere(|| {
        let (one, other) = pair()?;
        drop(other);
        let mut one = Polled::new(one);
        let error = block_on(async {
            loop {
                if let Err(error) = one.write_all(&[0; 1000]).await {
                    return error;
                }
            }
        });
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        // The connection has ended already: there is nothing to shut down.
        block_on(one.shutdown())
    });
}
