//! A Redis client: the crate `redis` on a socket of sward's. All commands of the crate work on it.
//!
//! By itself it talks to a server of its own, which knows four commands. `cargo run --example redis_client -- 127.0.0.1:6379` talks to a
//! real one, and leaves two keys there that begin with `sward:`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    collections::HashMap,
    env, io,
    io::{BufReader, Write},
};

use redis::{Cmd, Commands, ConnectionLike, Parser, RedisResult, Value};
use sward::{
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A connection, which writes commands and reads replies.
struct Connection {
    stream: BufReader<TcpStream>,
    parser: Parser,
    is_open: bool,
}

impl Connection {
    fn open(server: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), parser: Parser::new(), is_open: true })
    }

    fn reply(&mut self) -> RedisResult<Value> {
        let reply = self.parser.parse_value(&mut self.stream);
        self.is_open &= !reply.as_ref().is_err_and(|error| error.is_unrecoverable_error());
        reply.and_then(Value::extract_error)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.stream.get_mut().write_all(command)?;
        self.reply()
    }

    fn req_packed_commands(&mut self, commands: &[u8], skip: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.stream.get_mut().write_all(commands)?;
        let replies = (0..skip + count).map(|_| self.reply()).collect::<RedisResult<Vec<_>>>()?;
        Ok(replies.into_iter().skip(skip).collect())
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        self.req_command(Cmd::new().arg("PING")).is_ok()
    }

    fn is_open(&self) -> bool {
        self.is_open
    }
}

/// What the server keeps.
type Store = Mutex<HashMap<String, String>>;

/// Carries out one command, and writes its reply.
fn carry_out(command: &[String], store: &Store, mut stream: &TcpStream) -> io::Result<()> {
    let mut store = store.lock().expect("no server panics");
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    match words[..] {
        ["PING"] => write!(stream, "+PONG\r\n"),
        ["SET", key, value] => {
            store.insert(key.to_owned(), value.to_owned());
            write!(stream, "+OK\r\n")
        }
        ["GET", key] => match store.get(key) {
            Some(value) => write!(stream, "${}\r\n{value}\r\n", value.len()),
            None => write!(stream, "$-1\r\n"),
        },
        ["INCRBY", key, by] => {
            let value = store.entry(key.to_owned()).or_default();
            let sum = value.parse().unwrap_or(0) + by.parse().unwrap_or(0_i64);
            *value = sum.to_string();
            write!(stream, ":{sum}\r\n")
        }
        _ => write!(stream, "-ERR no such command\r\n"),
    }
}

/// Serves one client. Commands look as replies do, so the same parser reads them.
fn serve(stream: &TcpStream, store: &Store) -> RedisResult<()> {
    let (mut commands, mut parser) = (BufReader::new(stream), Parser::new());
    loop {
        let command: Vec<String> = redis::from_redis_value(parser.parse_value(&mut commands)?)?;
        carry_out(&command, store, stream)?;
    }
}

fn start_server() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        let store = Arc::new(Store::default());
        for stream in listener.incoming() {
            let (stream, store) = (stream?, Arc::clone(&store));
            thread::spawn(move || serve(&stream, &store));
        }
        Ok(())
    });
    Ok(address.to_string())
}

fn main() -> RedisResult<()> {
    let server = env::args().nth(1).map_or_else(start_server, Ok)?;
    let mut connection = Connection::open(&server)?;
    assert!(connection.check_connection());
    let () = connection.set("sward:greeting", "hello")?;
    let greeting: String = connection.get("sward:greeting")?;
    let nothing: Option<String> = connection.get("sward:nothing")?;
    assert_eq!((&*greeting, nothing), ("hello", None));
    assert!(redis::cmd("SWARD").query::<()>(&mut connection).is_err());

    // Fifty clients count at once, a hundred each, in one go.
    let () = connection.set("sward:count", 0)?;
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let server = server.clone();
            thread::spawn(move || -> RedisResult<()> {
                let mut commands = redis::pipe();
                for _ in 0..100 {
                    commands.incr("sward:count", 1).ignore();
                }
                commands.query(&mut Connection::open(&server)?)
            })
        })
        .collect();
    for client in clients {
        client.join().expect("it does not panic")?;
    }
    let count: u64 = connection.get("sward:count")?;
    assert_eq!(count, 5000);
    println!("50 clients have counted to {count}");
    Ok(())
}
