//! An HTTP client: ureq on sward's sockets and name look-ups, with fifty requests at once.
//!
//! ureq lets a program say how to connect and how to resolve. What it takes is forty lines, and everything else of ureq works as it does:
//! pooled connections, redirects, limits of time.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    error::Error,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    mem::MaybeUninit,
};

use socket2::SockRef;
use sward::{
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    thread,
};
use ureq::{
    Agent,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport},
    },
};

/// Looks names up, off the workers.
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let mut addrs = self.empty();
        (host, uri.port_u16().unwrap_or(80)).to_socket_addrs()?.take(16).for_each(|addr| addrs.push(addr));
        Ok(addrs)
    }
}

/// Connects.
#[derive(Debug)]
struct Sockets;

impl Connector for Sockets {
    type Out = Socket;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Socket>, ureq::Error> {
        let stream = TcpStream::connect(&details.addrs[..])?;
        stream.set_nodelay(true)?;
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Socket { stream, buffers: LazyBuffers::new(input, output) }))
    }
}

/// A connection.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
}

/// A limit of time that has passed.
fn in_time<T>(result: io::Result<T>, timeout: &NextTimeout) -> Result<T, ureq::Error> {
    result.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => ureq::Error::Timeout(timeout.reason),
        _ => error.into(),
    })
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.set_write_timeout(timeout.not_zero().map(|after| *after))?;
        in_time(self.stream.write_all(&self.buffers.output()[..amount]), &timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.set_read_timeout(timeout.not_zero().map(|after| *after))?;
        let read = in_time(self.stream.read(self.buffers.input_append_buf()), &timeout)?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        // ureq holds a lock of `std` here, so nothing may suspend: it is the descriptor that is asked, which never waits.
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        // One that waits for its next request has nothing to say.
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// Answers each request of one client with the path that it asked for.
fn serve(stream: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next().transpose()? {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        // To the end of the head; these requests have no body.
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        write!(&mut &*stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len())?;
    }
    Ok(())
}

fn listen() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        for stream in listener.incoming() {
            let stream = stream?;
            thread::spawn(move || serve(&stream));
        }
        Ok(())
    });
    Ok(address)
}

fn main() -> Result<(), Box<dyn Error>> {
    let port = listen()?.port();
    let agent = Agent::with_parts(Config::default(), Sockets, Names);
    let clients: Vec<_> = (0..50)
        .map(|number| {
            let agent = agent.clone();
            thread::spawn(move || -> Result<(), ureq::Error> {
                for page in 0..3 {
                    let path = format!("/client/{number}/page/{page}");
                    let mut response = agent.get(format!("http://127.0.0.1:{port}{path}")).call()?;
                    assert_eq!(response.body_mut().read_to_string()?, path);
                }
                Ok(())
            })
        })
        .collect();
    for client in clients {
        client.join().expect("it does not panic")?;
    }
    println!("150 requests were answered");
    Ok(())
}
