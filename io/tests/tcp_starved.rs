//! Accepting when there are no descriptors left. In a child process, since the limit is the process's.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::common::{
    listen,
    process::{alone, limit_descriptors, open_all},
    runtimes,
};
use sward_io::net::{TcpListener, TcpStream};

#[test]
fn accept_without_descriptors_fails_without_spinning_and_recovers() {
    alone("accept_without_descriptors_fails_without_spinning_and_recovers", || {
        for runtime in runtimes() {
            let listener = listen().expect("a listener");
            let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
            // The runtime needs descriptors of its own, to begin with.
            runtime.run(|| listener.set_nonblocking(false)).expect("set");
            starve(&|| runtime.run(|| listener.accept().map(drop)), &listener);
            drop(client);
        }
    });
}

/// Takes all descriptors, tries to accept, gives one back, and accepts.
fn starve(accept: &dyn Fn() -> io::Result<()>, listener: &TcpListener) {
    let limit = limit_descriptors(200);
    let files = open_all();
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
    drop(limit);
}
