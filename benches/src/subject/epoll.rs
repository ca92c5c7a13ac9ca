//! A loop around epoll on one thread, without a runtime: the limit for servers that answer at once.
//!
//! It makes the two system calls that a message needs, and one more for as many messages as are there at a time. Events are
//! edge-triggered; a read that fills only part of its buffer has drained the socket, so no second one is made to learn that.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use mio::event::Source;
use mio::net::{TcpListener, UdpSocket, UnixListener};
use mio::{Events, Interest, Poll, Token};

use super::dialogue::Dialogue;
use super::serving::{Announce, Role, Serve, Service, unix_path};
use crate::error::Result;
use crate::work::MESSAGE_LEN;

/// As many events as the other subjects take at a time, or more.
const EVENTS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Epoll;

impl Serve for Epoll {
    fn serve(&self, mut service: Service, announce: Announce) -> Result<()> {
        if service.role == Role::Http {
            // Less than that no server for HTTP can do.
            service.role = Role::SmallHttp;
        }
        match service.role {
            Role::UnixEcho => {
                let path = unix_path();
                let mut listener = UnixListener::bind(&path)?;
                announce(&path.to_string_lossy());
                serve_streams(service, &mut listener, |listener| Ok(listener.accept()?.0))
            }
            Role::UdpEcho => {
                let mut socket = UdpSocket::bind(([127, 0, 0, 1], 0).into())?;
                announce(&socket.local_addr()?.to_string());
                echo_datagrams(&mut socket)
            }
            _ => {
                let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
                announce(&listener.local_addr()?.to_string());
                serve_streams(service, &mut listener, |listener| {
                    let (stream, _) = listener.accept()?;
                    stream.set_nodelay(true)?;
                    Ok(stream)
                })
            }
        }
    }
}

/// A connection, under the number of its descriptor.
#[derive(Debug)]
struct Connection<S> {
    stream: S,
    dialogue: Dialogue,
}

fn token(fd: RawFd) -> Token {
    Token(fd.unsigned_abs() as usize)
}

fn serve_streams<L: Source + AsRawFd, S: Source + AsRawFd + Read + Write>(
    service: Service,
    listener: &mut L,
    accept: impl Fn(&L) -> std::io::Result<S>,
) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);
    let listening = token(listener.as_raw_fd());
    poll.registry().register(listener, listening, Interest::READABLE)?;
    let mut connections: Vec<Option<Connection<S>>> = Vec::new();
    loop {
        wait(&mut poll, &mut events)?;
        for event in &events {
            if event.token() == listening {
                while let Some(mut stream) = unless_empty(accept(listener))? {
                    let at = token(stream.as_raw_fd());
                    poll.registry().register(&mut stream, at, Interest::READABLE)?;
                    connections.resize_with(connections.len().max(at.0 + 1), || None);
                    connections[at.0] = Some(Connection { stream, dialogue: Dialogue::new(service) });
                }
                continue;
            }
            let place = &mut connections[event.token().0];
            if !place.as_mut().is_some_and(|connection| connection.answer(service)) {
                *place = None;
            }
        }
    }
}

impl<S: Read + Write> Connection<S> {
    /// Answers what is there; returns whether the connection goes on. It ends with its client, however that goes.
    fn answer(&mut self, service: Service) -> bool {
        loop {
            let room = self.dialogue.space().len();
            let count = match unless_empty(self.stream.read(self.dialogue.space())) {
                Ok(Some(count @ 1..)) => count,
                Ok(None) => return true,
                Ok(Some(0)) | Err(_) => return false,
            };
            let Ok(answer) = self.dialogue.received(count) else { return false };
            if let Some(answer) = answer
                && (self.stream.write_all(answer).is_err() || service.is_once())
            {
                return false;
            }
            if count < room {
                return true;
            }
        }
    }
}

fn echo_datagrams(socket: &mut UdpSocket) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);
    poll.registry().register(socket, Token(0), Interest::READABLE)?;
    let mut datagram = [0; 2 * MESSAGE_LEN];
    loop {
        wait(&mut poll, &mut events)?;
        while let Some((count, from)) = unless_empty(socket.recv_from(&mut datagram))? {
            socket.send_to(&datagram[..count], from)?;
        }
    }
}

fn wait(poll: &mut Poll, events: &mut Events) -> Result<()> {
    match poll.poll(events, None) {
        Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
        _ => Ok(()),
    }
}

/// What came, or `None` if there is nothing now.
fn unless_empty<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
