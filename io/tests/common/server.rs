//! What the tests of servers share.

use std::{
    io::{self, Read, Write},
    ops::ControlFlow,
    time::Duration,
};

use sward_io::net::TcpStream;

/// So long that a test hangs before it is over.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// Sends back a byte. There may be no more.
pub(crate) fn echo_byte(mut stream: impl Read + Write) -> io::Result<ControlFlow<()>> {
    let mut byte = [0];
    if stream.read(&mut byte)? == 0 {
        return Ok(ControlFlow::Break(()));
    }
    stream.write_all(&byte)?;
    Ok(ControlFlow::Continue(()))
}

/// Sends a byte and waits for the answer.
pub(crate) fn ask(client: &TcpStream) -> io::Result<()> {
    (&*client).write_all(b"?")?;
    (&*client).read_exact(&mut [0])
}
