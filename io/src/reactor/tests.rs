//! Unit tests of the registry: stale keys, and the end.

use std::{
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::Arc,
    time::Duration,
};

use sward_runtime::{driver::Driver, park::Batch};

use super::Reactor;
use crate::{error::RuntimeClosed, source::Shared};

fn unready() -> Arc<Shared> {
    Arc::new(Shared::new(false, false))
}

fn look(reactor: &Reactor) {
    reactor.wait(Some(Duration::ZERO), &mut Batch::new()).expect("looking");
}

#[test]
fn an_event_reaches_the_source_that_is_registered() {
    let reactor = Reactor::new().expect("a reactor");
    let (here, _there) = UnixStream::pair().expect("a pair");
    let shared = unready();
    let key = reactor.register(here.as_raw_fd(), Arc::clone(&shared)).expect("registered");
    assert!(reactor.has_sources());
    look(&reactor);
    assert_eq!(shared.is_ready(), (false, true));
    reactor.deregister(here.as_raw_fd(), key);
    assert!(!reactor.has_sources());
}

#[test]
fn a_stale_key_means_nobody() {
    let reactor = Reactor::new().expect("a reactor");
    let (here, _there) = UnixStream::pair().expect("a pair");
    let fd = here.as_raw_fd();
    let first = reactor.register(fd, unready()).expect("registered");
    reactor.deregister(fd, first);
    let second = reactor.register(fd, unready()).expect("registered");
    // The slot was used again, for a new key.
    assert_eq!(first.index(), second.index());
    let registry = reactor.registry.lock();
    assert!(registry.find(first).is_none());
    assert!(registry.find(second).is_some());
    drop(registry);
    // To take the stale key out twice takes nothing from the new owner.
    reactor.vacate(first);
    assert!(reactor.registry.lock().find(second).is_some());
    assert!(reactor.has_sources());
}

#[test]
fn an_event_of_a_source_that_is_gone_wakes_nobody() {
    let reactor = Reactor::new().expect("a reactor");
    let (here, _there) = UnixStream::pair().expect("a pair");
    let (old, new) = (unready(), unready());
    let fd = here.as_raw_fd();
    let stale = reactor.register(fd, Arc::clone(&old)).expect("registered");
    // The slot changes its owner while the event of the old one is in the kernel.
    reactor.vacate(stale);
    let (other, _peer) = UnixStream::pair().expect("a pair");
    other.set_nonblocking(true).expect("a socket");
    let mut room = 1;
    while room > 0 {
        room = std::io::Write::write(&mut &other, &[0; 4096]).unwrap_or(0);
    }
    let key = reactor.register(other.as_raw_fd(), Arc::clone(&new)).expect("registered");
    assert_eq!(stale.index(), key.index());
    look(&reactor);
    assert_eq!(old.is_ready(), (false, false));
    assert_eq!(new.is_ready(), (false, false));
}

#[test]
fn nothing_is_registered_after_the_end() {
    let reactor = Reactor::new().expect("a reactor");
    let (here, _there) = UnixStream::pair().expect("a pair");
    let shared = unready();
    let key = reactor.register(here.as_raw_fd(), Arc::clone(&shared)).expect("registered");
    reactor.close(&mut Batch::new());
    assert!(shared.is_shut());
    assert!(!reactor.has_sources());
    let error = reactor.register(here.as_raw_fd(), unready()).expect_err("ended");
    assert!(error.get_ref().is_some_and(|inner| inner.is::<RuntimeClosed>()));
    // Late leavers find nothing to leave.
    reactor.deregister(here.as_raw_fd(), key);
    assert!(!reactor.has_sources());
}
