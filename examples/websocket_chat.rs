//! A chat over WebSockets: tungstenite on sward's sockets, a green thread for each member.
//!
//! What one says goes to all. A member's socket is read by its own green thread, and written by all of them, one at a time.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{collections::BTreeSet, error::Error, io};

use sward::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, WaitGroup},
    thread,
};
use tungstenite::{Message, WebSocket, protocol::Role};

/// How many take part.
const MEMBERS: usize = 10;

/// Where to write what was said.
type Room = Mutex<Vec<WebSocket<TcpStream>>>;

type Anyhow<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Tells all what one member says, until it leaves.
fn host(stream: TcpStream, room: &Room) -> Anyhow {
    // One to read from, and one to write to, with a lock around it that no reader holds.
    let mut ear = tungstenite::accept(stream.try_clone()?)?;
    let mut mouth = WebSocket::from_raw_socket(stream, Role::Server, None);
    {
        let mut room = room.lock().map_err(|_| "a host has panicked")?;
        mouth.send("welcome".into())?;
        room.push(mouth);
    }
    loop {
        // Fails in the end: when the member has left.
        let said = ear.read()?;
        if said.is_text() {
            for member in room.lock().map_err(|_| "a host has panicked")?.iter_mut() {
                // One that has left is no reason to leave the others.
                let _ = member.send(said.clone());
            }
        }
    }
}

/// Says hello when everybody is there, and listens until everybody has said so.
fn chat(server: SocketAddr, number: usize, everybody: WaitGroup) -> Anyhow<BTreeSet<String>> {
    let (mut socket, _) = tungstenite::client(format!("ws://{server}/"), TcpStream::connect(server)?)?;
    assert_eq!(socket.read()?, Message::text("welcome"));
    everybody.wait();
    socket.send(format!("{number}: hello").into())?;
    let heard = (0..MEMBERS).map(|_| Ok(socket.read()?.into_text()?.to_string())).collect();
    socket.close(None)?;
    heard
}

fn main() -> Anyhow {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        let room = Arc::new(Room::default());
        for stream in listener.incoming() {
            let (stream, room) = (stream?, Arc::clone(&room));
            thread::spawn(move || host(stream, &room));
        }
        Ok(())
    });

    let everybody = WaitGroup::new();
    let members: Vec<_> = (0..MEMBERS)
        .map(|number| {
            let everybody = everybody.clone();
            thread::spawn(move || chat(server, number, everybody))
        })
        .collect();
    drop(everybody);
    let expected: BTreeSet<_> = (0..MEMBERS).map(|number| format!("{number}: hello")).collect();
    for member in members {
        assert_eq!(member.join().expect("it does not panic")?, expected);
    }
    println!("{MEMBERS} members have heard each other");
    Ok(())
}
