//! A TCP proxy: whatever comes in goes on to another server, and back.
//!
//! Two green threads for each connection, one for either direction. `io::copy` has `std`'s signature, and `std`'s would do as well; this
//! one leaves the bytes in the kernel.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use sward::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Copies until `from` has no more to say, and tells `to` so.
fn forward(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<u64> {
    let bytes = io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)?;
    Ok(bytes)
}

/// Stands between one client and the server.
fn relay(client: &TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    // The two directions borrow the two sockets; the scope ends when both have ended.
    let (there, back) = thread::scope(|s| {
        let there = s.spawn(|| forward(client, &server));
        let back = forward(&server, client);
        (there.join().expect("it does not panic"), back)
    });
    println!("relayed {} bytes there and {} back", there?, back?);
    Ok(())
}

/// Serves each connection on a green thread of its own.
fn listen(handle: impl Fn(TcpStream) -> io::Result<()> + Copy + Send + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        for stream in listener.incoming() {
            let stream = stream?;
            thread::spawn(move || handle(stream));
        }
        Ok(())
    });
    Ok(address)
}

fn main() -> io::Result<()> {
    let server = listen(|stream| forward(&stream, &stream).map(drop))?;
    let proxy = listen(move |stream| relay(&stream, server))?;

    let clients: Vec<_> = (0..10_usize)
        .map(|i| {
            thread::spawn(move || -> io::Result<()> {
                let sent = vec![b'a' + i as u8; 10_000 * (i + 1)];
                let stream = TcpStream::connect(proxy)?;
                let received = thread::scope(|s| {
                    // An echo server's client must read while it writes, or both would wait.
                    s.spawn(|| (&stream).write_all(&sent).and_then(|()| stream.shutdown(Shutdown::Write)));
                    let mut received = Vec::new();
                    (&stream).read_to_end(&mut received).map(|_| received)
                })?;
                assert_eq!(received, sent);
                Ok(())
            })
        })
        .collect();
    for client in clients {
        client.join().expect("it does not panic")?;
    }
    Ok(())
}
