//! The spin lock: those who take it, against each other.
//!
//! The real `SpinLock`. Stand-ins: what it guards is [`Plain`] memory; a look at a lock that is held lets the other run at once. Two
//! threads only: of two that spin, loom lets each run for the other for ever.
//!
//! # Fails when
//!
//! - the exchange in `try_take` is Relaxed, or the store of the guard's drop is: the holder does not see what the last one did;
//! - `take_contended` returns as soon as the lock looks free.

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check};
use sward_sync::model::SpinLock;

type Counter = SpinLock<Plain<u32>>;

fn count(counter: &Counter) {
    let guard = counter.lock();
    guard.set(guard.get() + 1);
}

fn count_twice(counter: &Counter) {
    count(counter);
    count(counter);
}

#[test]
fn one_of_two_holds_it() {
    check(|| {
        let counter = Arc::new(Counter::default());
        let other = thread::spawn({
            let counter = Arc::clone(&counter);
            move || count_twice(&counter)
        });
        count_twice(&counter);
        other.join().unwrap();
        assert_eq!(counter.lock().get(), 4);
    });
}
