//! An event loop, as asyncio has one: a queue of callbacks and a green thread that calls them one after the other. A timer is a green
//! thread that sleeps and then puts its callback in the queue.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{Duration, Instant};
use sward::{cancel::Token, channel, error::BuildError, runtime::Builder, sync::Mutex, thread};

const TICK: Duration = Duration::from_millis(20);

type Callback = Box<dyn FnOnce(&Loop) + Send>;

#[derive(Clone)]
struct Loop {
    /// `None` stops it.
    ready: channel::Sender<Option<Callback>>,
    timers: Token,
    start: Instant,
}

impl Loop {
    /// Calls callbacks in the order in which they become ready, until one of them stops the loop.
    fn run(begin: impl FnOnce(&Self)) {
        let (ready, callbacks) = channel::unbounded();
        let this = Self { ready, timers: Token::new(), start: Instant::now() };
        begin(&this);
        while let Some(callback) = callbacks.recv().expect("`this` sends") {
            callback(&this);
        }
        this.timers.cancel();
    }

    fn time(&self) -> Duration {
        self.start.elapsed()
    }

    fn call_soon(&self, f: impl FnOnce(&Self) + Send + 'static) {
        let _ = self.ready.send(Some(Box::new(f)));
    }

    /// Cancelling the token takes the call back.
    fn call_later(&self, delay: Duration, f: impl FnOnce(&Self) + Send + 'static) -> Token {
        let (this, timer) = (self.clone(), self.timers.child());
        let handle = timer.clone();
        thread::spawn(move || {
            if timer.run(|| thread::sleep(delay)).is_ok() {
                this.call_soon(f);
            }
        });
        handle
    }

    fn stop(&self) {
        let _ = self.ready.send(None);
    }
}

static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn say(at: &Loop, line: &'static str) {
    println!("{:>6.1?}  {line}", at.time());
    SAID.lock().expect("nobody panics with it").push(line);
}

fn main() -> Result<(), BuildError> {
    let begin = |at: &Loop| {
        at.call_later(TICK * 2, |at| say(at, "two ticks later"));
        at.call_later(TICK, |at| say(at, "a tick later"));
        at.call_later(TICK * 3, Loop::stop);
        at.call_later(TICK * 1000, |at| say(at, "after the end"));
        at.call_later(TICK, |at| say(at, "taken back")).cancel();
        at.call_soon(|at| say(at, "soon"));
        say(at, "at once");
    };
    // One worker, as asyncio has one thread.
    Builder::new().workers(1).build()?.run(|| Loop::run(begin));
    let said = SAID.lock().expect("nobody panics with it");
    assert_eq!(said[..], ["at once", "soon", "a tick later", "two ticks later"]);
    Ok(())
}
