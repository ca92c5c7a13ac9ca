//! Accepting when there are no descriptors left. In a child process, since the limit is the process's.

mod common;

use std::{
    env,
    fs::File,
    io,
    process::Command,
    time::{Duration, Instant},
};

use common::{listen, runtimes, watchdog};
use sward_io::net::{TcpListener, TcpStream};

const CHILD: &str = "SWARD_TEST_STARVED";

#[test]
fn accept_without_descriptors_fails_without_spinning_and_recovers() {
    let _watchdog = watchdog();
    if env::var_os(CHILD).is_some() {
        for runtime in runtimes() {
            let listener = listen().expect("a listener");
            let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
            // The runtime needs descriptors of its own, to begin with.
            runtime.run(|| listener.set_nonblocking(false)).expect("set");
            starve(&|| runtime.run(|| listener.accept().map(drop)), &listener);
            drop(client);
        }
        return;
    }
    let name = "accept_without_descriptors_fails_without_spinning_and_recovers";
    let program = env::current_exe().expect("the test");
    let output = Command::new(program).args([name, "--exact", "--nocapture"]).env(CHILD, "1").output();
    let output = output.expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Takes all descriptors, tries to accept, gives one back, and accepts.
fn starve(accept: &dyn Fn() -> io::Result<()>, listener: &TcpListener) {
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
    let starts = Instant::now();
    for _ in 0..5 {
        let error = accept().expect_err("no descriptors");
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    }
    assert!(starts.elapsed() >= Duration::from_millis(40), "each after the first paused");

    // Without waiting there is no pause either.
    listener.set_nonblocking(true).expect("set");
    assert_eq!(accept().expect_err("no descriptors").raw_os_error(), Some(libc::EMFILE));
    listener.set_nonblocking(false).expect("set");

    drop(files);
    accept().expect("the connection is still there");
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}
