//! Servers: connections up to a limit, handlers that panic, clients that hang up or are cancelled, and a drain at the end of all.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::linux::net::SocketAddrExt;
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use socket2::SockRef;
use sward::net::{Listener, ServeError, ServeOptions, Server, TcpListener, TcpStream, serve, serve_messages};
use sward::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use sward::{thread, time};

use super::{Load, OnPurpose};
use crate::soak::checkers::Pattern;
use crate::soak::context::{Ctx, End, Task, Tracked, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

/// What has not come by then never does.
const PATIENCE: Duration = Duration::from_secs(10);
/// The length of a frame that ends a connection, and of one that has its handler panic.
const GOODBYE: u32 = 0;
const POISON: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(crate) struct Serving;

impl Load for Serving {
    fn run(&self, ctx: &Ctx) {
        let lanes = (0..2).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            ctx.clone().spawn(move || {
                ctx.clone().repeat(&mut random, |random| {
                    let done = if random.one_in(2) { by_tcp(&ctx, random) } else { by_path(&ctx, random) };
                    ctx.expect("serving", done);
                });
            })
        });
        join_all(lanes.collect::<Vec<_>>());
    }
}

fn by_tcp(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // Most leave nothing behind of which TCP would remember something.
    let resets = !random.one_in(8);
    let connect = move || {
        let stream = TcpStream::connect(address)?;
        SockRef::from(&stream).set_linger(resets.then_some(Duration::ZERO))?;
        Ok(stream)
    };
    round(ctx, listener, connect, random)
}

