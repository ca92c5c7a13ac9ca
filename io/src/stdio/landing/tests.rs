//! Reads that outlive those who asked for them.

use std::{
    io,
    sync::{Mutex, mpsc},
};

use sward_runtime::{cancel::Cancelled, runtime::Builder, thread};

use super::{Landing, State};

/// What the reads of one test find: each waits for the next.
type Input = Mutex<Option<mpsc::Receiver<io::Result<Vec<u8>>>>>;

/// One read, which blocks.
fn read_from(input: &Input) -> io::Result<Vec<u8>> {
    let input = input.lock().expect("no panic");
    input.as_ref().expect("set before the first read").recv().expect("the test says what is read")
}

fn connect(input: &Input) -> mpsc::Sender<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    *input.lock().expect("no panic") = Some(receiver);
    sender
}

#[test]
fn what_lands_is_taken_bit_by_bit() {
    static INPUT: Input = Mutex::new(None);
    static LANDING: Landing = Landing::new();
    let input = connect(&INPUT);
    let runtime = Builder::new().workers(1).build().expect("a runtime");
    runtime.run(|| {
        let mut buf = [0; 4];
        let mut read = || LANDING.read(&mut buf, || read_from(&INPUT));
        for result in [
            Ok(b"abcdef".to_vec()),
            Err(io::ErrorKind::InvalidData.into()),
            Ok(Vec::new()),
            Ok(b"x".to_vec()),
        ] {
            input.send(result).expect("the landing is there");
        }
        assert!(LANDING.is_idle());
        assert_eq!(read().expect("there"), 4);
        assert!(!LANDING.is_idle(), "two are left");
        assert_eq!(read().expect("there"), 2);
        assert_eq!(read().expect_err("as it landed").kind(), io::ErrorKind::InvalidData);
        assert_eq!(read().expect("the end"), 0);
        assert_eq!(read().expect("more after the end, as on a terminal"), 1);
    });
    assert!(LANDING.is_idle());
}

#[test]
fn what_a_cancelled_reader_asked_for_goes_to_the_next() {
    static INPUT: Input = Mutex::new(None);
    static LANDING: Landing = Landing::new();
    let read = || {
        let mut buf = [0; 8];
        LANDING.read(&mut buf, || read_from(&INPUT)).map(|read| buf[..read].to_vec())
    };
    let input = connect(&INPUT);
    let runtime = Builder::new().workers(1).build().expect("a runtime");
    let cancelled = runtime.handle().spawn(read);
    while !matches!(*LANDING.state.lock(), State::UnderWay) {
        std::thread::yield_now();
    }
    drop(runtime);
    assert!(cancelled.join().expect_err("cancelled").is::<Cancelled>());

    // The next finds it under way, and waits for that one, not for another.
    let runtime = Builder::new().workers(1).build().expect("a runtime");
    let next = runtime.handle().spawn(read);
    runtime.run(|| (0..50).for_each(|_| thread::yield_now()));
    input.send(Ok(b"first".to_vec())).expect("the landing is there");
    assert_eq!(next.join().expect("no panic").expect("there"), b"first");

    // Outside of any runtime it is the same.
    input.send(Ok(b"second".to_vec())).expect("the landing is there");
    assert_eq!(read().expect("there"), b"second");
}
