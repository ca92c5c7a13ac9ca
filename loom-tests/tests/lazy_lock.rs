//! `LazyLock`: those who come first, those who come meanwhile, and those who only look.
//!
//! The real `LazyLock`, `Once` and lot. Stand-ins: what is made is [`Plain`] memory; the function does not fail, since loom's threads share
//! one OS thread, and with it what that counts as panicking. `once.rs` checks what `Once` does beyond that.
//!
//! # Fails when
//!
//! - the load in `Once::is_completed` or in `Once::call` is Relaxed, or the swap in `Running`'s drop is: the value is not seen;
//! - `get` does not ask `Once`: it reads what is being written.

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_sync::LazyLock;

type Lazy<F> = LazyLock<Plain<u32>, F>;

/// A value that is seven once it is made, by a function that may be called once only.
fn lazy() -> Arc<Lazy<impl FnOnce() -> Plain<u32> + Send>> {
    let mine = Plain::new(6);
    Arc::new(LazyLock::new(move || {
        mine.set(mine.get() + 1);
        mine
    }))
}

/// A thread of its own that does something with what is shared.
fn spawn<S: 'static, R: 'static>(
    shared: &Arc<S>,
    f: impl FnOnce(&S) -> R + 'static,
) -> thread::JoinHandle<R> {
    let shared = Arc::clone(shared);
    thread::spawn(move || f(&shared))
}

#[test]
fn of_two_one_makes_it_and_both_see_it() {
    check(|| {
        let lazy = lazy();
        let other = spawn(&lazy, |lazy| lazy.get());
        assert_eq!(lazy.get(), 7);
        assert_eq!(other.join().unwrap(), 7);
        // By who has it to itself.
        let lazy = Arc::try_unwrap(lazy).unwrap_or_else(|_| unreachable!("the other has ended"));
        assert!(LazyLock::into_inner(lazy).is_ok_and(|value| value.get() == 7));
    });
}

#[test]
fn of_three_one_makes_it_and_all_see_it() {
    check_bounded(2, || {
        let lazy = lazy();
        let others = [(); 2].map(|()| spawn(&lazy, |lazy| LazyLock::force(lazy).get()));
        assert_eq!(LazyLock::force(&lazy).get(), 7);
        for other in others {
            assert_eq!(other.join().unwrap(), 7);
        }
    });
}

#[test]
fn a_look_finds_nothing_or_the_value() {
    check(|| {
        let lazy = lazy();
        let other = spawn(&lazy, |lazy| lazy.get());
        if let Some(value) = LazyLock::get(&lazy) {
            assert_eq!(value.get(), 7);
        }
        assert_eq!(other.join().unwrap(), 7);
    });
}

#[test]
fn who_looks_while_two_come_first_sees_nothing_or_the_value() {
    check_bounded(2, || {
        let lazy = lazy();
        let others = [(); 2].map(|()| spawn(&lazy, |lazy| lazy.get()));
        let seen = LazyLock::get(&lazy).map(Plain::get);
        assert!(seen.is_none_or(|value| value == 7));
        for other in others {
            assert_eq!(other.join().unwrap(), 7);
        }
        assert_eq!(LazyLock::get(&lazy).map(Plain::get), Some(7));
    });
}
