//! Looks for open ports of this machine, a hundred at once, none for longer than a moment.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use sward::{
    net::{TcpListener, TcpStream},
    task,
};

fn main() -> io::Result<()> {
    // Something to find.
    let listeners: Vec<_> =
        (0..3).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    let mut open: Vec<u16> =
        listeners.iter().map(|l| l.local_addr().map(|address| address.port())).collect::<io::Result<_>>()?;
    open.sort_unstable();

    let first = open[0].saturating_sub(500);
    let ports = first..=open[2].max(first + 1000).min(first.saturating_add(20_000));
    let found = task::map_concurrent(ports.clone(), 100, |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(|_| port)
    });
    let found: Vec<u16> = found.into_iter().flatten().collect();
    println!("{} ports, {} of them open: {found:?}", ports.len(), found.len());
    assert!(open.iter().filter(|port| ports.contains(port)).all(|port| found.contains(port)));
    Ok(())
}
