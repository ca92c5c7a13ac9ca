//! Control passed on by hand, as greenlets do it: each says who goes on, and with what.
//!
//! A hub resumes whoever was named last. There is no scheduler, no timer and no queue: thirty lines of plain code decide who runs.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;

use sward::coroutine::{self, Generator, State, Yielder};

/// To whom to switch, and the ball.
type Pass = (&'static str, u32);

/// Plays the ball to `partner` until it has been played ten times, then tells the umpire.
fn player(name: &'static str, partner: &'static str, y: &Yielder<u32, Pass>, mut ball: u32) {
    while ball < 10 {
        println!("{name} plays ball {ball}");
        ball = y.yield_((partner, ball + 1));
    }
    y.yield_(("umpire", ball));
}

/// Switches to `first`, and on to whoever is named, until one ends.
fn hub(mut players: HashMap<&'static str, Generator<'_, u32, Pass, ()>>, first: Pass) -> Vec<&'static str> {
    let (mut next, mut order) = (first, Vec::new());
    loop {
        let (name, ball) = next;
        order.push(name);
        match players.get_mut(name).expect("everybody is known").resume(ball) {
            State::Yielded(pass) => next = pass,
            State::Complete(()) => return order,
        }
    }
}

fn main() {
    let order = coroutine::scope(|s| {
        let mut players = HashMap::new();
        players.insert("ping", s.generator(|y, ball| player("ping", "pong", y, ball)));
        players.insert("pong", s.generator(|y, ball| player("pong", "ping", y, ball)));
        players.insert("umpire", s.generator(|_, ball| println!("the umpire has ball {ball}")));
        hub(players, ("ping", 1))
        // The players are still in the middle of their game: they are unwound here.
    });
    assert_eq!(order.len(), 11);
    assert_eq!((order[0], order[1], order[9], order[10]), ("ping", "pong", "pong", "umpire"));
}
