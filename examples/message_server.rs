//! A server whose idle connections have no stack, with a limit and an end in good order.
//!
//! The handler is written like any other, but for the loop around it: it reads one message, waiting for the rest of it if need be,
//! answers, and says whether to go on. It runs on a green thread that lives as long as the message. Between messages a connection is
//! its state, so a server can keep very many of them.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io::{self, BufRead, BufReader, Write},
    ops::ControlFlow,
    time::Duration,
};

use sward::{
    net::{ServeOptions, SocketAddr, TcpListener, TcpStream, serve_messages},
    thread,
};

/// What is kept of a connection: the stream, with what has been read of it, and a sum.
struct Account {
    stream: BufReader<TcpStream>,
    sum: i64,
}

fn open(stream: TcpStream, _peer: SocketAddr) -> io::Result<Account> {
    // Who has begun a line finishes it soon.
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(Account { stream: BufReader::new(stream), sum: 0 })
}

/// Adds the number in each line, and answers with the sum.
fn add(account: &mut Account) -> io::Result<ControlFlow<()>> {
    loop {
        let mut line = String::new();
        if account.stream.read_line(&mut line)? == 0 {
            return Ok(ControlFlow::Break(()));
        }
        account.sum += line.trim().parse::<i64>().map_err(io::Error::other)?;
        writeln!(account.stream.get_mut(), "{}", account.sum)?;
        // What has been read already would not bring us back.
        if account.stream.buffer().is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
    }
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let options = ServeOptions::new()
        .max_connections(1_000)
        .idle_timeout(Duration::from_secs(60))
        .on_error(|error| println!("{error}"));
    let server = serve_messages(listener, options, open, add)?;

    let clients: Vec<_> = (1..=500)
        .map(|number| {
            thread::spawn(move || -> io::Result<(TcpStream, String)> {
                let mut stream = TcpStream::connect(addr)?;
                write!(stream, "{number}\n{number}\n")?;
                let answer = BufReader::new(&stream).lines().nth(1).expect("two answers")?;
                Ok((stream, answer))
            })
        })
        .collect();
    let mut connections = Vec::new();
    for (number, client) in (1..).zip(clients) {
        let (stream, answer) = client.join().expect("it does not panic")?;
        assert_eq!(answer, format!("{}", 2 * number));
        connections.push(stream);
    }
    println!("{} connections are open, and wait", server.connections());

    let mut wrong = &connections[0];
    wrong.write_all(b"three\n")?;
    assert_eq!(BufReader::new(wrong).read_line(&mut String::new())?, 0);
    let cut = server.shutdown(Duration::from_secs(10));
    println!("{} connections are open; {cut} had to be cut off", server.connections());
    assert_eq!((server.connections(), cut), (0, 0));
    Ok(())
}
