//! What the tests of Unix sockets share: names, and descriptor numbers of their own.

use std::{
    env, fs, io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
        linux::net::SocketAddrExt,
        unix::net::SocketAddr,
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use sward_io::os::unix::net::{UnixListener, UnixStream};

static NEXT: AtomicUsize = AtomicUsize::new(0);

fn unique() -> String {
    format!("sward-test-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed))
}

/// An abstract name that nobody has.
pub(crate) fn name() -> SocketAddr {
    SocketAddr::from_abstract_name(unique()).expect("a short name")
}

/// A path at which there is nothing, and at which nothing is left behind.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        Self(env::temp_dir().join(unique()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A listener with a name of its own.
pub(crate) fn listen() -> io::Result<UnixListener> {
    UnixListener::bind_addr(&name())
}

/// The two ends of a new connection that was accepted.
pub(crate) fn accepted() -> io::Result<(UnixStream, UnixStream)> {
    let listener = listen()?;
    let client = UnixStream::connect_addr(&listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// Duplicates a descriptor to the lowest free number from `lowest` on. In a process of its own a test gets a number again that it has
/// just given up; beside others it may get one that they have given up.
pub(crate) fn duplicate_from(fd: impl AsFd, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let duplicate = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) };
    if duplicate < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

/// Fills a stream until it takes no more.
pub(crate) fn fill(stream: &UnixStream) -> io::Result<()> {
    use std::io::Write;

    stream.set_nonblocking(true)?;
    while let Ok(written) = (&*stream).write(&[0; 4096]) {
        assert!(written > 0);
    }
    stream.set_nonblocking(false)
}
