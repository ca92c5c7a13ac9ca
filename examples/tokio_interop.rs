//! One program with both: tasks of tokio await green threads, and green threads wait for tasks of tokio.
//!
//! Each world keeps its own runtime, sockets and timers. What goes between them is a handle, which is a future on either side, so
//! no feature is needed. A green thread must not `enter` a runtime of tokio, since that belongs to the OS thread: it spawns a
//! task there, and waits for it.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use sward::{future, net::TcpStream, thread};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Runtime,
    time::{sleep, timeout},
};

/// A task of tokio for each client, which has the work done by a green thread: code that blocks, and yet keeps no OS thread.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut question = [0; 8];
            stream.read_exact(&mut question).await?;
            let working = thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                u64::from_be_bytes(question) * 2
            });
            // The limit is tokio's, the work sward's.
            let answer = timeout(Duration::from_secs(10), working).await?.expect("it does not panic");
            stream.write_all(&answer.to_be_bytes()).await
        });
    }
}

/// A client on a green thread, with a socket of sward's.
fn ask(server: SocketAddr, number: u64) -> io::Result<u64> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&number.to_be_bytes())?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    Ok(u64::from_be_bytes(answer))
}

fn main() -> io::Result<()> {
    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let server = listener.local_addr()?;
    runtime.spawn(serve(listener));

    // Green threads talk to tasks over sockets, all of them at once.
    let clients: Vec<_> = (0..100).map(|number| thread::spawn(move || ask(server, number))).collect();
    for (number, client) in (0..).zip(clients) {
        assert_eq!(client.join().expect("it does not panic")?, 2 * number);
    }

    // A green thread waits for a task, which sleeps as tasks do.
    let tasks = runtime.handle().clone();
    let waiting = thread::spawn(move || {
        let task = tasks.spawn(async {
            sleep(Duration::from_millis(5)).await;
            "from a task"
        });
        future::block_on(task).expect("it does not panic")
    });

    // A task awaits that green thread.
    let answer = runtime.block_on(async { waiting.await.expect("it does not panic") });
    assert_eq!(answer, "from a task");
    println!("100 clients were answered, and {answer} came a word");
    Ok(())
}
