//! Servers when there are no descriptors left, and that they lose none. In a child process, since the limit is the process's.

mod common;

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    ops::ControlFlow,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{listen, runtimes, watchdog};
use sward_io::net::{ServeError, ServeOptions, Server, TcpStream, serve, serve_messages};
use sward_runtime::thread;

const CHILD: &str = "SWARD_TEST_SERVE_STARVED";

#[test]
fn a_server_recovers_when_there_are_descriptors_again_and_leaks_none() {
    let _watchdog = watchdog();
    if env::var_os(CHILD).is_some() {
        for runtime in runtimes() {
            runtime.run(|| starve(false));
            runtime.run(|| starve(true));
        }
        return;
    }
    let name = "a_server_recovers_when_there_are_descriptors_again_and_leaks_none";
    let program = env::current_exe().expect("the test");
    let output = Command::new(program).args([name, "--exact", "--nocapture"]).env(CHILD, "1").output();
    let output = output.expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// A server that sends back what it gets, of one kind or the other.
fn start(by_message: bool, errors: &Arc<AtomicUsize>) -> (Server, std::net::SocketAddr) {
    let errors = Arc::clone(errors);
    let options = ServeOptions::new().on_error(move |error| {
        assert!(matches!(error, ServeError::Accept(_)), "{error}");
        errors.fetch_add(1, SeqCst);
    });
    let listener = listen().expect("a listener");
    let addr = listener.local_addr().expect("bound");
    let answer = |stream: &mut TcpStream| {
        let mut byte = [0];
        let read = stream.read(&mut byte)?;
        stream.write_all(&byte[..read])?;
        Ok(if read == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let server = if by_message {
        serve_messages(listener, options, |stream, _| Ok(stream), answer)
    } else {
        serve(listener, options, move |mut stream, _| {
            while answer(&mut stream)?.is_continue() {}
            Ok(())
        })
    };
    (server.expect("a server"), addr)
}

/// Takes all descriptors but those of the clients, lets go of them again, and sees everybody served.
fn starve(by_message: bool) {
    let ask = |mut client: &TcpStream| {
        client.write_all(b"?").expect("sent");
        client.read_exact(&mut [0]).expect("answered");
    };
    let errors = Arc::new(AtomicUsize::new(0));
    let (server, addr) = start(by_message, &errors);
    let first = TcpStream::connect(addr).expect("connected");
    ask(&first);
    let before = descriptors();

    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live `rlimit`.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    let lowered = libc::rlimit { rlim_cur: 200, ..limit };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const lowered) }, 0);
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    // For the client's end.
    drop(files.pop());
    let second = TcpStream::connect(addr).expect("connected");
    while errors.load(SeqCst) == 0 {
        thread::yield_now();
    }
    ask(&first);
    assert_eq!(server.connections(), 1);
    drop(files);
    ask(&second);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);

    let clients: Vec<_> = (0..50).map(|_| TcpStream::connect(addr).expect("connected")).collect();
    clients.iter().for_each(ask);
    assert_eq!(descriptors(), before + 2 + 2 * clients.len());
    assert_eq!(errors.load(SeqCst), 1, "one shortage is told once, whoever notices it");
    drop((first, second, clients));
    assert_eq!(server.shutdown(Duration::from_secs(3600)), 0);
    // The listener, and the two ends of the first connection.
    assert_eq!(descriptors(), before - 3);
}
