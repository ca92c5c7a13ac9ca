//! Connections whose end waits, and ends at awkward times: of a server that holds them while they are idle.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use crate::common::{
    everywhere, listen, runtimes,
    server::{LONG, ask, echo_byte},
    settle, wait_until, watchdog,
};
use sward_io::net::{ServeOptions, Server, TcpStream, serve_messages};
use sward_runtime::{cancel, runtime::Handle, thread};

/// Waits at its end, if it is told to, until there is something to read, or its socket is shut down.
struct Slow(TcpStream, bool);

impl Drop for Slow {
    fn drop(&mut self) {
        if self.1 {
            let _ = self.0.read(&mut [0]);
        }
    }
}

/// A server whose first connection has an end that waits; with how many have been set up.
fn slow_server(options: ServeOptions) -> io::Result<(Server, SocketAddr, Arc<AtomicUsize>)> {
    let (listener, count) = (listen()?, Arc::new(AtomicUsize::new(0)));
    let (addr, counted) = (listener.local_addr()?, Arc::clone(&count));
    let init = move |stream, _| Ok(Slow(stream, counted.fetch_add(1, SeqCst) == 0));
    Ok((serve_messages(listener, options, init, |slow: &mut Slow| echo_byte(&slow.0))?, addr, count))
}

#[test]
fn a_state_whose_end_waits_keeps_nobody_else_from_ending() {
    everywhere(|| {
        let timeout = Duration::from_millis(20);
        let (server, addr, count) = slow_server(ServeOptions::new().idle_timeout(timeout))?;
        let slow = TcpStream::connect(addr)?;
        // It is not to be asked anything: its time may be up.
        wait_until(|| count.load(SeqCst) == 1);
        let start = Instant::now();
        let mut other = TcpStream::connect(addr)?;
        assert_eq!(other.read(&mut [0])?, 0);
        assert!(start.elapsed() >= timeout);
        wait_until(|| server.connections() == 1);
        drop(slow);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

#[test]
fn a_shutdown_cuts_a_state_whose_end_waits() {
    everywhere(|| {
        let (server, addr, _) = slow_server(ServeOptions::new())?;
        let (slow, mut other) = (TcpStream::connect(addr)?, TcpStream::connect(addr)?);
        ask(&slow)?;
        let same = server.clone();
        let shutdown = thread::spawn(move || same.shutdown(Duration::from_millis(20)));
        assert_eq!(other.read(&mut [0]).unwrap_or(0), 0);
        assert!(shutdown.join().expect("no panic") >= 1);
        server.join()
    });
}

#[test]
fn a_tiny_idle_timeout_leaves_time_for_others() {
    everywhere(|| {
        let listener = listen()?;
        let addr = listener.local_addr()?;
        let options = ServeOptions::new().idle_timeout(Duration::from_nanos(1));
        let handler = |stream: &mut TcpStream| echo_byte(stream);
        let server = serve_messages(listener, options, |stream, _| Ok(stream), handler)?;
        let mut client = TcpStream::connect(addr)?;
        settle();
        assert_eq!(client.read(&mut [0])?, 0);
        assert_eq!(server.shutdown(LONG), 0);
        Ok(())
    });
}

/// Waits at its end until it is told to go on.
struct Held(TcpStream, Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        wait_until(|| self.1.load(SeqCst));
    }
}

#[test]
fn a_message_while_the_runtime_ends_does_not_end_the_connection_on_its_worker() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let (sender, begun) = mpsc::channel();
        let client = runtime.run(|| {
            let go_on = Arc::new(AtomicBool::new(false));
            let waits = Arc::clone(&go_on);
            let listener = listen().expect("a listener");
            let addr = listener.local_addr().expect("bound");
            let init = move |stream, _| Ok(Held(stream, Arc::clone(&waits)));
            let handler = |held: &mut Held| echo_byte(&held.0);
            serve_messages(listener, ServeOptions::new(), init, handler).expect("a server");
            let client = TcpStream::connect(addr).expect("connected");
            ask(&client).expect("answered");
            let mut late = client.try_clone().expect("a clone");
            let handle = Handle::current_or_default().expect("this one");
            thread::spawn(move || {
                cancel::shield(|| {
                    let _ = sender.send(());
                    wait_until(|| handle.is_ending());
                    late.write_all(b"!").expect("sent");
                    settle();
                    go_on.store(true, SeqCst);
                });
            });
            client
        });
        assert_eq!(begun.recv(), Ok(()));
        drop((runtime, client));
    }
}
