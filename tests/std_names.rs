//! What a program names of `std`, it finds here when it changes its imports.

use std::{io, path::Path};

use sward::{
    fs::{self, File},
    os::{
        fd::{AsFd, BorrowedFd},
        linux::{fs::MetadataExt, net::SocketAddrExt},
        raw::c_int,
        unix::{
            ffi::OsStrExt,
            fs::symlink,
            io::{AsRawFd, OwnedFd},
            net::{SocketAddr, UnixListener},
        },
    },
    process::Command,
    time::{Duration, Instant, SystemTime, SystemTimeError, TryFromFloatSecsError, UNIX_EPOCH},
};

#[test]
fn times_are_those_of_std() -> Result<(), SystemTimeError> {
    let since: Duration = SystemTime::now().duration_since(UNIX_EPOCH)?;
    assert!(since > Instant::now().elapsed());
    let negative: Result<Duration, TryFromFloatSecsError> = Duration::try_from_secs_f64(-1.0);
    assert!(negative.is_err());
    Ok(())
}

#[test]
fn names_of_systems_are_those_of_std() -> io::Result<()> {
    let file = File::open("/dev/null")?;
    let fd: BorrowedFd<'_> = file.as_fd();
    let number: c_int = fd.as_raw_fd();
    assert_eq!(number, OwnedFd::from(file).as_raw_fd());
    assert_eq!(Path::new("/dev").as_os_str().as_bytes(), b"/dev");
    assert!(fs::metadata("/")?.st_nlink() > 0);
    assert!(symlink("anywhere", "/dev/null").is_err());
    let addr: SocketAddr = UnixListener::bind_addr(&SocketAddr::from_abstract_name("")?)?.local_addr()?;
    assert!(addr.as_abstract_name().is_some());
    Ok(())
}

#[test]
fn the_prelude_has_the_traits_for_our_types() -> io::Result<()> {
    use sward::os::unix::prelude::*;

    let file = File::open("/dev/zero")?;
    assert_eq!((file.as_raw_fd(), file.read_at(&mut [1], 0)?), (file.as_fd().as_raw_fd(), 1));
    let status = Command::new("sh").arg0("bee").args(["-c", "kill -9 $$"]).status()?;
    assert_eq!(status.signal(), Some(9));
    assert!(fs::metadata("/")?.mode() != 0);
    Ok(())
}
