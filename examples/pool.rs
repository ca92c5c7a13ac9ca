//! A pool of connections: many who ask, few connections, none opened more often than needed.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    time::Duration,
};

use sward::{
    net::{TcpListener, TcpStream},
    sync::{
        Pool,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task, thread,
};

static OPENED: AtomicUsize = AtomicUsize::new(0);

/// A server that counts connections and answers each line with its length.
fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            OPENED.fetch_add(1, Relaxed);
            thread::spawn(move || -> io::Result<()> {
                let mut stream = stream?;
                for line in BufReader::new(stream.try_clone()?).lines() {
                    writeln!(stream, "{}", line?.len())?;
                }
                Ok(())
            });
        }
    });
    Ok(address)
}

fn ask(connection: &mut BufReader<TcpStream>, question: &str) -> io::Result<String> {
    writeln!(connection.get_mut(), "{question}")?;
    let mut answer = String::new();
    connection.read_line(&mut answer)?;
    // As a server does that has something to do.
    thread::sleep(Duration::from_millis(1));
    Ok(answer)
}

fn main() -> io::Result<()> {
    let address = serve()?;
    let pool = Pool::new(4, move || TcpStream::connect(address).map(BufReader::new));
    let questions: Vec<String> = (0..100).map(|n| "?".repeat(n)).collect();
    let answers = task::try_gather(questions.iter().map(|question| {
        let pool = &pool;
        move || ask(&mut *pool.get()?, question)
    }))?;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.trim().parse(), Ok(n));
    }
    println!("{} answers over {} connections", answers.len(), OPENED.load(Relaxed));
    assert!(OPENED.load(Relaxed) <= 4);
    Ok(())
}
