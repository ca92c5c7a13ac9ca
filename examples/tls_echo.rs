//! An echo over TLS: rustls on sward's sockets, which it takes for any others.
//!
//! The certificate is made when the program starts, and the clients trust it and no other.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    error::Error,
    io::{self, Read, Write},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, ServerName},
};
use sward::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// What a server and its clients have to know of each other.
fn configs() -> Result<(Arc<ServerConfig>, Arc<ClientConfig>), Box<dyn Error>> {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = identity.cert.der().clone();
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der())?;
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate.clone())?;
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    let client = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    Ok((Arc::new(server), Arc::new(client)))
}

/// Sends back what one client sends, until it says that this was all.
fn echo(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            read => stream.write_all(&buffer[..read])?,
        }
    }
    stream.conn.send_close_notify();
    stream.flush()
}

/// Sends a hundred kilobytes, and reads them back piece by piece.
fn ask(server: SocketAddr, config: Arc<ClientConfig>, letter: u8) -> io::Result<()> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(server)?);
    for _ in 0..100 {
        stream.write_all(&[letter; 1000])?;
        let mut answer = [0; 1000];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, [letter; 1000]);
    }
    stream.conn.send_close_notify();
    stream.flush()?;
    assert_eq!(stream.read(&mut [0; 1])?, 0);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (server_config, client_config) = configs()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    thread::spawn(move || -> io::Result<()> {
        for stream in listener.incoming() {
            let (stream, config) = (stream?, Arc::clone(&server_config));
            thread::spawn(move || echo(stream, config));
        }
        Ok(())
    });

    let clients: Vec<_> = (b'a'..=b'z')
        .map(|letter| {
            let config = Arc::clone(&client_config);
            thread::spawn(move || ask(server, config, letter))
        })
        .collect();
    for client in clients {
        client.join().expect("it does not panic")?;
    }

    // Who does not know the certificate does not talk to this server.
    let nobody = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let stranger = thread::spawn(move || ask(server, Arc::new(nobody), b'?'));
    assert!(stranger.join().expect("it does not panic").is_err());
    println!("26 clients had their words back, over TLS");
    Ok(())
}
