//! Sockets in futures, and futures as streams: bytes in order, wakes, ends, who gives way, and the ends of runtimes.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::common::{everywhere, pair, process::one_worker, runtimes, settle, watchdog};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future::zip};
use socket2::{Domain, SockRef, Socket, Type};
use sward_io::{
    RuntimeClosed,
    io::{BlockOn, Polled},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
};
use sward_runtime::{
    future::block_on,
    thread::{self, yield_now},
};

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }

    fn until_woken(&self) {
        while self.count() == 0 {
            yield_now();
        }
    }
}

/// Polls a read of one byte once.
fn poll_byte<S>(stream: &mut Polled<S>, wakes: &Arc<Wakes>) -> Poll<io::Result<u8>>
where
    Polled<S>: AsyncRead + Unpin,
{
    let waker = Waker::from(Arc::clone(wakes));
    let mut byte = [0];
    let poll = Pin::new(stream).poll_read(&mut Context::from_waker(&waker), &mut byte);
    poll.map_ok(|read| {
        assert_eq!(read, 1);
        byte[0]
    })
}

/// Sends `bytes` to an echo and reads them back, both at once.
async fn there_and_back<S: AsyncRead + AsyncWrite + Unpin>(stream: S, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let (mut reader, mut writer) = futures_lite::io::split(stream);
    let write = async {
        writer.write_all(bytes).await?;
        writer.close().await
    };
    let mut back = Vec::new();
    let (read, written) = zip(reader.read_to_end(&mut back), write).await;
    written?;
    assert_eq!(read?, back.len());
    Ok(back)
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<()> {
    let (reader, mut writer) = futures_lite::io::split(stream);
    futures_lite::io::copy(reader, &mut writer).await?;
    writer.close().await
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
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

#[test]
fn another_executor_does_as_well() {
    let _watchdog = watchdog();
    let (client, server) = pair().expect("a connection");
    let sent = bytes(1 << 20);
    let both = zip(echo(Polled::new(server)), there_and_back(Polled::new(client), &sent));
    let (echoed, back) = futures_lite::future::block_on(both);
    echoed.expect("echoed");
    assert!(back.expect("read") == sent);
}

#[test]
fn a_future_and_a_thread_talk() {
    everywhere(|| {
        let (client, mut server) = pair()?;
        let future = thread::spawn(|| {
            block_on(async {
                let mut client = Polled::new(client);
                client.write_all(b"question").await?;
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.map(|_| answer)
            })
        });
        let mut question = [0; 8];
        server.read_exact(&mut question)?;
        assert_eq!(&question, b"question");
        settle();
        server.write_all(b"answer")?;
        server.shutdown(Shutdown::Write)?;
        assert_eq!(future.join().expect("no panic")?, "answer");
        Ok(())
    });
}

#[test]
fn several_buffers_in_one_call() {
    everywhere(|| {
        let (one, other) = pair()?;
        let (mut one, mut other) = (Polled::new(one), Polled::new(other));
        let (mut a, mut b) = ([0; 3], [0; 3]);
        block_on(async {
            assert_eq!(one.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]).await?, 5);
            one.flush().await?;
            let read = other.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]).await?;
            assert_eq!(read, 5);
            io::Result::Ok(())
        })?;
        assert_eq!((&a, &b), (b"abc", b"de\0"));
        Ok(())
    });
}

#[test]
fn messages_that_are_kept_apart_are_all_read() {
    everywhere(|| {
        let (socket, sender) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        let mut stream = Polled::new(TcpStream::from(socket));
        assert!(poll_byte(&mut stream, &Arc::default()).is_pending());
        for message in ["one", "three", "fifteen"] {
            sender.send(message.as_bytes())?;
        }
        for len in [3, 5, 7] {
            assert_eq!(block_on(stream.read(&mut [0; 64]))?, len);
        }
        Ok(())
    });
}

#[test]
fn the_last_waker_is_woken_and_no_other() {
    everywhere(|| {
        let (one, mut other) = pair()?;
        let mut one = Polled::new(one);
        let (first, last) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        assert!(poll_byte(&mut one, &first).is_pending());
        assert!(poll_byte(&mut one, &last).is_pending());
        // The place, and with it the waker, is given up.
        assert_eq!(Arc::strong_count(&first), 1);
        other.write_all(b"x")?;
        last.until_woken();
        assert_eq!(first.count(), 0);
        assert!(matches!(poll_byte(&mut one, &last), Poll::Ready(Ok(b'x'))));
        assert_eq!(last.count(), 1);
        Ok(())
    });
}

