//! What every backend has to do. Run with and without the feature `polling`.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::{fd::AsRawFd, unix::net::UnixStream},
    thread,
    time::{Duration, Instant},
};

use super::{Event, Events, INDEX_BITS, Key, Poller};

const LOOK: Option<Duration> = Some(Duration::ZERO);

fn key(index: usize) -> Key {
    Key::new(index, 7).expect("a small index")
}

fn collect(poller: &Poller, timeout: Option<Duration>) -> Vec<(Key, Event)> {
    let mut events = Events::new();
    poller.wait(&mut events, timeout).expect("waiting");
    events.iter().collect()
}

#[test]
fn a_key_is_index_and_generation() {
    let key = Key::new(5, 9).expect("a small index");
    assert_eq!(key.index(), 5);
    assert_ne!(Key::new(5, 10), Some(key));
    assert_eq!(Key::new((1 << INDEX_BITS) - 1, 0), None);
}

#[test]
fn registration_reports_what_is_ready_already() {
    let (here, mut there) = UnixStream::pair().expect("a pair");
    there.write_all(b"x").expect("room");
    let poller = Poller::new().expect("a poller");
    poller.add(here.as_raw_fd(), key(3)).expect("registered");
    let events = collect(&poller, LOOK);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].0, key(3));
    assert!(events[0].1.readable && events[0].1.writable);
}

#[test]
fn an_event_comes_once_per_change() {
    let (mut here, mut there) = UnixStream::pair().expect("a pair");
    let poller = Poller::new().expect("a poller");
    poller.add(here.as_raw_fd(), key(0)).expect("registered");
    assert_eq!(collect(&poller, LOOK).len(), 1, "writable");
    assert!(collect(&poller, LOOK).is_empty());

    there.write_all(b"x").expect("room");
    assert!(collect(&poller, LOOK).iter().any(|(_, event)| event.readable));
    assert!(collect(&poller, LOOK).is_empty(), "nobody read, but nothing changed");

    there.write_all(b"y").expect("room");
    assert!(collect(&poller, LOOK).iter().any(|(_, event)| event.readable));
    here.read_exact(&mut [0; 2]).expect("two bytes");
}

#[test]
fn the_end_of_the_stream_is_an_event() {
    let (here, there) = UnixStream::pair().expect("a pair");
    let poller = Poller::new().expect("a poller");
    poller.add(here.as_raw_fd(), key(0)).expect("registered");
    collect(&poller, LOOK);
    there.shutdown(Shutdown::Write).expect("shut down");
    let events = collect(&poller, LOOK);
    assert!(events.iter().any(|(_, event)| event.readable));
    if super::SHORT_MEANS_EMPTY {
        assert!(events.iter().any(|(_, event)| event.read_held && !event.write_held));
    }
}

#[test]
fn after_removal_nothing_is_reported() {
    let (here, mut there) = UnixStream::pair().expect("a pair");
    let poller = Poller::new().expect("a poller");
    poller.add(here.as_raw_fd(), key(0)).expect("registered");
    poller.remove(here.as_raw_fd());
    there.write_all(b"x").expect("room");
    assert!(collect(&poller, LOOK).is_empty());
}

#[test]
fn a_notification_ends_the_next_wait_or_the_current_one() {
    let poller = Poller::new().expect("a poller");
    poller.notify();
    poller.notify();
    assert!(collect(&poller, None).is_empty());
    thread::scope(|scope| {
        scope.spawn(|| poller.notify());
        assert!(collect(&poller, None).is_empty());
    });
}

#[test]
fn a_look_does_not_swallow_a_notification() {
    let poller = Poller::new().expect("a poller");
    poller.notify();
    for _ in 0..3 {
        assert!(collect(&poller, LOOK).is_empty());
    }
    assert!(collect(&poller, None).is_empty());
}

#[test]
fn notifications_reach_a_wait_among_looks() {
    let rounds = 2_000;
    let poller = Poller::new().expect("a poller");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let turn = std::sync::Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                collect(&poller, LOOK);
            }
        });
        scope.spawn(|| {
            for _ in 0..rounds {
                poller.notify();
                turn.wait();
            }
        });
        for _ in 0..rounds {
            collect(&poller, None);
            turn.wait();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_wait_is_never_shorter_than_it_was_told_to_be() {
    let poller = Poller::new().expect("a poller");
    for timeout in [Duration::from_nanos(1), Duration::from_micros(300), Duration::from_millis(3)] {
        let start = Instant::now();
        assert!(collect(&poller, Some(timeout)).is_empty());
        assert!(start.elapsed() >= timeout);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_short_read_of_a_unix_stream_tells_whether_data_may_be_left() {
    use std::os::fd::AsFd;

    use super::{ancillary, socket::receive_some};

    let (here, there) = UnixStream::pair().expect("a pair");
    let read = |len| receive_some(here.as_fd(), &mut vec![0; len]).expect("there is data");
    let mut writer = &there;

    writer.write_all(b"plain").expect("room");
    assert_eq!(read(3), (3, true), "the buffer is full");
    assert_eq!(read(3), (2, false));

    writer.write_all(b"before").expect("room");
    assert_eq!(ancillary::send(there.as_fd(), b"with", &[there.as_fd()]).expect("room"), 4);
    writer.write_all(b"behind").expect("room");
    assert_eq!(read(64), (10, true), "it ends behind the descriptors");
    assert_eq!(read(64), (6, false));

    rustix::net::sockopt::set_socket_passcred(&here, true).expect("an option of Unix sockets");
    writer.write_all(b"signed").expect("room");
    assert_eq!(read(64), (6, true), "somebody else's may be behind it");
    let empty = receive_some(here.as_fd(), &mut [0; 64]).expect_err("nothing is left");
    assert_eq!(empty.kind(), std::io::ErrorKind::WouldBlock);
    drop(there);
    assert_eq!(read(64), (0, true), "the end");
}
