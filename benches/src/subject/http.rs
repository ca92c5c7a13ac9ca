//! A plain text by HTTP/1.1, with hyper on sward and on tokio, configured alike; Go has a server of its own. And may's, which is
//! small as those that are measured beside it.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::rt::Executor as _;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use may_minihttp::{HttpServer, HttpService};

use super::serving::Announce;
use crate::error::{Error, Result};
use crate::load::PLAIN_TEXT;

async fn answer(_: Request<impl Body>) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(PLAIN_TEXT))))
}

/// On a green thread, and with a future for each connection, polled by a green thread when it is woken.
pub(super) fn sward(announce: Announce) -> Result<()> {
    let listener = sward::net::TcpListener::bind("127.0.0.1:0")?;
    announce(&listener.local_addr()?.to_string());
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let stream = sward::io::Polled::new(stream);
        let mut builder = Builder::new();
        let serving = builder.timer(sward::hyper::Timer).serve_connection(stream, service_fn(answer));
        // A connection ends when its client goes away, however it goes.
        sward::hyper::Executor.execute(serving);
    }
}

/// As a task, and with one for each connection.
pub(super) async fn tokio(announce: Announce) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async {
            let stream = hyper_util::rt::TokioIo::new(stream);
            let mut builder = Builder::new();
            builder.timer(hyper_util::rt::TokioTimer::new());
            drop(builder.serve_connection(stream, service_fn(answer)).await);
        });
    }
}

#[derive(Clone)]
struct PlainText;

impl HttpService for PlainText {
    fn call(
        &mut self,
        _: may_minihttp::Request<'_, '_, '_>,
        response: &mut may_minihttp::Response<'_>,
    ) -> io::Result<()> {
        response.body_mut().extend_from_slice(PLAIN_TEXT);
        Ok(())
    }
}

/// With `may_minihttp`. It does not say where it listens, so it is given a port that was free.
pub(super) fn may(announce: Announce) -> Result<()> {
    let (address, serving) = loop {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        match HttpServer(PlainText).start(address) {
            // Somebody else was given it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            serving => break (address, serving?),
        }
    };
    announce(&address.to_string());
    serving.join().map_err(|_| Error::new("the server of may_minihttp panicked"))
}