#[test]
fn who_waits_again_and_again_is_woken_once_for_each_time() {
    everywhere(|| {
        let (one, mut other) = pair()?;
        let mut one = Polled::new(one);
        // By turns, so that some waits are the first of their waker, and some are not.
        let both = [Arc::new(Wakes::default()), Arc::new(Wakes::default())];
        for turn in 0..40 {
            let wakes = &both[turn / 4 % 2];
            let before = wakes.count();
            assert!(poll_byte(&mut one, wakes).is_pending());
            assert_eq!(wakes.count(), before);
            other.write_all(b"x")?;
            while wakes.count() == before {
                yield_now();
            }
            assert!(matches!(poll_byte(&mut one, wakes), Poll::Ready(Ok(b'x'))));
            assert_eq!(wakes.count(), before + 1);
        }
        assert_eq!(both.each_ref().map(|wakes| wakes.count()), [20, 20]);
        drop(one);
        assert_eq!(both.each_ref().map(Arc::strong_count), [1, 1]);
        Ok(())
    });
}

#[test]
fn what_is_dropped_while_pending_leaves_no_waker() {
    everywhere(|| {
        let (one, mut other) = pair()?;
        let mut one = Polled::new(one);
        let wakes = Arc::new(Wakes::default());
        assert!(poll_byte(&mut one, &wakes).is_pending());
        let mut one = one.into_inner();
        assert_eq!(Arc::strong_count(&wakes), 1);
        other.write_all(b"x")?;
        assert_eq!(one.read(&mut [0; 4])?, 1);
        assert_eq!(wakes.count(), 0);
        Ok(())
    });
}

#[test]
fn who_never_has_to_wait_gives_way() {
    let _watchdog = watchdog();
    one_worker().run(|| {
        let (one, _other) = pair().expect("a connection");
        let mut one = Polled::new(one);
        let is_done = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let is_done = Arc::clone(&is_done);
            move || is_done.store(true, SeqCst)
        });
        // To write nothing never has to wait.
        block_on(async {
            while !is_done.load(SeqCst) {
                assert_eq!(one.write(&[]).await.expect("nothing"), 0);
            }
        });
        other.join().expect("no panic");
    });
}

#[test]
fn a_poll_does_not_suspend() {
    let _watchdog = watchdog();
    one_worker().run(|| {
        let (one, _other) = pair().expect("a connection");
        let mut one = Polled::new(one);
        let wakes = Arc::new(Wakes::default());
        // It would panic.
        thread::no_suspend(|| {
            assert!(poll_byte(&mut one, &wakes).is_pending());
            let waker = Waker::from(Arc::clone(&wakes));
            let mut context = Context::from_waker(&waker);
            let write = |_: &i32| Pin::new(&mut one).poll_write(&mut context, &[]).is_pending();
            let pending = (0..1000).filter(write).count();
            assert!(pending > 0 && pending < 100);
        });
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
        // The connection has ended already: there is nothing to close.
        block_on(one.close())
    });
}

#[test]
fn the_end_of_the_runtime_is_an_error() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (one, _other) = pair().expect("a connection");
        let mut one = Polled::new(one);
        let wakes = Arc::new(Wakes::default());
        runtime.run(|| assert!(poll_byte(&mut one, &wakes).is_pending()));
        drop(runtime);
        wakes.until_woken();
        let Poll::Ready(Err(error)) = poll_byte(&mut one, &wakes) else { panic!("it has ended") };
        assert!(error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>()));
    }
}

#[test]
fn a_thread_reads_and_writes_what_is_polled() {
    everywhere(|| {
        let (client, mut server) = pair()?;
        let mut client = BlockOn::new(Polled::new(client));
        let answering = thread::spawn(move || {
            let mut question = [0; 8];
            server.read_exact(&mut question)?;
            settle();
            server.write_all(&question)
        });
        let written = client.write_vectored(&[IoSlice::new(b"ques"), IoSlice::new(b"tion")])?;
        assert_eq!(written, 8);
        client.flush()?;
        let mut answer = [0; 8];
        client.read_exact(&mut answer)?;
        assert_eq!(&answer, b"question");
        answering.join().expect("no panic")?;
        assert_eq!(client.read_vectored(&mut [IoSliceMut::new(&mut answer)])?, 0);
        assert!(!SockRef::from(&*client.get_mut()).tcp_nodelay()?);
        SockRef::from(client.get_ref()).set_tcp_nodelay(true)?;
        let client = client.into_inner();
        assert!(format!("{client:?}").contains("TcpStream"));
        assert!(client.into_inner().nodelay()?);
        Ok(())
    });
}

#[test]
fn green_threads_and_futures_wait_for_each_other() {
    everywhere(|| {
        let (one, mut other) = pair()?;
        let mut one = Polled::new(one);
        let reading = thread::spawn(move || {
            let mut byte = [0];
            other.read(&mut byte).map(|_| byte[0])
        });
        let (read, written) = block_on(zip(reading, one.write_all(b"z")));
        written?;
        assert_eq!(read.expect("no panic")?, b'z');
        assert!(block_on(poll_fn(|context| Pin::new(&mut one).poll_flush(context))).is_ok());
        Ok(())
    });
}
