//! A server for HTTP/1.1 and HTTP/2, with hyper: a green thread polls each connection when something has arrived, and each request of HTTP/2.
//!
//! `cargo run --release --example http_server --features hyper -- 127.0.0.1:8080` serves there until it is stopped, for `curl
//! --http2-prior-knowledge`, `h2load` or `wrk`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, io, str};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    rt::Executor as _,
    service::service_fn,
};
use hyper_util::server::conn::auto;
use sward::{
    future,
    hyper::{Executor, Timer},
    io::Polled,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Greets, and answers in upper case.
async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => (StatusCode::OK, Bytes::from_static(b"hello")),
        (&Method::POST, "/upper") => {
            let body = request.into_body().collect().await?.to_bytes();
            (StatusCode::OK, body.to_ascii_uppercase().into())
        }
        _ => (StatusCode::NOT_FOUND, Bytes::from_static(b"no such page")),
    };
    let mut response = Response::new(Full::new(text));
    *response.status_mut() = status;
    Ok(response)
}

/// Serves each connection as a future, which has a stack only while it is polled.
fn serve(listener: &TcpListener) -> io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Executor.execute(async {
            let mut builder = auto::Builder::new(Executor);
            builder.http1().timer(Timer);
            builder.http2().timer(Timer);
            // An error ends this connection only: a client that hung up, or that does not speak HTTP.
            let _ = builder.serve_connection(Polled::new(stream), service_fn(answer)).await;
        });
    }
    Ok(())
}

/// A request to change `text` into upper case, in the form that HTTP/1.1 wants, or else HTTP/2.
fn upper(server: SocketAddr, is_http1: bool, text: String) -> Request<Full<Bytes>> {
    let host = if is_http1 { String::new() } else { format!("http://{server}") };
    let request = Request::post(host + "/upper").header("host", server.to_string());
    request.body(Full::new(text.into())).expect("a request")
}

/// Asks twice on one connection.
fn ask_http1(server: SocketAddr) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = Polled::new(TcpStream::connect(server)?);
    let (mut sender, connection) = future::block_on(http1::handshake(stream))?;
    thread::spawn(|| future::block_on(connection));
    for text in ["once", "twice"] {
        let response = future::block_on(sender.send_request(upper(server, true, text.into())))?;
        assert_eq!(response.status(), StatusCode::OK);
        let body = future::block_on(response.into_body().collect())?.to_bytes();
        assert_eq!(str::from_utf8(&body)?, text.to_uppercase());
    }
    Ok(())
}

/// Asks a hundred times at once, on one connection: each time on a green thread, which waits for its answer.
fn ask_http2(server: SocketAddr) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = Polled::new(TcpStream::connect(server)?);
    let (sender, connection) = future::block_on(http2::handshake(Executor, stream))?;
    thread::spawn(|| future::block_on(connection));
    let asking: Vec<_> = (0..100)
        .map(|number| {
            let mut sender = sender.clone();
            thread::spawn(move || -> hyper::Result<Bytes> {
                let request = upper(server, false, format!("number {number}"));
                let response = future::block_on(sender.send_request(request))?;
                Ok(future::block_on(response.into_body().collect())?.to_bytes())
            })
        })
        .collect();
    for (number, asking) in asking.into_iter().enumerate() {
        let answer = asking.join().expect("it does not panic")?;
        assert_eq!(str::from_utf8(&answer)?, format!("NUMBER {number}"));
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    if let Some(address) = env::args().nth(1) {
        let listener = TcpListener::bind(&*address)?;
        println!("serving on {}", listener.local_addr()?);
        return Ok(serve(&listener)?);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    thread::spawn(move || serve(&listener));
    let both = thread::spawn(move || ask_http1(server).and_then(|()| ask_http2(server)));
    both.join().expect("it does not panic")?;
    println!("2 requests by HTTP/1.1 and 100 by HTTP/2 were answered");
    Ok(())
}
