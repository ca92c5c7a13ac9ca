//! Datagrams by UDP and by Unix sockets: each comes once and whole, though those of UDP may get lost.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use socket2::SockRef;
use sward::net::UdpSocket;
use sward::os::unix::net::UnixDatagram;
use sward::time;

use super::Load;
use crate::soak::checkers::{Flaw, Ledger, Order, Pattern};
use crate::soak::context::{Ctx, Task, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

/// What has not come by then is lost, if it may be.
const LAST: Duration = Duration::from_millis(50);
/// An answer that has not come by then was lost on its way, or lies before a receiver that was not woken.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub(crate) struct Datagrams;

impl Load for Datagrams {
    fn run(&self, ctx: &Ctx) {
        let rounds: [fn(&Ctx, &mut Random) -> io::Result<()>; 3] = [udp, questions, unix];
        let lanes = rounds.into_iter().enumerate().map(|(n, round)| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n as u64));
            ctx.clone().spawn(move || {
                ctx.clone().repeat(&mut random, |random| {
                    ctx.expect("datagrams", round(&ctx, random));
                });
            })
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

/// A datagram: its number, and bytes that follow from the key and the number.
fn datagram(key: u64, number: usize, length: usize) -> Vec<u8> {
    [&(number as u64).to_be_bytes(), &Pattern::new(key ^ number as u64).take(length)[..]].concat()
}

/// The number of a datagram, whose bytes are checked.
fn number_of(ctx: &Ctx, key: u64, bytes: &[u8]) -> Option<usize> {
    let Some((number, body)) = bytes.split_first_chunk() else {
        ctx.violation(format_args!("a datagram of {} bytes came", bytes.len()));
        return None;
    };
    let number = u64::from_be_bytes(*number);
    ctx.check("datagram", Pattern::new(key ^ number).verify(body));
    Some(number as usize)
}

/// Sends numbered datagrams, some under limits that strike often. What was cut short was not sent.
fn send(
    ctx: &Ctx,
    key: u64,
    numbers: std::ops::Range<usize>,
    ledger: &Ledger,
    random: &mut Random,
    send: impl Fn(&[u8]) -> io::Result<usize>,
) {
    for number in numbers {
        let bytes = datagram(key, number, random.count(0..=1_400));
        let limit = if random.one_in(2) { random.micros(0..=300) } else { Duration::from_secs(3600) };
        match time::timeout(limit, || send(&bytes)) {
            Err(_) => ctx.count(Kind::Timeouts, 1),
            Ok(sent) => {
                let Some(length) = ctx.expect("send", sent) else { return };
                ledger.sent(number);
                if length != bytes.len() {
                    ctx.violation(format_args!("{length} bytes of a datagram of {} were sent", bytes.len()));
                }
            }
        }
    }
}

/// Several senders, connected or not, and several receivers at one socket, which may be too slow.
fn udp(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let receiver = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
    if random.one_in(3) {
        SockRef::from(&*receiver).set_recv_buffer_size(1)?;
    }
    let address = receiver.local_addr()?;
    let (senders, each, key) = (random.count(1..=3), random.count(1..=100), random.next());
    let ledger = Arc::new(Ledger::new(senders * each));
    let mut sources = Vec::new();
    let mut sending = Vec::new();
    for at in 0..senders {
        let (socket, is_connected) = (UdpSocket::bind("127.0.0.1:0")?, random.one_in(2));
        sources.push(socket.local_addr()?);
        if is_connected {
            socket.connect(address)?;
        }
        let (ctx, ledger, mut random) = (ctx.clone(), Arc::clone(&ledger), random.fork());
        sending.push(ctx.clone().spawn(move || {
            send(&ctx, key, at * each..(at + 1) * each, &ledger, &mut random, |bytes| {
                if is_connected { socket.send(bytes) } else { socket.send_to(bytes, address) }
            });
        }));
    }
    let (are_sent, sources) = (Arc::new(AtomicBool::new(false)), Arc::new(sources));
    let receiving = (0..random.count(1..=3)).map(|_| {
        let (ctx, receiver, ledger, mut random) =
            (ctx.clone(), Arc::clone(&receiver), Arc::clone(&ledger), random.fork());
        let (are_sent, sources) = (Arc::clone(&are_sent), Arc::clone(&sources));
        ctx.clone().spawn(move || {
            let (mut buffer, mut last) = (vec![0; 2_000], Instant::now());
            loop {
                let was_over = are_sent.load(SeqCst);
                if !was_over {
                    last = Instant::now();
                }
                let received = time::timeout(random.micros(0..=10_000), || receiver.recv_from(&mut buffer));
                let Ok(received) = received else {
                    ctx.count(Kind::Timeouts, 1);
                    if was_over && last.elapsed() >= LAST {
                        return;
                    }
                    continue;
                };
                let Some((length, from)) = ctx.expect("receive", received) else { return };
                last = Instant::now();
                let Some(number) = number_of(&ctx, key, &buffer[..length]) else { continue };
                ctx.check("UDP", ledger.received(number));
                if sources.get(number / each) != Some(&from) {
                    ctx.violation(format_args!("datagram {number} came from {from}"));
                }
                ctx.count(Kind::Datagrams, 1);
            }
        })
    });
    let receiving: Vec<_> = receiving.collect();
    join_all(sending);
    are_sent.store(true, SeqCst);
    join_all(receiving);
    match ledger.close() {
        Err(Flaw::Missing { count, .. }) => ctx.count(Kind::Lost, count as u64),
        closed => drop(ctx.expect("UDP", closed)),
    }
    Ok(())
}

/// Whether something is there to be received.
fn is_ready(socket: &impl AsFd) -> bool {
    SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]).is_ok()
}

