//! TCP: clients inside and outside the runtime send frames to a server, which sends them back. Each byte is known.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;
use sward::net::{TcpListener, TcpStream};
use sward::{thread, time};

use super::Load;
use crate::soak::checkers::{Flaw, Pattern, Sum};
use crate::soak::context::{Ctx, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Echo;

impl Load for Echo {
    fn run(&self, ctx: &Ctx) {
        let mut random = ctx.random(0);
        let Some(listener) = ctx.expect("listen", TcpListener::bind("127.0.0.1:0")) else { return };
        let Some(address) = ctx.expect("local address", listener.local_addr()) else { return };
        let is_closed = Arc::new(AtomicBool::new(false));
        let server = {
            let (ctx, is_closed) = (ctx.clone(), Arc::clone(&is_closed));
            ctx.clone().spawn(move || accept(&ctx, &listener, &is_closed))
        };
        let green = (0..random.count(1..=12)).map(|_| {
            let (ctx, mut random) = (ctx.clone(), random.fork());
            ctx.clone()
                .spawn(move || ctx.clone().repeat(&mut random, |random| green_client(&ctx, address, random)))
        });
        let green: Vec<_> = green.collect();
        let outside = (0..random.count(0..=3)).map(|_| {
            let (ctx, mut random) = (ctx.clone(), random.fork());
            ctx.clone().outside(move || {
                while !ctx.is_over() {
                    let stream = std::net::TcpStream::connect(address);
                    let said = stream.and_then(|stream| converse(&ctx, stream, &mut random));
                    ctx.expect("client outside", said);
                    std::thread::sleep(random.micros(0..=5_000));
                }
            })
        });
        let outside: Vec<_> = outside.collect();
        join_all(green);
        for client in outside {
            client.join();
        }
        is_closed.store(true, Ordering::Release);
        server.join();
    }
}

/// Serves whoever comes. The wait for the next is cut short again and again, which loses nobody.
fn accept(ctx: &Ctx, listener: &TcpListener, is_closed: &AtomicBool) {
    let mut serving = Vec::new();
    while !is_closed.load(Ordering::Acquire) {
        match time::timeout(Duration::from_millis(20), || listener.accept()) {
            Err(_) => ctx.count(Kind::Timeouts, 1),
            Ok(accepted) => {
                let Some((stream, _)) = ctx.expect("accept", accepted) else { return };
                let theirs = ctx.clone();
                serving.push(ctx.spawn(move || theirs.expect("server", serve(&stream))));
            }
        }
        if serving.len() > 64 {
            join_all(serving.drain(..32));
        }
    }
    join_all(serving);
}

/// Sends frames back until one is empty, then says what it has seen.
fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut sum = Sum::new();
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        match u32::from_be_bytes(head) {
            0 => return stream.write_all(&sum.value().to_be_bytes()),
            length => {
                let mut body = vec![0; length as usize];
                stream.read_exact(&mut body)?;
                sum.add(&body);
                stream.write_all(&body)?;
            }
        }
    }
}

fn green_client(ctx: &Ctx, address: SocketAddr, random: &mut Random) {
    let Some(stream) = ctx.expect("connect", TcpStream::connect(address)) else { return };
    let said =
        if random.one_in(3) { converse_apart(ctx, stream, random) } else { converse(ctx, stream, random) };
    ctx.expect("client", said);
}

fn frame_length(random: &mut Random) -> usize {
    // Now and then more than the buffers of a socket hold.
    if random.one_in(50) { random.count(100_000..=600_000) } else { random.count(1..=3_000) }
}

fn flaw(flaw: Flaw) -> io::Error {
    io::Error::other(flaw.to_string())
}

/// Frame by frame: sends one, reads it back.
fn converse(ctx: &Ctx, mut stream: impl Read + Write + AsFd, random: &mut Random) -> io::Result<()> {
    let (mut pattern, mut sum) = (Pattern::new(random.next()), Sum::new());
    for _ in 0..random.count(1..=30) {
        let mut expected = pattern.clone();
        let body = pattern.take(frame_length(random));
        stream.write_all(&(body.len() as u32).to_be_bytes())?;
        stream.write_all(&body)?;
        sum.add(&body);
        let mut back = vec![0; body.len()];
        stream.read_exact(&mut back)?;
        ctx.check("echo", expected.verify(&back));
        ctx.count(Kind::Bytes, back.len() as u64);
    }
    say_goodbye(ctx, &mut stream, &sum)?;
    reset(&stream)
}

/// One green thread writes, this one reads, on two handles of one socket.
fn converse_apart(ctx: &Ctx, mut stream: TcpStream, random: &mut Random) -> io::Result<()> {
    let key = random.next();
    let lengths: Vec<usize> = (0..random.count(1..=30)).map(|_| frame_length(random)).collect();
    let mut left: usize = lengths.iter().sum();
    let writer = {
        let mut stream = stream.try_clone()?;
        ctx.spawn(move || -> io::Result<Sum> {
            let (mut pattern, mut sum) = (Pattern::new(key), Sum::new());
            for length in lengths {
                let body = pattern.take(length);
                stream.write_all(&(length as u32).to_be_bytes())?;
                stream.write_all(&body)?;
                sum.add(&body);
            }
            Ok(sum)
        })
    };
    let (mut expected, mut buffer) = (Pattern::new(key), vec![0; 8192]);
    let mut result = Ok(());
    while left > 0 && result.is_ok() {
        let most = left.min(random.count(1..=buffer.len()));
        result = stream.read(&mut buffer[..most]).and_then(|count| {
            left -= count;
            ctx.count(Kind::Bytes, count as u64);
            ctx.check("echo", expected.verify(&buffer[..count]));
            if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
        });
        thread::yield_now();
    }
    let sum = writer.join();
    result?;
    let sum = sum.ok_or(io::ErrorKind::BrokenPipe)??;
    say_goodbye(ctx, &mut stream, &sum)?;
    reset(&stream)
}

/// An empty frame, upon which the server tells what it has seen, and closes.
fn say_goodbye(ctx: &Ctx, mut stream: impl Read + Write, sum: &Sum) -> io::Result<()> {
    stream.write_all(&[0; 4])?;
    let mut seen = [0; 8];
    stream.read_exact(&mut seen)?;
    sum.agree(u64::from_be_bytes(seen)).map_err(flaw)?;
    let rest = stream.read(&mut [0])?;
    if rest != 0 {
        return Err(io::Error::other("the server says more than it was told"));
    }
    ctx.count(Kind::Connections, 1);
    Ok(())
}

/// The drop of the socket resets what is left of the connection, so that TCP remembers nothing of it.
fn reset(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}
