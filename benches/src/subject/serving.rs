//! Servers: what each is to do, and the code of the subjects whose sockets have the API of `std`'s.
//!
//! For these the code is the same but for the imports, so it is written once, as a macro that is expanded in a module for each.

use std::io::{Read, Write};
use std::path::PathBuf;

use super::dialogue::Dialogue;
use crate::error::Result;
use crate::work::{Batch, MESSAGE_LEN};

/// What a server does with what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sends it back.
    Echo,
    /// Sends it back, without a buffer longer than a message.
    PlainEcho,
    /// Sends the first message of a connection back, and closes.
    Once,
    /// Sends it back, on a Unix socket.
    UnixEcho,
    /// Sends datagrams back: a handler for each worker, all on one socket.
    UdpEcho,
    /// Answers requests of HTTP/1.1 with a plain text, by whatever library is the usual one.
    Http,
    /// The same with a parser, and no more.
    SmallHttp,
    /// Answers each request with hashing, and does batch work meanwhile.
    Requests,
}

impl Role {
    const ALL: [Self; 8] = [
        Self::Echo,
        Self::PlainEcho,
        Self::Once,
        Self::UnixEcho,
        Self::UdpEcho,
        Self::Http,
        Self::SmallHttp,
        Self::Requests,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::PlainEcho => "plain_echo",
            Self::Once => "once",
            Self::UnixEcho => "unix_echo",
            Self::UdpEcho => "udp_echo",
            Self::Http => "http",
            Self::SmallHttp => "http_small",
            Self::Requests => "requests",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What a server is to do, and with how much work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) role: Role,
    /// Iterations of SHA-256 for a request.
    pub(crate) iterations: u32,
    pub(crate) batch: &'static Batch,
    /// How many tasks do batch work meanwhile.
    pub(crate) batch_tasks: usize,
}

impl Service {
    /// Whether a connection is closed after its first answer.
    pub(crate) fn is_once(self) -> bool {
        self.role == Role::Once
    }
}

/// Says where the server is: an address, or the path of a Unix socket.
pub(crate) type Announce = fn(&str);

/// What can be a server.
pub(crate) trait Serve {
    /// Serves on a loopback port, or on a Unix socket, which is announced, for ever.
    fn serve(&self, service: Service, announce: Announce) -> Result<()>;
}

/// Where the Unix socket of this process is. Who started the process removes it.
pub(super) fn unix_path() -> PathBuf {
    std::env::temp_dir().join(format!("sward-benches-{}.socket", std::process::id()))
}

/// Answers requests until the client goes away, however it goes, or says what is none.
pub(super) fn connection(mut stream: impl Read + Write, service: Service) -> Result<()> {
    let mut dialogue = Dialogue::new(service);
    loop {
        let count = stream.read(dialogue.space())?;
        if count == 0 {
            return Ok(());
        }
        if let Some(answer) = dialogue.received(count)? {
            stream.write_all(answer)?;
            if service.is_once() {
                return Ok(());
            }
        }
    }
}

pub(super) fn plain_echo(mut stream: impl Read + Write) -> std::io::Result<()> {
    let mut message = [0; MESSAGE_LEN];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}

/// `serve`, given `start`, which starts a thread, and `TcpListener`, `UnixListener` and `UdpSocket` with the API of `std`.
macro_rules! serve {
    () => {
        pub(in crate::subject) fn serve(service: Service, workers: usize, announce: Announce) -> Result<()> {
            match service.role {
                Role::UnixEcho => serve_unix(service, announce),
                Role::UdpEcho => serve_datagrams(workers, announce),
                _ => serve_tcp(service, announce),
            }
        }

        fn serve_tcp(service: Service, announce: Announce) -> Result<()> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            announce(&listener.local_addr()?.to_string());
            loop {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                match service.role {
                    Role::PlainEcho => start(move || drop(plain_echo(stream)))?,
                    _ => start(move || drop(connection(stream, service)))?,
                }
            }
        }

        fn serve_unix(service: Service, announce: Announce) -> Result<()> {
            let path = unix_path();
            let listener = UnixListener::bind(&path)?;
            announce(&path.to_string_lossy());
            loop {
                let (stream, _) = listener.accept()?;
                start(move || drop(connection(stream, service)))?;
            }
        }

        fn serve_datagrams(workers: usize, announce: Announce) -> Result<()> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            announce(&socket.local_addr()?.to_string());
            for _ in 1..workers {
                let socket = socket.try_clone()?;
                start(move || drop(echo_datagrams(socket)))?;
            }
            echo_datagrams(socket)
        }

        fn echo_datagrams(socket: UdpSocket) -> Result<()> {
            let mut datagram = [0; 2 * MESSAGE_LEN];
            loop {
                let (count, from) = socket.recv_from(&mut datagram)?;
                socket.send_to(&datagram[..count], from)?;
            }
        }
    };
}

/// sward.
pub(super) mod sward {
    use super::{Announce, MESSAGE_LEN, Role, Service, connection, plain_echo, unix_path};
    use crate::error::Result;
    use sward::{
        net::{TcpListener, UdpSocket},
        os::unix::net::UnixListener,
    };

    fn start(f: impl FnOnce() + Send + 'static) -> Result<()> {
        sward::thread::spawn(f);
        Ok(())
    }

    serve!();
}

/// OS threads.
pub(super) mod threads {
    use super::{Announce, MESSAGE_LEN, Role, Service, connection, plain_echo, unix_path};
    use crate::error::Result;
    use std::{
        net::{TcpListener, UdpSocket},
        os::unix::net::UnixListener,
    };

    fn start(f: impl FnOnce() + Send + 'static) -> Result<()> {
        crate::subject::threads::spawn(f).map(drop)
    }

    serve!();
}

/// may.
pub(super) mod may {
    use super::{Announce, MESSAGE_LEN, Role, Service, connection, plain_echo, unix_path};
    use crate::error::Result;
    use may::{
        net::{TcpListener, UdpSocket},
        os::unix::net::UnixListener,
    };

    fn start(f: impl FnOnce() + Send + 'static) -> Result<()> {
        crate::subject::may::spawn(f);
        Ok(())
    }

    serve!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_found_by_their_names() {
        for role in Role::ALL {
            assert_eq!(Role::find(role.name()), Some(role));
        }
        assert_eq!(Role::find("nothing"), None);
    }

    /// A client that has said everything: what the server reads, in pieces, and what it wrote.
    struct Client(Vec<Vec<u8>>, Vec<u8>);

    impl Read for &mut Client {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let piece = self.0.pop().unwrap_or_default();
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    impl Write for &mut Client {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn answers(role: Role) -> usize {
        let batch: &'static Batch = Box::leak(Box::new(Batch::new(1)));
        let service = Service { role, iterations: 1, batch, batch_tasks: 0 };
        let mut client = Client(vec![vec![1; 64], vec![1; 63], vec![1]], Vec::new());
        let ended = connection(&mut client, service);
        assert!(ended.is_ok());
        client.1.len() / MESSAGE_LEN
    }

    #[test]
    fn connections_end_with_their_clients_or_after_one_answer() {
        assert_eq!(answers(Role::Echo), 2);
        assert_eq!(answers(Role::Once), 1);
    }
}