fn by_path(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let name = format!("sward-soak-{}-{}", std::process::id(), random.next());
    let address = SocketAddr::from_abstract_name(name)?;
    let listener = UnixListener::bind_addr(&address)?;
    let (theirs, mine) = (address.clone(), address);
    round(ctx, listener, move || UnixStream::connect_addr(&theirs), random)?;
    // A child process that is being started has what was open until it runs its program.
    let start = Instant::now();
    while UnixStream::connect_addr(&mine).is_ok() {
        if start.elapsed() > PATIENCE {
            ctx.amiss("a server has ended, and its listener is open");
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// What a server, its handlers and its clients share.
#[derive(Debug)]
struct House {
    ctx: Ctx,
    limit: usize,
    idle: Option<Duration>,
    /// Whoever was answered once is served until it leaves, also in a drain.
    is_patient: bool,
    /// Clients come no more.
    is_closing: AtomicBool,
    /// From now on some may be cut short.
    is_draining: AtomicBool,
    open: AtomicUsize,
    provoked: AtomicU64,
    told: AtomicU64,
}

impl House {
    fn tell(&self, error: ServeError) {
        match error {
            ServeError::Panic(payload) if payload.is::<OnPurpose>() => {
                self.told.fetch_add(1, SeqCst);
            }
            // Of one that was cancelled, hung up, or was cut.
            ServeError::Connection(_) => {}
            other => self.ctx.amiss(other),
        }
    }

    /// Whether a client that has so many answers, the last to something that it sent after that time, may be cut short.
    fn may_cut(&self, answers: u32, sent: Instant) -> bool {
        self.is_draining.load(SeqCst) && (answers == 0 || !self.is_patient)
            || self.idle.is_some_and(|idle| sent.elapsed() >= idle)
    }
}

/// A connection, as the server has it. It counts as open until it is dropped.
struct Session<S> {
    stream: S,
    served: u32,
    house: Arc<House>,
    _tracked: Tracked,
}

impl<S> Session<S> {
    fn new(stream: S, house: &Arc<House>) -> Self {
        let open = house.open.fetch_add(1, SeqCst) + 1;
        if open > house.limit {
            house.ctx.violation(format_args!("{open} connections are open, with a limit of {}", house.limit));
        }
        Self { stream, served: 0, house: Arc::clone(house), _tracked: house.ctx.tracked() }
    }
}

impl<S> Drop for Session<S> {
    fn drop(&mut self) {
        self.house.open.fetch_sub(1, SeqCst);
    }
}

/// Answers a frame with its inverse, and with how many there were.
fn answer<S: Read + Write>(session: &mut Session<S>) -> io::Result<ControlFlow<()>> {
    let mut head = [0; 4];
    if session.stream.read(&mut head[..1])? == 0 {
        return Ok(ControlFlow::Break(()));
    }
    session.stream.read_exact(&mut head[1..])?;
    let length = u32::from_be_bytes(head);
    match length {
        GOODBYE => return Ok(ControlFlow::Break(())),
        POISON => {
            session.house.provoked.fetch_add(1, SeqCst);
            session.house.ctx.count(Kind::Panics, 1);
            panic_any(OnPurpose(session.served.into()));
        }
        _ => {}
    }
    let mut body = vec![0; length as usize];
    session.stream.read_exact(&mut body)?;
    body.iter_mut().for_each(|byte| *byte = !*byte);
    if length.is_multiple_of(16) {
        thread::sleep(Duration::from_micros(u64::from(length) % 1_000));
    }
    session.served += 1;
    session.stream.write_all(&[&session.served.to_be_bytes(), &head, &body[..]].concat())?;
    Ok(ControlFlow::Continue(()))
}

fn start<L>(listener: L, house: &Arc<House>, by_messages: bool) -> io::Result<Server>
where
    L: Listener,
    L::Stream: Read + Write,
{
    let (theirs, hears) = (Arc::clone(house), Arc::clone(house));
    let options = ServeOptions::new().max_connections(house.limit).on_error(move |error| hears.tell(error));
    if by_messages {
        let options = house.idle.into_iter().fold(options, ServeOptions::idle_timeout);
        return serve_messages(listener, options, move |stream, _| Ok(Session::new(stream, &theirs)), answer);
    }
    serve(listener, options, move |stream, _| {
        let mut session = Session::new(stream, &theirs);
        while answer(&mut session)?.is_continue() {}
        Ok(())
    })
}

/// A server from its start to its end, which comes in the midst of its clients or after them.
fn round<L, C>(ctx: &Ctx, listener: L, connect: C, random: &mut Random) -> io::Result<()>
where
    L: Listener,
    L::Stream: Read + Write,
    C: Fn() -> io::Result<L::Stream> + Clone + Send + 'static,
{
    let (by_messages, short) = (random.one_in(2), random.micros(0..=2_000));
    let grace = random.pick(&[PATIENCE, PATIENCE, short]);
    let house = Arc::new(House {
        ctx: ctx.clone(),
        limit: random.count(1..=8),
        idle: (by_messages && random.one_in(3)).then(|| random.micros(1_000..=50_000)),
        is_patient: !by_messages && grace == PATIENCE,
        is_closing: AtomicBool::new(false),
        is_draining: AtomicBool::new(false),
        open: AtomicUsize::new(0),
        provoked: AtomicU64::new(0),
        told: AtomicU64::new(0),
    });
    let server = start(listener, &house, by_messages)?;
    let spawn = |random: &mut Random| {
        let (house, connect, mut random) = (Arc::clone(&house), connect.clone(), random.fork());
        ctx.spawn(move || {
            while !house.is_closing.load(SeqCst) {
                visit(&house, &connect, &mut random);
            }
        })
    };
    let mut clients: Vec<Task<()>> = (0..random.count(1..=12)).map(|_| spawn(random)).collect();
    for _ in 0..random.count(0..=30) {
        ctx.rest(random.micros(0..=3_000));
        if random.one_in(2) {
            let (at, fresh) = (random.count(0..=clients.len() - 1), spawn(random));
            let client = std::mem::replace(&mut clients[at], fresh);
            client.cancel();
            if matches!(client.end(), End::Cancelled) {
                ctx.count(Kind::Cancels, 1);
            }
        }
    }
    if random.one_in(3) {
        house.is_closing.store(true, SeqCst);
        join_all(clients.drain(..));
    }
    house.is_draining.store(true, SeqCst);
    house.is_closing.store(true, SeqCst);
    drain(&house, &server, grace);
    join_all(clients);
    Ok(())
}

/// Ends a server. Nothing of it is left.
fn drain(house: &House, server: &Server, grace: Duration) {
    let ctx = &house.ctx;
    let cut = server.shutdown(grace);
    if cut > house.limit || grace == PATIENCE && cut > 0 {
        ctx.amiss(format_args!("{cut} of at most {} connections were cut after {grace:?}", house.limit));
    }
    match time::timeout(PATIENCE, || server.join()) {
        Ok(joined) => ctx.expect("the end of a server", joined),
        Err(_) => ctx.expect("the end of a server", Err("its connections were cut, and it goes on")),
    };
    let (open, connections) = (house.open.load(SeqCst), server.connections());
    if open != 0 || connections != 0 {
        ctx.amiss(format_args!(
            "{open} handlers and {connections} connections are left of a server that has ended"
        ));
    }
    let (provoked, told) = (house.provoked.load(SeqCst), house.told.load(SeqCst));
    if provoked != told {
        ctx.amiss(format_args!("{told} of {provoked} panics of handlers were told"));
    }
    ctx.count(Kind::Servers, 1);
}

/// Comes, and stays for a while.
fn visit<S: Read + Write>(house: &House, connect: &impl Fn() -> io::Result<S>, random: &mut Random) {
    let (mut answers, mut sent) = (0, Instant::now());
    let said = connect().and_then(|stream| converse(house, stream, random, &mut answers, &mut sent));
    if let Err(error) = said
        && !house.may_cut(answers, sent)
    {
        house.ctx.amiss(format_args!("a client with {answers} answers: {error}"));
    }
}

fn converse<S: Read + Write>(
    house: &House,
    mut stream: S,
    random: &mut Random,
    answers: &mut u32,
    sent: &mut Instant,
) -> io::Result<()> {
    let (ctx, mut asked) = (&house.ctx, Pattern::new(random.next()));
    let mut expected = asked.clone();
    // Several at once fit into the buffers of a socket.
    let (most, longest) = if random.one_in(8) { (1, 400_000) } else { (4, 4_000) };
    for _ in 0..random.count(0..=8) {
        let lengths: Vec<u32> =
            (0..random.count(1..=most)).map(|_| random.within(1..=longest) as u32).collect();
        let begun = Instant::now();
        for &length in &lengths {
            stream.write_all(&[&length.to_be_bytes(), &asked.take(length as usize)[..]].concat())?;
        }
        for length in lengths {
            let (mut head, mut body) = ([0; 8], vec![0; length as usize]);
            stream.read_exact(&mut head)?;
            *answers += 1;
            if head[..] != [answers.to_be_bytes(), length.to_be_bytes()].concat() {
                ctx.violation(format_args!("answer {answers} of {length} bytes begins with {head:?}"));
            }
            stream.read_exact(&mut body)?;
            body.iter_mut().for_each(|byte| *byte = !*byte);
            ctx.check("answer", expected.verify(&body));
            ctx.count(Kind::Answers, 1);
        }
        *sent = begun;
        if house.is_closing.load(SeqCst) {
            break;
        }
        if random.one_in(3) {
            thread::sleep(random.micros(0..=5_000));
        }
    }
    leave(house, stream, random)
}

/// Says goodbye, has the handler panic, or hangs up in the midst of a frame.
fn leave<S: Read + Write>(house: &House, mut stream: S, random: &mut Random) -> io::Result<()> {
    let way = random.within(0..=9);
    if way == 0 {
        return stream.write_all(&[0, 0, 1, 0, 9][..random.count(1..=5)]);
    }
    stream.write_all(&if way == 1 { POISON } else { GOODBYE }.to_be_bytes())?;
    if stream.read(&mut [0])? != 0 {
        house.ctx.violation("a server says more than it was asked");
    }
    house.ctx.count(Kind::Connections, 1);
    Ok(())
}
