//! Descriptors that pass through Unix sockets: each comes with its message and in order, and nobody keeps a duplicate.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use sward::os::unix::net::{ReceivedFds, UnixDatagram, UnixStream};
use sward::time;

use super::Load;
use crate::soak::checkers::{Ledger, Order};
use crate::soak::context::{Ctx, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

/// Fewer pipes come with a message.
const PIPES: usize = 4;
/// The message that ends the receiver.
const END: u64 = u64::MAX;

#[derive(Debug, Default)]
pub(crate) struct Descriptors;

impl Load for Descriptors {
    fn run(&self, ctx: &Ctx) {
        let lanes = (0..2).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            ctx.clone().spawn(move || {
                ctx.clone().repeat(&mut random, |random| {
                    ctx.expect("pass", round(&ctx, random));
                });
            })
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

/// One end of a pair.
enum Half {
    Stream(UnixStream),
    Datagram(UnixDatagram),
}

impl Half {
    fn pair(is_stream: bool) -> io::Result<(Self, Self)> {
        if is_stream {
            UnixStream::pair().map(|(near, far)| (Self::Stream(near), Self::Stream(far)))
        } else {
            UnixDatagram::pair().map(|(near, far)| (Self::Datagram(near), Self::Datagram(far)))
        }
    }

    fn pass(&self, message: u64, pipes: &[PipeReader]) -> io::Result<usize> {
        let fds: Vec<_> = pipes.iter().map(AsFd::as_fd).collect();
        match self {
            Self::Stream(socket) => socket.send_fds(&message.to_be_bytes(), &fds),
            Self::Datagram(socket) => socket.send_fds(&message.to_be_bytes(), &fds),
        }
    }

    fn receive(&self, message: &mut [u8; 8], limit: usize) -> io::Result<ReceivedFds> {
        match self {
            Self::Stream(socket) => socket.recv_fds(message, limit),
            Self::Datagram(socket) => socket.recv_fds(message, limit),
        }
    }
}

/// A short limit, or one that never strikes.
fn limit(random: &mut Random) -> Duration {
    if random.one_in(2) { random.micros(0..=200) } else { Duration::from_secs(3600) }
}

/// A pipe with a number in it, and nothing that could come after.
fn pipe(number: u64) -> io::Result<PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&number.to_be_bytes())?;
    Ok(reader)
}

/// Messages, each with some pipes. Of some of them fewer are taken than come. Either side may be cut short at any time.
fn round(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let (near, far) = Half::pair(random.one_in(2))?;
    let count = random.count(1..=60);
    let ledger = Arc::new(Ledger::new(count));
    let receiving = {
        let (ctx, ledger, mut random) = (ctx.clone(), Arc::clone(&ledger), random.fork());
        ctx.clone().spawn(move || ctx.expect("receive", receive_all(&ctx, &far, &ledger, &mut random)))
    };
    for number in 0..count {
        let message = (number * PIPES + random.count(0..=PIPES - 1)) as u64;
        let pipes =
            (0..message % PIPES as u64).map(|at| pipe(message + at)).collect::<io::Result<Vec<_>>>()?;
        match time::timeout(limit(random), || near.pass(message, &pipes)) {
            Err(_) => ctx.count(Kind::Timeouts, 1),
            Ok(sent) => {
                if sent? != 8 {
                    ctx.violation("a part of a message was sent");
                }
                ledger.sent(number);
            }
        }
    }
    near.pass(END, &[])?;
    receiving.join();
    ctx.expect("descriptors", ledger.close());
    Ok(())
}

fn receive_all(ctx: &Ctx, far: &Half, ledger: &Ledger, random: &mut Random) -> io::Result<()> {
    let order = Order::new(1);
    loop {
        let (mut message, most) = ([0; 8], random.count(0..=PIPES));
        let Ok(received) = time::timeout(limit(random), || far.receive(&mut message, most)) else {
            ctx.count(Kind::Timeouts, 1);
            continue;
        };
        let (received, message) = (received?, u64::from_be_bytes(message));
        if message == END {
            return Ok(());
        }
        let (number, pipes) = (message as usize / PIPES, message as usize % PIPES);
        ctx.check("descriptors", ledger.received(number));
        ctx.check("descriptors", order.came(0, number as u64));
        let ReceivedFds { len, fds, is_truncated, .. } = received;
        if (len, fds.len(), is_truncated) != (8, pipes.min(most), pipes > most) {
            let (some, cut) = (fds.len(), if is_truncated { ", truncated" } else { "" });
            ctx.violation(format_args!(
                "{len} bytes came with {some} of {pipes} pipes, for at most {most}{cut}"
            ));
        }
        for (at, fd) in fds.into_iter().enumerate() {
            ctx.check("a pipe that was passed", verify(fd, message + at as u64));
            ctx.count(Kind::Descriptors, 1);
        }
    }
}

/// Whether a pipe holds this number, and nobody else could write to it.
fn verify(pipe: OwnedFd, number: u64) -> io::Result<()> {
    let mut bytes = Vec::new();
    PipeReader::from(pipe).read_to_end(&mut bytes)?;
    if bytes == number.to_be_bytes() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{bytes:?} for {number}")))
    }
}
