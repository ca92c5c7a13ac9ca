//! A generator: values go in and come out, it ends with a value of its own, and it may hand on to another one.
//!
//! Where Python has `yield`, `send` and `yield from`, here are [`Yielder::yield_`], [`Generator::resume`] and [`Yielder::delegate`].
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use sward::coroutine::{self, Generator, Scope, State, Yielder};

/// Takes numbers and hands out their mean so far, until it gets none. Returns how many they were.
fn mean<'s>(s: &'s Scope<'s, '_>) -> Generator<'s, Option<f64>, f64, u32> {
    s.generator(|y: &Yielder<Option<f64>, f64>, mut next| {
        let (mut sum, mut count) = (0.0, 0);
        while let Some(number) = next {
            sum += number;
            count += 1;
            next = y.yield_(sum / f64::from(count));
        }
        count
    })
}

fn main() {
    // The simple kind is an iterator.
    let squares: Vec<u32> = coroutine::scope(|s| s.iter(|y| (1..=4).for_each(|n| y.yield_(n * n))).collect());
    println!("squares: {squares:?}");
    assert_eq!(squares, [1, 4, 9, 16]);

    // `delegate` passes on what another one yields, both ways, and returns what it returns.
    let states = coroutine::scope(|s| {
        let mut twice =
            s.generator(|y, first| y.delegate(&mut mean(s), first) + y.delegate(&mut mean(s), Some(10.0)));
        [Some(1.0), Some(2.0), Some(6.0), None, Some(20.0), None].map(|number| twice.resume(number))
    });
    println!("means: {states:?}");
    assert_eq!(states[..3], [1.0, 1.5, 3.0].map(State::Yielded));
    assert_eq!(states[3..], [State::Yielded(10.0), State::Yielded(15.0), State::Complete(5)]);

    // One that is dropped half-way unwinds, and so runs the destructors of what it holds.
    let mut log = Vec::new();
    coroutine::scope(|s| {
        let log = &mut log;
        let mut endless = s.iter(move |y| {
            let held = Held(log);
            for n in 0.. {
                held.0.push(n);
                y.yield_(n);
            }
        });
        assert_eq!(endless.next(), Some(0));
        assert_eq!(endless.next(), Some(1));
    });
    assert_eq!(log, [0, 1, u32::MAX]);
}

struct Held<'a>(&'a mut Vec<u32>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        println!("dropped half-way");
        self.0.push(u32::MAX);
    }
}
