//! The life of a green thread as its handle shows it: waiting, ended, failed, cancelled.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sward::{
    cancel::Cancelled,
    channel,
    thread::{self, State},
};

fn main() {
    let (sender, receiver) = channel::bounded::<u32>(0);
    let doubling = thread::spawn(move || receiver.recv().map(|n| 2 * n));
    // It has not ended, so there is no result yet: the handle comes back.
    let doubling = doubling.join_timeout(Duration::from_millis(10)).expect_err("nothing was sent");
    println!("nothing was sent: {:?}", doubling.thread().state());
    assert!(matches!(doubling.thread().state(), State::Waiting(_)));

    sender.send(21).expect("it receives");
    let thread = doubling.thread().clone();
    assert_eq!(doubling.join().expect("it does not panic"), Ok(42));
    println!("after its end: {:?}", thread.state());
    assert_eq!(thread.state(), State::Finished);

    // A panic is its result, with the payload.
    let failed = thread::spawn(|| -> u32 { panic!("seven is not enough") });
    let payload = failed.join().expect_err("it panics");
    println!("it panicked: {:?}", payload.downcast_ref::<&str>());

    // Cancelled, its wait unwinds, and its destructors run.
    struct CleanUp;
    impl Drop for CleanUp {
        fn drop(&mut self) {
            println!("cleaned up");
        }
    }
    let endless = thread::spawn(|| {
        let _clean_up = CleanUp;
        thread::sleep(Duration::MAX);
    });
    endless.cancel();
    let payload = endless.join().expect_err("it was cancelled");
    assert!(payload.is::<Cancelled>());
    println!("it was cancelled");
}
