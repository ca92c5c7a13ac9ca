//! Addresses of Unix sockets, from `std`'s type to that of `socket2` and back.
//!
//! `std` does not show the address inside of its type, and takes none from outside: both ways lead over its name.

use std::{io, os::unix::net::SocketAddr, path::Path};

use socket2::SockAddr;

/// The address for a system call.
pub(super) fn to_sys(addr: &SocketAddr) -> io::Result<SockAddr> {
    match (addr.as_pathname(), abstract_name(addr)) {
        (Some(path), _) => SockAddr::unix(path),
        (None, Some(name)) => SockAddr::unix(name),
        (None, None) => SockAddr::unix(""),
    }
}

/// The address of a path for a system call, which is refused as by `std`.
pub(super) fn path_to_sys(path: &Path) -> io::Result<SockAddr> {
    to_sys(&SocketAddr::from_pathname(path)?)
}

/// An address that a system call returned. A path that fills its field to the last byte, to which `std` cannot bind, cannot
/// be made into `std`'s type either: its owner goes without a name.
pub(super) fn from_sys(addr: &SockAddr) -> SocketAddr {
    let path = addr.as_pathname().and_then(|path| SocketAddr::from_pathname(path).ok());
    let named = path.or_else(|| from_abstract_name(addr.as_abstract_namespace()?));
    named.unwrap_or_else(|| SocketAddr::from_pathname("").expect("the empty path is no name"))
}

/// An abstract name as `socket2` takes it: as a path that begins with a zero.
#[cfg(target_os = "linux")]
fn abstract_name(addr: &SocketAddr) -> Option<std::path::PathBuf> {
    use std::{
        ffi::OsString,
        os::{linux::net::SocketAddrExt, unix::ffi::OsStringExt},
    };

    let name = addr.as_abstract_name()?;
    Some(OsString::from_vec([&[0], name].concat()).into())
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_addr: &SocketAddr) -> Option<std::path::PathBuf> {
    None
}

#[cfg(target_os = "linux")]
fn from_abstract_name(name: &[u8]) -> Option<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;

    SocketAddr::from_abstract_name(name).ok()
}

#[cfg(not(target_os = "linux"))]
fn from_abstract_name(_name: &[u8]) -> Option<SocketAddr> {
    None
}
