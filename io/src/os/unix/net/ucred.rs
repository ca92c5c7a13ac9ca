//! Who is at the other end.

/// The credentials of a process: see [`UnixStream::peer_cred`](super::UnixStream::peer_cred). As `std`'s type of this name,
/// which is not stable.
///
/// # Examples
///
/// ```
/// use sward_io::os::unix::net::{UCred, UnixStream};
///
/// let (here, _there) = UnixStream::pair()?;
/// let UCred { pid, .. } = here.peer_cred()?;
/// assert_eq!(pid, i32::try_from(std::process::id()).ok());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    /// The user.
    pub uid: libc::uid_t,
    /// The group.
    pub gid: libc::gid_t,
    /// The process. `None`: it is in another namespace, and has no number here.
    pub pid: Option<libc::pid_t>,
}

impl From<libc::ucred> for UCred {
    fn from(cred: libc::ucred) -> Self {
        Self { uid: cred.uid, gid: cred.gid, pid: (cred.pid != 0).then_some(cred.pid) }
    }
}
