//! A server that answers in upper case, and a thousand clients that talk to it at once.
//!
//! Every connection is two green threads, one on either side, and each is written as if it were alone: it reads, and waits; it
//! writes, and waits. There is no callback, no `async`, and no list of sockets.
//!
//! `cargo run --release --example upper_echo -- 10000` takes more clients, if `ulimit -n` allows two descriptors for each.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io::{self, BufRead, BufReader, Write},
    time::Instant,
};

use sward::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::WaitGroup,
    thread,
};

/// Answers each line of one client in upper case, until the client hangs up.
fn serve(stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let answer = line?.to_uppercase() + "\n";
        (&*stream).write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Connects, waits until all others have connected, and asks once.
fn ask(server: SocketAddr, number: usize, everybody: WaitGroup) -> io::Result<String> {
    let stream = TcpStream::connect(server)?;
    everybody.wait();
    (&stream).write_all(format!("client {number}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    Ok(answer)
}

/// How many connections this process may have open, with both of their ends in it.
fn most_clients() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let descriptors: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(descriptors.saturating_sub(50) / 2)
}

fn main() -> io::Result<()> {
    let wanted = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1000);
    let clients = wanted.min(most_clients().unwrap_or(wanted));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        for stream in listener.incoming() {
            let stream = stream?;
            thread::spawn(move || serve(&stream));
        }
        Ok(())
    });

    let start = Instant::now();
    let everybody = WaitGroup::new();
    let clients: Vec<_> = (0..clients)
        .map(|number| {
            let everybody = everybody.clone();
            thread::spawn(move || ask(server, number, everybody))
        })
        .collect();
    everybody.wait();
    let count = clients.len();
    println!("{count} clients are connected after {:?}", start.elapsed());
    for (number, client) in clients.into_iter().enumerate() {
        let answer = client.join().expect("it does not panic")?;
        assert_eq!(answer, format!("CLIENT {number}\n"));
    }
    println!("{count} clients were answered after {:?}", start.elapsed());
    Ok(())
}
