//! From what a user writes to socket addresses.

use std::{
    io, iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    option, slice, vec,
};

use sward_runtime::unblock;

/// Something that can be resolved to socket addresses, as [`std::net::ToSocketAddrs`].
///
/// It is implemented for the same types. Numeric addresses, also inside of strings, are understood on the spot; a host
/// name is looked up by the system, on the pool of OS threads that [`unblock`] runs closures on.
///
/// # Suspension
///
/// The lookup of a host name parks the green thread until the system has answered; it blocks an OS thread outside
/// the runtime. All else returns at once.
///
/// # Cancellation
///
/// A lookup that is abandoned runs on in the pool, and its answer is dropped.
///
/// # Examples
///
/// ```
/// use sward_io::net::ToSocketAddrs;
///
/// let mut numeric = "127.0.0.1:80".to_socket_addrs()?;
/// assert_eq!(numeric.next(), Some(([127, 0, 0, 1], 80).into()));
/// assert!(("localhost", 80).to_socket_addrs()?.all(|addr| addr.ip().is_loopback()));
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs {
    /// The addresses that this resolves to, in the order in which they should be tried.
    type Iter: Iterator<Item = SocketAddr>;

    /// Resolves to addresses.
    ///
    /// # Errors
    ///
    /// A string that is no address, or a name that the system cannot resolve.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::net::ToSocketAddrs;
    ///
    /// assert!("no port here".to_socket_addrs().is_err());
    /// ```
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;
}

/// Tries one address after the other until one does; else the last error.
pub(crate) fn each_addr<T>(
    addrs: impl ToSocketAddrs,
    mut attempt: impl FnMut(&SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last_error = None;
    for addr in addrs.to_socket_addrs()? {
        match attempt(&addr) {
            Ok(done) => return Ok(done),
            Err(error) => last_error = Some(error),
        }
    }
    let none = || io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses");
    Err(last_error.unwrap_or_else(none))
}

/// Implements the trait for what is one address by conversion.
macro_rules! one_addr {
    ($($type:ty),* $(,)?) => {$(
        impl ToSocketAddrs for $type {
            type Iter = option::IntoIter<SocketAddr>;

            fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
                Ok(Some(SocketAddr::from(*self)).into_iter())
            }
        }
    )*};
}

one_addr!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::from((ip, port))].into_iter()),
            Err(_) => look_up((host.to_owned(), port)),
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (&*self.0, self.1).to_socket_addrs()
    }
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self.parse::<SocketAddr>() {
            Ok(addr) => Ok(vec![addr].into_iter()),
            Err(_) => look_up(self.to_owned()),
        }
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = iter::Cloned<slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.iter().cloned())
    }
}

impl<A: ToSocketAddrs + ?Sized> ToSocketAddrs for &A {
    type Iter = A::Iter;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

/// Asks the system, on a thread that may block.
fn look_up<A>(name: A) -> io::Result<vec::IntoIter<SocketAddr>>
where
    A: std::net::ToSocketAddrs<Iter = vec::IntoIter<SocketAddr>> + Send + 'static,
{
    unblock(move || name.to_socket_addrs())
}