/// A server that waits without a limit, and a client of it that nobody else can talk to.
fn questions(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let (near, far, stranger) = (
        UdpSocket::bind("127.0.0.1:0")?,
        Arc::new(UdpSocket::bind("127.0.0.1:0")?),
        UdpSocket::bind("127.0.0.1:0")?,
    );
    let (here, there) = (near.local_addr()?, far.local_addr()?);
    near.connect(there)?;
    near.set_read_timeout(Some(PATIENCE))?;
    let server = {
        let (ctx, far) = (ctx.clone(), Arc::clone(&far));
        ctx.clone().spawn(move || ctx.expect("answers", answer(&far)))
    };
    let key = random.next();
    for number in 0..random.count(1..=50) {
        stranger.send_to(b"from somebody else", here)?;
        let question = datagram(key, number, random.count(0..=1_400));
        near.send(&question)?;
        let mut buffer = [0; 2_000];
        match near.recv(&mut buffer) {
            Ok(length) if buffer[..length] == question => ctx.count(Kind::Datagrams, 1),
            Ok(length) => ctx.violation(format_args!("{length} bytes are the answer to {number}")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if is_ready(&*far) || is_ready(&near) {
                    ctx.amiss("a datagram has lain before a receiver that waits");
                }
                // What comes later would be taken for the answer to the next.
                ctx.count(Kind::Lost, 1);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    server.cancel();
    server.end();
    Ok(())
}

/// Sends back whatever comes.
fn answer(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 2_000];
    loop {
        let (length, from): (usize, SocketAddr) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], from)?;
    }
}

/// Several senders and receivers at a pair, of which nothing gets lost; one receiver has those of each sender in order.
fn unix(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let (near, far) = UnixDatagram::pair()?;
    let (near, far) = (Arc::new(near), Arc::new(far));
    let (senders, receivers) = (random.count(1..=3), random.count(1..=3));
    let (each, key) = (random.count(1..=100), random.next());
    let (ledger, order) = (Arc::new(Ledger::new(senders * each)), Arc::new(Order::new(senders)));
    let sending = (0..senders).map(|at| {
        let (ctx, near, ledger, mut random) =
            (ctx.clone(), Arc::clone(&near), Arc::clone(&ledger), random.fork());
        ctx.clone().spawn(move || {
            send(&ctx, key, at * each..(at + 1) * each, &ledger, &mut random, |bytes| near.send(bytes));
        })
    });
    let sending: Vec<Task<()>> = sending.collect();
    let receiving = (0..receivers).map(|_| {
        let (ctx, far, mut random) = (ctx.clone(), Arc::clone(&far), random.fork());
        let (ledger, order) = (Arc::clone(&ledger), Arc::clone(&order));
        ctx.clone().spawn(move || {
            let mut buffer = vec![0; 2_000];
            loop {
                let limit = if random.one_in(2) { random.micros(0..=300) } else { Duration::from_secs(3600) };
                let received = time::timeout(limit, || far.recv(&mut buffer));
                let Ok(received) = received else {
                    ctx.count(Kind::Timeouts, 1);
                    continue;
                };
                match ctx.expect("receive", received) {
                    None | Some(0) => return,
                    Some(length) => {
                        let Some(number) = number_of(&ctx, key, &buffer[..length]) else { continue };
                        ctx.check("Unix datagrams", ledger.received(number));
                        if receivers == 1 {
                            ctx.check("Unix datagrams", order.came(number / each, number as u64));
                        }
                    }
                }
                ctx.count(Kind::Datagrams, 1);
            }
        })
    });
    let receiving: Vec<Task<()>> = receiving.collect();
    join_all(sending);
    // An empty one tells a receiver to end.
    for _ in 0..receivers {
        near.send(&[])?;
    }
    join_all(receiving);
    ctx.expect("Unix datagrams", ledger.close());
    Ok(())
}
